"""Plans as the registry offers them: what would be taken away, to be looked at and then carried out."""

from collections.abc import Iterable
from datetime import timedelta

from chainfold.commands.collecting import Collection, Deletion, DependentsPolicy, Purge
from chainfold.commands.erasing import Erasure
from chainfold.commands.plans import Plan, Step, carry_out, planned
from chainfold.commands.plans import Request as _Request
from chainfold.commands.running import reap_if_possible
from chainfold.commands.taking_back import Rollback
from chainfold.dataset import Dataset
from chainfold.errors import ConflictError, InvalidInputError
from chainfold.private import checked_names
from chainfold.references import ManifestReferences


class Planned:
    """The commands that delete, as plans. They are for outside of a run."""

    _data: Dataset
    _references: ManifestReferences

    @property
    def _run_id(self) -> str | None:
        raise NotImplementedError

    def plan_deletion(
        self,
        artifact_ids: str | Iterable[str] = (),
        *,
        pipeline_id: str | None = None,
        delete_files: bool = True,
        dependents: DependentsPolicy = "refuse",
    ) -> Plan:
        """Deleting artifacts by their ids, or all of a pipeline. Their records stay in the history.

        Args:
            artifact_ids: Which artifacts.
            pipeline_id: Which pipeline, instead.
            delete_files: Whether files that nothing else needs go too.
            dependents: When live artifacts that are not among them were made from them: `refuse`, `warn` to
                let them be, `cascade` to delete those too, and what was made from those.

        Raises:
            InvalidInputError: If ids and a pipeline are named, or neither.
            NotFoundError: If an id is not live.
            DependentsError: With `refuse`, if there are dependents; they are named.
        """
        ids = (artifact_ids,) if isinstance(artifact_ids, str) else tuple(dict.fromkeys(artifact_ids))
        if bool(ids) == (pipeline_id is not None):
            raise InvalidInputError("a deletion is of artifacts by their ids, or of a pipeline: name either")
        return self._planned(Deletion(pipeline_id, ids, delete_files, dependents))

    def plan_collection(
        self, *, older_than: timedelta | None = None, scan_all_manifests: bool = True
    ) -> Plan:
        """Removing files that nothing refers to; see `delete_orphaned_artifacts`.

        Args:
            older_than: Only what has lain unchanged for so long.
            scan_all_manifests: Whether what the pipelines' manifests refer to stays.

        Raises:
            ManifestError: If a manifest cannot be read.
        """
        references = self._references if scan_all_manifests else None
        return self._planned(
            Collection(references, None if older_than is None else older_than.total_seconds())
        )

    def plan_purge(self, *, force: bool = False) -> Plan:
        """Deleting every artifact of the dataset and every file in its folder, whatever refers to it.

        Args:
            force: Whether open runs of others are rolled back; else they are named in the plan, and carrying
                it out is refused.
        """
        return self._planned(Purge(force))

    def plan_erasure(self, artifact_id: str, fields: Iterable[str] | None = None) -> Plan:
        """Erasing what was withheld from the log of an artifact; see `erase_private`.

        Raises:
            NotFoundError: If no registration of the id has such a private field.
        """
        return self._planned(Erasure(artifact_id, None if fields is None else checked_names(fields)))

    def plan_rollback(
        self, run_id: str, *, force: bool = False, dependents: DependentsPolicy = "refuse"
    ) -> Plan:
        """Taking back what a run registered: an open run is rolled back, a committed one by new events.

        What a committed run superseded is registered again, where its blob is still there. What it deleted
        stays deleted (`restore` brings it back), and aliases that it moved stay where they are.

        Args:
            run_id: The run.
            force: Whether an open run of a living process is rolled back, too; else carrying it out is
                refused.
            dependents: When live artifacts outside the run were made from what goes: `refuse`, or `warn` to
                let them be.

        Raises:
            NotFoundError: If there was no such run.
            DependentsError: With `refuse`, if there are dependents; they are named.
        """
        return self._planned(Rollback(run_id, force, dependents))

    def carry_out(self, plan: Plan, step: Step | None = None) -> None:
        """Do what a plan says: exactly that, or nothing.

        Args:
            plan: What `plan_deletion` and its like gave, for this dataset.
            step: Told how many more files went, every few files. What it raises ends the work when all that
                an event names have gone: what is left are orphans, for `plan_collection`.

        Raises:
            InvalidInputError: If it was made of another dataset.
            ConflictError: If the log or the files have changed so that the plan no longer holds: the message
                says how. Or if open runs stand in the way.
            StorageError: If the system refuses.
        """
        self._outside_of_a_run()
        carry_out(self._data, plan, step)

    def _planned(self, request: _Request) -> Plan:
        self._outside_of_a_run()
        reap_if_possible(self._data)  # what a dead process left open would keep its files
        return planned(self._data, request)

    def _outside_of_a_run(self) -> None:
        if self._run_id is not None:
            raise ConflictError(f"run {self._run_id} is open: plans are made and carried out outside of runs")
