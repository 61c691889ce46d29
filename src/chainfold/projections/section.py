"""One array of a snapshot: read where it lies, in the page cache, and checked before it is believed."""

from array import array
from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Final, Literal
from weakref import WeakMethod

import xxhash

from chainfold.errors import CorruptionError
from chainfold.log import Numbers

BLOCK_BYTES: Final = 65_536
"""Each so many bytes of a section have a sum of their own: xxh3-64."""
Code = Literal["B", "I", "Q", "q"]
ABSENT: Final = -1
SEVERAL: Final = -2
TYPES: Final[dict[Code, int]] = {"B": 1, "I": 4, "Q": 8, "q": 8}
"""Bytes of a number of each type code of `array`, as snapshots store them: little-endian."""


class Section:
    """Numbers that lie in a file. A block is checked when it is first read, so opening costs nothing.

    Args:
        view: The file's bytes for this section, as numbers.
        sums: The sum of each block.
        heal: Called when a block is not what was written. It must replace the section (`replace`), or raise;
            weak, so that a snapshot that nobody needs goes at once, and with it the file that it has mapped.
    """

    __slots__ = ("_heal", "_is_good", "_shift", "_sums", "_view", "block")

    def __init__(self, view: memoryview, sums: Sequence[int], heal: "WeakMethod[Callable[[], None]]") -> None:
        self._heal = heal
        self.block = BLOCK_BYTES // view.itemsize
        """Numbers in a block."""
        self._shift = self.block.bit_length() - 1
        self.replace(view, sums)

    def replace(self, view: memoryview, sums: Sequence[int]) -> None:
        """Read from elsewhere from now on."""
        self._view, self._sums, self._is_good = view, sums, bytearray(len(sums))

    def release(self) -> None:
        """Let go of the file; what is asked for then is a ValueError."""
        self._view.release()
        self._sums = ()

    def __len__(self) -> int:
        return len(self._view)

    def __getitem__(self, index: int) -> int:
        if not self._is_good[index >> self._shift]:
            self._check(index >> self._shift)
        number: int = self._view[index]
        return number

    def only(self, number: int, block: int) -> int:
        """Where a number is in one block of a section that is sorted: `ABSENT`, or `SEVERAL` times."""
        if not self._is_good[block]:
            self._check(block)
        view, start = self._view, block << self._shift
        stop = min(start + self.block, len(view))
        found = bisect_left(view, number, start, stop)
        if found == stop or view[found] != number:
            return ABSENT
        return SEVERAL if found + 1 < stop and view[found + 1] == number else found

    def place(self, number: int, first: int, last: int, bisect: Callable[..., int]) -> int:
        """Where a number is, or would be, in blocks that are sorted, from the first to the last of them."""
        for block in (first, last):
            if not self._is_good[block]:
                self._check(block)
        return bisect(
            self._view, number, first << self._shift, min((last + 1) << self._shift, len(self._view))
        )

    def part(self, start: int, stop: int) -> memoryview:
        """Some of it, checked."""
        first, last = start >> self._shift, (stop - 1) >> self._shift
        if first != last or not self._is_good[first]:
            for block in range(first, last + 1):
                if not self._is_good[block]:
                    self._check(block)
        return self._view[start:stop]

    def _check(self, block: int) -> None:
        start = block << self._shift
        if sum_of(self._view[start : start + self.block]) != self._sums[block]:
            heal = self._heal()
            if heal is not None:
                heal()
            if sum_of(self._view[start : start + self.block]) != self._sums[block]:
                raise CorruptionError("a snapshot is damaged, and so is what was built in its place")
        self._is_good[block] = 1


class Constant:
    """As many times the same number."""

    def __init__(self, number: int, count: int) -> None:
        self.number, self._count = number, count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> int:
        return self.number


class Column:
    """A number for each row (or run, or entry): those of a snapshot, what has changed since, and newer ones.

    Args:
        code: Type code of `array`: a key of `TYPES`.
        base: The snapshot's part.
    """

    __slots__ = ("_count", "base", "changed", "code", "tail")

    def __init__(self, code: Code, base: Numbers = ()) -> None:
        self.code = code
        self.base: Numbers = base
        self._count = len(base)
        self.changed: dict[int, int] = {}
        self.tail = array(code)

    def __len__(self) -> int:
        return self._count + len(self.tail)

    def __getitem__(self, index: int) -> int:
        if index >= self._count:
            return self.tail[index - self._count]
        if self.changed and index in self.changed:
            return self.changed[index]
        return self.base[index]

    def __setitem__(self, index: int, number: int) -> None:
        if index >= self._count:
            self.tail[index - self._count] = number
        else:
            self.changed[index] = number

    def append(self, number: int) -> None:
        """One more."""
        self.tail.append(number)

    def all(self) -> list[int]:
        """Every number."""
        return [self[index] for index in range(len(self))]

    def fill(self, number: int) -> None:
        """Set them all."""
        self.base = Constant(number, self._count)
        self.changed.clear()
        self.tail = array(self.code, [number]) * len(self.tail)


def sum_of(data: memoryview | bytes) -> int:
    """The sum of a block, or of what fits one."""
    return xxhash.xxh3_64_intdigest(data)
