"""Immutable bytes under `binaries/<dataset>/`, which holds nothing else."""

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from chainfold.blobs.names import check_relative, is_plain
from chainfold.digest import digest_of_pieces
from chainfold.errors import CorruptionError, InvalidInputError, StorageError
from chainfold.storage import Files, Reader

_PIECE_BYTES: Final = 1 << 20
_BLOCK_BYTES: Final = 512
_HOLLOW_BYTES: Final = 1 << 30
_KEPT: Final = 4096
"""Of places: more than one event has names of files that go."""
_TOLD_OF: Final = 64
"""Files that go before it is told that they have: more often would cost more than the files do."""
_HOLLOW_SHARE: Final = 1_000
"""Compression by the file system may hide as much, and hardly more."""


class BlobStore:
    """A dataset's blobs, by file name.

    Args:
        folder: Where they are.
        aside: Where they are written before they get their name; on the same file system.
        files: The storage.
        private: Whether these are for the owner and the group of the folders only, where the system tells
            such apart.
    """

    def __init__(self, folder: Path, aside: Path, files: Files, *, private: bool = False) -> None:
        self.folder = folder
        self._aside = aside
        self._files = files
        self._private = private
        self._kept: set[str] = set()
        self._made: set[Path] = set()
        self._lately: dict[str, Path] = {}
        """Plain paths that were asked for, and where they are: who registers, or removes, asks again."""

    def locate(self, path: str) -> Path:
        """Where a record's path is.

        Raises:
            InvalidInputError: If it would be outside the folder, also through links.
        """
        located = self.folder / check_relative(path)
        if "/" not in path and "\\" not in path and not os.path.islink(located):  # noqa: PTH114 - as below
            return located  # nothing on the way can lead out; resolving costs 25 times as much
        if not self._has(located):
            raise InvalidInputError(f"path {path!r} is refused: a link leads out of {self.folder}")
        return located

    def _inside(self, path: str) -> Path:
        """Where a path is that is only looked for, named or removed: nothing is read through its last part.

        What stands in the folder may have any name, also one that `locate` refuses.

        Raises:
            InvalidInputError: If it would be outside the folder, also through links.
        """
        known = self._lately.get(path)
        if known is not None:
            return known
        located = self.folder / path
        if is_plain(path):
            if len(self._lately) >= _KEPT:
                self._lately.clear()
            self._lately[path] = located
            return located
        if not path or "\0" in path or located.name == ".." or not self._has(located.parent):
            raise InvalidInputError(f"path {path!r:.200} is refused: it leads out of {self.folder}")
        return located

    def _has(self, located: Path) -> bool:
        """Whether a path ends up in the folder when all links are followed; loops of links raise nothing."""
        if located == self.folder:
            return True
        folder = os.path.realpath(self.folder)
        return Path(os.path.realpath(located)).is_relative_to(folder)

    def read(self, path: str) -> bytes:
        """The bytes of a file. FileNotFoundError if it is not there."""
        located = self.locate(path)
        _refuse_hollow(located)
        return self._files.read(located)

    def digest(self, path: str) -> str | None:
        """The digest of a file's bytes; None if it is not there."""
        located = self.locate(path)
        _refuse_hollow(located)
        try:  # a link that stays in the folder is as good as its target
            is_link = os.path.islink(located)  # noqa: PTH114 - as above
            reader = self._files.reader(Path(os.path.realpath(located)) if is_link else located)
        except FileNotFoundError:
            return None
        try:
            return digest_of_pieces(_pieces(reader))
        finally:
            reader.close()

    def holds(self, path: str, data: bytes) -> bool:
        """Whether the file is there with exactly these bytes."""
        located = self._inside(path)
        if self._files.size(located) != len(data) or os.path.islink(located):  # noqa: PTH114 - as above
            return False
        try:
            return self._files.read(located) == data
        except FileNotFoundError:
            return False

    def exists(self, path: str, size_bytes: int) -> bool:
        """Whether a file of that length is there."""
        return self.size(path) == size_bytes

    def write_aside(self, data: bytes, *, sync: bool) -> Path:
        """Write bytes that have no name yet; with `sync` they are durable when it returns."""
        aside = self._aside / os.urandom(16).hex()
        try:
            self._files.write_new(aside, data, sync=sync)
        except FileNotFoundError:
            self._files.make_folder(self._aside, private=self._private)
            self._files.write_new(aside, data, sync=sync)
        return aside

    def remove_aside(self, aside: Path) -> None:
        """Let go of bytes that get no name; if the system refuses, a collector finds them later."""
        with contextlib.suppress(StorageError):
            self._files.remove(aside)

    def name(self, aside: Path, path: str) -> None:
        """Give bytes that were written aside their name, which is durable after `sync_names`."""
        target = self._inside(path)
        folder = self.folder if path in self._lately else target.parent
        if folder not in self._made:
            self._files.make_folder(folder, private=self._private)
            self._made.add(folder)
        try:
            self._files.rename(aside, target)
        except FileNotFoundError:  # the folder was removed since
            self._files.make_folder(folder, private=self._private)
            self._files.rename(aside, target)

    def put(self, path: str, data: bytes) -> None:
        """Write a file; it and its name are durable when it returns."""
        aside = self.write_aside(data, sync=True)
        try:
            self.name(aside, path)
        except BaseException:
            self.remove_aside(aside)
            raise
        self.sync_names([path])

    def keep(self, path: str, data: bytes) -> None:
        """See to it that a file with these bytes is there; it and its name are durable when it returns."""
        if path not in self._kept or not self.holds(path, data):
            self.put(
                path, data
            )  # also where it is there: whoever wrote it may have died, or failed, at its sync
        self._kept.add(path)

    def put_again(self, path: str) -> None:
        """Replace a file by one with the same bytes that is durable; as it is, a sync of it may have failed.

        Raises:
            FileNotFoundError: If it is not there.
        """
        self.put(path, self.read(path))

    def sync(self, paths: Iterable[str]) -> None:
        """Return when these files, and their names, are durable."""
        paths = list(paths)
        if paths:
            self._files.sync(map(self.locate, paths))
            self.sync_names(paths)

    def sync_names(self, paths: Iterable[str]) -> None:
        """Return when the names of these files are durable."""
        folders = (self.folder if is_plain(path) else self._inside(path).parent for path in paths)
        for folder in dict.fromkeys(folders):
            self._files.sync_folder(folder)

    def size(self, path: str) -> int | None:
        """Bytes in a file; None if it is not there, or its path is none."""
        try:
            return self._files.size(self._inside(path))
        except InvalidInputError:
            return None

    def remove(self, path: str) -> bool:
        """Remove a file; False if it was not there.

        Raises:
            InvalidInputError: If it would be outside the folder, also through links.
        """
        return self._files.remove(self._inside(path))

    def scan(self) -> Iterator[tuple[str, int]]:
        """Path and size in bytes of every file, in no order."""
        return self._files.scan(self.folder)

    def remove_all(self, paths: Iterable[str], step: Callable[[int], object] | None = None) -> None:
        """Remove files whose end a durable event tells: Ctrl-C meanwhile takes effect when all have gone.

        Args:
            paths: Which.
            step: Told every few files how many more went; what it raises takes effect at the end, too.
        """
        pending = list(paths)[::-1]
        told, stop = len(pending), list[BaseException]()

        def tell() -> None:
            nonlocal told
            gone, told = told - len(pending), len(pending)
            try:
                if step is not None and gone:
                    step(gone)
            except BaseException as error:  # noqa: BLE001 - it is raised below
                stop.append(error)

        try:
            self._remove(pending, tell)
        except KeyboardInterrupt:
            self._remove(pending, tell)
            raise
        if stop:
            raise stop[0]

    def _remove(self, pending: list[str], tell: Callable[[], None]) -> None:
        while pending:
            self.remove(pending[-1])
            pending.pop()
            if len(pending) % _TOLD_OF == 0:
                tell()

    def clear_aside(self, age_seconds: float) -> None:
        """Remove files that were begun so long ago, and never got their name: their process died."""
        for name, _ in self._files.scan(self._aside):
            age = self._files.age(self._aside / name)
            if age is not None and age > age_seconds:
                self._files.remove(self._aside / name)


def _refuse_hollow(located: Path) -> None:
    """Nothing, unless a file is huge and all but empty: its holes cost who made it nothing, and us hours.

    Raises:
        CorruptionError: If it is.
    """
    try:
        status = os.stat(located)  # noqa: PTH116 - on the path of each load
    except OSError:
        return
    blocks = getattr(status, "st_blocks", None)  # Windows does not say
    if blocks is None or status.st_size <= _HOLLOW_BYTES:
        return
    room = blocks * _BLOCK_BYTES
    if room < status.st_size // _HOLLOW_SHARE:
        raise CorruptionError(
            f"{located} is not read: of its {status.st_size:,} bytes only {room:,} were ever written, and "
            f"no blob is like that; restore it from a copy"
        )


def _pieces(reader: Reader) -> Iterator[bytes]:
    """The bytes of a file, a piece at a time: a model may be larger than memory."""
    offset = 0
    while piece := reader.read(offset, _PIECE_BYTES):
        yield piece
        offset += len(piece)
