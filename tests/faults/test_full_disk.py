"""Disks without room or inodes, files that may not grow, read-only storage; and how deleting helps."""

import contextlib
import errno
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from tests.faults.disks import Disk
from tests.faults.expectation import Expectation, check, observed
from tests.faults.requirements import need, need_programs, need_root
from tests.faults.workload import DATASET, Writer, register

from chainfold import ArtifactRegistry, StorageError
from chainfold.log.appending import RESERVE_BYTES

OWN: Final = "own-0"
"""A pipeline that is deleted to make room."""


@contextlib.contextmanager
def mounted(kind: str, folder: Path, inodes: int | None = None) -> Iterator[Disk]:
    need_root()
    need_programs("mount", "umount", "truncate", "mkfs.ext4")
    with contextlib.ExitStack() as stack:
        try:
            memory = stack.enter_context(Disk("tmpfs", folder, "32M"))  # for the image: its syncs are fast
            disk = stack.enter_context(Disk(kind, memory.root, inodes=inodes))
        except OSError as error:
            need(condition=False, what=f"{kind}: {error}")
        yield disk


@pytest.fixture(params=["tmpfs", "ext4"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    """A small one, with some room left."""
    with mounted(request.param, tmp_path) as made:
        yield made


@pytest.fixture(params=["tmpfs", "ext4"])
def few_inodes(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    """One that takes few files."""
    with mounted(request.param, tmp_path, inodes=48) as made:
        yield made


def opened(disk: Disk) -> ArtifactRegistry:
    return ArtifactRegistry(disk.root / "workspace", DATASET)


def reserved(disk: Disk) -> int:
    path = disk.root / "workspace" / "log" / DATASET / "reserve"
    return path.stat().st_size if path.exists() else 0


def until_refused(write: Callable[[int], object]) -> int:
    """How many writes were acknowledged before the disk was full."""
    for count in range(10_000):
        try:
            write(count)
        except StorageError as error:
            refusal = error
            break
    assert refusal.errno == errno.ENOSPC
    assert "The disk is full: nothing was acknowledged; make room and try again" in str(refusal)
    return count


def use_up_the_last_block(registry: ArtifactRegistry, pipeline: str) -> int:
    """On a full disk the log's last block still has room: register what needs no new file, then write less.

    Returns:
        How many artifacts of the pipeline there are.
    """
    count = until_refused(lambda number: register(registry, f"{pipeline}:{number}:all", 1, number))
    until_refused(lambda _: registry.set_alias("x", None))
    return count


def full(disk: Disk, *, with_files: bool = True) -> int:
    """Fill a disk: some artifacts of ours, then someone else's bytes, then ours until no entry fits either.

    Returns:
        How many artifacts of ours there are.
    """
    with opened(disk) as registry:
        for number in range(9):
            register(registry, f"{OWN}:{number}:all", number + 1 if with_files else 0, number)
        disk.fill()
        count = use_up_the_last_block(registry, "last-0")
    return 9 + count


def delete_with_files(registry: ArtifactRegistry) -> None:
    assert registry.delete_pipeline_artifacts(OWN, delete_files=True) == 9


def purge(registry: ArtifactRegistry) -> None:
    assert registry.purge_dataset_artifacts(confirm=True)[0] > 0


MENDING: Final = [delete_with_files, purge]


@pytest.mark.parametrize("weights", [{"register": 1}, None])
def test_a_disk_that_fills_up_loses_nothing_and_works_on(disk: Disk, weights: dict[str, int] | None) -> None:
    workspace = disk.root / "workspace"
    expected = [Expectation("a"), Expectation("b")]
    for seed, each in enumerate(expected):
        if seed == 1:
            foreign = disk.fill(keep=100_000)
        writer = Writer(workspace, each.name, seed, each.take, weights=weights)
        writer.work(300)
        writer.reopen()
        with ArtifactRegistry(workspace, DATASET) as registry:
            assert observed(registry, each.name) in each.possible()
    assert any(end.endswith("failed") for end in expected[1].counts), "it never filled up"
    foreign.unlink()
    check(workspace, expected)
    assert reserved(disk) == RESERVE_BYTES


@pytest.mark.parametrize("mend", MENDING, ids=lambda mend: mend.__name__)
@pytest.mark.parametrize("opener", [opened, contextlib.nullcontext], ids=["open before", "opened then"])
def test_deleting_makes_room_on_a_full_disk(
    disk: Disk, mend: Callable[[ArtifactRegistry], None], opener: Any
) -> None:
    with opener(disk) as first:
        count = full(disk)
        with opened(disk) if first is disk else first as registry:
            assert len(list(registry.iter_records())) == count
            assert registry.load(f"{OWN}:3:all")["content"] == 4
            mend(registry)
            assert reserved(disk) == RESERVE_BYTES
            register(registry, "again:1:all", 9, 0)
            assert registry.load("again:1:all")["content"] == 9
    with opened(disk) as registry:
        assert registry.verify().ok
        assert registry.rebuild()


def test_collecting_makes_room_on_a_full_disk(disk: Disk) -> None:
    with opened(disk) as registry:
        for number in range(8):
            register(registry, f"{OWN}:{number}:all", number + 2, number)
        registry.delete_pipeline_artifacts(OWN)
    full(disk, with_files=False)
    with opened(disk) as registry:
        assert len(registry.delete_orphaned_artifacts(dry_run=False)[0]) == 8
        assert reserved(disk) == RESERVE_BYTES
        register(registry, "again:1:all", 8, 0)
        assert registry.verify().ok


def test_room_for_deletions_is_kept_even_when_a_deletion_makes_none(disk: Disk) -> None:
    """Deleted first, files kept; before they are collected, others have filled the disk again."""
    full(disk)
    with opened(disk) as registry:
        assert registry.delete_pipeline_artifacts(OWN) == 9
        for again in range(3):
            disk.fill()
            count = use_up_the_last_block(registry, f"kept-{again}")
            assert count > 0, "a block of the log has room for more than one entry"
            assert registry.delete_pipeline_artifacts(f"kept-{again}") == count
        disk.fill()
        use_up_the_last_block(registry, "last-1")
        assert len(registry.delete_orphaned_artifacts(dry_run=False)[0]) == 8
        assert reserved(disk) >= RESERVE_BYTES // 2, "what was collected made room for"
        register(registry, "again:1:all", 2, 0)
        assert registry.verify().ok


@pytest.mark.parametrize("how", ["cleaned up", "failed", "abandoned"])
def test_a_run_that_filled_the_disk_is_taken_back(disk: Disk, how: str) -> None:
    with opened(disk) as registry:
        register(registry, "before:0:all", 9, 0)
        disk.fill(keep=60_000)
        if how == "failed":
            with pytest.raises(StorageError, match="disk is full"), registry.run():
                _fill_by_run(registry)
        else:
            registry.start_run()
            with pytest.raises(StorageError, match="disk is full"):
                _fill_by_run(registry)
            if how == "cleaned up":
                assert registry.cleanup_failed_run() > 0
    with opened(disk) as registry:
        assert [record.artifact_id for record in registry.iter_records()] == ["before:0:all"]
        assert registry.find_orphaned_artifacts() == []
        register(registry, "again:1:all", 8, 0)
        assert registry.verify().ok


def _fill_by_run(registry: ArtifactRegistry) -> None:
    for number in range(10_000):
        register(registry, f"run:{number}:all", number % 9, number)


def test_a_run_whose_owner_died_is_rolled_back_on_a_full_disk(disk: Disk) -> None:
    """Its files are what filled it."""
    with opened(disk) as registry:
        register(registry, "before:0:all", 9, 0)
        registry.start_run()
        for number in range(5):
            register(registry, f"{OWN}:{number}:all", number, number)
        registry._run = None  # as if it had died
    disk.fill()
    with opened(disk) as registry:
        assert registry.find_orphaned_artifacts() == []
        assert [record.artifact_id for record in registry.iter_records()] == ["before:0:all"]
        register(registry, "again:1:all", 3, 0)
        assert reserved(disk) == RESERVE_BYTES
        assert registry.verify().ok


def test_a_torn_tail_on_a_full_disk_does_not_keep_from_making_room(disk: Disk) -> None:
    """Who filled it died in the middle of a line."""
    full(disk)
    segments = disk.root / "workspace" / "log" / DATASET / "segments"
    last = max(segments.iterdir())
    with last.open("ab") as file:
        file.write(b'{"position":')
    with opened(disk) as registry:
        delete_with_files(registry)
        register(registry, "again:1:all", 9, 0)
        assert reserved(disk) == RESERVE_BYTES
        assert registry.verify().ok


@pytest.mark.parametrize("mend", MENDING, ids=lambda mend: mend.__name__)
def test_a_disk_without_inodes_is_a_full_disk(
    few_inodes: Disk, mend: Callable[[ArtifactRegistry], None]
) -> None:
    with opened(few_inodes) as registry:
        for number in range(9):
            register(registry, f"{OWN}:{number}:all", number + 1, number)
        count = _use_up_inodes(few_inodes)
        assert count > 0
        with pytest.raises(StorageError, match="disk is full"):
            register(registry, "new:0:all", 0, 0)
    with opened(few_inodes) as registry:
        assert len(list(registry.iter_records())) == 9
        with pytest.raises(StorageError, match="disk is full"):
            register(registry, "new:0:all", 0, 0)
        mend(registry)
        register(registry, "again:1:all", 9, 0)
        assert reserved(few_inodes) == RESERVE_BYTES
        assert registry.verify().ok


def _use_up_inodes(disk: Disk) -> int:
    (disk.root / "files").mkdir()
    for number in range(10_000):
        try:
            (disk.root / "files" / str(number)).touch()
        except OSError as error:
            refusal = error
            break
    assert refusal.errno == errno.ENOSPC
    return number


def test_a_limit_on_the_size_of_files_is_refused_clearly(workspace: Path) -> None:
    """`ulimit -f`: a write is cut short, then refused (EFBIG). Python ignores the signal."""
    need(sys.platform == "linux", "Linux")
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    expected = Expectation("a")
    writer = Writer(workspace, "a", 3, expected.take, weights={"register": 1})
    writer.work(20)
    size = max(path.stat().st_size for path in workspace.rglob("*.jsonl"))
    resource.setrlimit(resource.RLIMIT_FSIZE, (max(size + 100, 1 << 15), hard))
    try:
        writer.work(200)
        with ArtifactRegistry(workspace, DATASET) as registry:
            assert observed(registry, "a") in expected.possible()
            with pytest.raises(StorageError, match=r"File too large.*ulimit -f") as raised:
                register(registry, "a-0:0:all", 1, 1)
            assert raised.value.errno == errno.EFBIG
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert expected.counts["register failed"] == 3
    writer.reopen()
    writer.work(20)
    writer.reopen()
    check(workspace, [expected])


def test_a_disk_that_becomes_read_only_is_read_and_refuses_with_advice(disk: Disk) -> None:
    workspace = disk.root / "workspace"
    expected = Expectation("a")
    writer = Writer(workspace, "a", 5, expected.take)
    writer.work(30)
    writer.reopen()
    with opened(disk) as registry:
        before = observed(registry, "a")
        disk.remount("ro")
        _only_reads(registry, before)
        with opened(disk) as another:
            _only_reads(another, before)
        disk.remount("rw")
        register(registry, "again:1:all", 9, 0)
        assert observed(registry, "a") == before
    writer.work(30)
    writer.reopen()
    check(workspace, [expected])


def _only_reads(registry: ArtifactRegistry, expected: object) -> None:
    assert observed(registry, "a") == expected
    assert registry.verify().ok
    assert registry.as_of(3).position == 3
    for write in (
        lambda: register(registry, "again:0:all", 9, 0),
        lambda: registry.set_alias("x", None),
        lambda: registry.delete_pipeline_artifacts("a-0"),
        lambda: registry.purge_dataset_artifacts(confirm=True),
        lambda: registry.delete_orphaned_artifacts(dry_run=False),
        registry.start_run,
    ):
        with pytest.raises(
            StorageError, match="storage is read-only: reading works, writing needs"
        ) as raised:
            write()
        assert raised.value.errno == errno.EROFS
    assert observed(registry, "a") == expected


def test_a_file_system_that_gives_up_while_a_run_is_open(tmp_path: Path) -> None:
    """ext4 turns itself read-only at an error, also while files are open for writing."""
    with mounted("ext4", tmp_path) as disk:
        disk.unmount()
        disk.mount("errors=remount-ro")
        expected = Expectation("a")
        writer = Writer(disk.root / "workspace", "a", 6, expected.take)
        writer.work(30)
        registry = writer.opened()
        registry.start_run()
        register(registry, "mine:0:all", 1, 0)
        before = observed(registry, "a")
        disk.fail()
        with pytest.raises(StorageError, match="storage is read-only"):
            registry.end_run()
        writer.reopen()
        with opened(disk) as another:
            _only_reads(another, before)
        del registry
        disk.unmount()
        disk.mount()
        writer.work(10)
        writer.reopen()
        check(disk.root / "workspace", [expected])
