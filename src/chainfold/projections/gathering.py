"""What the entries of one segment bring to the projections: all that does not depend on entries before it.

So processes can share the segments of a log that is folded from its beginning; `Parts` takes in what they
bring, in order. Nearly all of the work is here.
"""

import operator
from array import array
from collections.abc import Callable, Mapping
from itertools import compress
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

from chainfold.events import ArtifactRegistered, Entry, Placed, decode_entry
from chainfold.log.checking import Checked, OddError, Task, check_segment
from chainfold.projections.keys import fold_text, mixed, stored, text_digest, text_digests
from chainfold.projections.totals import type_number
from chainfold.records import ArtifactRecord

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from chainfold.projections.keys import Hashes

_TEXTS: Final[Mapping[str, Callable[[ArtifactRecord], str]]] = {
    "id": attrgetter("artifact_id"),
    "digest": attrgetter("content_hash"),
    "path": attrgetter("path"),
    "chain": attrgetter("chain_path"),
    "pipeline": attrgetter("pipeline_id"),
}
"""The texts that keys are made of."""
_FEW: Final[Mapping[str, tuple[Callable[[ArtifactRecord], Any], Callable[[Any], str]]]] = {
    "fold": (attrgetter("fold_id"), fold_text),
    "step": (attrgetter("step_index"), str),
}
"""Those of which there are few: as they are in a record, and the text that it is."""
_MADE_OF: Final[Mapping[str, tuple[str, ...]]] = {
    "id": ("id",),
    "digest": ("digest",),
    "path": ("path",),
    "chain": ("chain",),
    "chain-fold": ("chain", "fold"),
    "pipeline-chain": ("pipeline", "chain"),
    "pipeline": ("pipeline",),
    "step": ("pipeline", "step"),
    "source": ("source",),
}
"""Of which texts each index's keys are made, as in `REGISTERED`; in the order of what hashes begin with."""
_OF_CHAINS: Final = ("chain", "chain-fold", "pipeline-chain")
"""The indexes of those that have a chain path."""


class Part:
    """What a segment brings. Rows are those of its registrations, from 0 on.

    Attributes:
        positions: Of each registration in the log, like the next six.
        ids: Artifact ids.
        runs: Which run each belongs to.
        is_new: Whether there was no file before, for all that the registration knows.
        types: Numbers of the artifacts' types.
        sizes: Bytes of the blobs.
        files: Hashes of the paths.
        keys: Hashes of all keys of all registrations, sorted.
        rows: The rows that have them.
        chains: The distinct chain paths.
        others: The entries that register nothing.
        clashes: Whether two keys have the same hash.
    """

    def __init__(self) -> None:
        self.positions, self.sizes = array("I"), array("Q")
        self.ids: list[str] = []
        self.runs: list[str | None] = []
        self.is_new, self.types = bytearray(), bytearray()
        self.chains: list[str] = []
        self.others: list[Entry] = []
        self.clashes = False
        self.files: NDArray[np.uint64]
        self.keys: NDArray[np.uint64]
        self.rows: NDArray[np.uint32]


class _Gatherer:
    """Fills a part. Records are looked at kind by kind: nearly all of that is done by loops in C."""

    def __init__(self) -> None:
        self.part = Part()
        self._digests: dict[str, list[Hashes]] = {name: [] for name in (*_TEXTS, *_FEW)}
        self._texts: dict[str, list[str]] = {name: [] for name in _TEXTS}
        self._sources: list[str] = []
        self._chained, self._derived = array("I"), array("I")  # rows that have a chain path, or a source
        self._names: dict[str | None, str | None] = {}
        self._few: dict[str, dict[Any, int]] = {name: {} for name in _FEW}

    def see(self, lines: list[bytes], entries: list[Placed]) -> None:
        """Take in some more entries."""
        part = self.part
        first = len(part.positions)
        events = [entry for entry in entries if isinstance(entry, ArtifactRegistered)]
        places = entries
        if len(events) < len(entries):
            is_event = [isinstance(entry, ArtifactRegistered) for entry in entries]
            places = list(compress(entries, is_event))
            part.others += map(decode_entry, compress(lines, map(operator.not_, is_event)))
        part.positions.extend([place.position for place in places])
        part.runs += [self._names.setdefault(place.run, place.run) for place in places]
        part.is_new.extend([not (event.reused or event.imported) for event in events])
        self._see([event.record for event in events], first)

    def _see(self, records: list[ArtifactRecord], first: int) -> None:
        import numpy as np  # noqa: PLC0415 - slow to import, and needed only to build

        part = self.part
        part.types.extend([type_number(record.artifact_type) for record in records])
        part.sizes.extend([record.size_bytes for record in records])
        for name, text_of in _TEXTS.items():
            texts = list(map(text_of, records))
            self._texts[name] += texts
            self._digests[name].append(text_digests(texts))
        for name, (value_of, text_of_value) in _FEW.items():
            values, known = list(map(value_of, records)), self._few[name]
            for value in set(values).difference(known):
                known[value] = text_digest(text_of_value(value))
            self._digests[name].append(np.array(list(map(known.__getitem__, values)), "u8"))
        self._chained.extend([row for row, record in enumerate(records, first) if record.chain_path])
        for row, record in enumerate(records, first):
            if record.depends_on:
                sources = dict.fromkeys(record.depends_on)
                self._sources += sources
                self._derived.extend([row] * len(sources))

    def finish(self) -> Part:
        """All of it, sorted."""
        import numpy as np  # noqa: PLC0415 - slow to import, and needed only to build

        part = self.part
        part.ids, part.chains = self._texts["id"], [path for path in set(self._texts["chain"]) if path]
        texts = {name: np.concatenate([np.zeros(0, "u8"), *each]) for name, each in self._digests.items()}
        part.files = stored("path", texts["path"])
        every = np.arange(len(part.positions), dtype="<u4")
        chained, derived = np.frombuffer(self._chained, "<u4"), np.frombuffer(self._derived, "<u4")
        part.clashes = any(len(set(known.values())) < len(known) for known in self._few.values())
        self._texts["source"], texts["source"] = self._sources, text_digests(self._sources)
        keys, rows = [], []
        for kind, names in _MADE_OF.items():
            held = derived if kind == "source" else chained if kind in _OF_CHAINS else every
            parts = [texts[name] if kind == "source" else texts[name][held] for name in names]
            hashes = stored(kind, mixed(*parts) if len(parts) > 1 else parts[0])
            order = np.argsort(hashes, kind="stable")
            hashes = hashes[order]
            again = np.flatnonzero(hashes[1:] == hashes[:-1])
            if len(parts) == 1:
                known = set(self._texts[kind]) - ({""} if kind == "chain" else set())
                part.clashes |= len(hashes) - len(again) != len(known)
            for each in parts if len(parts) > 1 else ():
                part.clashes |= bool(np.any(each[order[again]] != each[order[again + 1]]))
            keys.append(hashes)
            rows.append(held[order])
        part.keys, part.rows = np.concatenate(keys), np.concatenate(rows)
        return part


def gather(task: Task) -> tuple[Checked, Part]:
    """Check the whole lines of one segment, and gather what they bring.

    Raises:
        OddError: If anything is not as it should be: then the log is folded entry by entry.
        FileNotFoundError, StorageError: If the segment cannot be read.
    """
    gatherer = _Gatherer()
    try:
        checked = check_segment(task, gatherer.see)
    except OverflowError as error:
        raise OddError(f"a number in {task.path} is too large: {error}") from error
    return checked, gatherer.finish()
