r"""Text that others wrote, made safe for terminals and spreadsheets.

What moves a cursor, changes colours, rings, or turns the direction of writing is shown as an escape such as
`\x1b` or `\u202e`: whoever names an artifact does not get to write on the screen of whoever lists it.
"""

import re
import unicodedata
from typing import Final

_UNSAFE: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # control characters: C0, DEL, C1
    "\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"  # invisible; directions
    "\ud800-\udfff"  # surrogates, which no output can encode
    "\U000e0000-\U000e0fff]"  # tags, invisible
)
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_WIDE: Final = frozenset("WF")


def plain(text: str) -> str:
    """The text in one line, with everything escaped that is not to be seen as it is."""
    return text if text.isascii() and text.isprintable() else _UNSAFE.sub(_escaped, text)


def spreadsheet(text: str) -> str:
    """As `plain`; a text that a spreadsheet would compute begins with `'`, as such programs have it."""
    safe = plain(text)
    return f"'{safe}" if safe.startswith(_FORMULA) else safe


def width(text: str) -> int:
    """Columns of a terminal that a text takes, once it is `plain`."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(each) else 2 if unicodedata.east_asian_width(each) in _WIDE else 1
        for each in text
    )


def cut(text: str, columns: int) -> str:
    """At most so many columns of a text; an ellipsis tells that there is more."""
    if width(text) <= columns:
        return text
    if columns <= 0:
        return ""
    kept = text[: columns - 1]
    while width(kept) >= columns:
        kept = kept[:-1]
    return f"{kept}…"


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"  # noqa: PLR2004 - of Python's literals
