"""Four processes that register into one dataset at once, each durably."""

import multiprocessing
import statistics
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

from benchmarks.measuring import CHAINFOLD, FLOOR, Metrics, Table, interleave, pick
from benchmarks.sides import Floor, Peer, chainfold, line_like_chainfold, register, workspace
from benchmarks.workload import GROUP, blobs, items

_PROCESSES = 4


def measure(table: Table, peer: Peer | None, sizes: list[int], huge: list[int], *, quick: bool) -> None:
    del peer, sizes, huge
    share, repetitions = (100, 2) if quick else (500, 3)
    line = line_like_chainfold(items(100))
    sides: dict[str, Callable[[int], Metrics]] = {
        CHAINFOLD: lambda _: _together(_register_ours, share, None),
        FLOOR: lambda _: _together(_register_floor, share, line),
    }
    samples = interleave(repetitions, sides)
    total = _PROCESSES * share
    figures = pick(samples, "register", per=total)
    rates = ", ".join(f"{side} {1 / statistics.median(runs):,.0f}" for side, runs in figures.items())
    note = (
        f"of the whole group; a second: {rates}; none lost: counted, and the log verified; the floor appends "
        f"under a lock; nirs4all has no registry that processes share"
    )
    table.add(f"register durably, {_PROCESSES} processes", total, "µs", figures, note)


def _together(work: Callable[..., None], share: int, line: bytes | None) -> Metrics:
    """Seconds from the moment that all processes are ready to when the last is done."""
    context = multiprocessing.get_context("spawn")
    ready = context.Barrier(_PROCESSES + 1)
    folder = workspace()
    workers = [
        context.Process(target=work, args=(folder, number, share, line, ready))
        for number in range(_PROCESSES)
    ]
    for worker in workers:
        worker.start()
    ready.wait()
    start = perf_counter()
    for worker in workers:
        worker.join()
    took = perf_counter() - start
    assert all(worker.exitcode == 0 for worker in workers)
    assert blobs(folder) == _PROCESSES * share
    if line is None:
        registry = chainfold(folder)
        assert len(registry) == _PROCESSES * share
        assert registry.verify().ok
        registry.close()
    else:
        assert (folder / "log.jsonl").stat().st_size == len(line) * _PROCESSES * share
    return {"register": took}


def _register_ours(folder: Path, number: int, share: int, _: bytes | None, ready: Any) -> None:
    batch = items(share, first=number * _whole(share))
    registry = chainfold(folder)
    ready.wait()
    for item in batch:
        register(registry, item)
    registry.close()


def _register_floor(folder: Path, number: int, share: int, line: bytes, ready: Any) -> None:
    batch = items(share, first=number * _whole(share))
    floor = Floor(folder, line, sync=True, shared=True)
    ready.wait()
    for item in batch:
        floor.register(item)
    floor.close()


def _whole(share: int) -> int:
    """Whole pipelines for each process."""
    return -(-share // GROUP) * GROUP
