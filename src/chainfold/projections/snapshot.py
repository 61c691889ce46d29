r"""A snapshot: the projections of a log's first entries, in one file that is read where it lies.

    chainfold snapshot 3\n            padded to 64 bytes
    the sections                      arrays, each from a multiple of 64 bytes on
    the sums                          of all blocks of all sections, in order
    the footer                        JSON: which log, how far, where the sections are, what is open
    the trailer                       32 bytes: where the footer is, and the sum of sums and footer

`docs/format.md` has it all. A snapshot is disposable: whatever is odd about one, the log is folded instead.
"""

import struct
import sys
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, overload
from weakref import WeakMethod

import msgspec

from chainfold.errors import CorruptionError
from chainfold.log.mark import LogMark
from chainfold.projections.run_state import RunState
from chainfold.projections.section import ABSENT, BLOCK_BYTES, SEVERAL, TYPES, Code, Section, sum_of
from chainfold.storage import Files

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FORMAT: Final = 3
MAGIC: Final = f"chainfold snapshot {FORMAT}\n".encode().ljust(64, b"\0")
ALIGNMENT: Final = 64
TRAILER: Final = struct.Struct("<QQQ8s")
END: Final = b"chainfld"
SECTIONS: Final[dict[str, Code]] = {
    "offsets": "Q",  # of each entry in its segment
    "positions": "I",  # of each registration (row), like the next seven
    "visible_from": "I",
    "removed_at": "I",
    "types": "B",
    "sizes": "Q",
    "files": "I",
    "references": "I",
    "bringers": "I",
    "totals_at": "I",  # of each change of the totals
    "totals": "q",
    "runs_started": "I",  # of each run
    "runs_closed": "I",
    "alias_sizes": "I",  # of each move of an alias
    "alias_events": "I",
    "keys": "Q",  # of the indexes, sorted; `values` beside them, and the first key of each block
    "values": "I",
    "fences": "Q",
    "chain_text": "B",  # the distinct chain paths, sorted, and where each ends
    "chain_ends": "Q",
}
TOTALS_WIDTH: Final = 11
"""Numbers in one line of the totals."""
COLUMNS: Final = tuple(SECTIONS)[1:-5]
"""Those that projections change: not the log's, nor those that are only looked up in."""
_ALIKE: Final = (
    ("positions", "visible_from", "removed_at", "types", "sizes", "files", "references", "bringers"),
    ("runs_started", "runs_closed"),
    ("alias_sizes", "alias_events"),
    ("keys", "values"),
)
"""Sections with a number for the same things."""


class State(msgspec.Struct):
    """What is small, and not in a section.

    Attributes:
        open_runs: Runs that have not ended.
        aliases: Names of all aliases that ever pointed somewhere.
        swept_all_at: Position of the last purge that took every file.
        collisions: Hashes that keys of more than one text have.
        erased_at: Position of the last event that erased private files.
    """

    open_runs: list[RunState] = msgspec.field(default_factory=list)
    aliases: list[str] = msgspec.field(default_factory=list)
    swept_all_at: int | None = None
    collisions: list[int] = msgspec.field(default_factory=list)
    erased_at: int | None = None


class Footer(msgspec.Struct):
    """What is in a snapshot, and where.

    Attributes:
        mark: Which log it is of, and how much of it.
        sections: Offset in bytes and count of numbers of each section.
        state: The rest.
    """

    mark: LogMark
    sections: dict[str, tuple[int, int]]
    state: State


class Snapshot:
    """The sections of one file. It stays readable when the file has lost its name.

    Args:
        path: The file.
        files: The storage.
        heal: Builds it anew; called when a block is not what was written. Returns the new file's bytes.

    Raises:
        CorruptionError: If it is no snapshot, or one of another release.
        FileNotFoundError, StorageError: If it cannot be read.
    """

    def __init__(
        self, path: Path, files: Files, heal: Callable[["Snapshot"], memoryview] | None = None
    ) -> None:
        self.path, self._heal, self._is_healing = path, heal, False
        self.sections: dict[str, Section] = {}
        self._load(files.map(path))
        self.collisions = frozenset(self.footer.state.collisions)

    @property
    def size(self) -> int:
        """Entries that it has folded."""
        return self.footer.mark.size

    def find(self, digest: int) -> Sequence[int] | None:
        """What a hash has, in order; None if there is nothing."""
        fences = self._fences
        last = bisect_right(fences, digest) - 1
        if last < 0:
            return None
        if fences[last] != digest:  # as with nearly all: whatever there is of it is in this block
            only = self._keys.only(digest, last)
            if only != SEVERAL:
                return None if only == ABSENT else (self._values[only],)
        block = last
        while block and fences[block] == digest:
            block -= 1  # the first of them may be in the block before
        first = self._keys.place(digest, block, min(block + 1, last), bisect_left)
        if first == self._count or self._keys[first] != digest:
            return None
        return Found(self._values, first, self._keys.place(digest, last, last, bisect_right))

    def arrays(self) -> tuple["NDArray[np.uint64]", "NDArray[np.uint32]"]:
        """All keys, sorted, and their values, checked: for who builds the next one."""
        import numpy as np  # noqa: PLC0415 - slow to import, and needed only to build

        keys, values = self._keys.part(0, self._count), self._values.part(0, self._count)
        return np.frombuffer(keys, dtype="<u8"), np.frombuffer(values, dtype="<u4")

    def _load(self, view: memoryview) -> None:
        if sys.byteorder != "little":
            raise CorruptionError("snapshots are little-endian, and this machine is not")
        self.footer, sums = _footer(view)
        first = 0
        for name, code in SECTIONS.items():
            offset, count = self.footer.sections[name]
            part = view[offset : offset + count * TYPES[code]].cast(code)
            blocks = -(-part.nbytes // BLOCK_BYTES)
            known = self.sections.get(name)
            if known is None:
                self.sections[name] = Section(part, sums[first : first + blocks], WeakMethod(self._mend))
            else:
                known.replace(part, sums[first : first + blocks])
            first += blocks
        if first != len(sums):
            raise CorruptionError(f"it has {len(sums)} sums for {first} blocks")
        fences, self._keys, self._values = (self.sections[name] for name in ("fences", "keys", "values"))
        self._fences = fences.part(0, len(fences))
        self._count = len(self._keys)

    def release(self) -> None:
        """Let go of the file: it can be removed, and its file system unmounted, wherever that matters."""
        self._fences.release()
        for section in self.sections.values():
            section.release()

    def _mend(self) -> None:
        if self._heal is None or self._is_healing:
            raise CorruptionError(f"the snapshot {self.path} is damaged")
        self._is_healing = True
        try:
            self._load(self._heal(self))
        finally:
            self._is_healing = False


class Found(Sequence[int]):
    """Some of the values of a snapshot."""

    __slots__ = ("_start", "_stop", "_values")

    def __init__(self, values: Section, start: int, stop: int) -> None:
        self._values, self._start, self._stop = values, start, stop

    def __len__(self) -> int:
        return self._stop - self._start

    @overload
    def __getitem__(self, index: int) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[int]: ...
    def __getitem__(self, index: int | slice) -> int | Sequence[int]:
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(len(self)))]
        at = self._start + index if index >= 0 else self._stop + index
        if not self._start <= at < self._stop:
            raise IndexError(index)
        return self._values[at]

    def __iter__(self) -> Iterator[int]:
        return map(self._values.__getitem__, range(self._start, self._stop))

    def __reversed__(self) -> Iterator[int]:
        return map(self._values.__getitem__, range(self._stop - 1, self._start - 1, -1))


def _footer(view: memoryview) -> tuple[Footer, memoryview]:
    """The footer and the sums, checked: what is said there is in the file."""
    if len(view) < len(MAGIC) + TRAILER.size or view[: len(MAGIC)] != MAGIC:
        raise CorruptionError("it is no snapshot that this release reads")
    body = len(view) - TRAILER.size
    offset, sums, total, end = TRAILER.unpack(view[body:])
    if end != END or not len(MAGIC) <= sums <= offset <= body or (offset - sums) % 8 or sums % ALIGNMENT:
        raise CorruptionError("its end is missing")
    if sum_of(view[sums:body]) != total:
        raise CorruptionError("its footer is not what was written")
    try:
        footer = msgspec.json.decode(view[offset:body], type=Footer)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise CorruptionError(f"its footer says something else: {error}") from error
    _check_sections(footer, sums)
    _check_state(footer)
    return footer, view[sums:offset].cast("Q")


def _check_sections(footer: Footer, stop: int) -> None:
    """Each lies behind the one before, and has as many numbers as belong to the others'.

    Whether there is an offset for each entry matters to the log that goes on behind it, and is asked there.
    """
    end = len(MAGIC)
    for name, code in SECTIONS.items():
        first, count = footer.sections.get(name, (-1, 0))
        if first < end or first % ALIGNMENT or count < 0 or first + count * TYPES[code] > stop:
            raise CorruptionError(f"its section {name!r} is not in it")
        end = first + count * TYPES[code]
    counts = {name: count for name, (_, count) in footer.sections.items()}
    alike = [
        *([counts[name] for name in names] for names in _ALIKE),
        [counts["totals"], counts["totals_at"] * TOTALS_WIDTH],
        [counts["fences"], -(-counts["keys"] * TYPES["Q"] // BLOCK_BYTES)],
    ]
    if any(len(set(each)) > 1 for each in alike) or not counts["totals_at"]:
        raise CorruptionError("its sections do not fit each other")


def _check_state(footer: Footer) -> None:
    """What is open is of runs and rows that are there; what is remembered, of entries that it has folded."""
    state = footer.state
    if not all(0 <= at < footer.mark.size for at in (state.swept_all_at, state.erased_at) if at is not None):
        raise CorruptionError("it tells of an entry that is not in it")
    rows, runs = (footer.sections[name][1] for name in ("positions", "runs_started"))
    for run in state.open_runs:
        named = (*run.rows, *run.own.values(), *run.doomed)
        if not 0 <= run.number < runs or not all(0 <= row < rows for row in named):
            raise CorruptionError("an open run is of what is not in it")
