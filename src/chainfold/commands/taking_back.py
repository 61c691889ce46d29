"""Taking back registrations, by events of their own: nothing is erased."""

import warnings
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from chainfold.artifact_ids import named
from chainfold.commands.collecting import DependentsPolicy, deletions, dependents_of
from chainfold.commands.erasing import erase_after, forget
from chainfold.commands.plans import (
    Plan,
    Step,
    aliases_of,
    planned_artifacts,
    planned_files,
    withheld,
)
from chainfold.commands.registering import open_run, refuse_lost, repetition
from chainfold.commands.running import carry_out_rollback, plan_rollback
from chainfold.dataset import Dataset
from chainfold.errors import ConflictError, DependentsError, NotFoundError
from chainfold.events import AnyEvent, ArtifactRegistered, Entry
from chainfold.projections import NEVER, RunState, Sight

_NAMED: Final = 3
"""Of several that cannot be live again, those that a warning names."""


@dataclass(frozen=True)
class Rollback:
    """Take back what a run registered: an open run is rolled back, a committed one by events of its own.

    What a committed run superseded is registered again; what it deleted stays so, and so do its aliases.

    Attributes:
        run_id: The run.
        force: Whether an open run of a living process is rolled back, too.
        dependents: When live artifacts outside the run were made from what goes: `warn` lets them be,
            `refuse` refuses.
    """

    run_id: str
    force: bool = False
    dependents: DependentsPolicy = "refuse"

    def plan(self, data: Dataset) -> Plan:
        """See `Request`. Of a run that was rolled back there is nothing to do.

        Raises:
            NotFoundError: If there was no such run.
            DependentsError: With the policy `refuse`, if there are dependents.
        """
        run = data.projections.runs.get(self.run_id)
        if run is None:
            raise NotFoundError(
                f"the log of {data.name!r} has no run {self.run_id!r}; see runs(), or `chainfold runs`"
            )
        if run.status == "open":
            return msgspec.structs.replace(plan_rollback(data, run, self), runs=(run.run_id,))
        if run.status != "committed":
            return Plan(self, data.projections.size)
        plan = _plan_back(data, _rows_of(data, run), self)
        if plan.dependents and self.dependents == "refuse":
            raise DependentsError(
                f"run {self.run_id} was not rolled back: live artifacts outside it depend on what it "
                f"registered: {named(plan.dependents)}. Delete those first, or use dependents='warn'"
            )
        return plan

    def carry_out(self, data: Dataset, plan: Plan, step: Step | None) -> None:
        """See `Request`.

        Raises:
            ConflictError: If the run is open, unless forced.
        """
        if not plan.runs:
            _carry_out_back(data, plan, step)
            return
        if not self.force:
            run = open_run(data, self.run_id)
            raise ConflictError(
                f"run {self.run_id} was not rolled back: its process is alive ({run.owner}). Wait until it "
                f"ends, or use force=True"
            )
        carry_out_rollback(data, self.run_id, plan, "request", step=step)


def _rows_of(data: Dataset, run: RunState) -> list[int]:
    """What a run that has ended registered."""
    positions, stop = data.projections.visibility.positions, run.closed or 0
    entries = map(data.log.entry, range(run.started + 1, stop))
    return [
        bisect_left(positions, entry.position)
        for entry in entries
        if entry.run == run.run_id and isinstance(entry.event, ArtifactRegistered)
    ]


def take_back(data: Dataset, rows: Sequence[int]) -> int:
    """Delete what stood alone and is still live, and register again what it had superseded, all at once.

    Files go that these registrations brought and nothing else needs.

    Returns:
        How many artifacts were taken back.
    """
    if not rows:
        return 0
    with data.writing():
        plan = _plan_back(data, rows, None)
        _carry_out_back(data, plan, None)
    return len(plan.artifacts)


def _plan_back(data: Dataset, rows: Sequence[int], request: Rollback | None) -> Plan:
    """What goes, and what is live again, when committed registrations are taken back."""
    projections, mine = data.projections, set(rows)
    live = [row for row in rows if projections.visibility.is_live(row)]
    back, lost = list[int](), dict[str, NotFoundError]()
    for row in live:
        back += _restorable(data, _replaced(data, row, mine), lost)
    _warn_of(lost)
    restored = planned_artifacts(data, back)
    artifacts = planned_artifacts(data, live)
    named_again = {each.artifact_id for each in restored}
    paths, taken = projections.paths, Counter(map(projections.paths.file, live))
    needed = set(map(paths.file, back))
    brought = (
        paths.path_of(row)
        for row in sorted(mine)
        if paths.bringer_of(row) in mine
        and paths.file(row) not in needed
        and not paths.is_needed_beside(row, live=taken[paths.file(row)])
    )
    gone = [row for row, each in zip(live, artifacts, strict=True) if each.artifact_id not in named_again]
    others = [row for row in dependents_of(data, Sight(projections), gone, follow=False) if row not in mine]
    return Plan(
        request,
        projections.size,
        artifacts=artifacts,
        files=planned_files(data, brought),
        values=withheld(data, sorted(mine)),
        restored=restored,
        dependents=tuple(map(projections.artifact_id, others)),
        aliases=aliases_of(data, map(projections.artifact_id, gone)),
    )


def _carry_out_back(data: Dataset, plan: Plan, step: Step | None) -> None:
    cause: Entry | None = None
    if plan.artifacts:
        ids = [each.artifact_id for each in plan.artifacts]
        positions = data.projections.visibility.positions
        restored = [repetition(data, bisect_left(positions, each.position)) for each in plan.restored]
        data.secure(each.record.path for each in restored)
        cause = data.append_run([*deletions(ids, delete_files=True), *restored])[-1]
    files = [file.path for file in plan.files]
    if cause is not None:
        data.sweep_after(cause, files, "rolled-back", step)
    else:  # all of it was superseded or deleted before: only files are left to take back
        data.sweep(files, "rolled-back", step=step)
    erase_after(data, [value.path for value in plan.values], "rolled-back", cause)
    if cause is None:
        data.secure_log()  # they may be gone by an entry that a power cut would undo


def _restorable(data: Dataset, row: int | None, lost: dict[str, NotFoundError]) -> list[int]:
    """The registration, if its file is still there; else it is noted why not."""
    if row is None:
        return []
    try:
        refuse_lost(data, data.record(row))
    except NotFoundError as error:
        lost[data.projections.artifact_id(row)] = error
        return []
    return [row]


def _warn_of(lost: dict[str, NotFoundError]) -> None:
    """One warning of all that cannot be live again, by id."""
    if not lost:
        return
    why = next(iter(lost.values()))
    text = f"what was superseded is not back: {why}"
    if len(lost) > 1:
        ids = list(lost)
        more = f" and {len(ids) - _NAMED:,} more" if len(ids) > _NAMED else ""
        text = (
            f"what was superseded is not back, of {len(ids):,} artifacts: {', '.join(ids[:_NAMED])}{more}. "
            f"Of the first: {why}"
        )
    warnings.warn(text, UserWarning, stacklevel=4)


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
        lost = dict[str, NotFoundError]()
        own = [row for row in rows if run.own.get(data.projections.artifact_id(row)) == row]
        for row in own:
            hidden = data.projections.live_row(data.projections.artifact_id(row))
            if hidden in run.doomed:
                hidden = None
            restored = _first_restored(data, [_replaced(data, row, mine), hidden], lost)
            again += restored
            if not restored:
                ids.append(data.projections.artifact_id(row))
        _warn_of(lost)
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
        shown = visibility.visible_from[earlier]
        earlier = ended.get(visibility.positions[earlier] + 1 if shown == NEVER else shown)
    return earlier


def _first_restored(
    data: Dataset, rows: Sequence[int | None], lost: dict[str, NotFoundError]
) -> list[ArtifactRegistered]:
    """The event that repeats the first of the registrations whose file is still there; see `_restorable`."""
    for row in rows:
        if row is not None:
            try:
                return [repetition(data, row)]
            except NotFoundError as error:
                lost[data.projections.artifact_id(row)] = error
    return []


def _sweep_brought(data: Dataset, mine: set[int], cause: Entry | None) -> None:
    """Remove the files that these registrations brought and nothing needs."""
    paths = data.projections.paths
    brought = (paths.path_of(row) for row in sorted(mine) if paths.bringer_of(row) in mine)
    if cause is not None:
        data.sweep_after(cause, brought, "rolled-back")
    else:
        data.sweep(brought, "rolled-back")
    forget(data, sorted(mine), "rolled-back", cause)
