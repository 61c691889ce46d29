"""Runs: the unit of visibility. Started, then committed or rolled back."""

import logging
import re
from collections import Counter
from collections.abc import Iterator
from typing import Final

from chainfold.commands.erasing import erase_after, forget, sweep_private
from chainfold.commands.plans import Plan, Request, Step, planned_artifacts, planned_files, withheld
from chainfold.commands.registering import open_run
from chainfold.dataset import Dataset, new_run_id
from chainfold.errors import BlobNotFoundError, CorruptionError, InvalidInputError, StorageError
from chainfold.events import RollbackReason, RunCommitted, RunRolledBack, RunStarted, SweepReason
from chainfold.projections import NEVER, RunState
from chainfold.storage import HeldLock, owner_name

_SAFE_ID: Final = re.compile(r"[0-9A-Za-z_-]{1,80}\Z")

logger = logging.getLogger(__name__)


class Run:
    """A run that this process started, or joined.

    Its lock is held until it ends; a process that dies lets go of it, and whoever sees that rolls the run
    back.

    Attributes:
        run_id: Its id.
        owned: Whether it was started here: only then does ending it here end it for all.
    """

    def __init__(self, run_id: str, lock: HeldLock | None = None) -> None:
        self.run_id = run_id
        self._lock = lock

    def __repr__(self) -> str:
        return f"Run({self.run_id!r}, {'owned' if self.owned else 'joined'})"

    @property
    def owned(self) -> bool:
        """Whether it was started here."""
        return self._lock is not None and self._lock.is_held

    def release(self) -> None:
        """Let go of its lock: it has ended."""
        if self._lock is not None:
            self._lock.release()


def start(data: Dataset) -> Run:
    """Begin a run; runs whose owners died are rolled back first."""
    reap(data)
    run_id = new_run_id()
    data.files.make_folder(data.folder / "runs")
    # Lock and event in one go: `clear_locks` takes a lock without a run for a dead one's.
    with data.writing():
        run = Run(run_id, data.files.try_lock(data.folder / "runs" / f"{run_id}.lock"))
        try:
            data.append([RunStarted(owner=owner_name())], run=run_id, sync=False)
        except BaseException:
            run.release()
            raise
    return run


def commit(data: Dataset, run_id: str) -> list[int]:
    """Make all that a run did visible and durable, at once; then files go that it deleted.

    Returns:
        The rows that became live, in order of registration.

    Raises:
        RunClosedError: If it is no longer open.
        BlobNotFoundError: If a file that it brought is gone: the run stays open, to be rolled back.
        StorageError: If the system refuses.
    """
    with data.mutex:
        data.refresh()
        first, _ = _loose_files(data, open_run(data, run_id))
    data.sync_blobs(first)  # without the lock: others go on meanwhile
    with data.writing():
        run = open_run(data, run_id)
        ours, others = _loose_files(data, run)  # with what joined processes have registered since
        data.sync_blobs(ours - first)
        data.secure(others)
        rows = sorted(run.own.values())
        doomed = [row for row, with_files in run.doomed.items() if with_files]
        purges = run.purges
        (entry,) = data.append([RunCommitted()], run=run_id, sync=True)
        paths = list(map(data.projections.paths.path_of, doomed))
        if purges:
            paths += [path for path, _ in data.blobs.scan()]
        reason: SweepReason = "purged" if purges else "deleted"
        data.sweep_after(entry, paths, reason)
        if purges:
            sweep_private(data, "purged", entry)
        elif doomed:
            forget(data, doomed, "deleted", entry)
    return rows


def roll_back(data: Dataset, run_id: str, reason: RollbackReason, detail: str = "") -> int:
    """End a run without a trace but the record of it; files that only it brought go.

    Returns:
        How many artifacts it had registered and kept.

    Raises:
        RunClosedError: If it is no longer open.
        StorageError: If the system refuses.
    """
    with data.writing():
        plan = plan_rollback(data, open_run(data, run_id), None)
        carry_out_rollback(data, run_id, plan, reason, detail)
    return len(plan.artifacts)


def plan_rollback(data: Dataset, run: RunState, request: Request | None) -> Plan:
    """What goes when an open run is rolled back."""
    return Plan(
        request,
        data.projections.size,
        artifacts=planned_artifacts(data, sorted(run.own.values())),
        files=planned_files(data, _brought_in_vain(data, run)),
        values=withheld(data, run.rows),
    )


def carry_out_rollback(
    data: Dataset,
    run_id: str,
    plan: Plan,
    reason: RollbackReason,
    detail: str = "",
    step: Step | None = None,
) -> None:
    """Do what `plan_rollback` has planned, inside `writing`."""
    (entry,) = data.append([RunRolledBack(reason, detail)], run=run_id, sync=True)
    data.sweep_after(entry, [file.path for file in plan.files], "rolled-back", step)
    erase_after(data, [value.path for value in plan.values], "rolled-back", entry)


def _brought_in_vain(data: Dataset, run: RunState) -> Iterator[str]:
    """Files of an open run that nobody else ever saw, where no one else brought or holds them either."""
    paths, visible_from = data.projections.paths, data.projections.visibility.visible_from
    held = Counter(map(paths.file, run.own.values()))
    for file, row in {paths.file(row): row for row in run.rows}.items():
        bringer = paths.bringer_of(row)
        if (
            bringer is not None
            and visible_from[bringer] == NEVER
            and not paths.is_needed_beside(row, held=held[file])
        ):
            yield paths.path_of(row)


def reap(data: Dataset, *, keep: str | None = None) -> list[str]:
    """Roll back the open runs whose owners died; their ids."""
    with data.mutex:
        data.refresh()
        candidates = [run.run_id for run in data.projections.runs.all_open() if run.run_id != keep]
    return [run_id for run_id in candidates if _reap_one(data, run_id)]


def living(data: Dataset, *, but: str | None = None) -> list[RunState]:
    """The open runs of processes that are alive, after rolling back the others."""
    reap(data, keep=but)
    with data.mutex:
        return [run for run in data.projections.runs.all_open() if run.run_id != but]


def _reap_one(data: Dataset, run_id: str) -> bool:
    lock, path = None, data.folder / "runs" / f"{run_id}.lock"
    # The id came from the log, and names a file here. Without one there is no owner, and none is made: that
    # would need an inode, of which there may be none left.
    if _SAFE_ID.match(run_id) and data.files.size(path) is not None:
        lock = data.files.try_lock(path)
        if lock is None:
            return False
    try:
        with data.writing():
            run = data.projections.runs.open(run_id)
            if run is None:
                return False  # it ended in the ordinary way while we looked
            roll_back(data, run_id, "crash", f"its owner {run.owner:.200} is gone")
    except InvalidInputError:  # an id that fits one entry and not the next: no writer of ours made it
        logger.warning("run %.200r of %s stays open", run_id, data.name, exc_info=True)
        return False
    finally:
        if lock is not None:
            lock.release()
    logger.warning("run %s of %s was rolled back: its owner is gone", run_id, data.name)
    return True


def clear_locks(data: Dataset) -> None:
    """Remove the lock files that processes left which died beside an open run, inside `writing`."""
    folder = data.folder / "runs"
    for name, _ in data.files.scan(folder):
        if data.projections.runs.open(name.removesuffix(".lock")) is None:
            lock = data.files.try_lock(folder / name)
            if lock is not None:
                lock.release()


def reap_if_possible(data: Dataset) -> None:
    """As `reap`; where the log cannot be written, or is damaged, it is left to others."""
    try:
        reap(data)
    except (StorageError, CorruptionError):
        logger.debug("open runs of %s were not looked after", data.name, exc_info=True)


def _loose_files(data: Dataset, run: RunState) -> tuple[set[str], set[str]]:
    """The files of a run's artifacts that may not be durable: those that it brought, and those it found.

    Raises:
        BlobNotFoundError: If a file that it brought is gone.
    """
    paths, rows = data.projections.paths, set(run.rows)
    visible_from = data.projections.visibility.visible_from
    ours: set[str] = set()
    others: set[str] = set()
    for row in run.own.values():
        bringer = paths.bringer_of(row)
        if paths.is_live_of(row) or (bringer is not None and visible_from[bringer] != NEVER):
            continue  # it is known to be durable, as in `Dataset.is_durable`
        path = paths.path_of(row)
        if data.blobs.size(path) is None:
            if bringer is None:
                continue  # an imported record may lack its file, ours may not
            raise BlobNotFoundError(
                f"run {run.run_id} cannot commit: the file {path!r} of "
                f"{data.projections.artifact_id(row)!r} is gone; roll the run back and register again"
            )
        (ours if bringer in rows else others).add(path)
    return ours, others
