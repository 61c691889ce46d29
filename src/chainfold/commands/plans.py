"""Plans: what a command would take away, worked out and shown, then carried out exactly so or not at all.

A command that deletes is a request. Its plan comes of one state of the log; carrying it out works the plan
out anew as the only writer, by the same code, and refuses if that is not what was shown.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, Protocol

import msgspec

from chainfold.artifact_ids import named
from chainfold.dataset import Dataset
from chainfold.errors import (
    ConflictError,
    CorruptionError,
    DependentsError,
    InvalidInputError,
    NotFoundError,
)
from chainfold.places import encodable
from chainfold.private import paths_of, read
from chainfold.records import PARAMS

Step = Callable[[int], object]
"""Told how many more files went, where the work may be interrupted: what it raises ends the work there."""


class PlannedArtifact(msgspec.Struct, frozen=True, order=True):
    """A registration.

    Attributes:
        artifact_id: Its id.
        position: Its position in the log.
    """

    artifact_id: str
    position: int


class PlannedFile(msgspec.Struct, frozen=True, order=True):
    """A file of the dataset's folder.

    Attributes:
        path: Its path below `binaries_dir`.
        size_bytes: Its bytes.
    """

    path: str
    size_bytes: int


class PlannedValue(msgspec.Struct, frozen=True, order=True):
    """A value that was withheld from the log.

    Attributes:
        artifact_id: Of which artifact; empty if its file is damaged.
        field: Which field: a key of `params`, or `custom_name`; empty as above.
        path: Its file in the folder of private files.
        size_bytes: The bytes of that.
    """

    artifact_id: str
    field: str
    path: str
    size_bytes: int


class Request(Protocol):
    """What was asked for; it can be planned as often as one likes, and carried out."""

    def plan(self, data: Dataset) -> "Plan":
        """What it would do now, with `data.mutex` held and the projections up to date. It changes nothing."""
        ...

    def carry_out(self, data: Dataset, plan: "Plan", step: Step | None) -> None:
        """Do what was planned from this very state, inside `writing`."""
        ...


class Plan(msgspec.Struct, frozen=True):
    """What a command would take away.

    Attributes:
        request: What was asked for.
        position: Size of the log of which it comes.
        artifacts: Registrations that will no longer be live.
        files: Files that go.
        values: Private values that are erased.
        restored: Registrations of the past that are repeated, and are live again.
        dependents: Ids of live artifacts that stay, and were made from what goes.
        aliases: Aliases that point to what goes, and then to nothing that is live.
        runs: Open runs that are rolled back, or stand in the way.
        origin: Folder of the log of which it comes.
    """

    request: Any
    position: int
    artifacts: tuple[PlannedArtifact, ...] = ()
    files: tuple[PlannedFile, ...] = ()
    values: tuple[PlannedValue, ...] = ()
    restored: tuple[PlannedArtifact, ...] = ()
    dependents: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    origin: str = ""

    @property
    def size_bytes(self) -> int:
        """Bytes that would be freed."""
        return sum(file.size_bytes for file in self.files) + sum(value.size_bytes for value in self.values)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.artifacts or self.files or self.values or self.restored or self.runs)


def planned(data: Dataset, request: Request) -> Plan:
    """What a request would do now. Nothing is changed."""
    with data.mutex:
        data.refresh()
        return msgspec.structs.replace(request.plan(data), origin=_origin(data))


def carry_out(data: Dataset, plan: Plan, step: Step | None = None) -> None:
    """Do what was planned.

    Args:
        data: The dataset.
        plan: The plan.
        step: Told how many more files went.

    Raises:
        InvalidInputError: If it was made of another dataset.
        ConflictError: If that is not what would be done now: the message says what has changed. Nothing is.
        StorageError: If the system refuses.
    """
    if plan.origin != _origin(data):
        raise InvalidInputError(
            f"nothing was done: the plan is of the dataset with the log {plan.origin}, and was to "
            f"be carried out on that with the log {_origin(data)}. Make it of this one"
        )
    with data.writing():
        try:
            again: Plan = plan.request.plan(data)
        except (NotFoundError, DependentsError) as error:
            raise ConflictError(_moved(plan, data.projections.size, [str(error)])) from error
        changes = list(_changes(plan, again))
        if changes:
            raise ConflictError(_moved(plan, again.position, changes))
        plan.request.carry_out(data, again, step)


def _origin(data: Dataset) -> str:
    return os.path.realpath(data.folder)


_WORDS: Final = {
    "artifacts": ("artifact", "artifacts"),
    "files": ("file", "files"),
    "values": ("private value", "private values"),
    "restored": ("artifact to restore", "artifacts to restore"),
    "dependents": ("dependent", "dependents"),
    "aliases": ("alias", "aliases"),
    "runs": ("open run", "open runs"),
}


def _changes(before: Plan, now: Plan) -> Iterator[str]:
    """What one plan has and the other has not, in words."""
    for field, words in _WORDS.items():
        old, new = set(getattr(before, field)), set(getattr(now, field))
        for more, less, how in ((new, old, "more"), (old, new, "fewer")):
            names = sorted({_name(each) for each in more - less})
            if names:
                yield f"{len(names)} {how} {words[len(names) != 1]} ({named(names)})"


def _name(item: Any) -> str:
    return item if isinstance(item, str) else str(getattr(item, "path", "") or item.artifact_id)


def _moved(plan: Plan, position: int, changes: Sequence[str]) -> str:
    return (
        f"what was planned at position {plan.position} no longer holds at position {position}: "
        f"{'; '.join(changes)}. Nothing was done: make the plan again and look at it"
    )


def planned_artifacts(data: Dataset, rows: Iterable[int]) -> tuple[PlannedArtifact, ...]:
    """Registrations, by row."""
    projections = data.projections
    return tuple(
        PlannedArtifact(projections.artifact_id(row), projections.visibility.positions[row]) for row in rows
    )


def planned_values(data: Dataset, paths: Iterable[str]) -> tuple[PlannedValue, ...]:
    """Private values by their files, which are read for their owners; what is not there is left out."""
    found = []
    for path in paths:
        size = data.private.size(path)
        if size is None:
            continue
        try:
            text = read(data.private, path)
        except CorruptionError:
            text = None  # it has no owner that could be named, and is erased all the same
        owner, field = ("", "") if text is None else (text.artifact_id, text.field.removeprefix(PARAMS))
        found.append(PlannedValue(owner, field, path, size))
    return tuple(sorted(found))


def withheld(data: Dataset, rows: Iterable[int]) -> tuple[PlannedValue, ...]:
    """What registrations withheld, as far as it is there."""
    if not data.files.has_folder(data.private.folder):
        return ()
    found = []
    for row in rows:
        record = data.projections.source.decoded(row).record
        for field, path in paths_of(record).items():
            size = data.private.size(path)
            if size is not None:
                found.append(PlannedValue(record.artifact_id, field.removeprefix(PARAMS), path, size))
    return tuple(found)


def aliases_of(data: Dataset, artifact_ids: Iterable[str]) -> tuple[str, ...]:
    """The aliases that point to some artifacts."""
    targets = data.projections.aliases.all(data.projections.size)
    ids = set(artifact_ids) if targets else set()
    return tuple(sorted(name for name, target in targets.items() if target in ids))


def planned_files(data: Dataset, paths: Iterable[str]) -> tuple[PlannedFile, ...]:
    """Files by their paths, each once; those that are not there, or that no event can name, are left out."""
    found = []
    for path in dict.fromkeys(paths):
        size = data.blobs.size(path)
        if size is not None and encodable(path):
            found.append(PlannedFile(path, size))
    return tuple(found)
