"""What the demo prints on: rich in a terminal, plain text anywhere else."""

import shutil
import sys
import textwrap
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from rich.console import RenderableType

Row = Sequence[str | int]

_WIDTH: Final = 78
_WIDEST: Final = 96
_INDENT: Final = 3
_DEEPER: Final = 7


class Page(ABC):
    """Where the demo's chapters go: blocks with an empty line between them."""

    def __init__(self) -> None:
        self._chapters = 0
        self._last = ""

    def title(self, text: str) -> None:
        """What this is about."""
        self._title(text)
        self._last = "title"

    def chapter(self, title: str, why: str) -> None:
        """A numbered chapter begins; one sentence says why it matters."""
        self._chapters += 1
        self._begin("chapter")
        self._heading(f"{self._chapters}. {title}")
        self._text(why, remark=True)

    def code(self, lines: str) -> None:
        """What a user would write."""
        self._begin("code")
        self._code(lines)

    def say(self, text: str) -> None:
        """What came of it."""
        self._begin("say")
        self._text(text)

    def table(self, head: Sequence[str], rows: Sequence[Row]) -> None:
        """Numbers go to the right."""
        columns = zip(*rows, strict=True)
        right = {at for at, cells in enumerate(columns) if all(isinstance(cell, int) for cell in cells)}
        texts = [[f"{cell:,}" if isinstance(cell, int) else cell for cell in row] for row in rows]
        self._begin("table")
        self._table(head, texts, right)

    def raw(self, line: str) -> None:
        """A line of a file, as it is but for line breaks."""
        self._begin("raw")
        self._raw(line)

    def command(self, line: str) -> None:
        """A line to type, never broken."""
        self._begin("command")
        self._command(line)

    def _begin(self, block: str) -> None:
        if self._last and not (block == self._last and block in {"say", "command"}):
            self._blank()
        self._last = block

    @abstractmethod
    def _blank(self) -> None: ...

    @abstractmethod
    def _title(self, text: str) -> None: ...

    @abstractmethod
    def _heading(self, text: str) -> None: ...

    @abstractmethod
    def _text(self, text: str, *, remark: bool = False) -> None: ...

    @abstractmethod
    def _code(self, lines: str) -> None: ...

    @abstractmethod
    def _table(self, head: Sequence[str], rows: Sequence[Sequence[str]], right: set[int]) -> None: ...

    @abstractmethod
    def _raw(self, line: str) -> None: ...

    @abstractmethod
    def _command(self, line: str) -> None: ...


class PlainPage(Page):
    """ASCII, for pipes, files and continuous integration."""

    def _blank(self) -> None:
        click.echo()

    def _title(self, text: str) -> None:
        click.echo("chainfold demo\n")
        click.echo(self._filled(text, 0))

    def _heading(self, text: str) -> None:
        click.echo(text)

    def _text(self, text: str, *, remark: bool = False) -> None:  # noqa: ARG002 - plain text has one style
        click.echo(self._filled(text, _INDENT))

    def _code(self, lines: str) -> None:
        click.echo(textwrap.indent(lines, " " * _DEEPER))

    def _table(self, head: Sequence[str], rows: Sequence[Sequence[str]], right: set[int]) -> None:
        widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
        for line in (head, ["-" * width for width in widths], *rows):
            cells = [
                cell.rjust(width) if column in right else cell.ljust(width)
                for column, (cell, width) in enumerate(zip(line, widths, strict=True))
            ]
            click.echo(" " * _INDENT + "  ".join(cells).rstrip())

    def _raw(self, line: str) -> None:
        width = _WIDTH - _DEEPER
        for start in range(0, len(line), width):
            click.echo(" " * _DEEPER + line[start : start + width])

    def _command(self, line: str) -> None:
        click.echo(" " * _DEEPER + line)

    @staticmethod
    def _filled(text: str, indent: int) -> str:
        margin = " " * indent
        return textwrap.fill(
            text,
            _WIDTH,
            initial_indent=margin,
            subsequent_indent=margin,
            break_long_words=False,
            break_on_hyphens=False,
        )


class RichPage(Page):
    """Colours and lines, for people at a terminal."""

    def __init__(self) -> None:
        super().__init__()
        from rich.console import Console

        width = min(shutil.get_terminal_size().columns, _WIDEST)
        self._console = Console(width=width, highlight=False)

    def _blank(self) -> None:
        self._console.print()

    def _title(self, text: str) -> None:
        from rich.panel import Panel
        from rich.text import Text

        self._console.print(Panel(Text(text), title="chainfold demo", border_style="magenta"))

    def _heading(self, text: str) -> None:
        from rich.text import Text

        self._console.print(Text(text, style="bold magenta"))

    def _text(self, text: str, *, remark: bool = False) -> None:
        from rich.text import Text

        self._indented(Text(text, style="italic" if remark else ""))

    def _code(self, lines: str) -> None:
        from rich.style import Style
        from rich.syntax import ANSISyntaxTheme, Syntax

        # no theme with colours can be read both on light and on dark
        styles: dict[tuple[str, ...], Style] = {("Keyword",): Style(bold=True), ("Comment",): Style(dim=True)}
        theme = ANSISyntaxTheme(styles)
        code = Syntax(lines, "python", theme=theme, background_color="default", word_wrap=True)
        self._indented(code, _DEEPER)

    def _table(self, head: Sequence[str], rows: Sequence[Sequence[str]], right: set[int]) -> None:
        from rich.box import SIMPLE_HEAD
        from rich.table import Table
        from rich.text import Text

        table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
        for column, name in enumerate(head):
            table.add_column(name, justify="right" if column in right else "left", overflow="fold")
        for row in rows:
            table.add_row(*map(Text, row))
        self._indented(table)

    def _raw(self, line: str) -> None:
        from rich.text import Text

        self._indented(Text(line, style="dim", overflow="fold"), _DEEPER)

    def _command(self, line: str) -> None:
        from rich.text import Text

        self._console.print(Text(" " * _DEEPER + line, style="bold"), soft_wrap=True)

    def _indented(self, what: "RenderableType", indent: int = _INDENT) -> None:
        from rich.padding import Padding

        self._console.print(Padding(what, (0, 0, 0, indent)))


def is_terminal() -> bool:
    """Whether a person is looking."""
    return sys.stdout.isatty()


def page() -> Page:
    """The page for where standard output goes."""
    return RichPage() if is_terminal() else PlainPage()
