"""LightGBM's own format: the estimator or booster that was registered, with all it knew."""

import io
import warnings
import zipfile
from pathlib import Path
from typing import Any, Final

import lightgbm as lgb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.formats.laws import came_back, check_processes, check_refused, damaged, strangers

from chainfold.errors import SerializationError
from chainfold.serializers import deserialize, runs_code, serialize
from chainfold.serializers.archive import pack, unpack

X: Final = np.random.default_rng(0).normal(size=(60, 4))
Y: Final = X[:, 0] - X[:, 3]
NAMES: Final = np.array(["high", "low", "middle"])[(X[:, 1] > 0).astype(int) + (X[:, 2] > 0)]
SMALL: Final = {"n_estimators": 3, "n_jobs": 1, "verbose": -1, "random_state": 0}


def samples() -> dict[str, Any]:
    watched = lgb.LGBMClassifier(**SMALL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what replaces it does not encode classes
        watched.fit(X, NAMES, eval_set=[(X, NAMES)], callbacks=[lgb.early_stopping(2, verbose=False)])
    return {
        "regressor": lgb.LGBMRegressor(**SMALL).fit(X, Y),
        "classifier": lgb.LGBMClassifier(**SMALL, class_weight="balanced").fit(X, NAMES),
        "watched": watched,
        "ranker": lgb.LGBMRanker(**SMALL).fit(X, (Y > 0).astype(int), group=[30, 30]),
        "booster": lgb.train({"verbose": -1, "num_threads": 1}, lgb.Dataset(X, Y), 3),
        "unfitted": lgb.LGBMRegressor(num_leaves=7, reg_alpha=float("inf")),
    }


def test_what_comes_back_is_what_was() -> None:
    for name, model in samples().items():
        again = came_back(model, "lightgbm")
        if name != "unfitted":
            assert again.predict(X).tobytes() == model.predict(X).tobytes()
        if name != "booster":
            assert again.get_params() == model.get_params()
            assert vars(again).keys() == vars(model).keys()


def test_a_classifier_knows_its_classes() -> None:
    model = samples()["watched"]
    again = came_back(model, "lightgbm")
    assert again.classes_.tolist() == ["high", "low", "middle"]
    assert again.predict_proba(X).tobytes() == model.predict_proba(X).tobytes()
    assert again.evals_result_ == model.evals_result_
    assert again.best_iteration_ == model.best_iteration_
    assert again.best_score_ is again.booster_.best_score  # what was one object still is
    assert again.feature_name_ == model.feature_name_


@given(
    st.integers(20, 60),
    st.integers(1, 4),
    st.sampled_from(["gbdt", "dart", "rf"]),
    st.floats(0.01, 1),
    st.integers(2, 40),
)
@settings(max_examples=15)
def test_hyperparameters(rows: int, columns: int, kind: str, rate: float, leaves: int) -> None:
    """Of any value and any size of data."""
    model = lgb.LGBMRegressor(
        **SMALL,
        boosting_type=kind,
        learning_rate=rate,
        num_leaves=leaves,
        subsample=0.7,
        subsample_freq=1,
    ).fit(X[:rows, :columns], Y[:rows])
    again = came_back(model, "lightgbm")
    assert again.get_params() == model.get_params()
    assert again.predict(X[:, :columns]).tobytes() == model.predict(X[:, :columns]).tobytes()


def test_other_processes(tmp_path: Path) -> None:
    check_processes("tests.formats.test_lightgbm", tmp_path)


def test_lightgbm_reads_the_trees() -> None:
    model = samples()["regressor"]
    done = serialize(model)
    assert (done.format, done.extension, done.class_name) == ("lightgbm", "lightgbm.zip", "LGBMRegressor")
    assert done.format_version == f"lightgbm=={lgb.__version__}"
    with zipfile.ZipFile(io.BytesIO(done.data)) as archive:
        booster = lgb.Booster(model_str=archive.read("model-0.txt").decode())
    assert booster.predict(X).tobytes() == model.predict(X).tobytes()
    assert runs_code("lightgbm")


class Own(lgb.LGBMRegressor):  # type: ignore[misc]  # LightGBM has no types
    pass


def by_hand(y_true: Any, y_pred: Any) -> Any:
    return y_pred - y_true, np.ones_like(y_true)


@pytest.mark.parametrize(
    "model",
    [
        Own(**SMALL).fit(X, Y),
        lgb.LGBMRegressor(**SMALL, objective=by_hand).fit(X, Y),
        lgb.LGBMRegressor(**{**SMALL, "random_state": np.random.RandomState(0)}),
    ],
    ids=["subclass", "objective", "random state"],
)
def test_the_rest_goes_through_joblib(model: Any) -> None:
    done = serialize(model)
    assert done.format == "joblib"
    assert type(deserialize(done.data, "joblib")) is type(model)
    with pytest.raises(SerializationError, match="as lightgbm"):
        serialize(model, "lightgbm")
    assert serialize(lgb.LGBMRegressor(), "joblib").format == "joblib"


SAMPLE: Final = serialize(samples()["regressor"]).data


@given(damaged(SAMPLE))
def test_damage_never_reaches_the_library(data: bytes) -> None:
    check_refused(data, "lightgbm")


@given(damaged(unpack(SAMPLE)["object.json"]))
def test_damaged_documents(document: bytes) -> None:
    check_refused(pack({**unpack(SAMPLE), "object.json": document}), "lightgbm")


@pytest.mark.parametrize(
    "data",
    [
        *strangers(),
        pack({}),
        pack({"object.json": b"{}"}),
        pack({"object.json": unpack(SAMPLE)["object.json"]}),
        pack(
            {**unpack(SAMPLE), "object.json": unpack(SAMPLE)["object.json"].replace(b"LGBMRegressor", b"os")}
        ),
    ],
)
def test_files_made_to_hurt(data: bytes) -> None:
    with pytest.raises(SerializationError, match="lightgbm"):
        deserialize(data, "lightgbm")
