"""What may be deserialised: a policy outside the artifact decides, before a byte of it runs.

Most formats run what their bytes say. What a dataset's own log says was registered there is as trustworthy as
whoever wrote the log; what came from elsewhere (an imported manifest, a record made by hand) is looked
through first, and may refer only to what is listed. The list narrows what bytes can do; it is no sandbox, as
the libraries on it can do much themselves: `"none"` is for bytes of an enemy.
"""

import enum
import importlib
import importlib.machinery
import os
import sys
from collections.abc import Iterable
from types import FunctionType, ModuleType
from typing import Any, Final, Literal, get_args

from chainfold.errors import InvalidInputError, UntrustedError
from chainfold.serializers import deserialize, is_pickle, runs_code
from chainfold.serializers.pickle_bounds import STRING_DTYPES, is_usual_class, makes_again
from chainfold.serializers.pickle_globals import Globals, globals_of
from chainfold.serializers.unpacking import TooLargeError, unpacked

Policy = Literal["registered", "listed", "none", "all"]
"""`registered`: what this dataset registered itself is loaded, anything else must be listed. `listed`: all
must be. `none`: only formats that run no code. `all`: whatever has the digest that its record says."""

_LIBRARIES: Final = frozenset({"numpy", "scipy", "sklearn"})
"""What an estimator may refer to, unless it is below."""
_REFUSED: Final = frozenset(
    {
        "numpy.ctypeslib", "numpy.distutils", "numpy.f2py", "numpy.lib._datasource", "numpy.lib._npyio_impl",
        "numpy.lib.npyio", "numpy.lib._utils_impl", "numpy.memmap",
        "numpy.DataSource", "numpy.testing", "numpy.core.memmap", "numpy._core.memmap",
        "scipy._build_utils", "scipy.datasets", "scipy.io", "scipy.weave",
        "sklearn._build_utils", "sklearn.conftest", "sklearn.datasets", "sklearn.externals",
        "sklearn.utils._testing", "sklearn.utils.estimator_checks",
    }
)  # fmt: skip
"""Parts of those that read, write, download, compile, or run texts."""
_FILES: Final = frozenset(
    {
        "fromfile", "fromregex", "genfromtxt", "load", "load_npz", "loadtxt", "memmap", "save", "save_npz",
        "savetxt", "savez", "savez_compressed",
    }
)  # fmt: skip
"""The last words of names that do so too."""
_MAPPED: Final = "numpy.memmap"
"""The class opens files, but is never had: what says that it is one is loaded as a plain array."""
_TESTS: Final = frozenset({"tests", "_tests", "conftest"})
_PLAIN: Final = frozenset(
    {
        *(f"builtins.{name}" for name in (
            "bool", "bytearray", "bytes", "complex", "dict", "float", "frozenset", "int", "list", "object",
            "range", "set", "slice", "str", "tuple", "Ellipsis", "NotImplemented",
        )),
        *(f"collections.{name}" for name in ("Counter", "OrderedDict", "defaultdict", "deque")),
        *(f"datetime.{name}" for name in ("date", "datetime", "time", "timedelta", "timezone")),
        "_codecs.encode", "copyreg._reconstructor", "decimal.Decimal", "fractions.Fraction",
        "chainfold.integrations.sklearn.Reference",
        "joblib.numpy_pickle.NumpyArrayWrapper", "types.SimpleNamespace", "uuid.UUID",
        "zoneinfo.ZoneInfo._unpickle",
    }
)  # fmt: skip
"""Python's own plain values, and what puts them together."""
_CONSTRUCTORS: Final = frozenset(
    {
        f"numpy.{core}.{name}"
        for core in ("core", "_core")
        for name in (
            "multiarray._reconstruct", "multiarray.scalar", "multiarray.dtype", "numeric._frombuffer",
            "_ufunc_reconstruct",
        )
    }
    | {
        f"numpy.random._pickle.{name}"
        for name in ("__bit_generator_ctor", "__generator_ctor", "__randomstate_ctor")
    }
    | {"numpy.dtype", "numpy.ma.core._mareconstruct"}
)  # fmt: skip
"""Functions of numpy that its own pickles call."""
_FILLING: Final = frozenset(
    {
        "numpy.ma.core.MaskedArray.__setstate__",
        "scipy.sparse._coo._coo_base.__setstate__",
        "sklearn.base.BaseEstimator.__setstate__",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor.__setstate__",
        "sklearn.isotonic.IsotonicRegression.__setstate__",
        "sklearn.utils._bunch.Bunch.__setstate__",
    }
)
"""Methods in Python that take a state and do nothing else with it."""
_UNPACKED: Final = "CHAINFOLD_UNPACKED_BYTES"
_UNPACKED_BYTES: Final = 1 << 30


def default_policy() -> str:
    """What `CHAINFOLD_TRUST` says; if it is not set, or empty, `registered`."""
    return os.environ.get("CHAINFOLD_TRUST") or "registered"


def default_unpacked_bytes() -> int:
    """What `CHAINFOLD_UNPACKED_BYTES` says; if it is not set, or empty, a gibibyte.

    Raises:
        InvalidInputError: If it is no positive number.
    """
    said = os.environ.get(_UNPACKED) or str(_UNPACKED_BYTES)
    if not said.isascii() or not said.isdecimal() or not 0 < len(said.lstrip("0")) < 19:  # noqa: PLR2004 - 64 bits
        raise InvalidInputError(f"{_UNPACKED}={said!r:.40} is no number of bytes: use digits, as 1073741824")
    return int(said)


class Trust:
    """What one registry, and its views, may deserialise.

    Args:
        policy: See `Policy`.
        unpacked_bytes: What a compressed pickle may become while it is looked through; by default
            `CHAINFOLD_UNPACKED_BYTES`, or a gibibyte.

    Raises:
        InvalidInputError: If there is no such policy.
    """

    def __init__(self, policy: str = "registered", *, unpacked_bytes: int | None = None) -> None:
        if policy not in get_args(Policy):
            raise InvalidInputError(
                f"trust={policy!r} is no policy: use {', '.join(map(repr, get_args(Policy)))}"
            )
        self.policy = policy
        self.unpacked_bytes = default_unpacked_bytes() if unpacked_bytes is None else unpacked_bytes
        self._allowed: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        return f"Trust({self.policy!r}, allowed={sorted(self._allowed)})"

    def allow(self, names: Iterable[Any]) -> None:
        """Let pickles refer to these packages, modules, classes or functions, and all in them.

        Raises:
            InvalidInputError: If one is no dotted name.
        """
        names = list(names)
        for name in names:
            if not isinstance(name, str) or not all(part.isidentifier() for part in name.split(".")):
                raise InvalidInputError(
                    f"{name!r} cannot be allowed: give a package, module or class, as 'package.module.Class'"
                )
        self._allowed |= frozenset(names)

    def open(self, content: bytes, format: str, what: str, *, is_own: bool) -> Any:  # noqa: A002 - the record's word
        """The object in these bytes, if the policy lets it be made.

        Args:
            content: The bytes, whose digest was checked.
            format: What their record says in `format`.
            what: Whose they are, for messages.
            is_own: Whether this dataset's log says that they were registered here, in this format.

        Raises:
            UntrustedError: If not; nothing of the bytes has run. The message says what would allow it.
            SerializationError: If they cannot be loaded.
        """
        if self.policy == "all" or not runs_code(format) or (is_own and self.policy == "registered"):
            return deserialize(content, format)
        if self.policy == "none":
            raise UntrustedError(
                f"{what} is not loaded: its format {format!r} runs code, and trust='none' allows none that "
                f"does. Open the registry with trust='listed' to look through it first"
            )
        if not is_pickle(format):
            raise UntrustedError(
                f"{what} is not loaded: {self._why()}, and what its format {format!r} would run cannot be "
                f"foreseen. If you trust whoever made it, open the registry with trust='all'"
            )
        return self._open_pickle(content, format, what)

    def _why(self) -> str:
        """Why it is looked at so closely."""
        if self.policy == "registered":
            return "it was not registered in this dataset"
        return "trust='listed' allows what is listed only"

    def _open_pickle(self, content: bytes, format: str, what: str) -> Any:  # noqa: A002 - as above
        try:
            plain = unpacked(content, self.unpacked_bytes)
            named = globals_of(plain)
        except TooLargeError as error:
            raise UntrustedError(
                f"{what} is not loaded: {self._why()}, and {error} bytes, which is what {_UNPACKED} allows. "
                f"If you trust whoever made it, set that to more, or open the registry with trust='all'"
            ) from error
        except ValueError as error:
            raise UntrustedError(
                f"{what} is not loaded: {self._why()}, and {error}. If you trust whoever made it, open the "
                f"registry with trust='all'"
            ) from error
        refused = self.refused(named)
        if refused:
            shown = ", ".join(repr(name)[1:-1] for name in refused)
            call = f"call registry.allow({', '.join(map(repr, refused))}) and load again"
            if not all(part.isidentifier() for name in refused for part in name.split(".")):
                call = "open the registry with trust='all'"
            raise UntrustedError(
                f"{what} is not loaded: {self._why()}, and it refers to {shown}. "
                f"If you trust whoever made it, {call}"
            )
        return deserialize(plain, format, named=named)

    def refused(self, named: Globals) -> list[str]:
        """What of it is not allowed, sorted."""
        called = {name for name in named.called if not self._may_call(name)}
        called |= {name for name in named.fed if not self._may_feed(name)}
        called |= {name for name in named.filled if not self._may_fill(name)}
        called |= {name for name in named.slotted - _CONSTRUCTORS if not self._is_allowed(name)}
        others = {name for name in named.made | named.mentioned if not self._may_mention(name)}
        return sorted(called | others)

    def _may_call(self, name: str) -> bool:
        if self._is_allowed(name) or name in _PLAIN or name in _CONSTRUCTORS or name in STRING_DTYPES:
            return True
        if not _is_listed(name) or not all(map(_is_its_own, _found_all(name))):
            return False
        found = _found(name)
        if isinstance(found, type) and issubclass(found, enum.Enum):
            return True
        return _is_compiled(found) and (
            makes_again(name) or (isinstance(found, type) and is_usual_class(name))
        )

    def _may_feed(self, name: str) -> bool:
        """Whether it may be called with objects, or made with arguments: by what is not in Python it may."""
        if self._is_allowed(name) or name in _CONSTRUCTORS:
            return True
        return name not in _PLAIN and self._may_call(name) and _is_compiled(_found(name))

    def _may_fill(self, name: str) -> bool:
        """Whether its objects may be given a state: not by code that does more than to take it."""
        if self._is_allowed(name) or name in _CONSTRUCTORS or name in _PLAIN:
            return True
        found = _found(name)
        if not isinstance(found, type):
            return (
                found is not None and _is_listed(name) and _is_compiled(found)
            )  # a function in C that compiled classes are made by
        if issubclass(found, enum.Enum):  # its members are there once, for all
            return False
        method = getattr(found, "__setstate__", None)
        if not isinstance(method, FunctionType):
            return True
        return f"{method.__module__}.{method.__qualname__}" in _FILLING

    def _may_mention(self, name: str) -> bool:
        if self._is_allowed(name) or name in _PLAIN or name == _MAPPED:
            return True
        return _is_listed(name) and all(map(_is_its_own, _found_all(name)))

    def _is_allowed(self, name: str) -> bool:
        """Whether the very name is allowed, or what it is in, whose own it is: not what that has imported."""
        if name in self._allowed:
            return True
        if not self._is_within(name) or any(part.startswith("__") for part in name.split(".")[1:]):
            return False
        return all(map(self._is_own_of_allowed, _found_all(name)))

    def _is_within(self, name: str) -> bool:
        return any(name.startswith(f"{each}.") for each in self._allowed)

    def _is_own_of_allowed(self, found: Any) -> bool:
        if isinstance(found, ModuleType):
            return False
        home = f"{_home(found)}.{getattr(found, '__qualname__', '')}".rstrip(".")
        return home in self._allowed or self._is_within(home) or home in _PLAIN


def _is_listed(name: str) -> bool:
    """Whether a name is of one of the libraries, and not of a part that is refused."""
    parts = name.split(".")
    begins = {".".join(parts[:length]) for length in range(1, len(parts) + 1)}
    return (
        parts[0] in _LIBRARIES
        and not begins & _REFUSED
        and not _TESTS.intersection(parts)
        and not any(part.startswith("__") and part.endswith("__") for part in parts)
        and parts[-1] not in _FILES
    )


def _found_all(name: str) -> list[Any]:
    """What a name can be: its first words are a module, and pickles do not all say how many they are.

    Empty if there is nothing of it, and then loading will say so.
    """
    parts = name.split(".")
    found: list[Any] = []
    for length in range(len(parts) - 1, 0, -1) if parts[0] else ():  # else it is relative, to nothing
        try:
            each: Any = importlib.import_module(".".join(parts[:length]))
        except ImportError:
            continue
        for part in parts[length:]:
            each = getattr(each, part, None)
        if each is not None:
            found.append(each)
    return found


def _found(name: str) -> Any:
    """What a name is, if it can be but one thing; None if not."""
    found = _found_all(name)
    return found[0] if found and all(each is found[0] for each in found) else None


def _is_its_own(found: Any) -> bool:
    """Whether what a name leads to is a listed library's: `numpy.os.system` begins with numpy's name only."""
    if isinstance(found, ModuleType):
        return False
    return _is_listed(f"{_home(found)}.{getattr(found, '__name__', '')}")


def _home(found: Any) -> str:
    """The module that something is from; of an object without one, that of its class."""
    home = getattr(found, "__module__", None)
    return home if isinstance(home, str) and home else type(found).__module__


def _is_compiled(found: Any) -> bool:
    """Whether something is of a module that is not written in Python."""
    module = sys.modules.get(getattr(found, "__module__", None) or "")
    origin = getattr(getattr(module, "__spec__", None), "origin", None) or ""
    return origin.endswith(tuple(importlib.machinery.EXTENSION_SUFFIXES))
