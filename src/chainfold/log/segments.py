"""The log in local files: segments that only grow, read by anyone without a lock, appended to under one."""

import itertools
import logging
import re
import time
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from chainfold.errors import ChainfoldError, CorruptionError, InvalidInputError, StorageError
from chainfold.events import (
    AnyEvent,
    Entry,
    RunCommitted,
    RunRolledBack,
    decode_entry,
    encode_entry,
)
from chainfold.log import checkpoint, lines
from chainfold.log.merkle import MerkleTree
from chainfold.storage import Appender, Files, Reader

SEGMENT_BYTES: Final = 64 << 20
"""A segment of this size or more is sealed: the next entry starts a new one."""
_CHUNK_BYTES: Final = 1 << 20
_SUM_BYTES: Final = 26
_SEGMENT_NAME: Final = re.compile(r"([0-9]{20})\.jsonl\Z")
_CLOSING: Final = (RunCommitted, RunRolledBack)

logger = logging.getLogger(__name__)


class LogRewoundError(ChainfoldError):
    """Entries that were read, but never acknowledged, are gone again: whoever folded them starts over."""


class _Segment:
    """A file of entries: its first position, and how many of its bytes are known to be good."""

    def __init__(self, path: Path, first: int, reader: Reader) -> None:
        self.path = path
        self.first = first
        self.reader = reader
        self.end = 0


class LocalLog:
    """One dataset's log.

    Reading takes no lock and changes nothing. `append` must be called with the dataset's lock held, after
    `catch_up` and `recover`, so that what is appended follows all that others appended.

    Attributes:
        size: Entries read or appended so far.
        durable: How many entries are known to be durable.
        damage: Set when the log is corrupt: reading stops before it, appending is refused with it.
    """

    def __init__(
        self, folder: Path, dataset: str, files: Files, *, segment_bytes: int = SEGMENT_BYTES
    ) -> None:
        self.folder = folder
        self.dataset = dataset
        self.size = 0
        self.durable = 0
        self.damage: ChainfoldError | None = None
        self._files = files
        self._segment_bytes = segment_bytes
        self._segments: list[_Segment] = []
        self._offsets = array("Q")
        self._sum = lines.genesis(dataset)
        self._last_at = ""
        self._fresh = True
        self._torn_at: tuple[int, int] | None = None
        self._appender: Appender | None = None
        self._appender_of: _Segment | None = None
        self._failure: StorageError | None = None
        self._tree = MerkleTree()

    # reading

    def catch_up(self) -> Iterator[Entry]:
        """The entries that follow those read so far; each is counted as it is yielded.

        Raises:
            LogRewoundError: If the log is no longer the one that was read so far.
            UnknownEventError: At an event of another release.
        """
        if self.damage is not None:
            return
        foreign = ""
        if self._fresh:
            # Both before the entries: entries appended in between are no shortage.
            foreign = self._heed_checkpoint()
            self._heed_names()
        while (segment := self._growing()) is not None:
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

    def line(self, position: int) -> bytes:
        """The bytes of one entry, without line end, its sum checked.

        Raises:
            IndexError: If there is no such entry.
            CorruptionError: If the bytes are no longer those that were read.
        """
        if not 0 <= position < self.size:
            raise IndexError(f"the log of {self.dataset!r} has no entry {position}: its size is {self.size}")
        index = bisect_right(self._segments, position, key=lambda segment: segment.first) - 1
        segment = self._segments[index]
        start = self._offsets[position]
        is_last = position + 1 == self.size or self._starts_segment(position + 1)
        end = segment.end if is_last else self._offsets[position + 1]
        before = _SUM_BYTES + 1 if position > segment.first else 0
        data = segment.reader.read(start - before, end - start + before)
        seed = lines.stated_sum(data[:_SUM_BYTES]) if before else self._sum_before(index)
        line = data[before:-1]
        if seed is None or lines.checked_sum(line, seed) is None:
            raise CorruptionError(
                f"{self._place(segment, start, position)}: the entry has changed since it was read; "
                f"restore the segment from a copy"
            )
        return line

    def entry(self, position: int) -> Entry:
        """One entry; as `line`."""
        return decode_entry(self.line(position))

    def raw_lines(self, start: int = 0) -> Iterator[bytes]:
        """The lines from a position on, without line ends, unchecked."""
        for index, segment in enumerate(self._segments):
            stop = self._segments[index + 1].first if index + 1 < len(self._segments) else self.size
            first = max(start, segment.first)
            if first >= stop:
                continue
            offset, rest = self._offsets[first], b""
            while offset < segment.end:
                data = segment.reader.read(offset, min(_CHUNK_BYTES, segment.end - offset))
                if not data:
                    return
                offset += len(data)
                *whole, rest = (rest + data).split(b"\n")
                yield from whole

    def size_bytes(self, size: int) -> int:
        """Bytes of the first `size` entries, line ends included."""
        whole = [segment for segment in self._segments if segment.first < size]
        total = sum(segment.end for segment in whole)
        if whole and size < self.size and not self._starts_segment(size):
            total += self._offsets[size] - whole[-1].end
        return total

    def root(self) -> bytes:
        """The Merkle root over all entries, 32 bytes. It hashes what is new since it was last asked."""
        if self._tree.size < self.size:
            self._tree.extend(self.raw_lines(self._tree.size))
        return self._tree.root()

    def root_at(self, size: int) -> bytes:
        """The Merkle root over the first `size` entries, by hashing them all."""
        tree = MerkleTree()
        tree.extend(itertools.islice(self.raw_lines(), size))
        return tree.root()

    def stored_checkpoint(self) -> checkpoint.Checkpoint | None:
        """What the checkpoint file says; None if there is none.

        Raises:
            CorruptionError: If it is not a checkpoint.
        """
        try:
            return checkpoint.parse(self._files.read(self.folder / "checkpoint"))
        except FileNotFoundError:
            return None

    def close(self) -> None:
        """Let go of all files."""
        for segment in self._segments:
            segment.reader.close()
        if self._appender is not None:
            self._appender.close()
            self._appender = None

    # appending

    def recover(self) -> None:
        """Move a torn tail aside. Call with the lock held, after `catch_up`.

        Raises:
            CorruptionError: If the log is damaged: it says where, and what to restore.
            StorageError: If an earlier sync failed, or the tail cannot be moved.
        """
        self._refuse_if_broken()
        if not self._segments:
            return
        segment = self._segments[-1]
        if segment.reader.size() > segment.end:
            self._quarantine(segment)

    def append(
        self, events: Sequence[AnyEvent], *, actor: str, run: str | None = None, sync: bool
    ) -> list[Entry]:
        """Append events as entries, all or none; with `sync` the whole log is durable when it returns.

        Raises:
            InvalidInputError: If an event is too large for an entry.
            StorageError: If the system refuses. Nothing was acknowledged; after a failed sync the log takes
                no more entries until it is opened anew.
        """
        self._refuse_if_broken()
        entries, sealed, total = self._sealed(events, actor, run)
        data = b"".join(line + b"\n" for line in sealed)
        segment, appender = self._segment_to_append()
        try:
            appender.append(data)
        except BaseException:
            appender.truncate(segment.end)
            raise
        if sync:
            self._synced(appender.sync)
        if self._tree.size == self.size:
            self._tree.extend(sealed)
        for entry, line in zip(entries, sealed, strict=True):
            self._accept(segment, entry.at, len(line) + 1, total)
        if sync:
            self.durable = self.size
            self._write_checkpoint()
        return entries

    # reading, inside

    def _ends_early(self) -> bool:
        return self._fresh and self.damage is None and self.size < self.durable

    def _growing(self) -> _Segment | None:
        """The segment that has bytes not read yet, opened if it is a new one."""
        if self._segments:
            segment = self._segments[-1]
            size = segment.reader.size()
            if size > segment.end:
                return segment
            if size < segment.end:
                raise LogRewoundError(f"{segment.path} has shrunk")
            if segment.end < self._segment_bytes and not self._fresh:
                return None
        return self._open_segment()

    def _open_segment(self) -> _Segment | None:
        if self._segments and self._segments[-1].first == self.size:
            return None  # the last segment is still empty
        path = self._path_of(self.size)
        try:
            reader = self._files.reader(path)
        except FileNotFoundError:
            return None
        segment = _Segment(path, self.size, reader)
        self._segments.append(segment)
        return segment if reader.size() else None

    def _read_on(self, segment: _Segment) -> Iterator[Entry]:
        """The good entries after the segment's known end, up to the first line that is bad or unfinished."""
        while True:
            data = segment.reader.read(segment.end, _CHUNK_BYTES)
            whole = data.rfind(b"\n")
            if whole < 0:
                if len(data) > lines.ENTRY_LIMIT:
                    self._judge(segment, data)
                return
            for line in data[:whole].split(b"\n"):
                total = lines.checked_sum(line, self._sum)
                if total is None:
                    self._judge(segment, line)
                    return
                entry = decode_entry(line)
                if entry.position != self.size:
                    self._judge(segment, line)
                    return
                self._accept(segment, entry.at, len(line) + 1, total)
                if entry.durable is not None and entry.durable > self.durable:
                    self.durable = entry.durable
                yield entry

    def _accept(self, segment: _Segment, at: str, length: int, total: int) -> None:
        self._offsets.append(segment.end)
        segment.end += length
        self._sum = total
        self._last_at = at
        self.size += 1

    def _judge(self, segment: _Segment, bad: bytes) -> None:
        """Tell a torn tail, which is left to the next writer, from corruption, which is never touched."""
        if self._torn_at == (segment.first, segment.end):
            return
        if not self._fresh:
            raise LogRewoundError(f"{self._place(segment, segment.end, self.size)} was rewritten")
        stated = self._durable_after(segment)
        if segment.reader.read(segment.end, len(bad)) != bad:
            return  # a writer has just cleaned up here: what was found behind it may be newer than it
        self.durable = max(self.durable, stated)
        if self.size < self.durable:
            self._mark_damage("the entry is not what was acknowledged (its sum is wrong)")
        else:
            self._torn_at = (segment.first, segment.end)

    def _durable_after(self, segment: _Segment) -> int:
        """The durable size that good lines behind a bad one state.

        A line counts when its sum follows from the sum that the line before it states.
        """
        stated, offset, rest = 0, segment.end, b""
        before: int | None = None
        while data := segment.reader.read(offset, _CHUNK_BYTES):
            offset += len(data)
            *whole, rest = (rest + data).split(b"\n")
            for line in whole:
                if before is not None and lines.checked_sum(line, before) is not None:
                    try:
                        stated = max(stated, decode_entry(line).durable or 0)
                    except ChainfoldError:
                        logger.debug("a line behind a bad one is not an entry", exc_info=True)
                before = lines.stated_sum(line)
            if len(rest) > lines.ENTRY_LIMIT:
                rest, before = b"", None
        return stated

    def _heed_names(self) -> None:
        """A segment got its name after all entries before it were durable."""
        for name, _ in self._files.scan(self.folder / "segments"):
            if match := _SEGMENT_NAME.match(name):
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

    def _mark_damage(self, what: str, restore: str = "this segment (and those after it)") -> None:
        if self._segments:
            segment = self._segments[-1]
            place = self._place(segment, segment.end, self.size)
        else:
            place = self._place_of(self._path_of(0), 0, 0)
        self.damage = CorruptionError(
            f"{place}: {what}. The {self.size} entries before it stay readable, writing is refused. Restore "
            f"{restore} from a copy, then open the workspace again"
        )

    def _place(self, segment: _Segment, offset: int, position: int) -> str:
        return self._place_of(segment.path, offset, position)

    def _place_of(self, path: Path, offset: int, position: int) -> str:
        return f"log of dataset {self.dataset!r}, segment {path.name}, byte {offset}, position {position}"

    def _path_of(self, first: int) -> Path:
        return self.folder / "segments" / f"{first:020d}.jsonl"

    def _starts_segment(self, position: int) -> bool:
        index = bisect_right(self._segments, position, key=lambda segment: segment.first) - 1
        return self._segments[index].first == position

    def _sum_before(self, index: int) -> int | None:
        if index == 0:
            return lines.genesis(self.dataset)
        earlier = self._segments[index - 1]
        return lines.stated_sum(earlier.reader.read(earlier.end - 1 - _SUM_BYTES, _SUM_BYTES))

    # appending, inside

    def _refuse_if_broken(self) -> None:
        if self.damage is not None:
            raise self.damage
        if self._failure is not None:
            raise self._failure

    def _sealed(
        self, events: Sequence[AnyEvent], actor: str, run: str | None
    ) -> tuple[list[Entry], list[bytes], int]:
        at, total = lines.now(self._last_at), self._sum
        entries, sealed = [], []
        for number, event in enumerate(events):
            # Inside a run nothing is promised yet; every other entry states what was durable before it.
            durable = None if run is not None and not isinstance(event, _CLOSING) else self.durable
            entry = Entry(self.size + number, at, actor, event, run, durable)
            line, total = lines.seal(encode_entry(entry), total)
            if len(line) > lines.ENTRY_LIMIT:
                raise InvalidInputError(
                    f"a {event.kind!r} event takes {len(line):,} bytes, and an entry of the log at most "
                    f"{lines.ENTRY_LIMIT:,}: shorten its names or its list of dependencies"
                )
            entries.append(entry)
            sealed.append(line)
        return entries, sealed, total

    def _segment_to_append(self) -> tuple[_Segment, Appender]:
        segment = self._segments[-1] if self._segments else None
        if segment is None or (segment.end >= self._segment_bytes and segment.first < self.size):
            segment = self._new_segment()
        if self._appender is None or self._appender_of is not segment:
            if self._appender is not None:
                self._appender.close()
            self._appender = self._files.appender(segment.path, create=False)
            self._appender_of = segment
            if segment.end == 0:  # also when the writer that created it died before this
                self._synced(lambda: self._files.sync_folder(segment.path.parent))
        return segment, self._appender

    def _new_segment(self) -> _Segment:
        """Seal the last segment and start the next: the sealed one is durable before the new name is."""
        if self._segments:
            appender = self._files.appender(self._segments[-1].path, create=False)
            try:
                self._synced(appender.sync)
            finally:
                appender.close()
        path = self._path_of(self.size)
        self._files.make_folder(path.parent)
        self._files.appender(path, create=True).close()
        segment = _Segment(path, self.size, self._files.reader(path))
        self._segments.append(segment)
        return segment

    def _synced(self, sync: Callable[[], None]) -> None:
        try:
            sync()
        except StorageError as error:
            self._failure = error
            raise

    def _write_checkpoint(self) -> None:
        """Say what is durable. The entries are, whatever becomes of this: a failure is only logged."""
        aside = self.folder / "checkpoint.new"
        text = checkpoint.Checkpoint(lines.origin(self.dataset), self.size, self.root()).text()
        try:
            self._files.remove(aside)
            self._files.write_new(aside, text, sync=False)
            self._files.rename(aside, self.folder / "checkpoint")
        except OSError as error:
            logger.warning("the checkpoint of %r was not updated: %s", self.dataset, error)

    def _quarantine(self, segment: _Segment) -> None:
        """Move everything from the first bad byte on to a file aside, then cut it off."""
        folder = self.folder / "quarantine"
        self._files.make_folder(folder)
        stamp = f"{time.time_ns():020d}"
        torn = segment.reader.read(segment.end, segment.reader.size() - segment.end)
        kept = folder / f"{segment.path.stem}-{segment.end}-{stamp}.torn"
        self._files.write_new(kept, torn, sync=True)
        for name, _ in sorted(self._files.scan(segment.path.parent)):
            if name > segment.path.name:  # never acknowledged either: they follow what was torn
                self._files.rename(segment.path.parent / name, folder / f"{name}-{stamp}.torn")
        self._files.sync_folder(folder)
        appender = self._files.appender(segment.path, create=False)
        try:
            appender.truncate(segment.end)
            appender.sync()
        finally:
            appender.close()
        logger.warning(
            "%s: moved an unfinished tail of %d bytes, never acknowledged, to %s",
            self._place(segment, segment.end, self.size),
            len(torn),
            kept,
        )
