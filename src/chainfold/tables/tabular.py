"""A view as tables: data frames, Parquet, SQLite."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from chainfold.past import Past

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

    from chainfold.tables.rows import Moment


class Tabular(Past):
    """What a view gives to those who ask with other tools. docs/tables.md says what each column means.

    All outputs show one moment, that of the call, and say the same. `what` is the table: `artifacts` (what is
    live), `history` (every registration, and what has become of it), `events`, `runs`, `aliases` (each time
    that one was set) or `lineage` (which registration was made from which). Private fields are withheld.
    """

    def to_arrow(self, what: str = "artifacts") -> "pa.Table":
        """A table for Arrow, held in memory.

        Args:
            what: Which table.

        Raises:
            InvalidInputError: If there is no such table.
            MissingLibraryError: (an ImportError) without pyarrow: `pip install 'chainfold[arrow]'`.
        """
        return self.to_arrow_reader(what).read_all()

    def to_arrow_reader(self, what: str = "artifacts") -> "pa.RecordBatchReader":
        """A table for Arrow, batch by batch, in constant memory: for DuckDB, for instance.

        Args:
            what: Which table.

        Raises:
            InvalidInputError: If there is no such table.
            MissingLibraryError: Without pyarrow.
        """
        from chainfold.tables import frames, schema  # noqa: PLC0415 - few ask for tables

        return frames.reader(self.table_moment(), schema.check_table(what))

    def to_pandas(self, what: str = "artifacts") -> "pd.DataFrame":
        """A table for pandas.

        Args:
            what: Which table.

        Raises:
            InvalidInputError: If there is no such table.
            MissingLibraryError: Without pandas and pyarrow: `pip install 'chainfold[pandas]'`.
        """
        from chainfold.serializers.protocol import require  # noqa: PLC0415 - few ask for tables
        from chainfold.tables import frames  # noqa: PLC0415 - as above

        require("pandas", "chainfold[pandas]")
        return frames.to_pandas(self.to_arrow(what))

    def to_polars(self, what: str = "artifacts") -> "pl.DataFrame":
        """A table for polars.

        Args:
            what: Which table.

        Raises:
            InvalidInputError: If there is no such table.
            MissingLibraryError: Without polars and pyarrow: `pip install 'chainfold[polars]'`.
        """
        from chainfold.serializers.protocol import require  # noqa: PLC0415 - few ask for tables
        from chainfold.tables import frames  # noqa: PLC0415 - as above

        require("polars", "chainfold[polars]")
        return frames.to_polars(self.to_arrow(what))

    def export(
        self,
        path: Path | str,
        format: str | None = None,  # noqa: A002 - as others call it
        *,
        what: str | None = None,
        overwrite: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> Path:
        """Write a table into a Parquet file, or all tables into a SQLite database, in constant memory.

        The file has its name only when it is whole and durable.

        Args:
            path: Where to, in a folder that exists.
            format: `parquet` or `sqlite`; by default as the suffix says: `.parquet`, `.pq`, `.sqlite`,
                `.sqlite3`, `.db`.
            what: Only this table; by default `artifacts` for Parquet, and for SQLite all.
            overwrite: Whether a file of that name is replaced.
            progress: Called with how many entries were gone through for tables, and of how many.

        Returns:
            The file's whole path.

        Raises:
            InvalidInputError: If there is no such table, format or folder, or the file is there already.
            MissingLibraryError: For Parquet, without pyarrow: `pip install 'chainfold[arrow]'`.
            StorageError: If the system refuses.
        """
        from chainfold.tables import files  # noqa: PLC0415 - few ask for tables

        return files.write(self.table_moment(), path, format, what, overwrite=overwrite, progress=progress)

    def table_moment(self) -> "Moment":
        """What tables are made of, as of now: for who needs several tables of one moment."""
        from chainfold.tables.rows import Moment  # noqa: PLC0415 - few ask for tables

        known = self._moment()
        return Moment(self._data, known.size, lambda: self._live(known, lambda: range(known.rows), int))
