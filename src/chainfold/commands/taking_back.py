"""Taking back registrations, by events of their own: nothing is erased."""

import warnings
from collections.abc import Sequence

from chainfold.commands.collecting import delete_ids, deletions
from chainfold.commands.registering import repetition
from chainfold.dataset import Dataset
from chainfold.errors import NotFoundError
from chainfold.events import AnyEvent


def take_back(data: Dataset, rows: Sequence[int]) -> int:
    """Delete what stood alone and is still live, and register again what it had superseded, all at once.

    Files go that these registrations brought and nothing else needs.

    Returns:
        How many artifacts were taken back.
    """
    if not rows:
        return 0
    with data.writing():
        projections, visibility = data.projections, data.projections.visibility
        first: dict[str, int] = {}
        for row in rows:
            first.setdefault(projections.artifact_id(row), row)
        mine = set(rows)
        ids = [each for each in first if projections.live_row(each) in mine]
        events: list[AnyEvent] = [*deletions(ids, delete_files=True)]
        for artifact_id in ids:
            since = visibility.visible_from[first[artifact_id]]
            for row in reversed(projections.ids.rows(artifact_id)):
                if visibility.removed_at[row] == since and visibility.visible_from[row] < since:
                    events += _restored(data, row)
                    break
        if ids:
            entries = data.append_run(events)
            paths = dict.fromkeys(projections.paths.path_of(row) for row in rows)
            brought = [path for path in paths if projections.paths.bringer(path) in mine]
            data.sweep(brought, "rolled-back", entries[-1].position)
    return len(ids)


def take_back_in_run(data: Dataset, rows: Sequence[int], run_id: str) -> int:
    """Delete what a joined registry registered in a run that goes on without it."""
    with data.writing():
        run = data.projections.runs.open(run_id)
        own = run.own if run is not None else {}
        ids = [data.projections.artifact_id(row) for row in rows]
        ids = [each for each, row in zip(ids, rows, strict=True) if own.get(each) == row]
        if ids:
            delete_ids(data, ids, run_id, delete_files=True)
    return len(ids)


def _restored(data: Dataset, row: int) -> list[AnyEvent]:
    try:
        return [repetition(data, row)]
    except NotFoundError as error:
        warnings.warn(f"what was superseded is not back: {error}", UserWarning, stacklevel=4)
        return []
