"""Pickling, with a note of the classes and functions that the bytes refer to: they go into the record.

Reading them off the bytes takes five times as long as pickling did. The pickler knows them: what it has
written by name is among what it remembers, to refer to it again.
"""

import copyreg
import io
import pickle
import sys
from types import BuiltinFunctionType, FunctionType
from typing import Any, Final

from chainfold.serializers.pickle_globals import names_in
from chainfold.serializers.protocol import module_of

_BY_NAME: Final = (type, FunctionType, BuiltinFunctionType)
_COMPILED: Final = frozenset({"cython_function_or_method", "fused_cython_function", "ufunc"})
"""Classes of functions that Cython and numpy made."""
_SINGLETONS: Final = frozenset({type(None), type(...), type(NotImplemented)})
"""Classes that are pickled as `type(None)` and so on."""
_NUMERIC: Final = frozenset({"numpy", "scipy", "sklearn"})
"""Whose instances, ufuncs aside, are never pickled as a name."""

_MAX_LENGTH: Final = 8_000
"""Characters of what is kept: an entry has 65,535 bytes, in which a character may take six."""


class Pickled:
    """An object pickled with protocol 5.

    Attributes:
        data: The pickle.
    """

    def __init__(self, obj: Any) -> None:
        file = io.BytesIO()
        self._pickler = pickle.Pickler(file, protocol=5)
        self._pickler.dump(obj)
        self.data = file.getvalue()

    def names(self) -> list[str]:
        """What the bytes refer to, as `module.name`, sorted."""
        names = _names(self._pickler)
        return names_in(self.data) if names is None else sorted(names)


def noted(names: list[str]) -> list[str]:
    """The names as a record keeps them, so that an entry has room: all, or whose packages they are."""
    plain = [name.encode("utf-8", "backslashreplace").decode() for name in names]
    packages = sorted({f"{name.partition('.')[0]}.*" for name in plain})
    return next((each for each in (plain, packages) if _length(each) <= _MAX_LENGTH), ["*"])


def _length(names: list[str]) -> int:
    return sum(map(len, names)) + 3 * len(names)


def _names(pickler: pickle.Pickler) -> set[str] | None:
    """What a pickler has written by name; None if that cannot be told from what it remembers."""
    memo: dict[int, tuple[int, Any]] = pickler.memo.copy()
    remembered = [each for _, each in memo.values()]
    kinds = set(map(type, remembered))  # a forest has thousands of nodes, of a handful of classes
    named = {kind for kind in kinds if issubclass(kind, _BY_NAME) or kind.__name__ in _COMPILED}
    if not all(_is_taken_apart(kind) for kind in kinds - named):
        return None
    names = set()
    for each in remembered:
        if type(each) in named:
            name = _name(each)
            if name is None:
                return None
            names.add(name)
    return names


def _name(each: Any) -> str | None:
    """What a class or function is pickled as; None if Python would search all modules for it."""
    if each in _SINGLETONS:
        return "builtins.type"
    if type(each).__name__ == "ufunc":
        is_numpy_s = getattr(sys.modules.get("numpy"), each.__name__, None) is each
        return f"numpy.{each.__name__}" if is_numpy_s else None
    return f"{each.__module__}.{each.__qualname__}" if isinstance(each.__module__, str) else None


def _is_taken_apart(kind: type) -> bool:
    """Whether instances are surely pickled by what they consist of, not by a name that they have."""
    if module_of(kind).partition(".")[0] in _NUMERIC:
        return True
    usual: Any = object
    is_usual = kind.__reduce_ex__ is usual.__reduce_ex__ and kind.__reduce__ is usual.__reduce__
    return is_usual and kind not in copyreg.dispatch_table
