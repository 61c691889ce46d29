"""Registering in a run, committing it, rolling it back; each repetition in a process of its own."""

import functools
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

from benchmarks import fresh
from benchmarks.bench import Bench
from benchmarks.folders import workspace
from benchmarks.measuring import Metrics
from benchmarks.peers import load
from benchmarks.peers.protocol import Store
from benchmarks.workload import Item, blobs, items

_LAP = 1_000


def measure(bench: Bench) -> None:
    questions = {"run": "register", "commit": "commit", "whole-run": "whole", "slowdown": "slowdown"}
    for size in bench.runs:
        sides = {name: functools.partial(_in_process, bench, "forwards", name, size) for name in bench.sides}
        samples = bench.ask("run", ["run"], size, sides)
        for question, metric in questions.items():
            bench.results.add(question, size, samples, metric, 1 if question == "slowdown" else size)


def measure_rollback(bench: Bench) -> None:
    """All that removes files comes last: see `folders`."""
    for size in bench.rollbacks:
        sides = {name: functools.partial(_in_process, bench, "backwards", name, size) for name in bench.sides}
        samples = bench.ask("rollback", ["rollback"], size, sides)
        bench.results.add("rollback", size, samples, "back")


def _in_process(bench: Bench, target: str, name: str, size: int, _: int) -> Metrics:
    folder = str(workspace())
    return fresh.call(
        f"benchmarks.rows.running:{target}", bench.timeout(name), name=name, folder=folder, size=size
    )


def forwards(name: str, folder: str, size: int) -> Metrics:
    store = _opened(name, Path(folder))
    store.begin()
    laps = []
    for batch in _batches(size):
        start = perf_counter()
        for item in batch:
            store.register(item)
        laps.append(perf_counter() - start)
    start = perf_counter()
    store.commit()
    commit = perf_counter() - start
    assert store.count() == size
    store.close()
    metrics = {"register": sum(laps), "commit": commit, "whole": sum(laps) + commit}
    if len(laps) > 1 and size % _LAP == 0:
        metrics["slowdown"] = laps[-1] / laps[0]
    return metrics


def backwards(name: str, folder: str, size: int) -> Metrics:
    store = _opened(name, Path(folder))
    store.begin()
    for batch in _batches(size):
        for item in batch:
            store.register(item)
    start = perf_counter()
    store.roll_back()
    took = perf_counter() - start
    assert blobs(Path(folder)) == 0
    store.close()
    return {"back": took}


def _opened(name: str, folder: Path) -> Store:
    """A store in whose process a run has been before: its libraries are loaded."""
    peer = load(name)
    aside = folder.with_name(f"{folder.name}-warm")
    aside.mkdir()
    warm = peer.open_store(aside, True)  # noqa: FBT003 - synced
    warm.begin()
    for item in items(40):
        warm.register(item)
    warm.commit()
    warm.close()
    return peer.open_store(folder, True)  # noqa: FBT003 - synced


def _batches(size: int) -> Iterator[list[Item]]:
    """Objects are made between the laps, and not all held: they take no part in what is measured."""
    for first in range(0, size, _LAP):
        yield items(min(_LAP, size - first), first)
