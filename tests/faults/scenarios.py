"""What is interrupted at every point: one command each, on a disk in memory, after the same beginning."""

import contextlib
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from tests.faults.expectation import Expectation, State, check, observed
from tests.faults.workload import DATASET, Writer, content, register

from chainfold import ArtifactRegistry
from chainfold.storage import Files
from chainfold.testing import Crash, FaultyFiles, MemoryDisk, MemoryFiles
from chainfold.testing.disk import Choose

ROOT: Final = Path("/workspace")
FOLDER: Final = ROOT / "log" / DATASET
BINARIES: Final = ROOT / "binaries" / DATASET
Act = Callable[[ArtifactRegistry], object]

_BEGINNING: Final = (
    ["register", "a-0:0:all", 1, 1],
    ["register", "a-0:1:all", 2, 2],
    ["run", ["a-1:0:all", 3, 3], ["a-1:1:all", 1, 4], ["a-2:0:all", 4, 5]],
    ["alias", "a-production", "a-0:0:all"],
    ["register", "a-0:0:all", 5, 6],
    ["delete", "a-2", False],
)


def opened(files: Files) -> ArtifactRegistry:
    """The registry of the dataset on a storage."""
    return ArtifactRegistry(ROOT, DATASET, actor="a", storage=files)


def begun() -> MemoryDisk:
    """A disk with a dataset on it, of which some is not synced, and a file that nobody knows."""
    disk = MemoryDisk()
    files = MemoryFiles(disk)
    writer = Writer(ROOT, "a", 0, lambda _: None, files=files)
    for command in _BEGINNING:
        writer.do(list(command))
    files.write_new(BINARIES / "stray.joblib", b"of nobody", sync=False)
    return disk


def with_a_dead_run() -> MemoryDisk:
    """As `begun`, and a run whose process was killed."""
    disk = begun()
    files = MemoryFiles(disk)
    registry = opened(files)
    registry.start_run()
    register(registry, "a-1:2:all", 6, 100)
    register(registry, "a-1:0:all", 7, 101)
    files.die()
    return disk


def with_a_torn_tail() -> MemoryDisk:
    """As `begun`, and half a line at the end of the log."""
    disk = begun()
    (segment,) = [file for path, file in disk.walk() if path[-1].endswith(".jsonl")]
    segment.write(len(segment.data), b'{"position":')
    return disk


def with_a_file_gone() -> MemoryDisk:
    """As `begun`; then a file went with its artifacts."""
    disk = begun()
    opened(MemoryFiles(disk)).delete_pipeline_artifacts("a-1", delete_files=True)
    return disk


def registered_privately(registry: ArtifactRegistry, artifact_id: str, number: int, serial: int) -> None:
    params = {"c": number, "serial": serial, "who": f"Ann {serial}"}
    private = ["who", "custom_name"]
    registry.register(content(number), artifact_id, "model", params=params, custom_name="x", private=private)


def with_private() -> MemoryDisk:
    """As `begun`, with private fields of what is live, and of what it has superseded."""
    disk = begun()
    registry = opened(MemoryFiles(disk))
    registered_privately(registry, "a-1:0:all", 6, 20)
    registered_privately(registry, "a-1:0:all", 7, 21)
    registered_privately(registry, "a-1:1:all", 7, 22)
    return disk


def with_a_private_run() -> MemoryDisk:
    """As `with_private`, and a run whose process was killed."""
    disk = with_private()
    files = MemoryFiles(disk)
    registry = opened(files)
    registry.start_run()
    registered_privately(registry, "a-1:0:all", 8, 23)
    files.die()
    return disk


def command(*words: Any) -> Act:
    """One of a writer's commands."""

    def act(registry: ArtifactRegistry) -> None:
        writer = Writer(ROOT, "a", 0, lambda _: None)
        writer.registry = registry
        writer.do(list(words))

    return act


def deleting_in_a_run(registry: ArtifactRegistry) -> None:
    with registry.run():
        register(registry, "a-0:0:all", 8, 50)
        registry.delete_pipeline_artifacts("a-1", delete_files=True)
        registry.set_alias("a-production", "a-0:0:all")


def purging_in_a_run(registry: ArtifactRegistry) -> None:
    with registry.run():
        registry.purge_dataset_artifacts(confirm=True)
        register(registry, "a-0:0:all", 8, 50)


def cascading(registry: ArtifactRegistry) -> None:
    registry.delete_pipeline_artifacts("a-0", delete_files=True, dependents="cascade")


def taking_back(registry: ArtifactRegistry) -> None:
    registry.end_run()
    register(registry, "a-0:0:all", 8, 50)
    registry.cleanup_failed_run()


def with_large_params(registry: ArtifactRegistry) -> None:
    registry.register(content(8), "a-0:0:all", "model", params={"c": 8, "serial": 50, "x": "x" * 70_000})


def restoring_in_doubt(registry: ArtifactRegistry) -> None:
    """What is restored has its file back, but only from a run that is open."""
    with opened(registry._data.files) as other:
        other.start_run()
        register(other, "a-2:3:all", 3, 102)
        registry.restore("a-1:0:all", 8)


def registering_in_doubt(registry: ArtifactRegistry) -> None:
    """The content has its file already, but only from a run that is open."""
    with opened(registry._data.files) as other:
        other.start_run()
        register(other, "a-2:3:all", 7, 102)
        register(registry, "a-1:0:all", 7, 103)


def dying_in_a_run(registry: ArtifactRegistry) -> None:
    registry.start_run()
    register(registry, "a-0:0:all", 8, 50)
    register(registry, "a-2:0:all", 9, 51)


def privately(*words: Any) -> Act:
    """A registration with private fields, alone or in a run that ends as it is told."""
    how, *more = words

    def act(registry: ArtifactRegistry) -> None:
        if how != "alone":
            registry.start_run()
        registered_privately(registry, *more)
        if how == "commit":
            registry.end_run()
        elif how == "roll back":
            registry.cleanup_failed_run()

    return act


def erasing(registry: ArtifactRegistry) -> None:
    registry.erase_private("a-1:0:all")


def importing_privately(registry: ArtifactRegistry) -> None:
    registry.import_from_manifest(registry.export_to_manifest(private=True), ROOT)


SCENARIOS: Final[dict[str, tuple[Callable[[], MemoryDisk], Act]]] = {
    "first of all": (MemoryDisk, command("register", "a-0:0:all", 1, 1)),
    "register": (begun, command("register", "a-0:0:all", 8, 50)),
    "register what is live": (begun, command("register", "a-0:3:all", 3, 50)),
    "register what was kept": (begun, command("register", "a-0:3:all", 4, 50)),
    "register with large params": (begun, with_large_params),
    "commit": (begun, command("run", ["a-0:0:all", 8, 50], ["a-2:0:all", 9, 51], ["a-2:1:all", 1, 52])),
    "roll back": (begun, command("undone", ["a-0:0:all", 8, 50], ["a-2:0:all", 4, 51])),
    "leave a run": (begun, dying_in_a_run),
    "reap": (with_a_dead_run, command("collect")),
    "recover": (with_a_torn_tail, command("register", "a-0:0:all", 8, 50)),
    "delete": (begun, command("delete", "a-0", True)),
    "delete but keep files": (begun, command("delete", "a-0", False)),
    "delete in a run": (begun, deleting_in_a_run),
    "cascade": (begun, cascading),
    "take back": (begun, taking_back),
    "collect": (begun, command("collect")),
    "purge": (begun, command("purge")),
    "purge in a run": (begun, purging_in_a_run),
    "alias": (begun, command("alias", "a-production", "a-1:0:all")),
    "restore": (begun, command("restore", 2, "a-0:0:all", 1, 1)),
    "restore what was kept": (begun, command("restore", 8, "a-2:0:all", 4, 5)),
    "register in doubt": (begun, registering_in_doubt),
    "restore in doubt": (with_a_file_gone, restoring_in_doubt),
    "import": (begun, command("import", "a-1:0:all")),
    "register privately": (begun, privately("alone", "a-0:0:all", 8, 50)),
    "commit privately": (begun, privately("commit", "a-0:0:all", 8, 50)),
    "roll back privately": (with_private, privately("roll back", "a-1:0:all", 8, 50)),
    "reap a private run": (with_a_private_run, command("collect")),
    "erase": (with_private, erasing),
    "restore privately": (with_private, lambda registry: registry.restore("a-1:0:all", 11)),
    "import privately": (with_private, importing_privately),
    "delete privately": (with_private, command("delete", "a-1", True)),
    "collect privately": (with_private, command("collect")),
    "purge privately": (with_private, command("purge")),
}


class Scenario:
    """A scenario, the states before and after it, and how many operations it takes.

    Attributes:
        done: The kinds of the operations, in order.
        between: States that are seen on the way, where a command is more than one.
    """

    def __init__(self, name: str) -> None:
        make, self.act = SCENARIOS[name]
        self.start = make()
        self.before = self.state(self.disk())
        disk = self.disk()
        files = FaultyFiles(MemoryFiles(disk))
        self.states = [self.before, *self.run(files)]
        self.done = files.done
        self.after = self.states[-1]

    def disk(self) -> MemoryDisk:
        """The disk as it is before."""
        return self.start.copy()

    def state(self, disk: MemoryDisk) -> State:
        """What a reader finds; looking changes the disk, so a copy is looked at."""
        with opened(MemoryFiles(disk.copy())) as registry:
            return observed(registry, "a")

    def run(self, files: FaultyFiles) -> list[State]:
        """Carry it out; the states that others see, one after the other."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # what could not be swept, and dependents
            return self._run(files)

    def _run(self, files: FaultyFiles) -> list[State]:
        states: list[State] = []
        registry = opened(files)
        append = registry._data.log.append

        def looked(*args: Any, **kwargs: Any) -> Any:
            entries = append(*args, **kwargs)
            assert isinstance(files.inner, MemoryFiles)
            states.append(self.state(files.inner.disk))
            return entries

        if files.fail_at is None:
            registry._data.log.append = looked  # type: ignore[method-assign]
        self.act(registry)
        return states or [self.before]

    def checked(self, disk: MemoryDisk, states: list[State], *, then_cut: bool = False) -> None:
        """One of these states is found, and all else that must hold; after a power cut too."""
        expectation = Expectation("a")
        expectation.states = states
        expectation.acknowledged = (
            [] if self.start.root.names == {} else [("a-0:0:all", 1, 1), ("a-2:0:all", 4, 5)]
        )
        check(ROOT, [expectation], MemoryFiles(disk))
        if then_cut:  # what was acknowledged since, on top of what was found, is there too
            disk.power_cut(lambda _: 0)
            check(ROOT, [expectation], MemoryFiles(disk))


@contextlib.contextmanager
def dying() -> Iterator[None]:
    """The process may die inside the block."""
    with contextlib.suppress(Crash):
        yield


def power_cuts(disk: MemoryDisk) -> Iterator[Choose]:
    """Ways in which a power cut may go: all lost, all kept, and each single thing alone lost or kept."""
    calls = 0

    def count(_: int) -> int:
        nonlocal calls
        calls += 1
        return 0

    disk.copy().power_cut(count)
    yield lambda _: 0
    if calls:
        yield lambda count: count - 1
    if calls > 1:
        for number in range(calls):
            yield _but_for(number, keeps=True)
            yield _but_for(number, keeps=False)


def _but_for(number: int, *, keeps: bool) -> Choose:
    """All but one thing goes the other way."""
    asked = -1

    def choose(count: int) -> int:
        nonlocal asked
        asked += 1
        return count - 1 if (asked == number) == keeps else 0

    return choose
