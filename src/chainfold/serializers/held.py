"""Loading a pickle so that nothing of it runs but what pickling itself writes, and what the user has allowed.

The unpickler is Python's own in Python. What it would call it makes by rules (`held_calls`, `held_numpy`),
what would take a state is given it by rules (`held_states`), and what it would hash is looked at first. What
there is no rule for is refused.
"""

import collections
import functools
import importlib
import io
import pickle
from collections.abc import Callable
from types import FunctionType, MethodType
from typing import Any, ClassVar, Final

from chainfold.serializers.held_calls import CALLS, are
from chainfold.serializers.held_making import Making
from chainfold.serializers.held_numpy import NUMPY, compiled_rule
from chainfold.serializers.held_states import check_shape, fill_attributes, fill_freely
from chainfold.serializers.listed import (
    enum_rule,
    is_function_or_class,
    is_listed,
    is_mapped,
    plain_filler,
    plain_maker,
)
from chainfold.serializers.pickle_globals import (
    ARRAY_WRAPPER,
    GETATTR,
    RECONSTRUCTOR,
    SUBIMPORT,
    UFUNCS,
    Opcodes,
    ufunc_name,
)
from chainfold.serializers.pickle_symbols import NotPickledError, full_name

RULES: Final = CALLS | NUMPY
_OBJECT_BYTES: Final = 100
_DICTS: Final = frozenset({dict, collections.Counter, collections.OrderedDict, collections.defaultdict})


def load_held(data: bytes, names: frozenset[str], free: frozenset[str]) -> Any:
    """The object of a pickle, also of one in joblib's own form, that is not compressed.

    Args:
        data: The bytes.
        names: What it may refer to, as `module.name`: nothing else is found.
        free: Of these, what is called with anything, and may do anything with it.

    Raises:
        NotPickledError: If it does what there is no rule for. What came before it has been made.
        Exception: Of any class, if it cannot be loaded.
    """
    return Held(io.BytesIO(data), Making(names, free, len(data))).load()


class _Wrapper:
    """What says of an array in joblib's own form how its bytes are to be read."""


class Held(Opcodes):
    """The unpickler of one file, or of a pickle within it."""

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = dict(Opcodes.dispatch)

    def __init__(self, file: io.BytesIO, making: Making) -> None:
        super().__init__(file)
        self.making = making

    def find_class(self, module: str, name: str) -> Any:
        """By the name that the pickle says."""
        return self.find(*full_name(self.proto, module, name))

    def find(self, module: str, name: str) -> Any:
        """A class or function; for one that opens files, the class of plain arrays."""
        full = f"{module}.{name}"
        if full not in self.making.names:
            raise NotPickledError(f"refers to {full}, which could not be read off it")
        if full == ARRAY_WRAPPER:
            return self.making.find(_Wrapper, full)
        if is_mapped(full):
            name = "ndarray"
        try:
            found: Any = importlib.import_module(module)
        except SystemExit as error:
            raise ImportError(f"importing {module} would end this process") from error
        for part in name.split("."):
            found = getattr(found, part)
        return self._known(found, full)

    def _known(self, found: Any, full: str) -> Any:
        if not is_function_or_class(found) and full not in self.making.free:
            raise NotPickledError(f"refers to {full}, which is neither a class nor a function", full)
        return self.making.find(found, full)

    def load_reduce(self) -> None:
        """A call."""
        args = self.stack.pop()
        function = self.stack.pop()
        if type(args) is not tuple:
            raise NotPickledError("calls something with what are no arguments")
        self.append(self.call(function, args))

    def call(self, function: Any, args: tuple[Any, ...]) -> Any:
        """What a call gives: by a rule, or because the user has allowed it."""
        name = self.making.name_of(function)
        if name in {SUBIMPORT, GETATTR}:
            return self._find_by_argument(name, args)
        if name in self.making.free:
            return self.making.let(function(*args))
        if name == RECONSTRUCTOR:
            return self._reconstruct(args)
        if name in UFUNCS:
            return self.find(*ufunc_name(args))
        self.making.spend(_OBJECT_BYTES)
        rule = RULES.get(name) or compiled_rule(name) or enum_rule(function)
        if rule is None:
            raise NotPickledError(f"calls {name or 'what it has made itself'}", name)
        return rule(self.making, args)

    def _reconstruct(self, args: tuple[Any, ...]) -> Any:
        """An instance as protocols before the second have it: of a class whose base is object, or dict."""
        match args:
            case (cls, base, None) if base is object:
                return self.make(cls, ())
            case (cls, base, pairs) if base is dict and type(pairs) is dict:
                made = self.make(cls, ())
                self.making.copy(pairs, 64 * len(pairs))
                dict.update(made, pairs)
                return made
        raise NotPickledError("makes an object in a way that pickling does not")

    def _find_by_argument(self, function: str, args: tuple[Any, ...]) -> Any:
        """A module, or an attribute of a class, that a call names: if it was read off before."""
        if are(args, str) and function == SUBIMPORT and function in self.making.free:
            if args[0] in self.making.names:
                return self.making.find(importlib.import_module(args[0]), args[0])
        elif len(args) == 2 and type(args[1]) is str and function == GETATTR:  # noqa: PLR2004 - of what, and which
            owner, attribute = args
            if not self.making.name_of(owner):
                return self._method(owner, attribute)
            full = f"{self.making.name_of(owner)}.{attribute}"
            if full in self.making.names:
                return self._known(getattr(owner, attribute), full)
        raise NotPickledError("looks something up that could not be read off it")

    def _method(self, owner: Any, name: str) -> Any:
        """A method of an object whose class is on the list, or allowed: as pickling has those of objects."""
        cls = type(owner)
        found = next((vars(each)[name] for each in cls.__mro__ if name in vars(each)), None)
        is_known = is_listed(f"{cls.__module__}.{cls.__qualname__}.{name}") or self.making.is_free(owner)
        if isinstance(found, FunctionType) and is_known:
            return MethodType(found, owner)
        raise NotPickledError(f"looks up {name!r:.80} of a {cls.__name__}")

    def load_newobj(self) -> None:
        """An instance, without `__init__`."""
        args = self.stack.pop()
        self.append(self.make(self.stack.pop(), args))

    def load_newobj_ex(self) -> None:
        """One with named arguments."""
        kwargs, args, cls = self.stack.pop(), self.stack.pop(), self.stack.pop()
        name = self.making.name_of(cls)
        if name not in self.making.free:
            raise NotPickledError(f"makes a {name} with named arguments", name)
        self.append(self.making.let(cls.__new__(cls, *args, **kwargs)))

    def make(self, cls: Any, args: Any) -> Any:
        """An instance of a class: without any code of the class, or because the user has allowed it."""
        name = self.making.name_of(cls)
        if type(args) is not tuple:
            raise NotPickledError("makes an object with what are no arguments")
        if cls is _Wrapper and not args:
            return self.making.await_state(_Wrapper(), fill_attributes)
        if name in self.making.free:
            return self.making.let(cls.__new__(cls, *args))
        maker = plain_maker(cls, name) if name else None
        if maker is None:
            raise NotPickledError(f"makes an object of {name or 'what is no class'}", name)
        fill = plain_filler(cls)
        self.making.spend(_OBJECT_BYTES)
        made = maker(args)
        return made if fill is None else self.making.await_state(made, fill)

    def load_build(self) -> None:
        """A state."""
        state = self.stack[-1]
        made = self.stack[-2]
        del self.stack[-1]
        if self.making.is_free(made):
            fill_freely(made, state)
            return
        self.making.fill(made, state)
        if type(made) is _Wrapper:
            self.stack[-1] = self.read_array(made)

    def read_array(self, wrapper: Any) -> Any:
        """The array that lies behind what joblib wrote of it."""
        np: Any = importlib.import_module("numpy")
        dtype, shape, order = wrapper.dtype, wrapper.shape, wrapper.order
        check_shape(self.making, shape, dtype)
        if dtype.hasobject:
            return Held(self.file, self.making).load()
        if type(order) is not str or order not in {"C", "F"}:
            raise NotPickledError("has an array of no order")
        is_aligned = getattr(wrapper, "numpy_array_alignment_bytes", None) is not None
        length = self.array_length(dtype, shape, is_aligned=is_aligned)
        content = bytearray(self.file.read(length))
        array = (
            np.frombuffer(content, dtype).reshape(shape, order=order)
            if length
            else np.empty(shape, dtype, order)
        )
        kind = next((each for each in (np.matrix, np.recarray) if each is wrapper.subclass), None)
        if kind is not None and hasattr(array, "__array_prepare__"):
            return array.view(kind)  # as joblib does, with releases of numpy that let it
        return array

    def load_append(self) -> None:
        """An item for a list."""
        self.extend([self.stack.pop()])

    def load_appends(self) -> None:
        """Items for a list."""
        self.extend(self.pop_mark())

    def extend(self, items: list[Any]) -> None:
        """Hand items to a list, or to what takes them as a list does."""
        target: Any = self.stack[-1]
        kind = type(target)
        if kind is list:
            target.extend(items)
        elif kind is collections.deque:
            self.making.nest(target, items)
            target.extend(items)
        elif self.making.is_free(target):
            for item in items:
                kind.append(target, item)
        elif isinstance(target, list) and kind.extend is list.extend:
            list.extend(target, items)
        else:
            raise NotPickledError(f"gives items to a {kind.__name__}", self.making.name_of(kind))

    def update(self, pairs: list[tuple[Any, Any]]) -> None:
        """Hand pairs to a dict, or to what takes them as a dict does."""
        target: Any = self.stack[-1]
        kind = type(target)
        if kind in _DICTS or self.making.is_free(target):
            put = functools.partial(kind.__setitem__, target)
        elif isinstance(target, dict) and kind.__setitem__ is dict.__setitem__:
            put = functools.partial(dict.__setitem__, target)
        else:
            raise NotPickledError(f"gives pairs to a {kind.__name__}", self.making.name_of(kind))
        if kind is collections.defaultdict:
            self.making.nest(target, (value for _, value in pairs))
        for key, value in pairs:
            self.making.check_key(key, target)
            put(key, value)

    def load_frozenset(self) -> None:
        """A frozenset of all since the last mark."""
        items = self.pop_mark()
        for each in items:
            self.making.check_key(each, items)
        self.append(frozenset(items))

    def load_additems(self) -> None:
        """Items for a set."""
        items = self.pop_mark()
        target: Any = self.stack[-1]
        if type(target) is not set and not self.making.is_free(target):
            raise NotPickledError(f"adds to a {type(target).__name__}", self.making.name_of(type(target)))
        for each in items:
            self.making.check_key(each, target)
            type(target).add(target, each)


Held.dispatch |= {
    pickle.REDUCE[0]: Held.load_reduce,
    pickle.NEWOBJ[0]: Held.load_newobj,
    pickle.NEWOBJ_EX[0]: Held.load_newobj_ex,
    pickle.BUILD[0]: Held.load_build,
    pickle.APPEND[0]: Held.load_append,
    pickle.APPENDS[0]: Held.load_appends,
    pickle.ADDITEMS[0]: Held.load_additems,
    pickle.FROZENSET[0]: Held.load_frozenset,
}
