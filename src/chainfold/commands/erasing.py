"""Erasing what is private: an event first, then the bytes go, at once and for all times."""

import contextlib
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from chainfold.artifact_ids import named
from chainfold.commands.plans import Plan, PlannedValue, Step, withheld
from chainfold.dataset import Dataset, in_chunks
from chainfold.errors import ChainfoldError, CorruptionError, NotFoundError, StorageError
from chainfold.events import Entry, ErasureReason, PrivateErased
from chainfold.params import from_wire
from chainfold.private import clear_new, discard, files_of, is_meant, is_path, paths_of, read
from chainfold.records import CUSTOM_NAME, PARAMS, ArtifactRecord

_PATHS_BYTES: Final = 48_000
"""Of paths in one event: well below the limit of an entry."""


@dataclass(frozen=True)
class Erasure:
    """Erase what registrations of an id withheld from the log, whatever has become of them.

    What a process that died has left of it goes too.

    Attributes:
        artifact_id: The id.
        names: Which fields; None for all that are private.
    """

    artifact_id: str
    names: tuple[str, ...] | None = None

    def plan(self, data: Dataset) -> Plan:
        """See `Request`.

        Raises:
            NotFoundError: If no registration of that id withheld such a field.
        """
        asked: dict[str, PlannedValue] = {}
        known: set[str] = set()
        withholds_any = False
        for row in data.projections.ids.rows(self.artifact_id):
            for field, path in paths_of(data.projections.source.decoded(row).record).items():
                withholds_any = True
                name = field.removeprefix(PARAMS)
                meant = None if self.names is None else _meant(data, field, path, self.names)
                known |= {name} if meant is None else meant
                if meant is None or meant:
                    size = data.private.size(path) or 0  # an event erases it where the file is gone, too
                    asked[path] = PlannedValue(self.artifact_id, name, path, size)
        if not data.projections.ids.rows(self.artifact_id):
            raise NotFoundError(
                f"no artifact has, or had, the id {self.artifact_id!r}: what the log has nothing of cannot "
                f"be erased. What a process that died before its entry left beside the log goes all the same"
            )
        unknown = sorted(set(self.names or ()) - known)
        if unknown or not withholds_any:
            what = f"no private field {named(unknown)}" if unknown else "no private fields"
            raise NotFoundError(
                f"artifact {self.artifact_id!r} has {what}: what was not marked private when it was "
                f"registered is in the log, and cannot be erased"
            )
        erased_at = data.projections.erasures.erased_at
        pending = tuple(value for path, value in asked.items() if erased_at(path) is None)
        return Plan(self, data.projections.size, values=pending)

    def carry_out(self, data: Dataset, plan: Plan, step: Step | None) -> None:
        """See `Request`.

        Raises:
            StorageError: If the system refuses; what an event has erased is not read again all the same.
        """
        if plan.values:
            _erase(data, [value.path for value in plan.values], "requested", step=step)
        else:
            data.secure_log()  # it may be gone by an entry that a power cut would undo
        _clear(data, files_of(data.private, self.artifact_id))


def _meant(data: Dataset, field: str, path: str, names: tuple[str, ...]) -> set[str]:
    """Those of the names that mean a private field, by its own name or by what is within its value."""
    if field == CUSTOM_NAME:
        return {CUSTOM_NAME} & set(names)
    try:
        text = read(data.private, path)
    except CorruptionError:
        text = None  # what it had within is not known any more
    value = None if text is None else from_wire({"value": text.value})["value"]
    return {name for name in names if is_meant(field.removeprefix(PARAMS), value, {name})}


def erase_private(data: Dataset, artifact_id: str, names: Sequence[str] | None) -> int:
    """As `Erasure`, at once.

    Returns:
        How many values were erased.
    """
    with data.writing():
        _clear(data, files_of(data.private, artifact_id))  # also where no registration came to be
        request = Erasure(artifact_id, None if names is None else tuple(names))
        plan = request.plan(data)
        request.carry_out(data, plan, None)
    return len(plan.values)


def forget(data: Dataset, rows: Iterable[int], reason: ErasureReason, cause: Entry | None) -> None:
    """Erase what registrations withheld whose files go, inside `writing`; as far as it is there."""
    erase_after(data, [value.path for value in withheld(data, rows)], reason, cause)


def sweep_private(data: Dataset, reason: ErasureReason, cause: Entry | None = None) -> None:
    """Erase what `unwanted_private` finds, and remove what was erased, inside `writing`."""
    unwanted, unknown = unwanted_private(data)
    erase_after(data, unwanted, reason, cause)
    clear_if_possible(data, unknown)


def unwanted_private(data: Dataset, *, purges: bool = False) -> tuple[list[str], list[str]]:
    """All that nothing live and no open run has withheld, and files that no entry names or that were erased.

    A damaged file, of which that is not known, stays, unless nothing is live.

    Args:
        data: The dataset.
        purges: Whether to find what is unwanted when all is purged.
    """
    unwanted: list[str] = []
    unknown: list[str] = []
    if not data.files.has_folder(data.private.folder):
        return unwanted, unknown
    own = {row for run in data.projections.runs.all_open() for row in run.own.values()}
    is_empty = purges or (not own and not data.projections.totals.at(data.projections.size).artifacts)
    for path, _ in sorted(data.private.scan()):
        if not is_path(path):
            continue
        rows = None if is_empty else _rows_of(data, path)
        if data.projections.erasures.erased_at(path) is not None or rows == []:
            unknown.append(path)
        elif is_empty or (
            rows is not None
            and not any(row in own or data.projections.visibility.is_live(row) for row in rows)
        ):
            unwanted.append(path)
    return unwanted, unknown


def take_back_private(data: Dataset, records: Sequence[ArtifactRecord]) -> None:
    """Remove the private files of registrations that did not come to be, unless they did all the same."""
    if not any(record.private for record in records):
        return
    try:
        with data.writing():
            for record in records:
                paths = paths_of(record).values()
                in_vain = [path for path in paths if not data.withholders(record.artifact_id, path)]
                discard(data.private, in_vain)
    except (OSError, ChainfoldError):
        return  # what refused the registrations refuses this too: the collector will find the files


def finish_if_possible(data: Dataset) -> None:
    """Remove the files of an erasure whose process died; where that is not possible it is left to others."""
    with contextlib.suppress(ChainfoldError):
        _finish(data)


def _finish(data: Dataset) -> None:
    left = _left(data)
    if left:
        with data.writing():
            _clear(data, left)


def _left(data: Dataset) -> list[str]:
    """What the last erasure has left: its process died, or the system refused."""
    last = data.projections.erasures.last
    if last is None:
        return []
    event = data.log.entry(last).event
    return [
        path for path in getattr(event, "paths", ()) if is_path(path) and data.private.size(path) is not None
    ]


def clear_if_possible(data: Dataset, paths: Sequence[str]) -> None:
    """Remove those files that were erased, or that no entry names; what is refused is left to others."""
    if data.files.has_folder(data.private.folder):
        with contextlib.suppress(StorageError):
            _clear(data, paths)


def erase_after(data: Dataset, paths: Sequence[str], reason: ErasureReason, cause: Entry | None) -> None:
    """Erase values because of what is durable, and stands: if the system refuses, it is only warned about."""
    try:
        _erase(data, paths, reason, None if cause is None else cause.position)
    except StorageError as error:
        warnings.warn(
            f"private values that nothing needs any more could not be erased: {error}. "
            f"delete_orphaned_artifacts(dry_run=False) does it",
            UserWarning,
            stacklevel=4,
        )


def _erase(
    data: Dataset,
    paths: Sequence[str],
    reason: ErasureReason,
    cause: int | None = None,
    step: Step | None = None,
) -> None:
    """Each erasure begins with what the one before has left: so only the last one's can be left at all."""
    if not paths:
        return
    left = _left(data)
    if left:
        with contextlib.suppress(StorageError):
            _remove(data, left)
    paths = [*paths, *(path for path in left if data.private.size(path) is not None)]
    for chunk in in_chunks(paths, _PATHS_BYTES, lambda path: len(path) + 3):
        data.append([PrivateErased(chunk, reason, cause)], sync=True)
        _remove(data, chunk)
        if step is not None:
            step(len(chunk))


def _remove(data: Dataset, paths: Sequence[str]) -> None:
    """Remove files of what is erased, or was never registered; durably: a power cut must not bring them back.

    Raises:
        StorageError: If the system refuses; the message says how things stand then.
    """
    try:
        gone = [path for path in paths if data.private.remove(path)]
        if gone:
            data.private.sync_names(gone)
    except StorageError as error:
        refusal = StorageError(
            f"what was private is logged as erased, or in no entry, and is not read any more, but its text "
            f"is still on the disk: {error}. When files in {data.private.folder} can be removed, call "
            f"erase_private again"
        )
        refusal.errno = error.errno
        raise refusal from error


def _clear(data: Dataset, paths: Sequence[str]) -> None:
    """Remove those files that were erased, or that no entry names, and what never got a name."""
    clear_new(data.private)
    _remove(data, [path for path in paths if _is_unwanted(data, path)])


def _is_unwanted(data: Dataset, path: str) -> bool:
    return data.projections.erasures.erased_at(path) is not None or _rows_of(data, path) == []


def _rows_of(data: Dataset, path: str) -> list[int] | None:
    """The registrations that withheld what a file has; None if it cannot be read."""
    try:
        text = read(data.private, path)
    except CorruptionError:
        return None
    if text is None:
        return []
    return data.withholders(text.artifact_id, path)
