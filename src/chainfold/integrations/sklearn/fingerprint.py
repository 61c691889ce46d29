"""A fingerprint of training data: equal for equal tables, whichever library holds them.

The digest is that of the number of rows, as text with a line feed, and of each column's digest, raw. A
column's bytes are those of `_of_numbers`, `_of_times` or `_of_others`.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator
from datetime import date, time
from math import isnan
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from chainfold.digest import PREFIX
from chainfold.errors import InvalidInputError
from chainfold.serializers.protocol import type_name

_NAMES_AT_MOST: Final = 64
"""Names of columns that are listed; of more, only their digest is kept."""
_LARGE: Final = 2.0**53
"""Smaller whole numbers are float64, each and all."""
_AT_ONCE: Final = 64
"""Columns that are copied at once: a matrix in C order is read in runs, not element by element."""

Array = npt.NDArray[Any]


def fingerprint(data: Any) -> dict[str, Any]:
    """What is kept of training data.

    Two tables have the same digest if they have as many rows, and in each column the same values: numbers are
    equal by value whatever their dtype, and points in time without a zone too; nan, None and what a mask
    hides are the same missing value, and a sparse matrix equals the dense one. Order in memory, index, names
    of columns, and the library do not count.

    Args:
        data: An array, a data frame or series of pandas or polars, a sparse matrix, or a list of numbers or
            texts. The first axis is the rows; all others together are the columns.

    Returns:
        `type` (of the container), `shape`, `dtype` (where there are several, how many columns have each),
        `columns` (their names, if they have such; of more than 64 only `columns_digest`), and `digest`.

    Raises:
        InvalidInputError: If it is no table of numbers, texts, bytes, times and missing values.
    """
    kind = type(data)
    said: dict[str, Any] = {"type": f"{kind.__module__.partition('.')[0]}.{kind.__qualname__}"}
    try:
        table = data if _is_frame(data) or _is_sparse(data) else _array(data)
        said["shape"] = [int(axis) for axis in table.shape]
        said |= _of_frame(table) if _is_frame(table) else {"dtype": str(table.dtype)}
        if np.ma.isMaskedArray(table):
            table = np.ma.filled(table.astype(object), np.nan)
        total = hashlib.sha256(f"{said['shape'][0]}\n".encode())
        for digest in _digests(table):
            total.update(digest)
    except (TypeError, ValueError, OverflowError, IndexError) as error:
        raise InvalidInputError(
            f"no fingerprint can be taken of this {kind.__qualname__}: {error}. Give it as numbers and texts "
            "(or leave it out)"
        ) from error
    return said | {"digest": PREFIX + total.hexdigest()}


def _is_frame(data: Any) -> bool:
    """Whether it is a data frame: of pandas, polars, or like one of these."""
    return hasattr(data, "columns") and (hasattr(data, "iloc") or hasattr(data, "get_columns"))


def _is_sparse(data: Any) -> bool:
    return hasattr(data, "tocsc") and hasattr(data, "nnz")


def _array(data: Any) -> Array:
    """Anything else as an array. A list becomes one of objects: numpy would make texts of its numbers."""
    if hasattr(data, "to_numpy"):
        return _values(data)
    found = (
        data
        if isinstance(data, np.ma.MaskedArray)
        else np.asarray(data, dtype=None if hasattr(data, "__array__") else object)
    )
    if found.ndim == 0:
        raise TypeError("it has no rows")
    return found


def _values(series: Any) -> Array:
    """A column, or several, as an array. Whole numbers beside missing ones are not rounded."""
    found = np.asarray(series.to_numpy())
    whole = str(getattr(series, "dtype", "")).lower().startswith(("int", "uint"))
    if whole and found.dtype.kind == "f" and (np.abs(found) >= _LARGE).any():
        several = series.to_list()
        found = np.empty(len(several), dtype=object)
        found[:] = several
    return found


def _of_frame(frame: Any) -> dict[str, Any]:
    """The dtypes as its library writes them, and the columns' names."""
    dtypes = Counter(str(dtype) for dtype in frame.dtypes)
    said: dict[str, Any] = {"dtype": next(iter(dtypes)) if len(dtypes) == 1 else dict(dtypes)}
    names = list(frame.columns)
    if not all(isinstance(name, str) for name in names):
        return said  # numbers, as pandas gives them where nobody has
    if len(names) <= _NAMES_AT_MOST:
        return said | {"columns": names}
    text = "\n".join(names).encode(errors="backslashreplace")
    return said | {"columns_digest": PREFIX + hashlib.sha256(text).hexdigest()}


def _digests(table: Any) -> Iterator[bytes]:
    """The digest of each column."""
    if _is_frame(table):
        several = table.get_columns() if hasattr(table, "get_columns") else _series(table)
        for series in several:
            yield _digest(_values(series))
    elif _is_sparse(table):
        yield from _sparse_digests(table)
    else:
        rows, width = table.shape[0], int(np.prod(table.shape[1:], dtype=np.int64))
        matrix = table.reshape(rows, width)
        for start in range(0, width, _AT_ONCE):
            yield from _block_digests(np.asfortranarray(matrix[:, start : start + _AT_ONCE]))


def _block_digests(block: Array) -> Iterator[bytes]:
    """As `_digest` of each column, with less for Python to do where all are float64."""
    values = _numbers(block) if block.dtype.kind in "biuf" else block
    if values.dtype.kind != "f":
        yield from map(_digest, block.T)
        return
    is_there = values != 0
    for column, there in zip(values.T, is_there.T, strict=True):
        yield _of_numbers(there, column[there])


def _series(frame: Any) -> Iterator[Any]:
    return (frame.iloc[:, index] for index in range(frame.shape[1]))


def _sparse_digests(matrix: Any) -> Iterator[bytes]:
    """Those of the columns that the dense matrix would have."""
    columns = matrix.tocsc(copy=True)
    columns.sum_duplicates()  # this also sorts the rows of each column
    for start, end in zip(columns.indptr[:-1], columns.indptr[1:], strict=True):
        values = _numbers(columns.data[start:end])
        is_there = np.zeros(columns.shape[0], dtype=bool)
        is_there[columns.indices[start:end]] = values != 0
        yield _of_numbers(is_there, values[values != 0])


def _digest(column: Array) -> bytes:
    """The digest of one column, by what is in it."""
    if column.dtype.kind in "biuf":
        values = _numbers(column)
        return _of_numbers(values != 0, values[values != 0])
    if column.dtype.kind in "mM":
        return _of_times(column)
    if column.dtype.kind not in "OSTU":
        raise TypeError(f"it has the dtype {column.dtype}")
    elements = list(map(_plain, column.tolist()))
    if all(each is None or isinstance(each, int | float) for each in elements):
        values = _narrowed(elements)
        return _of_numbers(values != 0, values[values != 0])
    if all(each is None or _is_moment(each) for each in elements):
        return _of_times(np.concatenate([_moment(each) for each in elements]))
    return _of_others(elements)


def _numbers(column: Array) -> Array:
    """Numbers as float64 if that can hold each, else as whole numbers, which only they have.

    Raises:
        TypeError: If they are longer fractions than float64 has.
    """
    with np.errstate(over="ignore"):
        values = column.astype("<f8")
    if column.dtype.itemsize < 8 or column.dtype == values.dtype:  # noqa: PLR2004 - bytes: shorter ones are exact
        return values
    if column.dtype.kind == "f":
        if not np.array_equal(values.astype(column.dtype), column, equal_nan=True):
            raise TypeError(f"numbers of the dtype {column.dtype} are more exact than float64")
        return values
    large = np.abs(values) >= _LARGE  # the next one after it is rounded to it
    if all(int(value) == int(number) for value, number in zip(values[large], column[large], strict=True)):
        return values
    return column


def _narrowed(elements: list[Any]) -> Array:
    """Python's numbers as `_numbers` gives them; missing ones are nan.

    Raises:
        TypeError: If there are missing ones or fractions beside whole numbers that float64 cannot hold.
    """
    if not any(map(_is_long, elements)):
        return np.array([np.nan if each is None else float(each) for each in elements], dtype="<f8")
    if not all(isinstance(each, int) or (each is not None and each.is_integer()) for each in elements):
        raise TypeError("it has large whole numbers beside fractions, or beside missing ones")
    return np.array(list(map(int, elements)), dtype=object)


def _is_long(value: Any) -> bool:
    """Whether it is a whole number that float64 cannot hold."""
    if not isinstance(value, int):
        return False
    try:
        return int(float(value)) != value
    except OverflowError:
        return True


def _of_numbers(is_there: Array, values: Array) -> bytes:
    """`n`, one bit for each row that is not 0 (the first row is the highest bit), then what these rows have.

    They are float64, little-endian, nan as 00 00 00 00 00 00 f8 7f; if one of them is no float64, then `i`,
    the same bits, and the numbers in decimal, each with a line feed.
    """
    bits = np.packbits(is_there).tobytes()
    if values.dtype.kind != "f":
        return hashlib.sha256(b"i" + bits + b"".join(b"%d\n" % int(value) for value in values)).digest()
    is_nan = np.isnan(values)
    if is_nan.any():
        values = np.where(is_nan, np.nan, values)
    return hashlib.sha256(b"n" + bits + values.tobytes()).digest()


def _of_times(column: Array) -> bytes:
    """`M` or `m` (points in time, or spans), then nanoseconds as int64, little-endian; NaT is -2⁶³.

    Where 64 bits cannot hold one of them, as in the year 9999, they are as `_of_others`.
    """
    kind = column.dtype.kind
    exact = column.astype(f"{kind}8[ns]")
    if np.array_equal(exact.astype(column.dtype), column, equal_nan=True):
        return hashlib.sha256(kind.encode() + exact.astype("<i8").tobytes()).digest()
    rounded = column.astype(f"{kind}8[us]")
    elements = rounded.tolist()
    if not np.array_equal(rounded.astype(column.dtype), column, equal_nan=True) or int in map(type, elements):
        raise TypeError("it has times that neither nanoseconds in 64 bits nor Python's own can hold")
    return _of_others(elements)


def _is_moment(value: Any) -> bool:
    """Whether it is a point in time, or a date, without a zone."""
    return isinstance(value, date) and getattr(value, "tzinfo", None) is None


def _moment(value: Any) -> Array:
    """One point in time as numpy has it: a date begins with its first moment."""
    exact = value.to_datetime64() if hasattr(value, "to_datetime64") else np.datetime64(value)
    return np.array([exact])


def _of_others(values: list[Any]) -> bytes:
    """`o`, then each value: its letter, the length of its bytes, a colon, and these.

    `s` texts in UTF-8, `b` bytes, `n` numbers as Python writes them as a float (or whole, where that would
    change them), `t` times in ISO 8601, `-` what is missing.
    """
    total = hashlib.sha256(b"o")
    for value in values:
        letter, text = _spelled(value)
        total.update(b"%b%d:%b" % (letter, len(text), text))
    return total.digest()


def _spelled(value: Any) -> tuple[bytes, bytes]:
    if value is None:
        return b"-", b""
    if isinstance(value, str):
        return b"s", value.encode(errors="surrogatepass")
    if isinstance(value, bytes):
        return b"b", value
    if isinstance(value, int | float):
        return b"n", repr(value if _is_long(value) else float(value)).encode()
    if isinstance(value, date | time):
        return b"t", value.isoformat().encode()
    raise TypeError(f"it has a {type_name(value)}")


def _plain(value: Any) -> Any:
    """An element of a column of objects: numpy's numbers as Python's, what is missing as None."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return None
    if isinstance(value, np.generic) and value.dtype.kind in "biuf":
        value = value.item()
    return None if isinstance(value, float) and isnan(value) else value
