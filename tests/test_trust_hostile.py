"""Pickles that ask for what pickling does not: each once ran code, ended the process, or filled its memory.

None may do anything: each is refused by one of the promised errors, and says what to do.
"""

import codecs
import collections
import copyreg
import functools
import io
import os
import pickle
import sys
import tracemalloc
import types
import uuid
from pathlib import Path
from typing import Any, Final

import joblib
import numpy as np
import pytest
import scipy.sparse
import scipy.stats
import sklearn
from joblib.numpy_pickle import NumpyArrayWrapper
from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
from sklearn.gaussian_process.kernels import RBF
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import Ridge
from sklearn.metrics import DistanceMetric
from sklearn.metrics._dist_metrics import EuclideanDistance64
from sklearn.neighbors import BallTree, KDTree
from sklearn.tree import DecisionTreeRegressor
from sklearn.tree._tree import Tree

from chainfold.errors import SerializationError, UntrustedError
from chainfold.trust import Trust

X: Final = np.random.default_rng(0).random((30, 3))
NUMBERS: Final = np.arange(4.0)


class Is:
    """Pickles as a call, and perhaps a state, and pairs for a dict."""

    def __init__(self, function: Any, args: Any, state: Any = None, pairs: Any = ()) -> None:
        self.reduced = function, args, state
        self.pairs = pairs

    def __reduce__(self) -> Any:
        return *self.reduced, None, iter(self.pairs)


def of(cls: Any, state: Any = None) -> Is:
    """An instance that is given a state."""
    return Is(copyreg._reconstructor, (cls, object, None), state)  # type: ignore[attr-defined]


def short(text: str) -> bytes:
    return b"\x8c" + bytes([len(text.encode())]) + text.encode()


def named(module: str, name: str) -> bytes:
    return short(module) + short(name) + b"\x93"


def wrapper_within() -> bytes:
    """joblib's mark of an array, in the pickle of an array of objects, and a call behind it."""
    state = dict.fromkeys(("subclass", "order", "allow_mmap", "numpy_array_alignment_bytes"))
    hidden = of(NumpyArrayWrapper, state | {"shape": (1,), "dtype": np.dtype("O")})
    file = io.BytesIO()
    joblib.dump(np.array([hidden], dtype=object), file)
    return file.getvalue() + pickle.dumps(Is(os.system, ("touch canary",))) + b"."


def begun(module: str, name: str, *then: bytes) -> bytes:
    """A pickle of something by its name, and what is done with it."""
    return b"\x80\x04" + named(module, name) + b"".join(then) + b"."


def deep(begin: bytes, end: bytes, count: int = 20_000) -> bytes:
    return b"\x80\x04" + begin * count + b"N" + end * count + b"."


DEQUE: Final = named("collections", "deque")
SLICE: Final = named("builtins", "slice")
TREE: Final = DecisionTreeRegressor().fit(X, X[:, 0]).tree_
TREE_ARGS: Final = TREE.__reduce__()[1]
TREE_STATE: Final = TREE.__getstate__()
ASTRAY: Final = TREE_STATE["nodes"].copy()
REORDERED: Final = [(name, ASTRAY.dtype[name]) for name in reversed(ASTRAY.dtype.names)]
ASTRAY["left_child"][0] = 10**9
EMPTY: Final = NUMBERS.__reduce__()[0]
RECONSTRUCT: Final = (EMPTY.__module__, "_reconstruct")
"""numpy's function that arrays are made by."""
DTYPE_STATE: Final = (3, "|", None, None, None, -1, -1, 63)
"""That of a dtype of objects."""
NORM: Final = scipy.stats.norm.__getstate__()


def changed_dtype() -> bytes:
    """A dtype of numbers becomes one of objects once an array has it."""
    dtype = named("numpy", "dtype") + short("f8") + b"\x89\x88\x87R\x94"
    array = (
        named(*RECONSTRUCT) + named("numpy", "ndarray") + b"K\x00\x85C\x01b\x87R"
        b"(K\x01K\x01\x85h\x00\x89C\x08abcdefghtb"
    )
    state = b"(K\x03" + short("|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK?tb"
    return b"\x80\x04" + dtype + array + b"h\x00" + state + b"\x86."


def changed_fields() -> bytes:
    """The fields of a dtype, which the pickle goes on to hold, come to lie outside of its elements."""
    objects = named("numpy", "dtype") + short("O8") + b"\x89\x88\x87R(K\x03" + short("|") + b"NNN"
    objects += b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x3ftb\x94"
    fields = b"}\x94(" + short("a") + b"h\x00K\x00\x86u"
    dtype = (
        named("numpy", "dtype")
        + short("V8")
        + b"\x89\x88\x87R(K\x03"
        + short("|")
        + b"N"
        + short("a")
        + b"\x85"
    )
    dtype += fields + b"K\x08K\x01K\x1btb"
    array = named(*RECONSTRUCT) + named("numpy", "ndarray") + b"K\x00\x85C\x01b\x87R(K\x01K\x01\x85"
    array += dtype + b"\x89](" + short("x") + b"\x85etb"
    return b"\x80\x04" + objects + b"0" + array + b"h\x01" + short("a") + b"h\x00J\x00\x00\x00\x04\x86s\x86."


def doubled(count: int) -> Any:
    value: Any = ()
    for _ in range(count):
        value = (value, value)
    return value


def dtypes_in_dtypes(count: int) -> Any:
    dtype: Any = np.dtype("i1")
    for _ in range(count):
        dtype = np.dtype([("a", dtype)])
    return dtype


RESULT: Final = (
    named("scipy.optimize._optimize", "OptimizeResult")
    + b")\x81}("
    + short("get")
    + (named("sklearn._config", "set_config") + b"ub(" + short("int") + b"K\x01u")
)
"""A dict whose method `get` is a function that the pickle has found."""
MATRIX: Final = scipy.sparse.csr_array(np.eye(4))
MATRIX.indptr[1:] = 1 << 30
"""To compare it with anything is to read memory that is not its own."""
HOSTILE: Final[dict[str, Any]] = {
    "a method of what should be a dict": begun("uuid", "UUID", b")\x81" + RESULT, b"b"),
    "a dtype of a version that compares": Is(np.dtype, ("V8", False, True), (MATRIX, *DTYPE_STATE[1:])),
    "a class of what compares": Is(type, (MATRIX,)),
    "bytes by what compares": Is(codecs.encode, ("a", MATRIX)),
    "an array of a shape that compares": Is(EMPTY, (np.ndarray, MATRIX, b"b")),
    "an array of a type that compares": Is(EMPTY, (np.ndarray, (0,), MATRIX)),
    "a random generator of what compares": Is(np.random.MT19937(0).__reduce__()[0], (MATRIX,)),
    "a key that is shown": of(Ridge, {Ridge(): 1}),
    "an array within an array of objects": wrapper_within(),
    "a method in the state of an isotonic regression": of(
        IsotonicRegression,
        {"X_thresholds_": NUMBERS, "y_thresholds_": NUMBERS, "_build_f": np.set_printoptions},
    ),
    "thresholds that are no numbers": of(
        IsotonicRegression,
        {"X_thresholds_": ["a"], "y_thresholds_": types.SimpleNamespace()}
    ),
    "nodes that have a method": of(
        TreePredictor, {"nodes": types.SimpleNamespace(astype=np.set_printoptions)}
    ),
    "a state that is no dict": of(Ridge, Is(collections.defaultdict, (np.set_printoptions,))),
    "a state by a call": of(Ridge, Is(dict, ([("alpha", 1.0)],))),
    "a tuple by a call": of(Ridge, Is(tuple, ([1, 2],))),
    "a version that is an object": of(Ridge, {"_sklearn_version": types.SimpleNamespace()}),
    "a method that loading looks for": of(Ridge, {"__setstate__": np.set_printoptions}),
    "the class of an object": of(uuid.UUID, (None, {"__class__": Ridge})),
    "a text that scipy runs": of(
        type(scipy.stats.norm), NORM | {"_parse_arg_template": "import sys; sys.hurt = True"}
    ),
    "methods of a distribution": of(type(scipy.stats.norm), NORM | {"_attach_methods": np.set_printoptions}),
    "a dtype with named arguments": b"\x80\x04" + named("numpy", "dtype") + short("f8") + b"\x85}\x92.",
    "a dtype that changes": changed_dtype(),
    "a dtype of objects that says it holds none": Is(np.dtype, ("O", False, True), (*DTYPE_STATE[:-1], 0)),
    "a dtype that is longer than it is": Is(
        np.dtype, ("V8", False, True), (3, "|", None, ("a",), {"a": (np.dtype("f8"), 1000)}, 8, 1, 16)
    ),
    "a scalar of objects": Is(np.float64(1).__reduce__()[0], (np.dtype("O"), b"12345678")),
    "a scalar that is cut short": Is(np.float64(1).__reduce__()[0], (np.dtype("f8"), b"1")),
    "texts of tuples in tuples": Is(
        EMPTY,
        (np.ndarray, (0,), b"b"),
        (1, (1,), np.dtype([("a", "O"), ("b", "U2")]), False, [(None, doubled(60))]),
    ),
    "a tree whose nodes lead astray": Is(Tree, TREE_ARGS, TREE_STATE | {"nodes": ASTRAY}),
    "a tree whose fields are in another order": Is(
        Tree, TREE_ARGS, TREE_STATE | {"nodes": np.zeros(len(ASTRAY), dtype=REORDERED)}
    ),
    "a tree of more nodes than it has": Is(Tree, TREE_ARGS, TREE_STATE | {"node_count": 10**6}),
    "a tree of no nodes": Is(Tree, TREE_ARGS, {}),
    "a tree of scipy's": begun("scipy.spatial._ckdtree", "cKDTree", b")\x81)b"),
    "nearest neighbours of objects": Is(
        KDTree(X).__reduce__()[0], (KDTree,), (*[types.SimpleNamespace()] * 13,)
    ),
    **{
        f"{kind.__name__} of {len(state)} parts": Is(maker.__reduce__()[0], (kind,), state)
        for kind, maker, metric in (
            (KDTree, KDTree(X), 0),
            (BallTree, BallTree(X), 0),
            (EuclideanDistance64, DistanceMetric.get_metric("euclidean"), 1),
        )
        for last in [maker.__getstate__()[-1]]
        for state in ((), (1,), maker.__getstate__()[:-1], (last,) * (3 if metric else 13))
    },
    "a generator whose position lies outside": Is(
        np.random.MT19937(0).__reduce__()[0],
        (np.random.MT19937,),
        ({"bit_generator": "MT19937", "state": {"key": np.zeros(624, np.uint32), "pos": 10**9}}, None),
    ),
    "a key with a method": Is(collections.OrderedDict, (), pairs=[(of(RBF, {}), 1)]),
    "an item with a method": Is(set, ([of(RBF, {})],)),
    "a namespace as a key": Is(collections.OrderedDict, (), pairs=[(of(types.SimpleNamespace), 1)]),
    "the state of what is there once": begun("numpy.random.mtrand", "_rand", b"}b"),
    "the state of a class": begun("sklearn.linear_model._ridge", "Ridge", b"}", short("a"), b"K\x01sb"),
    "the state of a function": begun("numpy", "mean", b"}", short("a"), b"K\x01sb"),
    "a state twice": begun("sklearn.linear_model._ridge", "Ridge", b")\x81}b}b"),
    "the scorers of scikit-learn": begun("sklearn.metrics._scorer", "_SCORERS", short("a"), b"K\x01s"),
    "Python 2's name in the midst": b"\x80\x04\x80\x02c__builtin__\neval\n" + short("1") + b"\x85R.",
    "a codec by a name": Is(codecs.encode, ("a", "punycode")),
    "bytes by a codec": Is(bytes, ("a", "punycode")),
    "a function of a function": Is(functools.partial(np.set_printoptions, precision=1), ()),
    "a partial of what was made": Is(functools.partial, (of(Ridge),)),
    "a name of 60,000 words": b"\x80\x04cnumpy" + b".a" * 60_000 + b"\na\n.",
    "a file of numpy's": Is(np.lib.format.open_memmap, ("canary", "w+", "f8", (3,))),
    "a dtype by a long text": Is(np.dtype, ("f8," * 10_000, False, True)),
    "bytes that are not there": b"\x80\x05\x96" + (1 << 40).to_bytes(8, "little") + b".",
    "zeros by number": Is(bytes, (1 << 40,)),
    "an array without its items": Is(
        EMPTY, (np.ndarray, (0,), b"b"), (1, (1 << 40,), np.dtype("f8"), False, b"")
    ),
    "a huge array of nothing": Is(
        EMPTY, (np.ndarray, (0,), b"b"), (1, (1 << 40, 0), np.dtype("f8"), False, b"")
    ),
    "a shape that calls": Is(
        EMPTY, (np.ndarray, (types.SimpleNamespace(),), b"b")
    ),
    "a time zone that is a path": Is(getattr, (Is(getattr, (dict, "fromkeys")), "x")),
    "tuples in tuples": b"\x80\x04}N" + b"".join(b"\x94h%ch%c\x86" % (n, n) for n in range(90)) + b"K\x01s.",
    "deques in deques": deep(DEQUE + b")R", b"a"),
    "defaultdicts in defaultdicts": deep(
        named("collections", "defaultdict") + b")R" + short("k"), b"s"    ),
    "deques in defaultdicts": deep(
        DEQUE + b")R" + named("collections", "defaultdict") + b")R" + short("k"), b"sa"
    ),
    "dtypes in dtypes": dtypes_in_dtypes(70),
    "slices in slices": deep(SLICE, b"NN\x87R"),
}  # fmt: skip


def content_of(hostile: Any, form: str) -> bytes:
    if isinstance(hostile, bytes):
        return hostile
    if form == "pickle":
        return pickle.dumps(hostile, 4)
    file = io.BytesIO()
    joblib.dump(hostile, file, protocol=2)
    return file.getvalue()


@pytest.mark.parametrize(("policy", "form"), [("registered", "pickle"), ("listed", "joblib")])
@pytest.mark.parametrize("name", HOSTILE)
def test_what_pickling_would_not_write_does_nothing(
    name: str, form: str, policy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    options, content = np.get_printoptions(), content_of(HOSTILE[name], form)
    with pytest.raises((UntrustedError, SerializationError)) as caught:
        Trust(policy).open(content, form, "it", is_own=False)
    assert np.get_printoptions() == options
    assert not hasattr(sys, "hurt")
    assert not list(tmp_path.iterdir())
    if caught.type is UntrustedError:
        assert "registry.allow(" in str(caught.value) or "trust='all'" in str(caught.value)


def boxed(count: int) -> bytes:
    """Arrays of objects, each in the one before."""
    known = named(*RECONSTRUCT) + b"\x94" + named("numpy", "ndarray") + b"\x94"
    known += named("numpy", "dtype") + short("O8") + b"\x89\x88\x87R(K\x03" + short("|") + b"NNN"
    known += b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x3ftb\x94"
    begin = b"h\x00h\x01K\x00\x85C\x01b\x87R(K\x01K\x01\x85h\x02\x89]"
    return b"\x80\x04" + known + begin * count + b"N" + b"atb" * count + b"."


def test_a_dtype_has_fields_of_its_own() -> None:
    """numpy keeps the dict that it is given: what is done to the pickle's own must not move a field."""
    array, _ = Trust("listed").open(changed_fields(), "pickle", "it", is_own=False)
    assert array.dtype.fields["a"][1] == 0
    assert array.tolist() == [("x",)]


def test_arrays_of_objects_are_in_each_other_so_often_only() -> None:
    """C frees them one within the other."""
    trust = Trust("listed")
    assert trust.open(boxed(150), "pickle", "it", is_own=False)[0].dtype == object
    with pytest.raises(UntrustedError, match="in each other"):
        trust.open(boxed(20_000), "pickle", "it", is_own=False)


def copies(count: int) -> dict[str, Any]:
    """What makes of one array, or text, a copy each time that it is referred to."""
    numbers = np.arange(100_000.0)
    text = "\xe9" * 800_000
    swapped = np.ascontiguousarray(numbers.astype(">f8")).tobytes()
    state = {
        "X_thresholds_": numbers,
        "y_thresholds_": numbers,
        "_sklearn_version": sklearn.__version__,
        "out_of_bounds": "nan",
    }
    return {
        "thresholds": [of(IsotonicRegression, dict(state)) for _ in range(count)],
        "latin": [Is(codecs.encode, (text, "latin1")) for _ in range(count)],
        "swapped": [
            Is(
                EMPTY,
                (np.ndarray, (0,), b"b"),
                (1, (100_000,), np.dtype(">f8"), False, swapped),
            )
            for _ in range(count)
        ],
    }


@pytest.mark.parametrize("kind", ["thresholds", "latin", "swapped"])
def test_one_array_is_not_copied_for_nothing(kind: str) -> None:
    """As many references as one likes cost a few bytes each: their copies would fill any memory."""
    trust = Trust("listed")
    assert len(trust.open(pickle.dumps(copies(2)[kind]), "pickle", "it", is_own=False)) == 2
    content = pickle.dumps(copies(300)[kind])
    assert len(content) < 4 << 20
    tracemalloc.start()
    try:
        with pytest.raises(UntrustedError, match="more memory or time"):
            trust.open(content, "pickle", "it", is_own=False)
        assert tracemalloc.get_traced_memory()[1] < 200 << 20
    finally:
        tracemalloc.stop()


def test_keys_that_are_told_apart_one_by_one_are_so_many_only() -> None:
    """Numbers of one hash: each is compared to all before it."""
    same = (1 << 61) - 1
    content = pickle.dumps(dict.fromkeys(range(same, same * 3_000, same)))
    with pytest.raises(UntrustedError, match="more memory or time"):
        Trust("listed").open(content, "pickle", "it", is_own=False)
    for many in (dict.fromkeys(range(100_000)), [{0: key, (1, key): {2}} for key in range(20_000)]):
        assert Trust("listed").open(pickle.dumps(many), "pickle", "it", is_own=False) == many


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package whose import leaves a trace, and ends the process."""
    (tmp_path / "package_that_ends.py").write_text(
        "import sys\nsys.hurt = True\nraise SystemExit(3)\n", encoding="utf-8"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    return "package_that_ends"


@pytest.mark.parametrize("ending", [b"", b")\x81", b")\x81}b", b")R", b")R}b"])
def test_nothing_is_imported_that_is_not_allowed(
    package: str, ending: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = b"\x80\x04" + named(package, "Model") + ending + b"."
    with pytest.raises(UntrustedError, match="it refers to package_that_ends"):
        Trust("listed").open(content, "pickle", "it", is_own=False)
    assert not hasattr(sys, "hurt")
    trust = Trust("listed")
    trust.allow([package])
    monkeypatch.setattr(sys, "hurt", False, raising=False)
    with pytest.raises((UntrustedError, SerializationError)):
        trust.open(content, "pickle", "it", is_own=False)


def test_importing_a_part_of_a_library_does_not_change_it() -> None:
    module = "sklearn.experimental.enable_iterative_imputer"
    was = module in sys.modules
    content = b"\x80\x04" + named(module, "IterativeImputer") + b"."
    with pytest.raises(UntrustedError, match=r"sklearn\.experimental"):
        Trust("listed").open(content, "pickle", "it", is_own=False)
    assert (module in sys.modules) == was
