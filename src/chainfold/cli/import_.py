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
            "chainfold import -d rye runs/*/manifest.yaml",
            "Import several manifests into a dataset, all or none.",
        ),
    ],
)
@click.argument("manifests", metavar="MANIFEST...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--files",
    metavar="FOLDER",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the files are that the manifests name; by default beside each manifest.",
)
@placed_now
def import_(place: Place, *, manifests: tuple[Path, ...], files: Path | None) -> None:
    """Register everything that manifests list: all of it, or nothing.

    A manifest is what chainfold export writes, or a pipeline's own, in YAML or (.json) JSON. Files with the
    right digest are copied in; an artifact whose file is not found is registered without it, and loading
    it fails until the file is put there. Of an import that is interrupted only files stay that were copied:
    the next try goes on with them, and chainfold gc removes them. What is imported is not trusted:
    docs/trust.md says how it is loaded. A dataset that -d names is made if it is not there. With --format
    quiet it prints the ids of what was imported.
    """
    read = {path: read_manifest(path) for path in manifests}
    with _target(place).writing() as writing:
        before = writing.registry.position
        with progress("Importing", "artifacts") as told, writing.registry.run():
            for path, manifest in read.items():
                writing.registry.import_from_manifest(manifest, files or path.parent, progress=told)
        _tell(writing, before, manifests)


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
