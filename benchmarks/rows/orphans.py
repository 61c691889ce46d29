"""Looking for files that nothing refers to, where the pipelines' own manifests refer to most."""

import functools
from pathlib import Path
from time import perf_counter

import yaml
from benchmarks import fresh
from benchmarks.bench import Bench
from benchmarks.folders import workspace
from benchmarks.measuring import Metrics
from benchmarks.peers import OURS, load
from benchmarks.peers.ours import DATASET
from benchmarks.workload import PIPELINE, records

_SIDES = (OURS, "nirs4all")
_FILES, _ORPHANS = 200, 50


def measure(bench: Bench) -> None:
    folder = str(_laid_out(bench.manifests))
    asked = {
        name: functools.partial(_in_process, bench, name, folder) for name in bench.sides if name in _SIDES
    }
    samples = bench.ask("orphans", ["orphans", "orphans-again"], bench.manifests, asked)
    bench.results.add("orphans", bench.manifests, samples, "first")
    bench.results.add("orphans-again", bench.manifests, samples, "again")
    for name in bench.sides:
        if name not in _SIDES:
            bench.results.refuse("orphans", bench.manifests, name, "knows nothing of manifests")


def _in_process(bench: Bench, name: str, folder: str, _: int) -> Metrics:
    return fresh.call("benchmarks.rows.orphans:scan", bench.timeout(name), name=name, folder=folder)


def scan(name: str, folder: str) -> Metrics:
    registry = load(name).open_store(Path(folder), True).registry  # type: ignore[attr-defined]  # noqa: FBT003
    metrics: Metrics = {}
    for turn in ("first", "again"):
        start = perf_counter()
        found = registry.find_orphaned_artifacts()
        metrics[turn] = perf_counter() - start
        assert len(found) == _ORPHANS, len(found)
    return metrics


def _laid_out(manifests: int) -> Path:
    """A workspace with that many manifests, some files that they name, and some that nothing names."""
    folder = workspace()
    binaries = folder / "binaries" / DATASET
    binaries.mkdir(parents=True)
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    laid = list(records(manifests * PIPELINE))
    for number in range(manifests):
        listed = laid[number * PIPELINE : (number + 1) * PIPELINE]
        path = folder / "runs" / f"2026-01-01_{DATASET}" / listed[0]["pipeline_id"] / "manifest.yaml"
        path.parent.mkdir(parents=True)
        content = {"dataset": DATASET, "artifacts": {"schema_version": "3.0", "items": listed}}
        path.write_text(yaml.dump(content, Dumper=dumper, sort_keys=False), encoding="utf-8")
    for record in laid[:_FILES]:
        (binaries / record["path"]).write_bytes(b"mentioned")
    for number in range(_ORPHANS):
        (binaries / f"model_Ridge_{number:012x}.joblib").write_bytes(b"not mentioned")
    return folder
