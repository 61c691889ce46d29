"""Composites of scikit-learn, drawn from a grammar, fitted on a few rows; and a naive walk over them."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, MetaEstimatorMixin, RegressorMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    RandomForestRegressor,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.feature_selection import SelectFromModel, SelectKBest, f_regression
from sklearn.linear_model import LinearRegression, Ridge, RidgeClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    Normalizer,
    PolynomialFeatures,
    StandardScaler,
)
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

Array = npt.NDArray[Any]

_random = np.random.default_rng(0)
X: Array = _random.normal(size=(40, 3))
Y: Array = X[:, 0] + 0.1 * _random.normal(size=40)
CLASSES: Array = np.digitize(X[:, 0] + 0.1 * X[:, 1], [-0.5, 0.5])


def _named(found: list[Any]) -> list[tuple[str, Any]]:
    return [(f"m{index}", each) for index, each in enumerate(found)]


def _several(each: st.SearchStrategy[Any], most: int = 3) -> st.SearchStrategy[list[tuple[str, Any]]]:
    return st.lists(each, min_size=1, max_size=most).map(_named)


_PLAIN_TRANSFORMERS: list[Callable[[], Any]] = [
    StandardScaler,
    MinMaxScaler,
    Normalizer,
    lambda: PCA(1),
    lambda: SelectKBest(f_regression, k=1),
    lambda: PolynomialFeatures(2),
    lambda: FunctionTransformer(np.abs),
    lambda: SelectFromModel(Ridge(), max_features=1, threshold=-np.inf),
]
_PLAIN_REGRESSORS: list[Callable[[], Any]] = [
    Ridge,
    LinearRegression,
    lambda: KNeighborsRegressor(2),
    lambda: DecisionTreeRegressor(max_depth=2, random_state=0),
    lambda: RandomForestRegressor(2, max_depth=2, random_state=0),
]
_PLAIN_CLASSIFIERS: list[Callable[[], Any]] = [
    GaussianNB,
    lambda: DecisionTreeClassifier(max_depth=2, random_state=0),
]


def _made(makers: list[Callable[[], Any]]) -> st.SearchStrategy[Any]:
    return st.sampled_from(makers).map(lambda make: make())


def _columns(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """The first column has a transformer, so that something is left; nothing, and what remains, may."""
    return st.builds(
        lambda first, second, rest: ColumnTransformer(
            [("first", first, [0]), ("none", StandardScaler(), []), ("second", second, [0])], remainder=rest
        ),
        inner,
        inner | st.sampled_from(["drop", "passthrough"]),
        inner | st.sampled_from(["drop", "passthrough"]),
    )


def _union(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    others = st.lists(inner | st.sampled_from(["drop", "passthrough"]), max_size=2)
    return st.builds(lambda first, more: FeatureUnion(_named([first, *more])), inner, others)


def _more_transformers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(_several(inner | st.just("passthrough")).map(Pipeline), _union(inner), _columns(inner))


transformers = st.recursive(_made(_PLAIN_TRANSFORMERS), _more_transformers, max_leaves=4)


def _ending(last: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.builds(lambda first, model: Pipeline([("t", first), ("m", model)]), transformers, last)


def _more_regressors(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        _ending(inner),
        st.builds(
            lambda bases, final, passing: StackingRegressor(bases, final, cv=2, passthrough=passing),
            _several(inner, 2),
            inner,
            st.booleans(),
        ),
        _several(inner, 2).map(lambda bases: VotingRegressor([*bases, ("gone", "drop")])),
        st.builds(lambda each: TransformedTargetRegressor(each, transformer=StandardScaler()), inner),
        st.builds(lambda each: GridSearchCV(each, {}, cv=2), inner),
    )


def _more_classifiers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        _ending(inner),
        st.builds(lambda bases, final: StackingClassifier(bases, final, cv=2), _several(inner, 2), inner),
        _several(inner, 2).map(lambda bases: VotingClassifier(bases, voting="soft")),
        st.builds(lambda each: CalibratedClassifierCV(each, cv=2), inner),
        inner.map(OneVsRestClassifier),
    )


def _without_probabilities(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """What the others cannot be built on."""
    voters = st.builds(lambda each: VotingClassifier([("a", each), ("b", RidgeClassifier())]), inner)
    return inner | inner.map(OneVsOneClassifier) | voters


regressors = st.recursive(_made(_PLAIN_REGRESSORS), _more_regressors, max_leaves=4)
classifiers = _without_probabilities(st.recursive(_made(_PLAIN_CLASSIFIERS), _more_classifiers, max_leaves=3))


def fitted() -> st.SearchStrategy[Any]:
    """A transformer, regressor or classifier, however deep, fitted on `X` and what it is for."""
    return st.one_of(
        (transformers | regressors).map(lambda each: _fit(each, Y)),
        classifiers.map(lambda each: _fit(each, CLASSES)),
    )


def _fit(estimator: Any, target: Array) -> Any:
    """Some of what is drawn makes little sense, and scikit-learn warns of that."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return estimator.fit(X, target)


def outcome(estimator: Any) -> Array:
    """What it gives for `X`."""
    for verb in ("predict_proba", "predict", "transform"):
        if hasattr(estimator, verb):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found: Array = getattr(estimator, verb)(X)
            return found
    raise AssertionError(estimator)


def children(estimator: Any) -> list[Any]:
    """What is fitted directly inside, in no order that means anything."""
    match estimator:
        case Pipeline():
            inner = [step for _, step in estimator.steps]
        case FeatureUnion():
            inner = [each for _, each in estimator.transformer_list if not _is_identity(each)]
        case ColumnTransformer():
            inner = [
                each
                for _, each, columns in estimator.transformers_
                if len(columns) and not _is_identity(each)
            ]
        case StackingClassifier() | StackingRegressor():
            inner = [*estimator.estimators_, estimator.final_estimator_]
        case VotingClassifier() | VotingRegressor() | OneVsRestClassifier() | OneVsOneClassifier():
            inner = list(estimator.estimators_)
        case TransformedTargetRegressor():
            inner = [estimator.transformer_, estimator.regressor_]
        case GridSearchCV():
            inner = [estimator.best_estimator_]
        case SelectFromModel():
            inner = [estimator.estimator_]
        case CalibratedClassifierCV():
            inner = [each.estimator for each in estimator.calibrated_classifiers_]
        case _:
            inner = []
    return [each for each in inner if not isinstance(each, str)]


def everything(estimator: Any) -> list[Any]:
    """The estimator, and all that is fitted in it at any depth."""
    return [estimator, *(each for child in children(estimator) for each in everything(child))]


def leaves(estimator: Any) -> list[Any]:
    """What is fitted in it and has nothing fitted inside."""
    return [each for each in everything(estimator) if not children(each)]


def _is_identity(transformer: Any) -> bool:
    return isinstance(transformer, FunctionTransformer) and transformer.func is None


class KeepsMethod(RegressorMixin, MetaEstimatorMixin, BaseEstimator):  # type: ignore[misc] # no types
    """Keeps the method that it predicts with, chosen when it is fitted."""

    def __init__(self, estimator: Any = None) -> None:
        self.estimator = estimator

    def fit(self, samples: Any, targets: Any) -> Any:
        self.estimator_ = clone(self.estimator).fit(samples, targets)
        self.keep()
        return self

    def keep(self) -> None:
        self.predict_ = self.estimator_.predict

    def predict(self, samples: Any) -> Any:
        return self.estimator_.predict(samples)


class HoldsItself(KeepsMethod):
    def keep(self) -> None:
        self.owners_ = [self]


class HoldsAnother(KeepsMethod):
    def keep(self) -> None:
        self.other_ = HoldsAnother(self.estimator)
        self.other_.estimator_ = self.estimator_
        self.other_.other_ = self


class ReadsItsPart(KeepsMethod):
    def keep(self) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        super().__setstate__(state)
        self.coef_ = self.estimator_.coef_
