"""Optuna's JournalStorage: an append-only log of JSON lines too. A record is a trial's attributes."""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import optuna
from benchmarks.peers.floor import BlobFolder
from benchmarks.peers.protocol import CannotError, Peer, Unable, chunks, in_fold_order, serialised
from benchmarks.workload import Item, Key, Record
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

optuna.logging.set_verbosity(optuna.logging.ERROR)


class Journal(Unable):
    def __init__(self, folder: Path, synced: bool) -> None:  # noqa: FBT001 - the signature of all stores
        self._path = folder / "journal.log"
        self._blobs = BlobFolder(folder, synced=synced)
        self._open()

    def _open(self) -> None:
        path = str(self._path)
        self._backend = JournalFileBackend(path, lock_obj=JournalFileOpenLock(path))
        self._storage = JournalStorage(self._backend)
        found = optuna.create_study(storage=self._storage, study_name="wheat", load_if_exists=True)
        self._study: int = found._study_id  # noqa: SLF001 - its storage is asked by that, and nothing else tells it

    def register(self, item: Item) -> object:
        data = serialised(item.model)
        digest = hashlib.sha256(data).hexdigest()
        record = item.record(digest, len(data))
        self._blobs.put(record["path"], data)
        return self._add(record)

    def _add(self, record: Record) -> object:
        trial = optuna.trial.create_trial(value=0.0, user_attrs=record)
        return self._storage.create_new_trial(self._study, trial)

    def fill(self, records: Iterable[Record]) -> None:
        """Lines like those that it writes itself, many with each append."""
        template: dict[str, Any] | None = None
        for chunk in chunks(records):
            if template is None:
                self._add(chunk.pop(0))
                template = list(self._backend.read_logs(0))[-1]
            self._backend.append_logs([template | {"user_attrs": record} for record in chunk])

    def by_id(self, key: Key) -> Any:
        return self._storage.get_trial(key.number).user_attrs

    def by_prefix(self, prefix: str) -> Sequence[Any]:
        return [each for each in self._all() if each["chain_path"].startswith(prefix)]

    def by_step(self, pipeline_id: str, step: int) -> Sequence[Any]:
        return [
            each for each in self._all() if each["pipeline_id"] == pipeline_id and each["step_index"] == step
        ]

    def fold_models(self, pipeline_id: str, step: int) -> Sequence[Any]:
        return in_fold_order(self.by_step(pipeline_id, step))

    def _all(self) -> Iterable[Any]:
        return (trial.user_attrs for trial in self._storage.get_all_trials(self._study, deepcopy=False))

    def replay(self) -> int:
        self._open()
        return self.count()

    def count(self) -> int:
        return int(self._storage.get_n_trials(self._study))

    def roll_back(self) -> None:
        raise CannotError("has no rollback: what is appended stays")


PEER = Peer(
    "Optuna journal",
    Journal,
    packages=("optuna",),
    modules=("optuna.storages.journal",),
    notes={
        "register": "a trial with the record as attributes; the blob as the floor writes it, all synced",
        "fill": "lines as it writes them, given to its file backend 1,000 at a time, not one by one",
        "open": "replays the whole journal",
        "past": "has its log, and no query but of the present: it would have to be replayed up to there",
        "replay": "the same as opening it",
        "id": "asked for a trial by number: it has no other key; the artifact's id it would have to scan for",
        "prefix": "has no index: scans all trials",
        "step": "has no index: scans all trials",
        "writers": "its open lock, the faster of its two",
    },
)
