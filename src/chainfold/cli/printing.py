"""The four formats: for people, as JSON, as CSV, and ids alone.

What was asked for goes to stdout, notes go to stderr. Tables are written as they come: nothing holds them
whole.
"""

import csv
import json
import os
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from operator import itemgetter
from typing import Any, Final, Generic, Literal, NamedTuple, TypeVar

import click

from chainfold.cli.failing import tell
from chainfold.cli.plain import cut, plain, spreadsheet, width

Format = Literal["human", "json", "csv", "quiet"]
FORMATS: Final = ("human", "json", "csv", "quiet")
Cell = str | int | float | None
T = TypeVar("T")

_MEASURED: Final = 500
"""Rows from which the widths of columns are taken; later ones that are wider stand out."""
_GAP: Final = 2
_LEAST: Final = 20
"""Columns to which a cell that may be cut is cut at most."""
_NARROW: Final = 80


class Column(NamedTuple, Generic[T]):
    """A column of a table.

    Attributes:
        name: Its name: lower case, with `_`.
        value: What it has of an item, for CSV.
        shown: What people see; by default the value.
        right: Whether it goes to the right, as numbers do.
        spare: Order in which columns are left out where a terminal is narrow, highest first; 0 stays.
        cut: Whether its cells may be cut where a terminal is narrow.
        head: What people see above it; by default its name.
    """

    name: str
    value: Callable[[T], Cell]
    shown: Callable[[T], str] | None = None
    right: bool = False
    spare: int = 0
    cut: bool = False
    head: str = ""

    def text(self, item: T) -> str:
        """What people see."""
        if self.shown is not None:
            return plain(self.shown(item))
        value = self.value(item)
        return "" if value is None else plain(str(value))


class Printer:
    """Prints in one of the formats.

    Args:
        shape: Which one.
        about: What JSON says of where this is from: dataset and position.
        long: Whether tables have all columns, uncut, however narrow the terminal is.
    """

    def __init__(self, shape: Format, about: Mapping[str, Any] | None = None, *, long: bool = False) -> None:
        self.shape = shape
        self._about = dict(about or {})
        self._long = long
        self._is_terminal = is_terminal()
        self._colours = (
            self._is_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        )

    @property
    def is_human(self) -> bool:
        """Whether a person reads it."""
        return self.shape == "human"

    @property
    def is_long(self) -> bool:
        """Whether all is to be shown."""
        return self._long

    # to stderr

    def note(self, text: str) -> None:
        """A remark, for people only."""
        if self.is_human:
            tell("Note", text)

    def warn(self, text: str) -> None:
        """What must be known whatever the format is."""
        tell("Warning", text)

    def fail(self, text: str) -> None:
        """What went wrong with one of several things; the exit code must say so too."""
        tell("Error", text)

    # to stdout

    def table(
        self,
        schema: str,
        items: Iterable[T],
        columns: Sequence[Column[T]],
        *,
        as_json: Callable[[T], Mapping[str, Any]],
        id_of: Callable[[T], str],
        empty: str = "",
        endless: bool = False,
    ) -> int:
        """Print many things, one after the other.

        Args:
            schema: Name and version of the JSON shape: `artifacts/1`.
            items: The things.
            columns: What of them people, and spreadsheets, see.
            as_json: All of one, as JSON types.
            id_of: What names one.
            empty: A note for when there are none.
            endless: Things come as time goes by: each is seen at once, and is a JSON object of its own.

        Returns:
            How many there were.
        """
        count = 0

        def counted() -> Iterator[T]:
            nonlocal count
            for item in items:
                count += 1
                yield item

        if endless:
            self._endless(schema, counted(), columns, as_json, id_of)
            return count
        match self.shape:
            case "json":
                self._json_items(schema, map(as_json, counted()))
            case "csv":
                self._csv(
                    [column.name for column in columns], counted(), [column.value for column in columns]
                )
            case "quiet":
                for item in counted():
                    self.line(id_of(item))
            case _:
                self._table(counted(), columns)
        if not count and empty:
            self.note(empty)
        return count

    def documents(
        self,
        schema: str,
        items: Iterable[T],
        *,
        as_json: Callable[[T], Mapping[str, Any]],
        human: Callable[[T], None],
        id_of: Callable[[T], str],
    ) -> None:
        """As `table`, of things that people see one by one; in CSV, each field of each is a row."""
        match self.shape:
            case "json":
                self._json_items(schema, map(as_json, items))
            case "csv":
                fields = ((id_of(item), *pair) for item in items for pair in flat(as_json(item)))
                self._csv(["id", "field", "value"], fields, [itemgetter(0), itemgetter(1), itemgetter(2)])
            case "quiet":
                for item in items:
                    self.line(id_of(item))
            case _:
                for item in items:
                    human(item)

    def document(
        self, schema: str, data: Mapping[str, Any], *, human: Callable[[], None], ids: Iterable[str] = ()
    ) -> None:
        """Print one thing.

        Args:
            schema: Name and version of the JSON shape: `artifact/1`.
            data: All of it, as JSON types.
            human: Prints it for people, by `line`, `heading`, `pairs` and so on.
            ids: What names it, or what it is about.
        """
        match self.shape:
            case "json":
                self._write(json.dumps(self._head(schema) | dict(data), indent=2) + "\n")
            case "csv":
                self._csv(["field", "value"], flat(data), [lambda pair: pair[0], lambda pair: pair[1]])
            case "quiet":
                for each in ids:
                    self.line(each)
            case _:
                human()

    def line(self, text: str = "", **style: Any) -> None:
        """A line."""
        self._write(self.styled(text, **style) + "\n")

    def line_of(self, text: str, remark: str, **style: Any) -> None:
        """A line with a remark behind it, which alone has colours."""
        self._write(self.styled(text) + self.styled(remark, **(style or {"dim": True})) + "\n")

    def raw(self, text: str) -> None:
        """Text in a format of its own, which has been made safe for that."""
        self._write(text)

    def paragraph(self, text: str, indent: int = 0) -> None:
        """Words, broken between them where a terminal ends."""
        safe, margin = plain(text), " " * indent
        if self._is_terminal and not self._long:
            safe = textwrap.fill(
                safe, self.columns - indent, break_on_hyphens=False, break_long_words=False
            ).replace("\n", f"\n{margin}")
        self._write(f"{margin}{safe}\n")

    def heading(self, text: str) -> None:
        """A line that begins a part."""
        self.line(text, bold=True)

    def pairs(self, pairs: Iterable[tuple[str, str]], indent: int = 2) -> None:
        """Names and values below each other; values that are empty are left out."""
        known = [(name, value) for name, value in pairs if value]
        widest = max((width(plain(name)) for name, _ in known), default=0)
        for name, value in known:
            safe = plain(name)
            gap = " " * (widest - width(safe) + _GAP)
            self._write(f"{'':{indent}}{self.styled(safe, fg='cyan')}{gap}{plain(value)}\n")

    def styled(self, text: str, **style: Any) -> str:
        """The text, made plain, with colours if they are to be seen."""
        safe = plain(text)
        return click.style(safe, **style) if self._colours and style else safe

    def rows(self, columns: Sequence[Column[T]], items: Iterable[T], indent: int = 0) -> None:
        """A table as a part of what people see."""
        self._table(items, columns, indent)

    # inside

    def _head(self, schema: str) -> dict[str, Any]:
        return {"schema": f"chainfold/{schema}", **self._about}

    def _json_items(self, schema: str, items: Iterable[Mapping[str, Any]]) -> None:
        """One document, one item a line: who reads lines need not wait for the end."""
        self._write(json.dumps(self._head(schema))[:-1] + ', "items": [')
        before = "\n"
        for item in items:
            self._write(before + json.dumps(item))
            before = ",\n"
        self._write("\n]}\n")

    def _endless(
        self,
        schema: str,
        items: Iterable[T],
        columns: Sequence[Column[T]],
        as_json: Callable[[T], Mapping[str, Any]],
        id_of: Callable[[T], str],
    ) -> None:
        """Each thing by itself, without a head: what comes may be wider than what is there."""
        for item in items:
            match self.shape:
                case "json":
                    self._write(json.dumps(self._head(schema) | dict(as_json(item))) + "\n")
                case "csv":
                    self._csv([], [item], [column.value for column in columns])
                case "quiet":
                    self.line(id_of(item))
                case _:
                    line = "  ".join(column.text(item) for column in columns).rstrip()
                    self.line(cut(line, self.columns) if self._is_terminal and not self._long else line)
            sys.stdout.flush()

    def _csv(self, head: Sequence[str], items: Iterable[T], values: Sequence[Callable[[T], Cell]]) -> None:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        if head:
            writer.writerow(head)
        for item in items:
            cells = (value(item) for value in values)
            writer.writerow([spreadsheet(cell) if isinstance(cell, str) else cell for cell in cells])

    def _table(self, items: Iterable[T], columns: Sequence[Column[T]], indent: int = 0) -> None:
        rest = iter(items)
        first = list(islice(rest, _MEASURED))
        if not first:
            return
        names = [(column.head or column.name).upper().replace("_", " ") for column in columns]
        measured = [[column.text(item) for column in columns] for item in first]
        widths = [max(map(width, cells)) for cells in zip(names, *measured, strict=True)]
        kept, is_cut = list(range(len(columns))), False
        if len(first) < _MEASURED:  # what is empty in all of them says nothing
            kept = [each for each in kept if any(cells[each] for cells in measured)]
        if self._is_terminal and not self._long:
            is_cut = True
            kept, widths = _fitted(columns, kept, widths, self.columns - indent)

        def write(cells: Sequence[str], **style: Any) -> None:
            laid = []
            for each in kept:
                cell = cut(cells[each], widths[each]) if is_cut and columns[each].cut else cells[each]
                room = " " * max(widths[each] - width(cell), 0)
                laid.append(room + cell if columns[each].right else cell + room)
            line = " " * indent + (" " * _GAP).join(laid).rstrip()
            self._write((click.style(line, **style) if self._colours and style else line) + "\n")

        write(names, bold=True)
        for cells in chain(measured, ([column.text(item) for column in columns] for item in rest)):
            write(cells)

    @property
    def columns(self) -> int:
        """Columns of the terminal."""
        return shutil.get_terminal_size((_NARROW, 24)).columns

    def _write(self, text: str) -> None:
        try:
            sys.stdout.write(text)
        except UnicodeEncodeError:  # a terminal that is not of Unicode
            encoding = sys.stdout.encoding or "ascii"
            sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))


def _fitted(
    columns: Sequence[Column[Any]], wanted: list[int], widths: list[int], room: int
) -> tuple[list[int], list[int]]:
    """The columns that fit of those that are wanted, and the widths to which all are cut."""
    kept, widths = list(wanted), list(widths)

    def excess() -> int:
        return sum(widths[each] for each in kept) + _GAP * (len(kept) - 1) - room

    for each in sorted((each for each in kept if columns[each].spare), key=lambda each: -columns[each].spare):
        if excess() <= 0:
            break
        least = min(_LEAST, widths[each])
        if columns[each].cut and widths[each] - excess() >= least:
            widths[each] -= excess()
        else:
            kept.remove(each)
    for each in kept:
        if columns[each].cut and excess() > 0:
            widths[each] = max(widths[each] - excess(), min(_LEAST, widths[each]))
    return kept, widths


def is_terminal() -> bool:
    """Whether a person is looking at stdout."""
    return sys.stdout.isatty()


def flat(data: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Cell]]:
    """Fields within fields, as `outer.inner`; lists by number."""
    for name, value in data.items():
        path = f"{before}{name}"
        if isinstance(value, Mapping):
            yield from flat(value, f"{path}.")
        elif isinstance(value, list | tuple):
            yield from flat({str(number): item for number, item in enumerate(value)}, f"{path}.")
        else:
            yield path, value
