"""The rows of each table, as of one moment, one at a time: plain values in the order of the columns.

A time is a datetime in UTC, JSON its text, a list of texts a list.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import zip_longest
from typing import Any, Final, NamedTuple

import msgspec

from chainfold.ancestry import source_row
from chainfold.dataset import Dataset
from chainfold.events import AnyEvent, ArtifactRegistered, Entry, decode_entry
from chainfold.history import Deletions, item
from chainfold.params import to_wire
from chainfold.past import Past
from chainfold.tables.schema import FIELDS, TableName

Row = tuple[Any, ...]
_TOLD_ROWS: Final = 256
_SMALLEST, _LARGEST = -(2**63), 2**63 - 1
_ENCODER: Final = msgspec.json.Encoder()


class Moment(NamedTuple):
    """What tables are made of.

    Attributes:
        data: The dataset.
        size: How many entries of its log count.
        live: Gives the numbers of the registrations that are live to the reader.
        told: Called, now and then, with a table's name and the position that its rows have come to.
    """

    data: Dataset
    size: int
    live: Callable[[], Iterator[int]]
    told: Callable[[TableName, int], None] | None = None


def rows(moment: Moment, what: TableName) -> Iterator[Row]:
    """All rows of a table, in order of position; aliases in order of name, then of moves.

    Nothing is held but the row itself. Others may write meanwhile; that is not seen.
    """
    found = _MAKERS[what](moment)
    return found if moment.told is None else _telling(moment.told, what, found)


def named_rows(moment: Moment, what: TableName) -> Iterator[dict[str, Any]]:
    """As `rows`, by the names of the columns."""
    names = [each.name for each in FIELDS[what]]
    return (dict(zip(names, row, strict=True)) for row in rows(moment, what))


def _telling(told: Callable[[TableName, int], None], what: TableName, found: Iterator[Row]) -> Iterator[Row]:
    names = [each.name for each in FIELDS[what]]
    place = names.index("position") if "position" in names else None
    for number, row in enumerate(found):
        if place is not None and number % _TOLD_ROWS == 0:
            told(what, row[place])
        yield row


def _artifacts(moment: Moment) -> Iterator[Row]:
    for row in moment.live():
        yield _registration(moment.data, row)


def _history(moment: Moment) -> Iterator[Row]:
    data, deletions = moment.data, Deletions(moment.data)
    for row in _registered(moment):
        with data.mutex:
            told = item(data, row, moment.size, deletions)
            registration = _registration(data, row)
        yield (*registration, told.standing, told.visible_from, told.removed_at, told.removed_by)


def _lineage(moment: Moment) -> Iterator[Row]:
    data = moment.data
    for row in _registered(moment):
        with data.mutex:
            position, record = data.projections.visibility.positions[row], data.record(row)
            sources = [source_row(data, each, row, moment.size) for each in record.depends_on]
            positions = [
                None if each is None else data.projections.visibility.positions[each] for each in sources
            ]
        for ordinal, (source, used) in enumerate(zip(record.depends_on, positions, strict=True)):
            yield position, record.artifact_id, ordinal, source, used


def _events(moment: Moment) -> Iterator[Row]:
    for position in range(moment.size):
        entry = _entry(moment.data, position)  # one by one: each may be as long as an entry can be
        event: AnyEvent = entry.event
        record = event.record if isinstance(event, ArtifactRegistered) else event
        yield (
            entry.position,
            _time(entry.at),
            event.kind,
            entry.actor,
            entry.run,
            _integer(entry.durable),
            getattr(record, "artifact_id", None),
            getattr(record, "pipeline_id", None),
            getattr(event, "alias", None),
            getattr(event, "reason", None),
            _json(event),
        )


def _runs(moment: Moment) -> Iterator[Row]:
    data = moment.data
    for run in Past(data, moment.size).runs():
        ended = None if run.closed is None else _time(_entry(data, run.closed).at)
        started = _time(run.at)
        yield (
            run.run_id,
            run.started,
            started,
            run.actor,
            run.owner,
            run.status,
            run.closed,
            ended,
            run.reason,
        )


def _aliases(moment: Moment) -> Iterator[Row]:
    data = moment.data
    with data.mutex:
        names = data.projections.aliases.names()
    for alias in names:
        with data.mutex:
            moves = data.projections.aliases.moves(alias, moment.size)
        ends = [holds_from for holds_from, _ in moves[1:]]
        for (holds_from, position), holds_until in zip_longest(moves, ends):
            entry = _entry(data, position)
            target = getattr(entry.event, "artifact_id", None)
            yield alias, target, holds_from, holds_until, position, _time(entry.at), entry.actor, entry.run


_MAKERS: Final[dict[TableName, Callable[[Moment], Iterator[Row]]]] = {
    "artifacts": _artifacts,
    "history": _history,
    "events": _events,
    "runs": _runs,
    "aliases": _aliases,
    "lineage": _lineage,
}


def _registered(moment: Moment) -> Iterator[int]:
    """The numbers of all registrations, whatever has become of them."""
    row = 0
    while True:
        with moment.data.mutex:
            positions = moment.data.projections.visibility.positions
            if row >= len(positions) or positions[row] >= moment.size:
                return
        yield row
        row += 1


def _entry(data: Dataset, position: int) -> Entry:
    with data.mutex:
        return data.log.entry(position)


def _registration(data: Dataset, row: int) -> Row:
    """A registration, and what all tables of registrations say of it."""
    with data.mutex:
        line = data.log.line(data.projections.visibility.positions[row])
        record = data.decode(line).without_private()
    entry = decode_entry(line)
    event = entry.event
    fold = record.fold_id
    return (
        entry.position,
        _time(entry.at),
        entry.actor,
        entry.run,
        record.artifact_id,
        record.pipeline_id,
        record.artifact_type.value,
        record.class_name,
        record.custom_name,
        record.chain_path,
        _integer(record.step_index),
        _integer(record.substep_index),
        _integer(record.source_index),
        ".".join(map(str, record.branch_path)),
        None if fold is None else str(fold),
        None if isinstance(fold, str) else _integer(fold),
        record.content_hash,
        record.path,
        record.size_bytes,
        record.format,
        record.format_version,
        record.nirs4all_version,
        _integer(record.version),
        _time(record.created_at),
        _json(to_wire(record.params)),
        None if record.meta_config is None else _json(record.meta_config),
        record.depends_on,
        record.refers_to,
        isinstance(event, ArtifactRegistered) and event.imported,
        _integer(event.restored_from) if isinstance(event, ArtifactRegistered) else None,
    )


def _integer(value: int | None) -> int | None:
    """A number, if 64 bits hold it: those of a manifest may be of any length."""
    return value if value is not None and _SMALLEST <= value <= _LARGEST else None


def _time(text: str) -> datetime | None:
    """The moment that a text says, in UTC unless it says otherwise; a manifest's may say none."""
    try:
        when = datetime.fromisoformat(text)
        return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _json(value: Any) -> str:
    return _ENCODER.encode(value).decode()
