"""Workspaces made to hurt: logs with right sums that no writer of ours wrote, and what can be asked of them.

Shared by the tests, the fuzzer, and the process that is measured.
"""

import json
import os
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

from chainfold import ArtifactRegistry, ChainfoldError
from chainfold.digest import digest_of
from chainfold.log import lines

DATASET: Final = "wheat"
RUN: Final = "20260131T235959-0123456789ab"
NO_BYTES: Final = digest_of(b"")
SEGMENT: Final = f"{0:020d}.jsonl"


def body(position: int, kind: str, *, run: str | None = None, **members: Any) -> bytes:
    """A line without its sum and closing brace. Members may replace those of the header."""
    fields = {"position": position, "at": "2026-01-31T23:59:59.000000Z", "actor": "mallory"}
    fields |= {"run": run} if run is not None else {"durable": position}
    return json.dumps(fields | {"kind": kind} | members).encode()[:-1]


def registered(
    position: int, artifact_id: str = "p:1:all", *, run: str | None = None, **record: Any
) -> bytes:
    """A registration; `details` and the like go to the event, the rest to the record."""
    event = {name: record.pop(name) for name in ("details", "imported", "reused") if name in record}
    fields = {"artifact_id": artifact_id, "content_hash": NO_BYTES, "path": "x.pkl", "pipeline_id": "p"}
    return body(position, "artifact-registered", run=run, record=fields | record, **event)


def sealed(bodies: Iterable[bytes], dataset: str = DATASET) -> bytes:
    """The bytes of a segment whose lines have these bodies, and right sums."""
    seed, content = lines.genesis(dataset), b""
    for each in bodies:
        line, seed = lines.seal(each, seed)
        content += line + b"\n"
    return content


def forged(workspace: Path, *bodies: bytes) -> Path:
    """A workspace with such a log, and its folder of blobs; the segment's path."""
    segment = workspace / "log" / DATASET / "segments" / SEGMENT
    segment.parent.mkdir(parents=True, exist_ok=True)
    (workspace / "binaries" / DATASET).mkdir(parents=True, exist_ok=True)
    segment.write_bytes(sealed(bodies))
    return segment


def unsealed(content: bytes) -> list[bytes]:
    """The bodies of a good segment."""
    return [line[: line.rindex(b',"sum":')] for line in content.splitlines()]


ODD_FILES: Final[dict[str, Callable[[Path, Path], None]]] = {
    "link": lambda path, outside: path.symlink_to(outside / SEGMENT),
    "dangling link": lambda path, outside: path.symlink_to(outside / "new"),
    "loop": lambda path, _: path.symlink_to(path),
    "pipe": lambda path, _: os.mkfifo(path),
    "folder": lambda path, _: path.mkdir(),
}

Command = Callable[[ArtifactRegistry], Any]


def every_record(use: Callable[[ArtifactRegistry, Any], Any]) -> Command:
    """A command that does the same with each live record."""
    return lambda registry: [outcome(use, registry, record) for record in registry.get_all_records()]


def _run(registry: ArtifactRegistry) -> None:
    registry.start_run()
    registry.register([2], "p:1:all", "model")
    registry.end_run()


def _give_up(registry: ArtifactRegistry) -> int:
    registry.start_run()
    return registry.cleanup_failed_run()


READING: Final[dict[str, Command]] = {
    "records": lambda registry: registry.get_all_records(),
    "load": every_record(lambda registry, record: registry.load_artifact(record)),
    "load by id": every_record(lambda registry, record: registry.load(record.artifact_id)),
    "history": every_record(lambda registry, record: registry.history(record.artifact_id)),
    "lineage": every_record(lambda registry, record: registry.resolve_dependencies(record.artifact_id)),
    "prefix": lambda registry: registry.get_chain_prefix("s"),
    "aliases": lambda registry: registry.aliases(),
    "past": lambda registry: len(registry.as_of(registry.position // 2)),
    "export": lambda registry: registry.export_to_manifest(),
    "stats": lambda registry: registry.get_stats(),
    "verify": lambda registry: registry.verify(),
    "rebuild": lambda registry: registry.rebuild(),
    "orphans": lambda registry: registry.find_orphaned_artifacts(),
}
WRITING: Final[dict[str, Command]] = {
    "restore": every_record(lambda registry, record: registry.restore(record.artifact_id, registry.position)),
    "register": lambda registry: registry.register([1], "mine:1:all", "model"),
    "alias": lambda registry: registry.set_alias("best", "mine:1:all"),
    "import": lambda registry: registry.import_from_manifest(
        [{"artifact_id": "q:1:all", "path": "q.pkl"}], registry.workspace
    ),
    "run": _run,
    "give up": _give_up,
    "delete": lambda registry: registry.delete_pipeline_artifacts(
        "p", delete_files=True, dependents="cascade"
    ),
    "collect": lambda registry: registry.delete_orphaned_artifacts(dry_run=False),
    "purge": lambda registry: registry.purge_dataset_artifacts(confirm=True, force=True),
}


def outcome(use: Callable[..., Any], *arguments: Any) -> Any:
    """What a call gives; its error, if that is one of ours. Any other error breaks the promise."""
    try:
        return use(*arguments)
    except ChainfoldError as error:
        return error


def used(workspace: Path, *, writing: bool = True) -> dict[str, Any]:
    """What comes of everything that can be asked of a workspace, by the command's name; "open" at least."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # damage is warned about; here it is looked at
        registry = outcome(ArtifactRegistry, workspace, DATASET)
        outcomes: dict[str, Any] = {"open": registry}
        if isinstance(registry, ChainfoldError):
            return outcomes
        with registry:
            for name, command in (READING | WRITING if writing else READING).items():
                outcomes[name] = outcome(command, registry)
    return outcomes
