"""What may be deserialised: nothing of a pickle runs before all that it refers to is allowed."""

import bz2
import collections
import datetime as dt
import fractions
import gzip
import io
import lzma
import os
import pickle
import shutil
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import BaseEstimator
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.linear_model import LinearRegression, RidgeCV, SGDClassifier
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, KBinsDiscretizer, StandardScaler

from chainfold import ArtifactRecord, ArtifactRegistry, InvalidInputError, SerializationError, UntrustedError
from chainfold.serializers import is_pickle, serialize
from chainfold.serializers.noting import Pickled, noted
from chainfold.serializers.pickle_globals import globals_of
from chainfold.serializers.unpacking import unpacked
from chainfold.trust import Trust

SAMPLES = np.random.default_rng(0).random((40, 3))
TARGETS = SAMPLES[:, 0]
LARGE = np.arange(400_000.0).reshape(100_000, 4)
CLASSES = (np.median(TARGETS) < TARGETS).astype(int)


class Own(BaseEstimator):  # type: ignore[misc] # scikit-learn has no types
    """A class that is on no list."""

    def fit(self, *_: Any) -> "Own":
        return self

    def predict(self, samples: Any) -> Any:
        return samples


MODELS = [
    make_pipeline(StandardScaler(), RidgeCV()).fit(SAMPLES, TARGETS),
    RandomForestRegressor(3, random_state=np.random.RandomState(0)).fit(SAMPLES, TARGETS),
    GradientBoostingClassifier(n_estimators=3, random_state=0).fit(SAMPLES, CLASSES),
    HistGradientBoostingRegressor(max_iter=3).fit(SAMPLES, TARGETS),
    KNeighborsRegressor().fit(SAMPLES, TARGETS),
    SGDClassifier().fit(SAMPLES, CLASSES),
    FunctionTransformer(np.log1p).fit(SAMPLES),
    KBinsDiscretizer(3, encode="onehot-dense").fit(SAMPLES),  # it holds a dtype beside a list of arrays
]
VALUES = st.recursive(
    st.none()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.dates()
    | st.fractions()
    | st.just(np.arange(3.0))
    | st.just(np.array(["a", None, 1.5], dtype=object))
    | st.just(np.zeros(2, dtype=[("a", "f8"), ("b", "U3")]))
    | st.sampled_from([np.float32(1), np.datetime64("2026-01-01"), np.log1p, dict, dt.UTC]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=3), inner, max_size=4)
        | st.tuples(inner, inner)
        | st.builds(lambda items: collections.deque(items, maxlen=9), st.lists(inner, max_size=3))
    ),
    max_leaves=12,
)


def asked_for(data: bytes) -> set[str]:
    """What Python's own unpickler asks for: an oracle."""
    found = set()

    class Unpickler(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            made = super().find_class(module, name)
            found.add((getattr(made, "__module__", None) or module, name))
            return made

    Unpickler(io.BytesIO(data)).load()
    return {name for _, name in found}


def last_words(names: list[str]) -> set[str]:
    return {name.rpartition(".")[2] for name in names}


@given(VALUES, st.integers(2, 5))
def test_what_is_read_off_a_pickle_is_what_unpickling_asks_for(value: Any, protocol: int) -> None:
    """No more and no less, in every protocol."""
    data = pickle.dumps(value, protocol=protocol)
    assert last_words(globals_of(data).all()) == asked_for(data)


@given(VALUES | st.sampled_from([*MODELS, type(None), os.system, sorted, Own, Own().fit]))
def test_what_is_noted_while_pickling_is_what_the_bytes_say(value: Any) -> None:
    """And the bytes are those that `pickle.dumps` gives."""
    done = Pickled(value)
    assert done.data == pickle.dumps(value, protocol=5)
    assert done.names() == globals_of(done.data).all()


@given(
    VALUES | st.sampled_from([*MODELS, KNeighborsRegressor().fit(LARGE, LARGE[:, 0])]),
    st.sampled_from([None, "pickle", "joblib", "joblib+zlib", "cloudpickle"]),
)
def test_a_record_says_what_its_bytes_refer_to(value: Any, hint: str | None) -> None:
    """Of every format that is a pickle, compressed or not."""
    done = serialize(value, hint)
    assert done.refers_to == (globals_of(unpacked(done.data)).all() if is_pickle(done.format) else [])


def test_what_is_stored_by_value_is_noted_too() -> None:
    """cloudpickle's bytes call what they have made: more than can be foreseen, and its names all the same."""
    number = fractions.Fraction(1, 3)
    found = serialize([lambda: number, np.add]).refers_to
    assert {"fractions.Fraction", "numpy.add", "cloudpickle.cloudpickle._make_function"} <= set(found)


def test_what_is_named_by_an_argument_is_noted_too() -> None:
    """A module that a lambda uses, which cloudpickle imports by a call; an attribute of a class."""
    found = serialize(lambda value: np.log1p(value) + fractions.gcd(value)).refers_to  # type: ignore[attr-defined]
    assert {"numpy", "fractions"} <= set(found)
    assert "math" not in found
    assert "builtins.str.upper" in serialize(str.upper).refers_to
    with pytest.raises(UntrustedError, match=r"it refers to builtins.str.upper\."):
        Trust().open(pickle.dumps(str.upper), "pickle", "it", is_own=False)
    trust = Trust()
    trust.allow(["cloudpickle.cloudpickle.subimport"])  # that alone must not let any module be imported
    assert trust.open(serialize(np, "cloudpickle").data, "cloudpickle", "it", is_own=False) is np
    with pytest.raises(UntrustedError, match=r"it refers to fractions\."):
        trust.open(serialize(fractions, "cloudpickle").data, "cloudpickle", "it", is_own=False)


def test_a_great_many_names_are_noted_by_their_packages(tmp_path: Path) -> None:
    many = [type(f"C{number}", (), {"__module__": f"p{number % 3}.{'m' * 50}"}) for number in range(1000)]
    names = [f"{each.__module__}.{each.__name__}" for each in many]
    assert noted(names[:5]) == names[:5]
    assert noted(names) == ["p0.*", "p1.*", "p2.*"]
    assert noted([f"p{number}" * 10 + ".C" for number in range(1000)]) == ["*"]
    assert noted(["a.\ud800"]) == ["a.\\ud800"]
    with ArtifactRegistry(tmp_path, "wheat") as registry:
        model = LinearRegression().fit(SAMPLES, TARGETS)
        record = registry.register(model, "p:0", "model")
        assert "sklearn.linear_model._base.LinearRegression" in record.refers_to
        assert registry.resolve("p:0") == record == ArtifactRecord.from_dict(record.to_dict())
        assert "refers_to" not in registry.register(SAMPLES, "p:1", "model").to_dict()


@given(VALUES, st.sampled_from([0, 3, ("gzip", 3), ("bz2", 3), ("xz", 3), ("lzma", 3)]))
def test_joblib_s_own_form_says_the_same(value: Any, compress: Any) -> None:
    """Arrays lie in the middle of it; those of objects as pickles of their own."""
    file = io.BytesIO()
    joblib.dump(value, file, compress=compress)
    plain = unpacked(file.getvalue())
    found = set(globals_of(plain).all())
    of_arrays = {"numpy.ndarray", "joblib.numpy_pickle.NumpyArrayWrapper"}
    ours = {name for name in globals_of(pickle.dumps(value, protocol=5)).all() if "_frombuffer" not in name}
    assert found - of_arrays == ours - of_arrays
    again = Trust("listed").open(plain, "joblib", "it", is_own=False)
    assert repr(again) == repr(joblib.load(io.BytesIO(file.getvalue())))


@given(VALUES, st.data())
def test_odd_bytes_are_refused_or_held_to_what_was_read(value: Any, draw: st.DataObject) -> None:
    """One flipped bit, or a cut: unpickling gets nothing that was not read off the bytes before.

    And it ends: with a value, or with one of the errors that are promised.
    """
    data = bytearray(pickle.dumps(value, protocol=draw.draw(st.integers(2, 5))))
    place = draw.draw(st.integers(0, len(data) * 8 - 1))
    data[place // 8] ^= 1 << place % 8
    changed = bytes(data[: draw.draw(st.sampled_from([len(data), place // 8]))])
    said = ""
    try:
        Trust("listed").open(changed, "pickle", "it", is_own=False)
    except (SerializationError, UntrustedError) as error:
        said = str(error)
    assert "could not be read off it" not in said  # then the two readers differ


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
@pytest.mark.parametrize("form", ["pickle", "joblib", "compressed"])
def test_estimators_of_scikit_learn_need_no_permission(model: Any, form: str) -> None:
    if form == "pickle":
        data = pickle.dumps(model, protocol=5)
    else:
        file = io.BytesIO()
        joblib.dump(model, file, compress=3 if form == "compressed" else 0)
        data = file.getvalue()
    found = Trust().open(data, "joblib", "it", is_own=False)
    verb = "predict" if hasattr(model, "predict") else "transform"
    np.testing.assert_array_equal(getattr(found, verb)(SAMPLES), getattr(model, verb)(SAMPLES))


@pytest.mark.parametrize("policy", ["registered", "listed", "all"])
@pytest.mark.parametrize("is_own", [True, False])
@pytest.mark.parametrize("size", [10, 200_000])
@pytest.mark.parametrize("hint", ["joblib", "joblib+zlib"])
def test_arrays_keep_the_byte_order_that_they_had(policy: str, size: int, hint: str, *, is_own: bool) -> None:
    """In either of the forms that joblib reads: large arrays once came back in this machine's order."""
    model = StandardScaler().fit(SAMPLES)
    model.mean_ = np.arange(size, dtype=">f8")
    model.var_ = np.arange(size, dtype="<f8")
    model.pairs_ = np.zeros(size, dtype=[("a", ">i4"), ("b", "<i4")])
    done = serialize(model, hint)
    found = Trust(policy).open(done.data, done.format, "it", is_own=is_own)
    for name in ("mean_", "var_", "pairs_"):
        ours, theirs = getattr(model, name), getattr(found, name)
        assert theirs.dtype.descr == ours.dtype.descr
        assert theirs.tobytes() == ours.tobytes()


class Calls:
    """Pickles as a call of something."""

    def __init__(self, function: Any, *args: Any) -> None:
        self.call = function, args

    def __reduce__(self) -> Any:
        return self.call


def short(text: str) -> bytes:
    return b"\x8c" + struct.pack("<B", len(text)) + text.encode()


def by_name(module: str, name: str, argument: str) -> bytes:
    """A pickle that calls what lies under a name in a module, which need not be the module's own."""
    return b"\x80\x04" + short(module) + short(name) + b"\x93" + short(argument) + b"\x85R."


TOUCH = "touch canary"
HOSTILE = {
    "os.system": pickle.dumps(Calls(os.system, TOUCH)),
    "eval": pickle.dumps(Calls(eval, f"__import__('os').system({TOUCH!r})")),
    "in a list, behind an estimator": pickle.dumps([MODELS[0], Calls(os.system, TOUCH)]),
    "in an array of objects": pickle.dumps(np.array([Calls(os.system, TOUCH)], dtype=object)),
    "a module in numpy": by_name("numpy", "os.system", TOUCH),
    "by attributes": by_name("builtins", "getattr", "x"),
    "numpy's own way to run texts": by_name("numpy.testing._private.utils", "runstring", TOUCH),
    "numpy's own way to open files": by_name("numpy", "memmap", "canary"),
    "a function of scipy's": by_name("scipy.io", "savemat", "canary"),
    "in the first protocol": b"cos\nsystem\n(S'touch canary'\ntR.",
    "in the second": b"\x80\x02cos\nsystem\nX\x0c\x00\x00\x00touch canary\x85R.",
    "an instance": b"\x80\x02(X\x0c\x00\x00\x00touch canaryios\nsystem\n.",
    "an object": b"\x80\x02(cos\nsystem\nX\x0c\x00\x00\x00touch canaryo.",
    "a name that is made": b"\x80\x04" + short("os") + b"cbuiltins\nstr\n" + short("system") + b"\x85R\x93.",
    "an extension": b"\x80\x02\x82\x01.",
    "outside": b"\x80\x04" + short("x") + b"Q.",
    "out of band": b"\x80\x05\x97.",
    "a state for a class": b"\x80\x02cnumpy\nndarray\n}X\x01\x00\x00\x00aK\x01sb0cos\nsystem\nN\x85R.",
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("policy", ["registered", "listed", "none"])
@pytest.mark.parametrize("form", ["pickle", "joblib", "cloudpickle"])
def test_nothing_of_hostile_bytes_runs(
    name: str, policy: str, form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UntrustedError, match="is not loaded"):
        Trust(policy).open(HOSTILE[name], form, "it", is_own=False)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("compress", [0, 3])
def test_nothing_hidden_in_joblib_s_form_runs(
    compress: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = io.BytesIO()
    hidden = np.array([1, Calls(os.system, TOUCH)], dtype=object)
    joblib.dump({"first": np.arange(5), "hidden": hidden}, file, compress=compress)
    with pytest.raises(UntrustedError, match="system"):
        Trust().open(file.getvalue(), "joblib", "it", is_own=False)
    assert not list(tmp_path.iterdir())


def moved(registry: ArtifactRegistry, folder: Path, obj: Any, **options: Any) -> ArtifactRegistry:
    """A registry of another workspace, into which an object was imported, as `0001_pls$x:all`."""
    registry.register(obj, "0001_pls$x:all", "model")
    other = ArtifactRegistry(folder, "wheat", **options)
    other.import_from_manifest(registry.export_to_manifest(), registry.workspace)
    return other


def test_an_imported_artifact_is_held_to_the_list(registry: ArtifactRegistry, tmp_path: Path) -> None:
    """The message names what is not allowed, and the very call that allows it."""
    with moved(registry, tmp_path / "other", Own()) as other:
        assert type(registry.load("0001_pls$x:all")) is Own  # registered here
        with pytest.raises(UntrustedError) as caught:
            other.load("0001_pls$x:all")
        call = str(caught.value).partition("call registry.")[2].partition(" and load")[0]
        assert Own.__name__ in call
        eval(f"registry.{call}", {"registry": other.as_of(other.position)})  # noqa: S307 - the message's own words
        assert type(other.load("0001_pls$x:all")) is Own
        copy = pickle.loads(pickle.dumps(other))
        assert type(copy.load("0001_pls$x:all")) is Own
        copy.close()
    with ArtifactRegistry(tmp_path / "other", "wheat") as again, pytest.raises(UntrustedError):
        again.load("0001_pls$x:all")


def test_restoring_does_not_make_it_one_s_own(registry: ArtifactRegistry, tmp_path: Path) -> None:
    with moved(registry, tmp_path / "other", Own()) as other:
        position = other.position
        other.delete_pipeline_artifacts("0001_pls")
        other.restore("0001_pls$x:all", position)
        with pytest.raises(UntrustedError):
            other.load("0001_pls$x:all")
        other.register(Own(), "mine", "model")  # the same bytes, made here
        assert type(other.load("0001_pls$x:all")) is Own


def test_bytes_that_were_registered_in_another_format_are_not_one_s_own(registry: ArtifactRegistry) -> None:
    record = registry.register(np.frombuffer(pickle.dumps(Own()), dtype=np.uint8), "bytes", "model")
    assert record.format == "numpy_npy"
    record.format = "pickle"
    with pytest.raises(UntrustedError):
        registry.load_artifact(record)


def test_policies(registry: ArtifactRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    own = registry.register(Own(), "own", "model")
    listed = registry.register(MODELS[0], "listed", "model")
    array = registry.register(SAMPLES, "array", "model")
    loads = {"registered": [own, listed, array], "listed": [listed, array], "none": [array]}
    with pytest.raises(InvalidInputError, match="is no policy"):
        ArtifactRegistry(registry.workspace, "wheat", trust="some")
    for policy, expected in {**loads, "all": [own, listed, array]}.items():
        monkeypatch.setenv("CHAINFOLD_TRUST", policy)
        with ArtifactRegistry(registry.workspace, "wheat") as opened:
            for record in (own, listed, array):
                if record in expected:
                    opened.load_artifact(record)
                else:
                    with pytest.raises(UntrustedError, match="is not loaded"):
                        opened.load_artifact(record)


@pytest.mark.parametrize("name", ["", "a.", "os system", "a..b", "*"])
def test_only_names_can_be_allowed(registry: ArtifactRegistry, name: str) -> None:
    with pytest.raises(InvalidInputError, match="cannot be allowed"):
        registry.allow(name)


def test_a_fraction_is_plain() -> None:
    """And so are the other values that Python itself brings."""
    value = [fractions.Fraction(1, 3), dt.datetime(2026, 1, 1, tzinfo=dt.UTC), {1, 2}]
    assert Trust("listed").open(pickle.dumps(value), "pickle", "it", is_own=True) == value


@pytest.mark.parametrize("kind", ["zlib", "gzip", "bz2", "xz", "lzma"])
def test_a_pickle_that_would_fill_memory_is_refused_before_it_does(kind: str) -> None:
    """Decompression stops at the limit: what is held stays near it, whatever the bytes would become."""
    limit, size = 4 << 20, 100 << 20
    file = io.BytesIO()
    joblib.dump(bytes(size), file, compress=(kind, 3))
    bomb = file.getvalue()
    assert len(bomb) < limit // 5
    trust = Trust("listed", unpacked_bytes=limit)
    tracemalloc.start()
    try:
        with pytest.raises(UntrustedError, match=r"more than 4,194,304 bytes, .* CHAINFOLD_UNPACKED_BYTES"):
            trust.open(bomb, "joblib", "it", is_own=False)
        assert tracemalloc.get_traced_memory()[1] < 6 * limit
    finally:
        tracemalloc.stop()
    assert Trust("listed", unpacked_bytes=size + 100).open(bomb, "joblib", "it", is_own=False) == bytes(size)


COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "zlib": zlib.compress,
    "gzip": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE),
}


@given(st.binary(max_size=200), st.sampled_from(sorted(COMPRESSORS)), st.integers(0, 200))
def test_what_is_decompressed_is_what_was_compressed(content: bytes, kind: str, most: int) -> None:
    """To the last byte, or refused: when it is cut short, damaged, or longer than it may be."""
    packed = COMPRESSORS[kind](content)
    if len(content) > most:
        with pytest.raises(ValueError, match="more than"):
            unpacked(packed, most)
    else:
        assert unpacked(packed, most) == content
    with pytest.raises(ValueError, match=r"cannot be decompressed|neither a pickle"):
        unpacked(packed[: len(packed) // 2])


def test_pieces_are_put_together_in_order() -> None:
    content = np.random.default_rng(0).bytes(5 << 20)
    assert unpacked(zlib.compress(content, 0)) == unpacked(bz2.compress(content)) == content


@pytest.mark.parametrize("said", ["x", "-1", "0", "1e9", "9" * 30])
def test_a_limit_is_a_number(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAINFOLD_UNPACKED_BYTES", said)
    with pytest.raises(InvalidInputError, match="CHAINFOLD_UNPACKED_BYTES"):
        Trust()
    for good in ("", "1000"):
        monkeypatch.setenv("CHAINFOLD_UNPACKED_BYTES", good)
        assert Trust().unpacked_bytes == int(good or 1 << 30)


def test_an_empty_policy_is_none_and_an_empty_variable_is_unset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InvalidInputError, match="trust='' is no policy: use 'registered', 'listed', 'none'"):
        ArtifactRegistry(tmp_path, "wheat", trust="")
    monkeypatch.setenv("CHAINFOLD_TRUST", "")
    with ArtifactRegistry(tmp_path, "wheat") as registry:
        registry.register(Own(), "own", "model")
        assert type(registry.load("own")) is Own


def test_registered_in_another_dataset_is_not_registered_here(
    registry: ArtifactRegistry, tmp_path: Path
) -> None:
    """Of one workspace or another: it is the dataset's own log that says it, for the same bytes too."""
    record = registry.register(Own(), "mine", "model")
    copied = tmp_path / "copied"
    shutil.copytree(registry.workspace / "binaries" / "wheat", copied / "binaries" / "barley")
    with ArtifactRegistry(registry.workspace, "barley") as other:
        other.import_from_manifest(registry.export_to_manifest(), copied)
        with pytest.raises(UntrustedError, match="it was not registered in this dataset"):
            other.load("mine")
        other.register(Own(), "again", "model")
        assert other.require("again").content_hash == record.content_hash
        assert type(other.load("mine")) is Own


STRINGS: Any = getattr(np.dtypes, "StringDType", None)


@pytest.mark.skipif(STRINGS is None, reason="numpy 2 has it")
@pytest.mark.parametrize("form", ["pickle", "joblib"])
@pytest.mark.parametrize("options", [{}, {"na_object": np.nan}, {"na_object": None, "coerce": False}])
def test_arrays_of_variable_texts_need_no_permission(form: str, options: dict[str, Any]) -> None:
    value = np.array(["a", "bc", options.get("na_object", "d")], dtype=STRINGS(**options))
    data, file = pickle.dumps(value), io.BytesIO()
    joblib.dump(value, file)
    found = Trust().open(data if form == "pickle" else file.getvalue(), form, "it", is_own=False)
    assert found.dtype == value.dtype
    assert repr(found) == repr(value)


@pytest.mark.parametrize("large", [True, False])
def test_mapped_arrays_come_back_as_arrays(tmp_path: Path, *, large: bool) -> None:
    """As joblib itself gives them back; their class, which opens files, is never had."""
    mapped = np.memmap(tmp_path / "a", dtype="f8", mode="w+", shape=(300_000 if large else 3,))
    mapped[:] = 1.5
    model = StandardScaler().fit(SAMPLES)
    model.mean_ = mapped
    for obj in (model, FunctionTransformer(np.memmap)):
        done = serialize(obj)
        found = Trust().open(done.data, done.format, "it", is_own=False)
        if obj is model:
            assert type(found.mean_) is np.ndarray
            assert found.mean_.tobytes() == mapped.tobytes()
        else:
            assert found.func is np.ndarray
    assert type(Trust().open(pickle.dumps(mapped), "pickle", "it", is_own=False)) is np.ndarray
