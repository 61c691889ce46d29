"""Storage that fails, or whose process dies, at a chosen operation: lost, half done, or done and not told."""

import contextlib
import errno
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypeVar

from chainfold.errors import StorageError
from chainfold.storage import Appender, Files, HeldLock, Lock, Reader

T = TypeVar("T")


class Crash(BaseException):
    """The process dies here. It goes through every `except Exception`, as a kill would."""


class FaultyFiles:
    """A storage of which chosen operations that change something fail.

    Args:
        inner: The storage that does the work.
        number: The `errno` of the failures.

    Attributes:
        fail_at: Number of the operation that fails; None for none.
        landed: How much of it is done before it fails: nothing (0), half (0.5) or all (1).
        refuse: Instead of one operation, all of these kinds fail.
        crashes: Whether the process dies instead: that operation and all after it raise `Crash`.
        on_lost_sync: Called with the path of a file whose sync failed without being done, to let the storage
            forget what was not durable: `MemoryFiles.drop` does.
        done: The kinds of the operations so far.
    """

    def __init__(self, inner: Files, number: int = errno.EIO) -> None:
        self.inner = inner
        self.number = number
        self.fail_at: int | None = None
        self.landed = 0.0
        self.refuse: set[str] = set()
        self.crashes = False
        self.on_lost_sync: Callable[[Path], None] | None = None
        self.dead = False
        self.done: list[str] = []

    def do(
        self, kind: str, path: object, act: Callable[[], T], half: Callable[[], object] | None = None
    ) -> T:
        """Do an operation, or fail at it; `half` is what is done of it by then, if it can be done by half."""
        if self.dead:
            raise Crash
        self.done.append(kind)
        if kind not in self.refuse and len(self.done) - 1 != self.fail_at:
            return act()
        if self.landed == 1:
            act()
        elif self.landed and half is not None:
            with contextlib.suppress(OSError):  # it would have failed anyhow
                half()
        if self.crashes:
            self.dead = True
            raise Crash
        raise StorageError.refused(kind, path, OSError(self.number, os.strerror(self.number)))

    def look(self, act: Callable[[], T]) -> T:
        """An operation that changes nothing: it fails only for the dead."""
        if self.dead:
            raise Crash
        return act()

    def reader(self, path: Path) -> Reader:
        """Open for reading."""
        return self.look(lambda: self.inner.reader(path))

    def appender(self, path: Path, *, create: bool) -> "FaultyAppender":
        """Open for appending."""
        if create:
            inner = self.do("create", path, lambda: self.inner.appender(path, create=True))
        else:
            inner = self.look(lambda: self.inner.appender(path, create=False))
        return FaultyAppender(self, path, inner)

    def read(self, path: Path) -> bytes:
        """The whole file."""
        return self.look(lambda: self.inner.read(path))

    def map(self, path: Path) -> memoryview:
        """The whole file."""
        return self.look(lambda: self.inner.map(path))

    def write_new(self, path: Path, data: bytes, *, sync: bool) -> None:
        """Write a new file; only who dies leaves half of one."""

        def half() -> None:
            if self.crashes:
                self.inner.write_new(path, data[: len(data) // 2], sync=False)

        self.do("write", path, lambda: self.inner.write_new(path, data, sync=sync), half)

    def overwrite(self, path: Path, data: bytes, offset: int = 0) -> None:
        """Replace some of a file's bytes."""
        self.do("overwrite", path, lambda: self.inner.overwrite(path, data, offset))

    def reserve(self, path: Path, size_bytes: int) -> None:
        """Take room."""
        self.do("reserve", path, lambda: self.inner.reserve(path, size_bytes))

    def rename(self, source: Path, target: Path) -> None:
        """Give a file its name."""
        self.do("rename", target, lambda: self.inner.rename(source, target))

    def remove(self, path: Path) -> bool:
        """Remove a file."""
        return self.do("remove", path, lambda: self.inner.remove(path))

    def size(self, path: Path) -> int | None:
        """Bytes in a file."""
        return self.look(lambda: self.inner.size(path))

    def age(self, path: Path) -> float | None:
        """Seconds since a file was changed."""
        return self.look(lambda: self.inner.age(path))

    def scan(self, folder: Path) -> Iterator[tuple[str, int]]:
        """Name and size of each file."""
        return self.look(lambda: self.inner.scan(folder))

    def has_folder(self, folder: Path) -> bool:
        """Whether a folder is there."""
        return self.look(lambda: self.inner.has_folder(folder))

    def make_folder(self, folder: Path, *, private: bool = False) -> None:
        """Create a folder; if it is there that is no operation."""
        if self.has_folder(folder):
            self.look(lambda: self.inner.make_folder(folder, private=private))
        else:
            self.do("make folder", folder, lambda: self.inner.make_folder(folder, private=private))

    def sync(self, paths: Iterable[Path]) -> None:
        """Make files durable: half of it is half of them."""
        paths = list(paths)
        half = len(paths) // 2

        def some() -> None:
            self.inner.sync(paths[:half])

        with self._losing(paths[half:] if self.landed else paths):
            self.do("sync files", paths, lambda: self.inner.sync(paths), some)

    @contextlib.contextmanager
    def _losing(self, paths: Iterable[Path]) -> Iterator[None]:
        try:
            yield
        except StorageError:
            if self.on_lost_sync is not None and self.landed < 1:
                for path in paths:
                    self.on_lost_sync(path)
            raise

    def sync_folder(self, folder: Path) -> None:
        """Make names durable."""
        self.do("sync folder", folder, lambda: self.inner.sync_folder(folder))

    def lock(self, path: Path) -> "FaultyLock":
        """The lock of that file."""
        return FaultyLock(self, self.inner.lock(path))

    def try_lock(self, path: Path) -> HeldLock | None:
        """Take a lock now, if it is free."""
        return self.do("lock", path, lambda: self.inner.try_lock(path))


class FaultyAppender:
    """A file open for writing, on a storage that fails."""

    def __init__(self, files: FaultyFiles, path: Path, inner: Appender) -> None:
        self._files = files
        self._path = path
        self._inner = inner

    def append(self, data: bytes) -> None:
        """Write at the end; of half of it, some part."""
        part = data[: int(len(data) * self._files.landed)]
        self._files.do(
            "append", self._path, lambda: self._inner.append(data), lambda: self._inner.append(part)
        )

    def sync(self) -> None:
        """Make it durable."""
        with self._files._losing([self._path]):  # noqa: SLF001 - the same module
            self._files.do("sync", self._path, self._inner.sync)

    def truncate(self, size: int) -> None:
        """Cut it."""
        self._files.do("truncate", self._path, lambda: self._inner.truncate(size))

    def close(self) -> None:
        """Let go of the file."""
        self._inner.close()


class FaultyLock:
    """A lock that the dead do not take."""

    def __init__(self, files: FaultyFiles, inner: Lock) -> None:
        self._files = files
        self._inner = inner

    def held(self) -> AbstractContextManager[None]:
        """Hold it inside the block."""
        return self._files.look(self._inner.held)

    def close(self) -> None:
        """Let go of it."""
        self._inner.close()
