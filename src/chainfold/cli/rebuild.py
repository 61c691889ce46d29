"""`chainfold rebuild`: what is folded, made again from the log alone."""

import click

from chainfold.cli.command import Command
from chainfold.cli.opening import Writing, refuse_damage, writing
from chainfold.cli.progress import progress
from chainfold.cli.units import counted


@click.command(
    cls=Command,
    short_help="Replay the log from nothing.",
    examples=[
        ("chainfold rebuild", "Fold the log anew, and use that."),
        ("chainfold rebuild --exit-code", "Exit with 1 if what was there said anything else."),
    ],
)
@click.option("--exit-code", is_flag=True, help="Exit with 1 if what was there said anything else.")
@writing
def rebuild(writing: Writing, *, exit_code: bool) -> None:
    """Replay the log from nothing, and put that in the place of the snapshot.

    Indexes, lineage and statistics are folds of the log: they may be thrown away at any time. It is said
    whether what was there agreed; if it did not, it was wrong, and is gone now. Nothing in the log or the
    artifacts' files is changed.
    """
    registry, printer = writing.registry, writing.printer
    refuse_damage(registry)
    with progress("Rebuilding", unit="entries") as step:
        same = registry.rebuild(step.at)
    entries, artifacts = registry.position, len(registry)
    printer.document(
        "rebuilt/1",
        {"same": same, "entries": entries, "artifacts": artifacts},
        human=lambda: printer.line(
            f"Rebuilt dataset {registry.dataset} from {counted(entries, 'entry', 'entries')}: "
            f"{counted(artifacts, 'artifact')}, "
            f"{'as before' if same else 'and not as before'}"
        ),
        ids=[registry.dataset],
    )
    if not same:
        printer.warn(
            "what was folded before did not say what the log says: it is gone now, and what was built from "
            "the log is used; chainfold verify checks the rest"
        )
        if exit_code:
            click.get_current_context().exit(1)
