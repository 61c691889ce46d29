"""What projections ask of the log that they fold: what they do not keep of it."""

from typing import Final, Protocol

from chainfold.events import Entry, decode_record
from chainfold.projections.section import Column
from chainfold.records import ArtifactRecord

_KEPT: Final = 2048


class Log(Protocol):
    """Entries by position."""

    def line(self, position: int) -> bytes:
        """The bytes of one entry, its sum checked."""

    def entry(self, position: int) -> Entry:
        """One entry."""


class Decoded:
    """A record as the log has it, and the digest of what is kept beside the log for it.

    Attributes:
        record: The record.
        details: The digest, or ""; None once the record is whole, as users see it.
    """

    __slots__ = ("details", "record")

    def __init__(self, record: ArtifactRecord, details: str | None) -> None:
        self.record, self.details = record, details


class Source:
    """Registrations and other entries, read from the log; the last ones that were asked for are kept.

    Args:
        log: The log; None for projections that will never be asked for what they do not keep.
        positions: Where in the log each registration is.
    """

    def __init__(self, log: Log | None, positions: Column) -> None:
        self._log = log
        self._positions = positions
        self._kept: dict[int, Decoded] = {}
        self._fading: dict[int, Decoded] = {}  # what was not asked for lately

    def decoded(self, row: int) -> Decoded:
        """The record of a registration."""
        found = self._kept.get(row)
        if found is None:
            found = self._fading.get(row)
            if found is None:
                found = Decoded(*decode_record(self._read().line(self._positions[row])))
            self.keep(row, found)
        return found

    def keep(self, row: int, decoded: Decoded) -> None:
        """Remember a record that is known already."""
        if len(self._kept) >= _KEPT:
            self._fading, self._kept = self._kept, {}
        self._kept[row] = decoded

    def entry(self, position: int) -> Entry:
        """The entry at a position."""
        return self._read().entry(position)

    def _read(self) -> Log:
        if self._log is None:
            raise LookupError("these projections were folded without their log")
        return self._log
