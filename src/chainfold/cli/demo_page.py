"""What the demo prints on: rich in a terminal, plain text anywhere else."""

import shutil
import sys
import textwrap
from collections.abc import Sequence
from typing import Final, Protocol

import click

Row = Sequence[str | int]

_WIDTH: Final = 78
_WIDEST: Final = 96
_INDENT: Final = "   "
_CODE_INDENT: Final = "       "


class Page(Protocol):
    """Where the demo's chapters go."""

    def title(self, text: str) -> None:
        """What comes is this."""

    def chapter(self, title: str, why: str) -> None:
        """A numbered chapter begins; one sentence says why it matters."""

    def code(self, lines: str) -> None:
        """What a user would write."""

    def say(self, text: str) -> None:
        """What came of it."""

    def table(self, head: Sequence[str], rows: Sequence[Row]) -> None:
        """Columns of numbers go to the right."""

    def raw(self, line: str) -> None:
        """A line of a file, as it is but for line breaks."""

    def command(self, line: str) -> None:
        """A line to type, never broken."""


class PlainPage:
    """Text for pipes, files and continuous integration: ASCII, 78 columns."""

    def __init__(self) -> None:
        self._chapters = 0

    def title(self, text: str) -> None:
        """As `Page`."""
        click.echo(textwrap.fill(text, _WIDTH))

    def chapter(self, title: str, why: str) -> None:
        """As `Page`."""
        self._chapters += 1
        click.echo(f"\n{self._chapters}. {title}")
        self.say(why)
        click.echo()

    def code(self, lines: str) -> None:
        """As `Page`."""
        click.echo(textwrap.indent(lines, _CODE_INDENT) + "\n")

    def say(self, text: str) -> None:
        """As `Page`."""
        filled = textwrap.fill(text, _WIDTH - len(_INDENT), break_long_words=False, break_on_hyphens=False)
        click.echo(textwrap.indent(filled, _INDENT))

    def table(self, head: Sequence[str], rows: Sequence[Row]) -> None:
        """As `Page`."""
        cells = [list(head), *([_text(cell) for cell in row] for row in rows)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        right = _numeric(rows)
        for position, line in enumerate(cells):
            padded = [
                cell.rjust(width) if column in right else cell.ljust(width)
                for column, (cell, width) in enumerate(zip(line, widths, strict=True))
            ]
            click.echo(_INDENT + "  ".join(padded).rstrip())
            if position == 0:
                click.echo(_INDENT + "  ".join("-" * width for width in widths))
        click.echo()

    def raw(self, line: str) -> None:
        """As `Page`."""
        width = _WIDTH - len(_CODE_INDENT)
        for start in range(0, len(line), width):
            click.echo(_CODE_INDENT + line[start : start + width])
        click.echo()

    def command(self, line: str) -> None:
        """As `Page`."""
        click.echo(_CODE_INDENT + line)


class RichPage:
    """Colours and lines, for people at a terminal."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(width=min(shutil.get_terminal_size().columns, _WIDEST), highlight=False)
        self._chapters = 0

    def title(self, text: str) -> None:
        """As `Page`."""
        from rich.panel import Panel
        from rich.text import Text

        self._console.print(Panel(Text(text), title="chainfold demo", border_style="cyan"))

    def chapter(self, title: str, why: str) -> None:
        """As `Page`."""
        from rich.text import Text

        self._chapters += 1
        self._console.print()
        self._console.print(Text(f"{self._chapters}. {title}", style="bold cyan"))
        self._indented(Text(why, style="dim"), below=1)

    def code(self, lines: str) -> None:
        """As `Page`."""
        from rich.syntax import Syntax

        code = Syntax(lines, "python", theme="ansi_dark", background_color="default", word_wrap=True)
        self._indented(code, left=len(_CODE_INDENT), below=1)

    def say(self, text: str) -> None:
        """As `Page`."""
        from rich.text import Text

        self._indented(Text(text))

    def table(self, head: Sequence[str], rows: Sequence[Row]) -> None:
        """As `Page`."""
        from rich.box import SIMPLE_HEAD
        from rich.table import Table
        from rich.text import Text

        right = _numeric(rows)
        table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
        for column, name in enumerate(head):
            table.add_column(name, justify="right" if column in right else "left", overflow="fold")
        for row in rows:
            table.add_row(*(Text(_text(cell)) for cell in row))
        self._indented(table, below=1)

    def raw(self, line: str) -> None:
        """As `Page`."""
        from rich.text import Text

        self._indented(Text(line, style="green", overflow="fold"), left=len(_CODE_INDENT), below=1)

    def command(self, line: str) -> None:
        """As `Page`."""
        from rich.text import Text

        self._console.print(Text(_CODE_INDENT + line, style="bold"), soft_wrap=True)

    def _indented(self, what: object, left: int = len(_INDENT), below: int = 0) -> None:
        from rich.padding import Padding

        self._console.print(Padding(what, (0, 0, below, left)))  # type: ignore[arg-type] # whatever rich prints


def page() -> Page:
    """The page for where standard output goes."""
    return RichPage() if sys.stdout.isatty() else PlainPage()


def _text(cell: str | int) -> str:
    return f"{cell:,}" if isinstance(cell, int) else cell


def _numeric(rows: Sequence[Row]) -> set[int]:
    return {
        column
        for column, cells in enumerate(zip(*rows, strict=True))
        if all(isinstance(each, int) for each in cells)
    }
