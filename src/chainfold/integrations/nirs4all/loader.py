"""The artifacts of a manifest, as objects: what nirs4all predicts with."""

import logging
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Self

from chainfold.artifact_ids import fold_order, named
from chainfold.blobs import get_binaries_path
from chainfold.chain import OperatorChain
from chainfold.dataset import Dataset
from chainfold.errors import ChainfoldError, InvalidInputError, NotFoundError, UntrustedError
from chainfold.grammar import continues
from chainfold.graph import topological
from chainfold.integrations.nirs4all.cache import LRUCache
from chainfold.integrations.nirs4all.formats import offer_format
from chainfold.integrations.nirs4all.installing import allowed
from chainfold.integrations.nirs4all.listing import Listing, mapping
from chainfold.loading import load_blob
from chainfold.lookups import matching, path_of
from chainfold.places import check_dataset_name
from chainfold.records import ArtifactRecord, ArtifactType, Fold

logger = logging.getLogger(__name__)

Loaded = tuple[str, Any]
_DATE: Final = re.compile(r"\A\d{4}-\d\d-\d\d_")
_MODELS: Final = (ArtifactType.MODEL, ArtifactType.META_MODEL)


class ArtifactLoader(Listing):
    """Loads what a manifest lists: by id, chain, step, fold or name, each object once while the cache has it.

    The manifest says which content each id had when its pipeline ran, and that is what is loaded, whatever
    the id names by now; as everywhere the bytes are checked against the whole digest first, and what this
    dataset's log did not register is looked through. Nothing is ever written. Copies are the loader itself.

    Attributes:
        workspace: The folder that holds the datasets.
        dataset: The dataset's name.
        binaries_dir: The folder of its blobs.
        results_dir: Where the manifest is.
    """

    DEFAULT_CACHE_SIZE = 100

    def __init__(
        self,
        workspace: Path,
        dataset: str,
        results_dir: Path | None = None,
        cache_size: int = DEFAULT_CACHE_SIZE,
    ) -> None:
        super().__init__()
        self.workspace = Path(workspace)
        self.dataset = dataset
        self.binaries_dir = get_binaries_path(self.workspace, dataset)
        self.results_dir = results_dir
        self._cache = LRUCache(cache_size)
        self._data: Dataset | None = None
        self._allowed = allowed()

    @classmethod
    def from_manifest(cls, manifest: Mapping[str, Any], results_dir: Path) -> Self:
        """A loader of what a pipeline's manifest lists.

        Args:
            manifest: What `manifest.yaml` says; of the dataset, if it does not, the folder of `runs/`.
            results_dir: A folder of the workspace's `runs/`, or that itself.

        Raises:
            ManifestError: If that is no manifest, or an item is invalid; it is named by its index.
            InvalidInputError: If what it says of its dataset is no name.
        """
        folder = Path(results_dir)
        said = mapping(manifest).get("dataset")
        dataset = _dataset_of(folder) if said is None else check_dataset_name(said)
        loader = cls(_workspace_of(folder), dataset, results_dir)
        loader.import_from_manifest(manifest)
        return loader

    def import_from_manifest(self, manifest: Mapping[str, Any], results_dir: Path | None = None) -> None:
        """List what another manifest lists as well; what has a known id takes that one's place.

        Raises:
            ManifestError: If an item is invalid; nothing is listed then.
        """
        for record in self._list(manifest):
            self._cache.remove(record.artifact_id)
        self.results_dir = results_dir or self.results_dir

    # loading

    def load_by_id(self, artifact_id: str) -> Any:
        """The object of an id.

        Raises:
            NotFoundError: (a KeyError) If it is not listed.
            BlobNotFoundError: (a FileNotFoundError) If its file is missing; the message names what took it.
            CorruptionError: If its bytes are not those of the record's digest.
            UntrustedError: If it refers to what is not allowed; `install(allow=[...])` allows more.
        """
        record = self._known(artifact_id)
        cached = self._cache.get(artifact_id)
        if cached is not None:
            return cached
        offer_format(record.format)
        try:
            loaded = load_blob(self._dataset(), record)
        except UntrustedError as error:
            error.add_note(
                "What nirs4all opens by itself: chainfold.integrations.nirs4all.install(allow=[...])"
            )
            raise
        self._cache.put(artifact_id, loaded)
        return loaded

    def load_by_artifact_id(self, artifact_id: str) -> Loaded:
        """The name of an artifact, with its fold, and the object; raises as `load_by_id`."""
        record = self._known(artifact_id)
        fold = "" if record.fold_id is None else f"_fold{record.fold_id}"
        return f"{record.custom_name or record.class_name}{fold}", self.load_by_id(artifact_id)

    def load_by_chain(self, chain: OperatorChain | str, fold_id: Fold = None) -> Any | None:
        """The object of `get_record_by_chain`; None if there is none."""
        record = self.get_record_by_chain(chain, fold_id)
        return None if record is None else self.load_by_id(record.artifact_id)

    def load_by_chain_prefix(
        self,
        prefix: OperatorChain | str,
        branch_path: list[int] | None = None,
        source_index: int | None = None,
    ) -> list[Loaded]:
        """Ids and objects whose chain path starts with the prefix, in order of chain, then fold.

        A text is taken literally (`s1` also finds `s10.X`); of a chain only whole operators match.
        """
        text, is_text = path_of(prefix), isinstance(prefix, str)
        found: Iterator[ArtifactRecord] = (
            record
            for record in self._records.values()
            if (record.chain_path.startswith(text) if is_text else continues(record.chain_path, text))
        )
        found = matching(found, branch_path=branch_path, source_index=source_index)
        return self._loaded(sorted(found, key=lambda each: (each.chain_path, fold_order(each.fold_id))))

    def load_for_step(
        self,
        step_index: int,
        branch_path: list[int] | None = None,
        source_index: int | None = None,
        fold_id: Fold = None,
        pipeline_id: str | None = None,
    ) -> list[Loaded]:
        """Ids and objects of a step that a branch, source and fold use: their own, and what they share.

        Args:
            step_index: Which step.
            branch_path: The branch; what it shares is of no branch, or of one that it is nested in. Without,
                only what is of no branch.
            source_index: The data source; None for any.
            fold_id: The fold; None for any.
            pipeline_id: The pipeline; None for any.
        """
        return self._loaded(self._of_step(step_index, branch_path, source_index, fold_id, pipeline_id))

    def load_fold_models(
        self, step_index: int, branch_path: list[int] | None = None, pipeline_id: str | None = None
    ) -> list[tuple[int | str, Any]]:
        """Folds and objects of a step's models and meta-models, by fold; None or `[]` asks for any branch."""
        found = [
            (record.fold_id, record)
            for record in self.get_artifacts_by_chain_filter(step_index, branch_path or None)
            if record.artifact_type in _MODELS and pipeline_id in (None, record.pipeline_id)
        ]
        in_order = sorted(found, key=lambda each: fold_order(each[0]))
        return [(fold, self.load_by_id(each.artifact_id)) for fold, each in in_order if fold is not None]

    def load_with_dependencies(self, artifact_id: str) -> dict[str, Any]:
        """Objects by id: all that an artifact was made from, directly or not, sources first, and it itself.

        Raises:
            NotFoundError: (a KeyError) If it, or a source, is not listed; all that are missing are named.
            InvalidInputError: (a ValueError) If the lineage has a cycle.
        """
        walk = topological(self._known(artifact_id).artifact_id, self._sources)
        if walk.cycle:
            raise InvalidInputError(f"Cycle detected: {' > '.join([*walk.cycle, walk.cycle[0]])}")
        missing = [each for each in walk.order if each not in self._records]
        if missing:
            raise NotFoundError(f"Artifact not found: {named(missing)}")
        return {each: self.load_by_id(each) for each in walk.order}

    # stacking

    def load_meta_model_with_sources(
        self,
        artifact_id: str,
        validate_branch: bool = True,  # noqa: FBT001, FBT002 - nirs4all's signature
    ) -> tuple[Any, list[Loaded], list[str]]:
        """A meta-model, ids and objects of its sources in feature order, and the names of the columns.

        Args:
            artifact_id: The meta-model.
            validate_branch: Whether the sources must be of its branch, or of one that it is nested in.

        Raises:
            NotFoundError: (a KeyError) If the meta-model is not listed, or, unvalidated, a source.
            InvalidInputError: (a ValueError) If it is no meta-model, or a source is missing or of a branch
                that it does not see.
        """
        record = self._known(artifact_id)
        if not record.is_meta_model:
            raise InvalidInputError(f"Artifact {artifact_id} is not a meta-model")
        config = record.meta_config
        if config is None:
            logger.warning("%s does not say in which order its sources fed it: taken as listed", artifact_id)
        sources = record.depends_on if config is None else config.source_ids
        if validate_branch:
            self._check_branches(record, sources)
        loaded = [(source, self.load_by_id(source)) for source in sources]
        columns = self._columns(sources) if config is None else list(config.feature_columns)
        return self.load_by_id(artifact_id), loaded, columns

    def load_meta_model_for_prediction(
        self,
        artifact_id: str,
        X: Any = None,  # noqa: ARG002, N803 - nirs4all's signature; that looks at nothing of it either
    ) -> tuple[Any, list[Loaded], list[str]]:
        """As `load_meta_model_with_sources`, validated, and with a name for each column in any case."""
        model, sources, columns = self.load_meta_model_with_sources(artifact_id)
        if len(columns) != len(sources):
            logger.warning("%s names %d columns for %d sources", artifact_id, len(columns), len(sources))
            columns = self._columns([source for source, _ in sources])
        return model, sources, columns

    # by the names of earlier releases

    def get_step_binaries(
        self, step_id: int | str, branch_id: int | None = None, branch_path: list[int] | None = None
    ) -> list[Loaded]:
        """Names and objects of a step, as the controllers of nirs4all ask for them.

        A name is the class with a number: 100 times the step, plus the fold of a model, or for the rest the
        place among those of its class. Encoders, which are of targets, have `y_` before it.

        Args:
            step_id: The step, also as `step_substep`, of which the substep says nothing.
            branch_id: A branch that is not nested.
            branch_path: A branch, rather than `branch_id`.

        Raises:
            InvalidInputError: (a ValueError) If `step_id` begins with no number.
        """
        try:
            step_index = int(str(step_id).partition("_")[0])
        except ValueError:
            raise InvalidInputError(f"a step is a number, also as in '3_1', not {step_id!r:.80}") from None
        if branch_path is None and branch_id is not None:
            branch_path = [branch_id]
        named_ids: list[tuple[str, str]] = []
        others: Counter[str] = Counter()
        for record in self._of_step(step_index, branch_path):
            if record.artifact_type in _MODELS:
                number = record.fold_id if isinstance(record.fold_id, int) else 0
            else:
                number = others[record.class_name]
                others[record.class_name] += 1
            prefix = "y_" if record.artifact_type is ArtifactType.ENCODER else ""
            named_ids.append((f"{prefix}{record.class_name}_{100 * step_index + number}", record.artifact_id))
        return [(name, self.load_by_id(artifact_id)) for name, artifact_id in named_ids]

    def get_step_binaries_by_artifact_ids(self, artifact_ids: list[str]) -> list[Loaded]:
        """`load_by_artifact_id` of each."""
        return [self.load_by_artifact_id(artifact_id) for artifact_id in artifact_ids]

    # the cache

    def clear_cache(self) -> None:
        """Forget all objects."""
        self._cache.clear()

    def set_cache_size(self, max_size: int) -> None:
        """Keep at most so many objects from now on; with 0 none."""
        self._cache.resize(max_size)

    def get_cache_info(self) -> dict[str, Any]:
        """The cache's `stats`, `cached_count` for its size, `total_artifacts` and `artifacts_by_type`."""
        stats = self._cache.stats
        by_type = Counter(record.artifact_type.value for record in self._records.values())
        return {
            "cached_count": stats.pop("size"),
            **stats,
            "total_artifacts": len(self._records),
            "artifacts_by_type": dict(by_type),
        }

    cache_info = get_cache_info

    def preload_artifacts(
        self, artifact_ids: list[str] | None = None, artifact_types: list[ArtifactType] | None = None
    ) -> int:
        """Load what will be needed: all, or those ids, of those types; what cannot be loaded is logged.

        Returns:
            How many were loaded that were not cached.
        """
        count = 0
        for artifact_id in self._records if artifact_ids is None else artifact_ids:
            record = self._records.get(artifact_id)
            if record is None or self._cache.contains(artifact_id):
                continue
            if artifact_types is None or record.artifact_type in artifact_types:
                try:
                    self.load_by_id(artifact_id)
                except (ChainfoldError, OSError) as error:
                    logger.warning("%s was not loaded: %s", artifact_id, error)
                else:
                    count += 1
        return count

    # inside

    def _dataset(self) -> Dataset:
        if self._data is None:
            self._data = Dataset(self.workspace, self.dataset)
        self._data.trust.allow(self._allowed | allowed())
        return self._data

    def _loaded(self, records: Iterable[ArtifactRecord]) -> list[Loaded]:
        return [(record.artifact_id, self.load_by_id(record.artifact_id)) for record in records]

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_cache": self._cache.max_size, "_data": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """The same list in another process, with a cache of its own."""
        self.__dict__ |= state
        self._cache = LRUCache(state["_cache"])

    def close(self) -> None:
        """Let go of what is open; it is opened again when it is needed."""
        data, self._data = self._data, None
        if data is not None:
            data.close()


def _workspace_of(results_dir: Path) -> Path:
    """The workspace that a folder of its `runs/` is in; of another folder, the one that holds it."""
    for folder in (results_dir, *results_dir.parents):
        if folder.name == "runs":
            return folder.parent
    return results_dir.parent


def _dataset_of(results_dir: Path) -> str:
    """The dataset that a folder of `runs/` is called after, without the date that it had once."""
    name = results_dir.name
    for folder in (results_dir, *results_dir.parents):
        if folder.parent.name == "runs":
            name = folder.name
    return _DATE.sub("", name)
