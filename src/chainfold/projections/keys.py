"""By what an artifact is looked up: the keys of each index, and their hashes in a snapshot."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

import xxhash

from chainfold.records import ArtifactRecord, Fold

KeysOf = Callable[[ArtifactRecord], Iterable[str]]


def joined(first: str, second: str) -> str:
    """Two texts as one key, such that no other two give the same."""
    return f"{len(first)}:{first}{second}"


def fold_key(path: str, fold: Fold) -> str:
    """The key of a chain path and a fold; the fold 1 is not the fold "1"."""
    tag = "none" if fold is None else f"text {fold}" if isinstance(fold, str) else f"number {fold}"
    return joined(tag, path)


def step_key(pipeline_id: str, step_index: int) -> str:
    """The key of a step of a pipeline."""
    return joined(str(step_index), pipeline_id)


def _chained(key: Callable[[ArtifactRecord], str]) -> KeysOf:
    """The key of artifacts that have a chain path; others are not found by one."""
    return lambda record: (key(record),) if record.chain_path else ()


REGISTERED: Final[Mapping[str, KeysOf]] = {
    "id": lambda record: (record.artifact_id,),
    "digest": lambda record: (record.content_hash,),
    "path": lambda record: (record.path,),
    "chain": _chained(lambda record: record.chain_path),
    "chain-fold": _chained(lambda record: fold_key(record.chain_path, record.fold_id)),
    "pipeline-chain": _chained(lambda record: joined(record.pipeline_id, record.chain_path)),
    "pipeline": lambda record: (record.pipeline_id,),
    "step": lambda record: (step_key(record.pipeline_id, record.step_index),),
    "source": lambda record: dict.fromkeys(record.depends_on),
}
"""The indexes of registrations, by row. Beside them are `run`, `alias` and `sweep`."""


_KINDS: Final = {kind: number << 60 for number, kind in enumerate((*REGISTERED, "run", "alias", "sweep"))}


def hashed(kind: str, key: str) -> int:
    """A key as snapshots store it: its kind's number in 4 bits, then 60 bits of its xxh3-64.

    So keys of two kinds, which stand for different things, never have the same.
    """
    return _KINDS[kind] | xxhash.xxh3_64_intdigest(key.encode(errors="surrogatepass")) >> 4
