"""Sparse matrices and arrays of scipy as npz: `scipy.sparse.load_npz` reads the file, and nothing runs."""

import io
from typing import Any, Final

from chainfold.serializers.archive import pack, unpack
from chainfold.serializers.numpy_format import NumpySerializer
from chainfold.serializers.protocol import module_of, require, type_name

_INSTALL: Final = "chainfold[scipy]"
_KINDS: Final = {
    "csr": ("data", "indices", "indptr"),
    "csc": ("data", "indices", "indptr"),
    "bsr": ("data", "indices", "indptr"),
    "coo": ("data", "row", "col"),
    "dia": ("data", "offsets"),
}
"""The five kinds that npz knows, and the arrays that each is made of."""
_CACHED: Final = frozenset({"_has_sorted_indices", "_has_canonical_format", "has_canonical_format"})
"""What scipy has found out about the arrays, and finds out again."""
_NPY: Final = NumpySerializer()


class SparseSerializer:
    """`csr`, `csc`, `bsr`, `coo` and `dia`, as a matrix or as an array, of numbers, in two dimensions.

    Deterministic: equal arrays in equal order give equal bytes.
    """

    name = "scipy_npz"
    extension = "npz"
    runs_code = False

    def accepts(self, obj: Any) -> bool:
        """Whether it is one of scipy's own; what its arrays hold is looked at by `dumps`."""
        cls = type(obj)
        kind = cls.__name__.partition("_")[0]
        return cls.__name__ in {f"{kind}_matrix", f"{kind}_array"} and kind in _KINDS and _is_scipys(cls)

    def dumps(self, obj: Any) -> bytes:
        """What `scipy.sparse.save_npz` writes, with nothing in it that changes from time to time.

        Raises:
            TypeError: If reading it would not give the same arrays back.
        """
        if not self.accepts(obj):
            raise TypeError(f"npz holds the two-dimensional sparse classes of scipy, not {type_name(obj)}")
        buffer = io.BytesIO()
        require("scipy.sparse", _INSTALL).save_npz(buffer, obj, compressed=False)
        data = pack(unpack(buffer.getvalue()))
        again = self.loads(data)
        if type(again) is not type(obj) or not _is_same(again, obj):
            raise TypeError(f"npz does not give this {type_name(obj)} back as it is")
        return data

    def loads(self, data: bytes) -> Any:
        """The matrix or array. Nothing in the bytes is unpickled, and every index is checked.

        Raises:
            ValueError: If it is not such a file, or its indices lead out of its shape.
        """
        sparse = require("scipy.sparse", _INSTALL)
        members = unpack(data)
        arrays = {name.removesuffix(".npy"): _NPY.loads(each) for name, each in members.items()}
        kind = arrays["format"].item()
        kind = kind.decode("ascii") if isinstance(kind, bytes) else kind
        if set(arrays) - {"format", "shape", "_is_array"} != set(_KINDS[kind]):
            raise ValueError(f"not the arrays of a {kind} matrix: {', '.join(arrays)}")
        made = sparse.load_npz(io.BytesIO(data))
        if kind in {"csr", "csc", "bsr"}:
            made.check_format(full_check=True)
        return made


def _is_scipys(cls: type) -> bool:
    return module_of(cls).startswith("scipy.sparse.")


def _is_same(one: Any, other: Any) -> bool:
    """Whether two of one class have equal arrays, to the bit, and nothing else that differs."""
    if one.shape != other.shape or vars(one).keys() - _CACHED != vars(other).keys() - _CACHED:
        return False
    if one.maxprint != other.maxprint:
        return False
    for name in _KINDS[one.format]:
        ours, theirs = getattr(one, name), getattr(other, name)
        if ours.dtype != theirs.dtype or ours.tobytes() != theirs.tobytes():
            return False
    return True
