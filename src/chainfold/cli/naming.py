"""Which artifact an argument names, and the ids that come from a pipe."""

import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Final

import click

from chainfold.cli.plain import plain
from chainfold.errors import NotFoundError, StorageError

if TYPE_CHECKING:
    from chainfold.view import RegistryView

STDIN: Final = "-"
_SUGGESTED: Final = 3
_LOOKED_AT: Final = 5_000
_HEX_DIGITS: Final = 64


def artifact_name(text: str) -> str:
    """What an argument says that names an artifact: a `type` of click's.

    Raises:
        BadParameter: If it is empty, as a variable of the shell is that was never set.
    """
    return _name(text, "an id, an alias or a digest; chainfold ls lists the ids")


def run_name(text: str) -> str:
    """As `artifact_name`, of a run."""
    return _name(text, "the id of a run; chainfold runs lists them")


def _name(text: str, hint: str) -> str:
    if not text:
        raise click.BadParameter(f"it is empty: use {hint}.")
    return text


def each_name(names: Sequence[str]) -> Iterator[str]:
    """The arguments; in place of `-`, the lines of stdin."""
    for name in names:
        if name != STDIN:
            yield name
            continue
        for line in _lines():
            text = line.rstrip("\r\n")
            if text:
                yield text


def _lines() -> Iterator[str]:
    try:
        yield from sys.stdin
    except OSError as error:
        raise StorageError(f"cannot read ids from stdin: {error.strerror}") from error


def find_id(view: "RegistryView", name: str) -> str:
    """The id of the artifact that is meant: by its id, an alias, or the digest of its bytes.

    It need not be live: who asks for what was deleted is told of it.

    Raises:
        NotFoundError: If none has, or had, that name; what is like it is named.
    """
    if name in view or view.history(name):
        return name
    target = view.alias(name)
    if target is not None:
        return target
    digits = name.removeprefix("sha256:")
    if len(digits) == _HEX_DIGITS:
        record = view.resolve_by_hash(name)
        if record is not None:
            return record.artifact_id
    raise NotFoundError(
        f"dataset {view.dataset!r} has no artifact, alias or digest {name!r} as of position "
        f"{view.position}{_like(view, name)}"
    )


def _like(view: "RegistryView", name: str) -> str:
    """Words on ids that begin so, or have it in them."""
    recent = list(recent_ids(view, _LOOKED_AT))
    like = [each for each in recent if each.startswith(name)] or [each for each in recent if name in each]
    if not like:
        return "; chainfold ls lists them"
    return f"; there is {', '.join(map(plain, like[:_SUGGESTED]))}"


def recent_ids(view: "RegistryView", limit: int) -> Iterator[str]:
    """The ids of the live artifacts that were registered last, newest first."""
    return (record.artifact_id for record in islice(view.iter_records(newest_first=True), limit))
