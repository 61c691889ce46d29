"""A dict from a key to the rows that have it, in order of registration."""

from collections.abc import Hashable, Iterator, Sequence
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Multimap(Generic[K]):
    """Rows by key. Most keys have one row: those cost no list."""

    def __init__(self) -> None:
        self._rows: dict[K, int | list[int]] = {}

    def add(self, key: K, row: int) -> bool:
        """Put a row under a key; True if the key is new."""
        known = self._rows.get(key)
        if known is None:
            self._rows[key] = row
            return True
        if isinstance(known, list):
            known.append(row)
        else:
            self._rows[key] = [known, row]
        return False

    def rows(self, key: K) -> Sequence[int]:
        """The rows of a key, first registered first; empty if there are none."""
        known = self._rows.get(key)
        if known is None:
            return ()
        return known if isinstance(known, list) else (known,)

    def __contains__(self, key: K) -> bool:
        return key in self._rows

    def __iter__(self) -> Iterator[K]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)
