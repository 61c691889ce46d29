"""What is promised, on a file system that keeps only what was synced; planted bugs are found there."""

import contextlib
import itertools
import json
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from tests.faults.expectation import Expectation, check
from tests.faults.mounting import Mounted
from tests.faults.planted import PLANTED
from tests.faults.strict import Child
from tests.faults.strict_fs import LOSES_ALL
from tests.faults.workload import Writer

ROOT: Final = Path(__file__).resolve().parents[2]
# Nothing here waits for another thread in a forked child.
pytestmark = pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")


def die_at(mounted: Mounted, change: int, work: Callable[[Any], None]) -> bool:
    """Do something in a process that is killed before a change; whether it came so far."""
    mounted.kill(change)
    child = Child(work, Expectation(""))
    while not child.is_over:
        child.listen()
    mounted.power_on()
    assert child.status in {0, -9}
    return child.status == -9


BEGINNING: Final[list[list[Any]]] = [
    ["register", "a-0:0:all", 1, 1],
    ["run", ["a-1:0:all", 2, 2], ["a-1:1:all", 5, 3], ["a-0:1:all", 4, 4]],
    ["alias", "a-production", "a-1:0:all"],
]
FIRST: Final[dict[str, list[Any]]] = {
    "register": ["register", "a-0:0:all", 3, 7],
    "register with large params": ["register", "a-0:0:all", 3, 16],
    "commit": ["run", ["a-0:0:all", 3, 7], ["a-0:1:all", 4, 8]],
}
LATER: Final[dict[str, list[Any]]] = {
    "register": ["register", "a-2:0:all", 3, 7],
    "commit": ["run", ["a-0:0:all", 3, 7], ["a-2:1:all", 1, 8]],
    "roll back": ["undone", ["a-0:0:all", 3, 7], ["a-2:1:all", 1, 8]],
    "delete": ["delete", "a-1", True],
    "purge": ["purge"],
}


def half_done_then_cut(
    mounted: Mounted, workspace: Path, change: int, beginning: list[list[Any]], commands: list[list[Any]]
) -> bool:
    """One process dies in the first command, another does the second, the power goes; whether one died."""
    expectation = Expectation("a")
    writer = Writer(workspace, "a", 0, expectation.take, large_every=16)

    def do(command: list[Any]) -> None:
        expectation.take({"begin": command})
        writer.do(command)
        expectation.take({"end": "done"})

    for command in beginning:
        do(command)
    writer.reopen()
    expectation.take({"begin": commands[0]})
    came = die_at(mounted, change, lambda _: writer.do(commands[0]))
    expectation.interrupt()
    do(commands[1])
    writer.reopen()
    mounted.cut_and_restore(LOSES_ALL)
    try:
        check(workspace, [expectation])
    except Exception as error:
        raise AssertionError(f"killed at change {change}") from error
    return came


@pytest.mark.parametrize("name", FIRST)
def test_what_one_leaves_half_done_the_next_makes_durable(mounted: Mounted, folder: Path, name: str) -> None:
    """A process dies at any operation of the first use; another does the same, and then the power is cut."""
    for change in itertools.count(1):
        commands = [FIRST[name], FIRST[name]]
        if not half_done_then_cut(mounted, folder / str(change), change, [], commands):
            break
    assert change > 5, "hardly anyone was killed"


@pytest.mark.parametrize("name", LATER)
def test_who_dies_at_any_operation_leaves_nothing_that_harms_the_next(
    mounted: Mounted, folder: Path, name: str
) -> None:
    """The next one registers the same content, and then the power is cut."""
    for change in itertools.count(1):
        commands = [LATER[name], ["register", "a-1:1:all", 3, 9]]
        if not half_done_then_cut(mounted, folder / str(change), change, BEGINNING, commands):
            break
    assert change > 5, "hardly anyone was killed"


def drive(*arguments: object) -> tuple[int, dict[str, Any]]:
    """The driver, in a process of its own: it forks, which a process with threads must not."""
    command = [sys.executable, "-m", "tests.faults.strict", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    figures: dict[str, Any] = {"lost": done.stderr}
    with contextlib.suppress(IndexError, ValueError):
        figures = json.loads(done.stdout.splitlines()[-1])
    return done.returncode, figures


@pytest.mark.usefixtures("mounted")
def test_nothing_acknowledged_is_lost() -> None:
    status, figures = drive("--seconds", 8, "--seed", random.randrange(10**6))
    assert (status, figures["lost"]) == (0, ""), figures
    assert figures["acknowledged"]


@pytest.mark.usefixtures("mounted")
@pytest.mark.parametrize("bug", PLANTED)
def test_planted_bugs_are_found(bug: str) -> None:
    """The test above can fail, and does for each of these."""
    status, figures = drive("--cycles", 60, "--seed", 1, "--planted", bug)
    assert status == 0, figures
