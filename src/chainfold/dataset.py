"""A dataset: one log, its blobs, and the projections of the log, kept together.

Nothing here knows why something is appended; the commands do. All changes go through `writing`, which makes
this process the only writer and brings the projections up to date first.
"""

import contextlib
import getpass
import logging
import os
import socket
import time
import uuid
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from chainfold.blobs import BlobStore, get_binaries_path
from chainfold.details import move_aside, put_back
from chainfold.errors import (
    ChainfoldError,
    InvalidInputError,
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
from chainfold.folded import Folded
from chainfold.log import ENTRY_LIMIT, SEGMENT_BYTES
from chainfold.params import from_wire, to_wire
from chainfold.places import check_dataset_name, encodable, refuse_links
from chainfold.private import NEW, paths_of, reveal
from chainfold.projections import NEVER, Decoded
from chainfold.records import ArtifactRecord
from chainfold.storage import Files, LocalFiles, network_kind, owner_name
from chainfold.trust import Trust, default_policy

logger = logging.getLogger(__name__)

T = TypeVar("T")
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


class Dataset(Folded):
    """One log with its blobs and projections.

    Args:
        workspace: The folder that holds the datasets.
        name: The dataset's name: a plain folder name.
        actor: Who appends; see `default_actor`.
        files: The storage.
        segment_bytes: Size at which segments of the log are sealed.
        trust: What may be deserialised: a policy's name, by default that of `CHAINFOLD_TRUST`.

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
        trust: Trust | str | None = None,
    ) -> None:
        self.name = check_dataset_name(name)
        self.trust = (
            trust if isinstance(trust, Trust) else Trust(default_policy() if trust is None else trust)
        )
        self.workspace = Path(os.path.abspath(workspace))  # noqa: PTH100 - resolve() would follow links
        if actor is not None and not isinstance(actor, str):
            raise InvalidInputError(f"actor says who acts, as a text: not {actor!r:.80}")
        self.actor = (actor or default_actor()).encode(errors="replace").decode()
        self.folder = self.workspace / "log" / name
        refuse_links(self.folder)
        self.files = files or LocalFiles()
        binaries = get_binaries_path(self.workspace, name)
        self.blobs = BlobStore(binaries, self.folder / "aside", self.files)
        self.details = BlobStore(self.folder / "details", self.folder / "aside", self.files)
        private = self.folder / "private"
        self.private = BlobStore(private, private / NEW, self.files, private=True)
        self._lock = self.files.lock(self.folder / "lock")
        self._depth = 0
        self._prepared = False
        super().__init__(self.folder, name, self.files, segment_bytes)

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
        self.settle()  # it may have been closed
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
        self,
        paths: Iterable[str],
        reason: SweepReason,
        cause: int | None = None,
        step: Callable[[int], object] | None = None,
    ) -> tuple[list[str], int]:
        """Remove files that nothing refers to, after an event that says so is durable, inside `writing`.

        What made the files unwanted is durable already, and stands whatever becomes of this: if the system
        refuses, the files stay as orphans, for the collector.

        Args:
            paths: Which files.
            reason: Why they are unwanted.
            cause: Position of the event that made them so.
            step: Told every few files how many more went: it may end the work when an event and its files
                are through, which is where what it raises takes effect.

        Returns:
            The files that were there and went, and their bytes.
        """
        gone: list[str] = []
        size_bytes = 0
        # Each event's files go before the next is written: on a full disk they make the room for it. They are
        # also looked at only then: what was read of them is still remembered when the event is folded.
        doomed = self._unneeded(paths)
        for chunk in in_chunks(doomed, _SWEEP_BYTES, lambda each: len(msgspec.json.encode(each[0])) + 1):
            names, size = [path for path, _ in chunk], sum(size for _, size in chunk)
            self.append([BlobsSwept(names, size, reason, cause)], sync=True)
            self.blobs.remove_all(names, step)
            gone += names
            size_bytes += size
        self.log.reserve()
        return gone, size_bytes

    def _unneeded(self, paths: Iterable[str]) -> Iterator[tuple[str, int]]:
        """Those of the files that nothing refers to and that are there, each once, with their bytes."""
        seen: set[str] = set()
        for path in paths:
            if path in seen or self.projections.paths.is_referenced(path):
                continue
            seen.add(path)
            size = self.blobs.size(path)
            if size is not None and encodable(path):  # an event can name no other
                yield path, size

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
        except BaseException as error:
            failure = error if isinstance(error, Exception) else error.__cause__  # beside an interrupt
            if isinstance(failure, StorageError):
                self.log.give_up(failure)
            raise

    def sweep_after(
        self,
        cause: Entry,
        paths: Iterable[str],
        reason: SweepReason,
        step: Callable[[int], object] | None = None,
    ) -> None:
        """`sweep` what a durable entry made unwanted; since that stands, a refusal is only warned about."""
        try:
            self.sweep(paths, reason, cause.position, step)
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
        return self.whole(row).record

    def whole(self, row: int) -> Decoded:
        """As `record`, and packed if it can be."""
        decoded = self._sealed(row)
        if decoded.packed is None and decoded.record.private:
            self._reveal(decoded.record)  # and nothing of it is kept: others may erase it
        return decoded

    def sealed(self, row: int) -> ArtifactRecord:
        """As `record`, without what is private of it."""
        return self._sealed(row).record

    def _sealed(self, row: int) -> Decoded:
        decoded = self.projections.source.taken(row)
        if decoded.packed is None:
            self._complete(decoded.record, decoded.details)
            if decoded.details and not decoded.record.private:
                self.projections.source.keep_whole(row, decoded.record)
        return decoded

    def unseal(self, record: ArtifactRecord) -> None:
        """Put back what is private of a record that was decoded a while ago, unless it was erased since."""
        with self.mutex:
            if self.is_in_doubt or self.log.has_news():
                self.refresh()
            self._reveal(record)

    def decode(self, line: bytes) -> ArtifactRecord:
        """The record of a line that registers one; without what is withheld from the log.

        Raises:
            BlobNotFoundError, CorruptionError: If what is kept beside the log is gone or has changed.
        """
        record, details, _ = decode_record(line)
        self._complete(record, details)
        return record

    def _complete(self, record: ArtifactRecord, details: str) -> None:
        if details:
            put_back(self.details, record, details)
        record.params = from_wire(record.params)

    def withholders(self, artifact_id: str, path: str) -> list[int]:
        """The registrations of an id that withheld what a private file has."""
        rows, source = self.projections.ids.rows(artifact_id), self.projections.source
        return [row for row in rows if path in paths_of(source.decoded(row).record).values()]

    def _reveal(self, record: ArtifactRecord) -> None:
        """Put back what was withheld from the log and was not erased."""
        missing, closed = reveal(self.private, record, self.projections.erasures.erased_at)
        if missing and self.log.has_news():  # perhaps it has been erased since
            self.refresh()
            missing, closed = reveal(self.private, record, self.projections.erasures.erased_at)
        if closed:
            warnings.warn(
                f"private fields of {record.artifact_id!r} are left out, as this user may not read "
                f"{self.private.folder}: {', '.join(closed)}",
                UserWarning,
                stacklevel=5,
            )
        if missing:
            warnings.warn(
                f"private fields of {record.artifact_id!r} are missing, and no event erased them: "
                f"{', '.join(missing)}. Restore {self.private.folder} from a copy, or use erase_private",
                UserWarning,
                stacklevel=5,
            )

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

    def close(self) -> None:
        """Let go of all files. What is open elsewhere stays as it is."""
        if self._prepared:
            self.save_if_due(closing=True)
            self._prepared = False
        self.let_go()
        self._lock.close()


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
