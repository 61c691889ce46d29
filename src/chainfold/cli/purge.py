"""`chainfold purge`: everything of a dataset goes but its log."""

import click

from chainfold.cli.command import Command
from chainfold.cli.deleting import Verb, delete, deleting
from chainfold.cli.opening import Place


@click.command(
    cls=Command,
    short_help="Delete all artifacts of a dataset, and all files.",
    examples=[
        ("chainfold purge -d wheat --dry-run", "Show what would go."),
        ("chainfold purge -d wheat", "Delete all of a dataset, after typing its name."),
        ("chainfold purge -d wheat --force --yes", "Do it without asking, and roll back runs that are open."),
    ],
)
@click.option("--force", is_flag=True, help="Roll back the open runs of others, instead of refusing.")
@deleting
def purge(place: Place, *, force: bool, dry_run: bool, yes: bool) -> None:
    """Delete every artifact of a dataset, and every file in its folder.

    Whatever refers to them, manifests of pipelines included: nothing can be restored after that. The log
    stays: what was there, and when it went, can still be asked. It refuses while runs of living processes are
    open. It prints the ids with --format quiet.
    """
    verb = Verb("Purge", "Purging", "Purged", "artifact", "there is nothing to purge", typed=place.dataset)
    delete(
        place,
        lambda registry: registry.plan_purge(force=force),
        verb,
        dry_run=dry_run,
        yes=yes,
        force=force,
    )
