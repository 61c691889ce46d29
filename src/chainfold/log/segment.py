"""One file of entries."""

import logging
from pathlib import Path
from typing import Final, Self

from chainfold.errors import ChainfoldError
from chainfold.events import decode_entry
from chainfold.log import lines
from chainfold.storage import Files, Reader

CHUNK_BYTES: Final = 1 << 20
SUM_BYTES: Final = 26

logger = logging.getLogger(__name__)


class Segment:
    """A file of entries: its first position, and how many of its bytes are known to be good."""

    def __init__(self, path: Path, first: int, files: Files, end: int = 0) -> None:
        self.path = path
        self.first = first
        self.end = end
        self._files = files
        self.file: Reader | None = None

    @property
    def reader(self) -> Reader:
        """The file, opened when it is first asked for: of a large log few segments are read."""
        return self.file or self.opened().reader

    def opened(self) -> Self:
        """Itself, with its file open: that of the last must be, to be told from another put in its place."""
        self.file = self.file or self._files.reader(self.path)
        return self

    def close(self) -> None:
        """Let go of the file."""
        if self.file is not None:
            self.file.close()


def stated_durable(segment: Segment) -> int:
    """The durable size that good lines behind a bad one state.

    A line counts when its sum follows from the sum that the line before it states.
    """
    stated, offset, rest = 0, segment.end, b""
    before: int | None = None
    while data := segment.reader.read(offset, CHUNK_BYTES):
        offset += len(data)
        *whole, rest = (rest + data).split(b"\n")
        for line in whole:
            if len(line) < SUM_BYTES:  # a file of nothing but line ends is read at the disk's pace
                before = None
                continue
            if before is not None and lines.checked_sum(line, before) is not None:
                try:
                    stated = max(stated, decode_entry(line).durable or 0)
                except ChainfoldError:
                    logger.debug("a line behind a bad one is not an entry", exc_info=True)
            before = lines.stated_sum(line)
        if len(rest) > lines.ENTRY_LIMIT:
            rest, before = b"", None
    return stated
