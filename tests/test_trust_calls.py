"""What may be called is called with what pickling itself gives it, and nothing else.

Each of these pickles would run a text, call a function or fill memory if a function or class on the list did
what its arguments name.
"""

import contextlib
import os
import pickle
import sys
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
import sklearn
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import SGDClassifier
from sklearn.neighbors import BallTree, KDTree
from sklearn.tree import DecisionTreeRegressor

from chainfold.errors import SerializationError, UntrustedError
from chainfold.trust import Trust


def short(text: str) -> bytes:
    return b"\x8c" + bytes([len(text.encode())]) + text.encode()


def named(module: str, name: str) -> bytes:
    return short(module) + short(name) + b"\x93"


def called(function: bytes, *args: bytes) -> bytes:
    return function + b"(" + b"".join(args) + b"tR"


def whole(*parts: bytes) -> bytes:
    return b"\x80\x04" + b"".join(parts) + b"."


NORM: Final = named("scipy.stats._continuous_distns", "norm_gen")
STATE: Final = b"}(" + short("_parse_arg_template") + short("import sys; sys.hurt = True") + b"ub"
"""What `norm_gen.__setstate__` would run."""
RANDOM: Final = "numpy.random._pickle"
SPACE: Final = (
    named("types", "SimpleNamespace") + b")\x81}" + short("_parse_arg_template") + short("pass") + b"sb"
)
ARRAY: Final = pickle.dumps(np.zeros((3, 2)), 4)[2:-1]
HOSTILE: Final = {
    **{
        f"{module} makes another class": whole(called(named(module, "newObj"), NORM), STATE)
        for module in (
            "sklearn.neighbors._ball_tree",
            "sklearn.neighbors._kd_tree",
            "sklearn.metrics._dist_metrics",
        )
    },
    "a bit generator of another class": whole(called(named(RANDOM, "__bit_generator_ctor"), NORM), STATE),
    "any class": whole(
        called(named(RANDOM, "__bit_generator_ctor"), named("sklearn.linear_model._ridge", "Ridge"))
    ),
    "a masked array of another class": whole(
        called(
            named("numpy.ma.core", "_mareconstruct"),
            NORM,
            named("numpy", "ndarray"),
            b"K\x00\x85",
            short("b"),
        ),
        STATE,
    ),
    **{
        f"{name} calls a function with {what}": whole(
            called(named(RANDOM, name), argument, named("numpy", "set_printoptions"))
        )
        for name in ("__generator_ctor", "__randomstate_ctor")
        for what, argument in (("a number", b"K\x01"), ("an object", SPACE))
    },
    "a metric that is a function": whole(
        called(named("sklearn.neighbors._ball_tree", "BallTree"), ARRAY, b"K\x28", named("numpy", "mean"))
    ),
    **{
        f"memory by a number, {how}": whole(
            named("sklearn.cluster._hierarchical_fast", "UnionFind"), b"J\x80\x96\x98\x00\x85", opcode
        )
        for how, opcode in (("called", b"R"), ("made", b"\x81"))
    },
    "a tree of more outputs than classes": whole(
        called(
            named("sklearn.tree._tree", "Tree"),
            b"K\x02",
            pickle.dumps(np.array([1]), 4)[2:-1],
            b"J\x80\x96\x98\x00",
        )
    ),
    "a loss of a function": whole(
        called(named("sklearn._loss._loss", "CyHuberLoss"), named("numpy", "mean"))
    ),
    "a codec by name": whole(called(named("_codecs", "encode"), short("x" * 9), short("idna"))),
    "a dtype whose arguments are objects": whole(called(named("numpy", "dtype"), short("f8"), SPACE)),
    "a buffer that is an object": whole(
        called(named("numpy._core.numeric", "_frombuffer"), SPACE, named("numpy", "dtype"), b")", short("C"))
    ),
    "the globals of a function": whole(named("numpy._core", "printoptions.__globals__")),
    "the class of a method's code": whole(
        named("sklearn.linear_model._ridge", "Ridge.__init__.__code__.__class__")
    ),
}


@pytest.mark.parametrize("policy", ["registered", "listed"])
@pytest.mark.parametrize("form", ["pickle", "joblib"])
@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE.keys())
def test_nothing_is_made_to_do_what_pickling_does_not(content: bytes, form: str, policy: str) -> None:
    before = np.get_printoptions()
    with pytest.raises(UntrustedError):
        Trust(policy).open(content, form, "it", is_own=False)
    assert not hasattr(sys, "hurt")
    assert np.get_printoptions() == before


X: Final = np.random.default_rng(0).random((30, 3))
USUAL: Final = [
    np.random.default_rng(1),
    np.random.RandomState(2),
    *(getattr(np.random, name)(3) for name in ("MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64")),
    np.ma.masked_equal([1, 2, 3], 2),
    np.rec.array([(1, 2.0)]),
    BallTree(X, metric="minkowski", p=3),
    KDTree(X.astype("f4")),
    DecisionTreeRegressor().fit(X, X),
    RandomForestRegressor(3).fit(X, X[:, 0]),
    *(
        SGDClassifier(loss=loss, tol=None, max_iter=5).fit(X, X[:, 0] > 0.5)
        for loss in ("hinge", "log_loss", "modified_huber", "squared_hinge", "epsilon_insensitive", "huber")
    ),
]


@pytest.mark.parametrize("protocol", range(2, 6))
@pytest.mark.parametrize("obj", USUAL, ids=lambda obj: type(obj).__name__)
def test_what_pickling_does_needs_no_permission(obj: Any, protocol: int) -> None:
    again = Trust("listed").open(pickle.dumps(obj, protocol), "pickle", "it", is_own=False)
    assert type(again) is type(obj)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package of a user's, whose modules import others."""
    name = "package_of_a_user"
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").write_text("")
    (tmp_path / name / "models.py").write_text(
        "import os\nfrom collections import OrderedDict\n\nfrom sklearn import set_config\n\n\n"
        "class Model:\n    def __init__(self):\n        self.a = 1\n\n"
        "    def get(self):\n        return 3\n\n\ndef make():\n    return Model()\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


def test_what_is_allowed_is_a_packages_own(package: str) -> None:
    module = f"{package}.models"
    for allowed in (package, module, f"{module}.Model"):
        trust = Trust("listed")
        trust.allow([allowed])
        for content in (
            whole(called(named(module, "os.getpid"))),
            whole(named(module, "os")),
            whole(called(named(module, "set_config"))),
            whole(named(module, "Model.__init__.__globals__")),
            whole(named(module, "Model.__class__.__subclasses__")),
            whole(called(named(module, "Model.__init__.__code__.__class__"))),
        ):
            with pytest.raises(UntrustedError, match=module):
                trust.open(content, "pickle", "it", is_own=False)
        made = trust.open(whole(named(module, "Model"), b")\x81"), "pickle", "it", is_own=False)
        assert type(made).__name__ == "Model"
    trust = Trust("listed")
    trust.allow([package])
    assert trust.open(whole(called(named(module, "make"))), "pickle", "it", is_own=False).a == 1
    trust.allow([f"{module}.os.getpid"])  # whoever says that means it
    assert trust.open(whole(called(named(module, "os.getpid"))), "pickle", "it", is_own=False) == os.getpid()


@pytest.mark.parametrize("name", ["append", "add", "__setstate__", "__class__"])
def test_what_is_allowed_calls_nothing_that_an_object_was_given(package: str, name: str) -> None:
    """A method of its class does, if it has one: not what a state has put in its place."""
    model = named(f"{package}.models", "Model") + b")\x81"
    ask = named("sklearn", "set_config")
    given = model + b"}" + short(name) + ask + b"sb"
    ways = {"append": b"(K\x01e", "add": b"(K\x01\x90", "__setstate__": b"K\x01b", "__class__": b""}
    slotted = model + b"N}" + short(name) + ask + b"s\x86b"
    trust = Trust("listed")
    trust.allow([f"{package}.models.Model"])
    before = sklearn.get_config()
    for content in (given + ways[name], slotted + ways[name]):
        with contextlib.suppress(UntrustedError, SerializationError):
            assert type(trust.open(whole(content), "pickle", "it", is_own=False)).__name__ == "Model"
    assert sklearn.get_config() == before


def test_a_method_of_what_is_allowed_is_had_and_no_other_attribute(package: str) -> None:
    """Of `getattr` no more is allowed than pickling does with it, whatever the user says."""
    model = named(f"{package}.models", "Model") + b")\x81"
    trust = Trust("listed")
    trust.allow([f"{package}.models.Model", "builtins.getattr"])
    bound = whole(called(named("builtins", "getattr"), model, short("get")))
    assert trust.open(bound, "pickle", "it", is_own=False)() == 3
    for name in ("__dict__", "__class__", "a", "none"):
        with pytest.raises(UntrustedError, match="trust='all'"):
            trust.open(
                whole(called(named("builtins", "getattr"), model, short(name))), "pickle", "it", is_own=False
            )
