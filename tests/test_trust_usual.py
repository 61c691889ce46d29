"""What pickling writes of plain values, arrays and estimators loads without permission, and is equal."""

import ast
import collections
import datetime as dt
import decimal
import fractions
import functools
import io
import pathlib
import pickle
import re
import types
import uuid
import warnings
import zoneinfo
from typing import Any, Final

import joblib
import numpy as np
import pytest
import scipy.sparse
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays, nested_dtypes
from numpy.polynomial import Polynomial
from scipy.interpolate import CubicSpline, RBFInterpolator
from scipy.spatial import KDTree
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.linear_model import Ridge
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.model_selection import KFold, RandomizedSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils import Bunch, all_estimators

from chainfold.errors import UntrustedError
from chainfold.trust import Trust

X: Final = np.random.default_rng(0).random((40, 3))
Y: Final = (np.median(X[:, 0]) < X[:, 0]).astype(int)
NESTED: Final = np.zeros(2, dtype=[("a", "f8"), ("b", "U3"), ("c", ">M8[s]", (2,))])

MASKED: Final[Any] = np.ma.array
ARRAY: Final[Any] = np.array
VALUES: Final = {
    "date": dt.date(2026, 1, 1),
    "moment": dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    "moment of a zone": dt.datetime(2026, 1, 1, tzinfo=zoneinfo.ZoneInfo("UTC")),
    "time": dt.time(3, 4),
    "zone": dt.timezone(dt.timedelta(hours=1), "x"),
    "decimal": decimal.Decimal("1.5"),
    "fraction": fractions.Fraction(1, 3),
    "uuid": uuid.UUID(int=7),
    "counter": collections.Counter("aab"),
    "ordered": collections.OrderedDict(a=1),
    "default": collections.defaultdict(list, {1: [2]}),
    "deque": collections.deque([1, [2]], 9),
    "namespace": types.SimpleNamespace(a=1),
    "path": pathlib.PurePosixPath("a/b"),
    "bytearray": bytearray(b"abc"),
    "bytes": [b"", b"abc"],
    "complex": 1j,
    "sets": [{1, (2, 3)}, frozenset([1, "a", None])],
    "range": range(3),
    "slice": slice(1, None),
    "singletons": [..., NotImplemented, type(None), type(...)],
    "partial": functools.partial(int, base=2),
    "matrix": np.matrix([[1.0]]),
    "records": ARRAY([(1, 2.0)], dtype="i4,f8").view(np.recarray),
    "nested": NESTED,
    "an element": NESTED[0],
    "objects": np.array([1, "a", None, [2]], dtype=object),
    "fields of objects": ARRAY([(1, "a")], dtype=[("a", "O"), ("b", "U2")]),
    "fields beside objects": ARRAY(
        [(None, [1.5, 2.0], (3, b"x"), "2026-01-01")],
        [("a", "O"), ("b", "f8", (2,)), ("c", [("d", "i4"), ("e", "S2")]), ("f", "M8[D]")],
    ),
    "subarrays of objects": np.zeros(2, dtype=[("o", "O", (2,))]),
    "masked": np.ma.masked_equal([1, 2, 3], 2),
    "masked objects": MASKED([1, None], mask=[0, 1], dtype=object),
    "masked fields": MASKED([(1, 2.0)], mask=[(0, 1)], dtype=[("a", "i4"), ("b", "f8")]),
    "numbers": [np.float32(1), np.longdouble(1), np.complex64(1), np.bool_(1), np.str_("a"), np.bytes_(b"a")],
    "moments": [np.datetime64("2026-01-01"), ARRAY("2026", "M8[25s]")[()], np.timedelta64(3, "h")],
    "dtypes": [
        NESTED.dtype,
        np.dtype({"names": ["a", "b"], "formats": ["i1", "f8"]}, align=True),
        np.dtype([(("title", "a"), "f8")]),
        np.dtype("f8", metadata={"a": 1}),
    ],
    "shapes": [np.zeros((0, 3)), np.array(3.0), np.ones((2, 3), order="F"), np.zeros(3, "S0")],
    "functions": [np.log1p, np.mean, scipy.special.expit],
    "polynomials": [Polynomial([1, 2]), np.poly1d([1, 2])],
    "generators": [np.random.default_rng(0), np.random.SeedSequence(3)],
    "sparse": [
        getattr(scipy.sparse, f"{kind}_array")(X) for kind in ("bsr", "coo", "csc", "csr", "dia", "lil")
    ],
    "sparse keys": scipy.sparse.dok_matrix(X),
    "distributions": [scipy.stats.norm, scipy.stats.uniform(0, 1), scipy.stats.randint(1, 5)],
    "results": [Bunch(a=1), scipy.stats.multivariate_normal([0, 0])],
    "spline": CubicSpline([1, 2, 3], [1, 2, 3]),
    "search": RandomizedSearchCV(Ridge(), {"alpha": scipy.stats.uniform(0, 1)}, n_iter=2).fit(X, Y),
    "scorer": make_scorer(accuracy_score),
    "kernels": GaussianProcessRegressor(RBF() + WhiteKernel()).fit(X, Y),
    "categories": HistGradientBoostingClassifier(max_iter=2, categorical_features=[2]).fit(
        np.c_[X[:, :2], Y], Y
    ),
    "columns": ColumnTransformer([("a", StandardScaler(), [0]), ("b", OneHotEncoder(), slice(1, 2))]).fit(X),
    "metric": KNeighborsClassifier(
        metric="mahalanobis", algorithm="ball_tree", metric_params={"V": np.cov(X.T)}
    ).fit(X, Y),
    "folds": KFold(3),
}  # fmt: skip


def pickled(value: Any, form: str, protocol: int) -> bytes:
    if form == "pickle":
        return pickle.dumps(value, protocol)
    file = io.BytesIO()
    joblib.dump(value, file, compress=3 if form == "compressed" else 0, protocol=protocol)
    return file.getvalue()


def stock(content: bytes, form: str) -> Any:
    """As Python or joblib load it: an oracle."""
    return pickle.loads(content) if form == "pickle" else joblib.load(io.BytesIO(content))


@pytest.mark.parametrize("protocol", range(2, 6))
@pytest.mark.parametrize("form", ["pickle", "joblib", "compressed"])
@pytest.mark.parametrize("name", VALUES)
def test_what_pickling_writes_loads_as_it_does_elsewhere(name: str, form: str, protocol: int) -> None:
    content = pickled(VALUES[name], form, protocol)
    found = Trust("listed").open(content, "joblib", "it", is_own=False)
    expected = stock(content, form)
    assert type(found) is type(expected)
    assert pickle.dumps(found) == pickle.dumps(expected)


@given(
    arrays(nested_dtypes(), array_shapes(max_dims=2, max_side=3)),
    st.sampled_from(["pickle", "joblib"]),
    st.integers(2, 5),
)
def test_arrays_of_all_dtypes_load(array: Any, form: str, protocol: int) -> None:
    content = pickled(array, form, protocol)
    found = Trust("listed").open(content, "joblib", "it", is_own=False)
    assert found.dtype in {array.dtype, stock(content, form).dtype}  # pickle turns it to this machine's order
    assert found.shape == array.shape
    assert pickle.dumps(found.tolist()) == pickle.dumps(array.tolist())


def fitted() -> list[Any]:
    """All estimators of scikit-learn that can be fitted to a small table as they are, or to one of these."""
    found = []
    tables = [(X, Y), (X,), (X, X), (X[:, 0], Y), (X[:, :1], Y), (["a b", "b c"] * 20,), ([{"a": 1}] * 40,)]
    for _, cls in all_estimators():
        for table in tables:
            try:
                found.append(cls().fit(*table))
                break
            except Exception:  # noqa: BLE001, S112 - it wants others, or parameters
                continue
    return found


def test_estimators_load_in_each_form() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        models = fitted()
        assert len(models) > 140
        for model in models:
            for form, protocol in (("pickle", 2), ("pickle", 5), ("joblib", 3), ("compressed", 5)):
                content = pickled(model, form, protocol)
                found = Trust("listed").open(content, "joblib", type(model).__name__, is_own=False)
                assert type(found) is type(model)
                assert found.get_params().keys() == model.get_params().keys()
                for verb in ("predict", "transform"):
                    if hasattr(model, verb) and getattr(model, "n_features_in_", 0) == X.shape[1]:
                        ours, theirs = getattr(model, verb)(X), getattr(found, verb)(X)
                        assert pickle.dumps(ours) == pickle.dumps(theirs)


OTHERS: Final = {
    "an expression": re.compile("a"),
    "a method of Python's": str.upper,
    "a function of Python's": np.vectorize(abs),
    "an error": ValueError("a"),
    "a regression": scipy.stats.linregress([1, 2, 3], [1, 2, 4]),
    "an interpolator": RBFInterpolator(X, Y),
    "a tree of scipy's": KDTree(X),
    "values of a distribution": scipy.stats.rv_discrete(values=([1, 2], [0.5, 0.5])),
}


@pytest.mark.parametrize("form", ["pickle", "joblib"])
@pytest.mark.parametrize("name", OTHERS)
def test_what_an_error_says_to_allow_lets_it_load(name: str, form: str) -> None:
    """Once, or a few times: what comes behind may be refused as well."""
    content, trust = pickled(OTHERS[name], form, 4), Trust("listed")
    for _ in range(5):
        try:
            found = trust.open(content, "joblib", "it", is_own=False)
            break
        except UntrustedError as error:
            call = re.search(r"call registry\.allow(\(.*\)) and load again", str(error))
            assert call is not None
            said = ast.literal_eval(call[1])
            trust.allow([said] if isinstance(said, str) else said)
    assert type(found) is type(OTHERS[name])


def ragged(count: int) -> Any:
    made = np.empty(count, dtype=object)
    made[:] = [np.arange(2.0)] * count
    return made


DEFAULT: Final[Any] = collections.defaultdict
MANY: Final[dict[str, Any]] = {
    "arrays of arrays": [ragged(3) for _ in range(1_500)],
    "rows with arrays": ARRAY([(np.arange(2.0), 1)] * 2_000, [("a", "O"), ("b", "i4")]),
    "deques with arrays": [collections.deque([np.arange(2.0)]) for _ in range(2_000)],
    "defaultdicts of defaultdicts": DEFAULT(list, {key: DEFAULT(list, {1: [key]}) for key in range(2_000)}),
    "counters": [collections.Counter(range(50)) for _ in range(3_000)],
    "sets": [set(range(50)) for _ in range(3_000)],
    "numbers as keys": [{0: key, (1, key): {2}} for key in range(5_000)],
    "dates": [dt.date(2026, 1, 1) + dt.timedelta(days) for days in range(5_000)],
    "generators": [np.random.default_rng(seed) for seed in range(1_000)],
}


@pytest.mark.parametrize("protocol", [2, 5])
@pytest.mark.parametrize("name", MANY)
def test_many_of_them_are_paid_for_by_their_bytes(name: str, protocol: int) -> None:
    content = pickle.dumps(MANY[name], protocol)
    found = Trust("listed").open(content, "pickle", "it", is_own=False)
    assert pickle.dumps(found) == pickle.dumps(pickle.loads(content))
