"""Who sees what: the committed state at one size, or the present as an open run sees it."""

from collections.abc import Iterable, Iterator, Sequence

from chainfold.projections.projections import Projections
from chainfold.projections.visibility import NOW


class Sight:
    """What is live to one reader.

    A run sees what it registered itself in place of what is committed under the same id; what it deleted of
    the committed stays until it commits.

    Args:
        projections: The state.
        size: The state after so many entries; the present by default.
        run_id: The run that looks, if one does; only for the present.
    """

    __slots__ = ("own", "projections", "size")

    def __init__(self, projections: Projections, size: int = NOW, run_id: str | None = None) -> None:
        self.projections = projections
        self.size = size
        run = projections.runs.open(run_id)
        self.own: dict[str, int] = run.own if run is not None else {}

    def sees(self, row: int) -> bool:
        """Whether a registration is live to this reader."""
        if self.own:
            mine = self.own.get(self.projections.artifact_id(row))
            if mine is not None:
                return mine == row
        return self.projections.visibility.is_live(row, self.size)

    def row(self, artifact_id: str) -> int | None:
        """The live registration of an id."""
        mine = self.own.get(artifact_id)
        if mine is not None:
            return mine
        return self.last(self.projections.ids.rows(artifact_id))

    def last(self, rows: Sequence[int]) -> int | None:
        """Of rows in order of registration, the last that is live."""
        if self.own:
            return next(filter(self.sees, reversed(rows)), None)
        visibility, size = self.projections.visibility, self.size
        visible_from, removed_at = visibility.visible_from, visibility.removed_at
        for row in reversed(rows):
            if removed_at[row] > size >= visible_from[row]:
                return row
        return None

    def changes(self) -> Iterator[tuple[int, int | None]]:
        """What the run that looks has registered, and the committed one in whose place it sees that."""
        for artifact_id, row in self.own.items():
            yield row, self.projections.live_row(artifact_id)

    def rows(self, rows: Iterable[int]) -> Iterator[int]:
        """Those of the rows that are live."""
        return filter(self.sees, rows) if self.own else self.projections.visibility.live(rows, self.size)

    def all(self) -> Iterator[int]:
        """All that is live, in order of registration."""
        return self.rows(range(len(self.projections.visibility)))
