"""`chainfold restore`: what an id named in the past is registered again."""

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from chainfold.cli.columns import Column
from chainfold.cli.command import Command
from chainfold.cli.completing import complete_ids
from chainfold.cli.moments import HELP as AT_HELP
from chainfold.cli.moments import parse_moment
from chainfold.cli.naming import artifact_name, each_name, find_id
from chainfold.cli.opening import Writing, writing
from chainfold.errors import InvalidInputError, NotFoundError

if TYPE_CHECKING:
    from chainfold.history import HistoryItem
    from chainfold.registry import ArtifactRegistry


class _Restored(NamedTuple):
    """What was restored.

    Attributes:
        artifact_id: Its id.
        restored_from: Position of the registration that was repeated.
        position: Position of the new one; of the old one, if that is live anyway.
        superseded: Position of what was live before; None if nothing was.
        content_hash: The digest of its bytes.
    """

    artifact_id: str
    restored_from: int
    position: int
    superseded: int | None
    content_hash: str


@click.command(
    cls=Command,
    examples=[
        ("chainfold restore '0001_pls$7f8e9d0c1b2a:0'", "Bring back what was deleted last under this id."),
        (
            "chainfold restore production --at 2026-05-31",
            "Bring back what was in production at the end of May.",
        ),
    ],
)
@click.argument(
    "names", metavar="ID...", nargs=-1, required=True, type=artifact_name, shell_complete=complete_ids
)
@click.option("--at", "moment", metavar="POSITION|TIME", help=f"What it was then. {AT_HELP}")
@writing
def restore(writing: Writing, *, names: tuple[str, ...], moment: str | None) -> None:
    """Register again what ids named in the past.

    The same bytes, parameters, sources and chain, as a registration of its own that supersedes what is live
    by now. Without --at it is what was live last. All or none: it needs the files to be there still, which
    `gc` and `rm` take away. ID may be an alias or the digest of the bytes, as of that moment; - is for ids
    from a pipe, one a line. It prints the ids with --format quiet.
    """
    registry, asked = writing.registry, list(each_name(names))
    chosen = [_chosen(registry, name, moment) for name in asked]
    with registry.run() if len(chosen) > 1 else nullcontext():
        done = [_restore(registry, *each) for each in chosen]
    writing.printer.table(
        "restored/1",
        done,
        [
            Column("id", lambda each: each.artifact_id, cut="middle"),
            Column("restored_from", lambda each: each.restored_from, right=True),
            Column("position", lambda each: each.position, right=True),
            Column("superseded", lambda each: each.superseded, right=True, spare=2),
            Column("digest", lambda each: each.content_hash, lambda each: each.content_hash[7:19], spare=1),
        ],
        as_json=_json,
        id_of=lambda each: each.artifact_id,
    )
    for each in done:
        if each.position == each.restored_from:
            writing.printer.note(f"{each.artifact_id} is live as it was then: there was nothing to do")


def _json(restored: _Restored) -> dict[str, Any]:
    return restored._asdict()


def _chosen(registry: "ArtifactRegistry", name: str, at: str | None) -> "tuple[HistoryItem, int]":
    """The registration that is meant, and a size of the log at which it was live."""
    if at is not None:
        view = registry.as_of(parse_moment(at, registry.dataset))
        artifact_id = find_id(view, name)
        item = _live(view.history(artifact_id))
        if item is None:
            raise NotFoundError(
                f"{artifact_id!r} was not live at position {view.position}; "
                f"chainfold log ID shows when it was"
            )
        return item, view.position
    artifact_id = find_id(registry, name)
    history = registry.history(artifact_id)
    if _live(history) is not None:
        raise InvalidInputError(
            f"{artifact_id!r} is live: say by --at which moment it should be brought back from; "
            f"chainfold show lists its registrations"
        )
    seen = [item for item in history if item.visible_from is not None and item.removed_at is not None]
    if not seen:
        raise NotFoundError(f"{artifact_id!r} was never live: its run did not commit")
    last = max(seen, key=lambda item: item.removed_at or 0)
    return last, (last.removed_at or 1) - 1


def _live(history: "list[HistoryItem]") -> "HistoryItem | None":
    return next((item for item in history if item.standing == "live"), None)


def _restore(registry: "ArtifactRegistry", item: "HistoryItem", size: int) -> _Restored:
    artifact_id = item.record.artifact_id
    now = _live(registry.history(artifact_id))
    if now is not None and now.position == item.position:
        return _Restored(artifact_id, item.position, item.position, None, item.record.content_hash)
    record = registry.restore(artifact_id, size)
    position = max(each.position for each in registry.history(artifact_id))
    return _Restored(
        artifact_id, item.position, position, None if now is None else now.position, record.content_hash
    )
