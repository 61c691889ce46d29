"""`chainfold demo`: the registry at its main job, on real data, in a few seconds."""

import time
from pathlib import Path

import click

from chainfold.blobs import get_binaries_path
from chainfold.cli.demo_page import page
from chainfold.errors import ChainfoldError, InvalidInputError


@click.command()
@click.argument(
    "workspace",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("demo-workspace"),
    required=False,
)
def demo(workspace: Path) -> None:
    """Show what chainfold does, on real data, and leave WORKSPACE to be looked at.

    WORKSPACE is a folder, by default ./demo-workspace. It needs no network, and deletes nothing that it has
    not made: in a workspace that exists it takes a dataset of its own.
    """
    started = time.perf_counter()
    dataset = _free_dataset(workspace)
    try:
        from chainfold.cli.demo_story import Story

        paper = page()
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in {"", "chainfold"}:
            raise
        raise ChainfoldError(
            f'the demo needs scikit-learn and rich, and {missing!r} is missing: pip install "chainfold[demo]"'
        ) from error
    Story(paper, workspace, dataset).tell()
    paper.say(f"All of it took {time.perf_counter() - started:.1f} seconds.")


def _free_dataset(workspace: Path) -> str:
    """A dataset's name that the workspace does not have yet.

    Raises:
        InvalidInputError: If the folder is something other than a workspace.
    """
    if workspace.is_dir() and any(workspace.iterdir()) and not (workspace / "log").is_dir():
        raise InvalidInputError(
            f"the folder {str(workspace)!r} is not empty and no chainfold workspace, so it is left alone: "
            f"name another, as in: chainfold demo new-folder"
        )
    name, number = "diabetes", 1
    while (workspace / "log" / name).exists() or get_binaries_path(workspace, name).exists():
        number += 1
        name = f"diabetes-{number}"
    return name
