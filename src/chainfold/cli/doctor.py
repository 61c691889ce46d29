"""`chainfold doctor`: whether anything around a workspace is wrong, and what to do about it."""

import contextlib
import shutil
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

import click

from chainfold.cli import symptoms
from chainfold.cli.columns import Column
from chainfold.cli.command import Command
from chainfold.cli.opening import Place, placed_now
from chainfold.cli.printing import Printer
from chainfold.cli.symptoms import Symptom
from chainfold.cli.units import counted, size_text
from chainfold.cli.workspaces import dataset_names, find_dataset
from chainfold.errors import ChainfoldError, NotFoundError, StorageError

_LET_READ: Final = "let this user read it, or look as one who may"


@click.command(
    cls=Command,
    short_help="Look for what is wrong, and say what to do.",
    examples=[
        ("chainfold doctor", "Look at the installation, the workspace and all of its datasets."),
        ("chainfold doctor -d wheat --format json", "Look at one dataset, for a program."),
    ],
)
@placed_now
def doctor(place: Place) -> None:
    """Look for what may be wrong, say what to do about it, and exit with 1 if somebody has to.

    It looks at versions, file system and space; at locks, runs whose owners died, files that they left,
    snapshots, checkpoint, clock and damage of each dataset, or of that of -d. It writes nothing, and reads
    little: chainfold verify is what reads everything. An error needs somebody, a note does not. With
    --format quiet it prints what the errors are about.
    """
    found = list(symptoms.of_environment())
    workspace, datasets = _look(place, found)
    printer = place.printer()
    wrong = [each for each in found if each.level == "error"]
    versions = symptoms.environment()
    printer.document(
        "doctor/1",
        {
            "ok": not wrong,
            "environment": versions,
            "workspace": workspace or None,
            "datasets": datasets,
            "findings": [each._asdict() for each in found],
        },
        human=lambda: _tell(printer, versions, workspace, datasets, found),
        ids=(each.where for each in wrong),
    )
    if wrong:
        click.get_current_context().exit(1)


def _look(place: Place, found: list[Symptom]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What is known of the workspace and its datasets; symptoms are added."""
    try:
        workspace = place.workspace
    except NotFoundError as error:
        if place.asked_workspace is not None:
            raise
        found.append(
            Symptom("note", "workspace", str(Path.cwd()), str(error), "chainfold init, or -w FOLDER")
        )
        return {}, []
    except ChainfoldError as error:
        where = place.asked_workspace or str(Path.cwd())
        found.append(Symptom("error", "marker", where, str(error), "see what the file says, and who owns it"))
        return {}, []
    found += symptoms.of_folder(workspace.folder)
    usage = shutil.disk_usage(workspace.folder)
    about = {
        "folder": str(workspace.folder.absolute()),
        "found_by": workspace.found_by,
        "file_system": _file_system(workspace.folder),
        "free_bytes": usage.free,
        "total_bytes": usage.total,
    }
    try:
        names = sorted(dataset_names(workspace.folder))
    except StorageError as error:
        found.append(Symptom("error", error.code, str(workspace.folder), str(error), _LET_READ))
        return about, []
    if place.asked_dataset:
        names = [find_dataset(workspace, place.asked_dataset)]
    return about, [_dataset(workspace.folder, name, found) for name in names]


def _dataset(folder: Path, name: str, found: list[Symptom]) -> dict[str, Any]:
    """What is known of a dataset; symptoms are added."""
    from chainfold.dataset import Dataset
    from chainfold.storage import ReadOnlyFiles

    about: dict[str, Any] = {"dataset": name, "entries": None, "log_bytes": None}
    about |= {"snapshot_entries": None, "open_runs": None}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # of damage: it is told as a finding
            data = Dataset(folder, name, files=ReadOnlyFiles())
        with contextlib.closing(data):
            snapshot = data.projections.snapshot
            about |= {
                "entries": data.log.size,
                "log_bytes": data.log.size_bytes(data.log.size),
                "snapshot_entries": 0 if snapshot is None else snapshot.size,
                "open_runs": sum(1 for _ in data.projections.runs.all_open()),
            }
            found.extend(symptoms.of_dataset(data, datetime.now(UTC)))
    except ChainfoldError as error:
        refused = isinstance(error, StorageError)
        advice = _LET_READ if refused else "chainfold verify, and docs/recovery.md"
        found.append(Symptom("error", error.code, f"dataset {name}", str(error), advice))
    return about


def _file_system(folder: Path) -> str | None:
    from chainfold.storage import file_system

    return file_system(folder)


def _tell(
    printer: Printer,
    versions: dict[str, str],
    workspace: dict[str, Any],
    datasets: list[dict[str, Any]],
    found: list[Symptom],
) -> None:
    printer.heading("Environment")
    head = ("chainfold", "python", "platform")
    rest = {name: known for name, known in versions.items() if name not in head}
    printer.pairs([(name, versions[name]) for name in head])
    printer.paragraph(f"with {', '.join(f'{name} {known}' for name, known in rest.items() if known)}", 2)
    missing = [name for name, known in rest.items() if not known]
    if missing:
        printer.paragraph(f"without {', '.join(missing)}", 2)
    if workspace:
        printer.line()
        printer.heading(f"Workspace {workspace['folder']}")
        free = f"{size_text(workspace['free_bytes'])} of {size_text(workspace['total_bytes'])} free"
        kind = workspace["file_system"]
        printer.pairs([("found by", workspace["found_by"]), ("disk", f"{kind}, {free}" if kind else free)])
        printer.rows(list(_columns()), datasets, 2)
    for each in found:
        printer.line()
        is_error = each.level == "error"
        printer.line(
            f"{each.level.capitalize()} ({each.kind}): {each.where}", fg="red" if is_error else "magenta"
        )
        printer.paragraph(each.detail, 2)
        printer.paragraph(f"What to do: {each.advice}.", 2)
    printer.line()
    errors = sum(each.level == "error" for each in found)
    verdict = f"{counted(errors, 'thing')} to see to." if errors else "Nothing is wrong."
    printer.line(verdict, bold=True, fg="red" if errors else "green")


def _columns() -> Iterator[Column[dict[str, Any]]]:
    def number(name: str, head: str = "", spare: int = 0) -> Column[dict[str, Any]]:
        return Column(
            name,
            itemgetter(name),
            lambda each: "" if each[name] is None else f"{each[name]:,}",
            right=True,
            head=head,
            spare=spare,
        )

    yield Column("dataset", lambda each: each["dataset"], cut="middle")
    yield number("entries")
    yield number("snapshot_entries", "in snapshot", spare=2)
    yield number("open_runs", spare=1)
    yield Column(
        "log_bytes",
        itemgetter("log_bytes"),
        lambda each: "" if each["log_bytes"] is None else size_text(each["log_bytes"]),
        right=True,
        head="log",
    )
