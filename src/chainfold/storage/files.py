"""Files as the log and the blobs use them: a small interface, and local disks as its implementation.

What is written is durable only after the sync that names it: a file's bytes after `sync` or
`Appender.sync`, a name (created, renamed, removed) after `sync_folder` of the folder that holds it.
"""

import contextlib
import os
import stat
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

from chainfold.errors import StorageError
from chainfold.storage import durable

_BINARY = getattr(os, "O_BINARY", 0)  # Windows would translate line ends without it
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
_MANY_FILES = 32
"""From this many files on, one flush of everything before the single syncs is faster than the syncs alone."""


class Reader(Protocol):
    """An open file that may grow while it is read."""

    def size(self) -> int:
        """Bytes in the file now."""

    def read(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes from `offset`; fewer at the end of the file."""

    def close(self) -> None:
        """Let go of the file."""


class Appender(Protocol):
    """A file open for writing at its end."""

    def append(self, data: bytes) -> None:
        """Write at the end; when it raises, any prefix of the data may have been written."""

    def sync(self) -> None:
        """Return when all that was appended, by anyone, is durable."""

    def truncate(self, size: int) -> None:
        """Cut the file to its first `size` bytes."""

    def close(self) -> None:
        """Let go of the file."""


class Files(Protocol):
    """What the log and the blobs ask of storage."""

    def reader(self, path: Path) -> Reader:
        """Open for reading. FileNotFoundError if it is not there."""

    def appender(self, path: Path, *, create: bool) -> Appender:
        """Open for appending; with `create` the file must be new."""

    def read(self, path: Path) -> bytes:
        """The whole file. FileNotFoundError if it is not there."""

    def write_new(self, path: Path, data: bytes, *, sync: bool) -> None:
        """Write a file that must not exist yet; leave nothing behind on failure."""

    def overwrite(self, path: Path, data: bytes) -> None:
        """Replace the first bytes of a file that exists, in place, by at most a sector's worth (512).

        Far cheaper than a new file and a rename, and for things that a crash, or a reader at that very
        moment, may find torn without harm.
        """

    def rename(self, source: Path, target: Path) -> None:
        """Give a file its name, replacing what had it, at once or not at all."""

    def remove(self, path: Path) -> bool:
        """Remove a file; False if it was not there."""

    def size(self, path: Path) -> int | None:
        """Bytes in a regular file; None if there is none of that name."""

    def scan(self, folder: Path) -> Iterator[tuple[str, int]]:
        """Name (relative, `/` between parts) and size of each regular file below a folder, in no order."""

    def make_folder(self, folder: Path) -> None:
        """Create a folder and its parents, durably."""

    def sync(self, paths: Iterable[Path]) -> None:
        """Return when the bytes of these files are durable."""

    def sync_folder(self, folder: Path) -> None:
        """Return when the names in this folder are durable."""


@contextlib.contextmanager
def explained(doing: str, path: Path) -> Iterator[None]:
    """Turn the operating system's refusal into a StorageError that names the file; absence stays as it is."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StorageError.refused(doing, path, error) from error


def _write_all(descriptor: int, data: bytes) -> None:
    """Write it all: the system may take less than it was given (a full disk, a signal)."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


class LocalFile:
    """A descriptor that reads anywhere and appends at the end."""

    def __init__(self, path: Path, flags: int) -> None:
        self._path = path
        with explained("open", path):
            self._descriptor = os.open(path, flags | _BINARY, 0o666)
        self._mutex = threading.Lock()

    def size(self) -> int:
        """Bytes in the file now."""
        return os.fstat(self._descriptor).st_size

    if hasattr(os, "pread"):

        def read(self, offset: int, length: int) -> bytes:
            """Up to `length` bytes from `offset`; fewer at the end of the file."""
            return os.pread(self._descriptor, length, offset)

    else:

        def read(self, offset: int, length: int) -> bytes:
            """Up to `length` bytes from `offset`; fewer at the end of the file."""
            with self._mutex:
                os.lseek(self._descriptor, offset, os.SEEK_SET)
                return os.read(self._descriptor, length)

    def append(self, data: bytes) -> None:
        """Write at the end; when it raises, any prefix of the data may have been written."""
        with explained("append to", self._path):
            _write_all(self._descriptor, data)

    def sync(self) -> None:
        """Return when all that was appended, by anyone, is durable."""
        with explained("sync", self._path):
            durable.sync_data(self._descriptor)

    def truncate(self, size: int) -> None:
        """Cut the file to its first `size` bytes."""
        with explained("truncate", self._path):
            os.ftruncate(self._descriptor, size)

    def close(self) -> None:
        """Let go of the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __del__(self) -> None:
        if hasattr(self, "_descriptor"):
            self.close()


class LocalFiles:
    """Files of this machine. Paths are absolute."""

    def reader(self, path: Path) -> LocalFile:
        """Open for reading. FileNotFoundError if it is not there."""
        return LocalFile(path, os.O_RDONLY)

    def appender(self, path: Path, *, create: bool) -> LocalFile:
        """Open for appending; with `create` the file must be new."""
        flags = os.O_RDWR | os.O_APPEND
        return LocalFile(path, flags | (os.O_CREAT | os.O_EXCL if create else 0))

    def read(self, path: Path) -> bytes:
        """The whole file. FileNotFoundError if it is not there."""
        with explained("read", path):
            return path.read_bytes()

    def write_new(self, path: Path, data: bytes, *, sync: bool) -> None:
        """Write a file that must not exist yet; leave nothing behind on failure."""
        with explained("write", path):
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_FOLLOW | _BINARY, 0o666)
            try:
                _write_all(descriptor, data)
                if sync:
                    durable.sync_data(descriptor)
            except BaseException:
                os.close(descriptor)
                path.unlink()
                raise
            os.close(descriptor)

    def overwrite(self, path: Path, data: bytes) -> None:
        """Replace the first bytes of a file that exists, in place, by at most a sector's worth (512)."""
        with explained("overwrite", path):
            descriptor = os.open(path, os.O_WRONLY | _NO_FOLLOW | _BINARY)
            try:
                _write_all(descriptor, data)
            finally:
                os.close(descriptor)

    def rename(self, source: Path, target: Path) -> None:
        """Give a file its name, replacing what had it, at once or not at all."""
        with explained("rename to", target):
            os.replace(source, target)  # noqa: PTH105 - Path.replace builds an object per call

    def remove(self, path: Path) -> bool:
        """Remove a file; False if it was not there."""
        with explained("remove", path):
            try:
                os.unlink(path)  # noqa: PTH108 - 20,000 of them in one rollback
            except FileNotFoundError:
                return False
        return True

    def size(self, path: Path) -> int | None:
        """Bytes in a regular file; None if there is none of that name."""
        try:
            status = os.stat(path)  # noqa: PTH116 - on the path of each registration
        except (FileNotFoundError, NotADirectoryError):
            return None
        return status.st_size if stat.S_ISREG(status.st_mode) else None

    def scan(self, folder: Path) -> Iterator[tuple[str, int]]:
        """Name (relative, `/` between parts) and size of each regular file below a folder, in no order.

        Links are not followed: a link is nobody's blob.
        """
        pending = [(folder, "")]
        while pending:
            current, prefix = pending.pop()
            try:
                with explained("list", current), os.scandir(current) as entries:
                    for entry in entries:
                        if entry.is_dir(follow_symlinks=False):
                            pending.append((Path(entry.path), f"{prefix}{entry.name}/"))
                        elif entry.is_file(follow_symlinks=False):
                            yield prefix + entry.name, entry.stat(follow_symlinks=False).st_size
            except FileNotFoundError:
                continue

    def make_folder(self, folder: Path) -> None:
        """Create a folder and its parents, durably."""
        if folder.is_dir():
            return
        self.make_folder(folder.parent)
        with explained("create folder", folder):
            folder.mkdir(exist_ok=True)
            durable.sync_folder(folder.parent)

    def sync(self, paths: Iterable[Path]) -> None:
        """Return when the bytes of these files are durable."""
        paths = list(paths)
        if len(paths) >= _MANY_FILES:
            durable.flush_all()
        # Windows flushes only what is open for writing; elsewhere reading is enough, and asks for less.
        flags = os.O_RDWR if sys.platform == "win32" else os.O_RDONLY
        for path in paths:
            with explained("sync", path):
                descriptor = os.open(path, flags | _BINARY)
                try:
                    durable.sync_data(descriptor)
                finally:
                    os.close(descriptor)

    def sync_folder(self, folder: Path) -> None:
        """Return when the names in this folder are durable."""
        with explained("sync folder", folder):
            durable.sync_folder(folder)
