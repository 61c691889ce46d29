"""Waiting for a lock that another process holds: asleep, and yet it can be interrupted, and speaks."""

import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock
import pytest

from chainfold.storage import LocalFiles, locks

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a wait is not asleep there")

HOLD = """
import sys
from pathlib import Path
from chainfold.storage import LocalFiles
with LocalFiles().lock(Path(sys.argv[1])).held():
    print("held", flush=True)
    sys.stdin.readline()
"""
WAIT = """
import logging, sys
from pathlib import Path
from chainfold.storage import LocalFiles, locks
locks._PATIENCE_SECONDS = 0.05
locks.logger.addHandler(logging.StreamHandler(sys.stdout))
lock = LocalFiles().lock(Path(sys.argv[1]))
try:
    with lock.held():
        print("entered", flush=True)
except KeyboardInterrupt:
    print("interrupted", flush=True)
sys.stdin.readline()
with lock.held():
    print("entered", flush=True)
"""


@contextmanager
def running(code: str, path: Path) -> "Iterator[subprocess.Popen[str]]":
    """A process that ends when it is told a line, or at the end of the block."""
    command = [sys.executable, "-c", code, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def said(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def tell(process: "subprocess.Popen[str]") -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


class Ears(logging.Handler):
    """Hears of a wait that is told."""

    def __init__(self, *, times: int = 1) -> None:
        super().__init__()
        self.heard: list[str] = []
        self.times = times
        self.told = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.heard.append(record.getMessage())
        if len(self.heard) >= self.times:
            self.told.set()

    def __enter__(self) -> "Ears":
        locks.logger.addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        locks.logger.removeHandler(self)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "_PATIENCE_SECONDS", 0.05)


def enter(path: Path, entered: threading.Event) -> threading.Thread:
    """Wait for a lock in a thread."""

    def work() -> None:
        with LocalFiles().lock(path).held():
            entered.set()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_an_interrupt_ends_a_wait_and_leaves_nothing_locked(tmp_path: Path) -> None:
    """Neither the lock nor the turn: others get them, and so does the same process when it comes again."""
    path, entered = tmp_path / "lock", threading.Event()
    with running(HOLD, path) as holder:
        assert said(holder) == "held\n"
        with running(WAIT, path) as waiter:
            assert said(waiter).startswith("waiting for")
            waiter.send_signal(signal.SIGINT)
            # One that comes just before the system call is seen when that ends: the next ends it.
            again = threading.Timer(20, waiter.send_signal, (signal.SIGINT,))
            again.start()
            while (line := said(waiter)).startswith("waiting for"):
                pass
            again.cancel()
            assert line == "interrupted\n"
            with Ears() as ears:
                thread = enter(path, entered)  # it waits for the holder, not for who was interrupted
                assert ears.told.wait(60)
            assert f":{holder.pid}:" in ears.heard[0]
            tell(holder)
            assert entered.wait(60)
            thread.join()
            tell(waiter)
            assert said(waiter) == "entered\n"


def test_who_waits_sleeps_and_speaks_again_and_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A look for the turn and one for the lock, however long it takes."""
    looks: list[int] = []
    look = filelock.lock_descriptor

    def counted(descriptor: int, *, blocking: bool = True) -> bool:
        looks.append(descriptor)
        return look(descriptor, blocking=blocking)

    path, entered = tmp_path / "lock", threading.Event()
    with running(HOLD, path) as holder:
        assert said(holder) == "held\n"
        monkeypatch.setattr(filelock, "lock_descriptor", counted)
        with Ears(times=3) as ears:
            thread = enter(path, entered)
            assert ears.told.wait(60)
            assert not entered.is_set()
            tell(holder)
            assert entered.wait(60)
            thread.join()
    assert len(looks) == 2
    assert all(f"{path}, held by " in text and f":{holder.pid}:" in text for text in ears.heard)


def test_a_wait_speaks_though_another_has_long_to_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has spoken twice is silent for twice as long; that is not for those who come later."""
    first, second = tmp_path / "first", tmp_path / "second"
    with running(HOLD, first) as one, running(HOLD, second) as two, Ears() as ears:
        assert said(one) == said(two) == "held\n"
        monkeypatch.setattr(locks, "_PATIENCE_SECONDS", 600.0)
        patient = enter(first, threading.Event())
        assert not ears.told.wait(0.2)  # asleep, most likely
        monkeypatch.setattr(locks, "_PATIENCE_SECONDS", 0.05)
        hasty = enter(second, threading.Event())
        assert ears.told.wait(60)
        assert f":{two.pid}:" in ears.heard[0]
        tell(one)
        tell(two)
        patient.join(60)
        hasty.join(60)


def test_where_no_thread_can_be_started_a_wait_looks_and_speaks_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    path, entered = tmp_path / "lock", threading.Event()
    with running(HOLD, path) as holder, Ears() as ears:
        assert said(holder) == "held\n"

        def release() -> None:
            assert ears.told.wait(60)
            tell(holder)

        releasing = threading.Thread(target=release)
        releasing.start()
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            with LocalFiles().lock(path).held():
                entered.set()
        releasing.join()
    assert f":{holder.pid}:" in ears.heard[0]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks")
def test_a_child_that_was_forked_beside_a_wait_speaks_for_itself(tmp_path: Path) -> None:
    """Not for its parent's waits: they are none of its own, and it would never see them end."""
    first, second = tmp_path / "first", tmp_path / "second"
    with running(HOLD, first) as one, running(HOLD, second) as two, Ears() as ears:
        assert said(one) == said(two) == "held\n"
        thread = enter(first, threading.Event())
        assert ears.told.wait(60)
        seeing, writing = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                # The file that pytest logs to may be locked, for ever: by the parent's thread, at the fork.
                locks.logger.propagate = False
                with Ears(times=3) as own:
                    enter(second, threading.Event())
                    own.told.wait(60)
                    os.write(writing, "\n".join(own.heard).encode())
            finally:
                os._exit(0)
        os.close(writing)
        with os.fdopen(seeing) as pipe:
            heard = pipe.read().splitlines()
        os.waitpid(child, 0)
        assert len(heard) >= 3
        assert all(f"{second}, held by " in text and f":{two.pid}:" in text for text in heard)
        tell(one)
        tell(two)
        thread.join(60)


def test_who_cannot_be_told_silences_nobody(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with running(HOLD, path) as holder, Ears(times=2) as ears:
        assert said(holder) == "held\n"
        heard = ears.heard

        class Deaf(logging.Filter):
            def filter(self, record: logging.LogRecord) -> bool:
                if not heard:
                    heard.append("")
                    raise ValueError(record)
                return True

        deaf = Deaf()
        locks.logger.addFilter(deaf)
        try:
            thread = enter(path, threading.Event())
            assert ears.told.wait(60)
        finally:
            locks.logger.removeFilter(deaf)
        tell(holder)
        thread.join(60)
