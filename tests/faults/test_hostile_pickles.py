"""Pickles made by hand to run code in spite of the policy: none of it runs, whatever way is tried.

Each of these once got through, or is a near relative of one that did.
"""

import os
import pickle
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import pytest
import sklearn
from sklearn.linear_model import Ridge

from chainfold import UntrustedError
from chainfold.trust import Trust

HEAD: Final = b"\x80\x04"
MARK: Final = "CHAINFOLD_CODE_RAN"


def text(said: str) -> bytes:
    data = said.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def name(module: str, attribute: str) -> bytes:
    return text(module) + text(attribute) + b"\x93"


def filled(made: bytes, key: str, value: bytes) -> bytes:
    """An object that is given a state of one attribute."""
    return made + b"}" + text(key) + value + b"sb"


SPACE: Final = name("types", "SimpleNamespace") + b")\x81"
ARRAY: Final = name("joblib.numpy_pickle", "NumpyArrayWrapper")
CALL: Final = name("builtins", "exec") + text(f"import os; os.environ[{MARK!r}] = '1'") + b"\x85R"


def dtype(state: bytes = b"") -> bytes:
    return name("numpy", "dtype") + text("f8") + b"\x89\x88\x87R" + state


def dtype_state(subtype: bytes, length: int, flags: bytes = b"K\x00") -> bytes:
    return (
        b"(K\x03"
        + text("<")
        + subtype
        + b"NNJ"
        + struct.pack("<i", length)
        + b"J\xff\xff\xff\xff"
        + flags
        + b"tb"
    )


def wrapper_state(shape: bytes, kind: bytes) -> bytes:
    pairs = [("subclass", name("numpy", "ndarray")), ("shape", shape), ("order", text("C")), ("dtype", kind)]
    pairs += [("allow_mmap", b"\x89"), ("numpy_array_alignment_bytes", b"N")]
    return b"}(" + b"".join(text(key) + value for key, value in pairs) + b"ub"


PLAIN: Final = dtype(dtype_state(b"N", -1))
GOOD: Final = ARRAY + b")\x81" + wrapper_state(b"K\x01\x85", PLAIN) + bytes(8)
OBJECTS: Final = (
    name("numpy", "dtype") + text("O8") + b"\x89\x88\x87R" + dtype_state(b"N", -1, b"K?").replace(b"<", b"|")
)
VERSION: Final = text("_sklearn_version") + text(sklearn.__version__)
RIDGE: Final = name("sklearn.linear_model._ridge", "Ridge") + b")\x81"
TOLD: Final = RIDGE + b"}(" + VERSION + text("alpha") + b"K\x01ub"
"""An object whose `__repr__` is in Python."""


def array(kind: bytes, items: bytes) -> bytes:
    """An array of one element, as a list of it."""
    made = name("numpy._core.multiarray", "_reconstruct") + name("numpy", "ndarray") + b"K\x00\x85C\x01b\x87R"
    return made + b"(K\x01K\x01\x85" + kind + b"\x89]" + items + b"atb"


def structure(fields: dict[str, tuple[bytes, int]], length: int, flags: int) -> bytes:
    """The state of a dtype with fields."""
    names = b"(" + b"".join(map(text, fields)) + b"t"
    pairs = b"".join(
        text(key) + kind + b"J" + struct.pack("<i", at) + b"\x86" for key, (kind, at) in fields.items()
    )
    numbers = b"J" + struct.pack("<i", length) + b"K\x01J" + struct.pack("<i", flags)
    return b"(K\x03" + text("|") + b"N" + names + b"}(" + pairs + b"u" + numbers + b"tb"


ATTACKS: Final = {
    "named": CALL,
    "ufunc": name("numpy._core", "_ufunc_reconstruct") + text("os") + text("system") + b"\x86R",
    "ufunc of old": name("numpy.core", "_ufunc_reconstruct") + text("builtins") + text("exec") + b"\x86R",
    "ufunc that is told": name("numpy._core", "_ufunc_reconstruct") + SPACE + text("exec") + b"\x86R",
    "method planted": filled(SPACE, "__setstate__", name("numpy", "seterrcall"))
    + name("numpy", "ndarray") + b"b",
    "method as item": SPACE + text("__setstate__") + name("numpy", "seterrcall") + b"s",
    "state twice": filled(SPACE, "a", b"N") + b"}b",
    "items after the state": filled(SPACE, "append", name("numpy", "seterrcall")) + b"Na",
    "pairs and items": name("scipy.optimize", "OptimizeResult")
    + b")\x81" + text("append") + name("numpy", "seterrcall") + b"sNa",
    "state that is run": filled(
        name("scipy.stats._continuous_distns", "norm_gen") + b")\x81",
        "_parse_arg_template",
        text(f"import os; os.environ[{MARK!r}] = '1'"),
    ),
    "constructor": name("copyreg", "_reconstructor")
    + name("scipy._lib._util", "MapWrapper") * 2 + b"K\x02\x87R",
    "class changed": name("sklearn.linear_model._ridge", "Ridge")
    + b"N}" + text("predict") + name("numpy", "zeros_like") + b"s\x86b",
    "function changed": name("sklearn.utils.validation", "check_is_fitted")
    + b"N}" + text("__defaults__") + b"Ns\x86b",
    "slots": SPACE + b"N}" + text("a") + b"Ns\x86b",
    "object whose methods are called": name("collections", "OrderedDict")
    + RIDGE + b"}(" + VERSION
    + text("keys") + name("numpy", "geterr") + b"ub\x85R",
    "array not seen": GOOD + b"0" + name("copyreg", "_reconstructor") + ARRAY + name("builtins", "object")
    + b"N\x87R" + wrapper_state(b"K\x01\x85", PLAIN) + b"C" + bytes([6 + len(CALL)]) + b"xxxxxx" + CALL,
    "length that lies": ARRAY + b")\x81"
    + wrapper_state(b"K\x01\x85", dtype(dtype_state(b"N", 8 + len(CALL)))) + bytes(8) + CALL,
    "array of objects in disguise": ARRAY + b")\x81"
    + wrapper_state(
        b"K\x01\x85",
        name("numpy", "dtype") + text("V8") + b"\x89\x88\x87R"
        + dtype_state(OBJECTS + b"K\x01\x85\x86", 8, b"K?"),
    ) + HEAD + CALL + b".",
    "list that is only claimed": name("builtins", "list")
    + name("builtins", "range") + b"J\x00\x00\x00\x10\x85R\x85R",
    "zeros": name("builtins", "bytearray") + b"J\x00\x00\x00\x40\x85R",
    "fraction of a billion digits": name("fractions", "Fraction") + text("1e1000000000") + b"\x85R",
    "array that is only claimed": name("numpy._core.multiarray", "_reconstruct")
    + name("numpy", "ndarray") + b"J\x00\x00\x00\x40\x85C\x01O\x87R",
    "scalar that is only claimed": name("numpy._core.multiarray", "scalar")
    + name("numpy", "dtype") + text("V2000000000") + b"\x85R\x85R",
    "class as a scalar": name("numpy._core.multiarray", "scalar")
    + OBJECTS + name("sklearn.linear_model._ridge", "Ridge") + b"\x86R"
    + b"N}" + text("predict") + name("numpy", "zeros_like") + b"s\x86b",
    "object as a scalar": name("numpy._core.multiarray", "scalar") + OBJECTS + SPACE + b"\x86R}b",
    "member of an enumeration": name("numpy._globals", "_CopyMode") + b"\x89\x85R}" + text("a") + b"K\x01sb",
    "dtypes that never end": name("numpy", "dtype") + text("u1") + b"\x85R"
    + b"".join(
        b"q%c0" % n + name("numpy", "dtype") + text("V1") + b"\x85R"
        + structure({"a": (b"h%c" % n, 0), "b": (b"h%c" % n, 0)}, 1, 0)
        for n in range(60)
    ) + name("os", "system"),
    "tuples that never end": b"\x8f()"
    + b"".join(b"q%c0h%ch%c\x86" % (n, n, n) for n in range(100)) + b"\x90",
    "tuples too deep for C": b"\x8f()" + b"\x85" * 1_000_000 + b"\x90",
    "texts of objects": array(name("numpy", "dtype") + text("T") + b"\x85R", TOLD),
    "texts of objects by class": array(
        name("numpy", "dtype") + name("numpy.dtypes", "StringDType") + b"\x85R", TOLD
    ),
    "texts of objects by function": array(
        name("numpy._core._internal", "_convert_to_stringdtype_kwargs") + b"\x88\x85R", TOLD
    ),
    "numbers of objects": array(
        name("numpy", "dtype") + text("V12") + b"\x89\x88\x87R"
        + structure({"a": (OBJECTS, 0), "b": (name("numpy", "dtype") + text("U1") + b"\x85R", 8)}, 12, 27),
        TOLD + TOLD + b"\x86",
    ),
    "addresses as numbers": name("numpy", "dtype") + text("V8") + b"\x89\x88\x87R"
    + structure({"a": (OBJECTS, 0)}, 8, 0),
    "fields outside": name("numpy", "dtype") + text("V8") + b"\x89\x88\x87R"
    + structure({"a": (PLAIN, 800)}, 8, 0),
    "dtype that changes": name("numpy", "dtype") + text("V8") + b"\x89\x88\x87R" + b"q\x01"
    + name("numpy._core.multiarray", "scalar") + b"h\x01C\x08aaaaaaaa\x86R0h\x01"
    + structure({"a": (OBJECTS, 0)}, 8, 27),
}  # fmt: skip


@pytest.fixture
def ran() -> Iterator[list[str]]:
    """What has run: nothing must have."""
    before = np.geterrcall(), Ridge.predict
    yield []
    assert os.environ.pop(MARK, None) is None
    assert (np.geterrcall(), Ridge.predict) == before


@pytest.mark.usefixtures("ran")
@pytest.mark.parametrize("policy", ["registered", "listed"])
@pytest.mark.parametrize("form", ["pickle", "joblib"])
@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_of_it_runs(attack: str, form: str, policy: str) -> None:
    with pytest.raises(UntrustedError):  # before any of it is asked for
        Trust(policy).open(HEAD + ATTACKS[attack] + b".", form, "it", is_own=False)


@pytest.mark.usefixtures("ran")
def test_what_is_good_is_read(tmp_path: Path) -> None:
    """So that the attacks fail for what they do, and not for how they are put together."""
    assert Trust().open(HEAD + GOOD + b".", "joblib", "it", is_own=False).tolist() == [0.0]
    trust = Trust()
    trust.allow(["types.SimpleNamespace"])
    assert trust.open(HEAD + filled(SPACE, "a", b"K\x01") + b".", "pickle", "it", is_own=False).a == 1
    found = Trust().open(HEAD + name("numpy", "log1p") + b".", "pickle", "it", is_own=False)
    assert found is np.log1p
    assert not list(tmp_path.iterdir())


def test_names_are_shown_as_they_can_be_typed() -> None:
    with pytest.raises(UntrustedError) as refused:
        Trust().open(HEAD + name("evil\x1b[31m", "x y") + b".", "pickle", "it", is_own=False)
    assert "\x1b" not in str(refused.value)
    assert "registry.allow" not in str(refused.value)


OBJECT_ARRAY: Final = pickle.dumps(np.array([1, None], dtype=object), 4)
PAIR: Final = pickle.dumps(np.zeros(1, dtype=[("a", "i4"), ("b", "f8")]), 4)
DATE: Final = pickle.dumps(np.datetime64("2026-01-01"), 2)
COMPLEX: Final = pickle.dumps(np.complex64(1j), 4)
TWISTED: Final = {
    "more items than there are": (OBJECT_ARRAY, b"K\x02\x85", b"K\x0b\x85"),
    "a negative shape": (OBJECT_ARRAY, b"K\x02\x85", b"J\xfe\xff\xff\xff\x85"),
    "flags of another kind": (DATE, b"\xff\xff\xff\xffK\x00", b"\xff\xff\xff\xffK\x20"),
    "texts of no length in a field": (PAIR, b"\x02i4", b"\x02a4"),
    "texts of no length": (COMPLEX, b"\x02c8", b"\x02a8"),
    "a relative module": (COMPLEX, b"\x05numpy\x94\x8c\x05dtype", b"\x05.umpy\x94\x8c\x05dtype"),
}


@pytest.mark.parametrize("twist", TWISTED)
def test_what_numpy_would_take_unseen_is_refused(twist: str) -> None:
    """Each but the last read memory that is not the array's, or ended the process."""
    data, old, new = TWISTED[twist]
    assert data.count(old) == 1
    Trust("listed").open(data, "pickle", "it", is_own=False)
    with pytest.raises(UntrustedError):
        Trust("listed").open(data.replace(old, new), "pickle", "it", is_own=False)
