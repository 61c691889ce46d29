"""What the log and the blobs ask of storage: files, their durability, and locks.

What is written is durable only after the sync that names it: a file's bytes after `sync` or
`Appender.sync`, a name (created, renamed, removed) after `sync_folder` of the folder that holds it.

Whoever brings a storage of their own tries it with `chainfold.testing.contract.FilesContract`.
"""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol


class Reader(Protocol):
    """An open file that may grow while it is read."""

    def size(self) -> int:
        """Bytes in the file now."""

    def read(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes from `offset`; fewer at the end of the file."""

    def is_at(self, path: Path) -> bool:
        """Whether it is still the file of that name."""

    def close(self) -> None:
        """Let go of the file."""


class Appender(Protocol):
    """A file open for writing at its end."""

    def append(self, data: bytes) -> None:
        """Write at the end; when it raises, any prefix of the data may have been written."""

    def sync(self) -> None:
        """Return when all that was appended, by anyone, is durable."""

    def truncate(self, size: int) -> None:
        """Cut the file to its first `size` bytes."""

    def close(self) -> None:
        """Let go of the file."""


class Lock(Protocol):
    """Exclusive between processes, and between the threads of each."""

    def held(self) -> AbstractContextManager[None]:
        """Hold the lock inside the block; the thread that holds it may enter again.

        Raises:
            StorageError: If the lock file cannot be opened, as on read-only storage.
        """

    def close(self) -> None:
        """Let go of the lock file, and with it of the lock."""


class HeldLock(Protocol):
    """A lock that was free when asked for and is held until released, or until this process ends."""

    @property
    def is_held(self) -> bool:
        """Whether this process holds it; a forked child does not."""

    def release(self) -> None:
        """Give the lock up and remove its file."""


class Files(Protocol):
    """What the log and the blobs ask of storage. Paths are absolute.

    What the system refuses is a StorageError with its `errno`; what is not there a FileNotFoundError.
    """

    def reader(self, path: Path) -> Reader:
        """Open for reading. FileNotFoundError if it is not there."""

    def appender(self, path: Path, *, create: bool) -> Appender:
        """Open for appending; with `create` the file must be new."""

    def read(self, path: Path) -> bytes:
        """The whole file. FileNotFoundError if it is not there."""

    def map(self, path: Path) -> memoryview:
        """The whole file, read where it lies as it is looked at. FileNotFoundError if it is not there.

        For files that are never changed: who reads what has been cut off a mapped file dies.
        """

    def write_new(self, path: Path, data: bytes, *, sync: bool) -> None:
        """Write a file that must not exist yet; leave nothing behind on failure."""

    def overwrite(self, path: Path, data: bytes, offset: int = 0) -> None:
        """Replace some bytes of a file that exists, in place.

        Far cheaper than a new file and a rename, and for what a crash, or a reader at that very moment, may
        find torn without harm: at most a sector's worth (512 bytes), or the same bytes again.
        """

    def reserve(self, path: Path, size_bytes: int) -> None:
        """Make a file, unless it is there, that takes so much room on the disk; its content is nothing.

        All of it or none: on failure there is no such file.
        """

    def rename(self, source: Path, target: Path) -> None:
        """Give a file its name, replacing what had it, at once or not at all."""

    def remove(self, path: Path) -> bool:
        """Remove a file; False if it was not there."""

    def size(self, path: Path) -> int | None:
        """Bytes in a regular file; None if there is none of that name."""

    def age(self, path: Path) -> float | None:
        """Seconds since a file was last changed; None if it is not there."""

    def scan(self, folder: Path) -> Iterator[tuple[str, int]]:
        """Name (relative, `/` between parts) and size of each regular file below a folder, in no order."""

    def has_folder(self, folder: Path) -> bool:
        """Whether a folder is there."""

    def make_folder(self, folder: Path, *, private: bool = False) -> None:
        """Create a folder and its parents, durably; what is private is for its owner and group only.

        One that is there may be the work of a process that has not made it durable yet, or that died before:
        it is durable too when this returns.
        """

    def sync(self, paths: Iterable[Path]) -> None:
        """Return when the bytes of these files are durable."""

    def sync_folder(self, folder: Path) -> None:
        """Return when the names in this folder are durable."""

    def lock(self, path: Path) -> Lock:
        """The lock of that file, which is made when it is first held."""

    def try_lock(self, path: Path) -> HeldLock | None:
        """Take a lock now; None when another process, or another part of this one, holds it."""
