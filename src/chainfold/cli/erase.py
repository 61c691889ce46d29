"""`chainfold erase`: what is private of an artifact is erased for all times."""

import click

from chainfold.cli.command import Command
from chainfold.cli.completing import complete_ids
from chainfold.cli.deleting import Verb, delete, deleting
from chainfold.cli.naming import artifact_name, find_id
from chainfold.cli.opening import Place

_VERB = Verb("Erase", "Erasing", "Erased", "private", "all of it was erased before")


@click.command(
    cls=Command,
    examples=[
        ("chainfold erase '0001_pls$7f8e9d0c1b2a:0' --dry-run", "Show which private values it has."),
        ("chainfold erase '0001_pls$7f8e9d0c1b2a:0'", "Erase all that is private of it."),
        ("chainfold erase production operator", "Erase one field: a parameter's name, or custom_name."),
    ],
)
@click.argument("name", metavar="ID", type=artifact_name, shell_complete=complete_ids)
@click.argument("fields", metavar="[FIELD...]", nargs=-1)
@deleting
def erase(place: Place, *, name: str, fields: tuple[str, ...], dry_run: bool, yes: bool) -> None:
    """Erase what is private of an artifact, for all times.

    Of every registration of its id, also those that were superseded or deleted. Records, lineage, files and
    all proofs stay as they are, and no view of the past shows it again. What was not marked as private when
    it was registered is in the log, and stays. Copies elsewhere are not reached. ID may be an alias or the
    digest of the bytes, too.
    """
    delete(
        place,
        lambda registry: registry.plan_erasure(find_id(registry, name), fields or None),
        _VERB,
        dry_run=dry_run,
        yes=yes,
    )
