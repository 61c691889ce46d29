"""A table as a Parquet file."""

from pathlib import Path
from typing import Final

from chainfold.serializers.protocol import require
from chainfold.tables.frames import reader
from chainfold.tables.rows import Moment
from chainfold.tables.schema import TableName

GROUP_ROWS: Final = 65_536
GROUP_BYTES: Final = 16 << 20
"""Of a row group, which is held until it is written; it goes over this by one batch at most."""


def write(moment: Moment, what: TableName, path: Path) -> None:
    """Write a table into a file that does not exist yet, row group by row group."""
    pa = require("pyarrow", "chainfold[arrow]")
    parquet = require("pyarrow.parquet", "chainfold[arrow]")
    found = reader(moment, what)
    with parquet.ParquetWriter(path, found.schema, compression="zstd") as writer:
        group, length, size_bytes = [], 0, 0
        for batch in found:
            group.append(batch)
            length, size_bytes = length + batch.num_rows, size_bytes + batch.nbytes
            if length >= GROUP_ROWS or size_bytes >= GROUP_BYTES:
                writer.write_table(pa.Table.from_batches(group))
                group, length, size_bytes = [], 0, 0
        if group:
            writer.write_table(pa.Table.from_batches(group))
