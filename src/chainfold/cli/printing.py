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
from functools import partial
from itertools import chain, compress, islice
from operator import itemgetter
from typing import Any, Final, Literal, TypeVar

import click

from chainfold.cli.columns import GAP, Cell, Column, fitted
from chainfold.cli.failing import tell, tell_error
from chainfold.cli.plain import cut, cut_middle, hung, plain, spreadsheet, text_for_programs, width

Format = Literal["human", "json", "csv", "quiet"]
FORMATS: Final = ("human", "json", "csv", "quiet")
T = TypeVar("T")

_MEASURED: Final = 500
"""Rows from which the widths of columns are taken; later ones that are wider stand out."""
_LEAST: Final = 30
"""Columns to which a name is cut at most while a remark behind it can give way."""
_LONGEST: Final = 400
"""Characters of a value that are shown on a terminal if there are more."""
_NARROW: Final = 80


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
    def cuts(self) -> bool:
        """Whether lines are to fit into the terminal: what goes elsewhere is never cut."""
        return self._is_terminal and not self._long

    @property
    def is_long(self) -> bool:
        """Whether all is to be shown."""
        return self._long

    def refuse_format(self, what: str) -> None:
        """For what is written to stdout in a format of its own, in which nothing else can be told.

        Raises:
            UsageError: If another was asked for.
        """
        if not self.is_human:
            raise click.UsageError(
                f"--format {self.shape} is about what is told of a file, and {what} on stdout is not changed "
                f"by it: leave it out, or name a file."
            )

    # to stderr

    def note(self, text: str) -> None:
        """A remark, for people only."""
        if self.is_human:
            tell("Note", text)

    def warn(self, text: str) -> None:
        """What must be known whatever the format is."""
        tell("Warning", text)

    def fail(self, error: Exception) -> None:
        """What went wrong with one of several things; the exit code must say so too."""
        tell_error(error, debug=click.get_current_context().find_root().params["debug"])

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
                    self._name(id_of(item))
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
                    self._name(id_of(item))
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
                    self._name(each)
            case _:
                human()

    def line(self, text: str = "", **style: Any) -> None:
        """A line."""
        self._write(self.styled(text, **style) + "\n")

    def line_of(self, before: str, name: str, remark: str, *, whole: bool = False, **style: Any) -> None:
        """A line with a name, which is cut where a terminal ends, and a remark; that alone has colours.

        Args:
            before: What stands left of the name.
            name: The name.
            remark: What stands right of it.
            whole: Whether all of the line has colours.
            style: Which ones; by default it is dim.
        """
        before, name, remark = plain(before), plain(name), plain(remark)
        if self.cuts:
            room = self.room - width(before)
            if width(name) > room:
                name = cut_middle(name, min(room, max(room - width(remark), _LEAST)))
            remark = cut(remark, room - width(name))
        plainly, styled = ("", before + name + remark) if whole else (before + name, remark)
        self._write(plainly + self.styled(styled, **(style or {"dim": True})) + "\n")

    def raw(self, text: str) -> None:
        """Text in a format of its own, which has been made safe for that."""
        self._write(text)

    def paragraph(self, text: str, indent: int = 0) -> None:
        """Words, broken between them where a terminal ends."""
        safe, margin = plain(text), " " * indent
        if self.cuts:
            safe = textwrap.fill(
                safe, self.room - indent, break_on_hyphens=False, break_long_words=False
            ).replace("\n", f"\n{margin}")
        self._write(f"{margin}{safe}\n")

    def heading(self, text: str) -> None:
        """A line that begins a part."""
        self.line(text, bold=True)

    def pairs(self, pairs: Iterable[tuple[str, str]], indent: int = 2) -> None:
        """Names and values below each other; values that are empty are left out.

        On a terminal what does not fit goes on below where the value began, and of what is very long the end
        is only counted.
        """
        known = [(plain(name), plain(value)) for name, value in pairs if value]
        widest = max((width(name) for name, _ in known), default=0)
        if self.cuts:
            widest = min(widest, self.room // 2)
        for name, value in known:
            label = cut_middle(name, widest) if self.cuts else name
            gap = " " * (widest - width(label) + GAP)
            shown = self._hung(value, indent + widest + GAP) if self.cuts else value
            self._write(f"{'':{indent}}{self.styled(label, dim=True)}{gap}{shown}\n")

    def _hung(self, text: str, margin: int) -> str:
        """A text that begins behind a margin, and stays there."""
        left = len(text) - _LONGEST
        if left > 0:
            text = f"{text[:_LONGEST]}… and {left:,} characters more: --long shows all"
        return f"\n{'':{margin}}".join(hung(text, max(self.room - margin, 1)))

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
        widths = [0] * len(columns)  # so far
        for item in items:
            match self.shape:
                case "json":
                    self._write(json.dumps(self._head(schema) | dict(as_json(item))) + "\n")
                case "csv":
                    self._csv([], [item], [column.value for column in columns])
                case "quiet":
                    self._name(id_of(item))
                case _:
                    cells = [column.text(item) for column in columns]
                    widths = list(map(max, widths, map(width, cells)))
                    line = (" " * GAP).join(
                        column.laid(cell, wide, whole=True)
                        for column, cell, wide in zip(columns, cells, widths, strict=True)
                    )
                    line = line.rstrip()
                    self.line(cut(line, self.room) if self.cuts else line)
            sys.stdout.flush()

    def _name(self, name: str) -> None:
        """What names something: in a pipe as other commands take it back."""
        self._write((plain if self._is_terminal else text_for_programs)(name) + "\n")

    def _csv(self, head: Sequence[str], items: Iterable[T], values: Sequence[Callable[[T], Cell]]) -> None:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        safe = partial(spreadsheet, terminal=self._is_terminal)
        if head:
            writer.writerow(head)
        for item in items:
            cells = (value(item) for value in values)
            writer.writerow([safe(cell) if isinstance(cell, str) else cell for cell in cells])

    def _table(self, items: Iterable[T], columns: Sequence[Column[T]], indent: int = 0) -> None:
        rest = iter(items)
        first = list(islice(rest, _MEASURED))
        if not first:
            return
        measured = [[column.text(item) for column in columns] for item in first]
        if len(first) < _MEASURED:  # what is empty in all of them says nothing
            some = [any(cells) for cells in zip(*measured, strict=True)]
            columns = list(compress(columns, some))
            measured = [list(compress(cells, some)) for cells in measured]
        names = [(column.head or column.name).upper().replace("_", " ") for column in columns]
        room = self.room - indent if self.cuts else None
        kept, widths = fitted(columns, names, measured, room)

        def write(cells: Sequence[str], **style: Any) -> None:
            laid = (columns[each].laid(cells[each], widths[each], whole=room is None) for each in kept)
            line = (" " * GAP).join(laid).rstrip()
            line = " " * indent + (line if room is None else cut(line, room))
            self._write((click.style(line, **style) if self._colours and style else line) + "\n")

        write(names, bold=True)
        for cells in chain(measured, ([column.text(item) for column in columns] for item in rest)):
            write(cells)

    @property
    def room(self) -> int:
        """Columns of the terminal."""
        return shutil.get_terminal_size((_NARROW, 24)).columns

    def _write(self, text: str) -> None:
        try:
            sys.stdout.write(text)
        except UnicodeEncodeError:  # a terminal that is not of Unicode
            encoding = sys.stdout.encoding or "ascii"
            sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))


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
