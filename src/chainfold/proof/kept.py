"""The log as it is now, beside checkpoints that somebody kept: whether it is another, and from where on.

A root alone says that something differs, not where. The place is narrowed by what else can be believed:
another kept checkpoint that still holds, and the hashes of the leaves beside the log (`tiles/0`), if they
have the root that was kept: then they are those of the log that was, whoever wrote the file.
"""

import contextlib
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from chainfold.errors import ChainfoldError
from chainfold.log import Checkpoint, LogReader, MerkleTree
from chainfold.proof.paths import leaf_hash
from chainfold.storage import Files

HASH_BYTES: Final = 32
_AT_ONCE: Final = 4_096
"""Hashes that are read at a time."""


class Change(NamedTuple):
    """That the log is not the one that was kept.

    Attributes:
        where: The entry, or between which entries, as far as that can be known.
        detail: The rest of the sentence.
    """

    where: str
    detail: str


def change(log: LogReader, kept: Sequence[Checkpoint], leaves: Path, files: Files) -> Change | None:
    """What is known of where a log differs from what it was; None if it has only grown.

    The log is hashed once, or twice if it differs.

    Args:
        log: The log, read to its end, or to where it is damaged.
        kept: Checkpoints of it.
        leaves: A file with the hashes of leaves, one after the other, that need not be true.
        files: Where that is.
    """
    tree, lines, same = MerkleTree(), log.raw_lines(), 0
    for known in sorted(kept, key=lambda each: each.size):
        tree.extend(itertools.islice(lines, min(known.size, log.size) - tree.size))
        if known.size > log.size or tree.root() != known.root:
            return _change(log, same, known, _first_other(log, known, leaves, files), tree.root())
        same = known.size
    return None


def _change(log: LogReader, same: int, known: Checkpoint, first: int | None, root: bytes) -> Change:
    """In words.

    Args:
        log: The log.
        same: So many entries are known to be what they were.
        known: The first checkpoint that does not hold.
        first: The first entry that is another, or where the log ends; None if nothing tells.
        root: The root of the log of the checkpoint's size, or of all of it if it is shorter.
    """
    if first is not None and first < log.size:
        return Change(
            _entries(first, first + 1),
            f"({log.place(first)}) is not what was there when the log had {known.size} entries; those before "
            f"it are: the hashes beside the log say so, and have the root that was kept, {known.root.hex()}",
        )
    if log.size < known.size:
        intact = log.size if first is not None else same
        rest = (
            f"the first {intact} are what they were"
            if intact
            else "whether they are what they were, nothing says"
        )
        return Change(
            _entries(log.size, known.size),
            f"are gone: the log had {known.size} entries, and {log.size} are there and good; {rest}",
        )
    ends = sorted({log.place(at).partition(",")[0] for at in (same, known.size - 1) if 0 <= at < log.size})
    before = f"; the first {same} are what they were" if same else ""
    return Change(
        _entries(same, known.size),
        f"({' to '.join(ends)}) are not what they were: there, something was rewritten, removed, put in or "
        f"moved. The log of {known.size} entries had the root {known.root.hex()}, and now has "
        f"{root.hex()}{before}",
    )


def _entries(start: int, stop: int) -> str:
    return f"entry {start}" if stop == start + 1 else f"entries {start} to {stop - 1}"


def _first_other(log: LogReader, known: Checkpoint, leaves: Path, files: Files) -> int | None:
    """The first entry that is not what it was, or where the log ends; None if nothing can be believed."""
    tree, first = MerkleTree(), None
    lines = itertools.islice(log.raw_lines(), log.size)
    with contextlib.suppress(ChainfoldError, OSError):  # of whatever else may be there by that name
        for digest in itertools.islice(_hashes(leaves, files), known.size):
            line = next(lines, None)
            if first is None and (line is None or leaf_hash(line) != digest):
                first = tree.size
            tree.append_hash(digest)
    return first if tree.size == known.size and tree.root() == known.root else None


def _hashes(leaves: Path, files: Files) -> Iterator[bytes]:
    if files.size(leaves) is None:
        return
    reader = files.reader(leaves)
    try:
        for start in itertools.count(0, _AT_ONCE * HASH_BYTES):
            data = reader.read(start, _AT_ONCE * HASH_BYTES)
            yield from (data[at : at + HASH_BYTES] for at in range(0, len(data) - HASH_BYTES + 1, HASH_BYTES))
            if len(data) < _AT_ONCE * HASH_BYTES:
                return
    finally:
        reader.close()
