"""What a writer does: commands that a seed gives, each told before it begins and after it has returned.

Writers have pipelines of their own, so each one's state is its own; their contents are the same few, so that
they meet on files.
"""

import contextlib
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Final

from chainfold import ArtifactRegistry, ConflictError, NotFoundError
from chainfold.dataset import Dataset
from chainfold.errors import StorageError
from chainfold.records import ArtifactRecord
from chainfold.storage import Files

Message = dict[str, Any]
Tell = Callable[[Message], None]
Registration = tuple[str, int, int]
"""Id, content, serial number."""

DATASET: Final = "wheat"
CONTENTS: Final = 10
_PIPELINES: Final = 3
_IDS: Final = 4
_SEGMENT_BYTES: Final = 4_000
_GIVE_UP_AFTER: Final = 3
_LARGE: Final = "x" * 70_000


def small_segments(segment_bytes: int = _SEGMENT_BYTES) -> None:
    """Seal segments early in this process, so that sealing is tried too."""
    defaults = Dataset.__init__.__kwdefaults__
    assert defaults is not None
    defaults["segment_bytes"] = segment_bytes


def content(number: int) -> Any:
    """The object of a content number: 100 bytes to 20 KB."""
    return {"content": number, "filler": bytes([number]) * (number * number * 200)}


def owner(artifact_id: str) -> str:
    """The writer that an id belongs to."""
    return artifact_id.partition("-")[0]


class Writer:
    """One registry object on a workspace, and the commands that a seed gives.

    Args:
        workspace: Where.
        name: Of this writer; ids begin with it.
        seed: For the commands; equal seeds give equal commands as long as nothing fails.
        tell: Called with each message.
        files: Another storage than this machine's files.
        purges: Whether it purges, which others would notice.
        large_every: Each so manieth registration has large parameters; 0 for none.
        weights: Instead of those of `COMMANDS`, how often each command is drawn.
    """

    COMMANDS: ClassVar = {
        "register": 10,
        "run": 4,
        "undone": 2,
        "delete": 3,
        "collect": 1,
        "alias": 2,
        "restore": 2,
        "import": 1,
    }

    REFUSALS: Final = (NotFoundError, ConflictError)

    def __init__(
        self,
        workspace: Path,
        name: str,
        seed: int,
        tell: Tell,
        *,
        files: Files | None = None,
        purges: bool = False,
        large_every: int = 0,
        weights: dict[str, int] | None = None,
    ) -> None:
        self.workspace = workspace
        self.name = name
        self.tell = tell
        self.files = files
        self.large_every = large_every
        self.random = random.Random(seed)
        self.weights = dict(weights or self.COMMANDS)
        if purges:
            self.weights["purge"] = 1
        self.serial = seed * 1_000_000
        self.registry: ArtifactRegistry | None = None
        self.notes: list[tuple[int, list[Registration]]] = []
        """Positions of the past, and what was live then."""

    def work(self, count: int | None = None) -> None:
        """Do so many commands, or go on until something ends this process."""
        done, failures = 0, 0
        while (count is None or done < count) and failures < _GIVE_UP_AFTER:
            done += 1
            command = self.draw()
            self.tell({"writer": self.name, "begin": command})
            try:
                self.do(command)
            except self.REFUSALS as error:
                self.tell({"writer": self.name, "end": "refused", "why": str(error)})
            except StorageError as error:
                failures += 1
                self.tell({"writer": self.name, "end": "failed", "why": str(error)})
                self.reopen()
            else:
                failures = 0
                self.tell({"writer": self.name, "end": "done"})
                self.note()

    def opened(self) -> ArtifactRegistry:
        """The registry, opened if it is not."""
        if self.registry is None:
            self.registry = ArtifactRegistry(self.workspace, DATASET, actor=self.name, storage=self.files)
        return self.registry

    def reopen(self) -> None:
        """After the system refused: start over, as the errors advise."""
        if self.registry is not None:
            self.registry.close()
            self.registry = None

    def note(self) -> None:
        """Now and then, remember where the log is and what is live: for `restore`.

        On a disk that has just died that cannot be read, and is none of what was promised.
        """
        if self.random.random() >= 0.2 or self.registry is None:
            return
        with contextlib.suppress(StorageError):
            self.notes.append((self.registry.position, mine(self.registry, self.name)))

    # drawing

    def draw(self) -> list[Any]:
        """The next command: its name, and its arguments as JSON."""
        what = self.random.choices(list(self.weights), list(self.weights.values()))[0]
        return [what, *getattr(self, f"draw_{what}")()]

    def draw_register(self) -> list[Any]:
        self.serial += 1
        return [self._id(), self.random.randrange(CONTENTS), self.serial]

    def draw_run(self) -> list[Any]:
        return [self.draw_register() for _ in range(self.random.randint(1, 4))]

    draw_undone = draw_run

    def draw_delete(self) -> list[Any]:
        return [self._pipeline(), self.random.random() < 0.7]

    def draw_alias(self) -> list[Any]:
        name = f"{self.name}-{self.random.choice(['production', 'candidate'])}"
        return [name, self.random.choice([None, self._id()])]

    def draw_restore(self) -> list[Any]:
        position, live = self.random.choice(self.notes or [(0, [])])
        return [position, *self.random.choice(live or [(self._id(), 0, 0)])]

    def draw_import(self) -> list[Any]:
        return [self._id()]

    def draw_collect(self) -> list[Any]:
        return []

    draw_purge = draw_collect

    def _pipeline(self) -> str:
        return f"{self.name}-{self.random.randrange(_PIPELINES)}"

    def _id(self) -> str:
        return f"{self._pipeline()}:{self.random.randrange(_IDS)}:all"

    # doing

    def do(self, command: list[Any]) -> None:
        """Carry a command out."""
        what, *arguments = command
        getattr(self, f"do_{what}")(self.opened(), *arguments)

    def do_register(self, registry: ArtifactRegistry, artifact_id: str, number: int, serial: int) -> None:
        large = self.large_every > 0 and serial % self.large_every == 0
        register(registry, artifact_id, number, serial, large=large)

    def do_run(self, registry: ArtifactRegistry, *registrations: list[Any]) -> None:
        with registry.run():
            for each in registrations:
                self.do_register(registry, *each)

    def do_undone(self, registry: ArtifactRegistry, *registrations: list[Any]) -> None:
        registry.start_run()
        for each in registrations:
            self.do_register(registry, *each)
        registry.cleanup_failed_run()

    def do_delete(self, registry: ArtifactRegistry, pipeline: str, with_files: bool) -> None:  # noqa: FBT001 - drawn
        registry.delete_pipeline_artifacts(pipeline, with_files)

    def do_alias(self, registry: ArtifactRegistry, name: str, artifact_id: str | None) -> None:
        registry.set_alias(name, artifact_id)

    def do_restore(self, registry: ArtifactRegistry, position: int, artifact_id: str, *_: int) -> None:
        registry.restore(artifact_id, position)

    def do_import(self, registry: ArtifactRegistry, artifact_id: str) -> None:
        record = registry.resolve(artifact_id)
        if record is None:
            raise NotFoundError(artifact_id)
        registry.import_from_manifest([record.to_dict()], self.workspace)

    def do_collect(self, registry: ArtifactRegistry) -> None:
        registry.delete_orphaned_artifacts(dry_run=False)

    def do_purge(self, registry: ArtifactRegistry) -> None:
        registry.purge_dataset_artifacts(confirm=True)


def register(
    registry: ArtifactRegistry, artifact_id: str, number: int, serial: int, *, large: bool = False
) -> ArtifactRecord:
    """Register a content under an id; `large`: with parameters that are too large for a line."""
    params: dict[str, Any] = {"c": number, "serial": serial}
    if large:
        params["large"] = _LARGE
    return registry.register(content(number), artifact_id, "model", params=params)


def mine(registry: ArtifactRegistry, name: str) -> list[Registration]:
    """What is live of a writer's artifacts."""
    return [
        (record.artifact_id, record.params["c"], record.params["serial"])
        for record in registry.iter_records()
        if owner(record.artifact_id) == name
    ]
