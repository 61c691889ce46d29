"""What the manifests of a workspace of nirs4all list, checked against the files that they name."""

import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from chainfold.blobs import BlobStore
from chainfold.commands.items import Item, items_of
from chainfold.dataset import Dataset
from chainfold.digest import PREFIX, with_prefix
from chainfold.errors import CorruptionError, InvalidInputError, ManifestError
from chainfold.integrations.nirs4all.chains import with_shown_names
from chainfold.records import ArtifactRecord
from chainfold.references import ManifestReferences, manifest_at
from chainfold.storage import LocalFiles

COMPUTED: Final = "@digest"
"""The parameter of a record whose digest no manifest says: it was computed when it was imported."""
_DIGEST: Final = re.compile(rf"(?:{PREFIX})?[0-9a-f]{{64}}")
_OLD_NAMES: Final = {"step": "step_index", "size": "size_bytes", "saved_at": "created_at"}
"""Of an item's fields, up to nirs4all 0.5."""
_BESIDE: Final = "_binaries"
"""The folder, beside those of the pipelines of a run, that had the files up to nirs4all 0.5."""


class Manifest(msgspec.Struct, frozen=True):
    """A pipeline's manifest.

    Attributes:
        path: Its file.
        dataset: The dataset that it is of.
        created_at: When it was made, as it says.
        items: What it lists.
    """

    path: Path
    dataset: str
    created_at: str
    items: list[Item]

    @property
    def beside(self) -> BlobStore:
        """Where its files are if they are not in the dataset's folder: so it was up to nirs4all 0.5."""
        folder = self.path.parent.parent / _BESIDE
        return BlobStore(folder, folder, LocalFiles())


def manifests_of(root: Path, datasets: Collection[str] | None) -> dict[str, list[Manifest]]:
    """The manifests below `runs/` by dataset, in the order in which they were made; all items are checked.

    Items whose digest no manifest says get it from their file, and say so in their parameters.

    Args:
        root: The workspace.
        datasets: Only those of these; None for all.

    Raises:
        ManifestError: If a manifest cannot be read, or an item is invalid: both are named.
    """
    found: dict[str, list[Manifest]] = {}
    for path in sorted(ManifestReferences(root).paths()):
        manifest = _manifest(Path(path), datasets)
        if manifest is not None:
            found.setdefault(manifest.dataset, []).append(manifest)
    for name, manifests in found.items():
        manifests.sort(key=lambda each: (each.created_at, each.path))
        _check_files(root, name, manifests)
    return dict(sorted(found.items()))


def _manifest(path: Path, datasets: Collection[str] | None) -> Manifest | None:
    """What a manifest lists, checked; None if it is of a dataset that was not asked for."""
    content = manifest_at(str(path))
    if not isinstance(content, Mapping):
        raise ManifestError(f"{path} is no manifest: it is a {type(content).__name__}, not a mapping")
    dataset = content.get("dataset")
    if not isinstance(dataset, str) or not dataset:
        raise ManifestError(f"{path} does not say which dataset it is of: `dataset` is {dataset!r:.80}")
    if datasets is not None and dataset not in datasets:
        return None
    listed = content.get("artifacts") or []
    if isinstance(listed, list):
        listed = [_renamed(item) for item in listed]
    try:
        items = items_of(with_shown_names(listed))
        for index, item in enumerate(items):
            _check_digest(index, item.record)
    except ManifestError as error:
        raise ManifestError(f"{path}: {error}") from error
    _name_apart([item.record for item in items], content)
    return Manifest(path, dataset, str(content.get("created_at") or ""), items)


def _renamed(item: Any) -> Any:
    """An item of the oldest manifests, with the names that its fields have now."""
    if not isinstance(item, Mapping):
        return item
    said = {new: item[old] for old, new in _OLD_NAMES.items() if item.get(old) is not None}
    if isinstance(item.get("path"), str):
        said["class_name"] = item["path"].rpartition("_")[0]
    return said | dict(item)


def _check_digest(index: int, record: ArtifactRecord) -> None:
    """A digest as it is stored, or none at all; anything else tells nothing of a file."""
    digest = record.content_hash.lower()
    if digest and not _DIGEST.fullmatch(digest):
        raise ManifestError(
            f"item {index} of the manifest, {record.artifact_id!r}, is invalid: content_hash is "
            f"{record.content_hash!r:.100}, and no sha256 of 64 hex digits; mend it, or remove it, and it is "
            f"computed from the file"
        )
    record.content_hash = with_prefix(digest) if digest else ""


def _name_apart(records: Iterable[ArtifactRecord], content: Mapping[str, Any]) -> None:
    """Give what had no id, as in the oldest manifests, one that no other manifest's items have."""
    pipeline_id = str(content.get("pipeline_id") or content.get("uid") or "")
    for record in records:
        if record.artifact_id.startswith("imported:") and pipeline_id:
            record.artifact_id = f"{pipeline_id}:{record.artifact_id}"
            record.pipeline_id = pipeline_id


def _check_files(root: Path, name: str, manifests: list[Manifest]) -> None:
    """See that no path is refused that is to be loaded one day, and take the digests that nothing says."""
    try:
        data = Dataset(root, name)
    except InvalidInputError as error:
        raise ManifestError(f"{manifests[0].path}: {error}") from error
    try:
        for manifest in manifests:
            for index, (record, _) in enumerate(manifest.items):
                try:
                    data.blobs.locate(record.path)
                    if not record.content_hash:
                        _compute(record, (data.blobs, manifest.beside))
                except (InvalidInputError, CorruptionError) as error:
                    raise ManifestError(
                        f"{manifest.path}: item {index} of the manifest, {record.artifact_id!r}: {error}. "
                        f"Put the file itself there, or take the item out of the manifest; the folder of the "
                        f"whole dataset may be a link"
                    ) from error
    finally:
        data.close()


def _compute(record: ArtifactRecord, places: Iterable[BlobStore]) -> None:
    """Take digest and size from the first file that is there."""
    for place in places:
        size = place.size(record.path)
        digest = place.digest(record.path) if size is not None else None
        if size is not None and digest is not None:
            record.content_hash, record.size_bytes = digest, size
            record.params[COMPUTED] = "computed from the file when it was imported: no manifest says it"
            return
