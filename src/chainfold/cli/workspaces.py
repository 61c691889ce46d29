"""Where the workspace is, and which dataset of it is meant.

The marker is a file `chainfold.toml` in the folder of the workspace, or above it:

    workspace = "."      # the folder that holds log/ and binaries/, from this file on
    dataset = "wheat"    # optional: the dataset that is meant when none is named

Commands look for it in the current folder and in all above; a folder with datasets in `log/` is a workspace
without one, too. What is nearest counts.
"""

import os
import stat
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from chainfold.cli.plain import plain
from chainfold.errors import InvalidInputError, NotFoundError, StorageError

MARKER: Final = "chainfold.toml"
WORKSPACE_VARIABLE: Final = "CHAINFOLD_WORKSPACE"
DATASET_VARIABLE: Final = "CHAINFOLD_DATASET"
_MARKER_BYTES: Final = 64 << 10
_NAMED_AT_MOST: Final = 20


class Workspace(NamedTuple):
    """A workspace that was found.

    Attributes:
        folder: Its folder.
        dataset: The dataset that its marker names; empty if none.
        found_by: What led to it, for people.
    """

    folder: Path
    dataset: str
    found_by: str


def find_workspace(asked: Path | None) -> Workspace:
    """The workspace that is meant: that of the option, of the environment, or of the current folder.

    Args:
        asked: What the option says, or the environment: a folder, whose marker is heeded too.

    Raises:
        NotFoundError: If there is none.
        InvalidInputError: If a marker is none.
        StorageError: If a marker may not be read.
    """
    if asked is not None:
        if not asked.is_dir():
            raise NotFoundError(
                f"there is no folder {str(asked)!r}: name a workspace by -w or {WORKSPACE_VARIABLE}, "
                f"or make one: chainfold init {asked}"
            )
        found = of_marker(asked)
        if found is None and not (asked / "log").is_dir():
            raise NotFoundError(
                f"the folder {str(asked)!r} is no workspace: it has neither log/ nor a marker; name another "
                f"by -w or {WORKSPACE_VARIABLE}, or make it one: chainfold init {asked}"
            )
        return found or Workspace(asked, "", "-w")
    here = Path.cwd()
    for folder in (here, *here.parents):
        found = of_marker(folder)
        if found is not None:
            return found
        if has_datasets(folder):
            return Workspace(folder, "", "its log/")
    raise NotFoundError(
        f"no workspace was found in {str(here)!r} or above: name one by -w or {WORKSPACE_VARIABLE}, "
        f"or make one: chainfold init"
    )


def of_marker(folder: Path) -> Workspace | None:
    """What the marker of a folder says; None if it has none.

    Raises:
        InvalidInputError: If it is no marker.
        StorageError: If it may not be read.
    """
    path = folder / MARKER
    try:
        with path.open("rb") as file:
            content = file.read(_MARKER_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    except OSError as error:
        if path.is_dir():  # as Windows refuses to read one
            return None
        raise StorageError.refused("read", path, error) from error
    try:
        place, dataset = _said(content)
        inside = _below(folder, place)
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(
            f"the marker {str(path)!r} cannot be used: {error}; mend it, or remove it and "
            f"make it again: chainfold init"
        ) from error
    return Workspace(inside, dataset, str(path))


def _said(content: bytes) -> tuple[str, str]:
    """What a marker says of workspace and dataset; ValueError if it is none."""
    if len(content) > _MARKER_BYTES:
        raise ValueError(f"it has more than {_MARKER_BYTES:,} bytes")
    fields = tomllib.loads(content.decode())
    unknown = sorted(fields.keys() - {"workspace", "dataset"})
    if unknown:
        raise ValueError(f"it says {unknown[0]!r}, and only workspace and dataset are known")
    place, dataset = fields.get("workspace", "."), fields.get("dataset", "")
    if not isinstance(place, str) or not isinstance(dataset, str):
        raise ValueError("workspace and dataset are texts")  # noqa: TRY004 - it is the file that is wrong
    return place, dataset


def _below(folder: Path, place: str) -> Path:
    """The folder that a marker in another names; ValueError if it leads out."""
    folder = folder.absolute()
    inside = Path(os.path.normpath(folder / place))
    if Path(place).is_absolute() or not inside.is_relative_to(os.path.normpath(folder)):
        raise ValueError(f"its workspace {place!r} is not below its own folder")
    return inside


def dataset_names(workspace: Path) -> Iterator[str]:
    """Names of the folders in `log/` that hold a log, or may hold one that cannot be read; in no order.

    Raises:
        StorageError: If `log/` may not be read.
    """
    folder = workspace / "log"
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if _may_hold_log(entry.path):
                    yield entry.name
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise StorageError.refused("list", folder, error) from error


def _may_hold_log(folder: str) -> bool:
    try:
        return stat.S_ISDIR(os.stat(os.path.join(folder, "segments")).st_mode)  # noqa: PTH116, PTH118 - there may be many
    except PermissionError:
        return True
    except OSError:
        return False


def has_datasets(folder: Path) -> bool:
    """Whether a folder is seen to be a workspace by its datasets."""
    try:
        return any(dataset_names(folder))
    except StorageError:
        return False


def find_dataset(workspace: Workspace, asked: str | None) -> str:
    """The dataset that is meant: that of the option or environment, of the marker, or the only one.

    Raises:
        NotFoundError: If there is none of that name, or several to choose from; they are listed.
    """
    name = asked or workspace.dataset
    names = sorted(dataset_names(workspace.folder))
    if name:
        if name not in names:
            raise NotFoundError(
                f"workspace {str(workspace.folder)!r} has no dataset {name!r}{_listed('; it has: ', names)}"
            )
        return name
    if not names:
        raise NotFoundError(
            f"workspace {str(workspace.folder)!r} has no dataset yet: the first artifact that is registered "
            f"makes one"
        )
    if len(names) > 1:
        raise NotFoundError(
            f"workspace {str(workspace.folder)!r} has {len(names)} datasets{_listed(': ', names)}; "
            f"choose one by -d or {DATASET_VARIABLE}"
        )
    return names[0]


def _listed(before: str, names: list[str]) -> str:
    if not names:
        return "; it has none"
    more = f" and {len(names) - _NAMED_AT_MOST} more" if len(names) > _NAMED_AT_MOST else ""
    return before + ", ".join(map(plain, names[:_NAMED_AT_MOST])) + more
