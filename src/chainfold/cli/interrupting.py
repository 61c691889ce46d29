"""Ctrl-C amid work that must not be left half done: it waits until the work may end."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupt:
    """Whether Ctrl-C was pressed.

    Attributes:
        asked: Whether it was.
    """

    def __init__(self) -> None:
        self.asked = False

    def heed(self) -> None:
        """End the work here, if it was.

        Raises:
            KeyboardInterrupt: Then.
        """
        if self.asked:
            raise KeyboardInterrupt


@contextmanager
def held_back() -> Iterator[Interrupt]:
    """Inside the block the first Ctrl-C is only noted; who is in a hurry presses it again."""
    interrupt = Interrupt()

    def note(_: int, __: FrameType | None) -> None:
        interrupt.heed()
        interrupt.asked = True

    try:
        before = signal.signal(signal.SIGINT, note)
    except ValueError:  # not the main thread, which alone is interrupted
        yield interrupt
        return
    try:
        yield interrupt
    finally:
        signal.signal(signal.SIGINT, before)
