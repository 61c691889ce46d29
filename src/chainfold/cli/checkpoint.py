"""`chainfold checkpoint`: what commits to the whole log, in a few lines; signed, if there is a key."""

from pathlib import Path

import click

from chainfold.cli.command import Command
from chainfold.cli.keys import key_option, make_key_file, read_key
from chainfold.cli.opening import Place, placed
from chainfold.cli.outfiles import force_option, stdout_is_none, write_file
from chainfold.cli.printing import Printer


@click.command(
    cls=Command,
    short_help="Print what commits to the log so far.",
    examples=[
        ("chainfold checkpoint -o kept.txt", "Write it to a file, to be kept where nobody can change it."),
        (
            "chainfold checkpoint --make-key lab.example/registry --key-file lab.key",
            "Make a key, once: what is printed is for everybody, the file for nobody else.",
        ),
        ("chainfold checkpoint --key-file lab.key -o kept.txt", "Sign it."),
        ("chainfold checkpoint --at 2026-05-31", "Print what the log was at the end of May."),
    ],
)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path, allow_dash=True),
    callback=stdout_is_none,
    help="Where to: a file that is not there yet; by default, or by -, stdout.",
)
@force_option
@key_option
@click.option(
    "--make-key",
    metavar="NAME",
    help="Make a key of that name in --key-file, print its public part, and do nothing else.",
)
@click.option(
    "--public-key",
    is_flag=True,
    help="Print the public part of the key in --key-file, and do nothing else.",
)
@click.option(
    "--keep-hashes",
    is_flag=True,
    help="Leave the hashes of entries beside the log: then the next proof is made faster, and verify --since "
    "can say at which entry a log was changed. Without it nothing is written but FILE.",
)
@placed
def checkpoint(
    place: Place,
    *,
    output: Path | None,
    force: bool,
    key_file: Path | None,
    make_key: str | None,
    public_key: bool,
    keep_hashes: bool,
) -> None:
    """Print what commits to every byte of the log: three lines, to be kept elsewhere.

    Whoever has kept them learns by verify --since whether anything before was changed. With a key they are a
    signed note (c2sp.org/signed-note), for readers who must know whose they are; that needs the extra
    chainfold[proof]. Keys are Ed25519.
    """
    if (make_key is not None or public_key) and key_file is None:
        raise click.UsageError("name the key's file by --key-file.")
    if key_file is not None and (make_key is not None or public_key):
        key = read_key(key_file) if make_key is None else make_key_file(make_key, key_file)
        _tell_key(place.printer(), str(key.public), key_file if make_key is not None else None)
        return
    signer = None if key_file is None else read_key(key_file)
    if keep_hashes:
        with place.writing() as writing:
            writing.registry.checkpoint()
    with place.reading() as reading:
        reading.require_whole()
        view, printer = reading.view, reading.printer
        text = view.checkpoint(signer)
    if output is not None:
        write_file(output, text.encode(), force=force)
    lines = text.splitlines()
    printer.document(
        "checkpoint/1",
        {
            "origin": lines[0],
            "size": int(lines[1]),
            "root": _hex(lines[2]),
            "text": text,
            "file": None if output is None else str(output),
        },
        human=lambda: _tell(printer, text, output, int(lines[1])),
        ids=[] if output is not None else lines,
    )


def _tell(printer: Printer, text: str, output: Path | None, position: int) -> None:
    if output is None:
        printer.raw(text)
    else:
        entries = "entry" if position == 1 else f"{position:,} entries"
        printer.note(f"{output} commits to the first {entries}: keep it where nobody can change it")


def _tell_key(printer: Printer, public: str, made: Path | None) -> None:
    printer.document(
        "key/1",
        {"public": public, "file": None if made is None else str(made)},
        human=lambda: printer.line(public),
        ids=[public],
    )
    if made is not None:
        printer.note(f"{made} has the private key: keep it secret; the line above is for everybody")


def _hex(root: str) -> str:
    import base64

    return base64.b64decode(root).hex()
