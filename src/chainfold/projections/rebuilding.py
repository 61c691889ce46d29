"""A log folded from its first entry on: checked, gathered by several processes, and held on disk.

No snapshot is believed, and little is held in memory: what was folded goes to a snapshot of its own whenever
it is much.
"""

import contextlib
from array import array
from bisect import bisect_right
from collections.abc import Callable
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Self

from chainfold.errors import ChainfoldError
from chainfold.events import Entry, decode_entry
from chainfold.log import LogMark, Numbers
from chainfold.log.checking import Checked, Joined, OddError, Task, in_order, segments_of
from chainfold.projections.gathering import Part, gather
from chainfold.projections.merging import write_snapshot
from chainfold.projections.parts import Parts
from chainfold.projections.snapshot import Snapshot
from chainfold.storage import LocalFiles, Reader

TAIL_ENTRIES: Final = 500_000
"""Entries in memory from which on they are set aside, some 300 bytes each."""
_FILES: Final = LocalFiles()


class Rebuilt:
    """All whole lines of a log in files of this machine, proven good and folded.

    Args:
        folder: The dataset's folder of the log.
        dataset: Its name.
        jobs: Processes that share the segments of a large log, as joblib counts; 1 for this one alone.
        stop: Only the first so many entries.
        told: Called with how many entries are folded, now and then.

    Attributes:
        mark: The place that it has come to.
        offsets: Where each entry begins in its segment.
        projections: What is folded; it is good to be written, not to be asked.

    Raises:
        OddError: If there is nothing, or anything is odd: `LogReader` and `Projections` tell what.
        Exception: If something cannot be read or written, or a process died.
    """

    mark: LogMark
    offsets: "array[int]"
    projections: Parts

    def __init__(
        self,
        folder: Path,
        dataset: str,
        jobs: int = 1,
        stop: int | None = None,
        told: Callable[[int], None] | None = None,
    ) -> None:
        self._lines = _Lines()
        self._folder: TemporaryDirectory[str] | None = None
        self._numbers = count()
        self._joined = Joined(dataset)
        self.projections = Parts(self._lines)
        try:
            tasks, size = segments_of(folder, dataset, stop)
            for task, (checked, part) in zip(tasks, in_order(gather, tasks, size, jobs), strict=True):
                self._take(task, checked, part)
                if told is not None:
                    told(self.projections.size)
        except BaseException:
            self.close()
            raise
        if not tasks:
            raise OddError("there are no entries")
        self.mark, self.offsets = self._joined.mark(), self._joined.offsets

    def write(self, file: Path) -> None:
        """Write all of it to a snapshot, which must be a new file.

        Raises:
            OddError: If two keys have the same hash.
            StorageError: If the system refuses.
        """
        appender = _FILES.appender(file, create=True)
        try:
            write_snapshot(appender, self.projections, self.mark, ((), self.offsets))
        finally:
            appender.close()

    def snapshot(self) -> Snapshot:
        """All of it, as a snapshot that goes with this."""
        path = self._place()
        self.write(path)
        return Snapshot(path, _FILES)

    def close(self) -> None:
        """Remove what was set aside."""
        self._lines.close()
        if self.projections.snapshot is not None:
            self.projections.snapshot.release()
        if self._folder is not None:
            self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _take(self, task: Task, checked: Checked, part: Part) -> None:
        if part.clashes:
            raise OddError("two keys have the same hash")
        self._joined.add(task, checked)
        self._lines.add(task, self._joined.offsets)
        self.projections.take(part)
        snapshot = self.projections.snapshot
        if self.projections.size - (0 if snapshot is None else snapshot.size) >= TAIL_ENTRIES:
            self._set_aside()

    def _set_aside(self) -> None:
        self.mark, self.offsets = LogMark("", self.projections.size, [], 0, "", 0, []), array("Q")
        snapshot, older = self.snapshot(), self.projections.snapshot
        self.projections = Parts(self._lines, snapshot)
        if older is not None:
            older.release()
            with contextlib.suppress(OSError, ChainfoldError):  # Windows keeps what is mapped
                _FILES.remove(older.path)

    def _place(self) -> Path:
        if self._folder is None:
            self._folder = TemporaryDirectory(prefix="chainfold-", ignore_cleanup_errors=True)
        return Path(self._folder.name) / f"{next(self._numbers)}.snapshot"


class _Lines:
    """The lines of the segments that were checked, for `Source`."""

    def __init__(self) -> None:
        self._segments: list[tuple[int, Reader]] = []
        self._offsets: Numbers = ()

    def add(self, task: Task, offsets: "array[int]") -> None:
        self._segments.append((task.first, _FILES.reader(task.path)))
        self._offsets = offsets

    def line(self, position: int) -> bytes:
        at = bisect_right(self._segments, position, key=lambda each: each[0])
        reader = self._segments[at - 1][1]
        start, after = self._offsets[position], position + 1
        is_last = after == len(self._offsets) or (at < len(self._segments) and self._segments[at][0] == after)
        stop = reader.size() if is_last else self._offsets[after]
        return reader.read(start, stop - start).partition(b"\n")[0]

    def entry(self, position: int) -> Entry:
        return decode_entry(self.line(position))

    def close(self) -> None:
        for _, reader in self._segments:
            reader.close()
