"""`chainfold load`: the bytes of an artifact, checked, into a file."""

import os
import sys
from pathlib import Path
from typing import Final

import click

from chainfold.cli.command import Command
from chainfold.cli.completing import complete_ids
from chainfold.cli.naming import find_id
from chainfold.cli.opening import Reading, reading
from chainfold.cli.units import size_text
from chainfold.errors import InvalidInputError, StorageError

_STDOUT: Final = "-"


@click.command(
    cls=Command,
    examples=[
        ("chainfold load production -o model.joblib", "Write the file of what is in production."),
        (
            "chainfold load '0001_pls$66db6515faf4:0' --at 2026-05-31 -o old.joblib",
            "Write what it was in May.",
        ),
        ("chainfold load production -o - | sha256sum", "Write it to a pipe."),
    ],
)
@click.argument("name", metavar="ID", shell_complete=complete_ids)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    required=True,
    type=click.Path(allow_dash=True),
    help="Where to: a file that is not there yet, or - for stdout.",
)
@click.option("--force", is_flag=True, help="Replace the file if it is there.")
@reading
def load(reading: Reading, *, name: str, output: str, force: bool) -> None:
    """Write the bytes of an artifact to a file.

    They are checked against the whole digest first, and never deserialised: only load what you trust in
    Python. A file that is there stays as it is, unless --force is given. ID may be an alias or a digest, too.
    An artifact that is no longer live is found by --at.
    """
    view = reading.view
    record = view.require(find_id(view, name))
    content = view.load_bytes(record)
    if output == _STDOUT:
        if sys.stdout.isatty():
            raise InvalidInputError("a terminal is no place for the bytes of a model: use -o FILE, or a pipe")
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    _write(Path(output), content, force=force)
    reading.printer.document(
        "loaded/1",
        {
            "artifact_id": record.artifact_id,
            "content_hash": record.content_hash,
            "file": output,
            "size_bytes": len(content),
        },
        human=lambda: reading.printer.note(
            f"{output}: {size_text(len(content))} of {record.artifact_id}, format {record.format}, checked"
        ),
        ids=[record.artifact_id],
    )


def _write(path: Path, content: bytes, *, force: bool) -> None:
    """Write a file, whole or not at all.

    Raises:
        InvalidInputError: If it is there and not to be replaced.
        StorageError: If the system refuses.
    """
    aside = path.with_name(f".{path.name[:100]}.{os.urandom(6).hex()}")
    try:
        try:
            with aside.open("xb") as file:
                file.write(content)
            if force:
                aside.replace(path)
            else:
                _claim(path)
                aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
    except FileExistsError:
        raise InvalidInputError(
            f"the file {str(path)!r} is there already: name another, or use --force"
        ) from None
    except OSError as error:
        raise StorageError.refused("write", path, error) from error


def _claim(path: Path) -> None:
    """Make the file, empty; FileExistsError if it is there."""
    path.open("xb").close()
