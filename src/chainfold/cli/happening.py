"""What is told of events: the columns of their tables, and their JSON."""

from typing import TYPE_CHECKING, Any, assert_never

from chainfold.cli.columns import Column
from chainfold.cli.units import counted, kind_text, size_text, time_text

if TYPE_CHECKING:
    from chainfold.events import AnyEvent, Entry


def entry_json(entry: "Entry") -> dict[str, Any]:
    """An entry as JSON types, as the log has it, but for what is its own: the sum, and what was durable."""
    import msgspec

    fields = {"position": entry.position, "at": entry.at, "actor": entry.actor, "run": entry.run}
    event: dict[str, Any] = msgspec.to_builtins(entry.event)
    return fields | event


def entry_columns() -> list[Column["Entry"]]:
    """The columns of a table of events."""
    return [
        Column("position", lambda entry: entry.position, right=True),
        Column("at", lambda entry: entry.at, lambda entry: time_text(entry.at)),
        Column("kind", lambda entry: entry.event.kind, lambda entry: kind_text(entry.event.kind)),
        Column("what", lambda entry: in_words(entry.event), cut="middle"),
        Column("run", lambda entry: entry.run or "", spare=2, cut="end"),
        Column("actor", lambda entry: entry.actor, spare=1, cut="end"),
    ]


def in_words(event: "AnyEvent") -> str:  # noqa: PLR0911 - one case for each kind of event, on purpose
    """What an event is about."""
    from chainfold import events

    match event:
        case events.ArtifactRegistered(record=record):
            more = "" if event.restored_from is None else f", restored from {event.restored_from}"
            return f"{record.artifact_id}{more}{', imported' if event.imported else ''}"
        case events.ArtifactsDeleted():
            return (
                f"pipeline {event.pipeline_id}"
                if event.pipeline_id is not None
                else _first(event.artifact_ids)
            )
        case events.BlobsSwept():
            return f"{counted(len(event.paths), 'file')}, {size_text(event.size_bytes)}, {event.reason}"
        case events.RunRolledBack():
            return f"{event.reason}{f': {event.detail}' if event.detail else ''}"
        case events.AliasSet():
            return (
                f"{event.alias} -> {event.artifact_id}"
                if event.artifact_id is not None
                else f"{event.alias} removed"
            )
        case events.PrivateErased():
            return f"{counted(len(event.paths), 'file')}, {event.reason}"
        case events.RunStarted():
            return event.owner
        case events.RunCommitted() | events.DatasetPurged():
            return ""
        case _:
            assert_never(event)


def _first(names: list[str]) -> str:
    return (
        names[0]
        if len(names) == 1
        else f"{counted(len(names), 'artifact')}, {names[0] if names else 'none'} first"
    )
