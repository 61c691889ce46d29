"""What an object is made of, as JSON and files: plain data, numpy arrays and objects of chosen classes.

`docs/formats.md`, section "Values", has the form. It holds exactly what it says: a value of any other class
is refused, so that the caller takes another format. Reading makes objects of the classes that the caller
allows, fills them as `pickle` would, and calls nothing else.
"""

import base64
import importlib
import math
import sys
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from typing import Any, Final

import msgspec

from chainfold.serializers.numpy_format import NumpySerializer
from chainfold.serializers.protocol import module_of, type_name

_NPY: Final = NumpySerializer()
_SCALARS: Final = frozenset(
    {"bool", "str_", "float16", "float32", "float64"}
    | {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}
)
_FACTORIES: Final[dict[str, Any]] = {
    "OrderedDict": OrderedDict,
    "dict": dict,
    "float": float,
    "int": int,
    "list": list,
}
_COLLECTIONS: Final[dict[str, Any]] = {"tuple": tuple, "set": set, "frozenset": frozenset}
_SIMPLE: Final[dict[str, Callable[[Any], Any]]] = {
    "int": int,
    "float": float,
    "bytes": lambda text: base64.b64decode(text, validate=True),
}
_NESTED: Final = frozenset({frozenset, tuple})
_JSON_INTEGERS: Final = range(-(2**63), 2**63)


class Writer:
    """Turns values into JSON, and what is not JSON into files beside it.

    Args:
        is_allowed: Whether objects of a class, given as `module:Class`, may be taken apart.
        base: What each such class must inherit from. The reader is to be given the same two.
        special: Called with each value of a class that is not plain data and its path (names from the root);
            returns its form, or None if it has none to offer.
        split: Called with the state of an object (what `__getstate__` gives), to put parts into files.
    """

    def __init__(
        self,
        is_allowed: Callable[[str], bool],
        *,
        base: type = object,
        special: Callable[[Any, str], Any] | None = None,
        split: Callable[[Any], Any] | None = None,
    ) -> None:
        self.files: dict[str, bytes] = {}
        """Names and contents of the files, in the order in which they were met."""
        self._is_allowed = is_allowed
        self._base = base
        self._special = special
        self._split = split
        self._repeated: set[int] = set()
        self._kept: list[Any] = []  # so that no address is used twice
        self._restart()

    def _restart(self) -> None:
        self.files.clear()
        self._objects: list[Any] = []
        self._numbers: dict[int, int] = {}
        self._shared: list[Any] = []
        self._places: dict[int, int] = {}
        self._arrays: dict[int, str] = {}
        self._met: set[int] = set()

    def document(self, root: Any) -> bytes:
        """The whole as JSON; what it refers to is in `files` then.

        Raises:
            TypeError: If something in it has no form here.
        """
        while True:
            known = len(self._repeated)
            whole = {"root": self.value(root, ""), "objects": self._objects, "shared": self._shared}
            if len(self._repeated) == known:
                return msgspec.json.encode(whole)
            self._restart()  # now it is known what is referred to from several places

    def value(self, value: Any, path: str) -> Any:  # noqa: PLR0911 - one for each class
        """A value's form in JSON."""
        cls = type(value)
        if value is None or cls is bool or cls is str:
            return value
        if cls is int:
            return value if value in _JSON_INTEGERS else {"int": str(value)}
        if cls is float:
            return value if math.isfinite(value) else {"float": str(value)}
        if cls is bytes:
            return {"bytes": base64.b64encode(value).decode()}
        if cls is tuple:
            return {"tuple": [self.value(each, path) for each in value]}
        if cls in {list, dict, OrderedDict, defaultdict, set, frozenset}:
            if cls is OrderedDict and vars(value):
                raise TypeError(f"an OrderedDict with attributes ({', '.join(vars(value))}) has no form here")
            return self._container(value, path)
        return self._other(value, path)

    def _container(self, value: Any, path: str) -> Any:
        """The form of a list, dict or set, or where it stands when it is referred to from several places."""
        me = id(value)
        if me in self._repeated:
            if me not in self._places:
                self._places[me] = len(self._shared)
                self._shared.append(None)
                self._shared[self._places[me]] = self._content(value, path)
            elif self._shared[self._places[me]] is None:
                raise TypeError(f"a {type(value).__name__} that holds itself has no form here")
            return {"shared": self._places[me]}
        if me in self._met:
            self._repeated.add(me)
            return None
        if value or type(value) is not frozenset:  # the empty one is the same everywhere
            self._met.add(me)
            self._kept.append(value)
        return self._content(value, path)

    def _content(self, value: Any, path: str) -> Any:
        match value:
            case list():
                return [self.value(each, path) for each in value]
            case set() | frozenset():
                forms = [self.value(each, path) for each in value]
                return {type(value).__name__: sorted(forms, key=msgspec.json.encode)}
            case defaultdict():
                factory = getattr(value.default_factory, "__name__", "")
                if value.default_factory is not _FACTORIES.get(factory):
                    raise TypeError(f"a defaultdict of {value.default_factory!r:.100} has no form here")
                return {"defaultdict": [factory, self._items(value, path)]}
        if type(value) is dict and all(type(key) is str for key in value):
            return {"dict": {key: self.value(each, f"{path}.{key}") for key, each in value.items()}}
        return {"items" if type(value) is dict else "OrderedDict": self._items(value, path)}

    def _items(self, value: Any, path: str) -> list[Any]:
        return [[self.value(key, path), self.value(each, f"{path}.{key}")] for key, each in value.items()]

    def _other(self, value: Any, path: str) -> Any:
        cls = type(value)
        if module_of(cls) == "numpy":
            return self._numpy(value)
        if self._special is not None:
            form = self._special(value, path)
            if form is not None:
                return form
        return self._object(value, path)

    def _numpy(self, value: Any) -> Any:
        cls = type(value)
        scalar = "bool" if cls.__name__ == "bool_" else cls.__name__  # its name before numpy 2
        if scalar in _SCALARS:
            return {"numpy": [scalar, self.value(value.item(), "")]}
        name = self._arrays.get(id(value))
        if name is None:
            name = self._arrays[id(value)] = f"arrays/{len(self._arrays)}.npy"
            self.files[name] = _NPY.dumps(value)
            self._kept.append(value)
        return {"array": name}

    def _object(self, value: Any, path: str) -> Any:
        number = self._numbers.get(id(value))
        if number is None:
            cls = type(value)
            name = f"{module_of(cls)}:{cls.__qualname__}"
            is_allowed = self._is_allowed(name) and issubclass(cls, self._base)
            if not is_allowed or found(name) is not cls or _is_special(cls):
                raise TypeError(f"{type_name(value)} has no form here")
            number = self._numbers[id(value)] = len(self._objects)
            self._kept.append(value)
            self._objects.append(None)
            state = value.__getstate__()
            if self._split is not None:
                state = self._split(state)
            if type(state) is not dict:
                raise TypeError(f"the state of {type_name(value)} is no dict")
            form = {key: self.value(each, f"{path}.{key}") for key, each in state.items()}
            self._objects[number] = {"class": name, "state": form}
        return {"object": number}


class Reader:
    """Turns what `Writer` made back into values.

    Args:
        files: The files beside the document.
        is_allowed: Whether objects of a class, given as `module:Class`, may be made.
        base: What each such class must inherit from, when it is known.
        special: Called with the kind and content of each form that is not known here.
        join: Called with an object that is still empty and its state, to put parts back from files.
    """

    def __init__(
        self,
        files: dict[str, bytes],
        is_allowed: Callable[[str], bool],
        *,
        base: type = object,
        special: Callable[[str, Any], Any] | None = None,
        join: Callable[[Any, dict[str, Any]], None] | None = None,
    ) -> None:
        self._files = files
        self._is_allowed = is_allowed
        self._base = base
        self._special = special
        self._join = join
        self._objects: list[Any] = []
        self._shared: list[Any] = []
        self._made: dict[int, Any] = {}
        self._arrays: dict[str, Any] = {}

    def document(self, data: bytes) -> Any:
        """The root of a document.

        Raises:
            ValueError: If it is none that `Writer` could have made, or has objects of a class that is not
                allowed. Wrong forms deep inside can also raise TypeError, KeyError, AttributeError.
        """
        whole = msgspec.json.decode(data)
        objects, self._shared = whole["objects"], whole["shared"]
        classes = [self._class(each["class"]) for each in objects]
        self._objects = [object.__new__(cls) for cls in classes]
        states = [{key: self.value(form) for key, form in each["state"].items()} for each in objects]
        # Those met first hold the others: fill the innermost first, as pickle does.
        for made, state in reversed(list(zip(self._objects, states, strict=True))):
            if self._join is not None:
                self._join(made, state)
            if hasattr(made, "__setstate__"):
                made.__setstate__(state)
            else:
                made.__dict__.update(state)
        return self.value(whole["root"])

    def _class(self, name: str) -> type[Any]:
        cls = found(name) if type(name) is str and self._is_allowed(name) else None
        if not isinstance(cls, type) or not issubclass(cls, self._base) or _is_special(cls):
            raise ValueError(f"objects of {name!r:.100} are not made here")
        if not self._is_allowed(f"{module_of(cls)}:{cls.__qualname__}"):  # what a module has only imported
            raise ValueError(f"{name!r:.100} is {module_of(cls)}:{cls.__qualname__}, which is not made here")
        return cls

    def value(self, form: Any) -> Any:
        """The value of a form."""
        if isinstance(form, list):
            return [self.value(each) for each in form]
        if not isinstance(form, dict):
            return form
        ((kind, content),) = form.items()
        if kind in _SIMPLE:
            return _SIMPLE[kind](content)
        if kind in _COLLECTIONS:
            return _COLLECTIONS[kind](self.value(each) for each in content)
        return self._composed(kind, content)

    def _composed(self, kind: str, content: Any) -> Any:  # noqa: PLR0911 - one for each form
        match kind:
            case "dict":
                return {key: self.value(each) for key, each in content.items()}
            case "items" | "OrderedDict":
                cls: Any = dict if kind == "items" else OrderedDict
                return cls(self._pairs(content))
            case "defaultdict":
                return defaultdict(_FACTORIES[content[0]], self._pairs(content[1]))
            case "numpy":
                return self._scalar(*content)
            case "array":
                if content not in self._arrays:
                    self._arrays[content] = _NPY.loads(self._files[content])
                return self._arrays[content]
            case "object":
                return self._objects[content]
            case "shared":
                return self._once(content)
        if self._special is None:
            raise ValueError(f"unknown form {kind!r:.100}")
        return self._special(kind, content)

    def _once(self, number: int) -> Any:
        if number not in self._made:
            form, self._shared[number] = self._shared[number], {"holds": "itself"}
            self._made[number] = self.value(form)
            if type(self._made[number]) is tuple:  # of those, each in the next twice, a hash would never end
                raise ValueError("a tuple is told to be shared")
            if type(self._made[number]) is frozenset and _NESTED.intersection(map(type, self._made[number])):
                raise ValueError("a frozenset that is told to be shared holds others")
        return self._made[number]

    def _pairs(self, content: Any) -> list[Any]:
        return [(self.value(key), self.value(each)) for key, each in content]

    def _scalar(self, name: str, form: Any) -> Any:
        if name not in _SCALARS:
            raise ValueError(f"unknown scalar {name!r:.100}")
        return getattr(importlib.import_module("numpy"), "bool_" if name == "bool" else name)(
            self.value(form)
        )


def found(name: str) -> Any:
    """The class or function that `module:qualified.name` names, or None. Imports the module."""
    module, _, path = name.partition(":")
    try:
        value: Any = sys.modules.get(module) or importlib.import_module(module)
        for part in path.split("."):
            value = vars(value)[part]
    except (ImportError, KeyError, TypeError, ValueError):
        return None
    return value


def _is_special(cls: Any) -> bool:
    """Whether pickle would do more for its objects than to fill a new one with its state."""
    return hasattr(cls, "__getnewargs__") or any(
        getattr(cls, name, None) is not getattr(object, name, None)
        for name in ("__reduce_ex__", "__reduce__", "__getnewargs_ex__", "__new__")
    )
