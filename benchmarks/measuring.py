"""Interleaved repetitions, and the figures that they leave: kept as data, shown by `page` and `plot`."""

import gc
import math
import os
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter

from benchmarks.peers.protocol import CannotError, one_line

Metrics = dict[str, float]
"""Named figures of one repetition, in seconds or plain."""
Side = Callable[[int], Metrics]
"""Does one repetition, given its number."""
Samples = dict[str, dict[int, Metrics]]
"""Of each side, its repetitions by number."""

UNITS = {"µs": 1e6, "ms": 1e3, "s": 1.0, "": 1.0, "/s": 1.0, "MB": 1e-6, "bytes": 1.0}


@dataclass
class Cell:
    """One figure of the result: a question, answered by a side at a size.

    Attributes:
        question: Key of the question, as in `questions.py`.
        side: Who was asked.
        size: How many records there were; 0 where that does not matter.
        values: In seconds, or plain, one a repetition, by its number.
        refusal: Why there are none.
    """

    question: str
    side: str
    size: int
    values: dict[int, float] = field(default_factory=dict)
    refusal: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.values.values())


@dataclass
class Results:
    """All figures of a run, and what was left out."""

    cells: list[Cell] = field(default_factory=list)

    def add(self, question: str, size: int, samples: Samples, metric: str, per: float = 1.0) -> None:
        """One metric of all sides that have it, by `per` records."""
        for side, runs in samples.items():
            values = {number: metrics[metric] / per for number, metrics in runs.items() if metric in metrics}
            if values:
                self.cells.append(Cell(question, side, size, values))
                print(_told(self.cells[-1]), flush=True)

    def refuse(self, question: str, size: int, side: str, reason: str) -> None:
        if self.find(question, side, size) is None:
            self.cells.append(Cell(question, side, size, refusal=reason))
            print(_told(self.cells[-1]), flush=True)

    def find(self, question: str, side: str, size: int) -> Cell | None:
        wanted = (question, side, size)
        return next((cell for cell in self.cells if (cell.question, cell.side, cell.size) == wanted), None)

    def sizes(self, question: str) -> list[int]:
        return sorted({cell.size for cell in self.cells if cell.question == question})


def _told(cell: Cell) -> str:
    said = cell.refusal or f"{cell.median:.3g} ({len(cell.values)} runs)"
    return f"{cell.question:>24}  {cell.size:>10,}  {cell.side:<14} {said}"


@dataclass
class Budget:
    """How long a side may take, for one thing at one size.

    Attributes:
        limit: Seconds that doing it once may take; what would take longer is not begun, or stopped.
        patience: Seconds that all repetitions together should take: after that there are no more.
        repetitions: At most so many.
    """

    limit: float
    patience: float
    repetitions: int
    _took: dict[tuple[str, str], dict[int, float]] = field(default_factory=dict)

    def spent(self, task: str, side: str, size: int, seconds: float) -> None:
        self._took.setdefault((task, side), {})[size] = seconds

    def check(self, task: str, side: str, size: int) -> None:
        """Let go on what will be done in time, extrapolated from the smaller sizes.

        Raises:
            CannotError: If it would take longer than the limit.
        """
        took = {known: seconds for known, seconds in self._took.get((task, side), {}).items() if known < size}
        if not took:
            return
        nearest = max(took)
        exponent = 1.0
        if len(took) > 1:
            before = sorted(took)[-2]
            slope = math.log(took[nearest] / took[before]) / math.log(nearest / before)
            exponent = min(2.0, max(0.5, slope))
        expected = took[nearest] * (size / nearest) ** exponent
        if expected > self.limit:
            raise CannotError(
                f"not begun: {duration(took[nearest])} at {nearest:,}, so about {duration(expected)} here; "
                f"the limit is {duration(self.limit)}"
            )


def interleave(
    budget: Budget, sides: Mapping[str, Side], on_refusal: Callable[[str, str], None], repetitions: int = 0
) -> Samples:
    """Run all sides in turn, in another order each time, so that noise hits them alike.

    What a side left unwritten is flushed before the next one starts: nobody pays for another's bytes. A side
    that has used up its patience is not repeated; one that cannot is left out, and the reason handed on.
    """
    samples: Samples = {name: {} for name in sides}
    spent = dict.fromkeys(sides, 0.0)
    names = list(sides)
    for repetition in range(repetitions or budget.repetitions):
        turn = repetition % max(1, len(names))
        for name in names[turn:] + names[:turn]:
            done = len(samples[name])
            if done < repetition or (done and spent[name] * (done + 1) / done > budget.patience):
                continue  # refused, or out of patience
            settle()
            start = perf_counter()
            try:
                samples[name][repetition] = sides[name](repetition)
            except Exception as error:  # noqa: BLE001 - a side that fails is a result, not the end
                on_refusal(name, str(error) if isinstance(error, CannotError) else one_line(error))
            spent[name] += perf_counter() - start
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


def paired(above: Cell, below: Cell) -> list[float]:
    """Ratios of the repetitions that both have."""
    both = sorted(above.values.keys() & below.values.keys())
    return [above.values[number] / below.values[number] for number in both if below.values[number]]


def duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds >= 1 else f"{seconds * 1e3:.0f} ms"
    return f"{seconds / 60:.0f} min" if seconds < 5_400 else f"{seconds / 3_600:.1f} h"
