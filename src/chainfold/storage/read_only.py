"""Files that are only looked at: whoever opens a dataset on these cannot change it, whatever it tries."""

import errno
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NoReturn

from chainfold.errors import StorageError
from chainfold.storage.local import LocalFiles
from chainfold.storage.protocol import Appender, Files, HeldLock, Lock, Reader


class ReadOnlyFiles:
    """Another storage, without all that writes: each such call is a StorageError with errno EROFS.

    Locks are refused too, as taking one makes a file. So runs whose owners died stay open, and snapshots are
    neither written nor removed.

    Args:
        files: What is read; by default the files of this machine.

    Attributes:
        files: The same.
    """

    def __init__(self, files: Files | None = None) -> None:
        self.files: Files = LocalFiles() if files is None else files

    def reader(self, path: Path) -> Reader:
        """As the storage that is read."""
        return self.files.reader(path)

    def read(self, path: Path) -> bytes:
        """As the storage that is read."""
        return self.files.read(path)

    def map(self, path: Path) -> memoryview:
        """As the storage that is read."""
        return self.files.map(path)

    def size(self, path: Path) -> int | None:
        """As the storage that is read."""
        return self.files.size(path)

    def age(self, path: Path) -> float | None:
        """As the storage that is read."""
        return self.files.age(path)

    def scan(self, folder: Path) -> Iterator[tuple[str, int]]:
        """As the storage that is read."""
        return self.files.scan(folder)

    def has_folder(self, folder: Path) -> bool:
        """As the storage that is read."""
        return self.files.has_folder(folder)

    def lock(self, path: Path) -> Lock:
        """A lock that cannot be held."""
        return _NoLock(path)

    def appender(self, path: Path, *, create: bool) -> Appender:  # noqa: ARG002 - the protocol's signature
        """Refuse."""
        _refuse("append to", path)

    def write_new(self, path: Path, data: bytes, *, sync: bool) -> None:  # noqa: ARG002 - as above
        """Refuse."""
        _refuse("write", path)

    def overwrite(self, path: Path, data: bytes, offset: int = 0) -> None:  # noqa: ARG002 - as above
        """Refuse."""
        _refuse("write", path)

    def reserve(self, path: Path, size_bytes: int) -> None:  # noqa: ARG002 - as above
        """Refuse."""
        _refuse("reserve", path)

    def rename(self, source: Path, target: Path) -> None:  # noqa: ARG002 - as above
        """Refuse."""
        _refuse("name", target)

    def remove(self, path: Path) -> bool:
        """Refuse."""
        _refuse("remove", path)

    def make_folder(self, folder: Path, *, private: bool = False) -> None:  # noqa: ARG002 - as above
        """Refuse."""
        _refuse("make the folder", folder)

    def sync(self, paths: Iterable[Path]) -> None:
        """Nothing: nothing was written."""

    def sync_folder(self, folder: Path) -> None:
        """Nothing: nothing was written."""

    def try_lock(self, path: Path) -> HeldLock | None:
        """Refuse."""
        _refuse("lock", path)


def is_local(files: Files) -> bool:
    """Whether these are the files of this machine as they are: then other processes may read them, too."""
    inner = files.files if type(files) is ReadOnlyFiles else files
    return type(inner) is LocalFiles  # one that is derived may read otherwise


class _NoLock:
    def __init__(self, path: Path) -> None:
        self._path = path

    def held(self) -> NoReturn:
        _refuse("lock", self._path)

    def close(self) -> None:
        """Nothing is held."""


def _refuse(doing: str, path: Path) -> NoReturn:
    raise StorageError.refused(doing, path, OSError(errno.EROFS, os.strerror(errno.EROFS)))
