"""`chainfold runs`: which runs there were, and what became of them."""

from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from chainfold.cli.columns import Column
from chainfold.cli.command import Command
from chainfold.cli.opening import Reading, long_option, reading
from chainfold.cli.units import time_text

if TYPE_CHECKING:
    from chainfold.past import RunInfo


@click.command(
    cls=Command,
    examples=[
        ("chainfold runs", "List all runs, oldest first."),
        ("chainfold runs --status rolled-back -n 5", "List the last five that failed."),
        ("chainfold runs --status open --at 2026-05-31", "List those that were open at the end of May."),
    ],
)
@click.option(
    "--status", type=click.Choice(["open", "committed", "rolled-back"]), help="Only runs of this status."
)
@click.option(
    "-n", "--limit", metavar="NUMBER", type=click.IntRange(min=0), help="Only so many: the last ones."
)
@long_option
@reading
def runs(reading: Reading, *, status: str | None, limit: int | None) -> None:
    """List the runs, in the order in which they began.

    A run that is open may be of a process that works, or of one that died: the next that writes tells which.
    """
    found: Iterable[RunInfo] = (run for run in reading.view.runs() if status in (None, run.status))
    reading.printer.table(
        "runs/1",
        found if limit is None else deque(found, maxlen=limit),
        [
            Column("run", lambda run: run.run_id),
            Column("status", lambda run: run.status),
            Column("reason", lambda run: run.reason),
            Column("began", lambda run: run.at, lambda run: time_text(run.at)),
            Column("first", lambda run: run.started, right=True, spare=2),
            Column("last", lambda run: run.closed, right=True, spare=3),
            Column("actor", lambda run: run.actor, spare=1, cut="end"),
            Column("owner", lambda run: run.owner, spare=4, cut="end"),
        ],
        as_json=_json,
        id_of=lambda run: run.run_id,
        empty="" if limit == 0 else "no run fits" if status else "no run has begun",
    )


def _json(run: "RunInfo") -> dict[str, object]:
    return {name: getattr(run, name) for name in run.__struct_fields__}
