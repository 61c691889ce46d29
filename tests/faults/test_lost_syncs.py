"""A sync that fails may have lost what it should have written, and the next one succeeds without it.

So nothing is acknowledged on top of it: neither by who has seen the error, nor by who has not.
"""

from collections.abc import Callable
from typing import Any

import pytest
from tests.faults.scenarios import ROOT, opened
from tests.faults.workload import content

from chainfold import ArtifactRegistry
from chainfold.errors import StorageError
from chainfold.testing import Crash, FaultyFiles, MemoryDisk, MemoryFiles


class Machine:
    """A disk, and a process on it whose syncs can fail."""

    def __init__(self) -> None:
        self.disk = MemoryDisk()
        inner = MemoryFiles(self.disk)
        self.files = FaultyFiles(inner)
        self.files.on_lost_sync = inner.drop
        self.registry = opened(self.files)
        self.registry.register(content(1), "first:0:all", "model")

    def other(self) -> ArtifactRegistry:
        """Another process, which has seen no error."""
        return opened(MemoryFiles(self.disk))

    def after_a_power_cut(self) -> ArtifactRegistry:
        """All that was not synced is lost."""
        self.disk.power_cut(lambda _: 0)
        found = self.other()
        assert found.verify().ok
        return found


@pytest.fixture
def machine() -> Machine:
    return Machine()


def failing(machine: Machine, kind: str, act: Callable[[], object]) -> None:
    machine.files.refuse = {kind}
    with pytest.raises(StorageError, match="check the disk, then reopen the workspace"):
        act()
    machine.files.refuse = set()


def test_who_has_seen_a_failed_sync_of_the_log_acknowledges_nothing_more(machine: Machine) -> None:
    failing(machine, "sync", lambda: machine.registry.set_alias("lost", "first:0:all"))
    for act in (
        lambda: machine.registry.set_alias("late", "first:0:all"),
        lambda: machine.registry.register(content(2), "late:0:all", "model"),
        machine.registry.start_run,
    ):
        with pytest.raises(StorageError, match="reopen the workspace"):
            act()
    assert list(machine.after_a_power_cut().aliases()) == []


def test_who_has_not_seen_it_writes_what_was_lost_again(machine: Machine) -> None:
    machine.registry.start_run()
    lost = [f"lost:{number}:all" for number in range(40)]  # some pages full
    for each in lost:
        machine.registry.register(content(2), each, "model")
    failing(machine, "sync", machine.registry.end_run)
    other = machine.other()
    expected = ["first:0:all", *lost]
    assert [each.artifact_id for each in other.iter_records()] == expected  # read, but not on the disk
    other.register(content(2), "on-top:0:all", "model")
    found = [each.artifact_id for each in machine.after_a_power_cut().iter_records()]
    assert found == [*expected, "on-top:0:all"]


def test_who_had_the_log_open_sees_the_error_too(machine: Machine) -> None:
    """The system tells everyone who had the file open, once."""
    other = machine.other()
    other.set_alias("open", "first:0:all")
    failing(machine, "sync", lambda: machine.registry.set_alias("lost", "first:0:all"))
    with pytest.raises(StorageError, match="reopen the workspace"):
        other.set_alias("late", "first:0:all")
    assert list(machine.after_a_power_cut().aliases()) == ["open"]


def test_a_commit_whose_files_could_not_be_synced_does_not_succeed_the_second_time(machine: Machine) -> None:
    registry = machine.registry
    registry.start_run()
    registry.register(content(2), "run:0:all", "model")
    failing(machine, "sync files", registry.end_run)
    with pytest.raises(StorageError, match="reopen the workspace"):
        registry.end_run()
    registry.close()
    with machine.other() as other:
        assert [each.artifact_id for each in other.iter_records()] == ["first:0:all"]
        assert other.history("run:0:all")[0].standing == "rolled back"


def deleting(registry: ArtifactRegistry) -> None:
    assert registry.delete_pipeline_artifacts("second") == 0


def collecting(registry: ArtifactRegistry) -> None:
    assert registry.delete_orphaned_artifacts(dry_run=False) == ([], 0)


def taking_back(registry: ArtifactRegistry) -> None:
    assert registry.cleanup_failed_run() == 0


def failing_at_its_sync(machine: Machine) -> None:
    failing(machine, "sync", lambda: machine.registry.delete_pipeline_artifacts("second"))


def dying_at_its_sync(machine: Machine) -> None:
    machine.files.fail_at, machine.files.crashes = len(machine.files.done) + 1, True
    with pytest.raises(Crash):
        machine.registry.delete_pipeline_artifacts("second")
    assert machine.files.done[-2:] == ["append", "sync"]


@pytest.mark.parametrize(
    ("delete", "act"),
    [
        (failing_at_its_sync, deleting),
        (failing_at_its_sync, collecting),
        (dying_at_its_sync, deleting),
        (dying_at_its_sync, collecting),
        (dying_at_its_sync, taking_back),  # who had the log open at a failure is told
    ],
)
def test_who_is_told_that_nothing_is_left_to_do_may_rely_on_it(
    machine: Machine, delete: Callable[[Machine], None], act: Callable[[ArtifactRegistry], None]
) -> None:
    """It may be the work of a deletion that everyone reads, and that is not on the disk."""
    other = machine.other()
    other.register(content(1), "second:0:all", "model")  # its file is another's: there is nothing to sweep
    delete(machine)
    if act is not taking_back:
        other = machine.other()
    assert [each.artifact_id for each in other.iter_records()] == ["first:0:all"]
    act(other)
    found = machine.after_a_power_cut()
    assert [each.artifact_id for each in found.iter_records()] == ["first:0:all"]


def registering(registry: ArtifactRegistry) -> None:
    registry.register(content(2), "again:0:all", "model")


def registering_in_a_run(registry: ArtifactRegistry) -> None:
    with registry.run():
        registry.register(content(2), "again:0:all", "model")


def importing(registry: ArtifactRegistry) -> None:
    with registry.run():
        item: dict[str, Any] = registry.register(content(2), "x:0:all", "model").to_dict()
        registry.import_from_manifest([{**item, "artifact_id": "again:0:all"}], ROOT)


@pytest.mark.parametrize("act", [registering, registering_in_a_run, importing], ids=lambda act: act.__name__)
def test_a_file_whose_sync_has_failed_is_written_anew_for_others(
    machine: Machine, act: Callable[[ArtifactRegistry], None]
) -> None:
    """It is still there, and reads as it should: but only until the power goes."""
    machine.registry.start_run()
    machine.registry.register(content(2), "run:0:all", "model")
    failing(machine, "sync files", machine.registry.end_run)
    act(machine.other())
    assert machine.after_a_power_cut().load("again:0:all") == content(2)


def test_parameters_whose_sync_has_failed_are_written_anew_for_others(machine: Machine) -> None:
    large = {"x": "x" * 70_000}
    with pytest.raises(StorageError):
        machine.files.fail_at = len(machine.files.done) + 4  # the rename of the parameters' file is done
        machine.registry.register(content(2), "one:0:all", "model", params=large)
    inner = machine.files.inner
    assert isinstance(inner, MemoryFiles)
    for name, _ in inner.scan(ROOT / "log" / "wheat" / "details"):
        inner.drop(ROOT / "log" / "wheat" / "details" / name)
    other = machine.other()
    other.register(content(3), "two:0:all", "model", params=large)
    record = machine.after_a_power_cut().resolve("two:0:all")
    assert record is not None
    assert record.params == large
