"""When each registration was live: two sizes a row.

A row is live in the state after `size` entries when `visible_from <= size < removed_at`. So a view of the
past costs what the present costs, and nothing is replayed.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from chainfold.projections.columns import Columns

NEVER: Final = 2**32 - 1
"""No log has so many entries: positions and sizes are kept in four bytes."""
NOW: Final = NEVER - 1
"""A size after all entries there are or will be."""


class Visibility:
    """Position, and the span of sizes in which it was live, of each registration."""

    def __init__(self, columns: Columns) -> None:
        self.positions = columns["positions"]
        self.visible_from = columns["visible_from"]
        self.removed_at = columns["removed_at"]

    def add(self, position: int) -> int:
        """A row for the registration at this position, seen by nobody yet."""
        self.positions.append(position)
        self.visible_from.append(NEVER)
        self.removed_at.append(NEVER)
        return len(self.positions) - 1

    def is_live(self, row: int, size: int = NOW) -> bool:
        """Whether it was live after `size` entries."""
        return self.visible_from[row] <= size < self.removed_at[row]

    def live(self, rows: Iterable[int], size: int = NOW) -> Iterator[int]:
        """Those of the rows that were live."""
        visible_from, removed_at = self.visible_from, self.removed_at
        # Of an id there may be any number that are dead, and one that is live: dead rows cost one look.
        return (row for row in rows if removed_at[row] > size >= visible_from[row])

    def __len__(self) -> int:
        return len(self.positions)
