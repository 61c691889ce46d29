"""Loading many records at once, and the bytes that they take: what the other rows read."""

import functools
import shutil
from pathlib import Path
from time import perf_counter

from benchmarks import fresh
from benchmarks.bench import Bench
from benchmarks.folders import bytes_below, workspace
from benchmarks.measuring import Metrics
from benchmarks.peers import FLOOR, OURS, load
from benchmarks.peers.ours import DATASET
from benchmarks.workload import records

_PEERS_UP_TO = 1_000_000
_MANY_FILES = "joblib"
"""Its folders stay till the end: see `folders`."""


def measure(bench: Bench) -> None:
    metrics = {"fill": "fill", "disk": "bytes", "disk-log": "log", "disk-snapshots": "snapshots"}
    for size in bench.sizes:
        asked = [name for name in bench.sides if name != FLOOR and (size <= _PEERS_UP_TO or name == OURS)]
        sides = {name: functools.partial(_fill, bench, name, size) for name in asked}
        samples = bench.ask("fill", ["fill"], size, sides)
        for question, metric in metrics.items():
            bench.results.add(question, size, samples, metric, size)


def _fill(bench: Bench, name: str, size: int, _: int) -> Metrics:
    folder = workspace()
    metrics: Metrics = fresh.call(
        "benchmarks.rows.filling:fill", bench.timeout(name), name=name, folder=str(folder), size=size
    )
    metrics["bytes"] = bytes_below(folder)
    if name == OURS:
        metrics["log"] = bytes_below(folder / "log" / DATASET / "segments")
        metrics["snapshots"] = bytes_below(folder / "log" / DATASET / "snapshots")
    before = bench.filled.get((name, size))
    if before is not None and name != _MANY_FILES:
        shutil.rmtree(before)
    bench.filled[name, size] = folder
    return metrics


def fill(name: str, folder: str, size: int) -> Metrics:
    """In seconds, without what it takes to think the records up."""
    start = perf_counter()
    for _ in records(size):
        pass
    thinking = perf_counter() - start
    store = load(name).open_store(Path(folder), True)  # noqa: FBT003 - synced
    start = perf_counter()
    store.fill(records(size))
    store.close()
    return {"fill": perf_counter() - start - thinking}
