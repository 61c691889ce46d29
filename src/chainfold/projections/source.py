"""What projections ask of the log that they fold: what they do not keep of it."""

from collections.abc import Callable
from typing import Final, Protocol

from msgspec import Struct, msgpack

from chainfold.events import Entry, decode_record
from chainfold.projections.section import Column
from chainfold.records import ArtifactRecord

KEPT_BYTES: Final = 4 << 20
"""Of the packed records that are kept, and of those that were not asked for lately: some 7,000 each."""
_AT_HAND: Final = 8
"""Records that are kept as objects: those that are looked at before they are given out."""


class Log(Protocol):
    """Entries by position."""

    def line(self, position: int) -> bytes:
        """The bytes of one entry, its sum checked."""

    def entry(self, position: int) -> Entry:
        """One entry."""


class Decoded(Struct, gc=False):
    """A record as the log has it.

    Attributes:
        record: The record.
        details: The digest of what is kept beside the log for it, or "".
        packed: The record in fewer bytes, for `unpacked`, if it is all there and as users see it; else None.
    """

    record: ArtifactRecord
    details: str
    packed: bytes | None


_LINE: Final = b"{"
"""How a line that is kept begins, and nothing that is packed."""
_pack: Final = msgpack.Encoder().encode
unpacked: Final[Callable[[bytes], ArtifactRecord]] = msgpack.Decoder(ArtifactRecord).decode
"""A record of its own from what was packed: in half the time that its line takes."""


class Source:
    """Registrations and other entries, read from the log; the last ones that were asked for are kept.

    They are kept as bytes: a record is some fifteen objects, all over the memory. To copy them takes as long
    as to make them anew, and the garbage collector would go through them again and again.

    Args:
        log: The log; None for projections that will never be asked for what they do not keep.
        positions: Where in the log each registration is.
    """

    def __init__(self, log: Log | None, positions: Column) -> None:
        self._log = log
        self._positions = positions
        self._at_hand: dict[int, Decoded] = {}
        self._kept: dict[int, bytes] = {}  # packed, or the line where that cannot be
        self._fading: dict[int, bytes] = {}  # what was not asked for lately
        self._kept_bytes = 0

    def decoded(self, row: int) -> Decoded:
        """The record of a registration, not to be changed, nor given to users."""
        at_hand = self._at_hand
        found = at_hand.get(row)
        if found is None:
            if len(at_hand) >= _AT_HAND:
                at_hand.clear()
            found = at_hand[row] = self._read(row)
        return found

    def taken(self, row: int) -> Decoded:
        """As `decoded`, but the caller's own."""
        return self._at_hand.pop(row, None) or self._read(row)

    def _read(self, row: int) -> Decoded:
        known = self._kept.get(row)
        if known is None:
            known = self._fading.get(row)
            if known is None:
                return self._read_log(row)
            self._keep(row, known)
        if not known.startswith(_LINE):
            return Decoded(unpacked(known), "", known)
        record, details, _ = decode_record(known)
        return Decoded(record, details, None)

    def _read_log(self, row: int) -> Decoded:
        line = self._whole_log().line(self._positions[row])
        record, details, is_flat = decode_record(line)
        packed = None
        if is_flat and not details and not record.private:
            try:
                packed = _pack(record)
            except (OverflowError, ValueError):
                packed = None  # a number is too large for that
        if packed is not None or line.startswith(_LINE):  # others may write blanks before it
            self._keep(row, packed or line)
        return Decoded(record, details, packed)

    def keep_whole(self, row: int, record: ArtifactRecord) -> None:
        """Remember a record, to which what is beside the log was added, unless it is very large."""
        try:
            packed = _pack(record)
        except (OverflowError, ValueError):
            return
        if len(packed) <= KEPT_BYTES // 8:
            self._keep(row, packed)

    def _keep(self, row: int, known: bytes) -> None:
        self._kept_bytes += len(known)
        if self._kept_bytes > KEPT_BYTES:
            self._fading, self._kept, self._kept_bytes = self._kept, {}, len(known)
        self._kept[row] = known

    def entry(self, position: int) -> Entry:
        """The entry at a position."""
        return self._whole_log().entry(position)

    def _whole_log(self) -> Log:
        if self._log is None:
            raise LookupError("these projections were folded without their log")
        return self._log
