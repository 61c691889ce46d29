"""Faults at system calls of a real process; see `tracing`. A soak runs more of them, at other calls."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.faults.disks import command, refusal
from tests.faults.requirements import need, need_programs, need_root


@pytest.fixture(autouse=True)
def tracer(tmp_path: Path) -> None:
    """A machine where processes can be traced."""
    need_root()
    need_programs("strace", "mount", "umount")
    why = refusal("tmpfs", tmp_path)
    need(not why, f"tmpfs: {why}")
    try:
        command("strace", "-o", "/dev/null", "true")
    except OSError as error:
        why = str(error)
    need(not why, f"processes that may be traced: {why}")


def traced(sort: str, cases: int) -> dict[str, Any]:
    """The figures of so many cases, in a process of one thread: it forks."""
    words = [sys.executable, "-m", "tests.faults.tracing", "--sort", sort, "--cases", str(cases)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode in {0, 1}, done.stderr
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert figures["broke"] == [], figures["broke"][0]
    assert figures["cases"] == cases
    return figures


def test_a_sync_that_fails_acknowledges_nothing_and_loses_nothing() -> None:
    """Nor does the registry that has met it acknowledge anything until it is opened anew."""
    figures = traced("sync", 10)
    assert figures["calls"].keys() == {"fdatasync:error=EIO", "fsync:error=EIO"}


def test_a_disk_that_is_full_at_any_call_loses_nothing() -> None:
    assert traced("full", 15)["failed"] > 0


def test_storage_that_fails_at_any_call_loses_nothing_and_says_so() -> None:
    """Whatever the system refuses comes up as a StorageError: any other error would break the writer."""
    assert traced("failing", 14)["failed"] > 0


def test_who_is_killed_at_any_call_loses_nothing_that_was_acknowledged() -> None:
    assert traced("kill", 18)["killed"] > 9
