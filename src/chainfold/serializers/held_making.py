"""What is being made while a pickle is loaded: which objects still wait for their state, what was used."""

import collections
import datetime as dt
import decimal
import enum
import fractions
import sys
import types
import uuid
import zoneinfo
from collections.abc import Callable, Iterable
from typing import Any, Final

from chainfold.serializers.pickle_symbols import NotPickledError

Fill = Callable[["Making", Any, Any], None]
"""What gives an object its state: of the load, the object, and the state."""

_COPIES: Final = 16
_COPIED_BYTES: Final = 16 << 20
"""What is made of parts of a pickle may come to: so many times its bytes, and so many more."""
_STEP: Final = 8
"""What a step of looking at something costs, in bytes."""
_PART: Final = 32
"""And one of a key's parts, which are looked at however often a key is used."""
NUMBERS: Final = frozenset({bool, bytes, complex, float, int, str, type(None)})
_HASHED: Final = NUMBERS | {
    types.BuiltinFunctionType, type(...), type(NotImplemented), dt.date, dt.datetime, dt.time, dt.timedelta,
    dt.timezone, decimal.Decimal, fractions.Fraction, range, uuid.UUID, zoneinfo.ZoneInfo,
}  # fmt: skip
"""Classes whose hash and equality are Python's own."""
_DEEPEST_KEY: Final = 500
_DEEPEST_NESTED: Final = 200
"""Arrays of objects, deques and defaultdicts that are in each other: C has no more stack to free them."""
_MOST_LATE: Final = 20
"""And how many may be filled after they were put in another."""
_DEEPEST_DTYPE: Final = 50
_LARGEST_DTYPE: Final = 10_000


class Making:
    """One load.

    Args:
        names: The classes and functions that it may find.
        free: Of these, what the user has allowed: that may be called with anything, and given anything.
        size: Bytes of the pickle.
    """

    def __init__(self, names: frozenset[str], free: frozenset[str], size: int) -> None:
        self.names = names
        self.free = free
        self.size = size
        self.left = size * _COPIES + _COPIED_BYTES
        self._found: dict[int, tuple[Any, str]] = {}
        self._pending: dict[int, tuple[Any, Fill]] = {}
        self._freed: dict[int, Any] = {}
        self._compiled: dict[int, Any] = {}
        self._targets: dict[int, Any] = {}
        self._alike: collections.Counter[tuple[int, int]] = collections.Counter()
        self._made_of: dict[int, tuple[Any, int, int]] = {}
        self._nested: dict[int, tuple[Any, int]] = {}
        self._inner: dict[int, Any] = {}
        self._late = 0
        self._copied: dict[int, Any] = {}

    def find(self, found: Any, name: str) -> Any:
        """Remember what was found under a name."""
        self._found[id(found)] = found, name
        return found

    def name_of(self, found: Any) -> str:
        """The name under which this load has found a class or function; empty if it did not."""
        return self._found.get(id(found), (None, ""))[1]

    def is_free(self, obj: Any) -> bool:
        """Whether the user has allowed an object's class, or what has made it."""
        return id(obj) in self._freed or self.name_of(type(obj)) in self.free

    def let(self, obj: Any) -> Any:
        """Remember that what the user has allowed made it."""
        self._freed[id(obj)] = obj
        return obj

    def compile(self, obj: Any) -> Any:
        """Remember that an object is of a compiled class, and was made as such are."""
        self._compiled[id(obj)] = obj
        return obj

    def is_compiled(self, obj: Any) -> bool:
        """Whether it is one, and has its state."""
        return id(obj) in self._compiled and not self.is_pending(obj)

    def await_state(self, obj: Any, fill: Fill) -> Any:
        """Remember that an object has been made, and may be given its state: once."""
        self._pending[id(obj)] = obj, fill
        return obj

    def fill(self, obj: Any, state: Any) -> None:
        """Give an object its state.

        Raises:
            NotPickledError: If it takes none, or no longer.
        """
        _, fill = self._pending.pop(id(obj), (None, _refuse))
        fill(self, obj, state)

    def is_pending(self, obj: Any) -> bool:
        """Whether an object may still be given a state."""
        return id(obj) in self._pending

    def seal(self, obj: Any) -> None:
        """From now on it may not: what has taken it relies on it."""
        self._pending.pop(id(obj), None)

    def spend(self, amount: int) -> None:
        """Note that so many bytes are made that are not in the pickle, or that as much work is done.

        Raises:
            NotPickledError: If all together are far more than the pickle has.
        """
        self.left -= amount
        if self.left < 0:
            raise NotPickledError("asks for more memory or time than its bytes pay for")

    def copy(self, source: Any, amount: int) -> None:
        """Note that a copy is made of what is in the pickle. The first is paid by the bytes of that.

        Raises:
            NotPickledError: As `spend`.
        """
        if id(source) in self._copied:
            self.spend(amount)
        self._copied[id(source)] = source

    def nest(self, container: Any, items: Iterable[Any]) -> None:
        """Note that what C frees by itself holds these.

        Pickling fills the inner ones first. Where one has been put in another before it is filled, as in a
        cycle, it is not known how deep that is.

        Raises:
            NotPickledError: If such may be in each other too often.
        """
        inner = [each for each in items if _is_freed_by_itself(each)]
        if not inner:
            return
        depth = 1 + max(self._nested.get(id(each), (None, 0))[1] for each in inner)
        if depth > self._nested.get(id(container), (None, 0))[1]:
            self._nested[id(container)] = container, depth
            self._late += id(container) in self._inner
        self._inner.update((id(each), each) for each in inner)
        if depth > _DEEPEST_NESTED or self._late > _MOST_LATE:
            raise NotPickledError("has arrays of objects in each other more often than can be freed")

    def size_of(self, dtype: Any) -> int:
        """How many dtypes are in one, itself too, each counted wherever it is met."""
        return self._made_of.get(id(dtype), (None, 1, 1))[2]

    def compose(self, dtype: Any, parts: list[Any]) -> None:
        """Note that a dtype is made of others.

        Raises:
            NotPickledError: If that is deeper, or more, than numpy can follow.
        """
        known = [self._made_of.get(id(each), (None, 1, 1)) for each in parts]
        depth = 1 + max((each[1] for each in known), default=0)
        size = 1 + sum(each[2] for each in known)
        if depth > _DEEPEST_DTYPE or size > max(_LARGEST_DTYPE, self.size):
            raise NotPickledError("has dtypes in each other more often than can be followed")
        self._made_of[id(dtype)] = dtype, depth, size

    def is_plain(self, value: Any) -> bool:
        """Whether it is a number, a text, an array of such, or a tuple, list or dict of those."""
        waiting, met = [value], set()
        while waiting:
            self.spend(_STEP)
            each = waiting.pop()
            kind = type(each)
            if kind in NUMBERS:
                continue
            if kind in {dict, list, tuple}:
                if id(each) not in met:
                    met.add(id(each))
                    waiting += [*each, *each.values()] if kind is dict else each
            elif not (self.is_finished_array(each) or is_scalar(each)):
                return False
        return True

    def is_finished_array(self, value: Any) -> bool:
        """Whether it is a plain array that holds no objects, and whose memory stays where it is."""
        np: Any = sys.modules.get("numpy")
        is_one = np is not None and type(value) is np.ndarray
        return is_one and not value.dtype.hasobject and not self.is_pending(value)

    def check_key(self, key: Any, target: Any) -> None:
        """Nothing, if a key of a dict, or what goes into a set, can be hashed without anybody's code.

        Args:
            key: It.
            target: What it goes into: keys of one hash are compared there, each to all before it.

        Raises:
            NotPickledError: If not, or if it would take too long.
        """
        if type(key) is str:
            return
        waiting, steps = [(key, 0)], 0
        while waiting:
            each, depth = waiting.pop()
            if depth > _DEEPEST_KEY:
                raise NotPickledError("has a key that is nested deeper than C can hash")
            steps += _steps_of(each)
            self.spend(_PART if depth else _STEP)
            if issubclass(type(each), tuple) and _has_hash_of(type(each), (tuple,)):
                waiting.extend((part, depth + 1) for part in tuple.__iter__(each))
            elif type(each) is frozenset:
                waiting += ((part, depth + 1) for part in each)
            elif not self._is_hashed(each):
                kind = type(each)
                name = self.name_of(kind) or f"{kind.__module__}.{kind.__qualname__}"
                raise NotPickledError(f"has a key of the class {name}, whose code would run", name)
        self.spend(_STEP * steps)
        self._targets[id(target)] = target  # so that no other gets its place in memory
        place = id(target), hash(key)
        self._alike[place] += 1
        self.spend(_STEP * steps * (self._alike[place] - 1))

    def _is_hashed(self, each: Any) -> bool:
        kind = type(each)
        if kind in _HASHED or is_scalar(each) or self.is_free(each):
            return True
        if is_dtype(each):
            self.seal(each)
            self.spend(_PART * self.size_of(each))
            return True
        if issubclass(kind, enum.Enum):
            return _has_hash_of(kind, (enum.Enum, int, str))
        return _has_hash_of(kind, (object,)) or (issubclass(kind, type) and _has_hash_of(kind, (type,)))


def _has_hash_of(kind: Any, those: tuple[Any, ...]) -> bool:
    return any(kind.__hash__ is each.__hash__ for each in those) and any(
        kind.__eq__ is each.__eq__ for each in (*those, object)
    )


def _refuse(_: Making, obj: Any, __: Any) -> None:
    kind = type(obj)
    raise NotPickledError(f"gives a state to a {kind.__name__} that takes none, or no longer")


def _is_freed_by_itself(value: Any) -> bool:
    """Whether it is of a class whose objects C frees one within the other, however deep."""
    return issubclass(type(value), collections.deque | collections.defaultdict) or is_array(value)


def _steps_of(value: Any) -> int:
    """How long it takes to hash a value, or compare two, roughly."""
    kind = type(value)
    size: int = 0
    if kind is int:
        size = value.bit_length() // 32
    elif kind is fractions.Fraction:
        size = (value.numerator.bit_length() + value.denominator.bit_length()) // 8
    elif kind is decimal.Decimal:
        size = len(value.as_tuple().digits)
    elif is_scalar(value):
        size = value.nbytes
    return 1 + size // 8


def is_array(value: Any) -> bool:
    """Whether it is an array of numpy's, or of a subclass."""
    np: Any = sys.modules.get("numpy")
    return np is not None and issubclass(type(value), np.ndarray)


def is_scalar(value: Any) -> bool:
    """Whether it is a number or text of numpy's own that holds no objects."""
    np: Any = sys.modules.get("numpy")
    return (
        np is not None
        and issubclass(type(value), np.generic)
        and type(value).__module__ == "numpy"
        and not value.dtype.hasobject
    )


def is_dtype(value: Any) -> bool:
    """Whether it is a dtype of numpy's."""
    np: Any = sys.modules.get("numpy")
    return np is not None and issubclass(type(value), np.dtype)
