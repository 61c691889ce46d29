"""A log proven good, segment by segment: what a full check needs that is to be fast.

Each segment is checked from the sum that ends the one before, so processes can share them. Nothing here tells
what is wrong: whatever is odd, `LogReader` reads the log from its beginning and finds the words for it.
"""

import os
from array import array
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import msgspec

from chainfold.events import Placed, is_time, placing_decoder
from chainfold.log import lines
from chainfold.log.mark import LogMark
from chainfold.log.merkle import Span
from chainfold.log.segments import SEGMENT_BYTES, SEGMENT_NAME, LogReader
from chainfold.storage import LocalFiles, Reader

PARALLEL_BYTES: Final = 4 * SEGMENT_BYTES
"""Smaller logs are checked in this process: to start others takes as long."""
_CHUNK_BYTES: Final = 1 << 17
"""What is decoded of so much fits the processor's cache; of a megabyte each line took twice as long."""
_END_BYTES: Final = 27
"""Of a line, from which its sum can be told, with the line end."""
_FILES: Final = LocalFiles()
_PROCESS: Final = os.getpid()

T = TypeVar("T")


class OddError(Exception):
    """Something may not be as it should be."""


class Task(NamedTuple):
    """A segment to be checked: file, first position, the sum of the line before it, and where to stop."""

    path: Path
    first: int
    seed: int
    stop: int | None = None


class Checked:
    """What is known of a segment whose lines so far are all good.

    Args:
        task: The segment.

    Attributes:
        end: Bytes of those lines.
        sum: The sum of the last of them.
        first_at: Time of the first.
        last_at: Time of the last.
        durable: The largest durable size that they state.
        offsets: Where each begins.
        span: Their part of the Merkle tree.
    """

    def __init__(self, task: Task) -> None:
        self.end = 0
        self.sum = task.seed
        self.first_at = self.last_at = ""
        self.durable = 0
        self.offsets = array("Q")
        self.span = Span(task.first)

    def take(self, chunk: list[bytes], decode: Callable[[bytes], Placed]) -> list[Placed]:
        """Check some more lines; what they say.

        Raises:
            OddError: If one of them is not the entry that should be there.
        """
        total, at, end = self.sum, self.last_at, self.end
        checked_sum, limit, append = lines.checked_sum, lines.ENTRY_LIMIT, self.offsets.append
        entries: list[Placed] = []
        for position, line in enumerate(chunk, self.span.stop):
            following = checked_sum(line, total)
            if following is None or len(line) > limit:
                raise OddError(f"the line of entry {position} has another sum, or is too long")
            entry = decode(line)
            if entry.position != position or entry.at < at:
                raise OddError(f"entry {position} is out of order")
            if entry.at != at:  # those of one change have the same
                at = entry.at
                if not is_time(at):
                    raise OddError(f"entry {position} has no time")
            if entry.durable is not None and entry.durable > self.durable:
                self.durable = entry.durable
            append(end)
            end += len(line) + 1
            total = following
            entries.append(entry)
        self.first_at = self.first_at or entries[0].at
        self.sum, self.last_at, self.end = total, at, end
        self.span.extend(chunk)
        return entries


def has_passed(log: LogReader, mark: LogMark) -> bool:
    """Whether a mark is of this log, at the end of what was read or before."""
    if mark.origin != lines.origin(log.dataset) or not 0 < mark.size <= log.size:
        return False
    return lines.stated_sum(log.line(mark.size - 1)) == mark.sum


class Joined:
    """What is proven of a log, segment by segment, in order.

    Args:
        dataset: The log's dataset.

    Attributes:
        offsets: Where each entry begins in its segment.
        ends: First position and bytes of each segment.
    """

    def __init__(self, dataset: str) -> None:
        self.offsets = array("Q")
        self.ends: list[tuple[int, int]] = []
        self._dataset = dataset
        self._span = Span()
        self._sum, self._last_at, self._durable = lines.genesis(dataset), "", 0

    def add(self, task: Task, part: Checked) -> None:
        """Take in the next segment.

        Raises:
            OddError: If it does not go on where the one before ends.
        """
        if task.first != self._span.stop or task.seed != self._sum or part.first_at < self._last_at:
            raise OddError(f"{task.path} does not follow what is before it")
        self._span.join(part.span)
        self.offsets.extend(part.offsets)
        self.ends.append((task.first, part.end))
        self._sum, self._last_at = part.sum, part.last_at
        self._durable = max(self._durable, part.durable)

    def mark(self) -> LogMark:
        """The place in the log that is behind them."""
        subtrees = [node.hex() for node in self._span.tree().subtrees]
        return LogMark(
            lines.origin(self._dataset),
            self._span.stop,
            list(self.ends),
            self._sum,
            self._last_at,
            self._durable,
            subtrees,
        )


def segments_of(folder: Path, dataset: str, stop: int | None = None) -> tuple[list[Task], int]:
    """The segments of a log that have something in them, in order, and their bytes.

    Args:
        folder: The dataset's folder of the log.
        dataset: Its name.
        stop: Only of the first so many entries.

    Raises:
        OddError: If one but the last does not end with a line.
        FileNotFoundError, StorageError: If one cannot be read.
    """
    folder = folder / "segments"
    sizes = {name: size for name, size in _FILES.scan(folder) if size and SEGMENT_NAME.match(name)}
    names = sorted(name for name in sizes if stop is None or int(name.partition(".")[0]) < stop)
    tasks, seed = [], lines.genesis(dataset)
    for name in names:
        path = folder / name
        tasks.append(Task(path, int(name.partition(".")[0]), seed, stop))
        if name != names[-1]:
            seed = _last_sum(path)
    return tasks, sum(sizes[name] for name in names)


def _last_sum(path: Path) -> int:
    reader = _FILES.reader(path)
    try:
        end = reader.read(max(reader.size() - _END_BYTES, 0), _END_BYTES)
    finally:
        reader.close()
    stated = lines.stated_sum(end[:-1])
    if stated is None or end[-1:] != b"\n":
        raise OddError(f"{path} does not end with a line")
    return stated


def in_order(work: Callable[[Task], T], tasks: list[Task], size: int, jobs: int) -> Iterator[T]:
    """The results of work on each segment; of a large log several processes share it.

    Args:
        work: A function that other processes can import.
        tasks: The segments.
        size: Their bytes.
        jobs: Processes, as joblib counts; 1 for this one alone.
    """
    count = 1
    if jobs != 1 and size >= PARALLEL_BYTES and os.getpid() == _PROCESS:  # loky does not live through a fork
        import joblib  # noqa: PLC0415 - slow to import

        count = min(joblib.effective_n_jobs(jobs), len(tasks))
    if count == 1:
        yield from map(work, tasks)
        return
    from joblib.externals.loky import ProcessPoolExecutor  # noqa: PLC0415 - as above

    # Processes of our own: those of joblib are the caller's, who may have set them to anything. And no more
    # results at a time than are needed to go on.
    with ProcessPoolExecutor(count) as pool:
        waiting = deque(pool.submit(work, task) for task in tasks[: count + 1])
        try:
            for task in [*tasks[count + 1 :], *[None] * len(waiting)]:
                yield waiting.popleft().result()
                if task is not None:
                    waiting.append(pool.submit(work, task))
        finally:
            for future in waiting:
                future.cancel()


def check_segment(task: Task, see: Callable[[list[bytes], list[Placed]], None] | None = None) -> Checked:
    """Check the whole lines of one segment.

    Args:
        task: The segment.
        see: Called with some lines that are good, and what they say, again and again.

    Raises:
        OddError: If one of them is not the entry that should be there, or there is none.
        FileNotFoundError, StorageError: If the segment cannot be read.
    """
    decode = placing_decoder()
    if decode is None:
        raise OddError("there are entries of older versions")
    checked = Checked(task)
    reader = _FILES.reader(task.path)
    try:
        for chunk in _chunks(reader):
            if task.stop is not None:
                del chunk[max(task.stop - checked.span.stop, 0) :]
            if not chunk:
                break
            entries = checked.take(chunk, decode)
            if see is not None:
                see(chunk, entries)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise OddError(f"a line of {task.path} is no entry: {error}") from error
    finally:
        reader.close()
    if not checked.end:
        raise OddError(f"{task.path} has no whole line")
    return checked


def proven(
    folder: Path, dataset: str, jobs: int, progress: Callable[[int, int], None] | None = None
) -> tuple[LogMark, "array[int]"]:
    """The place that a log comes to, and where each entry begins, if all whole lines of it are good.

    Args:
        folder: The dataset's folder of the log.
        dataset: Its name.
        jobs: As in `in_order`.
        progress: Called with how many segments are done, and of how many.

    Raises:
        OddError: If there are none, or anything is odd.
        Exception: If something cannot be read, or a process died.
    """
    tasks, size = segments_of(folder, dataset)
    if not tasks:
        raise OddError("there are no entries")
    joined = Joined(dataset)
    for number, (task, checked) in enumerate(
        zip(tasks, in_order(check_segment, tasks, size, jobs), strict=True), 1
    ):
        joined.add(task, checked)
        if progress is not None:
            progress(number, len(tasks))
    return joined.mark(), joined.offsets


def _chunks(reader: Reader) -> Iterator[list[bytes]]:
    """The whole lines of a file, some at a time, without line ends."""
    end = 0
    while whole := (data := reader.read(end, _CHUNK_BYTES)).rfind(b"\n") + 1:
        yield data[: whole - 1].split(b"\n")
        end += whole
