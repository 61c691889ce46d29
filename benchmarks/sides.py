"""The three that are measured: chainfold, the least that any such registry must do, and the peer."""

import atexit
import contextlib
import functools
import hashlib
import importlib
import io
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import joblib
from benchmarks.shim import stand_in_for_packages
from benchmarks.workload import STEP, Item

from chainfold import ArtifactRegistry

DATASET = "wheat"


@functools.cache
def _root() -> Path:
    """A folder whose subfolders ext4 spreads over the disk, where `chattr` can say so; gone at the very end.

    ext4 avoids inodes that were freed in the last minutes: where thousands of files were removed, by an
    earlier run or by anyone's tests, creating one takes up to fifty times as long, and hides all else.
    """
    root = Path(tempfile.mkdtemp(prefix="chainfold-bench-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    chattr = shutil.which("chattr")
    if chattr is not None:
        subprocess.run([chattr, "+T", str(root)], check=False, capture_output=True)  # noqa: S603 - our own folder
    return root


def workspace() -> Path:
    """A new folder. It stays till the end, so that nothing is removed while others are measured."""
    return Path(tempfile.mkdtemp(dir=_root()))


def microseconds_to_create_a_file(count: int = 500) -> float:
    """What creating an empty file takes now: see `_root` for why that changes."""
    folder = workspace()
    start = perf_counter()
    for number in range(count):
        os.close(os.open(folder / str(number), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    return (perf_counter() - start) / count * 1e6


def register(registry: Any, item: Item, kind: Any = "model") -> Any:
    """The same call for chainfold and its peer: the signature is shared."""
    return registry.register_with_chain(
        item.model,
        item.chain,
        kind,
        STEP,
        branch_path=item.branch,
        fold_id=item.fold,
        depends_on=item.depends_on,
        params=item.params,
        pipeline_id=item.pipeline_id,
    )


def chainfold(folder: Path) -> ArtifactRegistry:
    return ArtifactRegistry(folder, DATASET)


# the floor


class Floor:
    """What a registration cannot do without: bytes, their digest, a file with a name, a line in a log.

    It keeps no index, checks nothing, and can look nothing up.

    Args:
        folder: The workspace.
        line: What is appended each time, as long as chainfold's own.
        sync: Whether each step is made durable before the next.
        shared: Whether other processes append too: then under a lock.
    """

    def __init__(self, folder: Path, line: bytes, *, sync: bool, shared: bool = False) -> None:
        self._blobs, self._aside = folder / "binaries" / DATASET, folder / "aside"
        self._blobs.mkdir(parents=True, exist_ok=True)
        self._aside.mkdir(exist_ok=True)
        self._line, self._sync, self._shared = line, sync, shared
        self._log = os.open(folder / "log.jsonl", os.O_RDWR | os.O_CREAT | os.O_APPEND)
        self._written: list[Path] = []

    def register(self, item: Item) -> None:
        buffer = io.BytesIO()
        joblib.dump(item.model, buffer, compress=0, protocol=5)
        data = buffer.getvalue()
        name = f"model_Ridge_{hashlib.sha256(data).hexdigest()[:12]}.joblib"
        aside, target = self._aside / name, self._blobs / name
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        os.write(descriptor, data)
        if self._sync:
            _sync_data(descriptor)
        os.close(descriptor)
        os.rename(aside, target)  # noqa: PTH104 - the floor builds no objects
        if self._sync:
            _sync_folder(self._blobs)
        with self._lock():
            os.write(self._log, self._line)
            if self._sync:
                _sync_data(self._log)
        self._written.append(target)

    def commit(self) -> None:
        """Make durable all that was registered without syncing."""
        if hasattr(os, "sync"):
            os.sync()
        for path in self._written:
            descriptor = os.open(path, os.O_RDONLY)
            _sync_data(descriptor)
            os.close(descriptor)
        _sync_folder(self._blobs)
        _sync_data(self._log)

    def close(self) -> None:
        os.close(self._log)

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        if not self._shared or sys.platform == "win32":
            yield
            return
        import fcntl

        fcntl.flock(self._log, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._log, fcntl.LOCK_UN)


def _sync_data(descriptor: int) -> None:
    (os.fdatasync if hasattr(os, "fdatasync") else os.fsync)(descriptor)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def line_like_chainfold(sample: list[Item]) -> bytes:
    """A line of the length that chainfold's log has for such items."""
    return b"x" * (round(bytes_an_entry(sample)) - 1) + b"\n"


def bytes_an_entry(sample: list[Item]) -> float:
    """Bytes of chainfold's log for each of its entries."""
    registry = chainfold(workspace())
    with registry.run():
        for item in sample:
            register(registry, item)
    stats = registry.get_stats(scan_all_manifests=False)
    registry.close()
    return float(stats["log_bytes"] / stats["log_entries"])


# the peer


class Peer:
    """The peer's registry class, and its word for a model."""

    def __init__(self) -> None:
        stand_in_for_packages()
        artifacts = "nirs4all.pipeline.storage.artifacts"
        self._class = importlib.import_module(f"{artifacts}.artifact_registry").ArtifactRegistry
        self.model = importlib.import_module(f"{artifacts}.types").ArtifactType.MODEL

    def registry(self, folder: Path) -> Any:
        return self._class(folder, DATASET)
