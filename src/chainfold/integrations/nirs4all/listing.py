"""What a manifest lists, as records: found by id, chain, step, fold or name."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from chainfold.chain import OperatorChain
from chainfold.commands.items import items_of
from chainfold.errors import InvalidInputError, ManifestError, NotFoundError
from chainfold.integrations.nirs4all.chains import shown, with_shown_names
from chainfold.lookups import matching, path_of
from chainfold.records import ArtifactRecord, Fold


class Listing:
    """The records of one manifest, or of several; nothing is loaded, and no log is asked."""

    def __init__(self) -> None:
        self._records: dict[str, ArtifactRecord] = {}

    def _list(self, manifest: Mapping[str, Any]) -> list[ArtifactRecord]:
        """List what a manifest lists as well; what has a known id takes that one's place.

        Raises:
            ManifestError: If that is no manifest, or an item is invalid; nothing is listed then.
        """
        mapping(manifest)
        items = manifest.get("artifacts") if "artifacts" in manifest else manifest.get("items")
        records = [item.record for item in items_of(with_shown_names(items or []))]
        for record in records:
            self._records.pop(record.artifact_id, None)
            self._records[record.artifact_id] = record
        return records

    def get_record(self, artifact_id: str) -> ArtifactRecord | None:
        """The record of an id; None if it is not listed, as nothing is that is no text."""
        given: Any = artifact_id
        return self._records.get(given) if isinstance(given, str) else None

    def get_all_records(self) -> list[ArtifactRecord]:
        """All that is listed, in the manifest's order."""
        return list(self._records.values())

    def get_record_by_chain(
        self, chain_path: OperatorChain | str, fold_id: Fold = None
    ) -> ArtifactRecord | None:
        """The record of this chain and fold; without a fold what folds share, or else the last listed."""
        path = path_of(chain_path)
        found = [record for record in self._records.values() if record.chain_path == path]
        of_fold = [record for record in found if record.fold_id == fold_id]
        if fold_id is None:
            of_fold = of_fold or found
        return of_fold[-1] if of_fold else None

    def get_artifacts_by_chain_filter(
        self,
        step_index: int | None = None,
        branch_path: list[int] | None = None,
        source_index: int | None = None,
        fold_id: Fold = None,
    ) -> list[ArtifactRecord]:
        """The records of exactly that step, branch, source and fold; None asks for any."""
        of_step = (r for r in self._records.values() if step_index in (None, r.step_index))
        return list(matching(of_step, branch_path=branch_path, source_index=source_index, fold_id=fold_id))

    def find_artifact_by_custom_name(
        self,
        custom_name: str,
        step_index: int | None = None,
        fold_id: Fold = None,
        branch_path: list[int] | None = None,
    ) -> ArtifactRecord | None:
        """The first record with a name that a user gave; None if there is none."""
        found = self.get_artifacts_by_chain_filter(step_index, branch_path, None, fold_id)
        return next((record for record in found if record.custom_name == shown(custom_name)), None)

    def has_binaries_for_step(
        self,
        step_number: int,
        substep_number: int | None = None,  # noqa: ARG002 - nirs4all's signature, which ignores it
        branch_id: int | None = None,
    ) -> bool:
        """Whether a step has anything that a branch uses, or, without one, anything at all."""
        if branch_id is None:
            return any(record.step_index == step_number for record in self._records.values())
        return next(self._of_step(step_number, [branch_id]), None) is not None

    # inside

    def _known(self, artifact_id: str) -> ArtifactRecord:
        record = self.get_record(artifact_id)
        if record is None:
            raise NotFoundError(f"Artifact not found: {artifact_id}")
        return record

    def _of_step(
        self,
        step_index: int,
        branch_path: list[int] | None = None,
        source_index: int | None = None,
        fold_id: Fold = None,
        pipeline_id: str | None = None,
    ) -> Iterator[ArtifactRecord]:
        branch = list(branch_path or ())
        return (
            record
            for record in self._records.values()
            if record.step_index == step_index
            and _sees(branch, record.branch_path)
            and (source_index is None or record.source_index in (None, source_index))
            and (fold_id is None or record.fold_id in (None, fold_id))
            and pipeline_id in (None, record.pipeline_id)
        )

    def _sources(self, artifact_id: str) -> list[str]:
        record = self._records.get(artifact_id)
        return [] if record is None else record.depends_on

    def _check_branches(self, record: ArtifactRecord, sources: Iterable[str]) -> None:
        for source in sources:
            known = self._records.get(source)
            if known is None:
                raise InvalidInputError(
                    f"Source model not found: {source}, which fed meta-model {record.artifact_id}"
                )
            if not _sees(record.branch_path, known.branch_path):
                raise InvalidInputError(
                    f"Branch context mismatch for meta-model {record.artifact_id}, of branch "
                    f"{record.branch_path}: its source {source} is of branch {known.branch_path}, which is "
                    f"neither that nor one that it is nested in"
                )

    def _columns(self, sources: Iterable[str]) -> list[str]:
        return [f"{self._known(source).class_name}_pred" for source in sources]


def mapping(manifest: Any) -> Mapping[str, Any]:
    """What is given for a manifest, if it is one as nirs4all has it: a mapping.

    Raises:
        ManifestError: If it is something else.
    """
    if not isinstance(manifest, Mapping):
        raise ManifestError(f"that is no manifest: it is a {type(manifest).__name__}, not a mapping")
    return manifest


def _sees(branch: list[int], other: list[int]) -> bool:
    """Whether a branch is another, or nested in it; what is of no branch is seen by all."""
    return branch[: len(other)] == other
