"""skops, when it is asked for: equal estimators are one file, and nothing in it runs."""

import io
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
import scipy.sparse as sp
import skops.io
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator
from sklearn.compose import make_column_transformer
from sklearn.cross_decomposition import PLSRegression
from sklearn.ensemble import GradientBoostingRegressor, RandomForestRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import SVR
from tests.formats.laws import came_back, check_processes, check_refused, damaged, strangers

from chainfold.errors import SerializationError
from chainfold.serializers import deserialize, runs_code, serialize
from chainfold.serializers.archive import pack, unpack

HINT: Final = "skops"
X: Final = np.random.default_rng(0).normal(size=(40, 5))
Y: Final = X[:, 0] - X[:, 3]


def samples() -> dict[str, Any]:
    return {
        "pipeline": make_pipeline(StandardScaler(), PLSRegression(2)).fit(X, Y),
        "columns": make_column_transformer((StandardScaler(), [0, 1])).fit(X),
        "forest": RandomForestRegressor(3, random_state=0, n_jobs=1).fit(X, Y),
        "boosting": GradientBoostingRegressor(n_estimators=2, random_state=0).fit(X, Y),
        "svr": SVR().fit(X, Y),
        "texts": OneHotEncoder().fit(np.array([["cat"], ["dog"]], dtype=object)),
    }


def test_what_predicts_predicts_the_same_bits() -> None:
    for name, model in samples().items():
        again = came_back(model, "skops", "skops")
        if hasattr(model, "predict"):
            assert again.predict(X).tobytes() == model.predict(X).tobytes(), name
    assert serialize(model).format == "joblib"  # the default stays


@given(st.integers(5, 30), st.integers(1, 4), st.floats(0.01, 100), st.booleans())
@settings(max_examples=20)
def test_hyperparameters(rows: int, columns: int, alpha: float, intercept: bool) -> None:  # noqa: FBT001
    """Of any value and any size of data: fitted twice they are one file, and come back as they were."""
    x = X[:rows, :columns]
    model, twin = (Ridge(alpha, fit_intercept=intercept).fit(x, Y[:rows]) for _ in range(2))
    assert serialize(model, "skops").data == serialize(twin, "skops").data
    again = came_back(model, "skops", "skops")
    assert again.get_params() == model.get_params()
    assert again.predict(x).tobytes() == model.predict(x).tobytes()


def test_other_processes(tmp_path: Path) -> None:
    check_processes("tests.formats.test_skops", tmp_path)


def test_sets_come_in_one_order() -> None:
    def holding(words: list[str]) -> Any:
        model = Ridge()
        model.words_ = set(words)
        model.sparse_ = sp.csr_matrix(np.eye(2))
        return model

    words = [str(number) for number in range(50)]
    with pytest.raises(SerializationError, match="csr_matrix"):
        serialize(holding(words), "skops")
    one, other = holding(words), holding(words[::-1])
    del one.sparse_, other.sparse_
    assert serialize(one, "skops").data == serialize(other, "skops").data
    assert came_back(one, "skops", "skops").words_ == set(words)


def test_skops_reads_the_file() -> None:
    done = serialize(Ridge().fit(X, Y), "skops")
    assert (done.format, done.extension, done.class_name) == ("skops", "skops", "Ridge")
    assert skops.io.loads(done.data).predict(X).tobytes() == Ridge().fit(X, Y).predict(X).tobytes()
    assert not runs_code("skops")


class Own(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    pass


@pytest.mark.parametrize(
    ("obj", "words"),
    [
        (Own(), "Own: such objects could run code"),
        (make_pipeline(Own()), "Own"),
        (KNeighborsRegressor(algorithm="kd_tree").fit(X, Y), "KDTree"),
        (FunctionTransformer(print), "print|skops"),
        (lambda: 0, "skops"),
    ],
)
def test_what_could_run_code_is_refused(obj: Any, words: str) -> None:
    with pytest.raises(SerializationError, match=words):
        serialize(obj, "skops")


FOREST: Final = serialize(
    RandomForestRegressor(1, max_depth=2, random_state=0, n_jobs=1).fit(X, Y), "skops"
).data


@given(damaged(FOREST))
def test_damage(data: bytes) -> None:
    check_refused(data, "skops")


@given(damaged(unpack(FOREST)["schema.json"]))
def test_damaged_schemas(schema: bytes) -> None:
    check_refused(pack({**unpack(FOREST), "schema.json": schema}), "skops")


def tree_nodes() -> str:
    """The member with the nodes of the tree."""
    return next(name for name, data in unpack(FOREST).items() if b"left_child" in data[:200])


def misled(change: Callable[[Any], None]) -> bytes:
    members = unpack(FOREST)
    nodes = np.load(io.BytesIO(members[tree_nodes()]))
    change(nodes)
    buffer = io.BytesIO()
    np.save(buffer, nodes)
    return pack({**members, tree_nodes(): buffer.getvalue()})


def put(field: str, value: int) -> Callable[[Any], None]:
    def change(nodes: Any) -> None:
        nodes[field][0] = value

    return change


def aliased() -> bytes:
    """The good nodes, under a number that was given to others before."""
    members = unpack(misled(put("feature", 10**6)))
    schema = json.loads(members["schema.json"])
    members["good.npy"] = unpack(FOREST)[tree_nodes()]
    text = json.dumps(schema)
    at = text.index(f'"{tree_nodes()}"')
    node = json.loads(text[text.rindex("{", 0, at) : text.index("}", at) + 1])
    schema["content"]["content"] = {"first": node, **schema["content"]["content"]}
    later = json.dumps(schema).rpartition(f'"{tree_nodes()}"')
    return pack({**members, "schema.json": f'{later[0]}"good.npy"{later[2]}'.encode()})


def otherwise_made() -> bytes:
    members = unpack(misled(put("feature", 10**6)))
    schema = members["schema.json"].replace(b'"TreeNode"', b'"LossNode"')
    assert schema != members["schema.json"]
    return pack({**members, "schema.json": schema})


def naming(module: str, name: str) -> bytes:
    node = {"__class__": name, "__module__": module, "__loader__": "FunctionNode", "content": name}
    return pack({"schema.json": json.dumps({**node, "protocol": 1, "_skops_version": "0.11"}).encode()})


class Trap:
    def __reduce__(self) -> Any:
        return pytest.fail, ("it was unpickled",)


def archived(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=True, **arrays)
    return buffer.getvalue()


def with_array(content: bytes, name: str = "1.npy") -> bytes:
    """A model of which one array is in another file, whatever that is called."""
    members = unpack(serialize(Ridge().fit(X, Y), "skops").data)
    schema = members.pop("schema.json").replace(b'"1.npy"', f'"{name}"'.encode())
    return pack({"schema.json": schema, **members, name: content})


@pytest.mark.parametrize("name", ["1.npy", "1.npz", "1.bin"])
@pytest.mark.parametrize(
    "content",
    [
        archived(a=np.zeros(10**6)),
        archived(a=np.array([Trap()], dtype=object)),
        pack({"a.npy": serialize(X).data}),
        pack({"a.npy": serialize(X).data[:128] + b"too short"}),
        serialize(X).data.replace(b"(40, 5), } ", b"(40, 99), }"),
        pickle.dumps(Trap()),
    ],
    ids=["compressed", "objects", "zip", "short", "huge", "pickle"],
)
def test_arrays_are_told_by_content(content: bytes, name: str) -> None:
    """numpy goes by what is in a file: by no name is anything read that is not one array, whole."""
    with pytest.raises(SerializationError, match="skops"):
        deserialize(with_array(content, name), "skops")


def test_the_array_itself_is_read_by_any_name() -> None:
    good = unpack(serialize(Ridge().fit(X, Y), "skops").data)["1.npy"]
    assert deserialize(with_array(good, "1.bin"), "skops").coef_.shape == (5,)


@pytest.mark.parametrize(
    "data",
    [
        *strangers(),
        misled(put("left_child", 10**9)),
        misled(put("right_child", -7)),
        misled(put("left_child", 0)),
        misled(put("feature", 10**6)),
        misled(put("feature", -3)),
        aliased(),
        otherwise_made(),
        naming("os", "system"),
        naming("builtins", "exec"),
        pack({"schema.json": b"[" * 100_000}),
        pack({"schema.json": b"{}"}),
        pack({}),
    ],
)
def test_files_made_to_hurt(data: bytes) -> None:
    with pytest.raises(SerializationError, match="skops"):
        deserialize(data, "skops")


def test_classes_and_probabilities() -> None:
    model = LogisticRegression().fit(X, np.where(Y > 0, "high", "low"))
    again = came_back(model, "skops", "skops")
    assert again.classes_.tolist() == ["high", "low"]
    assert again.predict_proba(X).tobytes() == model.predict_proba(X).tobytes()
