"""Plain SQLite, as somebody who knows it would use it: a table, three indexes, blobs beside the records."""

import hashlib
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from benchmarks.peers.protocol import Peer, chunks, in_fold_order, serialised
from benchmarks.workload import Item, Key, Record

_TABLES = """
CREATE TABLE IF NOT EXISTS records (
    artifact_id TEXT PRIMARY KEY, chain_path TEXT, pipeline_id TEXT, step_index INTEGER, record BLOB
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_chain ON records (chain_path);
CREATE INDEX IF NOT EXISTS by_step ON records (pipeline_id, step_index);
CREATE TABLE IF NOT EXISTS blobs (digest TEXT PRIMARY KEY, data BLOB);
"""
_PUT = "INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?, ?)"
_DECODE = msgspec.json.decode


class SQLite:
    def __init__(self, folder: Path, synced: bool) -> None:  # noqa: FBT001 - the signature of all stores
        self._path = folder / "registry.sqlite"
        self._database = sqlite3.connect(self._path, isolation_level=None, timeout=60)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute(f"PRAGMA synchronous={'FULL' if synced else 'NORMAL'}")
        self._database.executescript(_TABLES)

    def register(self, item: Item) -> object:
        data = serialised(item.model)
        digest = hashlib.sha256(data).hexdigest()
        record = item.record(digest, len(data))
        alone = not self._database.in_transaction
        if alone:
            self._database.execute("BEGIN IMMEDIATE")
        self._database.execute("INSERT OR IGNORE INTO blobs VALUES (?, ?)", (digest, data))
        self._database.execute(_PUT, _row(record))
        if alone:
            self._database.execute("COMMIT")
        return record

    def begin(self) -> None:
        self._database.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        self._database.execute("COMMIT")

    def roll_back(self) -> None:
        self._database.execute("ROLLBACK")

    def fill(self, records: Iterable[Record]) -> None:
        for chunk in chunks(records):
            self._database.execute("BEGIN IMMEDIATE")
            self._database.executemany(_PUT, map(_row, chunk))
            self._database.execute("COMMIT")

    def by_id(self, key: Key) -> Any:
        query = "SELECT record FROM records WHERE artifact_id = ?"
        return _DECODE(self._database.execute(query, (key.artifact_id,)).fetchone()[0])

    def by_prefix(self, prefix: str) -> Sequence[Any]:
        query = "SELECT record FROM records WHERE chain_path >= ? AND chain_path < ? ORDER BY chain_path"
        beyond = prefix[:-1] + chr(ord(prefix[-1]) + 1)
        return [_DECODE(row[0]) for row in self._database.execute(query, (prefix, beyond))]

    def by_step(self, pipeline_id: str, step: int) -> Sequence[Any]:
        query = "SELECT record FROM records WHERE pipeline_id = ? AND step_index = ?"
        return [_DECODE(row[0]) for row in self._database.execute(query, (pipeline_id, step))]

    def fold_models(self, pipeline_id: str, step: int) -> Sequence[Any]:
        return in_fold_order(self.by_step(pipeline_id, step))

    def replay(self) -> int:
        """A projection of its own rows: decode each, put it into a new table with the same indexes."""
        again = sqlite3.connect(f"{self._path}.again", isolation_level=None)
        again.execute("PRAGMA journal_mode=WAL")
        again.executescript(_TABLES)
        done = 0
        for chunk in chunks(_DECODE(row[0]) for row in self._database.execute("SELECT record FROM records")):
            again.execute("BEGIN IMMEDIATE")
            again.executemany(_PUT, map(_row, chunk))
            again.execute("COMMIT")
            done += len(chunk)
        again.close()
        for path in self._path.parent.glob(f"{self._path.name}.again*"):
            path.unlink()
        return done

    def count(self) -> int:
        return int(self._database.execute("SELECT count(*) FROM records").fetchone()[0])

    def close(self) -> None:
        self._database.close()


def _row(record: Record) -> tuple[Any, ...]:
    return (
        record["artifact_id"],
        record["chain_path"],
        record["pipeline_id"],
        record["step_index"],
        msgspec.json.encode(record),
    )


PEER = Peer(
    f"SQLite {sqlite3.sqlite_version}",
    SQLite,
    modules=("sqlite3",),
    notes={
        "register": "WAL, synchronous=FULL; blob and record in one transaction; no past, no checks",
        "run": "one transaction",
        "fill": "executemany, a transaction for 1,000",
        "replay": "decodes its rows, puts them into a new table with the same indexes, 1,000 at once",
        "id": "record as JSON, decoded by msgspec, as chainfold's are",
    },
)
