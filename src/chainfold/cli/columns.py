"""The columns of a table, and which of them a narrow terminal has room for."""

from collections.abc import Callable, Sequence
from typing import Any, Final, Generic, Literal, NamedTuple, TypeVar

from chainfold.cli.plain import cut, cut_middle, plain, width

Cell = str | int | float | None
T = TypeVar("T")

GAP: Final = 2
"""Blanks between columns."""
_LEAST: Final = 20
"""Columns of a terminal to which a cell that may be cut is cut at most, while others can give way."""
_SHORTEST: Final = 8
"""Columns of such a cell where nothing else can give way any more."""
_NAME_SHARE: Final = 0.6
"""Of a terminal that is too narrow, what names may have."""
_NAME_LEAST: Final = 30
"""Columns that they may have in any case: most ids fit."""
_USUAL: Final = 0.9
"""Of the names, those that are shown whole where others, at least one, are far longer."""


class Column(NamedTuple, Generic[T]):
    """A column of a table.

    Attributes:
        name: Its name: lower case, with `_`.
        value: What it has of an item, for CSV.
        shown: What people see; by default the value.
        right: Whether it goes to the right, as numbers do.
        spare: Order in which columns are left out where a terminal is narrow, highest first; 0 stays.
        cut: Where its cells may be cut if a terminal is narrow: ids and paths say most at both ends.
        head: What people see above it; by default its name.
    """

    name: str
    value: Callable[[T], Cell]
    shown: Callable[[T], str] | None = None
    right: bool = False
    spare: int = 0
    cut: Literal["", "end", "middle"] = ""
    head: str = ""

    def text(self, item: T) -> str:
        """What people see."""
        if self.shown is not None:
            return plain(self.shown(item))
        value = self.value(item)
        return "" if value is None else plain(str(value))

    def laid(self, cell: str, columns: int, *, whole: bool) -> str:
        """A cell in so many columns of a terminal; one that is wider and may not be cut stands out."""
        if self.cut and not whole:
            cell = (cut_middle if self.cut == "middle" else cut)(cell, columns)
        room = " " * max(columns - width(cell), 0)
        return room + cell if self.right else cell + room


def fitted(
    columns: Sequence[Column[Any]], names: Sequence[str], cells: Sequence[Sequence[str]], room: int | None
) -> tuple[list[int], list[int]]:
    """Which columns are shown, and how wide each of all is.

    Where there is not room for all, names that are far longer than the others give way first, then whole
    columns by their `spare`, then what may be cut, the widest first.

    Args:
        columns: All of them.
        names: What stands above each.
        cells: Rows to measure.
        room: Columns of the terminal; None if there is no end to them.
    """
    measured = [list(map(width, each)) for each in zip(names, *cells, strict=True)]
    widths, kept = list(map(max, measured)), list(range(len(columns)))
    if room is None:
        return kept, widths

    if _excess(kept, widths, room) <= 0:
        return kept, widths
    for each, column in enumerate(columns):
        if column.cut == "middle" and not column.spare:
            widths[each] = max(_name_width(measured[each][1:], room), measured[each][0])
    _leave_out(columns, kept, widths, room)
    while _excess(kept, widths, room) > 0:
        may = [each for each in kept if columns[each].cut and widths[each] > _SHORTEST]
        if not may:
            break
        widths[max(may, key=widths.__getitem__)] -= 1
    for each in kept:  # what names gave and nobody needed
        most = min(max(measured[each]), max(_NAME_LEAST, widths[each]))
        widths[each] = min(most, widths[each] + max(-_excess(kept, widths, room), 0))
    return kept, widths


def _excess(kept: list[int], widths: list[int], room: int) -> int:
    """By how much columns are wider than the terminal."""
    return sum(widths[each] for each in kept) + GAP * (len(kept) - 1) - room


def _leave_out(columns: Sequence[Column[Any]], kept: list[int], widths: list[int], room: int) -> None:
    """Take columns out of `kept`, or cut them, until the others fit."""
    for each in sorted((each for each in kept if columns[each].spare), key=lambda each: -columns[each].spare):
        excess = _excess(kept, widths, room)
        if excess <= 0:
            return
        if columns[each].cut and widths[each] - excess >= min(_LEAST, widths[each]):
            widths[each] -= excess
        else:
            kept.remove(each)


def _name_width(widths: list[int], room: int) -> int:
    """The columns that names get where there is not room for everything, given those that each would take."""
    usual = max(sorted(widths)[max(int(len(widths) * _USUAL) - 1, 0)], _LEAST)
    most = max(each for each in widths if each < usual + _LEAST)
    if most < max(widths):
        most = max(most, _LEAST)
    return min(most, max(int(room * _NAME_SHARE), _NAME_LEAST))
