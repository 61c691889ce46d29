"""Proofs about a dataset's log, made in as many hashes as the tree is high."""

import contextlib
from collections.abc import Callable
from typing import Final, Self, TypeVar

import msgspec

from chainfold.dataset import Dataset
from chainfold.errors import CorruptionError, NotFoundError
from chainfold.proof import paths
from chainfold.proof.tiles import Tiles

T = TypeVar("T")
_ATTEMPTS: Final = 2


class Inclusion(msgspec.Struct, frozen=True):
    """That an entry is in the log of a checkpoint.

    Attributes:
        position: Of the entry.
        size: Of the log.
        path: The proof: hashes from the leaf upwards; see `paths.is_included`.
        root: The root of the log of that size.
    """

    position: int
    size: int
    path: list[bytes]
    root: bytes


class Consistency(msgspec.Struct, frozen=True):
    """That the log of a checkpoint has only grown to that of another.

    Attributes:
        first: Size of the smaller log.
        second: Size of the larger one.
        path: The proof; see `paths.is_consistent`.
        first_root: The root of the smaller log.
        second_root: The root of the larger one.
    """

    first: int
    second: int
    path: list[bytes]
    first_root: bytes
    second_root: bytes


class Prover:
    """Makes proofs from the hashes that are kept beside the log, and checks each before it is given out.

    Args:
        data: The dataset.
    """

    def __init__(self, data: Dataset) -> None:
        self._data = data
        self._tiles = Tiles(data.folder / "tiles", data.files)

    def inclusion(self, position: int, size: int | None = None) -> Inclusion:
        """The proof that an entry is in the log.

        Args:
            position: The entry.
            size: Of the log that it is in; as it is now, if none is given.

        Raises:
            NotFoundError: If that log has no such entry, or there is no log of that size yet.
            CorruptionError: If the log is not what it was when it was read.
        """
        with self._data.mutex:
            size = self._size(size)
            if not 0 <= position < size:
                raise NotFoundError(f"a log of {size} entries has none at position {position}")
            leaf = paths.leaf_hash(self._data.log.line(position))

            def make() -> Inclusion | None:
                root = self._root(size)
                path = paths.inclusion(self._tiles.node, position, size)
                is_right = root is not None and paths.is_included(leaf, position, size, path, root)
                return Inclusion(position, size, path, root) if is_right and root is not None else None

            return self._checked(make)

    def consistency(self, first: int, second: int | None = None) -> Consistency:
        """The proof that the log has only grown since it had `first` entries.

        Args:
            first: Size of the smaller log.
            second: Size of the larger one; as it is now, if none is given.

        Raises:
            NotFoundError: If the log has never had these sizes, or the first is the larger one.
            CorruptionError: As `inclusion`.
        """
        with self._data.mutex:
            second = self._size(second)
            if not 0 <= first <= second:
                raise NotFoundError(f"a log of {second} entries did not grow from one of {first}")

            def make() -> Consistency | None:
                older, newer = self._root(first), self._root(second)
                path = paths.consistency(self._tiles.node, first, second)
                if (
                    older is None
                    or newer is None
                    or not paths.is_consistent(first, second, path, older, newer)
                ):
                    return None
                return Consistency(first, second, path, older, newer)

            return self._checked(make)

    def root(self, size: int | None = None) -> bytes:
        """The root of the log when it had so many entries: 32 bytes.

        Raises:
            NotFoundError, CorruptionError: As `inclusion`.
        """
        with self._data.mutex:
            wanted = self._size(size)
            return self._checked(lambda: self._root(wanted))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Keep what was hashed, and let go of the files."""
        self._tiles.save()
        self._tiles.close()

    # inside

    def _size(self, size: int | None) -> int:
        self._data.refresh()
        known = self._data.log.size
        if size is None:
            return known
        if not 0 <= size <= known:
            raise NotFoundError(f"the log of {self._data.name!r} has {known} entries, and had never {size}")
        return size

    def _root(self, size: int) -> bytes | None:
        """The root of a smaller log, if the hashes say that the log has grown from it."""
        node, log = self._tiles.node, self._data.log
        root = paths.subtree(node, 0, size)
        path = paths.consistency(node, size, log.size)
        return root if paths.is_consistent(size, log.size, path, root, log.root()) else None

    def _checked(self, make: Callable[[], T | None]) -> T:
        """What is made of the hashes, once more from the log if it does not fit the log's root."""
        for _ in range(_ATTEMPTS):
            self._tiles.grow(self._data.log)
            with contextlib.suppress(IndexError, ValueError):  # there are fewer than there should be
                found = make()
                if found is not None:
                    return found
            self._tiles.forget()
        raise CorruptionError(
            f"the log of {self._data.name!r} is not what it was when it was read: run verify()"
        )
