"""What differs between two sizes of the log, and which events did it."""

from collections.abc import Iterator
from typing import Self

import msgspec

from chainfold.dataset import Dataset
from chainfold.errors import InvalidInputError


class Change(msgspec.Struct, frozen=True):
    """An artifact id that names something else, or is no longer or newly live.

    Registrations are named by their positions in the log: `events(position, position + 1)` has the record.

    Attributes:
        artifact_id: The id.
        before: The registration that was live; None if none was.
        ended: Position of the event that ended that.
        after: The registration that is live; None if none is.
        shown: Position of the event that made it live: itself, or its run's commit.
    """

    artifact_id: str
    before: int | None
    ended: int | None
    after: int | None
    shown: int | None


class AliasMove(msgspec.Struct, frozen=True):
    """An alias that was set in between, if only to what it pointed to before.

    Attributes:
        alias: The name.
        before: Where it pointed; None for nowhere.
        set_before: Position of the event that had said so; None if it was never set.
        after: Where it points.
        set_after: Position of the event that says so.
    """

    alias: str
    before: str | None
    set_before: int | None
    after: str | None
    set_after: int | None


class Diff(msgspec.Struct, frozen=True):
    """What differs between the states after `first` and after `second` entries.

    Attributes:
        first: The earlier size.
        second: The later one.
        changes: What became of artifact ids, in order of id.
        aliases: The aliases that were set, in order of name.
    """

    first: int
    second: int
    changes: list[Change]
    aliases: list[AliasMove]

    @property
    def added(self) -> list[Change]:
        """Ids that were not live."""
        return [change for change in self.changes if change.before is None]

    @property
    def superseded(self) -> list[Change]:
        """Ids that name another registration."""
        return [each for each in self.changes if each.before is not None and each.after is not None]

    @property
    def removed(self) -> list[Change]:
        """Ids that are no longer live."""
        return [change for change in self.changes if change.after is None]

    def __bool__(self) -> bool:
        return bool(self.changes or self.aliases)

    def then(self, later: Self) -> Self:
        """Both, one after the other.

        Raises:
            InvalidInputError: If the later one does not begin where this one ends.
        """
        if later.first != self.second:
            raise InvalidInputError(f"a diff from {later.first} on does not follow one up to {self.second}")
        changes = {change.artifact_id: change for change in self.changes}
        for change in later.changes:
            known = changes.get(change.artifact_id)
            if known is not None:
                if known.before is None and change.after is None:
                    del changes[change.artifact_id]
                    continue
                change = msgspec.structs.replace(change, before=known.before, ended=known.ended)  # noqa: PLW2901 - the same, from earlier on
            changes[change.artifact_id] = change
        aliases = {move.alias: move for move in self.aliases}
        for move in later.aliases:
            earlier = aliases.get(move.alias, move)
            aliases[move.alias] = msgspec.structs.replace(
                move, before=earlier.before, set_before=earlier.set_before
            )
        return type(self)(
            self.first,
            later.second,
            [changes[artifact_id] for artifact_id in sorted(changes)],
            [aliases[alias] for alias in sorted(aliases)],
        )


def diff(data: Dataset, first: int, second: int) -> Diff:
    """What differs between two sizes; with `data.mutex` held.

    Two columns are looked through, which takes milliseconds for a million registrations; the rest is linear
    in what differs.
    """
    changed: dict[str, list[int | None]] = {}
    visibility, ids = data.projections.visibility, data.projections.artifact_id
    ends, begins = _rows_that_changed(data, first, second)
    for row in ends:
        changed[ids(row)] = [visibility.positions[row], visibility.removed_at[row] - 1, None, None]
    for row in begins:
        change = changed.setdefault(ids(row), [None, None, None, None])
        change[2:] = [visibility.positions[row], visibility.visible_from[row] - 1]
    changes = [Change(artifact_id, *changed[artifact_id]) for artifact_id in sorted(changed)]
    return Diff(first, second, changes, list(_moves(data, first, second)))


def _rows_that_changed(data: Dataset, first: int, second: int) -> tuple[list[int], list[int]]:
    """Those that were live and are not, and those that are and were not."""
    import numpy as np  # noqa: PLC0415 - slow to import, and few ask for this

    from chainfold.projections.merging import pieces  # noqa: PLC0415 - as above

    columns = data.projections.columns
    visible_from, removed_at = (
        np.concatenate(list(pieces(columns[name]))) for name in ("visible_from", "removed_at")
    )
    was = (visible_from <= first) & (first < removed_at)
    is_now = (visible_from <= second) & (second < removed_at)
    return np.flatnonzero(was & ~is_now).tolist(), np.flatnonzero(is_now & ~was).tolist()


def _moves(data: Dataset, first: int, second: int) -> Iterator[AliasMove]:
    aliases = data.projections.aliases
    for alias in aliases.names():
        before, after = aliases.setting(alias, first), aliases.setting(alias, second)
        if before != after:
            yield AliasMove(alias, *before, *after)
