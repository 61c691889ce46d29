"""Immutable bytes under `binaries/<dataset>/`, which holds nothing else."""

import contextlib
import time
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

from chainfold.blobs.names import check_relative
from chainfold.digest import digest_of
from chainfold.errors import InvalidInputError
from chainfold.storage import Files


class BlobStore:
    """A dataset's blobs, by file name.

    Args:
        folder: Where they are.
        aside: Where they are written before they get their name; on the same file system.
        files: The storage.
    """

    def __init__(self, folder: Path, aside: Path, files: Files) -> None:
        self.folder = folder
        self._aside = aside
        self._files = files

    def locate(self, path: str) -> Path:
        """Where a record's path is.

        Raises:
            InvalidInputError: If it would be outside the folder, also through links.
        """
        located = self.folder / check_relative(path)
        if "/" not in path and "\\" not in path and not located.is_symlink():
            return located  # nothing on the way can lead out; resolving costs 25 times as much
        real = located.resolve()
        if not real.is_relative_to(self.folder.resolve()):
            raise InvalidInputError(f"path {path!r} is refused: a link leads out of {self.folder}")
        return located

    def read(self, path: str) -> bytes:
        """The bytes of a file. FileNotFoundError if it is not there."""
        return self._files.read(self.locate(path))

    def digest(self, path: str) -> str | None:
        """The digest of a file's bytes; None if it is not there."""
        try:
            return digest_of(self.read(path))
        except FileNotFoundError:
            return None

    def holds(self, path: str, data: bytes) -> bool:
        """Whether the file is there with exactly these bytes."""
        located = self.folder / path
        if self._files.size(located) != len(data) or located.is_symlink():
            return False
        try:
            return self._files.read(located) == data
        except FileNotFoundError:
            return False

    def exists(self, path: str, size_bytes: int) -> bool:
        """Whether a file of that length is there."""
        return self._files.size(self.folder / path) == size_bytes

    def put(self, path: str, data: bytes, *, sync: bool) -> None:
        """Give bytes their name: written aside, renamed; with `sync` both are durable when it returns."""
        aside = self._aside / uuid.uuid4().hex
        try:
            self._files.write_new(aside, data, sync=sync)
        except FileNotFoundError:
            self._files.make_folder(self._aside)
            self._files.write_new(aside, data, sync=sync)
        target = self.folder / path
        try:
            try:
                self._files.rename(aside, target)
            except FileNotFoundError:
                self._files.make_folder(target.parent)
                self._files.rename(aside, target)
        except BaseException:
            self._files.remove(aside)
            raise
        if sync:
            self._files.sync_folder(target.parent)

    def sync(self, paths: Iterable[str]) -> None:
        """Return when these files, and their names, are durable."""
        paths = list(paths)
        located = [self.folder / path for path in paths]
        self._files.sync(located)
        for folder in dict.fromkeys(path.parent for path in located):
            self._files.sync_folder(folder)

    def remove(self, path: str) -> int:
        """Remove a file; its size in bytes, 0 if it was not there."""
        located = self.folder / path
        size = self._files.size(located) or 0
        return size if self._files.remove(located) else 0

    def scan(self) -> Iterator[tuple[str, int]]:
        """Path and size in bytes of every file, in no order."""
        return self._files.scan(self.folder)

    def clear_aside(self, age_seconds: float) -> None:
        """Remove files that were begun so long ago, and never got their name: their process died."""
        for name, _ in self._files.scan(self._aside):
            path = self._aside / name
            with contextlib.suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > age_seconds:
                    self._files.remove(path)
