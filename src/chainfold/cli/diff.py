"""`chainfold diff`: what differs between two moments, or between two artifacts."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from chainfold.cli.columns import Column
from chainfold.cli.command import Command
from chainfold.cli.completing import complete_ids
from chainfold.cli.moments import NoMomentError, parse_moment
from chainfold.cli.naming import artifact_name, find_id
from chainfold.cli.opening import Reading, reading
from chainfold.cli.plain import quoted
from chainfold.cli.printing import Printer, flat
from chainfold.cli.units import counted
from chainfold.errors import InvalidInputError, NotFoundError

if TYPE_CHECKING:
    from chainfold.changes import Diff

_ABSENT: Final = ""


class _Field(NamedTuple):
    field: str
    first: Any
    second: Any


@click.command(
    cls=Command,
    examples=[
        ("chainfold diff 2026-05-01 2026-05-31", "Show what changed in May, from the end of the 1st on."),
        ("chainfold diff 120", "Show what changed since position 120."),
        ("chainfold diff production '0001_pls$66db6515faf4:0'", "Show what differs between two artifacts."),
    ],
)
@click.argument("first", metavar="A", type=artifact_name, shell_complete=complete_ids)
@click.argument("second", metavar="[B]", required=False, type=artifact_name, shell_complete=complete_ids)
@click.option("--exit-code", is_flag=True, help="Exit with 1 if there are differences.")
@reading
def diff(reading: Reading, *, first: str, second: str | None, exit_code: bool) -> None:
    """Show what differs between two moments, or two artifacts.

    A and B are positions or times; without B, the present, or what --at says. + is an artifact that is
    newly live, - one that no longer is, ~ one that was superseded, > an alias that moved; each with the
    positions of the events that did it. An alias that was set and removed in between is left out. If A and B
    are no moments, they are artifacts: then their fields and parameters are compared.
    """
    moments, others = list[Any](), dict[str, InvalidInputError]()
    for each in (first, second):
        try:
            moments += [] if each is None else [parse_moment(each, reading.view.dataset)]
        except InvalidInputError as error:
            others[each or ""] = error
    if not others:
        differs = _moments(reading, moments)
    else:
        differs = _artifacts(reading, *_two_artifacts(reading, first, second, others))
    if differs and exit_code:
        click.get_current_context().exit(1)


def _two_artifacts(
    reading: Reading, first: str, second: str | None, others: dict[str, InvalidInputError]
) -> tuple[str, str]:
    """Both names, if artifacts can be meant; `others` says of those that are no moments why they are none."""
    for name, problem in others.items():
        if not isinstance(problem, NoMomentError) and not _is_known(reading, name):
            raise problem  # a file that was meant as a checkpoint
    if second is None:
        raise click.UsageError(
            f"{first!r} is no moment: name a position or a time, or two artifacts to be compared."
        )
    for moment, name in ((first, second), (second, first)):
        if name in others and moment not in others and not _is_known(reading, moment):
            raise click.UsageError(
                f"{moment!r} is a moment, and {name!r} is none: name two moments, or two artifacts; --at "
                f"{moment} compares artifacts as they were then."
            )
    return first, second


def _is_known(reading: Reading, name: str) -> bool:
    try:
        find_id(reading.view, name)
    except NotFoundError:
        return False
    return True


def _moments(reading: Reading, moments: list[Any]) -> bool:
    if any(isinstance(each, bytes) for each in moments):
        moments = [reading.registry.as_of(each).position for each in moments]
    whole = reading.view.diff(*moments)
    moves = [each for each in whole.aliases if each.before is not None or each.after is not None]
    found = type(whole)(whole.first, whole.second, whole.changes, moves)
    reading.printer.document(
        "diff/1",
        _json(found),
        human=lambda: _tell(reading.printer, found),
        ids=(change.artifact_id for change in found.changes),
    )
    return bool(found)


def _json(found: "Diff") -> dict[str, Any]:
    return {
        "first": found.first,
        "second": found.second,
        "changes": [_fields(each) for each in found.changes],
        "aliases": [_fields(each) for each in found.aliases],
    }


def _fields(struct: Any) -> dict[str, Any]:
    return {name: getattr(struct, name) for name in struct.__struct_fields__}


def _tell(printer: Printer, found: "Diff") -> None:
    for change in found.changes:
        name = quoted(change.artifact_id)
        if change.before is None:
            printer.line_of("+ ", name, f"  registered at {change.after}", whole=True, fg="green")
        elif change.after is None:
            said = f"  registered at {change.before}, ended at {change.ended}"
            printer.line_of("- ", name, said, whole=True, fg="red")
        else:
            said = f"  registered at {change.before}, again at {change.after}"
            printer.line_of("~ ", name, said, whole=True, fg="magenta")
    for move in found.aliases:
        name = f"{quoted(move.alias)}  {_target(move.before)} -> {_target(move.after)}"
        printer.line_of("> ", name, f", set at {move.set_after}", whole=True, bold=True)
    printer.note(
        f"from position {found.first} to {found.second}: {len(found.added):,} added, "
        f"{len(found.superseded):,} superseded, {len(found.removed):,} removed, "
        f"{counted(len(found.aliases), 'alias move')}"
    )


def _target(artifact_id: str | None) -> str:
    return "nothing" if artifact_id is None else quoted(artifact_id)


def _artifacts(reading: Reading, first: str, second: str) -> bool:
    from chainfold.cli.fields import record_json

    records = [reading.view.require(find_id(reading.view, name)) for name in (first, second)]
    fields = list(_differing(*(dict(flat(record_json(record))) for record in records)))
    reading.printer.table(
        "fields/1",
        fields,
        [
            Column("field", lambda each: each.field, cut="middle"),
            Column("first", lambda each: each.first, cut="end"),
            Column("second", lambda each: each.second, cut="end"),
        ],
        as_json=lambda each: each._asdict(),
        id_of=lambda each: each.field,
        empty=f"{records[0].artifact_id} and {records[1].artifact_id} do not differ",
    )
    return bool(fields)


def _differing(first: dict[str, Any], second: dict[str, Any]) -> Iterator[_Field]:
    for name in dict.fromkeys([*first, *second]):
        values = first.get(name, _ABSENT), second.get(name, _ABSENT)
        if values[0] != values[1]:
            yield _Field(name, *values)
