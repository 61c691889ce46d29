"""Runs, as the registry offers them: what is registered in one stands or falls together."""

import contextlib
import os
import threading
import warnings
from collections.abc import Iterator
from typing import Any

from chainfold.commands.running import Run, commit, roll_back, start
from chainfold.commands.taking_back import take_back, take_back_in_run
from chainfold.dataset import Dataset
from chainfold.errors import ChainfoldError, ConflictError, RunClosedError
from chainfold.projections import Sight


class Runs:
    """The commands that begin and end runs."""

    _data: Dataset
    _run: Run | None
    _alone: list[int]
    _block: threading.local
    _process: int
    _answered: Sight | None
    manifest_manager: Any | None

    @contextlib.contextmanager
    def run(self) -> Iterator[Run]:
        """A run that commits at the end of the block, and is rolled back by an exception.

        Raises:
            ConflictError: If this registry has an open run already.
        """
        if self._run is not None:
            raise ConflictError(f"run {self._run.run_id} is open already: runs do not nest")
        run = self._run = start(self._data)
        try:
            yield run
            if self._run is run:
                self.end_run()
        except BaseException as error:
            if self._run is run:
                self._abandon(error)
            raise

    @contextlib.contextmanager
    def all_or_nothing(self) -> Iterator[None]:
        """A block whose registrations stand or fall together: a run, or a part of the run that is open.

        In an open run, also one that was joined, an exception takes back what this block, in this thread, has
        registered; the run goes on. Without one the block is a run of its own. Threads that share the
        registry take turns, so that none of them gets into the run of another's block.

        Raises:
            ConflictError: If another thread opens a run in the same moment.
        """
        with self._data.block:
            if self._run is None:
                with self.run():
                    yield
                return
            outer, rows = getattr(self._block, "rows", None), list[int]()
            self._block.rows = rows
            try:
                yield
            except BaseException:
                if self._run is not None:
                    with contextlib.suppress(ChainfoldError):
                        take_back_in_run(self._data, rows, self._run.run_id)
                rows.clear()
                raise
            finally:
                self._block.rows = outer
                if outer is not None:
                    outer += rows

    def start_run(self) -> None:
        """Begin a run that `end_run` commits and `cleanup_failed_run` rolls back.

        A run that is still open is committed first, as the reference keeps what it registered.
        """
        if self._run is not None:
            warnings.warn(f"run {self._run.run_id} was still open: committed", UserWarning, stacklevel=2)
            self.end_run()
        self._run = start(self._data)

    def end_run(self) -> None:
        """Commit the open run; a run that was joined is only left. Without one, forget what stood alone."""
        run, self._alone = self._run, []
        if run is None:
            return
        rows = commit(self._data, run.run_id) if run.owned else []
        run.release()
        self._run = self._answered = None
        self._tell_manager(rows)

    def cleanup_failed_run(self) -> int:
        """Take back what this registry registered: the open run, or else what stood alone since its last one.

        What that had superseded is registered again. Files that it brought go.

        Returns:
            How many artifacts were taken back.
        """
        run, self._run, self._answered = self._run, None, None
        if run is None or not run.owned:
            alone, self._alone = self._alone, []
            if self._process != os.getpid():
                alone = []  # inherited by a fork: they are its parent's to take back
            if run is None:
                return take_back(self._data, alone)
            return take_back_in_run(self._data, alone, run.run_id)
        try:
            return roll_back(self._data, run.run_id, "request")
        except RunClosedError:
            return 0  # others have rolled it back, as a forced purge does: there is nothing left to take back
        finally:
            run.release()

    # inside

    @property
    def _run_id(self) -> str | None:
        return None if self._run is None else self._run.run_id

    def _abandon(self, error: BaseException | None) -> None:
        """Roll the open run back; an error while doing that must not hide the one that led here."""
        run, self._run, self._answered = self._run, None, None
        if run is None or not run.owned:
            return  # joined, or inherited by a forked child: its owner ends it
        detail = "the registry was closed" if error is None else _told(error)
        with contextlib.suppress(ChainfoldError):
            roll_back(self._data, run.run_id, "request" if error is None else "exception", detail)
        run.release()

    def _tell_manager(self, rows: list[int]) -> None:
        """Tell the manifest manager what a run has committed; its failure does not undo the commit."""
        manager = self.manifest_manager
        # Who has both, takes dicts of an older schema with the other.
        tell = getattr(manager, "append_artifacts_v2", None) or getattr(manager, "append_artifacts", None)
        if tell is None or not rows:
            return
        with self._data.mutex:
            # What it writes down no erasure reaches.
            records = [self._data.record(row).without_private() for row in rows]
        for pipeline_id in dict.fromkeys(record.pipeline_id for record in records):
            theirs = [record for record in records if record.pipeline_id == pipeline_id]
            try:
                tell(pipeline_id, theirs)
            except Exception as error:  # noqa: BLE001 - it is the caller's code, and the commit stands
                warnings.warn(
                    f"the run is committed, but the manifest manager failed for {pipeline_id!r}: {error!r}",
                    UserWarning,
                    stacklevel=3,
                )


def _told(error: BaseException) -> str:
    """An exception in at most 500 characters that the log can hold, whatever its message is."""
    try:
        message = str(error)
    except Exception:  # noqa: BLE001 - it is the caller's class, and the rollback must not fail for it
        message = "(its message cannot be told)"
    return f"{type(error).__name__}: {message}"[:500].encode(errors="replace").decode()
