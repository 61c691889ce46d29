"""Interleaved repetitions, paired ratios, and the table that shows them."""

import gc
import os
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter

CHAINFOLD, FLOOR, PEER = "chainfold", "floor", "nirs4all"
Metrics = dict[str, float]
"""Named figures, in seconds, of one repetition."""
Samples = dict[str, list[Metrics]]
"""The repetitions of each side, in order."""


def interleave(repetitions: int, sides: Mapping[str, Callable[[int], Metrics]]) -> Samples:
    """Run all sides in turn, in another order each time, so that noise hits them alike.

    What a side left unwritten is flushed before the next one starts: nobody pays for another's bytes.
    """
    samples: Samples = {name: [] for name in sides}
    names = list(sides)
    for repetition in range(repetitions):
        turn = repetition % max(1, len(names))
        for name in names[turn:] + names[:turn]:
            settle()
            samples[name].append(sides[name](repetition))
    return samples


def settle() -> None:
    gc.collect()
    if hasattr(os, "sync"):
        os.sync()


def each(call: Callable[..., object], arguments: Sequence[tuple[object, ...]]) -> float:
    """Seconds per call, over these calls."""
    start = perf_counter()
    for argument in arguments:
        call(*argument)
    return (perf_counter() - start) / len(arguments)


@dataclass
class Row:
    """One line of the table: the figures of each side, of one run.

    Attributes:
        what: What is measured.
        records: How many records there are.
        unit: Unit of the figures, a key of `UNITS`; "" for plain numbers.
        figures: Of each side, in seconds (or plain), one a repetition.
        note: What the reader must know: how the sides differ, which ran less often.
        growth: chainfold here, by record, against the same row at its first size.
    """

    what: str
    records: int
    unit: str
    figures: dict[str, list[float]]
    note: str = ""
    growth: float | None = None


UNITS = {"µs": 1e6, "ms": 1e3, "s": 1.0, "": 1.0}


@dataclass
class Table:
    rows: list[Row] = field(default_factory=list)
    _first: dict[str, float] = field(default_factory=dict)

    def add(
        self,
        what: str,
        records: int,
        unit: str,
        figures: Mapping[str, Iterable[float]],
        note: str = "",
        *,
        total: bool = False,
    ) -> None:
        """Add a row; one whose title was there before, at another size, is compared with the first of them.

        With `total` the figures are of all records together, and are compared by record.
        """
        row = Row(what, records, unit, {side: list(values) for side, values in figures.items()}, note)
        ours = row.figures.get(CHAINFOLD)
        if ours:
            middle = statistics.median(ours) / (records if total else 1)
            if what in self._first:
                row.growth = middle / self._first[what]
            else:
                self._first[what] = middle
        self.rows.append(row)
        print(_line(row), flush=True)

    def markdown(self) -> str:
        return "\n".join([_HEAD, _RULE, *map(_line, self.rows)]) + "\n"


def pick(samples: Samples, metric: str, per: float = 1.0) -> dict[str, list[float]]:
    """One metric of all sides that have it."""
    return {
        side: [metrics[metric] / per for metrics in runs]
        for side, runs in samples.items()
        if runs and metric in runs[0]
    }


_COLUMNS = (
    "what", "records", "chainfold", "floor", "nirs4all", "chainfold / floor", "nirs4all / chainfold",
    "chainfold by record, against the first size", "runs", "note",
)  # fmt: skip
_HEAD = f"| {' | '.join(_COLUMNS)} |"
_RULE = "|" + "---|" * len(_COLUMNS)


def _line(row: Row) -> str:
    shown = [_figure(row.figures.get(side), row.unit) for side in (CHAINFOLD, FLOOR, PEER)]
    counts = {side: len(values) for side, values in row.figures.items() if values}
    runs = "/".join(map(str, counts.values())) if len(set(counts.values())) > 1 else str(max(counts.values()))
    cells = (
        row.what,
        f"{row.records:,}" if row.records else "",
        *shown,
        _ratio(row, CHAINFOLD, FLOOR),
        _ratio(row, PEER, CHAINFOLD),
        f"{row.growth:.2f} x" if row.growth is not None else "",
        runs,
        row.note,
    )
    return f"| {' | '.join(cells)} |"


def _figure(values: Sequence[float] | None, unit: str) -> str:
    if not values:
        return ""
    scaled = [value * UNITS[unit] for value in values]
    spread = f" ({_short(min(scaled))} to {_short(max(scaled))})" if len(scaled) > 1 else ""
    return f"{_short(statistics.median(scaled))} {unit}{spread}".strip()


def _ratio(row: Row, above: str, below: str) -> str:
    """The median of the ratios of paired repetitions, and their spread; of the medians if they don't pair."""
    over, under = row.figures.get(above), row.figures.get(below)
    if not over or not under or not all(under):
        return ""
    if len(over) != len(under):
        return f"**{_short(statistics.median(over) / statistics.median(under))}**"
    ratios = [one / other for one, other in zip(over, under, strict=True)]
    spread = f" ({_short(min(ratios))} to {_short(max(ratios))})" if len(ratios) > 1 else ""
    return f"**{_short(statistics.median(ratios))}**{spread}"


def _short(value: float) -> str:
    """Three digits that count."""
    if value >= 99.5:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 9.95 else f"{value:.2f}"
