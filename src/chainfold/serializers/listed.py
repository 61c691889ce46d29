"""What pickles from elsewhere may refer to: Python's plain values, and numpy, scipy and scikit-learn.

A name is looked up only once it is on the list, as looking up imports.
"""

import enum
import importlib
import types
import uuid
from collections.abc import Callable
from typing import Any, Final

from chainfold.serializers.held_calls import CALLS, Rule, unusual
from chainfold.serializers.held_making import Fill, Making
from chainfold.serializers.held_numpy import NUMPY, compiled_rule
from chainfold.serializers.held_states import HEAP_TYPE, filler_of, full_name_of
from chainfold.serializers.pickle_globals import ARRAY_WRAPPER, GETATTR, RECONSTRUCTOR, UFUNCS
from chainfold.serializers.pickle_symbols import NotPickledError

_LIBRARIES: Final = frozenset({"numpy", "scipy", "sklearn"})
"""What an estimator may refer to, unless it is below."""
_REFUSED: Final = frozenset(
    {
        "numpy.ctypeslib", "numpy.distutils", "numpy.f2py", "numpy.lib._datasource", "numpy.lib._npyio_impl",
        "numpy.lib.npyio", "numpy.lib._utils_impl", "numpy.lib.format", "numpy.lib._format_impl",
        "numpy.ma.mrecords", "numpy.memmap", "numpy.DataSource", "numpy.test", "numpy.testing",
        "numpy.core.memmap", "numpy._core.memmap", "numpy._pytesttester",
        "scipy._build_utils", "scipy._lib._testutils", "scipy._lib._ccallback", "scipy.datasets", "scipy.io",
        "scipy.test", "scipy.weave",
        "sklearn._build_utils", "sklearn.conftest", "sklearn.datasets", "sklearn.experimental",
        "sklearn.externals", "sklearn.utils._testing", "sklearn.utils.estimator_checks",
    }
)  # fmt: skip
"""Parts of those that read, write, download, compile, run texts, or change what is there for all."""
_FILES: Final = frozenset(
    {
        "fromfile", "fromregex", "genfromtxt", "load", "load_npz", "loadtxt", "memmap", "save", "save_npz",
        "savetxt", "savez", "savez_compressed", "_dump", "_dumps", "_load", "dump",
        "dumps", "tofile", "open_memmap", "openfile",
        "_attach_argparser_methods", "_construct_argparser",
    }
)  # fmt: skip
"""The last words of names that do so too."""
_MAPPED: Final = frozenset({"numpy.memmap", "numpy.core.memmap.memmap", "numpy._core.memmap.memmap"})
"""The class opens files, but is never had: what says that it is one is loaded as a plain array."""
_ASIDE: Final = frozenset(
    {
        "_ctest", "_cytest", "_examples", "_mptestutils", "_precompute", "_tests", "code_generators",
        "conftest", "cupy", "cversions", "dask", "mypy_plugin", "setup", "testing", "tests", "torch",
    }
)  # fmt: skip
"""Words of the names of their tests and tools, and of modules that import other libraries."""
PLAIN: Final = frozenset(
    {
        *(f"builtins.{name}" for name in (
            "bool", "bytearray", "bytes", "complex", "dict", "float", "frozenset", "int", "list", "object",
            "range", "set", "slice", "str", "tuple", "type", "Ellipsis", "NotImplemented",
        )),
        "uuid.UUID", "numpy.dtype", "zoneinfo.ZoneInfo", GETATTR,
        RECONSTRUCTOR, ARRAY_WRAPPER, *CALLS, *NUMPY, *UFUNCS, *_MAPPED,
    }
)  # fmt: skip
"""Python's own plain values, and what puts them and numpy's together."""
_FUNCTIONS: Final = (
    type, types.FunctionType, types.BuiltinFunctionType, types.MethodDescriptorType,
    types.WrapperDescriptorType, types.ClassMethodDescriptorType, type(...), type(NotImplemented),
)  # fmt: skip
_COMPILED: Final = frozenset(
    {"cython_function_or_method", "fused_cython_function", "ufunc", "_ArrayFunctionDispatcher"}
)
"""Classes of functions that Cython and numpy made."""
_BASES: Final = (object, dict, list)
_PYTHON: Final = (staticmethod, types.FunctionType)


def is_listed(name: str) -> bool:
    """Whether a name is of one of the libraries, and not of a part that is refused."""
    parts = name.split(".")
    begins = {".".join(parts[:length]) for length in range(1, len(parts) + 1)}
    return (
        parts[0] in _LIBRARIES
        and not begins & _REFUSED
        and not _ASIDE.intersection(parts)
        and not any(part.startswith("__") and part.endswith("__") for part in parts)
        and parts[-1] not in _FILES
    )


def is_mapped(name: str) -> bool:
    """Whether it is the class of arrays that are mapped from a file."""
    return name in _MAPPED


def is_function_or_class(found: Any) -> bool:
    """Whether it is one, and no object that is there once for all, whose state could be changed."""
    return isinstance(found, _FUNCTIONS) or type(found).__name__ in _COMPILED


def found_all(name: str) -> list[Any]:
    """What a name can be: its first words are a module, and pickles do not all say how many they are.

    It imports: only for what is listed or allowed. Empty if there is nothing of it, and then loading will say
    so.
    """
    parts = name.split(".")
    found: list[Any] = []
    for length in range(1, len(parts)) if all(parts) else ():
        try:
            each: Any = importlib.import_module(".".join(parts[:length]))
        except (Exception, SystemExit):  # noqa: BLE001 - whatever its code raises when it is imported
            break  # and then there is nothing in it
        for part in parts[length:]:
            each = getattr(each, part, None)
        if each is not None:
            found.append(each)
    return found


def _found(name: str) -> Any:
    """What a name is, if it can be but one thing; None if not."""
    found = found_all(name)
    return found[0] if found and all(each is found[0] for each in found) else None


def home_of(found: Any) -> str:
    """The module that something is from; of an object without one, that of its class."""
    home = getattr(found, "__module__", None)
    return home if isinstance(home, str) and home else type(found).__module__


def _is_its_own(found: Any) -> bool:
    """Whether what a name leads to is a listed library's: `numpy.os.system` begins with numpy's name only."""
    if isinstance(found, types.ModuleType):
        return False
    return is_listed(f"{home_of(found)}.{getattr(found, '__name__', '')}") and is_function_or_class(found)


def may_mention(name: str) -> bool:
    """Whether a pickle may refer to a class or function."""
    return name in PLAIN or (is_listed(name) and all(map(_is_its_own, found_all(name))))


def may_call(name: str) -> bool:
    """Whether it may call it: there is a rule for how."""
    if name in CALLS or name in NUMPY or name in UFUNCS or name in {GETATTR, RECONSTRUCTOR}:
        return True
    if not may_mention(name) or not is_listed(name):
        return False
    return compiled_rule(name) is not None or enum_rule(_found(name)) is not None


def may_make(name: str) -> bool:
    """Whether it may make instances of a class."""
    if name in {ARRAY_WRAPPER, "uuid.UUID"}:
        return True
    return is_listed(name) and may_mention(name) and plain_maker(_found(name), name) is not None


def may_fill(name: str) -> bool:
    """Whether what is made of a class, or by a function, may be given a state."""
    if name in PLAIN or not is_listed(name):
        return may_mention(name)
    if compiled_rule(name) is not None:
        return True
    found = _found(name)
    return may_mention(name) and (not isinstance(found, type) or _is_filled(found))


def _is_filled(cls: type) -> bool:
    return plain_filler(cls) is not None or any(_is_compiled(each) for each in cls.__mro__)


def _is_compiled(cls: type) -> bool:
    return cls is not object and not cls.__flags__ & HEAP_TYPE


def enum_rule(cls: Any) -> Rule | None:
    """What gives a member of an enumeration by its value; None of what is none on the list."""
    if (
        not isinstance(cls, type)
        or not issubclass(cls, enum.Enum)
        or not is_listed(f"{cls.__module__}.{cls.__name__}")
    ):
        return None

    def rule(_: Making, args: tuple[Any, ...]) -> Any:
        members = vars(cls).get("_value2member_map_", {})
        if (
            len(args) != 1 or type(args[0]) not in {int, str} or args[0] not in members
        ):  # others it would keep
            raise unusual(f"a member of {cls.__name__}")
        return members[args[0]]

    return rule


def plain_maker(cls: Any, name: str) -> Callable[[tuple[Any, ...]], Any] | None:
    """What makes instances of a class without code of its own; None if that cannot be."""
    if cls is uuid.UUID:
        return _maker(cls, object)
    if not isinstance(cls, type) or not is_listed(name) or issubclass(cls, enum.Enum):
        return None
    if hasattr(cls, "__del__") or not cls.__flags__ & HEAP_TYPE:
        return None
    if issubclass(cls, tuple):
        return _tuple_maker(cls)
    base = next(
        (
            each
            for each in cls.__mro__
            if "__new__" in vars(each) and not isinstance(vars(each)["__new__"], _PYTHON)
        ),
        None,
    )
    return _maker(cls, base) if base in _BASES else None


def _maker(cls: type, base: Any) -> Callable[[tuple[Any, ...]], Any]:
    def make(args: tuple[Any, ...]) -> Any:
        if args:
            raise NotPickledError(f"makes a {cls.__name__} with arguments", full_name_of(cls))
        return base.__new__(cls)

    return make


def _tuple_maker(cls: type[tuple[Any, ...]]) -> Callable[[tuple[Any, ...]], Any] | None:
    """Of a class of named fields, as many as there are."""
    fields = getattr(cls, "_fields", None)
    if type(fields) is not tuple:
        return None

    def make(args: tuple[Any, ...]) -> Any:
        if len(args) != len(fields):
            raise NotPickledError(f"makes a {cls.__name__} of other fields than it has")
        return tuple.__new__(cls, args)

    return make


def plain_filler(cls: Any) -> Fill | None:
    """What gives instances of a class their state; None if code of the class would do it."""
    return _fill_uuid if cls is uuid.UUID else filler_of(cls)


def _fill_uuid(_: Making, obj: Any, state: Any) -> None:
    if (
        type(state) is not dict
        or any(type(each) is not str for each in state)
        or not {"int"} <= {*state} <= {"int", "is_safe"}
        or any(type(each) is not int for each in state.values())
        or not 0 <= state["int"] < 1 << 128
    ):
        raise NotPickledError("gives a UUID a state that pickling does not", "uuid.UUID")
    obj.__setstate__(dict(state))
