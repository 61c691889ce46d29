"""`chainfold alias`: names that move between artifacts."""

from typing import TYPE_CHECKING, NamedTuple

import click

from chainfold.cli.columns import Column
from chainfold.cli.command import Command
from chainfold.cli.completing import complete_ids
from chainfold.cli.moments import is_moment
from chainfold.cli.naming import STDIN, artifact_name, find_id
from chainfold.cli.opening import Place, Reading, placed
from chainfold.cli.printing import Printer
from chainfold.errors import InvalidInputError, NotFoundError

if TYPE_CHECKING:
    from chainfold.registry import ArtifactRegistry


class _Alias(NamedTuple):
    """An alias.

    Attributes:
        alias: The name.
        artifact_id: What it points to; None if it was removed just now.
        live: Whether that is live.
        before: What it pointed to until now, if it was set or removed just now.
    """

    alias: str
    artifact_id: str | None
    live: bool
    before: str | None = None


@click.command(
    cls=Command,
    examples=[
        ("chainfold alias", "List all aliases, and what they point to."),
        ("chainfold alias production '0001_pls$7f8e9d0c1b2a:0'", "Let a name point to an artifact."),
        ("chainfold alias production --at 2026-05-31", "Show what was in production at the end of May."),
        ("chainfold alias production --remove", "Let it point to nothing; the history keeps it."),
    ],
)
@click.argument("name", metavar="[NAME]", required=False, type=artifact_name, shell_complete=complete_ids)
@click.argument("artifact", metavar="[ID]", required=False, type=artifact_name, shell_complete=complete_ids)
@click.option("--remove", is_flag=True, help="Let NAME point to nothing.")
@placed
def alias(place: Place, *, name: str | None, artifact: str | None, remove: bool) -> None:
    """Show aliases, or let one point to an artifact.

    Without ID it shows what NAME, or each alias, points to; with ID it sets NAME. ID may be another alias or
    the digest of the bytes, too. Nothing is lost by it: `--at` shows what an alias was at any moment. NAME
    must be nothing that would be taken for something else: a position or a time, as diff takes them, an
    artifact's id, or what begins with -. It prints the ids of the artifacts with --format quiet.
    """
    if artifact is None and not remove:
        with place.reading() as reading:
            _print(reading.printer, _read(reading, name), "there are no aliases")
        return
    if name is None or (artifact is not None and remove):
        raise click.UsageError("Name what to remove, or what to set and an artifact: NAME --remove, NAME ID.")
    if place.is_of_the_past:
        raise click.UsageError("The past cannot be changed: leave --at out to set or remove an alias.")
    with place.writing() as (registry, printer):
        before = registry.alias(name)
        if remove and before is None:
            raise _unknown(registry.dataset, name)
        target = None
        if artifact is not None:
            _check_name(registry, name)
            target = find_id(registry, artifact)
        if target is None or target != before:
            registry.set_alias(name, target)
        else:
            printer.note(f"{name!r} points there already")
        _print(printer, [_Alias(name, target, target is not None, before)])


def _check_name(registry: "ArtifactRegistry", name: str) -> None:
    """InvalidInputError if a name would be taken for something else where an artifact is named."""
    if name.startswith("-"):
        taken = f"{name!r} would be taken for an option" if name != STDIN else "'-' means names from stdin"
    elif is_moment(name):
        taken = f"{name!r} is a position or a time, and diff would take it for that"
    elif registry.history(name):
        taken = f"{name!r} is the id of an artifact, and would be taken for that"
    else:
        return
    raise InvalidInputError(f"alias {name!r} was not set: {taken}; choose another, such as production")


def _read(reading: Reading, name: str | None) -> list[_Alias]:
    view = reading.view
    targets = view.aliases()
    if name is not None:
        if name not in targets:
            raise _unknown(view.dataset, name)
        targets = {name: targets[name]}
    return [_Alias(each, target, target in view) for each, target in targets.items()]


def _unknown(dataset: str, name: str) -> NotFoundError:
    return NotFoundError(f"dataset {dataset!r} has no alias {name!r}; chainfold alias lists them")


def _print(printer: Printer, aliases: list[_Alias], empty: str = "") -> None:
    printer.table(
        "aliases/1",
        aliases,
        [
            Column("alias", lambda each: each.alias, cut="middle"),
            Column(
                "id",
                lambda each: each.artifact_id,
                lambda each: each.artifact_id or "(nothing)",
                cut="middle",
            ),
            Column("standing", lambda each: "" if each.live or each.artifact_id is None else "not live"),
            Column("before", lambda each: each.before, spare=1, cut="middle"),
        ],
        as_json=_Alias._asdict,
        id_of=lambda each: each.artifact_id or "",
        empty=empty,
    )
