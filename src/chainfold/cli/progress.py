"""How far long work has come: a line on stderr, on a terminal only, with rate and time left."""

import os
import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

from chainfold.cli.plain import cut

T = TypeVar("T")
_FIRST_SECONDS: Final = 0.5
"""What takes less needs no word."""
_EACH_SECONDS: Final = 0.1
_EACH_ITEMS: Final = 256
_CLEAR: Final = "\r\x1b[K"


class Progress:
    """Tells on a terminal how far work has come; call it with how much is done, and of how much.

    Args:
        doing: What is done: `Verifying`.
        unit: Of what there are so many: `artifacts`.
        shown: Whether to tell it; by default on a terminal that can clear a line.
    """

    def __init__(self, doing: str, unit: str, *, shown: bool | None = None) -> None:
        self._doing, self._unit = doing, unit
        self._is_shown = _can_show() if shown is None else shown
        self._began = time.monotonic()
        self._due = self._began + _FIRST_SECONDS
        self._is_drawn = False

    def __call__(self, done: int, total: int) -> None:
        """Tell it, if it is time for that."""
        if not self._is_shown:
            return
        now = time.monotonic()
        if now < self._due:
            return
        self._due = now + _EACH_SECONDS
        columns = shutil.get_terminal_size().columns
        words = words_for(self._doing, self._unit, done, total, now - self._began)
        sys.stderr.write(_CLEAR + cut(words, columns - 1))
        sys.stderr.flush()
        self._is_drawn = True

    def over(self, items: Iterable[T], total: int) -> Iterator[T]:
        """The items, told as they go by."""
        for number, item in enumerate(items):
            if number % _EACH_ITEMS == 0:
                self(number, total)
            yield item

    def clear(self) -> None:
        """Leave nothing on the terminal."""
        if self._is_drawn:
            sys.stderr.write(_CLEAR)
            sys.stderr.flush()
            self._is_drawn = False


@contextmanager
def progress(doing: str, unit: str) -> Iterator[Progress]:
    """A `Progress`, whose line is gone behind the block."""
    found = Progress(doing, unit)
    try:
        yield found
    finally:
        found.clear()


def words_for(doing: str, unit: str, done: int, total: int, seconds: float) -> str:
    """What is told: `Verifying  42%  4,200 of 10,000 artifacts  1,200/s  5s left`."""
    known = max(done, total)
    parts = [doing, f"{done * 100 // known}%" if known else "", f"{done:,} of {known:,} {unit}"]
    if done and seconds > 0:
        rate = done / seconds
        parts += [f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.1f}/s", f"{_time(known - done, rate)} left"]  # noqa: PLR2004 - digits worth telling
    return "  ".join(filter(None, parts))


def _time(count: int, rate: float) -> str:
    """How long so many take: `5s`, `2m10s`, `1h05m`."""
    minutes, seconds = divmod(round(count / rate), 60)
    if not minutes:
        return f"{seconds}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{seconds:02}s"


def _can_show() -> bool:
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
