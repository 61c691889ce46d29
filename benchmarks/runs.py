"""Registering in a run, committing it, rolling it back."""

import itertools
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

from benchmarks.measuring import CHAINFOLD, FLOOR, PEER, Metrics, Samples, Table, interleave, pick
from benchmarks.sides import Floor, Peer, chainfold, line_like_chainfold, register, workspace
from benchmarks.workload import Item, blobs, items

_LARGE = 10_000
"""From this size on the peer, which slows down as it fills, runs once; twice the size is rolled back too."""
_filled: dict[int, tuple[Any, Path]] = {}
"""The peer's registries, by size, whose run is still open: to be rolled back."""


def measure(table: Table, peer: Peer | None, sizes: list[int], huge: list[int], *, quick: bool) -> None:
    del huge
    for size in sizes:
        large = size >= _LARGE
        batch = items(size)
        line = line_like_chainfold(batch[:100])
        samples = _forwards(peer, batch, line, 3 if large or quick else 5, peer_once=large)
        _add_registering(table, size, samples, once="; nirs4all ran once" if large else "")


def measure_rollback(
    table: Table, peer: Peer | None, sizes: list[int], huge: list[int], *, quick: bool
) -> None:
    """All that removes files comes last: see `workspace`."""
    del huge
    for size in sizes:
        if peer is not None and size not in _filled:
            _theirs(peer, items(size))
        ours = _backwards(items(size), 2 if quick else 3)
        theirs = [_theirs_back(size)] if peer is not None else []
        _add_rolling_back(table, size, ours, theirs)
        if size >= _LARGE:
            _add_rolling_back(table, 2 * size, _backwards(items(2 * size), 2), [])


def _forwards(
    peer: Peer | None, batch: list[Item], line: bytes, repetitions: int, *, peer_once: bool
) -> Samples:
    sides: dict[str, Callable[[int], Metrics]] = {
        CHAINFOLD: lambda _: _ours(batch),
        FLOOR: lambda _: _floor(batch, line),
    }
    theirs: dict[str, Callable[[int], Metrics]] = {}
    if peer is not None:
        theirs[PEER] = lambda _: _theirs(peer, batch)
    if not peer_once:
        return interleave(repetitions, sides | theirs)
    return interleave(repetitions, sides) | interleave(1, theirs)


def _backwards(batch: list[Item], repetitions: int) -> Samples:
    return interleave(repetitions, {CHAINFOLD: lambda _: _ours_back(batch)})


def _add_registering(table: Table, size: int, samples: Samples, once: str) -> None:
    table.add(
        "register in a run", size, "µs", pick(samples, "register", per=size),
        f"each; durable at the commit; nirs4all syncs nothing and compresses{once}",
    )  # fmt: skip
    for side, runs in pick(samples, "slowdown").items():
        table.add(
            f"… slowdown, {side}", size, "", {side: runs}, "the last 1,000 against the first 1,000; 1 is flat"
        )
    table.add(
        "… the commit", size, "ms", pick(samples, "commit"),
        "chainfold and the floor make every file durable here; nirs4all has no commit", total=True,
    )  # fmt: skip
    whole = {
        side: [(metrics["register"] + metrics.get("commit", 0.0)) / size for metrics in runs]
        for side, runs in samples.items()
    }
    table.add("register in a run, commit included", size, "µs", whole, f"each{once}")


def _add_rolling_back(table: Table, size: int, ours: Samples, theirs: list[Metrics]) -> None:
    for title, metric, note in (
        (
            "roll a run back",
            "clean",
            "and its files: nirs4all, once, with delete_orphaned_artifacts",
        ),
        (
            "… without the peer's files",
            "back",
            "nirs4all, once, by cleanup_failed_run alone: it leaves all files",
        ),
    ):
        figures = pick(ours, "back") | pick({PEER: theirs}, metric)
        if theirs or metric == "clean":
            table.add(title, size, "ms", figures, note, total=True)


def _timed(batch: list[Item], put: Callable[[Item], object]) -> Metrics:
    """Register all; how the last thousand compares with the first."""
    marks = [perf_counter()]
    for number, item in enumerate(batch, start=1):
        put(item)
        if number % 1_000 == 0:
            marks.append(perf_counter())
    metrics = {"register": perf_counter() - marks[0]}
    laps = [later - earlier for earlier, later in itertools.pairwise(marks)]
    if len(laps) > 1:
        metrics["slowdown"] = laps[-1] / laps[0]
    return metrics


def _ours(batch: list[Item]) -> Metrics:
    folder = workspace()
    registry = chainfold(folder)
    registry.start_run()
    metrics = _timed(batch, lambda item: register(registry, item))
    start = perf_counter()
    registry.end_run()
    metrics["commit"] = perf_counter() - start
    assert len(registry) == blobs(folder) == len(batch)
    registry.close()
    return metrics


def _ours_back(batch: list[Item]) -> Metrics:
    folder = workspace()
    registry = chainfold(folder)
    registry.start_run()
    for item in batch:
        register(registry, item)
    start = perf_counter()
    count = registry.cleanup_failed_run()
    took = perf_counter() - start
    assert count == len(batch)
    assert len(registry) == blobs(folder) == 0
    registry.close()
    return {"back": took}


def _floor(batch: list[Item], line: bytes) -> Metrics:
    folder = workspace()
    floor = Floor(folder, line, sync=False)
    metrics = _timed(batch, floor.register)
    start = perf_counter()
    floor.commit()
    metrics["commit"] = perf_counter() - start
    assert blobs(folder) == len(batch)
    floor.close()
    return metrics


def _theirs(peer: Peer, batch: list[Item]) -> Metrics:
    folder = workspace()
    registry = peer.registry(folder)
    registry.start_run()
    metrics = _timed(batch, lambda item: register(registry, item, peer.model))
    assert len(registry.get_all_records()) == blobs(folder) == len(batch)
    _filled[len(batch)] = registry, folder
    return metrics


def _theirs_back(size: int) -> Metrics:
    """Roll a run back: as it is called, and with the files gone as well."""
    registry, folder = _filled.pop(size)
    start = perf_counter()
    count = registry.cleanup_failed_run()
    alone = perf_counter() - start
    files, _ = registry.delete_orphaned_artifacts(dry_run=False, scan_all_manifests=False)
    took = perf_counter() - start
    assert count == len(files) == size
    assert len(registry.get_all_records()) == blobs(folder) == 0
    return {"back": alone, "clean": took}
