"""Sparse matrices and arrays of scipy come back as they were, from bytes that are equal when they are."""

import io
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from tests.formats.laws import came_back, check_processes, check_refused, damaged, strangers

from chainfold.errors import SerializationError
from chainfold.serializers import runs_code, serialize
from chainfold.serializers.archive import pack, unpack

KINDS: Final = [
    f"{kind}_{shape}" for kind in ("csr", "csc", "bsr", "coo", "dia") for shape in ("matrix", "array")
]
DTYPES: Final = ["f8", "f4", "i8", "i1", "u2", "c16", "?"]
DENSE: Final = st.sampled_from(DTYPES).flatmap(
    lambda dtype: arrays(dtype, array_shapes(min_dims=2, max_dims=2, max_side=5))
)


def samples() -> dict[str, Any]:
    dense = np.array([[0, 1.5, 0], [2, 0, -0.0]])
    return {kind: getattr(sp, kind)(dense) for kind in KINDS}


@given(st.sampled_from(KINDS), DENSE)
def test_sparse_come_back_as_they_were(kind: str, dense: Any) -> None:
    """Of every kind, dtype and shape: class, shape, and each array with its dtype, to the bit."""
    matrix = getattr(sp, kind)(dense)
    again = came_back(matrix, "scipy_npz")
    assert again.shape == matrix.shape
    for name in {"data", "indices", "indptr", "row", "col", "offsets"} & set(dir(matrix)):
        ours, theirs = getattr(matrix, name), getattr(again, name)
        assert (theirs.dtype, theirs.tobytes()) == (ours.dtype, ours.tobytes())


def test_other_processes(tmp_path: Path) -> None:
    check_processes("tests.formats.test_sparse", tmp_path)


def test_what_is_asked_of_a_matrix_changes_nothing() -> None:
    matrix = sp.csr_array(np.eye(3))
    before = serialize(matrix).data
    assert matrix.has_canonical_format
    assert serialize(matrix).data == before


def test_scipy_reads_the_file() -> None:
    done = serialize(sp.csc_matrix(np.eye(3)), "scipy")
    assert (done.format, done.extension) == ("scipy_npz", "npz")
    assert sp.load_npz(io.BytesIO(done.data)).todense().tolist() == np.eye(3).tolist()
    assert not runs_code("scipy_npz")


class Own(sp.csr_matrix):  # type: ignore[misc]  # scipy has no types
    pass


def annotated() -> Any:
    matrix = sp.csr_matrix(np.eye(2))
    matrix.unit = "nm"
    return matrix


@pytest.mark.parametrize(
    "matrix",
    [
        sp.lil_matrix(np.eye(2)),
        sp.dok_matrix(np.eye(2)),
        sp.coo_array(np.array([1, 0, 2])),
        Own(np.eye(2)),
        annotated(),
    ],
    ids=["lil", "dok", "one dimension", "subclass", "attribute"],
)
def test_what_npz_would_change_goes_through_joblib(matrix: Any) -> None:
    done = serialize(matrix)
    assert done.format == "joblib"
    with pytest.raises(SerializationError, match=r"as scipy_npz.*can hold it"):
        serialize(matrix, "scipy_npz")


SAMPLE: Final = serialize(sp.csr_array(np.eye(3))).data


@given(damaged(SAMPLE))
def test_damage(data: bytes) -> None:
    check_refused(data, "scipy_npz")


def replaced(member: str, array: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return pack({**unpack(SAMPLE), member: buffer.getvalue()})


@pytest.mark.parametrize(
    "data",
    [
        *strangers(),
        replaced("indices.npy", np.array([0, 1, 2**31 - 1], dtype="i4")),
        replaced("indices.npy", np.array([0, 1, -5], dtype="i4")),
        replaced("indptr.npy", np.array([0, 1, 2, 2**31 - 1], dtype="i4")),
        replaced("indptr.npy", np.array([0, 3, 1, 3], dtype="i4")),
        replaced("shape.npy", np.array([3, -3])),
        replaced("shape.npy", np.array([2**62, 3])),
        replaced("format.npy", np.array("coo")),
        replaced("format.npy", np.array([1, None], dtype=object)),
        replaced("extra.npy", np.array(1)),
        pack(
            {**unpack(SAMPLE), "data.npy": unpack(SAMPLE)["data.npy"].replace(b"(3,)", b"(999999999999,)", 1)}
        ),
    ],
)
def test_files_made_to_hurt(data: bytes) -> None:
    from chainfold.serializers import deserialize

    with pytest.raises(SerializationError, match="scipy_npz"):
        deserialize(data, "scipy_npz")
