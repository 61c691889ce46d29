"""CatBoost's own format: the estimator that was registered, with all it knew."""

import io
import zipfile
from pathlib import Path
from typing import Any, Final

import catboost as cb
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.pipeline import Pipeline
from tests.formats.laws import came_back, check_processes, check_refused, damaged, strangers

from chainfold.errors import SerializationError
from chainfold.serializers import deserialize, runs_code, serialize
from chainfold.serializers.archive import pack, unpack

X: Final = np.random.default_rng(0).normal(size=(60, 4))
Y: Final = X[:, 0] - X[:, 3]
NAMES: Final = np.array(["high", "low", "middle"])[(X[:, 1] > 0).astype(int) + (X[:, 2] > 0)]
SMALL: Final = {
    "iterations": 3,
    "depth": 2,
    "thread_count": 1,
    "random_seed": 0,
    "verbose": False,
    "allow_writing_files": False,
}
TABLE: Final = pd.DataFrame(X, columns=list("pqrs")).assign(kind=np.where(X[:, 0] > 0, "u", "v"))


def samples() -> dict[str, Any]:
    return {
        "regressor": cb.CatBoostRegressor(**SMALL).fit(X, Y),
        "classifier": cb.CatBoostClassifier(**SMALL, class_weights=[1, 2, 1]).fit(
            X, NAMES, eval_set=(X, NAMES)
        ),
        "ranker": cb.CatBoostRanker(**SMALL).fit(X, (Y > 0).astype(int), group_id=np.repeat([0, 1], 30)),
        "categories": cb.CatBoostRegressor(**SMALL).fit(TABLE, Y, cat_features=["kind"]),
        "plain": cb.CatBoost(SMALL).fit(X, Y),
        "unfitted": cb.CatBoostRegressor(**SMALL, l2_leaf_reg=3.5),
    }


def plain(found: Any) -> Any:
    """What was predicted: the bits of numbers, or names."""
    return found.tolist() if found.dtype == object else found.tobytes()


def test_features_of_texts_come_back() -> None:
    """What CatBoost writes of a model that it has read ends the process that reads it: that is refused."""
    texts = pd.DataFrame({"number": X[:, 0], "text": np.where(X[:, 1] > 0, "hello world", "foo bar")})
    model = cb.CatBoostClassifier(**SMALL, text_features=["text"]).fit(texts, (Y > 0).astype(int))
    with pytest.raises(SerializationError, match="CatBoost writes a model with features of texts once"):
        serialize(model, "catboost")
    for whole in (model, Pipeline([("none", "passthrough"), ("model", model)])):
        done = serialize(whole)
        assert done.format == "joblib"
        again = deserialize(done.data, done.format)
        assert plain(again.predict_proba(texts)) == plain(whole.predict_proba(texts))
        with pytest.raises(SerializationError, match="register the model as it was trained"):
            serialize(again)


def test_what_comes_back_is_what_was() -> None:
    for name, model in samples().items():
        again = came_back(model, "catboost")
        assert again.get_params() == model.get_params()
        if name != "unfitted":
            data = TABLE if name == "categories" else X
            assert plain(again.predict(data)) == plain(model.predict(data))
            assert again.feature_names_ == model.feature_names_
            assert again.get_all_params() == model.get_all_params()
            importances = [np.asarray(each.feature_importances_).tolist() for each in (again, model)]
            assert importances[0] == importances[1]


def test_a_classifier_knows_its_classes() -> None:
    model = samples()["classifier"]
    again = came_back(model, "catboost")
    assert again.classes_.tolist() == ["high", "low", "middle"]
    assert again.predict_proba(X).tobytes() == model.predict_proba(X).tobytes()
    assert again.best_iteration_ == model.best_iteration_


@given(st.integers(20, 60), st.integers(1, 4), st.floats(0.01, 1), st.integers(1, 4))
@settings(max_examples=15)
def test_hyperparameters(rows: int, columns: int, rate: float, depth: int) -> None:
    """Of any value and any size of data."""
    model = cb.CatBoostRegressor(**{**SMALL, "depth": depth, "learning_rate": rate})
    model.fit(X[:rows, :columns], Y[:rows])
    again = came_back(model, "catboost")
    assert again.get_params() == model.get_params()
    assert again.predict(X[:, :columns]).tobytes() == model.predict(X[:, :columns]).tobytes()


def test_other_processes(tmp_path: Path) -> None:
    """Also what is trained twice is equal: id and time that CatBoost gives each model are left out."""
    check_processes("tests.formats.test_catboost", tmp_path)


def test_metadata_of_one_s_own_are_kept() -> None:
    model = samples()["regressor"]
    model.get_metadata()["harvest"] = "2026"
    kept = dict(came_back(model, "catboost").get_metadata())
    expected = dict(model.get_metadata())
    assert {"model_guid", "train_finish_time"} == expected.keys() - kept.keys()
    assert kept.items() <= expected.items()
    assert kept["harvest"] == "2026"


def test_catboost_reads_the_trees(tmp_path: Path) -> None:
    model = samples()["regressor"]
    done = serialize(model)
    assert (done.format, done.extension, done.class_name) == ("catboost", "catboost.zip", "CatBoostRegressor")
    with zipfile.ZipFile(io.BytesIO(done.data)) as archive:
        archive.extract("model-0.cbm", tmp_path)
    read = cb.CatBoostRegressor().load_model(tmp_path / "model-0.cbm")
    assert read.predict(X).tobytes() == model.predict(X).tobytes()
    assert runs_code("catboost")


class Own(cb.CatBoostRegressor):  # type: ignore[misc]  # CatBoost has no types
    pass


class Metric:
    def evaluate(self, approxes: Any, target: Any, weight: Any) -> tuple[float, float]:
        return 0.0, 1.0

    def get_final_error(self, error: float, weight: float) -> float:
        return error

    def is_max_optimal(self) -> bool:
        return False


@pytest.mark.parametrize(
    "model",
    [Own(**SMALL).fit(X, Y), cb.CatBoostRegressor(**SMALL, eval_metric=Metric())],
    ids=["subclass", "metric"],
)
def test_the_rest_goes_through_joblib(model: Any) -> None:
    done = serialize(model)
    assert done.format == "joblib"
    assert type(deserialize(done.data, "joblib")) is type(model)
    with pytest.raises(SerializationError, match="as catboost"):
        serialize(model, "catboost")


SAMPLE: Final = serialize(samples()["regressor"]).data


@given(damaged(SAMPLE))
def test_damage_never_reaches_the_library(data: bytes) -> None:
    check_refused(data, "catboost")


@given(damaged(unpack(SAMPLE)["object.json"]))
def test_damaged_documents(document: bytes) -> None:
    check_refused(pack({**unpack(SAMPLE), "object.json": document}), "catboost")


@pytest.mark.parametrize(
    "data",
    [
        *strangers(),
        pack({}),
        pack({"object.json": b"{}"}),
        pack({"object.json": unpack(SAMPLE)["object.json"]}),
        pack(
            {
                **unpack(SAMPLE),
                "object.json": unpack(SAMPLE)["object.json"].replace(b"CatBoostRegressor", b"os"),
            }
        ),
    ],
)
def test_files_made_to_hurt(data: bytes) -> None:
    with pytest.raises(SerializationError, match="catboost"):
        deserialize(data, "catboost")
