"""Deleting and collecting: each is an event first, then files go, at once."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from chainfold.artifact_ids import named
from chainfold.commands.erasing import (
    clear_if_possible,
    erase_after,
    forget,
    sweep_private,
    unwanted_private,
)
from chainfold.commands.plans import (
    Plan,
    PlannedFile,
    Step,
    aliases_of,
    planned_artifacts,
    planned_files,
    planned_values,
    withheld,
)
from chainfold.commands.registering import check_open
from chainfold.commands.running import clear_locks, living, roll_back
from chainfold.dataset import Dataset, in_chunks
from chainfold.errors import ConflictError, DependentsError, InvalidInputError, NotFoundError
from chainfold.events import ArtifactsDeleted, DatasetPurged
from chainfold.places import encodable
from chainfold.projections import Sight
from chainfold.references import ManifestReferences, orphaned_files

DependentsPolicy = Literal["warn", "refuse", "cascade"]
_ABANDONED_SECONDS: Final = 3_600
"""Age from which a file that never got its name is taken to be left by a process that died."""
_REMOVED_AT_ONCE: Final = 500
"""Files of a purge, of which one event tells: as many as go before Ctrl-C takes effect."""
_IDS_BYTES: Final = 40_000
"""Of artifact ids in one event: well below the limit of an entry."""


@dataclass(frozen=True)
class Deletion:
    """Delete live artifacts: those of a pipeline, or some by their ids.

    Attributes:
        pipeline_id: The pipeline; None if ids are given.
        artifact_ids: The ids.
        delete_files: Whether files that nothing else needs go too.
        dependents: When live artifacts that are not among them were made from them: `warn` lets them be,
            `refuse` refuses, `cascade` deletes them too, and what was made from those.
    """

    pipeline_id: str | None
    artifact_ids: tuple[str, ...] = ()
    delete_files: bool = True
    dependents: DependentsPolicy = "refuse"

    def __post_init__(self) -> None:
        if self.dependents not in ("warn", "refuse", "cascade"):
            raise InvalidInputError(f"dependents is 'warn', 'refuse' or 'cascade', not {self.dependents!r}")

    def plan(self, data: Dataset) -> Plan:
        """See `Request`.

        Raises:
            NotFoundError: If an id is not live.
            DependentsError: With the policy `refuse`, if there are dependents.
        """
        rows, others = self.chosen(data, Sight(data.projections))
        artifacts = planned_artifacts(data, rows)
        return Plan(
            self,
            data.projections.size,
            artifacts=artifacts,
            files=_freed(data, rows) if self.delete_files else (),
            values=withheld(data, rows) if self.delete_files else (),
            dependents=tuple(map(data.projections.artifact_id, others)),
            aliases=aliases_of(data, (each.artifact_id for each in artifacts)),
        )

    def chosen(self, data: Dataset, sight: Sight) -> tuple[list[int], list[int]]:
        """The rows that go, and those of dependents that stay; it raises as `plan`."""
        targets = list(dict.fromkeys(self._targets(data, sight)))
        others = dependents_of(data, sight, targets, follow=self.dependents == "cascade")
        if not others or self.dependents == "warn":
            return targets, others
        if self.dependents == "cascade":
            return [*targets, *others], []
        names = named(list(map(data.projections.artifact_id, others)))
        if self.pipeline_id is not None:
            what = f"pipeline {self.pipeline_id!r} was not deleted: live artifacts of other pipelines depend"
        else:
            what = f"{named(self.artifact_ids)} not deleted: other live artifacts depend"
        raise DependentsError(f"{what} on it: {names}. Delete those first, or use dependents='cascade'")

    def _targets(self, data: Dataset, sight: Sight) -> Sequence[int]:
        if self.pipeline_id is not None:
            return list(sight.rows(data.projections.steps.rows_of_pipeline(self.pipeline_id)))
        found = []
        for artifact_id in self.artifact_ids:
            row = sight.row(artifact_id)
            if row is None:
                raise NotFoundError(
                    f"no artifact {artifact_id!r} is live; history(id) shows what became of it"
                )
            found.append(row)
        return found

    def events(self, data: Dataset, sight: Sight, ids: Sequence[str]) -> list[ArtifactsDeleted]:
        """The events that delete what was chosen: what was asked for, and what that took along."""
        if self.pipeline_id is not None and len(ids) == len(self._targets(data, sight)):
            return [ArtifactsDeleted(pipeline_id=self.pipeline_id, delete_files=self.delete_files)]
        return deletions(ids, delete_files=self.delete_files)

    def carry_out(self, data: Dataset, plan: Plan, step: Step | None) -> None:
        """See `Request`."""
        if not plan.artifacts:
            data.secure_log()  # they may be gone by a deletion that a power cut would undo
            return
        ids = [each.artifact_id for each in plan.artifacts]
        events = self.events(data, Sight(data.projections), ids)
        entries = data.append(events, sync=True) if len(events) == 1 else data.append_run(events)
        if self.delete_files:
            data.sweep_after(entries[-1], [file.path for file in plan.files], "deleted", step)
            erase_after(data, [value.path for value in plan.values], "deleted", entries[-1])


def delete_pipeline(
    data: Dataset, pipeline_id: str, run_id: str | None, *, delete_files: bool, dependents: DependentsPolicy
) -> tuple[int, list[str]]:
    """Delete the live artifacts of a pipeline.

    Returns:
        How many artifacts were deleted, and the ids of dependents in other pipelines that stay.

    Raises:
        DependentsError: With the policy `refuse`, if there are any.
    """
    request = Deletion(pipeline_id, (), delete_files, dependents)
    with data.writing():
        check_open(data, run_id)
        if run_id is not None:
            return _delete_in_run(data, request, run_id)
        plan = request.plan(data)
        request.carry_out(data, plan, None)
    return len(plan.artifacts), list(plan.dependents)


def _delete_in_run(data: Dataset, request: Deletion, run_id: str) -> tuple[int, list[str]]:
    """What the run registered itself goes now; what was committed before loses its files at the commit."""
    sight = Sight(data.projections, run_id=run_id)
    rows, others = request.chosen(data, sight)
    if not rows:
        return 0, []
    events = request.events(data, sight, list(map(data.projections.artifact_id, rows)))
    mine = [row for event in events for row in data.projections.targets(event, run_id)[1]]
    entries = data.append(events, run=run_id, sync=False)
    if request.delete_files:
        data.sweep_after(entries[-1], map(data.projections.paths.path_of, mine), "deleted")
        forget(data, mine, "deleted", entries[-1])
    return len(rows), list(map(data.projections.artifact_id, others))


def deletions(ids: Sequence[str], *, delete_files: bool) -> list[ArtifactsDeleted]:
    """Events that together delete the ids, each small enough for an entry."""
    chunks = in_chunks(ids, _IDS_BYTES, lambda artifact_id: len(msgspec.json.encode(artifact_id)) + 1)
    return [ArtifactsDeleted(artifact_ids=chunk, delete_files=delete_files) for chunk in chunks]


def _freed(data: Dataset, rows: Sequence[int]) -> tuple[PlannedFile, ...]:
    """The files that nothing needs once these live rows are not live."""
    paths = data.projections.paths
    taken = Counter(map(paths.file, rows))
    first = {paths.file(row): row for row in rows}
    return planned_files(
        data,
        (
            paths.path_of(row)
            for file, row in first.items()
            if not paths.is_needed_beside(row, live=taken[file])
        ),
    )


def dependents_of(data: Dataset, sight: Sight, rows: Sequence[int], *, follow: bool) -> list[int]:
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


@dataclass(frozen=True)
class Collection:
    """Remove the files that nothing refers to, and what was withheld by registrations that nothing needs.

    What processes left that died (lock files, files that never got their name) goes too.

    Attributes:
        references: The manifests that may refer to files, too; None leaves them out.
        older_than: Only what has lain unchanged for so many seconds; None for all.
    """

    references: ManifestReferences | None
    older_than: float | None = None

    def plan(self, data: Dataset) -> Plan:
        """See `Request`.

        Raises:
            ManifestError: If a manifest cannot be read.
        """
        files = tuple(
            PlannedFile(path, size)
            for path, size in orphaned_files(data, self.references)
            if encodable(path)  # an event can name no other
            and (self.older_than is None or self._is_old(data.files.age(data.blobs.folder / path)))
        )
        values = unwanted_private(data)[0]
        if self.older_than is not None:
            values = [path for path in values if self._is_old(data.files.age(data.private.folder / path))]
        return Plan(self, data.projections.size, files=files, values=planned_values(data, values))

    def _is_old(self, age: float | None) -> bool:
        return age is not None and age >= (self.older_than or 0)

    def carry_out(self, data: Dataset, plan: Plan, step: Step | None) -> None:
        """See `Request`."""
        clear_locks(data)
        data.blobs.clear_aside(_ABANDONED_SECONDS)
        if plan.files:
            data.sweep([file.path for file in plan.files], "orphaned", step=step)
        erase_after(data, [value.path for value in plan.values], "orphaned", None)
        clear_if_possible(data, unwanted_private(data)[1])
        data.secure_log()  # also where nothing was to be swept: whoever is told so may rely on what is there


def delete_orphans(
    data: Dataset, references: ManifestReferences | None, *, dry_run: bool
) -> tuple[list[str], int]:
    """As `Collection`, at once; with `dry_run` only say which.

    Returns:
        Their paths, sorted, and their bytes.

    Raises:
        ManifestError: If a manifest cannot be read: nothing is deleted then.
    """
    if dry_run:
        with data.mutex:
            data.refresh()
            files = list(orphaned_files(data, references))
    else:
        living(data)
        request = Collection(references)
        with data.writing():
            plan = request.plan(data)
            request.carry_out(data, plan, None)
            files = [(file.path, file.size_bytes) for file in plan.files]
    return [path for path, _ in files], sum(size for _, size in files)


@dataclass(frozen=True)
class Purge:
    """Delete every artifact of a dataset, and every file in its folder, whoever refers to it.

    Attributes:
        force: Whether the open runs of others are rolled back, instead of standing in the way.
    """

    force: bool = False

    def plan(self, data: Dataset) -> Plan:
        """See `Request`."""
        artifacts = planned_artifacts(data, Sight(data.projections).all())
        return Plan(
            self,
            data.projections.size,
            artifacts=artifacts,
            files=tuple(PlannedFile(path, size) for path, size in sorted(data.blobs.scan())),
            values=planned_values(data, unwanted_private(data, purges=True)[0]),
            aliases=aliases_of(data, (each.artifact_id for each in artifacts)),
            runs=tuple(run.run_id for run in data.projections.runs.all_open()),
        )

    def carry_out(self, data: Dataset, plan: Plan, step: Step | None) -> None:
        """See `Request`.

        Raises:
            ConflictError: If a run is open, unless forced.
        """
        if plan.runs and not self.force:
            raise _in_the_way(data, plan.runs)
        if plan.is_empty:
            sweep_private(data, "purged")
            data.secure_log()  # what was there may be gone by an entry that a power cut would undo
        else:
            _purge(data, plan.files, step)


def purge(data: Dataset, run_id: str | None, *, force: bool) -> tuple[int, int]:
    """As `Purge`, at once. Inside a run it takes effect when the run commits.

    Returns:
        How many files went, or will go, and their bytes.

    Raises:
        ConflictError: If a run of a living process is open, unless forced: that run is then rolled back.
    """
    others = living(data, but=run_id)
    if others and not force:
        raise _in_the_way(data, [f"{run.run_id} ({run.owner})" for run in others])
    with data.writing():
        check_open(data, run_id)
        files = [PlannedFile(path, size) for path, size in sorted(data.blobs.scan())]
        if run_id is None:
            _purge(data, files, None)
        else:
            _roll_back_others(data, run_id)
            data.append([DatasetPurged()], run=run_id, sync=False)
    return len(files), sum(file.size_bytes for file in files)


def _in_the_way(data: Dataset, names: Sequence[str]) -> ConflictError:
    return ConflictError(
        f"dataset {data.name!r} was not purged: runs of living processes are open: {', '.join(names)}. Wait "
        f"until they end, or use force=True to roll them back"
    )


def _roll_back_others(data: Dataset, run_id: str | None) -> None:
    for run in data.projections.runs.all_open():
        if run.run_id != run_id:
            roll_back(data, run.run_id, "request", "purged with force")


def _purge(data: Dataset, files: Sequence[PlannedFile], step: Step | None) -> None:
    """One event, then all files go; what is left where that ends early are orphans."""
    _roll_back_others(data, None)
    (entry,) = data.append([DatasetPurged()], sync=True)
    for chunk in in_chunks(files, _REMOVED_AT_ONCE, lambda _: 1):
        data.blobs.remove_all(file.path for file in chunk)
        if step is not None:
            step(len(chunk))
    sweep_private(data, "purged", entry)
    data.log.reserve()
