"""Projections that take in a log part by part, as `gathering` brings them."""

from array import array
from collections import deque
from typing import TYPE_CHECKING, Final

from chainfold.events import ArtifactsDeleted, BlobsSwept, Entry
from chainfold.log.checking import OddError
from chainfold.projections.gathering import Part
from chainfold.projections.keys import REGISTERED, Key, hashed
from chainfold.projections.projections import Projections
from chainfold.projections.snapshot import Snapshot
from chainfold.projections.source import Log
from chainfold.projections.visibility import NEVER

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


_KIND_NAMES: Final = tuple(REGISTERED)


class Parts(Projections):
    """The same state as by `fold`, in less time; only good to be written to a snapshot, not to be asked.

    Its indexes hold nothing of the registrations since the snapshot: `gathered` does. It is right only if no
    two keys have the same hash, which who writes it must see to.

    Attributes:
        gathered: Sorted keys of each part, and the rows that have them.
    """

    def __init__(self, log: Log | None = None, snapshot: Snapshot | None = None) -> None:
        super().__init__(log, snapshot)
        self.gathered: list[tuple[NDArray[np.uint64], NDArray[np.uint32]]] = []
        self._shown: dict[str, int] = {}  # the last row that was shown of ids since the snapshot; -1: none
        self._first_of: dict[int, int] = {}  # the first row that names a file, by the path's hash

    def take(self, part: Part) -> None:
        """Take in the entries of the part that follows."""
        first = len(self.visibility)
        known = self._known(part)
        self._add_rows(part)
        self.gathered.append((part.keys, part.rows + first))
        self.chains.gathered.update(dict.fromkeys(part.chains))
        others = deque(part.others)
        row = first
        for position, artifact_id, run_id, is_new in zip(
            part.positions, part.ids, part.runs, map(bool, part.is_new), strict=True
        ):
            while others and others[0].position < position:
                self.apply(others.popleft())
            self.size = position + 1
            if artifact_id not in known:
                self._shown.setdefault(artifact_id, -1)
            self._admit(row, artifact_id, run_id, is_new=is_new)
            row += 1
        while others:
            self.apply(others.popleft())

    def _admit(self, row: int, artifact_id: str, run_id: str | None, *, is_new: bool) -> None:
        """As `_register`, without the indexes."""
        self.paths.bring(row, is_new=is_new)
        run = self.runs.open(run_id)
        if run is not None:
            self._enter(run, artifact_id, row)
        elif run_id is None:
            self._show(row)

    def _add_rows(self, part: Part) -> None:
        """Fill the columns as far as that does not depend on what is around."""
        count, columns, first = len(part.positions), self.columns, len(self.visibility)
        never = array("I", [NEVER]) * count
        columns["positions"].tail.extend(part.positions)
        for name in ("visible_from", "removed_at", "bringers"):
            columns[name].tail.extend(never)
        columns["references"].tail.frombytes(bytes(4 * count))
        columns["types"].tail.frombytes(part.types)
        columns["sizes"].tail.extend(part.sizes)
        first_of = self._first_of.setdefault
        columns["files"].tail.extend(
            [first_of(path, row) for row, path in enumerate(part.files.tolist(), first)]
        )
        self._ids_of_rows += part.ids

    def keys(self) -> tuple["NDArray[np.uint64]", "NDArray[np.uint32]"]:
        """All that was gathered since the snapshot, sorted by key, then by row.

        Raises:
            OddError: If two keys have the same hash.
        """
        import numpy as np  # noqa: PLC0415 - slow to import, and needed only to build

        keys = np.concatenate([np.zeros(0, "<u8"), *(keys for keys, _ in self.gathered)])
        rows = np.concatenate([np.zeros(0, "<u4"), *(rows for _, rows in self.gathered)])
        order = np.argsort(keys, kind="stable")  # they are sorted piece by piece, which makes it fast
        keys, rows = keys[order], rows[order]
        starts = [int(rows.min()) for _, rows in self.gathered if len(rows)]
        parts = np.searchsorted(starts, rows, side="right")
        again = np.flatnonzero((keys[1:] == keys[:-1]) & (parts[1:] != parts[:-1]))
        self._compare(keys[again], rows[again], rows[again + 1])
        older, values = self.snapshot.arrays() if self.snapshot is not None else (keys[:0], rows[:0])
        if len(keys) and len(older):
            is_first = np.concatenate([[True], keys[1:] != keys[:-1]])
            distinct, firsts = keys[is_first], rows[is_first]
            places = np.minimum(np.searchsorted(older, distinct), len(older) - 1)
            again = np.flatnonzero(older[places] == distinct)
            self._compare(distinct[again], values[places[again]], firsts[again])
        return keys, rows

    def _compare(
        self, keys: "NDArray[np.uint64]", older: "NDArray[np.uint32]", newer: "NDArray[np.uint32]"
    ) -> None:
        """Nothing, if the registrations that share a hash share a key."""
        for digest, row, other in zip(keys.tolist(), older.tolist(), newer.tolist(), strict=True):
            kind = _KIND_NAMES[digest >> 60]
            if self._texts(kind, row, digest) != self._texts(kind, other, digest):
                raise OddError(f"two keys of the index {kind!r} have the same hash")

    def _texts(self, kind: str, row: int, digest: int) -> list[Key]:
        keys = REGISTERED[kind](self.source.decoded(row).record)
        return [key for key in keys if hashed(kind, key) == digest]

    def _known(self, part: Part) -> set[str]:
        """The ids that the snapshot knows; what it knows of files is noted."""
        import numpy as np  # noqa: PLC0415 - slow to import, and needed only to build

        if self.snapshot is None:
            return set()
        keys, values = self.snapshot.arrays()
        if not len(keys):
            return set()
        places = np.minimum(np.searchsorted(keys, part.files), len(keys) - 1)
        is_there = keys[places] == part.files
        for path, row in zip(part.files[is_there].tolist(), values[places[is_there]].tolist(), strict=True):
            self._first_of.setdefault(path, row)
        low, high = np.searchsorted(part.keys, [0, 1 << 60])  # ids are the first kind
        ids, rows = part.keys[low:high], part.rows[low:high]
        places = np.minimum(np.searchsorted(keys, ids), len(keys) - 1)
        return {part.ids[row] for row in rows[keys[places] == ids].tolist()}

    def live_row(self, artifact_id: str) -> int | None:
        """As of `Projections`; of what a part registered nothing but the last that was shown can be live."""
        row = self._shown.get(artifact_id)
        if row is None:
            return super().live_row(artifact_id)
        return row if row >= 0 and self.visibility.is_live(row) else None

    def _superseded(self, row: int) -> int | None:
        artifact_id = self.artifact_id(row)
        earlier = self._shown.get(artifact_id)
        self._shown[artifact_id] = row
        if earlier is not None:
            return earlier if earlier >= 0 and self.visibility.is_live(earlier) else None
        found = self.snapshot.find(hashed("id", artifact_id)) if self.snapshot is not None else None
        return next((each for each in reversed(found or ()) if self.visibility.is_live(each)), None)

    def apply(self, entry: Entry) -> None:
        """Take in an entry that registers nothing; the indexes are told what it will ask for."""
        asked: list[tuple[str, str]] = []
        match entry.event:
            case ArtifactsDeleted(pipeline_id=str(pipeline_id)):
                asked = [("pipeline", pipeline_id)]
            case BlobsSwept(paths=paths):
                asked = [("path", path) for path in paths]
        tails = {index.kind: index.tail for index in self.indexes}
        for kind, key in asked:
            rows = self._gathered_rows(kind, key)
            if rows:
                tails[kind][key] = rows
        super().apply(entry)
        for kind, key in asked:
            tails[kind].pop(key, None)

    def _gathered_rows(self, kind: str, key: str) -> list[int]:
        """The rows of a key since the snapshot, and later ones of the part: of those nothing is seen yet."""
        import numpy as np  # noqa: PLC0415 - as above

        digest = np.uint64(hashed(kind, key))
        found: list[int] = []
        for keys, rows in self.gathered:
            low, high = (
                np.searchsorted(keys, digest, side="left"),
                np.searchsorted(keys, digest, side="right"),
            )
            found += rows[low:high].tolist()
        if found and key not in REGISTERED[kind](self.source.decoded(found[0]).record):
            raise OddError(f"a key of the index {kind!r} that nothing has is taken for another")
        return found
