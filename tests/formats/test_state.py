"""Values and objects as JSON and files come back as they were, or are refused."""

import threading
from collections import OrderedDict, defaultdict
from fractions import Fraction
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from sklearn.preprocessing import LabelEncoder

from chainfold.serializers.state import Reader, Writer

ENCODER = "sklearn.preprocessing._label:LabelEncoder"
ALLOWED = {"fractions:Fraction", f"{__name__}:LabelEncoder"}


def written(value: Any, *allowed: str) -> tuple[bytes, dict[str, bytes]]:
    writer = Writer(allowed.__contains__)
    return writer.document(value), writer.files


def came_back(value: Any, *allowed: str) -> Any:
    document, files = written(value, *allowed)
    again = Reader(files, allowed.__contains__).document(document)
    assert written(again, *allowed) == (document, files)
    return again


def told(value: Any) -> Any:
    """A value as plain data that tells apart all that `==` does not: classes, signs of zeros, NaN."""
    cls = type(value)
    if isinstance(value, np.ndarray):
        return cls, str(value.dtype), value.shape, value.tobytes()
    if isinstance(value, dict):
        factory = getattr(value, "default_factory", None)
        return cls, factory, [(told(key), told(each)) for key, each in value.items()]
    if isinstance(value, set | frozenset):
        return cls, sorted(map(repr, map(told, value)))
    if isinstance(value, list | tuple):
        return cls, [told(each) for each in value]
    return cls, repr(value)


KEYS = st.one_of(
    st.text(max_size=5),
    st.integers(),
    st.booleans(),
    st.none(),
    st.tuples(st.integers(), st.text(max_size=3)),
    st.sampled_from([np.str_("a"), np.int64(3), np.float32(0.1)]),
)
LEAVES = st.one_of(
    KEYS,
    st.floats(),
    st.binary(max_size=10),
    st.frozensets(st.text(max_size=3), max_size=4),
    st.sets(st.integers(), max_size=4),
    st.sampled_from([np.float64("nan"), np.float16(1.5), np.bool_(True), np.uint8(7), np.str_("é")]),
    arrays("f4", array_shapes(min_dims=0, max_dims=2, max_side=3)),
    arrays("<U3", 2),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.tuples(inner, inner),
        st.dictionaries(KEYS, inner, max_size=3),
        st.dictionaries(KEYS, inner, max_size=3).map(OrderedDict),
        st.dictionaries(st.text(max_size=3), inner, max_size=3).map(lambda items: defaultdict(list, items)),
    ),
    max_leaves=10,
)


@given(VALUES)
def test_values_come_back_as_they_were(value: Any) -> None:
    """Class, order, sign of zero, NaN and all; and written again they are the same bytes."""
    assert told(came_back(value)) == told(value)


def test_what_is_shared_stays_shared() -> None:
    inner = {"a": [1]}
    array = np.arange(3)
    again = came_back([inner, inner, inner["a"], {"array": array, "again": array}])
    assert again[0] is again[1]
    assert again[2] is again[0]["a"]
    assert again[3]["array"] is again[3]["again"]
    assert again == [inner, inner, [1], again[3]]


def test_objects_of_allowed_classes() -> None:
    encoder = LabelEncoder().fit(["b", "a"])
    again = came_back({"one": encoder, "same": encoder}, ENCODER)
    assert again["one"] is again["same"]
    assert again["one"].transform(["a", "b"]).tolist() == [0, 1]


class Slotted:
    __slots__ = ("value",)


class Reduced:
    def __reduce__(self) -> Any:
        return Reduced, ()


def holding_itself() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    "value",
    [
        Fraction(1, 2),
        LabelEncoder(),
        threading.Lock(),
        len,
        Slotted(),
        Reduced(),
        holding_itself(),
        np.array([None]),
        np.ma.masked_array([1], [True]),
        np.datetime64("2020-01-01"),
        np.longdouble(1),
        defaultdict(lambda: 0),
        type("Text", (str,), {})("x"),
        msgspec.UNSET,
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_has_no_form_is_refused(value: Any) -> None:
    with pytest.raises(TypeError):
        written({"held": [value]}, f"{__name__}:Slotted", f"{__name__}:Reduced")


@pytest.mark.parametrize("base", [LabelEncoder, Fraction, object])
def test_what_is_written_can_be_read(base: type) -> None:
    """The writer takes what inherits from its base, as the reader does."""
    writer = Writer(ENCODER.__eq__, base=base)
    value = LabelEncoder().fit(["b", "a"])
    if isinstance(value, base):
        document = writer.document(value)
        assert type(Reader(writer.files, ENCODER.__eq__, base=base).document(document)) is LabelEncoder
    else:
        with pytest.raises(TypeError, match="has no form here"):
            writer.document(value)


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b"null",
        b'{"root":{"object":0},"objects":[{"class":"os:system","state":{}}],"shared":[]}',
        b'{"root":{"object":0},"objects":[{"class":"fractions:Fraction","state":{}}],"shared":[]}',
        b'{"root":{"object":0},"objects":[{"class":["os:system"],"state":{}}],"shared":[]}',
        b'{"root":{"object":0},"objects":[],"shared":[]}',
        b'{"root":{"shared":0},"objects":[],"shared":[{"shared":0}]}',
        b'{"root":{"shared":0},"objects":[],"shared":[[{"shared":0}]]}',
        b'{"root":{"set":[{"shared":0}]},"objects":[],"shared":[{"tuple":[]}]}',
        b'{"root":{"object":0},"objects":[{"class":"tests.formats.test_state:LabelEncoder","state":{}}],"shared":[]}',
        b'{"root":{"array":"../../etc/passwd"},"objects":[],"shared":[]}',
        b'{"root":{"numpy":["load","x"]},"objects":[],"shared":[]}',
        b'{"root":{"defaultdict":["eval",[]]},"objects":[],"shared":[]}',
        b'{"root":{"unknown":1},"objects":[],"shared":[]}',
        b'{"root":{"int":1,"float":2},"objects":[],"shared":[]}',
        b'{"root":{"set":[[1]]},"objects":[],"shared":[]}',
        b'{"root":' + b"[" * 50_000 + b"]" * 50_000 + b',"objects":[],"shared":[]}',
    ],
)
def test_documents_made_to_hurt(document: bytes) -> None:
    with pytest.raises((ValueError, TypeError, KeyError, IndexError, RecursionError)):
        Reader({}, lambda name: name in ALLOWED, base=LabelEncoder).document(document)
