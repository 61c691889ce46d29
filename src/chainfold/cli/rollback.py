"""`chainfold rollback`: what a run registered is taken back."""

from typing import TYPE_CHECKING

import click

from chainfold.cli.command import Command
from chainfold.cli.completing import complete_runs
from chainfold.cli.deleting import Verb, delete, deleting
from chainfold.cli.naming import run_name
from chainfold.cli.opening import Place

if TYPE_CHECKING:
    from chainfold.commands.plans import Plan
    from chainfold.registry import ArtifactRegistry

_VERB = Verb(
    "Roll back",
    "Rolling back",
    "Rolled back",
    "artifact",
    "nothing of that run is left to take back: it was rolled back before, or registered nothing that is live",
    "Delete those first, or use --keep-dependents to let them be",
)


@click.command(
    cls=Command,
    examples=[
        ("chainfold rollback 20260531T120000-7f8e9d0c1b2a --dry-run", "Show what would be taken back."),
        ("chainfold rollback 20260531T120000-7f8e9d0c1b2a", "Take it back, after a look at the plan."),
        (
            'chainfold rollback "$(chainfold runs -q -n 1)" --yes',
            "Take back the last run, without asking.",
        ),
    ],
)
@click.argument("run", metavar="RUN", type=run_name, shell_complete=complete_runs)
@click.option("--force", is_flag=True, help="Roll back an open run even if its process is alive.")
@click.option(
    "--keep-dependents", is_flag=True, help="Let be what was made from it; its lineage stays as it is."
)
@deleting
def rollback(place: Place, *, run: str, force: bool, keep_dependents: bool, dry_run: bool, yes: bool) -> None:
    """Take back what a run registered.

    An open run ends as if it had failed. What a committed one registered is deleted, and what that had
    superseded is registered again, where its file is still there: by events of their own, which the history
    shows. What the run deleted stays deleted (`restore` brings it back), and aliases stay where they point.
    It prints the ids with --format quiet; `runs` lists the runs.
    """

    def planning(registry: "ArtifactRegistry") -> "Plan":
        return registry.plan_rollback(run, force=force, dependents="warn")

    delete(
        place,
        planning,
        _VERB,
        dry_run=dry_run,
        yes=yes,
        keeps_dependents=keep_dependents,
        force=force,
    )
