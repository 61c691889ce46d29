"""What happened: the events themselves, the runs, and what differs between two moments."""

from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import datetime
from typing import Final

import msgspec

from chainfold.ancestry import Lineage, ancestors, descendants
from chainfold.changes import Diff, diff
from chainfold.errors import InvalidInputError, NotFoundError
from chainfold.events import KINDS, AliasSet, ArtifactRegistered, ArtifactsDeleted, Entry, RunCommitted
from chainfold.grammar import checked_text
from chainfold.history import Deletions, cause_of_end
from chainfold.lookups import Lookups
from chainfold.markup import card
from chainfold.private import paths_of
from chainfold.projections import NOW, RunState

Moment = int | datetime | str | bytes
"""A size of the log, a time (the size that it had then), or the text of a checkpoint, signed or not."""
_AT_ONCE: Final = 256
"""Entries that are read while others wait."""


class RunInfo(msgspec.Struct, frozen=True):
    """One run, as of a view.

    Attributes:
        run_id: Its id.
        started: Position of its first event.
        at: Time of that.
        actor: Who started it.
        owner: Host and process that held its lock.
        status: `open`, `committed` or `rolled-back`.
        closed: Position of the event that ended it; None while it is open.
        reason: Why it was rolled back: `exception`, `crash` or `request`.
    """

    run_id: str
    started: int
    at: str
    actor: str
    owner: str
    status: str
    closed: int | None
    reason: str

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return card(
            f"Run {self.run_id}", [(name, getattr(self, name)) for name in self.__struct_fields__[1:]]
        )


class Past(Lookups):
    """The queries of a view that are about events."""

    def events(
        self,
        after: Moment = 0,
        until: Moment | None = None,
        *,
        kinds: str | Collection[str] | None = None,
        run: str | None = None,
        pipeline: str | None = None,
        artifact: str | None = None,
        newest_first: bool = False,
    ) -> Iterator[Entry]:
        """The entries of the log, first to last, one at a time.

        Those of a run, a pipeline or an artifact are found by what is indexed, not by reading all others.

        Args:
            after: Only what followed this size, time or checkpoint.
            until: Only what the state at such a moment includes; by default, up to this view.
            kinds: Only of this kind, or of these: `artifact-registered`, `run-committed` and so on.
            run: Only of the run of this id.
            pipeline: Only registrations of this pipeline, and deletions of it as a whole that took something.
            artifact: Only what was said of this id: its registrations, what showed, superseded or deleted
                them, what took their files, what erased their private fields, and what let an alias point to
                it or no longer.
            newest_first: Last to first.

        Raises:
            NotFoundError: If the log has not come that far, or never had that run.
            InvalidInputError: If there is no such kind, a time has no time zone, or a text is no checkpoint.
            CorruptionError: If what was before a checkpoint has been changed since.
        """
        wanted = _kinds(kinds)
        for name, asked in (("run", run), ("pipeline", pipeline), ("artifact", artifact)):
            if asked is not None:
                checked_text(name, asked)
        with self._data.mutex:
            start, stop = self._size_at(after), self._size_at(NOW if until is None else until)
            if run is not None:
                info = self.run_info(run)
                start = max(start, info.started)
                stop = min(stop, stop if info.closed is None else info.closed + 1)
            positions = self._positions(start, stop, pipeline, artifact)

        def matches(entry: Entry) -> bool:
            return (not wanted or entry.event.kind in wanted) and run in (None, entry.run)

        return self._entries(positions[::-1] if newest_first else positions, matches)

    def runs(self) -> Iterator[RunInfo]:
        """Every run that had begun, in order of their beginning, one at a time."""
        number = 0
        while True:
            with self._data.mutex:
                size = self._size_at(NOW)
                states = [self._data.projections.runs.of(each) for each in self._run_numbers(number)]
            some = [_info(state, size) for state in states if state.started < size]
            yield from some
            if len(some) < _AT_ONCE:
                return
            number += len(some)

    def run_info(self, run_id: str) -> RunInfo:
        """One run.

        Raises:
            NotFoundError: If there was none of that id.
        """
        checked_text("a run's id", run_id)
        with self._data.mutex:
            size = self._size_at(NOW)
            state = self._data.projections.runs.get(run_id)
            if state is None or state.started >= size:
                raise NotFoundError(
                    f"the log of {self._data.name!r} has no run {run_id!r}; see runs(), or `chainfold runs`"
                )
            return _info(state, size)

    def diff(self, first: Moment, second: Moment | None = None) -> Diff:
        """What differs between two moments, and which events did it.

        Args:
            first: The earlier size, time or checkpoint.
            second: The later one; by default, this view.

        Raises:
            NotFoundError: If the log has not come that far.
            InvalidInputError: If the first is the later one, or as in `events`.
            CorruptionError: If what was before a checkpoint has been changed since.
        """
        with self._data.mutex:
            sizes = self._size_at(first), self._size_at(NOW if second is None else second)
            if sizes[0] > sizes[1]:
                raise InvalidInputError(
                    f"position {sizes[0]} is later than {sizes[1]}: the earlier one comes first"
                )
            return diff(self._data, *sizes)

    # lineage

    def lineage(self, artifact_id: str) -> Lineage:
        """What a model came from: its registration, then all that it was made from, nearest first.

        These are the registrations that were used, whatever their ids name by now; each says how it stands as
        of this view, and which event has superseded or deleted it.

        Args:
            artifact_id: The artifact that is live; if none is, the last that was registered under this id.

        Raises:
            NotFoundError: If this view knows of none.
        """
        with self._data.mutex:
            row, size = self._row_of(artifact_id)
            return Lineage(ancestors(self._data, row, size))

    def descendants(self, artifact_id: str) -> Lineage:
        """What was made from an artifact, directly or not: its registration, then theirs, nearest first.

        Args:
            artifact_id: As in `lineage`.

        Raises:
            NotFoundError: If this view knows of none.
        """
        with self._data.mutex:
            row, size = self._row_of(artifact_id)
            return Lineage(descendants(self._data, row, size))

    # inside

    def _size_at(self, when: Moment) -> int:
        """A size that this view has, or one before it."""
        if when == NOW:
            self._data.refresh()
            return min(self._size, self._data.projections.size)
        size = self._size_of(when)
        if not isinstance(when, datetime) and size > self._size:
            raise NotFoundError(f"this view ends at {self._size}: it does not know of {size}")
        return min(size, self._size)

    def _size_of(self, when: Moment) -> int:
        """The size that is meant. What a checkpoint says is proven first, in the room above."""
        return self._data.size_at(when)

    def _row_of(self, artifact_id: str) -> tuple[int, int]:
        """The registration that is live, or else the last, and the size as of which; with the mutex held.

        Both are of one moment: others may append whenever the log is looked at.
        """
        checked_text("an artifact's id", artifact_id)
        row = self._sight().row(artifact_id)
        size = min(self._size, self._data.projections.size)
        if row is not None:
            return row, size
        positions = self._data.projections.visibility.positions
        for row in reversed(self._data.projections.ids.rows(artifact_id)):
            if positions[row] < size:
                return row, size
        raise NotFoundError(f"no artifact has, or had, the id {artifact_id!r}")

    def _run_numbers(self, first: int) -> range:
        return range(first, min(first + _AT_ONCE, len(self._data.projections.runs)))

    def _positions(
        self, start: int, stop: int, pipeline: str | None, artifact: str | None
    ) -> range | list[int]:
        """Where to look."""
        found: set[int] | None = None
        for asked, positions in ((pipeline, self._of_pipeline), (artifact, self._of_artifact)):
            if asked is not None:
                known = positions(asked)
                found = known if found is None else found & known
        return range(start, stop) if found is None else sorted(each for each in found if start <= each < stop)

    def _of_pipeline(self, pipeline_id: str) -> set[int]:
        """Registrations of a pipeline, and its deletions."""
        projections = self._data.projections
        visibility, found = projections.visibility, set[int]()
        for row in projections.steps.rows_of_pipeline(pipeline_id):
            found |= {visibility.positions[row], visibility.removed_at[row] - 1}
        for position in [each for each in found if each < self._data.log.size]:
            found |= self._of_commit(position)  # a run's deletions take effect with it
        return {position for position in found if self._is_of_pipeline(position, pipeline_id)}

    def _of_commit(self, position: int) -> set[int]:
        """The deletions of the run that an entry commits, if it does."""
        log = self._data.log
        entry = log.entry(position)
        run = self._data.projections.runs.get(entry.run) if isinstance(entry.event, RunCommitted) else None
        if run is None:
            return set()
        entries = map(log.entry, range(run.started, position))
        return {
            each.position
            for each in entries
            if each.run == run.run_id and isinstance(each.event, ArtifactsDeleted)
        }

    def _is_of_pipeline(self, position: int, pipeline_id: str) -> bool:
        if position >= self._data.log.size:
            return False
        event = self._data.log.entry(position).event
        if isinstance(event, ArtifactRegistered):
            return event.record.pipeline_id == pipeline_id
        return isinstance(event, ArtifactsDeleted) and event.pipeline_id == pipeline_id

    def _of_artifact(self, artifact_id: str) -> set[int]:
        """Registrations of an id, what showed and ended them, what took their files, and its aliases."""
        projections, size = self._data.projections, self._data.log.size
        visibility, paths, found = projections.visibility, projections.paths, set[int]()
        deletions = Deletions(self._data)
        for row in projections.ids.rows(artifact_id):
            ended = cause_of_end(self._data, row, size, deletions)  # a run's deletion ends it with the commit
            if ended is not None:
                found.add(ended.position)
            found |= {visibility.positions[row], visibility.visible_from[row] - 1}
            swept = paths.sweeps.rows(paths.path_of(row))  # earlier ones took the file of others' equal bytes
            found |= {each for each in swept if each > visibility.positions[row]}
            found.add(visibility.removed_at[row] - 1)
            for path in paths_of(projections.source.decoded(row).record).values():
                found |= set(projections.erasures.index.rows(path))
        found |= self._of_aliases_to(artifact_id)
        return {position for position in found if position < size}

    def _of_aliases_to(self, artifact_id: str) -> set[int]:
        """What let an alias point to an id, or no longer; of a run, the commit with which that held too."""
        aliases, log, found = self._data.projections.aliases, self._data.log, set[int]()
        for alias in aliases.names():
            was_it = False
            for holds_from, position in aliases.moves(alias, self._data.projections.size):
                event = log.entry(position).event
                is_it = isinstance(event, AliasSet) and event.artifact_id == artifact_id
                if is_it or was_it:
                    found |= {position, holds_from - 1}
                was_it = is_it
        return found

    def _entries(self, positions: range | list[int], matches: Callable[[Entry], bool]) -> Iterator[Entry]:
        for start in range(0, len(positions), _AT_ONCE):
            with self._data.mutex:
                self._data.settle()
                some = list(map(self._data.log.entry, positions[start : start + _AT_ONCE]))
            yield from filter(matches, some)


def _kinds(kinds: str | Collection[str] | None) -> frozenset[str]:
    if not isinstance(kinds, str | Iterable | None):
        raise InvalidInputError(f"kinds are the name of a kind of event, or several, not {kinds!r:.80}")
    several = (kinds,) if isinstance(kinds, str) else kinds or ()
    asked = frozenset(checked_text("a kind of event", each) for each in several)
    unknown = sorted(asked - KINDS)
    if unknown:
        raise InvalidInputError(f"unknown kind of event {unknown[0]!r}: use {', '.join(sorted(KINDS))}")
    return asked


def _info(run: RunState, size: int) -> RunInfo:
    is_open = run.closed is None or run.closed >= size
    return RunInfo(
        run.run_id,
        run.started,
        run.at,
        run.actor,
        run.owner,
        "open" if is_open else run.status,
        None if is_open else run.closed,
        "" if is_open else run.reason,
    )
