"""What tests of faults share: no waiting for disks, a folder nobody may touch, a strict file system."""

import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.faults.hostile import RUN, SEGMENT
from tests.faults.mounting import Mounted, strict_file_system
from tests.faults.requirements import need

from chainfold.storage import durable


@pytest.fixture
def no_syncs(monkeypatch: pytest.MonkeyPatch) -> None:
    """No power will be cut meanwhile."""
    monkeypatch.setattr(durable, "sync_data", lambda _: None)
    monkeypatch.setattr(durable, "sync_folder", lambda _: None)


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """A folder that no command on a workspace beside it may touch: it is compared after the test."""
    folder = tmp_path / "outside"
    (folder / "deep").mkdir(parents=True)
    for name in ("canary", "canary.pkl", "deep/canary.pkl", "old.lock", f"{RUN}.lock", SEGMENT):
        (folder / name).write_bytes(b"canary")
        os.utime(folder / name, (0, 0))  # old enough for a collector
    before = _seen(folder)
    yield folder
    assert _seen(folder) == before


def _seen(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """All that a test can tell of a folder: names, modes, times, contents."""
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        found[str(path)] = (status.st_mode, status.st_mtime_ns, path.read_bytes() if path.is_file() else b"")
    return found


def can_mount() -> bool:
    """Whether this process may mount through FUSE, and has what it takes."""
    try:
        import mfusepy  # noqa: F401 - it raises OSError where libfuse is missing
    except (ImportError, OSError, AttributeError):
        return False
    return os.access("/dev/fuse", os.R_OK | os.W_OK) and shutil.which("fusermount3") is not None


@pytest.fixture(scope="module")
def mounted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mounted]:
    need(can_mount(), "FUSE: /dev/fuse that this user may open, libfuse, fusermount3, and mfusepy")
    with strict_file_system(tmp_path_factory.mktemp("strict") / "mount") as found:
        yield found


@pytest.fixture
def folder(mounted: Mounted) -> Iterator[Path]:
    """A new folder on the file system; the power is on afterwards."""
    path = mounted.folder / f"{random.getrandbits(64):x}"
    path.mkdir()
    durable.sync_folder(mounted.folder)
    yield path
    mounted.power_on()
