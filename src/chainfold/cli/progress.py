"""How far long work has come: shown on a person's terminal alone, with its rate and the time that is left.

It goes to stderr and leaves nothing behind when the work ends, is interrupted or fails. Where nobody looks,
or without rich (the extra `cli`), there is none, and none of this costs anything.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from chainfold.cli.units import size_text

if TYPE_CHECKING:
    from rich.progress import Progress, Task
    from rich.text import Text

_SPANS: Final = {"s": 1, "min": 60, "h": 3_600}
BYTES: Final = "bytes"
"""A unit: it is shown in its powers, as `20.3 MB`."""


class Step:
    """Tells how far the work has come: it is what `progress` gives, and what the work calls.

    Args:
        bar: What shows it; None where nobody looks.
    """

    def __init__(self, bar: "Progress | None" = None) -> None:
        self._bar = bar

    def __call__(self, count: int = 1) -> None:
        """So many more are done."""
        if self._bar is not None:
            self._bar.advance(self._bar.task_ids[0], count)

    def at(self, done: int, total: int | None = None) -> None:
        """So many are done, of so many if that is known only now: as callbacks of the library count."""
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=done, total=total)


@contextmanager
def progress(what: str, total: int | None = None, unit: str = "files") -> Iterator[Step]:
    """Show how far the work inside the block has come, if a person is looking at stderr.

        with progress("Verifying", len(records), "artifacts") as step:
            for record in records:
                check(record)
                step()

    Args:
        what: What is being done, in a word or two: `Verifying`.
        total: How many of them there are; None if that is not known, or is told by `Step.at`.
        unit: What is counted, in the plural; `BYTES` for bytes.
    """
    bar = _bar(unit) if _is_watched() else None
    if bar is None:
        yield Step()
        return
    with bar:
        bar.add_task(what, total=total)
        yield Step(bar)


def _is_watched() -> bool:
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def _bar(unit: str) -> "Progress | None":
    try:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn
        from rich.table import Column
        from rich.text import Text
    except ImportError:
        return None

    class Rate(ProgressColumn):
        """How many are done, of how many, and how many a second."""

        def render(self, task: "Task") -> "Text":
            text = _count_and_rate(task.completed, task.total, task.finished_speed or task.speed, unit)
            return Text(text, no_wrap=True, overflow="ellipsis")  # what does not fit is not another line

    class Left(ProgressColumn):
        """How long it will take; nothing while that is not known."""

        max_refresh = 0.5

        def render(self, task: "Task") -> "Text":
            return Text(_time_left(task.time_remaining), no_wrap=True)

    return Progress(
        TextColumn("{task.description}", markup=False),
        # colours that can be read on light and on dark
        BarColumn(20, style="dim", complete_style="magenta", finished_style="magenta", pulse_style="magenta"),
        Rate(),
        Left(table_column=Column(no_wrap=True)),
        console=Console(stderr=True),
        transient=True,
    )


def _time_left(seconds: float | None) -> str:
    """`0:05 left`, `1:02:03 left`."""
    if seconds is None:
        return ""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{f'{hours}:{minute:02}' if hours else minute}:{second:02} left"


def _count_and_rate(done: float, total: float | None, rate: float | None, unit: str) -> str:
    """`1,200 of 40,000 files, 310/s`, `1.2 MB of 40.0 MB, 3.1 MB/s`, without what is not known."""

    def shown(count: float) -> str:
        return size_text(int(count)) if unit == BYTES else f"{int(count):,}"

    text = shown(done) if total is None else f"{shown(done)} of {shown(total)}"
    if unit != BYTES:
        text += f" {unit}"
    for span, seconds in _SPANS.items():  # what is slow is not at 0 a second
        if rate is not None and rate * seconds >= 1:
            return f"{text}, {shown(rate * seconds)}/{span}"
    return text
