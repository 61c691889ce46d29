"""Local files, locks, and what is told of the file system."""

import threading
from pathlib import Path

import pytest

from chainfold import ArtifactRegistry, StorageError
from chainfold.storage import LocalFiles, Lock, network_kind, try_lock

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
    locks = [Lock(tmp_path / "lock") for _ in range(2)]

    def work(lock: Lock) -> None:
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
    held = try_lock(tmp_path / "x.lock")
    assert held is not None
    assert held.is_held
    assert try_lock(tmp_path / "x.lock") is None
    held.release()
    held.release()
    assert not held.is_held
    assert list(tmp_path.iterdir()) == []
    again = try_lock(tmp_path / "x.lock")
    assert again is not None
    del again  # forgotten, so given up
    third = try_lock(tmp_path / "x.lock")
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
