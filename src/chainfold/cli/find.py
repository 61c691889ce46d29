"""`chainfold find`: artifacts by chain, digest, step or what else is indexed."""

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

import click

from chainfold.cli.choosing import choice_options, in_order
from chainfold.cli.command import Command
from chainfold.cli.completing import complete_chains
from chainfold.cli.filters import TYPES
from chainfold.cli.opening import Reading, long_option, reading

if TYPE_CHECKING:
    from chainfold.records import ArtifactRecord
    from chainfold.view import RegistryView


@click.command(
    cls=Command,
    examples=[
        ("chainfold find --prefix 's1.MinMaxScaler>s3.PLS'", "Find all that a chain's beginning leads to."),
        ("chainfold find --chain 's1.MinMaxScaler>s3.PLS' -f fold=0", "Find what exactly this chain led to."),
        ("chainfold find --operators s1.SNV", "The same by whole operators: s1.SNV, and not s1.SNVariant."),
        ("chainfold find --pipeline 0001_pls --step 3", "Find the artifacts of a step."),
        (
            "chainfold find --digest 0ebba92320d9...",
            "Find what has these bytes: a whole sha256, or its beginning.",
        ),
    ],
)
@click.option("--chain", metavar="PATH", shell_complete=complete_chains, help="Of exactly this chain path.")
@click.option(
    "--prefix", metavar="TEXT", shell_complete=complete_chains, help="Of chain paths that begin so."
)
@click.option("--operators", metavar="CHAIN", help="Of chains that begin with these whole operators.")
@click.option(
    "--digest", metavar="DIGEST", help="With these bytes; fewer than 64 digits are looked for one by one."
)
@click.option("--pipeline", metavar="PIPELINE", help="Of this pipeline.")
@click.option(
    "--step",
    metavar="NUMBER",
    type=click.IntRange(min=0),
    help="Of this step; with --pipeline it is found by an index.",
)
@click.option(
    "--type",
    "kind",
    metavar="TYPE",
    type=click.Choice(TYPES),
    help=f"Of this type: {', '.join(TYPES)}.",
)
@long_option
@choice_options
@reading
def find(
    reading: Reading,
    *,
    chain: str | None,
    prefix: str | None,
    operators: str | None,
    digest: str | None,
    pipeline: str | None,
    step: int | None,
    kind: str | None,
    filters: tuple[str, ...],
    sort: str | None,
    limit: int | None,
) -> None:
    """Find artifacts by what is indexed.

    By chain they come in order of chain, then fold; else in the order in which they were registered. What is
    given must all hold. It prints what `ls` prints.
    """
    from chainfold.cli.fields import artifact_columns, record_json
    from chainfold.cli.filters import fitting, parse_filters

    if sum(each is not None for each in (chain, prefix, operators)) > 1:
        raise click.UsageError("--chain, --prefix and --operators exclude each other.")
    if digest is not None:
        digest = _digits(digest)
    fixed = {"pipeline": pipeline, "step": step, "type": kind, "digest": digest and f"{digest}*"}
    asked = [f"{name}={value}" for name, value in fixed.items() if value is not None]
    parsed = parse_filters([*asked, *filters], reading.now)
    found = fitting(_candidates(reading.view, chain, prefix, operators, digest, pipeline, step), parsed)
    records = found if sort is None else in_order(reading.view, found, sort, limit)
    reading.printer.table(
        "artifacts/1",
        islice(records, limit),
        artifact_columns(reading.now),
        as_json=record_json,
        id_of=lambda record: record.artifact_id,
        empty=f"no artifact of dataset {reading.view.dataset!r} fits",
    )


def _digits(digest: str) -> str:
    """A digest or its beginning, without a prefix."""
    from chainfold.cli.filters import check_digest
    from chainfold.errors import InvalidInputError

    try:
        return check_digest(digest)
    except InvalidInputError as error:
        raise click.BadParameter(str(error), param_hint="'--digest'") from error


def _candidates(
    view: "RegistryView",
    chain: str | None,
    prefix: str | None,
    operators: str | None,
    digest: str | None,
    pipeline: str | None,
    step: int | None,
) -> "Iterator[ArtifactRecord]":
    """Artifacts among which are all that are asked for, by the index that leaves the fewest."""
    if chain is not None:
        return view.iter_chain(chain)
    if prefix is not None:
        return view.iter_chain_prefix(prefix)
    if operators is not None:
        from chainfold.chain import OperatorChain
        from chainfold.errors import InvalidInputError

        try:
            return view.iter_chain_prefix(OperatorChain.from_path(operators))
        except ValueError as error:
            raise InvalidInputError(f"--operators {operators!r}: {error}") from error
    if digest is not None and len(digest) == 64:  # noqa: PLR2004 - a sha256 in hexadecimal
        return view.iter_digest(digest)
    if pipeline is not None and step is not None:
        return view.iter_artifacts_for_step(pipeline, step)
    return view.iter_records() if pipeline is None else view.iter_pipeline(pipeline)
