"""A dataset: one log, its blobs, and the projections of the log, kept together.

Nothing here knows why something is appended; the commands do. All changes go through `writing`, which makes
this process the only writer and brings the projections up to date first.
"""

import contextlib
import copy
import getpass
import os
import re
import socket
import threading
import time
import uuid
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from chainfold.blobs import BlobStore, get_binaries_path
from chainfold.digest import digest_of, short
from chainfold.errors import (
    BlobNotFoundError,
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
from chainfold.projections import Projections
from chainfold.records import ArtifactRecord, MetaModelConfig
from chainfold.storage import Files, LocalFiles, Lock, network_kind

T = TypeVar("T")
_REWINDS: Final = 10
"""How often one refresh starts over: each time, a writer has failed in the middle of this."""
_CACHED_RECORDS: Final = 4096
_SWEEP_BYTES: Final = 48_000
"""Of paths in one sweep event: well below the limit of an entry."""
_ROOM_BYTES: Final = 1_000
"""Of an entry, left for what is not the event."""
_NAME_BYTES: Final = 200
_ODD_NAME: Final = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]')
_RESERVED: Final = re.compile(r"(?i)(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?\Z")


def check_dataset_name(name: str) -> str:
    """The name, if it can be a folder's on every operating system.

    Raises:
        InvalidInputError: Otherwise; the message says why.
    """
    if not name:
        problem = "it is empty"
    elif name in {".", ".."} or _ODD_NAME.search(name):
        problem = 'it is a path, or has one of < > : " / \\ | ? * or a control character'
    elif name != name.strip() or name.endswith("."):
        problem = "it begins or ends with a space, or ends with a dot"
    elif _RESERVED.match(name):
        problem = "Windows reserves it"
    elif len(name.encode(errors="surrogatepass")) > _NAME_BYTES or not _encodable(name):
        problem = f"it is longer than {_NAME_BYTES} bytes, or not valid Unicode"
    else:
        return name
    raise InvalidInputError(f"dataset name {name!r} is refused: {problem}; use a plain folder name")


def _encodable(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


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
        self.files = files or LocalFiles()
        binaries = get_binaries_path(self.workspace, name)
        self.blobs = BlobStore(binaries, self.folder / "aside", self.files)
        self.details = BlobStore(self.folder / "details", self.folder / "aside", self.files)
        self.mutex = threading.RLock()
        self._segment_bytes = segment_bytes
        self._lock = Lock(self.folder / "lock")
        self._warned = False
        self._prepared = False
        self._open()
        self.refresh()

    def _open(self) -> None:
        self.log = LocalLog(self.folder, self.name, self.files, segment_bytes=self._segment_bytes)
        self.projections = Projections()
        self._cache: dict[int, ArtifactRecord] = {}

    def refresh(self) -> None:
        """Take in what others appended.

        Raises:
            UnknownEventError: At an event of another release.
        """
        with self.mutex:
            for _ in range(_REWINDS):
                try:
                    self.projections.fold(self.log.catch_up())
                    break
                except LogRewoundError:  # lines that were never acknowledged are gone again: start over
                    self.log.close()
                    self._open()
            if self.log.damage is not None and not self._warned:
                self._warned = True
                warnings.warn(str(self.log.damage), RuntimeWarning, stacklevel=3)

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Be the only writer inside the block, with all that others appended taken in.

        Raises:
            CorruptionError: If the log is damaged.
            StorageError: If the workspace cannot be written.
        """
        if not self._prepared:
            self._prepare()
        with self._lock.held(), self.mutex:
            self.refresh()
            self.log.recover()
            self._prepared = True
            yield

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
        entries = self.log.append(events, actor=self.actor, run=run, sync=sync)
        self.projections.fold(entries)
        return entries

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
                size = self.files.size(self.blobs.folder / path)
                if size is not None:
                    doomed.append((path, size))
        events: list[AnyEvent] = [
            BlobsSwept([path for path, _ in chunk], sum(size for _, size in chunk), reason, cause)
            for chunk in in_chunks(doomed, _SWEEP_BYTES, lambda each: len(each[0].encode()) + 3)
        ]
        if events:
            self.append(events, sync=True)
        for path, _ in doomed:
            self.blobs.remove(path)
        return [path for path, _ in doomed], sum(size for _, size in doomed)

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
        cached = self._cache.get(row)
        if cached is None:
            cached = self.decode(self.log.line(self.projections.visibility.positions[row]))
            self._remember(row, cached)
        return copy.copy(cached)

    def registered(self, record: ArtifactRecord, entry: Entry) -> ArtifactRecord:
        """What was just registered, as `record` would decode it."""
        record.created_at = entry.at
        self._remember(len(self.projections.visibility) - 1, record)
        return copy.copy(record)

    def _remember(self, row: int, record: ArtifactRecord) -> None:
        if len(self._cache) >= _CACHED_RECORDS:
            self._cache.pop(next(iter(self._cache)))
        self._cache[row] = record

    def decode(self, line: bytes) -> ArtifactRecord:
        """The record of a line that registers one.

        Raises:
            BlobNotFoundError, CorruptionError: If what is kept beside the log is gone or has changed.
        """
        record, details = decode_record(line)
        if details:
            self._add_details(record, details)
        record.params = from_wire(record.params)
        return record

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
            meta_config = stored.meta_config.to_dict() if stored.meta_config else None
            data = msgspec.json.encode({"params": stored.params, "meta_config": meta_config})
            details = digest_of(data)
            name = _details_name(details)
            if not self.details.holds(name, data):
                self.details.put(name, data, sync=True)
            stored.params, stored.meta_config = {}, None
        return ArtifactRegistered(stored, details, reused, restored_from, imported)

    def _add_details(self, record: ArtifactRecord, details: str) -> None:
        name = _details_name(details)
        try:
            data = self.details.read(name)
        except FileNotFoundError as error:
            raise BlobNotFoundError(
                f"the parameters of {record.artifact_id!r} are missing: restore {self.details.folder / name}"
            ) from error
        if digest_of(data) != details:
            raise CorruptionError(
                f"the parameters of {record.artifact_id!r} have changed: restore {self.details.folder / name}"
            )
        content: dict[str, Any] = msgspec.json.decode(data)
        record.params = content["params"]
        if content["meta_config"] is not None:
            record.meta_config = MetaModelConfig.from_dict(content["meta_config"])

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
        self.log.close()
        self._lock.close()


def new_run_id() -> str:
    """An id that no other run has, and that sorts roughly by time."""
    return f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{uuid.uuid4().hex[:12]}"


def owner_name() -> str:
    """Host and process, for people who look for a run's owner."""
    return f"{socket.gethostname()}:{os.getpid()}"


def _details_name(details: str) -> str:
    return f"{short(details, 64)}.json"


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
