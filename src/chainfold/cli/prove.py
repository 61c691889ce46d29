"""`chainfold prove`: one file that proves an artifact; or that an entry is there, or that a log only grew."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chainfold.cli.command import Command
from chainfold.cli.completing import complete_ids
from chainfold.cli.keys import key_option, read_key
from chainfold.cli.moments import parse_moment
from chainfold.cli.naming import artifact_name, find_id
from chainfold.cli.opening import Reading, reading
from chainfold.cli.outfiles import force_option, stdout_is_none, to_stdout, write_file
from chainfold.cli.units import size_text

if TYPE_CHECKING:
    from chainfold.cli.printing import Printer


@click.command(
    cls=Command,
    short_help="Prove what an artifact is and was made from.",
    examples=[
        (
            "chainfold prove production -o proof.json",
            "Prove what is in production, and what it was made from.",
        ),
        (
            "chainfold prove production --at kept.txt -o proof.json",
            "Prove what was, against a checkpoint that the reader has kept.",
        ),
        (
            "chainfold prove production --key-file lab.key -o proof.json",
            "Prove it to whoever knows your key.",
        ),
        ("chainfold prove --since kept.txt", "Prove that the log has only grown since a checkpoint."),
        ("chainfold prove --entry 12", "Prove that an entry is in the log."),
    ],
)
@click.argument("name", metavar="[ID]", required=False, type=artifact_name, shell_complete=complete_ids)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path, allow_dash=True),
    callback=stdout_is_none,
    help="Where the proof of an artifact goes: a file that is not there yet; by default, or by -, stdout.",
)
@force_option
@key_option
@click.option(
    "--entry", metavar="POSITION", type=click.IntRange(min=0), help="Prove that this entry is in the log."
)
@click.option(
    "--since",
    metavar="POSITION|TIME|FILE",
    help="Prove that the log has only grown since a position, a time or a kept checkpoint.",
)
@reading
def prove(
    reading: Reading,
    *,
    name: str | None,
    output: Path | None,
    force: bool,
    key_file: Path | None,
    entry: int | None,
    since: str | None,
) -> None:
    """Prove what an artifact is and was made from, in one file that is checked offline.

    ID may be an alias or a digest, too. The proof has the registration of the artifact and of all that it was
    made from, what has become of each, and the hashes from these to the checkpoint as of --at; it says itself
    what it does not prove: above all, that nothing else happened. It needs
    neither chainfold nor a network to be checked: python -m chainfold.proof.model_verifier proof.json
    --checkpoint kept.txt, or with --key. With --entry or --since it prints the hashes of an inclusion or
    a consistency proof (RFC 9162), as hex.
    """
    if sum(each is not None for each in (name, entry, since)) != 1:
        raise click.UsageError("name one thing to prove: an artifact, or --entry, or --since.")
    if name is None and (output is not None or key_file is not None or force):
        raise click.UsageError("--output, --force and --key-file are for the proof of an artifact.")
    reading.require_whole()
    if entry is not None:
        included = reading.view.inclusion_proof(entry)
        _tell(reading.printer, "inclusion/1", {"entry": entry, "size": included.size}, included)
    elif since is not None:
        grown = reading.view.consistency_proof(parse_moment(since, reading.view.dataset))
        _tell(reading.printer, "consistency/1", {"first": grown.first, "second": grown.second}, grown)
    elif name is not None:
        _prove_artifact(reading, name, output, key_file, force=force)


def _prove_artifact(
    reading: Reading, name: str, output: Path | None, key_file: Path | None, *, force: bool
) -> None:
    if output is None and reading.printer.shape != "json":  # which the proof is
        reading.printer.refuse_format("a proof")
    key = None if key_file is None else read_key(key_file)
    artifact_id = find_id(reading.view, name)
    proof = reading.view.model_proof(artifact_id, key)
    content = proof.encode()
    if output is None:
        if sys.stdout.isatty():
            for line in proof.splitlines():
                reading.printer.line(line)  # what would move the cursor is made visible
        else:
            to_stdout(content, "a proof")
        return
    write_file(output, content, force=force)
    reading.printer.document(
        "proof/1",
        {
            "artifact_id": artifact_id,
            "file": str(output),
            "size_bytes": len(content),
            "signed": key is not None,
        },
        human=lambda: reading.printer.note(
            f"{output}: {size_text(len(content))} that prove {artifact_id}; to check it: python -m "
            f"chainfold.proof.model_verifier {output} "
            f"{'--checkpoint KEPT' if key is None else f'--key {key.public}'}"
        ),
        ids=[artifact_id],
    )


def _tell(printer: "Printer", schema: str, about: dict[str, int], proof: Any) -> None:
    """The hashes of a proof: its roots, then its path."""
    roots = {
        each: getattr(proof, each).hex()
        for each in ("root", "first_root", "second_root")
        if hasattr(proof, each)
    }
    path = [each.hex() for each in proof.path]

    def human() -> None:
        printer.pairs(
            [
                *((each, f"{value:,}") for each, value in about.items()),
                *((each.replace("_", " "), value) for each, value in roots.items()),
                *((f"path {number}", value) for number, value in enumerate(path)),
            ]
        )

    printer.document(schema, {**about, **roots, "path": path}, human=human, ids=path)
