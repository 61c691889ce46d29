"""What a fitted estimator is put together from: which of its attributes hold other fitted estimators.

A composite is a row of stages; the members of a stage stand side by side, and each stage is fed by the one
before. A *route* only leads data through its members (a pipeline, a union, a stack). Any other composite does
something of its own with what its members give, as a feature selector does: it is an operator too.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from sklearn.base import MetaEstimatorMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.ensemble import (
    BaseEnsemble,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.exceptions import NotFittedError
from sklearn.model_selection._search import BaseSearchCV
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import FunctionTransformer, LabelBinarizer, LabelEncoder, MultiLabelBinarizer
from sklearn.utils.validation import check_is_fitted

from chainfold.errors import InvalidInputError
from chainfold.records import ArtifactType
from chainfold.serializers.protocol import type_name

try:
    from sklearn.frozen import FrozenEstimator
except ImportError:  # scikit-learn before 1.6
    FrozenEstimator = ()

TARGET_ENCODERS: Final = (LabelBinarizer, LabelEncoder, MultiLabelBinarizer)
_NESTED_AT_MOST: Final = 3
"""Containers within containers that are looked through for fitted estimators."""


@dataclass(frozen=True)
class Member:
    """A place in a composite.

    Attributes:
        name: What people call it: the name of a step, or of an attribute.
        fitted: What was fitted; None where a step fits nothing.
        branch: Its index among those side by side; None where it stands alone.
        artifact_type: Its role, where the composite gives it one; None where it keeps its own.
        fold: Its fold, in what cross-validation gives.
        is_beside: Whether it sees the target, and data do not pass through it.
    """

    name: str
    fitted: Any
    branch: int | None = None
    artifact_type: ArtifactType | None = None
    fold: int | None = None
    is_beside: bool = False


@dataclass(frozen=True)
class Composite:
    """How a fitted object is put together.

    Attributes:
        stages: What it has, in the order in which data pass through.
        is_route: Whether it does nothing of its own.
        columns: In a stack, for each column that the last stage is fed: the member of the stage before that
            gives it, and the column's name.
        passes_on: Whether the last stage is also fed what the first one is.
    """

    stages: list[list[Member]]
    is_route: bool = True
    columns: list[tuple[int, str]] = field(default_factory=list)
    passes_on: bool = False

    def inherits(self, member: Member) -> bool:
        """Whether a member of the last stage plays the composite's own role: the last step of a pipeline."""
        return self.is_route and member.branch is None and member.fold is None

    @property
    def is_empty(self) -> bool:
        """Whether nothing in it was fitted."""
        return all(member.fitted is None for stage in self.stages for member in stage)


def composite_of(fitted: Any) -> Composite | None:
    """How an object is put together; None for what is registered in one piece.

    In one piece are: what holds nothing fitted, and ensembles of many equal members (`BaseEnsemble`: forests,
    bagging, boosting; also `IterativeImputer`), whose members mean nothing alone.
    """
    if isinstance(fitted, BaseEnsemble) or type(fitted).__name__ == "IterativeImputer":
        return None
    for kinds, describe in _KINDS:
        if isinstance(fitted, kinds):
            found = describe(fitted)
            return None if found.is_empty else found
    return _other(fitted)


def is_estimator(thing: Any) -> bool:
    """Whether it is an instance of a class that has `fit`."""
    return callable(getattr(type(thing), "fit", None))


def is_fitted(estimator: Any) -> bool:
    """What scikit-learn says; an estimator of foreign make, which it cannot judge, is taken for fitted."""
    try:
        check_is_fitted(estimator)
    except NotFittedError:
        return False
    except (AttributeError, TypeError):  # it has no tags: its class inherits nothing of scikit-learn's
        return True
    return True


def _pipeline(pipeline: Any) -> Composite:
    last = len(pipeline.steps) - 1
    return Composite(
        [
            [Member(name, _or_none(step), None, None if index == last else ArtifactType.TRANSFORMER)]
            for index, (name, step) in enumerate(pipeline.steps)
        ]
    )


def _columns(transformer: Any) -> Composite:
    """A transformer of no columns is not fitted by `ColumnTransformer`: it is no member."""
    found = [(index, name, each) for index, (name, each, _) in enumerate(transformer.transformers_)]
    return _side_by_side([each for each in found if _works(each[2]) and is_fitted(each[2])])


def _union(union: Any) -> Composite:
    found = [(index, name, each) for index, (name, each) in enumerate(union.transformer_list)]
    return _side_by_side([each for each in found if _works(each[2])])


def _side_by_side(found: list[tuple[int, str, Any]]) -> Composite:
    return Composite([[Member(name, each, index, ArtifactType.TRANSFORMER) for index, name, each in found]])


def _works(transformer: Any) -> bool:
    """Whether it does anything: `passthrough` has become an identity `FunctionTransformer` in the fitted."""
    if type(transformer) is FunctionTransformer:
        return transformer.func is not None or transformer.inverse_func is not None
    return _or_none(transformer) is not None


def _voting(voting: Any) -> Composite:
    return Composite([_kept(voting)])


def _stack(stack: Any) -> Composite:
    bases = _kept(stack)
    widths = getattr(stack, "_n_feature_outs", None) or [1] * len(bases)
    givers = [index for index, width in enumerate(widths) for _ in range(width)]
    try:
        names = [str(name) for name in stack.get_feature_names_out()[: len(givers)]]
    except (AttributeError, ValueError):  # a base of foreign make may not know its features
        names = [f"{bases[index].name}{column}" for column, index in enumerate(givers)]
    final = Member("final_estimator", stack.final_estimator_, None, ArtifactType.META_MODEL)
    return Composite(
        [bases, [final]],
        columns=list(zip(givers, names, strict=True)),
        passes_on=bool(stack.passthrough),
    )


def _kept(ensemble: Any) -> list[Member]:
    """The members of a stack or vote: `estimators_` leaves out those that `estimators` drops."""
    kept = [
        (index, name) for index, (name, each) in enumerate(ensemble.estimators) if _or_none(each) is not None
    ]
    return [
        Member(name, fitted, index) for (index, name), fitted in zip(kept, ensemble.estimators_, strict=True)
    ]


def _search(search: Any) -> Composite:
    """Only what was fitted again to all data is left of a search."""
    return Composite([[Member("best_estimator", getattr(search, "best_estimator_", None))]])


def _frozen(frozen: Any) -> Composite:
    return Composite([[Member("estimator", frozen.estimator)]])


def _transformed_target(regressor: Any) -> Composite:
    target = Member("transformer", regressor.transformer_, artifact_type=ArtifactType.ENCODER, is_beside=True)
    return Composite([[target], [Member("regressor", regressor.regressor_)]], is_route=False)


def _calibrated(classifier: Any) -> Composite:
    """The calibrators, a few numbers each, stay in the classifier."""
    found = enumerate(classifier.calibrated_classifiers_)
    return Composite([[Member(f"calibrated_{i}", each.estimator, i) for i, each in found]], is_route=False)


def _results(results: Mapping[str, Any]) -> Composite:
    """What `cross_validate(return_estimator=True)` gives."""
    found = results.get("estimator")
    if not isinstance(found, list | tuple):
        raise InvalidInputError(
            "a dict is registered if it is what cross_validate(..., return_estimator=True) gives: "
            "it needs the fitted estimators as a list under 'estimator'"
        )
    return _folds(found)


def _folds(found: Any) -> Composite:
    if not found:
        raise InvalidInputError(
            "an empty list has nothing to register: give the fitted estimators of the folds"
        )
    for fold, each in enumerate(found):
        if not is_estimator(each):
            raise InvalidInputError(
                f"a list is registered if all of it are fitted estimators: number {fold} is {type_name(each)}"
            )
    return Composite([[Member("", each, fold=fold) for fold, each in enumerate(found)]])


def _other(estimator: Any) -> Composite | None:
    """Meta-estimators of any make: those that say so, and those that were given an estimator."""
    if not (isinstance(estimator, MetaEstimatorMixin) or _takes_estimator(estimator)):
        return None
    public = {name: value for name, value in vars(estimator).items() if not name.startswith("_")}
    found: dict[int, tuple[str, Any, bool]] = {}
    for name, value in public.items():
        if name.endswith("_"):
            for each, is_alone in _fitted_in(value, 0):
                found.setdefault(id(each), (name.rstrip("_"), each, is_alone))
    if not found:
        return None
    several = len(found) > 1 or not all(is_alone for *_, is_alone in found.values())
    members = [
        Member(name if is_alone else f"{name}_{index}", each, index if several else None)
        for index, (name, each, is_alone) in enumerate(found.values())
    ]
    return Composite([members], is_route=False)


def _takes_estimator(estimator: Any) -> bool:
    try:
        params = estimator.get_params(deep=False)
    except Exception:  # noqa: BLE001 - a foreign estimator may do anything: it is registered in one piece then
        return False
    return any(is_estimator(value) for value in params.values())


def _fitted_in(value: Any, depth: int) -> Iterator[tuple[Any, bool]]:
    """The fitted estimators in an attribute, and whether each is the attribute itself."""
    if is_estimator(value):
        if not isinstance(value, TARGET_ENCODERS) and is_fitted(value):
            yield value, depth == 0
    elif depth < _NESTED_AT_MOST:
        for each in _contents(value):
            for found, _ in _fitted_in(each, depth + 1):
                yield found, False


def _contents(value: Any) -> Any:
    if isinstance(value, Mapping):
        return value.values()
    if isinstance(value, np.ndarray):
        return value.flat if value.dtype.hasobject else ()
    return value if isinstance(value, list | tuple) else ()


def _or_none(step: Any) -> Any:
    return None if step is None or isinstance(step, str) else step


_KINDS: Final[tuple[tuple[Any, Callable[[Any], Composite]], ...]] = (
    (Pipeline, _pipeline),
    (ColumnTransformer, _columns),
    (FeatureUnion, _union),
    ((StackingClassifier, StackingRegressor), _stack),
    ((VotingClassifier, VotingRegressor), _voting),
    (BaseSearchCV, _search),
    (FrozenEstimator, _frozen),
    (TransformedTargetRegressor, _transformed_target),
    (CalibratedClassifierCV, _calibrated),
    (dict, _results),
    ((list, tuple), _folds),
)
