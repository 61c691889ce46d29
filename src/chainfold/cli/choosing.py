"""Which artifacts a command is about: filters, order and limit, as options."""

import heapq
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from chainfold.cli.filters import HELP, NAMES
from chainfold.errors import InvalidInputError

if TYPE_CHECKING:
    from chainfold.records import ArtifactRecord
    from chainfold.view import RegistryView

_SORTED_BY = "id, type, class, pipeline, step, fold, size, created, chain, digest"


def filter_option(body: Callable[..., Any]) -> Callable[..., Any]:
    """Add `-f`."""
    return click.option(
        "-f", "--filter", "filters", metavar="FILTER", multiple=True, help=HELP.format(names=", ".join(NAMES))
    )(body)


def choice_options(body: Callable[..., Any]) -> Callable[..., Any]:
    """Add `-f`, `--sort` and `--limit`."""
    sort = click.option(
        "--sort",
        metavar="FIELD",
        help=f"Sort by a field, or from its largest down by --sort=-FIELD. Fields: {_SORTED_BY}.",
    )
    limit = click.option(
        "-n", "--limit", metavar="NUMBER", type=click.IntRange(min=0), help="Only so many: the first ones."
    )
    return filter_option(sort(limit(body)))


def chosen(
    view: "RegistryView", now: datetime, filters: tuple[str, ...], sort: str | None, limit: int | None
) -> Iterator["ArtifactRecord"]:
    """The live artifacts that fit, one at a time.

    They come in order of registration, or sorted: then their ids and keys are held, not the artifacts. With a
    limit, only so many are held.

    Args:
        view: Where to look.
        now: What ages are reckoned from.
        filters: As typed.
        sort: As typed.
        limit: How many at most.

    Raises:
        InvalidInputError: If a filter is none, or there is nothing to sort by of that name.
    """
    from chainfold.cli.filters import candidates, fitting, parse_filters

    parsed = parse_filters(filters, now)
    found = fitting(candidates(view, parsed), parsed)
    return islice(found if sort is None else in_order(view, found, sort, limit), limit)


def in_order(
    view: "RegistryView", records: Iterator["ArtifactRecord"], sort: str, limit: int | None
) -> Iterator["ArtifactRecord"]:
    """Records sorted by a field; those that are equal in it stay in their order.

    Raises:
        InvalidInputError: If there is no such field.
    """
    from chainfold.cli.fields import SORT_KEYS

    name, falling = sort.removeprefix("-"), sort.startswith("-")
    if name not in SORT_KEYS:
        raise InvalidInputError(
            f"{sort!r} is nothing to sort by: use {', '.join(SORT_KEYS)}, or one with - before it"
        )
    key = SORT_KEYS[name]
    keyed = ((key(record), record.artifact_id) for record in records)
    if limit is not None:
        pick = heapq.nlargest if falling else heapq.nsmallest
        held = pick(limit, keyed, key=lambda pair: pair[0])
    else:
        held = sorted(keyed, key=lambda pair: pair[0], reverse=falling)
    found = (view.resolve(artifact_id) for _, artifact_id in held)
    return (record for record in found if record is not None)
