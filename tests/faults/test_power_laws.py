"""Two writers and a reader on a disk in memory, in any order, with kills, power cuts, refusals, a full disk.

CHAINFOLD_EXAMPLES raises the number of examples, for soaks.
"""

import errno
import os
import random
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.faults.expectation import Expectation, check, observed
from tests.faults.scenarios import ROOT, opened
from tests.faults.workload import Writer, register, small_segments

from chainfold.dataset import Dataset
from chainfold.errors import StorageError
from chainfold.testing import Crash, FaultyFiles, MemoryDisk, MemoryFiles

EXAMPLES = int(os.environ.get("CHAINFOLD_EXAMPLES", "0"))
pytestmark = [
    pytest.mark.timeout(0 if EXAMPLES else 300),
    pytest.mark.filterwarnings("ignore:.* stands, but files:UserWarning"),
]

NAMES = ("a", "b")


@pytest.fixture(autouse=True)
def own_segment_size() -> Iterator[None]:
    """What the machine below sets is its own."""
    defaults = Dataset.__init__.__kwdefaults__
    assert defaults is not None
    before = defaults["segment_bytes"]
    yield
    defaults["segment_bytes"] = before


who = st.sampled_from(NAMES)
seeds = st.integers(0, 2**32)
commands = st.sampled_from(
    sorted({"register", "run", "undone", "delete", "collect", "alias", "restore", "import"})
)


class Process:
    """A writer in a process of its own, and what may be found of it.

    Attributes:
        batch: The registrations of the run that is open over several steps; None if none is.
    """

    def __init__(self, disk: MemoryDisk, name: str) -> None:
        self.disk = disk
        self.name = name
        self.expectation = Expectation(name)
        self.batch: list[Any] | None = None
        self.serial = 0
        self.start()

    def start(self) -> None:
        """A new process; the one before is dead."""
        inner = MemoryFiles(self.disk)
        self.files = FaultyFiles(inner)
        self.files.on_lost_sync = inner.drop
        self.writer = Writer(ROOT, self.name, self.serial, self.expectation.take, files=self.files)
        self.serial += 1
        self.batch = None

    def kill(self) -> None:
        """End it as kill -9 does."""
        inner = self.files.inner
        assert isinstance(inner, MemoryFiles)
        inner.die()
        self.start()

    def attempt(self, command: list[Any], act: Any = None) -> bool:
        """Do a command, whatever becomes of it; whether it is acknowledged."""
        self.expectation.take({"begin": command})
        end = "failed"
        try:
            (act or (lambda: self.writer.do(command)))()
            end = "done"
        except Crash:
            self.kill()
        except StorageError:
            self.reopen()
        except Writer.REFUSALS:
            end = "refused"
        self.files.fail_at = None
        self.expectation.take({"end": end})
        return end == "done"

    def reopen(self) -> None:
        """As the error advises; a process may die at that too."""
        self.batch = None
        try:
            self.writer.reopen()
        except Crash:
            self.kill()


class PowerLaws(RuleBasedStateMachine):
    """What is acknowledged is there after any disaster; what is not is there whole or not at all."""

    def __init__(self) -> None:
        super().__init__()
        self.disk = MemoryDisk()
        self.processes = {name: Process(self.disk, name) for name in NAMES}
        self.reader = opened(MemoryFiles(self.disk))

    @initialize(segment_bytes=st.sampled_from([1_000, 4_000, 64 << 20]))
    def seal_segments_early(self, segment_bytes: int) -> None:
        small_segments(segment_bytes)
        self.reader = opened(MemoryFiles(self.disk))

    def teardown(self) -> None:
        self.cut(0)

    # acting

    @rule(name=who, what=commands, seed=seeds)
    def act(self, name: str, what: str, seed: int) -> None:
        process = self.processes[name]
        writer = process.writer
        writer.random = random.Random(seed)
        if process.batch is not None:
            command = ["register", *writer.draw_register()]
            try:
                register(writer.opened(), *command[1:])
                process.batch.append(command[1:])
            except Crash:
                process.kill()
            except StorageError:
                process.reopen()
            process.files.fail_at = None
        elif process.attempt([what, *getattr(writer, f"draw_{what}")()]):
            self.settle(name)
            writer.note()

    @rule(name=who)
    def start_run(self, name: str) -> None:
        process = self.processes[name]
        if process.batch is not None:
            return
        try:
            process.writer.opened().start_run()
            process.batch = []
        except Crash:
            process.kill()
        except StorageError:
            process.reopen()
        process.files.fail_at = None

    @precondition(lambda self: any(process.batch is not None for process in self.processes.values()))
    @rule(name=who, commits=st.sampled_from((True, True, False)))
    def end_run(self, name: str, *, commits: bool) -> None:
        process = self.processes[name]
        batch, registry = process.batch, process.writer.opened
        if batch is None:
            return
        process.batch = None
        if commits and process.attempt(["run", *batch], lambda: registry().end_run()):
            self.settle(name)
        elif not commits:
            process.attempt(["undone"], lambda: registry().cleanup_failed_run())

    # what goes wrong

    @rule(
        name=who,
        operations=st.integers(0, 12),
        landed=st.sampled_from((0.0, 0.3, 0.5, 0.9, 1.0)),
        number=st.sampled_from((errno.EIO, errno.ENOSPC)),
        crashes=st.booleans(),
    )
    def fail_soon(self, name: str, operations: int, landed: float, number: int, *, crashes: bool) -> None:
        files = self.processes[name].files
        files.fail_at = len(files.done) + operations
        files.landed, files.number, files.crashes = landed, number, crashes

    @rule(room=st.none() | st.integers(0, 3_000))
    def fill(self, room: int | None) -> None:
        self.disk.capacity_bytes = None if room is None else self.disk.used_bytes() + room

    @rule(name=who)
    def kill(self, name: str) -> None:
        self.processes[name].kill()

    @rule(seed=seeds)
    def cut(self, seed: int) -> None:
        """0 loses all that was not synced, 1 nothing."""
        chance = random.Random(seed)
        self.disk.capacity_bytes = None
        self.disk.power_cut(
            (lambda _: 0) if seed == 0 else (lambda count: count - 1) if seed == 1 else chance.randrange
        )
        for process in self.processes.values():
            process.start()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            check(ROOT, [each.expectation for each in self.processes.values()], MemoryFiles(self.disk))
        self.reader = opened(MemoryFiles(self.disk))

    # what always holds

    @invariant()
    def a_reader_sees_one_of_the_states_whole(self) -> None:
        for name, process in self.processes.items():
            assert observed(self.reader, name) in process.expectation.possible()

    def settle(self, name: str) -> None:
        """What is acknowledged is durable, and so is all before it: nothing is left in doubt."""
        expectation, found = self.processes[name].expectation, observed(self.reader, name)
        assert found in expectation.possible()
        expectation.settle(found)


TestPowerLaws = PowerLaws.TestCase
TestPowerLaws.settings = settings(
    max_examples=max(EXAMPLES, 120), stateful_step_count=40, report_multiple_bugs=False
)


@settings(max_examples=max(EXAMPLES, 100))
@given(
    st.lists(commands, min_size=1, max_size=12),
    seeds,
    st.sampled_from(("delete", "purge", "collect", "roll back", "reap", "take back")),
    st.integers(0, 400),
)
def test_deleting_makes_room_on_a_full_disk(drawn: list[str], seed: int, how: str, room: int) -> None:
    """However full it is: what deletes works, and then there is room to register again."""
    disk = MemoryDisk()
    process = Process(disk, "a")
    writer = process.writer
    writer.random = random.Random(seed)
    for what in drawn:
        process.attempt([what, *getattr(writer, f"draw_{what}")()])
    registry = writer.opened()
    registry.end_run()
    if how in {"roll back", "reap"}:
        registry.start_run()
    registry.register(b"what may go" * 2_000, "a-0:0:all", "model")
    if how == "collect":
        MemoryFiles(disk).write_new(registry.binaries_dir / "stray", bytes(20_000), sync=True)
    disk.capacity_bytes = disk.used_bytes() + room
    with pytest.raises(StorageError, match="The disk is full"):
        registry.register(bytes(range(256)) * 100, "a-0:1:all", "model")
    if how == "delete":
        registry.delete_pipeline_artifacts("a-0", delete_files=True)
    elif how == "purge":
        registry.purge_dataset_artifacts(confirm=True)
    elif how == "collect":
        assert "stray" in registry.delete_orphaned_artifacts(dry_run=False)[0]
    elif how == "reap":
        process.kill()
        registry = process.writer.opened()
    else:
        registry.cleanup_failed_run()
    register(registry, "a-0:2:all", 5, 2)
    registry.close()
    with opened(MemoryFiles(disk)) as again:
        assert again.verify().ok
        assert again.rebuild()


@pytest.mark.parametrize("room", [0, 1, 100, 300, 1_000])
def test_what_is_private_can_be_erased_on_a_full_disk(room: int) -> None:
    """However full it is: room is kept for the event, and then the files go."""
    disk = MemoryDisk()
    with opened(MemoryFiles(disk)) as registry:
        said = {"operator": "Grete Hopper"}
        registry.register([1], "a-0:0:all", "model", params=said, private=["operator"])
        disk.capacity_bytes = disk.used_bytes() + room
        with pytest.raises(StorageError, match="The disk is full"):
            registry.register([2], "a-0:1:all", "model", params=said | {"x": "x" * 2_000}, private=["x"])
        assert registry.erase_private("a-0:0:all") == 1
        assert registry.verify().ok
    assert not any(b"Grete Hopper" in file.data for _, file in disk.walk())
