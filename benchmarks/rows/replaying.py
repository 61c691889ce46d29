"""Replaying the log, verifying it, and asking about the past, of workspaces that were filled before."""

import functools
import os
import random
import shutil
import tempfile
from pathlib import Path
from time import perf_counter

from benchmarks import fresh
from benchmarks.bench import Bench
from benchmarks.measuring import Metrics
from benchmarks.peers import OURS, load
from benchmarks.peers.ours import Chainfold
from benchmarks.rows.reading import for_a_while
from benchmarks.workload import key

_LOOKUPS = 2_000


def measure(bench: Bench) -> None:
    for size in bench.sizes:
        filled = [name for name in bench.sides if (name, size) in bench.filled]
        for question, cores in (("replay-1", 1), ("replay-all", 0)):
            sides = {
                name: functools.partial(_in_process, bench, "replayed", name, size, cores) for name in filled
            }
            samples = bench.ask(question, [question], size, sides)
            bench.results.add(question, size, samples, "each")
        if (OURS, size) in bench.filled:
            side = functools.partial(_in_process, bench, "opened_without_snapshots", OURS, size, 0)
            samples = bench.ask("replay-opening", ["replay-opening"], size, {OURS: side})
            bench.results.add("replay-opening", size, samples, "each")


def measure_verify(bench: Bench) -> None:
    for size in bench.sizes:
        if (OURS, size) not in bench.filled:
            continue
        for question, cores in (("verify-1", 1), ("verify-all", 0)):
            side = functools.partial(_in_process, bench, "verified", OURS, size, cores)
            samples = bench.ask(question, [question], size, {OURS: side})
            bench.results.add(question, size, samples, "each")
    for name in bench.sides:
        if name != OURS:
            bench.results.refuse("verify-1", bench.sizes[0], name, "has no such check")


def measure_past(bench: Bench) -> None:
    for size in bench.sizes:
        if (OURS, size) not in bench.filled:
            continue
        side = functools.partial(_in_process, bench, "looked_back", OURS, size, 0)
        samples = bench.ask("past", ["past"], size, {OURS: side})
        bench.results.add("past-first", size, samples, "first")
        for title, metric in ((OURS, "past"), ("the present", "present")):
            bench.results.add("past", size, {title: samples[OURS]}, metric)
    for name in bench.sides:
        if name != OURS:
            bench.results.refuse("past", bench.sizes[0], name, load(name).notes.get("past", "keeps no past"))


def _in_process(bench: Bench, target: str, name: str, size: int, cores: int, repetition: int) -> Metrics:
    return fresh.call(
        f"benchmarks.rows.replaying:{target}", bench.timeout(name),
        name=name, folder=str(bench.filled[name, size]), cores=cores, seed=repetition,
    )  # fmt: skip


def _keep_to(cores: int) -> None:
    if cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])


def replayed(name: str, folder: str, cores: int, seed: int) -> Metrics:
    del seed
    _keep_to(cores)
    store = load(name).open_store(Path(folder), True)  # noqa: FBT003 - as it was written
    start = perf_counter()
    events = store.replay()
    took = perf_counter() - start
    store.close()
    return {"each": took / events}


def opened_without_snapshots(name: str, folder: str, cores: int, seed: int) -> Metrics:
    """What a workspace costs whose snapshots were deleted: a copy of it is opened, and asked."""
    del name, cores, seed
    with tempfile.TemporaryDirectory(dir=Path(folder).parent) as copy:
        leave_out = shutil.ignore_patterns("snapshots")
        shutil.copytree(Path(folder) / "log", Path(copy) / "log", ignore=leave_out)
        start = perf_counter()
        registry = Chainfold(Path(copy), True).registry  # noqa: FBT003 - it always is
        assert registry.resolve(key(0).artifact_id) is not None
        took = perf_counter() - start
        metrics = {"each": took / registry.position}
        registry.close()
    return metrics


def verified(name: str, folder: str, cores: int, seed: int) -> Metrics:
    del name, seed
    _keep_to(cores)
    registry = Chainfold(Path(folder), True).registry  # noqa: FBT003 - it always is
    start = perf_counter()
    report = registry.verify(jobs=cores or -1)
    took = perf_counter() - start
    assert report.ok
    registry.close()
    return {"each": took / report.entries}


def looked_back(name: str, folder: str, cores: int, seed: int) -> Metrics:
    """Lookups as of the middle of the log, and of the present: of ids that were there in the middle."""
    del name, cores
    registry = Chainfold(Path(folder), True).registry  # noqa: FBT003 - it always is
    there = len(registry.as_of(registry.position // 2))
    if not there:  # one import is one run: nothing of it is visible before it is whole
        return {}
    draw = random.Random(seed)  # noqa: S311 - an order, not a secret
    numbers = draw.sample(range(there), 2 * min(there // 2, _LOOKUPS))
    asked = [[(key(number).artifact_id,) for number in numbers[turn::2]] for turn in range(2)]
    start = perf_counter()
    view = registry.as_of(registry.position // 2)
    assert view.resolve(asked[0][0][0]) is not None
    metrics = {"first": perf_counter() - start}
    order = [("past", view.resolve, asked[0][1:]), ("present", registry.resolve, asked[1])]
    for title, method, calls in order if seed % 2 else reversed(order):
        metrics[title] = for_a_while(method, calls)[1]
    registry.close()
    return metrics
