"""Parameters may hold anything: what JSON has comes back equal, the rest becomes readable, nothing fails."""

import datetime as dt
import decimal
import enum
import math
import pathlib
import types
from collections import OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Iterator
from typing import Any, Never

import msgspec
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays, scalar_dtypes

from chainfold.params import MAX_DEPTH, MAX_NODES, MAX_TEXT, from_wire, normalize, readable, to_wire

TAGS = st.sampled_from(["$", "$float", "$int", "$dict", "$other", "", "..."])
KEYS = st.text() | TAGS
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1])
    | st.sampled_from([1, -1]).map(lambda sign: sign * 10**5000)  # more digits than str(int) may write
    | st.floats()
    | KEYS
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)
PARAMS = st.dictionaries(KEYS, VALUES, max_size=5)


def same(left: Any, right: Any) -> bool:
    """Equal in type, value, sign of zero and order of keys, at every depth; NaN is NaN."""
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return list(left) == list(right) and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, float):
        return repr(left) == repr(right)
    return bool(left == right)


def through_json(params: dict[str, Any]) -> dict[str, Any]:
    decoded = msgspec.json.decode(msgspec.json.encode(to_wire(params)))
    assert isinstance(decoded, dict)
    return from_wire(decoded)


def containers(value: Any) -> Iterator[int]:
    if isinstance(value, dict | list):
        yield id(value)
        for inner in value.values() if isinstance(value, dict) else value:
            yield from containers(inner)


@given(PARAMS)
@example({"$dict": {"$dict": {"$int": "0x5"}}})
@example({"$int": "0x5"})
@example({"a": {"$float": "nan"}})
def test_json_types_come_back_equal(params: dict[str, Any]) -> None:
    """from_wire(json(to_wire(normalize(x)))) is x in value and type, and shares nothing mutable with it."""
    normal = normalize(params)
    assert same(normal, params)
    assert set(containers(normal)).isdisjoint(containers(params))
    assert same(through_json(normal), params)
    assert same(from_wire(to_wire(normal)), params)


@given(PARAMS)
def test_from_wire_takes_any_json(wire: dict[str, Any]) -> None:
    """Text that only looks like tags is read without an error."""
    assert type(from_wire(wire)) is dict


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class Mode(enum.StrEnum):
    FAST = "fast"


class Loud(str):
    __slots__ = ()

    def __str__(self) -> str:
        raise RuntimeError


class Liar(int):
    def __int__(self) -> int:
        return 666

    def __eq__(self, other: object) -> bool:
        raise RuntimeError

    __hash__ = int.__hash__


class Hostile:
    """Every way of looking at it but its type fails."""

    def __getattribute__(self, name: str) -> Never:
        raise RuntimeError(name)

    def __eq__(self, other: object) -> bool:
        raise RuntimeError

    def __hash__(self) -> int:
        return 123_456_789

    def __iter__(self) -> Never:
        raise RuntimeError

    def __len__(self) -> Never:
        raise RuntimeError

    def __bool__(self) -> Never:
        raise RuntimeError

    def __lt__(self, other: object) -> Never:
        raise RuntimeError

    def __repr__(self) -> str:
        raise ZeroDivisionError


class HostileMeta(type):
    def __getattribute__(cls, name: str) -> Never:
        raise RuntimeError(name)

    def __eq__(cls, other: object) -> Never:
        raise RuntimeError

    def __hash__(cls) -> Never:
        raise RuntimeError


class OfHostile(metaclass=HostileMeta):
    pass


class Strange(list[Any]):
    def __iter__(self) -> Never:
        raise RuntimeError

    def __len__(self) -> Never:
        raise RuntimeError


class NotPairs(dict[Any, Any]):
    def items(self) -> Any:
        raise RuntimeError


class ReprOfWrongType:
    def __repr__(self) -> str:
        return 5  # type: ignore[return-value]


class Grows(list[Any]):
    def __repr__(self) -> str:
        self.append(1)
        return "x" * 10_000_000


def grown() -> list[Any]:
    growing: list[Any] = []
    growing.append(growing)
    growing.append({"again": growing})
    return growing


NASTY = [
    Hostile(),
    Colour.RED,
    b"\xff",
    OfHostile(),
    Loud("loud"),
    Liar(5),
    Strange([1, [2]]),
    NotPairs({1: 2}),
    ReprOfWrongType(),
    Grows([Hostile()]),
    grown(),
    Level.HIGH,
    Mode.FAST,
    bytearray(b"x"),
    1j,
    ...,
    object(),
    print,
    Hostile,
    lambda: 0,
    (1, (2,)),
    {1, "a"},
    frozenset({frozenset({1}), frozenset({2})}),
    deque([1]),
    range(5),
    slice(1),
    dt.datetime(2024, 1, 2, tzinfo=dt.UTC),
    dt.timedelta(days=1),
    pathlib.PurePosixPath("/a"),
    decimal.Decimal("1.10"),
    "\ud800",
    np.float32(0.1),
    np.longdouble(1) / 3,
    np.datetime64("2024-01-01", "ns"),
    np.ma.masked,
    np.ones((1, 1)).view(np.matrix),
    np.array([None, {}], dtype=object),
    np.zeros((10**9, 0)),
    np.dtype("f8"),
    types.MappingProxyType({1: 1}),
    defaultdict(list),
]


class Odd(msgspec.Struct, frozen=True):
    """Stands for NASTY[at] until the test itself: hypothesis looks at what it draws."""

    at: int


def filled(value: Any) -> Any:
    kind = type(value)
    if kind is Odd:
        return NASTY[value.at]
    if kind is dict:
        return {filled(key): filled(inner) for key, inner in value.items()}
    return kind(map(filled, value)) if kind in (list, tuple, set) else value


ODD = st.builds(Odd, st.integers(0, len(NASTY) - 1))
ODD_KEYS = st.builds(Odd, st.integers(0, 2))
HASHABLE = st.none() | st.booleans() | st.integers() | st.text(st.characters()) | st.tuples(st.integers())
ANYTHING = st.recursive(
    SCALARS | ODD | st.text(st.characters(categories=["Cs", "L"])),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.sets(HASHABLE, max_size=4)
        | st.dictionaries(HASHABLE | ODD_KEYS, inner, max_size=4)
    ),
    max_leaves=12,
)


@given(ANYTHING)
@example({1: "int", "1": "text", "1 (2)": "taken"})
@example({"\ud800": 1, "\\ud800": 2})
def test_anything_becomes_json_types_for_good(params: Any) -> None:
    """Normalising never raises, needs doing only once, and what comes out survives JSON."""
    normal = normalize(filled(params))
    assert same(normalize(normal), normal)
    assert same(through_json(normal), normal)


def test_all_odd_things_at_once() -> None:
    normal = normalize({"things": NASTY})
    assert len(normal["things"]) == len(NASTY)
    assert same(normalize(normal), normal)


@given(arrays(scalar_dtypes(), array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5)))
def test_arrays(array: np.ndarray[Any, Any]) -> None:
    """Small arrays become lists of their numbers, larger ones say their shape."""
    normal = normalize({"a": array})
    assert same(through_json(normal), normal)
    if math.prod(max(axis, 1) for axis in array.shape) > 64:
        assert normal["a"] == f"ndarray(shape={array.shape}, dtype={array.dtype})"
    elif array.dtype.kind in "biuf" and array.dtype.itemsize <= 8:
        assert same(normal["a"], array.tolist())


Point = namedtuple("Point", "x y")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float64(0.5), 0.5),
        (np.float32(0.5), 0.5),
        (np.int8(-3), -3),
        (np.uint64(2**64 - 1), 2**64 - 1),
        (np.bool_(True), True),
        (np.str_("text"), "text"),
        (np.bytes_(b"ab"), "b'ab'"),
        (np.complex128(1 + 2j), "(1+2j)"),
        (np.longdouble(0.5), "0.5"),
        (np.datetime64("2024-01-02"), "2024-01-02"),
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (np.array(7), 7),
        (np.array(["2024-01-02"], dtype="M8[ns]"), ["2024-01-02T00:00:00.000000000"]),
        (np.ma.masked_array([1, 2], [False, True]), [1, None]),
        (np.zeros((20, 10)), "ndarray(shape=(20, 10), dtype=float64)"),
        (Level.HIGH, 3),
        (Mode.FAST, "fast"),
        (Colour.RED, "Colour.RED"),
        (Liar(5), 5),
        (Loud("loud"), "loud"),
        ((1, (2, 3)), [1, [2, 3]]),
        (Point(1, 2), [1, 2]),
        ({3, 1, 2}, [1, 2, 3]),
        ({"b", "a", 1}, [1, "a", "b"]),
        (OrderedDict(a=1), {"a": 1}),
        (types.MappingProxyType({"a": [1]}), {"a": [1]}),
        (dt.datetime(2024, 1, 2, 3, 4, 5, tzinfo=dt.UTC), "2024-01-02T03:04:05+00:00"),
        (dt.date(2024, 1, 2), "2024-01-02"),
        (dt.timedelta(days=1), "1 day, 0:00:00"),
        (pathlib.PurePosixPath("/data/x.csv"), "/data/x.csv"),
        (decimal.Decimal("1.10"), "1.10"),
        (b"ab", "b'ab'"),
        (range(5), "range(0, 5)"),
        (math.sin, "math.sin"),
        (Strange, f"{__name__}.Strange"),
        (same, f"{__name__}.same"),
        ("a\ud800", "a\\ud800"),
        (ReprOfWrongType(), f"<{__name__}.ReprOfWrongType: repr failed: TypeError>"),
        ({1: "a", "1": "b", None: "c", (1, 2): "d"}, {"1 (2)": "a", "1": "b", "None": "c", "(1, 2)": "d"}),
        ({10**5000: 1}, {hex(10**5000)[: MAX_TEXT - 1] + "…": 1}),
    ],
)
def test_readable_forms(value: Any, expected: Any) -> None:
    assert same(normalize({"p": value}), {"p": expected})


def test_the_hostile_are_named() -> None:
    hostile = {"o": Hostile(), "m": OfHostile()}
    assert normalize(hostile) == {
        "o": f"<{__name__}.Hostile: repr failed: ZeroDivisionError>",
        "m": f"<{__name__}.OfHostile: repr failed: RuntimeError>",
    }


def test_the_outermost() -> None:
    assert normalize(None) == {}
    assert normalize([1, (2,)]) == {"params": [1, [2]]}
    assert normalize(types.MappingProxyType({"a": 1})) == {"a": 1}
    assert normalize("text") == {"params": "text"}


def test_a_dict_of_scalars_is_a_copy() -> None:
    params = {"a": 1}
    assert normalize(params) == params
    assert normalize(params) is not params


def test_addresses_in_memory_do_not_count() -> None:
    assert normalize({"o": object()}) == {"o": "<object object>"}


def test_cycles_end() -> None:
    params: dict[str, Any] = {"list": [1]}
    params["self"] = params
    params["list"].append(params["list"])
    assert normalize(params) == {"list": [1, "<cycle: list>"], "self": "<cycle: dict>"}


def test_what_is_used_twice_is_no_cycle() -> None:
    shared = [1]
    assert normalize({"a": shared, "b": [shared, shared]}) == {"a": [1], "b": [[1], [1]]}


def test_depth_is_bounded() -> None:
    deep: Any = "bottom"
    for _ in range(100_000):
        deep = [deep]
    found = normalize({"deep": deep})
    assert same(through_json(found), found)
    value = found["deep"]
    for _ in range(MAX_DEPTH):
        (value,) = value
    assert value == "<list nested deeper than 64 levels>"


def test_work_is_bounded() -> None:
    wide = normalize({"wide": [[0] * 1000] * 1000, "rest": 1})
    assert len(wide["wide"]) == 201
    assert wide["wide"][-2][-1] == wide["wide"][-1] == wide["..."] == "..."
    assert same(normalize(wide), wide)
    flat = normalize({str(number): number for number in range(MAX_NODES + 5)})
    assert len(flat) == MAX_NODES + 1
    assert same(normalize(flat), flat)


def test_an_endless_mapping_ends() -> None:
    class Endless(dict[str, Any]):
        pass

    class Numbers(msgspec.Struct):
        pass

    bomb: Any = [0] * 10
    for _ in range(30):
        bomb = [bomb] * 10
    assert len(msgspec.json.encode(normalize(Endless(bomb=bomb)))) < 10_000_000
    assert normalize({"struct": Numbers()}) == {"struct": "Numbers()"}


def test_keys_that_read_alike_stay_apart() -> None:
    normal = normalize({object(): number for number in range(20_000)})
    assert list(normal.values()) == list(range(20_000))
    assert list(normal)[:2] == ["<object object>", "<object object> (2)"]


def test_long_texts_stay_and_long_reprs_do_not() -> None:
    assert normalize({"text": "x" * 5000})["text"] == "x" * 5000
    assert len(readable(Grows())) == MAX_TEXT
    assert readable(Grows()).endswith("…")


def test_what_the_wire_looks_like() -> None:
    """The tags are in logs for ever: they are not to change."""
    params = {"nan": math.nan, "inf": [math.inf, -math.inf], "big": 2**64, "tag": {"$int": "0x1"}, "x": 1.0}
    assert to_wire(params) == {
        "nan": {"$float": "nan"},
        "inf": [{"$float": "inf"}, {"$float": "-inf"}],
        "big": {"$int": "0x10000000000000000"},
        "tag": {"$dict": {"$int": "0x1"}},
        "x": 1.0,
    }
    assert to_wire({"$float": "nan"}) == {"$dict": {"$float": "nan"}}
    flat = {"a": 1, "b": 2.0}
    assert to_wire(flat) is flat
