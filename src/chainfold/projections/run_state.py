"""One run, as far as it has come."""

from typing import Literal

import msgspec

Status = Literal["open", "committed", "rolled-back"]


class RunState(msgspec.Struct):
    """One run.

    Attributes:
        number: Which run of the log it is, 0-based.
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
        alias_moves: Aliases that move when it commits, each with the position of the event that says so.
    """

    number: int
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
    alias_moves: list[tuple[str, str | None, int]] = msgspec.field(default_factory=list)
