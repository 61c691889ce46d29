"""Tables of pandas come back as they were through Arrow, or go through pickle."""

import datetime as dt
import io
import json
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from tests.formats.laws import came_back, check_processes, check_refused, damaged, strangers

from chainfold.errors import SerializationError
from chainfold.serializers import deserialize, runs_code, serialize

DTYPES: Final = [
    "f8",
    "f4",
    "f2",
    "i8",
    "i4",
    "i1",
    "u8",
    "?",
    "datetime64[ns]",
    "datetime64[s]",
    "timedelta64[ms]",
]


def attributed() -> Any:
    table = pd.DataFrame({"a": [1, 2]})
    table.attrs = {"unit": "nm", "range": [1.5, None]}
    return table


def samples() -> dict[str, Any]:
    return {
        "numbers": pd.DataFrame({"a": [1, 2], "b": [1.5, np.nan]}),
        "spectra": pd.DataFrame(np.arange(6.0).reshape(2, 3)),
        "texts": pd.DataFrame({"a": ["x", None]}, index=pd.Index(["p", "q"], name="sample")),
        "objects": pd.DataFrame({"a": [True, None]}, dtype=object),
        "bytes": pd.DataFrame({"a": np.array([b"x", b"y"], dtype=object)}),
        "categories": pd.DataFrame({"a": pd.Categorical(["x", "y"], ["y", "x", "z"], ordered=True)}),
        "zone": pd.DataFrame({"a": pd.date_range("2020", periods=2, tz="Europe/Paris")}),
        "frequency": pd.DataFrame({"a": [1, 2]}, index=pd.date_range("2020", periods=2, freq="D")),
        "period": pd.DataFrame({"a": pd.period_range("2020", periods=2, freq="M")}),
        "interval": pd.DataFrame({"a": pd.interval_range(0, 2)}),
        "masked": pd.DataFrame({"a": pd.array([1, None, 3], dtype="Int64")})[1:],
        "levels": pd.DataFrame({"a": [1, 2]}, index=pd.MultiIndex.from_tuples([(1, "a"), (2, "b")])),
        "level columns": pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([(1, "a"), (2, "b")])),
        "range": pd.DataFrame({"a": [1, 2]}, index=pd.RangeIndex(3, 7, 2, name="z")),
        "dates": pd.DataFrame({"a": [dt.date(2020, 1, 1), None]}),
        "empty": pd.DataFrame(),
        "no rows": pd.DataFrame({"a": []}),
        "attributes": attributed(),
        "series": pd.Series([1.5, 2], name="y"),
        "unnamed": pd.Series([1, 2], index=["a", "b"]),
        "numbered": pd.Series(["x", "y"], dtype="category", name=5),
    }


def test_tables_come_back_as_they_were() -> None:
    for name, table in samples().items():
        again = came_back(table, "pandas_arrow")
        compare = pd.testing.assert_series_equal if table.ndim == 1 else pd.testing.assert_frame_equal
        compare(table, again, check_exact=True, check_freq=True, check_flags=True, check_index_type="exact")
        assert again.attrs == table.attrs, name
        assert type(again.index) is type(table.index)


@st.composite
def tables(draw: st.DrawFn) -> Any:
    rows = draw(st.integers(0, 4))
    columns = {
        name: draw(arrays(draw(st.sampled_from(DTYPES)), rows))
        for name in draw(st.lists(st.text(st.characters(codec="utf-8"), max_size=4), max_size=3, unique=True))
    }
    index = draw(st.none() | st.lists(st.text(st.characters(codec="utf-8")), min_size=rows, max_size=rows))
    return pd.DataFrame(columns, index=index if columns else None)


@given(tables())
def test_any_table(table: Any) -> None:
    """Of any dtypes, shape and names: equal to what came back by its own cells, or not in this format."""
    done = serialize(table)
    again = deserialize(done.data, done.format)
    assert list(map(str, again.dtypes)) == list(map(str, table.dtypes))
    assert list(again.columns) == list(table.columns)
    assert list(again.index) == list(table.index)
    for place in range(table.shape[1]):
        ours, theirs = (each.iloc[:, place].to_numpy() for each in (table, again))
        assert np.array_equal(ours, theirs, equal_nan=ours.dtype.kind in "fmM")
    if done.format == "pandas_arrow":
        assert serialize(again).data == done.data


def test_other_processes(tmp_path: Path) -> None:
    check_processes("tests.formats.test_pandas", tmp_path)


def test_pandas_reads_the_file() -> None:
    table = samples()["numbers"]
    done = serialize(table, "pandas")
    assert (done.format, done.extension, done.class_name) == ("pandas_arrow", "arrow", "DataFrame")
    pd.testing.assert_frame_equal(pd.read_feather(io.BytesIO(done.data)), table)
    assert not runs_code("pandas_arrow")


def test_the_object_is_left_as_it_was() -> None:
    table = attributed()
    serialize(table)
    assert table.attrs == attributed().attrs
    assert type(pd.DataFrame([[1, 2]]).columns) is pd.RangeIndex


def unrepeated() -> Any:
    return pd.DataFrame({"a": [1]}).set_flags(allows_duplicate_labels=False)


@pytest.mark.parametrize(
    "table",
    [
        pd.DataFrame([[1, 2]], columns=["a", "a"]),
        pd.DataFrame([[1, 2]], columns=["a", 1]),
        pd.DataFrame({"a": [[1, 2], [3]]}),
        pd.DataFrame({"a": ["x", np.nan, None]}, dtype=object),
        pd.DataFrame({"a": np.array(["x", 1], dtype=object)}),
        pd.DataFrame({"a": np.array([None, None], dtype=object)}),
        pd.DataFrame({"a": np.zeros(2, dtype=complex)}),
        pd.DataFrame({"a": pd.arrays.SparseArray([0, 1])}),
        pd.Series([1], name=("a", 1)),
        unrepeated(),
    ],
    ids=lambda table: f"{type(table).__name__}",
)
def test_what_arrow_would_change_goes_through_pickle(table: Any) -> None:
    done = serialize(table)
    assert done.format == "pickle"
    assert type(deserialize(done.data, "pickle")) is type(table)
    with pytest.raises(SerializationError, match="as pandas_arrow"):
        serialize(table, "pandas_arrow")


def file_of(table: Any, **options: Any) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as file:
        file.write_table(table)
    return bytes(sink.getvalue())


ZEROS: Final = pa.table({"a": np.zeros(1_000_000)})
NOTES: Final = {b"chainfold": b"{}"}


def shown_often(kind: Any, value: Any) -> bytes:
    """A column of views that all show one long value: the file has it once, pandas would many times."""
    view, *buffers = pa.array([value], kind).buffers()[1:]
    column = pa.Array.from_buffers(kind, 1_000, [None, pa.py_buffer(view.to_pybytes() * 1_000), *buffers])
    return file_of(pa.table({"a": column}).replace_schema_metadata(NOTES))


def nestings() -> list[Any]:
    """Columns in which what can swell is hidden in something that cannot."""
    texts = pa.array(["x"] * 3).dictionary_encode()
    views = pa.array(["x"] * 3, pa.string_view())
    return [
        pa.StructArray.from_arrays([texts], ["f"]),
        pa.StructArray.from_arrays([views], ["f"]),
        pa.DictionaryArray.from_arrays(pa.array([0, 0]), pa.array([["x"]])),
    ]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        *((data, "not an Arrow file") for data in strangers()),
        (file_of(ZEROS.replace_schema_metadata(NOTES), compression="zstd"), "compressed"),
        (file_of(ZEROS.replace_schema_metadata(NOTES), compression="lz4"), "compressed"),
        (
            file_of(
                pa.table({"a": pa.array(["x"] * 5_000).dictionary_encode()}).replace_schema_metadata(NOTES),
                compression="zstd",
            ),
            "compressed",
        ),
        (file_of(pa.table({"a": pa.nulls(10_000_000)}).replace_schema_metadata(NOTES)), "type null"),
        (
            file_of(
                pa.table(
                    {"a": pa.RunEndEncodedArray.from_arrays(pa.array([2**31 - 1], "i4"), pa.array([1.0]))}
                ).replace_schema_metadata(NOTES)
            ),
            "run_end_encoded",
        ),
        (shown_often(pa.string_view(), "y" * 10_000), "string_view"),
        (shown_often(pa.binary_view(), b"y" * 10_000), "binary_view"),
        *((file_of(pa.table({"a": nested}).replace_schema_metadata(NOTES)), "type") for nested in nestings()),
        (file_of(pa.table({"a": [1]})), "pandas_arrow"),
    ],
)
def test_files_made_to_hurt(data: bytes, words: str) -> None:
    with pytest.raises(SerializationError, match=words):
        deserialize(data, "pandas_arrow")


@given(st.sampled_from(["numbers", "texts", "categories", "levels", "series"]), st.data())
def test_damage(name: str, data: st.DataObject) -> None:
    check_refused(data.draw(damaged(serialize(samples()[name]).data)), "pandas_arrow")


@pytest.mark.parametrize("place", ["columns", "column_indexes"])
@pytest.mark.parametrize("text", ["datetime64[s/0]", "<M8[ns/ 0]", "m8[0s]", "M8[s/+0]", "M8[s/-0]"])
def test_a_unit_of_no_parts_is_no_type(place: str, text: str) -> None:
    """numpy divides by what the text says, which ends the process: pandas gives it what the file says."""
    table = pa.ipc.open_file(io.BytesIO(serialize(pd.DataFrame({"a": [1.5]})).data)).read_all()
    said = json.loads(table.schema.metadata[b"pandas"])
    for column in said[place]:
        column["numpy_type"] = text
    metadata = {**table.schema.metadata, b"pandas": json.dumps(said).encode()}
    with pytest.raises(SerializationError, match="is no type of a column"):
        deserialize(file_of(table.replace_schema_metadata(metadata)), "pandas_arrow")
