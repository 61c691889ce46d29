"""File names of blobs: `<type>_<Class>_<first 12 hex digits of the digest>.<extension>`."""

import re
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Final

from chainfold.digest import short
from chainfold.errors import InvalidInputError
from chainfold.grammar import UNPRINTABLE, checked_text
from chainfold.records import ArtifactType

HASH_LENGTH: Final = 12
_CLASS_LENGTH: Final = 80
_PART_BYTES: Final = 255
_PATH_LENGTH: Final = 1_000
_TYPES: Final = "|".join(sorted((kind.value for kind in ArtifactType), key=len, reverse=True))
_NAME: Final = re.compile(rf"({_TYPES}|[^_]+)_(.+)_([0-9a-f]{{8,64}})\.(.+)\Z", re.DOTALL)
_UNPRINTABLE: Final = re.compile(f"[{UNPRINTABLE}]")
_PLAIN: Final = re.compile(r"[0-9A-Za-z_][0-9A-Za-z_.-]{0,199}")
_ODD: Final = re.compile(r"[^0-9A-Za-z_]+")


def generate_filename(
    artifact_type: ArtifactType | str, class_name: str, content_hash: str, extension: str = "joblib"
) -> str:
    """The name of a blob's file, safe on every file system.

    Characters of the class name other than ASCII letters, digits and `_` become `_`.
    """
    if class_name.isascii() and class_name.isidentifier():
        safe = class_name[:_CLASS_LENGTH]  # as almost always
    else:
        safe = _ODD.sub("_", class_name)[:_CLASS_LENGTH] or "object"
    kind = ArtifactType(artifact_type).value
    return f"{kind}_{safe}_{short(content_hash, HASH_LENGTH)}.{extension.lstrip('.')}"


def longer_filename(name: str, content_hash: str) -> str:
    """The name with the whole digest, for when another content has the same first digits."""
    stem, _, extension = name.partition(".")
    return f"{stem[:-HASH_LENGTH]}{short(content_hash, 64)}.{extension}"


def parse_filename(filename: str) -> tuple[str, str, str] | None:
    """Type, class name and hash digits of a blob's file name; None if it is not one."""
    match = _NAME.match(checked_text("a file's name", filename))
    return None if match is None else (match[1], match[2], match[3])


def get_short_hash(content_hash: str, length: int = HASH_LENGTH) -> str:
    """The first `length` hex digits of a digest."""
    return short(checked_text("a digest", content_hash), length)


def get_binaries_path(workspace: Path, dataset: str) -> Path:
    """Where a dataset's blobs are."""
    return Path(workspace) / "binaries" / dataset


def is_plain(path: str) -> bool:
    """Whether a path is nothing but a name in its folder, as all are that we make."""
    return _PLAIN.fullmatch(path) is not None


def check_relative(path: str) -> str:
    """The path, if it stays below the folder it is relative to, on every operating system.

    Raises:
        InvalidInputError: For an empty or absolute path, `..`, a drive letter, control characters, and what
            no file system takes.
    """
    if is_plain(path):
        return path
    posix, windows = PurePosixPath(path), PureWindowsPath(path)
    if not path or path in {".", "./"}:
        problem = "it is empty"
    elif _UNPRINTABLE.search(path):
        problem = "it has a control character, or is not valid Unicode"
    elif posix.is_absolute() or windows.is_absolute() or windows.drive or windows.root:
        problem = "it is absolute"
    elif ".." in posix.parts or ".." in windows.parts:
        problem = "it has a '..'"
    elif any(len(part.encode(errors="surrogatepass")) > _PART_BYTES for part in posix.parts):
        problem = f"a part of it is longer than {_PART_BYTES} bytes"
    elif len(path) > _PATH_LENGTH:
        problem = f"it is longer than {_PATH_LENGTH:,} characters"
    else:
        return path
    raise InvalidInputError(
        f"path {path!r:.200} is refused: {problem}; a blob's path is relative to, and inside, its dataset's "
        f"folder"
    )
