"""What a pickle refers to, read from its opcodes: nothing of it runs.

The reader is Python's own in Python (`pickle._Unpickler`, the base of `joblib.load`'s too), so it takes the
bytes apart as loading them would. But where that calls, it makes a `Symbol`: of what would be called, with
what, and given which state.
"""

import contextlib
import functools
import io
import math
import pickle
from collections.abc import Callable
from typing import Any, ClassVar, Final

import msgspec

from chainfold.serializers.pickle_bounds import ARRAY_WRAPPER, Tuples, check_call, check_state, dtype_of
from chainfold.serializers.pickle_symbols import Symbol, check_keys, modern, name_of

_PICKLE: Final = b"\x80"
_RECONSTRUCTOR: Final = "copyreg._reconstructor"
_UFUNC: Final = frozenset({"numpy.core._ufunc_reconstruct", "numpy._core._ufunc_reconstruct"})
_SUBIMPORT: Final = "cloudpickle.cloudpickle.subimport"
_GETATTR: Final = "builtins.getattr"


class Globals(msgspec.Struct, frozen=True):
    """The classes and functions that a pickle names, as `module.name`.

    Attributes:
        called: What loading calls, with arguments that the pickle says.
        made: Classes that it makes instances of by `__new__`, without `__init__`: the usual way.
        mentioned: What it only refers to: a function that an estimator holds, a dtype's type.
        filled: Of those called or made, the ones whose results are given a state: by a method of their class.
        fed: Of those, the ones that are given arguments among which are objects that the pickle has made, or,
            if they are made, any arguments: what the class does with them runs.
        slotted: Of those, the ones whose results get attributes set one by one.
        arrays: Where in a file of joblib's own form each array begins and ends.
    """

    called: frozenset[str]
    made: frozenset[str]
    mentioned: frozenset[str]
    filled: frozenset[str] = frozenset()
    fed: frozenset[str] = frozenset()
    slotted: frozenset[str] = frozenset()
    arrays: tuple[tuple[int, int], ...] = ()

    def all(self) -> list[str]:
        """All of them, sorted."""
        return sorted(self.called | self.made | self.mentioned)


def globals_of(data: bytes) -> Globals:
    """What a pickle refers to, also one in a form of joblib's.

    Args:
        data: As `unpacked` gives them.

    Raises:
        ValueError: If the bytes are no pickle, or one whose loading cannot be foreseen.
    """
    if not data.startswith(_PICKLE):
        raise ValueError("these are no pickle of protocol 2 or later")
    reader = _Reader(io.BytesIO(data))
    try:
        reader.load()
    except Exception as error:
        raise ValueError(f"a pickle that cannot be read: {type(error).__name__}: {error}") from error
    called, made, named = map(frozenset, (reader.called, reader.made, reader.named))
    return Globals(
        called,
        made - called,
        named - called - made,
        frozenset(reader.filled),
        frozenset(reader.fed),
        frozenset(reader.slotted),
        tuple(reader.arrays),
    )


def names_in(data: bytes) -> list[str]:
    """What a pickle names, as `module.name`, sorted, as far as it can be read: for a note, not a decision."""
    lister = _Lister(io.BytesIO(data))
    with contextlib.suppress(Exception):
        lister.load()
    return sorted(lister.named)


def load_held(data: bytes, named: Globals) -> Any:
    """The object of a pickle, which gets nothing but what was read off it.

    It is read by the same code as was read off it: `pickle` in C might take odd bytes apart in another way.
    In joblib's own form the arrays must lie where they were found to lie.

    Raises:
        Exception: Of any class, if it cannot be loaded, or asks for anything else.
    """
    if ARRAY_WRAPPER in named.called | named.made:
        from chainfold.serializers.joblib_held import load_arrays  # noqa: PLC0415 - joblib, for its own form only

        return load_arrays(data, named.arrays, Held(io.BytesIO(), frozenset(named.all())))
    return Held(io.BytesIO(data), frozenset(named.all())).load()


_Unpickler: Any = pickle._Unpickler  # noqa: SLF001 - as joblib does: the one in Python


class Held(_Unpickler):  # type: ignore[misc] # its stubs leave it out
    """An unpickler that finds certain names and no others."""

    def __init__(self, file: io.BytesIO, names: frozenset[str]) -> None:
        super().__init__(file)
        self.names = names

    def find_class(self, module: str, name: str) -> Any:
        """As unpicklers ask for it; for a memory-mapped array, which here has no file, an array."""
        if f"{module}.{name}" in self.names or ".".join(modern(module, name)) in self.names:
            if (module, name) == ("numpy", "memmap"):
                name = "ndarray"
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it refers to {module}.{name}, which could not be read off it")


class _Reader(_Unpickler):  # type: ignore[misc] # its stubs leave it out
    """Takes a pickle apart into symbols."""

    is_strict: ClassVar[bool] = True
    """Whether it refuses what asks for more than its bytes hold."""

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = dict(_Unpickler.dispatch)

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self.file = file
        self.named: set[str] = set()
        self.called: set[str] = set()
        self.made: set[str] = set()
        self.filled: set[str] = set()
        self.fed: set[str] = set()
        self.slotted: set[str] = set()
        self.arrays: list[tuple[int, int]] = []
        self.tuples = Tuples()

    def find_class(self, module: str, name: str) -> Symbol:
        if self.proto < 3:  # noqa: PLR2004 - from then on a pickle has Python 3's names
            module, name = modern(module, name)
        full = f"{module}.{name}"
        self.named.add(full)
        return Symbol(full)

    def persistent_load(self, _: Any) -> Any:
        raise ValueError("it refers to an object outside")

    def get_extension(self, code: int) -> None:
        raise ValueError(f"it uses the extension {code}, which each process may define for itself")

    def load_next_buffer(self) -> None:
        raise ValueError("parts of it are outside")

    def note(self, names: set[str], target: Any, args: Any) -> Symbol:
        """What calling something gives, or making an instance of it."""
        name = name_of(target)
        if not name:
            raise ValueError("it calls what it has made itself")
        names.add(name)
        return Symbol(target=target, args=args)

    def load_reduce(self) -> None:
        args = self.stack.pop()
        self.stack[-1] = self.call(self.stack[-1], args)

    def call(self, target: Any, args: Any) -> Symbol:
        """What calling something gives; what is known to make an instance, or find a name, is that."""
        name = name_of(target)
        if name == _RECONSTRUCTOR:
            self.called.add(name)
            cls, base, state = args
            if name_of(base).partition(".")[0] != "builtins" or isinstance(state, Symbol):
                raise ValueError("it makes an object in a way that pickling does not")
            return self.note(self.made, cls, ())
        if name in _UFUNC:
            self.called.add(name)
            module, ufunc = args
            if type(module) is not str or type(ufunc) is not str or module.partition(".")[0] != "numpy":
                raise ValueError("it asks for a function of numpy that is none")
            return self.find_class(module, ufunc)
        if self.is_strict:
            check_call(name, args)
        self.name_found_by(name, args)
        if any(isinstance(each, Symbol) and each.is_made() for each in args):
            self.fed.add(name)
        return self.note(self.called, target, args)

    def name_found_by(self, function: str, args: Any) -> None:
        """Note what is named by the arguments of a call: cloudpickle's modules, and attributes of a class."""
        match args:
            case (str() as module,) if function == _SUBIMPORT:
                self.named.add(module)
            case (Symbol(name=owner), str() as attribute) if function == _GETATTR and owner:
                self.named.add(f"{owner}.{attribute}")

    def _load_tuple(self, opcode: bytes) -> None:
        _Unpickler.dispatch[opcode[0]](self)
        if self.is_strict:
            self.tuples.note(self.stack[-1])

    def load_newobj(self) -> None:
        args = self.stack.pop()
        if args:
            self.fed.add(name_of(self.stack[-1]))
            if self.is_strict:
                check_call(name_of(self.stack[-1]), args)
        self.stack[-1] = self.note(self.made, self.stack[-1], args)

    def load_newobj_ex(self) -> None:
        kwargs = self.stack.pop()
        args = self.stack.pop()
        self.fed.add(name_of(self.stack[-1]))
        self.stack[-1] = self.note(self.made, self.stack[-1], (args, kwargs))

    def load_inst(self) -> None:
        module = self.readline()[:-1].decode("ascii")
        name = self.readline()[:-1].decode("ascii")
        args = self.pop_mark()
        self.append(self.call(self.find_class(module, name), args))

    def load_obj(self) -> None:
        args = self.pop_mark()
        self.append(self.call(args.pop(0), args))

    def load_build(self) -> None:
        state = self.stack.pop()
        made = self.stack[-1]
        if not isinstance(made, Symbol):
            raise ValueError("it gives a state to what is no object")  # noqa: TRY004 - about bytes
        self.fill(made, state)
        if name_of(made.target) == ARRAY_WRAPPER:
            self._pass_array(state)

    def fill(self, made: Symbol, state: Any) -> None:
        """An object is given its state."""
        made.take("state")
        made.state = state
        if self.is_strict:
            check_state(made, state)
        name = name_of(made.target)
        self.filled.add(name)
        if name in self.called and isinstance(made.args, tuple) and made.args and name_of(made.args[0]):
            self.filled.add(name_of(made.args[0]))  # the class that a function makes an object of
        slots = state[1] if isinstance(state, tuple) and len(state) == 2 else None  # noqa: PLR2004 - as pickle has it
        for each in (state[0] if slots is not None else state, slots):
            if isinstance(each, dict):
                check_keys(each)
        if isinstance(slots, dict | Symbol) and slots:
            self.slotted.add(name)

    def _pass_array(self, state: Any) -> None:
        """Go on behind the array that joblib wrote."""
        begins = self.file.tell()
        self._pass(state)
        self.arrays.append((begins, self.file.tell()))

    def _pass(self, state: Any) -> None:
        dtype = dtype_of(state["dtype"])
        if dtype.hasobject:
            inner = _Reader(self.file)
            inner.load()
            for name in ("named", "called", "made", "filled", "fed", "slotted"):
                getattr(self, name).update(getattr(inner, name))
            return
        if state.get("numpy_array_alignment_bytes") is not None:
            self.file.seek(self.file.read(1)[0], io.SEEK_CUR)
        length = math.prod(int(each) for each in state["shape"]) * dtype.itemsize
        if not 0 <= length <= len(self.file.getbuffer()) - self.file.tell():
            raise ValueError("an array of it is cut short")
        self.file.seek(length, io.SEEK_CUR)


_Reader.dispatch |= {
    **{
        opcode[0]: functools.partial(_Reader._load_tuple, opcode=opcode)  # noqa: SLF001 - its own
        for opcode in (pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3)
    },
    pickle.REDUCE[0]: _Reader.load_reduce,
    pickle.NEWOBJ[0]: _Reader.load_newobj,
    pickle.NEWOBJ_EX[0]: _Reader.load_newobj_ex,
    pickle.INST[0]: _Reader.load_inst,
    pickle.OBJ[0]: _Reader.load_obj,
    pickle.BUILD[0]: _Reader.load_build,
    pickle.NEXT_BUFFER[0]: _Reader.load_next_buffer,
}


class _Lister(_Reader):
    """Goes on where what a pickle does cannot be foreseen."""

    is_strict = False

    def note(self, names: set[str], target: Any, args: Any) -> Symbol:
        names.add(name_of(target))
        return Symbol(target=target, args=args)
