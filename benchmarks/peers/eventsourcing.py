"""The eventsourcing library on SQLite: an artifact is an aggregate, its registration an event."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from benchmarks.peers.floor import BlobFolder
from benchmarks.peers.protocol import CHUNK, CannotError, Peer, Unable, chunks, serialised
from benchmarks.workload import Item, Key, Record
from eventsourcing.application import Application
from eventsourcing.domain import Aggregate


class Artifact(Aggregate):  # type: ignore[misc]  # where the library is not installed
    """One artifact; its id follows from the artifact's, so that it can be found."""

    def __init__(self, record: Record) -> None:
        self.record = record

    @classmethod
    def create_id(cls, record: Record) -> UUID:
        return uuid5(NAMESPACE_URL, record["artifact_id"])


class Events(Unable):
    def __init__(self, folder: Path, synced: bool) -> None:  # noqa: FBT001 - the signature of all stores
        self._blobs = BlobFolder(folder, synced=synced)
        self._run: list[Artifact] | None = None
        self._application: Any = Application(
            {"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": str(folder / "events.sqlite")}
        )

    def register(self, item: Item) -> object:
        data = serialised(item.model)
        record = item.record(hashlib.sha256(data).hexdigest(), len(data))
        self._blobs.put(record["path"], data)
        artifact = Artifact(record)
        if self._run is not None:
            self._run.append(artifact)
        else:
            self._application.save(artifact)
        return record

    def begin(self) -> None:
        self._run, self._blobs.synced = [], False

    def commit(self) -> None:
        run, self._run = self._run, None
        assert run is not None
        self._blobs.commit()
        self._application.save(*run)

    def roll_back(self) -> None:
        self._run = None
        self._blobs.remove_uncommitted()

    def fill(self, records: Iterable[Record]) -> None:
        for chunk in chunks(records):
            self._application.save(*map(Artifact, chunk))

    def by_id(self, key: Key) -> Any:
        return self._application.repository.get(uuid5(NAMESPACE_URL, key.artifact_id)).record

    def replay(self) -> int:
        """Every event, decoded, into a dict by id: the least that a projection can be."""
        recorder, mapper = self._application.recorder, self._application.mapper
        found: dict[str, Record] = {}
        start, events = 1, 0
        while True:
            page = recorder.select_notifications(start, CHUNK)
            for notification in page:
                record = mapper.to_domain_event(notification).record
                found[record["artifact_id"]] = record
            events += len(page)
            if len(page) < CHUNK:
                return events
            start = page[-1].id + 1

    def count(self) -> int:
        found = self._application.recorder.max_notification_id()
        if found is None:
            raise CannotError("has no events")
        return int(found)

    def close(self) -> None:
        self._application.close()


PEER = Peer(
    "eventsourcing",
    Events,
    packages=("eventsourcing",),
    modules=("eventsourcing.application", "eventsourcing.sqlite"),
    notes={
        "register": "an aggregate's first event, synchronous=FULL; the blob as the floor writes it",
        "run": "aggregates are gathered in memory and saved together at the commit; blobs as the floor's",
        "rollback": "what was gathered is forgotten, and the files removed",
        "fill": "1,000 aggregates with each save",
        "id": "replays the aggregate, here of one event",
        "past": "has its log, and no query but of the present: it would have to be replayed up to there",
        "replay": "reads and decodes all events into one dict by id: no other index",
    },
)
