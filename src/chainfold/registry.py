"""The registry: every command, wired to the rooms below. It has no rules of its own."""

import os
import threading
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from chainfold.artifact_ids import named
from chainfold.checks import Progress
from chainfold.commands.aliasing import set_alias
from chainfold.commands.collecting import DependentsPolicy, delete_orphans, delete_pipeline, purge
from chainfold.commands.erasing import erase_private, finish_if_possible
from chainfold.commands.importing import import_manifest
from chainfold.commands.planned import Planned
from chainfold.commands.registering import register_again
from chainfold.commands.registers import Registers
from chainfold.commands.running import Run, reap_if_possible
from chainfold.commands.runs import Runs
from chainfold.dataset import Dataset
from chainfold.errors import InvalidInputError, NotFoundError
from chainfold.grammar import checked_text
from chainfold.past import Moment
from chainfold.private import checked_names
from chainfold.projections import Sight
from chainfold.proof.provable import checkpoint_of, size_of
from chainfold.records import ArtifactRecord
from chainfold.storage import Files
from chainfold.trust import Trust
from chainfold.verify import Report, verify, verify_artifacts, verify_log
from chainfold.view import RegistryView


class ArtifactRegistry(RegistryView, Runs, Registers, Planned):
    """The registry of one dataset: register, find, load and delete the artifacts that pipelines fit.

    Outside a run each call stands alone and is durable when it returns. Inside `with registry.run():` what is
    registered is seen by this run at once, and by all others when it commits. One registry may be used from
    several threads, which then share its run: what any of them registers while it is open is part of it.
    Processes open their own, or get this one pickled: the copy joins the open run.

    Args:
        workspace: The folder that holds the datasets; made when first written to.
        dataset: Name of the dataset: a plain folder name.
        manifest_manager: Told of what a run has committed: an object with `append_artifacts_v2(pipeline_id,
            records)`, or else `append_artifacts`.
        pipeline_id: The pipeline to generate ids for, and to prefer in `get_by_chain`.
        actor: Who acts, for the log; by default `CHAINFOLD_ACTOR`, or user and host.
        storage: Where log and blobs are kept; by default the files of this machine.
        trust: What `load` may deserialise; by default `CHAINFOLD_TRUST`, or `registered`: what this dataset
            registered itself, and of imported artifacts what refers to nothing but numpy, scipy, scikit-learn
            and what `allow` was told. `listed` holds its own to that too, `none` allows only formats that run
            no code, `all` anything.
        private: Fields that are withheld from the log in whatever is registered or imported: keys of
            `params`, and `custom_name`. See `register`.

    Raises:
        InvalidInputError: If the dataset's name is none, or there is no such policy.
        UnknownEventError: If the log has events of a newer release.
    """

    def __init__(
        self,
        workspace: Path | str,
        dataset: str,
        manifest_manager: Any | None = None,
        pipeline_id: str = "",
        *,
        actor: str | None = None,
        storage: Files | None = None,
        trust: Trust | str | None = None,
        private: Iterable[str] = (),
    ) -> None:
        self._private = checked_names(private)
        data = Dataset(Path(workspace), dataset, actor=actor, files=storage, trust=trust)
        super().__init__(data, pipeline_id=pipeline_id)
        self.manifest_manager = manifest_manager
        self._run: Run | None = None
        self._alone: list[int] = []
        self._block = threading.local()  # its rows: those of the open `all_or_nothing` in each thread
        self._process = os.getpid()
        reap_if_possible(self._data)
        finish_if_possible(self._data)

    # the present

    def restore(self, artifact_id: str, position: Moment) -> ArtifactRecord:
        """Register again what an id named at a moment of the past, if its blob is still there.

        Args:
            artifact_id: The id.
            position: The moment, as in `as_of`.

        Raises:
            NotFoundError: If it named nothing then, or the blob is gone or has changed.
            InvalidInputError, CorruptionError: As `as_of`.
        """
        checked_text("an artifact's id", artifact_id)
        size = size_of(self._data, position)
        with self._data.mutex:
            row = Sight(self._data.projections, size).row(artifact_id)
        if row is None:
            raise NotFoundError(
                f"no artifact {artifact_id!r} was live at position {size}; history(id) shows when"
            )
        again, record = register_again(self._data, row, self._run_id)
        self._alone.append(again)
        return record

    def set_alias(self, name: str, artifact_id: str | None) -> None:
        """Let a name point to a live artifact, or (None) to nothing. In a run, from its commit on.

        Raises:
            InvalidInputError: If the name is empty or has control characters.
            NotFoundError: If the artifact is not live.
        """
        set_alias(self._data, name, artifact_id, self._run_id)

    # deleting

    def delete_pipeline_artifacts(
        self,
        pipeline_id: str,
        delete_files: bool = False,  # noqa: FBT001, FBT002 - the reference's signature
        *,
        dependents: DependentsPolicy = "warn",
    ) -> int:
        """Delete all live artifacts of a pipeline. Their records stay in the history.

        Args:
            pipeline_id: Which pipeline.
            delete_files: Whether files that nothing else needs go too, at once (in a run: at its commit).
            dependents: When live artifacts of other pipelines were made from them: `warn`, `refuse`, or
                `cascade` to delete those too.

        Returns:
            How many artifacts were deleted.

        Raises:
            DependentsError: With `refuse`, if there are any.
        """
        count, left = delete_pipeline(
            self._data, pipeline_id, self._run_id, delete_files=delete_files, dependents=dependents
        )
        if left:
            warnings.warn(
                f"live artifacts depend on what was deleted with pipeline {pipeline_id!r}: {named(left)}",
                UserWarning,
                stacklevel=2,
            )
        return count

    def erase_private(self, artifact_id: str, fields: Iterable[str] | None = None) -> int:
        """Erase what was withheld from the log of an artifact: of every registration of its id, at once.

        Whatever has become of them: live, superseded, deleted, of an open run. It is an event, which no run
        undoes and no view of the past goes behind; then the files go. Records, lineage, blobs and all proofs
        stay as they are. Copies elsewhere (backups, manifests exported with `private=True`) it cannot reach.

        Args:
            artifact_id: The artifact.
            fields: Which, as they were named when they were registered; by default all that are private.

        Returns:
            How many values were erased; 0 if they were before.

        Raises:
            NotFoundError: If no registration of the id has such a private field: what was not withheld is in
                the log for ever.
            StorageError: If the system refuses. Call again: what an event has erased is not read any more,
                but its file may still be there.
        """
        return erase_private(self._data, artifact_id, None if fields is None else checked_names(fields))

    def find_orphaned_artifacts(self, scan_all_manifests: bool = True) -> list[str]:  # noqa: FBT001, FBT002 - the reference's signature
        """Files that no live artifact, no open run and (when scanned) no manifest refers to; sorted.

        Raises:
            ManifestError: If a manifest cannot be read.
        """
        return self.delete_orphaned_artifacts(dry_run=True, scan_all_manifests=scan_all_manifests)[0]

    def delete_orphaned_artifacts(
        self,
        dry_run: bool = True,  # noqa: FBT001, FBT002 - the reference's signature
        scan_all_manifests: bool = True,  # noqa: FBT001, FBT002 - the reference's signature
    ) -> tuple[list[str], int]:
        """Remove the files that nothing refers to; see `find_orphaned_artifacts`.

        Returns:
            Their paths below `binaries_dir`, and their bytes; with `dry_run` those that would go.

        Raises:
            ManifestError: If a manifest cannot be read: nothing is removed then.
        """
        references = self._references if scan_all_manifests else None
        return delete_orphans(self._data, references, dry_run=dry_run)

    def purge_dataset_artifacts(
        self,
        confirm: bool = False,  # noqa: FBT001, FBT002 - the reference's signature
        *,
        force: bool = False,
    ) -> tuple[int, int]:
        """Delete every artifact of the dataset and every file in its folder, whatever refers to it.

        The log stays: what was there, and when it went, can still be asked.

        Args:
            confirm: Must be True.
            force: Roll back the open runs of others, instead of refusing because of them.

        Returns:
            How many files went, and their bytes.

        Raises:
            InvalidInputError: Without `confirm=True`.
            ConflictError: If a run of a living process is open.
        """
        if confirm is not True:
            raise InvalidInputError(
                f"purging deletes ALL artifacts of dataset {self.dataset!r}: say confirm=True to do that"
            )
        return purge(self._data, self._run_id, force=force)

    # manifests, the past, checking

    def import_from_manifest(
        self, manifest: Any, results_dir: Path | str, *, progress: Progress | None = None
    ) -> None:
        """Register every item of a manifest, all or none; see `export_to_manifest` for the form.

        What an item says was private is private here too, beside what this registry is told to keep so.

        Args:
            manifest: The manifest, or it under `artifacts`, or the older flat list of items.
            results_dir: Where files may be found that are not here yet.
            progress: Called with how many items have their file, and of how many.

        Raises:
            ManifestError: (a ValueError) naming the invalid item by its index; nothing is imported then.
        """
        import_manifest(self._data, manifest, Path(results_dir), self._run_id, self._private, progress)

    def as_of(self, when: Moment) -> RegistryView:
        """The registry, read only, before the entry at a position, as of a time (with zone) or a checkpoint.

        Raises:
            NotFoundError: If the log has not come that far.
            InvalidInputError: If a time has no time zone, or a text is no checkpoint of this log.
            CorruptionError: If what was before the checkpoint has been changed since.
        """
        return RegistryView(self._data, size=size_of(self._data, when), pipeline_id=self.pipeline_id)

    @property
    def damage(self) -> str:
        """Where the log is damaged, and what helps; empty if it can be read to its end."""
        with self._data.mutex:
            self._data.refresh()
            return "" if self._data.log.damage is None else str(self._data.log.damage)

    def rebuild(self, progress: Progress | None = None) -> bool:
        """Replay the log from nothing, and use that. Whether it gave the same state as was held before.

        Args:
            progress: Called with how many entries are replayed, and of how many.
        """
        return self._data.rebuild(progress)

    def verify(
        self,
        progress: Progress | None = None,
        *,
        jobs: int = -1,
        since: str | bytes | Iterable[str | bytes] | None = None,
        blobs: bool = True,
        artifacts: Iterable[str] | None = None,
        after: Moment = 0,
    ) -> Report:
        """Check the whole dataset against what its log says. It reads everything anew and changes nothing.

        Args:
            progress: Called with how many artifacts (without blobs: segments) are done, and of how many.
            jobs: Threads that read and hash files; -1 for as many as there are cores.
            since: A checkpoint that was kept, or several: whether anything before has been changed is told,
                too, and where: at the entry, if the hashes beside the log are still those of that checkpoint,
                else between which two.
            blobs: Whether to check more than the log: the blobs, and what else lies beside it.
            artifacts: Ids of live artifacts: check these alone, with their entries, files and private fields.
            after: Of the artifacts, check only those registered after this size, time or checkpoint: so a
                check goes on that was interrupted.

        Raises:
            InvalidInputError: If `since` is no checkpoint of this log, or what was asked for does not go
                together.
            NotFoundError: If an artifact is not live, or the log has not come as far as `after`.
            KeyboardInterrupt: On Ctrl-C; with a note on what was found, and the size to go on after.
        """
        if artifacts is not None and (since is not None or not blobs or after != 0):
            raise InvalidInputError("since, after and blobs=False are about the whole: leave artifacts out")
        if artifacts is not None:
            return verify_artifacts(self._data, artifacts, jobs)
        if not blobs and after != 0:
            raise InvalidInputError("after is about the artifacts, and without blobs none is checked")
        texts: Iterable[object] = () if since is None else [since]
        if isinstance(since, Iterable) and not isinstance(since, str | bytes):
            texts = since
        kept = [checkpoint_of(self._data, each) for each in texts]
        if not blobs:
            return verify_log(self._data, progress, jobs, kept)
        size = 0 if after == 0 else size_of(self._data, after)
        return verify(self._data, progress, jobs, kept, size)

    def close(self) -> None:
        """Let go of all files; a run that this registry still owns is rolled back."""
        self._abandon(None)
        self._data.close()

    # inside

    def _sight(self) -> Sight:
        self._data.refresh()
        return Sight(self._data.projections, run_id=self._run_id)

    def __getstate__(self) -> dict[str, Any]:
        return {
            "workspace": self.workspace,
            "dataset": self.dataset,
            "pipeline_id": self.pipeline_id,
            "actor": self._data.actor,
            "storage": self._data.files,
            "trust": self._data.trust,
            "run_id": self._run_id,
            "private": self._private,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Reconnect, in whatever process, and join the run that the original was in."""
        run_id = state.pop("run_id")
        ArtifactRegistry.__init__(self, **state)
        self._run = Run(run_id) if run_id is not None else None
