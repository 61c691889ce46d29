"""Private files that were erased, and which event did it."""

from chainfold.events import PrivateErased
from chainfold.projections.index import Index
from chainfold.projections.snapshot import Snapshot
from chainfold.projections.source import Source


class Erasures:
    """Erased files by their paths, for all times: an erasure is of bytes, not of a state.

    Attributes:
        last: Position of the last event that erased any: only of that one files may still be there.
    """

    def __init__(self, snapshot: Snapshot | None, source: Source) -> None:
        self.index = Index("erased", snapshot, lambda position, path: path in _erased(source, position))
        self.last = snapshot.footer.state.erased_at if snapshot is not None else None

    def erase(self, path: str, position: int) -> None:
        """The event at this position erased a file."""
        self.index.add(path, position)
        self.last = position

    def erased_at(self, path: str) -> int | None:
        """Position of the first event that erased a file; None if none did."""
        return next(iter(self.index.rows(path)), None)


def _erased(source: Source, position: int) -> list[str]:
    event = source.entry(position).event
    return event.paths if isinstance(event, PrivateErased) else []
