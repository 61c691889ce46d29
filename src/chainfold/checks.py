"""What a check finds; the check of artifacts, and of what is withheld from the log."""

import bisect
import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, Literal

import msgspec

from chainfold.dataset import Dataset
from chainfold.errors import ChainfoldError, CorruptionError, StorageError
from chainfold.events import ArtifactRegistered, Entry, decode_entry
from chainfold.log import LogReader
from chainfold.private import is_closed, is_path, path_of, paths_of, read
from chainfold.projections import NOW, Projections, Sight
from chainfold.records import ArtifactRecord

Progress = Callable[[int, int], None]
"""Called with how much is done, and of how much."""
_AT_ONCE: Final = 512
"""Artifacts whose records are held at a time."""
_KEPT: Final = 50_000
"""Files and ids that are remembered: an artifact's sources, and others with its file, are mostly near it."""
_NAMED: Final = 20
"""Of what is wrong, when the check is interrupted."""
_LARGE_BYTES: Final = 256 << 10
"""Of a file that another thread may read; smaller ones take less time than it takes to hand them over."""


class Finding(msgspec.Struct, frozen=True):
    """One thing that is not as it should be, or worth knowing.

    Attributes:
        level: `error`: something is lost, changed or answered wrongly; `note`: nothing is lost.
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


class ArtifactCheck:
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
        self._last = -1  # the last row of which all is known
        self.told: set[str] = set()
        self._digests: dict[str, str | ChainfoldError | None] = {}  # of the last files; None: not there
        self._ids: dict[str, None] = {}  # of the last artifacts: most sources are among them

    def after(self, size: int, progress: Progress | None) -> Iterator[list[Finding]]:
        """What is wrong with all that were registered after so many entries; some at a time.

        Raises:
            KeyboardInterrupt: On Ctrl-C, with a note on what was found, and where to go on.
        """
        positions = self.sight.projections.visibility.positions
        every = range(bisect.bisect_left(positions, size), len(positions))
        total = self.sight.projections.totals.at(NOW).artifacts
        if size:
            total = sum(1 for _ in self.sight.rows(every))
        wrong: dict[str, None] = {}
        try:
            for found in self.of(self.sight.rows(every)):
                wrong |= {each.where: None for each in found if each.level == "error"}
                yield found
                if progress is not None:
                    progress(self.artifacts, max(self.artifacts, total))
        except KeyboardInterrupt as error:
            if self.artifacts:
                error.add_note(_so_far(self.artifacts, list(wrong), positions[self._last] + 1))
            raise

    def of(self, rows: Iterable[int]) -> Iterator[list[Finding]]:
        """What is wrong with the artifacts of these rows; some at a time."""
        left = iter(rows)
        while some := list(itertools.islice(left, _AT_ONCE)):
            found = list(self._some(some))
            self.artifacts += len(some)
            self._last = some[-1]
            yield found

    def _some(self, rows: Sequence[int]) -> Iterator[Finding]:
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
    event = entry.event
    if isinstance(event, ArtifactRegistered) and event.imported and event.restored_from is None:
        detail = f"was imported, and its file {record.path!r} is not here"
        return Finding(
            "note", "missing", where, detail, record.artifact_id, record.content_hash, file=record.path
        )
    detail = f"its file {record.path!r} is not there"
    return Finding(
        "error", "missing", where, detail, record.artifact_id, record.content_hash, file=record.path
    )
