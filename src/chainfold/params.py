"""Parameters as JSON types, whatever they hold, and the form of them that JSON itself can carry.

`normalize` takes anything and never raises. `to_wire` and `from_wire` are inverse on what it gives.
"""

import re
from collections.abc import Container, Iterable, Iterator, Mapping
from datetime import date, time
from enum import Enum
from itertools import islice
from math import isfinite, prod
from types import BuiltinFunctionType, FunctionType
from typing import Any

MAX_DEPTH = 64
"""Containers nested deeper than this become a text that says so. The outermost dict is at depth 0."""
MAX_NODES = 200_000
"""Values in one set of parameters; after them, each open list or dict ends with `...`."""
MAX_TEXT = 1_000
"""Characters of the readable form of one value. Texts themselves are kept whole."""
MAX_ELEMENTS = 64
"""Elements of a numpy array that is kept as lists; larger ones become their shape and dtype."""

_CUT = "..."
_ADDRESS = re.compile(r" at 0x[0-9A-Fa-f]+")
_SPOKEN = ("datetime", "decimal", "fractions", "ipaddress", "pathlib", "pathlib._local", "uuid")
"""Modules whose objects say in `str` all that a reader needs."""
_DOUBLE = 8
"""Bytes of the widest numpy number that Python has as well."""
_DECIMAL_BITS = 2_000
"""Longer integers are written in hexadecimal: Python may refuse to write them in decimal."""
_INT_MIN, _INT_MAX = -(2**63), 2**64 - 1
_FLOAT, _INT, _DICT = "$float", "$int", "$dict"
_HEX = re.compile(r"-?0x[0-9a-f]+\Z")


def normalize(params: Any) -> dict[str, Any]:
    """The parameters as None, bool, int, float, str, list and dict with str keys; shares none with them.

    JSON types come back equal, NaN and infinities too. numpy's scalars and subclasses of int, float and
    str become plain; tuples, sets and small arrays lists; lone surrogates text that spells them out.
    Everything else becomes a text for people: a date in ISO 8601, a function's dotted name, a bounded `repr`.

    Args:
        params: A mapping, or None for no parameters. Anything else becomes `{"params": ...}`.
    """
    if params is None:
        return {}
    if type(params) is dict:
        for key, value in params.items():
            kind = type(value)
            if type(key) is not str or not key.isascii():
                break
            if kind is str:
                if not value.isascii():
                    break
            elif kind is not float and kind is not int and kind is not bool and value is not None:
                break
        else:
            if len(params) <= MAX_NODES:
                return params.copy()
    found = _Walk().value(params, 0)
    if type(found) is not dict:
        found = _Walk().value({"params": params}, 0)
    whole: dict[str, Any] = found
    return whole


class _Walk:
    """One pass over one value. Each conversion to a container is walked on by the same rules."""

    def __init__(self) -> None:
        self.left = MAX_NODES
        self.open: set[int] = set()

    def value(self, value: Any, depth: int) -> Any:
        kind = type(value)
        if kind is str:
            return _encodable(value)
        if kind is float or kind is int or kind is bool or value is None:
            return value
        if id(value) in self.open:
            return f"<cycle: {_class_name(kind)}>"
        self.open.add(id(value))
        left = self.left
        try:
            return self._other(value, depth)
        except Exception:  # noqa: BLE001 - an odd parameter never fails a registration
            self.left = left
            return readable(value)
        finally:
            self.open.discard(id(value))

    def _other(self, value: Any, depth: int) -> Any:
        kind = type(value)
        found: Any
        if issubclass(kind, str):
            found = _encodable(str.__str__(value))
        elif issubclass(kind, int):
            found = int.__int__(value)
        elif issubclass(kind, float):
            found = float.__float__(value)
        elif issubclass(kind, dict):
            found = self._dict(dict.items(value), depth)
        elif issubclass(kind, list):
            found = self._list(list.__iter__(value), depth)
        elif issubclass(kind, tuple):
            found = self._list(tuple.__iter__(value), depth)
        elif issubclass(kind, set | frozenset):
            found = self._list(_ordered(value), depth)
        elif _from(kind, "numpy"):
            plain = _from_numpy(value)
            found = readable(value) if plain is value else self.value(plain, depth)
        elif issubclass(kind, Mapping):
            found = self._dict(value.items(), depth)
        else:
            found = readable(value)
        return found

    def _list(self, values: Iterable[Any], depth: int) -> Any:
        if depth > MAX_DEPTH:
            return _too_deep("list")
        found: list[Any] = []
        for value in values:
            if self.left <= 0:
                found.append(_CUT)
                break
            self.left -= 1
            found.append(self.value(value, depth + 1))
        return found

    def _dict(self, items: Iterable[tuple[Any, Any]], depth: int) -> Any:
        if depth > MAX_DEPTH:
            return _too_deep("dict")
        pairs = list(islice(items, self.left + 1))
        own = {key for key, _ in pairs if type(key) is str}
        found: dict[str, Any] = {}
        tried: dict[str, int] = {}
        for key, value in pairs:
            if self.left <= 0:
                found[_unused(_CUT, found, (), {})] = _CUT
                break
            self.left -= 1
            name = _encodable(key) if type(key) is str else _key(key)
            if name is not key:
                name = _unused(name, found, own, tried)
            found[name] = self.value(value, depth + 1)
        return found


def readable(value: Any) -> str:
    """A value as a text for people: at most 1,000 characters, without addresses in memory. Never raises."""
    try:
        text = str.__str__(_told(value))
    except Exception as error:  # noqa: BLE001 - whatever a foreign __repr__ does
        text = f"<{_class_name(type(value))}: repr failed: {_class_name(type(error))}>"
    text = _encodable(text)
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"


def _told(value: Any) -> str:
    """The text, not yet bounded. Raises whatever the value's own code raises."""
    kind = type(value)
    text: str
    if issubclass(kind, date | time):
        text = value.isoformat()
    elif issubclass(kind, Enum) and value.name:
        text = f"{kind.__name__}.{value.name}"
    elif issubclass(kind, type | FunctionType | BuiltinFunctionType):
        text = _dotted(value)
    elif kind is int and value.bit_length() > _DECIMAL_BITS:
        text = hex(value)
    elif _from(kind, "numpy", "ndarray"):
        text = f"{kind.__name__}(shape={value.shape}, dtype={value.dtype})"
    elif _from(kind, "numpy", "generic") or any(_from(kind, module) for module in _SPOKEN):
        text = str(value)
    else:
        text = _ADDRESS.sub("", repr(value))
    return text


def _from(kind: type, module: str, name: str | None = None) -> bool:
    """Whether the class, or one it inherits from, is of that module, and of that name if one is given."""
    return any(base.__module__ == module and name in (None, base.__name__) for base in kind.__mro__)


def _from_numpy(value: Any) -> Any:
    """What of numpy has a plain form, in it; the value itself when it has none."""
    kind = type(value)
    if _from(kind, "numpy", "generic"):
        return value.item() if value.dtype.kind in "biuf" and value.dtype.itemsize <= _DOUBLE else value
    # Empty arrays can have long axes beside the empty one: count those as well.
    if _from(kind, "numpy", "ndarray") and prod(max(axis, 1) for axis in value.shape) <= MAX_ELEMENTS:
        return (value.astype(str) if value.dtype.kind in "mM" else value).tolist()
    return value


def _ordered(values: Any) -> Iterator[Any]:
    """A set's elements: sorted by value if they are all texts or all numbers, else by class and text."""
    each = set.__iter__(values) if issubclass(type(values), set) else frozenset.__iter__(values)
    elements = list(islice(each, MAX_NODES + 1))
    kinds = {type(element) for element in elements}
    if kinds == {str} or kinds <= {bool, int, float}:
        elements.sort()
    else:
        elements.sort(key=lambda element: (type(element).__name__, readable(element)))
    return iter(elements)


def _key(key: Any) -> str:
    """The name in a dict of a key that is no plain str."""
    if issubclass(type(key), tuple | frozenset):
        return readable(key)
    plain = _Walk().value(key, MAX_DEPTH)
    return plain if type(plain) is str else readable(plain)


def _unused(name: str, found: Container[str], own: Container[str], tried: dict[str, int]) -> str:
    """The name, or the first of `name (2)`, `name (3)` that is free: no value is lost to another.

    `tried` remembers how far each name got: a hundred thousand keys that read alike take no longer each.
    """
    free = name
    number = tried.get(name, 1)
    while free in found or free in own:
        number += 1
        free = f"{name} ({number})"
    tried[name] = number
    return free


def _encodable(text: str) -> str:
    """The text; if UTF-8 cannot encode it, with its lone surrogates spelled out."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode()
    return text


def _dotted(thing: Any) -> str:
    return f"{thing.__module__ or 'builtins'}.{thing.__qualname__}"


def _class_name(kind: type) -> str:
    """`module.Class`, or the bare name of one of Python's own. Asks `type`: a metaclass may misbehave."""
    module = vars(type)["__module__"].__get__(kind)
    name: str = vars(type)["__qualname__"].__get__(kind)
    return f"{module}.{name}" if type(module) is str and module != "builtins" else name


def _too_deep(kind: str) -> str:
    return f"<{kind} nested deeper than {MAX_DEPTH} levels>"


def to_wire(normalized: dict[str, Any]) -> dict[str, Any]:
    """What `normalize` gave, such that JSON carries it without loss.

    `{"$float": "nan"}`, `"inf"` or `"-inf"` stand for floats that JSON has not; `{"$int": "0x..."}` for
    integers that 64 bits do not hold; `{"$dict": {...}}` for a dict whose only key starts with `$`. All
    else stands for itself. Shares lists and dicts with its argument, or is its argument: encode it, do not
    change it.
    """
    for value in normalized.values():
        kind = type(value)
        if kind is float:
            if not isfinite(value):
                break
        elif kind is int:
            if not _INT_MIN <= value <= _INT_MAX:
                break
        elif kind is dict or kind is list:
            break
    else:
        if len(normalized) != 1 or not _marked(normalized):
            return normalized
    tagged: dict[str, Any] = _tagged(normalized)
    return tagged


def from_wire(wire: dict[str, Any]) -> dict[str, Any]:
    """The inverse of `to_wire`, before or after JSON. What it does not know as a tag stays as it is."""
    if _marked(wire) and type(wire.get(_DICT)) is dict:
        wire = wire[_DICT]
    return {key: _untagged(value) if type(value) in (dict, list) else value for key, value in wire.items()}


def _marked(found: dict[str, Any]) -> bool:
    """Whether the dict looks like a tag: of one key, starting with `$`."""
    return len(found) == 1 and next(iter(found)).startswith("$")


def _tagged(value: Any) -> Any:
    kind = type(value)
    if kind is dict:
        found = {key: _tagged(each) for key, each in value.items()}
        return {_DICT: found} if _marked(found) else found
    if kind is list:
        return [_tagged(each) for each in value]
    if kind is float and not isfinite(value):
        return {_FLOAT: str(value)}
    if kind is int and not _INT_MIN <= value <= _INT_MAX:
        return {_INT: hex(value)}
    return value


def _untagged(value: Any) -> Any:
    kind = type(value)
    if kind is list:
        return [_untagged(each) for each in value]
    if kind is not dict:
        return value
    if _marked(value):
        (tag, inner), *_ = value.items()
        if tag == _DICT and type(inner) is dict:
            return {key: _untagged(each) for key, each in inner.items()}
        if tag == _FLOAT and inner in ("nan", "inf", "-inf"):
            return float(inner)
        if tag == _INT and type(inner) is str and _HEX.match(inner):
            return int(inner, 16)
    return {key: _untagged(each) for key, each in value.items()}
