"""What pickles may call, and with what: Python's plain values, and what numpy and scikit-learn are made by.

Each rule takes what it is called with and makes what the call would, or refuses. Nothing else is called, but
for what the user has allowed.
"""

import codecs
import collections
import datetime as dt
import decimal
import fractions
import functools
import pathlib
import re
import sys
import types
import zoneinfo
from collections.abc import Callable, Sequence
from typing import Any, Final

from chainfold.serializers.held_making import Making
from chainfold.serializers.held_states import fill_attributes
from chainfold.serializers.pickle_symbols import NotPickledError

Rule = Callable[[Making, tuple[Any, ...]], Any]

_ENTRY: Final = 64
"""Bytes of an entry of a dict or set."""
_ZONE_BYTES: Final = 8 << 10
"""What a time zone takes that is read for itself."""
_LONGEST_NUMBER: Final = 4_300
"""Digits, as Python itself has it for texts."""
_LONGEST_DECIMAL: Final = 100_000
_FRACTION: Final = re.compile(r"[-+]?\d+(/\d+)?", re.ASCII)
"""As pickling writes it: `1e1000000000` would be one too."""
_ZONE: Final = re.compile(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+){0,3}")
"""A name in the database of time zones, and no way out of its folder."""


def unusual(what: str) -> NotPickledError:
    """What is raised when something is called with what pickling does not give it."""
    return NotPickledError(f"makes {what} in a way that pickling does not")


def are(values: Sequence[Any], *kinds: type) -> bool:
    """Whether values are of these very classes: to compare or measure another would be to run its code."""
    return len(values) == len(kinds) and all(
        type(value) is kind for value, kind in zip(values, kinds, strict=True)
    )


def imported(module: str, name: str) -> Any:
    """What a module that finding it has imported has under a name."""
    return getattr(sys.modules[module], name)


def _bytes(_: Making, args: tuple[Any, ...]) -> bytes:
    if args:
        raise unusual("bytes")
    return b""


def _bytearray(making: Making, args: tuple[Any, ...]) -> bytearray:
    if not args:
        return bytearray()
    if not are(args, bytes) and not (are(args, str, str) and args[1] == "latin-1"):
        raise unusual("a bytearray")
    making.spend(len(args[0]))
    return bytearray(*args)


def _encode(making: Making, args: tuple[Any, ...]) -> bytes:
    """How bytes are pickled in protocols before the third."""
    if not are(args, str, str) or args[1] not in {"latin1", "latin-1"}:
        raise unusual("bytes")
    making.spend(len(args[0]))
    return codecs.latin_1_encode(args[0])[0]


def _complex(_: Making, args: tuple[Any, ...]) -> complex:
    if len(args) != 2 or not all(type(each) in {int, float} for each in args):  # noqa: PLR2004 - its two parts
        raise unusual("a complex number")
    return complex(*args)


def _items(making: Making, args: tuple[Any, ...]) -> list[Any]:
    """What a set is made of."""
    if not args:
        return []
    if len(args) != 1 or type(args[0]) is not list:
        raise unusual("a set")
    making.copy(args[0], _ENTRY * len(args[0]))
    for each in args[0]:
        making.check_key(each, args)
    return args[0]


def _set(making: Making, args: tuple[Any, ...]) -> set[Any]:
    return set(_items(making, args))


def _frozenset(making: Making, args: tuple[Any, ...]) -> frozenset[Any]:
    return frozenset(_items(making, args))


def _range(_: Making, args: tuple[Any, ...]) -> range:
    if not 1 <= len(args) <= 3 or any(type(each) is not int for each in args):  # noqa: PLR2004 - start, stop, step
        raise unusual("a range")
    return range(*args)


def _slice(making: Making, args: tuple[Any, ...]) -> slice:
    if not 1 <= len(args) <= 3 or any(type(each) in {tuple, list, dict} for each in args):  # noqa: PLR2004 - as above
        raise unusual("a slice")
    if not making.is_plain(args) or any(making.is_finished_array(each) for each in args):
        raise unusual("a slice")
    return slice(*args)


def _object(_: Making, args: tuple[Any, ...]) -> object:
    if args:
        raise unusual("an object")
    return object()


def _type(_: Making, args: tuple[Any, ...]) -> type:
    """How the classes of Python's singletons are pickled."""
    if len(args) != 1 or not any(args[0] is each for each in (None, ..., NotImplemented)):
        raise unusual("a class")
    return type(args[0])


def _ordered(making: Making, args: tuple[Any, ...]) -> Any:
    if args:
        raise unusual("an OrderedDict")
    return making.await_state(collections.OrderedDict(), fill_attributes)


def _counter(making: Making, args: tuple[Any, ...]) -> Any:
    if len(args) > 1 or any(type(each) is not dict for each in args):
        raise unusual("a Counter")
    made: Any = collections.Counter()
    for each in args:
        making.copy(each, _ENTRY * len(each))
        dict.update(made, each)
    return making.await_state(made, fill_attributes)


def _defaultdict(making: Making, args: tuple[Any, ...]) -> Any:
    if len(args) > 1 or not all(each is None or making.name_of(each) for each in args):
        raise unusual("a defaultdict")
    return making.await_state(collections.defaultdict(*args), fill_attributes)


def _deque(making: Making, args: tuple[Any, ...]) -> Any:
    if args and not (are(args, tuple, int) or are(args, tuple, type(None))):
        raise unusual("a deque")
    if args and args[0]:
        raise unusual("a deque")
    made: Any = collections.deque(maxlen=args[1] if args else None)
    return making.await_state(made, fill_attributes)


def _is_zone(value: Any) -> bool:
    return type(value) in {dt.timezone, zoneinfo.ZoneInfo}


def _moment(cls: Callable[..., Any], length: int) -> Rule:
    """What makes dates and times: of their bytes, and perhaps a zone."""

    def rule(_: Making, args: tuple[Any, ...]) -> Any:
        is_usual = args and type(args[0]) is bytes and len(args[0]) == length
        if not is_usual or not all(map(_is_zone, args[1:])):
            raise unusual("a date or time")
        return cls(*args)

    return rule


def _timedelta(_: Making, args: tuple[Any, ...]) -> dt.timedelta:
    if len(args) > 3 or any(type(each) is not int for each in args):  # noqa: PLR2004 - days, seconds, microseconds
        raise unusual("a timedelta")
    return dt.timedelta(*args)


def _timezone(_: Making, args: tuple[Any, ...]) -> dt.timezone:
    if not are(args, dt.timedelta) and not are(args, dt.timedelta, str):
        raise unusual("a timezone")
    return dt.timezone(*args)


def _zoneinfo(making: Making, args: tuple[Any, ...]) -> Any:
    if not (are(args, str, int) or are(args, str, bool)) or not _ZONE.fullmatch(args[0]):
        raise unusual("a time zone")
    if args[1]:
        return zoneinfo.ZoneInfo(args[0])
    making.spend(_ZONE_BYTES)
    return zoneinfo.ZoneInfo.no_cache(args[0])


def _decimal(making: Making, args: tuple[Any, ...]) -> decimal.Decimal:
    if not are(args, str) or len(args[0]) > _LONGEST_DECIMAL:
        raise unusual("a Decimal")
    making.spend(len(args[0]))
    return decimal.Decimal(args[0])


def _fraction(making: Making, args: tuple[Any, ...]) -> fractions.Fraction:
    is_text = are(args, str) and len(args[0]) <= 2 * _LONGEST_NUMBER and _FRACTION.fullmatch(args[0])
    if not is_text and not are(args, int, int):
        raise unusual("a fraction")
    if not is_text and any(each.bit_length() > 4 * _LONGEST_NUMBER for each in args):
        raise unusual("a fraction")
    making.spend(sum(4 * len(each) if type(each) is str else each.bit_length() for each in args))
    return fractions.Fraction(*args)


def _namespace(making: Making, args: tuple[Any, ...]) -> Any:
    if args:
        raise unusual("a SimpleNamespace")
    return making.await_state(types.SimpleNamespace(), fill_attributes)


def _partial(making: Making, args: tuple[Any, ...]) -> Any:
    """Of a function that the pickle has found: what it is to be given is in the state."""
    if len(args) != 1 or not making.name_of(args[0]):
        raise unusual("a partial function")
    return making.await_state(functools.partial(args[0]), _fill_partial)


def _fill_partial(making: Making, obj: Any, state: Any) -> None:
    if type(state) is tuple and len(state) == 4 and type(state[1]) is tuple:  # noqa: PLR2004 - function, args, kwargs, dict
        function, args, named, attributes = state
        is_named = named is None or (type(named) is dict and all(type(key) is str for key in named))
        if making.name_of(function) and is_named and attributes is None:
            obj.__setstate__((function, args, dict(named or {}), None))
            return
    raise NotPickledError("gives a partial function a state that pickling does not", "functools.partial")


def _path(cls: type[pathlib.PurePath]) -> Rule:
    def rule(making: Making, args: tuple[Any, ...]) -> pathlib.PurePath:
        if any(type(each) is not str for each in args):
            raise unusual("a path")
        making.spend(sum(map(len, args)))
        return cls(*args)

    return rule


def _reference(_: Making, args: tuple[Any, ...]) -> Any:
    """What stands in a composite for one of its parts."""
    if not are(args, int):
        raise unusual("a reference")
    return imported("chainfold.integrations.sklearn", "Reference")(*args)


CALLS: Final[dict[str, Rule]] = {
    "_codecs.encode": _encode,
    "builtins.bytearray": _bytearray,
    "builtins.bytes": _bytes,
    "builtins.complex": _complex,
    "builtins.frozenset": _frozenset,
    "builtins.object": _object,
    "builtins.range": _range,
    "builtins.set": _set,
    "builtins.slice": _slice,
    "builtins.type": _type,
    "chainfold.integrations.sklearn.Reference": _reference,
    "collections.Counter": _counter,
    "collections.OrderedDict": _ordered,
    "collections.defaultdict": _defaultdict,
    "collections.deque": _deque,
    "datetime.date": _moment(dt.date, 4),
    "datetime.datetime": _moment(dt.datetime, 10),
    "datetime.time": _moment(dt.time, 6),
    "datetime.timedelta": _timedelta,
    "datetime.timezone": _timezone,
    "decimal.Decimal": _decimal,
    "fractions.Fraction": _fraction,
    "functools.partial": _partial,
    "types.SimpleNamespace": _namespace,
    "zoneinfo.ZoneInfo._unpickle": _zoneinfo,
    **{
        f"{module}.{cls.__name__}": _path(cls)
        for module in ("pathlib", "pathlib._local")
        for cls in (
            pathlib.PosixPath, pathlib.PurePosixPath, pathlib.PureWindowsPath, pathlib.WindowsPath
        )
    },
}  # fmt: skip
"""Of Python, by name."""
