"""Runs: what an open one would change, and how each ended."""

from collections.abc import Iterator

from chainfold.events import Entry, RunRolledBack, RunStarted
from chainfold.projections.columns import Columns
from chainfold.projections.index import Index
from chainfold.projections.run_state import RunState, Status
from chainfold.projections.snapshot import Snapshot
from chainfold.projections.source import Source
from chainfold.projections.visibility import NEVER


class Runs:
    """Every run, by id and in order of start."""

    def __init__(self, columns: Columns, snapshot: Snapshot | None, source: Source) -> None:
        self._started, self._closed = columns["runs_started"], columns["runs_closed"]
        self._source = source
        self._known: dict[int, RunState] = {}  # the open ones, and what ended since the snapshot
        self._open: dict[str, RunState] = {}
        started = self._started
        # Nothing refers back to this: whoever is forgotten is gone at once, with the files that it has open.
        self.index = Index("run", snapshot, lambda run, run_id: source.entry(started[run]).run == run_id)
        for run in snapshot.footer.state.open_runs if snapshot is not None else ():
            self._known[run.number] = self._open[run.run_id] = run

    def start(self, entry: Entry, event: RunStarted) -> None:
        """A run began."""
        run = _begun(len(self._started), entry, event)
        self.index.add(run.run_id, run.number)
        self._started.append(run.started)
        self._closed.append(NEVER)
        self._known[run.number] = self._open[run.run_id] = run

    def end(self, run: RunState, status: Status, position: int, reason: str = "") -> None:
        """It ended; what only mattered while it was open is forgotten."""
        run.status, run.closed, run.reason = status, position, reason
        run.own, run.doomed, run.alias_moves, run.rows, run.purges = {}, {}, [], [], False
        self._closed[run.number] = position
        self._open.pop(run.run_id, None)

    def get(self, run_id: str | None) -> RunState | None:
        """The run of an id: the last, if there are several."""
        if run_id is None:
            return None
        numbers = self.index.rows(run_id)
        return self.of(numbers[-1]) if numbers else None

    def open(self, run_id: str | None) -> RunState | None:
        """The run of an id, if it is open."""
        return None if run_id is None else self._open.get(run_id)

    def all_open(self) -> list[RunState]:
        """The open ones."""
        return list(self._open.values())

    def __iter__(self) -> Iterator[RunState]:
        return map(self.of, range(len(self)))

    def __len__(self) -> int:
        return len(self._started)

    def of(self, number: int) -> RunState:
        """The run of a number: they are numbered in order of their beginning."""
        known = self._known.get(number)
        if known is not None:
            return known
        entry = self._source.entry(self._started[number])
        run = _begun(number, entry, entry.event if isinstance(entry.event, RunStarted) else RunStarted())
        closed = self._closed[number]
        if closed != NEVER:
            event, run.closed = self._source.entry(closed).event, closed
            run.status = "rolled-back" if isinstance(event, RunRolledBack) else "committed"
            run.reason = event.reason if isinstance(event, RunRolledBack) else ""
        return run


def _begun(number: int, entry: Entry, event: RunStarted) -> RunState:
    return RunState(number, entry.run or "", entry.position, entry.at, entry.actor, event.owner)
