"""The hashes of a log's Merkle tree, kept beside the log, so that a proof reads no entry.

`tiles/0` has the leaf hashes, `tiles/1` the roots of each 256 leaves, `tiles/2` of each 256 of those, and so
on: as the full hash tiles of https://c2sp.org/tlog-tiles, one after the other, in one file for each level.
They are disposable, made from the log when they are missing, and never believed: what a proof says of them is
checked first.
"""

import itertools
import logging
from pathlib import Path
from typing import Final

from chainfold.errors import ChainfoldError, StorageError
from chainfold.log import LogReader
from chainfold.proof.paths import leaf_hash, node_hash
from chainfold.storage import Files, Reader

HASH_BYTES: Final = 32
HEIGHT: Final = 8
"""Levels of the tree in one level of tiles."""
WIDTH: Final = 1 << HEIGHT
_KEPT: Final = 1 << 16

logger = logging.getLogger(__name__)


class Tiles:
    """What is on disk of the hashes, and what has been hashed since.

    Args:
        folder: Where the files are, or will be.
        files: The storage.
    """

    def __init__(self, folder: Path, files: Files) -> None:
        self.folder = folder
        self._files = files
        self._saved: list[Reader] = []
        self._counts: list[int] = []  # hashes in each of those
        self._newer: list[bytearray] = []
        self._nodes: dict[tuple[int, int], bytes] = {}  # that were hashed of tiles: proofs ask for them again
        self._load()

    @property
    def size(self) -> int:
        """Leaves that are hashed."""
        return self._count(0)

    def node(self, height: int, index: int) -> bytes:
        """The root of a perfect subtree; see `paths.Node`. At most one tile is read, and hashed once."""
        found = self._nodes.get((height, index))
        if found is None:
            level, within = divmod(height, HEIGHT)
            found = _root(self._hashes(level, index << within, (index + 1) << within))
            if len(self._nodes) >= _KEPT:
                self._nodes.clear()
            self._nodes[height, index] = found
        return found

    def grow(self, log: LogReader) -> None:
        """Hash what the log has read since; all of it, if they are of a longer one."""
        if self.size > log.size:
            self.forget()
        for line in itertools.islice(log.raw_lines(self.size), log.size - self.size):
            self._add(0, leaf_hash(line))

    def save(self) -> None:
        """Write what is new to the files, unless another process is at it, or the system refuses."""
        if not any(self._newer):
            return
        try:
            self._files.make_folder(self.folder)
            lock = self._files.try_lock(self.folder / "lock")
            if lock is None:
                return
            try:
                self._append()
            finally:
                lock.release()
            self.close()
            self._load()
        except (ChainfoldError, OSError) as error:
            logger.info("the hashes in %s are kept in memory: %s", self.folder, error)

    def forget(self) -> None:
        """Begin anew: they are not those of the log."""
        self.close()
        try:
            for name, _ in list(self._files.scan(self.folder)):
                if name != "lock":
                    self._files.remove(self.folder / name)
        except StorageError as error:  # they stay where nothing may be written, and are not looked at
            logger.info("the hashes in %s are not those of the log, and stay: %s", self.folder, error)
            self._counts, self._newer = [], []
            self._nodes.clear()
            return
        self._load()

    def close(self) -> None:
        """Let go of the files."""
        for reader in self._saved:
            reader.close()
        self._saved = []

    # inside

    def _load(self) -> None:
        """Open what is there, as far as its levels fit each other."""
        self._saved, self._counts, self._newer = [], [], []
        self._nodes.clear()
        for level in itertools.count():
            path = self.folder / str(level)
            size = self._files.size(path)
            if size is None or (level and not self._counts[-1] // WIDTH):
                break
            self._saved.append(self._files.reader(path))
            count = size // HASH_BYTES
            self._counts.append(min(count, self._counts[-1] // WIDTH) if level else count)
            self._newer.append(bytearray())
        for level in range(len(self._counts)):  # a writer may have died between two of them
            for index in range(self._count(level + 1), self._counts[level] // WIDTH):
                self._add(level + 1, _root(self._hashes(level, index * WIDTH, (index + 1) * WIDTH)))

    def _append(self) -> None:
        """Add what the files lack; another process may have added some of it: it is the same."""
        for level, newer in enumerate(self._newer):
            path = self.folder / str(level)
            size = self._files.size(path)
            there = max((size or 0) // HASH_BYTES - self._counts[level], 0) * HASH_BYTES
            appender = self._files.appender(path, create=size is None)
            try:
                if size is not None and size % HASH_BYTES:  # of a writer that died
                    appender.truncate(size - size % HASH_BYTES)
                appender.append(bytes(newer[there:]))
            finally:
                appender.close()

    def _count(self, level: int) -> int:
        if level >= len(self._counts):
            return 0
        return self._counts[level] + len(self._newer[level]) // HASH_BYTES

    def _add(self, level: int, digest: bytes) -> None:
        if level == len(self._counts):
            self._counts.append(0)
            self._newer.append(bytearray())
        self._newer[level] += digest
        count = self._count(level)
        if count % WIDTH == 0:
            self._add(level + 1, _root(self._hashes(level, count - WIDTH, count)))

    def _hashes(self, level: int, start: int, stop: int) -> list[bytes]:
        saved = self._counts[level]
        data = b""
        if start < saved:
            length = (min(stop, saved) - start) * HASH_BYTES
            data = self._saved[level].read(start * HASH_BYTES, length)
        if stop > saved:
            first = max(start - saved, 0)
            data += self._newer[level][first * HASH_BYTES : (stop - saved) * HASH_BYTES]
        return [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]


def _root(hashes: list[bytes]) -> bytes:
    """The root over a power of two of hashes."""
    while len(hashes) > 1:
        hashes = [node_hash(*pair) for pair in zip(hashes[::2], hashes[1::2], strict=True)]
    return hashes[0]
