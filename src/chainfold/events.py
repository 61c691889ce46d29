"""The facts a log holds: frozen, named in the past tense, one union.

A stored line is never rewritten. An event's version is 1 unless the line says `"v"`; when the meaning or the
shape of a kind changes, its number goes up here and a pure function in `UPCASTS` turns the older form into
the newer one when it is read. An unknown kind or version stops a replay: it is never skipped.
"""

import functools
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, Protocol, Self

import msgspec

from chainfold.errors import CorruptionError, UnknownEventError
from chainfold.records import ArtifactRecord, is_flat

MAX_DEPTH: Final = 200
"""Objects and lists within each other, in one line or one file of details: `params` has 130 at most."""
_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")
"""The next entry repeats it when the clock stands behind it: so it must be nothing but a time."""

RollbackReason = Literal["exception", "crash", "request"]
SweepReason = Literal["deleted", "purged", "rolled-back", "orphaned", "superseded"]
ErasureReason = Literal["requested", "deleted", "purged", "rolled-back", "orphaned"]


class Event(msgspec.Struct, frozen=True, tag_field="kind", omit_defaults=True):
    """One fact. What its entry says (position, time, actor, run) is not repeated here."""

    @property
    def kind(self) -> str:
        """The name of the fact, as the log spells it."""
        return str(self.__struct_config__.tag)

    @property
    def version(self) -> int:
        """The lowest version of its kind that can say it: older releases read what they can understand."""
        return VERSIONS.get(self.kind, 1)


class RunStarted(Event, frozen=True, tag="run-started"):
    """What the run does from here on is seen by others only when it commits."""

    owner: str = ""
    """Host and process id that hold the run's lock, for people."""


class ArtifactRegistered(Event, frozen=True, tag="artifact-registered"):
    """A fitted object has an id. Its bytes were durable before this was."""

    record: ArtifactRecord
    """Without `created_at`, which is the entry's time, unless a manifest brought another."""
    details: str = ""
    """Digest of the JSON that holds `params` and `meta_config` when they are too large for a line."""
    reused: bool = False
    """The blob was there before: a rollback of this registration must not take it."""
    restored_from: int | None = None
    """Position of the registration that this one repeats."""
    imported: bool = False
    """The record, or the one that it repeats, came from a manifest: its digest and file were not checked."""

    @property
    def version(self) -> int:
        """A reader of version 1 knows nothing of what a record withholds, and must not go on without it."""
        return 2 if self.record.private else 1


class RunCommitted(Event, frozen=True, tag="run-committed"):
    """All that the run did became visible, at once."""


class RunRolledBack(Event, frozen=True, tag="run-rolled-back"):
    """Nothing that the run did ever became visible."""

    reason: RollbackReason
    detail: str = ""


class ArtifactsDeleted(Event, frozen=True, tag="artifacts-deleted"):
    """Artifacts are no longer live: all of a pipeline, or those named. Their records stay in the history."""

    pipeline_id: str | None = None
    artifact_ids: list[str] = msgspec.field(default_factory=list)
    delete_files: bool = False
    """Their files go too, where nothing else refers to them."""


class DatasetPurged(Event, frozen=True, tag="dataset-purged"):
    """Nothing is live any more, and every file of the dataset goes."""


class BlobsSwept(Event, frozen=True, tag="blobs-swept"):
    """These files go, now that this is durable."""

    paths: list[str]
    size_bytes: int
    reason: SweepReason
    cause: int | None = None
    """Position of the event that made them unwanted."""


class AliasSet(Event, frozen=True, tag="alias-set"):
    """A name points to an artifact from now on, or (None) to nothing."""

    alias: str
    artifact_id: str | None = None


class PrivateErased(Event, frozen=True, tag="private-erased"):
    """What these files withheld from the log is erased, for all times: they go, now that this is durable."""

    paths: list[str]
    reason: ErasureReason
    cause: int | None = None
    """Position of the event that made them unwanted."""


AnyEvent = (
    RunStarted
    | ArtifactRegistered
    | RunCommitted
    | RunRolledBack
    | ArtifactsDeleted
    | DatasetPurged
    | BlobsSwept
    | AliasSet
    | PrivateErased
)

Upcast = Callable[[dict[str, Any]], dict[str, Any]]
VERSIONS: Mapping[str, int] = {"artifact-registered": 2}
"""The newest version of each kind that is no longer at 1."""
ALIKE: Final = {"artifact-registered": (1, 2)}
"""The versions of a kind that say what they say in the same way: a newer one can only say more."""
UPCASTS: Mapping[tuple[str, int], Upcast] = {}
"""From (kind, version) to the function that gives the fields as the next version has them."""


class Entry(msgspec.Struct, frozen=True):
    """An event with its place in the log.

    Attributes:
        position: 0-based and gapless.
        at: When it was appended, RFC 3339 UTC with microseconds; never earlier than the entry before.
        actor: Who appended it.
        run: Id of the run it belongs to.
        durable: How many entries were known to be durable before it; entries inside a run do not say.
        event: The fact.
    """

    position: int
    at: str
    actor: str
    event: AnyEvent
    run: str | None = None
    durable: int | None = None


class _Header(msgspec.Struct, frozen=True):
    """What a line says besides its event."""

    position: int
    at: str
    actor: str
    kind: str
    run: str | None = None
    durable: int | None = None
    v: int = 1

    @classmethod
    def of(cls, line: bytes) -> Self:
        return _header_decoder.decode(line)  # type: ignore[return-value] # the decoder is built for this class


_encoder = msgspec.json.Encoder()
_header_decoder = msgspec.json.Decoder(_Header)
_event_decoder: msgspec.json.Decoder[AnyEvent] = msgspec.json.Decoder(AnyEvent)
KINDS: Final = frozenset(str(kind.__struct_config__.tag) for kind in AnyEvent.__args__)
"""The names of all facts."""


def encode_entry(entry: Entry) -> bytes:
    """The JSON object of an entry, without its closing brace: the log adds the sum.

    Raises:
        msgspec.MsgspecError, UnicodeEncodeError: If the event holds what JSON cannot.
    """
    version = entry.event.version
    head = b'{"position":%d,"at":"%b","actor":%b' % (
        entry.position,
        entry.at.encode(),
        _encoder.encode(entry.actor),
    )
    if entry.run is not None:
        head += b',"run":' + _encoder.encode(entry.run)
    if entry.durable is not None:
        head += b',"durable":%d' % entry.durable
    if version != 1:
        head += b',"v":%d' % version
    return head + b"," + _encoder.encode(entry.event)[1:-1]


def decode_entry(
    line: bytes,
    upcasts: Mapping[tuple[str, int], Upcast] | None = None,
    versions: Mapping[str, int] | None = None,
) -> Entry:
    """The entry of a line whose sum is right.

    Args:
        line: The line's bytes, without the line end.
        upcasts: Instead of `UPCASTS`, for tests of schema changes.
        versions: Instead of `VERSIONS`, for tests of schema changes.

    Raises:
        UnknownEventError: For a kind or version of another release.
        CorruptionError: If the line is not an entry in spite of its sum; `catch_up` then stops before it.
    """
    try:
        header = _Header.of(line)
        if _TIME.fullmatch(header.at) is None:
            raise CorruptionError(f"a line with a right sum is not an entry: {header.at!r:.80} is no time")
        newest = (VERSIONS if versions is None else versions).get(header.kind, 1)
        if header.v != newest and header.v not in ALIKE.get(header.kind, ()):
            event = _upcast(line, header, newest, UPCASTS if upcasts is None else upcasts)
        else:
            event = _event_decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _undecodable(line, error) from error
    return Entry(header.position, header.at, header.actor, event, header.run, header.durable)


def check_event(line: bytes) -> None:
    """Nothing, if the event of a line that `encode_entry` made can be read back.

    As `decode_entry`, but for the fields around the event: the log made position and time itself, the actor
    is text since its dataset was opened, and a run is named in the log before it is named in an entry.

    Raises:
        CorruptionError: If a value does not have the type that the format gives it.
    """
    try:
        _event_decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _undecodable(line, error) from error


class Placed(Protocol):
    """What a line says besides its event, as `placing_decoder` gives it."""

    position: int
    at: str
    run: str | None
    durable: int | None


def is_time(text: str) -> bool:
    """Whether a text is a time as entries spell it."""
    return _TIME.fullmatch(text) is not None


@functools.cache
def placing_decoder() -> Callable[[bytes], Placed] | None:
    """Tells whether a line is an entry, in less than half the time of `decode_entry`; for whole logs.

    It takes the line apart once, into an event that has what the header says as well. What it takes, and
    whose `at` is a time, `decode_entry` takes; else it raises one of msgspec's errors, UnicodeDecodeError or
    RecursionError. None if entries may have to be upcast.
    """
    if UPCASTS:
        return None
    header: list[Any] = [
        ("position", int),
        ("at", str),
        ("actor", str),
        ("run", str | None, None),
        ("durable", int | None, None),
    ]
    kinds = [
        msgspec.defstruct(
            f"Placed{kind.__name__}",
            [*header, ("v", Literal[ALIKE.get(str(kind.__struct_config__.tag), (1,))], 1)],
            bases=(kind,),
            tag=kind.__struct_config__.tag,
            kw_only=True,
            frozen=True,
            gc=False,
        )
        for kind in AnyEvent.__args__
    ]
    decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(functools.reduce(operator.or_, kinds))
    return decoder.decode


def _upcast(line: bytes, header: _Header, newest: int, upcasts: Mapping[tuple[str, int], Upcast]) -> AnyEvent:
    fields = msgspec.json.decode(line)
    for version in range(header.v, newest):
        if (header.kind, version) not in upcasts:
            break
        fields = upcasts[header.kind, version](fields)
    else:
        if header.v < newest:
            event: AnyEvent = msgspec.convert(fields, AnyEvent)
            return event
    raise UnknownEventError(
        f"entry {header.position} is a {header.kind!r} event of version {header.v}, and this release of "
        f"chainfold reads {newest}: upgrade chainfold to read this log"
    )


def _undecodable(line: bytes, error: Exception) -> Exception:
    try:
        fields = msgspec.json.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        fields = None
    except RecursionError as deep:
        check_depth(line)
        return deep  # the line is innocent: whoever asked is at the end of the stack
    if isinstance(fields, dict) and isinstance(fields.get("kind"), str) and fields["kind"] not in KINDS:
        return UnknownEventError(
            f"entry {fields.get('position')} is of the unknown kind {fields['kind']!r}, appended at "
            f"{fields.get('at')}: upgrade chainfold to read this log"
        )
    return CorruptionError(f"a line with a right sum is not an entry: {error}")


def check_depth(data: bytes) -> None:
    """Nothing, if JSON is nested no deeper than `MAX_DEPTH`; linear in its bytes, and never recursive.

    Raises:
        CorruptionError: If it is deeper: no writer nests like that. What is not JSON may pass.
    """
    if data.count(b"{") + data.count(b"[") <= MAX_DEPTH:
        return  # as good as always
    outside = b"".join(data.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2])
    depth = 0
    for bracket in outside.translate(None, _NO_BRACKETS):
        depth += 1 if bracket in b"[{" else -1
        if depth > MAX_DEPTH:
            raise CorruptionError(f"what was written is nested deeper than {MAX_DEPTH} levels")


_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))


class _Registration(msgspec.Struct, frozen=True, gc=False):
    at: str
    record: ArtifactRecord
    details: str = ""


_registration_decoder = msgspec.json.Decoder(_Registration)


_IS_UPCAST: Final = any(kind == ArtifactRegistered.__struct_config__.tag for kind, _ in UPCASTS)


def _upcast_registration(line: bytes) -> _Registration:
    entry = decode_entry(line)
    if not isinstance(entry.event, ArtifactRegistered):
        raise CorruptionError(f"entry {entry.position} registers nothing")
    return _Registration(entry.at, entry.event.record, entry.event.details)


def decode_record(line: bytes) -> tuple[ArtifactRecord, str, bool]:
    """The record of a line that registers one, with its time, and the digest of its details or "".

    And whether it is flat: lists of texts and numbers apart, nothing in it can be changed. The fast path of
    every lookup: nothing else of the line is built.
    """
    try:
        registration = _upcast_registration(line) if _IS_UPCAST else _registration_decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _undecodable(line, error) from error
    record = registration.record
    flat = record.meta_config is None and is_flat(record.params)
    if not flat:
        check_depth(line)
    if not record.created_at:
        record.created_at = registration.at
    return record, registration.details, flat
