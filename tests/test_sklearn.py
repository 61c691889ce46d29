"""What scikit-learn has fitted, registered part by part: what is refused, shared, and told of it."""

from datetime import datetime
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import sparse
from sklearn.base import BaseEstimator, MetaEstimatorMixin, RegressorMixin
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import BaggingRegressor, RandomForestRegressor, StackingRegressor
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression, Ridge, RidgeCV
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import StandardScaler
from tests.composites import X, Y

from chainfold import ArtifactRegistry, InvalidInputError, NotFoundError, SerializationError
from chainfold.integrations.sklearn import fingerprint, load_fitted, parts, register_fitted


def pipeline(alpha: float = 1.0) -> Any:
    return make_pipeline(StandardScaler(), Ridge(alpha)).fit(X, Y)


def test_chains_folds_and_steps_mean_what_one_hopes(registry: ArtifactRegistry) -> None:
    """Of what cross-validation gives: each fold's own, the models by fold, the whole back as it was."""
    results = cross_validate(make_pipeline(StandardScaler(), Ridge()), X, Y, cv=3, return_estimator=True)
    record = register_fitted(registry, results, X, Y)
    models = registry.get_fold_models("0001_pls", 2)
    assert [each.fold_id for each in models] == [0, 1, 2]
    assert {each.class_name for each in models} == {"Ridge"}
    assert len(registry.get_chain_prefix("s1.StandardScaler")) == 10
    again = load_fitted(registry, record.artifact_id)
    assert list(again) == list(results)
    for one, other in zip(again["estimator"], results["estimator"], strict=True):
        np.testing.assert_array_equal(one.predict(X), other.predict(X))
    np.testing.assert_array_equal(again["test_score"], results["test_score"])


def test_a_stack_names_who_feeds_it(registry: ArtifactRegistry) -> None:
    bases = [("line", make_pipeline(StandardScaler(), Ridge())), ("forest", RandomForestRegressor(2))]
    stack = StackingRegressor(bases, RidgeCV(), cv=2).fit(X, Y)
    record = register_fitted(registry, stack)
    (final,) = [each for each in registry.get_all_records() if each.is_meta_model]
    assert final.meta_config is not None
    assert final.meta_config.feature_columns == ["stackingregressor_line", "stackingregressor_forest"]
    fed = [registry.resolve(each) for each in final.meta_config.source_ids]
    assert [each.class_name for each in fed if each is not None] == ["Pipeline", "RandomForestRegressor"]
    np.testing.assert_array_equal(load_fitted(registry, record.artifact_id).predict(X), stack.predict(X))


def test_a_search_keeps_what_it_found(registry: ArtifactRegistry) -> None:
    search = GridSearchCV(make_pipeline(StandardScaler(), Ridge()), {"ridge__alpha": [0.1, 1.0]}, cv=2)
    record = register_fitted(registry, search.fit(X, Y), params={"note": "first"})
    assert record.params["@best"]["params"] == search.best_params_
    assert record.params["note"] == "first"
    again = load_fitted(registry, record.artifact_id)
    assert again.best_params_ == search.best_params_
    assert again.cv_results_["params"] == search.cv_results_["params"]


def test_what_is_private_of_a_part_is_so_of_the_whole(workspace: Path) -> None:
    """A composite's record has the parameters of its parts, at any depth, and a search what it tried."""
    words = CountVectorizer(stop_words=["Hopper"])
    columns = ColumnTransformer([("inner", FeatureUnion([("words", words)]), 0)])
    model = make_pipeline(columns, LogisticRegression())
    grid = {"columntransformer__inner__words__stop_words": [["Hopper"], None]}
    texts = np.array([["a b cc Hopper"], ["dd ee ff"]] * 6, dtype=object)
    search = GridSearchCV(model, grid, cv=2).fit(texts, [0, 1] * 6)
    with ArtifactRegistry(workspace, "wheat", pipeline_id="p", private=["stop_words"]) as registry:
        record = register_fitted(registry, search)
        (segment,) = (workspace / "log" / "wheat" / "segments").iterdir()
        assert b"Hopper" not in segment.read_bytes()
        assert record.params["param_grid"] == grid
        assert {"params.param_grid", "params.@best"} < record.private.keys()
        assert (load_fitted(registry, record.artifact_id).predict(texts) == search.predict(texts)).all()
        for each in registry.get_all_records():
            if each.private:
                registry.erase_private(each.artifact_id, ["stop_words"])
        kept = [path for path in (workspace / "log").rglob("*") if path.is_file()]
        assert not any(b"Hopper" in path.read_bytes() for path in kept)


def test_the_past_loads_what_it_had(registry: ArtifactRegistry) -> None:
    first, second = pipeline(1.0), pipeline(100.0)
    record = register_fitted(registry, first)
    before = registry.position
    register_fitted(registry, second)
    past = registry.as_of(before)
    np.testing.assert_array_equal(load_fitted(past, record.artifact_id).predict(X), first.predict(X))
    np.testing.assert_array_equal(load_fitted(registry, record.artifact_id).predict(X), second.predict(X))
    assert len({each.content_hash for each in registry.get_all_records() if each.step_index == 1}) == 1


@pytest.mark.parametrize(
    ("thing", "message"),
    [
        (Ridge(), "not fitted"),
        (make_pipeline(StandardScaler(), Ridge()), "not fitted"),
        (5, "no object that has `fit`"),
        (Ridge, "no object that has `fit`"),
        ([], "empty list"),
        ({"test_score": []}, "return_estimator=True"),
    ],
)
def test_what_cannot_be_registered_is_named(registry: ArtifactRegistry, thing: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        register_fitted(registry, thing)
    assert registry.position == 0


def broken() -> Any:
    """A pipeline whose last part cannot be stored."""
    found = pipeline()
    found.steps[-1][1].stuck_ = (number for number in range(3))
    return found


@pytest.mark.parametrize("begun", [[], ["mine"]])
def test_all_of_it_or_nothing(registry: ArtifactRegistry, begun: list[str]) -> None:
    """Also in a run that is open, which goes on with what it had."""
    if begun:
        registry.start_run()
        registry.register([0], "mine", "model")
    with pytest.raises(SerializationError, match="Ridge"):
        register_fitted(registry, broken())
    assert [each.artifact_id for each in registry.get_all_records()] == begun
    if begun:
        register_fitted(registry, pipeline())
        registry.end_run()
        assert len(registry) == 4


def test_a_part_that_is_gone_is_named(registry: ArtifactRegistry) -> None:
    record = register_fitted(registry, pipeline())
    with pytest.raises(NotFoundError, match="no live artifact"):
        load_fitted(registry, "nothing")
    registry.delete_pipeline_artifacts("0001_pls", delete_files=True)
    with pytest.raises(FileNotFoundError, match="artifacts-deleted"):
        load_fitted(registry.as_of(registry.position - 2), record.artifact_id)


def test_inner_trees_are_no_parts() -> None:
    assert len(parts(RandomForestRegressor(3).fit(X, Y))) == 1
    assert len(parts(BaggingRegressor(Ridge(), 3).fit(X, Y))) == 1


class Twice(RegressorMixin, BaseEstimator):  # type: ignore[misc] # scikit-learn ships no types
    """Makes what it fits itself."""

    def fit(self, x: Any, y: Any) -> Any:
        self.models_ = {"one": Ridge().fit(x, y), "other": [Ridge(2.0).fit(x, y)]}
        return self

    def predict(self, x: Any) -> Any:
        return self.models_["one"].predict(x) + self.models_["other"][0].predict(x)


class TwiceMeta(MetaEstimatorMixin, Twice):  # type: ignore[misc] # likewise
    """Says that it is a meta-estimator."""


class TwiceGiven(Twice):
    """Is given an estimator."""

    def __init__(self, estimator: Any = None) -> None:
        self.estimator = estimator


@pytest.mark.parametrize(("own", "count"), [(Twice(), 1), (TwiceMeta(), 3), (TwiceGiven(Ridge()), 3)])
def test_estimators_of_one_s_own(registry: ArtifactRegistry, own: Any, count: int) -> None:
    """As docs/sklearn.md has it: of parts, if they say or show that they are meta-estimators."""
    record = register_fitted(registry, own.fit(X, Y))
    assert len(list(registry.get_all_records())) == count
    np.testing.assert_array_equal(load_fitted(registry, record.artifact_id).predict(X), own.predict(X))


def _in_worker(registry: ArtifactRegistry, fold: int) -> str:
    fitted = make_pipeline(StandardScaler(), Ridge(fold + 1)).fit(X, Y)
    return register_fitted(registry, fitted, fold_id=fold).artifact_id


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_workers_register_into_one_run(workspace: Path, backend: str) -> None:
    with ArtifactRegistry(workspace, "wheat", pipeline_id="p") as registry:
        with registry.run():
            with joblib.parallel_config(backend=backend, n_jobs=2):
                ids = joblib.Parallel()(joblib.delayed(_in_worker)(registry, fold) for fold in range(4))
            assert len(ArtifactRegistry(workspace, "wheat")) == 0
        assert [each.fold_id for each in registry.get_fold_models("p", 2)] == [0, 1, 2, 3]
        assert {type(load_fitted(registry, each)).__name__ for each in ids} == {"Pipeline"}


@given(hnp.arrays("f8", st.tuples(st.integers(1, 5), st.integers(1, 4)), elements=st.floats(-5, 5)))
def test_equal_tables_have_one_fingerprint(table: Any) -> None:
    """However they lie in memory, and whichever library holds them; another value gives another."""
    digest = fingerprint(table)["digest"]
    names = [f"c{number}" for number in range(table.shape[1])]
    frame = pd.DataFrame(table, columns=names)
    same = [np.asfortranarray(table), frame, pl.from_pandas(frame), sparse.csr_matrix(table), table.tolist()]
    assert {fingerprint(each)["digest"] for each in same} == {digest}
    changed = table.copy()
    changed[-1, -1] += 1
    assert fingerprint(changed)["digest"] != digest


@given(hnp.arrays("f8", (3, 2), elements=st.floats(-5, 5)), hnp.arrays(bool, (3, 2)))
def test_what_a_mask_hides_is_missing(table: Any, mask: Any) -> None:
    shown = np.where(mask, np.nan, table)
    assert fingerprint(np.ma.array(table, mask=mask))["digest"] == fingerprint(shown)["digest"]
    assert (
        fingerprint(np.ma.array(table.astype(int), mask=mask))["digest"]
        == (fingerprint(np.where(mask, np.nan, table.astype(int)))["digest"])
    )


@given(st.lists(st.none() | st.datetimes(), min_size=1), st.lists(st.none() | st.datetimes(), min_size=1))
def test_times_have_one_fingerprint_if_they_are_equal(one: list[Any], other: list[Any]) -> None:
    """As Python's, as numpy's, as those of pandas; and dates are their first moments."""
    digests = []
    for times in (one, other):
        same: list[Any] = [times, np.array(times, object), pd.Series(times, dtype=object), pl.Series(times)]
        if any(each is not None for each in times):
            same += [np.array(times, "M8[us]"), pd.DataFrame({"a": np.array(times, "M8[us]")})]
        (digest,) = {fingerprint(each)["digest"] for each in same}
        digests.append(digest)
    assert (digests[0] == digests[1]) == (one == other)
    days = [each and each.date() for each in one]
    moments = [each and datetime(each.year, each.month, each.day) for each in days]  # noqa: DTZ001 - no zone is meant
    assert fingerprint(days)["digest"] == fingerprint(moments)["digest"]


LARGE = st.tuples(st.sampled_from([0, 2**53, -(2**53), 2**60, 2**62]), st.integers(-3, 3)).map(sum)


@given(st.lists(LARGE, min_size=1, max_size=3), st.lists(LARGE, min_size=1, max_size=3))
def test_whole_numbers_have_one_fingerprint_if_they_are_equal(one: list[int], other: list[int]) -> None:
    """By value, also where float64 has gaps; whichever dtype holds them, and float64 too if it can."""
    digests = []
    for numbers in (one, other):
        same: list[Any] = [numbers, np.array(numbers, "i8"), np.array(numbers, object), pd.Series(numbers)]
        if all(int(float(each)) == each for each in numbers):
            same.append(np.array(numbers, "f8"))
        if min(numbers) >= 0:
            same.append(np.array(numbers, "u8"))
        same.append(sparse.csr_matrix(np.array([numbers], "i8").T))
        (digest,) = {fingerprint(each)["digest"] for each in same}
        digests.append(digest)
    assert (digests[0] == digests[1]) == (one == other)


@pytest.mark.parametrize("dtype", ["Int64", "int64[pyarrow]", "polars"])
def test_large_numbers_beside_missing_ones_are_not_rounded(dtype: str) -> None:
    """Libraries make float64 of such columns: two tables of other ids had one digest."""
    for make in (pd.Series, lambda values, dtype: pd.DataFrame({"a": values}, dtype=dtype)):
        ids, small = [2**53 + 1, None], [2**53, None]
        if dtype == "polars":
            tables = [pl.Series(ids), pl.Series(small)]
        else:
            tables = [make(values, dtype=dtype) for values in (ids, small)]
        with pytest.raises(InvalidInputError, match="large whole numbers beside"):
            fingerprint(tables[0])
        assert fingerprint(tables[1])["digest"] == fingerprint([2.0**53, None])["digest"]
