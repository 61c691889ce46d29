"""Advisory locks between processes, on files of their own.

The lock is the operating system's (flock, LockFileEx), taken on a descriptor that we keep: it goes when its
process dies, however it dies, so no lock ever waits for a person. A descriptor that a fork inherited shares
its parent's lock, so the child closes it, without unlocking, and opens its own.
"""

import contextlib
import os
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import filelock

from chainfold.storage.files import explained

_POLL_SECONDS: Final = 0.0005
"""Between attempts while another process holds the lock: an unsynced append holds it for some 30 µs."""


class Lock:
    """One lock file, exclusive between processes and between the threads of this one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1
        self._mutex = threading.RLock()
        self._depth = 0
        _locks.add(self)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock inside the block; the thread that holds it may enter again.

        Raises:
            StorageError: If the lock file cannot be opened, as on read-only storage.
        """
        with self._mutex:
            if self._depth == 0:
                filelock.lock_descriptor(self._open(), poll_interval=_POLL_SECONDS)
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
                if self._depth == 0:
                    filelock.unlock_descriptor(self._descriptor)

    def close(self) -> None:
        """Let go of the lock file, and with it of the lock."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _open(self) -> int:
        if self._descriptor < 0:
            with explained("open lock", self._path):
                self._descriptor = _open(self._path)
        return self._descriptor

    def _after_fork(self) -> None:
        self.close()
        self._mutex = threading.RLock()
        self._depth = 0

    def __del__(self) -> None:
        self.close()


class HeldLock:
    """A lock that was free when asked for and is held until released, or until this process ends."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor
        _locks.add(self)

    @property
    def is_held(self) -> bool:
        """Whether this process holds it; a forked child does not."""
        return self._descriptor >= 0

    def release(self) -> None:
        """Give the lock up and remove its file."""
        if self._descriptor >= 0:
            # Removed while it is still locked: nobody can take it in between and lose it to our unlink.
            with contextlib.suppress(OSError):
                self._path.unlink()
            os.close(self._descriptor)
            self._descriptor = -1
            with contextlib.suppress(OSError):  # Windows removes only what nobody has open
                self._path.unlink()

    def _after_fork(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __del__(self) -> None:
        self._after_fork()  # an owner that was forgotten is gone: others may see that


def try_lock(path: Path) -> HeldLock | None:
    """Take a lock now; None when another process, or another part of this one, holds it.

    Raises:
        StorageError: If the lock file cannot be opened.
    """
    with explained("open lock", path):
        descriptor = _open(path)
    if filelock.lock_descriptor(descriptor, blocking=False):
        return HeldLock(path, descriptor)
    os.close(descriptor)
    return None


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)


_locks: weakref.WeakSet[Lock | HeldLock] = weakref.WeakSet()


def _forget_inherited() -> None:
    for lock in list(_locks):
        lock._after_fork()  # noqa: SLF001 - the same module


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_inherited)
