"""What is paid for once: the import, the bytes in the log."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.measuring import CHAINFOLD, PEER, Metrics, Table, interleave, pick
from benchmarks.sides import Peer, bytes_an_entry
from benchmarks.workload import items

_OURS = "import chainfold"
_THEIRS = (
    "from benchmarks.shim import stand_in_for_packages; stand_in_for_packages(); "
    "import nirs4all.pipeline.storage.artifacts.artifact_registry"
)
_PROGRAM = "from time import perf_counter; start = perf_counter(); {}; print(perf_counter() - start)"


def measure(table: Table, peer: Peer | None, sizes: list[int], huge: list[int], *, quick: bool) -> None:
    del sizes, huge
    sides: dict[str, Callable[[int], Metrics]] = {CHAINFOLD: lambda _: _imported(_OURS)}
    if peer is not None:
        sides[PEER] = lambda _: _imported(_THEIRS)
    figures = pick(interleave(3 if quick else 9, sides), "import")
    note = "fresh interpreter; nirs4all: its registry's modules only, parent packages stood in for"
    table.add("import", 0, "ms", figures, note)
    _add_bytes(table)


def _imported(statement: str) -> Metrics:
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run(  # noqa: S603 - our own interpreter, our own text
        [sys.executable, "-c", _PROGRAM.format(statement)],
        cwd=root, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return {"import": float(done.stdout)}


def _add_bytes(table: Table) -> None:
    count = 1_000
    note = "a chain of three operators, three params, one dependency"
    table.add("bytes an entry in the log", count, "", {CHAINFOLD: [bytes_an_entry(items(count))]}, note)
