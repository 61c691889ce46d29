"""Taking back registrations, by events of their own: nothing is erased."""

import warnings
from collections.abc import Sequence

from chainfold.commands.collecting import deletions
from chainfold.commands.erasing import forget
from chainfold.commands.registering import repetition
from chainfold.dataset import Dataset
from chainfold.errors import NotFoundError
from chainfold.events import AnyEvent, ArtifactRegistered, Entry


def take_back(data: Dataset, rows: Sequence[int]) -> int:
    """Delete what stood alone and is still live, and register again what it had superseded, all at once.

    Files go that these registrations brought and nothing else needs.

    Returns:
        How many artifacts were taken back.
    """
    if not rows:
        return 0
    with data.writing():
        mine = set(rows)
        live = [row for row in rows if data.projections.visibility.is_live(row)]
        cause: Entry | None = None
        if live:
            ids = list(map(data.projections.artifact_id, live))
            restored = [each for row in live for each in _first_restored(data, [_replaced(data, row, mine)])]
            data.secure(each.record.path for each in restored)
            cause = data.append_run([*deletions(ids, delete_files=True), *restored])[-1]
        _sweep_brought(data, mine, cause)
        if cause is None:
            data.secure_log()  # they may be gone by an entry that a power cut would undo
    return len(live)


def take_back_in_run(data: Dataset, rows: Sequence[int], run_id: str) -> int:
    """Take from a run that goes on what a joined registry registered in it.

    What that had replaced in the run, or hidden from it, is registered again: a deletion would doom what is
    committed under the same id.

    Returns:
        How many artifacts were taken back.
    """
    if not rows:
        return 0
    with data.writing():
        run = data.projections.runs.open(run_id)
        if run is None:
            return 0
        mine = set(rows)
        ids: list[str] = []
        again: list[AnyEvent] = []
        own = [row for row in rows if run.own.get(data.projections.artifact_id(row)) == row]
        for row in own:
            hidden = data.projections.live_row(data.projections.artifact_id(row))
            if hidden in run.doomed:
                hidden = None
            restored = _first_restored(data, [_replaced(data, row, mine), hidden])
            again += restored
            if not restored:
                ids.append(data.projections.artifact_id(row))
        cause: Entry | None = None
        if own:
            events: list[AnyEvent] = [*deletions(ids, delete_files=False), *again]
            cause = data.append(events, run=run_id, sync=False)[-1]
        _sweep_brought(data, mine, cause)
    return len(own)


def _replaced(data: Dataset, row: int, mine: set[int]) -> int | None:
    """The registration whose place one took; when that is taken back too, the one before it."""
    visibility = data.projections.visibility
    rows = data.projections.ids.rows(data.projections.artifact_id(row))
    ended = {visibility.removed_at[each]: each for each in rows}
    earlier: int | None = row
    while earlier in mine:
        earlier = ended.get(visibility.positions[earlier] + 1)
    return earlier


def _first_restored(data: Dataset, rows: Sequence[int | None]) -> list[ArtifactRegistered]:
    """The event that repeats the first of the registrations whose file is still there."""
    for row in rows:
        if row is not None:
            try:
                return [repetition(data, row)]
            except NotFoundError as error:
                warnings.warn(f"what was superseded is not back: {error}", UserWarning, stacklevel=4)
    return []


def _sweep_brought(data: Dataset, mine: set[int], cause: Entry | None) -> None:
    """Remove the files that these registrations brought and nothing needs."""
    paths = data.projections.paths
    brought = (paths.path_of(row) for row in sorted(mine) if paths.bringer_of(row) in mine)
    if cause is not None:
        data.sweep_after(cause, brought, "rolled-back")
    else:  # all of it was superseded or deleted before: only files are left to take back
        data.sweep(brought, "rolled-back")
    forget(data, sorted(mine), "rolled-back", cause)
