"""Reading a log in local files: by anyone, without a lock, while it grows."""

import itertools
import logging
import os
import re
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from chainfold.errors import ChainfoldError, CorruptionError
from chainfold.events import Entry, decode_entry
from chainfold.log import checkpoint, lines
from chainfold.log.mark import LogMark, Numbers
from chainfold.log.merkle import MerkleTree
from chainfold.log.segment import CHUNK_BYTES, SUM_BYTES, Segment, stated_durable
from chainfold.storage import Files

SEGMENT_BYTES: Final = 64 << 20
"""A segment of this size or more is sealed: the next entry starts a new one."""
TAIL_BYTES: Final = 256 << 20
"""More than a writer leaves behind the last good entry: it is not looked through, nor moved aside."""
_BEFORE: Final = SUM_BYTES + 1
"""Bytes of the line before that are read with a line: its sum, and its line end."""
SEGMENT_NAME: Final = re.compile(r"([0-9]{20})\.jsonl\Z")

logger = logging.getLogger(__name__)


class LogRewoundError(ChainfoldError):
    """Entries that were read, but never acknowledged, are gone again: whoever folded them starts over."""


class LogReader:
    """One dataset's log, read only. It takes no lock and changes nothing.

    Attributes:
        size: Entries read so far.
        durable: How many entries are known to be durable.
        damage: Set when the log is corrupt: reading stops before it.
        wrong_sum: The sum that a damaged entry states, and that of the bytes that are there.
        behind: Set when an entry of before a mark (see `resume`) is found to be corrupt: reading goes on.
    """

    def __init__(
        self, folder: Path, dataset: str, files: Files, *, segment_bytes: int = SEGMENT_BYTES
    ) -> None:
        self.folder = folder
        self.dataset = dataset
        self.size = 0
        self.durable = 0
        self.damage: ChainfoldError | None = None
        self.wrong_sum = ("", "")
        self._files = files
        self._segment_bytes = segment_bytes
        self._segments: list[Segment] = []
        self._firsts: list[int] = []
        self._older: Numbers = ()  # offsets of the entries before the mark
        self._offsets = array("Q")
        self._sum = lines.genesis(dataset)
        self._last_at = ""
        self._fresh = True
        self.behind: CorruptionError | None = None
        self._torn_at: tuple[int, int] | None = None
        self._next_path = (-1, folder)
        self._tree = MerkleTree()

    def catch_up(self, *, thorough: bool = False) -> Iterator[Entry]:
        """The entries that follow those read so far; each is counted as it is yielded.

        Args:
            thorough: Look for a next segment also while the last one is not full: another writer may seal
                earlier. Who is about to append must know.

        Raises:
            LogRewoundError: If the log is no longer the one that was read so far.
            UnknownEventError: At an event of another release.
            CorruptionError: At a line with a right sum that is no entry: no accident makes those. It is the
                `damage` from then on.
        """
        if self.damage is not None:
            return
        foreign = ""
        if self._fresh:
            # Both before the entries: entries appended in between are no shortage.
            foreign = self._heed_checkpoint()
            self._heed_names()
        while (segment := self._growing(thorough=thorough or self._fresh)) is not None:
            yield from self._read_on(segment)
            if segment.reader.size() > segment.end or self.damage is not None:
                break  # a writer's unfinished line, or a bad one
        if self._ends_early():
            self._mark_damage("the log ends here, but a checkpoint or a later entry has acknowledged more")
        if foreign:
            self._mark_damage(
                f"the checkpoint belongs to another log, {foreign!r}", restore="the dataset's log folder"
            )
        self._fresh = False

    def has_news(self) -> bool:
        """Whether there may be entries that were not read; cheaper than to look for them."""
        segments = self._segments
        if self._fresh or self.damage is not None or not segments:
            return True
        segment = segments[-1]
        if (segment.file or segment.reader).size() != segment.end:  # a property costs as much as the rest
            return True
        return segment.end >= self._segment_bytes and self._files.size(self._path_of(self.size)) is not None

    def line(self, position: int) -> bytes:
        """The bytes of one entry, without line end, its sum checked.

        Raises:
            IndexError: If there is no such entry.
            CorruptionError: If the bytes are no longer those that were read.
        """
        if not 0 <= position < self.size:
            raise IndexError(f"the log of {self.dataset!r} has no entry {position}: its size is {self.size}")
        firsts, older, after = self._firsts, self._older, position + 1
        index = bisect_right(firsts, position)
        segment = self._segments[index - 1]
        if after < self.size - len(self._offsets):  # as most are: both are older
            start, end = older[position], older[after]
        else:
            start, end = self._offset(position), self._offset(after) if after < self.size else 0
        if after == self.size or (index < len(firsts) and firsts[index] == after):
            end = segment.end
        if position > segment.first:
            data = (segment.file or segment.reader).read(start - _BEFORE, end - start + _BEFORE)
            line = data[_BEFORE:-1]
            if lines.follows(line, data[:SUM_BYTES]):
                return line
        else:
            line, seed = segment.reader.read(start, end - start)[:-1], self._sum_before(index - 1)
            if seed is not None and lines.checked_sum(line, seed) is not None:
                return line
        self.behind = CorruptionError(
            f"{self._place(segment, start, position)}: the entry is not what was written (its sum is wrong); "
            f"restore the segment from a copy, then open the workspace again. Until then writing is refused"
        )
        raise self.behind

    def entry(self, position: int) -> Entry:
        """One entry; as `line`."""
        return decode_entry(self.line(position))

    def place(self, position: int) -> str:
        """Where an entry is that was read, in words."""
        segment = self._segments[bisect_right(self._firsts, position) - 1]
        return f"segment {segment.path.name}, byte {self._offset(position)}"

    def raw_lines(self, start: int = 0) -> Iterator[bytes]:
        """The lines from a position on, without line ends, unchecked."""
        for index, segment in enumerate(self._segments):
            stop = self._segments[index + 1].first if index + 1 < len(self._segments) else self.size
            first = max(start, segment.first)
            if first >= stop:
                continue
            offset, rest = self._offset(first), b""
            while offset < segment.end:
                data = segment.reader.read(offset, min(CHUNK_BYTES, segment.end - offset))
                if not data:
                    return
                offset += len(data)
                *whole, rest = (rest + data).split(b"\n")
                yield from whole

    def size_bytes(self, size: int) -> int:
        """Bytes of the first `size` entries, line ends included."""
        whole = self._segments[: bisect_left(self._firsts, size)]
        total = sum(segment.end for segment in whole)
        if whole and size < self.size and not self._starts_segment(size):
            total += self._offset(size) - whole[-1].end
        return total

    def mark(self) -> LogMark:
        """What must be known of all that was read so far, to go on behind it later; see `resume`."""
        self.root()
        ends = [(segment.first, segment.end) for segment in self._segments]
        tree = [node.hex() for node in self._tree.subtrees]
        durable = min(self.durable, self.size)  # a checkpoint may know of more than was read
        return LogMark(lines.origin(self.dataset), self.size, ends, self._sum, self._last_at, durable, tree)

    def offsets(self) -> tuple[Numbers, "array[int]"]:
        """Where each entry begins in its segment: those of before the mark, and those read since."""
        return self._older, self._offsets

    def resume(self, mark: LogMark, offsets: Numbers) -> bool:
        """Begin behind a mark, before anything was read; False if it is not of this log as it is now.

        Only the last entry before the mark is read, since its sum depends on all that were before it; and
        those that were not durable at the mark: a power cut may have taken any part of them.
        """
        if mark.origin != lines.origin(self.dataset) or mark.size != len(offsets) or not mark.is_sound():
            return False
        sizes = dict(self._files.scan(self.folder / "segments"))
        for number, (first, end) in enumerate(mark.segments):
            size = sizes.get(self._path_of(first).name, -1)
            if size < end or (size > end and number + 1 < len(mark.segments)):
                return False
        for first, end in mark.segments:
            self._add_segment(Segment(self._path_of(first), first, self._files, end))
        self._older, self.size, self._sum = offsets, mark.size, mark.sum
        try:
            self._segments[-1].opened()
            fits = self._fits(mark)
        except (ChainfoldError, OSError, IndexError):
            fits = False
        if not fits:
            self.close()
            self._segments, self._firsts, self._older = [], [], ()
            self.size, self._sum, self.behind = 0, lines.genesis(self.dataset), None
            return False
        self._last_at, self.durable = mark.last_at, mark.durable
        self._tree = MerkleTree(mark.size, map(bytes.fromhex, mark.subtrees))
        return True

    def rest_on(self, offsets: Numbers) -> None:
        """Hold the offsets of so many entries no longer: they are kept elsewhere, as `offsets` gave them."""
        del self._offsets[: len(offsets) - len(self._older)]
        self._older = offsets

    def root(self) -> bytes:
        """The Merkle root over all entries, 32 bytes. It hashes what is new since it was last asked."""
        return self.root_at(self.size)

    def root_at(self, size: int) -> bytes:
        """The Merkle root over the first `size` entries; as `root`, unless more was hashed already."""
        tree = self._tree if self._tree.size <= size else MerkleTree()
        tree.extend(itertools.islice(self.raw_lines(tree.size), size - tree.size))
        return tree.root()

    def stored_checkpoint(self) -> checkpoint.Checkpoint | None:
        """What the checkpoint file says; None if there is none.

        Raises:
            CorruptionError: If it is not a checkpoint.
        """
        path = self.folder / "checkpoint"
        size = self._files.size(path)
        if size is None:
            return None
        if size > checkpoint.MAX_BYTES or os.path.islink(path):  # noqa: PTH114 - it raises nothing
            raise CorruptionError(f"not a checkpoint: a link, or a file of {size:,} bytes")
        try:
            text = self._files.read(path)
            while (again := self._files.read(path)) != text:
                text = again  # a writer was just at it
        except FileNotFoundError:
            return None
        return checkpoint.parse(text)

    def is_in_place(self) -> bool:
        """Whether its last segment is still the file of that name: workspaces are removed, and made again."""
        return not self._segments or self._segments[-1].reader.is_at(self._segments[-1].path)

    def close(self) -> None:
        """Let go of all files."""
        for segment in self._segments:
            segment.close()

    # inside

    def _fits(self, mark: LogMark) -> bool:
        """Whether the entries before a mark are those that it was made of."""
        line = self.line(mark.size - 1)
        last = decode_entry(line)
        if (lines.stated_sum(line), last.position, last.at) != (mark.sum, mark.size - 1, mark.last_at):
            return False
        durable = mark.durable
        if durable < mark.size:
            self._heed_checkpoint()  # most often they have become durable since
            self._heed_names()
            durable = max(durable, self.durable)
        for position in range(durable, mark.size - 1):
            self.line(position)
        return True

    def _ends_early(self) -> bool:
        return self._fresh and self.damage is None and self.size < self.durable

    def _growing(self, *, thorough: bool) -> Segment | None:
        """The segment that has bytes not read yet, opened if it is a new one."""
        if self._segments:
            segment = self._segments[-1]
            size = segment.reader.size()
            if size > segment.end:
                return segment
            if size < segment.end:
                raise LogRewoundError(f"{segment.path} has shrunk")
            if segment.end < self._segment_bytes and not thorough:
                return None
        return self._open_segment()

    def _open_segment(self) -> Segment | None:
        if self._segments and self._segments[-1].first == self.size:
            return None  # the last segment is still empty
        path = self._path_of(self.size)
        if self._files.size(path) is None:
            return None
        segment = Segment(path, self.size, self._files)
        size = segment.reader.size()
        self._add_segment(segment)
        return segment if size else None

    def _add_segment(self, segment: Segment) -> None:
        self._segments.append(segment)
        self._firsts.append(segment.first)

    def _offset(self, position: int) -> int:
        older = len(self._older)
        return self._offsets[position - older] if position >= older else self._older[position]

    def _read_on(self, segment: Segment) -> Iterator[Entry]:
        """The good entries after the segment's known end, up to the first line that is bad or unfinished."""
        while True:
            data = segment.reader.read(segment.end, CHUNK_BYTES)
            whole = data.rfind(b"\n")
            if whole < 0:
                if len(data) > lines.ENTRY_LIMIT:
                    self._judge(segment, data)
                return
            for line in data[:whole].split(b"\n"):
                total = lines.checked_sum(line, self._sum)
                if total is None or len(line) > lines.ENTRY_LIMIT:
                    self._judge(segment, line)
                    return
                try:
                    entry = decode_entry(line)
                except CorruptionError as error:
                    raise self._mark_damage(str(error)) from error
                if entry.position != self.size:
                    self._judge(segment, line)
                    return
                self._accept(segment, entry.at, len(line) + 1, total)
                if entry.durable is not None and entry.durable > self.durable:
                    self.durable = entry.durable
                yield entry

    def _accept(self, segment: Segment, at: str, length: int, total: int) -> None:
        self._offsets.append(segment.end)
        segment.end += length
        self._sum = total
        self._last_at = at
        self.size += 1

    def _judge(self, segment: Segment, bad: bytes) -> None:
        """Tell a torn tail, which is left to the next writer, from corruption, which is never touched."""
        if self._torn_at == (segment.first, segment.end):
            return
        if not self._fresh:
            raise LogRewoundError(f"{self._place(segment, segment.end, self.size)} was rewritten")
        if segment.reader.size() - segment.end > TAIL_BYTES:
            self._mark_damage(f"no entry, and more than the {TAIL_BYTES:,} bytes that a writer may leave")
            return
        stated = stated_durable(segment)
        if segment.reader.read(segment.end, len(bad)) != bad:
            return  # a writer has just cleaned up here: what was found behind it may be newer than it
        self.durable = max(self.durable, stated)
        if self.size < self.durable:
            self._mark_damage("the entry is not what was acknowledged (its sum is wrong)")
            if lines.stated_sum(bad) is not None:
                self.wrong_sum = lines.sums(bad, self._sum)
        else:
            self._torn_at = (segment.first, segment.end)

    def _heed_names(self) -> None:
        """A segment got its name after all entries before it were durable."""
        for name, _ in self._files.scan(self.folder / "segments"):
            if match := SEGMENT_NAME.match(name):
                self.durable = max(self.durable, int(match[1]))

    def _heed_checkpoint(self) -> str:
        """Take the durable size from the checkpoint; its origin if it is another log's, else ""."""
        try:
            known = self.stored_checkpoint()
        except CorruptionError as error:
            # It is renamed without a sync of its own, so a power cut may leave it empty; the entries state
            # the durable size too.
            logger.warning("ignoring %s: %s", self.folder / "checkpoint", error)
            return ""
        if known is not None and known.origin != lines.origin(self.dataset):
            return known.origin
        if known is not None:
            self.durable = max(self.durable, known.size)
        return ""

    def _mark_damage(self, what: str, restore: str = "this segment (and those after it)") -> CorruptionError:
        if self._segments:
            segment = self._segments[-1]
            place = self._place(segment, segment.end, self.size)
        else:
            place = self._place_of(self._path_of(0), 0, 0)
        self.damage = CorruptionError(
            f"{place}: {what}. The {self.size} entries before it stay readable, writing is refused. Restore "
            f"{restore} from a copy, then open the workspace again"
        )
        return self.damage

    def _place(self, segment: Segment, offset: int, position: int) -> str:
        return self._place_of(segment.path, offset, position)

    def _place_of(self, path: Path, offset: int, position: int) -> str:
        return f"log of dataset {self.dataset!r}, segment {path.name}, byte {offset}, position {position}"

    def _path_of(self, first: int) -> Path:
        if self._next_path[0] != first:  # asked for at each lookup while the last segment is full
            self._next_path = (first, self.folder / "segments" / f"{first:020d}.jsonl")
        return self._next_path[1]

    def _starts_segment(self, position: int) -> bool:
        return self._firsts[bisect_right(self._firsts, position) - 1] == position

    def _sum_before(self, index: int) -> int | None:
        if index == 0:
            return lines.genesis(self.dataset)
        earlier = self._segments[index - 1]
        return lines.stated_sum(earlier.reader.read(earlier.end - 1 - SUM_BYTES, SUM_BYTES))
