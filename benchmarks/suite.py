"""All rows, in order, and the page that holds them."""

import argparse
import os
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import perf_counter

from benchmarks import costs, lookups, opening, registering, runs, writers
from benchmarks.measuring import Table
from benchmarks.shim import peer_is_installed
from benchmarks.sides import Peer, microseconds_to_create_a_file

_SMALLEST = 1_000
_HUGE = 100_000

_INTRODUCTION = """\
# First figures

{date}, Python {python}, {cores} cores, {system}; {versions}. Took {minutes:.1f} minutes.

All sides ran in turn in one process, in another order each time. A figure is the median of its runs, with
the smallest and the largest; a ratio is the median of the ratios of paired runs. Absolute times are this
machine's, and whatever else it was doing; the ratios are the result. "Floor" is what no such registry can do
without: serialise, digest, write, rename, append; it keeps no index and can look nothing up. nirs4all's own
modules ran as published, with empty parent packages in place of those that import heavy libraries.

Creating an empty file took {before:.0f} µs at the start and {after:.0f} µs at the end.
Some 15 to 30 µs is a good sign: on ext4 it takes many times as long where thousands of files were
removed in the last minutes, and that hides what is measured.

"""


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure chainfold beside the floor and beside nirs4all.")
    parser.add_argument("--sizes", type=int, nargs="+", default=[_SMALLEST, 10_000])
    parser.add_argument("--quick", action="store_true", help="1,000 records and few runs: below a minute")
    parser.add_argument("--only", nargs="+", choices=list(_PARTS), default=list(_PARTS))
    parser.add_argument("--out", type=Path, help="folder for first.md; without --quick or --only: results/")
    options = parser.parse_args()
    sizes = [_SMALLEST] if options.quick else sorted(options.sizes)
    huge = [] if options.quick else [_HUGE]
    peer = Peer() if peer_is_installed() else None
    table = Table()
    start = perf_counter()
    creating = [microseconds_to_create_a_file()]
    for name in options.only:
        if name == "rollback":
            creating.append(microseconds_to_create_a_file())
        _PARTS[name](table, peer, sizes, huge, quick=options.quick)
    page = _page(table, perf_counter() - start, creating)
    print("\n" + page)
    whole = not options.quick and options.only == list(_PARTS)
    out = options.out or (Path(__file__).parent / "results" if whole else None)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "first.md").write_text(page, encoding="utf-8")


_PARTS = {
    "register": registering.measure,
    "run": runs.measure,
    "lookup": lookups.measure,
    "open": opening.measure,
    "costs": costs.measure,
    "writers": writers.measure,
    "rollback": runs.measure_rollback,
}


def _page(table: Table, seconds: float, creating: list[float]) -> str:
    head = _INTRODUCTION.format(
        date=datetime.now(UTC).date().isoformat(),
        python=platform.python_version(),
        cores=os.cpu_count(),
        system=platform.system(),
        versions=", ".join(map(_version, ("chainfold", "nirs4all", "joblib", "scikit-learn"))),
        minutes=seconds / 60,
        before=creating[0],
        after=creating[-1],
    )
    return head + table.markdown()


def _version(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return f"no {package}"
