"""Four processes that register into one store at once, each durably."""

import functools
import multiprocessing
from pathlib import Path
from time import perf_counter
from typing import Any

from benchmarks.bench import Bench
from benchmarks.folders import workspace
from benchmarks.measuring import Metrics
from benchmarks.peers import OURS, load
from benchmarks.peers.ours import Chainfold
from benchmarks.peers.protocol import CannotError
from benchmarks.workload import PIPELINE, items

_PROCESSES = 4
_ALONE = ("nirs4all",)


def measure(bench: Bench) -> None:
    size = _PROCESSES * (bench.count // 2 // PIPELINE * PIPELINE)
    sides = {
        name: functools.partial(_together, bench, name, size) for name in bench.sides if name not in _ALONE
    }
    samples = bench.ask("writers", ["writers"], size, sides)
    bench.results.add("writers", size, samples, "each")
    bench.results.add("unfair", size, samples, "unfair")
    for name in set(_ALONE) & set(bench.sides):
        bench.results.refuse("writers", size, name, "has no registry that processes share")


def _together(bench: Bench, name: str, size: int, _: int) -> Metrics:
    """From the moment that all processes are ready to when the last is done."""
    context = multiprocessing.get_context("spawn")
    ready, done = context.Barrier(_PROCESSES + 1), context.SimpleQueue()
    peer, folder = load(name), workspace()
    peer.open_store(folder, True).close()  # noqa: FBT003 - synced
    share = max(PIPELINE, size // _PROCESSES // peer.pace)
    workers = [
        context.Process(target=_register, args=(name, str(folder), number, share, ready, done))
        for number in range(_PROCESSES)
    ]
    for worker in workers:
        worker.start()
    try:
        ready.wait(60)
        start = perf_counter()
        for worker in workers:
            worker.join(max(0.0, bench.budget.limit - (perf_counter() - start)))
        took = perf_counter() - start
    finally:
        for worker in workers:
            worker.kill()
    _check(name, folder, _PROCESSES * share, [worker.exitcode for worker in workers])
    each = [done.get() for _ in workers]
    return {"each": took / (_PROCESSES * share), "unfair": max(each) / min(each)}


def _check(name: str, folder: Path, expected: int, codes: list[int | None]) -> None:
    if any(codes):
        raise CannotError(f"{sum(map(bool, codes))} of {_PROCESSES} processes failed or took too long")
    store = load(name).open_store(folder, True)  # noqa: FBT003 - as it was written
    if (count := store.count()) != expected:
        raise CannotError(f"{expected - count} of {expected} were lost")
    if name == OURS:
        assert isinstance(store, Chainfold)
        assert store.registry.verify().ok
    store.close()


def _register(name: str, folder: str, number: int, share: int, ready: Any, done: Any) -> None:
    made = items(share, first=number * -(-share // PIPELINE) * PIPELINE)
    store = load(name).open_store(Path(folder), True)  # noqa: FBT003 - synced
    ready.wait(60)
    start = perf_counter()
    for item in made:
        store.register(item)
    done.put(perf_counter() - start)
    store.close()
