"""What nirs4all has left behind in a workspace, into the log: all that its manifests list, where it lies."""

import os
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final

import msgspec

from chainfold.commands.importing import import_items
from chainfold.commands.items import Item
from chainfold.commands.running import commit, reap, roll_back, start
from chainfold.dataset import Dataset
from chainfold.digest import with_prefix
from chainfold.errors import ChainfoldError, InvalidInputError, ManifestError
from chainfold.events import ArtifactRegistered
from chainfold.history import HistoryItem, history
from chainfold.integrations.nirs4all.manifests import Manifest, manifests_of
from chainfold.records import ArtifactRecord

_NAMED_AT_MOST: Final = 20


class ImportedItem(msgspec.Struct, frozen=True):
    """An artifact that was, or would be, registered.

    Attributes:
        manifest: The manifest that lists it.
        index: Its place in there, from 0.
        artifact_id: Its id.
        path: Its file below the dataset's folder.
        is_missing: Whether that file is not there: loading the artifact fails then.
    """

    manifest: Path
    index: int
    artifact_id: str
    path: str
    is_missing: bool


class DatasetImport(msgspec.Struct, frozen=True):
    """What was, or would be, taken over into one dataset.

    Attributes:
        dataset: Its name.
        manifests: How many manifests it has.
        items: What was new, in the order of registration.
        known: How many items the log knew already, with the same content, live or not.
    """

    dataset: str
    manifests: int
    items: list[ImportedItem]
    known: int

    @property
    def missing(self) -> list[ImportedItem]:
        """Those of the items whose file is not there."""
        return [item for item in self.items if item.is_missing]

    def __str__(self) -> str:
        text = f"{self.dataset}: {len(self.items)} new, {self.known} known, from {self.manifests} manifests"
        missing = [f"{item.path} of {item.artifact_id} ({item.manifest})" for item in self.missing]
        if missing:
            more = f" and {len(missing) - _NAMED_AT_MOST} more" if len(missing) > _NAMED_AT_MOST else ""
            text += f"; {len(missing)} files are missing: {', '.join(missing[:_NAMED_AT_MOST])}{more}"
        return text


def import_workspace(
    workspace: Path | str,
    datasets: Collection[str] | str | None = None,
    *,
    dry_run: bool = False,
    actor: str | None = None,
) -> list[DatasetImport]:
    """Register all that the manifests below `runs/` of a workspace list, where it lies.

    Each dataset is one run: all or nothing. All manifests are read and checked before anything is registered.
    Files keep their names; only those of nirs4all 0.5 and before, which lie in `_binaries` of their run, are
    copied to where a dataset has its files. An item without a digest gets that of its file, and says so in
    its parameters, under `@digest`. What the log knows already with the same content is left alone, also
    where it has been deleted since: importing again adds nothing. Of several manifests that give an id
    different contents, the one made last has it in the end.

    Args:
        workspace: The workspace of nirs4all: the folder with `runs/` and `binaries/`.
        datasets: Only these, or this one; by default all.
        dry_run: Only say what would be registered. Nothing is written.
        actor: Who imports, for the log.

    Returns:
        What was, or would be, registered, by dataset.

    Raises:
        ManifestError: If a manifest cannot be read, or an item is invalid: both are named. Nothing is
            registered then; if an item is too large for the log, the datasets before its own are.
        InvalidInputError: If that is no workspace with `runs/`, or one of the datasets has no manifest.
        StorageError: If the log cannot be written; the datasets before that one are imported then.
    """
    if not isinstance(workspace, str | Path):
        raise InvalidInputError(f"a workspace is named by its path, not by {workspace!r:.100}")
    root = Path(os.path.abspath(workspace))  # noqa: PTH100 - resolve() would follow links
    if not (root / "runs").is_dir():
        raise InvalidInputError(f"{root} is no workspace of nirs4all: it has no folder 'runs'")
    asked = _names(datasets)
    by_dataset = manifests_of(root, asked)
    absent = sorted(set(asked or ()) - by_dataset.keys())
    if absent:
        raise InvalidInputError(f"no manifest below {root / 'runs'} is of the dataset {', '.join(absent)}")
    return [
        _import(root, name, manifests, dry_run=dry_run, actor=actor) for name, manifests in by_dataset.items()
    ]


def _names(datasets: Any) -> list[str] | None:
    """What was asked for, if it is names; None for all."""
    if datasets is None:
        return None
    names = [datasets] if isinstance(datasets, str) else datasets
    if isinstance(names, Collection) and all(isinstance(name, str) for name in names):
        return list(names)
    raise InvalidInputError(f"datasets are named by texts, not as in {datasets!r:.100}")


def _import(
    root: Path, name: str, manifests: list[Manifest], *, dry_run: bool, actor: str | None
) -> DatasetImport:
    data = Dataset(root, name, actor=actor)
    try:
        if not dry_run:
            reap(data)
        with data.mutex:
            data.refresh()
            seen: set[tuple[str, str]] = set()
            new = [(each, _unknown(data, each.items, seen)) for each in manifests]
        items = [
            ImportedItem(each.path, index, record.artifact_id, record.path, not _is_there(data, each, record))
            for each, listed in new
            for index, (record, _) in listed.items()
        ]
        if items and not dry_run:
            _register(data, new)
        known = sum(len(each.items) for each in manifests) - len(items)
        return DatasetImport(name, len(manifests), items, known)
    finally:
        data.close()


def _is_there(data: Dataset, manifest: Manifest, record: ArtifactRecord) -> bool:
    """Whether an item's file is in place, or beside its run with the right digest, to be copied."""
    if data.blobs.size(record.path) is not None:
        return True
    beside = manifest.beside
    return beside.size(record.path) is not None and beside.digest(record.path) == record.content_hash


def _unknown(data: Dataset, items: list[Item], seen: set[tuple[str, str]]) -> dict[int, Item]:
    """Those of a manifest's items that the log has never had with this content, by their index.

    What an earlier import brought in vain is unknown all the same. What a failed run of nirs4all's did is
    known: its manifest goes on listing what was taken back.

    Args:
        data: The dataset.
        items: The items.
        seen: Id and content of what was found new before; what is found now is added.
    """
    size, new = data.projections.size, dict[int, Item]()
    for index, item in enumerate(items):
        artifact_id, digest = item.record.artifact_id, with_prefix(item.record.content_hash)
        if (artifact_id, digest) in seen:
            continue
        is_known = any(
            with_prefix(earlier.record.content_hash) == digest and not _was_in_vain(data, earlier)
            for earlier in history(data, artifact_id, size)
        )
        if not is_known:
            seen.add((artifact_id, digest))
            new[index] = item
    return new


def _was_in_vain(data: Dataset, earlier: HistoryItem) -> bool:
    """Whether an import brought it that came to nothing; an open one died, or was just begun by another."""
    run = data.projections.runs.get(earlier.run)
    if run is None or run.status == "committed":
        return False
    event = data.log.entry(earlier.position).event
    return isinstance(event, ArtifactRegistered) and event.imported


def _register(data: Dataset, new: list[tuple[Manifest, dict[int, Item]]]) -> None:
    """Register the items in one run."""
    run = start(data)
    try:
        for manifest, items in new:
            try:
                import_items(data, items, manifest.beside.folder, run.run_id)
            except ManifestError as error:
                raise ManifestError(f"{manifest.path}: {error}") from error
        commit(data, run.run_id)
    except BaseException as error:
        try:
            roll_back(data, run.run_id, "exception", f"{type(error).__name__}: importing failed")
        except ChainfoldError as another:
            error.add_note(f"the run {run.run_id} is left open, to be rolled back by the next: {another}")
        raise
    finally:
        run.release()
