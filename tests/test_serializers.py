"""What is loaded is what was serialised, in the format that the record names and in no other."""

import io
import math
import pickle
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, Final, Never

import cloudpickle
import joblib
import numpy as np
import numpy.typing as npt
import pytest
import sklearn
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_dtypes, array_shapes, arrays, nested_dtypes, scalar_dtypes
from sklearn.base import BaseEstimator, clone
from sklearn.cluster import KMeans
from sklearn.cross_decomposition import PLSRegression
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from chainfold.errors import InvalidInputError, NotFoundError, SerializationError
from chainfold.serializers import (
    Serializer,
    available_formats,
    choice,
    cloudpickle_format,
    deserialize,
    register_serializer,
    serialize,
    unregister_serializer,
)
from chainfold.serializers.plugins import Plugins

X = np.random.default_rng(0).normal(size=(60, 8))
Y = X[:, 0] - X[:, 3]
BUILT_IN = (
    "numpy_npy", "joblib", "pickle", "cloudpickle", "scipy_npz", "pandas_arrow", "torch", "torch_module",
    "keras", "xgboost", "lightgbm", "catboost", "onnx", "skops",
)  # fmt: skip

Array = npt.NDArray[Any]


def came_back(obj: Any, hint: str | None = None) -> Any:
    done = serialize(obj, hint)
    return deserialize(done.data, done.format)


# numpy arrays

DTYPES = st.one_of(
    scalar_dtypes(),
    nested_dtypes(),
    array_dtypes(scalar_dtypes(), allow_subarrays=True),
)
SHAPES = array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)


@given(DTYPES.flatmap(lambda dtype: arrays(dtype, SHAPES)), st.sampled_from("CF"), st.booleans())
def test_arrays_come_back_as_they_were(array: Array, order: Any, turned: bool) -> None:  # noqa: FBT001
    """Of any dtype, shape and order: equal bytes, dtype with byte order and names, shape and contiguity."""
    array = np.asarray(array, order=order)
    if turned:
        array = array.T
    done = serialize(array)
    again = deserialize(done.data, done.format)
    assert done.format == "numpy_npy"
    assert type(again) is np.ndarray
    assert again.dtype == array.dtype
    assert repr(again.dtype) == repr(array.dtype)
    assert again.shape == array.shape
    assert again.tobytes() == array.tobytes()
    assert again.flags.c_contiguous == array.flags.c_contiguous
    assert again.flags.f_contiguous == array.flags.f_contiguous
    assert again.flags.writeable
    assert again.flags.owndata or again.base is not None
    assert serialize(again).data == done.data


@st.composite
def dtypes_with_gaps(draw: st.DrawFn, depth: int = 2) -> np.dtype[Any]:
    """Fields one after the other, with bytes between and behind them that belong to none."""
    specs: list[Any] = ["i1", "<f8", ">i4", "S3", ("<i2", (2,)), ">c16", "g"]
    inner: st.SearchStrategy[Any] = st.sampled_from([np.dtype(each) for each in specs])
    if depth > 1:
        inner |= dtypes_with_gaps(depth - 1)
        inner |= dtypes_with_gaps(depth - 1).map(lambda dtype: np.dtype((dtype, (2,))))
    offsets, end, formats = [], 0, draw(st.lists(inner, min_size=1, max_size=3))
    for field in formats:
        offsets.append(end + draw(st.integers(0, 9)))
        end = offsets[-1] + field.itemsize
    names = [f"f{number}" for number in range(len(formats))]
    size = end + draw(st.integers(0, 9))
    fields: Any = {"names": names, "formats": formats, "offsets": offsets, "itemsize": size}
    made: np.dtype[Any] = np.dtype(fields)
    return made


def filled(dtype: np.dtype[Any], number: int) -> Any:
    """A value of a dtype, as Python has it: numpy writes it field by field."""
    if dtype.subdtype is not None:
        return [filled(dtype.base, number + each) for each in range(dtype.shape[0])]
    if dtype.names is None:
        return str(number).encode() if dtype.kind == "S" else number
    return tuple(filled(dtype[name], number + 7) for name in dtype.names)


@given(dtypes_with_gaps(), array_shapes(min_dims=0, max_dims=2, max_side=3), st.sampled_from("CF"))
def test_equal_arrays_are_equal_bytes_whatever_lies_between_fields(
    dtype: np.dtype[Any], shape: tuple[int, ...], order: Any
) -> None:
    made = []
    for memory in (b"\0", b"\xa5"):
        room = bytearray(memory * (dtype.itemsize * math.prod(shape)))
        array = np.ndarray(shape, dtype, room, order=order)
        for place in np.ndindex(shape):
            array[place] = filled(dtype, sum(place))
        made.append(array)
    one, other = map(serialize, made)
    assert one.format == "numpy_npy"
    assert one.data == other.data
    again = deserialize(one.data, one.format)
    assert again.dtype == dtype
    assert (again == made[1]).all()
    assert again.flags.f_contiguous == made[1].flags.f_contiguous
    assert serialize(again).data == one.data


@pytest.mark.skipif(np.finfo("g").nmant != 63, reason="only x87's long double has unused bytes")
@pytest.mark.parametrize("dtype", ["g", ">g", "G"])
def test_equal_long_doubles_are_equal_bytes(dtype: str) -> None:
    """x87 leaves six bytes of sixteen as they were."""
    made = []
    for memory in (0, 0xFF):
        array = np.array([1.5, -2.0], dtype)
        parts = array.view(np.uint8).reshape(-1, np.dtype("g").itemsize)
        parts[:, slice(-10) if dtype == ">g" else slice(10, None)] = memory
        made.append(array)
    assert made[0].tobytes() != made[1].tobytes()
    assert serialize(made[0]).data == serialize(made[1]).data
    assert came_back(made[1]).tolist() == [1.5, -2.0]


@pytest.mark.parametrize(
    "array",
    [
        np.array([1, None, {"a": 1}], dtype=object),
        np.zeros((2, 2)).view(np.matrix),
        np.ma.masked_array([1, 2], [False, True]),
        np.zeros(3, dtype=np.dtype("f8", metadata={"unit": "nm"})),
        np.zeros(3, dtype=[("a", np.dtype("f8", metadata={"unit": "nm"}))]),
        np.zeros(3, dtype=np.dtype([("a", "i1"), ("b", "f8")], align=True)),
        np.zeros(3, dtype=np.dtype((np.record, [("a", "i4")]))),
        np.zeros(3, dtype={"names": ["a", "b"], "formats": ["i4", "i2"], "offsets": [0, 2]}),
        np.array(["a", "bc"], dtype=np.dtypes.StringDType()),
        np.rec.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
        np.float64(1.5),
    ],
    ids=lambda array: f"{type(array).__name__}-{array.dtype}",
)
def test_what_npy_would_change_goes_through_pickle(array: Any) -> None:
    done = serialize(array)
    again = deserialize(done.data, done.format)
    assert done.format == "pickle"
    assert type(again) is type(array)
    assert again.dtype == array.dtype
    assert repr(again.dtype) == repr(array.dtype)
    assert again.tolist() == array.tolist()
    assert again.dtype.metadata == array.dtype.metadata
    with pytest.raises(SerializationError, match="npy"):
        serialize(array, "numpy")


def test_numpy_may_be_half_imported_by_another_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numpy", ModuleType("numpy"))
    assert serialize({"a": 1}).format == "pickle"


def test_a_dtype_with_a_long_header() -> None:
    array = np.zeros(2, dtype=[(f"wavelength é {number}", "f4") for number in range(2_000)])
    assert came_back(array).dtype == array.dtype
    assert serialize(array).format == "numpy_npy"


def test_npy_is_what_numpy_reads() -> None:
    done = serialize(np.arange(5))
    assert np.load(io.BytesIO(done.data)).tolist() == [0, 1, 2, 3, 4]
    assert (done.format, done.extension, done.class_name) == ("numpy_npy", "npy", "ndarray")
    assert done.format_version == f"numpy=={np.__version__}"


# Estimators


class Offset(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """An estimator of a module of one's own."""

    def __init__(self, by: float = 0.5) -> None:
        self.by = by

    def predict(self, x: Array) -> Array:
        return np.asarray(x[:, 0] + self.by)


class Duck:
    """Looks like an estimator, inherits from none."""

    def fit(self) -> None: ...
    def transform(self) -> None: ...


class NoDuck:
    """Has the names, but as data."""

    fit = None
    predict = None


@pytest.mark.parametrize(
    "model",
    [
        PLSRegression(3).fit(X, Y),
        RandomForestRegressor(10, random_state=0, n_jobs=1).fit(X, Y),
        make_pipeline(StandardScaler(), PLSRegression(2)).fit(X, Y),
        KMeans(3, n_init=1, random_state=0).fit(X),
        Offset(),
    ],
    ids=lambda model: type(model).__name__,
)
def test_estimators_predict_the_same_bits(model: Any) -> None:
    done = serialize(model)
    again = deserialize(done.data, done.format)
    assert done.format == "joblib"
    assert type(again) is type(model)
    assert again.get_params(deep=False).keys() == model.get_params(deep=False).keys()
    assert again.predict(X).tobytes() == model.predict(X).tobytes()
    assert type(joblib.load(io.BytesIO(done.data))) is type(model)
    assert serialize(model).data == done.data


@pytest.mark.parametrize(
    "model",
    [
        Ridge(),
        StandardScaler(),
        PLSRegression(2),
        RandomForestRegressor(5, random_state=0),
        KMeans(2, n_init=1),
    ],
    ids=lambda model: type(model).__name__,
)
@pytest.mark.parametrize("hint", [None, "joblib+zlib"])
def test_what_was_loaded_is_the_same_bytes(model: Any, hint: str | None) -> None:
    """And so is what is trained alike."""
    done, alike = (serialize(clone(model).fit(X[:, :3], Y), hint) for _ in range(2))
    again = deserialize(done.data, done.format)
    assert serialize(again, hint).data == done.data
    if not isinstance(model, KMeans):  # it is drawn at random
        assert alike.data == done.data


class Locked(Offset):
    """An estimator that cannot be loaded here."""

    def __setstate__(self, state: Any) -> None:
        raise OSError("the licence server is not to be reached")


def test_an_estimator_that_cannot_be_loaded_here_is_kept_as_it_is() -> None:
    model = Locked(0.25)
    assert serialize(model).data == pickle.dumps(model, protocol=5)


LARGE_ENOUGH_TO_MAP = np.arange((1 << 20) / 8 + 1)


def holding(**arrays: Any) -> Any:
    """An estimator with these as if it had been fitted."""
    model = Offset()
    for name, array in arrays.items():
        setattr(model, name, array)
    return model


@pytest.mark.parametrize("hint", [None, "joblib+zlib"])
@pytest.mark.parametrize(
    "array",
    [
        X,
        np.asfortranarray(X)[::2],
        LARGE_ENOUGH_TO_MAP,
        np.array([1, None, "x"], dtype=object),
        np.zeros((2, 2)).view(np.matrix),
        np.ma.masked_array([1, 2], [False, True]),
        np.zeros(3, dtype=[("a", "i4"), ("b", "f8")]),
    ],
    ids=["small", "strided", "large", "objects", "matrix", "masked", "fields"],
)
def test_joblib_load_reads_the_file(array: Any, hint: str | None, tmp_path: Path) -> None:
    """Whichever form it has; `deserialize` gives the same."""
    done = serialize(holding(array=array), hint)
    assert (done.format, done.extension) == ("joblib", "joblib")
    (tmp_path / "file.joblib").write_bytes(done.data)
    for again in (joblib.load(tmp_path / "file.joblib"), deserialize(done.data, "joblib")):
        assert type(again.array) is type(array)
        assert again.array.dtype == array.dtype
        assert again.array.tolist() == array.tolist()
        assert again.array.flags.f_contiguous == array.flags.f_contiguous


def test_large_arrays_are_mapped_from_the_file(tmp_path: Path) -> None:
    """That is what joblib's own form is for; many small ones do not make a large one."""
    (tmp_path / "file").write_bytes(serialize(holding(array=LARGE_ENOUGH_TO_MAP)).data)
    assert isinstance(joblib.load(tmp_path / "file", mmap_mode="r").array, np.memmap)
    many = serialize(holding(**{f"array_{number}": np.full(500, number) for number in range(300)}))
    assert len(many.data) > 1 << 20
    assert many.data == serialize(holding(**vars(deserialize(many.data, "joblib")))).data
    assert b"joblib.numpy_pickle" not in many.data
    (tmp_path / "file").write_bytes(many.data)
    assert joblib.load(tmp_path / "file", mmap_mode="r").array_7.tolist() == [7] * 500


@pytest.mark.parametrize("hint", [None, "joblib", "joblib+zlib"])
def test_arrays_that_were_mapped_come_back_without_their_file(hint: str | None, tmp_path: Path) -> None:
    """As joblib's workers get them."""
    mapped = np.memmap(tmp_path / "mapped", dtype="f8", mode="w+", shape=(3,))
    mapped[:] = [1, 2, 3]
    again = came_back(holding(array=mapped), hint)
    assert type(again.array) is np.ndarray
    assert again.array.tolist() == [1, 2, 3]


@pytest.mark.parametrize("level", [0, 3])
def test_what_joblib_wrote_is_read(level: int) -> None:
    """Blobs of earlier releases, and of other registries."""
    buffer = io.BytesIO()
    joblib.dump(holding(array=X, again=X, text="joblib.numpy_pickle"), buffer, compress=level)
    again = deserialize(buffer.getvalue(), "joblib")
    assert again.array.tobytes() == again.again.tobytes() == X.tobytes()
    assert came_back(again).text == "joblib.numpy_pickle"


def test_arrays_that_are_shared_stay_shared() -> None:
    again = came_back(holding(array=X, again=X))
    assert again.array is again.again


def test_compressed_bytes_are_fewer() -> None:
    model = holding(array=np.zeros(1_000))
    assert len(serialize(model, "joblib+zlib").data) < len(serialize(model).data) / 10


def test_the_record_says_the_library() -> None:
    done = serialize(PLSRegression())
    assert done.format_version == f"sklearn=={sklearn.__version__}"
    assert (done.class_name, done.extension) == ("PLSRegression", "joblib")
    assert serialize({"a": 1}).format_version == ""
    assert serialize(Fraction(1, 2)).format_version == ""
    assert serialize(Duck()).format_version == ""
    assert serialize(len).class_name == "builtin_function_or_method"
    assert serialize(Duck).class_name == "type"


@pytest.mark.parametrize(
    ("obj", "chosen"),
    [
        (Duck(), "joblib"),
        (KFold(3), "joblib"),
        (NoDuck(), "pickle"),
        (PLSRegression, "pickle"),
        ({"model": 1}, "pickle"),
        (SimpleNamespace(fit=len, predict=len), "pickle"),
        ("sklearn.numpy.torch", "pickle"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_real_class_chooses(obj: Any, chosen: str) -> None:
    assert serialize(obj).format == chosen


class Pretends:
    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return PLSRegression

    def __reduce__(self) -> Any:
        return Pretends, ()


def test_a_made_up_class_chooses_nothing() -> None:
    done = serialize(Pretends())
    assert (done.format, done.class_name, done.format_version) == ("pickle", "Pretends", "")


# Everything else

PICKLABLE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(PICKLABLE, st.sampled_from([None, "joblib", "pickle", "cloudpickle"]))
def test_python_values_come_back_equal(obj: Any, hint: str | None) -> None:
    """In every format that takes them; and serialising the same object again gives the same bytes."""
    done = serialize(obj, hint)
    again = deserialize(done.data, done.format)
    assert type(again) is type(obj)
    assert again == obj
    assert serialize(obj, hint).data == done.data


def test_lambdas_and_local_classes() -> None:
    class Local:
        def __init__(self, value: int) -> None:
            self.value = value

    assert serialize(lambda: 1).format == "cloudpickle"
    assert came_back(lambda value: value + 1)(1) == 2
    again = came_back(Local(5))
    assert type(again) is Local
    assert again.value == 5


class Raises:
    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __getstate__(self) -> Never:
        raise self.error


class BadMessageError(Exception):
    def __str__(self) -> Never:
        raise RuntimeError


def deep() -> list[Any]:
    nested: list[Any] = []
    for _ in range(100_000):
        nested = [nested]
    return nested


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (threading.Lock, ["_thread.lock", "cannot pickle"]),
        (lambda: (number for number in [1]), ["builtins.generator", "cannot pickle"]),
        (lambda: memoryview(b"x"), ["builtins.memoryview", "cannot pickle"]),
        (lambda: {"held": threading.Lock()}, ["builtins.dict", "'_thread.lock'"]),
        (lambda: Raises(ZeroDivisionError("no state")), ["Raises", "ZeroDivisionError: no state"]),
        (lambda: Raises(MemoryError()), ["Raises", "MemoryError"]),
        (lambda: Raises(BadMessageError()), ["Raises", "BadMessageError"]),
        (deep, ["builtins.list", "recursion"]),
    ],
    ids=["lock", "generator", "memoryview", "dict", "raises", "memory", "bad message", "deep"],
)
@pytest.mark.parametrize("hint", [None, "pickle", "joblib", "cloudpickle"])
def test_what_cannot_be_serialised_is_refused(
    make: Callable[[], Any], words: list[str], hint: str | None
) -> None:
    with pytest.raises(SerializationError) as refusal:
        serialize(make(), hint)
    for word in words:
        assert word in str(refusal.value)
    assert isinstance(refusal.value, ValueError)
    assert refusal.value.__cause__ is not None
    assert "can hold it" not in str(refusal.value)


@pytest.mark.parametrize("mode", ["r", "w", "rb"])
def test_open_files_are_refused(mode: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("content", encoding="utf-8")
    with (tmp_path / "file").open(mode) as file:
        for hint in (None, "cloudpickle"):
            with pytest.raises(SerializationError, match=rf"_io\.{type(file).__name__}"):
                serialize(file, hint)
            with pytest.raises(SerializationError, match=r"builtins\.list"):
                serialize([file, lambda: 0], hint)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)])
def test_interrupts_pass(error: BaseException) -> None:
    with pytest.raises(type(error)):
        serialize(Raises(error))
    with pytest.raises(type(error)):
        serialize(Raises(error), "joblib")


SCRIPT = """
import sys, pathlib, multiprocessing
import numpy as np
from sklearn.base import BaseEstimator, clone
from chainfold.serializers import serialize

class Model(BaseEstimator):
    def predict(self, x):
        return twice(x)

class Plain:
    value = 7

def twice(x):
    return 2 * x

def store(name, folder):
    done = serialize({"model": Model(), "plain": Plain(), "function": twice}[name])
    (pathlib.Path(folder) / f"{name}.{done.format}").write_bytes(done.data)

if __name__ == "__main__":
    store("model", sys.argv[1])
    child = multiprocessing.get_context("spawn").Process(target=store, args=("plain", sys.argv[1]))
    child.start()
    child.join()
    store("function", sys.argv[1])
"""


def test_a_scripts_own_code_loads_elsewhere(tmp_path: Path) -> None:
    """Also from a child that was spawned, in which the script has another name."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    subprocess.run([sys.executable, str(script), str(tmp_path)], check=True)
    stored = {path.stem: path for path in tmp_path.glob("*.cloudpickle")}
    assert sorted(stored) == ["function", "model", "plain"]

    def load(name: str) -> Any:
        return deserialize(stored[name].read_bytes(), "cloudpickle")

    assert load("model").predict(np.array([1.5])).tolist() == [3.0]
    assert load("plain").value == 7
    assert load("function")(4) == 8


# Hints


@pytest.mark.parametrize(
    ("hint", "recorded"),
    [
        ("joblib", "joblib"),
        ("sklearn", "joblib"),
        ("pickle", "pickle"),
        ("pkl", "pickle"),
        ("cloudpickle", "cloudpickle"),
        ("numpy_npy", "numpy_npy"),
        ("numpy", "numpy_npy"),
        ("npy", "numpy_npy"),
    ],
)
def test_hints_are_honoured(hint: str, recorded: str) -> None:
    array = np.arange(3)
    done = serialize(array, hint)
    assert done.format == recorded
    assert deserialize(done.data, recorded).tolist() == [0, 1, 2]
    assert deserialize(done.data, hint).tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("obj", "hint", "message"),
    [
        ({}, "numpy", "cannot serialise builtins.dict as numpy_npy.*numpy.ndarray.*can hold it"),
        (lambda: 0, "pickle", "cannot serialise builtins.function as pickle.*format_hint='cloudpickle'"),
        ({}, "parquet", "'parquet' names no format; known formats: numpy_npy, joblib, pickle, cloudpickle"),
        ({}, "", "'' names no format"),
        ({}, ["pickle"], "names no format"),
    ],
)
def test_hints_are_refused(obj: Any, hint: Any, message: str) -> None:
    with pytest.raises(SerializationError, match=message):
        serialize(obj, hint)


def test_missing_libraries_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    large = LARGE_ENOUGH_TO_MAP
    stored = {
        hint: serialize(array, hint).data
        for hint, array in [("joblib", large), ("cloudpickle", np.arange(2)), ("numpy_npy", np.arange(2))]
    }
    cloudpickle_format._pickler.cache_clear()
    for library in ("cloudpickle", "joblib"):
        monkeypatch.setitem(sys.modules, library, None)
    for obj, hint, library in [
        (lambda: 0, None, "cloudpickle"),
        (1, "cloudpickle", "cloudpickle"),
        (large, "joblib", "joblib"),
    ]:
        with pytest.raises(SerializationError, match=f"pip install '{library}'"):
            serialize(obj, hint)
    monkeypatch.setitem(sys.modules, "numpy", None)
    for recorded, extra in [("cloudpickle",) * 2, ("joblib",) * 2, ("numpy_npy", "numpy")]:
        with pytest.raises(SerializationError, match=f"pip install '{extra}'"):
            deserialize(stored[recorded], recorded)


# Loading


class Bomb:
    went_off = False

    def __reduce__(self) -> Any:
        return Bomb.explode, ()

    @staticmethod
    def explode() -> None:
        Bomb.went_off = True


def npy_of_objects() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array([Bomb()], dtype=object), allow_pickle=True)
    return buffer.getvalue()


def npy_with_header(text: bytes) -> bytes:
    return b"\x93NUMPY\x03\x00" + len(text).to_bytes(4, "little") + text


NO_NPY: Final = [
    pickle.dumps(Bomb()),
    npy_of_objects(),
    b"",
    b"\x93NUMPY",
    b"PK\x03\x04",
    npy_with_header(b"-" * 60_000 + b"1"),  # Python's parser calls this a want of memory
    npy_with_header(b"[" * 60_000),
]


@pytest.mark.parametrize("data", NO_NPY, ids=range(len(NO_NPY)))
def test_failing_npy_is_never_unpickled(data: bytes) -> None:
    with pytest.raises(SerializationError, match="numpy_npy") as failure:
        deserialize(data, "numpy_npy")
    assert not Bomb.went_off
    assert failure.value.__cause__ is not None
    assert "not an npy file" in str(failure.value)
    assert "named another format than theirs" in str(failure.value)
    assert "Install" not in str(failure.value)  # no version of any library would help


@pytest.mark.parametrize("recorded", BUILT_IN)
def test_nothing_else_is_tried(recorded: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def tried(data: bytes) -> Never:
        pytest.fail("handed to another format")

    for name, serializer in choice._BUILT_IN.items():
        if name != recorded:
            monkeypatch.setattr(serializer, "loads", tried)
    with pytest.raises(SerializationError, match=f"'{recorded}'"):
        deserialize(b"\x80\x05not a blob", recorded)


def test_why_loading_failed() -> None:
    with pytest.raises(SerializationError, match="Install the module 'nowhere'") as failure:
        deserialize(b"cnowhere\nThing\n.", "pickle")
    assert isinstance(failure.value.__cause__, ModuleNotFoundError)
    with pytest.raises(SerializationError, match="format_version"):
        deserialize(b"cfractions\nThing\n.", "pickle")
    with pytest.raises(SerializationError, match="the script that registered it"):
        deserialize(b"c__main__\nThing\n.", "pickle")
    with pytest.raises(SerializationError, match=r"unknown format 'zarr'.*plug-in.*known formats: numpy_npy"):
        deserialize(b"", "zarr")


# Plug-ins


class Fractions:
    name = "fraction"
    extension = "txt"

    def accepts(self, obj: Any) -> bool:
        return type(obj) is Fraction

    def dumps(self, obj: Any) -> bytes:
        return str(Fraction(obj)).encode()

    def loads(self, data: bytes) -> Any:
        return Fraction(data.decode())


class Points:
    """Entry points of distributions that are not installed."""

    def __init__(self, **values: Any) -> None:
        self.values = values
        self.asked = 0

    def __call__(self, *, group: str) -> list[Any]:
        assert group == "chainfold.serializers"
        self.asked += 1
        dist = SimpleNamespace(name="some-dist", version="1.2")
        return [
            SimpleNamespace(name=name, dist=dist, load=lambda value=value: self.load(value))
            for name, value in self.values.items()
        ]

    @staticmethod
    def load(value: Any) -> Any:
        if isinstance(value, BaseException):
            raise value
        return value


Install = Callable[..., Points]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    def install(**values: Any) -> Points:
        points = Points(**values)
        monkeypatch.setattr("importlib.metadata.entry_points", points)
        monkeypatch.setattr(choice, "_plugins", Plugins(choice._plugins._reserved))
        monkeypatch.setattr(choice, "_warned", set())
        return points

    install()
    return install


@pytest.mark.parametrize("value", [Fractions(), Fractions, lambda: Fractions()])  # noqa: PLW0108 - a factory
def test_an_installed_plugin_comes_first(install: Install, value: Any) -> None:
    points = install(fractions=value)
    done = serialize(Fraction(1, 3))
    assert (done.data, done.format, done.extension, done.class_name) == (
        b"1/3",
        "fraction",
        "txt",
        "Fraction",
    )
    assert deserialize(done.data, "fraction") == Fraction(1, 3)
    assert serialize(2, "fraction").data == b"2"
    assert serialize(2).format == "pickle"
    assert available_formats() == (*BUILT_IN, "fraction")
    assert points.asked == 1
    with pytest.raises(SerializationError, match="as fraction: TypeError"):
        serialize([], "fraction")


def renamed(name: str, **methods: Any) -> Any:
    plugin: Any = Fractions()
    plugin.name = name
    for method, replacement in methods.items():
        setattr(plugin, method, replacement)
    return plugin


def test_plugins_go_by_the_name_of_their_entry_point(install: Install) -> None:
    install(b=renamed("first"), a=renamed("second"))
    assert available_formats()[len(BUILT_IN) :] == ("second", "first")
    register_serializer(renamed("own"))
    assert available_formats()[len(BUILT_IN) :] == ("own", "second", "first")
    assert serialize(Fraction(1)).format == "own"
    unregister_serializer("own")
    unregister_serializer("second")
    assert serialize(Fraction(1)).format == "first"
    with pytest.raises(NotFoundError, match="own"):
        unregister_serializer("own")


def test_broken_plugins_break_nothing_else(install: Install) -> None:
    install(
        absent=ImportError("No module named 'torch'"),
        thief=renamed("pickle"),
        short=renamed("short", loads=None),
        path=renamed("path", extension="../x"),
        good=Fractions(),
        twin=Fractions(),
    )
    with pytest.warns(RuntimeWarning) as warned:
        assert serialize(Fraction(1, 3)).format == "fraction"
    messages = sorted(str(warning.message) for warning in warned)
    assert len(messages) == 5
    assert (
        "plug-in 'absent' of some-dist 1.2 is left out: ImportError: No module named 'torch'" in messages[0]
    )
    assert "'thief'" in messages[3]
    assert "built in" in messages[3]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert serialize(1).format == "pickle"
    with pytest.raises(SerializationError, match=r"left out: absent .ImportError: No module named 'torch'"):
        deserialize(b"", "zarr")


def failing(*_: Any) -> Never:
    raise OSError("out of order")


def test_a_plugin_that_fails_is_named(install: Install) -> None:
    install(dumps=renamed("dumping", dumps=failing), text=renamed("text", dumps=str, accepts=failing))
    with pytest.warns(RuntimeWarning, match="'text' fails to say what it accepts: OSError: out of order"):
        assert serialize(1).format == "pickle"
    assert serialize(1).format == "pickle"
    with pytest.raises(SerializationError, match=r"fractions.Fraction.*plug-in 'dumping' fails: OSError"):
        serialize(Fraction(1))
    with pytest.raises(SerializationError, match=r"'text' made builtins.str, not bytes"):
        serialize(1, "text")


@pytest.mark.parametrize("name", [*BUILT_IN, "numpy", "sklearn", "", "a\nb", None, "fraction"])
def test_names_that_a_plugin_cannot_have(install: Install, name: Any) -> None:
    register_serializer(Fractions())
    with pytest.raises(InvalidInputError):
        register_serializer(renamed(name))
    assert available_formats() == (*BUILT_IN, "fraction")


def test_the_built_in_stay(install: Install) -> None:
    with pytest.raises(InvalidInputError, match="built in"):
        unregister_serializer("pickle")


def test_the_built_in_are_serializers() -> None:
    serializers: list[Serializer] = list(choice._BUILT_IN.values())
    assert [serializer.name for serializer in serializers] == list(BUILT_IN)


def test_importing_imports_no_heavy_library() -> None:
    heavy = "{'numpy', 'joblib', 'cloudpickle', 'sklearn', 'importlib.metadata'}"
    code = f"import sys, chainfold.serializers, chainfold.params; sys.exit(bool({heavy} & set(sys.modules)))"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_cloudpickle_reads_what_it_wrote(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pickle.loads(serialize(lambda: 3, "cloudpickle").data)() == 3
    assert deserialize(cloudpickle.dumps(lambda: 4), "cloudpickle")() == 4
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(io.BytesIO()))
    assert came_back([sys.stderr], "cloudpickle")[0] is sys.stderr


@pytest.mark.parametrize(
    "model",
    [
        Ridge(),
        RandomForestRegressor(3, random_state=0),
        make_pipeline(StandardScaler(), PLSRegression(2)),
        GridSearchCV(make_pipeline(StandardScaler(), Ridge()), {"ridge__alpha": [0.1, 1.0]}, cv=2),
    ],
    ids=lambda model: type(model).__name__,
)
def test_an_estimator_that_was_loaded_is_the_same_file_again(model: Any) -> None:
    """Also with the masked arrays of a search, which settle at the second loading."""
    done = serialize(model.fit(X, Y))
    assert serialize(deserialize(done.data, done.format)).data == done.data


@pytest.mark.parametrize(
    "descr",
    [
        "'<M8[s/0]'",
        "[('a', '<m8[3D/0]')]",
        "('<M8[s/0]', (2,))",
        "('V8', 'M8[s/0]')",
        "[('a', 'V8', 'M8[s/0]')]",
        "[('a', '<f8', ('M8[s/0]',))]",
        "('V8', {'names': ['a'], 'formats': ['M8[s/0]']})",
        "'T'",
        "'f8,f8'",
    ],
)
def test_a_dtype_that_numpy_does_not_write_is_none(descr: str) -> None:
    """numpy divides by what the text says: by zero, which ends the process."""
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': (1,)}}".encode()
    content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(8)
    with pytest.raises(SerializationError, match="is no dtype"):
        deserialize(content, "numpy_npy")


def test_an_array_has_so_many_dimensions_only() -> None:
    shape = f"({'4611686018427387904,' * 3_000})"
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}}}".encode()
    content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    with pytest.raises(SerializationError, match="3,000 dimensions"):
        deserialize(content, "numpy_npy")
