"""What stands for the objects of a pickle while its names are read, and what is wrong with a pickle."""

import _compat_pickle
import pickle
from typing import Any, Final

Unpickler: Final[Any] = pickle._Unpickler  # noqa: SLF001 - the one in Python, as joblib's: its opcodes can be overridden
_LONGEST_NAME: Final = 500


class NotPickledError(ValueError):
    """A pickle does what pickling does not.

    Args:
        what: What it does, to follow "it".
        name: The class or function that would have to be allowed to let it; empty if that would not help.
    """

    def __init__(self, what: str, name: str = "") -> None:
        super().__init__(f"it {what}")
        self.name = name


class Symbol:
    """What stands where loading would have an object of a class, or a class or function itself."""

    def __init__(self, name: str = "", target: Any = None, args: Any = ()) -> None:
        self.name = name
        self.target = target
        self.args = args
        self.state: Any = None
        self.dtype: Any = None


def name_of(value: Any) -> str:
    """The name of what a symbol stands for, if that is a class or function itself; else nothing."""
    return value.name if isinstance(value, Symbol) else ""


def full_name(proto: int, module: str, name: str) -> tuple[str, str]:
    """The module and name that are meant: Python 3's for Python 2's, where its unpickler translates them.

    Raises:
        NotPickledError: If together they are too long to be a name.
    """
    if len(module) + len(name) > _LONGEST_NAME:
        raise NotPickledError(f"has a name of {len(module) + len(name):,} characters")
    if proto >= 3:  # noqa: PLR2004 - from then on a pickle has Python 3's names
        return module, name
    if (module, name) in _compat_pickle.NAME_MAPPING:
        return _compat_pickle.NAME_MAPPING[module, name]
    return _compat_pickle.IMPORT_MAPPING.get(module, module), name
