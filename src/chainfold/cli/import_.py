"""`chainfold import`: what others have exported, into a dataset."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chainfold.cli.command import Command
from chainfold.cli.manifests import read_manifest
from chainfold.cli.opening import Place, Writing, placed_now
from chainfold.cli.progress import progress
from chainfold.cli.units import counted
from chainfold.cli.workspaces import dataset_names

if TYPE_CHECKING:
    from chainfold.cli.printing import Printer


@click.command(
    "import",
    cls=Command,
    short_help="Register what manifests list.",
    examples=[
        (
            "chainfold import wheat.yaml --files ../other/binaries/wheat",
            "Import what was exported elsewhere, with its files.",
        ),
        (
            "chainfold import --nirs4all ../old --dry-run",
            "Say what would be taken over from a workspace of nirs4all, where it lies.",
        ),
        (
            "chainfold import -d rye runs/*/manifest.yaml",
            "Import several manifests into a dataset, all or none.",
        ),
    ],
)
@click.argument("manifests", metavar="[MANIFEST]...", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--files",
    metavar="FOLDER",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the files are that the manifests name; by default beside each manifest.",
)
@click.option(
    "--nirs4all",
    "old",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="Take over what the manifests of a nirs4all workspace list, where it lies; with -d, of one dataset.",
)
@click.option("--dry-run", is_flag=True, help="With --nirs4all: only say what would be registered.")
@placed_now
def import_(
    place: Place, *, manifests: tuple[Path, ...], files: Path | None, old: Path | None, dry_run: bool
) -> None:
    """Register everything that manifests list: all of it, or nothing.

    A manifest is what chainfold export writes, or a pipeline's own, in YAML or (.json) JSON. Files with the
    right digest are copied in; an artifact whose file is not found is registered without it, and loading
    it fails until the file is put there. Of an import that is interrupted only files stay that were copied:
    the next try goes on with them, and chainfold gc --all removes them. What is imported is not trusted:
    docs/trust.md says how it is loaded. A dataset that -d names is made if it is not there. With --format
    quiet it prints the ids of what was imported. docs/nirs4all.md says what --nirs4all does.
    """
    if old is not None:
        if manifests or files is not None:
            raise click.UsageError("--nirs4all finds its manifests and files itself: leave the others out.")
        _take_over(place, old, dry_run=dry_run)
        return
    if not manifests or dry_run:
        raise click.UsageError("name a manifest; --dry-run is for --nirs4all.")
    read = {path: read_manifest(path) for path in manifests}
    with _target(place).writing() as writing:
        before = writing.registry.position
        with progress("Importing", unit="artifacts") as step, writing.registry.run():
            for path, manifest in read.items():
                writing.registry.import_from_manifest(manifest, files or path.parent, progress=step.at)
        _tell(writing, before, manifests)


def _take_over(place: Place, old: Path, *, dry_run: bool) -> None:
    """Register what nirs4all has left behind; each dataset is all or nothing."""
    from chainfold.integrations.nirs4all import import_workspace

    asked = place.asked_dataset
    found = import_workspace(old, [asked] if asked else None, dry_run=dry_run)
    printer = place.printer()
    datasets = [
        {
            "dataset": each.dataset,
            "manifests": each.manifests,
            "known": each.known,
            "artifacts": [item.artifact_id for item in each.items],
            "without_file": [item.artifact_id for item in each.missing],
        }
        for each in found
    ]

    done = "to import" if dry_run else "imported"

    def human() -> None:
        for each in found:
            printer.line(
                f"{each.dataset}: {counted(len(each.items), 'artifact')} {done}, "
                f"{each.known:,} known already, from {counted(each.manifests, 'manifest')}"
            )
            if each.missing:
                printer.note(
                    f"the files of {len(each.missing):,} of them are not there: chainfold verify lists them"
                )

    printer.document(
        "taken-over/1",
        {"workspace": str(old), "dry_run": dry_run, "datasets": datasets},
        human=human,
        ids=(item.artifact_id for each in found for item in each.items),
    )


def _target(place: Place) -> Place:
    """The place; a dataset that is named need not be there."""
    asked = place.asked_dataset or place.workspace.dataset
    if asked and asked not in dataset_names(place.workspace.folder):
        from chainfold.places import check_dataset_name

        return place.of_dataset(check_dataset_name(asked))
    return place


def _tell(writing: Writing, before: int, manifests: tuple[Path, ...]) -> None:
    registry, printer = writing.registry, writing.printer
    ids: dict[str, None] = {}
    bare = list[str]()
    for entry in registry.events(before, kinds=["artifact-registered"]):
        event: Any = entry.event
        if event.imported:
            ids[event.record.artifact_id] = None
            if not registry.has_blob(event.record):
                bare.append(event.record.artifact_id)
    printer.document(
        "imported/1",
        {"manifests": list(map(str, manifests)), "artifacts": list(ids), "without_file": bare},
        human=lambda: _tell_person(printer, registry.dataset, len(ids), len(manifests), len(bare)),
        ids=ids,
    )


def _tell_person(printer: "Printer", dataset: str, count: int, manifests: int, bare: int) -> None:
    printer.line(
        f"Imported {counted(count, 'artifact')} from {counted(manifests, 'manifest')} into dataset {dataset}"
    )
    if bare:
        printer.note(
            f"{bare:,} of them came without a file, as none was found with the right digest: name the folder "
            f"that has it by --files and import again, or put it there; chainfold verify lists them"
        )
