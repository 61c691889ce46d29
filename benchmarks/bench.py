"""One run of the benchmarks: what is asked, of whom, and what came out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

from benchmarks.measuring import Budget, Metrics, Results, Samples, Side, interleave
from benchmarks.peers import OURS
from benchmarks.peers.protocol import CannotError

_A_DAY = 86_400.0


@dataclass
class Bench:
    """What all rows share.

    Attributes:
        sides: Whom to ask, in the order of the tables.
        sizes: Numbers of records.
        runs: Numbers of objects to register in one run.
        rollbacks: Numbers of objects in runs that are rolled back.
        count: How many objects to register outside a run.
        manifests: How many manifests to look through for orphans.
        budget: How long it may take.
        results: What came out.
        filled: Workspaces with that many records, by side and size.
    """

    sides: list[str]
    sizes: list[int]
    runs: list[int]
    rollbacks: list[int]
    count: int
    manifests: int
    budget: Budget
    results: Results = field(default_factory=Results)
    filled: dict[tuple[str, int], Path] = field(default_factory=dict)

    def ask(
        self, task: str, questions: Sequence[str], size: int, sides: Mapping[str, Side], repetitions: int = 0
    ) -> Samples:
        """Interleaved repetitions of the sides that will be done in time; why others are not is noted."""

        def refused(name: str, reason: str) -> None:
            for question in questions:
                self.results.refuse(question, size, name, reason)

        asked: dict[str, Side] = {}
        for name, side in sides.items():
            try:
                if name != OURS:
                    self.budget.check(task, name, size)
            except CannotError as error:
                refused(name, str(error))
            else:
                asked[name] = self._timed(task, name, size, side)
        return interleave(self.budget, asked, refused, repetitions)

    def timeout(self, name: str) -> float:
        """Seconds after which a process of a side is ended; chainfold is measured however long it takes."""
        return _A_DAY if name == OURS else self.budget.limit

    def _timed(self, task: str, name: str, size: int, side: Side) -> Side:
        def timed(repetition: int) -> Metrics:
            start = perf_counter()
            try:
                return side(repetition)
            finally:
                self.budget.spent(task, name, size, perf_counter() - start)

        return timed
