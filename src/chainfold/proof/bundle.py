"""One file that proves a model: its registration, its sources', and what has happened to each since.

`model_verifier.py` checks it, and needs nothing of chainfold; `docs/format.md`, section 13, has the form.
"""

import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

from chainfold.ancestry import Relative
from chainfold.dataset import Dataset
from chainfold.errors import NotFoundError
from chainfold.log import Checkpoint
from chainfold.log.lines import origin
from chainfold.proof.model_verifier import FORMAT
from chainfold.proof.prover import Prover

if TYPE_CHECKING:
    from chainfold.proof.notes import PrivateKey

PROVES: Final = (
    "The entries below are, byte for byte, in the log that the checkpoint commits to, each at its position.",
    "They register the artifact and all its sources, directly or not, under the names that it was made from.",
    "Each registration has the digest of the bytes that were registered.",
    "An entry that is named as `shown` made the registration visible: itself, or the commit of its run.",
    "A private field of a registration is the digest of a file: who has the file can compare it.",
    "An entry that is named as `ended` superseded or deleted the registration.",
)
PROVES_NOT: Final = (
    "That nothing else happened: the log may have more about these artifacts. Who has all of it can tell.",
    "That the log was shown alike to everybody: compare checkpoints with others who keep them.",
    "That the names in the entries are true: who acts, and when, is what the writer's machine said.",
    "Who made the checkpoint, unless it is signed with a key that you know.",
)


def bundle(
    data: Dataset, relatives: Iterable[Relative], size: int, key: "PrivateKey | None" = None
) -> dict[str, Any]:
    """The proof of an artifact, as plain JSON types; with `data.mutex` held.

    Args:
        data: The dataset.
        relatives: The artifact and its lineage, as of a size.
        size: That size: of the log that the checkpoint is of.
        key: Signs the checkpoint.

    Raises:
        NotFoundError: If the artifact is not visible as of that size.
        CorruptionError: If the log is not what it was when it was read.
    """
    known = list(relatives)
    told = [_told(each, size) for each in known if each.registration is not None]
    if not told or told[0]["shown"] is None:
        raise NotFoundError(f"artifact {known[0].artifact_id!r} is not visible: its run has not committed")
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
        "proves": list(PROVES),
        "does not prove": list(PROVES_NOT),
    }


def to_text(proof: dict[str, Any]) -> str:
    """The file's content."""
    return json.dumps(proof, ensure_ascii=False, indent=1) + "\n"


def _told(relative: Relative, size: int) -> dict[str, Any]:
    registration = relative.registration
    assert registration is not None  # noqa: S101 - the caller leaves others out
    shown = registration.visible_from
    return {
        "artifact_id": relative.artifact_id,
        "position": registration.position,
        "digest": registration.record.content_hash,
        "sources": [
            {"artifact_id": source, "position": position}
            for source, position in zip(registration.record.depends_on, relative.sources, strict=True)
        ],
        "shown": None if shown is None or shown > size else shown - 1,
        "ended": None if relative.ended_by is None else relative.ended_by.position,
        "standing": registration.standing,
    }


def _positions(told: dict[str, Any]) -> Iterator[int]:
    for name in ("position", "shown", "ended"):
        if told[name] is not None:
            yield told[name]
