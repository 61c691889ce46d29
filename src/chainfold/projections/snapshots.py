"""The snapshots of a dataset: which one is read, and when a new one is written.

A file is never written over: others may have it mapped. A new one has a name of its own; then older ones lose
theirs.
"""

import contextlib
import itertools
import logging
import re
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from chainfold.errors import ChainfoldError, CorruptionError
from chainfold.log import LogMark, LogReader, OddError
from chainfold.projections.merging import write_snapshot
from chainfold.projections.projections import Projections
from chainfold.projections.snapshot import Snapshot
from chainfold.storage import Files, LocalFiles

_NAME: Final = re.compile(r"[0-9]{20}-[0-9a-f]{12}\.snapshot\Z")
_ABANDONED_SECONDS: Final = 3_600
_POLL_SECONDS: Final = 0.1
_PATIENCE_SECONDS: Final = 30.0
"""How long to wait for another process that writes one; longer for large logs: each second so many bytes."""
_PATIENCE_BYTES: Final = 5 << 20
BUILD_BYTES: Final = 32 << 20
"""Of a log; smaller ones are folded in half a second, and need no other processes."""

logger = logging.getLogger(__name__)


class Snapshots:
    """The files in `snapshots/` of one dataset.

    Args:
        folder: The dataset's folder of the log.
        dataset: Its name.
        files: The storage.
    """

    def __init__(self, folder: Path, dataset: str, files: Files) -> None:
        self._log_folder, self._dataset, self._files = folder, dataset, files
        self.folder = folder / "snapshots"
        self._left_out: set[str] = set()

    def open_newest(self, log: LogReader) -> Snapshot | None:
        """The newest that is of this log, which then goes on behind it; None if there is none.

        Those that are damaged, of another log or release, or ahead of the log are left out with a word; the
        next that is written takes their place.
        """
        for name in sorted(self._names(), reverse=True):
            path = self.folder / name
            try:
                snapshot = Snapshot(path, self._files, self._heal)
                if log.resume(snapshot.footer.mark, snapshot.sections["offsets"]):
                    return snapshot
                why = "it is of another log, or ahead of this one"
            except FileNotFoundError:
                continue  # another process has just written a newer one
            except (ChainfoldError, OSError) as error:
                why = str(error)
            self._left_out.add(name)
            logger.warning("the snapshot %s is left out: %s. The log is folded instead", path, why)
        return None

    def build(
        self, log: LogReader, *, afresh: bool = False, told: Callable[[int], None] | None = None
    ) -> Snapshot | None:
        """Write one of all whole lines of a large log, from its first entry on, and go on behind it.

        If another process is at it, wait for that, and take what it has written, unless it must be made
        `afresh`. `told` is called with how many entries are folded. None if the log is small, lies in storage
        of another kind (which other processes may not reach), or anything is odd: then it is folded entry by
        entry, which tells what.
        """
        size = self._log_bytes()
        if size < BUILD_BYTES:
            return None
        try:
            self._files.make_folder(self.folder)
            start = time.monotonic()
            while time.monotonic() - start <= _PATIENCE_SECONDS + size / _PATIENCE_BYTES:
                with self._writing() as is_mine:
                    if is_mine:
                        written = None if afresh else self.open_newest(log)
                        return written or self._built(log, told)
                time.sleep(_POLL_SECONDS)
        except Exception as error:  # noqa: BLE001 - whatever it is, the log can be folded without
            logger.info("the log of %r is folded entry by entry: %s", self._dataset, error)
        return None

    def _built(self, log: LogReader, told: Callable[[int], None] | None) -> Snapshot | None:
        path = self._rebuilt(told=told)
        self._forget_all_but(path)
        snapshot = Snapshot(path, self._files, self._heal)
        return snapshot if log.resume(snapshot.footer.mark, snapshot.sections["offsets"]) else None

    def _log_bytes(self) -> int:
        """Bytes of the log; -1 if other processes may not be able to read it."""
        if type(self._files) is not LocalFiles:  # one that is derived may read otherwise
            return -1
        return sum(size for _, size in self._files.scan(self._log_folder / "segments"))

    def _rebuilt(self, wanted: LogMark | None = None, told: Callable[[int], None] | None = None) -> Path:
        """A new one of the whole log, or of its first entries, up to a mark.

        Raises:
            OddError: If they are not what the mark says, or anything else is odd.
            Exception: As `Rebuilt`.
        """
        from chainfold.projections.rebuilding import Rebuilt  # noqa: PLC0415 - for large logs only

        stop = None if wanted is None else wanted.size
        with Rebuilt(self._log_folder, self._dataset, jobs=-1, stop=stop, told=told) as rebuilt:
            mark = rebuilt.mark
            if wanted is not None and (mark.size, mark.sum) != (wanted.size, wanted.sum):
                raise OddError("the log has other entries")
            return self._named(mark.size, rebuilt.write)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[bool]:
        """Whether no other process writes one, and none will inside the block."""
        lock = self._files.try_lock(self._log_folder / "snapshots.lock")
        try:
            yield lock is not None
        finally:
            if lock is not None:
                lock.release()

    def newest_size(self) -> int:
        """Entries that the newest has folded, as its name says; those that were left out do not count."""
        names = (name for name in self._names() if name not in self._left_out)
        return max((int(name[:20]) for name in names), default=0)

    def newest(self) -> Snapshot | None:
        """The newest, if it can be read; for a look only: what is damaged in it is not built anew."""
        try:
            path = max((self.folder / name for name in self._names()), default=None)
            return None if path is None else Snapshot(path, self._files)
        except (ChainfoldError, OSError) as error:
            logger.debug("no snapshot of %r can be read: %s", self._dataset, error)
            return None

    def damaged(self) -> Iterator[tuple[Path, str]]:
        """Those that cannot be read from end to end, and why."""
        for name in self._names():
            snapshot = None
            try:
                snapshot = Snapshot(self.folder / name, self._files)
                for section in snapshot.sections.values():
                    section.part(0, len(section))
            except FileNotFoundError:
                continue  # another process has just written a newer one
            except (ChainfoldError, OSError) as error:
                yield self.folder / name, str(error)
            finally:
                if snapshot is not None:
                    snapshot.release()

    def _names(self) -> list[str]:
        try:
            return [name for name, _ in self._files.scan(self.folder) if _NAME.match(name)]
        except (ChainfoldError, OSError) as error:
            logger.warning("the snapshots of %r cannot be listed: %s", self._dataset, error)
            return []

    def save(self, projections: Projections, log: LogReader) -> Snapshot | None:
        """Write a new one, and forget the others; None if another process is at it, or the system refuses."""
        try:
            self._files.make_folder(self.folder)
            with self._writing() as is_mine:
                if not is_mine:
                    return None
                path = self._write(projections, log)
                self._forget_all_but(path)
            return Snapshot(path, self._files, self._heal)
        except (ChainfoldError, OSError) as error:
            logger.info("no snapshot of %r was written: %s", self._dataset, error)
            return None

    def _write(self, projections: Projections, log: LogReader) -> Path:
        mark = log.mark()
        if mark.size != projections.size:
            raise CorruptionError(f"the log has {mark.size} entries, and {projections.size} are folded")

        def write(path: Path) -> None:
            file = self._files.appender(path, create=True)
            try:
                write_snapshot(file, projections, mark, log.offsets())
            finally:
                file.close()

        return self._named(mark.size, write)

    def _named(self, size: int, write: Callable[[Path], None]) -> Path:
        """Write a file aside, and give it a name that no other has."""
        name = f"{size:020d}-{uuid.uuid4().hex[:12]}.snapshot"
        aside = self.folder / f"{name}.new"
        try:
            write(aside)
        except BaseException:
            self._files.remove(aside)
            raise
        # Not synced: what a power cut makes of it is found, block by block, when it is read.
        self._files.rename(aside, self.folder / name)
        return self.folder / name

    def _forget_all_but(self, path: Path) -> None:
        for name in self._names():
            is_older = name[:20] <= path.name[:20] and name != path.name  # or of another who saved the same
            if is_older or name in self._left_out:
                self._remove(self.folder / name)
        self._left_out.clear()
        for name, _ in list(self._files.scan(self.folder)):
            is_unfinished = _NAME.match(name.removesuffix(".new")) and name.endswith(".new")
            if is_unfinished and (self._files.age(self.folder / name) or 0) > _ABANDONED_SECONDS:
                self._remove(self.folder / name)

    def _remove(self, path: Path) -> None:
        try:
            self._files.remove(path)
        except (ChainfoldError, OSError) as error:  # Windows keeps what is mapped: the next one tries again
            logger.debug("%s stays: %s", path, error)

    def _heal(self, damaged: Snapshot) -> memoryview:
        """Build what a damaged one should have been, from the log alone; in memory where nothing is written.

        Raises:
            CorruptionError: If the log has no longer the entries that it was made of.
        """
        logger.warning("the snapshot %s is damaged: it is built anew from the log", damaged.path)
        self._remove(damaged.path)
        if self._log_bytes() >= BUILD_BYTES:
            try:
                damaged.path = self._rebuilt(damaged.footer.mark)
                return self._files.map(damaged.path)
            except Exception as error:  # noqa: BLE001 - as in `build`
                logger.info("the log of %r is folded entry by entry: %s", self._dataset, error)
        log = LogReader(self._log_folder, self._dataset, self._files)
        try:
            projections = Projections(log)
            projections.fold(itertools.islice(log.catch_up(), damaged.size))
            mark, wanted = log.mark(), damaged.footer.mark
            if (mark.size, mark.sum) != (wanted.size, wanted.sum):
                raise CorruptionError(
                    f"the snapshot {damaged.path} is damaged, and the log no longer has the entries that it "
                    f"was made of: open the workspace again"
                )
            try:
                damaged.path = self._write(projections, log)
                return self._files.map(damaged.path)
            except (ChainfoldError, OSError) as error:
                logger.info("the snapshot of %r is built in memory only: %s", self._dataset, error)
                memory = _Memory()
                write_snapshot(memory, projections, mark, log.offsets())
                return memoryview(bytes(memory.data))
        finally:
            log.close()


class _Memory:
    """A file that nobody else sees."""

    def __init__(self) -> None:
        self.data = bytearray()

    def append(self, data: bytes) -> None:
        """Take some more."""
        self.data += data
