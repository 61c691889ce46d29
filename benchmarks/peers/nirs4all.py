"""nirs4all's artifact registry as published; its manifests are what it can be opened from."""

import importlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml
from benchmarks.peers.ours import DATASET, register
from benchmarks.peers.protocol import Peer, Unable
from benchmarks.peers.shim import stand_in_for_packages
from benchmarks.workload import Item, Key, Record

stand_in_for_packages()
_ARTIFACTS = "nirs4all.pipeline.storage.artifacts"
_registry = importlib.import_module(f"{_ARTIFACTS}.artifact_registry")
_types = importlib.import_module(f"{_ARTIFACTS}.types")


class Nirs4all(Unable):
    def __init__(self, folder: Path, synced: bool) -> None:  # noqa: FBT001 - the signature of all stores
        del synced  # it never is
        self._manifest = folder / "manifest.yaml"
        self.folder = folder
        self.registry: Any = _registry.ArtifactRegistry(folder, DATASET)
        if self._manifest.exists():
            self._open()

    def _open(self) -> None:
        with self._manifest.open("rb") as file:
            parsed = yaml.load(file, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - it is safe
        self.registry.import_from_manifest(parsed, self.folder)

    def register(self, item: Item) -> object:
        return register(self.registry, item, _types.ArtifactType(item.kind), _types.MetaModelConfig)

    def begin(self) -> None:
        self.registry.start_run()

    def commit(self) -> None:
        self.registry.end_run()

    def roll_back(self) -> None:
        self.registry.cleanup_failed_run()
        self.registry.delete_orphaned_artifacts(dry_run=False, scan_all_manifests=False)

    def fill(self, records: Iterable[Record]) -> None:
        parsed = {"artifacts": {"schema_version": "3.0", "items": list(records)}}
        with self._manifest.open("w", encoding="utf-8") as file:
            yaml.dump(parsed, file, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper), sort_keys=False)

    def by_id(self, key: Key) -> Any:
        return self.registry.resolve(key.artifact_id)

    def by_prefix(self, prefix: str) -> Sequence[Any]:
        found: Sequence[Any] = self.registry.get_chain_prefix(prefix)
        return found

    def by_step(self, pipeline_id: str, step: int) -> Sequence[Any]:
        found: Sequence[Any] = self.registry.get_artifacts_for_step(pipeline_id, step)
        return found

    def fold_models(self, pipeline_id: str, step: int) -> Sequence[Any]:
        found: Sequence[Any] = self.registry.get_fold_models(pipeline_id, step)
        return found

    def replay(self) -> int:
        """Its manifests are its log: parse, import."""
        self.registry = _registry.ArtifactRegistry(self.folder, DATASET)
        self._open()
        return self.count()

    def count(self) -> int:
        return len(self.registry.get_all_records())


PEER = Peer(
    "nirs4all",
    Nirs4all,
    packages=("nirs4all",),
    modules=("benchmarks.peers.nirs4all",),
    notes={
        "register": "syncs nothing, and compresses",
        "run": "syncs nothing, also not at the end, and compresses; globs the folder each time",
        "fill": "writes one YAML manifest with libyaml, not synced; it has no other form on disk",
        "open": "parses that manifest with libyaml (its own code: the slower pure Python), imports it",
        "replay": "the same as opening it",
        "id": "a dict of decoded records in memory",
        "prefix": "knows the last fold of each chain only: finds 9 of 17",
        "rollback": "`cleanup_failed_run`, then `delete_orphaned_artifacts` for the files",
        "import": "its registry's modules only; empty packages for those that import heavy libraries",
        "orphans": "`yaml.safe_load` on each manifest, each time; knows only those below runs/<dataset>/",
    },
)
