"""`chainfold show`: all that is known of an artifact."""

import json
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from chainfold.cli.columns import Column
from chainfold.cli.command import Command
from chainfold.cli.completing import complete_ids
from chainfold.cli.naming import artifact_name, each_name, find_id
from chainfold.cli.opening import Reading, long_option, reading
from chainfold.cli.plain import quoted
from chainfold.cli.printing import Printer
from chainfold.cli.units import age_text, kind_text, size_text, time_of, time_text
from chainfold.errors import NotFoundError, StorageError

if TYPE_CHECKING:
    from chainfold.history import HistoryItem
    from chainfold.records import ArtifactRecord
    from chainfold.view import RegistryView

_NAMED: Final = 10
"""Relatives that people are told by name."""
_THERE: Final = {True: "", False: "  (not there)", None: "  (this user may not look whether it is there)"}


class _Shown(NamedTuple):
    """What is told of one artifact; of the record that is live, or else of the last that was."""

    record: "ArtifactRecord"
    standing: str
    position: int
    aliases: list[str]
    sources: list[tuple[str, str]]
    """Ids, and how each stands."""
    dependents: list[str]
    dependent_count: int
    history: "list[HistoryItem]"
    is_there: bool | None
    file: str


@click.command(
    cls=Command,
    examples=[
        (
            "chainfold show '0001_pls$66db6515faf4:0'",
            "Show an artifact. Quote ids: a shell would take the $ away.",
        ),
        ("chainfold show production --at 2026-05-31", "Show what was in production at the end of May."),
        (
            "chainfold ls -q -f type=meta_model | chainfold show - --format json",
            "Show all that a pipe names.",
        ),
    ],
)
@click.argument(
    "names", metavar="ID...", nargs=-1, required=True, type=artifact_name, shell_complete=complete_ids
)
@click.option(
    "--private", is_flag=True, help="Show what is private, too: no erasure reaches where you send it."
)
@long_option
@reading
def show(reading: Reading, names: tuple[str, ...], *, private: bool) -> None:
    """Show all about artifacts.

    That is the record with its parameters, what it was made from and what from it, every registration of the
    id, the aliases that point to it, and where its bytes are. ID may be an alias or the digest of the bytes,
    too; - is for ids from a pipe, one a line.
    """
    missing = False

    def found() -> Iterator[_Shown]:
        nonlocal missing
        for name in each_name(names):
            try:
                yield _look(reading.view, find_id(reading.view, name))
            except NotFoundError as error:
                reading.printer.fail(error)
                missing = True

    reading.printer.documents(
        "artifact/1",
        found(),
        as_json=lambda each: _json(each, private=private),
        human=lambda each: _tell(reading.printer, each, reading.now, private=private),
        id_of=lambda each: each.record.artifact_id,
    )
    if missing:
        click.get_current_context().exit(NotFoundError.exit_code)


def _look(view: "RegistryView", artifact_id: str) -> _Shown:
    history = view.history(artifact_id)
    item = next((each for each in history if each.standing == "live"), None) or history[-1]
    record = item.record
    states = [(each, "live" if each in view else "not live") for each in dict.fromkeys(record.depends_on)]
    file = view.binaries_dir / record.path
    return _Shown(
        record,
        item.standing,
        item.position,
        [alias for alias, target in view.aliases().items() if target == artifact_id],
        states,
        list(islice(view.iter_dependents(artifact_id), _NAMED)),
        view.count_dependents(artifact_id),
        history,
        _has_blob(view, record),
        str(file),
    )


def _has_blob(view: "RegistryView", record: "ArtifactRecord") -> bool | None:
    """Whether its file is there; None if the system does not tell."""
    try:
        return view.has_blob(record)
    except StorageError:
        return None


def _json(shown: _Shown, *, private: bool) -> dict[str, Any]:
    from chainfold.cli.fields import history_json, record_json

    return {
        "artifact_id": shown.record.artifact_id,
        "standing": shown.standing,
        "position": shown.position,
        "record": record_json(shown.record, private=private),
        "aliases": shown.aliases,
        "sources": [{"artifact_id": each, "live": state == "live"} for each, state in shown.sources],
        "dependent_count": shown.dependent_count,
        "history": [history_json(item, private=private) for item in shown.history],
        "file": {"path": shown.file, "there": shown.is_there},
    }


def _tell(printer: Printer, shown: _Shown, now: datetime, *, private: bool) -> None:
    record = shown.record if private else shown.record.without_private()
    created = time_of(record.created_at)
    ago = "" if created is None else f" ({age_text(now - created)} ago)"
    printer.heading(record.artifact_id)
    printer.pairs(
        [
            ("standing", f"{shown.standing}, registered at position {shown.position}"),
            ("aliases", ", ".join(map(quoted, shown.aliases))),
            ("type", record.artifact_type.value),
            ("class", record.class_name),
            ("name", record.custom_name),
            ("pipeline", record.pipeline_id),
            ("chain", record.chain_path),
            ("step", _step(record)),
            ("fold", record.get_fold_str()),
            ("created", f"{time_text(record.created_at)} UTC{ago}"),
            ("format", " ".join(filter(None, (record.format, record.format_version)))),
            ("digest", record.content_hash),
            ("size", _size(record.size_bytes)),
            ("refers to", ", ".join(record.refers_to)),
            ("private", ", ".join(record.private)),
            ("file", shown.file + _THERE[shown.is_there]),
        ]
    )
    if record.params:
        printer.line()
        printer.heading("Parameters")
        printer.pairs((name, _value(value)) for name, value in record.params.items())
    _tell_lineage(printer, shown)
    if len(shown.history) > 1:
        printer.line()
        printer.heading("History")
        printer.rows(_history_columns(), shown.history, indent=2)
    printer.line()


def _tell_lineage(printer: Printer, shown: _Shown) -> None:
    parts = [
        ("Made from", shown.sources, 0),
        ("Used by", [(each, "live") for each in shown.dependents], shown.dependent_count),
    ]
    for title, names, count in parts:
        if not names:
            continue
        total = max(count, len(names))
        printer.line()
        printer.heading(title)
        down = " --down" if title == "Used by" else ""
        for name, state in names[:_NAMED]:
            printer.line_of("  ", name, f"  ({state})" if state != "live" else "", fg="magenta")
        if total > _NAMED:
            printer.line(f"  and {total - _NAMED:,} more: chainfold tree{down} shows all")


def _size(size_bytes: int) -> str:
    about = size_text(size_bytes)
    return about if about.endswith(" B") else f"{about} ({size_bytes:,} bytes)"


def _step(record: "ArtifactRecord") -> str:
    parts = [str(record.step_index)]
    if record.substep_index is not None:
        parts.append(f"substep {record.substep_index}")
    if record.branch_path:
        parts.append(f"branch {record.get_branch_path_str()}")
    if record.source_index is not None:
        parts.append(f"source {record.source_index}")
    return ", ".join(parts)


def _value(value: Any) -> str:
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)


def _history_columns() -> "list[Column[HistoryItem]]":
    return [
        Column("position", lambda item: item.position, right=True),
        Column(
            "registered", lambda item: item.record.created_at, lambda item: time_text(item.record.created_at)
        ),
        Column("standing", lambda item: item.standing),
        Column("digest", lambda item: item.record.short_hash),
        Column("ended_by", _ending),
        Column("run", lambda item: item.run or "", spare=1),
    ]


def _ending(item: "HistoryItem") -> str:
    if item.removed_at is None:
        return ""
    return f"{kind_text(item.removed_by or '')} at {item.removed_at - 1}"
