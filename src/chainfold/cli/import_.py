"""`chainfold import`: what others have exported, into a dataset."""

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from chainfold.cli.arriving import Arrival, Listed, arrivals, read_list, told_of, without_file
from chainfold.cli.command import Command
from chainfold.cli.opening import Place, placed_now
from chainfold.cli.progress import progress
from chainfold.cli.units import counted
from chainfold.cli.workspaces import dataset_names
from chainfold.errors import NotFoundError

if TYPE_CHECKING:
    from chainfold.cli.printing import Printer
    from chainfold.registry import ArtifactRegistry


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
            "chainfold import --dry-run wheat.yaml",
            "Say what a manifest would bring: what is new, what is there already, what is superseded.",
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
    type=click.Path(path_type=Path),
    help="Where the files are that the manifests name; by default beside each manifest.",
)
@click.option(
    "--nirs4all",
    "old",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="Take over what the manifests of a nirs4all workspace list, where it lies; with -d, of one dataset.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would be registered; nothing is written.")
@placed_now
def import_(
    place: Place, *, manifests: tuple[Path, ...], files: Path | None, old: Path | None, dry_run: bool
) -> None:
    """Register everything that manifests list: all of it, or nothing.

    A manifest is what chainfold export writes, or a pipeline's own, in YAML or (.json) JSON. Files with the
    right digest are copied in; an artifact whose file is not found is registered without it, and loading
    it fails until the file is put there. Of an import that is interrupted only files stay that were copied:
    the next try goes on with them, and chainfold gc --all removes them. What is imported is not trusted:
    docs/trust.md says how it is loaded. A dataset that -d names is made if it is not there. What is there
    already is registered once more, even with the same bytes; --dry-run says beforehand what is new, what is
    the same and what supersedes other content. With --format quiet it prints the ids of what was imported.
    docs/nirs4all.md says what --nirs4all does.
    """
    if old is not None:
        if manifests or files is not None:
            raise click.UsageError("--nirs4all finds its manifests and files itself: leave the others out.")
        _take_over(place, old, dry_run=dry_run)
        return
    if not manifests:
        raise click.UsageError("name a manifest, or a workspace by --nirs4all.")
    if files is not None and not files.is_dir():
        raise NotFoundError(f"there is no folder {str(files)!r}: --files names the one that has the files")
    lists = [read_list(path, files) for path in manifests]  # before anything is written
    target = _target(place)
    if dry_run:
        with target.peeking() as (registry, printer):
            _tell(registry, printer, lists, arrivals(registry, lists), dry_run=True)
        return
    with target.writing() as (registry, printer):
        coming = arrivals(registry, lists)
        # one manifest is one run by itself, of which nothing is there until it is whole
        whole = registry.run() if len(lists) > 1 else nullcontext()
        with progress("Importing", unit="artifacts") as step, whole:
            for each in lists:
                with told_of(each.path):
                    registry.import_from_manifest(each.manifest, each.root, progress=step.at)
        _tell(registry, printer, lists, coming, dry_run=False)


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


def _tell(
    registry: "ArtifactRegistry",
    printer: "Printer",
    lists: list[Listed],
    coming: list[Arrival],
    *,
    dry_run: bool,
) -> None:
    ids = list(dict.fromkeys(each.record.artifact_id for each in coming))
    by_kind: dict[str, list[str]] = {"new": [], "same": [], "superseding": []}
    for each in coming:
        by_kind[each.kind].append(each.record.artifact_id)
    bare = without_file(registry, lists, look=dry_run)
    printer.document(
        "imported/1",
        {
            "manifests": [str(each.path) for each in lists],
            "dry_run": dry_run,
            "artifacts": ids,
            **by_kind,
            "without_file": list(bare),
        },
        human=lambda: _tell_person(
            printer,
            f"{'Would import' if dry_run else 'Imported'} {counted(len(ids), 'artifact')} from "
            f"{counted(len(lists), 'manifest')} into dataset {registry.dataset}",
            by_kind,
            bare,
        ),
        ids=ids,
    )


def _tell_person(printer: "Printer", done: str, by_kind: dict[str, list[str]], bare: dict[str, str]) -> None:
    new, same, other = map(len, by_kind.values())
    printer.line(f"{done}: {new:,} new, {same:,} the same as before, {other:,} superseding other content")
    if same:
        printer.note(
            f"{same:,} of them were there already with the same bytes: each is registered once more, and "
            f"what was there is history"
        )
    if bare:
        odd = next(filter(None, bare.values()), "")
        printer.note(
            f"{len(bare):,} of them came without a file, as none was found with the right size and digest"
            f"{f' ({odd})' if odd else ''}: name the folder that has it by --files and import again, or put "
            f"it there; chainfold verify lists them"
        )
