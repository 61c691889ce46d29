"""All rows, in order; the data that they leave, and the page and figures that are made of it."""

import argparse
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

from benchmarks import page, plot, store
from benchmarks.bench import Bench
from benchmarks.folders import microseconds_to_create_a_file
from benchmarks.measuring import Budget
from benchmarks.peers import ALL, installed
from benchmarks.rows import (
    filling,
    orphans,
    reading,
    registering,
    replaying,
    running,
    serialising,
    starting,
    writers,
)

_RESULTS = Path(__file__).parent / "results"
_PARTS: dict[str, Callable[[Bench], None]] = {
    "import": starting.measure,
    "serialise": serialising.measure,
    "fill": filling.measure,
    "read": reading.measure,
    "past": replaying.measure_past,
    "replay": replaying.measure,
    "verify": replaying.measure_verify,
    "register": registering.measure,
    "run": running.measure,
    "writers": writers.measure,
    "orphans": orphans.measure,
    "rollback": running.measure_rollback,
}
_READERS = ("read", "past", "replay", "verify")
"""They need what `fill` has filled."""


def main() -> None:
    options = _options()
    if options.render is not None:
        _render(options.render, options.out or _RESULTS, readme=options.readme)
        return
    bench = _bench(options)
    parts = [
        part for part in _PARTS if part in options.only or (part == "fill" and {*_READERS} & {*options.only})
    ]
    start, creating = perf_counter(), [microseconds_to_create_a_file()]
    out: Path = options.out or (
        _RESULTS if options.only == list(_PARTS) and not options.quick else Path("bench-out")
    )
    out.mkdir(parents=True, exist_ok=True)
    for part in parts:
        print(f"\n{part}", flush=True)
        _PARTS[part](bench)
        creating[1:] = [microseconds_to_create_a_file()]
        facts = store.facts(bench, perf_counter() - start, creating, quick=options.quick)
        # After each part: what was measured for an hour must not hang on the next.
        store.write(out / f"{options.name}.json", facts, bench.results)
    _render(out / f"{options.name}.json", out, readme=options.readme)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure chainfold beside its peers."
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000], metavar="RECORDS")
    parser.add_argument(
        "--runs", type=int, nargs="+", metavar="OBJECTS", help="in one run; default: up to 10,000"
    )
    parser.add_argument("--rollbacks", type=int, nargs="+", metavar="OBJECTS", help="default: as --runs")
    parser.add_argument("--peers", nargs="+", choices=ALL, default=list(ALL))
    parser.add_argument("--only", nargs="+", choices=list(_PARTS), default=list(_PARTS), metavar="PART")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--limit", type=float, default=120, help="seconds that doing a thing once may take")
    parser.add_argument("--patience", type=float, default=60, help="seconds after which it is not repeated")
    parser.add_argument(
        "--quick", action="store_true", help="small sizes: shows that it works, and nothing else"
    )
    parser.add_argument("--name", default="bench", help="of the results' files")
    parser.add_argument(
        "--out", type=Path, help="folder for them; by default benchmarks/results, if all is measured"
    )
    parser.add_argument(
        "--render", type=Path, metavar="JSON", help="measure nothing: page and figures of old results"
    )
    parser.add_argument("--readme", action="store_true", help="put the summary into the README, too")
    return parser.parse_args()


def _bench(options: argparse.Namespace) -> Bench:
    here = [name for name in installed() if name in options.peers]
    if missing := [name for name in options.peers if name not in here]:
        print(f"not installed, so not measured: {', '.join(missing)}; see bench-requirements.txt")
    if options.quick:
        options.sizes, options.repetitions, options.limit, options.patience = [200, 2_000], 2, 20, 5
        options.runs = options.runs or [200]
    runs = options.runs or [size for size in sorted(options.sizes) if size <= 10_000]
    return Bench(
        sides=here,
        sizes=sorted(options.sizes),
        runs=sorted(runs),
        rollbacks=sorted(options.rollbacks or runs),
        count=100 if options.quick else 1_000,
        manifests=50 if options.quick else 1_000,
        budget=Budget(options.limit, options.patience, options.repetitions),
    )


def _render(data: Path, out: Path, *, readme: bool) -> None:
    facts, results = store.read(data)
    (out / f"{data.stem}.md").write_text(page.page(facts, results, data.stem), encoding="utf-8")
    plot.draw(facts, results, out / f"{data.stem}.svg")
    if readme:
        page.into_readme(facts, results, data.stem, Path(__file__).parents[1] / "README.md")
    print(f"\nwritten: {', '.join(str(out / f'{data.stem}.{kind}') for kind in ('json', 'md', 'svg'))}")
