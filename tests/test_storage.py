"""Local files, locks, and what is told of the file system."""

import contextlib
import errno
import itertools
import os
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from chainfold import ArtifactRegistry, StorageError
from chainfold.storage import LocalFiles, durable, network_kind
from chainfold.storage.locks import LocalLock
from chainfold.storage.threads import side_by_side
from chainfold.testing import Crash, FaultyFiles, MemoryDisk, MemoryFiles

MOUNTS = """\
proc /proc proc rw 0 0
/dev/vda / ext4 rw 0 0
server:/x {0}/with\\040space nfs4 rw 0 0
//host/y {0}/share cifs rw 0 0
tmpfs {0}/share/local tmpfs rw 0 0
broken
"""


def test_network_file_systems_are_told_by_the_mount_table(tmp_path: Path) -> None:
    table = tmp_path / "mounts"
    table.write_text(MOUNTS.format(tmp_path))
    assert network_kind(tmp_path / "with space" / "w", table) == "nfs4"
    assert network_kind(tmp_path / "share" / "w", table) == "cifs"
    assert network_kind(tmp_path / "share" / "local" / "w", table) is None
    assert network_kind(tmp_path / "shared", table) is None
    assert network_kind(tmp_path, tmp_path / "missing") is None


def test_a_workspace_on_a_network_file_system_is_warned_about_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chainfold.dataset.network_kind", lambda _: "nfs4")
    with ArtifactRegistry(tmp_path, "wheat") as registry:
        with pytest.warns(UserWarning, match="on a network file system \\(nfs4\\)"):
            registry.register(1, "p:1:all", "model")
        registry.register(2, "p:2:all", "model")


def test_a_lock_is_exclusive_between_objects_and_threads(tmp_path: Path) -> None:
    total, rounds = 0, 200
    locks = [LocalFiles().lock(tmp_path / "lock") for _ in range(2)]

    def work(lock: LocalLock) -> None:
        nonlocal total
        for _ in range(rounds):
            with lock.held(), lock.held():
                before = total
                total = before + 1

    threads = [threading.Thread(target=work, args=(lock,)) for lock in locks * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert total == 4 * rounds


def test_a_free_lock_is_taken_and_a_held_one_is_not(tmp_path: Path) -> None:
    held = LocalFiles().try_lock(tmp_path / "x.lock")
    assert held is not None
    assert held.is_held
    assert LocalFiles().try_lock(tmp_path / "x.lock") is None
    held.release()
    held.release()
    assert not held.is_held
    assert list(tmp_path.iterdir()) == []
    again = LocalFiles().try_lock(tmp_path / "x.lock")
    assert again is not None
    del again  # forgotten, so given up
    third = LocalFiles().try_lock(tmp_path / "x.lock")
    assert third is not None
    third.release()


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    files = LocalFiles()
    with pytest.raises(StorageError, match="cannot write"):
        files.write_new(tmp_path, b"x", sync=True)
    files.write_new(tmp_path / "a", b"x", sync=False)
    with pytest.raises(StorageError, match="cannot write"):
        files.write_new(tmp_path / "a", b"y", sync=False)
    assert files.read(tmp_path / "a") == b"x"
    assert files.remove(tmp_path / "a")
    assert not files.remove(tmp_path / "a")
    assert files.size(tmp_path / "a" / "b") is None
    assert files.size(tmp_path) is None
    with pytest.raises(FileNotFoundError):
        files.reader(tmp_path / "a")


def test_scanning_names_what_is_below_and_follows_no_links(tmp_path: Path) -> None:
    (tmp_path / "d" / "e").mkdir(parents=True)
    (tmp_path / "d" / "e" / "f").write_bytes(b"123")
    (tmp_path / "g").write_bytes(b"")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path / "g")
    assert sorted(LocalFiles().scan(tmp_path)) == [("d/e/f", 3), ("g", 0)]
    assert list(LocalFiles().scan(tmp_path / "missing")) == []


def test_what_cannot_be_looked_at_is_a_storage_error_that_names_it(tmp_path: Path) -> None:
    """As on a disk that has died; here the system refuses the name."""
    files, path = LocalFiles(), tmp_path / ("x" * 300)
    looks: list[Callable[[Path], object]] = [files.age, files.has_folder, files.make_folder]
    for look in looks:
        with pytest.raises(StorageError, match=r"xxx.*: File name too long") as raised:
            look(path)
        assert raised.value.errno == errno.ENAMETOOLONG


def test_a_folder_that_another_made_is_made_durable_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have died between making it and making it durable."""
    synced: list[Path] = []
    monkeypatch.setattr(durable, "sync_folder", synced.append)
    (tmp_path / "a").mkdir()
    files = LocalFiles()
    for _ in range(2):
        files.make_folder(tmp_path / "a")
        assert synced == [tmp_path]
    files.make_folder(tmp_path / "a" / "b")
    assert synced == [tmp_path, tmp_path / "a"]
    (tmp_path / "a" / "b").rmdir()
    files.make_folder(tmp_path / "a" / "b")
    assert synced == [tmp_path, tmp_path / "a", tmp_path / "a"]


def test_a_folder_above_the_workspace_may_be_closed_to_us(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(folder: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(folder))

    monkeypatch.setattr(durable, "sync_folder", refuse)
    LocalFiles().make_folder(tmp_path)
    with pytest.raises(StorageError, match="Permission denied"):
        LocalFiles().make_folder(tmp_path / "ours")


def test_what_the_system_refuses_to_look_at_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    files = LocalFiles()
    files.write_new(tmp_path / "x", b"x", sync=False)
    reader = files.reader(tmp_path / "x")
    looks = [
        reader.size,
        *(partial(look, tmp_path / "x") for look in (files.size, files.age, files.has_folder)),
    ]
    told: list[str] = []
    for look in looks:
        with monkeypatch.context() as patch:  # for so long only: pytest looks at files too
            patch.setattr(os, "stat", refuse)
            patch.setattr(os, "fstat", refuse)
            patch.setattr(os, "lseek", refuse)
            try:
                look()
            except StorageError as error:
                told.append(str(error))
    assert len(told) == len(looks)
    for text in told:
        assert text.startswith(f"cannot look at {tmp_path / 'x'}: Input/output error")


def test_parameters_that_a_dead_process_left_beside_the_log_are_made_durable() -> None:
    """Whatever it was at when it died: who registers the same again may rely on them."""
    params = {"large": "x" * 70_000}
    for number in itertools.count():
        disk = MemoryDisk()
        dying = FaultyFiles(MemoryFiles(disk))
        dying.fail_at, dying.crashes = number, True
        for files in (dying, MemoryFiles(disk)):
            with (
                contextlib.suppress(Crash),
                ArtifactRegistry(Path("/w"), "wheat", storage=files) as registry,
            ):
                registry.register(1, "p:1:all", "model", params=params)
        disk.power_cut(lambda _: 0)
        with ArtifactRegistry(Path("/w"), "wheat", storage=MemoryFiles(disk)) as registry:
            record = registry.resolve("p:1:all")
            assert record is not None
            assert record.params == params
        if not dying.dead:
            break


def test_what_is_done_side_by_side_is_done_by_several_threads_at_once() -> None:
    """None gets through alone: each waits for three others."""
    done: list[int] = []
    meeting = threading.Barrier(4, timeout=60)

    def meet(item: int) -> None:
        meeting.wait()
        done.append(item)

    side_by_side(meet, range(40), 4)
    assert sorted(done) == list(range(40))


def test_an_interrupt_side_by_side_waits_for_what_is_under_way() -> None:
    """A sync that fails behind it was told by the system once: nobody else would hear of it."""
    both, refused = threading.Barrier(2), StorageError("EIO")

    def do(_: int) -> None:
        both.wait(60)
        if threading.current_thread() is threading.main_thread():
            raise KeyboardInterrupt
        time.sleep(0.2)
        raise refused

    with pytest.raises(KeyboardInterrupt) as raised:
        side_by_side(do, range(10), 2)
    assert raised.value.__cause__ is refused


def test_the_error_of_a_sync_is_told_before_others() -> None:
    both = threading.Barrier(2)

    def do(number: int) -> None:
        both.wait(60)
        if number:
            time.sleep(0.1)
            raise StorageError("EIO")
        raise FileNotFoundError

    with pytest.raises(StorageError):
        side_by_side(do, range(2), 2)


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_a_failure_side_by_side_is_raised_and_ends_it(threads: int) -> None:
    """Whichever thread it comes in; those that are at work finish what they have begun."""
    begun: list[int] = []

    def fail(item: int) -> None:
        begun.append(item)
        if item == 3:
            raise StorageError("refused")

    before = threading.active_count()
    with pytest.raises(StorageError, match="refused"):
        side_by_side(fail, range(100_000), threads)
    assert 3 in begun
    assert len(set(begun)) == len(begun) < 100_000
    assert threading.active_count() == before


def test_without_other_threads_one_does_it_all(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    done: list[int] = []
    side_by_side(done.append, range(40), 8)
    assert done == list(range(40))


@pytest.mark.parametrize("count", [1, 31, 32, 200])
def test_each_of_many_files_is_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """Each once, by itself, or it is not told of; one that is refused, or missing, is told."""
    paths = [tmp_path / str(number) for number in range(count)]
    for path in paths:
        path.write_bytes(b"x")
    synced: list[int] = []

    def sync(descriptor: int) -> None:
        synced.append(os.fstat(descriptor).st_ino)
        if refused == synced[-1]:
            raise OSError(errno.EIO, "lost")

    monkeypatch.setattr(durable, "sync_data", sync)
    refused = -1
    LocalFiles().sync(paths)
    assert sorted(synced) == sorted(path.stat().st_ino for path in paths)
    refused = paths[-1].stat().st_ino
    with pytest.raises(StorageError, match=f"{paths[-1].name}.*lost"):
        LocalFiles().sync(paths)
    paths[-1].unlink()
    with pytest.raises(FileNotFoundError):
        LocalFiles().sync(paths)
