"""joblib.Memory: what a function returned, by its arguments. The function is asked for an id."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import joblib
from benchmarks.peers.protocol import CannotError, Peer, Unable
from benchmarks.workload import Item, Key, Record


def fitted(artifact_id: str, given: Any) -> Any:
    """What is remembered under an id; looking up what is not there is an error."""
    if given is None:
        raise CannotError(f"{artifact_id} is not in the cache")
    return given


class Memory(Unable):
    def __init__(self, folder: Path, synced: bool) -> None:  # noqa: FBT001 - the signature of all stores
        del synced  # it never is
        memory = joblib.Memory(str(folder / "memory"), verbose=0, compress=False)
        self._folder = folder / "memory"
        self._fitted = memory.cache(fitted, ignore=["given"])

    def register(self, item: Item) -> object:
        record = item.record("0" * 64, 0)  # its own digest is of the arguments
        return self._fitted(item.artifact_id, (item.model, record))

    def begin(self) -> None:
        raise CannotError("has no runs, and makes nothing durable")

    def fill(self, records: Iterable[Record]) -> None:
        for record in records:
            self._fitted(record["artifact_id"], record)

    def by_id(self, key: Key) -> Any:
        return self._fitted(key.artifact_id, None)

    def count(self) -> int:
        return sum(1 for _ in self._folder.rglob("output.pkl"))


PEER = Peer(
    "joblib.Memory",
    Memory,
    packages=("joblib",),
    modules=("joblib",),
    notes={
        "register": "syncs nothing, digests the id instead of the bytes; object and record in one pickle",
        "fill": "one call a record, not synced: it has no bulk way",
        "id": "a folder and two files for each record",
    },
)
