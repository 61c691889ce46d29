"""What must be known of the first entries of a log to go on reading behind them."""

import itertools
import re
from typing import Final, Protocol

import msgspec

_ROOT: Final = re.compile(r"[0-9a-f]{64}\Z")


class Numbers(Protocol):
    """Numbers by index, wherever they are kept."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> int: ...


class LogMark(msgspec.Struct, frozen=True):
    """A place in a log, and what was before it.

    Attributes:
        origin: Of which log; see `lines.origin`.
        size: Entries before it.
        segments: First position and length in bytes of each segment, up to the mark.
        sum: The sum of the last entry before it: it depends on all entries before that.
        last_at: Time of that entry.
        durable: How many entries were known to be durable.
        subtrees: Roots of the perfect subtrees of the Merkle tree over the entries before it, hex.
    """

    origin: str
    size: int
    segments: list[tuple[int, int]]
    sum: int
    last_at: str
    durable: int
    subtrees: list[str]

    def is_sound(self) -> bool:
        """Whether its parts can be those of one mark."""
        firsts = [first for first, _ in self.segments]
        return (
            self.size > 0
            and 0 <= self.durable <= self.size
            and firsts[:1] == [0]
            and all(one < other for one, other in itertools.pairwise(firsts))
            and firsts[-1] <= self.size
            and all(end >= 0 for _, end in self.segments)
            and len(self.subtrees) == self.size.bit_count()
            and all(_ROOT.match(root) for root in self.subtrees)
        )
