"""Deleting and collecting: each is an event first, then files go, at once."""

from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from chainfold.artifact_ids import named
from chainfold.commands.erasing import forget, sweep_private
from chainfold.commands.registering import check_open
from chainfold.commands.running import clear_locks, living, roll_back
from chainfold.dataset import Dataset, in_chunks
from chainfold.errors import ConflictError, DependentsError, InvalidInputError
from chainfold.events import ArtifactsDeleted, DatasetPurged
from chainfold.projections import Sight
from chainfold.references import ManifestReferences, orphaned_files

DependentsPolicy = Literal["warn", "refuse", "cascade"]
_ABANDONED_SECONDS: Final = 3_600
"""Age from which a file that never got its name is taken to be left by a process that died."""
_IDS_BYTES: Final = 40_000
"""Of artifact ids in one event: well below the limit of an entry."""


def delete_pipeline(
    data: Dataset, pipeline_id: str, run_id: str | None, *, delete_files: bool, dependents: DependentsPolicy
) -> tuple[int, list[str]]:
    """Delete the live artifacts of a pipeline.

    Returns:
        How many artifacts were deleted, and the ids of dependents in other pipelines that stay.

    Raises:
        DependentsError: With the policy `refuse`, if there are any.
    """
    if dependents not in ("warn", "refuse", "cascade"):
        raise InvalidInputError(f"dependents is 'warn', 'refuse' or 'cascade', not {dependents!r}")
    with data.writing():
        check_open(data, run_id)
        sight = Sight(data.projections, run_id=run_id)
        event = ArtifactsDeleted(pipeline_id=pipeline_id, delete_files=delete_files)
        targets = list(sight.rows(data.projections.steps.rows_of_pipeline(pipeline_id)))
        if not targets:
            if run_id is None:
                data.secure_log()  # they may be gone by a deletion that a power cut would undo
            return 0, []
        others = _dependents(data, sight, targets, follow=dependents == "cascade")
        names = list(map(data.projections.artifact_id, others))
        if names and dependents == "refuse":
            raise DependentsError(
                f"pipeline {pipeline_id!r} was not deleted: live artifacts of other pipelines depend on it: "
                f"{named(names)}. Delete those first, or use dependents='cascade'"
            )
        if names and dependents == "cascade":
            ids = list(map(data.projections.artifact_id, [*targets, *others]))
            events = deletions(ids, delete_files=delete_files)
            _delete(data, events, run_id, delete_files=delete_files)
            return len(ids), []
        _delete(data, [event], run_id, delete_files=delete_files)
    return len(targets), names


def deletions(ids: Sequence[str], *, delete_files: bool) -> list[ArtifactsDeleted]:
    """Events that together delete the ids, each small enough for an entry."""
    chunks = in_chunks(ids, _IDS_BYTES, lambda artifact_id: len(msgspec.json.encode(artifact_id)) + 1)
    return [ArtifactsDeleted(artifact_ids=chunk, delete_files=delete_files) for chunk in chunks]


def _delete(
    data: Dataset, events: Sequence[ArtifactsDeleted], run_id: str | None, *, delete_files: bool
) -> None:
    committed, mine = [], []
    for event in events:
        taken = data.projections.targets(event, run_id)
        committed += taken[0]
        mine += taken[1]
    if run_id is not None:
        entries = data.append(events, run=run_id, sync=False)
    elif len(events) == 1:
        entries = data.append(events, sync=True)
    else:
        entries = data.append_run(events)
    # In a run, what was committed before loses its files when the run commits.
    gone = mine if run_id is not None else committed
    if delete_files:
        data.sweep_after(entries[-1], map(data.projections.paths.path_of, gone), "deleted")
        forget(data, gone, "deleted", entries[-1])


def _dependents(data: Dataset, sight: Sight, rows: Sequence[int], *, follow: bool) -> list[int]:
    """Live rows made from some rows, but not among them; with `follow` also what was made from those."""
    seen, found = set(rows), []
    pending = list(rows)
    while pending:
        artifact_id = data.projections.artifact_id(pending.pop())
        for row in sight.rows(data.projections.lineage.rows(artifact_id)):
            if row not in seen:
                seen.add(row)
                found.append(row)
                if follow:
                    pending.append(row)
    return sorted(found)


def delete_orphans(
    data: Dataset, references: ManifestReferences | None, *, dry_run: bool
) -> tuple[list[str], int]:
    """Remove the files that nothing refers to; with `dry_run` only say which.

    What processes left that died (lock files, files that never got their name) goes too, and what was
    withheld from the log by registrations that are not live, nor of an open run.

    Returns:
        Their paths, sorted, and their bytes.

    Raises:
        ManifestError: If a manifest cannot be read: nothing is deleted then.
    """
    if dry_run:
        with data.mutex:
            data.refresh()
            orphans = orphaned_files(data, references)
        return [path for path, _ in orphans], sum(size for _, size in orphans)
    living(data)
    with data.writing():
        clear_locks(data)
        data.blobs.clear_aside(_ABANDONED_SECONDS)
        orphans = orphaned_files(data, references)
        gone = data.sweep([path for path, _ in orphans], "orphaned") if orphans else ([], 0)
        sweep_private(data, "orphaned")
        data.secure_log()  # also where nothing was to be swept: whoever is told so may rely on what is there
        return gone


def purge(data: Dataset, run_id: str | None, *, force: bool) -> tuple[int, int]:
    """Delete every artifact of a dataset, and every file in its folder, whoever refers to it.

    Inside a run it takes effect when the run commits.

    Returns:
        How many files went, or will go, and their bytes.

    Raises:
        ConflictError: If a run of a living process is open, unless forced: that run is then rolled back.
    """
    others = living(data, but=run_id)
    if others and not force:
        names = ", ".join(f"{run.run_id} ({run.owner})" for run in others)
        raise ConflictError(
            f"dataset {data.name!r} was not purged: runs of living processes are open: {names}. Wait until "
            f"they end, or use force=True to roll them back"
        )
    with data.writing():
        check_open(data, run_id)
        files = sorted(data.blobs.scan())
        for run in data.projections.runs.all_open():
            if run.run_id != run_id:
                roll_back(data, run.run_id, "request", "purged with force")
        if run_id is not None:
            data.append([DatasetPurged()], run=run_id, sync=False)
        else:
            (entry,) = data.append([DatasetPurged()], sync=True)
            for path, _ in files:
                data.blobs.remove(path)
            sweep_private(data, "purged", entry)
            data.log.reserve()
    return len(files), sum(size for _, size in files)
