"""Snapshots cut off at every point, and what they may have seen that a power cut then took."""

import errno
from collections.abc import Iterator
from typing import Final

import pytest
from hypothesis import settings
from tests.faults import scenarios
from tests.faults.expectation import State
from tests.faults.scenarios import SCENARIOS, Scenario, begun, opened
from tests.faults.test_interrupts import interrupted
from tests.faults.test_power_laws import EXAMPLES, PowerLaws
from tests.faults.workload import register
from tests.snapshotting import save_often, small_blocks

from chainfold import ArtifactRegistry
from chainfold.dataset import Dataset
from chainfold.testing import FaultyFiles, MemoryDisk, MemoryFiles
from chainfold.testing.disk import Choose

pytestmark = [
    pytest.mark.timeout(0 if EXAMPLES else 300),
    pytest.mark.filterwarnings("ignore:.* stands, but files:UserWarning"),
]


def saving(registry: ArtifactRegistry) -> None:
    registry._data._save()


def saving_in_a_run(registry: ArtifactRegistry) -> None:
    """What it covers is not durable yet."""
    registry.start_run()
    for number in range(4):
        register(registry, f"a-0:{number}:all", 8, 50 + number)
    saving(registry)


def with_a_snapshot() -> MemoryDisk:
    """As `begun`, with a snapshot of it."""
    disk = begun()
    with opened(MemoryFiles(disk)) as registry:
        saving(registry)
        registry.set_alias("a-candidate", "a-1:1:all")
    return disk


SAVES: Final = {
    "save": (begun, saving),
    "save again": (with_a_snapshot, saving),
    "save in a run": (begun, saving_in_a_run),
    "save in a run again": (with_a_snapshot, saving_in_a_run),
}
OFTEN: Final = ("commit", "leave a run", "purge in a run")


@pytest.fixture(params=[*SAVES, *OFTEN])
def scenario(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Scenario:
    """One that saves, or one of the others with a snapshot after each step."""
    if request.param in SAVES:
        monkeypatch.setitem(SCENARIOS, request.param, SAVES[request.param])
    else:
        save_often(monkeypatch, 4)
    return Scenario(request.param)


def points(scenario: Scenario) -> list[int]:
    """Where it is cut off: most operations write one more section, so of those only some."""
    done = scenario.done
    return [at for at, what in enumerate(done) if EXAMPLES or what != "append" or at % 11 == 3]


def cuts(disk: MemoryDisk) -> list[Choose | None]:
    """None, and some of the ways in which a power cut may go."""
    found = list(scenarios.power_cuts(disk))
    return [None, *(found if EXAMPLES else [*found[:2], *found[2::97]])]


def check(scenario: Scenario, disk: MemoryDisk, states: list[State], why: object) -> None:
    for choose in cuts(disk):
        after = disk.copy()
        if choose is not None:
            after.power_cut(choose)
        try:
            scenario.checked(after, states, then_cut=choose is None)
        except Exception as error:
            raise AssertionError(f"{why}: {'power cut' if choose else 'no power cut'}") from error


def test_a_crash_at_every_point(scenario: Scenario) -> None:
    """Killed, or without power, at any operation: what is found is the state before or after, and whole."""
    for at in points(scenario):
        for landed in (0.0, 0.5):
            disk = scenario.disk()
            files = FaultyFiles(MemoryFiles(disk))
            files.fail_at, files.landed, files.crashes = at, landed, True
            with scenarios.dying():
                scenario.run(files)
            assert files.dead
            check(scenario, disk, scenario.states, (at, landed, scenario.done))


def test_what_has_returned_survives_a_power_cut(scenario: Scenario) -> None:
    disk = scenario.disk()
    scenario.run(FaultyFiles(MemoryFiles(disk)))
    check(scenario, disk, [scenario.after], "done")


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
@pytest.mark.parametrize("name", ["save", "save again"])
def test_a_refusal_at_every_point(name: str, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """No error of a snapshot reaches the caller: there is one less, and the registry goes on."""
    monkeypatch.setitem(SCENARIOS, name, SAVES[name])
    scenario = Scenario(name)
    for at in range(len(scenario.done)):
        for landed in (0.0, 0.5, 1.0):
            disk = scenario.disk()
            files = FaultyFiles(MemoryFiles(disk), number)
            files.fail_at, files.landed = at, landed
            registry = opened(files)
            saving(registry)
            register(registry, "a-2:3:all", 9, 90)
            with opened(MemoryFiles(disk)) as other:
                assert [each.to_dict() for each in registry.iter_records()] == [
                    each.to_dict() for each in other.iter_records()
                ]
                assert other.verify().ok


@pytest.mark.parametrize("name", SAVES)
def test_an_interrupt_at_any_line(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The registry that was interrupted while it saved goes on, and knows what others know."""
    monkeypatch.setitem(SCENARIOS, name, SAVES[name])
    scenario = Scenario(name)
    at, is_over = 1, False
    while not is_over:
        disk = scenario.disk()
        registry = opened(MemoryFiles(disk))
        is_over = not interrupted(at, lambda: scenario.act(registry))  # noqa: B023 - called at once
        registry.cleanup_failed_run() if registry._run is not None else None
        register(registry, "a-2:3:all", 9, 90)
        with opened(MemoryFiles(disk)) as other:
            mine = [each.to_dict() for each in registry.iter_records()]
            assert mine == [each.to_dict() for each in other.iter_records()], at
            assert registry.rebuild(), at
            assert other.verify().ok, (at, other.verify().findings)
        at += 1 if EXAMPLES else 37


def holes(disk: MemoryDisk) -> Iterator[MemoryDisk]:
    """After power cuts that took one thing each: the last entries may survive where earlier ones do not."""
    asked, lost, count = 0, -1, 1

    def choose(number: int) -> int:
        nonlocal asked
        asked += 1
        return 0 if asked - 1 == lost else number - 1

    while lost < count:
        asked, after = 0, disk.copy()
        after.power_cut(choose)
        yield after
        lost, count = lost + 1, asked


def test_a_hole_before_the_last_entry() -> None:
    """A snapshot of what was not durable is believed only if all of that has survived, not its end alone."""
    disk = begun()
    registry = opened(MemoryFiles(disk))
    registry.start_run()
    for number in range(8):
        register(registry, f"a-0:{number}:all", 1, 100 + number)
    saving(registry)
    seen = set()
    for after in holes(disk):
        with opened(MemoryFiles(after)) as again:
            assert again.verify().ok, again.verify().findings
            register(again, "a-0:0:all", 1, 200)
            assert again.verify().ok, again.verify().findings
            seen.add(again.position)
    assert len(seen) > 2, "some cuts have left holes"


class SavingPowerLaws(PowerLaws):
    """Those of `test_power_laws`, with snapshots all the time."""


@pytest.fixture(autouse=True)
def own_settings(request: pytest.FixtureRequest) -> Iterator[None]:
    """Snapshots at each step for the machine, and its segment size for nobody else."""
    defaults = Dataset.__init__.__kwdefaults__
    assert defaults is not None
    before = defaults["segment_bytes"]
    with pytest.MonkeyPatch.context() as patch:
        if request.cls is not None:
            small_blocks(patch, 512)
            save_often(patch, 2, 5)
        yield
    defaults["segment_bytes"] = before


TestSavingPowerLaws = SavingPowerLaws.TestCase
TestSavingPowerLaws.settings = settings(
    max_examples=max(EXAMPLES, 30), stateful_step_count=30, report_multiple_bugs=False
)
