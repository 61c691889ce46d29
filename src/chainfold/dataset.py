"""A dataset: one log, its blobs, and the projections of the log, kept together.

Nothing here knows why something is appended; the commands do. All changes go through `writing`, which makes
this process the only writer and brings the projections up to date first.
"""

import contextlib
import getpass
import logging
import os
import socket
import threading
import time
import uuid
import warnings
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from chainfold.blobs import BlobStore, get_binaries_path
from chainfold.details import move_aside, put_back
from chainfold.errors import (
    ChainfoldError,
    CorruptionError,
    InvalidInputError,
    NotFoundError,
    StorageError,
)
from chainfold.events import (
    AnyEvent,
    ArtifactRegistered,
    BlobsSwept,
    Entry,
    RunCommitted,
    RunStarted,
    SweepReason,
    decode_record,
)
from chainfold.log import ENTRY_LIMIT, SEGMENT_BYTES, LocalLog, LogRewoundError, time_text
from chainfold.params import from_wire, to_wire
from chainfold.places import check_dataset_name, encodable, refuse_links
from chainfold.projections import NEVER, Projections
from chainfold.projections.merging import fingerprint
from chainfold.projections.snapshots import Snapshots
from chainfold.records import ArtifactRecord
from chainfold.storage import Files, LocalFiles, network_kind, owner_name

logger = logging.getLogger(__name__)

T = TypeVar("T")
_REWINDS: Final = 10
"""How often one refresh starts over: each time, a writer has failed in the middle of this."""
TAIL_ENTRIES: Final = 2_000
"""Entries in memory from which on a snapshot is written: folding them takes some 20 ms at each opening."""
TAIL_SHARE: Final = 64
"""Or rather so many times fewer than the snapshot has: writing one takes as long as it is."""
TAIL_LIMIT: Final = 100_000
"""And never more than so many: some 200 MB."""
CLOSING_SHARE: Final = 8
"""Whoever closes a dataset that it has changed writes one for so many times less."""
_SWEEP_BYTES: Final = 48_000
"""Of paths in one sweep event: well below the limit of an entry."""
_ROOM_BYTES: Final = 1_000
"""Of an entry, left for what is not the event."""


def default_actor() -> str:
    """Who acts, unless told: `CHAINFOLD_ACTOR`, or user and host."""
    actor = os.environ.get("CHAINFOLD_ACTOR")
    if actor:
        return actor
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "unknown"
    return f"{user}@{socket.gethostname()}"


class Dataset:
    """One log with its blobs and projections.

    Args:
        workspace: The folder that holds the datasets.
        name: The dataset's name: a plain folder name.
        actor: Who appends; see `default_actor`.
        files: The storage.
        segment_bytes: Size at which segments of the log are sealed.

    Raises:
        InvalidInputError: If the name is none.
        UnknownEventError: If the log has events of another release.
    """

    def __init__(
        self,
        workspace: Path,
        name: str,
        *,
        actor: str | None = None,
        files: Files | None = None,
        segment_bytes: int = SEGMENT_BYTES,
    ) -> None:
        self.name = check_dataset_name(name)
        self.workspace = Path(os.path.abspath(workspace))  # noqa: PTH100 - resolve() would follow links
        self.actor = (actor or default_actor()).encode(errors="replace").decode()
        self.folder = self.workspace / "log" / name
        refuse_links(self.folder)
        self.files = files or LocalFiles()
        binaries = get_binaries_path(self.workspace, name)
        self.blobs = BlobStore(binaries, self.folder / "aside", self.files)
        self.details = BlobStore(self.folder / "details", self.folder / "aside", self.files)
        self.mutex = threading.RLock()
        self._segment_bytes = segment_bytes
        self._lock = self.files.lock(self.folder / "lock")
        self._snapshots = Snapshots(self.folder, name, self.files)
        self._patience = 1
        self._depth = 0
        self._warned = False
        self._prepared = False
        self._open()
        _datasets.add(self)
        self.refresh()

    def _open(self, *, from_nothing: bool = False) -> None:
        """Begin anew, with nothing read but, unless told otherwise, a snapshot."""
        self.log = LocalLog(self.folder, self.name, self.files, segment_bytes=self._segment_bytes)
        snapshot = None if from_nothing else self._snapshots.open_newest(self.log)
        self.projections = Projections(self.log, snapshot)
        self.is_in_doubt = False

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
            if self._tail >= TAIL_LIMIT * self._reluctance():
                self._save()

    def _reluctance(self) -> int:
        """How many times longer than else to wait with a snapshot.

        What an open run has registered would be in it, and be shown row by row after it, at each opening.
        """
        return self._patience * (2 if self.projections.runs.all_open() else 1)

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
            except (ChainfoldError, OSError):  # what was asked for is done
                logger.warning("no snapshot of %r was written or read", self.name, exc_info=True)
                self._patience *= 2
                self.is_in_doubt = True

    def _save_if_due(self, *, closing: bool) -> None:
        tail = self._tail
        due = max(TAIL_ENTRIES, (self.projections.size - tail) // TAIL_SHARE)
        if closing:
            due //= CLOSING_SHARE
        if tail < due * self._reluctance() or self.is_in_doubt or self.log.damage is not None:
            return
        snapshot = self.projections.snapshot
        known = 0 if snapshot is None else snapshot.size
        if not closing and self._snapshots.newest_size() > known + tail // 2:
            self._open_again()
            self.refresh()
        elif self.log.is_in_place():  # else it was removed or replaced, and is none of ours any more
            self._save()

    def _save(self) -> None:
        snapshot = self._snapshots.save(self.projections, self.log)
        if snapshot is None:
            self._patience *= 2  # another process is at it, or there is no room: no need to ask at each entry
            return
        self._patience = 1
        was_in_doubt, self.is_in_doubt = self.is_in_doubt, True  # an interrupt may come at any moment
        self.log.rest_on(snapshot.sections["offsets"])
        self.projections = Projections(self.log, snapshot)
        self.is_in_doubt = was_in_doubt

    def rebuild(self) -> bool:
        """Fold the log from nothing, and use that. Whether it gave the same state as was held before."""
        with self.mutex:
            self.refresh()
            before = self._fingerprint()
            self._open_again(from_nothing=True)
            self.refresh()
            self.save_if_due()
            return self._fingerprint() == before

    def _fingerprint(self) -> str:
        return fingerprint(self.projections, self.log.mark(), self.log.offsets())

    def settle(self) -> None:
        """`refresh`, if what is held may not be whole: an interrupt or a fork came amid a change."""
        if self.is_in_doubt:
            self.refresh()

    def _open_again(self, *, from_nothing: bool = False) -> None:
        """Replay the log: what is held of it may not be what it says."""
        failure = self.log.failure
        self.log.close()
        self._open(from_nothing=from_nothing)
        if failure is not None:
            self.log.give_up(failure)

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Be the only writer inside the block, with all that others appended taken in.

        Raises:
            CorruptionError: If the log is damaged.
            StorageError: If the workspace cannot be written, or is no longer the one that was opened.
        """
        if not self._prepared:
            self._prepare()
        try:
            with self._lock.held(), self.mutex:
                self._begin_to_write()
                self._depth += 1
                try:
                    yield
                finally:
                    self._depth -= 1
        except FileNotFoundError as error:
            if isinstance(error, ChainfoldError) or self.files.has_folder(self.folder):
                raise
            raise self._replaced() from error
        if not self._depth:
            self.save_if_due()  # without the lock: others go on meanwhile

    def _begin_to_write(self) -> None:
        if not self.log.is_in_place():
            raise self._replaced()
        self.refresh(thorough=True)
        self.is_in_doubt = True
        try:
            self.log.recover()
            if not self._prepared:
                self.log.reserve()
                self._prepared = True
        except ChainfoldError:
            self.is_in_doubt = False
            raise
        self.is_in_doubt = False

    def _replaced(self) -> StorageError:
        return StorageError(
            f"the log of dataset {self.name!r} in {self.folder} is no longer the one that was opened: it was "
            f"removed or replaced. Nothing was acknowledged; open the workspace again"
        )

    def check_writable(self) -> None:
        """Find out, once, that the log takes entries, before work is done for one.

        Raises:
            CorruptionError, StorageError: As `writing`.
        """
        if not self._prepared:
            with self.writing():
                pass

    def _prepare(self) -> None:
        """Make the folders; say so when locks and syncs there may not keep what we promise."""
        self.files.make_folder(self.folder)
        kind = network_kind(self.folder)
        if kind is not None:
            warnings.warn(
                f"workspace {self.workspace} is on a network file system ({kind}): writers on other machines "
                f"may not see each other's locks, so let only one machine write",
                UserWarning,
                stacklevel=5,
            )

    def append(self, events: Sequence[AnyEvent], *, run: str | None = None, sync: bool) -> list[Entry]:
        """Append events inside `writing`, and fold them."""
        self.is_in_doubt = True
        try:
            entries = self.log.append(events, actor=self.actor, run=run, sync=sync)
        except ChainfoldError:
            self.is_in_doubt = False  # the log is as it was, or says that it is not
            raise
        self.projections.fold(entries)
        self.is_in_doubt = False
        return entries

    def secure_log(self) -> None:
        """Make the log durable for a call that finds nothing to do, inside `writing`.

        That there is nothing to do may be the work of an entry whose writer died, or failed, at its sync: it
        is read, but a power cut takes it away again, and with it what the call has acknowledged.

        Raises:
            StorageError: If the system refuses.
        """
        self.is_in_doubt = True  # as in `append`
        try:
            self.log.sync()
        except ChainfoldError:
            self.is_in_doubt = False
            raise
        self.is_in_doubt = False

    def append_run(self, events: Sequence[AnyEvent]) -> list[Entry]:
        """Append events that become visible together, as a run of their own, inside `writing`."""
        run_id = new_run_id()
        started, committed = RunStarted(owner=owner_name()), RunCommitted()
        return self.append([started, *events, committed], run=run_id, sync=True)

    def sweep(
        self, paths: Iterable[str], reason: SweepReason, cause: int | None = None
    ) -> tuple[list[str], int]:
        """Remove files that nothing refers to, after an event that says so is durable, inside `writing`.

        What made the files unwanted is durable already, and stands whatever becomes of this: if the system
        refuses, the files stay as orphans, for the collector.

        Returns:
            The files that were there and went, and their bytes.
        """
        doomed = []
        for path in dict.fromkeys(paths):
            if not self.projections.paths.is_referenced(path):
                size = self.blobs.size(path)
                if size is not None and encodable(path):  # an event can name no other
                    doomed.append((path, size))
        # Each event's files go before the next is written: on a full disk they make the room for it.
        for chunk in in_chunks(doomed, _SWEEP_BYTES, lambda each: len(msgspec.json.encode(each[0])) + 1):
            names, size = [path for path, _ in chunk], sum(size for _, size in chunk)
            self.append([BlobsSwept(names, size, reason, cause)], sync=True)
            for path in names:
                self.blobs.remove(path)
        self.log.reserve()
        return [path for path, _ in doomed], sum(size for _, size in doomed)

    def is_durable(self, path: str) -> bool:
        """Whether a file is known to be durable: an artifact that refers to it, or brought it, was seen."""
        paths, visible_from = self.projections.paths, self.projections.visibility.visible_from
        bringer = paths.bringer(path)
        return paths.is_live(path) or (bringer is not None and visible_from[bringer] != NEVER)

    def secure(self, paths: Iterable[str]) -> None:
        """Make files durable that are not known to be, inside `writing`.

        They may be of a run that has not committed, or whose sync has failed: then another sync would succeed
        without what was lost, so they are written anew.
        """
        for path in dict.fromkeys(paths):
            if not self.is_durable(path) and self.blobs.size(path) is not None:
                self.blobs.put_again(path)

    def sync_blobs(self, paths: Iterable[str]) -> None:
        """Make durable what this process, or its run, has written; after a failure take no more entries.

        Raises:
            StorageError: If the system refuses.
        """
        try:
            self.blobs.sync(paths)
        except StorageError as error:
            self.log.give_up(error)
            raise

    def sweep_after(self, cause: Entry, paths: Iterable[str], reason: SweepReason) -> None:
        """`sweep` what a durable entry made unwanted; since that stands, a refusal is only warned about."""
        try:
            self.sweep(paths, reason, cause.position)
        except StorageError as error:
            warnings.warn(
                f"{cause.event.kind} at position {cause.position} stands, but files that nothing "
                f"needs any more could not be removed: {error}. "
                f"delete_orphaned_artifacts(dry_run=False) removes them",
                UserWarning,
                stacklevel=4,
            )

    # records

    def record(self, row: int) -> ArtifactRecord:
        """What was registered, decoded from the log; the caller's own copy."""
        return self.shared_record(row).__copy__()

    def shared_record(self, row: int) -> ArtifactRecord:
        """As `record`, but not to be changed, nor given to the caller."""
        decoded = self.projections.source.decoded(row)
        if decoded.details is not None:
            self._complete(decoded.record, decoded.details)
            decoded.details = None
        return decoded.record

    def decode(self, line: bytes) -> ArtifactRecord:
        """The record of a line that registers one.

        Raises:
            BlobNotFoundError, CorruptionError: If what is kept beside the log is gone or has changed.
        """
        record, details = decode_record(line)
        self._complete(record, details)
        return record

    def _complete(self, record: ArtifactRecord, details: str) -> None:
        if details:
            put_back(self.details, record, details)
        record.params = from_wire(record.params)

    def registration(
        self,
        record: ArtifactRecord,
        *,
        reused: bool = False,
        imported: bool = False,
        restored_from: int | None = None,
    ) -> ArtifactRegistered:
        """The event for a record: what is too large for an entry goes to a file of its own, durably.

        Raises:
            InvalidInputError: If it is too large even so.
        """
        stored = msgspec.structs.replace(record, params=to_wire(record.params))
        details = ""
        try:
            length = len(msgspec.json.encode(stored))
        except (TypeError, ValueError, OverflowError) as error:
            raise InvalidInputError(f"artifact {record.artifact_id!r} cannot be recorded: {error}") from error
        if length > ENTRY_LIMIT - _ROOM_BYTES:
            details = move_aside(self.details, stored)
        return ArtifactRegistered(stored, details, reused, restored_from, imported)

    # positions

    def size_at(self, when: int | datetime) -> int:
        """The size of the log at a position, or at a time: after the last entry that is not later.

        Raises:
            NotFoundError: If the log has not come that far.
            InvalidInputError: If a time has no time zone.
        """
        with self.mutex:
            self.refresh()
            if isinstance(when, datetime):
                if when.tzinfo is None:
                    raise InvalidInputError(f"{when} has no time zone: use e.g. datetime(..., tzinfo=UTC)")
                return self._first_after(time_text(when))
            if isinstance(when, bool) or not isinstance(when, int):
                raise InvalidInputError(f"a position is an int or a datetime, not {when!r}")
            if not 0 <= when <= self.log.size:
                raise NotFoundError(
                    f"the log of {self.name!r} has no position {when}: positions go from 0 to {self.log.size}"
                )
            return when

    def _first_after(self, at: str) -> int:
        low, high = 0, self.log.size
        while low < high:
            middle = (low + high) // 2
            if self.log.entry(middle).at <= at:
                low = middle + 1
            else:
                high = middle
        return low

    def close(self) -> None:
        """Let go of all files. What is open elsewhere stays as it is."""
        if self._prepared:
            self.save_if_due(closing=True)
            self._prepared = False
        self.log.close()
        self._lock.close()

    def _after_fork(self) -> None:
        """In the child: another thread of the parent may have been in the middle of anything."""
        self.mutex = threading.RLock()
        self.is_in_doubt = True


_datasets: weakref.WeakSet[Dataset] = weakref.WeakSet()


def _doubt_inherited() -> None:
    for data in list(_datasets):
        data._after_fork()  # noqa: SLF001 - the same module


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_doubt_inherited)


def new_run_id() -> str:
    """An id that no other run has, and that sorts roughly by time."""
    return f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{uuid.uuid4().hex[:12]}"


def in_chunks(items: Iterable[T], limit_bytes: int, size_bytes: Callable[[T], int]) -> Iterator[list[T]]:
    """Items in lists that each go over a limit by at most one item: what one event names."""
    chunk: list[T] = []
    length = 0
    for item in items:
        if chunk and length > limit_bytes:
            yield chunk
            chunk, length = [], 0
        chunk.append(item)
        length += size_bytes(item)
    if chunk:
        yield chunk
