"""`chainfold tree`: what an artifact was made from, or what was made from it, as a tree."""

from collections.abc import Iterator
from typing import Final

import click

from chainfold.cli.command import Command
from chainfold.cli.completing import complete_ids
from chainfold.cli.naming import find_id
from chainfold.cli.opening import Reading, reading
from chainfold.cli.printing import Column
from chainfold.cli.relatives import Key, Kin, in_words, kin, kin_json

_BRANCH: Final = ("├── ", "│   ")
_LAST: Final = ("└── ", "    ")


@click.command(
    cls=Command,
    examples=[
        ("chainfold tree production", "Show what is in production was made from."),
        ("chainfold tree '0001_pls$4ebb5f7a7015:all' --down", "Show all that was made from a scaler."),
        (
            "chainfold tree production --at 2026-05-31 -q",
            "Name all that went into what was in production in May.",
        ),
    ],
)
@click.argument("name", metavar="ID", shell_complete=complete_ids)
@click.option("--down", is_flag=True, help="What was made from it, instead of what it was made from.")
@click.option("--depth", metavar="NUMBER", type=click.IntRange(min=0), help="At most so many steps away.")
@reading
def tree(reading: Reading, *, name: str, down: bool, depth: int | None) -> None:
    """Show the lineage of an artifact as a tree.

    It names the registrations that were used, whatever their ids name by now, and says of each whether it is
    still live. What is made from several things is shown below the first, and only named below the others.
    """
    found = kin(reading.view, find_id(reading.view, name), down=down, depth=depth)
    if reading.printer.is_human:
        for before, key, is_known in _lines(found):
            relative = found.nodes[key]
            said = "see above" if is_known else in_words(relative)
            style = {} if is_known or relative.is_current else {"fg": "yellow"}
            reading.printer.line_of(f"{before}{relative.artifact_id}", f"  ({said})", **style)
        return
    reading.printer.table(
        "lineage/1",
        kin_json(found),
        [
            _column(each)
            for each in ("artifact_id", "depth", "position", "standing", "type", "class", "content_hash")
        ],
        as_json=lambda each: each,
        id_of=lambda each: str(each["artifact_id"]),
    )


def _column(name: str) -> Column[dict[str, str]]:
    return Column(name, lambda each: each[name])


def _lines(found: Kin) -> Iterator[tuple[str, Key, bool]]:
    """What stands before each line, whose it is, and whether it has been shown with all that follows."""
    shown: set[Key] = set()
    pending = [("", "", found.start)]
    while pending:
        before, under, key = pending.pop()
        is_known = key in shown and bool(found.edges[key])
        yield before, key, is_known
        if is_known:
            continue
        shown.add(key)
        following = found.edges[key]
        for number in reversed(range(len(following))):
            branch = _LAST if number + 1 == len(following) else _BRANCH
            pending.append((under + branch[0], under + branch[1], following[number]))
