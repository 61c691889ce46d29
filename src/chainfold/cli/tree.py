"""`chainfold tree`: what an artifact was made from, or what was made from it, as a tree."""

from collections.abc import Iterator
from typing import Any, Final

import click

from chainfold.cli.columns import Column
from chainfold.cli.command import Command
from chainfold.cli.completing import complete_ids
from chainfold.cli.naming import artifact_name, find_id
from chainfold.cli.opening import Reading, reading
from chainfold.cli.relatives import Key, Kin, in_words, kin, kin_json

_BRANCH: Final = "├── "
_LAST: Final = "└── "
_ONWARD: Final = "└ "
_UNDER: Final = {_BRANCH: "│   ", _LAST: "    ", _ONWARD: "  "}
"""What stands left of all that follows from a branch."""
_DEEPEST: Final = 8
"""Levels that are indented."""


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
@click.argument("name", metavar="ID", type=artifact_name, shell_complete=complete_ids)
@click.option("--down", is_flag=True, help="What was made from it, instead of what it was made from.")
@click.option("--depth", metavar="NUMBER", type=click.IntRange(min=0), help="At most so many steps away.")
@reading
def tree(reading: Reading, *, name: str, down: bool, depth: int | None) -> None:
    """Show the lineage of an artifact as a tree.

    It names the registrations that were used, whatever their ids name by now, and says of each whether it is
    still live. What is made from several things is shown below the first, and only named below the others.
    In a chain where each was made from one other, each stands right below the last; where a lineage is deep,
    the number of steps stands in place of what is left of them.
    """
    found = kin(reading.view, find_id(reading.view, name), down=down, depth=depth)
    if reading.printer.is_human:
        for before, key, is_known in _lines(found):
            relative = found.nodes[key]
            said = "see above" if is_known else in_words(relative)
            style: dict[str, Any] = {"dim": True} if is_known or relative.is_current else {"fg": "magenta"}
            reading.printer.line_of(before, relative.artifact_id, f"  ({said})", **style)
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
    pending: list[tuple[str, list[str], int, bool, Key]] = [("", [], 0, False, found.start)]
    while pending:
        branch, under, depth, is_only, key = pending.pop()
        is_known = key in shown and bool(found.edges[key])
        yield _indentation(under, depth) + branch, key, is_known
        if is_known:
            continue
        shown.add(key)
        following = found.edges[key]
        is_onward = is_only and len(following) == 1
        if branch and not (is_onward and branch == _ONWARD):
            under = [*under[-_DEEPEST:], _UNDER[branch]]
        if is_onward:
            pending.append((_ONWARD, under, depth + 1, True, following[0]))
            continue
        for number in reversed(range(len(following))):
            branch_to = _LAST if number + 1 == len(following) else _BRANCH
            pending.append((branch_to, under, depth + 1, len(following) == 1, following[number]))


def _indentation(under: list[str], depth: int) -> str:
    """What is left of a branch: its last few levels, and how deep it is if there are more."""
    if len(under) <= _DEEPEST:
        return "".join(under)
    return f"…{depth} " + "".join(under[-_DEEPEST:])
