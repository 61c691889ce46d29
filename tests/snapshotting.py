"""What tests of snapshots share: snapshots at each step, blocks of a few numbers, all that can be asked."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from chainfold import ArtifactRegistry, RegistryView
from chainfold.dataset import Dataset
from chainfold.events import ArtifactRegistered, BlobsSwept
from chainfold.log import LogReader, OddError
from chainfold.projections import Projections, keys
from chainfold.projections.merging import fingerprint
from chainfold.projections.rebuilding import Rebuilt
from chainfold.storage import LocalFiles

NEVER_DUE: Final = 10**9
BLOCK_BYTES: Final = 64
_PIECE: Final = 16


def save_often(monkeypatch: pytest.MonkeyPatch, entries: int = 1, limit: int = 5) -> None:
    """Write a snapshot each so many entries, and hold no more than `limit` in memory."""
    monkeypatch.setattr("chainfold.folded.TAIL_ENTRIES", entries)
    monkeypatch.setattr("chainfold.folded.CLOSING_ENTRIES", entries)
    monkeypatch.setattr("chainfold.folded.TAIL_SHARE", NEVER_DUE)
    monkeypatch.setattr("chainfold.folded.TAIL_LIMIT", limit)


def save_never(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write none but those that are asked for."""
    save_often(monkeypatch, NEVER_DUE, NEVER_DUE)
    monkeypatch.setattr("chainfold.projections.snapshots.BUILD_BYTES", 1 << 60)


def small_blocks(monkeypatch: pytest.MonkeyPatch, block_bytes: int = BLOCK_BYTES) -> None:
    """Blocks, and pieces that are merged, of a few numbers: so that small states have many."""
    for name in ("section", "snapshot", "merging"):
        monkeypatch.setattr(f"chainfold.projections.{name}.BLOCK_BYTES", block_bytes)
    monkeypatch.setattr("chainfold.projections.merging._PIECE", _PIECE)


def few_hashes(monkeypatch: pytest.MonkeyPatch, bits: int = 3) -> None:
    """Let all keys of a kind share a few hashes."""
    monkeypatch.setattr(keys, "_SHIFT", 64 - bits)


def folder_of(workspace: Path, dataset: str = "wheat") -> Path:
    """Where the snapshots of a dataset are."""
    return workspace / "log" / dataset / "snapshots"


def files_in(workspace: Path, dataset: str = "wheat") -> list[Path]:
    """The snapshots of a dataset, oldest first."""
    return sorted(folder_of(workspace, dataset).glob("*.snapshot"))


def saved(workspace: Path, dataset: str = "wheat") -> Path:
    """Write a snapshot of all that is in a dataset's log; the file."""
    data = Dataset(workspace, dataset)
    try:
        data._save()
    finally:
        data.log.close()
    return files_in(workspace, dataset)[-1]


def from_nothing(workspace: Path, dataset: str, size: int | None = None) -> tuple[Projections, LogReader]:
    """The first entries, or all, folded with no snapshot, and the log that has come as far."""
    log = LogReader(workspace / "log" / dataset, dataset, LocalFiles())
    projections = Projections(log)
    for entry in log.catch_up():
        projections.apply(entry)
        if entry.position + 1 == size:
            break
    return projections, log


def fingerprint_of(projections: Projections, log: LogReader) -> str:
    """The digest of the snapshot that would be written now."""
    return fingerprint(projections, log.mark(), log.offsets())


def check_rebuilt(workspace: Path, dataset: str = "wheat") -> None:
    """The log, folded segment by segment, gives the state that it gives entry by entry."""
    projections, log = from_nothing(workspace, dataset)
    try:
        with Rebuilt(log.folder, dataset) as rebuilt:
            theirs = fingerprint(rebuilt.projections, log.mark(), ((), rebuilt.offsets))
    except OddError as error:
        assert not log.size or "hash" in str(error), error  # noqa: PT017 - whatever else it says is wrong
    else:
        assert theirs == fingerprint_of(projections, log)
    finally:
        log.close()


class Everything:
    """All that can be asked of a dataset, of every key that its log knows and some that it does not."""

    def __init__(self, log: LogReader) -> None:
        events = [log.entry(position).event for position in range(log.size)]
        records = [event.record for event in events if isinstance(event, ArtifactRegistered)]
        self.paths = {record.path for record in records} | {"nothing"}
        for event in events:
            self.paths |= {*event.paths} if isinstance(event, BlobsSwept) else set()
        self.ids = {record.artifact_id for record in records} | {"nobody"}
        self.ids |= {source for record in records for source in record.depends_on}
        self.digests = {record.content_hash for record in records} | {"sha256:" + "0" * 64}
        self.chains = {(record.chain_path, record.fold_id) for record in records} | {("no.Chain", None)}
        self.steps = {(record.pipeline_id, record.step_index) for record in records} | {("none", 1)}
        self.runs = {log.entry(position).run for position in range(log.size)} | {"none"}
        self.size = log.size

    def of(self, registry: ArtifactRegistry) -> dict[str, Any]:
        """The answers at every size, and what commands ask."""
        projections = registry._data.projections
        paths, runs = projections.paths, projections.runs
        return {
            "past": [self._seen(registry.as_of(size)) for size in range(self.size + 1)],
            "present": self._seen(registry),
            "totals": [projections.totals.at(size) for size in range(self.size + 1)],
            "paths": {path: self._file(registry, path) for path in sorted(self.paths)},
            "rows": [paths.path_of(row) for row in range(len(projections.visibility))],
            "runs": [runs.get(run) for run in sorted(filter(None, self.runs))],
            "all runs": list(runs),
            "root": registry._data.log.root(),
            "dump": projections.dump(),
        }

    def _file(self, registry: ArtifactRegistry, path: str) -> tuple[Any, ...]:
        paths = registry._data.projections.paths
        ask: list[Callable[[str], Any]] = [
            paths.is_referenced, paths.is_live, paths.bringer, paths.digest_at, paths.swept_at,
        ]  # fmt: skip
        return tuple(each(path) for each in ask)

    def _seen(self, view: RegistryView) -> dict[str, Any]:
        ids = sorted(self.ids)
        return {
            "records": [record.to_dict() for record in view.iter_records()],
            "ids": [found and found.to_dict() for found in map(view.resolve, ids)],
            "dependents": [view.get_dependents(each) for each in ids],
            "history": [[(each.position, each.standing) for each in view.history(name)] for name in ids],
            "digests": [_id(view.resolve_by_hash(each)) for each in sorted(self.digests)],
            "chains": [_id(view.get_by_chain(*each)) for each in sorted(self.chains, key=str)],
            "prefixes": [
                [_id(each) for each in view.get_chain_prefix(path[:length])]
                for path in sorted({path for path, _ in self.chains})
                for length in (0, 2, len(path))
            ],
            "steps": [
                [_id(each) for each in view.get_artifacts_for_step(*step)] for step in sorted(self.steps)
            ],
            "aliases": view.aliases(),
            "count": len(view),
        }


def _id(record: Any) -> str | None:
    return None if record is None else str(record.artifact_id)


def answers(workspace: Path, dataset: str = "wheat") -> dict[str, Any]:
    """All that a registry says that is opened now."""
    with ArtifactRegistry(workspace, dataset) as registry:
        return Everything(registry._data.log).of(registry)


def answers_without(workspace: Path, dataset: str = "wheat") -> dict[str, Any]:
    """All that one says that folds the whole log."""
    with pytest.MonkeyPatch.context() as patch, ArtifactRegistry(workspace, dataset) as registry:
        save_never(patch)
        registry._data._open_again(from_nothing=True)
        registry._data.refresh()
        assert registry._data.projections.snapshot is None
        return Everything(registry._data.log).of(registry)
