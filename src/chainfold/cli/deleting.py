"""What deletes: it shows its plan, asks, and does exactly that."""

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from chainfold.cli.columns import Column
from chainfold.cli.failing import tell
from chainfold.cli.interrupting import held_back
from chainfold.cli.opening import Place, changing, long_option
from chainfold.cli.printing import Printer
from chainfold.cli.progress import progress
from chainfold.cli.units import counted, size_text
from chainfold.errors import ConflictError, DependentsError

if TYPE_CHECKING:
    from chainfold.commands.plans import Plan
    from chainfold.registry import ArtifactRegistry

_SHOWN: Final = 10
"""Of each kind, unless all are asked for."""
_DECLINED: Final = 1


class Verb(NamedTuple):
    """How a command speaks of what it does.

    Attributes:
        would: What it would do, as a question and in a dry run: `Delete`.
        doing: What it does: `Deleting`.
        did: What it has done: `Deleted`.
        ids: The kind of thing that `--format quiet` names.
        nothing: A note for when there is nothing to do.
        instead: What may be done about dependents, which is said when it refuses because of them.
        typed: What must be typed instead of a yes.
        stops: Whether Ctrl-C may end it amid its files, as the same command goes on; else it is finished.
    """

    would: str
    doing: str
    did: str
    ids: str
    nothing: str
    instead: str = ""
    typed: str = ""
    stops: bool = False


class _Item(NamedTuple):
    """One thing in a plan."""

    kind: str
    name: str
    field: str = ""
    position: int | None = None
    size_bytes: int | None = None


_TITLES: Final = {
    "artifact": "artifacts",
    "file": "files",
    "private": "private",
    "restored": "live_again",
    "alias": "aliases_to_nothing",
    "dependent": "made_from_that",
    "run": "open_runs",
}
"""What people see above things of a kind."""


def deleting(body: Callable[..., Any]) -> Callable[..., Any]:
    """A command that deletes: it is given a `Place` first, and what `--dry-run` and `--yes` say."""
    dry_run = click.option(
        "--dry-run", is_flag=True, help="Only show what would be done; nothing is written."
    )
    yes = click.option("-y", "--yes", is_flag=True, help="Do it without asking.")
    return dry_run(yes(long_option(changing(body))))


def delete(
    place: Place,
    planning: "Callable[[ArtifactRegistry], Plan]",
    verb: Verb,
    *,
    dry_run: bool,
    yes: bool,
    keeps_dependents: bool = False,
    force: bool = False,
) -> None:
    """Plan, show, ask, and carry out.

    Args:
        place: The dataset.
        planning: Makes the plan.
        verb: How to speak of it.
        dry_run: Whether to stop after the plan; nothing is written then.
        yes: Whether not to ask.
        keeps_dependents: Whether what was made from what goes does not stand in the way.
        force: Whether open runs do not stand in the way.

    Raises:
        DependentsError: If something depends on what goes.
        ConflictError: If runs are open, or something has changed since the plan was made.
    """
    if dry_run:
        with place.reading() as found:
            plan = planning(found.registry)
            _print(place, found.registry.dataset, plan, verb, done=False)
            _refuse(plan, verb, keeps_dependents=keeps_dependents, force=force)
            if place.shape == "human" and not plan.is_empty:
                found.printer.line(f"Would {verb.would.lower()} {_summary(plan)}.")
        return
    with place.writing() as (registry, _):
        plan = planning(registry)
        _refuse(plan, verb, keeps_dependents=keeps_dependents, force=force)
        if not (plan.is_empty or yes or _is_confirmed(place, registry.dataset, plan, verb)):
            tell("Note", "nothing was done")
            click.get_current_context().exit(_DECLINED)
        _carry_out(registry, plan, verb)
        _print(place, registry.dataset, plan, verb, done=True)


def _refuse(plan: "Plan", verb: Verb, *, keeps_dependents: bool, force: bool) -> None:
    from chainfold.artifact_ids import named

    if plan.dependents and not keeps_dependents:
        count = len(plan.dependents)
        raise DependentsError(
            f"nothing was done: {counted(count, 'live artifact')} depend{'s' if count == 1 else ''} on what "
            f"would go: {named(plan.dependents)}. {verb.instead}"
        )
    if plan.runs and not force:
        raise ConflictError(
            f"nothing was done: {counted(len(plan.runs), 'run')} of a process that may be alive "
            f"{'is' if len(plan.runs) == 1 else 'are'} open: {named(plan.runs)}. Wait for the end, or use "
            f"--force to roll back what is open"
        )


def _is_confirmed(place: Place, dataset: str, plan: "Plan", verb: Verb) -> bool:
    if not _is_asked():
        raise click.UsageError(
            "nothing was done: stdin is not a terminal, so nobody can be asked. Use --yes to do it, or "
            "--dry-run to see what would be done."
        )
    if place.shape == "human":
        _print(place, dataset, plan, verb, done=False)
    question = f"{verb.would} {_summary(plan)}?"
    try:
        if not verb.typed:
            return click.confirm(question, err=True)
        click.echo(question, err=True)
        return bool(
            click.prompt(f"Type {verb.typed} to do it", err=True, default="", show_default=False)
            == verb.typed
        )
    except click.Abort:
        raise KeyboardInterrupt from None


def _is_asked() -> bool:
    """Whether a person is there to answer."""
    return sys.stdin.isatty()


def _carry_out(registry: "ArtifactRegistry", plan: "Plan", verb: Verb) -> None:
    gone = 0
    with held_back() as interrupt, progress(verb.doing, len(plan.files) + len(plan.values)) as step:

        def went(count: int) -> None:
            nonlocal gone
            gone += count
            step(count)
            if verb.stops:
                interrupt.heed()

        try:
            registry.carry_out(plan, went)
        except KeyboardInterrupt:
            tell("Note", f"{gone:,} of {len(plan.files):,} files went; the same command goes on from there")
            raise
    if interrupt.asked:
        tell("Note", "what was begun has been finished")


def _print(place: Place, dataset: str, plan: "Plan", verb: Verb, *, done: bool) -> None:
    printer = place.printer(dataset=dataset, position=plan.position, done=done, size_bytes=plan.size_bytes)
    if printer.is_human:
        _tell(printer, plan, verb, done=done)
        return
    items = _items(plan)
    printer.table(
        "removal/1",
        items if printer.shape != "quiet" else (item for item in items if item.kind == verb.ids),
        [
            Column("kind", lambda item: item.kind),
            Column("name", lambda item: item.name),
            Column("field", lambda item: item.field),
            Column("position", lambda item: item.position),
            Column("size_bytes", lambda item: item.size_bytes),
        ],
        as_json=_Item._asdict,
        id_of=lambda item: item.name,
    )


def _tell(printer: Printer, plan: "Plan", verb: Verb, *, done: bool) -> None:
    if plan.is_empty:
        printer.note(verb.nothing)
    elif done:
        printer.line(f"{verb.did} {_summary(plan)}.")
    else:
        items = list(_items(plan))
        for kind, title in _TITLES.items():
            _tell_some(printer, title, [item for item in items if item.kind == kind])


def _tell_some(printer: Printer, title: str, items: list[_Item]) -> None:
    """A table of them, whose first column says what they are."""
    if not items:
        return
    shown = items if printer.is_long else items[:_SHOWN]
    printer.rows(
        [
            Column(title, lambda item: item.name, cut="middle"),
            Column("field", lambda item: item.field, spare=1, cut="end"),
            Column("registered", _registered, spare=2),
            Column("size", _size, _size, right=True),
        ],
        shown,
    )
    if len(shown) < len(items):
        printer.line(f"and {len(items) - len(shown):,} more: --long shows all")
    printer.line()


def _registered(item: _Item) -> str:
    return "" if item.position is None else f"at {item.position}"


def _size(item: _Item) -> str:
    return "" if item.size_bytes is None else size_text(item.size_bytes)


def _items(plan: "Plan") -> Iterator[_Item]:
    for each in plan.artifacts:
        yield _Item("artifact", each.artifact_id, position=each.position)
    for file in plan.files:
        yield _Item("file", file.path, size_bytes=file.size_bytes)
    for value in plan.values:
        yield _Item("private", value.artifact_id, value.field, size_bytes=value.size_bytes)
    for each in plan.restored:
        yield _Item("restored", each.artifact_id, position=each.position)
    names: Iterable[tuple[str, tuple[str, ...]]] = (
        ("alias", plan.aliases),
        ("dependent", plan.dependents),
        ("run", plan.runs),
    )
    for kind, theirs in names:
        for name in theirs:
            yield _Item(kind, name)


def _summary(plan: "Plan") -> str:
    """`2 artifacts and 1 file (1.2 kB)`."""
    counts = [
        (len(plan.artifacts), "artifact"),
        (len(plan.files), "file"),
        (len(plan.values), "private value"),
    ]
    parts = [counted(count, what) for count, what in counts if count] or [counted(len(plan.runs), "run")]
    text = " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))
    return f"{text} ({size_text(plan.size_bytes)})" if plan.size_bytes else text
