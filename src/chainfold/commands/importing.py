"""Manifests in: the reference's format, and the older flat list. An import is one run."""

import os
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from chainfold.commands.erasing import take_back_private
from chainfold.commands.items import EVENT_BYTES, TOO_MUCH, Item, items_of
from chainfold.commands.registering import check_open
from chainfold.dataset import Dataset
from chainfold.digest import digest_of, with_prefix
from chainfold.errors import ChainfoldError, InvalidInputError, ManifestError, StorageError
from chainfold.events import AnyEvent
from chainfold.log import ENTRY_LIMIT
from chainfold.private import fields, keep, withhold
from chainfold.records import ArtifactRecord
from chainfold.storage import LocalFiles

_LOCAL: Final = LocalFiles()


def import_manifest(
    data: Dataset,
    manifest: Any,
    results_dir: Path,
    run_id: str | None,
    private: Collection[str] = (),
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Register every item of a manifest: all or none.

    Digests that are not real and files that are not there are accepted; loading such an artifact then fails.
    A file that is missing here but found below `results_dir`, with the right digest, is copied in.

    Args:
        data: Where to.
        manifest: `{"schema_version": ..., "items": [...]}`, or that under `artifacts`, or a list of items.
        results_dir: Where the files may be, as the manifest's paths say.
        run_id: The open run that this is part of, if one is.
        private: Fields that are withheld from the log, beside those that an item says were private before.
        progress: Called with how many items have their file, and of how many.

    Returns:
        How many items there were.

    Raises:
        ManifestError: If the manifest or an item, named by its index, is invalid. Nothing is imported then.
    """
    items = dict(enumerate(items_of(manifest, private)))
    import_items(data, items, results_dir, run_id, progress)
    return len(items)


def import_items(
    data: Dataset,
    items: Mapping[int, Item],
    results_dir: Path,
    run_id: str | None,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Register items of a manifest, which `items_of` has checked, by their index in it: all or none.

    `progress` is called with how many items have their file, and of how many.

    Raises:
        ManifestError: If one is too large for the log, named by its index. Nothing is imported then.
    """
    if not items:
        return
    records = {index: item.record for index, item in items.items()}
    texts = _withheld(items)
    events = _events(data, records)
    root = Path(os.path.realpath(results_dir))
    with data.writing():
        check_open(data, run_id)
        for number, record in enumerate(records.values()):
            if progress is not None:
                progress(number, len(records))
            _bring_file(data, record, root)
        try:
            keep(data.private, texts)
            if run_id is not None:
                data.append(events, run=run_id, sync=False)
            else:
                data.secure(record.path for record in records.values())
                data.append_run(events)
        except BaseException:
            take_back_private(data, list(records.values()))
            raise


def _withheld(items: Mapping[int, Item]) -> dict[str, bytes]:
    """The files of what is taken out of the records: see `chainfold.private`."""
    texts: dict[str, bytes] = {}
    for index, (record, names) in items.items():
        try:
            texts |= withhold(record, fields(record, names))
        except InvalidInputError as error:
            raise ManifestError(f"item {index} of the manifest: {error}") from error
    return texts


def _events(data: Dataset, records: Mapping[int, ArtifactRecord]) -> list[AnyEvent]:
    """What is to be appended for records; large parameters are written beside the log."""
    events: list[AnyEvent] = []
    left = EVENT_BYTES
    for index, record in records.items():
        try:
            events.append(data.registration(record, imported=True))
        except StorageError:
            raise  # not the manifest's fault
        except ChainfoldError as error:
            raise ManifestError(f"item {index} of the manifest: {error}") from error
        length = len(msgspec.json.encode(events[-1]))
        if length > ENTRY_LIMIT:
            raise ManifestError(
                f"item {index} of the manifest takes {length:,} bytes, and an entry of the log at most "
                f"{ENTRY_LIMIT:,}: shorten its names or its list of dependencies"
            )
        left -= length
        if left < 0:
            raise ManifestError(f"item {index} of the manifest: {TOO_MUCH}")
    return events


def file_for(name: str, record: ArtifactRecord, root: Path) -> bytes | None:
    """What the file has that a record of a manifest means; None if none has its digest.

    Args:
        name: The dataset's.
        record: What the manifest says.
        root: Where to look, without links.
    """
    for real, size in _candidates(name, record, root):
        if size == (record.size_bytes or size):  # else it need not even be read
            content = _LOCAL.read(real)
            if digest_of(content) == with_prefix(record.content_hash):
                return content
    return None


def other_size(name: str, record: ArtifactRecord, root: Path) -> int | None:
    """How many bytes the file has that a manifest means, if that is not what it says; see `file_for`."""
    sizes = [size for _, size in _candidates(name, record, root) if size != (record.size_bytes or size)]
    return sizes[0] if sizes else None


def _candidates(name: str, record: ArtifactRecord, root: Path) -> Iterator[tuple[Path, int]]:
    """Files below a folder that a record may mean, and their sizes."""
    for candidate in (root / record.path, root / "binaries" / name / record.path):
        if _LOCAL.size(candidate) is None:
            continue  # as good as always, and far cheaper to see than where links lead
        real = Path(os.path.realpath(candidate))
        size = _LOCAL.size(real) if real.is_relative_to(root) else None
        if size is not None:
            yield real, size


def _bring_file(data: Dataset, record: ArtifactRecord, root: Path) -> None:
    """Copy a file in that is missing here and is where the manifest comes from."""
    if data.files.size(data.blobs.locate(record.path)) is not None:
        return
    content = file_for(data.name, record, root)
    if content is not None:
        data.blobs.put(record.path, content)
