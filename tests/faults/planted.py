"""Bugs to be found: each, called in a process of its own, breaks one promise of chainfold there.

A tier that does not find those that it can find has no teeth.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

from chainfold.storage import LocalFiles, durable
from chainfold.storage.local import LocalFile

_WRITE_NEW: Final = LocalFiles.write_new
_SYNC_FOLDER: Final = LocalFiles.sync_folder
_MAKE_FOLDER: Final = LocalFiles.make_folder


def log_not_synced() -> None:
    """What is appended is acknowledged before it is durable."""
    _plant(LocalFile, "sync", lambda _: None)


def blob_not_synced() -> None:
    """Names become durable before the bytes do."""

    def write_new(self: LocalFiles, path: Path, data: bytes, *, sync: bool) -> None:
        _WRITE_NEW(self, path, data, sync=False)

    def sync(self: LocalFiles, paths: Iterable[Path]) -> None:
        list(paths)

    _plant(LocalFiles, "write_new", write_new)
    _plant(LocalFiles, "sync", sync)


def _not_syncing(is_meant: Callable[[Path], bool]) -> Callable[[LocalFiles, Path], None]:
    def sync_folder(self: LocalFiles, folder: Path) -> None:
        if not is_meant(folder):
            _SYNC_FOLDER(self, folder)

    return sync_folder


def blob_names_not_synced() -> None:
    """A blob's bytes are durable, and nobody finds them."""
    _plant(LocalFiles, "sync_folder", _not_syncing(lambda folder: "binaries" in folder.parts))


def segment_names_not_synced() -> None:
    """A segment's entries are durable, and nobody finds them."""
    _plant(LocalFiles, "sync_folder", _not_syncing(lambda folder: folder.name == "segments"))


def folders_not_made_durably() -> None:
    """Everything is durable but the folder that it is in."""

    def make_folder(self: LocalFiles, folder: Path, *, private: bool = False) -> None:
        real = durable.sync_folder
        _plant(durable, "sync_folder", lambda _: None)
        try:
            _MAKE_FOLDER(self, folder, private=private)
        finally:
            _plant(durable, "sync_folder", real)

    _plant(LocalFiles, "make_folder", make_folder)


def _plant(owner: Any, name: str, instead: Any) -> None:
    setattr(owner, name, instead)


PLANTED: Final[dict[str, Callable[[], None]]] = {
    "log not synced": log_not_synced,
    "blob not synced": blob_not_synced,
    "folder not synced after a rename": blob_names_not_synced,
    "new segment's folder not synced": segment_names_not_synced,
    "folders not made durably": folders_not_made_durably,
}
