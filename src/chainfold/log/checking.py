"""A log proven good, segment by segment: what a full check needs that is to be fast.

Each segment is checked from the sum that ends the one before, so processes can share them. Nothing here tells
what is wrong: whatever is odd, `LogReader` reads the log from its beginning and finds the words for it.
"""

import logging
from array import array
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from chainfold.errors import ChainfoldError
from chainfold.events import Placed, is_time, placing_decoder
from chainfold.log import lines
from chainfold.log.mark import LogMark
from chainfold.log.merkle import Span
from chainfold.log.segments import SEGMENT_BYTES, SEGMENT_NAME, LogReader
from chainfold.storage import LocalFiles, Reader

PARALLEL_BYTES: Final = 4 * SEGMENT_BYTES
"""Smaller logs are checked in this process: to start others takes as long."""
_CHUNK_BYTES: Final = 1 << 20
_END_BYTES: Final = 27
"""Of a line, from which its sum can be told, with the line end."""
_FILES: Final = LocalFiles()

logger = logging.getLogger(__name__)


class OddError(Exception):
    """Something may not be as it should be."""


class Task(NamedTuple):
    """A segment to be checked: its file, its first position, and the sum of the line before it."""

    path: Path
    first: int
    seed: int


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

    def take(self, chunk: list[bytes], decode: Callable[[bytes], Placed]) -> None:
        """Check some more lines.

        Raises:
            OddError: If one of them is not the entry that should be there.
        """
        total, at, end = self.sum, self.last_at, self.end
        checked_sum, limit, append = lines.checked_sum, lines.ENTRY_LIMIT, self.offsets.append
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
        self.first_at = self.first_at or decode(chunk[0]).at
        self.sum, self.last_at, self.end = total, at, end
        self.span.extend(chunk)


class Proof(NamedTuple):
    """How far a log is good, and where its entries begin: for `LogReader.resume`."""

    mark: LogMark
    offsets: "array[int]"


def prove(folder: Path, dataset: str, jobs: int = 1) -> Proof | None:
    """Check all whole lines of a log in files of this machine: sums, order, times, and that they are entries.

    Args:
        folder: The dataset's folder of the log.
        dataset: Its name.
        jobs: Processes that share the segments of a large log, as joblib counts; 1 for this one alone.

    Returns:
        What was proven; None if there is nothing, or anything is odd. A line at the end that is not whole is
        left to whoever reads on.
    """
    try:
        tasks, size = _tasks(folder / "segments", dataset)
        parallel = jobs != 1 and len(tasks) > 1 and size >= PARALLEL_BYTES
        return _joined(dataset, tasks, _in_parallel(tasks, jobs) if parallel else map(check_segment, tasks))
    except (OddError, ChainfoldError, OSError, RuntimeError) as error:  # RuntimeError: a process that died
        logger.debug("the log of %r is not proven good: %s", dataset, error)
        return None


def has_passed(log: LogReader, mark: LogMark) -> bool:
    """Whether a mark is of this log, at the end of what was read or before."""
    if mark.origin != lines.origin(log.dataset) or not 0 < mark.size <= log.size:
        return False
    return lines.stated_sum(log.line(mark.size - 1)) == mark.sum


def _tasks(folder: Path, dataset: str) -> tuple[list[Task], int]:
    """The segments that have something in them, in order, and their bytes."""
    sizes = {name: size for name, size in _FILES.scan(folder) if size and SEGMENT_NAME.match(name)}
    names = sorted(sizes)
    tasks, seed = [], lines.genesis(dataset)
    for name in names:
        path = folder / name
        tasks.append(Task(path, int(name.partition(".")[0]), seed))
        if name != names[-1]:
            seed = _last_sum(path)
    return tasks, sum(sizes.values())


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


def _in_parallel(tasks: list[Task], jobs: int) -> list[Checked]:
    import joblib  # noqa: PLC0415 - slow to import

    parallel = joblib.Parallel(min(joblib.effective_n_jobs(jobs), len(tasks)), prefer="processes")
    checked: list[Checked] = parallel(joblib.delayed(check_segment)(task) for task in tasks)
    return checked


def _joined(dataset: str, tasks: list[Task], checked: Iterable[Checked]) -> Proof | None:
    """One proof of many, if each goes on where the one before ends."""
    span, offsets, ends = Span(), array("Q"), []
    total, last_at, durable = lines.genesis(dataset), "", 0
    for task, part in zip(tasks, checked, strict=True):
        if task.first != span.stop or task.seed != total or part.first_at < last_at:
            raise OddError(f"{task.path} does not follow what is before it")
        span.join(part.span)
        offsets.extend(part.offsets)
        ends.append((task.first, part.end))
        total, last_at, durable = part.sum, part.last_at, max(durable, part.durable)
    if not span.stop:
        return None
    subtrees = [node.hex() for node in span.tree().subtrees]
    mark = LogMark(lines.origin(dataset), span.stop, ends, total, last_at, durable, subtrees)
    return Proof(mark, offsets)


def check_segment(task: Task) -> Checked:
    """Check the whole lines of one segment.

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
            checked.take(chunk, decode)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise OddError(f"a line of {task.path} is no entry: {error}") from error
    finally:
        reader.close()
    if not checked.end:
        raise OddError(f"{task.path} has no whole line")
    return checked


def _chunks(reader: Reader) -> Iterator[list[bytes]]:
    """The whole lines of a file, some at a time, without line ends."""
    end = 0
    while whole := (data := reader.read(end, _CHUNK_BYTES)).rfind(b"\n") + 1:
        yield data[: whole - 1].split(b"\n")
        end += whole
