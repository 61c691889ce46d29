"""What pickles may call, and with what: Python's plain values, and what numpy and scikit-learn are made by.

Each rule takes what it is called with and makes what the call would, or refuses. Nothing else is called, but
for what the user has allowed.
"""

import builtins
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
from collections.abc import Callable
from typing import Any, Final

from chainfold.serializers.held_making import Making
from chainfold.serializers.held_states import fill_attributes
from chainfold.serializers.pickle_symbols import NotPickledError

Rule = Callable[[Making, tuple[Any, ...]], Any]

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


def imported(module: str, name: str) -> Any:
    """What a module that finding it has imported has under a name."""
    return getattr(sys.modules[module], name)


def _bytes(_: Making, args: tuple[Any, ...]) -> bytes:
    if args:
        raise unusual("bytes")
    return b""


def _bytearray(making: Making, args: tuple[Any, ...]) -> bytearray:
    match args:
        case ():
            return bytearray()
        case (bytes() as content,):
            making.spend(len(content))
            return bytearray(content)
        case (str() as text, "latin-1"):
            making.spend(len(text))
            return bytearray(text, "latin-1")
    raise unusual("a bytearray")


def _encode(making: Making, args: tuple[Any, ...]) -> bytes:
    """How bytes are pickled in protocols before the third."""
    match args:
        case (str() as text, "latin1" | "latin-1"):
            making.spend(len(text))
            return codecs.latin_1_encode(text)[0]
    raise unusual("bytes")


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
    making.spend(len(args[0]))
    for each in args[0]:
        making.check_key(each)
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
    match args:
        case (None,) | (builtins.Ellipsis,) | (builtins.NotImplemented,):
            return type(args[0])
    raise unusual("a class")


def _ordered(making: Making, args: tuple[Any, ...]) -> Any:
    if args:
        raise unusual("an OrderedDict")
    return making.await_state(collections.OrderedDict(), fill_attributes)


def _counter(making: Making, args: tuple[Any, ...]) -> Any:
    if len(args) > 1 or any(type(each) is not dict for each in args):
        raise unusual("a Counter")
    made: Any = collections.Counter()
    for each in args:
        making.spend(len(each))
        dict.update(made, each)
    return making.await_state(made, fill_attributes)


def _defaultdict(making: Making, args: tuple[Any, ...]) -> Any:
    if len(args) > 1 or not all(each is None or making.name_of(each) for each in args):
        raise unusual("a defaultdict")
    return making.await_state(collections.defaultdict(*args), fill_attributes)


def _deque(making: Making, args: tuple[Any, ...]) -> Any:
    match args:
        case ():
            made: Any = collections.deque()
        case ((), None | int()) if type(args[1]) is not bool:
            made = collections.deque(maxlen=args[1])
        case _:
            raise unusual("a deque")
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
    match args:
        case (dt.timedelta(),) | (dt.timedelta(), str()):
            return dt.timezone(*args)
    raise unusual("a timezone")


def _zoneinfo(_: Making, args: tuple[Any, ...]) -> Any:
    match args:
        case (str() as key, int() as from_cache) if _ZONE.fullmatch(key):
            return zoneinfo.ZoneInfo(key) if from_cache else zoneinfo.ZoneInfo.no_cache(key)
    raise unusual("a time zone")


def _decimal(_: Making, args: tuple[Any, ...]) -> decimal.Decimal:
    match args:
        case (str() as text,) if len(text) <= _LONGEST_DECIMAL:
            return decimal.Decimal(text)
    raise unusual("a Decimal")


def _fraction(_: Making, args: tuple[Any, ...]) -> fractions.Fraction:
    match args:
        case (str() as text,) if len(text) <= 2 * _LONGEST_NUMBER and _FRACTION.fullmatch(text):
            return fractions.Fraction(text)
        case (int() as over, int() as under) if (
            max(over.bit_length(), under.bit_length()) <= 4 * _LONGEST_NUMBER
        ):
            return fractions.Fraction(over, under)
    raise unusual("a fraction")


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
    match state:
        case (function, tuple(), None | dict() as named, None) if making.name_of(function):
            if type(state[1]) is tuple and all(type(key) is str for key in named or ()):
                obj.__setstate__(state)
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
    match args:
        case (int() as index,):
            return imported("chainfold.integrations.sklearn", "Reference")(index)
    raise unusual("a reference")


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
