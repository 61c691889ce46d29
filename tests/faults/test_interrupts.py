"""Ctrl-C, or any exception from outside, at any line: nothing is lost, held for ever, or half known.

The registry that was interrupted goes on, and knows what others know. CHAINFOLD_EXAMPLES tries every line.
"""

import linecache
import os
import shutil
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from tests.faults.scenarios import SCENARIOS, Scenario, opened
from tests.faults.workload import content, register

import chainfold
from chainfold import ArtifactRegistry
from chainfold.errors import StorageError
from chainfold.testing import MemoryFiles

SOURCE = str(Path(chainfold.__file__).parent)
STEP = 1 if os.environ.get("CHAINFOLD_EXAMPLES") else 23
NAMES = (
    "register",
    "register what is live",
    "commit",
    "roll back",
    "delete",
    "take back",
    "register privately",
    "roll back privately",
    "erase",
    "collect",
    "recover",
)


def interrupted(at: int, act: Callable[[], object]) -> bool:
    """Let Ctrl-C come at the so manieth line of ours; False if there are not so many."""
    left = at

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal left
        if not frame.f_code.co_filename.startswith(SOURCE) or "/testing/" in frame.f_code.co_filename:
            return None
        if event == "line" and _can_be_interrupted(frame):
            left -= 1
            if left == 0:
                sys.settrace(None)
                raise KeyboardInterrupt
        return trace

    sys.settrace(trace)
    try:
        act()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(None)
    return False


def _can_be_interrupted(frame: FrameType) -> bool:
    """Signals are looked for after calls and in loops: neither where nothing is done, nor on leaving `with`.

    The tracer is called at the line of a `with` once more before its `__exit__`, where no signal ever comes.
    """
    line = linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip()
    return line not in {"try:", "finally:"} and not line.startswith("with ")


@pytest.mark.parametrize("name", [name for name in SCENARIOS if name in NAMES])
def test_an_interrupt_at_any_line(name: str) -> None:
    """What others find is the state before or after; the interrupted registry sees the same, and goes on."""
    scenario = Scenario(name)
    at, is_over = 1, False
    while not is_over:
        disk = scenario.disk()
        registry = opened(MemoryFiles(disk))
        is_over = not interrupted(at, lambda: scenario.act(registry))  # noqa: B023 - called at once
        registry.cleanup_failed_run() if registry._run is not None else None
        register(registry, "a-2:3:all", 9, 90)
        with opened(MemoryFiles(disk)) as other:
            known = [(each.artifact_id, each.params["serial"]) for each in other.iter_records()]
            mine = [(each.artifact_id, each.params["serial"]) for each in registry.iter_records()]
            assert mine == known, (name, at)
            assert registry.rebuild(), (name, at)
            assert other.verify().ok, (name, at, other.verify().findings)
            for each in other.iter_records():
                assert other.load_artifact(each) == content(each.params["c"]), (name, at)
        states = [{**state, "live": {**state["live"], "a-2:3:all": (9, 90)}} for state in scenario.states]
        scenario.checked(disk, states)
        at += STEP
    assert at > STEP


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # files that nobody closed
def test_an_interrupt_at_any_line_lets_go_of_the_lock(tmp_path: Path) -> None:
    """On real files: another thread, and another object, get it at once."""
    at, is_over = 1, False
    registry = ArtifactRegistry(tmp_path / "workspace", "wheat")
    registry.register(content(0), "a:0:all", "model")
    while not is_over:
        assert len(registry) > 0  # what was in doubt is replayed before the next interrupt
        is_over = not interrupted(at, lambda: registry.register(content(1), f"a:{at}:all", "model"))  # noqa: B023
        entered = threading.Event()

        def enter(entered: threading.Event = entered) -> None:
            with ArtifactRegistry(tmp_path / "workspace", "wheat") as other:
                other.set_alias("x", None)
            entered.set()

        thread = threading.Thread(target=enter, daemon=True)
        thread.start()
        assert entered.wait(20), f"the lock is held after an interrupt at line {at}"
        at += STEP
    registry.set_alias("y", None)
    assert registry.rebuild()
    assert registry.verify().ok


# Workspaces that are not what they were


def removed(workspace: Path) -> None:
    shutil.rmtree(workspace)


def made_again(workspace: Path) -> None:
    shutil.rmtree(workspace)
    with ArtifactRegistry(workspace, "wheat") as other:
        other.register(content(1), "new:0:all", "model")


def segment_replaced(workspace: Path) -> None:
    segment = next((workspace / "log" / "wheat" / "segments").iterdir())
    shutil.copy(segment, segment.with_suffix(".copy"))
    segment.with_suffix(".copy").rename(segment)


ACTS: dict[str, Callable[[ArtifactRegistry], object]] = {
    "register": lambda registry: registry.register(content(2), "late:0:all", "model"),
    "set_alias": lambda registry: registry.set_alias("x", None),
    "delete": lambda registry: registry.delete_pipeline_artifacts("old", delete_files=True),
    "collect": lambda registry: registry.delete_orphaned_artifacts(dry_run=False),
    "purge": lambda registry: registry.purge_dataset_artifacts(confirm=True),
    "take back": lambda registry: registry.cleanup_failed_run(),
}


@pytest.mark.skipif(sys.platform == "win32", reason="files that are open stay there")
@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("change", [removed, made_again, segment_replaced])
def test_a_registry_whose_workspace_was_replaced_changes_nothing(
    tmp_path: Path, change: Callable[[Path], None], act: str
) -> None:
    """It would acknowledge into files that nobody finds, and take away those of the new one."""
    workspace = tmp_path / "workspace"
    registry = ArtifactRegistry(workspace, "wheat")
    registry.register(content(1), "old:0:all", "model")
    change(workspace)
    with pytest.raises(StorageError, match="no longer the one that was opened"):
        ACTS[act](registry)
    registry.close()
    with ArtifactRegistry(workspace, "wheat") as again:
        again.register(content(3), "again:0:all", "model")
        assert again.load("again:0:all") == content(3)
        assert again.verify().ok
        assert len(again) == (1 if change is removed else 2)


def test_the_locks_of_a_dataset_may_be_removed(tmp_path: Path) -> None:
    """Whoever has the old ones open turns to the new ones."""
    with ArtifactRegistry(tmp_path, "wheat") as one, ArtifactRegistry(tmp_path, "wheat") as two:
        one.register(content(1), "a:0:all", "model")
        for path in (tmp_path / "log" / "wheat").glob("lock*"):
            path.unlink()
        two.register(content(2), "a:1:all", "model")
        with two._data._lock.held():
            thread = threading.Thread(target=one.register, args=(content(3), "a:2:all", "model"), daemon=True)
            thread.start()
            thread.join(0.2)
            assert thread.is_alive(), "both have the lock"
        thread.join(60)
        assert len(two) == 3
