"""What became of a registration, and which event took a file: read from the log itself."""

from typing import Final, Literal

import msgspec

from chainfold.dataset import Dataset
from chainfold.events import AnyEvent, ArtifactRegistered, ArtifactsDeleted, DatasetPurged, Entry
from chainfold.projections import NEVER
from chainfold.records import ArtifactRecord

Standing = Literal["live", "superseded", "deleted", "purged", "in open run", "rolled back", "withdrawn"]
_KEPT: Final = 16
_STANDINGS: Final[dict[str, Standing]] = {"artifacts-deleted": "deleted", "dataset-purged": "purged"}


class HistoryItem(msgspec.Struct, frozen=True):
    """One registration in the life of an id.

    Attributes:
        record: What was registered.
        position: Position of the registration in the log.
        standing: What has become of it; `withdrawn`: its own run took it back before it committed.
        run: The run it belongs to.
        visible_from: Size of the log from which on others saw it; None if they never did.
        removed_at: Size of the log from which on it was no longer live; None while it is.
        removed_by: Kind of the event that ended it.
    """

    record: ArtifactRecord
    position: int
    standing: Standing
    run: str | None
    visible_from: int | None
    removed_at: int | None
    removed_by: str | None


class Deletions:
    """The deletions of runs, for who asks after many registrations: a run is read but once, not for each.

    So are the versions of an id.
    """

    def __init__(self, data: Dataset) -> None:
        self._data = data
        self._lately: dict[int, list[Entry]] = {}
        self._shown: dict[str, frozenset[int]] = {}

    def shown_at(self, artifact_id: str) -> frozenset[int]:
        """The sizes of the log at which registrations of an id were shown."""
        known = self._shown.get(artifact_id)
        if known is None:
            if len(self._shown) >= _KEPT:
                self._shown.clear()
            projections = self._data.projections
            rows = projections.ids.rows(artifact_id)
            known = self._shown[artifact_id] = frozenset(
                map(projections.visibility.visible_from.__getitem__, rows)
            )
        return known

    def before(self, commit: int) -> list[Entry]:
        """Of the run that an entry commits, last to first."""
        known = self._lately.get(commit)
        if known is None:
            if len(self._lately) >= _KEPT:
                self._lately.clear()
            known = self._lately[commit] = self._read(commit)
        return known

    def _read(self, commit: int) -> list[Entry]:
        log = self._data.log
        run_id = log.entry(commit).run
        run = self._data.projections.runs.get(run_id)
        entries = map(log.entry, range(commit - 1, run.started if run is not None else 0, -1))
        deletes = ArtifactsDeleted | DatasetPurged
        return [each for each in entries if each.run == run_id and isinstance(each.event, deletes)]


def history(data: Dataset, artifact_id: str, size: int) -> list[HistoryItem]:
    """Every registration of an id among the first `size` entries, first to last."""
    rows = data.projections.ids.rows(artifact_id)
    positions, deletions = data.projections.visibility.positions, Deletions(data)
    return [item(data, row, size, deletions) for row in rows if positions[row] < size]


def who_took(data: Dataset, record: ArtifactRecord) -> str:
    """Which event took a record's file, in words."""
    swept = data.projections.paths.swept_at(record.path)
    if swept is None or _came_back(data, record, swept):
        return "no event took it, so it was removed by hand, or never there; restore it from a copy"
    entry = data.log.entry(swept)
    cause = getattr(entry.event, "cause", None)
    if cause is not None and 0 <= cause < swept:
        entry = data.log.entry(cause)
    reason = getattr(entry.event, "reason", "")
    return (
        f"it was taken by the event {entry.event.kind!r}{f' ({reason})' if reason else ''} at position "
        f"{entry.position}, {entry.at}, by {entry.actor}"
    )


def _came_back(data: Dataset, record: ArtifactRecord, swept: int) -> bool:
    """Whether the same bytes were registered, and their file written, after an event took it."""
    positions = data.projections.visibility.positions
    for row in reversed(data.projections.digests.rows(record.content_hash)):
        if positions[row] < swept:
            return False
        event = data.log.entry(positions[row]).event
        if isinstance(event, ArtifactRegistered) and not event.imported and event.record.path == record.path:
            return True
    return False


def cause_of_end(data: Dataset, row: int, size: int, deletions: Deletions | None = None) -> Entry | None:
    """The event, of the first `size` entries, because of which a registration that was seen is not live.

    Who asks for many rows gives the same `deletions` each time.
    """
    visibility = data.projections.visibility
    removed = visibility.removed_at[row]
    if visibility.visible_from[row] > size or removed > size:
        return None
    return _cause_of_removal(data, row, removed, deletions or Deletions(data))


def item(data: Dataset, row: int, size: int, deletions: Deletions) -> HistoryItem:
    """One registration, and what had become of it after `size` entries."""
    visibility = data.projections.visibility
    position = visibility.positions[row]
    run_id = data.log.entry(position).run
    visible: int | None = visibility.visible_from[row]
    removed: int | None = visibility.removed_at[row]
    if visible is None or visible > size:
        visible = None
        standing, removed, removed_by = _unseen(data, run_id, removed, size)
    elif removed is None or removed > size:
        standing, removed, removed_by = "live", None, None
    else:
        removed_by = _cause_of_removal(data, row, removed, deletions).event.kind
        standing = _STANDINGS.get(removed_by, "superseded")
    return HistoryItem(data.record(row), position, standing, run_id, visible, removed, removed_by)


def _unseen(
    data: Dataset, run_id: str | None, removed: int | None, size: int
) -> tuple[Standing, int | None, str | None]:
    """What became of a registration that nobody but its run saw."""
    if removed is not None and removed != NEVER and removed <= size:
        return "withdrawn", removed, data.log.entry(removed - 1).event.kind
    run = data.projections.runs.get(run_id)
    if run is not None and run.status == "rolled-back" and run.closed is not None and run.closed < size:
        return "rolled back", run.closed + 1, "run-rolled-back"
    return "in open run", None, None


def _cause_of_removal(data: Dataset, row: int, removed: int, deletions: Deletions) -> Entry:
    """The event because of which a registration that was visible no longer is."""
    entry = data.log.entry(removed - 1)
    if entry.event.kind != "run-committed":
        return entry
    visible_from = data.projections.visibility.visible_from
    if removed in deletions.shown_at(data.projections.artifact_id(row)):
        return entry  # superseded by what the run registered
    for earlier in deletions.before(entry.position):
        if visible_from[row] <= earlier.position and _meant(data, row, earlier.event):
            return earlier
    return entry


def _meant(data: Dataset, row: int, event: AnyEvent) -> bool:
    """Whether a deletion or purge is of a registration: one run may do several, of different artifacts."""
    if isinstance(event, ArtifactsDeleted) and event.pipeline_id is not None:
        return data.record(row).pipeline_id == event.pipeline_id
    if isinstance(event, ArtifactsDeleted):
        return data.projections.artifact_id(row) in event.artifact_ids
    return isinstance(event, DatasetPurged)
