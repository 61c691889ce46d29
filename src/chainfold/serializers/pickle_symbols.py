"""What stands for the objects of a pickle while it is read and nothing of it runs."""

import _compat_pickle
from collections.abc import Iterable
from typing import Any, Final

_IN_C: Final = frozenset({"builtins", "datetime", "decimal", "zoneinfo"})


class Symbol:
    """What stands where loading would have an object of a class, or a class or function itself."""

    def __init__(self, name: str = "", target: Any = None, args: Any = ()) -> None:
        self.name = name
        self.target = target
        self.args = args
        self.state: Any = None
        self.taken = ""
        self.dtype: Any = None

    def is_made(self) -> bool:
        """Whether it is an object that may have methods of its own: not one of Python's classes in C."""
        made = name_of(self.target)
        return self.target is not None and made.partition(".")[0] not in _IN_C

    def append(self, _: Any) -> None:
        """Loading hands an object of a list's kind its items."""
        self.take("items")

    add = append

    def __setitem__(self, key: Any, value: Any) -> None:
        """And one of a dict's kind."""
        self.take("pairs")
        check_keys([key])

    def take(self, what: str) -> None:
        """It is given items, pairs, or a state: one kind, and the state once, at the end, as pickling does.

        Else what it was given before could be a method by which it takes the rest.
        """
        if self.name or (self.taken not in ("", what) and what != "state") or self.taken == "state":
            raise ValueError(f"it gives {what} to what does not take any, or no longer")
        self.taken = what


def check_keys(keys: Iterable[Any]) -> None:
    """Nothing, if none is the name of a method that loading looks for."""
    for key in keys:
        text = key if isinstance(key, str | bytes) else ""
        name = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
        if name.startswith("__") and name.endswith("__"):
            raise ValueError(f"it gives an object a {name} of its own")


def name_of(value: Any) -> str:
    """The name of what a symbol stands for, if that is a class or function itself; else nothing."""
    return value.name if isinstance(value, Symbol) else ""


def modern(module: str, name: str) -> tuple[str, str]:
    """Python 3's names for Python 2's, as its unpickler translates them."""
    if (module, name) in _compat_pickle.NAME_MAPPING:
        return _compat_pickle.NAME_MAPPING[module, name]
    return _compat_pickle.IMPORT_MAPPING.get(module, module), name
