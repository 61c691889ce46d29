"""`chainfold gc`: files go that nothing refers to."""

import click

from chainfold.cli.command import Command
from chainfold.cli.deleting import Verb, delete, deleting
from chainfold.cli.opening import Place
from chainfold.cli.units import parse_age

_VERB = Verb("Remove", "Removing", "Removed", "file", "there is nothing to collect", stops=True)


@click.command(
    cls=Command,
    examples=[
        ("chainfold gc --all --dry-run", "Show which files nothing refers to."),
        ("chainfold gc --all", "Remove them, after a look at the plan."),
        ("chainfold gc --older-than 30d --yes", "Remove those that have lain so long, without asking."),
    ],
)
@click.option("--all", "everything", is_flag=True, help="All files that nothing refers to.")
@click.option(
    "--older-than", metavar="AGE", help="Of those, what has lain unchanged for so long: 12h, 30d, 3 months."
)
@click.option(
    "--ignore-manifests",
    is_flag=True,
    help="Remove also what only the manifests of pipelines refer to, below runs/.",
)
@deleting
def gc(
    place: Place,
    *,
    everything: bool,
    older_than: str | None,
    ignore_manifests: bool,
    dry_run: bool,
    yes: bool,
) -> None:
    """Remove files that nothing refers to.

    No live artifact, no open run, and no manifest below runs/. It does nothing without a scope: --all or
    --older-than. What was withheld from the log by artifacts that are gone is erased, and what dead processes
    left (locks, files without a name) is tidied away. What was deleted with its file kept can no longer be
    restored. Ctrl-C ends it between two files, and the same command goes on. It prints the files' names with
    --format quiet.
    """
    if not everything and older_than is None:
        raise click.UsageError(
            "gc does nothing without a scope. Use --all for every file that nothing refers to, or "
            "--older-than AGE for what has lain so long."
        )
    age = None if older_than is None else parse_age(older_than)
    delete(
        place,
        lambda registry: registry.plan_collection(older_than=age, scan_all_manifests=not ignore_manifests),
        _VERB,
        dry_run=dry_run,
        yes=yes,
    )
