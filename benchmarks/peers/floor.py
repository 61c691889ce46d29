"""The least that a registration can be: bytes, their digest, a file with a name, a line in a log.

It keeps no index, checks nothing, and can look nothing up.
"""

import contextlib
import hashlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
from benchmarks.peers.ours import DATASET
from benchmarks.peers.protocol import Peer, Unable, serialised
from benchmarks.workload import Item

_LOG = "log.jsonl"


class BlobFolder:
    """Files that are whole or absent: written aside, and renamed.

    Args:
        folder: The workspace.
        synced: Whether each step is made durable before the next.
    """

    def __init__(self, folder: Path, *, synced: bool) -> None:
        self.folder, self._aside = folder / "binaries" / DATASET, folder / "aside"
        self.folder.mkdir(parents=True, exist_ok=True)
        self._aside.mkdir(exist_ok=True)
        self.synced = synced
        self.written: list[Path] = []

    def put(self, name: str, data: bytes) -> None:
        aside, target = self._aside / name, self.folder / name
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        os.write(descriptor, data)
        if self.synced:
            sync_data(descriptor)
        os.close(descriptor)
        os.rename(aside, target)  # noqa: PTH104 - the floor builds no objects
        if self.synced:
            sync_folder(self.folder)
        else:
            self.written.append(target)

    def commit(self) -> None:
        """Make durable all that was put without syncing."""
        if hasattr(os, "sync"):
            os.sync()
        for path in self.written:
            descriptor = os.open(path, os.O_RDONLY)
            sync_data(descriptor)
            os.close(descriptor)
        sync_folder(self.folder)
        self.written.clear()

    def remove_uncommitted(self) -> None:
        for path in self.written:
            path.unlink()
        self.written.clear()


class Floor(Unable):
    def __init__(self, folder: Path, synced: bool) -> None:  # noqa: FBT001 - the signature of all stores
        self._blobs = BlobFolder(folder, synced=synced)
        self._path = folder / _LOG
        self._log = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND)

    def register(self, item: Item) -> object:
        data = serialised(item.model)
        digest = hashlib.sha256(data).hexdigest()
        record = item.record(digest, len(data))
        self._blobs.put(record["path"], data)
        line = msgspec.json.encode(record) + b"\n"
        with self._lock():
            os.write(self._log, line)
            if self._blobs.synced:
                sync_data(self._log)
        return record

    def begin(self) -> None:
        """Nothing is to be remembered."""
        self._blobs.synced = False

    def commit(self) -> None:
        self._blobs.commit()
        sync_data(self._log)

    def count(self) -> int:
        return self._path.read_bytes().count(b"\n")

    def close(self) -> None:
        os.close(self._log)

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        if sys.platform == "win32":
            yield
            return
        import fcntl

        fcntl.flock(self._log, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._log, fcntl.LOCK_UN)


def sync_data(descriptor: int) -> None:
    (os.fdatasync if hasattr(os, "fdatasync") else os.fsync)(descriptor)


def sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


PEER = Peer(
    "floor",
    Floor,
    notes={
        "register": "serialise, digest, write, sync, rename, sync, append, sync; no index, no check",
        "run": "the same without syncing, then all synced at the commit",
    },
)
