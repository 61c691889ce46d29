"""Rows by chain path: exact, by pipeline, and by prefix."""

from collections.abc import Iterator, Sequence

from sortedcontainers import SortedList

from chainfold.projections.multimap import Multimap
from chainfold.records import ArtifactRecord, Fold

_RESORT_SHARE = 4
"""Once a quarter of the paths is new, sorting them all is faster than inserting one by one."""


class Chains:
    """Registrations by chain path. Paths are compared as text, by code point."""

    def __init__(self) -> None:
        self._by_fold: Multimap[tuple[str, Fold]] = Multimap()
        self._by_pipeline: Multimap[tuple[str, str]] = Multimap()
        self._by_path: Multimap[str] = Multimap()
        self._sorted = SortedList()
        self._unsorted: list[str] = []

    def register(self, row: int, record: ArtifactRecord) -> None:
        """Take in a registration; those without a chain path are not found by one."""
        path = record.chain_path
        if not path:
            return
        if self._by_path.add(path, row):
            self._unsorted.append(path)
        self._by_fold.add((path, record.fold_id), row)
        self._by_pipeline.add((record.pipeline_id, path), row)

    def rows(self, path: str) -> Sequence[int]:
        """All registrations with exactly this path."""
        return self._by_path.rows(path)

    def rows_of_fold(self, path: str, fold: Fold) -> Sequence[int]:
        """Those of one fold."""
        return self._by_fold.rows((path, fold))

    def rows_of_pipeline(self, path: str, pipeline_id: str) -> Sequence[int]:
        """Those of one pipeline."""
        return self._by_pipeline.rows((pipeline_id, path))

    def paths_from(self, prefix: str) -> Iterator[str]:
        """The distinct paths that start with a text, in order: a bisection, then one step a path."""
        self._sort()
        for path in self._sorted.irange(minimum=prefix):
            if not path.startswith(prefix):
                return
            yield path

    def _sort(self) -> None:
        if len(self._unsorted) * _RESORT_SHARE > len(self._sorted):
            self._sorted = SortedList([*self._sorted, *self._unsorted])
        else:
            for path in self._unsorted:
                self._sorted.add(path)
        self._unsorted.clear()
