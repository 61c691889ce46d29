"""Figures on a dataset's storage."""

import warnings
from typing import Any

from chainfold.dataset import Dataset
from chainfold.errors import ManifestError
from chainfold.projections import Sight, Total
from chainfold.references import ManifestReferences, orphaned_files


def statistics(data: Dataset, sight: Sight, references: ManifestReferences | None) -> dict[str, Any]:
    """The figures that `RegistryView.get_stats` documents."""
    total = _total(data, sight)
    entries = min(sight.size, data.projections.size)
    try:
        orphans = orphaned_files(data, references)
    except ManifestError as error:
        warnings.warn(f"manifests left out of the figures: {error}", UserWarning, stacklevel=3)
        orphans = orphaned_files(data, None)
    sizes = [size for _, size in data.blobs.scan()]
    saved = total.size_bytes - total.file_bytes
    return {
        "total_artifacts": total.artifacts,
        "unique_files": total.files,
        "total_size_bytes": total.size_bytes,
        "deduplication_ratio": saved / total.size_bytes if total.size_bytes else 0.0,
        "by_type": total.by_type,
        "orphaned_count": len(orphans),
        "orphaned_size_bytes": sum(size for _, size in orphans),
        "disk_usage_bytes": sum(sizes),
        "disk_file_count": len(sizes),
        "dataset": data.name,
        "binaries_path": str(data.blobs.folder),
        "log_entries": entries,
        "log_bytes": data.log.size_bytes(entries),
    }


def _total(data: Dataset, sight: Sight) -> Total:
    """The running totals; for a run that has registered something, a count of what it sees."""
    if not sight.own:
        return data.projections.totals.at(sight.size)
    by_type: dict[str, int] = {}
    files: dict[str, int] = {}
    size_bytes = 0
    for record in map(data.record, sight.all()):
        by_type[record.artifact_type.value] = by_type.get(record.artifact_type.value, 0) + 1
        files[record.path] = record.size_bytes
        size_bytes += record.size_bytes
    return Total(sum(by_type.values()), size_bytes, len(files), sum(files.values()), by_type)
