"""Appending to a log in local files: under the dataset's lock, all or nothing."""

import errno
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from chainfold.errors import ChainfoldError, CorruptionError, InvalidInputError, StorageError
from chainfold.events import (
    AnyEvent,
    ArtifactsDeleted,
    BlobsSwept,
    DatasetPurged,
    Entry,
    PrivateErased,
    RunCommitted,
    RunRolledBack,
    check_event,
    encode_entry,
)
from chainfold.log import checkpoint, lines
from chainfold.log.merkle import MerkleTree
from chainfold.log.segment import Segment
from chainfold.log.segments import SEGMENT_BYTES, LogReader
from chainfold.storage import Appender, Files

QUARANTINE: Final = "quarantine"
"""The folder below the log's where torn tails are kept."""
RESERVE_BYTES: Final = 128 << 10
"""Two of the largest entries, and what a file system needs beside them."""
_LEAST_RESERVE_BYTES: Final = 4 << 10
_SECTOR_BYTES: Final = 512
_CHUNK_BYTES: Final = 1 << 20
_CLOSING: Final = (RunCommitted, RunRolledBack)
_FREEING: Final = (ArtifactsDeleted, DatasetPurged, BlobsSwept, PrivateErased, RunRolledBack)
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})

logger = logging.getLogger(__name__)


class LocalLog(LogReader):
    """One dataset's log, to read and to append to.

    `append` must be called with the dataset's lock held, after a thorough `catch_up` and `recover`, so that
    what is appended follows all that others appended.
    """

    def __init__(
        self, folder: Path, dataset: str, files: Files, *, segment_bytes: int = SEGMENT_BYTES
    ) -> None:
        super().__init__(folder, dataset, files, segment_bytes=segment_bytes)
        self._appender: Appender | None = None
        self._appender_of: Segment | None = None
        self._failure: StorageError | None = None
        self._root_checked = False
        self._checkpoint_path = folder / "checkpoint"

    def close(self) -> None:
        """Let go of all files."""
        super().close()
        if self._appender is not None:
            self._appender.close()
            self._appender = None

    def recover(self) -> None:
        """Move a torn tail aside. Call with the lock held, after a thorough `catch_up`.

        Raises:
            CorruptionError: If the log is damaged: it says where, and what to restore.
            StorageError: If an earlier sync failed, or the tail cannot be moved.
        """
        self._refuse_if_broken()
        if not self._segments:
            return
        if not self._root_checked:
            self._check_root()
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
        gave_room = False
        try:
            segment, appender = self._written(data)
        except StorageError as error:
            gave_room = _frees_room(events) and self._give_room(error)
            if not gave_room:
                raise
            if self._appender is not None and self._appender_of is not None:
                self._appender.truncate(self._appender_of.end)  # again: perhaps that was what was refused
            segment, appender = self._written(data)
        if sync:
            self._synced(appender.sync)
        if self._tree.size == self.size:
            self._tree.extend(sealed)
        for entry, line in zip(entries, sealed, strict=True):
            self._accept(segment, entry.at, len(line) + 1, total)
        if sync:
            self.durable = self.size
            self._write_checkpoint()
        if gave_room:
            self.reserve()  # what is left of it: this may have been a deletion that keeps the files
        return entries

    def sync(self) -> None:
        """Make durable what is in the log, whoever wrote it. Call with the lock held, after `recover`.

        Raises:
            StorageError: If the system refuses; as `append`.
        """
        self._refuse_if_broken()
        if self.durable < self.size:
            self._synced(self._appender_to(self._segments[-1]).sync)
            self.durable = self.size
            self._write_checkpoint()

    def reserve(self) -> None:
        """Keep some room on the disk, so that on a full one a deletion can still be written down.

        Call with the lock held. Where there is not so much room any more, it is half of that, and so on.
        """
        path, wanted = self.folder / "reserve", RESERVE_BYTES
        while wanted >= _LEAST_RESERVE_BYTES:
            try:
                if (self._files.size(path) or 0) < wanted:
                    self._files.reserve(path, wanted)
            except StorageError as error:
                logger.debug("no %d bytes are reserved in %r: %s", wanted, self.dataset, error)
                wanted //= 2
            else:
                return

    # inside

    def _check_root(self) -> None:
        """Compare the log with what its checkpoint commits to, once, before this process writes another.

        Else the next write would put a commitment to a rewritten log in the place of the one that tells.
        """
        try:
            known = self.stored_checkpoint()
        except CorruptionError:
            known = None  # it was torn by a power cut: the entries tell what is durable
        if known is not None and known.size <= self.size and not self._has_root(known):
            self._mark_damage(
                f"the first {known.size} entries are not those that the checkpoint commits to (another "
                f"Merkle root): they, or it, were rewritten",
                restore="the dataset's log folder",
            )
            self._refuse_if_broken()
        self._root_checked = True

    def _has_root(self, known: checkpoint.Checkpoint) -> bool:
        """Whether the first entries have a root; a snapshot's word is not enough to say that they do not."""
        if self.root_at(known.size) == known.root:
            return True
        if not len(self._older):
            return False
        self._tree = MerkleTree()
        return self.root_at(known.size) == known.root

    def _refuse_if_broken(self) -> None:
        broken = self.damage or self.behind
        if broken is not None:
            raise broken
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
            _check_readable(line, event)
            if len(line) > lines.ENTRY_LIMIT:
                raise InvalidInputError(
                    f"a {event.kind!r} event takes {len(line):,} bytes, and an entry of the log at most "
                    f"{lines.ENTRY_LIMIT:,}: shorten its names or its list of dependencies"
                )
            entries.append(entry)
            sealed.append(line)
        return entries, sealed, total

    def _written(self, data: bytes) -> tuple[Segment, Appender]:
        segment, appender = self._segment_to_append()
        try:
            appender.append(data)
        except BaseException:
            appender.truncate(segment.end)
            raise
        return segment, appender

    def _give_room(self, error: StorageError) -> bool:
        """On a full disk, let go of what was reserved for this; whether it may be tried again with that.

        Never after a sync that failed.
        """
        return error.errno in _FULL and self._failure is None and self._files.remove(self.folder / "reserve")

    def _segment_to_append(self) -> tuple[Segment, Appender]:
        if not self._segments:
            self._begin_segment()
        segment = self._segments[-1]
        if segment.end >= self._segment_bytes and segment.first < self.size:
            self._synced(self._appender_to(segment).sync)  # sealed: durable before the next one's name is
            segment = self._begin_segment()
        return segment, self._appender_to(segment)

    def _appender_to(self, segment: Segment) -> Appender:
        """The segment, open for appending; what is in it is durable after the appender's sync."""
        if self._appender is None or self._appender_of is not segment:
            if self._appender is not None:
                self._appender.close()
                self._appender = None
            appender = self._files.appender(segment.path, create=False)
            self._write_again(segment)
            if segment.end == 0:  # also when the writer that created it died before this
                self._synced(lambda: self._files.sync_folder(segment.path.parent))
            self._appender, self._appender_of = appender, segment
        return self._appender

    def _write_again(self, segment: Segment) -> None:
        """Write what is in a segment behind the durable size over itself.

        A sync of another process may have failed, and the system have taken the lost pages for clean: then a
        sync of ours would succeed without them. From here on such an error is ours to see too, as we have the
        file open.
        """
        first = max(self.durable, segment.first)
        offset = self._offset(first) if first < self.size else segment.end
        while offset < segment.end:
            data = segment.reader.read(offset, min(_CHUNK_BYTES, segment.end - offset))
            self._files.overwrite(segment.path, data, offset)
            offset += len(data)

    def _begin_segment(self) -> Segment:
        """Start the next segment."""
        path = self._path_of(self.size)
        self._files.make_folder(path.parent)
        self._files.appender(path, create=True).close()
        segment = Segment(path, self.size, self._files).opened()
        self._add_segment(segment)
        return segment

    @property
    def failure(self) -> StorageError | None:
        """The failed sync after which it takes no more entries."""
        return self._failure

    def give_up(self, error: StorageError) -> None:
        """Take no more entries: what a failed sync has lost, nobody knows."""
        self._failure = error

    def _synced(self, sync: Callable[[], None]) -> None:
        try:
            sync()
        except StorageError as error:
            self.give_up(error)
            raise

    def _write_checkpoint(self) -> None:
        """Say what is durable. The entries are, whatever becomes of this: a failure is only logged.

        The first is renamed into place, the later ones are written over it: they never get shorter, and fit a
        sector. A new file and a rename each time would cost as much as the entry itself.
        """
        path = self._checkpoint_path
        text = checkpoint.Checkpoint(lines.origin(self.dataset), self.size, self.root()).text()
        try:
            if self._files.size(path) in range(1, min(len(text), _SECTOR_BYTES) + 1):
                self._files.overwrite(path, text)
                return
            aside = self.folder / "checkpoint.new"
            self._files.remove(aside)
            self._files.write_new(aside, text, sync=False)
            self._files.rename(aside, path)
        except OSError as error:
            logger.warning("the checkpoint of %r was not updated: %s", self.dataset, error)

    def _quarantine(self, segment: Segment) -> None:
        """Move everything from the first bad byte on to a file aside, then cut it off."""
        folder = self.folder / QUARANTINE
        stamp = f"{time.time_ns():020d}"
        kept = folder / f"{segment.path.stem}-{segment.end}-{stamp}.torn"
        try:
            length = self._copy_tail(segment, kept)
        except StorageError as error:
            if not self._give_room(error):
                raise
            length = self._copy_tail(segment, kept)
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
            length,
            kept,
        )

    def _copy_tail(self, segment: Segment, target: Path) -> int:
        """Copy what follows the last good entry, durably, a piece at a time; its length in bytes."""
        length = segment.reader.size() - segment.end
        self._files.make_folder(target.parent)
        copy = self._files.appender(target, create=True)
        try:
            for offset in range(0, length, _CHUNK_BYTES):
                copy.append(segment.reader.read(segment.end + offset, min(_CHUNK_BYTES, length - offset)))
            copy.sync()
        except BaseException:
            copy.close()
            self._files.remove(target)
            raise
        copy.close()
        return length


def _frees_room(events: Sequence[AnyEvent]) -> bool:
    return any(isinstance(event, _FREEING) for event in events)


def _check_readable(line: bytes, event: AnyEvent) -> None:
    """Nothing is appended that could not be read back: it would stop every later reader.

    Raises:
        InvalidInputError: If a value does not have the type that the format gives it.
    """
    try:
        check_event(line)
    except ChainfoldError as error:
        raise InvalidInputError(
            f"a {event.kind!r} event was not appended: {error.__cause__ or error}"
        ) from error
