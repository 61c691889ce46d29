"""Runs: what an open one would change, and how each ended."""

from collections.abc import Iterator
from typing import Literal

import msgspec

Status = Literal["open", "committed", "rolled-back"]


class RunState(msgspec.Struct):
    """One run.

    Attributes:
        run_id: Its id.
        started: Position of `run-started`.
        at: Time of that.
        actor: Who started it.
        owner: Host and process that hold its lock.
        status: How it stands.
        closed: Position of the event that ended it.
        reason: Why it was rolled back.
        rows: All that it registered.
        own: Of those, by id, what it sees as live.
        doomed: Committed rows that go when it commits, and whether their files go with them.
        purges: It asked for a purge: every file goes that nothing refers to when it commits.
        alias_moves: Aliases that move when it commits.
    """

    run_id: str
    started: int
    at: str
    actor: str
    owner: str = ""
    status: Status = "open"
    closed: int | None = None
    reason: str = ""
    rows: list[int] = msgspec.field(default_factory=list)
    own: dict[str, int] = msgspec.field(default_factory=dict)
    doomed: dict[int, bool] = msgspec.field(default_factory=dict)
    purges: bool = False
    alias_moves: list[tuple[str, str | None]] = msgspec.field(default_factory=list)


class Runs:
    """Every run, by id, in order of start."""

    def __init__(self) -> None:
        self._runs: dict[str, RunState] = {}
        self._open: dict[str, RunState] = {}

    def start(self, run: RunState) -> None:
        """A run began."""
        self._runs[run.run_id] = run
        self._open[run.run_id] = run

    def end(self, run: RunState, status: Status, position: int, reason: str = "") -> None:
        """It ended; what only mattered while it was open is forgotten."""
        run.status, run.closed, run.reason = status, position, reason
        run.own, run.doomed, run.alias_moves, run.rows = {}, {}, [], []
        self._open.pop(run.run_id, None)

    def get(self, run_id: str | None) -> RunState | None:
        """The run of an id."""
        return None if run_id is None else self._runs.get(run_id)

    def open(self, run_id: str | None) -> RunState | None:
        """The run of an id, if it is open."""
        return None if run_id is None else self._open.get(run_id)

    def all_open(self) -> list[RunState]:
        """The open ones."""
        return list(self._open.values())

    def __iter__(self) -> Iterator[RunState]:
        return iter(self._runs.values())

    def __len__(self) -> int:
        return len(self._runs)
