"""By what an artifact is looked up: the keys of each index, and their hashes in a snapshot."""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

import xxhash

from chainfold.records import ArtifactRecord, Fold

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Hashes = NDArray[np.uint64]

Key = str | tuple[str, str]
"""A text, or two of them."""
KeysOf = Callable[[ArtifactRecord], Iterable[Key]]
Hash = TypeVar("Hash", int, "Hashes")


def fold_text(fold: Fold) -> str:
    """A fold as part of a key; the fold 1 is not the fold "1"."""
    return "none" if fold is None else f"text {fold}" if isinstance(fold, str) else f"number {fold}"


def fold_key(path: str, fold: Fold) -> Key:
    """The key of a chain path and a fold."""
    return (path, fold_text(fold))


def step_key(pipeline_id: str, step_index: int) -> Key:
    """The key of a step of a pipeline."""
    return (pipeline_id, str(step_index))


def _chained(key: Callable[[ArtifactRecord], Key]) -> KeysOf:
    """The key of artifacts that have a chain path; others are not found by one."""
    return lambda record: (key(record),) if record.chain_path else ()


REGISTERED: Final[Mapping[str, KeysOf]] = {
    "id": lambda record: (record.artifact_id,),
    "digest": lambda record: (record.content_hash,),
    "path": lambda record: (record.path,),
    "chain": _chained(lambda record: record.chain_path),
    "chain-fold": _chained(lambda record: fold_key(record.chain_path, record.fold_id)),
    "pipeline-chain": _chained(lambda record: (record.pipeline_id, record.chain_path)),
    "pipeline": lambda record: (record.pipeline_id,),
    "step": lambda record: (step_key(record.pipeline_id, record.step_index),),
    "source": lambda record: dict.fromkeys(record.depends_on),
}
"""The indexes of registrations, by row. Beside them are `run`, `alias`, `sweep` and `erased`."""


_OTHERS: Final = ("run", "alias", "sweep", "erased")
_KINDS: Final = {kind: number << 60 for number, kind in enumerate((*REGISTERED, *_OTHERS))}
_SHIFT = 4
"""Bits of a digest that are not kept: a kind's number is there instead."""
_ALL_BITS: Final = 2**64 - 1


def hashed(kind: str, key: Key) -> int:
    """A key as snapshots store it: its kind's number in 4 bits, then 60 bits of its digest.

    So keys of two kinds, which stand for different things, never have the same.
    """
    if isinstance(key, tuple):
        return stored(kind, mixed(*map(text_digest, key)))
    return stored(kind, text_digest(key))


def stored(kind: str, digests: Hash) -> Hash:
    """Digests of keys as snapshots store them; one, or an array of them."""
    found: Any = _KINDS[kind] | digests >> _SHIFT
    return found  # type: ignore[no-any-return] # of numpy's types, those of shifts say too little


def text_digest(text: str) -> int:
    """The digest of a text: its xxh3-64."""
    return xxhash.xxh3_64_intdigest(text.encode(errors="surrogatepass"))


def text_digests(texts: Iterable[str]) -> "Hashes":
    """As `text_digest`, of many."""
    import numpy as np  # noqa: PLC0415 - slow to import, and needed only to build

    texts = list(texts)
    try:
        digests = b"".join(map(xxhash.xxh3_64_digest, map(str.encode, texts)))
    except UnicodeEncodeError:  # a surrogate
        return np.array(list(map(text_digest, texts)), dtype="u8")
    return np.frombuffer(digests, dtype=">u8").astype("u8")


def mixed(first: Hash, second: Hash) -> Hash:
    """The digest of two texts, from those of each; of one pair, or of many, elementwise.

    The first is multiplied by an odd number, as in Fibonacci hashing, and the sum mixed as by the finaliser
    of MurmurHash3 (Austin Appleby, public domain).
    """
    digest: Any = (first * _SPREAD + second) & _ALL_BITS
    digest = ((digest ^ digest >> 33) * _FIRST_MIX) & _ALL_BITS
    digest = ((digest ^ digest >> 33) * _SECOND_MIX) & _ALL_BITS
    found: Hash = digest ^ digest >> 33
    return found


_SPREAD: Final = 0x9E3779B97F4A7C15
_FIRST_MIX: Final = 0xFF51AFD7ED558CCD
_SECOND_MIX: Final = 0xC4CEB9FE1A85EC53
