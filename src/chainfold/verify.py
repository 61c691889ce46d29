"""The full check of one dataset, from what is on disk alone."""

import contextlib
import itertools
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

from chainfold.checks import ArtifactCheck, Finding, Progress, withheld_findings
from chainfold.dataset import Dataset
from chainfold.errors import ChainfoldError, CorruptionError, NotFoundError
from chainfold.events import Entry, decode_entry
from chainfold.log import QUARANTINE, Checkpoint, LogReader, has_passed, proven
from chainfold.projections import Projections, Sight
from chainfold.projections.merging import fingerprint
from chainfold.projections.rebuilding import Rebuilt
from chainfold.projections.snapshots import Snapshots
from chainfold.proof.kept import change
from chainfold.storage import is_local

logger = logging.getLogger(__name__)


class Report(msgspec.Struct, frozen=True):
    """What a check found.

    Attributes:
        dataset: The dataset's name.
        entries: Good entries in the log.
        root: Merkle root over them, hex.
        artifacts: Live artifacts.
        files: Files whose digest was compared; one that artifacts far from each other share may count twice.
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


def verify(
    data: Dataset,
    progress: Progress | None = None,
    jobs: int = -1,
    since: Sequence[Checkpoint] = (),
    after: int = 0,
) -> Report:
    """Check a dataset in full, reading everything anew and changing nothing.

    That is: sums, order and times of the log, the Merkle root of its checkpoint, the digest of each live
    artifact's blob, parameters kept beside the log, what is withheld from it and whether what was erased is
    gone, files without record, records without file, lineage without sources, and what was moved aside.

    Args:
        data: The dataset.
        progress: Called with how many artifacts are done, and of how many.
        jobs: Threads that read and hash files, and processes that check a large log of several segments; -1
            for as many as there are cores, as joblib counts.
        since: Commitments to what the log was: it is told if that has changed, and where, if they tell.
        after: Of the artifacts, check only those that were registered after so many entries.

    Raises:
        KeyboardInterrupt: On Ctrl-C; amid the artifacts with a note on what was found, and where to go on.
    """
    findings: list[Finding] = []
    with contextlib.ExitStack() as stack:
        log, projections = _proven(data, jobs, findings, stack)
        unread = list(_read_on(log, projections.apply))
        findings += unread
        findings += _check_checkpoint(log)
        findings += _check_since(data, log, since)
        check = ArtifactCheck(data, log, Sight(projections), jobs)
        for chunk in check.after(after, progress):
            findings += chunk
        if all(each.kind == "time" for each in unread):  # else entries that are not read may refer to them
            findings += _orphans(data, projections)
            findings += withheld_findings(data, log, projections, check.told)
        findings += _moved_aside(data)
        return Report(data.name, log.size, log.root().hex(), check.artifacts, check.files, findings)


def verify_log(
    data: Dataset, progress: Progress | None = None, jobs: int = -1, since: Sequence[Checkpoint] = ()
) -> Report:
    """Check the log of a dataset alone: sums, order, times, and the Merkle root of its checkpoint.

    Nothing is folded, and no other file is looked at: it takes a tenth of the time of `verify`.

    Args:
        data: The dataset.
        progress: Called with how many segments are done, and of how many.
        jobs: See `verify`.
        since: See `verify`.
    """
    log = LogReader(data.folder, data.name, data.files)
    try:
        if is_local(data.files):  # as in `_proven`
            log = _resumed(data, log, jobs, progress)
        findings = list(_read_on(log, lambda _: None))
        findings += _check_checkpoint(log)
        findings += _check_since(data, log, since)
        return Report(data.name, log.size, log.root().hex(), 0, 0, findings)
    finally:
        log.close()


def verify_artifacts(data: Dataset, artifact_ids: Iterable[str], jobs: int = -1) -> Report:
    """Check live artifacts alone: their entries, files, private fields and sources.

    Args:
        data: The dataset.
        artifact_ids: Which ones.
        jobs: See `verify`.

    Raises:
        NotFoundError: If one of them is not live.
    """
    with data.mutex:
        data.refresh()
        sight, rows = Sight(data.projections), list[int]()
        for artifact_id in dict.fromkeys(artifact_ids):
            row = sight.row(artifact_id)
            if row is None:
                raise NotFoundError(
                    f"no live artifact has the id {artifact_id!r}; history(id) shows the past"
                )
            rows.append(row)
        rows.sort()  # as they were registered
        check = ArtifactCheck(data, data.log, sight, jobs)
        findings = list(itertools.chain.from_iterable(check.of(rows)))
        size, root = data.log.size, data.log.root().hex()
        return Report(data.name, size, root, check.artifacts, check.files, findings)


def _resumed(data: Dataset, log: LogReader, jobs: int, progress: Progress | None) -> LogReader:
    """A reader behind all that is proven good at once; a new one, at the beginning, if anything is odd."""
    try:
        if log.resume(*proven(data.folder, data.name, jobs, progress)):
            return log
    except Exception as error:  # noqa: BLE001 - whatever is odd, the log tells it line by line
        logger.debug("the log of %r is read line by line: %s", data.name, error)
    log.close()
    return LogReader(data.folder, data.name, data.files)


def _proven(
    data: Dataset, jobs: int, findings: list[Finding], stack: contextlib.ExitStack
) -> tuple[LogReader, Projections]:
    """A reader of the log behind all that is proven good at once, and what is folded of that.

    At its beginning, if anything is odd: then it is read line by line, to tell what. So it is in storage of
    another kind, which other processes may not reach.
    """
    log = LogReader(data.folder, data.name, data.files)
    stack.callback(log.close)
    if not is_local(data.files):
        return log, Projections(log)
    try:
        rebuilt = stack.enter_context(Rebuilt(data.folder, data.name, jobs))
        projections = Projections(log, rebuilt.snapshot())
        if log.resume(rebuilt.mark, rebuilt.offsets):
            findings += _check_snapshot(data, log, projections, rebuilt)
            return log, projections
    except Exception as error:  # noqa: BLE001 - whatever is odd, the log tells it line by line
        logger.debug("the log of %r is read line by line: %s", data.name, error)
    again = LogReader(data.folder, data.name, data.files)
    stack.callback(again.close)
    return again, Projections(again)


def _check_snapshot(
    data: Dataset, log: LogReader, projections: Projections, rebuilt: Rebuilt
) -> Iterator[Finding]:
    """Whether the dataset's snapshot, and what follows it, say what was folded."""
    known = Snapshots(data.folder, data.name, data.files).newest()
    if known is None or not has_passed(log, known.footer.mark):
        return
    where, advice = known.path.name, "delete it: it is built anew from the log"
    try:
        theirs = Projections(log, known)
        theirs.fold(map(decode_entry, log.raw_lines(known.size)))
        places = known.sections["offsets"], rebuilt.offsets[known.size :]
        ours = fingerprint(projections, rebuilt.mark, ((), rebuilt.offsets))
        if fingerprint(theirs, rebuilt.mark, places) != ours:
            why = "does not say what the log says, and what is asked is answered from it"
            yield Finding("error", "snapshot", where, f"{why}; {advice}")
    except CorruptionError as error:  # nothing is answered from that
        yield Finding("note", "snapshot", where, f"{error}; {advice}")
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:  # its sums are right
        yield Finding("error", "snapshot", where, f"makes no sense ({error}); {advice}")
    finally:
        known.release()


def _read_on(log: LogReader, take: Callable[[Entry], None]) -> Iterator[Finding]:
    """What is wrong with the lines that were not read yet; the good ones are handed on."""
    last = log.mark().last_at
    try:
        for entry in log.catch_up():
            if entry.at < last:
                yield Finding(
                    "error", "time", f"entry {entry.position}", f"is from {entry.at}, before {last}"
                )
            last = entry.at
            take(entry)
    except ChainfoldError as error:
        yield Finding("error", error.code, f"entry {log.size}", str(error))
    if log.damage is not None:
        expected, found = log.wrong_sum
        yield Finding(
            "error",
            log.damage.code,
            f"entry {log.size}",
            str(log.damage),
            expected=expected,
            found=found,
        )


def _check_checkpoint(log: LogReader) -> Iterator[Finding]:
    try:
        known = log.stored_checkpoint()
    except ChainfoldError as error:
        yield Finding("note", "checkpoint", "checkpoint", f"{error}; the next change writes it again")
        return
    if known is None and log.durable > 0:
        yield Finding("note", "checkpoint", "checkpoint", "is missing; the next change writes it again")
    if known is None or known.size > log.size:
        return  # a shorter log has been told already
    root = log.root_at(known.size)
    if root != known.root:
        yield Finding(
            "error",
            "root",
            "checkpoint",
            f"the entries before position {known.size} have the root {root.hex()}, not {known.root.hex()}",
            expected=known.root.hex(),
            found=root.hex(),
        )


def _check_since(data: Dataset, log: LogReader, since: Sequence[Checkpoint]) -> Iterator[Finding]:
    """Whether the log has only grown since somebody kept checkpoints of it."""
    changed = change(log, since, data.folder / "tiles" / "0", data.files)
    if changed is not None:
        yield Finding("error", "rewritten", *changed)


def _orphans(data: Dataset, projections: Projections) -> Iterator[Finding]:
    for path, size in sorted(data.blobs.scan()):
        if not projections.paths.is_referenced(path):
            yield Finding("note", "orphan", path, f"no live artifact refers to it ({size:,} bytes)")


def _moved_aside(data: Dataset) -> Iterator[Finding]:
    for name, size in sorted(data.files.scan(data.folder / QUARANTINE)):
        yield Finding("note", "torn", name, f"{size:,} bytes that were never acknowledged were moved there")
