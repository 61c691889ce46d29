"""Several processes on one dataset: joining a run, dying in one, and writing at once."""

import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import pytest

from chainfold import ArtifactRegistry, ConflictError, RunClosedError

DIE = """
import os, sys
from chainfold import ArtifactRegistry
registry = ArtifactRegistry(sys.argv[1], "wheat")
registry.start_run()
registry.register("half", "p:1:all", "model")
registry.register("shared", "p:2:all", "model")
print("registered", flush=True)
os.kill(os.getpid(), 9)
"""

WRITE = """
import sys
from chainfold import ArtifactRegistry
registry = ArtifactRegistry(sys.argv[1], "wheat")
for number in range(int(sys.argv[3])):
    record = registry.register([sys.argv[2], number % 7], f"{sys.argv[2]}:{number}:all", "model")
    print(record.artifact_id, flush=True)
"""


def fit(registry: ArtifactRegistry, number: int) -> str:
    """What a worker does."""
    return registry.register([number % 3], f"w:{number}:all", "model").artifact_id


def in_a_fork(act: Callable[[], object]) -> None:
    """Let a forked child do something, which must succeed there."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            act()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_workers_join_the_run(registry: ArtifactRegistry, backend: str) -> None:
    with ArtifactRegistry(registry.workspace, "wheat") as other:
        with registry.run():
            told = joblib.Parallel(2, backend=backend)(joblib.delayed(fit)(registry, n) for n in range(12))
            assert sorted(told) == sorted(record.artifact_id for record in registry.get_all_records())
            assert len(other) == 0
        assert len(other) == 12
        assert other.get_stats()["unique_files"] == 3


def test_a_joined_registry_leaves_without_ending_the_run(registry: ArtifactRegistry) -> None:
    with registry.run() as run:
        joined: ArtifactRegistry = pickle.loads(pickle.dumps(registry))
        joined.register(1, "p:1:all", "model")
        joined.end_run()
        worker: ArtifactRegistry = pickle.loads(pickle.dumps(registry))
        worker.register(2, "p:2:all", "model")
        assert worker.cleanup_failed_run() == 1
        assert [record.artifact_id for record in registry.get_all_records()] == ["p:1:all"]
        late: ArtifactRegistry = pickle.loads(pickle.dumps(registry))
    with pytest.raises(RunClosedError, match=f"run {run.run_id} was committed"):
        late.register(3, "p:3:all", "model")
    for each in (joined, worker, late):
        each.close()
    assert len(registry) == 1


def test_a_run_whose_owner_was_killed_is_rolled_back_by_the_next(registry: ArtifactRegistry) -> None:
    registry.register("shared", "p:0:all", "model")
    dead = subprocess.run(
        [sys.executable, "-c", DIE, str(registry.workspace)], capture_output=True, check=False
    )
    assert dead.returncode == -signal.SIGKILL, dead.stderr
    assert len(list(registry.binaries_dir.iterdir())) == 2
    with ArtifactRegistry(registry.workspace, "wheat") as other:
        assert [record.artifact_id for record in other.get_all_records()] == ["p:0:all"]
        assert other.history("p:1:all")[0].standing == "rolled back"
        assert len(list(other.binaries_dir.iterdir())) == 1
    segment = next((registry.workspace / "log" / "wheat" / "segments").iterdir())
    assert '"reason":"crash"' in segment.read_text()
    assert list((registry.workspace / "log" / "wheat" / "runs").iterdir()) == []


def test_a_sweep_that_is_still_at_its_unlinks_takes_no_new_artifact(
    registry: ArtifactRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A registration between a sweep's event and its unlink finds its file there, and then not."""
    registry.register([0], "old:1:all", "model")
    threads: list[threading.Thread] = []
    at_the_lock = threading.Event()
    with ArtifactRegistry(registry.workspace, "wheat") as other:
        held, remove = other._data._lock.held, registry._data.files.remove

        def arriving() -> Any:
            at_the_lock.set()
            return held()

        def slow(path: Path) -> bool:
            if path.is_relative_to(registry.binaries_dir) and not threads:
                threads.append(threading.Thread(target=other.register, args=([0], "new:1:all", "model")))
                threads[0].start()
                at_the_lock.wait(30)
            return remove(path)

        monkeypatch.setattr(other._data._lock, "held", arriving)
        monkeypatch.setattr(registry._data.files, "remove", slow)
        registry.delete_pipeline_artifacts("old", delete_files=True)
        threads[0].join()
        assert other.load("new:1:all") == [0]


def test_verifying_while_others_delete_gives_no_false_alarm(
    registry: ArtifactRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.register([0], "old:1:all", "model")
    with ArtifactRegistry(registry.workspace, "wheat") as other:
        digest = registry._data.blobs.digest
        looked: list[str] = []

        def late(path: str, *args: Any) -> Any:
            other.delete_pipeline_artifacts("old", delete_files=True)
            looked.append(path)
            return digest(path, *args)

        monkeypatch.setattr(registry._data.blobs, "digest", late)
        assert registry.verify().ok
        assert len(looked) == 1


def test_the_collector_removes_what_dead_processes_left(registry: ArtifactRegistry) -> None:
    folder = registry.workspace / "log" / "wheat"
    registry.register("kept", "p:1:all", "model")
    with registry.run() as run, ArtifactRegistry(registry.workspace, "wheat") as other:
        (folder / "runs" / "20260101T000000-0123456789ab.lock").touch()
        old, new = folder / "aside" / "old", folder / "aside" / "new"
        old.write_bytes(b"half a mod")
        new.write_bytes(b"half a mod")
        os.utime(old, (0, 0))
        assert other.delete_orphaned_artifacts(dry_run=True) == ([], 0)
        assert old.exists()
        assert other.delete_orphaned_artifacts(dry_run=False) == ([], 0)
        assert [path.name for path in (folder / "runs").iterdir()] == [f"{run.run_id}.lock"]
        assert list((folder / "aside").iterdir()) == [new]
        registry.register("mine", "p:2:all", "model")
    assert list((folder / "runs").iterdir()) == []


def test_a_living_run_is_left_alone(registry: ArtifactRegistry) -> None:
    with registry.run():
        registry.register("open", "p:1:all", "model")
        with ArtifactRegistry(registry.workspace, "wheat") as other:
            assert other.delete_orphaned_artifacts(dry_run=False) == ([], 0)
            with pytest.raises(ConflictError, match="runs of living processes are open"):
                other.purge_dataset_artifacts(confirm=True)
        assert registry.load("p:1:all") == "open"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_does_not_let_go_of_its_parents_locks(registry: ArtifactRegistry) -> None:
    with registry.run():
        registry.register("open", "p:1:all", "model")
        in_a_fork(lambda: registry.register("from the child", "p:2:all", "model"))
        with ArtifactRegistry(registry.workspace, "wheat") as other:
            other.start_run()  # would roll ours back if our lock were free
            other.end_run()
        assert len(registry) == 2
    assert len(registry) == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_that_leaves_the_block_does_not_end_the_run(registry: ArtifactRegistry) -> None:
    with registry.run():
        registry.register("open", "p:1:all", "model")
        in_a_fork(lambda: registry._abandon(SystemExit(0)))  # what leaving the block by sys.exit comes to
        registry.register("still open", "p:2:all", "model")
    assert len(registry) == 2


def test_writers_at_once_lose_nothing(registry: ArtifactRegistry) -> None:
    count = 60
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITE, str(registry.workspace), name, str(count)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in "abcd"
    ]
    errors: list[BaseException] = []

    def write(name: str) -> None:
        try:
            for number in range(count):
                registry.register([name, number % 7], f"{name}:{number}:all", "model")
        except BaseException as error:  # noqa: BLE001 - told below
            errors.append(error)

    threads = [threading.Thread(target=write, args=(name,)) for name in "xyz"]
    for thread in threads:
        thread.start()
    told = [line for writer in writers for line in writer.communicate()[0].split()]
    for thread in threads:
        thread.join()
    assert errors == []
    assert [writer.returncode for writer in writers] == [0] * 4
    expected = told + [f"{name}:{number}:all" for name in "xyz" for number in range(count)]
    assert len(told) == 4 * count
    assert sorted(record.artifact_id for record in registry.iter_records()) == sorted(expected)
    assert len(list(registry.binaries_dir.iterdir())) == 7 * 7


def test_nothing_is_made_before_something_is_written(tmp_path: Path) -> None:
    with ArtifactRegistry(tmp_path / "new", "wheat") as registry:
        assert registry.get_all_records() == []
        assert registry.get_stats()["total_artifacts"] == 0
        assert registry.find_orphaned_artifacts() == []
        assert registry.verify().ok
    assert not (tmp_path / "new").exists()


def test_an_open_run_without_a_lock_file_is_rolled_back_without_making_one(
    registry: ArtifactRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut may have taken the file's name, and a disk without inodes would not take a new one."""
    registry.start_run()
    registry.register("open", "p:1:all", "model")
    lock = next((registry.workspace / "log" / "wheat" / "runs").iterdir())
    lock.unlink()
    monkeypatch.setattr("chainfold.storage.local.try_lock", lambda _: pytest.fail("a lock file was made"))
    with ArtifactRegistry(registry.workspace, "wheat") as other:
        assert other.history("p:1:all")[0].standing == "rolled back"
    assert registry.cleanup_failed_run() == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_fork_beside_a_busy_thread_works_on(registry: ArtifactRegistry) -> None:
    """The thread may hold what the child needs, or be in the middle of what the child reads."""
    registry.register("first", "p:0:all", "model")
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            registry.register(["busy", number % 9], f"busy:{number}:all", "model")

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for number in range(12):
            in_a_fork(
                lambda number=number: (  # type: ignore[misc]
                    registry.load("p:0:all"),
                    registry.register("from the child", f"c:{number}:all", "model"),
                    registry.cleanup_failed_run(),
                )
            )
    finally:
        stop.set()
        thread.join()
    assert registry.resolve("p:0:all") is not None, "the child took back what its parent had registered"
    assert registry.rebuild()
