"""The power fails under writers, on real file systems; see `power`. A soak runs it for longer."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.faults.disks import refusal
from tests.faults.requirements import need, need_programs, need_root


@pytest.fixture(params=["ext4", "xfs"])
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A file system that can be had here."""
    name: str = request.param
    need_root()
    need_programs("mount", "umount", "truncate", f"mkfs.{name}")
    why = refusal(name, tmp_path)
    need(not why, f"{name} on a loop device: {why}")
    return name


def cut(kind: str, cycles: int, planted: str | None = None) -> dict[str, Any]:
    """The figures of so many power cuts, in a process of one thread: it forks."""
    words = [sys.executable, "-m", "tests.faults.power", "--fs", kind, "--cycles", str(cycles)]
    words += ["--planted", planted] if planted else []
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode in {0, 1}, done.stderr
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert bool(figures["lost"]) == (done.returncode == 1)
    return figures


def test_what_was_acknowledged_survives_power_cuts(kind: str) -> None:
    figures = cut(kind, cycles=25)
    assert figures["lost"] is None, figures["lost"]
    assert figures["cuts"] == 25
    assert figures["acknowledged"] > 0


@pytest.mark.parametrize("planted", ["log not synced", "blob not synced"])
def test_a_sync_that_is_missing_is_found_out(kind: str, planted: str) -> None:
    """These two file systems hide a folder's sync that is missing; a file's they do not."""
    figures = cut(kind, cycles=60, planted=planted)
    assert figures["lost"], f"{planted}: {figures['acknowledged']} commands survived {figures['cuts']} cuts"
