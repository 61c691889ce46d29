"""Opening what is there in a fresh process, asking it, and the memory that this takes."""

import functools
import random
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

from benchmarks import fresh
from benchmarks.bench import Bench
from benchmarks.measuring import Metrics
from benchmarks.peers import load
from benchmarks.peers.protocol import CannotError, Store, identity
from benchmarks.workload import (
    BELOW_PREFIX,
    CHAINS_BELOW_PREFIX,
    FOLDS,
    MODEL_STEP,
    PIPELINE,
    key,
)

_AT_MOST = 10_000
"""Ids that are asked for."""
_PIPELINES = 100
_SECONDS = 3.0
"""After which no more is asked of a slow side."""
_QUESTIONS = ("open", "id", "id-again", "prefix", "step", "folds", "memory", "memory-grown")


def measure(bench: Bench) -> None:
    for size in bench.sizes:
        filled = [name for name in bench.sides if (name, size) in bench.filled]
        for name in set(bench.sides) - set(filled):
            _refuse_unfilled(bench, name, size)
        sides = {name: functools.partial(_probe, bench, name, size) for name in filled}
        samples = bench.ask("read", _QUESTIONS, size, sides)
        for question in _QUESTIONS:
            bench.results.add(question, size, samples, question)


def _refuse_unfilled(bench: Bench, name: str, size: int) -> None:
    cell = bench.results.find("fill", name, size)
    if cell is not None and cell.refusal:
        for question in _QUESTIONS:
            bench.results.refuse(question, size, name, f"could not be loaded: {cell.refusal}")


def _probe(bench: Bench, name: str, size: int, repetition: int) -> Metrics:
    folder = str(bench.filled[name, size])
    found = fresh.call(
        "benchmarks.rows.reading:probe",
        bench.timeout(name),
        name=name,
        folder=folder,
        size=size,
        seed=repetition,
    )
    for question, reason in found.pop("refused").items():
        bench.results.refuse(question, size, name, reason)
    return found


def probe(name: str, folder: str, size: int, seed: int) -> dict[str, Any]:
    peer = load(name)
    draw = random.Random(seed)  # noqa: S311 - an order, not a secret
    keys = [(key(number),) for number in draw.sample(range(size), min(size // 2, _AT_MOST))]
    before = resident_bytes()
    start = perf_counter()
    store = peer.open_store(Path(folder), True)  # noqa: FBT003 - as it was written
    found = store.by_id(keys[0][0])
    metrics: Metrics = {"open": perf_counter() - start}
    assert identity(found) == keys[0][0].artifact_id
    asked, metrics["id"] = for_a_while(store.by_id, keys[1:])
    metrics["memory"] = resident_bytes()
    metrics["memory-grown"] = metrics["memory"] - before
    _, metrics["id-again"] = for_a_while(store.by_id, keys[1 : asked + 1])
    refused: dict[str, str] = {}
    wanted = draw.sample(range(size // PIPELINE), min(size // PIPELINE // 3, _PIPELINES) * 3)
    for turn, query in enumerate(("prefix", "step", "folds")):
        try:
            metrics[query] = _queried(name, store, query, wanted[turn::3])
        except CannotError as error:
            refused[query] = str(error)
    store.close()
    return metrics | {"refused": refused}


def _queried(name: str, store: Store, query: str, pipelines: Sequence[int]) -> float:
    """Seconds for each of these pipelines, of which none was asked for in this way before."""
    asked = [key(pipeline * PIPELINE) for pipeline in pipelines]
    if query == "prefix":
        calls: list[tuple[Any, ...]] = [(each.prefix,) for each in asked]
        expected = CHAINS_BELOW_PREFIX if name == "nirs4all" else BELOW_PREFIX
        method: Callable[..., Sequence[Any]] = store.by_prefix
    else:
        calls = [(each.pipeline_id, MODEL_STEP) for each in asked]
        expected, method = 2 * FOLDS, store.by_step if query == "step" else store.fold_models
    _, seconds = for_a_while(method, calls)
    found = method(*calls[0])
    assert len({identity(each) for each in found}) == expected, (query, len(found))
    return seconds


def for_a_while(method: Callable[..., object], calls: Sequence[tuple[Any, ...]]) -> tuple[int, float]:
    """Ask until all is asked, or time is up: how many, and seconds for each.

    The clock is looked at after 1, 2, 4, … questions: it costs as much as a fast one.
    """
    done, batch, start = 0, 1, perf_counter()
    while done < len(calls):
        for call in calls[done : done + batch]:
            method(*call)
        done = min(len(calls), done + batch)
        batch = min(2 * batch, 1_000)
        if perf_counter() - start > _SECONDS:
            break
    return done, (perf_counter() - start) / done


def resident_bytes() -> float:
    """Resident memory of this process now; where that cannot be said, the most that it had."""
    if sys.platform == "linux":
        with Path("/proc/self/status").open() as status:
            return next(1024.0 * int(line.split()[1]) for line in status if line.startswith("VmRSS:"))
    if sys.platform == "win32":
        raise CannotError("memory is read on Linux and macOS only")
    import resource

    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
