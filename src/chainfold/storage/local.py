"""Files of this machine."""

import contextlib
import errno
import mmap
import os
import stat
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from chainfold.errors import StorageError
from chainfold.storage import durable
from chainfold.storage.locks import LocalHeldLock, LocalLock, try_lock
from chainfold.storage.refusals import explained
from chainfold.storage.threads import side_by_side

_BINARY = getattr(os, "O_BINARY", 0)  # Windows would translate line ends without it
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
_NO_WAIT = getattr(os, "O_NONBLOCK", 0)
"""Opening a pipe would wait for its other end; for regular files it changes nothing."""
_GONE = (errno.ENOENT, errno.ESTALE)
"""NFS and FUSE say of an open file that was removed or replaced that its handle is stale."""
_NO_FILE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)
_MANY_FILES = 32
"""From this many files on they are synced by several threads: the disk takes what waits for it in one go."""
_THREADS = 8
_ANYBODY, _GROUP_ONLY = 0o777, 0o770
"""Who may look into a folder, as far as the process's umask lets them. Windows goes by other means."""


def _write_all(descriptor: int, data: bytes) -> None:
    """Write it all: the system may take less than it was given (a full disk, a signal)."""
    written = os.write(descriptor, data)
    while written < len(data):
        written += os.write(descriptor, memoryview(data)[written:])


def _opened(doing: str, path: Path, flags: int) -> int:
    """A descriptor of a regular file: a pipe would be waited for, and a device has no end."""
    with explained(doing, path):
        descriptor = os.open(path, flags | _NO_WAIT | _BINARY, 0o666)
        try:
            is_regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
        except OSError:
            os.close(descriptor)
            raise
        if not is_regular:
            os.close(descriptor)
            raise OSError(errno.EINVAL, "it is not a regular file")
    return descriptor


def _sync(path: Path) -> None:
    # Windows flushes only what is open for writing; elsewhere reading is enough, and asks for less.
    flags = os.O_RDWR if sys.platform == "win32" else os.O_RDONLY
    with explained("sync", path):
        descriptor = os.open(path, flags | _BINARY)
        try:
            durable.sync_data(descriptor)
        finally:
            os.close(descriptor)


class LocalFile:
    """A descriptor that reads anywhere and appends at the end."""

    def __init__(self, path: Path, flags: int) -> None:
        self._path = path
        doing = "open" if flags & (os.O_RDWR | os.O_WRONLY) else "open to read"
        self._descriptor = _opened(doing, path, flags | _NO_FOLLOW)
        self._mutex = threading.Lock()

    if hasattr(os, "pread"):

        def size(self) -> int:
            """Bytes in the file now."""
            try:  # a quarter of what `fstat` takes; nothing here goes by where the descriptor stands
                return os.lseek(self._descriptor, 0, os.SEEK_END)
            except OSError as error:
                raise StorageError.refused("look at", self._path, error) from error

        def read(self, offset: int, length: int) -> bytes:
            """Up to `length` bytes from `offset`; fewer at the end of the file."""
            try:  # written out: `explained` would cost as much as the read
                return os.pread(self._descriptor, length, offset)
            except OSError as error:
                raise StorageError.refused("read", self._path, error) from error

    else:

        def size(self) -> int:
            """Bytes in the file now."""
            try:
                return os.fstat(self._descriptor).st_size
            except OSError as error:
                raise StorageError.refused("look at", self._path, error) from error

        def read(self, offset: int, length: int) -> bytes:
            """Up to `length` bytes from `offset`; fewer at the end of the file."""
            with self._mutex, explained("read", self._path):
                os.lseek(self._descriptor, offset, os.SEEK_SET)
                return os.read(self._descriptor, length)

    def is_at(self, path: Path) -> bool:
        """Whether it is still the file of that name."""
        try:
            return os.path.samestat(os.fstat(self._descriptor), os.lstat(path))
        except OSError as error:
            if error.errno in _GONE:
                return False
            raise StorageError.refused("look at", path, error) from error

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
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)  # also when this raises the number is free, and may be another file's

    def __del__(self) -> None:
        if hasattr(self, "_descriptor"):
            with contextlib.suppress(OSError):  # of a file system that has gone: nobody is there to hear it
                self.close()


class LocalFiles:
    """Files of this machine. Paths are absolute."""

    def __init__(self) -> None:
        self._durable_folders: set[Path] = set()

    def reader(self, path: Path) -> LocalFile:
        """Open for reading. FileNotFoundError if it is not there."""
        return LocalFile(path, os.O_RDONLY)

    def appender(self, path: Path, *, create: bool) -> LocalFile:
        """Open for appending; with `create` the file must be new."""
        flags = os.O_RDWR | os.O_APPEND
        return LocalFile(path, flags | (os.O_CREAT | os.O_EXCL if create else 0))

    def read(self, path: Path) -> bytes:
        """The whole file. FileNotFoundError if it is not there."""
        with os.fdopen(_opened("read", path, os.O_RDONLY), "rb", buffering=0) as file:
            try:
                with explained("read", path):
                    return file.readall()
            except MemoryError as error:
                raise StorageError(f"cannot read {path}: it does not fit into memory") from error

    def map(self, path: Path) -> memoryview:
        """The whole file, read where it lies as it is looked at. FileNotFoundError if it is not there."""
        descriptor = _opened("map", path, os.O_RDONLY | _NO_FOLLOW)
        try:
            with explained("map", path):
                if not os.fstat(descriptor).st_size:
                    return memoryview(b"")  # nothing cannot be mapped
                return memoryview(mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ))
        finally:
            os.close(descriptor)

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

    def overwrite(self, path: Path, data: bytes, offset: int = 0) -> None:
        """Replace some bytes of a file that exists, in place."""
        with explained("overwrite", path):
            descriptor = os.open(path, os.O_WRONLY | _NO_FOLLOW | _BINARY)
            try:
                os.lseek(descriptor, offset, os.SEEK_SET)
                _write_all(descriptor, data)
            finally:
                os.close(descriptor)

    def reserve(self, path: Path, size_bytes: int) -> None:
        """Make a file, unless it is there, that takes so much room on the disk; its content is nothing."""
        with explained("reserve room in", path):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | _NO_FOLLOW | _BINARY, 0o666)
            try:
                before = os.fstat(descriptor).st_size
                if before < size_bytes:
                    try:
                        durable.allocate(descriptor, size_bytes)
                    except OSError:
                        os.ftruncate(descriptor, before)  # part of what is new would only be in the way
                        if before == 0:
                            path.unlink()
                        raise
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
        except OSError as error:
            if error.errno in _NO_FILE:
                return None
            raise StorageError.refused("look at", path, error) from error
        return status.st_size if stat.S_ISREG(status.st_mode) else None

    def age(self, path: Path) -> float | None:
        """Seconds since a file was last changed; None if it is not there."""
        try:
            with explained("look at", path):
                return time.time() - path.stat(follow_symlinks=False).st_mtime
        except FileNotFoundError:
            return None

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
                            with contextlib.suppress(FileNotFoundError):  # it has gone since
                                yield prefix + entry.name, entry.stat(follow_symlinks=False).st_size
            except FileNotFoundError:
                continue

    def has_folder(self, folder: Path) -> bool:
        """Whether a folder is there."""
        with explained("look at", folder):
            return folder.is_dir()

    def make_folder(self, folder: Path, *, private: bool = False) -> None:
        """Create a folder and its parents, durably; what another has made is made durable too, once.

        A private one that is there already stays as open as its owner has made it.
        A folder gets nothing in it before its own name is durable: so of what is there, only that name can be
        in doubt.
        """
        if folder in self._durable_folders and os.path.isdir(folder):  # noqa: PTH112 - at each registration
            return
        was_there = self.has_folder(folder)
        if not was_there:
            self.make_folder(folder.parent, private=private)
        with explained("create folder", folder):
            folder.mkdir(_GROUP_ONLY if private else _ANYBODY, exist_ok=True)
            try:
                durable.sync_folder(folder.parent)
            except PermissionError:
                if not was_there:  # else it may be above the workspace, where we may not look
                    raise
        self._durable_folders.add(folder)

    def sync(self, paths: Iterable[Path]) -> None:
        """Return when the bytes of these files are durable."""
        paths = list(paths)
        side_by_side(_sync, paths, _THREADS if len(paths) >= _MANY_FILES else 1)

    def sync_folder(self, folder: Path) -> None:
        """Return when the names in this folder are durable."""
        with explained("sync folder", folder):
            durable.sync_folder(folder)

    def lock(self, path: Path) -> LocalLock:
        """The lock of that file, which is made when it is first held."""
        return LocalLock(path)

    def try_lock(self, path: Path) -> LocalHeldLock | None:
        """Take a lock now; None when another process, or another part of this one, holds it."""
        return try_lock(path)
