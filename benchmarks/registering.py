"""Registering outside a run: durable when each call returns."""

from collections.abc import Callable
from time import perf_counter

from benchmarks.measuring import CHAINFOLD, FLOOR, PEER, Metrics, Table, interleave, pick
from benchmarks.sides import Floor, Peer, chainfold, line_like_chainfold, register, workspace
from benchmarks.workload import blobs, items


def measure(table: Table, peer: Peer | None, sizes: list[int], huge: list[int], *, quick: bool) -> None:
    del sizes, huge
    count, repetitions = (300, 3) if quick else (1_000, 5)
    batch = items(count)
    line = line_like_chainfold(batch[:100])

    def ours(_: int) -> Metrics:
        folder = workspace()
        registry = chainfold(folder)
        start = perf_counter()
        for item in batch:
            record = register(registry, item)
        took = perf_counter() - start
        assert record.artifact_id == batch[-1].artifact_id
        assert len(registry) == blobs(folder) == count
        registry.close()
        return {"register": took}

    def floor(_: int) -> Metrics:
        folder = workspace()
        least = Floor(folder, line, sync=True)
        start = perf_counter()
        for item in batch:
            least.register(item)
        took = perf_counter() - start
        assert blobs(folder) == count
        least.close()
        return {"register": took}

    def theirs(_: int) -> Metrics:
        assert peer is not None
        folder = workspace()
        registry = peer.registry(folder)
        start = perf_counter()
        for item in batch:
            record = register(registry, item, peer.model)
        took = perf_counter() - start
        assert record.artifact_id == batch[-1].artifact_id
        assert len(registry.get_all_records()) == blobs(folder) == count
        return {"register": took}

    sides: dict[str, Callable[[int], Metrics]] = {CHAINFOLD: ours, FLOOR: floor}
    if peer is not None:
        sides[PEER] = theirs
    figures = pick(interleave(repetitions, sides), "register", per=count)
    note = "each; chainfold and the floor: durable when it returns; nirs4all syncs nothing and compresses"
    table.add("register outside a run", count, "µs", figures, note)
