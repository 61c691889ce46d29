"""Files: which registration brought them, who refers to them, what took them.

A file is known by the first row that names it.
"""

from typing import Final

from chainfold.events import BlobsSwept
from chainfold.projections.columns import Columns
from chainfold.projections.index import Index
from chainfold.projections.snapshot import Snapshot
from chainfold.projections.source import Source
from chainfold.projections.visibility import NEVER, Visibility
from chainfold.records import ArtifactRecord

_KEPT: Final = 4096
"""Names whose files are remembered: more than one `blobs-swept` has."""


class Paths:
    """What is known of the dataset's files by their path below `binaries/<dataset>/`."""

    def __init__(
        self,
        columns: Columns,
        by_path: Index,
        snapshot: Snapshot | None,
        source: Source,
        visibility: Visibility,
    ) -> None:
        self._files = columns["files"]
        self._references = columns["references"]  # by live artifacts
        self._bringers = columns["bringers"]
        self._by_path = by_path
        self._source = source
        self._visible_from = visibility.visible_from
        self._holds: dict[int, int] = {}  # by artifacts of open runs
        self._older = len(self._files)
        self._newer: list[tuple[str, str]] = []  # path and digest of each row since the snapshot
        self._lately: dict[str, int] = {}  # of names in the snapshot that were read; it never changes
        self.sweeps = Index("sweep", snapshot, lambda position, path: path in _swept(source, position))
        self.swept_all_at = snapshot.footer.state.swept_all_at if snapshot is not None else None
        for run in snapshot.footer.state.open_runs if snapshot is not None else ():
            for row in run.own.values():
                self.hold(row)

    def register(self, row: int, record: ArtifactRecord, *, reused: bool) -> None:
        """Take in a registration, which is in the index. The first that found no file there brought it."""
        file = self._by_path.rows(record.path)[0]
        self._files.append(file)
        self._references.append(0)
        self._bringers.append(NEVER)
        self._newer.append((record.path, record.content_hash))
        self.bring(row, is_new=not reused)

    def bring(self, row: int, *, is_new: bool) -> None:
        """A registration that found no file there brought it, unless an earlier one did."""
        if is_new:
            file = self._files[row]
            if self._bringers[file] == NEVER:
                self._bringers[file] = row

    def show(self, row: int) -> bool:
        """An artifact that is live from now on refers to its file; True if it is the only one.

        It becomes the bringer of the file where an unseen one brought it: else a rollback of that one's run
        would take a file that others have in their history.
        """
        file = self._files[row]
        bringer = self._bringers[file]
        if bringer != NEVER and self._visible_from[bringer] == NEVER:
            self._bringers[file] = row
        count = self._references[file]
        self._references[file] = count + 1
        return not count

    def release(self, row: int) -> bool:
        """It is no longer live; True if it was the only one."""
        file = self._files[row]
        count = self._references[file] - 1
        self._references[file] = count
        return count == 0

    def hold(self, row: int) -> None:
        """An artifact of an open run refers to its file."""
        file = self._files[row]
        self._holds[file] = self._holds.get(file, 0) + 1

    def unhold(self, row: int) -> None:
        """The run has ended, or taken the artifact away."""
        file = self._files[row]
        self._holds[file] -= 1
        if not self._holds[file]:
            del self._holds[file]

    def sweep(self, path: str, position: int) -> None:
        """The event at this position took the file."""
        self.sweeps.add(path, position)
        file = self._file(path)
        if file is not None and self._bringers[file] != NEVER:
            self._bringers[file] = NEVER

    def sweep_all(self, position: int) -> None:
        """The event at this position took every file."""
        self.swept_all_at = position
        self._bringers.fill(NEVER)

    def path_of(self, row: int) -> str:
        """The file of a registration."""
        if row >= self._older:
            return self._newer[row - self._older][0]
        path = self._source.decoded(row).record.path
        self._remember(path, self._files[row])
        return path

    def is_referenced(self, path: str) -> bool:
        """Whether anything live, or in an open run, refers to the file."""
        file = self._file(path)
        return file is not None and (self._references[file] > 0 or file in self._holds)

    def file(self, row: int) -> int:
        """The number of a registration's file."""
        return self._files[row]

    def references(self, file: int) -> int:
        """How many live artifacts refer to a file, which is given by its number."""
        return self._references[file]

    def is_needed(self, row: int) -> bool:
        """As `is_referenced`, of a registration's file: nothing is looked up by name."""
        file = self._files[row]
        return self._references[file] > 0 or file in self._holds

    def is_needed_beside(self, row: int, live: int = 0, held: int = 0) -> bool:
        """As `is_needed`, by more than so many live artifacts, and so many of open runs."""
        file = self._files[row]
        return self._references[file] > live or self._holds.get(file, 0) > held

    def is_live_of(self, row: int) -> bool:
        """As `is_live`, of a registration's file."""
        return self._references[self._files[row]] > 0

    def bringer_of(self, row: int) -> int | None:
        """As `bringer`, of a registration's file."""
        bringer = self._bringers[self._files[row]]
        return None if bringer == NEVER else bringer

    def is_live(self, path: str) -> bool:
        """Whether anything live refers to the file: then its bytes are durable."""
        file = self._file(path)
        return file is not None and self._references[file] > 0

    def bringer(self, path: str) -> int | None:
        """The registration that brought the file, if one did since it was last swept."""
        file = self._file(path)
        bringer = NEVER if file is None else self._bringers[file]
        return None if bringer == NEVER else bringer

    def digest_at(self, path: str) -> str | None:
        """The digest of the last registration that named the file; None if none did."""
        rows = self._by_path.rows(path)
        if not rows:
            return None
        row = rows[-1]
        if row >= self._older:
            return self._newer[row - self._older][1]
        return self._source.decoded(row).record.content_hash

    def swept_at(self, path: str) -> int | None:
        """Position of the last event that took the file."""
        swept = (*self.sweeps.rows(path)[-1:], self.swept_all_at)
        return max((position for position in swept if position is not None), default=None)

    def _file(self, path: str) -> int | None:
        file = self._lately.get(path)
        if file is None:
            rows = self._by_path.rows(path)
            if not rows:
                return None
            file = rows[0]
            if file < self._older:
                self._remember(path, file)
        return file

    def _remember(self, path: str, file: int) -> None:
        if len(self._lately) >= _KEPT:
            self._lately.clear()
        self._lately[path] = file


def _swept(source: Source, position: int) -> list[str]:
    event = source.entry(position).event
    return event.paths if isinstance(event, BlobsSwept) else []
