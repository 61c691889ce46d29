"""chainfold, by its public interface alone."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.peers.protocol import Peer, chunks
from benchmarks.workload import Item, Key, Record, meta_config

from chainfold import ArtifactRegistry, MetaModelConfig

DATASET = "wheat"


def register(registry: Any, item: Item, kind: Any = None, config: Any = MetaModelConfig) -> Any:
    """The same call for chainfold and nirs4all: the signature is shared, the classes are not."""
    return registry.register_with_chain(
        item.model,
        item.chain,
        item.kind if kind is None else kind,
        item.step,
        branch_path=item.branch,
        source_index=item.source,
        fold_id=item.fold,
        depends_on=item.depends_on,
        params=item.params,
        meta_config=config(**meta_config(item)) if item.is_meta else None,
        pipeline_id=item.pipeline_id,
    )


class Chainfold:
    def __init__(self, folder: Path, synced: bool) -> None:  # noqa: FBT001 - the signature of all stores
        del synced  # it always is
        self.folder = folder
        self.registry = ArtifactRegistry(folder, DATASET)

    def register(self, item: Item) -> object:
        return register(self.registry, item)

    def begin(self) -> None:
        self.registry.start_run()

    def commit(self) -> None:
        self.registry.end_run()

    def roll_back(self) -> None:
        self.registry.cleanup_failed_run()

    def fill(self, records: Iterable[Record]) -> None:
        for chunk in chunks(records):
            self.registry.import_from_manifest({"schema_version": "3.0", "items": chunk}, self.folder)

    def by_id(self, key: Key) -> Any:
        return self.registry.resolve(key.artifact_id)

    def by_prefix(self, prefix: str) -> Sequence[Any]:
        return self.registry.get_chain_prefix(prefix)

    def by_step(self, pipeline_id: str, step: int) -> Sequence[Any]:
        return self.registry.get_artifacts_for_step(pipeline_id, step)

    def fold_models(self, pipeline_id: str, step: int) -> Sequence[Any]:
        return self.registry.get_fold_models(pipeline_id, step)

    def replay(self) -> int:
        assert self.registry.rebuild()
        return self.registry.position

    def count(self) -> int:
        return len(self.registry)

    def close(self) -> None:
        self.registry.close()


PEER = Peer(
    "chainfold",
    Chainfold,
    packages=("chainfold", "msgspec", "xxhash"),
    modules=("chainfold.registry",),
    notes={
        "fill": "`import_from_manifest`, 1,000 at a time; each record is checked, and its file looked for",
        "run": "synced once, at the commit",
        "replay": "`rebuild`, which also compares the outcome with the state that was held",
    },
)
