"""Registering outside a run: durable when each call returns."""

from time import perf_counter

from benchmarks.bench import Bench
from benchmarks.folders import workspace
from benchmarks.measuring import Metrics, Side
from benchmarks.peers import load
from benchmarks.peers.protocol import Peer
from benchmarks.workload import Item, items

_WARM = 20


def measure(bench: Bench) -> None:
    made = items(bench.count + _WARM)
    sides: dict[str, Side] = {name: _side(load(name), made) for name in bench.sides}
    samples = bench.ask("register", ["register"], bench.count, sides)
    bench.results.add("register", bench.count, samples, "register")


def _side(peer: Peer, made: list[Item]) -> Side:
    def register(_: int) -> Metrics:
        store = peer.open_store(workspace(), True)  # noqa: FBT003 - synced
        batch = made[: _WARM + (len(made) - _WARM) // peer.pace]
        for item in batch[:_WARM]:
            store.register(item)
        start = perf_counter()
        for item in batch[_WARM:]:
            store.register(item)
        took = perf_counter() - start
        assert store.count() == len(batch)
        store.close()
        return {"register": took / (len(batch) - _WARM)}

    return register
