"""Each storage keeps the contract; the disk in memory keeps, over a power cut, what was synced, no more."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainfold.storage import Files, LocalFiles
from chainfold.testing import FaultyFiles, MemoryDisk, MemoryFiles
from chainfold.testing.contract import FilesContract
from chainfold.testing.disk import SECTOR_BYTES, Choose


class TestLocalFiles(FilesContract):
    @pytest.fixture
    def files(self) -> Files:
        return LocalFiles()

    @pytest.fixture
    def folder(self) -> Iterator[Path]:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder) / "workspace"


class TestMemoryFiles(FilesContract):
    @pytest.fixture
    def files(self) -> Files:
        return MemoryFiles(MemoryDisk())

    @pytest.fixture
    def folder(self) -> Path:
        return Path("/workspace")


class TestFaultyFilesWithoutAFault(FilesContract):
    @pytest.fixture
    def files(self) -> Files:
        return FaultyFiles(MemoryFiles(MemoryDisk()))

    @pytest.fixture
    def folder(self) -> Path:
        return Path("/workspace")


# The disk

ROOT = Path("/w")


def lost(_: int) -> int:
    """Nothing that was not synced survives."""
    return 0


def kept(count: int) -> int:
    """All of it survives."""
    return count - 1


def begun() -> tuple[MemoryDisk, MemoryFiles]:
    disk = MemoryDisk()
    files = MemoryFiles(disk)
    files.make_folder(ROOT)
    return disk, files


@pytest.mark.parametrize(("choose", "found"), [(lost, b""), (kept, b"bytes")])
def test_bytes_are_durable_after_the_sync_of_their_file(choose: Choose, found: bytes) -> None:
    disk, files = begun()
    files.write_new(ROOT / "x", b"bytes", sync=False)
    files.sync_folder(ROOT)
    disk.power_cut(choose)
    assert MemoryFiles(disk).read(ROOT / "x") == found


@pytest.mark.parametrize(("choose", "found"), [(lost, []), (kept, [("x", 5)])])
def test_a_name_is_durable_after_the_sync_of_its_folder(choose: Choose, found: list[tuple[str, int]]) -> None:
    disk, files = begun()
    files.write_new(ROOT / "x", b"bytes", sync=True)
    disk.power_cut(choose)
    assert list(MemoryFiles(disk).scan(ROOT)) == found


@pytest.mark.parametrize(("choose", "found"), [(lost, ["x"]), (kept, ["y"])])
def test_a_rename_and_a_removal_can_come_undone(choose: Choose, found: list[str]) -> None:
    disk, files = begun()
    files.write_new(ROOT / "x", b"bytes", sync=True)
    files.write_new(ROOT / "z", b"bytes", sync=True)
    files.sync_folder(ROOT)
    files.remove(ROOT / "z")
    files.sync_folder(ROOT)
    files.rename(ROOT / "x", ROOT / "y")
    disk.power_cut(choose)
    assert [name for name, _ in MemoryFiles(disk).scan(ROOT)] == found


def test_a_power_cut_frees_locks_and_ends_processes() -> None:
    disk, files = begun()
    held = files.try_lock(ROOT / "lock")
    assert held is not None
    disk.power_cut(kept)
    assert not held.is_held
    with pytest.raises(OSError, match="Input/output error"):
        files.read(ROOT / "lock")
    assert MemoryFiles(disk).try_lock(ROOT / "lock") is not None


def test_a_killed_process_lets_go_of_its_locks_and_loses_nothing() -> None:
    disk, files = begun()
    assert files.try_lock(ROOT / "lock") is not None
    files.write_new(ROOT / "x", b"bytes", sync=False)
    files.die()
    other = MemoryFiles(disk)
    assert other.try_lock(ROOT / "lock") is not None
    assert other.read(ROOT / "x") == b"bytes"


@given(
    st.binary(max_size=2_000),
    st.lists(st.binary(min_size=1, max_size=1_500), min_size=1, max_size=4),
    st.data(),
)
def test_a_cut_keeps_what_was_synced_and_tears_the_rest(
    synced: bytes, pieces: list[bytes], data: st.DataObject
) -> None:
    """Of an append some sectors survive, or are zeros; what is before it never changes."""
    disk, files = begun()
    appender = files.appender(ROOT / "x", create=True)
    appender.append(synced)
    appender.sync()
    files.sync_folder(ROOT)
    for piece in pieces:
        appender.append(piece)
    whole = synced + b"".join(pieces)
    disk.power_cut(lambda count: data.draw(st.integers(0, count - 1)))
    found = MemoryFiles(disk).read(ROOT / "x")
    assert found[: len(synced)] == synced
    assert len(synced) <= len(found) <= len(whole)
    for start in range(0, len(found), SECTOR_BYTES):
        sector, wanted = found[start : start + SECTOR_BYTES], whole[start : start + SECTOR_BYTES]
        old = synced[start : start + SECTOR_BYTES].ljust(len(sector), b"\0")
        assert sector in (wanted[: len(sector)], old)
    assert disk.unsynced() == 0


def test_a_full_disk_takes_what_there_is_room_for() -> None:
    disk, files = begun()
    disk.capacity_bytes = 10
    appender = files.appender(ROOT / "x", create=True)
    appender.append(b"1234567")
    with pytest.raises(OSError, match="disk is full"):
        appender.append(b"890abc")
    assert files.read(ROOT / "x") == b"1234567890"
    with pytest.raises(OSError, match="disk is full"):
        files.write_new(ROOT / "y", b"1", sync=True)
    assert [name for name, _ in files.scan(ROOT)] == ["x"]
    files.remove(ROOT / "x")
    files.write_new(ROOT / "y", b"1", sync=True)
