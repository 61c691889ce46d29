"""Files that a command writes for whoever asked: whole or not at all, and nothing is replaced unasked."""

import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final

import click

from chainfold.cli.workspaces import has_datasets
from chainfold.errors import ChainfoldError, InvalidInputError, NotFoundError, StorageError

STDOUT: Final = "-"
_OWN: Final = ("log", "binaries")
"""Folders of a workspace in which nobody else writes."""
_SECRET: Final = 0o600
_USUAL: Final = 0o666
_EXCLUSIVE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)


def force_option(body: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--force`."""
    return click.option("--force", is_flag=True, help="Replace the file if it is there.")(body)


def stdout_is_none(_: click.Context, __: click.Parameter, value: Path | None) -> Path | None:
    """For options whose default is stdout: - means that, too."""
    return None if value == Path(STDOUT) else value


def write_file(path: Path, content: bytes, *, force: bool = False, secret: bool = False) -> None:
    """Write a file; see `whole_file`."""
    with whole_file(path, force=force, secret=secret) as file:
        file.write(content)


@contextmanager
def whole_file(path: Path, *, force: bool = False, secret: bool = False) -> Iterator[BinaryIO]:
    """A file to be written inside the block, which has its name only when it is whole and durable.

    Args:
        path: Its name.
        force: Whether a file of that name is replaced.
        secret: Whether only its owner may read it.

    Raises:
        InvalidInputError: If it is there and not to be replaced, or no name for a file of one's own.
        NotFoundError: If its folder is not there.
        StorageError: If the system refuses.
    """
    refuse_unfit(path, force=force)  # before the work is done
    aside = path.with_name(f".{path.name[:100]}.{os.urandom(6).hex()}")
    try:
        try:
            with open(aside, "wb", opener=_opener(_SECRET if secret else _USUAL)) as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            if force:
                aside.replace(path)
            else:
                _claim(aside, path)
            _sync_folder(path)
        finally:
            aside.unlink(missing_ok=True)
    except FileExistsError:
        raise _is_there(path) from None
    except ChainfoldError:
        raise  # of what was to be written
    except OSError as error:
        raise StorageError.refused("write", path, error, of_workspace=False) from error


def refuse_unfit(path: Path, *, force: bool) -> None:
    """Refuse a name that a file of the user's own cannot have.

    Args:
        path: The name.
        force: Whether a file of that name is replaced. What is no regular file (a device, a link) never is.

    Raises:
        InvalidInputError: If it is there and not to be replaced, is no name, or is the workspace's own.
        NotFoundError: If its folder is not there.
        StorageError: If the system does not tell.
    """
    if not path.name:
        raise InvalidInputError(f"{str(path)!r} is a folder: name a file in it, or use - for stdout")
    try:
        found = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        found = None
    except OSError as error:
        raise StorageError.refused("write", path, error, of_workspace=False) from error
    if found is not None and not stat.S_ISREG(found.st_mode):
        raise InvalidInputError(
            f"{str(path)!r} is {_sort(found.st_mode)}, which is never replaced: name a file, or use - for "
            f"stdout"
        )
    if found is not None and not force:
        raise _is_there(path)
    folder = Path(os.path.realpath(path.parent))
    if not folder.is_dir():
        raise NotFoundError(
            f"there is no folder {str(path.parent)!r} for {path.name!r}: make it, or name another"
        )
    for each in (folder, *folder.parents):
        if each.name in _OWN and has_datasets(each.parent):
            raise InvalidInputError(
                f"{str(path)!r} is in {each.name}/ of a workspace, where only chainfold writes: name another"
            )


def _sort(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "a folder"
    if stat.S_ISLNK(mode):
        return "a link"
    return "a pipe" if stat.S_ISFIFO(mode) else "a device or the like"


def to_stdout(content: bytes, what: str) -> None:
    """Write bytes to a pipe.

    Raises:
        InvalidInputError: If stdout is a terminal.
    """
    if sys.stdout.isatty():
        raise InvalidInputError(f"a terminal is no place for {what}: use -o FILE, or a pipe")
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()


def _sync_folder(path: Path) -> None:
    from chainfold.storage import LocalFiles

    LocalFiles().sync_folder(path.absolute().parent)


def _is_there(path: Path) -> InvalidInputError:
    return InvalidInputError(f"the file {str(path)!r} is there already: name another, or use --force")


def _claim(aside: Path, path: Path) -> None:
    """Give a file its name; FileExistsError if another has come to have it meanwhile."""
    path.open("xb").close()
    try:
        aside.replace(path)
    except BaseException:
        if aside.exists():  # else it has its name already
            path.unlink()
        raise


def _opener(mode: int) -> Callable[[str, int], int]:
    return lambda name, _: os.open(name, _EXCLUSIVE, mode)
