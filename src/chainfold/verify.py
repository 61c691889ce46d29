"""The full check of one dataset, from what is on disk alone."""

import bisect
import contextlib
import itertools
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

import msgspec

from chainfold.checks import Finding, withheld_findings, withheld_wrong
from chainfold.dataset import Dataset
from chainfold.errors import ChainfoldError, CorruptionError, NotFoundError
from chainfold.events import Entry, decode_entry
from chainfold.log import QUARANTINE, Checkpoint, LogReader, has_passed, proven
from chainfold.projections import NOW, Projections, Sight
from chainfold.projections.merging import fingerprint
from chainfold.projections.rebuilding import Rebuilt
from chainfold.projections.snapshots import Snapshots
from chainfold.proof.kept import change
from chainfold.records import ArtifactRecord
from chainfold.storage import is_local

Progress = Callable[[int, int], None]
"""Called with how much is done, and of how much."""
logger = logging.getLogger(__name__)
_AT_ONCE: Final = 512
"""Artifacts whose records are held at a time."""
_KEPT: Final = 50_000
"""Files and ids that are remembered: an artifact's sources, and others with its file, are mostly near it."""
_NAMED: Final = 20
"""Of what is wrong, when the check is interrupted."""
_LARGE_BYTES: Final = 256 << 10
"""Of a file that another thread may read; smaller ones take less time than it takes to hand them over."""


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
        check = _Artifacts(data, log, Sight(projections), jobs)
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
        check = _Artifacts(data, data.log, sight, jobs)
        findings = [
            finding
            for start in range(0, len(rows), _AT_ONCE)
            for finding in check.of(rows[start : start + _AT_ONCE])
        ]
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
            yield Finding("note", "snapshot", where, f"does not say what the log says; {advice}")
    except (CorruptionError, ArithmeticError, LookupError, TypeError, ValueError) as error:
        # All but the first: its sums are right, and what it says makes no sense.
        yield Finding("note", "snapshot", where, f"{error}; {advice}")
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


class _Artifacts:
    """The check of live artifacts, some at a time, in order of registration.

    Attributes:
        artifacts: How many were checked.
        files: How many files were read for that, or looked for.
        told: The private files of which something was told.
    """

    def __init__(self, data: Dataset, log: LogReader, sight: Sight, jobs: int) -> None:
        self.data = data
        self.log = log
        self.sight = sight
        self.jobs = jobs
        self.artifacts = self.files = 0
        self.told: set[str] = set()
        self._digests: dict[str, str | ChainfoldError | None] = {}  # of the last files; None: not there
        self._ids: dict[str, None] = {}  # of the last artifacts: most sources are among them

    def after(self, size: int, progress: Progress | None) -> Iterator[list[Finding]]:
        """What is wrong with all that were registered after so many entries; some at a time."""
        positions = self.sight.projections.visibility.positions
        every = range(bisect.bisect_left(positions, size), len(positions))
        total = self.sight.projections.totals.at(NOW).artifacts
        if size:
            total = sum(1 for _ in self.sight.rows(every))
        live, wrong = self.sight.rows(every), dict[str, None]()
        try:
            while rows := list(itertools.islice(live, _AT_ONCE)):
                found = list(self.of(rows))
                wrong |= {each.where: None for each in found if each.level == "error"}
                size = positions[rows[-1]] + 1
                yield found
                if progress is not None:
                    progress(self.artifacts, max(self.artifacts, total))
        except KeyboardInterrupt as error:
            if self.artifacts:
                error.add_note(_so_far(self.artifacts, list(wrong), size))
            raise

    def of(self, rows: Sequence[int]) -> Iterator[Finding]:
        """What is wrong with the artifacts of these rows."""
        positions = self.sight.projections.visibility.positions
        lines: dict[int, bytes] = {}
        records: dict[int, ArtifactRecord] = {}
        for row in rows:
            try:
                lines[row] = self.log.line(positions[row])
                records[row] = self.data.decode(lines[row])
            except (ChainfoldError, FileNotFoundError) as error:
                name = self.sight.projections.artifact_id(row)
                yield Finding("error", "record", f"artifact {name!r}", str(error), name)
        self.artifacts += len(rows)
        if len(self._digests) > _KEPT:
            self._digests.clear()
        self._read({record.path: record.size_bytes for record in records.values()})
        found = {row: self._digests[record.path] for row, record in records.items()}
        wrong = {row for row, record in records.items() if found[row] != record.content_hash}
        odd = {row: withheld_wrong(self.data, record) for row, record in records.items() if record.private}
        if wrong or any(odd.values()):  # perhaps others have deleted it since: the event comes first
            with contextlib.suppress(ChainfoldError):  # it has been told
                self.sight.projections.fold(self.log.catch_up())
        self._remember(record.artifact_id for record in records.values())
        for row, record in records.items():
            if (row in wrong or row in odd) and not self.sight.sees(row):
                continue
            if row in wrong:
                yield self._mismatch(record, decode_entry(lines[row]), found[row])
            yield from self._not_erased(odd.get(row, ()))
            yield from self._lost_sources(record)

    def _not_erased(self, odd: Iterable[tuple[Finding, str]]) -> Iterator[Finding]:
        """What is wrong with private files that no event erased."""
        for finding, path in odd:
            if self.sight.projections.erasures.erased_at(path) is None:
                self.told.add(path)
                yield finding

    def _lost_sources(self, record: ArtifactRecord) -> Iterator[Finding]:
        name = record.artifact_id
        for source in record.depends_on:
            if source not in self._ids and self.sight.row(source) is None:
                yield Finding(
                    "note", "lineage", f"artifact {name!r}", f"its source {source!r} is not live", name
                )

    def _remember(self, ids: Iterator[str]) -> None:
        if len(self._ids) > _KEPT:
            self._ids.clear()
        self._ids.update(dict.fromkeys(ids))

    def _read(self, sizes: dict[str, int]) -> None:
        """Read and hash the files that are not known; large ones in parallel: that needs no interpreter."""
        paths = sorted(sizes.keys() - self._digests.keys())
        self.files += len(paths)
        large = [path for path in paths if sizes[path] >= _LARGE_BYTES]
        if len(large) > 1 and self.jobs != 1:
            import joblib  # noqa: PLC0415 - slow to import

            # Of whatever kind the caller has set up, they must share this process.
            parallel = joblib.Parallel(self.jobs, require="sharedmem")
            found = parallel(joblib.delayed(self._digest)(path) for path in large)
            self._digests.update(zip(large, found, strict=True))
        for path in paths:
            if path not in self._digests:
                self._digests[path] = self._digest(path)

    def _digest(self, path: str) -> str | ChainfoldError | None:
        try:
            return self.data.blobs.digest(path)
        except ChainfoldError as error:
            return error

    def _mismatch(self, record: ArtifactRecord, entry: Entry, found: str | ChainfoldError | None) -> Finding:
        name, where = record.artifact_id, f"artifact {record.artifact_id!r}"
        if found is None:
            return _missing(record, entry, where)
        if isinstance(found, ChainfoldError):
            return Finding("error", found.code, where, str(found), name)
        detail = f"its file {record.path!r} has the digest {found}, not {record.content_hash}"
        return Finding("error", "changed", where, detail, name, record.content_hash, found, record.path)


def _so_far(artifacts: int, wrong: list[str], size: int) -> str:
    """What a check says that was interrupted."""
    told = f"nothing was found wrong with {artifacts:,} artifacts"
    if wrong:
        more = f" and {len(wrong) - _NAMED:,} more" if len(wrong) > _NAMED else ""
        told = f"of {artifacts:,} artifacts these are wrong: {', '.join(wrong[:_NAMED])}{more}"
    return f"{told}; verify goes on with after={size}"


def _missing(record: ArtifactRecord, entry: Entry, where: str) -> Finding:
    if getattr(entry.event, "imported", False):
        detail = f"was imported, and its file {record.path!r} is not here"
        return Finding(
            "note", "missing", where, detail, record.artifact_id, record.content_hash, file=record.path
        )
    detail = f"its file {record.path!r} is not there"
    return Finding(
        "error", "missing", where, detail, record.artifact_id, record.content_hash, file=record.path
    )


def _orphans(data: Dataset, projections: Projections) -> Iterator[Finding]:
    for path, size in sorted(data.blobs.scan()):
        if not projections.paths.is_referenced(path):
            yield Finding("note", "orphan", path, f"no live artifact refers to it ({size:,} bytes)")


def _moved_aside(data: Dataset) -> Iterator[Finding]:
    for name, size in sorted(data.files.scan(data.folder / QUARANTINE)):
        yield Finding("note", "torn", name, f"{size:,} bytes that were never acknowledged were moved there")
