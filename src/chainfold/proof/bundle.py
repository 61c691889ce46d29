"""One file that proves a model: its registration, its sources', and what has happened to each since.

`model_verifier.py` checks it, and needs nothing of chainfold; `docs/format.md`, section 13, has the form.
"""

import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

from chainfold.ancestry import Relative
from chainfold.dataset import Dataset
from chainfold.errors import InvalidInputError, NotFoundError
from chainfold.log import Checkpoint
from chainfold.log.lines import origin
from chainfold.proof.model_verifier import BOUND, FORMAT, MAX_BYTES, UNBOUND
from chainfold.proof.prover import Prover

if TYPE_CHECKING:
    from chainfold.proof.notes import PrivateKey

_UNSEEN: Final = {
    "in open run": "its run has not committed",
    "rolled back": "its run was rolled back",
    "withdrawn": "its run deleted it, or registered another in its place, before it committed",
}


def bundle(
    data: Dataset, relatives: Iterable[Relative], size: int, key: "PrivateKey | None" = None
) -> dict[str, Any]:
    """The proof of an artifact, as plain JSON types; with `data.mutex` held.

    Args:
        data: The dataset.
        relatives: The artifact and its lineage, as of a size, and what was restored of that.
        size: That size: of the log that the checkpoint is of.
        key: Signs the checkpoint.

    Raises:
        NotFoundError: If the artifact is not visible as of that size.
        CorruptionError: If the log is not what it was when it was read.
    """
    known = list(relatives)
    told = [_told(data, each, size) for each in known if each.registration is not None]
    first = known[0].registration
    if first is not None and first.standing in _UNSEEN:
        raise NotFoundError(
            f"artifact {known[0].artifact_id!r}, registered at {first.position}, is not visible as of "
            f"position {size}: {_UNSEEN[first.standing]}"
        )
    with Prover(data) as prover:
        text = Checkpoint(origin(data.name), size, prover.root(size)).text().decode()
        entries = {
            str(position): {
                "line": data.log.line(position).decode(),
                "path": [digest.hex() for digest in prover.inclusion(position, size).path],
            }
            for position in sorted({position for each in told for position in _positions(each)})
        }
    return {
        "format": FORMAT,
        "artifact": known[0].artifact_id,
        "checkpoint": text if key is None else key.signed(text),
        "registrations": told,
        "entries": entries,
        "proves": list(BOUND),
        "does not prove": list(UNBOUND),
    }


def to_text(proof: dict[str, Any]) -> str:
    """The file's content.

    Raises:
        InvalidInputError: If it is larger than a verifier reads.
    """
    text = json.dumps(proof, ensure_ascii=False, indent=1, allow_nan=False) + "\n"
    if len(text.encode()) > MAX_BYTES:
        raise InvalidInputError(
            f"the proof of {proof['artifact']!r} has more than the {MAX_BYTES:,} bytes that are read: prove "
            f"its sources one by one"
        )
    return text


def _told(data: Dataset, relative: Relative, size: int) -> dict[str, Any]:
    registration = relative.registration
    assert registration is not None  # noqa: S101 - the caller leaves others out
    shown, removed = registration.visible_from, registration.removed_at
    cause = _cause(data, relative)
    return {
        "artifact_id": relative.artifact_id,
        "position": registration.position,
        "digest": registration.record.content_hash,
        "sources": [
            {"artifact_id": source, "position": position}
            for source, position in zip(registration.record.depends_on, relative.sources, strict=True)
        ],
        "shown": None if shown is None or shown > size else shown - 1,
        "ended": None if cause is None or removed is None else removed - 1,
        "cause": cause,
    }


def _cause(data: Dataset, relative: Relative) -> int | None:
    """The position of what ended a registration: of its successor, if that came with the commit of a run."""
    registration, ended = relative.registration, relative.ended_by
    if registration is None or ended is None:
        return None
    if ended.event.kind != "run-committed":
        return ended.position
    visibility = data.projections.visibility
    for row in data.projections.ids.rows(relative.artifact_id):
        if visibility.visible_from[row] == registration.removed_at:
            return visibility.positions[row]
    return None


def _positions(told: dict[str, Any]) -> Iterator[int]:
    for name in ("position", "shown", "ended", "cause"):
        if told[name] is not None:
            yield told[name]
