"""`chainfold demo`: the registry at its main job, on real data, in a few seconds."""

import itertools
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from chainfold.cli.command import Command
from chainfold.cli.workspaces import MARKER, has_datasets
from chainfold.errors import ChainfoldError, InvalidInputError, StorageError

if TYPE_CHECKING:
    from chainfold.cli.demo_page import Page


@click.command(
    cls=Command,
    short_help="Show what chainfold does, on real data.",
    examples=[("chainfold demo", "Run it, and leave its workspace in ./demo-workspace.")],
)
@click.argument(
    "workspace",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("demo-workspace"),
    required=False,
)
def demo(workspace: Path) -> None:
    """Show what chainfold does, on real data, and leave WORKSPACE to be looked at.

    WORKSPACE is a folder, by default ./demo-workspace. It needs no network, and deletes nothing but what it
    made itself: in a workspace that exists already it takes a dataset of its own.
    """
    from chainfold.cli.demo_page import page

    started = time.perf_counter()
    _check_folder(workspace)
    try:
        paper = page()
        dataset = _tell(paper, workspace)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in {"sklearn", "numpy", "scipy", "rich"}:
            raise
        raise ChainfoldError(
            f'the demo needs scikit-learn and rich, and {missing} is missing: pip install "chainfold[demo]"'
        ) from error
    _look_around(paper, workspace, dataset)
    paper.say(f"All of it took {time.perf_counter() - started:.1f} seconds.")


def _check_folder(workspace: Path) -> None:
    """Leave folders alone that are something else.

    Raises:
        InvalidInputError: If the folder is something other than a workspace.
    """
    names = {each.name for each in workspace.iterdir()} if workspace.is_dir() else set()
    if not (names <= {"log", "binaries", MARKER} or has_datasets(workspace)):
        raise InvalidInputError(
            f"the folder {str(workspace)!r} is not empty and no chainfold workspace, so it is left alone: "
            f"name another, as in: chainfold demo new-folder"
        )


def _new_dataset(workspace: Path) -> str:
    """The name of a dataset that the workspace did not have; its folder is made, so that it is ours alone.

    Raises:
        StorageError: If the folder cannot be made.
    """
    from chainfold.blobs import get_binaries_path

    for number in itertools.count(1):
        name = "diabetes" if number == 1 else f"diabetes-{number}"
        folder = workspace / "log" / name
        if not get_binaries_path(workspace, name).exists():
            try:
                folder.mkdir(parents=True)
            except FileExistsError:
                continue
            except OSError as error:
                raise StorageError.refused("make the folder", folder, error) from error
            break
    return name


def _tell(paper: "Page", workspace: Path) -> str:
    """Tell all chapters.

    Returns:
        The name of the dataset that they made.
    """
    from chainfold.cli import demo_reading, demo_writing
    from chainfold.cli.demo_stage import Stage
    from chainfold.registry import ArtifactRegistry

    dataset = _new_dataset(workspace)
    with ArtifactRegistry(workspace, dataset, pipeline_id="0001_stack") as registry:
        stage = Stage(paper, registry)
        stage.introduce()
        first = demo_writing.register_pipeline(stage)
        demo_writing.repeat_pipeline(stage)
        demo_writing.fail(stage)
        change = demo_writing.replace_models(stage, first)
        demo_reading.find_models(stage, change)
        demo_reading.load_models(stage, change)
        demo_reading.look_back(stage, change)
        demo_reading.delete_and_collect(stage, change)
        demo_reading.replay_and_verify(stage)
    return dataset


def _look_around(paper: "Page", workspace: Path, dataset: str) -> None:
    paper.chapter("Look around", "The workspace stays. In a shell:")
    paper.command(f"cd {shlex.quote(str(workspace))}")
    paper.command(f"ls binaries/{dataset}")
    paper.command(f"chainfold ls -d {dataset}")
    paper.command(f"chainfold show production -d {dataset}")
    paper.command(f"tail -1 log/{dataset}/segments/*.jsonl | python -m json.tool")
    paper.say("And there, in Python:")
    paper.code(
        "from chainfold import ArtifactRegistry\n"
        f'registry = ArtifactRegistry(".", "{dataset}")\n'
        'registry.load(registry.alias("production"))'
    )
