"""Every query, as of one size of the log: the present, or any moment of the past."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Self

from chainfold.artifact_ids import fold_order, generate_artifact_id_v3, named
from chainfold.chain import OperatorChain
from chainfold.dataset import Dataset
from chainfold.digest import with_prefix
from chainfold.errors import (
    InvalidInputError,
    NotFoundError,
)
from chainfold.grammar import checked_text
from chainfold.graph import DependencyGraph, LineageGraph, spelled, topological
from chainfold.history import HistoryItem, history
from chainfold.loading import checked_bytes, load_blob
from chainfold.lookups import path_of
from chainfold.markup import card
from chainfold.projections import NOW, Sight, Total, unpacked
from chainfold.proof.provable import Provable
from chainfold.records import PARTS, ArtifactRecord, ArtifactType, Fold
from chainfold.references import ManifestReferences
from chainfold.statistics import statistics, total
from chainfold.tables.tabular import Tabular

_MODELS: Final = (ArtifactType.MODEL, ArtifactType.META_MODEL)

_REMEMBERED_BYTES: Final = 16 << 20
"""Of packed records that are remembered as answers: some 28,000."""


def checked_view(view: object) -> "RegistryView":
    """A view, or a registry, which is one.

    Raises:
        InvalidInputError: If it is neither.
    """
    if not isinstance(view, RegistryView):
        raise InvalidInputError(f"it takes a registry or a view of one, not {type(view).__name__}")
    return view


class RegistryView(Provable, Tabular):
    """The registry, read only, as of one size of the log. Get one from `ArtifactRegistry.as_of`.

    A view of the past never changes, and costs what the present costs: nothing is replayed.

    Attributes:
        workspace: The folder that holds the datasets.
        dataset: The dataset's name.
        binaries_dir: The folder of its blobs.
        pipeline_id: The pipeline that `get_by_chain` and `generate_id` prefer.
    """

    def __init__(self, data: Dataset, *, size: int = NOW, pipeline_id: str = "") -> None:
        super().__init__(data, size)
        self._references = ManifestReferences(data.workspace)
        self.workspace = data.workspace
        self.dataset = data.name
        self.binaries_dir: Path = data.blobs.folder
        self.pipeline_id = pipeline_id
        self._answers: dict[str, bytes] = {}  # packed
        self._answers_bytes = 0
        self._answered: Sight | None = None  # what they are as of
        self._answered_at = -1  # those of the present hold as long as nothing is appended

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({self.dataset!r}, position={self.position}, artifacts={len(self)}, "
            f"workspace={str(self.workspace)!r})"
        )

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        found = self.totals()
        return card(
            f"Dataset {self.dataset}",
            [
                ("position", self.position),
                ("artifacts", f"{found.artifacts:,}"),
                *((f"of type {kind}", f"{count:,}") for kind, count in sorted(found.by_type.items())),
                ("files that they need", f"{found.files:,}"),
                ("bytes in these", f"{found.file_bytes:,}"),
                ("aliases", ", ".join(f"{alias} = {target}" for alias, target in self.aliases().items())),
                ("workspace", self.workspace),
            ],
        )

    def __len__(self) -> int:
        """How many artifacts are live."""
        with self._data.mutex:
            sight = self._sight()
            total = self._data.projections.totals.at(self._size).artifacts
            return total + sum(replaced is None for _, replaced in sight.changes())

    def __contains__(self, artifact_id: object) -> bool:
        with self._data.mutex:
            return isinstance(artifact_id, str) and self._sight().row(artifact_id) is not None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of what is open. A view of the past shares it with its registry and closes nothing."""

    @property
    def position(self) -> int:
        """The view shows the state before the entry at this position; for the present, the log's size."""
        if self._size != NOW:
            return self._size
        with self._data.mutex:
            self._data.refresh()
            return self._data.projections.size

    # looking up

    def resolve(self, artifact_id: str) -> ArtifactRecord | None:
        """The live record of an id; None if there is none."""
        data = self._data
        with data.mutex:
            if data.is_in_doubt or (self._size == NOW and data.log.has_news()):
                data.refresh()
            sight, projections = self._answered, data.projections
            if (
                sight is None
                or sight.projections is not projections
                or (self._answered_at != projections.size and self._size == NOW)
            ):
                sight = self._answer_anew()
            try:
                known = self._answers.get(artifact_id)
            except TypeError:  # nothing is asked of those that can be one: it is done very often
                checked_text("an artifact's id", artifact_id)
                raise
            if known is not None:
                return unpacked(known)
            row = sight.row(artifact_id)
            if row is None:
                return None
            found = data.whole(row)
            if found.packed is not None:
                self._remember(artifact_id, found.packed)
            return found.record

    def resolve_by_hash(self, content_hash: str) -> ArtifactRecord | None:
        """Of the live records with this content, the one registered last; None if there is none.

        Args:
            content_hash: The whole digest, with or without `sha256:`.
        """
        if not isinstance(content_hash, str):
            raise InvalidInputError(f"a digest is a text, not {content_hash!r:.80}")
        with self._data.mutex:
            sight, digests = self._sight(), self._data.projections.digests
            row = sight.last(digests.rows(content_hash))
            if row is None and (whole := with_prefix(content_hash)) != content_hash:
                row = sight.last(digests.rows(whole))
            return self._record(row)

    def get_by_chain(self, chain: OperatorChain | str, fold_id: Fold = None) -> ArtifactRecord | None:
        """The live artifact of exactly this chain path; None if there is none.

        Of this view's own pipeline first, when it has one, then of any. Of several, the last registered.

        Args:
            chain: The chain, or its path as text.
            fold_id: That fold. Without, the artifact that folds share, or else the last registered.
        """
        path = path_of(chain)
        with self._data.mutex:
            sight, chains = self._sight(), self._data.projections.chains
            if self.pipeline_id:
                rows = list(sight.rows(chains.rows_of_pipeline(path, self.pipeline_id)))
                records = [self._data.record(row) for row in rows]
                found = [record for record in records if record.fold_id == fold_id]
                if found or (records and fold_id is None):
                    return (found or records)[-1]
            row = sight.last(chains.rows_of_fold(path, fold_id))
            if row is None and fold_id is None:
                row = sight.last(chains.rows(path))
            return self._record(row)

    def get_chain_prefix(
        self,
        prefix: OperatorChain | str,
        branch_path: list[int] | None = None,
        source_index: int | None = None,
    ) -> list[ArtifactRecord]:
        """Every live artifact whose chain path starts with the prefix, in order of chain, then fold.

        Args:
            prefix: A text, taken literally (`s1` also finds `s10.X`), or a chain, of which only whole
                operators match.
            branch_path: Only artifacts of exactly that branch.
            source_index: Only artifacts of that data source.
        """
        with self._data.mutex:
            return list(self.iter_chain_prefix(prefix, branch_path, source_index))

    def get_artifacts_for_step(
        self,
        pipeline_id: str,
        step_index: int,
        branch_path: list[int] | None = None,
        fold_id: Fold = None,
    ) -> list[ArtifactRecord]:
        """The live artifacts of a step of a pipeline, in order of registration; None asks for any."""
        with self._data.mutex:
            return list(self.iter_artifacts_for_step(pipeline_id, step_index, branch_path, fold_id))

    def get_fold_models(
        self, pipeline_id: str, step_index: int, branch_path: list[int] | None = None
    ) -> list[ArtifactRecord]:
        """The live models and meta-models of a step that belong to a fold, by substep, then fold."""
        records = self.get_artifacts_for_step(pipeline_id, step_index, branch_path)
        models = (each for each in records if each.fold_id is not None and each.artifact_type in _MODELS)
        return sorted(models, key=lambda each: (each.substep_index or 0, fold_order(each.fold_id)))

    def get_all_records(self) -> list[ArtifactRecord]:
        """Every live artifact, in order of registration."""
        return list(self.iter_records())

    # lineage

    def get_dependencies(self, artifact_id: str) -> list[str]:
        """Ids of the direct sources of a live artifact, as registered; empty if it is not live."""
        record = self.resolve(artifact_id)
        return record.depends_on if record is not None else []

    def get_dependents(self, artifact_id: str) -> list[str]:
        """Ids of the live artifacts that were made from an artifact directly, in order of registration."""
        with self._data.mutex:
            return list(self.iter_dependents(artifact_id))

    def resolve_dependencies(self, artifact_id: str) -> list[ArtifactRecord]:
        """Every artifact that one was made from, directly or not: sources before products, each once.

        A source that is not live is left out with a warning that names it; what it was made from in turn,
        as last registered, is followed all the same.

        Ids are looked up as they are now. Where they were registered again from one another (b from a, then a
        from b) they are a cycle that no order fits; `lineage` follows the registrations that were used.

        Raises:
            InvalidInputError: If the ids are such a cycle, or the id is no text.
        """
        checked_text("an artifact's id", artifact_id)
        with self._data.mutex:
            sight = self._sight()
            walk = topological(artifact_id, lambda each: self._sources(sight, each))
            if walk.cycle:
                raise InvalidInputError(
                    f"Cycle detected: {spelled(walk.cycle)}, as these ids are by now. "
                    f"lineage({artifact_id!r}) gives the registrations that were used, whatever came since"
                )
            rows = [(each, sight.row(each)) for each in walk.order[:-1]]
            records = [self._data.record(row) for _, row in rows if row is not None]
        missing = [each for each, row in rows if row is None]
        if missing:
            warnings.warn(
                f"{artifact_id!r} was made from artifacts that are not live: {named(missing)}",
                UserWarning,
                stacklevel=2,
            )
        return records

    @property
    def dependency_graph(self) -> DependencyGraph:
        """The lineage of what is live, with the queries of a `DependencyGraph`. It follows the log."""
        return LineageGraph(self.get_dependencies, self.get_dependents)

    # the past

    def history(self, artifact_id: str) -> list[HistoryItem]:
        """Every registration of an id up to this view, first to last, and what has become of each."""
        checked_text("an artifact's id", artifact_id)
        with self._data.mutex:
            self._data.refresh()
            return history(self._data, artifact_id, self._size)

    def alias(self, name: str) -> str | None:
        """The id that an alias pointed to; None if it pointed nowhere."""
        checked_text("an alias", name)
        with self._data.mutex:
            self._data.refresh()
            return self._data.projections.aliases.target(name, self._size)

    def aliases(self) -> dict[str, str]:
        """Every alias that pointed somewhere, by name."""
        with self._data.mutex:
            self._data.refresh()
            return self._data.projections.aliases.all(self._size)

    # loading and leaving

    def load_artifact(self, record: ArtifactRecord) -> Any:
        """The object that was registered; its bytes are first checked against the whole digest.

        Raises:
            BlobNotFoundError: If the file is missing; the message names the event that took it.
            CorruptionError: If the bytes are not those of the record's digest.
            InvalidInputError: If the record's path leaves the dataset's folder.
            UntrustedError: If it would run code that nobody has allowed; see `allow`. Nothing of it has run.
            SerializationError: If the format's library cannot load them here.
        """
        return load_blob(self._data, record)

    def load_bytes(self, record: ArtifactRecord) -> bytes:
        """The bytes that were stored, checked against the whole digest; nothing is made of them.

        Raises:
            BlobNotFoundError, CorruptionError, InvalidInputError: As `load_artifact`.
        """
        return checked_bytes(self._data, record)

    def load(self, artifact_id: str) -> Any:
        """The object of a live artifact, by id; of a composite that lacks its parts with a warning.

        Raises:
            NotFoundError: If the id is not live; for the rest see `load_artifact`.
        """
        record = self.require(artifact_id)
        if PARTS in record.params:
            warnings.warn(
                f"{artifact_id!r} is a {record.class_name} without its parts, which are artifacts too: "
                f"chainfold.integrations.sklearn.load_fitted(registry, {artifact_id!r}) gives the whole",
                UserWarning,
                stacklevel=2,
            )
        return self.load_artifact(record)

    def require(self, artifact_id: str) -> ArtifactRecord:
        """The live record of an id.

        Raises:
            NotFoundError: If there is none.
        """
        record = self.resolve(artifact_id)
        if record is None:
            raise NotFoundError(f"no live artifact has the id {artifact_id!r}; history(id) shows the past")
        return record

    def has_blob(self, record: ArtifactRecord) -> bool:
        """Whether a record's file is there, with the length that it should have. Its bytes are not read."""
        size = self._data.blobs.size(record.path)
        return size is not None and record.size_bytes in (0, size)

    def allow(self, *names: str) -> None:
        """Let what is loaded refer to these packages, modules, classes or functions, and all in them.

        For this registry and its views, as long as they are open. See `ArtifactRegistry`'s `trust`.

        Raises:
            InvalidInputError: If one is no dotted name.
        """
        self._data.trust.allow(names)

    def export_to_manifest(self, *, private: bool = False) -> dict[str, Any]:
        """Everything live, as `{"schema_version": "3.0", "items": [...]}` of plain types.

        Args:
            private: Whether the values of private fields are in it, where no erasure reaches them. Without,
                an item only says which fields these are. Where it is imported they are private either way.
        """
        records = self.iter_records()
        items = [(record if private else record.without_private()).to_dict() for record in records]
        return {"schema_version": "3.0", "items": items}

    def generate_id(
        self, chain: OperatorChain | str, fold_id: Fold = None, pipeline_id: str | None = None
    ) -> str:
        """The id of an artifact: `{pipeline_id}${chain hash}:{fold or "all"}`.

        Args:
            chain: The chain, or its path as text.
            fold_id: The fold; None for what folds share.
            pipeline_id: Instead of this registry's own.

        Raises:
            InvalidInputError: For a negative fold, or a word that an id cannot hold.
        """
        return generate_artifact_id_v3(
            self.pipeline_id if pipeline_id is None else pipeline_id, chain, fold_id
        )

    def totals(self) -> Total:
        """Counts of artifacts and files, and their bytes, as of this view: nothing is read for that."""
        with self._data.mutex:
            return total(self._data, self._sight())

    def get_stats(self, scan_all_manifests: bool = True) -> dict[str, Any]:  # noqa: FBT001, FBT002 - the reference's signature
        """Figures on storage, as of this view; what is on disk and orphaned is as of now.

        Args:
            scan_all_manifests: Whether a file that only a manifest refers to is no orphan.

        Returns:
            `total_artifacts`, `unique_files`, `total_size_bytes` (of all artifacts, each counted),
            `deduplication_ratio` (bytes saved of that, 0 to 1), `by_type` (counts), `orphaned_count`,
            `orphaned_size_bytes`, `disk_usage_bytes`, `disk_file_count`, `dataset`, `binaries_path`,
            `log_entries`, `log_bytes`.
        """
        with self._data.mutex:
            return statistics(self._data, self._sight(), self._references if scan_all_manifests else None)

    # inside

    def _answer_anew(self) -> Sight:
        """Forget what was answered, as it may have changed."""
        sight = self._sight()
        self._answered = None  # an interrupt may come at any moment
        self._answers, self._answers_bytes = {}, 0
        self._answered_at = sight.projections.size
        self._answered = sight
        return sight

    def _remember(self, artifact_id: str, packed: bytes) -> None:
        self._answers_bytes += len(packed)
        if self._answers_bytes > _REMEMBERED_BYTES:
            self._answers, self._answers_bytes = {}, len(packed)
        self._answers[artifact_id] = packed

    def _record(self, row: int | None) -> ArtifactRecord | None:
        return None if row is None else self._data.record(row)

    def _sources(self, sight: Sight, artifact_id: str) -> Sequence[str]:
        """Direct sources of an artifact: of its live record, or else of the last that was ever visible."""
        row = sight.row(artifact_id)
        if row is None:
            visible_from = self._data.projections.visibility.visible_from
            earlier = self._data.projections.ids.rows(artifact_id)
            row = next((each for each in reversed(earlier) if visible_from[each] <= self._size), None)
        return () if row is None else self._data.record(row).depends_on
