"""Running totals of what is live, kept for every size at which they changed."""

from array import array
from bisect import bisect_right
from typing import NamedTuple

from chainfold.projections.columns import Columns
from chainfold.projections.snapshot import TOTALS_WIDTH
from chainfold.records import ArtifactRecord, ArtifactType

_TYPES = tuple(ArtifactType)
_NUMBERS = {kind: number for number, kind in enumerate(_TYPES)}
_ARTIFACTS, _FILES, _BYTES, _BYTES_HIGH, _FILE_BYTES, _FILE_BYTES_HIGH = range(len(_TYPES), len(_TYPES) + 6)
_WIDTH = len(_TYPES) + 6
assert _WIDTH == TOTALS_WIDTH  # noqa: S101 - a new type is a new format of snapshots
_LIMB = 1 << 62
"""Sums of bytes are kept as two numbers: sizes come from manifests too, and two of those may pass 2**63."""


def type_number(kind: ArtifactType) -> int:
    """How the column of types spells a type."""
    return _NUMBERS[kind]


class Total(NamedTuple):
    """Counts of what is live.

    Attributes:
        artifacts: Live artifacts.
        size_bytes: Their blobs' sizes, each counted as often as it is referred to.
        files: Distinct files among them.
        file_bytes: Their sizes, each counted once.
        by_type: Live artifacts of each type that has any.
    """

    artifacts: int
    size_bytes: int
    files: int
    file_bytes: int
    by_type: dict[str, int]


class Totals:
    """A table of totals: one line for each entry that changed them."""

    def __init__(self, columns: Columns) -> None:
        self._types, self._sizes = columns["types"], columns["sizes"]
        self._changed_at, self._table = columns["totals_at"], columns["totals"]
        if not len(self._changed_at):
            self._changed_at.append(0)
            self._table.tail.extend([0] * _WIDTH)
        self._last = self._changed_at[len(self._changed_at) - 1]

    def register(self, record: ArtifactRecord) -> None:
        """Take in a registration; it does not count before it is shown."""
        self._types.append(_NUMBERS[record.artifact_type])
        self._sizes.append(record.size_bytes)

    def show(self, row: int, size: int, *, first: bool) -> None:
        """A registration became live; `first` when nothing live referred to its file before."""
        self._change(row, size, 1, files=int(first))

    def hide(self, row: int, size: int, *, last: bool) -> None:
        """It is no longer live; `last` when nothing live refers to its file now."""
        self._change(row, size, -1, files=-int(last))

    def at(self, size: int) -> Total:
        """The totals after `size` entries."""
        line = self._line(bisect_right(self._changed_at, size) - 1)
        by_type = {kind.value: line[number] for kind, number in _NUMBERS.items() if line[number]}
        size_bytes = line[_BYTES_HIGH] * _LIMB + line[_BYTES]
        file_bytes = line[_FILE_BYTES_HIGH] * _LIMB + line[_FILE_BYTES]
        return Total(line[_ARTIFACTS], size_bytes, line[_FILES], file_bytes, by_type)

    def _line(self, number: int) -> list[int]:
        return [self._table[index] for index in range(number * _WIDTH, (number + 1) * _WIDTH)]

    def _change(self, row: int, size: int, sign: int, *, files: int) -> None:
        table = self._table.tail
        if size != self._last:
            line = self._line(len(self._changed_at) - 1)
            self._changed_at.append(size)
            table.extend(line)
            self._last = size
        base, length = len(table) - _WIDTH, self._sizes[row]
        table[base + self._types[row]] += sign
        table[base + _ARTIFACTS] += sign
        _add_bytes(table, base + _BYTES, sign * length)
        if files:
            table[base + _FILES] += files
            _add_bytes(table, base + _FILE_BYTES, files * length)


def _add_bytes(table: "array[int]", place: int, change: int) -> None:
    total = table[place] + change
    if not 0 <= total < _LIMB:
        carry, total = divmod(total, _LIMB)
        table[place + 1] += carry
    table[place] = total
