"""Rows by key: those that a snapshot knows, and newer ones, with one interface for both."""

from collections.abc import Callable, Iterator, Sequence
from typing import overload

from chainfold.projections.keys import Key, hashed
from chainfold.projections.snapshot import Snapshot


class Index:
    """What has a key, first registered first. Most keys have one row: those cost no list.

    Args:
        kind: Its name, which is part of a key's hash.
        snapshot: What is known of older rows.
        holds: Whether a row of the snapshot has a key: two keys may have one hash.
    """

    __slots__ = ("_holds", "_snapshot", "kind", "tail")

    def __init__(self, kind: str, snapshot: Snapshot | None, holds: Callable[[int, Key], bool]) -> None:
        self.kind = kind
        self._snapshot = snapshot
        self._holds = holds
        self.tail: dict[Key, int | list[int]] = {}

    def add(self, key: Key, row: int) -> bool:
        """Put a row under a key; True if the key is new since the snapshot."""
        known = self.tail.get(key)
        if known is None:
            self.tail[key] = row
            return True
        if isinstance(known, list):
            known.append(row)
        else:
            self.tail[key] = [known, row]
        return False

    def rows(self, key: Key) -> Sequence[int]:
        """The rows of a key; empty if there are none."""
        known = self.tail.get(key)
        newer = () if known is None else known if isinstance(known, list) else (known,)
        if self._snapshot is None:
            return newer
        older = self._older(self._snapshot, key)
        if older is None:
            return newer
        return Rows(older, newer) if newer else older

    def _older(self, snapshot: Snapshot, key: Key) -> Sequence[int] | None:
        """Those of the snapshot. All rows of one hash have the same key, or it is known that they don't."""
        digest = hashed(self.kind, key)
        found = snapshot.find(digest)
        if found is None:
            return None
        if digest in snapshot.collisions:
            # Two keys of one row may have the same hash too: then it is there twice.
            return tuple(dict.fromkeys(row for row in found if self._holds(row, key)))
        return found if self._holds(found[-1], key) else None

    def clashes(self, digest: int, key: Key) -> bool:
        """Whether a hash stands for another key in the snapshot."""
        found = self._snapshot.find(digest) if self._snapshot is not None else None
        return found is not None and not self._holds(found[-1], key)

    def all(self) -> Iterator[tuple[Key, int]]:
        """The keys and rows that are newer than the snapshot."""
        for key, known in self.tail.items():
            for row in known if isinstance(known, list) else (known,):
                yield key, row


class Rows(Sequence[int]):
    """Older rows, then newer ones."""

    __slots__ = ("_newer", "_older")

    def __init__(self, older: Sequence[int], newer: Sequence[int]) -> None:
        self._older, self._newer = older, newer

    def __len__(self) -> int:
        return len(self._older) + len(self._newer)

    @overload
    def __getitem__(self, index: int) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[int]: ...
    def __getitem__(self, index: int | slice) -> int | Sequence[int]:
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(len(self)))]
        at = index if index >= 0 else index + len(self)
        if not 0 <= at < len(self):
            raise IndexError(index)
        count = len(self._older)
        return self._older[at] if at < count else self._newer[at - count]

    def __iter__(self) -> Iterator[int]:
        yield from self._older
        yield from self._newer

    def __reversed__(self) -> Iterator[int]:
        yield from reversed(self._newer)
        yield from reversed(self._older)
