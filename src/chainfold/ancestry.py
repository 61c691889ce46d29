"""What an artifact was made from, and what was made from it, registration by registration."""

from collections.abc import Iterator
from typing import Final

import msgspec

from chainfold.dataset import Dataset
from chainfold.events import Entry
from chainfold.history import Deletions, HistoryItem, cause_of_end, item
from chainfold.markup import grid

_SHOWN: Final = 100


class Relative(msgspec.Struct, frozen=True):
    """One registration in the lineage of another, or an id that none was found for.

    Attributes:
        artifact_id: Its id.
        depth: How many steps it is away: 0 for the artifact itself, 1 for what was used directly; the least.
        registration: What was registered, and how it stands as of the view; None if there was nothing of this
            id to be seen when it was used.
        ended_by: The event that superseded or deleted it; None if none did.
        sources: Positions of the registrations that it was made from, in the order of `depends_on`; None for
            what could not be seen then.
    """

    artifact_id: str
    depth: int
    registration: HistoryItem | None
    ended_by: Entry | None
    sources: list[int | None]

    @property
    def is_current(self) -> bool:
        """Whether it is still what its id names."""
        return self.registration is not None and self.registration.standing == "live"


class Lineage(list[Relative]):
    """Registrations, nearest first: a list, which a notebook shows as a table."""

    def _repr_html_(self) -> str:
        """What a notebook shows: the first hundred."""
        rows = [
            (
                each.depth,
                each.artifact_id,
                "not registered" if each.registration is None else each.registration.standing,
                "" if each.registration is None else each.registration.position,
                "" if each.ended_by is None else f"{each.ended_by.event.kind} at {each.ended_by.position}",
            )
            for each in self[:_SHOWN]
        ]
        of_all = "" if len(self) <= _SHOWN else f", the first {_SHOWN}"
        head = ["steps away", "artifact", "standing", "position", "ended by"]
        return grid(f"{len(self)} registrations{of_all}", head, rows)


def ancestors(data: Dataset, row: int, size: int) -> Iterator[Relative]:
    """A registration, then all that it was made from, nearest first, each once; with `data.mutex` held.

    A source is the registration that its id named when the product was registered, or, if there was none yet,
    when that became visible: manifests name products before their sources. What came later under that id is
    none of it.
    """
    seen, missing = {row}, set[str]()
    level, depth = [row], 0
    while level:
        following: list[int] = []
        for each in level:
            relative, rows = _relative(data, each, size, depth)
            yield relative
            for source, found in rows:
                if found is None and source not in missing:
                    missing.add(source)
                    yield Relative(source, depth + 1, None, None, [])
                elif found is not None and found not in seen:
                    seen.add(found)
                    following.append(found)
        level, depth = following, depth + 1


def descendants(data: Dataset, row: int, size: int) -> Iterator[Relative]:
    """A registration, then all that was made from it, nearest first, each once; with `data.mutex` held."""
    positions = data.projections.visibility.positions
    seen, level, depth = {row}, [row], 0
    while level:
        following: list[int] = []
        for each in level:
            yield _relative(data, each, size, depth)[0]
            artifact_id = data.projections.artifact_id(each)
            for product in data.projections.lineage.rows(artifact_id):
                if product in seen or positions[product] >= size:
                    continue
                if source_row(data, artifact_id, product, size) == each:
                    seen.add(product)
                    following.append(product)
        level, depth = following, depth + 1


def source_row(data: Dataset, artifact_id: str, product: int, size: int) -> int | None:
    """The registration of an id that another was made from, as far as the first `size` entries tell.

    None if none could be seen.
    """
    projections = data.projections
    visibility, rows = projections.visibility, projections.ids.rows(artifact_id)
    position, shown = visibility.positions[product], visibility.visible_from[product]
    run_id = data.log.entry(position).run
    for row in reversed(rows) if run_id is not None else ():
        at, ended = visibility.positions[row], visibility.removed_at[row]
        if at < position < ended and data.log.entry(at).run == run_id:
            return row  # the run's own, which it had not taken back
    for moment in (position, shown) if shown <= size else (position,):
        found = next((row for row in reversed(rows) if visibility.is_live(row, moment)), None)
        if found is not None and found != product:
            return found
    return None


def _relative(
    data: Dataset, row: int, size: int, depth: int
) -> tuple[Relative, list[tuple[str, int | None]]]:
    """A registration, and the rows of its sources."""
    registration = item(data, row, size, Deletions(data))
    record, positions = registration.record, data.projections.visibility.positions
    rows = [(source, source_row(data, source, row, size)) for source in record.depends_on]
    sources = [None if found is None else positions[found] for _, found in rows]
    ended = cause_of_end(data, row, size)
    return Relative(record.artifact_id, depth, registration, ended, sources), rows
