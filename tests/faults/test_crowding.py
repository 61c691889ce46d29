"""Many processes and threads on one dataset: each position once, nothing lost, nobody left waiting."""

import logging
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import joblib
import pytest
from tests.faults.test_killing import drive

from chainfold import ArtifactRegistry
from chainfold.storage import LocalFiles, locks

HOLD = """
import os, sys, time
from pathlib import Path
from chainfold.storage import LocalFiles
with LocalFiles().lock(Path(sys.argv[1])).held():
    print("held", flush=True)
    time.sleep(600)
"""


def test_ten_thousand_operations_of_sixteen_writers_in_four_processes() -> None:
    """What each was told is what is there, and readers saw nothing by half meanwhile."""
    status, figures = drive(
        "tests.faults.crowding", "--operations", "10000", "--threads", "4", "--seed", str(os.getpid())
    )
    assert status == 0, figures
    assert figures["operations"] >= 10_000
    assert figures["looks"] > 0
    assert figures["lost"] == 0


def fit_some(registry: ArtifactRegistry, task: int) -> list[str]:
    """What a worker does."""
    return [
        registry.register([task, number % 5], f"w{task}:{number}:all", "model").artifact_id
        for number in range(25)
    ]


def test_loky_workers_share_one_run_while_others_write(registry: ArtifactRegistry, workspace: Path) -> None:
    stop = threading.Event()
    others: list[str] = []

    def write() -> None:
        with ArtifactRegistry(workspace, "wheat") as other:
            while not stop.is_set():
                others.append(
                    other.register(["other", len(others)], f"other:{len(others)}:all", "model").artifact_id
                )

    thread = threading.Thread(target=write)
    thread.start()
    try:
        with registry.run():
            parallel = joblib.Parallel(4, backend="loky", batch_size=4)
            told = parallel(joblib.delayed(fit_some)(registry, task) for task in range(80))
            with ArtifactRegistry(workspace, "wheat") as reader:
                assert not any(record.pipeline_id.startswith("w") for record in reader.iter_records())
    finally:
        stop.set()
        thread.join()
    expected = [artifact_id for some in told for artifact_id in some] + others
    assert len(expected) == 2_000 + len(others)
    assert sorted(record.artifact_id for record in registry.iter_records()) == sorted(expected)


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals there")
def test_who_waits_says_for_whom_and_goes_on_when_that_one_dies(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stopped process is waited for and named; its death frees the lock without a person."""
    monkeypatch.setattr(locks, "_PATIENCE_SECONDS", 0.05)
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "lock")], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        holder.send_signal(signal.SIGSTOP)
        told, entered = threading.Event(), threading.Event()

        class Ears(logging.Handler):
            def emit(self, _: logging.LogRecord) -> None:
                told.set()

        def enter() -> None:
            with LocalFiles().lock(tmp_path / "lock").held():
                entered.set()

        ears = Ears()
        locks.logger.addHandler(ears)
        waiter = threading.Thread(target=enter)
        waiter.start()
        assert told.wait(60)
        assert not entered.is_set()
        holder.kill()
        waiter.join(60)
        locks.logger.removeHandler(ears)
        assert entered.is_set()
    assert f":{holder.pid}: the wait ends when it goes on, or dies" in caplog.text
    assert str(tmp_path / "lock") in caplog.text


def test_threads_of_one_process_wait_for_each_other_and_say_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "_PATIENCE_SECONDS", 0.05)
    entered = threading.Event()

    def enter() -> None:
        with LocalFiles().lock(tmp_path / "lock").held():
            entered.set()

    waiter = threading.Thread(target=enter)
    with LocalFiles().lock(tmp_path / "lock").held():
        waiter.start()
        while "another thread of this process" not in caplog.text:
            assert not entered.wait(0.01)
    waiter.join()
    assert entered.is_set()


def test_a_workspace_that_was_removed_and_made_again_is_locked_anew(tmp_path: Path) -> None:
    """Else this process and others would hold the locks of different files."""
    old = LocalFiles().lock(tmp_path / "lock")
    with old.held():
        pass
    (tmp_path / "lock").unlink()
    with LocalFiles().lock(tmp_path / "lock").held():
        assert (tmp_path / "lock").exists()
