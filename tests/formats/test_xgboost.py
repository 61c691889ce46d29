"""XGBoost's own format: the estimator or booster that was registered, with all it knew."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any, Final

import joblib
import numpy as np
import pandas as pd
import pytest
import xgboost as xgb
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.formats.laws import came_back, check_processes, check_refused, damaged, strangers

from chainfold.errors import SerializationError
from chainfold.serializers import deserialize, runs_code, serialize
from chainfold.serializers.archive import pack, unpack

X: Final = np.random.default_rng(0).normal(size=(60, 4))
Y: Final = X[:, 0] - X[:, 3]
UP: Final = (X[:, 1] > 0).astype(int)
SMALL: Final = {"n_estimators": 3, "max_depth": 2, "n_jobs": 1, "random_state": 0}
TABLE: Final = pd.DataFrame(X, columns=list("pqrs")).assign(
    kind=pd.Categorical(np.where(X[:, 0] > 0, "u", "v"))
)


def samples() -> dict[str, Any]:
    watched = xgb.XGBRegressor(**SMALL, early_stopping_rounds=2).fit(X, Y, eval_set=[(X, Y)], verbose=False)
    names = xgb.DMatrix(X, Y, feature_names=list("pqrs"))
    booster = xgb.train({"eta": 0.1, "nthread": 1, "max_depth": 2}, names, 3)
    booster.set_attr(note="ours")
    return {
        "regressor": xgb.XGBRegressor(**SMALL).fit(X, Y),
        "classifier": xgb.XGBClassifier(**SMALL).fit(X, UP),
        "watched": watched,
        "ranker": xgb.XGBRanker(**SMALL).fit(X, UP, qid=np.repeat([0, 1], 30)),
        "forest": xgb.XGBRFClassifier(**SMALL).fit(X, UP),
        "linear": xgb.XGBRegressor(**SMALL | {"max_depth": None}, booster="gblinear").fit(X, Y),
        "categories": xgb.XGBRegressor(**SMALL, enable_categorical=True).fit(TABLE, Y),
        "booster": booster,
        "unfitted": xgb.XGBRegressor(max_depth=7),
    }


def test_what_comes_back_is_what_was() -> None:
    for name, model in samples().items():
        again = came_back(model, "xgboost")
        if name == "booster":
            names = xgb.DMatrix(X, feature_names=list("pqrs"))
            assert again.predict(names).tobytes() == model.predict(names).tobytes()
            assert (again.feature_names, again.attr("note")) == (list("pqrs"), "ours")
            assert again.save_config() == model.save_config()
            continue
        assert str(again.get_params()) == str(model.get_params())  # NaN is among them
        assert vars(again).keys() == vars(model).keys()
        if name != "unfitted":
            data = TABLE if name == "categories" else X
            assert again.predict(data).tobytes() == model.predict(data).tobytes()


def test_it_knows_its_classes_and_history() -> None:
    classifier = came_back(samples()["classifier"], "xgboost")
    assert classifier.classes_.tolist() == [0, 1]
    assert classifier.predict_proba(X).tobytes() == samples()["classifier"].predict_proba(X).tobytes()
    watched, again = samples()["watched"], came_back(samples()["watched"], "xgboost")
    assert again.evals_result() == watched.evals_result()
    assert again.best_iteration == watched.best_iteration
    assert again.feature_importances_.tobytes() == watched.feature_importances_.tobytes()


def test_training_goes_on_as_it_was_configured() -> None:
    model = samples()["booster"]
    again = came_back(model, "xgboost")
    names = xgb.DMatrix(X, Y, feature_names=list("pqrs"))
    for booster in (model, again):
        booster.update(names, 3)
    assert again.predict(names).tobytes() == model.predict(names).tobytes()


@given(
    st.integers(10, 60),
    st.integers(1, 4),
    st.sampled_from(["gbtree", "dart"]),
    st.floats(0.01, 1),
    st.integers(1, 5),
)
@settings(max_examples=15)
def test_hyperparameters(rows: int, columns: int, kind: str, rate: float, depth: int) -> None:
    """Of any value and any size of data."""
    chosen = {**SMALL, "max_depth": depth, "learning_rate": rate, "booster": kind}
    model = xgb.XGBRegressor(**chosen).fit(X[:rows, :columns], Y[:rows])
    again = came_back(model, "xgboost")
    assert str(again.get_params()) == str(model.get_params())
    assert again.predict(X[:, :columns]).tobytes() == model.predict(X[:, :columns]).tobytes()


def test_other_processes(tmp_path: Path) -> None:
    check_processes("tests.formats.test_xgboost", tmp_path)


def test_xgboost_reads_the_trees(tmp_path: Path) -> None:
    model = samples()["regressor"]
    done = serialize(model)
    assert (done.format, done.extension, done.class_name) == ("xgboost", "xgboost.zip", "XGBRegressor")
    with zipfile.ZipFile(io.BytesIO(done.data)) as archive:
        archive.extract("model-0.ubj", tmp_path)
    booster = xgb.Booster(model_file=tmp_path / "model-0.ubj")
    assert booster.predict(xgb.DMatrix(X)).tobytes() == model.predict(X).tobytes()
    assert runs_code("xgboost")


def test_a_configuration_of_another_version_is_told() -> None:
    model = samples()["regressor"]
    members = unpack(serialize(model).data)
    config = json.loads(members["config-0.json"])
    config["learner"]["gradient_booster"]["name"] = "gbnone"
    data = pack({**members, "config-0.json": json.dumps(config).encode()})
    with pytest.warns(RuntimeWarning, match="training cannot go on as it was configured"):
        again = deserialize(data, "xgboost")
    assert again.predict(X).tobytes() == model.predict(X).tobytes()


class Own(xgb.XGBRegressor):  # type: ignore[misc]  # XGBoost has no types
    pass


def by_hand(y_true: Any, y_pred: Any) -> Any:
    return y_pred - y_true, np.ones_like(y_true)


@pytest.mark.parametrize(
    "model",
    [Own(**SMALL).fit(X, Y), xgb.XGBRegressor(**SMALL, objective=by_hand).fit(X, Y)],
    ids=["subclass", "objective"],
)
def test_the_rest_goes_through_joblib(model: Any) -> None:
    done = serialize(model)
    assert done.format == "joblib"
    assert type(joblib.load(io.BytesIO(done.data))) is type(model)
    with pytest.raises(SerializationError, match="as xgboost"):
        serialize(model, "xgboost")


SAMPLE: Final = serialize(samples()["regressor"]).data


@given(damaged(SAMPLE))
def test_damage_never_reaches_the_library(data: bytes) -> None:
    check_refused(data, "xgboost")


@given(damaged(unpack(SAMPLE)["object.json"]))
def test_damaged_documents(document: bytes) -> None:
    check_refused(pack({**unpack(SAMPLE), "object.json": document}), "xgboost")


@pytest.mark.parametrize(
    "data",
    [
        *strangers(),
        pack({}),
        pack({"object.json": b"{}"}),
        pack({"object.json": unpack(SAMPLE)["object.json"]}),
        pack(
            {**unpack(SAMPLE), "object.json": unpack(SAMPLE)["object.json"].replace(b"XGBRegressor", b"os")}
        ),
    ],
)
def test_files_made_to_hurt(data: bytes) -> None:
    with pytest.raises(SerializationError, match="xgboost"):
        deserialize(data, "xgboost")
