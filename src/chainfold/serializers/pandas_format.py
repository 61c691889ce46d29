"""Tables of pandas as Arrow IPC files: `pandas.read_feather`, DuckDB, polars and R read them.

`docs/formats.md`, section "pandas", has what is beside pandas' own metadata in the file.
"""

import re
from typing import Any, Final

import msgspec

from chainfold.serializers.protocol import NotOfThisFormatError, module_of, require, type_name

_INSTALL: Final = "chainfold[pandas]"
_KEY: Final = b"chainfold"
_MAGIC: Final = b"ARROW1\x00\x00"
"""What an Arrow file starts with; from there on it is an Arrow stream."""
_PART_OF_UNIT: Final = re.compile(r"\[[^],]*/|\[\s*[-+]?0")
"""As in `datetime64[s/0]`, and `datetime64[0s]`; a time zone, which may have one, comes behind a comma."""
_END: Final = b"ARROW1"
_LABELS: Final = (str, int, float, bool, type(None))


class _Notes(msgspec.Struct, omit_defaults=True):
    """What pandas' own metadata does not say.

    Attributes:
        series: Whether the one column is a Series.
        name: The name of the Series.
        columns: Start, stop and step, when the columns are a range.
        frequency: The frequency of the index.
    """

    series: bool = False
    name: str | int | float | bool | None = None
    columns: tuple[int, int, int] | None = None
    frequency: str | None = None


class PandasSerializer:
    """`DataFrame` and `Series` that Arrow gives back as they are: index, columns, dtypes, values, `attrs`.

    What is written is read back and compared before it is accepted: Arrow would quietly change objects of
    mixed classes, lists in cells, columns of mixed names and more. Nothing in the file is unpickled.

    Deterministic: equal tables give equal bytes, with the same versions of pandas and pyarrow.
    """

    name = "pandas_arrow"
    extension = "arrow"
    runs_code = False

    def accepts(self, obj: Any) -> bool:
        """Whether the object is a table; whether Arrow can hold it is looked at by `dumps`."""
        cls = type(obj)
        return cls.__name__ in {"DataFrame", "Series"} and module_of(cls).partition(".")[0] == "pandas"

    def dumps(self, obj: Any) -> bytes:
        """The table as an Arrow IPC file, not compressed.

        Raises:
            TypeError: If reading it would not give the same back.
            Exception: By pyarrow, when it has no type for what is in a column.
        """
        if not self.accepts(obj):
            raise TypeError(f"{self.name} holds DataFrame and Series, not {type_name(obj)}")
        again = self.loads(_written(obj))
        data = _written(again)  # what lies under missing values is settled now
        if not _is_same(obj, again) or _written(self.loads(data)) != data:
            raise TypeError(f"Arrow does not give this {type(obj).__name__} back as it is")
        return data

    def loads(self, data: bytes) -> Any:
        """The table.

        Raises:
            ValueError: If the bytes are no such file, or would need much more room than they take.
        """
        arrow = require("pyarrow", _INSTALL)
        require("pyarrow.pandas_compat", _INSTALL)  # the types of pandas are registered with Arrow by it
        if not data.startswith(_MAGIC) or not data.endswith(_END):
            raise NotOfThisFormatError("not an Arrow file")
        stream = arrow.py_buffer(data).slice(len(_MAGIC))
        for message in arrow.ipc.MessageReader.open_stream(stream):
            if message.type in {"record batch", "dictionary"} and _is_compressed(message):
                raise ValueError("the table is compressed")
        table = arrow.ipc.open_stream(stream).read_all()
        _check(table, len(data), arrow)
        _check_types((table.schema.metadata or {}).get(b"pandas", b"{}"))
        notes = msgspec.json.decode((table.schema.metadata or {})[_KEY], type=_Notes)
        return _finished(table.to_pandas(), notes, require("pandas", _INSTALL))


def _written(obj: Any) -> bytes:
    arrow = require("pyarrow", _INSTALL)
    table, notes = _prepared(obj, require("pandas", _INSTALL))
    content = arrow.Table.from_pandas(table)
    metadata = {**(content.schema.metadata or {}), _KEY: msgspec.json.encode(notes)}
    content = content.replace_schema_metadata(dict(sorted(metadata.items()))).combine_chunks()
    sink = arrow.BufferOutputStream()
    with arrow.ipc.new_file(
        sink, content.schema, options=arrow.ipc.IpcWriteOptions(compression=None)
    ) as file:
        file.write_table(content)
    return bytes(sink.getvalue())


def _prepared(obj: Any, pandas: Any) -> tuple[Any, _Notes]:
    """The table with columns that have text for names, and what must be known beside it."""
    if not obj.flags.allows_duplicate_labels:
        raise TypeError("Arrow cannot say that labels may not be repeated")
    notes = _Notes(frequency=getattr(obj.index, "freqstr", None) if hasattr(obj.index, "freq") else None)
    if isinstance(obj, pandas.Series):
        if type(obj.name) not in _LABELS:
            raise TypeError(f"the name {obj.name!r:.100} of a Series has no form here")
        notes.series, notes.name = True, obj.name
        table = obj.to_frame("values")
    else:
        table = obj
        if type(obj.columns) is pandas.RangeIndex:
            columns = obj.columns
            notes.columns = (columns.start, columns.stop, columns.step)
            table = obj.set_axis([str(number) for number in range(len(columns))], axis="columns")
            table.columns.name = columns.name
    return table, notes


def _finished(table: Any, notes: _Notes, pandas: Any) -> Any:
    if notes.columns is not None:
        table.columns = pandas.RangeIndex(*notes.columns, name=table.columns.name)
    if notes.frequency is not None and hasattr(table.index, "freq") and table.index.freq is None:
        table.index.freq = notes.frequency
    if not notes.series:
        return table
    (column,) = table.columns
    series = table[column]
    series.name = notes.name
    series.attrs = table.attrs
    return series


def _is_compressed(message: Any) -> bool:
    """Whether the body of a message is: then it can swell.

    Source: `Message.fbs` of Arrow's format; a flatbuffer's table has its fields' offsets in its vtable.
    """
    metadata = memoryview(message.metadata)

    def number(at: int, size: int = 4) -> int:
        return int.from_bytes(metadata[at : at + size], "little")

    def field(table: int, index: int) -> int:
        """Where a field of a table is, 0 if it is left out."""
        vtable = (table - int.from_bytes(metadata[table : table + 4], "little", signed=True)) % 2**32
        if 4 + 2 * index >= number(vtable, 2):
            return 0
        offset = number(vtable + 4 + 2 * index, 2)
        return table + offset if offset else 0

    def table_at(field: int) -> int:
        return field + number(field)

    header = table_at(field(table_at(0), 2))
    if message.type == "dictionary":
        header = table_at(field(header, 1))
    return field(header, 3) != 0


def _check(table: Any, size_bytes: int, arrow: Any) -> None:
    """Nothing, if every offset in the table is within it, and it takes no more room than its file gives.

    Raises:
        ValueError: If not. pyarrow's own error is one.
    """
    for field in table.schema:
        if not _is_bounded(field.type, arrow.types):
            raise ValueError(f"columns of type {field.type!s:.100} are not for this format")
    table.validate(full=True)  # before anything else is asked of it
    if table.num_rows > 8 * size_bytes or table.nbytes > size_bytes:
        raise ValueError(f"{table.num_rows:,} rows cannot be in {size_bytes:,} bytes")


def _check_types(metadata: bytes) -> None:
    """Nothing, if pandas finds no unit of time that is a part of another: numpy divides by what a text says.

    Raises:
        ValueError: If it would.
    """
    said = msgspec.json.decode(metadata)
    for name in ("columns", "column_indexes"):
        for column in said.get(name, ()):
            if _PART_OF_UNIT.search(str(column.get("numpy_type"))):
                raise ValueError(f"{column['numpy_type']!r:.80} is no type of a column")


def _is_bounded(kind: Any, kinds: Any, *, is_inside: bool = False) -> bool:
    """Whether each value of an Arrow type has bytes of its own.

    Not so are views and what is nested or run-end encoded, of which many may show one long value; nor a
    dictionary within a struct, whose values pandas would write out for each row.
    """
    if hasattr(kind, "storage_type"):  # an extension: pandas' own are of a number, or a struct of two
        return _is_bounded(kind.storage_type, kinds, is_inside=is_inside)
    if kinds.is_dictionary(kind):
        return not is_inside and _is_bounded(kind.value_type, kinds, is_inside=True)
    if kinds.is_struct(kind):
        return not is_inside and all(_is_bounded(field.type, kinds, is_inside=True) for field in kind)
    is_view = kinds.is_string_view(kind) or kinds.is_binary_view(kind)
    return not (is_view or kinds.is_nested(kind) or kinds.is_null(kind) or kinds.is_run_end_encoded(kind))


def _is_same(one: Any, other: Any) -> bool:
    """Whether two tables are equal in all that pandas tells apart, classes in columns of objects included."""
    testing = require("pandas", _INSTALL).testing
    compare = testing.assert_series_equal if one.ndim == 1 else testing.assert_frame_equal
    try:
        compare(one, other, check_exact=True, check_freq=True, check_flags=True, check_index_type="exact")
    except AssertionError:
        return False
    if type(one) is not type(other) or one.attrs != other.attrs:
        return False
    pairs = [(one.index, other.index)]
    if one.ndim == 1:
        pairs.append((one, other))
    else:
        pairs.append((one.columns, other.columns))
        pairs += [(one.iloc[:, place], other.iloc[:, place]) for place in range(one.shape[1])]
    return all(
        type(ours) is type(theirs)
        and _dtypes(ours) == _dtypes(theirs)
        and (ours.dtype != object or list(map(type, ours)) == list(map(type, theirs)))
        for ours, theirs in pairs
    )


def _dtypes(column: Any) -> list[Any]:
    """The dtypes that an index or a column is made of."""
    levels = getattr(column, "levels", None)
    return [column.dtype] if levels is None else [level.dtype for level in levels]
