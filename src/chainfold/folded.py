"""A log that is kept folded: what others append is taken in, and what is folded is kept in snapshots."""

import logging
import os
import threading
import warnings
import weakref
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Final

from chainfold.errors import CorruptionError, InvalidInputError, NotFoundError, StorageError
from chainfold.events import Entry
from chainfold.grammar import integer
from chainfold.log import LocalLog, LogRewoundError, time_text
from chainfold.projections import Projections
from chainfold.projections.merging import fingerprint
from chainfold.projections.snapshots import Snapshots
from chainfold.storage import Files

logger = logging.getLogger(__name__)

_REWINDS: Final = 10
"""How often one refresh starts over: each time, a writer has failed in the middle of this."""
TOLD_ENTRIES: Final = 1_024
"""As often as it is told how far a rebuild has come."""
TAIL_ENTRIES: Final = 16_384
"""Entries in memory from which on a snapshot is written: folding them takes some 180 ms after a crash.

No run of ten thousand has one written in the middle, and whoever closes a dataset leaves far fewer.
"""
TAIL_SHARE: Final = 64
"""Or rather so many times fewer than the snapshot has: writing one takes as long as it is."""
TAIL_LIMIT: Final = 100_000
"""And never more than so many: some 200 MB."""
RUN_SHARE: Final = 4
"""Or so many times fewer than open runs have registered, as all of that is written and read with each.

Who finds such a run after a crash has its files to remove, which takes longer than folding the tail.
"""
ROWS_PER_ENTRY: Final = 8
"""So many rows that a deletion takes are as much to fold as an entry; one entry may take any number."""
CLOSING_ENTRIES: Final = 250
CLOSING_SHARE: Final = 512
"""Whoever closes a dataset that it has changed writes one from so many on, or a share of what there is."""


class Folded:
    """One log and its projections.

    Args:
        folder: The dataset's folder of the log.
        name: The dataset's name.
        files: The storage.
        segment_bytes: Size at which segments of the log are sealed.

    Attributes:
        log: The log.
        projections: What is folded of it.
        mutex: Held by whoever looks at these, or changes them.
        block: Held by the thread whose registrations stand or fall together.
        is_in_doubt: What is held may not be what the log says: an interrupt, or a fork, came in the middle.

    Raises:
        UnknownEventError: If the log has events of another release.
    """

    def __init__(self, folder: Path, name: str, files: Files, segment_bytes: int) -> None:
        self.folder, self.name, self.files = folder, name, files
        self.mutex = threading.RLock()
        self.block = threading.RLock()
        self._segment_bytes = segment_bytes
        self._snapshots = Snapshots(folder, name, files)
        self._patience = 1
        self._warned = False
        self._told: Callable[[int], None] | None = None  # how many entries are folded, while it is rebuilt
        self._open()
        _folded.add(self)
        self.refresh()

    def _open(self, *, from_nothing: bool = False) -> None:
        """Begin anew, with nothing read but, unless told otherwise, a snapshot.

        It may take minutes, and be interrupted: log and projections change together, at the end.
        """
        self.is_in_doubt = True
        log = LocalLog(self.folder, self.name, self.files, segment_bytes=self._segment_bytes)
        try:
            snapshot = None if from_nothing else self._snapshots.open_newest(log)
            if snapshot is None:
                snapshot = self._snapshots.build(log, afresh=from_nothing, told=self._told)
            projections = Projections(log, snapshot)
        except BaseException:
            log.close()
            raise
        self.log, self.projections = log, projections
        self.is_in_doubt = False

    def let_go(self) -> None:
        """Close the log, and the snapshot; whoever asks after that has them opened again."""
        with self.mutex:
            self.is_in_doubt = True
            self.log.close()
            if self.projections.snapshot is not None:
                self.projections.snapshot.release()

    def refresh(self, *, thorough: bool = False) -> None:
        """Take in what others appended; see `LogReader.catch_up`.

        Raises:
            UnknownEventError: At an event of another release.
        """
        with self.mutex:
            if self.is_in_doubt:
                self._open_again()
            elif not thorough and not self.log.has_news():
                return
            self.is_in_doubt = True  # until it is done: an interrupt may come at any moment
            for _ in range(_REWINDS):
                try:
                    self._fold(self.log.catch_up(thorough=thorough))
                    break
                except CorruptionError:
                    if self.log.damage is None:
                        raise
                    break  # what is before it stays readable, as before any other damage
                except LogRewoundError:  # lines that were never acknowledged are gone again: start over
                    self._open_again()
            self.is_in_doubt = False
            if self.log.damage is not None and not self._warned:
                self._warned = True
                warnings.warn(str(self.log.damage), RuntimeWarning, stacklevel=3)

    def _fold(self, entries: Iterator[Entry]) -> None:
        """Fold entries; of a long log only so many are held in memory before they go to a snapshot."""
        for entry in entries:
            self.projections.apply(entry)
            if self._told is not None and self.projections.size % TOLD_ENTRIES == 0:
                self._told(self.projections.size)
            if self._tail >= TAIL_LIMIT * self._patience:
                self._save()

    @property
    def _tail(self) -> int:
        """Entries that are held in memory."""
        snapshot = self.projections.snapshot
        return self.projections.size - (0 if snapshot is None else snapshot.size)

    def save_if_due(self, *, closing: bool = False) -> None:
        """Write a snapshot, or turn to one that another process has written, if that is worth it by now."""
        with self.mutex:
            try:
                self._save_if_due(closing=closing)
            except Exception:  # what was asked for is done, and can be done without a snapshot
                logger.warning("no snapshot of %r was written or read", self.name, exc_info=True)
                self._patience *= 2
                self.is_in_doubt = True

    def _save_if_due(self, *, closing: bool) -> None:
        tail = self._tail
        taken = len(self.projections.visibility.removed_at.changed)
        if (
            tail + taken // ROWS_PER_ENTRY < self._due(tail, closing=closing)
            or self.is_in_doubt
            or self.log.damage is not None
        ):
            return
        snapshot = self.projections.snapshot
        known = 0 if snapshot is None else snapshot.size
        if not closing and self._snapshots.newest_size() > known + tail // 2:
            self._open_again()
            self.refresh()
        elif self.log.is_in_place():  # else it was removed or replaced, and is none of ours any more
            self._save()

    def _due(self, tail: int, *, closing: bool) -> int:
        """The tail for which a snapshot is worth it."""
        older = self.projections.size - tail
        if closing:
            return max(CLOSING_ENTRIES, older // CLOSING_SHARE) * self._patience
        due = max(TAIL_ENTRIES, min(older // TAIL_SHARE, TAIL_LIMIT))
        if tail >= due:
            held = sum(len(run.rows) for run in self.projections.runs.all_open())
            due = max(due, min(held // RUN_SHARE, TAIL_LIMIT))
        return due * self._patience

    def _save(self) -> None:
        was_in_doubt, self.is_in_doubt = self.is_in_doubt, True  # an interrupt may come at any moment
        snapshot = self._snapshots.save(self.projections, self.log)
        if snapshot is None:
            self._patience *= 2  # another process is at it, or there is no room: no need to ask at each entry
        else:
            self._patience = 1
            self.log.rest_on(snapshot.sections["offsets"])
            self.projections = Projections(self.log, snapshot)
        self.is_in_doubt = was_in_doubt

    def rebuild(self, progress: Callable[[int, int], None] | None = None) -> bool:
        """Fold the log from nothing, and use that. Whether it gave the same state as was held before.

        Args:
            progress: Called with how many entries are folded, and of how many.
        """
        with self.mutex:
            self.refresh()
            log, held = self.log, self.projections
            total = held.size
            self._told = None if progress is None else lambda done: progress(done, total)
            try:
                self._open_afresh(log.failure)
                self.refresh()
                is_same = self._is_as(log, held)
            finally:
                self._told = None
                if self.log is not log:
                    log.close()
            if self._tail >= TAIL_ENTRIES and self.log.damage is None:
                self._save()  # in the place of what was there
            return is_same

    def _is_as(self, log: LocalLog, held: Projections) -> bool:
        """Whether another state, once it has come as far, is the one held now: others append meanwhile."""
        if held.size < self.projections.size:
            for entry in log.catch_up(thorough=True):
                held.apply(entry)
                if held.size == self.projections.size:
                    break
        states = ((held, log), (self.projections, self.log))
        one, other = (fingerprint(each, its.mark(), its.offsets()) for each, its in states)
        return one == other

    def settle(self) -> None:
        """`refresh`, if what is held may not be whole: an interrupt or a fork came amid a change."""
        if self.is_in_doubt:
            self.refresh()

    def _open_again(self, *, from_nothing: bool = False) -> None:
        """Replay the log: what is held of it may not be what it says."""
        self.log.close()
        self._open_afresh(self.log.failure, from_nothing=from_nothing)

    def _open_afresh(self, failure: StorageError | None, *, from_nothing: bool = True) -> None:
        """`_open`, with what was held still open; a log that has failed takes no more."""
        self._open(from_nothing=from_nothing)
        if failure is not None:
            self.log.give_up(failure)

    # positions

    def size_at(self, when: object) -> int:
        """The size of the log at a position, or at a time: after the last entry that is not later.

        Args:
            when: An int, or a datetime; all else is refused here.

        Raises:
            NotFoundError: If the log has not come that far.
            InvalidInputError: If it is neither, or a time has no time zone.
        """
        with self.mutex:
            self.refresh()
            if isinstance(when, datetime):
                if when.tzinfo is None:
                    raise InvalidInputError(f"{when} has no time zone: use e.g. datetime(..., tzinfo=UTC)")
                return self._first_after(time_text(when))
            size = integer("a moment that is no datetime, and no text of a checkpoint,", when)
            if not 0 <= size <= self.log.size:
                raise NotFoundError(
                    f"the log of {self.name!r} has no position {size}: positions go from 0 to {self.log.size}"
                )
            return size

    def _first_after(self, at: str) -> int:
        low, high = 0, self.log.size
        while low < high:
            middle = (low + high) // 2
            if self.log.entry(middle).at <= at:
                low = middle + 1
            else:
                high = middle
        return low

    def _after_fork(self) -> None:
        """In the child: another thread of the parent may have been in the middle of anything."""
        self.mutex = threading.RLock()
        self.block = threading.RLock()
        self.is_in_doubt = True


_folded: weakref.WeakSet[Folded] = weakref.WeakSet()


def _doubt_inherited() -> None:
    for each in list(_folded):
        each._after_fork()  # noqa: SLF001 - the same module


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_doubt_inherited)
