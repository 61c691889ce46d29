"""`chainfold load`: the bytes of an artifact, checked, into a file."""

from pathlib import Path

import click

from chainfold.cli.command import Command
from chainfold.cli.completing import complete_ids
from chainfold.cli.naming import artifact_name, find_id
from chainfold.cli.opening import Reading, reading
from chainfold.cli.outfiles import STDOUT, force_option, to_stdout, write_file
from chainfold.cli.units import size_text


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
@click.argument("name", metavar="ID", type=artifact_name, shell_complete=complete_ids)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    required=True,
    type=click.Path(allow_dash=True),
    help="Where to: a file that is not there yet, or - for stdout.",
)
@force_option
@reading
def load(reading: Reading, *, name: str, output: str, force: bool) -> None:
    """Write the bytes of an artifact to a file.

    They are checked against the whole digest first, and never deserialised: only load what you trust in
    Python. A file that is there stays as it is, unless --force is given. ID may be an alias or a digest, too.
    An artifact that is no longer live is found by --at.
    """
    if output == STDOUT:
        reading.printer.refuse_format("the bytes of an artifact")
    view = reading.view
    record = view.require(find_id(view, name))
    content = view.load_bytes(record)
    if output == STDOUT:
        to_stdout(content, "the bytes of a model")
        return
    write_file(Path(output), content, force=force)
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
