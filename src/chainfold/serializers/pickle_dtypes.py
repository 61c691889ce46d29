"""numpy's dtypes, as pickles describe them, made anew from what they say.

numpy takes a dtype's state as it is: flags that keep quiet about objects, or fields behind the end of the
element, would make numbers in the file addresses in memory.
"""

import re
from collections.abc import Callable
from typing import Any, Final

from chainfold.serializers.pickle_symbols import NotPickledError, Symbol, name_of

DTYPES: Final = frozenset({"numpy.dtype", "numpy.core.multiarray.dtype", "numpy._core.multiarray.dtype"})
STRING_DTYPES: Final = frozenset(
    f"numpy.{core}._internal._convert_to_stringdtype_kwargs" for core in ("core", "_core")
)
RECORDS: Final = frozenset({"numpy.record", "numpy.rec.record", "numpy.core.records.record"})
"""The class whose dtypes are pickled by it: of a void with fields."""
_STATE_LENGTHS: Final = (8, 9)
_VERSIONS: Final = (3, 4)
_TRUE_FLAGS: Final = 0x7F
"""A dtype's flags that follow from what it holds: references, a list when pickled, pointers, memory that must
be set, Python's lock, how items are read and written. Only whether fields are aligned is up to it. Source:
numpy's `ndarraytypes.h`."""
_ALIGNMENTS: Final = (-1, 1, 2, 4, 8, 16)
_NAMES: Final = 3
"""Where the state of a dtype has its fields' names."""
_MOST_DIMENSIONS: Final = 64
_BASE: Final = re.compile(r"[biufcSUVOmM]\d{0,19}|[?T]", re.ASCII)
"""What pickling writes of a dtype before its state: a kind, and how many bytes or letters."""


def base_of(text: str) -> Any:
    """The dtype that a pickle begins with: of a short text, as `f8`; the class of records counts as `V`.

    Raises:
        NotPickledError: If it is no such text.
    """
    import numpy as np  # noqa: PLC0415 - imported where an array is met

    if type(text) is not str or not _BASE.fullmatch(text):
        raise NotPickledError("makes a dtype in a way that pickling does not")
    return np.dtype(text)


def described(base: Any, state: Any, inner: Callable[[Any], Any]) -> Any:
    """The dtype of a base that was given a state.

    Args:
        base: As `base_of` gives it.
        state: What is in the pickle.
        inner: What gives the dtype for one within the state.

    Raises:
        NotPickledError: If the state contradicts itself.
        Exception: Of any class, if it is none.
    """
    import numpy as np  # noqa: PLC0415 - as above

    wrong = NotPickledError("has a dtype that is not what it claims to be")
    if type(state) is not tuple or len(state) not in _STATE_LENGTHS:
        raise wrong
    version, order, subarray, names, fields, itemsize, alignment, flags = state[:8]
    if any(type(each) is not int for each in (version, itemsize, alignment, flags)):
        raise wrong
    if version not in _VERSIONS or type(order) is not str or len(order) != 1 or order not in "<>|=":
        raise wrong
    if names is not None:
        made = _of_fields(names, fields, itemsize, inner)
    elif subarray is not None:
        if type(subarray) is not tuple or len(subarray) != 2:  # noqa: PLR2004 - dtype and shape
            raise wrong
        part, shape = subarray
        shape = shape if type(shape) is tuple else (shape,)
        if any(type(each) is not int for each in shape):
            raise wrong
        made = np.dtype((inner(part), shape))
    elif base.kind in "SUV" and itemsize > 0:
        made = np.dtype(f"{base.kind}{itemsize // (4 if base.kind == 'U' else 1)}")
    else:
        made = base
    is_made_of_others = names is not None or subarray is not None
    if (
        (made.flags ^ flags) & _TRUE_FLAGS
        or alignment not in _ALIGNMENTS
        or itemsize not in ((made.itemsize,) if base.kind in "SUV" else (-1, made.itemsize))
        or (is_made_of_others and base.kind != "V")
        or (names is None) != (fields is None)
        or not _is_known(base, state[8:])
    ):
        raise wrong
    return made


def _of_fields(names: Any, fields: Any, itemsize: int, inner: Callable[[Any], Any]) -> Any:
    """The dtype of fields with these names, where they say they lie."""
    import numpy as np  # noqa: PLC0415 - as above

    if type(names) is not tuple or type(fields) is not dict or any(type(name) is not str for name in names):
        raise NotPickledError("has a dtype whose fields have no names")
    for field in fields.values():
        if type(field) is not tuple or not 2 <= len(field) <= 3 or type(field[1]) is not int:  # noqa: PLR2004 - dtype, offset, title
            raise NotPickledError("has a dtype whose fields lie nowhere")
    titles = [field[2] for field in fields.values() if field[2:]]
    if any(type(each) is not str for each in (*titles, *fields)) or {*fields} != {*names, *titles}:
        raise NotPickledError("has a dtype with other fields than it names")
    each = [fields[name] for name in names]
    form: Any = {
        "names": list(names),
        "formats": [inner(field[0]) for field in each],
        "offsets": [field[1] for field in each],
        "itemsize": itemsize,
    }
    return np.dtype(form)


def _is_known(base: Any, metadata: tuple[Any, ...]) -> bool:
    """Whether a dtype's metadata are a date's unit, of a date, or of any other a dict."""
    if base.kind not in "mM":
        return all(each is None or type(each) is dict for each in metadata)
    if len(metadata) != 1 or type(metadata[0]) is not tuple or len(metadata[0]) != 2:  # noqa: PLR2004 - a dict, and the unit
        return False
    others, unit = metadata[0]
    return (
        (others is None or type(others) is dict)
        and type(unit) is tuple
        and len(unit) == 4  # noqa: PLR2004 - name, how many, of how many parts, events
        and type(unit[0]) in {str, bytes, Symbol}  # bytes are called for, in protocols before the third
        and (type(unit[0]) is Symbol or len(unit[0]) <= len("generic"))
        and all(type(each) is int for each in unit[1:])
        and 0 < unit[1] < 1 << 31
        and unit[2:] == (1, 1)  # of parts of units numpy makes smaller ones; by none it would divide
    )


def is_shape(shape: Any) -> bool:
    """Whether it is one that an array can have."""
    return (
        type(shape) is tuple
        and len(shape) <= _MOST_DIMENSIONS
        and all(type(each) is int and 0 <= each < 1 << 63 for each in shape)
    )


def dtype_of(symbol: Any, spend: Callable[[int], None]) -> Any:
    """The numpy.dtype that a symbol stands for.

    Args:
        symbol: It.
        spend: What is told of how many fields dtypes have been made, and may raise.

    Raises:
        ValueError: If it is none, or its state contradicts itself.
    """
    import numpy as np  # noqa: PLC0415 - as above

    if isinstance(symbol, Symbol) and name_of(symbol.target) in STRING_DTYPES:
        return np.dtype("T")
    if not isinstance(symbol, Symbol) or name_of(symbol.target) not in DTYPES or not symbol.args:
        raise NotPickledError("has an array whose dtype is not numpy's own")
    if symbol.dtype is None:
        base = base_of("V" if name_of(symbol.args[0]) in RECORDS else symbol.args[0])
        if type(symbol.state) is tuple and len(symbol.state) > _NAMES and type(symbol.state[_NAMES]) is tuple:
            spend(len(symbol.state[_NAMES]))
        state = symbol.state
        symbol.dtype = base if state is None else described(base, state, lambda each: dtype_of(each, spend))
    return symbol.dtype
