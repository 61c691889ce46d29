"""A new snapshot from the last one and what has been folded since: merged, in pieces, never sorted anew.

Only the tail is held in memory. Equal states give equal sections, whatever snapshots they came through.
"""

from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from chainfold.log import LogMark, Numbers
from chainfold.projections.chains import Paths
from chainfold.projections.keys import hashed
from chainfold.projections.parts import Parts
from chainfold.projections.projections import Projections
from chainfold.projections.section import BLOCK_BYTES, TYPES, Column, Section, sum_of
from chainfold.projections.snapshot import ALIGNMENT, COLUMNS, END, MAGIC, SECTIONS, TRAILER, Footer, State

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.integer[Any]]

_PIECE: Final = 1 << 20
"""Numbers that are merged at a time."""


class Writable(Protocol):
    """Whatever takes bytes, one after the other."""

    def append(self, data: bytes) -> None:
        """Take some more."""


class _Writer:
    """Sections to a file, with a sum for each block."""

    def __init__(self, file: Writable) -> None:
        self._file = file
        self._end = 0
        self.sections: dict[str, tuple[int, int]] = {}
        self.sums: list[int] = []
        self._write(MAGIC)

    def section(self, name: str, pieces: Iterable[Any]) -> None:
        """One section, from pieces that are arrays or bytes."""
        self.align()
        start, rest = self._end, b""
        for piece in pieces:
            data = rest + bytes(piece)
            whole = len(data) - len(data) % BLOCK_BYTES
            self._blocks(memoryview(data)[:whole])
            rest = data[whole:]
        self._blocks(memoryview(rest))
        self.sections[name] = (start, (self._end - start) // TYPES[SECTIONS[name]])

    def finish(self, mark: LogMark, state: State) -> None:
        """Footer and trailer."""
        import numpy as np  # noqa: PLC0415 - slow to import, and needed only to build

        self.align()
        place = self._end
        sums = np.array(self.sums, dtype="<u8").tobytes()
        end = sums + msgspec.json.encode(Footer(mark, self.sections, state))
        self._write(end + TRAILER.pack(place + len(sums), place, sum_of(end), END))

    def align(self) -> None:
        """Go on at a multiple of the alignment."""
        self._write(b"\0" * (-self._end % ALIGNMENT))

    def _blocks(self, data: memoryview) -> None:
        for start in range(0, len(data), BLOCK_BYTES):
            self.sums.append(sum_of(data[start : start + BLOCK_BYTES]))
        self._write(data)

    def _write(self, data: bytes | memoryview) -> None:
        if len(data):
            self._file.append(bytes(data))
            self._end += len(data)


def write_snapshot(
    file: Writable, projections: Projections, mark: LogMark, offsets: tuple[Numbers, Any]
) -> None:
    """Write a snapshot of what is folded.

    Args:
        file: A new, empty file.
        projections: The state.
        mark: The place in the log that it has come to.
        offsets: Where each entry begins in its segment; see `LogReader.offsets`.

    Raises:
        StorageError: If the system refuses.
        CorruptionError: If the last snapshot is damaged, and so is the log.
    """
    writer = _Writer(file)
    older = Column("Q", offsets[0])
    older.tail = offsets[1]
    writer.section("offsets", pieces(older))
    for name in COLUMNS:
        writer.section(name, pieces(projections.columns[name]))
    index = _Merge(projections)
    writer.section("keys", index.keys())
    writer.section("values", index.values())
    writer.section("fences", [index.fences()])
    chains = _Chains(projections)
    writer.section("chain_text", chains.text())
    writer.section("chain_ends", [chains.ends()])
    state = State(
        sorted(projections.runs.all_open(), key=lambda run: run.number),
        projections.aliases.names(),
        projections.paths.swept_all_at,
        index.collisions(),
        projections.erasures.last,
    )
    writer.finish(mark, state)


def fingerprint(projections: Projections, mark: LogMark, offsets: tuple[Numbers, Any]) -> str:
    """A digest of the state: equal for equal logs, whatever snapshots they were folded through."""
    file = _Hashing()
    mark = msgspec.structs.replace(mark, durable=0)  # that depends on who has seen what
    write_snapshot(file, projections, mark, offsets)
    return file.digest.hexdigest()


class _Hashing:
    """A file that keeps nothing but its digest."""

    def __init__(self) -> None:
        self.digest = sha256()

    def append(self, data: bytes) -> None:
        self.digest.update(data)


def pieces(column: Column) -> Iterator["Array"]:
    """A column's numbers: what was there before, with what has changed, then what is new."""
    import numpy as np  # noqa: PLC0415 - as above

    kind = f"<u{TYPES[column.code]}" if column.code.isupper() else f"<i{TYPES[column.code]}"
    changed = np.array(sorted(column.changed), dtype="i8")
    numbers = np.array([column.changed[index] for index in changed.tolist()], dtype=kind)
    for start in range(0, len(column.base), _PIECE):
        stop = min(start + _PIECE, len(column.base))
        if isinstance(column.base, Section):
            piece = np.array(np.frombuffer(column.base.part(start, stop), dtype=kind))
        else:
            piece = np.full(stop - start, column.base[start], dtype=kind)
        low, high = np.searchsorted(changed, [start, stop])
        piece[changed[low:high] - start] = numbers[low:high]
        yield piece
    yield np.array(column.tail, dtype=kind)


class _Merge:
    """Two sorted lists of hashes and what they stand for, made into one."""

    def __init__(self, projections: Projections) -> None:
        import numpy as np  # noqa: PLC0415 - as above

        self._snapshot = projections.snapshot
        self._projections = projections
        keys: list[int] = []
        values: list[int] = []
        distinct: list[int] = []  # the hash of each key, in order of the indexes and their keys
        for index in projections.indexes:
            kind = index.kind
            for key, known in index.tail.items():
                digest = hashed(kind, key)
                distinct.append(digest)
                if isinstance(known, list):
                    keys += [digest] * len(known)
                    values += known
                else:
                    keys.append(digest)
                    values.append(known)
        self._clashes = self._of_the_tail(np.array(distinct, dtype="<u8"))
        unsorted, numbers = np.array(keys, dtype="<u8"), np.array(values, dtype="<u4")
        order = np.lexsort((numbers, unsorted))
        unsorted, numbers = unsorted[order], numbers[order]
        if isinstance(projections, Parts):  # its keys are of other kinds than those: they go before them
            gathered, rows = projections.keys()
            unsorted, numbers = np.concatenate([gathered, unsorted]), np.concatenate([rows, numbers])
        self._tail, self._numbers = unsorted, numbers
        self._fences: list[Array] = []

    def keys(self) -> Iterator["Array"]:
        """All hashes, sorted."""
        import numpy as np  # noqa: PLC0415 - as above

        block, count = BLOCK_BYTES // TYPES["Q"], 0
        for older, places, low, high in self._pieces():
            piece = np.insert(older, places, self._tail[low:high])
            self._fences.append(piece[-count % block :: block])
            count += len(piece)
            yield piece

    def values(self) -> Iterator["Array"]:
        """What they stand for."""
        import numpy as np  # noqa: PLC0415 - as above

        start = 0
        for older, places, low, high in self._pieces():
            piece = np.zeros(0, dtype="<u4")
            if self._snapshot is not None and len(older):
                stop = start + len(older)
                piece = np.frombuffer(self._snapshot.sections["values"].part(start, stop), dtype="<u4")
                start = stop
            yield np.insert(piece, places, self._numbers[low:high])

    def fences(self) -> "Array":
        """The first hash of each block, after `keys` has come to its end."""
        import numpy as np  # noqa: PLC0415 - as above

        return np.concatenate([np.zeros(0, dtype="<u8"), *self._fences])

    def collisions(self) -> list[int]:
        """Hashes that more than one key has."""
        return sorted(self._clashes)

    def _pieces(self) -> Iterator[tuple["Array", "Array", int, int]]:
        """Some older hashes; where among them newer ones go (behind equal ones), and which those are."""
        import numpy as np  # noqa: PLC0415 - as above

        empty = np.zeros(0, dtype="<u8")
        section = self._snapshot.sections["keys"] if self._snapshot is not None else ()
        low = 0
        for start in range(0, len(section), _PIECE):
            assert isinstance(section, Section)  # noqa: S101 - an empty tuple has no pieces
            older = np.frombuffer(section.part(start, min(start + _PIECE, len(section))), dtype="<u8")
            is_last = start + _PIECE >= len(section)
            # What equals the last hash of a piece goes behind all of its kind, which may go on in the next.
            high = len(self._tail) if is_last else int(np.searchsorted(self._tail, older[-1], side="left"))
            yield older, np.searchsorted(older, self._tail[low:high], side="right"), low, high
            low = high
        if not len(section):
            yield empty, np.zeros(len(self._tail), dtype="i8"), 0, len(self._tail)

    def _of_the_tail(self, distinct: "Array") -> set[int]:
        """The hashes that newer keys share with each other, or with another key of the snapshot.

        Most hashes are new: which are not is found for all at once, and only for those keys are compared.
        """
        import numpy as np  # noqa: PLC0415 - as above

        ordered, counts = np.unique(distinct, return_counts=True)
        clashes: set[int] = set(ordered[counts > 1].tolist())
        if self._snapshot is None:
            return clashes
        clashes.update(self._snapshot.collisions)
        section = self._snapshot.sections["keys"]
        known: set[int] = set()
        for start in range(0, len(section), _PIECE):
            older = np.frombuffer(section.part(start, min(start + _PIECE, len(section))), dtype="<u8")
            some = ordered[np.searchsorted(ordered, older[0]) : np.searchsorted(ordered, older[-1], "right")]
            known.update(some[older[np.searchsorted(older, some)] == some].tolist())
        texts = ((index, key) for index in self._projections.indexes for key in index.tail)
        for digest, (index, key) in zip(distinct.tolist(), texts, strict=True):
            if digest in known and index.clashes(digest, key):
                clashes.add(digest)
        return clashes


class _Chains:
    """The distinct chain paths, sorted, in one text."""

    def __init__(self, projections: Projections) -> None:
        import numpy as np  # noqa: PLC0415 - as above

        self._older = Paths(projections.snapshot) if projections.snapshot is not None else None
        newer = sorted(path.encode(errors="surrogatepass") for path in projections.chains.newer())
        places = [0] * len(newer) if self._older is None else list(self._older.places(newer))
        count = 0 if self._older is None else len(self._older)
        known = [
            place < count and self._older is not None and self._older[place] == path
            for path, place in zip(newer, places, strict=True)
        ]
        self._newer = [path for path, is_known in zip(newer, known, strict=True) if not is_known]
        self._places = [place for place, is_known in zip(places, known, strict=True) if not is_known]
        self._count = count
        self._np = np

    def text(self) -> Iterator[bytes | memoryview]:
        """All of it."""
        start = 0
        for path, place in zip(self._newer, self._places, strict=True):
            if self._older is not None:
                stop = self._older.start(place)
                yield from self._older.text(start, stop)
                start = stop
            yield path
        if self._older is not None:
            yield from self._older.text(start, self._older.start(self._count))

    def ends(self) -> "Array":
        """Where each path ends."""
        np = self._np
        ends = np.zeros(0, dtype="<u8")
        if self._older is not None and self._count:
            ends = np.frombuffer(self._older.ends(), dtype="<u8")
        lengths = np.diff(ends, prepend=np.zeros(1, dtype="<u8"))
        newer = np.array([len(path) for path in self._newer], dtype="<u8")
        places = np.array(self._places, dtype="i8")
        summed: Array = np.cumsum(np.insert(lengths, places, newer), dtype="<u8")
        return summed
