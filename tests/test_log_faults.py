"""Storage that refuses: full, failing and read-only. Every write is tried both lost and landed."""

import errno
import os
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from tests import reader

from chainfold import ArtifactRegistry
from chainfold.dataset import Dataset
from chainfold.errors import CorruptionError, StorageError
from chainfold.events import AliasSet, Entry
from chainfold.log import SEGMENT_BYTES, LocalLog
from chainfold.storage import Files, LocalFiles
from chainfold.storage.local import LocalFile
from chainfold.testing import FaultyFiles

FIRST: Final = f"{0:020d}.jsonl"


def opened(folder: Path, files: Files | None = None, segment_bytes: int = SEGMENT_BYTES) -> LocalLog:
    log = LocalLog(folder, "wheat", files or LocalFiles(), segment_bytes=segment_bytes)
    list(log.catch_up())
    return log


def append(log: LocalLog, *aliases: str, sync: bool = True) -> list[Entry]:
    list(log.catch_up())
    log.recover()
    return log.append([AliasSet(alias) for alias in aliases], actor="tester", sync=sync)


def aliases(log: LocalLog) -> list[str]:
    return [
        entry.event.alias for entry in map(log.entry, range(log.size)) if isinstance(entry.event, AliasSet)
    ]


# Full


@pytest.mark.parametrize("landed", [0, 0.3, 0.5, 0.9, 1])
def test_a_full_disk(tmp_path: Path, landed: float) -> None:
    """The log is cut back, nothing is acknowledged, and it works as soon as there is room."""
    files = FaultyFiles(LocalFiles(), errno.ENOSPC)
    log, follower = opened(tmp_path, files), opened(tmp_path)
    append(log, "a", "b")
    before = (tmp_path / "segments" / FIRST).read_bytes()
    files.refuse, files.landed = {"append"}, landed
    for _ in range(2):
        with pytest.raises(StorageError, match="disk is full: nothing was acknowledged; make room") as raised:
            append(log, "lost", "lost", "lost")
        assert raised.value.errno == errno.ENOSPC
        assert (tmp_path / "segments" / FIRST).read_bytes() == before
        assert aliases(log) == ["a", "b"]
    list(follower.catch_up())
    files.refuse = set()
    append(log, "c")
    list(follower.catch_up())
    for each in (log, follower, opened(tmp_path)):
        assert aliases(each) == ["a", "b", "c"]
        assert each.damage is None


def test_a_disk_too_full_to_cut_back(tmp_path: Path) -> None:
    """What was not cut off is a torn tail: the next writer moves it aside."""
    files = FaultyFiles(LocalFiles(), errno.ENOSPC)
    log = opened(tmp_path, files)
    append(log, "a")
    files.refuse, files.landed = {"append", "truncate"}, 0.5
    with pytest.raises(StorageError):
        append(log, "lost")
    files.refuse = {"create"}
    with pytest.raises(StorageError, match="disk is full"):  # nor is there room for the copy
        append(log, "lost")
    files.refuse = set()
    append(log, "b")
    assert aliases(opened(tmp_path)) == ["a", "b"]
    assert len(list((tmp_path / "quarantine").iterdir())) == 1


def test_what_the_system_writes_in_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system may take a few bytes at a time, and refuse any of them."""
    log, write, room = opened(tmp_path), os.write, 0
    append(log, "a")

    def grudging(descriptor: int, data: Any) -> int:
        nonlocal room
        if not room:
            raise OSError(errno.ENOSPC, "No space left on device")
        room -= 1
        return write(descriptor, data[:7])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", grudging)
        for writes in range(20):
            room = writes
            with pytest.raises(StorageError, match=r"cannot append to .*0\.jsonl: No space left on device"):
                append(log, "lost")
        room = 10**6
        append(log, "b")
    assert aliases(opened(tmp_path)) == ["a", "b"]
    assert not (tmp_path / "quarantine").exists()


# Failing


@pytest.mark.parametrize("landed", [0, 1])
def test_a_sync_that_fails_is_never_tried_again(tmp_path: Path, landed: float) -> None:
    """The writer takes no more until it is opened anew; then it goes on from what it finds."""
    files = FaultyFiles(LocalFiles())
    log = opened(tmp_path, files)
    append(log, "a")
    files.refuse, files.landed = {"sync"}, landed
    with pytest.raises(StorageError, match="check the disk, then reopen the workspace"):
        append(log, "b")
    files.refuse = set()
    syncs = files.done.count("sync")
    for _ in range(2):
        with pytest.raises(StorageError, match="reopen"):
            append(log, "c")
    assert files.done.count("sync") == syncs
    known = log.stored_checkpoint()
    assert known is not None
    assert known.size == 1
    log = opened(tmp_path, files)
    append(log, "c")
    assert aliases(opened(tmp_path)) == ["a", "b", "c"]  # b was written, though never acknowledged


@pytest.mark.parametrize("landed", [0, 1])
@pytest.mark.parametrize("operation", ["sync", "sync folder"])
def test_a_sync_that_fails_while_sealing(tmp_path: Path, operation: str, landed: float) -> None:
    """A segment that may not be durable is never built upon."""
    files = FaultyFiles(LocalFiles())
    log = opened(tmp_path, files, 1)
    append(log, "a")
    files.refuse, files.landed = {operation}, landed
    with pytest.raises(StorageError, match="reopen the workspace"):
        append(log, "b", sync=False)
    files.refuse = set()
    with pytest.raises(StorageError, match="reopen the workspace"):
        append(log, "c", sync=False)
    files.done.clear()
    log = opened(tmp_path, files, 1)
    append(log, "d")
    assert "sync folder" in files.done
    assert aliases(opened(tmp_path, segment_bytes=1)) == ["a", "d"]


def test_a_checkpoint_that_cannot_be_written_is_no_failure(tmp_path: Path) -> None:
    """The entries are durable, and say so themselves."""
    files = FaultyFiles(LocalFiles(), errno.ENOSPC)
    log = opened(tmp_path, files)
    for operation in ("write", "rename", "remove"):
        files.refuse = {operation}
        append(log, operation)
        assert log.stored_checkpoint() is None
        assert log.durable == log.size
    for refused, size in ((set[str](), 4), ({"overwrite"}, 4), (set[str](), 6)):
        files.refuse = refused
        append(log, "a")
        known = log.stored_checkpoint()
        assert known is not None
        assert (known.size, known.root) == (size, reader.root(list(log.raw_lines())[:size]))
        assert log.durable == log.size


def work(folder: Path, files: FaultyFiles) -> tuple[list[str], list[str]]:
    """Append with and without sync, over seals and a torn tail, starting over after each failure.

    Returns:
        What was acknowledged as durable, and all that was tried.
    """
    known: list[str] = []
    tried: list[str] = []
    pending: list[str] = []
    for number in range(6):
        names = [f"{number}-{part}" for part in range(number % 3 + 1)]
        tried += names
        if number == 3:
            for path in sorted((folder / "segments").glob("*.jsonl"))[-1:]:
                path.write_bytes(path.read_bytes() + b'{"position":')
        try:
            append(opened(folder, files, 400), *names, sync=number % 2 == 1)
        except StorageError:
            continue
        pending += names
        if number % 2 == 1:
            known, pending = known + pending, []
    return known, tried


@pytest.mark.parametrize("landed", [0, 0.5, 1])
def test_every_operation_fails_once(tmp_path: Path, landed: float) -> None:
    """Whichever it is, and whether or not it was done: nothing acknowledged is lost, and work goes on."""
    complete = FaultyFiles(LocalFiles())
    known, tried = work(tmp_path / "none", complete)
    assert known == tried == aliases(opened(tmp_path / "none", segment_bytes=400))
    assert {"append", "sync", "create", "sync folder", "rename", "write", "truncate", "make folder"} <= set(
        complete.done
    )
    for number in range(len(complete.done)):
        folder = tmp_path / str(number)
        files = FaultyFiles(LocalFiles())
        files.fail_at, files.landed = number, landed
        known, tried = work(folder, files)
        log = opened(folder, segment_bytes=400)
        assert log.damage is None, (number, complete.done[number])
        found = aliases(log)
        assert [name for name in found if name in known] == known, (number, complete.done[number])
        assert [name for name in tried if name in found] == found
        append(log, "after")
        assert aliases(opened(folder, segment_bytes=400)) == [*found, "after"]
        reader.checked(list(log.raw_lines()), "wheat")


# Read-only


@pytest.fixture
def read_only(workspace: Path) -> Path:
    with ArtifactRegistry(workspace, "wheat", pipeline_id="p", actor="tester") as registry:
        registry.register([1], "p:1:all", "model", params={"large": "x" * 70_000})
        registry.set_alias("best", "p:1:all")
    return workspace


WRITES: Final = {
    "append",
    "create",
    "write",
    "rename",
    "remove",
    "make folder",
    "sync",
    "sync folder",
    "truncate",
}


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.EROFS, "The storage is read-only: reading works, writing needs a writable workspace"),
        (errno.EACCES, "not writable for this user: reading works, writing needs permission"),
    ],
)
def test_a_workspace_that_takes_no_writes(read_only: Path, number: int, advice: str) -> None:
    files = FaultyFiles(LocalFiles(), number)
    files.refuse = WRITES
    with ArtifactRegistry(read_only, "wheat", actor="tester") as registry:
        registry._data.close()
        registry._data = Dataset(read_only, "wheat", actor="tester", files=files)
        assert registry.load("p:1:all") == [1]
        assert registry.aliases() == {"best": "p:1:all"}
        assert registry.verify()
        for command in (
            lambda: registry.register([2], "p:2:all", "model"),
            lambda: registry.set_alias("best", None),
            registry.start_run,
            lambda: registry.delete_pipeline_artifacts("p", delete_files=True),
            lambda: registry.purge_dataset_artifacts(confirm=True),
        ):
            with pytest.raises(StorageError, match=advice):
                command()
        assert registry.position == 2


SCRIPT: Final = """
import os, sys, warnings
from pathlib import Path
from chainfold import ArtifactRegistry
from chainfold.errors import StorageError

with ArtifactRegistry(Path(sys.argv[2]), "barley") as registry:  # all that is imported late
    registry.register([1], "p:1:all", "model")
    registry.load("p:1:all")
    registry.verify()
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
warnings.simplefilter("error")
with ArtifactRegistry(Path(sys.argv[1]), "wheat") as registry:
    assert registry.load("p:1:all") == [1]
    assert len(registry.resolve("p:1:all").params["large"]) == 70_000
    assert registry.find_orphaned_artifacts() == []
    assert registry.get_stats()["total_artifacts"] == 1
    assert registry.verify()
    try:
        registry.register([2], "p:2:all", "model")
    except StorageError as error:
        print(error)
    try:
        registry.start_run()
    except StorageError as error:
        print(error)
"""


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that every user can come to; pytest's own are private."""
    path = Path(tempfile.mkdtemp())
    path.chmod(0o755)
    yield path
    for folder in [path, *path.rglob("*")]:
        if folder.is_dir():
            folder.chmod(0o755)
    shutil.rmtree(path)


@pytest.mark.skipif(sys.platform == "win32", reason="permissions are not those of POSIX there")
def test_a_workspace_of_somebody_else(read_only: Path, public: Path, tmp_path: Path) -> None:
    """The administrator may write anywhere, so a process without that right looks."""
    theirs = public / "workspace"
    shutil.copytree(read_only, theirs)
    for path in [theirs, *theirs.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    command = [sys.executable, "-c", SCRIPT, str(theirs), str(tmp_path / "own")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    refusals = done.stdout.splitlines()
    assert len(refusals) == 2
    for text in refusals:
        assert str(theirs) in text
        assert "reading works, writing needs" in text


def test_a_damaged_log_on_read_only_storage(read_only: Path) -> None:
    segment = read_only / "log" / "wheat" / "segments" / FIRST
    content = segment.read_bytes()
    segment.write_bytes(content.replace(b"best", b"Best"))
    files = FaultyFiles(LocalFiles(), errno.EROFS)
    files.refuse = WRITES
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        data = Dataset(read_only, "wheat", files=files)
    assert [warning.category for warning in caught] == [RuntimeWarning]
    with pytest.raises(CorruptionError), data.writing():
        pass
    data.close()
    segment.write_bytes(content)


@pytest.mark.parametrize("error", [StorageError("no"), KeyboardInterrupt()], ids=["failed", "interrupted"])
def test_an_entry_that_stands_though_its_sync_did_not_return_keeps_its_file(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    """Who registers is told that it failed; but the line is in the log, and others read it."""
    with ArtifactRegistry(workspace, "wheat") as registry:
        registry.register("first", "p:1:all", "model")

        def sync(_: object) -> None:
            raise error

        with monkeypatch.context() as patched, pytest.raises(type(error)):
            patched.setattr(LocalFile, "sync", sync)
            registry.register("second", "p:2:all", "model")
    with ArtifactRegistry(workspace, "wheat") as registry:
        assert registry.load("p:2:all") == "second"
        assert registry.verify().ok
