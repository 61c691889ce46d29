r"""Text that others wrote, made safe for terminals and spreadsheets.

What moves a cursor, changes colours, rings, or turns the direction of writing is shown as an escape such as
`\x1b` or `\u202e`: whoever names an artifact does not get to write on the screen of whoever lists it.
"""

import re
import unicodedata
from typing import Final

_CONTROL: Final = "\x00-\x1f\x7f-\x9f\ud800-\udfff"
"""C0, DEL, C1; surrogates, which no output can encode."""
_INVISIBLE: Final = (
    "\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e0fff"
)
"""What is not seen, or turns the direction of writing."""
_UNSAFE: Final = re.compile(f"[{_CONTROL}{_INVISIBLE}]")
_CONTROLS: Final = re.compile(f"[{_CONTROL}]")
_PIECE: Final = re.compile(r"[^\s>+,:/]*[\s>+,:/]*")
_ENDING: Final = 18
"""Columns of an id's end that tell it from others: `$4ebb5f7a7015:all`."""
_BARE: Final = re.compile(r"[\w.][\w.$:@/+=#%~-]*")
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_WIDE: Final = frozenset("WF")


def plain(text: str) -> str:
    """The text in one line, with everything escaped that is not to be seen as it is."""
    return text if text.isascii() and text.isprintable() else _UNSAFE.sub(_escaped, text)


def text_for_programs(text: str) -> str:
    """The text in one line for whatever reads a pipe: only control characters are escaped.

    An id that was registered has none: what is printed names it.
    """
    return text if text.isascii() and text.isprintable() else _CONTROLS.sub(_escaped, text)


def spreadsheet(text: str, *, terminal: bool = True) -> str:
    """A text that a spreadsheet would compute begins with `'`, as such programs have it.

    Args:
        text: It.
        terminal: Whether it is to be `plain`; else it is a `text_for_programs`.
    """
    safe = plain(text) if terminal else text_for_programs(text)
    return f"'{safe}" if safe.startswith(_FORMULA) else safe


def quoted(name: str) -> str:
    """A name amid other words: in quotes if it has blanks, or is odd in another way."""
    return name if _BARE.fullmatch(name) else repr(name)


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


def cut_middle(text: str, columns: int) -> str:
    """As `cut`, but what is left out is the middle: ids, names of files and chains differ at their ends."""
    if width(text) <= columns:
        return text
    end = min(max(columns // 2, _ENDING), columns * 3 // 4)
    tail = text[len(text) - end :] if end else ""
    while width(tail) > end:
        tail = tail[1:]
    return f"{cut(text, columns - width(tail))}{tail}"


def hung(text: str, columns: int) -> list[str]:
    """A text in lines of at most so many columns, broken behind blanks, steps and folders."""
    lines, line = [], ""
    for piece in _PIECE.findall(text):
        if width(line) + width(piece.rstrip()) > columns:
            lines.append(line.rstrip())
            line = ""
        line += piece
        while width(line.rstrip()) > columns:  # no boundary in all of a line
            head = cut(line, columns + 1)[:-1]
            lines.append(head or line[0])
            line = line[len(lines[-1]) :]
    return [each for each in (*lines, line.rstrip()) if each] or [""]


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"  # noqa: PLR2004 - of Python's literals
