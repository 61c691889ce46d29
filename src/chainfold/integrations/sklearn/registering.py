"""From a fitted estimator to its artifacts, and back."""

import re
import warnings
from collections.abc import Mapping
from typing import Any, Final

from chainfold.ancestry import Relative
from chainfold.artifact_ids import named
from chainfold.errors import InvalidInputError, NotFoundError, SerializationError
from chainfold.grammar import UNPRINTABLE
from chainfold.integrations.sklearn.described import params_of, versions
from chainfold.integrations.sklearn.fingerprint import fingerprint
from chainfold.integrations.sklearn.plan import Part, parts
from chainfold.integrations.sklearn.skeletons import put_together, references_met, taken_apart
from chainfold.records import PARTS, ArtifactRecord, Fold, MetaModelConfig
from chainfold.registry import ArtifactRegistry
from chainfold.serializers import deserialize, serialize
from chainfold.view import RegistryView

_CONTROL: Final = re.compile(f"[{UNPRINTABLE}]")


def register_fitted(
    registry: ArtifactRegistry,
    estimator: Any,
    X: Any = None,  # noqa: N803 - scikit-learn's own name
    y: Any = None,
    *,
    pipeline_id: str | None = None,
    fold_id: Fold = None,
    custom_name: str | None = None,
    params: Mapping[str, Any] | None = None,
) -> ArtifactRecord:
    """Register everything fitted in an estimator, each part by itself, and how they are put together.

    All of it or nothing: in the open run if there is one, else in a run of its own. docs/sklearn.md says
    which chains, steps, branches and sources the parts get; `parts(estimator)` lists them. Ids are made of
    pipeline, chain and fold: so one `pipeline_id` is for one whole. Registering that again, trained anew,
    supersedes all of it; what supersedes parts of another whole, which stays, is warned of.

    Args:
        registry: Where to.
        estimator: Anything fitted: an estimator, however deeply composed, a search, or what
            `cross_validate(..., return_estimator=True)` gives, or its list of estimators, one for each fold.
        X: What it was fitted on; only a fingerprint of it is kept. Shape (n_samples, n_features), or texts.
        y: The target that it was fitted on; likewise.
        pipeline_id: Instead of the registry's own.
        fold_id: The fold that it was fitted on. Not for what cross_validate gives: that has its folds.
        custom_name: A name for the whole, for people. The parts are named by their places: `stack__pls`.
        params: What else is worth knowing of the whole, such as its score.

    Returns:
        The record of the whole, registered last; `resolve_dependencies` of its id gives all others, as long
        as nothing supersedes them, and `lineage` for ever.

    Raises:
        InvalidInputError: If it is no estimator, or not fitted, or no fingerprint can be taken of X or y.
        SerializationError: If something in it cannot be stored; it names the place.
        RunClosedError: As `ArtifactRegistry.register`, like CorruptionError and StorageError.
    """
    params = _own_params(params)
    plan = parts(estimator, fold_id)
    about: dict[str, Any] = {"@versions": versions()}
    data = {name: fingerprint(value) for name, value in (("X", X), ("y", y)) if value is not None}
    if data:
        about["@data"] = data
    ids: dict[Part, str] = {}
    superseded: list[str] = []
    whole = plan[-1]
    with registry.all_or_nothing():
        for part in plan:
            said = about | params_of(part.fitted)
            if part is whole:
                said |= params
            before = registry.resolve(registry.generate_id(part.chain, part.fold, pipeline_id))
            try:
                record = _register(registry, part, ids, said, pipeline_id, custom_name)
            except SerializationError as error:
                if part is whole and part.fold is None:
                    raise
                raise SerializationError(f"{_place(part)} cannot be stored: {error}") from error
            ids[part] = record.artifact_id
            if before is not None and before.content_hash != record.content_hash:
                superseded.append(record.artifact_id)
        _warn_of_strangers(registry, superseded, set(ids.values()))
    return record


def _own_params(params: Any) -> Mapping[str, Any]:
    """What else is said of the whole, if it is no more than that."""
    if params is None:
        return {}
    if not isinstance(params, Mapping):
        raise InvalidInputError(f"params takes a mapping, as {{'rmse': 0.1}}, not {params!r:.100}")
    if PARTS in params:
        raise InvalidInputError(f"{PARTS!r} in params would be taken for the parts of the whole: rename it")
    return params


def _warn_of_strangers(registry: ArtifactRegistry, superseded: list[str], new: set[str]) -> None:
    """Say so if parts of another whole were superseded, and that whole was not."""
    every = (dependent for artifact_id in superseded for dependent in registry.get_dependents(artifact_id))
    left = list(dict.fromkeys(dependent for dependent in every if dependent not in new))
    if left:
        warnings.warn(
            f"this supersedes parts of another whole: {named(superseded)}. What was made from them stays "
            f"live: {named(left)}. load_fitted and lineage still give what that was made from, "
            f"resolve_dependencies the new parts. Give each whole that is fitted on its own a pipeline_id of "
            f"its own",
            UserWarning,
            stacklevel=3,
        )


def _place(part: Part) -> str:
    """Where in the whole a part is, for people."""
    name = f"the part {part.name!r:.200}" if part.name else "the estimator"
    return name if part.fold is None else f"{name} of fold {part.fold}"


def load_fitted(view: RegistryView, artifact_id: str) -> Any:
    """What was registered under an id: the whole, or a part, put together as it was.

    Its parts are those registrations that were made with it, whatever their ids name by now. Artifacts that
    were registered in another way are loaded as `view.load` does.

    Args:
        view: The registry, or a view of its past.
        artifact_id: The id.

    Raises:
        NotFoundError: If the id is not live, or a part of it is nowhere in the log.
        BlobNotFoundError: If the file of a part is gone; the message names the event that took it.
        InvalidInputError: If the records contradict each other, as only imported ones can.
        CorruptionError: As `RegistryView.load_artifact`, like SerializationError.
    """
    if not isinstance(artifact_id, str):
        raise InvalidInputError(f"load_fitted takes an id, as record.artifact_id, not {artifact_id!r:.100}")
    record = view.resolve(artifact_id)
    if record is None:
        raise NotFoundError(f"no live artifact has the id {artifact_id!r}; history(id) shows the past")
    if PARTS not in record.params:
        with references_met() as references:
            loaded = view.load_artifact(record)
        if not references:
            return loaded
    whole, *others = view.lineage(artifact_id)
    known = {each.registration.position: each for each in (whole, *others) if each.registration is not None}
    return _Assembly(view, known).made(whole, ())


class _Assembly:
    """Puts composites together; an artifact that several of them hold is loaded once."""

    def __init__(self, view: RegistryView, known: dict[int, Relative]) -> None:
        self._view = view
        self._known = known
        self._made: dict[int, Any] = {}

    def made(self, relative: Relative, within: tuple[int, ...]) -> Any:
        """One artifact; `within` are the positions of those that it is a part of."""
        registration = relative.registration
        if registration is None:
            raise NotFoundError(f"the part {relative.artifact_id!r} was never registered here")
        position, record = registration.position, registration.record
        if position in within:
            raise InvalidInputError(f"artifact {record.artifact_id!r} is registered as a part of itself")
        if position not in self._made:
            with references_met() as references:
                loaded = self._view.load_artifact(record)
            names = record.params.get(PARTS)
            if names is None and references:  # they were cut from the record, behind very many parameters
                names = record.depends_on[: 1 + max(each.index for each in references)]
            if names is not None:
                members = self._members(relative, record, names)
                made = [self.made(each, (*within, position)) for each in members]
                loaded = put_together(loaded, references, made)
            self._made[position] = loaded
        return self._made[position]

    def _members(self, relative: Relative, record: ArtifactRecord, names: Any) -> list[Relative]:
        if not isinstance(names, list) or len(names) > len(record.depends_on):
            raise InvalidInputError(
                f"artifact {record.artifact_id!r} has no source for each of its parts {names!r:.200}"
            )
        found = []
        for artifact_id, position in zip(record.depends_on, relative.sources[: len(names)], strict=False):
            if position is None:
                raise NotFoundError(f"the part {artifact_id!r} of {record.artifact_id!r} is not in the log")
            found.append(self._known[position])
        return found


def _skeleton(obj: Any, members: list[Part]) -> Any:
    """A composite without its members; None if it has none, or cannot be loaded without them.

    An estimator may hold a method of a part, or read one in its `__setstate__`: it is stored in one piece.
    """
    if not members:
        return None
    try:
        skeleton = taken_apart(obj, [each.fitted for each in members])
        done = serialize(skeleton)
        with references_met() as references:
            deserialize(done.data, done.format)
    except Exception:  # noqa: BLE001 - what it raises there is up to its class
        return None
    return skeleton if references else None


def _register(
    registry: ArtifactRegistry,
    part: Part,
    ids: dict[Part, str],
    params: dict[str, Any],
    pipeline_id: str | None,
    custom_name: str | None,
) -> ArtifactRecord:
    """Register one part; those that it needs have their ids already."""
    members = list(dict.fromkeys(part.members))
    obj = part.fitted
    skeleton = _skeleton(obj, members)
    if skeleton is not None:
        obj = skeleton
        # First: what comes behind 200,000 values is cut.
        params = {PARTS: [each.name or f"fold {each.fold}" for each in members], **params}
    config = None
    if part.columns:
        config = MetaModelConfig(
            [{"artifact_id": ids[giver], "feature_index": i} for i, (giver, _) in enumerate(part.columns)],
            [name for _, name in part.columns],
        )
    node = part.node
    return registry.register_with_chain(
        obj,
        part.chain,
        part.artifact_type,
        node.step_index,
        branch_path=node.branch_path,
        fold_id=part.fold,
        substep_index=node.substep_index,
        depends_on=[ids[each] for each in (*members, *part.sources)],
        params=params,
        meta_config=config,
        custom_name=_CONTROL.sub("?", part.name) or custom_name,
        pipeline_id=pipeline_id,
    )
