"""Tables into files: whole, or not at all."""

import contextlib
import os
import re
import sqlite3
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final, Literal, cast, get_args

from chainfold.errors import ChainfoldError, InvalidInputError, StorageError
from chainfold.storage import LocalFiles
from chainfold.tables import parquet, sqlite
from chainfold.tables.rows import Moment
from chainfold.tables.schema import TABLES, TableName, check_table

FileFormat = Literal["parquet", "sqlite"]
_FORMATS: Final[dict[str, FileFormat]] = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".sqlite": "sqlite",
    ".sqlite3": "sqlite",
    ".db": "sqlite",
}
_FILES: Final = LocalFiles()
_PARTIAL: Final = re.compile(r"\.chainfold-[0-9a-f]{32}\.partial")
_ABANDONED_SECONDS: Final = 86_400
"""Age from which what has no name yet is taken to be left by a process that was killed."""


def write(
    moment: Moment,
    path: Path | str,
    file_format: str | None,
    what: str | None,
    *,
    overwrite: bool,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """See `Tabular.export`."""
    target = _named(path)
    chosen = _format(target, file_format)
    tables: tuple[TableName, ...] = TABLES if what is None else (check_table(what),)
    if what is None and chosen == "parquet":
        tables = ("artifacts",)
    _check_free(target, overwrite=overwrite)
    if progress is not None:
        moment = moment._replace(told=partial(_tell, progress, tables, moment.size))
    _clear_abandoned(target.parent)
    aside = target.with_name(f".chainfold-{uuid.uuid4().hex}.partial")
    if chosen == "parquet":
        (table,) = tables
        _put(target, aside, lambda: parquet.write(moment, table, aside), overwrite=overwrite)
    else:
        _put(target, aside, lambda: sqlite.write(moment, tables, aside), overwrite=overwrite)
    return target


def _named(path: object) -> Path:
    """The whole path of a file that can have that name."""
    with contextlib.suppress(UnicodeEncodeError):
        name = os.fspath(path) if isinstance(path, str | os.PathLike) else None
        if isinstance(name, str) and b"\0" not in os.fsencode(name):
            return Path(os.path.abspath(name))  # noqa: PTH100 - resolve() would follow links
    raise InvalidInputError(f"a file is named by a text or a Path that the system knows, not {path!r:.100}")


def _tell(
    progress: Callable[[int, int], None], tables: tuple[TableName, ...], size: int, what: TableName, done: int
) -> None:
    """How far all tables have come, in entries: each goes through the whole log."""
    progress(tables.index(what) * size + done, len(tables) * size)


def _put(target: Path, aside: Path, make: Callable[[], None], *, overwrite: bool) -> None:
    """Make a file beside the target, durably, then give it its name; nothing is left behind on failure."""
    try:
        try:
            make()
        except (OSError, sqlite3.Error) as error:
            if isinstance(error, ChainfoldError):
                raise
            raise _refused(target, error) from error
        _FILES.sync([aside])
        _check_free(target, overwrite=overwrite)  # again: it took a while
        _FILES.rename(aside, target)
        _FILES.sync_folder(target.parent)
    finally:
        _FILES.remove(aside)


def _clear_abandoned(folder: Path) -> None:
    """Remove what exports left that were killed; what the system refuses stays, and hinders nobody."""
    with contextlib.suppress(OSError):
        for path in [each for each in folder.iterdir() if _PARTIAL.fullmatch(each.name)]:
            age = _FILES.age(path)
            if age is not None and age > _ABANDONED_SECONDS and not path.is_dir():
                _FILES.remove(path)


def _refused(target: Path, error: OSError | sqlite3.Error) -> StorageError:
    if isinstance(error, OSError):
        return StorageError.refused("write", target, error, of_workspace=False)
    return StorageError(f"cannot write {target}: {error}")


def _check_free(target: Path, *, overwrite: bool) -> None:
    if not target.parent.is_dir():
        raise InvalidInputError(f"cannot write {target}: there is no folder {target.parent}")
    if target.is_dir():
        raise InvalidInputError(f"{target} is a folder: name a file in it")
    if os.path.lexists(target) and not (overwrite and target.is_file()):
        raise InvalidInputError(f"{target} is there already: give another name, or overwrite=True for a file")


def _format(target: Path, asked: str | None) -> FileFormat:
    """The format that was asked for, or that the name's suffix says."""
    if asked is None:
        found = _FORMATS.get(target.suffix.lower())
        if found is None:
            raise InvalidInputError(
                f"{target.name!r} does not say its format: use {', '.join(_FORMATS)}, or format="
                f"{' or '.join(map(repr, get_args(FileFormat)))}"
            )
        return found
    for known in get_args(FileFormat):
        if asked == known:
            return cast("FileFormat", known)
    raise InvalidInputError(f"unknown format {asked!r}: use {' or '.join(get_args(FileFormat))}")
