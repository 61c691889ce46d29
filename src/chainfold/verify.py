"""The full check of one dataset, from what is on disk alone."""

from collections.abc import Callable, Iterator
from typing import Literal

import msgspec

from chainfold.dataset import Dataset
from chainfold.errors import ChainfoldError
from chainfold.events import Entry
from chainfold.log import LogReader
from chainfold.projections import Projections, Sight
from chainfold.records import ArtifactRecord

Progress = Callable[[int, int], None]
"""Called with how much is done, and of how much."""


class Finding(msgspec.Struct, frozen=True):
    """One thing that is not as it should be, or worth knowing.

    Attributes:
        level: `error`: something acknowledged is lost or changed; `note`: nothing is lost.
        kind: What it is, in a word.
        where: The file, entry or artifact.
        detail: The rest of the sentence.
    """

    level: Literal["error", "note"]
    kind: str
    where: str
    detail: str


class Report(msgspec.Struct, frozen=True):
    """What a check found.

    Attributes:
        dataset: The dataset's name.
        entries: Good entries in the log.
        root: Merkle root over them, hex.
        artifacts: Live artifacts.
        files: Files whose digest was compared.
        findings: What is wrong, or worth knowing.
    """

    dataset: str
    entries: int
    root: str
    artifacts: int
    files: int
    findings: list[Finding]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not any(finding.level == "error" for finding in self.findings)

    def __bool__(self) -> bool:
        return self.ok


def verify(data: Dataset, progress: Progress | None = None) -> Report:
    """Check a dataset in full, reading everything anew and changing nothing.

    That is: sums, order and times of the log, the Merkle root of its checkpoint, the digest of each live
    artifact's blob, parameters kept beside the log, files without record, records without file, and lineage
    without sources.
    """
    log = LogReader(data.folder, data.name, data.files)
    projections = Projections()
    findings: list[Finding] = []
    try:
        findings += _check_log(log, projections)
        findings += _check_checkpoint(log)
        sight = Sight(projections)
        rows = list(sight.all())
        files, found = _check_artifacts(data, log, sight, rows, progress)
        findings += found
        findings += _orphans(data, projections)
        return Report(data.name, log.size, log.root().hex(), len(rows), files, findings)
    finally:
        log.close()


def _check_log(log: LogReader, projections: Projections) -> Iterator[Finding]:
    last = ""
    try:
        for entry in log.catch_up():
            if entry.at < last:
                yield Finding(
                    "error", "time", f"entry {entry.position}", f"is from {entry.at}, before {last}"
                )
            last = entry.at
            projections.apply(entry)
    except ChainfoldError as error:
        yield Finding("error", error.code, f"entry {log.size}", str(error))
    if log.damage is not None:
        yield Finding("error", log.damage.code, f"entry {log.size}", str(log.damage))


def _check_checkpoint(log: LogReader) -> Iterator[Finding]:
    try:
        known = log.stored_checkpoint()
    except ChainfoldError as error:
        yield Finding("note", "checkpoint", "checkpoint", f"{error}; the next change writes it again")
        return
    if known is None or known.size > log.size:
        return  # a shorter log has been told already
    root = log.root_at(known.size)
    if root != known.root:
        yield Finding(
            "error",
            "root",
            "checkpoint",
            f"the first {known.size} entries have the root {root.hex()}, not {known.root.hex()}",
        )


def _check_artifacts(
    data: Dataset, log: LogReader, sight: Sight, rows: list[int], progress: Progress | None
) -> tuple[int, list[Finding]]:
    findings = []
    digests: dict[str, str | None] = {}
    positions = sight.projections.visibility.positions
    for done, row in enumerate(rows):
        where = f"artifact {sight.projections.artifact_id(row)!r}"
        try:
            record = data.decode(log.line(positions[row]))
            if record.path not in digests:
                digests[record.path] = data.blobs.digest(record.path)
            found = digests[record.path]
            if found != record.content_hash:
                # Perhaps others have deleted it since: the event comes before the file goes.
                sight.projections.fold(log.catch_up())
                if not sight.sees(row):
                    continue
            if found is None:
                findings.append(_missing(record, log.entry(positions[row]), where))
            elif found != record.content_hash:
                detail = f"its file {record.path!r} has the digest {found}, not {record.content_hash}"
                findings.append(Finding("error", "changed", where, detail))
            findings += [
                Finding("note", "lineage", where, f"its source {source!r} is not live")
                for source in record.depends_on
                if sight.row(source) is None
            ]
        except (ChainfoldError, FileNotFoundError) as error:
            findings.append(Finding("error", "record", where, str(error)))
        if progress is not None:
            progress(done + 1, len(rows))
    return len(digests), findings


def _missing(record: ArtifactRecord, entry: Entry, where: str) -> Finding:
    if getattr(entry.event, "imported", False):
        return Finding("note", "missing", where, f"was imported, and its file {record.path!r} is not here")
    return Finding("error", "missing", where, f"its file {record.path!r} is not there")


def _orphans(data: Dataset, projections: Projections) -> Iterator[Finding]:
    for path, size in sorted(data.blobs.scan()):
        if not projections.paths.is_referenced(path):
            yield Finding("note", "orphan", path, f"no live artifact refers to it ({size:,} bytes)")
