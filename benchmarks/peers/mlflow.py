"""MLflow's tracking store on SQLite: an artifact is a run, its record the run's tags and parameters."""

import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
from benchmarks.peers.protocol import Peer, Unable, in_fold_order, serialised
from benchmarks.workload import Item, Key, Record
from mlflow.entities import Param, RunTag
from mlflow.tracking import MlflowClient

for _name in ("mlflow", "alembic"):
    logging.getLogger(_name).setLevel(logging.ERROR)
_PLAIN = ("artifact_id", "chain_path", "pipeline_id", "artifact_type", "class_name", "content_hash", "path")


class MLflow(Unable):
    def __init__(self, folder: Path, synced: bool) -> None:  # noqa: FBT001 - the signature of all stores
        del synced  # its database always is, its files never are
        self._folder = folder
        self._client: Any = MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")
        found = self._client.get_experiment_by_name("wheat")
        self._experiment = (
            found.experiment_id
            if found is not None
            else self._client.create_experiment("wheat", artifact_location=(folder / "artifacts").as_uri())
        )

    def register(self, item: Item) -> object:
        data = serialised(item.model)
        record = item.record(hashlib.sha256(data).hexdigest(), len(data))
        run = self._add(record)
        with tempfile.TemporaryDirectory(dir=self._folder) as aside:
            path = Path(aside) / record["path"]
            path.write_bytes(data)
            self._client.log_artifact(run, str(path))
        return record

    def _add(self, record: Record) -> str:
        tags = {
            name: value if name in _PLAIN else json.dumps(value)
            for name, value in record.items()
            if name != "params" and value is not None
        }
        run: str = self._client.create_run(
            self._experiment, tags=tags, run_name=record["artifact_id"]
        ).info.run_id
        named = [Param(name, json.dumps(value)) for name, value in record["params"].items()]
        self._client.log_batch(run, params=named, tags=[RunTag("registered", "true")])
        return run

    def fill(self, records: Iterable[Record]) -> None:
        for record in records:
            self._add(record)

    def by_id(self, key: Key) -> Any:
        return self._found(f"tags.artifact_id = '{key.artifact_id}'")[0]

    def by_prefix(self, prefix: str) -> Sequence[Any]:
        return self._found(f"tags.chain_path LIKE '{prefix}%'")

    def by_step(self, pipeline_id: str, step: int) -> Sequence[Any]:
        return self._found(f"tags.pipeline_id = '{pipeline_id}' AND tags.step_index = '{step}'")

    def fold_models(self, pipeline_id: str, step: int) -> Sequence[Any]:
        return in_fold_order(self.by_step(pipeline_id, step))

    def _found(self, query: str) -> Sequence[Any]:
        runs = self._client.search_runs([self._experiment], query, max_results=1_000)
        return [{"fold_id": None, **_record(run.data)} for run in runs]

    def count(self) -> int:
        total, token = 0, None
        while True:
            page = self._client.search_runs([self._experiment], max_results=10_000, page_token=token)
            total, token = total + len(page), page.token
            if not token:
                return total


def _record(data: Any) -> Record:
    found: Record = {
        name: value if name in _PLAIN else json.loads(value)
        for name, value in data.tags.items()
        if "." not in name
    }
    return found | {"params": {name: json.loads(value) for name, value in data.params.items()}}


PEER = Peer(
    "MLflow",
    MLflow,
    packages=("mlflow-skinny", "SQLAlchemy", "alembic"),
    modules=("mlflow.tracking",),
    notes={
        "register": "a run with tags, parameters and a file; its database is synced, its files are not",
        "fill": "create_run and log_batch for each record: it has no bulk way; no files",
        "id": "by search_runs on a tag: its own id is random",
        "writers": "SQLite with its rollback journal, as MLflow sets it up",
    },
    pace=10,
)
