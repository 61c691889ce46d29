"""`chainfold verify`: the dataset, or some artifacts, against what the log says."""

import contextlib
import warnings
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import click

from chainfold.cli.command import Command
from chainfold.cli.completing import complete_ids
from chainfold.cli.failing import as_commands
from chainfold.cli.keys import check_signature
from chainfold.cli.moments import parse_moment, read_checkpoint
from chainfold.cli.naming import artifact_name, each_name, find_id
from chainfold.cli.opening import Place, placed_now
from chainfold.cli.printing import Printer
from chainfold.cli.progress import progress
from chainfold.cli.units import counted

if TYPE_CHECKING:
    from chainfold.checks import Finding
    from chainfold.verify import Report

_NOTES: Final = 5
"""Of one kind that people are told one by one."""


@click.command(
    cls=Command,
    short_help="Check everything, or artifacts, against the log.",
    examples=[
        ("chainfold verify", "Check everything: the log, and every live artifact's file."),
        ("chainfold verify production", "Check one artifact."),
        ("chainfold verify --no-blobs", "Check the log alone, in a tenth of the time."),
        (
            "chainfold verify --since kept.txt",
            "Check, too, that nothing before a checkpoint that you have kept was changed.",
        ),
        (
            'chainfold verify --since kept.txt --key "$(cat lab.pub)"',
            "Check, too, that it is signed with the key that you know.",
        ),
        ("chainfold ls -q -f type=model | chainfold verify -", "Check all models."),
        ("chainfold verify --after 41000", "Go on with a check that Ctrl-C has ended: it says where."),
    ],
)
@click.argument("names", metavar="[ID]...", nargs=-1, type=artifact_name, shell_complete=complete_ids)
@click.option(
    "--since",
    "kept",
    metavar="CHECKPOINT_FILE",
    multiple=True,
    type=click.Path(),
    help="A checkpoint that was kept; several say better where the log was changed.",
)
@click.option(
    "--key", metavar="PUBLIC_KEY", help="Whose signature each of these checkpoints must have: name+id+base64."
)
@click.option("--no-blobs", is_flag=True, help="Check the log alone, and no other file.")
@click.option(
    "--after",
    metavar="POSITION|TIME",
    help="Check only artifacts that were registered after that; the log is checked from its beginning.",
)
@click.option(
    "-j",
    "--jobs",
    metavar="NUMBER",
    type=click.IntRange(min=-1),
    default=-1,
    help="Threads and processes that share the work; by default as many as there are cores.",
)
@placed_now
def verify(
    place: Place,
    *,
    names: tuple[str, ...],
    kept: tuple[str, ...],
    key: str | None,
    no_blobs: bool,
    after: str | None,
    jobs: int,
) -> None:
    """Check the dataset, or artifacts, against what the log says, and exit with 1 if something is wrong.

    Everything is read anew and nothing is changed: the log's sums, order, times and Merkle root, the digest
    of every live artifact's file, what is private, lineage, and whether the snapshot says what the log says.
    An error is something that was acknowledged and is lost or changed, or a snapshot that answers otherwise
    than the log: what was expected and what was found are printed. A note is worth knowing, and nothing is
    lost. With ID (an alias or a digest will do; - reads them from stdin) only these artifacts are checked.
    With --format quiet it prints their ids that are wrong.
    """
    if names and (kept or no_blobs or after):
        raise click.UsageError("--since, --after and --no-blobs are about the whole: leave artifacts out.")
    if no_blobs and after:
        raise click.UsageError("--after is about the artifacts, and with --no-blobs none is checked.")
    if key is not None and not kept:
        raise click.UsageError("--key says who signed the checkpoints of --since: name one.")
    since = [read_checkpoint(each, place.dataset) for each in kept]
    if key is not None:
        for name, content in zip(kept, since, strict=True):
            check_signature(name, content, key)
    with warnings.catch_warnings(), contextlib.ExitStack() as stack:
        if not names:
            warnings.simplefilter("ignore", RuntimeWarning)  # of damage: it is told as a finding
        reading = stack.enter_context(place.reading())
        ids = [find_id(reading.view, name) for name in each_name(names)]
        with progress("Verifying", unit="segments of the log" if no_blobs else "artifacts") as step:
            found = reading.registry.verify(
                step.at,
                jobs=jobs or -1,
                since=since or None,
                blobs=not no_blobs,
                artifacts=ids if names else None,
                after=0 if after is None else parse_moment(after, place.dataset, end=False),
            )
        wrong = [each.artifact_id or each.where for each in found.findings if each.level == "error"]
        reading.printer.document(
            "verified/1",
            {**_json(found, kept, after), "only": ids if names else None, "blobs": not no_blobs},
            human=lambda: _tell(reading.printer, found, kept, after, whole=not names, blobs=not no_blobs),
            ids=dict.fromkeys(wrong),
        )
    if not found.ok:
        click.get_current_context().exit(1)


def _json(found: "Report", kept: tuple[str, ...], after: str | None) -> dict[str, Any]:
    import msgspec

    return {
        "ok": found.ok,
        "entries": found.entries,
        "root": found.root,
        "artifacts": found.artifacts,
        "files": found.files,
        "since": list(kept),
        "after": after,
        "findings": msgspec.to_builtins(found.findings),
    }


def _tell(
    printer: Printer,
    found: "Report",
    kept: tuple[str, ...],
    after: str | None,
    *,
    whole: bool,
    blobs: bool,
) -> None:
    errors = sum(each.level == "error" for each in found.findings)
    what = f"Dataset {found.dataset}"
    if not whole:
        what = f"{counted(found.artifacts, 'artifact')} of dataset {found.dataset}"
    printer.line(
        f"{what}: {counted(errors, 'error') if errors else 'all holds'}",
        bold=True,
        fg="red" if errors else "green",
    )
    printer.pairs(
        [
            ("log", f"{counted(found.entries, 'entry', 'entries')}{'' if whole else ', not checked'}"),
            ("root", found.root),
            ("checked", _checked(found, blobs=blobs)),
            ("since", ", ".join(kept)),
            ("artifacts after", after or ""),
        ]
    )
    told: Counter[str] = Counter()
    for finding in found.findings:
        is_note = finding.level == "note"
        told[finding.kind] += is_note
        if not is_note or told[finding.kind] <= _NOTES:
            printer.line()
            _tell_finding(printer, finding)
    for kind, count in told.items():
        if count > _NOTES:
            printer.note(f"{count - _NOTES:,} more are {kind}: --format json tells all")
    if told["orphan"] or told["unneeded"]:
        printer.note(
            "what no live artifact needs may be of one that was superseded or deleted: load --at, show --at "
            "and restore still use it. chainfold gc --all would remove it for good; with --dry-run it only "
            "shows what"
        )
    if errors:
        printer.note("what was lost is put back from a copy, and nothing else: docs/recovery.md says how")


def _checked(found: "Report", *, blobs: bool) -> str:
    if not blobs:
        return "the log alone"
    return f"{counted(found.artifacts, 'artifact')}, {counted(found.files, 'file')}"


def _tell_finding(printer: Printer, finding: "Finding") -> None:
    from chainfold.digest import PREFIX

    is_error = finding.level == "error"
    printer.line(
        f"{finding.level.capitalize()} ({finding.kind}): {finding.where}", fg="red" if is_error else "magenta"
    )
    if not finding.expected:
        printer.paragraph(as_commands(finding.detail), 2)
        return
    if not finding.found or finding.kind == "corruption":
        printer.paragraph(as_commands(finding.detail), 2)
    printer.pairs(
        [
            ("file", f"{finding.file} (sha256)" if finding.file else ""),
            ("expected", finding.expected.removeprefix(PREFIX)),  # without it they fit into 80 columns
            ("found", finding.found.removeprefix(PREFIX) or "nothing"),
        ]
    )
