"""`chainfold init`: a folder becomes a workspace that commands find by themselves."""

import contextlib
from pathlib import Path

import click

from chainfold.cli.command import Command
from chainfold.cli.failing import tell
from chainfold.cli.workspaces import MARKER, dataset_names, of_marker
from chainfold.errors import InvalidInputError, StorageError

_TEXT = """\
# This is a chainfold workspace: commands that are run in this folder, or below it, find it by this file.
workspace = "."
"""


@click.command(
    cls=Command,
    examples=[
        ("chainfold init", "Make the current folder a workspace."),
        (
            "chainfold init experiments --default-dataset wheat",
            "Make one, and name the dataset that is meant.",
        ),
    ],
)
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default=Path(), required=False)
@click.option(
    "--default-dataset", metavar="NAME", default="", help="The dataset that is meant when none is named."
)
def init(folder: Path, default_dataset: str) -> None:
    """Make a workspace that commands find by themselves.

    FOLDER, by default the current one, is made if it is not there, and gets a file chainfold.toml that you
    may edit. Nothing else is written: datasets are made by what registers in them. A folder that is a
    workspace already stays as it is.
    """
    from chainfold.places import check_dataset_name

    if default_dataset:
        check_dataset_name(default_dataset)
    marker = folder / MARKER
    text = _TEXT + (f"dataset = {_quoted(default_dataset)}\n" if default_dataset else "")
    was_there = folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with marker.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except FileExistsError:
        if not folder.is_dir():
            raise InvalidInputError(
                f"{str(folder)!r} cannot be a workspace: a file of that name is there"
            ) from None
        if not marker.is_file():
            raise InvalidInputError(
                f"{str(marker)!r} is there, and is no file: move it away, and run this again"
            ) from None
        of_marker(folder)  # it may be none
        if default_dataset:
            raise InvalidInputError(
                f"{str(marker)!r} is there already and stays as it is: edit it to name a dataset"
            ) from None
        tell("Note", f"{str(marker)!r} is there already and stays as it is")
    except OSError as error:
        if not was_there:
            with contextlib.suppress(OSError):
                marker.unlink(missing_ok=True)
                folder.rmdir()
        raise StorageError.refused("make the workspace", folder, error) from error
    count = sum(1 for _ in dataset_names(folder))
    has = f"it has {count} dataset{'' if count == 1 else 's'}" if count else "it has no dataset yet"
    tell("Note", f"{str(folder.absolute())!r} is a workspace; {has}")


def _quoted(text: str) -> str:
    """A TOML string: dataset names have neither quotes, backslashes nor control characters."""
    return f'"{text}"'
