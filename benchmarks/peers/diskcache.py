"""diskcache: a dict on disk, over SQLite. It has its key and nothing else."""

import contextlib
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import diskcache
from benchmarks.peers.protocol import CannotError, Peer, Unable, chunks, serialised
from benchmarks.workload import Item, Key, Record


class DiskCache(Unable):
    def __init__(self, folder: Path, synced: bool) -> None:  # noqa: FBT001 - the signature of all stores
        self._cache = diskcache.Cache(
            str(folder / "cache"),
            eviction_policy="none",
            cull_limit=0,
            size_limit=1 << 40,
            sqlite_synchronous=2 if synced else 1,
            disk_min_file_size=1 << 20,  # files of its own it never syncs
            timeout=60,
        )
        self._run: contextlib.AbstractContextManager[Any] | None = None

    def register(self, item: Item) -> object:
        data = serialised(item.model)
        digest = hashlib.sha256(data).hexdigest()
        record = item.record(digest, len(data))
        if self._run is not None:
            self._put(digest, data, record)
        else:
            with self._cache.transact():
                self._put(digest, data, record)
        return record

    def _put(self, digest: str, data: bytes, record: Record) -> None:
        self._cache[digest] = data
        self._cache[record["artifact_id"]] = record

    def begin(self) -> None:
        self._run = self._cache.transact()
        self._run.__enter__()

    def commit(self) -> None:
        run, self._run = self._run, None
        assert run is not None
        run.__exit__(None, None, None)

    def roll_back(self) -> None:
        run, self._run = self._run, None
        assert run is not None
        error = CannotError("to roll back")
        with contextlib.suppress(CannotError):
            run.__exit__(CannotError, error, None)

    def fill(self, records: Iterable[Record]) -> None:
        for chunk in chunks(records):
            with self._cache.transact():
                for record in chunk:
                    self._cache[record["artifact_id"]] = record

    def by_id(self, key: Key) -> Any:
        return self._cache[key.artifact_id]

    def count(self) -> int:
        return sum(1 for key in self._cache if "$" in key)

    def close(self) -> None:
        self._cache.close()


PEER = Peer(
    "diskcache",
    DiskCache,
    packages=("diskcache",),
    modules=("diskcache",),
    notes={
        "register": "blob and record as two values in one transaction, synchronous=FULL, all in its database",
        "run": "one transaction",
        "fill": "a transaction for 1,000",
        "open": "of its memory up to 64 MB are pages of its database, mapped",
        "id": "record as pickle",
    },
)
