"""Fitted estimators of scikit-learn: what their records say, and that nothing is left half done."""

import pickle
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, RegressorMixin, TransformerMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    BaggingRegressor,
    RandomForestRegressor,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
)
from sklearn.experimental import enable_halving_search_cv  # noqa: F401 - it makes the class below importable
from sklearn.feature_selection import RFECV, SelectFromModel
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Lasso, LogisticRegression, Ridge
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    HalvingGridSearchCV,
    TunedThresholdClassifierCV,
    cross_validate,
)
from sklearn.multioutput import ClassifierChain, MultiOutputRegressor, RegressorChain
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    LabelEncoder,
    MinMaxScaler,
    OneHotEncoder,
    StandardScaler,
)
from sklearn.semi_supervised import SelfTrainingClassifier
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from tests.composites import (
    CLASSES,
    HoldsAnother,
    HoldsItself,
    KeepsMethod,
    ReadsItsPart,
    X,
    Y,
    outcome,
)

from chainfold import (
    ArtifactRegistry,
    ArtifactType,
    BlobNotFoundError,
    InvalidInputError,
    NotFoundError,
    SerializationError,
)
from chainfold.integrations.sklearn import Reference, load_fitted, parts, register_fitted

BINARY = (CLASSES > 1).astype(int)
SEVERAL = np.column_stack([Y, -Y, Y**2])
PIPELINE = "0001_pls"


class Doubling(RegressorMixin, BaseEstimator):  # type: ignore[misc] # scikit-learn ships no types
    """A meta-estimator of foreign make."""

    def __init__(self, inner: Any = None) -> None:
        self.inner = inner

    def fit(self, x: Any, y: Any) -> "Doubling":
        self.models_ = {"once": Ridge().fit(x, y), "twice": DecisionTreeRegressor(max_depth=1).fit(x, y)}
        return self

    def predict(self, x: Any) -> Any:
        return self.models_["once"].predict(x) + self.models_["twice"].predict(x)


class Plain:
    """A transformer that inherits nothing."""

    def fit(self, _x: Any, _y: Any = None) -> "Plain":
        self.seen_ = True
        return self

    def transform(self, x: Any) -> Any:
        return x + 1

    def __repr__(self) -> str:
        return "Plain()"


def flat() -> Any:
    return make_pipeline(StandardScaler(), PCA(2), Ridge()).fit(X, Y)


def paths(estimator: Any) -> list[str]:
    return [part.chain.to_path() for part in parts(estimator)]


# which chains

FLAT = ["s1.StandardScaler", "s1.StandardScaler>s2.PCA", "s1.StandardScaler>s2.PCA>s3.Ridge"]


def test_a_pipeline_is_its_steps_and_then_itself() -> None:
    assert paths(flat()) == [*FLAT, f"{FLAT[2]}>s4.Pipeline"]
    assert [each.artifact_type.value for each in parts(flat())] == [
        "transformer",
        "transformer",
        "model",
        "model",
    ]


def test_a_step_that_fits_nothing_is_counted() -> None:
    pipeline = Pipeline([("a", StandardScaler()), ("b", "passthrough"), ("c", None), ("d", Ridge())])
    assert paths(pipeline.fit(X, Y))[:2] == ["s1.StandardScaler", "s1.StandardScaler>s4.Ridge"]


def test_branches_have_the_indices_that_the_composite_gives_them() -> None:
    columns = ColumnTransformer(
        [
            ("a", make_pipeline(StandardScaler(), PCA(1)), [0, 1]),
            ("b", "drop", [0]),
            ("c", "passthrough", [1]),
            ("d", StandardScaler(), []),
        ],
        remainder=MinMaxScaler(),
    )
    assert paths(make_pipeline(columns, Ridge()).fit(X, Y)) == [
        "s1.StandardScaler[br=0]",
        "s1.StandardScaler[br=0]>s2.PCA[br=0]",
        "s1.StandardScaler[br=0]>s2.PCA[br=0]>s4.Pipeline[br=0]",
        "s1.MinMaxScaler[br=4]",
        "s1.StandardScaler[br=0]+s1.MinMaxScaler[br=4]>s2.PCA[br=0]>s5.ColumnTransformer",
        "s1.StandardScaler[br=0]+s1.MinMaxScaler[br=4]>s2.PCA[br=0]>s3.Ridge",
        "s1.StandardScaler[br=0]+s1.MinMaxScaler[br=4]>s2.PCA[br=0]>s3.Ridge>s6.Pipeline",
    ]


def test_branches_nest() -> None:
    inner = FeatureUnion([("a", StandardScaler()), ("b", MinMaxScaler())])
    found = paths(FeatureUnion([("x", "drop"), ("y", inner), ("z", PCA(1))]).fit(X))
    assert found[:2] == ["s1.StandardScaler[br=1.0]", "s1.MinMaxScaler[br=1.1]"]
    assert found[3] == "s1.PCA[br=2]"


def test_a_selector_is_an_operator_after_what_it_holds() -> None:
    chain = paths(make_pipeline(SelectFromModel(Lasso(0.01)), Ridge()).fit(X, Y))
    assert chain[:3] == ["s1.Lasso", "s1.Lasso>s2.SelectFromModel", "s1.Lasso>s2.SelectFromModel>s3.Ridge"]


def test_what_has_no_fitted_parts_is_in_one_piece() -> None:
    for estimator in (
        RandomForestRegressor(3).fit(X, Y),
        BaggingRegressor(Ridge(), 3).fit(X, Y),
        ColumnTransformer([("a", "passthrough", [0])]).fit(X),
        GridSearchCV(Ridge(), {}, cv=2, refit=False).fit(X, Y),
    ):
        assert paths(estimator) == [f"s1.{type(estimator).__name__}"]


def test_a_target_is_transformed_beside_the_data() -> None:
    inner = TransformedTargetRegressor(Ridge(), transformer=StandardScaler())
    plan = parts(TransformedTargetRegressor(inner, transformer=StandardScaler()).fit(X, Y))
    assert [(each.chain.to_path(), each.artifact_type.value) for each in plan] == [
        ("s1.StandardScaler[sub=0]", "encoder"),
        ("s1.StandardScaler[sub=1]", "encoder"),
        ("s1.Ridge", "model"),
        ("s1.Ridge>s2.TransformedTargetRegressor", "model"),
        ("s1.Ridge>s2.TransformedTargetRegressor>s3.TransformedTargetRegressor", "model"),
    ]
    assert plan[2].sources == [plan[0], plan[1]]


def test_an_encoder_alone_is_an_encoder(registry: ArtifactRegistry) -> None:
    assert register_fitted(registry, LabelEncoder().fit(CLASSES)).artifact_type is ArtifactType.ENCODER


# what the queries answer


def test_folds_are_those_of_cross_validate(registry: ArtifactRegistry) -> None:
    results = cross_validate(
        make_pipeline(StandardScaler(), PCA(2), Ridge()),
        X,
        Y,
        cv=3,
        return_estimator=True,
        return_indices=True,
    )
    record = register_fitted(registry, results, X, Y)
    models = registry.get_fold_models(PIPELINE, 3)
    assert [(each.class_name, each.fold_id) for each in models] == [("Ridge", fold) for fold in range(3)]
    wholes = registry.get_fold_models(PIPELINE, 4)
    assert [(each.class_name, each.fold_id) for each in wholes] == [("Pipeline", fold) for fold in range(3)]
    for whole, original in zip(wholes, results["estimator"], strict=True):
        assert np.array_equal(load_fitted(registry, whole.artifact_id).predict(X), original.predict(X))
    assert [each.class_name for each in registry.get_chain_prefix(FLAT[1])] == [
        *["PCA"] * 3,
        *["Ridge"] * 3,
        *["Pipeline"] * 3,
        "dict",
    ]
    fed = registry.resolve_dependencies(models[1].artifact_id)
    assert [(each.class_name, each.fold_id) for each in fed] == [("StandardScaler", 1), ("PCA", 1)]
    again = load_fitted(registry, record.artifact_id)
    assert again.keys() == results.keys()
    assert np.array_equal(again["test_score"], results["test_score"])
    assert np.array_equal(again["indices"]["test"][2], results["indices"]["test"][2])
    assert record.params["test_score"] == results["test_score"].tolist()


def test_a_list_of_estimators_is_one_for_each_fold(registry: ArtifactRegistry) -> None:
    record = register_fitted(registry, [flat(), flat()])
    assert record.chain_path == f"{FLAT[2]}>s5.list"
    assert [type(each) for each in load_fitted(registry, record.artifact_id)] == [Pipeline, Pipeline]
    assert [each.fold_id for each in registry.get_fold_models(PIPELINE, 3)] == [0, 1]


def test_a_stack_names_its_sources_in_the_order_of_its_columns(registry: ArtifactRegistry) -> None:
    stack = StackingClassifier(
        [
            ("tree", DecisionTreeClassifier(max_depth=2)),
            ("gone", "drop"),
            ("nb", make_pipeline(PCA(1), GaussianNB())),
        ],
        LogisticRegression(),
        passthrough=True,
        cv=2,
    )
    pipeline = make_pipeline(StandardScaler(), stack).fit(X, CLASSES)
    root = register_fitted(registry, pipeline)
    meta = next(each for each in registry.resolve_dependencies(root.artifact_id) if each.is_meta_model)
    assert meta.class_name == "LogisticRegression"
    assert meta.chain_path == (
        "s1.StandardScaler>s2.DecisionTreeClassifier[br=0]+s2.PCA[br=2]>s3.GaussianNB[br=2]>s4.LogisticRegression"
    )
    config = meta.meta_config
    assert config is not None
    sources = [registry.resolve(each) for each in config.source_ids]
    assert [each and each.class_name for each in sources] == ["DecisionTreeClassifier"] * 3 + ["Pipeline"] * 3
    assert [each["feature_index"] for each in config.source_models] == list(range(6))
    names = [f"stackingclassifier_{name}{index}" for name in ("tree", "nb") for index in range(3)]
    assert config.feature_columns == names
    direct = [registry.resolve(each) for each in meta.depends_on]
    assert {each.class_name for each in direct if each} == {
        "DecisionTreeClassifier",
        "Pipeline",
        "StandardScaler",
    }


def test_a_stack_of_fitted_models_keeps_who_is_who(registry: ArtifactRegistry) -> None:
    ridge = Ridge().fit(X, Y)
    stack = StackingRegressor([("a", ridge), ("b", flat())], cv="prefit").fit(X, Y)
    again = load_fitted(registry, register_fitted(registry, stack).artifact_id)
    assert again.estimators[0][1] is again.estimators_[0] is again.named_estimators_["a"]
    assert np.array_equal(again.predict(X), stack.predict(X))


def test_params_versions_and_data_are_in_every_record(registry: ArtifactRegistry) -> None:
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    search = GridSearchCV(make_pipeline(StandardScaler(), Ridge()), {"ridge__alpha": [0.1, 10.0]}, cv=2)
    root = register_fitted(
        registry, search.fit(frame, Y), frame, Y, params={"note": "first"}, custom_name="best"
    )
    ridge = next(each for each in registry.get_all_records() if each.class_name == "Ridge")
    assert ridge.params["alpha"] == search.best_params_["ridge__alpha"]
    assert ridge.custom_name == "best_estimator__ridge"
    assert root.params["estimator__steps"] == [["standardscaler", "StandardScaler"], ["ridge", "Ridge"]]
    assert root.params["@best"]["params"] == search.best_params_
    assert (root.custom_name, root.params["note"]) == ("best", "first")
    for record in (ridge, root):
        assert record.params["@versions"].keys() == {"python", "scikit-learn", "numpy", "scipy", "joblib"}
        assert record.params["@data"]["X"]["columns"] == ["a", "b", "c"]
        assert record.params["@data"]["y"]["shape"] == [40]


# what comes back


def compared(registry: ArtifactRegistry, estimator: Any) -> Any:
    """It back, after the comparison."""
    record = register_fitted(registry, estimator)
    again = load_fitted(registry, record.artifact_id)
    assert type(again) is type(estimator)
    assert repr(again) == repr(estimator)
    assert vars(again).keys() == vars(estimator).keys()
    assert np.array_equal(outcome(again), outcome(estimator))
    assert len(registry.resolve_dependencies(record.artifact_id)) == len(parts(estimator)) - 1
    return again


@pytest.mark.parametrize(
    ("make", "target", "inner"),
    [
        (lambda: MultiOutputRegressor(flat()), SEVERAL, 3),
        (lambda: RegressorChain(Ridge()), SEVERAL, 3),
        (lambda: ClassifierChain(GaussianNB()), np.column_stack([BINARY, 1 - BINARY]), 2),
        (lambda: CalibratedClassifierCV(make_pipeline(StandardScaler(), GaussianNB()), cv=2), CLASSES, 2),
        (lambda: CalibratedClassifierCV(GaussianNB(), ensemble=False, cv=2), CLASSES, 1),
        (lambda: TunedThresholdClassifierCV(GaussianNB(), cv=2), BINARY, 1),
        (lambda: FixedThresholdClassifier(GaussianNB()), BINARY, 1),
        (lambda: SelfTrainingClassifier(GaussianNB()), np.where(X[:, 1] > 1, -1, BINARY), 1),
        (lambda: RFECV(Ridge(), cv=2), Y, 1),
        (lambda: FrozenEstimator(flat()), Y, 1),
        (lambda: VotingClassifier([("a", GaussianNB()), ("b", "drop"), ("c", GaussianNB())]), CLASSES, 2),
        (lambda: GridSearchCV(flat(), {"ridge__alpha": [1, 2]}, cv=2), Y, 1),
        (lambda: HalvingGridSearchCV(Ridge(), {"alpha": [1, 2, 3]}, cv=2, random_state=0), Y, 1),
        (lambda: Doubling(Ridge()), Y, 2),
        (lambda: make_pipeline(Plain(), Ridge()), Y, 2),
        (lambda: make_pipeline(Plain(), BaggingRegressor(Ridge(), 3)), Y, 2),
    ],
)
def test_every_kind_comes_back(
    registry: ArtifactRegistry, make: Callable[[], Any], target: Any, inner: int
) -> None:
    estimator = make().fit(X, target)
    assert len(parts(estimator)[-1].members) == inner
    compared(registry, estimator)


def test_attributes_come_back(registry: ArtifactRegistry) -> None:
    frame = pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "c": np.where(X[:, 2] > 0, "x", "y")})
    columns = ColumnTransformer(
        [("num", StandardScaler(), ["a"]), ("cat", OneHotEncoder(), ["c"])], remainder="passthrough"
    )
    search = GridSearchCV(Pipeline([("ct", columns), ("m", Ridge())]), {"m__alpha": [1.0, 2.0]}, cv=2)
    search.fit(frame, Y)
    again = load_fitted(registry, register_fitted(registry, search, frame, Y).artifact_id)
    assert again.feature_names_in_.tolist() == ["a", "b", "c"]
    ct, before = again.best_estimator_.named_steps["ct"], search.best_estimator_.named_steps["ct"]
    assert ct.get_feature_names_out().tolist() == before.get_feature_names_out().tolist()
    assert ct.named_transformers_["num"].mean_ == before.named_transformers_["num"].mean_
    assert again.cv_results_.keys() == search.cv_results_.keys()
    assert all(np.array_equal(again.cv_results_[key], found) for key, found in search.cv_results_.items())
    assert np.array_equal(again.predict(frame), search.predict(frame))


def test_steps_from_a_cache_are_parts(registry: ArtifactRegistry, tmp_path: Path) -> None:
    memory = joblib.Memory(tmp_path / "cache", verbose=0)
    for _ in range(2):  # the second time they come out of the cache
        pipeline = make_pipeline(StandardScaler(), PCA(2), Ridge(), memory=memory).fit(X, Y)
        assert paths(pipeline) == [*FLAT, f"{FLAT[2]}>s4.Pipeline"]
        compared(registry, pipeline)


def test_a_class_of_the_script_comes_back(registry: ArtifactRegistry) -> None:
    scope: dict[str, Any] = {"__name__": "__main__", "FunctionTransformer": FunctionTransformer}
    exec("t = FunctionTransformer(lambda x: x * 2)", scope)  # noqa: S102 - as a notebook would
    pipeline = make_pipeline(scope["t"], Ridge()).fit(X, Y)
    record = register_fitted(registry, pipeline)
    assert np.array_equal(load_fitted(registry, record.artifact_id).predict(X), pipeline.predict(X))


def test_a_part_is_loaded_alone(registry: ArtifactRegistry) -> None:
    stack = StackingRegressor([("a", make_pipeline(StandardScaler(), Ridge())), ("b", Ridge())], cv=2).fit(
        X, Y
    )
    register_fitted(registry, stack)
    record = registry.get_by_chain("s1.StandardScaler[br=0]>s2.Ridge[br=0]>s4.Pipeline[br=0]")
    assert record is not None
    again = load_fitted(registry, record.artifact_id)
    assert np.array_equal(again.predict(X), stack.estimators_[0].predict(X))


def test_a_skeleton_says_how_to_get_the_whole(registry: ArtifactRegistry) -> None:
    record = register_fitted(registry, flat())
    with pytest.warns(
        UserWarning, match=r"Pipeline without its parts.*load_fitted\(.*gives the whole"
    ) as told:
        skeleton = registry.load(record.artifact_id)
    call = str(told[0].message).partition(": chainfold.integrations.sklearn.")[2].partition(" gives")[0]
    again = eval(call, {"load_fitted": load_fitted, "registry": registry})  # noqa: S307 - the warning's own words
    assert again.predict(X).tobytes() == flat().predict(X).tobytes()
    for part in registry.resolve_dependencies(record.artifact_id):
        registry.load(part.artifact_id)  # without a warning: it is whole
    assert [step for _, step in skeleton.steps] == [Reference(0), Reference(1), Reference(2)]
    with pytest.raises(AttributeError, match="load_fitted gives the whole"):
        skeleton[-1].predict(X)


# one file for equal bytes


def test_equal_parts_are_one_file(registry: ArtifactRegistry) -> None:
    scaler = StandardScaler()
    register_fitted(registry, make_pipeline(scaler, Ridge()).fit(X, Y), pipeline_id="first")
    before = registry.get_stats()["disk_file_count"]
    register_fitted(registry, make_pipeline(scaler, Ridge(3)).fit(X, Y), pipeline_id="second")
    assert (
        registry.get_stats()["disk_file_count"] == before + 1
    )  # the other Ridge: scaler and skeleton are equal
    register_fitted(registry, make_pipeline(scaler, Ridge(3)).fit(X, Y), pipeline_id="second", fold_id=1)
    assert registry.get_stats()["disk_file_count"] == before + 1


# the past


def test_the_past_is_loaded_from_the_past(registry: ArtifactRegistry) -> None:
    first, second = flat(), flat().fit(X[:20], Y[:20])
    record = register_fitted(registry, first)
    moment = registry.position
    assert register_fitted(registry, second).artifact_id == record.artifact_id
    then = load_fitted(registry.as_of(moment), record.artifact_id)
    now = load_fitted(registry, record.artifact_id)
    assert np.array_equal(then.predict(X), first.predict(X))
    assert np.array_equal(now.predict(X), second.predict(X))


def test_what_supersedes_a_part_alone_does_not_get_into_the_whole(registry: ArtifactRegistry) -> None:
    pipeline = flat()
    record = register_fitted(registry, pipeline)
    registry.register_with_chain(StandardScaler().fit(X * 9), FLAT[0], "transformer", 1)
    assert np.array_equal(load_fitted(registry, record.artifact_id).predict(X), pipeline.predict(X))


def test_a_second_whole_that_takes_over_parts_of_the_first_is_warned_of(registry: ArtifactRegistry) -> None:
    """The first is still loaded from its own parts."""
    first = make_pipeline(StandardScaler(), Ridge()).fit(X, Y)
    second = make_pipeline(StandardScaler(), Lasso()).fit(X * 10, Y)
    one = register_fitted(registry, first)
    with pytest.warns(UserWarning, match="a pipeline_id of its own") as caught:
        other = register_fitted(registry, second)
    assert one.artifact_id in str(caught[0].message)
    assert caught[0].filename == __file__
    for record, whole in ((one, first), (other, second)):
        assert np.array_equal(load_fitted(registry, record.artifact_id).predict(X), whole.predict(X))


def test_a_warning_made_an_error_leaves_the_first_as_it_was(registry: ArtifactRegistry) -> None:
    register_fitted(registry, make_pipeline(StandardScaler(), Ridge()).fit(X, Y))
    before = registry.get_all_records()
    with pytest.raises(UserWarning, match="this supersedes"):  # as all warnings are in these tests
        register_fitted(registry, make_pipeline(StandardScaler(), Lasso()).fit(X * 10, Y))
    assert registry.get_all_records() == before


def test_the_same_whole_again_and_equal_parts_are_not_warned_of(registry: ArtifactRegistry) -> None:
    """Warnings are errors in these tests: training anew, each fold, a scaler that two pipelines share."""
    scaler = StandardScaler()
    for rows in (len(X), 20):
        register_fitted(registry, flat().fit(X[:rows], Y[:rows]))
    for fold, rows in enumerate((30, 20)):
        register_fitted(registry, flat().fit(X[:rows], Y[:rows]), fold_id=fold)
    register_fitted(registry, make_pipeline(scaler, Ridge()).fit(X, Y), pipeline_id="shared")
    register_fitted(registry, make_pipeline(scaler, Lasso()).fit(X, Y), pipeline_id="shared")


def test_it_moves_to_another_workspace(registry: ArtifactRegistry, tmp_path: Path) -> None:
    pipeline = flat()
    record = register_fitted(registry, pipeline)
    with ArtifactRegistry(tmp_path / "other", "wheat") as other:
        other.import_from_manifest(registry.export_to_manifest(), registry.binaries_dir)
        assert np.array_equal(load_fitted(other, record.artifact_id).predict(X), pipeline.predict(X))


def test_a_part_that_is_gone_is_named(registry: ArtifactRegistry) -> None:
    record = register_fitted(registry, flat())
    registry.delete_pipeline_artifacts(PIPELINE, delete_files=True)
    with pytest.raises(NotFoundError, match="no live artifact"):
        load_fitted(registry, record.artifact_id)
    again = register_fitted(registry, flat())
    scaler = registry.resolve_dependencies(again.artifact_id)[0]
    (registry.binaries_dir / scaler.path).unlink()
    with pytest.raises(BlobNotFoundError, match="StandardScaler"):
        load_fitted(registry, again.artifact_id)
    register_fitted(registry, flat())  # it heals


@pytest.mark.parametrize(
    ("said", "error", "message"),
    [
        ("all", InvalidInputError, "no source for each"),
        (["a", "b"], InvalidInputError, "no source for each"),
        (["a"], NotFoundError, "gone"),
    ],
)
def test_records_that_are_not_ours_are_refused(
    registry: ArtifactRegistry, said: Any, error: type[Exception], message: str
) -> None:
    registry.register([Reference(5)], "0001:0:all", "model", depends_on=["gone"], params={"@parts": said})
    with pytest.raises(error, match=message):
        load_fitted(registry, "0001:0:all")


# nothing half done


class Locked(TransformerMixin, BaseEstimator):  # type: ignore[misc] # scikit-learn has no types
    """Fitted, it holds what nothing stores."""

    def fit(self, X: Any, y: Any = None) -> "Locked":  # noqa: N803 - scikit-learn's own names
        self.lock_ = threading.Lock()
        return self

    def transform(self, X: Any) -> Any:  # noqa: N803 - likewise
        return X


@pytest.mark.parametrize(
    ("estimator", "place"),
    [
        (
            Pipeline([("a", StandardScaler()), ("b", Locked()), ("c", Ridge())]),
            "the part 'b' cannot be stored",
        ),
        (
            Pipeline([("a", FeatureUnion([("u", StandardScaler()), ("v", Locked())])), ("c", Ridge())]),
            "the part 'a__v' cannot be stored",
        ),
        (Locked(), "^cannot serialise .*Locked"),
    ],
)
def test_what_cannot_be_stored_is_named_by_its_place(
    registry: ArtifactRegistry, estimator: Any, place: str
) -> None:
    with pytest.raises(SerializationError, match=place) as refused:
        register_fitted(registry, estimator.fit(X, Y))
    assert "Locked: TypeError: cannot pickle" in str(refused.value)
    with pytest.raises(SerializationError, match="the estimator of fold 1 cannot be stored"):
        register_fitted(registry, [Ridge().fit(X, Y), Locked().fit(X, Y)])
    assert registry.get_all_records() == []


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (Ridge(), "not fitted: .*Ridge"),
        (make_pipeline(StandardScaler(), Ridge()), "not fitted: .*Pipeline"),
        (
            Pipeline([("a", StandardScaler().fit(X)), ("b", Ridge())]),
            "not fitted: .*Pipeline, whose step 'b' is not",
        ),
        (
            Pipeline([("a", StandardScaler()), ("b", Ridge().fit(X, Y))]),
            "not fitted: .*StandardScaler, named 'a'",
        ),
        ([flat(), Ridge()], "not fitted: .*Ridge, of fold 1"),
        (Ridge, "the class Ridge"),
        (3, "builtins.int"),
        ([], "empty list"),
        ({"test_score": [1]}, "return_estimator=True"),
        ([flat(), 3], "number 1 is builtins.int"),
    ],
)
def test_what_cannot_be_registered_is_refused(
    registry: ArtifactRegistry, estimator: Any, message: str
) -> None:
    with pytest.raises(InvalidInputError, match=message):
        register_fitted(registry, estimator)
    assert registry.position == 0


def test_a_list_has_folds_already(registry: ArtifactRegistry) -> None:
    with pytest.raises(InvalidInputError, match="give no fold_id"):
        register_fitted(registry, [flat()], fold_id=1)


def broken() -> Any:
    """Its second part cannot be stored."""
    pipeline = make_pipeline(StandardScaler(), MinMaxScaler(), Ridge()).fit(X, Y)
    pipeline.steps[1][1].lock = threading.Lock()
    return pipeline


def test_alone_it_is_all_or_nothing(registry: ArtifactRegistry) -> None:
    with pytest.raises(SerializationError, match="MinMaxScaler"):
        register_fitted(registry, broken())
    assert len(registry) == 0
    assert registry.get_stats()["disk_file_count"] == 0


def test_what_cannot_be_copied_is_told(registry: ArtifactRegistry) -> None:
    pipeline = flat()
    pipeline.lock = threading.Lock()
    with pytest.raises(SerializationError, match=r"cannot serialise .*\.Pipeline: .*_thread.lock"):
        register_fitted(registry, pipeline)
    assert len(registry) == 0


@pytest.mark.parametrize("kind", [KeepsMethod, HoldsItself, HoldsAnother, ReadsItsPart])
def test_what_cannot_do_without_its_parts_is_stored_in_one_piece(
    registry: ArtifactRegistry, kind: type[KeepsMethod]
) -> None:
    """pickle holds them: a method of a part, a cycle, a state that is taken by reading a part."""
    fitted = kind(Ridge()).fit(X, Y)
    record = register_fitted(registry, fitted, X, Y)
    assert type(load_fitted(registry, record.artifact_id)) is kind
    assert (load_fitted(registry, record.artifact_id).predict(X) == fitted.predict(X)).all()


def test_more_parts_than_an_entry_can_name_are_stored_in_one_piece(registry: ArtifactRegistry) -> None:
    many = MultiOutputRegressor(Ridge()).fit(X, np.tile(Y, (1_500, 1)).T)
    record = register_fitted(registry, many)
    assert len(registry) == 1
    assert (load_fitted(registry, record.artifact_id).predict(X) == many.predict(X)).all()


def test_very_many_parameters_do_not_hide_the_parts(registry: ArtifactRegistry) -> None:
    """Of a record's parameters 200,000 values are kept."""
    record = register_fitted(registry, flat(), X, Y, params={"rows": list(range(210_000))})
    assert {"@parts", "@versions", "@data"} <= set(record.params)
    assert (load_fitted(registry, record.artifact_id).predict(X) == flat().predict(X)).all()


@pytest.mark.parametrize("params", [3, "abc", {"@parts": ["x"]}])
def test_params_are_a_mapping_that_hides_nothing(registry: ArtifactRegistry, params: Any) -> None:
    with pytest.raises(InvalidInputError, match="params"):
        register_fitted(registry, Ridge().fit(X, Y), params=params)


def test_in_a_run_only_what_failed_is_taken_back(registry: ArtifactRegistry) -> None:
    with registry.run():
        kept = register_fitted(registry, flat(), pipeline_id="kept")
        with pytest.raises(SerializationError):
            register_fitted(registry, broken(), pipeline_id="broken")
        assert load_fitted(registry, kept.artifact_id).predict(X).shape == Y.shape
        assert {each.pipeline_id for each in registry.get_all_records()} == {"kept"}
    assert {each.pipeline_id for each in registry.get_all_records()} == {"kept"}


def test_a_copy_that_has_joined_a_run_takes_back_only_its_own(registry: ArtifactRegistry) -> None:
    with registry.run():
        kept = register_fitted(registry, flat())
        copy = pickle.loads(pickle.dumps(registry))
        with pytest.raises(SerializationError):
            register_fitted(copy, broken(), pipeline_id="broken")
        register_fitted(copy, flat(), pipeline_id="second")
        copy.close()
    assert len(registry) == 8
    assert load_fitted(registry, kept.artifact_id).predict(X).shape == Y.shape


@pytest.mark.parametrize("backend", ["loky", "threading"])
@pytest.mark.parametrize("within", [True, False], ids=["in a run", "alone"])
def test_workers_register_what_they_fit(registry: ArtifactRegistry, backend: str, *, within: bool) -> None:
    def work() -> Any:
        folds = (joblib.delayed(register_fitted)(registry, flat(), X, fold_id=fold) for fold in range(4))
        return joblib.Parallel(n_jobs=2, backend=backend)(folds)

    if within:
        with registry.run():
            records = work()
    else:
        records = work()
    assert [each.fold_id for each in registry.get_fold_models(PIPELINE, 4)] == list(range(4))
    for record in records:
        assert np.array_equal(load_fitted(registry, record.artifact_id).predict(X), flat().predict(X))


def test_a_thread_that_fails_takes_back_only_its_own(registry: ArtifactRegistry) -> None:
    def attempt(number: int) -> None:
        if number % 2:
            with pytest.raises(SerializationError):
                register_fitted(registry, broken(), pipeline_id=f"p{number}")
        else:
            register_fitted(registry, flat(), pipeline_id=f"p{number}")

    with registry.run():
        joblib.Parallel(n_jobs=4, backend="threading")(joblib.delayed(attempt)(number) for number in range(8))
    assert {each.pipeline_id for each in registry.get_all_records()} == {"p0", "p2", "p4", "p6"}
    assert len(registry) == 16
