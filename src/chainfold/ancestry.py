"""What an artifact was made from, and what was made from it, registration by registration."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from chainfold.dataset import Dataset
from chainfold.events import ArtifactRegistered, Entry
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
    what the same run registered later. A manifest may name products before their sources: what it brought
    itself comes first. What else came later under that id is none of it. What was restored was made when it
    was first registered.
    """
    seen, missing, deletions = {row}, set[str](), Deletions(data)
    level, depth = [row], 0
    while level:
        following: list[int] = []
        for each in level:
            relative, rows = _relative(data, each, size, depth, deletions)
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
    seen, level, depth, deletions = {row}, [row], 0, Deletions(data)
    while level:
        following: list[int] = []
        for each in level:
            yield _relative(data, each, size, depth, deletions)[0]
            artifact_id = data.projections.artifact_id(each)
            for product in data.projections.lineage.rows(artifact_id):
                if product in seen or positions[product] >= size:
                    continue
                if source_row(data, artifact_id, product, size) == each:
                    seen.add(product)
                    following.append(product)
        level, depth = following, depth + 1


def with_repeated(data: Dataset, relatives: Iterable[Relative], size: int) -> Iterator[Relative]:
    """Relatives, and after each that was restored the registrations that it repeats; each once."""
    positions, known, deletions = data.projections.visibility.positions, set[int](), Deletions(data)
    for relative in list(relatives):
        if relative.registration is None:
            yield relative
            continue
        for row in _repeated(data, bisect_left(positions, relative.registration.position)):
            if row not in known:
                known.add(row)
                is_first = positions[row] == relative.registration.position
                yield relative if is_first else _relative(data, row, size, relative.depth, deletions)[0]


def source_row(data: Dataset, artifact_id: str, product: int, size: int) -> int | None:
    """The registration of an id that another was made from, as far as the first `size` entries tell.

    None if none could be seen.
    """
    *_, product = _repeated(data, product)
    visibility, rows = data.projections.visibility, data.projections.ids.rows(artifact_id)
    positions = visibility.positions
    position, shown = positions[product], visibility.visible_from[product]
    entry, count = data.log.entry(position), bisect_left(rows, product)
    run = data.projections.runs.get(entry.run)
    started = position if run is None else run.started
    for row in _backwards(rows, count):
        at = positions[row]
        if at < started:
            break
        if position < visibility.removed_at[row] and data.log.entry(at).run == entry.run:
            return row  # the run's own, which it had not taken back
    with_it = None
    if run is not None and shown <= size:
        came = (row for row in _backwards(rows, len(rows)) if visibility.visible_from[row] == shown)
        with_it = next((row for row in came if row != product), None)
    if with_it is not None and _is_imported(entry) and _is_imported(data.log.entry(positions[with_it])):
        return with_it
    before = (row for row in _backwards(rows, count) if visibility.is_live(row, position))
    return next(before, with_it)


def _is_imported(entry: Entry) -> bool:
    return isinstance(entry.event, ArtifactRegistered) and entry.event.imported


def _backwards(rows: Sequence[int], count: int) -> Iterator[int]:
    """The first so many rows, last to first."""
    return (rows[index] for index in range(count - 1, -1, -1))


def _repeated(data: Dataset, row: int) -> Iterator[int]:
    """A registration, the one that it repeats if it was restored, and so on to the first."""
    positions = data.projections.visibility.positions
    while True:
        yield row
        event = data.log.entry(positions[row]).event
        before = event.restored_from if isinstance(event, ArtifactRegistered) else None
        if before is None or not 0 <= before < positions[row]:
            return
        row = bisect_left(positions, before)
        if positions[row] != before:
            return  # a log that nobody of ours has written


def _relative(
    data: Dataset, row: int, size: int, depth: int, deletions: Deletions
) -> tuple[Relative, list[tuple[str, int | None]]]:
    """A registration, and the rows of its sources."""
    registration = item(data, row, size, deletions)
    record, positions = registration.record, data.projections.visibility.positions
    rows = [(source, source_row(data, source, row, size)) for source in record.depends_on]
    sources = [None if found is None else positions[found] for _, found in rows]
    ended = cause_of_end(data, row, size, deletions)
    return Relative(record.artifact_id, depth, registration, ended, sources), rows
