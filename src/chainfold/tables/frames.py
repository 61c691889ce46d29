"""Tables for Arrow, and so for pandas, polars and whatever else reads Arrow."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

from chainfold.serializers.protocol import require
from chainfold.tables.rows import Moment, Row, rows
from chainfold.tables.schema import FIELDS, Kind, TableName

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

BATCH_ROWS: Final = 1_024
BATCH_CHARACTERS: Final = 4 << 20
"""Of a batch, which goes over this by one row at most: parameters may be long."""
VERSION: Final = "1"
"""Of the tables' columns: goes up when one changes its meaning or goes."""


def schema(what: TableName) -> "pa.Schema":
    """The Arrow schema of a table."""
    pa = require("pyarrow", "chainfold[arrow]")
    types: dict[Kind, Any] = {
        "text": pa.string(),
        "integer": pa.int64(),
        "boolean": pa.bool_(),
        "time": pa.timestamp("us", "UTC"),
        "json": pa.string(),
        "texts": pa.list_(pa.string()),
    }
    fields = [
        pa.field(each.name, types[each.kind], nullable=each.may_be_null, metadata={"meaning": each.meaning})
        for each in FIELDS[what]
    ]
    return pa.schema(fields)


def reader(moment: Moment, what: TableName) -> "pa.RecordBatchReader":
    """A table, batch by batch: a batch is made when it is asked for, and no other is held."""
    pa = require("pyarrow", "chainfold[arrow]")
    columns = schema(what).with_metadata({"table": what, **about(moment)})
    return pa.RecordBatchReader.from_batches(columns, batches(rows(moment, what), columns))


def about(moment: Moment) -> dict[str, str]:
    """What a table is of."""
    return {"tables_version": VERSION, "dataset": moment.data.name, "size": str(moment.size)}


def batches(found: Iterable[Row], columns: "pa.Schema") -> "Iterator[pa.RecordBatch]":
    """Rows as record batches."""
    pa = require("pyarrow", "chainfold[arrow]")
    for chunk in chunks(found):
        values = zip(*chunk, strict=True)
        arrays = [pa.array(each, field.type) for each, field in zip(values, columns, strict=True)]
        yield pa.RecordBatch.from_arrays(arrays, schema=columns)


def chunks(found: Iterable[Row]) -> Iterator[list[Row]]:
    """Rows in lists that are bounded in length, and in what they hold."""
    chunk: list[Row] = []
    characters = 0
    for row in found:
        chunk.append(row)
        characters += sum(map(_characters, row))
        if len(chunk) >= BATCH_ROWS or characters >= BATCH_CHARACTERS:
            yield chunk
            chunk, characters = [], 0
    if chunk:
        yield chunk


def to_pandas(table: "pa.Table") -> "pd.DataFrame":
    """An Arrow table as a data frame; integers are `Int64`, which has nulls."""
    pandas = require("pandas", "chainfold[pandas]")
    pa = require("pyarrow", "chainfold[pandas]")
    return table.to_pandas(types_mapper={pa.int64(): pandas.Int64Dtype()}.get)


def to_polars(table: "pa.Table") -> "pl.DataFrame":
    """An Arrow table as a data frame of polars."""
    frame: pl.DataFrame = require("polars", "chainfold[polars]").from_arrow(table)
    return frame


def _characters(value: Any) -> int:
    if isinstance(value, list):
        return sum(map(len, value))
    return len(value) if isinstance(value, str) else 0
