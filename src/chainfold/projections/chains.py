"""Rows by chain path: exact, by fold, by pipeline, and by prefix."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from heapq import merge

from sortedcontainers import SortedList

from chainfold.projections.index import Index
from chainfold.projections.keys import fold_key
from chainfold.projections.snapshot import Snapshot
from chainfold.records import Fold

_PIECE_BYTES = 1 << 22
_RESORT_SHARE = 4
"""Once a quarter of the paths is new, sorting them all is faster than inserting one by one."""


class Paths:
    """The distinct chain paths of a snapshot, sorted. UTF-8 sorts as code points do."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._text, self._ends = snapshot.sections["chain_text"], snapshot.sections["chain_ends"]

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, index: int) -> bytes:
        return bytes(self._text.part(self._ends[index - 1] if index else 0, self._ends[index]))

    def start(self, index: int) -> int:
        """Where in the text a path begins."""
        return self._ends[index - 1] if index else 0

    def text(self, start: int, stop: int) -> Iterator[memoryview]:
        """Some of the text, in pieces."""
        for at in range(start, stop, _PIECE_BYTES):
            yield self._text.part(at, min(at + _PIECE_BYTES, stop))

    def ends(self) -> memoryview:
        """Where each path ends."""
        return self._ends.part(0, len(self._ends))

    def place(self, path: bytes) -> int:
        """How many come before a path."""
        return bisect_left(self, path)

    def places(self, paths: Iterable[bytes]) -> Iterator[int]:
        """As `place`, of paths that are sorted: each is looked for near the one before, in growing steps."""
        low, count = 0, len(self)
        for path in paths:
            step = 1
            while low + step <= count and self[low + step - 1] < path:
                low += step
                step *= 2
            low = bisect_left(self, path, low, min(low + step, count))
            yield low

    def starting_with(self, prefix: str, after: str) -> Iterator[str]:
        """Those that start with a text, in order, behind another."""
        wanted, behind = prefix.encode(errors="surrogatepass"), after.encode(errors="surrogatepass")
        for index in range(self.place(max(wanted, behind)), len(self)):
            path = self[index]
            if path == behind:
                continue
            if not path.startswith(wanted):
                return
            yield path.decode(errors="surrogatepass")


class Chains:
    """Registrations by chain path. Paths are compared as text, by code point."""

    def __init__(self, snapshot: Snapshot | None, indexes: dict[str, Index]) -> None:
        self._by_path = indexes["chain"]
        self._by_fold = indexes["chain-fold"]
        self._by_pipeline = indexes["pipeline-chain"]
        self._older = Paths(snapshot) if snapshot is not None else None
        self._sorted = SortedList()
        self._known = 0
        self.gathered: dict[str, None] = {}
        """Distinct paths of what `Parts` has taken in."""

    def rows(self, path: str) -> Sequence[int]:
        """All registrations with exactly this path."""
        return self._by_path.rows(path)

    def rows_of_fold(self, path: str, fold: Fold) -> Sequence[int]:
        """Those of one fold."""
        return self._by_fold.rows(fold_key(path, fold))

    def rows_of_pipeline(self, path: str, pipeline_id: str) -> Sequence[int]:
        """Those of one pipeline."""
        return self._by_pipeline.rows((pipeline_id, path))

    def paths_from(self, prefix: str, after: str = "") -> Iterator[str]:
        """The distinct paths that start with a text, in order: a bisection, then one step a path.

        Args:
            prefix: The text.
            after: Only paths behind this one.
        """
        newer = self._newer(prefix, after)
        if self._older is None or not len(self._older):
            yield from newer
            return
        last = None
        for path in merge(self._older.starting_with(prefix, after), newer):
            if path != last:
                yield path
            last = path

    def newer(self) -> Iterable[str]:
        """The distinct paths registered since the snapshot, which may know some of them too."""
        return (*map(str, self._by_path.tail), *self.gathered)

    def _newer(self, prefix: str, after: str) -> Iterator[str]:
        self._sort()
        for path in self._sorted.irange(minimum=max(prefix, after)):
            if path == after:
                continue
            if not path.startswith(prefix):
                return
            yield path

    def _sort(self) -> None:
        """Take in the paths that are new since it was last asked: a dict keeps the order of arrival."""
        tail = self._by_path.tail
        count = len(tail) - self._known
        if not count:
            return
        if count * _RESORT_SHARE > len(self._sorted):
            self._sorted = SortedList(tail)
        else:
            newest = reversed(tail)
            for _ in range(count):
                self._sorted.add(next(newest))
        self._known = len(tail)
