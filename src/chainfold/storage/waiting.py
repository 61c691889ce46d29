"""Waiting for a lock that another process holds: asleep until the system hands it over, where it can.

To look again every so often costs more than it seems: each look wakes a process, and those who wait take the
processor from the one for whom they wait.

An interrupt in the microseconds before a process falls asleep is seen when it wakes, or at the next one.

Who is asleep in the system cannot say that it has waited for long. So a thread does, which all waits of a
process share: a wait starts it, and it ends when it finds none.
"""

import logging
import os
import threading
import time
from typing import Final, Protocol

import filelock

try:
    import fcntl
except ImportError:  # Windows: there is no wait that Ctrl-C would end
    fcntl = None  # type: ignore[assignment]

_POLL_SECONDS: Final = 0.0005
"""Between looks, where looking is all that can be done: an unsynced append holds the lock for some 30 µs."""
_NAP_SECONDS: Final = 1.0
"""At most, between looks at who has waited for long: a later wait may be due before the others."""


logger = logging.getLogger(__name__)


class Patience(Protocol):
    """What a wait does when it gets long."""

    def tell_if_due(self) -> float:
        """Say so if it is time for that, in whatever thread; seconds until it will be."""


class _Watch:
    """The waits of this process that are asleep, and the thread that speaks for them."""

    def __init__(self) -> None:
        self._mutex = threading.RLock()
        self._waits: set[Patience] = set()
        self._thread: threading.Thread | None = None

    def add(self, patience: Patience) -> bool:
        """Speak for a wait until it is removed; False if that needs a thread and the system gives none."""
        with self._mutex:
            self._waits.add(patience)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="chainfold waits", daemon=True)
                try:
                    self._thread.start()
                except RuntimeError:
                    return False
        return True

    def remove(self, patience: Patience) -> None:
        """It is over, or was never added."""
        self._waits.discard(patience)

    def _run(self) -> None:
        while True:
            with self._mutex:
                waits = list(self._waits)
                if not waits:
                    self._thread = None
                    return
            # Without the mutex: to tell may take its time.
            time.sleep(min(_NAP_SECONDS, *(_told(each) for each in waits)))


def _told(patience: Patience) -> float:
    try:
        return patience.tell_if_due()
    except Exception:  # who is told may be anybody's code, and other waits are to be spoken for
        logger.debug("a wait could not be told", exc_info=True)
        return _NAP_SECONDS


_watch = _Watch()


def take(descriptor: int, patience: Patience) -> None:
    """Take the lock of a descriptor, however long that takes; an interrupt ends it."""
    if fcntl is not None:
        try:
            if _watch.add(patience):
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                return
        finally:
            _watch.remove(patience)
    while not filelock.lock_descriptor(descriptor, blocking=False):
        time.sleep(_POLL_SECONDS)
        _told(patience)


def _forget_inherited() -> None:
    global _watch  # noqa: PLW0603 - its thread is the parent's
    _watch = _Watch()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_inherited)
