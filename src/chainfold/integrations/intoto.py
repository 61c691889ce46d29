"""One artifact as an in-toto statement, with SLSA provenance: how it was made, and from what.

https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md, https://slsa.dev/spec/v1.0/provenance.
The statement is plain JSON types: sign it with any tool for attestations (as the payload of a DSSE envelope,
of the type `application/vnd.in-toto+json`).
"""

import re
from typing import Any, Final
from urllib.parse import quote

from chainfold.ancestry import Relative
from chainfold.digest import PREFIX
from chainfold.errors import InvalidInputError, NotFoundError
from chainfold.events import ArtifactRegistered, Entry
from chainfold.params import to_wire
from chainfold.view import RegistryView, checked_view

STATEMENT: Final = "https://in-toto.io/Statement/v1"
PROVENANCE: Final = "https://slsa.dev/provenance/v1"
BUILD: Final = "urn:x-chainfold:registration:1"
"""The build type: `externalParameters` are what the caller said of the artifact, `internalParameters` what
was found out about it, `resolvedDependencies` the registrations that it was made from, directly or not."""
IMPORT: Final = "urn:x-chainfold:import:1"
"""The build type of what a manifest brought: who built it, and from what, is what the manifest said."""
_HINT: Final = "history(id) shows the past; what an open run registered is not visible yet"
_HEX: Final = re.compile("[0-9a-f]{64}")


def statement(view: RegistryView, artifact_id: str) -> dict[str, Any]:
    """What the log says of a live artifact, and of all that it was made from; private fields are withheld.

    Args:
        view: The registry, or a view of the past.
        artifact_id: The artifact.

    Raises:
        NotFoundError: If it is not live, or its run is open: it may still be rolled back.
        InvalidInputError: If the record has no sha256 digest, as imported ones may have, or it is no view.
    """
    as_of = getattr(checked_view(view), "as_of", None)
    view = view if as_of is None else as_of(view.position)  # one moment, whatever others append meanwhile
    record = view.resolve(artifact_id)
    if record is None:
        raise NotFoundError(f"no live artifact has the id {artifact_id!r}: {_HINT}")
    itself, *sources = view.lineage(artifact_id)
    registration = itself.registration
    assert registration is not None  # noqa: S101 - it is live
    entry = _made(view, registration.position)
    told = record.without_private()
    metadata = {"finishedOn": entry.at}
    if entry.run is not None:
        metadata |= {"invocationId": entry.run, "startedOn": view.run_info(entry.run).at}
    return {
        "_type": STATEMENT,
        "subject": [{"name": told.path, "digest": _digest(told.content_hash)}],
        "predicateType": PROVENANCE,
        "predicate": {
            "buildDefinition": {
                "buildType": IMPORT if _is_imported(entry) else BUILD,
                "externalParameters": {
                    "artifact_id": artifact_id,
                    "artifact_type": told.artifact_type.value,
                    "pipeline_id": told.pipeline_id,
                    "chain_path": told.chain_path,
                    "fold_id": told.fold_id,
                    "params": to_wire(told.params),
                },
                "internalParameters": {
                    "class_name": told.class_name,
                    "format": told.format,
                    "format_version": told.format_version,
                },
                "resolvedDependencies": [_source(view, each) for each in sources],
            },
            "runDetails": {"builder": {"id": _builder(entry.actor)}, "metadata": metadata},
        },
    }


def _source(view: RegistryView, relative: Relative) -> dict[str, Any]:
    """What was used: its bytes by their digest, if anything of its id was there to be seen."""
    found: dict[str, Any] = {"uri": _uri(view, relative.artifact_id)}
    registration = relative.registration
    if registration is None:
        return found
    record = registration.record
    entry = _made(view, registration.position)
    annotations = {
        "position": registration.position,
        "standing": registration.standing,
        "imported": _is_imported(entry),
    }
    if _HEX.fullmatch(record.content_hash.removeprefix(PREFIX)):
        found["digest"] = _digest(record.content_hash)
    return {**found, "name": record.path, "annotations": annotations}


def _made(view: RegistryView, position: int) -> Entry:
    """The registration, of what was restored the first: who restores it did not make it."""
    while True:
        (entry,) = view.events(position, position + 1)
        before = entry.event.restored_from if isinstance(entry.event, ArtifactRegistered) else None
        if before is None or not 0 <= before < position:
            return entry
        position = before


def _is_imported(entry: Entry) -> bool:
    """Whether a manifest brought it: nobody has compared the digest with bytes."""
    return isinstance(entry.event, ArtifactRegistered) and entry.event.imported


def _digest(content_hash: str) -> dict[str, str]:
    found = content_hash.removeprefix(PREFIX)
    if not _HEX.fullmatch(found):
        raise InvalidInputError(
            f"{content_hash!r:.100} is no sha256 digest: nothing can be stated of bytes that are not known; "
            f"register the artifact itself"
        )
    return {"sha256": found}


def _uri(view: RegistryView, artifact_id: str) -> str:
    return f"urn:x-chainfold:{quote(view.dataset, safe='')}:artifact:{quote(artifact_id, safe='')}"


def _builder(actor: str) -> str:
    return f"urn:x-chainfold:actor:{quote(actor, safe='')}"
