"""Where each alias pointed, at any time."""

from bisect import bisect_right
from itertools import islice

from chainfold.events import AliasSet
from chainfold.projections.columns import Columns
from chainfold.projections.index import Index
from chainfold.projections.snapshot import Snapshot
from chainfold.projections.source import Source


class Aliases:
    """Names that move between artifacts: each move is the event that said so, and the size it holds from."""

    def __init__(self, columns: Columns, snapshot: Snapshot | None, source: Source) -> None:
        self._sizes, self._events = columns["alias_sizes"], columns["alias_events"]
        self._source = source
        self._older = len(self._sizes)
        self._targets: list[str | None] = []  # of the newer moves
        self._names = dict.fromkeys(snapshot.footer.state.aliases if snapshot is not None else ())
        events = self._events  # nothing refers back to this, as in `Runs`
        self.index = Index(
            "alias", snapshot, lambda move, alias: _alias_set(source, events[move]).alias == alias
        )

    def point(self, alias: str, artifact_id: str | None, size: int, position: int) -> None:
        """From the state after `size` entries on, the name points there, or (None) nowhere."""
        self._names[alias] = None
        self.index.add(alias, len(self._sizes))
        self._sizes.append(size)
        self._events.append(position)
        self._targets.append(artifact_id)

    def target(self, alias: str, size: int) -> str | None:
        """Where it pointed after `size` entries."""
        return self.setting(alias, size)[0]

    def setting(self, alias: str, size: int) -> tuple[str | None, int | None]:
        """Where it pointed after `size` entries, and the position of the event that had said so."""
        moves = self.index.rows(alias)
        at = bisect_right(moves, size, key=self._sizes.__getitem__)
        if not at:
            return None, None
        move = moves[at - 1]
        if move >= self._older:
            return self._targets[move - self._older], self._events[move]
        return _alias_set(self._source, self._events[move]).artifact_id, self._events[move]

    def moves(self, alias: str, size: int) -> list[tuple[int, int]]:
        """Each time that it was set up to a size: from which size on that held, and the event's position."""
        moves = self.index.rows(alias)
        at = bisect_right(moves, size, key=self._sizes.__getitem__)
        return [(self._sizes[move], self._events[move]) for move in islice(moves, at)]

    def all(self, size: int) -> dict[str, str]:
        """Every alias that pointed somewhere after `size` entries, in order of name."""
        targets = ((alias, self.target(alias, size)) for alias in self.names())
        return {alias: target for alias, target in targets if target is not None}

    def names(self) -> list[str]:
        """Every alias there ever was, sorted."""
        return sorted(self._names)


def _alias_set(source: Source, position: int) -> AliasSet:
    event = source.entry(position).event
    return event if isinstance(event, AliasSet) else AliasSet("")
