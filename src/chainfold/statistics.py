"""Figures on a dataset's storage."""

import warnings
from collections import Counter
from typing import Any

from chainfold.dataset import Dataset
from chainfold.errors import ManifestError
from chainfold.projections import Sight, Total
from chainfold.references import ManifestReferences, orphaned_files


def statistics(data: Dataset, sight: Sight, references: ManifestReferences | None) -> dict[str, Any]:
    """The figures that `RegistryView.get_stats` documents."""
    counts = total(data, sight)
    entries = min(sight.size, data.projections.size)
    try:
        orphans = orphaned_files(data, references)
    except ManifestError as error:
        warnings.warn(f"manifests left out of the figures: {error}", UserWarning, stacklevel=3)
        orphans = orphaned_files(data, None)
    sizes = [size for _, size in data.blobs.scan()]
    saved = counts.size_bytes - counts.file_bytes
    return {
        "total_artifacts": counts.artifacts,
        "unique_files": counts.files,
        "total_size_bytes": counts.size_bytes,
        "deduplication_ratio": saved / counts.size_bytes if counts.size_bytes else 0.0,
        "by_type": counts.by_type,
        "orphaned_count": len(orphans),
        "orphaned_size_bytes": sum(size for _, size in orphans),
        "disk_usage_bytes": sum(sizes),
        "disk_file_count": len(sizes),
        "dataset": data.name,
        "binaries_path": str(data.blobs.folder),
        "log_entries": entries,
        "log_bytes": data.log.size_bytes(entries),
    }


def total(data: Dataset, sight: Sight) -> Total:
    """The running totals; for a run, with what it has registered in the place of what that supersedes."""
    committed, paths = data.projections.totals.at(sight.size), data.projections.paths
    by_type, size_bytes = Counter(committed.by_type), committed.size_bytes
    references: Counter[int] = Counter()  # to each file, beside those of what is committed
    lengths: dict[int, int] = {}
    for new, replaced in sight.changes():
        for row, sign in ((new, 1), (replaced, -1)):
            if row is not None:
                record = data.record(row)
                by_type[record.artifact_type.value] += sign
                size_bytes += sign * record.size_bytes
                references[paths.file(row)] += sign
                lengths[paths.file(row)] = record.size_bytes
    files, file_bytes = committed.files, committed.file_bytes
    for file, change in references.items():
        before = paths.references(file)
        appears = int(before + change > 0) - int(before > 0)
        files, file_bytes = files + appears, file_bytes + appears * lengths[file]
    kinds = {kind: count for kind, count in by_type.items() if count}
    return Total(sum(kinds.values()), size_bytes, files, file_bytes, kinds)
