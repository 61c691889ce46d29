"""A log folded anew for a check: no snapshot is believed, and little is held in memory.

What was folded goes to a snapshot of the check's own, outside of the workspace, whenever it is much.
"""

import contextlib
import logging
from array import array
from collections.abc import Iterable
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from chainfold.errors import ChainfoldError
from chainfold.events import Entry
from chainfold.log import LogMark, Numbers
from chainfold.projections.merging import fingerprint, write_snapshot
from chainfold.projections.projections import Projections
from chainfold.projections.snapshot import Snapshot
from chainfold.projections.source import Log
from chainfold.storage import LocalFiles

TAIL_ENTRIES: Final = 500_000
"""Entries in memory from which on they are set aside, some 1 KB each: that takes as long as to fold them."""
_FILES: Final = LocalFiles()

logger = logging.getLogger(__name__)


class Refolding:
    """Projections from the first entry on.

    Args:
        log: Gives the lines of entries, also of those that are not folded yet.

    Attributes:
        projections: What is folded; another object after each call of `fold`.
    """

    def __init__(self, log: Log) -> None:
        self.projections = Projections(log)
        self._log = log
        self._folder: TemporaryDirectory[str] | None = None
        self._numbers = count()
        self._patience = 1

    def fold(self, entries: Iterable[Entry]) -> None:
        """Take in the entries that follow.

        Raises:
            CorruptionError: If what was set aside, or the log, is not what was written.
        """
        start = self._size_aside()
        for entry in entries:
            self.projections.apply(entry)
            if self.projections.size - start >= TAIL_ENTRIES * self._patience and self._is_time(start):
                self._patience = 1 if self._set_aside() else self._patience * 2
                start = self._size_aside()

    def agrees_with(self, known: Snapshot) -> bool:
        """Whether a snapshot of as many entries says what was folded.

        Raises:
            CorruptionError: If one of its blocks is not what was written.
        """
        mark = _mark(known.size)
        theirs = fingerprint(Projections(self._log, known), mark, _no_offsets())
        return theirs == fingerprint(self.projections, mark, _no_offsets())

    def close(self) -> None:
        """Remove what was set aside."""
        if self._folder is not None:
            self._folder.cleanup()

    def _is_time(self, start: int) -> bool:
        """Whether no run is open, or for too long: what it has registered is shown row by row from there."""
        twice = 2 * TAIL_ENTRIES * self._patience
        return self.projections.size - start >= twice or not self.projections.runs.all_open()

    def _size_aside(self) -> int:
        snapshot = self.projections.snapshot
        return 0 if snapshot is None else snapshot.size

    def _set_aside(self) -> bool:
        """Write what is folded to a file; False if the system refuses: then it stays in memory."""
        path = None
        try:
            path = self._place() / f"{next(self._numbers)}.snapshot"
            file = _FILES.appender(path, create=True)
            try:
                write_snapshot(file, self.projections, _mark(self.projections.size), _no_offsets())
            finally:
                file.close()
            snapshot, older = Snapshot(path, _FILES), self.projections.snapshot
        except (ChainfoldError, OSError) as error:
            logger.info("what is folded stays in memory: %s", error)
            _remove(path)
            return False
        self.projections = Projections(self._log, snapshot)
        if older is not None:
            _remove(older.path)
        return True

    def _place(self) -> Path:
        if self._folder is None:
            self._folder = TemporaryDirectory(prefix="chainfold-", ignore_cleanup_errors=True)
        return Path(self._folder.name)


def _mark(size: int) -> LogMark:
    """Of snapshots that are never resumed from: what is in the log before it, the log says."""
    return LogMark("", size, [], 0, "", 0, [])


def _remove(path: Path | None) -> None:
    if path is not None:
        with contextlib.suppress(OSError):  # Windows keeps what is mapped
            _FILES.remove(path)


def _no_offsets() -> tuple[Numbers, "array[int]"]:
    return (), array("Q")
