"""Opening what is there, up to the answer to the first question."""

import statistics
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import yaml
from benchmarks.measuring import CHAINFOLD, PEER, Metrics, Table, interleave, pick
from benchmarks.sides import Peer, chainfold, workspace
from benchmarks.workload import manifest

_YAML_UP_TO = 10_000


def measure(table: Table, peer: Peer | None, sizes: list[int], huge: list[int], *, quick: bool) -> None:
    for size in [*sizes, *huge]:
        repetitions = 3 if quick or size in huge else 5
        taken = manifest(size)
        wanted = taken["artifacts"]["items"][size // 2]["artifact_id"]
        folder = workspace()
        start = perf_counter()
        writer = chainfold(folder)
        writer.import_from_manifest(taken, folder)
        imported = perf_counter() - start
        writer.close()
        figures = pick(interleave(repetitions, _sides(peer, folder, taken, wanted)), "open")
        note = "to the first record; chainfold from disk, nirs4all from a manifest parsed already"
        table.add("open, first lookup", size, "ms", figures, note, total=True)
        if peer is not None and size <= _YAML_UP_TO:
            _add_yaml(table, figures, size, taken)
        once = {CHAINFOLD: [imported], PEER: figures.get(PEER, [])[:1]}
        note = "once; chainfold makes it durable, nirs4all keeps it in memory: what its open does"
        table.add("import a manifest", size, "ms", once, note, total=True)


def _sides(
    peer: Peer | None, folder: Path, taken: dict[str, Any], wanted: str
) -> dict[str, Callable[[int], Metrics]]:
    def ours(_: int) -> Metrics:
        start = perf_counter()
        registry = chainfold(folder)
        record = registry.resolve(wanted)
        took = perf_counter() - start
        assert record is not None
        assert record.artifact_id == wanted
        registry.close()
        return {"open": took}

    def theirs(_: int) -> Metrics:
        assert peer is not None
        start = perf_counter()
        registry = peer.registry(folder)
        registry.import_from_manifest(taken, folder)
        record = registry.resolve(wanted)
        took = perf_counter() - start
        assert record.artifact_id == wanted
        return {"open": took}

    sides: dict[str, Callable[[int], Metrics]] = {CHAINFOLD: ours}
    if peer is not None:
        sides[PEER] = theirs
    return sides


def _add_yaml(table: Table, opened: dict[str, list[float]], size: int, taken: dict[str, Any]) -> None:
    """The peer's manifests are YAML, to be parsed before it can open them."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    text = yaml.dump(taken, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper))
    start = perf_counter()
    parsed = yaml.load(text, Loader=loader)  # noqa: S506 - it is a safe loader
    took = perf_counter() - start
    assert parsed == taken
    figures = {CHAINFOLD: opened[CHAINFOLD], PEER: [took + statistics.median(opened[PEER])]}
    note = f"nirs4all once, with libyaml's loader; {len(text) / size:.0f} bytes of YAML a record"
    table.add("… when nirs4all has to parse it", size, "ms", figures, note, total=True)
