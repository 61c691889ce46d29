"""`chainfold log`: what happened, newest first, as git has it."""

import select
import sys
import time
from collections import deque
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import click

from chainfold.cli.command import Command
from chainfold.cli.completing import complete_ids
from chainfold.cli.moments import parse_moment
from chainfold.cli.naming import artifact_name, find_id, run_name
from chainfold.cli.opening import Reading, long_option, reading
from chainfold.errors import InvalidInputError

if TYPE_CHECKING:
    from chainfold.events import Entry

_POLL_SECONDS: Final = 0.25
_SHOWN_BEFORE: Final = 10
_KINDS: Final = (
    "run-started",
    "artifact-registered",
    "run-committed",
    "run-rolled-back",
    "artifacts-deleted",
    "dataset-purged",
    "blobs-swept",
    "alias-set",
    "private-erased",
)


@click.command(
    cls=Command,
    examples=[
        ("chainfold log -n 20", "Show the last twenty events."),
        ("chainfold log production", "Show all that happened to an artifact."),
        (
            "chainfold log --kind artifacts-deleted --kind dataset-purged --since '7 days ago'",
            "Show what was deleted.",
        ),
        ("chainfold log --follow --kind artifact-registered", "Watch what is registered; Ctrl-C ends it."),
        (
            "chainfold log --reverse --format csv > events.csv",
            "Write the whole history, oldest first, to a file.",
        ),
    ],
)
@click.argument("name", metavar="[ID]", required=False, type=artifact_name, shell_complete=complete_ids)
@click.option(
    "-n", "--limit", metavar="NUMBER", type=click.IntRange(min=0), help="Only so many: the newest ones."
)
@click.option(
    "--kind",
    "kinds",
    metavar="KIND",
    type=click.Choice(_KINDS),
    multiple=True,
    help=f"Only events of this kind, or of these: {', '.join(_KINDS)}.",
)
@click.option("--run", metavar="RUN", type=run_name, help="Only events of the run of this id.")
@click.option("--pipeline", metavar="PIPELINE", help="Only registrations and deletions of this pipeline.")
@click.option("--since", metavar="POSITION|TIME", help="Only what followed; a date means its beginning.")
@click.option("--until", metavar="POSITION|TIME", help="Only what was before; a date means its end.")
@click.option("--reverse", is_flag=True, help="Oldest first.")
@click.option("--follow", is_flag=True, help="Go on with what is appended, oldest first, until Ctrl-C.")
@long_option
@reading
def log(
    reading: Reading,
    *,
    name: str | None,
    limit: int | None,
    since: str | None,
    until: str | None,
    reverse: bool,
    follow: bool,
    **asked: Any,
) -> None:
    """Show what happened: every event, newest first.

    With an ID (or alias), all that happened to that artifact: registrations, what superseded or deleted them,
    what took their files, and the aliases that were set to it or taken from it. With --format quiet,
    positions, which --at takes. With --follow, JSON is one object a line.
    """
    from chainfold.cli.happening import entry_columns, entry_json

    asked["artifact"] = None if name is None else find_id(reading.view, name)
    asked["after"] = 0 if since is None else _position(reading, since, end=False)
    if until is not None:
        asked["until"] = _position(reading, until, end=True)
        if since is not None and _is_later(reading, asked["after"], asked["until"]):
            raise click.UsageError(
                f"--since {since} is later than --until {until}, so that nothing can fit: the earlier one is "
                f"for --since."
            )
    asked["kinds"] = asked["kinds"] or None
    entries: Iterator[Entry]
    if follow:
        if (
            until is not None
            or asked["run"] is not None
            or asked["artifact"]
            or asked["pipeline"]
            or reading.is_past
        ):
            raise click.UsageError("--follow goes with --kind, --since and -n only.")
        entries = _followed(reading, asked, _SHOWN_BEFORE if limit is None else limit)
    else:
        entries = islice(reading.view.events(**asked, newest_first=True), limit)
        if reverse:
            entries = reversed(list(entries)) if limit is not None else reading.view.events(**asked)
    reading.printer.table(
        "events/1",
        entries,
        entry_columns(),
        as_json=entry_json,
        id_of=lambda entry: str(entry.position),
        empty="" if limit == 0 else "nothing happened that fits",
        endless=follow,
    )


def _position(reading: Reading, text: str, *, end: bool) -> Any:
    moment = parse_moment(text, reading.view.dataset, end=end)
    if isinstance(moment, bytes):
        raise InvalidInputError(f"{text!r} is a file: use a position or a time, or --at with a checkpoint")
    return moment


def _is_later(reading: Reading, first: Any, second: Any) -> bool:
    """Whether a position or time is after another; of two kinds, by what the log had then."""
    if type(first) is not type(second):
        first, second = (reading.registry.as_of(each).position for each in (first, second))
    return bool(first > second)


def _followed(reading: Reading, asked: dict[str, Any], before: int) -> "Iterator[Entry]":
    """The newest entries that there are, then those that come."""
    registry, kinds = reading.registry, asked["kinds"]
    seen = reading.view.position
    newest = islice(reading.view.events(**asked, newest_first=True), before)
    yield from reversed(deque(newest))
    while True:
        size = registry.position
        if size > seen:
            yield from registry.events(seen, size, kinds=kinds)
            seen = size
        elif _nobody_reads():
            raise BrokenPipeError  # as writing the next one would
        else:
            time.sleep(_POLL_SECONDS)


def _nobody_reads() -> bool:
    """Whether whoever read stdout has gone, where the system tells that before something is written."""
    poll = getattr(select, "poll", None)
    try:
        descriptor = sys.stdout.fileno()
    except (OSError, ValueError):
        return False  # a stand-in of a test
    if poll is None:
        return False
    asked = poll()
    asked.register(descriptor, 0)
    return any(found & select.POLLERR for _, found in asked.poll(0))
