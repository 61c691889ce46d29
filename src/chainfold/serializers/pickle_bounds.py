"""What a pickle may not ask for: work and memory that its bytes do not pay for, methods of what it made.

Eighty bytes can ask for a list of ten billion numbers, or for a hash that never ends. What pickling itself
writes asks for neither.
"""

import math
import re
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Final

from chainfold.serializers.pickle_symbols import Symbol, name_of

DTYPES: Final = frozenset({"numpy.dtype", "numpy.core.multiarray.dtype", "numpy._core.multiarray.dtype"})
STRING_DTYPES: Final = frozenset(
    f"numpy.{core}._internal._convert_to_stringdtype_kwargs" for core in ("core", "_core")
)
_RECORDS: Final = frozenset({"numpy.record", "numpy.rec.record", "numpy.core.records.record"})
"""The class whose dtypes are pickled by it: of a void with fields."""
_ENCODE: Final = "_codecs.encode"
"""How bytes are pickled in protocols before the third."""
_SCALARS: Final = frozenset(f"numpy.{core}.multiarray.scalar" for core in ("core", "_core"))
_EMPTY_ARRAYS: Final = frozenset(
    {f"numpy.{core}.multiarray._reconstruct" for core in ("core", "_core")} | {"numpy.ma.core._mareconstruct"}
)
_COLLECTIONS: Final = frozenset(
    {f"builtins.{name}" for name in ("bytearray", "bytes", "dict", "frozenset", "list", "set", "tuple")}
    | {f"collections.{name}" for name in ("Counter", "OrderedDict", "deque")}
)
_SIZED: Final = frozenset({"builtins.bytearray", "builtins.bytes"})
"""What makes as many zeros as a number says."""
_FRACTION: Final = re.compile(r"[-+]?\d+(/\d+)?")
"""As pickling writes it: `1e1000000000` would be one too."""
_PLAIN: Final = frozenset({str, bytes, float, int, bool, type(None)})
_DTYPE_FIELDS: Final = 4
"""Where the state of a numpy.dtype has them."""
_TRUE_FLAGS: Final = 0x7F
"""A dtype's flags that follow from what it holds: references, a list when pickled, pointers, memory that must
be set, Python's lock, how items are read and written. Only whether fields are aligned is up to it. Source:
numpy's `ndarraytypes.h`."""
_ALIGNMENTS: Final = (-1, 1, 2, 4, 8, 16)


ARRAY_WRAPPER: Final = "joblib.numpy_pickle.NumpyArrayWrapper"
"""Behind its state joblib's own form has the array's bytes, or a pickle of it if it holds objects."""
_RANDOM: Final = "numpy.random._pickle."
_BIT_GENERATORS: Final = frozenset(
    f"numpy.random.{module}.{name}"
    for module, name in (
        ("_mt19937", "MT19937"), ("_pcg64", "PCG64"), ("_pcg64", "PCG64DXSM"), ("_philox", "Philox"),
        ("_sfc64", "SFC64"),
    )
)  # fmt: skip
_MASKED: Final = frozenset({"numpy.ma.MaskedArray", "numpy.ma.core.MaskedArray"})
_BUFFERS: Final = frozenset({f"numpy.{core}.numeric._frombuffer" for core in ("core", "_core")})
_TREE: Final = "sklearn.tree._tree.Tree"
_LOSSES: Final = ("sklearn._loss._loss.", "sklearn.linear_model._sgd_fast.")
_AGAIN: Final = ("__pyx_unpickle_", "newObj")
"""How functions begin that compiled classes are made again by."""


def is_usual_class(name: str) -> bool:
    """Whether pickles of scikit-learn call this class of its own, which is compiled."""
    return name == _TREE or name.startswith(_LOSSES)


def makes_again(name: str) -> bool:
    """Whether a function makes an object of the compiled class that is its argument, as Cython's do."""
    return name.rpartition(".")[2].startswith(_AGAIN)


def check_call(name: str, args: Any) -> None:
    """Nothing, if a call asks for no more than its arguments hold.

    Raises:
        ValueError: If it does.
    """
    _seal(args)
    for names, is_usual, what in _RULES:
        if name in names and not is_usual(args):
            raise ValueError(f"it asks for {what}")
    if name.partition(".")[0] not in {"numpy", "scipy", "sklearn"}:
        return
    own = name.rpartition(".")[0]
    if makes_again(name) and (not args or name_of(args[0]).rpartition(".")[0] != own):
        raise ValueError(f"it has {name} make what is not of its module")
    if name.startswith(_LOSSES) and not makes_again(name) and not _is_plain(args):
        raise ValueError(f"it calls {name} with what is no number")


def _is_given_a_class(args: Any) -> bool:
    """The class of a bit generator, or its name, as numpy before 1.25 has it."""
    return len(args) <= 1 and all(type(each) is str or name_of(each) in _BIT_GENERATORS for each in args)


def _is_given_a_generator(args: Any) -> bool:
    """A bit generator, and what makes it."""
    maker = f"{_RANDOM}__bit_generator_ctor"
    first = args[0] if args else ""
    is_usual = type(first) is str or name_of(getattr(first, "target", None)) == maker
    return is_usual and all(name_of(each) == maker for each in args[1:])


def _is_given_a_masked_array(args: Any) -> bool:
    """Its class, that of the array in it, a shape, and a type."""
    return (
        len(args) == 4  # noqa: PLR2004 - those
        and name_of(args[0]) in _MASKED
        and name_of(args[1]) == "numpy.ndarray"
        and type(args[3]) in {str, bytes}
    )


def _is_given_a_buffer(args: Any) -> bool:
    """Bytes, a dtype, a shape and an order."""
    if len(args) != 4:  # noqa: PLR2004 - those
        return False
    content, dtype, shape, order = args
    made_of = name_of(getattr(content, "target", None))
    return (
        (type(content) in {bytes, bytearray} or made_of in {_ENCODE, *_SIZED})
        and name_of(getattr(dtype, "target", None)) in DTYPES | STRING_DTYPES
        and type(shape) is tuple
        and all(type(each) is int for each in shape)
        and type(order) is str
    )


def _is_given_outputs(args: Any) -> bool:
    """How many features, an array of how many classes each output has, and how many outputs that are."""
    if len(args) != 3:  # noqa: PLR2004 - those
        return False
    features, classes, outputs = args
    made_by = name_of(getattr(classes, "target", None))
    if type(features) is not int or type(outputs) is not int or not made_by:
        return False
    state = classes.state
    if made_by in _BUFFERS:
        return bool(classes.args[2] == (outputs,))
    if made_by == ARRAY_WRAPPER:
        return isinstance(state, dict) and state.get("shape") == (outputs,)
    return made_by in _EMPTY_ARRAYS and isinstance(state, tuple) and state[1:2] == ((outputs,),)


def _is_latin(args: Any) -> bool:
    return len(args) == 2 and type(args[0]) is str and args[1] in ("latin1", "latin-1")  # noqa: PLR2004 - text, encoding


def _is_given_items(args: Any) -> bool:
    return not any(isinstance(each, Symbol) for each in args)


def _is_given_bytes(args: Any) -> bool:
    return not any(isinstance(each, Symbol | int) for each in args)


def _is_fraction(args: Any) -> bool:
    return all(type(each) is int or (type(each) is str and _FRACTION.fullmatch(each)) for each in args)


def _is_of_no_items(args: Any) -> bool:
    """The last are shape and type; pickling writes the shape (0,), and the real one into the state."""
    return len(args) > 2 and args[-2] == (0,) and type(args[-2][0]) is int  # noqa: PLR2004 - a class, then these


def _is_given_a_value(args: Any) -> bool:
    """A dtype and bytes, or fields: of a dtype of objects numpy has given back the very object."""
    if len(args) != 2:  # noqa: PLR2004 - those two
        return False
    value = args[1]
    return name_of(getattr(value, "target", None)) == _ENCODE or _is_plain([value])


def _is_named(args: Any) -> bool:
    if not args or any(type(each) is not bool for each in args[1:]):
        return False
    return type(args[0]) is str or name_of(args[0]) in _RECORDS


def _is_plain(items: Any) -> bool:
    waiting, met = list(items), set()
    while waiting:
        each = waiting.pop()
        if isinstance(each, list | tuple):
            if id(each) not in met:
                met.add(id(each))
                waiting += each
        elif type(each) not in _PLAIN:
            return False
    return True


_RULES: Final[tuple[tuple[frozenset[str], Callable[[Any], bool], str], ...]] = (
    (_COLLECTIONS, _is_given_items, "a collection of a size that it only claims"),
    (_SIZED, _is_given_bytes, "zeros, as many as it says"),
    (frozenset({"fractions.Fraction"}), _is_fraction, "a fraction in a way that pickling does not"),
    (_EMPTY_ARRAYS, _is_of_no_items, "an array of a shape that it only claims"),
    (_SCALARS, _is_given_a_value, "a scalar in a way that pickling does not"),
    (DTYPES, _is_named, "a dtype in a way that pickling does not"),
    (_BUFFERS, _is_given_a_buffer, "an array in a way that pickling does not"),
    (frozenset({_ENCODE}), _is_latin, "bytes in a way that pickling does not"),
    (frozenset({f"{_RANDOM}__bit_generator_ctor"}), _is_given_a_class, "a bit generator that is none"),
    (
        frozenset({f"{_RANDOM}__generator_ctor", f"{_RANDOM}__randomstate_ctor"}),
        _is_given_a_generator,
        "a random generator of what is none",
    ),
    (
        frozenset({"numpy.ma.core._mareconstruct"}),
        _is_given_a_masked_array,
        "a masked array of what is none",
    ),
    (frozenset({_TREE}), _is_given_outputs, "a tree of more outputs than it has classes for"),
    (STRING_DTYPES, _is_plain, "a dtype of texts in a way that pickling does not"),
)
"""What is called, what must hold of its arguments, and what it asks for if that does not."""


def check_state(made: Symbol, state: Any) -> None:
    """Nothing, if a dtype is what it says, and the items of an array are kept as they are, or are plain.

    Else it would call methods of theirs: an array of texts makes texts of its items, one of numbers numbers.

    Raises:
        ValueError: If not.
    """
    _seal(state.values() if isinstance(state, dict) else state if isinstance(state, tuple) else ())
    parts = state if isinstance(state, tuple) else ()
    if name_of(made.target) in DTYPES:
        dtype_of(made)
    dtypes = [
        each for each in parts if isinstance(each, Symbol) and name_of(each.target) in DTYPES | STRING_DTYPES
    ]
    items = [each for each in parts if isinstance(each, list)]
    for dtype in dtypes:
        _check_count(parts, parts.index(dtype))
    if dtypes and items and not all(map(_keeps_items, dtypes)) and not _is_plain(items):
        raise ValueError("it puts objects into an array of something else")


def _check_count(parts: tuple[Any, ...], at: int) -> None:
    """The state of an array has shape, dtype, order and items: numpy reads as many as the shape says.

    Raises:
        ValueError: If it has others.
    """
    shape = parts[at - 1] if at else None
    for items in (each for each in parts[at + 1 :] if isinstance(each, list)):
        if not isinstance(shape, tuple) or not all(type(each) is int and each >= 0 for each in shape):
            raise ValueError("an array of it has no shape")
        if math.prod(shape) != len(items):
            raise ValueError("an array of it has another number of items than it claims")


def _seal(parts: Iterable[Any], depth: int = 2) -> None:
    """What takes a dtype relies on it: from now on it may not be given another state.

    Found are those in the state of an array, the arguments of a call, and the fields and subarray of a dtype.
    """
    for each in parts:
        if isinstance(each, Symbol) and name_of(each.target) in DTYPES:
            each.taken = "state"
        elif depth and isinstance(each, tuple | dict):
            _seal(each.values() if isinstance(each, dict) else each, depth - 1)


def _keeps_items(dtype: Symbol) -> bool:
    """Whether arrays of a dtype hold objects, and nothing that is made of them."""
    waiting, met = [dtype], set()
    while waiting:
        each = waiting.pop()
        if id(each) in met:
            continue
        met.add(id(each))
        fields = each.state[_DTYPE_FIELDS] if isinstance(each.state, tuple) else None
        if fields:
            waiting += [field[0] for field in fields.values()]
        elif name_of(each.target) in STRING_DTYPES or dtype_of(each).kind != "O":
            return False
    return True


def dtype_of(symbol: Any) -> Any:
    """The numpy.dtype that a symbol stands for, made anew from what it says.

    numpy takes a dtype's state as it is: flags that keep quiet about objects, or fields behind the end of the
    element, would make numbers in the file addresses in memory.

    Raises:
        ValueError: If it is none, or its state contradicts itself.
    """
    import numpy as np  # noqa: PLC0415 - imported where an array is met

    if isinstance(symbol, Symbol) and name_of(symbol.target) in STRING_DTYPES:
        return np.dtype("T")
    if not isinstance(symbol, Symbol) or name_of(symbol.target) not in DTYPES:
        raise ValueError("an array of it has no dtype of numpy's own")
    if symbol.dtype is not None:
        return symbol.dtype
    plain = np.dtype(symbol.args[0] if type(symbol.args[0]) is str else "V")
    if symbol.state is None:
        return plain
    _, _, subarray, names, fields, itemsize, alignment, flags, *_ = symbol.state
    if names is not None:
        each = [fields[name] for name in names]
        made = np.dtype(
            {
                "names": list(names),
                "formats": [dtype_of(field[0]) for field in each],
                "offsets": [field[1] for field in each],
                "itemsize": itemsize,
            }
        )
    elif subarray is not None:
        made = np.dtype((dtype_of(subarray[0]), subarray[1]))
    else:
        sized = plain.kind in "SUV" and itemsize > 0
        made = np.dtype(f"{plain.kind}{itemsize // (4 if plain.kind == 'U' else 1)}") if sized else plain
    is_made_of_others = names is not None or subarray is not None
    if (
        (made.flags ^ flags) & _TRUE_FLAGS
        or alignment not in _ALIGNMENTS
        or itemsize not in ((made.itemsize,) if plain.kind in "SUV" else (-1, made.itemsize))
        or (is_made_of_others and plain.kind != "V")
    ):
        raise ValueError("a dtype of it is not what it claims to be")
    symbol.dtype = made
    return made


class Tuples:
    """How deep the tuples of a pickle are nested, and how many they are, each counted wherever it is met.

    To hash one, which a set or dict does, takes as many steps: with two references to the one before in each
    of a hundred, that has no end. And too deep a nesting is more than the stack of C can hold.
    """

    deepest: ClassVar[int] = 1_000
    most: ClassVar[int] = 1_000_000

    def __init__(self) -> None:
        self._nested: dict[int, tuple[int, int, Any]] = {}

    def note(self, made: tuple[Any, ...]) -> None:
        """A tuple has been made.

        Raises:
            ValueError: If it is nested too often.
        """
        depth, count = 0, 1
        for each in made:
            if type(each) is tuple:
                below, inside, _ = self._nested.get(id(each), (0, 1, None))
                depth, count = max(depth, below + 1), count + inside
        if depth > self.deepest or count > self.most:
            raise ValueError("tuples of it are nested more often than could ever be hashed")
        if depth:
            self._nested[id(made)] = (depth, count, made)  # the tuple, so that no other gets its address
