"""Advisory locks between processes, on files of their own.

The lock is the operating system's (flock, LockFileEx), taken on a descriptor that we keep: it goes when its
process dies, however it dies, so no lock ever waits for a person. A descriptor that a fork inherited shares
its parent's lock, so the child closes it, without unlocking, and opens its own.

Who takes a lock writes into its file who it is: only so that those who wait can say for whom.
"""

import contextlib
import logging
import os
import socket
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import filelock

from chainfold.storage import waiting
from chainfold.storage.refusals import explained

_PATIENCE_SECONDS: Final = 3.0
"""After so long a wait is told; then each time that it has taken twice as long."""
_NO_FOLLOW: Final = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
_OWNER_BYTES: Final = 120
_OWNER_OFFSET: Final = 1
"""The first byte is what Windows locks, and then nobody else can read it."""

logger = logging.getLogger(__name__)


def owner_name() -> str:
    """Host and process, for people who look for whom they wait."""
    return f"{socket.gethostname()}:{os.getpid()}"


class LocalLock:
    """One lock file, exclusive between processes and between the objects and threads of this one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._gate: _Gate | None = _gate_of(path)
        self._holder: int | None = None
        _locks.add(self)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock inside the block; the thread that holds it may enter again.

        A long wait is logged as a warning that names the one who holds it.

        Raises:
            StorageError: If the lock file cannot be opened, as on read-only storage.
        """
        thread = threading.get_ident()
        if self._holder == thread:
            yield  # the outer block lets go
            return
        gate = self._gate or _gate_of(self._path)
        try:
            gate.enter(self)
            self._gate, self._holder = gate, thread
            yield
        finally:
            try:
                gate.leave(self)
            except BaseException:
                gate.leave(self)  # an interrupt came just then
                raise

    def forget(self) -> None:
        """It is given back."""
        self._holder = None

    def close(self) -> None:
        """Let go of the lock file, unless others of this process use it too."""
        self._gate = None

    def _after_fork(self) -> None:
        self._gate, self._holder = None, None


class _Gate:
    """A lock file as this process has it open, once for all: its threads wait here, not at the file.

    Between processes there is a second file, the turn: who wants the lock takes the turn first, and gives it
    back on having the lock. So nobody who has just let go of the lock has it again before those who waited:
    they stand at the turn together, with equal chances.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._turn_path = path, path.with_name(f"{path.name}.turn")
        self._lock = self._turn = -1
        self._at_turn = False
        self._owner = b""
        self._mutex = threading.RLock()  # only since its release tells who does not have it
        self._holder: LocalLock | None = None
        _locks.add(self)

    def enter(self, lock: LocalLock) -> None:
        """Take the lock. Whatever comes of it, `leave` must be called."""
        if not self._mutex.acquire(blocking=False):
            patience = _Patience(self._path, lambda: "another thread of this process")
            while not self._mutex.acquire(timeout=patience.tell_if_due()):
                pass
        if self._holder is not None:
            self._mutex.release()
            raise RuntimeError(f"this thread holds {self._path} already, through another object")
        self._holder = lock
        while True:
            self._open()
            self._at_turn = True
            self._wait_for(self._turn)
            self._wait_for(self._lock)
            filelock.unlock_descriptor(self._turn)
            self._at_turn = False
            if self.is_at(self._path):
                return
            self._close()  # the file was removed, or another put in its place: others lock that one

    def leave(self, lock: LocalLock) -> None:
        """Give back what was taken: all, or as far as `enter` came before an interrupt."""
        if not self._mutex.acquire(blocking=False):
            return  # another thread has it: ours did not even come to this
        if self._holder not in (lock, None):
            self._mutex.release()
            return
        if self._at_turn and self._turn >= 0:
            filelock.unlock_descriptor(self._turn)
        self._at_turn = False
        if self._lock >= 0:
            filelock.unlock_descriptor(self._lock)
        lock.forget()
        self._holder = None
        with contextlib.suppress(RuntimeError):  # it is no longer ours
            while True:
                self._mutex.release()

    def is_at(self, path: Path) -> bool:
        """Whether that is still its file: a workspace may have been removed and made again."""
        try:
            return self._lock < 0 or os.path.samestat(os.fstat(self._lock), os.stat(path))  # noqa: PTH116
        except FileNotFoundError:
            return False
        except OSError:
            return True  # nobody can tell: what is done next will say why

    def _wait_for(self, descriptor: int) -> None:
        if not filelock.lock_descriptor(descriptor, blocking=False):
            path = self._turn_path if descriptor == self._turn else self._path
            waiting.take(descriptor, _Patience(self._path, lambda: _read_owner(path)))
        _write_owner(descriptor, self._owner)

    def _open(self) -> None:
        if self._lock < 0:
            with explained("open lock", self._path):
                if self._turn < 0:
                    self._turn = _open(self._turn_path)
                self._lock = _open(self._path)
            self._owner = _owner_text()

    def _after_fork(self) -> None:
        self._close()
        self._mutex, self._holder = threading.RLock(), None

    def _close(self) -> None:
        for descriptor in (self._lock, self._turn):
            if descriptor >= 0:
                os.close(descriptor)
        self._lock = self._turn = -1

    def __del__(self) -> None:
        self._close()


_gates: weakref.WeakValueDictionary[Path, _Gate] = weakref.WeakValueDictionary()
_gates_mutex = threading.Lock()


def _gate_of(path: Path) -> _Gate:
    with _gates_mutex:
        gate = _gates.get(path)
        if gate is None or not gate.is_at(path):
            gate = _gates[path] = _Gate(path)
        return gate


class _Patience:
    """How long a wait has taken, and when that is worth a word."""

    def __init__(self, path: Path, holder: Callable[[], str]) -> None:
        self._path = path
        self._holder = holder
        self._began = time.monotonic()
        self._seconds = _PATIENCE_SECONDS

    def tell_if_due(self) -> float:
        """Say for whom it waits if it is time for that; seconds until it will be."""
        waited = time.monotonic() - self._began
        if waited >= self._seconds:
            self._seconds *= 2
            logger.warning(
                "waiting for %.0f seconds for the lock %s, held by %s: "
                "the wait ends when it goes on, or dies",
                waited,
                self._path,
                self._holder(),
            )
        return max(self._seconds - waited, 0.0)


class LocalHeldLock:
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


def try_lock(path: Path) -> LocalHeldLock | None:
    """Take a lock now; None when another process, or another part of this one, holds it.

    Raises:
        StorageError: If the lock file cannot be opened.
    """
    with explained("open lock", path):
        descriptor = _open(path)
    if filelock.lock_descriptor(descriptor, blocking=False):
        _write_owner(descriptor, _owner_text())
        return LocalHeldLock(path, descriptor)
    os.close(descriptor)
    return None


def holder_of(path: Path) -> str | None:
    """Who holds a lock just now; None if nobody does, or there is no such file.

    Nothing is made or written: the lock is taken for a moment, so do not ask for one that is being made.

    Raises:
        StorageError: If it cannot be told.
    """
    with explained("look at the lock", path):
        try:
            descriptor = os.open(path, os.O_RDONLY | _NO_FOLLOW)
        except FileNotFoundError:
            return None
        try:
            is_free = filelock.lock_descriptor(descriptor, blocking=False)
        finally:
            os.close(descriptor)
    return None if is_free else _read_owner(path)


def _open(path: Path) -> int:
    # A link would let whoever wrote the workspace create a file anywhere.
    return os.open(path, os.O_RDWR | os.O_CREAT | _NO_FOLLOW, 0o666)


def _owner_text() -> bytes:
    return owner_name().encode(errors="replace")[:_OWNER_BYTES].ljust(_OWNER_BYTES)


def _write_owner(descriptor: int, text: bytes) -> None:
    """Best effort: a full disk must not keep anyone from a lock.

    What is there already is left alone: a changed file is one more for the next sync of the log to see to.
    """
    try:
        if not hasattr(os, "pwrite"):
            os.lseek(descriptor, _OWNER_OFFSET, os.SEEK_SET)
            os.write(descriptor, text)
        elif os.pread(descriptor, _OWNER_BYTES, _OWNER_OFFSET) != text:
            os.pwrite(descriptor, text, _OWNER_OFFSET)
    except OSError:
        logger.debug("who holds the lock is not told", exc_info=True)


def _read_owner(path: Path) -> str:
    """Through a descriptor of its own: the wait, and the other one with it, may be over by now."""
    try:
        descriptor = os.open(path, os.O_RDONLY | _NO_FOLLOW)
        try:
            os.lseek(descriptor, _OWNER_OFFSET, os.SEEK_SET)
            text = os.read(descriptor, _OWNER_BYTES)
        finally:
            os.close(descriptor)
    except OSError:
        return "another process"
    return text.decode(errors="replace").strip("\0 ") or "another process"


_locks: weakref.WeakSet[LocalLock | _Gate | LocalHeldLock] = weakref.WeakSet()


def _forget_inherited() -> None:
    global _gates_mutex  # noqa: PLW0603 - another thread of the parent may have held it
    _gates_mutex = threading.Lock()
    _gates.clear()
    for lock in list(_locks):
        lock._after_fork()  # noqa: SLF001 - the same module


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_inherited)
