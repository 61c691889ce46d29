"""numpy arrays as npy: `numpy.load` reads the file, and no byte of it can run code."""

import ast
import io
import re
import sys
from typing import Any, Final

from chainfold.serializers.protocol import NotOfThisFormatError, describe, module_of, require, type_name

_MOST_DIMENSIONS: Final = 64
_MOST_NESTED: Final = 100
_DESCR: Final = re.compile(
    r"[<>|=]?([?biufcSUVO]\d*|[mM]8?(\[([1-9]\d{0,9})?(Y|M|W|D|h|m|s|ms|us|ns|ps|fs|as|generic)\])?)",
    re.ASCII,
)
"""A dtype as headers have it. `M8[s/0]` is one to numpy, too, and ends the process."""
_UTF8_VERSION: Final = 3
"""From this version of npy on the header is UTF-8."""

_EXTENDED_BITS: Final = 63
"""The bits of a fraction in `longdouble` where it is x87's, of 10 bytes with nothing in the others."""
_EXTENDED_BYTES: Final = 10


class NumpySerializer:
    """Exactly `numpy.ndarray`, of every dtype that npy gives back as it was.

    Equal arrays give equal bytes: what memory held between fields is written as zeros.

    Shape, Fortran order, byte order and field names come back; a view's strides and the read-only flag
    do not. Subclasses (`matrix`, `MaskedArray`, `memmap`), arrays of objects and dtypes with metadata,
    of records, aligned, or defined outside numpy are not for npy: it would give back something else.
    """

    name = "numpy_npy"
    extension = "npy"
    runs_code = False

    def accepts(self, obj: Any) -> bool:
        """Whether npy gives back an equal array."""
        return type(obj) is _ndarray() and not _obstacle(obj)

    def dumps(self, obj: Any) -> bytes:
        """The array as an npy file.

        Raises:
            TypeError: With the reason, when npy would not give back an equal array.
        """
        obstacle = _obstacle(obj)
        if obstacle:
            raise TypeError(obstacle)
        npy = require("numpy", "numpy").lib.format
        obj = _with_zeros_in_gaps(obj)
        buffer = io.BytesIO()
        # Version 3 takes long headers and field names in any script; without fields none is needed.
        npy.write_array(
            buffer, obj, version=(1, 0) if obj.dtype.names is None else (3, 0), allow_pickle=False
        )
        return buffer.getvalue()

    def loads(self, data: bytes) -> Any:
        """The array, in memory of its own. Nothing in the bytes is unpickled.

        Raises:
            NotOfThisFormatError: When the bytes are not an npy file, or one of objects, or not as many as its
                header says: nothing is allocated that the file could not fill.
        """
        npy = require("numpy", "numpy").lib.format
        try:
            _check_size(data, npy)
            # The limit guards against headers by strangers; this one is as long as the array's dtype asks.
            return npy.read_array(
                io.BytesIO(data), allow_pickle=False, max_header_size=max(len(data), 10_000)
            )
        except (ValueError, TypeError, KeyError, SyntaxError, RecursionError, OverflowError) as error:
            raise NotOfThisFormatError(f"not an npy file of plain values: {describe(error)}") from error


def _ndarray() -> Any:
    """The class, if anyone has imported numpy; another thread may be in the middle of that."""
    return getattr(sys.modules.get("numpy"), "ndarray", None)


def _obstacle(obj: Any) -> str:
    """Why npy cannot hold the object; empty when it can."""
    if type(obj) is not _ndarray():
        return f"npy holds numpy.ndarray and no other class, this is {type_name(obj)}"
    dtype = obj.dtype
    if dtype.kind in "biufcmMSU" and dtype.metadata is None and module_of(dtype.type) == "numpy":
        return ""
    if dtype.hasobject:
        return f"npy cannot hold Python objects (dtype {dtype})"
    numpy = sys.modules["numpy"]
    if _plain(dtype, numpy.void) and _survives(dtype, numpy.lib.format):
        return ""
    return f"npy does not give back the dtype {dtype!r}"


def _plain(dtype: Any, void: type) -> bool:
    """Whether the dtype has nothing, at any depth, that an npy header drops without a word."""
    if dtype.metadata is not None or dtype.isalignedstruct or (dtype.kind == "V" and dtype.type is not void):
        return False
    if dtype.subdtype is not None:
        return _plain(dtype.base, void)
    return all(_plain(field[0], void) for field in (dtype.fields or {}).values())


def _survives(dtype: Any, npy: Any) -> bool:
    """Whether an npy header can say the dtype."""
    try:
        return bool(npy.descr_to_dtype(npy.dtype_to_descr(dtype)) == dtype)
    except (TypeError, ValueError):  # fields that overlap or are out of order
        return False


def _with_zeros_in_gaps(array: Any) -> Any:
    """The array, or if elements have bytes that are no part of their value, a copy with zeros there."""
    if not _has_gaps(array.dtype):
        return array
    order = "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"
    copied = sys.modules["numpy"].zeros(array.shape, array.dtype, order)
    _copy(array, copied)
    return copied


def _has_gaps(dtype: Any) -> bool:
    if dtype.subdtype is not None:
        return _has_gaps(dtype.base)
    if dtype.names is None:
        return bool(_unused(dtype))
    fields = [field[0] for field in dtype.fields.values()]
    return dtype.itemsize > sum(field.itemsize for field in fields) or any(map(_has_gaps, fields))


def _copy(array: Any, into: Any) -> None:
    """The values of an array into another, field by field: numpy would copy what is between them, too."""
    if array.dtype.names is not None:
        for name in array.dtype.names:
            _copy(array[name], into[name])
        return
    into[...] = array
    for begins, length in _unused(array.dtype):
        side = {
            "names": ["it"],
            "formats": [f"V{length}"],
            "offsets": [begins],
            "itemsize": array.dtype.itemsize,
        }
        into.view(side)["it"] = bytes(length)


def _unused(dtype: Any) -> list[tuple[int, int]]:
    """Where in a number bytes begin that are no part of its value, and how many: in x87's `longdouble`."""
    if dtype.char not in "gG" or sys.modules["numpy"].finfo(dtype).nmant != _EXTENDED_BITS:
        return []
    numbers = 1 if dtype.char == "g" else 2
    width = dtype.itemsize // numbers
    first = _EXTENDED_BYTES if dtype.isnative else 0
    return [(each * width + first, width - _EXTENDED_BYTES) for each in range(numbers)]


def _check_descr(descr: Any, depth: int) -> None:
    """Nothing, if a header describes a dtype as numpy does: it divides by what another text may say.

    Raises:
        ValueError: If not.
    """
    if depth > _MOST_NESTED:
        raise ValueError("its dtype is nested too deeply")
    if type(descr) is str:
        is_one = _DESCR.fullmatch(descr) is not None
    elif type(descr) is tuple:  # of elements, and how many
        is_one = len(descr) == 2 and _is_shape(descr[1])  # noqa: PLR2004 - those
        _check_descr(descr[0] if is_one else "", depth + 1)
    else:
        is_one = type(descr) is list and all(map(_is_field, descr))
        for field in descr if is_one else ():
            _check_descr(field[1], depth + 1)
    if not is_one:
        raise ValueError(f"{descr!r:.40} is no dtype")


def _is_field(field: Any) -> bool:
    """Whether it is a name, or title and name, what there is, and perhaps how many."""
    if type(field) is not tuple or len(field) not in (2, 3):
        return False
    return _is_name(field[0]) and _is_shape(field[2:])


def _is_name(name: Any) -> bool:
    return type(name) is str or (type(name) is tuple and all(type(each) is str for each in name))


def _is_shape(shape: Any) -> bool:
    """Whether it is a length or several, or a tuple of one such."""
    if type(shape) is tuple and len(shape) == 1 and type(shape[0]) is tuple:
        shape = shape[0]
    return all(type(each) is int and each >= 0 for each in (shape if type(shape) is tuple else (shape,)))


def _check_size(data: bytes, npy: Any) -> None:
    """Nothing, if the bytes are as many as the header says.

    Source: the format's description in `numpy.lib.format`.

    Raises:
        ValueError: If they are not, or there is no header.
    """
    major = npy.read_magic(io.BytesIO(data))[0]
    start = npy.MAGIC_LEN + (2 if major == 1 else 4)
    end = start + int.from_bytes(data[npy.MAGIC_LEN : start], "little")
    text = data[start:end].decode("utf-8" if major >= _UTF8_VERSION else "latin-1").strip()
    try:
        header = ast.literal_eval(text)
    except MemoryError as error:  # what Python's parser calls a nesting that is too deep for it
        raise ValueError("its header is nested too deeply") from error
    if not isinstance(header, dict):
        raise ValueError("its header is no dict")  # noqa: TRY004 - the bytes are wrong
    if len(header["shape"]) > _MOST_DIMENSIONS:
        raise ValueError(f"it has {len(header['shape']):,} dimensions")
    _check_descr(header["descr"], 0)
    expected = npy.descr_to_dtype(header["descr"]).itemsize
    for side in header["shape"]:
        if type(side) is not int or side < 0:
            raise ValueError(f"{side!r:.20} cannot be the length of a side")
        expected *= side
    if expected != len(data) - end:
        raise ValueError(f"the array's header asks for {expected:,} bytes, and there are {len(data) - end:,}")
