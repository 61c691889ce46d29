"""All projections of one log, folded together.

A fold reads no clock, no file and no environment, and does not raise on a valid log: validation comes before
the append. Rows number the registrations, 0-based, in order of position; the indexes only ever add rows, and
what is live is told by `Visibility` alone.
"""

from collections.abc import Callable, Iterable
from typing import Any, assert_never

import msgspec

from chainfold.events import (
    AliasSet,
    ArtifactRegistered,
    ArtifactsDeleted,
    BlobsSwept,
    DatasetPurged,
    Entry,
    PrivateErased,
    RunCommitted,
    RunRolledBack,
    RunStarted,
)
from chainfold.projections.aliases import Aliases
from chainfold.projections.chains import Chains
from chainfold.projections.columns import columns_on
from chainfold.projections.erasures import Erasures
from chainfold.projections.index import Index
from chainfold.projections.keys import REGISTERED, Key, hashed
from chainfold.projections.paths import Paths
from chainfold.projections.run_state import RunState
from chainfold.projections.runs import Runs
from chainfold.projections.snapshot import Snapshot
from chainfold.projections.source import Log, Source
from chainfold.projections.steps import Steps
from chainfold.projections.totals import Totals
from chainfold.projections.visibility import Visibility


class Projections:
    """The state after a number of entries, and after any smaller number of them.

    Args:
        log: Where what is not kept is read again.
        snapshot: What was folded before: only what follows it is held in memory.

    Attributes:
        size: Entries folded so far.
    """

    def __init__(self, log: Log | None = None, snapshot: Snapshot | None = None) -> None:
        self.size = 0 if snapshot is None else snapshot.size
        self.snapshot = snapshot
        self.columns = columns_on(snapshot)
        self.visibility = Visibility(self.columns)
        self.source = Source(log, self.visibility.positions)
        registered = {kind: Index(kind, snapshot, _holder(self.source, kind)) for kind in REGISTERED}
        self._keyed = [(registered[kind], keys_of) for kind, keys_of in REGISTERED.items()]
        self.ids, self.digests, self.lineage = registered["id"], registered["digest"], registered["source"]
        self.chains = Chains(snapshot, registered)
        self.steps = Steps(registered)
        self.paths = Paths(self.columns, registered["path"], snapshot, self.source, self.visibility)
        self.runs = Runs(self.columns, snapshot, self.source)
        self.aliases = Aliases(self.columns, snapshot, self.source)
        self.totals = Totals(self.columns)
        self.erasures = Erasures(snapshot, self.source)
        others = (self.runs.index, self.aliases.index, self.paths.sweeps, self.erasures.index)
        self.indexes = [*registered.values(), *others]
        self._older = len(self.visibility)
        self._ids_of_rows: list[str] = []  # of those since the snapshot

    def fold(self, entries: Iterable[Entry]) -> None:
        """Apply entries, in order."""
        for entry in entries:
            self.apply(entry)

    def apply(self, entry: Entry) -> None:  # noqa: C901, PLR0912 - one case for each kind of event, on purpose
        """Take in the entry at position `size`."""
        self.size = entry.position + 1
        match entry.event:
            case ArtifactRegistered():
                self._register(entry, entry.event)
            case RunStarted():
                self.runs.start(entry, entry.event)
            case RunCommitted():
                self._commit(entry)
            case RunRolledBack(reason=reason):
                self._roll_back(entry, reason)
            case ArtifactsDeleted(delete_files=delete_files):
                self._delete(entry, entry.event, delete_files=delete_files)
            case DatasetPurged():
                self._purge(entry)
            case BlobsSwept(paths=paths):
                for path in paths:
                    self.paths.sweep(path, entry.position)
            case AliasSet(alias=alias, artifact_id=artifact_id):
                run = self.runs.open(entry.run)
                if run is not None:
                    run.alias_moves.append((alias, artifact_id, entry.position))
                else:
                    self.aliases.point(alias, artifact_id, self.size, entry.position)
            case PrivateErased(paths=paths):
                for path in paths:
                    self.erasures.erase(path, entry.position)
            case _:
                assert_never(entry.event)

    def artifact_id(self, row: int) -> str:
        """The id of a registration."""
        if row >= self._older:
            return self._ids_of_rows[row - self._older]
        return self.source.decoded(row).record.artifact_id

    def live_row(self, artifact_id: str) -> int | None:
        """The registration of an id that is committed and live now."""
        for row in reversed(self.ids.rows(artifact_id)):
            if self.visibility.is_live(row):
                return row
        return None

    def targets(self, event: ArtifactsDeleted, run_id: str | None) -> tuple[list[int], list[int]]:
        """The rows that a deletion now would take: committed ones, and ones of the run's own."""
        run = self.runs.open(run_id)
        own = run.own if run is not None else {}
        if event.pipeline_id is not None:
            rows = self.steps.rows_of_pipeline(event.pipeline_id)
            mine = sorted({*own.values()}.intersection(rows)) if own else []
            return list(self.visibility.live(rows)), mine
        ids = list(dict.fromkeys(event.artifact_ids))
        committed = [row for row in map(self.live_row, ids) if row is not None]
        return committed, [own[artifact_id] for artifact_id in ids if artifact_id in own]

    def _register(self, entry: Entry, event: ArtifactRegistered) -> None:
        record = event.record
        row = self.visibility.add(entry.position)
        self._ids_of_rows.append(record.artifact_id)
        for index, keys_of in self._keyed:
            add = index.add
            for key in keys_of(record):
                add(key, row)
        self.totals.register(record)
        self.paths.register(row, record, reused=event.reused or event.imported)
        run = self.runs.open(entry.run)
        if run is not None:
            self._enter(run, record.artifact_id, row)
        elif entry.run is None:
            self._show(row)

    def _enter(self, run: RunState, artifact_id: str, row: int) -> None:
        """A registration is seen by its run alone, in the place of what the run had under that id."""
        self._withdraw(run, artifact_id)
        run.rows.append(row)
        run.own[artifact_id] = row
        self.paths.hold(row)

    def _commit(self, entry: Entry) -> None:
        run = self.runs.open(entry.run)
        if run is None:
            return
        for row in run.doomed:
            if self.visibility.is_live(row):
                self._hide(row)
        for row in run.own.values():
            self.paths.unhold(row)
            self._show(row)
        for alias, artifact_id, position in run.alias_moves:
            self.aliases.point(alias, artifact_id, self.size, position)
        self.runs.end(run, "committed", entry.position)

    def _roll_back(self, entry: Entry, reason: str) -> None:
        run = self.runs.open(entry.run)
        if run is None:
            return
        for row in run.own.values():
            self.paths.unhold(row)
        self.runs.end(run, "rolled-back", entry.position, reason)

    def _delete(self, entry: Entry, event: ArtifactsDeleted, *, delete_files: bool) -> None:
        run = self.runs.open(entry.run)
        committed, mine = self.targets(event, entry.run)
        for row in mine:
            if run is not None:
                self._withdraw(run, self.artifact_id(row))
        for row in committed:
            if run is None:
                self._hide(row)
            else:
                run.doomed[row] = run.doomed.get(row, False) or delete_files

    def _purge(self, entry: Entry) -> None:
        run = self.runs.open(entry.run)
        live = list(self.visibility.live(range(len(self.visibility))))
        if run is None:
            for row in live:
                self._hide(row)
            self.paths.sweep_all(entry.position)
            return
        for artifact_id in list(run.own):
            self._withdraw(run, artifact_id)
        run.doomed.update(dict.fromkeys(live, True))
        run.purges = True

    def _withdraw(self, run: RunState, artifact_id: str) -> None:
        """Take away what the run itself registered under an id."""
        row = run.own.pop(artifact_id, None)
        if row is not None:
            self.visibility.removed_at[row] = self.size
            self.paths.unhold(row)

    def _show(self, row: int) -> None:
        """Make a registration live: it supersedes what its id named before."""
        earlier = self._superseded(row)
        if earlier is not None:
            self._hide(earlier)
        self.visibility.visible_from[row] = self.size
        self.totals.show(row, self.size, first=self.paths.show(row))

    def _superseded(self, row: int) -> int | None:
        """What its id names before a registration is shown."""
        return self.live_row(self.artifact_id(row))

    def _hide(self, row: int) -> None:
        self.visibility.removed_at[row] = self.size
        self.totals.hide(row, self.size, last=self.paths.release(row))

    def dump(self) -> dict[str, Any]:
        """All state in plain, ordered types, to compare two states by: equal logs give equal dumps."""
        older: list[tuple[int, int]] = []
        if self.snapshot is not None:
            keys, values = self.snapshot.sections["keys"], self.snapshot.sections["values"]
            older = [(keys[index], values[index]) for index in range(len(keys))]
        newer = [(hashed(index.kind, key), row) for index in self.indexes for key, row in index.all()]
        return {
            "size": self.size,
            "columns": {name: column.all() for name, column in self.columns.items()},
            "indexes": sorted(older + newer),
            "chains": list(self.chains.paths_from("")),
            "open": [msgspec.structs.asdict(run) for run in self.runs.all_open()],
            "aliases": self.aliases.all(self.size),
            "swept": self.paths.swept_all_at,
            "erased": self.erasures.last,
        }


def _holder(source: Source, kind: str) -> Callable[[int, Key], bool]:
    """Whether a registration has a key. It does not refer back to the projections, as in `Runs`."""
    keys_of = REGISTERED[kind]
    return lambda row, key: key in keys_of(source.decoded(row).record)
