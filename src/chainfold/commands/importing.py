"""Manifests in: the reference's format, and the older flat list. An import is one run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chainfold.artifact_ids import split_artifact_id
from chainfold.blobs import check_relative
from chainfold.commands.registering import check_id, check_open, check_text, check_type
from chainfold.dataset import Dataset
from chainfold.digest import digest_of
from chainfold.errors import ChainfoldError, ManifestError
from chainfold.events import AnyEvent
from chainfold.params import normalize
from chainfold.records import ArtifactRecord


def import_manifest(data: Dataset, manifest: Any, results_dir: Path, run_id: str | None) -> int:
    """Register every item of a manifest: all or none.

    Digests that are not real and files that are not there are accepted; loading such an artifact then fails.
    A file that is missing here but found below `results_dir`, with the right digest, is copied in.

    Args:
        data: Where to.
        manifest: `{"schema_version": ..., "items": [...]}`, or that under `artifacts`, or a list of items.
        results_dir: Where the files may be, as the manifest's paths say.
        run_id: The open run that this is part of, if one is.

    Returns:
        How many items there were.

    Raises:
        ManifestError: If the manifest or an item, named by its index, is invalid. Nothing is imported then.
    """
    records = [_record(index, item) for index, item in enumerate(_items(manifest))]
    if not records:
        return 0
    events: list[AnyEvent] = []
    for index, record in enumerate(records):
        try:
            events.append(data.registration(record, imported=True))
        except ChainfoldError as error:
            raise ManifestError(f"item {index} of the manifest: {error}") from error
    root = Path(results_dir).resolve()
    with data.writing():
        check_open(data, run_id)
        for record in records:
            _bring_file(data, record, root)
        if run_id is not None:
            data.append(events, run=run_id, sync=False)
        else:
            data.append_run(events)
    return len(records)


def _items(manifest: Any) -> list[Any]:
    """The items of any of the three forms."""
    if isinstance(manifest, Mapping) and "items" not in manifest and "artifacts" in manifest:
        manifest = manifest["artifacts"] or []  # a pipeline that has none may say null
    if isinstance(manifest, Mapping) and (not manifest or {"items", "schema_version"} & manifest.keys()):
        version = str(manifest.get("schema_version", "3.0"))
        if version.partition(".")[0] not in ("2", "3"):
            raise ManifestError(f"manifests of schema version {version!r} are not known: export it as 3.0")
        manifest = manifest.get("items", [])
    if not isinstance(manifest, list):
        raise ManifestError(
            f"not a manifest: expected a dict with 'items' or 'artifacts', or a list, not "
            f"{type(manifest).__name__}"
        )
    return manifest


def _record(index: int, item: Any) -> ArtifactRecord:
    """The record of an item, checked."""
    try:
        if not isinstance(item, Mapping):
            raise ManifestError(f"it is a {type(item).__name__}, not a dict")
        fields = dict(item)
        params = fields.pop("params", None)
        if not fields.get("artifact_id"):
            fields["artifact_id"] = _generated_id(index, fields)
        fields.setdefault("content_hash", fields.get("hash", ""))
        if isinstance(fields.get("artifact_type"), str):
            check_type(fields["artifact_type"])
        record = ArtifactRecord.from_dict(fields)
        _check(record)
        if params is not None and not isinstance(params, Mapping):
            raise ManifestError(f"params is a {type(params).__name__}, not a dict")
    except (ValueError, TypeError, RecursionError) as error:
        raise ManifestError(f"item {index} of the manifest is invalid: {error}") from error
    record.params = normalize(params) if params else {}
    if "pipeline_id" not in fields and not record.pipeline_id:
        record.pipeline_id, fold = split_artifact_id(record.artifact_id)
        record.fold_id = fold if record.fold_id is None else record.fold_id
    return record


def _check(record: ArtifactRecord) -> None:
    """Nothing of an item is trusted."""
    check_id(record.artifact_id)
    check_relative(record.path)
    for what in ("content_hash", "chain_path", "pipeline_id", "custom_name", "class_name"):
        check_text(what, getattr(record, what), empty=True)
    for source in record.depends_on:
        check_text("a dependency's id", source)
    if record.artifact_id in record.depends_on:
        raise ManifestError(f"{record.artifact_id!r} depends on itself")
    if isinstance(record.fold_id, int) and record.fold_id < 0:
        raise ManifestError("fold_id is negative")


def _generated_id(index: int, fields: Mapping[str, Any]) -> str:
    """An id for an item of the flat list, which had none: its step and name, and its place in the list."""
    name = fields.get("name") or fields.get("path") or "artifact"
    step = fields.get("step_index", fields.get("step", 0))
    return f"imported:{step}:{name}:{index}:all"


def _bring_file(data: Dataset, record: ArtifactRecord, root: Path) -> None:
    """Copy a file in that is missing here and is where the manifest comes from."""
    if data.blobs.locate(record.path).exists():
        return
    for candidate in (root / record.path, root / "binaries" / data.name / record.path):
        if candidate.is_file() and candidate.resolve().is_relative_to(root):
            content = candidate.read_bytes()
            if digest_of(content) == record.content_hash:
                data.blobs.put(record.path, content, sync=True)
                return
