"""Tables as a SQLite database, for questions in SQL; with the standard library alone."""

import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from chainfold.tables.frames import about
from chainfold.tables.rows import Moment, Row, rows
from chainfold.tables.schema import FIELDS, INDEXED, Kind, TableName

_TYPES: Final[dict[Kind, str]] = {
    "text": "TEXT",
    "integer": "INTEGER",
    "boolean": "INTEGER",
    "time": "TEXT",
    "json": "TEXT",
    "texts": "TEXT",
}
CACHE_BYTES: Final = 16 << 20
"""Of memory for building indexes, and as much for pages."""


def write(moment: Moment, tables: Collection[TableName], path: Path) -> None:
    """Write tables into a database that does not exist yet, row by row; then their indexes.

    Values are bound, never part of a statement: what the statements are made of is known here.
    """
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        # Until it is whole it has another name, and who fails removes it: no journal is needed.
        database.execute("PRAGMA journal_mode = OFF")
        database.execute("PRAGMA synchronous = OFF")
        database.execute("PRAGMA temp_store = FILE")
        database.execute(f"PRAGMA cache_size = -{CACHE_BYTES >> 10}")
        database.execute("BEGIN")
        _write_about(database, moment, tables)
        for what in tables:
            _write_table(database, what, rows(moment, what))
        database.execute("COMMIT")


def _write_about(database: sqlite3.Connection, moment: Moment, tables: Collection[TableName]) -> None:
    told = {"tables": " ".join(tables), **about(moment)}
    database.execute("CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL)")
    database.executemany("INSERT INTO about VALUES (?, ?)", told.items())


def _write_table(database: sqlite3.Connection, what: TableName, found: Iterator[Row]) -> None:
    fields = FIELDS[what]
    columns = ", ".join(
        f'"{each.name}" {_TYPES[each.kind]}{"" if each.may_be_null else " NOT NULL"}' for each in fields
    )
    database.execute(f"CREATE TABLE {what} ({columns})")
    marks = ", ".join("?" * len(fields))
    database.executemany(f"INSERT INTO {what} VALUES ({marks})", map(_bound, found))  # noqa: S608 - our own names
    if fields[0].name == "position" and what != "lineage":
        database.execute(f'CREATE UNIQUE INDEX "{what}_position" ON {what} (position)')
    for names in INDEXED[what]:
        listed = ", ".join(f'"{name}"' for name in names)
        database.execute(f'CREATE INDEX "{what}_{"_".join(names)}" ON {what} ({listed})')


def _bound(row: Row) -> list[Any]:
    return [each if type(each) is str else _plain(each) for each in row]


def _plain(value: Any) -> Any:
    """As SQLite has it: times in RFC 3339, with six decimals, so that they sort; lists as JSON."""
    if isinstance(value, datetime):
        return value.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
    return msgspec.json.encode(value).decode() if isinstance(value, list) else value
