"""Where a dataset may be: its name, and the folders of its log."""

import os
import re
from pathlib import Path
from typing import Final

from chainfold.errors import InvalidInputError

_NAME_BYTES: Final = 200
_ODD_NAME: Final = re.compile(r'[\x00-\x1f\x7f-\x9f<>:"/\\|?*]')
_RESERVED: Final = re.compile(r"(?i)(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?\Z")
_OWN_FOLDERS: Final = ("segments", "details", "aside", "quarantine", "runs", "snapshots", "private")


def check_dataset_name(name: str) -> str:
    """The name, if it can be a folder's on every operating system.

    Raises:
        InvalidInputError: Otherwise; the message says why.
    """
    if not isinstance(name, str):
        raise InvalidInputError(f"dataset name must be text, not {type(name).__name__}")
    if not name:
        problem = "it is empty"
    elif name in {".", ".."} or _ODD_NAME.search(name):
        problem = 'it is a path, or has one of < > : " / \\ | ? * or a control character'
    elif name != name.strip() or name.endswith("."):
        problem = "it begins or ends with a space, or ends with a dot"
    elif _RESERVED.match(name):
        problem = "Windows reserves it"
    elif len(name.encode(errors="surrogatepass")) > _NAME_BYTES or not encodable(name):
        problem = f"it is longer than {_NAME_BYTES} bytes, or not valid Unicode"
    else:
        return name
    raise InvalidInputError(f"dataset name {name!r} is refused: {problem}; use a plain folder name")


def encodable(name: str) -> bool:
    """Whether a name has a UTF-8, so that it can be written down."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def refuse_links(folder: Path) -> None:
    """Nothing, unless one of a log's own folders is a link: what is written or cleared there is elsewhere.

    The log's folder itself, and that of the blobs, may be links: where a dataset is kept is its owner's
    choice.

    Raises:
        InvalidInputError: If one is.
    """
    for name in _OWN_FOLDERS:
        if os.path.islink(folder / name):  # noqa: PTH114 - each of them at each opening
            raise InvalidInputError(f"{folder / name} is refused: it is a link; a log's own folders are none")
