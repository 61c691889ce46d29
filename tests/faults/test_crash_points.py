"""Every point at which a command can be cut off, tried one by one: by a kill, by a power cut, by a refusal.

What is found is the state before it or the state after it, whole; once it has returned, only the state after.
"""

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.faults.scenarios import SCENARIOS, Scenario, dying, power_cuts

from chainfold import registry
from chainfold.blobs import BlobStore
from chainfold.commands import registering
from chainfold.dataset import Dataset
from chainfold.errors import ChainfoldError
from chainfold.log import LocalLog
from chainfold.testing import FaultyFiles, MemoryFiles
from chainfold.testing.memory import MemoryFile


@pytest.fixture(scope="module")
def scenario_of() -> Callable[[str], Scenario]:
    known: dict[str, Scenario] = {}
    return lambda name: known.setdefault(name, known.get(name) or Scenario(name))


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_crash_at_every_point(name: str, scenario_of: Callable[[str], Scenario]) -> None:
    """Before each operation, and (where one can be half done) in the middle of it."""
    scenario = scenario_of(name)
    for number in range(len(scenario.done)):
        for landed in (0.0, 0.5):
            crashed = scenario.disk()
            files = FaultyFiles(MemoryFiles(crashed))
            files.fail_at, files.landed, files.crashes = number, landed, True
            with dying():
                scenario.run(files)
            assert files.dead, (number, files.done, scenario.done)
            for choose in [None, *power_cuts(crashed)]:
                disk = crashed.copy()
                if choose is not None:
                    disk.power_cut(choose)
                try:
                    scenario.checked(disk, scenario.states, then_cut=choose is None)
                except Exception as error:
                    raise AssertionError(
                        f"{name}: {'killed' if choose is None else 'power cut'} at operation {number} of "
                        f"{scenario.done}, {landed} of it done"
                    ) from error


@pytest.mark.parametrize("name", SCENARIOS)
def test_what_has_returned_survives_a_power_cut(name: str, scenario_of: Callable[[str], Scenario]) -> None:
    scenario = scenario_of(name)
    done = scenario.disk()
    scenario.run(FaultyFiles(MemoryFiles(done)))
    for choose in power_cuts(done):
        disk = done.copy()
        disk.power_cut(choose)
        try:
            scenario.checked(disk, [scenario.after])
        except Exception as error:
            raise AssertionError(f"{name}: power cut after it had returned") from error


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
@pytest.mark.parametrize("name", SCENARIOS)
def test_a_refusal_at_every_point(name: str, number: int, scenario_of: Callable[[str], Scenario]) -> None:
    """Lost and failed, half done and failed, done and failed: nothing acknowledged is lost by it."""
    scenario = scenario_of(name)
    for at in range(len(scenario.done)):
        for landed in (0.0, 0.5, 1.0):
            failed = scenario.disk()
            process = MemoryFiles(failed)
            files = FaultyFiles(process, number)
            files.on_lost_sync = process.drop
            files.fail_at, files.landed = at, landed
            states = scenario.states
            try:
                scenario.run(files)
                states = [scenario.after]
            except ChainfoldError:
                pass
            for cut in (False, True):
                disk = failed.copy()
                if cut:
                    disk.power_cut(lambda _: 0)
                try:
                    scenario.checked(disk, states, then_cut=not cut)
                except Exception as error:
                    raise AssertionError(
                        f"{name}: refused at operation {at} of {scenario.done}, {landed} of it done, "
                        f"{'then a power cut' if cut else 'no power cut'}"
                    ) from error


def _forget(*_: Any, **__: Any) -> None:
    """What should have been done is not."""


def _forget_segments(self: MemoryFiles, folder: Path) -> None:
    if folder.name != "segments":
        SYNC_FOLDER(self, folder)


def _forget_blobs(self: MemoryFiles, folder: Path) -> None:
    if folder.name == "segments":
        SYNC_FOLDER(self, folder)


def _write_without_sync(self: MemoryFiles, path: Path, data: bytes, *, sync: bool) -> None:
    WRITE_NEW(self, path, data, sync=False)


def _append_without_sync(self: LocalLog, events: Any, *, actor: str, run: Any = None, sync: bool) -> Any:
    return APPEND(self, events, actor=actor, run=run, sync=False)


def _keep_without_sync(store: BlobStore, files: dict[str, bytes]) -> None:
    for path, data in files.items():
        store.name(store.write_aside(data, sync=False), path)


SYNC_FOLDER, WRITE_NEW, APPEND = MemoryFiles.sync_folder, MemoryFiles.write_new, LocalLog.append
PLANTED: dict[str, tuple[str, Any, str, Any]] = {
    "the log is not synced": ("register", MemoryFile, "sync", _forget),
    "a blob is not synced": ("register", MemoryFiles, "write_new", _write_without_sync),
    "the blobs of a run are not synced": ("commit", MemoryFiles, "sync", _forget),
    "a blob's name is not synced": ("register", MemoryFiles, "sync_folder", _forget_blobs),
    "a new segment's name is not synced": ("first of all", MemoryFiles, "sync_folder", _forget_segments),
    "files go before the event is durable": ("delete", LocalLog, "append", _append_without_sync),
    "what was kept is not synced": ("register in doubt", Dataset, "secure", _forget),
    "what is private is not synced": ("register privately", registering, "keep", _keep_without_sync),
    "it goes before the event is durable": ("erase", LocalLog, "append", _append_without_sync),
    "an erasure is not finished": ("erase", registry, "finish_if_possible", _forget),
}


@pytest.mark.parametrize("bug", PLANTED)
def test_planted_bugs_are_found(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests above can fail, and do for each of these."""
    name, owner, attribute, instead = PLANTED[bug]
    monkeypatch.setattr(owner, attribute, instead)
    scenario = Scenario(name)
    with pytest.raises(AssertionError, match=r"killed|power cut|findings|found|missing"):
        for test in (test_a_crash_at_every_point, test_what_has_returned_survives_a_power_cut):
            test(name, lambda _: scenario)
