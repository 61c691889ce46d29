"""`chainfold export`: a dataset, as of any moment, for other tools."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, TypeVar

import click

from chainfold.cli import manifests
from chainfold.cli.command import Command
from chainfold.cli.completing import complete_ids
from chainfold.cli.naming import artifact_name, find_id
from chainfold.cli.opening import Reading, reading
from chainfold.cli.outfiles import STDOUT, force_option, refuse_unfit, whole_file
from chainfold.cli.progress import Step, progress
from chainfold.cli.units import size_text
from chainfold.errors import InvalidInputError

if TYPE_CHECKING:
    from chainfold.view import RegistryView

_TABLES: Final = ("artifacts", "history", "events", "runs", "aliases", "lineage")
_SUFFIXES: Final = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".sqlite": "sqlite",
    ".sqlite3": "sqlite",
    ".db": "sqlite",
    ".yaml": "manifest",
    ".yml": "manifest",
    ".provn": "prov",
}
_FORMATS: Final = ("manifest", "parquet", "sqlite", "prov", "openlineage", "in-toto")
_TABULAR: Final = ("parquet", "sqlite")
_YAML: Final = (".yaml", ".yml")
_AT_ONCE: Final = 256
T = TypeVar("T")
_Writer = Callable[[BinaryIO], None]


@click.command(
    cls=Command,
    short_help="Write a dataset for other tools.",
    examples=[
        ("chainfold export wheat.yaml", "Export what is live as a manifest, to be imported elsewhere."),
        ("chainfold export audit.sqlite", "Export all tables as a database, for questions in SQL."),
        (
            "chainfold export may.parquet --table history --at 2026-05-31",
            "Export a table, as it was at the end of May.",
        ),
        ("chainfold export wheat.json --as prov", "Export the history as W3C PROV."),
        ("chainfold export - --as openlineage | gzip > wheat.jsonl.gz", "Export it as OpenLineage events."),
        (
            "chainfold export model.json --as in-toto --artifact production",
            "Export how a model was made as an in-toto statement.",
        ),
    ],
)
@click.argument("file", metavar="FILE", type=click.Path(allow_dash=True))
@click.option(
    "--as",
    "kind",
    type=click.Choice(_FORMATS),
    help="What to write; by default what FILE's suffix says: .yaml (manifest), .parquet, .sqlite, .provn.",
)
@click.option(
    "--table",
    type=click.Choice(_TABLES),
    help="Which table, for Parquet (by default artifacts) and SQLite (by default all).",
)
@click.option(
    "--artifact",
    metavar="ID",
    type=artifact_name,
    shell_complete=complete_ids,
    help="Which artifact, for in-toto.",
)
@force_option
@reading
def export(
    reading: Reading, *, file: str, kind: str | None, table: str | None, artifact: str | None, force: bool
) -> None:
    """Write the dataset to FILE, for other tools and workspaces; - is stdout.

    It shows one moment, the present or that of --at. The file has its name only when it is whole: whoever
    interrupts it finds nothing, or what was there before. Private fields are left out. docs/tables.md says
    what the tables have, docs/exports.md what becomes what in PROV, OpenLineage and in-toto.
    """
    chosen = _kind(file, kind, table, artifact)
    if file == STDOUT:
        reading.printer.refuse_format("an export")
    reading.require_whole()
    view = reading.view
    if chosen in _TABULAR:
        path = Path(file)
        refuse_unfit(path, force=force)
        with progress("Exporting", unit="entries") as step:
            view.export(path, chosen, what=table, overwrite=force, progress=step.at)
    else:
        with progress("Exporting", unit="events" if chosen == "openlineage" else "artifacts") as step:
            write = _writer(reading, chosen, Path(file).suffix.lower(), artifact, step)
            if file == STDOUT:
                write(sys.stdout.buffer)
                sys.stdout.buffer.flush()
                return
            with whole_file(Path(file), force=force) as target:
                write(target)
    size = Path(file).stat().st_size
    reading.printer.document(
        "exported/1",
        {"file": file, "as": chosen, "table": table, "size_bytes": size},
        human=lambda: reading.printer.note(
            f"{file}: {size_text(size)}, {chosen} of dataset {view.dataset} as of position {view.position}"
        ),
        ids=[file],
    )


def _kind(file: str, kind: str | None, table: str | None, artifact: str | None) -> str:
    """What is to be written."""
    chosen = kind or _SUFFIXES.get(Path(file).suffix.lower())
    if chosen is None:
        raise click.UsageError(
            f"{file!r} does not say what to write: use .yaml, .parquet, .sqlite or .provn, or --as with one "
            f"of {', '.join(_FORMATS)}."
        )
    if chosen in _TABULAR and file == STDOUT:
        raise click.UsageError(f"{chosen} is written to a file, not to stdout: name one.")
    if table is not None and chosen not in _TABULAR:
        raise click.UsageError(f"--table is for {' and '.join(_TABULAR)}, not for {chosen}.")
    if (artifact is not None) != (chosen == "in-toto"):
        raise click.UsageError(
            "--artifact ID and --as in-toto go together: a statement is about one artifact."
        )
    return chosen


def _writer(reading: Reading, kind: str, suffix: str, artifact: str | None, step: Step) -> _Writer:
    """What writes a text."""
    view = reading.view
    if kind == "manifest":
        if suffix in _YAML and len(view) > manifests.MANY:
            reading.printer.warn(
                "so large a manifest may be refused when it is read as YAML: export a .json, by --as manifest"
            )
        records = (record.without_private() for record in _counted(step, view.iter_records(), len(view)))
        if suffix in _YAML:
            return lambda target: manifests.write_yaml(target, records)
        return lambda target: manifests.write_json(target, records)
    if kind == "openlineage":
        return lambda target: _write_lines(view, target, step)
    if kind == "prov":
        return lambda target: _write_prov(view, target, notation=suffix == ".provn")
    if artifact is None:
        raise InvalidInputError("a statement is about one artifact: name it by --artifact")
    artifact_id = find_id(view, artifact)
    return lambda target: _write_statement(view, artifact_id, target)


def _counted(step: Step, items: Iterator[T], total: int) -> Iterator[T]:
    """The items, told as they go by."""
    for number, item in enumerate(items):
        if number % _AT_ONCE == 0:
            step.at(number, total)
        yield item


def _write_lines(view: "RegistryView", target: BinaryIO, step: Step) -> None:
    from chainfold.integrations import openlineage

    total = 2 * view.position  # two for each registration, and for each deletion
    events = _counted(step, openlineage.events(view), total)
    target.writelines(json.dumps(event).encode() + b"\n" for event in events)


def _write_prov(view: "RegistryView", target: BinaryIO, *, notation: bool) -> None:
    from chainfold.integrations import prov

    document = prov.document(view)
    text = document.get_provn() if notation else document.serialize(format="json", indent=1)
    target.write(f"{text}\n".encode())


def _write_statement(view: "RegistryView", artifact_id: str, target: BinaryIO) -> None:
    from chainfold.integrations import intoto

    target.write(json.dumps(intoto.statement(view, artifact_id), indent=2).encode() + b"\n")
