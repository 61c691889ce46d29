"""`chainfold rm`: artifacts are deleted, and their files go."""

import click

from chainfold.cli.command import Command
from chainfold.cli.completing import complete_ids
from chainfold.cli.deleting import Verb, delete, deleting
from chainfold.cli.naming import artifact_name, each_name, find_id
from chainfold.cli.opening import Place

_VERB = Verb(
    "Delete",
    "Deleting",
    "Deleted",
    "artifact",
    "there is nothing to delete",
    "Use --cascade to delete those too, or --keep-dependents to let them be",
)


@click.command(
    cls=Command,
    examples=[
        ("chainfold rm '0001_pls$7f8e9d0c1b2a:0' --dry-run", "Show what would go, and what depends on it."),
        ("chainfold rm '0001_pls$7f8e9d0c1b2a:0'", "Delete an artifact, after a look at the plan."),
        ("chainfold rm --pipeline 0001_pls --cascade", "Delete a pipeline, and all that was made from it."),
        (
            "chainfold ls -q -f 'age>90d' -f type=model | chainfold rm - --yes",
            "Delete the models that are older than that, without asking.",
        ),
    ],
)
@click.argument("names", metavar="[ID...]", nargs=-1, type=artifact_name, shell_complete=complete_ids)
@click.option("--pipeline", metavar="PIPELINE", help="Delete all of this pipeline, instead of some by ID.")
@click.option("--keep-files", is_flag=True, help="Leave the files, so that `restore` can bring it all back.")
@click.option("--cascade", is_flag=True, help="Delete also what was made from it, and from that.")
@click.option(
    "--keep-dependents", is_flag=True, help="Let be what was made from it; its lineage stays as it is."
)
@deleting
def rm(
    place: Place,
    *,
    names: tuple[str, ...],
    pipeline: str | None,
    keep_files: bool,
    cascade: bool,
    keep_dependents: bool,
    dry_run: bool,
    yes: bool,
) -> None:
    """Delete artifacts, and the files that nothing else needs.

    All or none. Their records stay in the history, and `--at` shows them as they were. It refuses when live
    artifacts that are not among them were made from them. ID may be an alias or the digest of the bytes, too;
    - is for ids from a pipe, one a line. It prints the ids with --format quiet.
    """
    if bool(names) == (pipeline is not None):
        raise click.UsageError("Name artifacts by ID, or a pipeline by --pipeline: one of the two.")
    if cascade and keep_dependents:
        raise click.UsageError("--cascade and --keep-dependents exclude each other.")
    asked = list(each_name(names))
    delete(
        place,
        lambda registry: registry.plan_deletion(
            [find_id(registry, name) for name in asked],
            pipeline_id=pipeline,
            delete_files=not keep_files,
            dependents="cascade" if cascade else "warn",
        ),
        _VERB,
        dry_run=dry_run,
        yes=yes,
        keeps_dependents=keep_dependents,
    )
