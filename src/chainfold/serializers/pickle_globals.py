"""What a pickle refers to, read from its opcodes: nothing of it runs, and nothing is imported.

The reader is Python's own in Python (`pickle._Unpickler`, the base of `joblib.load`'s too), so it takes the
bytes apart as loading them would. But where that calls, it makes a `Symbol`: of what would be called, with
what. What is loaded then is held to these names, and to what pickling does with them: by `Held`.
"""

import contextlib
import io
import math
import pickle
from collections.abc import Callable
from typing import Any, ClassVar, Final

import msgspec

from chainfold.serializers.pickle_dtypes import dtype_of, is_shape
from chainfold.serializers.pickle_symbols import NotPickledError, Symbol, Unpickler, full_name, name_of

ARRAY_WRAPPER: Final = "joblib.numpy_pickle.NumpyArrayWrapper"
"""Behind its state joblib's own form has the array's bytes, or a pickle of it if it holds objects."""
SUBIMPORT: Final = "cloudpickle.cloudpickle.subimport"
GETATTR: Final = "builtins.getattr"
RECONSTRUCTOR: Final = "copyreg._reconstructor"
UFUNCS: Final = frozenset({"numpy.core._ufunc_reconstruct", "numpy._core._ufunc_reconstruct"})
_MOST_FIELDS: Final = 100_000
_PICKLE: Final = b"\x80"


class Globals(msgspec.Struct, frozen=True):
    """The classes and functions that a pickle names, as `module.name`.

    Attributes:
        called: What loading calls, with arguments that the pickle says.
        made: Classes that it makes instances of by `__new__`, without `__init__`: the usual way.
        mentioned: What it only refers to: a function that an estimator holds, a dtype's type.
        filled: Of those called or made, the ones whose results are given a state: by a method of their class.
    """

    called: frozenset[str]
    made: frozenset[str]
    mentioned: frozenset[str]
    filled: frozenset[str] = frozenset()

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
    except NotPickledError:
        raise
    except Exception as error:
        raise ValueError(f"a pickle that cannot be read: {type(error).__name__}: {error}") from error
    called, made, named = map(frozenset, (reader.called, reader.made, reader.named))
    return Globals(called, made - called, named - called - made, frozenset(reader.filled))


def names_in(data: bytes) -> list[str]:
    """What a pickle names, as `module.name`, sorted, as far as it can be read: for a note, not a decision."""
    lister = _Lister(io.BytesIO(data))
    with contextlib.suppress(Exception):
        lister.load()
    return sorted(lister.named)


def ufunc_name(args: Any) -> tuple[str, str]:
    """Module and name of the function of numpy that is asked for.

    Raises:
        NotPickledError: If it is none of numpy's.
    """
    match args:
        case (str() as module, str() as name) if module.partition(".")[0] == "numpy":
            return module, name
    raise NotPickledError("asks for a function of numpy that is none")


class Opcodes(Unpickler):  # type: ignore[misc] # its stubs leave it out
    """What pickling in this process writes, and no more: the base of both readers."""

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = dict(Unpickler.dispatch)

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self.file = file

    def persistent_load(self, _: Any) -> Any:
        """An object that is not in the pickle: none."""
        raise NotPickledError("refers to an object outside")

    def get_extension(self, code: int) -> None:
        """A class by a number: none."""
        raise NotPickledError(f"uses the extension {code}, which each process may define for itself")

    def load_buffer(self) -> None:
        """Bytes that are not in the pickle: none."""
        raise NotPickledError("has parts outside of it")

    def load_old(self) -> None:
        """An instance as Python 2 had them: none."""
        raise NotPickledError("makes objects in a way of Python 2's")

    def load_bytearray8(self) -> None:
        """The one opcode whose length is believed before the bytes are there."""
        self.append(bytearray(self.read(int.from_bytes(self.read(8), "little"))))

    def pop_pairs(self) -> list[tuple[Any, Any]]:
        """What was put on the stack since the last mark, as keys and values."""
        items = self.pop_mark()
        return list(zip(items[::2], items[1::2], strict=True))

    def update(self, pairs: list[tuple[Any, Any]]) -> None:
        """Hand pairs to what is on the stack."""
        raise NotImplementedError

    def load_setitem(self) -> None:
        """A pair for a dict."""
        value, key = self.stack.pop(), self.stack.pop()
        self.update([(key, value)])

    def load_setitems(self) -> None:
        """Pairs for a dict."""
        self.update(self.pop_pairs())

    def load_dict(self) -> None:
        """A dict of all since the last mark."""
        pairs = self.pop_pairs()
        self.append({})
        self.update(pairs)

    def array_length(self, dtype: Any, shape: tuple[int, ...], *, is_aligned: bool) -> int:
        """Bytes of the array that joblib wrote, at which the file is then.

        Raises:
            NotPickledError: If there are fewer.
        """
        if is_aligned:
            self.file.seek(self.file.read(1)[0], io.SEEK_CUR)
        length = math.prod(shape) * int(dtype.itemsize)
        if length > len(self.file.getbuffer()) - self.file.tell():
            raise NotPickledError("has an array that is cut short")
        return length


Opcodes.dispatch |= {
    pickle.NEXT_BUFFER[0]: Opcodes.load_buffer,
    pickle.READONLY_BUFFER[0]: Opcodes.load_buffer,
    pickle.INST[0]: Opcodes.load_old,
    pickle.OBJ[0]: Opcodes.load_old,
    pickle.BYTEARRAY8[0]: Opcodes.load_bytearray8,
    pickle.SETITEM[0]: Opcodes.load_setitem,
    pickle.SETITEMS[0]: Opcodes.load_setitems,
    pickle.DICT[0]: Opcodes.load_dict,
}


class _Reader(Opcodes):
    """Takes a pickle apart into symbols. Of what is in collections it keeps what tells where arrays end."""

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = dict(Opcodes.dispatch)

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self.named: set[str] = set()
        self.called: set[str] = set()
        self.made: set[str] = set()
        self.filled: set[str] = set()
        self.fields = 0

    def find_class(self, module: str, name: str) -> Symbol:
        full = ".".join(full_name(self.proto, module, name))
        self.named.add(full)
        return Symbol(full)

    def note(self, names: set[str], target: Any, args: Any) -> Symbol:
        """What calling something gives, or making an instance of it."""
        name = name_of(target)
        if not name:
            raise NotPickledError("calls what it has made itself")
        names.add(name)
        return Symbol(target=target, args=args)

    def load_reduce(self) -> None:
        args = self.stack.pop()
        self.stack[-1] = self.call(self.stack[-1], args)

    def call(self, target: Any, args: Any) -> Symbol:
        """What calling something gives; what is known to make an instance, or find a name, is that."""
        name = name_of(target)
        if name == RECONSTRUCTOR:
            self.called.add(name)
            return self.note(self.made, args[0], ())
        if name in UFUNCS:
            self.called.add(name)
            return self.find_class(*ufunc_name(args))
        match args:
            case (str() as module,) if name == SUBIMPORT:
                self.named.add(module)
            case (Symbol(name=owner), str() as attribute) if name == GETATTR and owner:
                self.called.add(name)
                self.named.add(f"{owner}.{attribute}")
                return Symbol(f"{owner}.{attribute}")
        return self.note(self.called, target, args)

    def load_newobj(self) -> None:
        args = self.stack.pop()
        self.stack[-1] = self.note(self.made, self.stack[-1], args)

    def load_newobj_ex(self) -> None:
        kwargs = self.stack.pop()
        args = self.stack.pop()
        self.stack[-1] = self.note(self.made, self.stack[-1], (args, kwargs))

    def load_build(self) -> None:
        state = self.stack.pop()
        made = self.stack[-1]
        if not isinstance(made, Symbol) or made.name:
            raise NotPickledError("gives a state to what it has not made")
        made.state, made.dtype = state, None
        name = name_of(made.target)
        self.filled.add(name)
        if name in self.called and isinstance(made.args, tuple) and made.args and name_of(made.args[0]):
            self.filled.add(name_of(made.args[0]))  # the class that a function makes an object of
        if name == ARRAY_WRAPPER:
            self._pass(state)

    def spend(self, fields: int) -> None:
        """Note that a dtype of so many fields has been made, to see how long an array is."""
        self.fields += fields
        if self.fields > _MOST_FIELDS + len(self.file.getbuffer()):
            raise NotPickledError("asks for more memory or time than its bytes pay for")

    def _pass(self, state: Any) -> None:
        """Go on behind the array that joblib wrote."""
        dtype, shape = dtype_of(state["dtype"], self.spend), state["shape"]
        if not is_shape(shape):
            raise NotPickledError("has an array of no shape")
        if dtype.hasobject:
            inner = type(self)(self.file)
            inner.fields = self.fields
            inner.load()
            for name in ("named", "called", "made", "filled"):
                getattr(self, name).update(getattr(inner, name))
            self.fields = inner.fields
            return
        is_aligned = state.get("numpy_array_alignment_bytes") is not None
        self.file.seek(self.array_length(dtype, shape, is_aligned=is_aligned), io.SEEK_CUR)

    def load_append(self) -> None:
        del self.stack[-1]

    def load_appends(self) -> None:
        self.pop_mark()

    def load_frozenset(self) -> None:
        self.pop_mark()
        self.append(frozenset())

    def update(self, pairs: list[tuple[Any, Any]]) -> None:
        """Keep of pairs those whose key is a text; no other is hashed, which might never end."""
        target = self.stack[-1]
        if type(target) is dict:
            target.update((key, value) for key, value in pairs if type(key) is str)


_Reader.dispatch |= {
    pickle.REDUCE[0]: _Reader.load_reduce,
    pickle.NEWOBJ[0]: _Reader.load_newobj,
    pickle.NEWOBJ_EX[0]: _Reader.load_newobj_ex,
    pickle.BUILD[0]: _Reader.load_build,
    pickle.APPEND[0]: _Reader.load_append,
    pickle.APPENDS[0]: _Reader.load_appends,
    pickle.ADDITEMS[0]: _Reader.load_appends,
    pickle.FROZENSET[0]: _Reader.load_frozenset,
}


class _Lister(_Reader):
    """Goes on where what a pickle does cannot be foreseen."""

    def note(self, names: set[str], target: Any, args: Any) -> Symbol:
        names.add(name_of(target))
        return Symbol(target=target, args=args)
