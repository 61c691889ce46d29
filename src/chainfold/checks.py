"""What a check finds, and the check of what is withheld from the log."""

import contextlib
from collections.abc import Iterator
from typing import Literal

import msgspec

from chainfold.dataset import Dataset
from chainfold.errors import ChainfoldError, CorruptionError, StorageError
from chainfold.log import LogReader
from chainfold.private import is_closed, is_path, path_of, paths_of, read
from chainfold.projections import Projections
from chainfold.records import ArtifactRecord


class Finding(msgspec.Struct, frozen=True):
    """One thing that is not as it should be, or worth knowing.

    Attributes:
        level: `error`: something acknowledged is lost or changed; `note`: nothing is lost.
        kind: What it is, in a word.
        where: The file, entry or artifact.
        detail: The rest of the sentence.
        artifact_id: The artifact that it is about, if it is about one.
        expected: What should be there, where one value stands against another: a digest, a root.
        found: What is there instead; empty if nothing.
        file: The artifact's file, if it is about that.
    """

    level: Literal["error", "note"]
    kind: str
    where: str
    detail: str
    artifact_id: str = ""
    expected: str = ""
    found: str = ""
    file: str = ""


def withheld_wrong(data: Dataset, record: ArtifactRecord) -> list[tuple[Finding, str]]:
    """What is wrong with the private fields of a record, unless they were erased, and the files concerned."""
    found: list[tuple[Finding, str]] = []
    artifact_id, where = record.artifact_id, f"artifact {record.artifact_id!r}"
    for field, withheld in record.private.items():
        try:
            path = path_of(record.artifact_id, withheld.commitment)
        except CorruptionError as error:
            found.append((Finding("error", "changed", where, str(error), artifact_id), ""))
            continue
        name = f"its private field {field!r}, in the file {path!r},"
        try:
            text = read(data.private, path)
        except ChainfoldError as error:
            kind, why = _unread(error, "is not what was committed to")
            found.append((Finding("error", kind, where, f"{name} {why}", artifact_id), path))
            continue
        if text is None:
            detail = f"{name} is not there, and no event erased it"
            found.append((Finding("error", "missing", where, detail, artifact_id), path))
        elif (text.artifact_id, text.field) != (record.artifact_id, field):
            found.append((Finding("error", "changed", where, f"{name} is of another", artifact_id), path))
    return found


def withheld_findings(
    data: Dataset, log: LogReader, projections: Projections, told: set[str]
) -> Iterator[Finding]:
    """What lies among the private files that should not, but for those that were told of already."""
    try:
        paths = [path for path, _ in sorted(data.private.scan()) if is_path(path) and path not in told]
    except StorageError as error:
        if not is_closed(error):
            raise
        yield Finding("error", "unread", "private", "may not be read by this user")
        return
    if not paths:
        return
    with contextlib.suppress(ChainfoldError):  # it has been told
        projections.fold(log.catch_up())
    own = {row for run in projections.runs.all_open() for row in run.own.values()}
    for path in paths:
        finding = _odd(data, projections, path, own)
        if finding is not None and data.private.size(path) is not None:  # it may have been going just now
            yield finding


def _unread(error: ChainfoldError, otherwise: str) -> tuple[str, str]:
    """The kind of a finding on a private file that was not read, and the rest of its sentence."""
    return ("unread", "may not be read by this user") if is_closed(error) else ("changed", otherwise)


def _odd(data: Dataset, projections: Projections, path: str, own: set[int]) -> Finding | None:
    where = f"private/{path}"
    erased_at = projections.erasures.erased_at(path)
    if erased_at is not None:
        detail = (
            f"was erased by the event at position {erased_at}, and is there (again): "
            f"delete_orphaned_artifacts(dry_run=False) removes it"
        )
        return Finding("error", "not-erased", where, detail)
    try:
        text = read(data.private, path)
    except ChainfoldError as error:
        kind, why = _unread(error, "is not what its name commits to")
        return Finding("error", kind, where, why)
    if text is None:
        return None
    rows = projections.ids.rows(text.artifact_id)
    names = [row for row in rows if path in paths_of(projections.source.decoded(row).record).values()]
    if any(row in own or projections.visibility.is_live(row) for row in names):
        return None
    why = "no live artifact has withheld it" if names else "no registration has withheld it"
    return Finding("note", "unneeded", where, why)
