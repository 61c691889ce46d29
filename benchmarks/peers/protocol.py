"""What every side is asked to do: one small interface, and what to say where a side has no such thing."""

import pickle
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from benchmarks.workload import Item, Key, Record

CHUNK = 1_000
"""Records that are made durable together where many are loaded."""


class CannotError(Exception):
    """A side cannot do what is asked. The message goes into the table."""


class Store(Protocol):
    """An open store of records, and of the bytes that they name. What it has not raises `CannotError`.

    Lookups give whole records, decoded: dicts, or objects with these attributes.
    """

    def register(self, item: Item) -> object:
        """Serialise, digest and keep an object, and its record; durable on return, in a run at its commit."""

    def begin(self) -> None:
        """Begin a run."""

    def commit(self) -> None:
        """Make all that the run registered durable, and visible."""

    def roll_back(self) -> None:
        """Take back all that the open run registered, files included."""

    def fill(self, records: Iterable[Record]) -> None:
        """Take records alone, without objects, in the fastest way that it has; durable on return."""

    def by_id(self, key: Key) -> Any:
        """The record of an id."""

    def by_prefix(self, prefix: str) -> Sequence[Any]:
        """The records whose chain begins with this."""

    def by_step(self, pipeline_id: str, step: int) -> Sequence[Any]:
        """The records of a pipeline's step."""

    def fold_models(self, pipeline_id: str, step: int) -> Sequence[Any]:
        """The models of a step that belong to a fold, in order of fold."""

    def replay(self) -> int:
        """Read all events back from disk, and build from them what answers questions; how many there were."""

    def count(self) -> int:
        """How many records there are."""

    def close(self) -> None:
        """Let go of all files."""


class Unable:
    """A store that can do nothing, for those to start from that can do some of it."""

    def register(self, item: Item) -> object:
        del item
        raise CannotError("keeps no objects")

    def begin(self) -> None:
        raise CannotError("has no runs: each registration is made durable by itself")

    def commit(self) -> None:
        raise CannotError("has no runs")

    def roll_back(self) -> None:
        raise CannotError("has no rollback")

    def fill(self, records: Iterable[Record]) -> None:
        del records
        raise CannotError("keeps no records")

    def by_id(self, key: Key) -> Any:
        del key
        raise CannotError("has no lookup")

    def by_prefix(self, prefix: str) -> Sequence[Any]:
        del prefix
        raise CannotError("has no query but by its own key")

    def by_step(self, pipeline_id: str, step: int) -> Sequence[Any]:
        del pipeline_id, step
        raise CannotError("has no query but by its own key")

    def fold_models(self, pipeline_id: str, step: int) -> Sequence[Any]:
        return in_fold_order(self.by_step(pipeline_id, step))

    def replay(self) -> int:
        raise CannotError("has no log to replay")

    def count(self) -> int:
        raise CannotError("does not count")

    def close(self) -> None:
        """Nothing is open."""


@dataclass(frozen=True)
class Peer:
    """A side of the comparison.

    Attributes:
        title: Its name in tables and figures.
        open_store: Opens the store in a folder, or makes it; `synced`: whether to be durable.
        packages: Distributions whose versions belong to the result.
        modules: What a program that uses it imports.
        notes: By row, how its work differs from that of the others.
        pace: How many times fewer objects it is given where it would take minutes.
    """

    title: str
    open_store: Callable[[Path, bool], Store]
    packages: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    notes: dict[str, str] = field(default_factory=dict)
    pace: int = 1


def serialised(model: Any) -> bytes:
    """The bytes that all sides keep: what chainfold writes, and joblib.load reads."""
    return pickle.dumps(model, protocol=5)


def in_fold_order(found: Iterable[Any]) -> Sequence[Any]:
    """Of plain records, the models that have a fold, by fold."""
    models = [
        each
        for each in found
        if each["fold_id"] is not None and each["artifact_type"] in ("model", "meta_model")
    ]
    return sorted(models, key=lambda each: each["fold_id"])


def identity(found: Any) -> str:
    """The id in a record, whatever it looks like."""
    return str(found["artifact_id"] if isinstance(found, dict) else found.artifact_id)


def chunks(records: Iterable[Record], size: int = CHUNK) -> Iterable[list[Record]]:
    chunk: list[Record] = []
    for record in records:
        chunk.append(record)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def one_line(error: BaseException) -> str:
    """An exception in one line of a table."""
    text = re.sub(r"\s+", " ", str(error)).replace("|", "/").strip()
    return f"{type(error).__name__}: {text[:150]}" if text else type(error).__name__
