"""A hundred writers killed at random moments; and that this would find what it is there to find."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest
from tests.faults.killing import PLANTED


def drive(module: str, *arguments: str) -> tuple[int, dict[str, Any]]:
    """Run a driver in a process of its own, which has one thread, as it forks: status and figures."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", module, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout.splitlines()[-1])


def test_nothing_acknowledged_is_lost_by_kills() -> None:
    status, figures = drive("tests.faults.killing", "--cycles", "50", "--seed", str(os.getpid()))
    assert status == 0, figures
    assert figures["lost"] == 0
    assert figures["kills"] >= 50
    assert figures["acknowledged"] > 0


@pytest.mark.parametrize("bug", PLANTED)
def test_planted_bugs_are_found_by_kills(bug: str) -> None:
    status, figures = drive("tests.faults.killing", "--cycles", "200", "--planted", bug)
    assert status == 1
    assert figures["lost"] == 1
