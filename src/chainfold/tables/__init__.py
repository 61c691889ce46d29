"""The registry as tables: for data frames, Parquet and SQL. docs/tables.md says what is in them."""
