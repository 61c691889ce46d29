"""The storage of one process on a `MemoryDisk`."""

import contextlib
import errno
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from chainfold.storage.refusals import explained
from chainfold.testing.disk import File, MemoryDisk, refusal

_POLL_SECONDS: Final = 0.0005


class MemoryFiles:
    """Files on a disk in memory, as one process has them.

    Two of them on one disk are two processes: each waits for the other's locks. `die` is a kill -9: the locks
    are free, and all that was written stays; what it does after that fails.

    Args:
        disk: Where.
    """

    def __init__(self, disk: MemoryDisk) -> None:
        self.disk = disk
        self._generation = disk.generation
        self._mutex = threading.RLock()
        self._durable_folders: set[Path] = set()

    def die(self) -> None:
        """The process is killed."""
        self._generation = -1
        self.disk.locks = {path: owner for path, owner in self.disk.locks.items() if owner is not self}

    @contextlib.contextmanager
    def alive(self, doing: str, path: Path) -> Iterator[None]:
        """What a dead process, or one from before a power cut, tries to do fails."""
        with explained(doing, path), self._mutex:
            if self._generation != self.disk.generation:
                raise refusal(errno.EIO)
            yield

    def reader(self, path: Path) -> "MemoryFile":
        """Open for reading. FileNotFoundError if it is not there."""
        with self.alive("open", path):
            return MemoryFile(self, path, self.disk.file(_parts(path)))

    def appender(self, path: Path, *, create: bool) -> "MemoryFile":
        """Open for appending; with `create` the file must be new."""
        with self.alive("open", path):
            parts = _parts(path)
            return MemoryFile(self, path, self.disk.create(parts) if create else self.disk.file(parts))

    def read(self, path: Path) -> bytes:
        """The whole file. FileNotFoundError if it is not there."""
        with self.alive("read", path):
            return bytes(self.disk.file(_parts(path)).data)

    def map(self, path: Path) -> memoryview:
        """The whole file, as it is now. FileNotFoundError if it is not there."""
        return memoryview(self.read(path))

    def write_new(self, path: Path, data: bytes, *, sync: bool) -> None:
        """Write a file that must not exist yet; leave nothing behind on failure."""
        with self.alive("write", path):
            file = self.disk.create(_parts(path))
            try:
                self.disk.append(file, data)
            except OSError:
                self.disk.remove(_parts(path))
                raise
            if sync:
                file.sync()

    def overwrite(self, path: Path, data: bytes, offset: int = 0) -> None:
        """Replace some bytes of a file that exists, in place."""
        with self.alive("overwrite", path):
            self.disk.write(self.disk.file(_parts(path)), offset, data)

    def reserve(self, path: Path, size_bytes: int) -> None:
        """Make a file, unless it is there, that takes so much room on the disk; its content is nothing."""
        with self.alive("reserve room in", path):
            if self.size(path) is None:
                self.disk.create(_parts(path))
            try:
                self.disk.write(self.disk.file(_parts(path)), 0, bytes(size_bytes))
            except OSError:
                self.disk.remove(_parts(path))
                raise

    def rename(self, source: Path, target: Path) -> None:
        """Give a file its name, replacing what had it, at once or not at all."""
        with self.alive("rename to", target):
            self.disk.rename(_parts(source), _parts(target))

    def remove(self, path: Path) -> bool:
        """Remove a file; False if it was not there."""
        with self.alive("remove", path):
            try:
                self.disk.remove(_parts(path))
            except FileNotFoundError:
                return False
            return True

    def size(self, path: Path) -> int | None:
        """Bytes in a regular file; None if there is none of that name."""
        with self.alive("look at", path):
            try:
                return len(self.disk.file(_parts(path)).data)
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                return None

    def age(self, path: Path) -> float | None:
        """Seconds since a file was last changed; None if it is not there."""
        with self.alive("look at", path):
            try:
                return time.time() - self.disk.file(_parts(path)).changed
            except FileNotFoundError:
                return None

    def scan(self, folder: Path) -> Iterator[tuple[str, int]]:
        """Name (relative, `/` between parts) and size of each regular file below a folder, in no order."""
        with self.alive("list", folder):
            try:
                found = [("/".join(below), len(file.data)) for below, file in self.disk.walk(_parts(folder))]
            except FileNotFoundError:
                found = []
        yield from found

    def has_folder(self, folder: Path) -> bool:
        """Whether a folder is there."""
        with self.alive("look at", folder):
            try:
                self.disk.folder(_parts(folder))
            except (FileNotFoundError, NotADirectoryError):
                return False
            return True

    def make_folder(self, folder: Path, *, private: bool = False) -> None:  # noqa: ARG002 - nobody else is here
        """Create a folder and its parents, durably; what another has made too, the first time."""
        with self.alive("create folder", folder):
            parts = _parts(folder)
            for number in range(len(parts)):
                parent = self.disk.folder(parts[:number])
                if parts[number] not in parent.names:
                    self.disk.make_folder(parts[: number + 1])
                    parent.sync()
                elif number == len(parts) - 1 and folder not in self._durable_folders:
                    parent.sync()
            self.disk.folder(parts)
            self._durable_folders.add(folder)

    def sync(self, paths: Iterable[Path]) -> None:
        """Return when the bytes of these files are durable."""
        for path in paths:
            with self.alive("sync", path):
                self.disk.file(_parts(path)).sync()

    def drop(self, path: Path) -> None:
        """Let a failed sync of a file have lost what it should have made durable; see `FaultyFiles`."""
        with contextlib.suppress(OSError), self._mutex:
            self.disk.file(_parts(path)).drop()

    def sync_folder(self, folder: Path) -> None:
        """Return when the names in this folder are durable."""
        with self.alive("sync folder", folder):
            self.disk.folder(_parts(folder)).sync()

    def lock(self, path: Path) -> "MemoryLock":
        """The lock of that name; it needs no file."""
        return MemoryLock(self, path)

    def try_lock(self, path: Path) -> "MemoryHeldLock | None":
        """Take a lock now; None when another process, or another part of this one, holds it."""
        with self.alive("open lock", path):
            self.disk.folder(_parts(path)[:-1])
            if path in self.disk.locks:
                return None
            if self.size(path) is None:
                self.disk.create(_parts(path))
            self.disk.locks[path] = self
            return MemoryHeldLock(self, path)


class MemoryFile:
    """An open file: it reads anywhere and appends at the end."""

    def __init__(self, files: MemoryFiles, path: Path, file: File) -> None:
        self._files = files
        self._path = path
        self._file = file
        self._errors = file.errors

    def size(self) -> int:
        """Bytes in the file now."""
        with self._files.alive("look at", self._path):
            return len(self._file.data)

    def read(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes from `offset`; fewer at the end of the file."""
        with self._files.alive("read", self._path):
            return bytes(self._file.data[offset : offset + length])

    def is_at(self, path: Path) -> bool:
        """Whether it is still the file of that name."""
        with self._files.alive("look at", self._path):
            try:
                return self._files.disk.file(_parts(path)) is self._file
            except OSError:
                return False

    def append(self, data: bytes) -> None:
        """Write at the end; when it raises, any prefix of the data may have been written."""
        with self._files.alive("append to", self._path):
            self._files.disk.append(self._file, data)

    def sync(self) -> None:
        """Return when all that was appended, by anyone, is durable.

        As on Linux, an error of a sync is told once to everyone who had the file open then.
        """
        with self._files.alive("sync", self._path):
            if self._errors != self._file.errors:
                self._errors = self._file.errors
                raise refusal(errno.EIO)
            self._file.sync()

    def truncate(self, size: int) -> None:
        """Cut the file to its first `size` bytes."""
        with self._files.alive("truncate", self._path):
            self._file.truncate(size)

    def close(self) -> None:
        """Let go of the file."""


class MemoryLock:
    """A lock between processes of one disk, and between the threads of each."""

    def __init__(self, files: MemoryFiles, path: Path) -> None:
        self._files = files
        self._path = path
        self._mutex = threading.RLock()
        self._depth = 0

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock inside the block; the thread that holds it may enter again."""
        with self._mutex:
            if self._depth == 0:
                self._take()
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
                if self._depth == 0 and self._files.disk.locks.get(self._path) is self:
                    del self._files.disk.locks[self._path]

    def close(self) -> None:
        """Let go of the lock."""

    def _take(self) -> None:
        locks = self._files.disk.locks
        while True:
            with self._files.alive("open lock", self._path):
                if locks.setdefault(self._path, self) is self:
                    return
            time.sleep(_POLL_SECONDS)


class MemoryHeldLock:
    """A lock that is held until it is released, or until its process dies."""

    def __init__(self, files: MemoryFiles, path: Path) -> None:
        self._files = files
        self._path = path

    @property
    def is_held(self) -> bool:
        """Whether its process holds it."""
        return self._files.disk.locks.get(self._path) is self._files

    def release(self) -> None:
        """Give the lock up and remove its file."""
        if self.is_held:
            with contextlib.suppress(OSError):
                self._files.remove(self._path)
            del self._files.disk.locks[self._path]

    def __del__(self) -> None:
        if self.is_held:  # an owner that was forgotten is gone: others may see that
            del self._files.disk.locks[self._path]


def _parts(path: Path) -> tuple[str, ...]:
    return path.parts[1:]
