"""What `joblib.load` reads, for scikit-learn and what is built like it."""

import io
import pickle
import zlib
from typing import Any, Final

from chainfold.serializers.booster_formats import DICTIONARY
from chainfold.serializers.noting import Pickled
from chainfold.serializers.pickle_globals import names_in
from chainfold.serializers.protocol import module_of, require
from chainfold.serializers.unpacking import unpacked

FAMILIES = frozenset(
    {
        "catboost",
        "category_encoders",
        "feature_engine",
        "hdbscan",
        "imblearn",
        "lightgbm",
        "mlxtend",
        "scipy",
        "sklearn",
        "skorch",
        "sktime",
        "statsmodels",
        "tslearn",
        "umap",
        "xgboost",
    }
)
"""Top-level modules whose classes, and all that inherit from them, are stored by joblib."""


_LARGE_BYTES: Final = 1 << 20
"""From this size on an array is worth mapping from its file: joblib itself does so for its workers."""
_SETTLED_BELOW: Final = 64 << 20
"""Bytes from which on a pickle is not loaded before it is kept: that would take the object's memory again."""
_MEMMAP: Final = b"\x8c\x06memmap"
_WRAPPER: Final = b"joblib.numpy_pickle"
"""The module of the class that joblib's own form has in front of each array."""
_PICKLE: Final = b"\x80"
_MASKED: Final = b"_mareconstruct"
_LEVEL: Final = 3


class JoblibSerializer:
    """Estimators: of a known family, or with `fit` and one of `predict`, `transform`, `split`.

    `joblib.load` reads two forms, and each is written where it is the better one: a plain pickle, ten times
    as fast, and joblib's own, from which large arrays can be mapped. The figures are in
    `docs/design/serialization.md`.

    Args:
        compress: Write the pickle compressed by zlib, for a disk that is dearer than time.
    """

    name = "joblib"
    extension = "joblib"
    runs_code = True

    def __init__(self, *, compress: bool = False) -> None:
        self._compress = compress

    def accepts(self, obj: Any) -> bool:
        """Whether the object's class, or one that it inherits from, is an estimator's."""
        lineage = type(obj).__mro__
        for cls in lineage:  # nearly always the first says it
            if module_of(cls).partition(".")[0] in FAMILIES:
                return True
        return _has(lineage, "fit") and any(_has(lineage, verb) for verb in ("predict", "transform", "split"))

    def dumps(self, obj: Any) -> bytes:
        """What `joblib.load` reads."""
        return self.noted(obj)[0]

    def noted(self, obj: Any) -> tuple[bytes, list[str]]:
        """As `dumps`, and what the bytes refer to."""
        done = Pickled(obj)
        is_large = not self._compress and len(done.data) >= _LARGE_BYTES
        if _MEMMAP in done.data or (is_large and _has_large_array(obj)):
            buffer = io.BytesIO()
            joblib = require("joblib", "joblib")
            joblib.dump(obj, buffer, compress=_LEVEL if self._compress else 0, protocol=5)
            return buffer.getvalue(), names_in(unpacked(buffer.getvalue()))
        done = _settled(done)
        return zlib.compress(done.data, _LEVEL) if self._compress else done.data, done.names()

    def loads(self, data: bytes) -> Any:
        """What `joblib.load` reads. Runs what the bytes say: only for bytes whose digest was checked."""
        if data.startswith(_PICKLE) and _WRAPPER not in data:
            return pickle.loads(data)  # noqa: S301 - the digest was checked before
        require("joblib", "joblib")
        from chainfold.serializers.joblib_form import load_as_written  # noqa: PLC0415 - imports joblib

        return load_as_written(data)


def _settled(done: Pickled) -> Pickled:
    """The pickle of what a pickle gives when it is loaded.

    A pickle tells one object from two that are equal: so what was loaded is another pickle than it was loaded
    from, if only because its dtypes are no longer those that numpy has one of each. From the first loading on
    they are the same, with masked arrays (a search has some) from the second on: so registering what was
    loaded is no new file. Models of CatBoost's with texts must not be: they are written wrongly once read.
    """
    if len(done.data) >= _SETTLED_BELOW or DICTIONARY in done.data:
        return done
    try:
        for _ in range(2 if _MASKED in done.data else 1):
            done = Pickled(pickle.loads(done.data))  # noqa: S301 - just written
    except Exception:  # noqa: BLE001, S110 - loading may need what is elsewhere: it stays as it is
        pass
    return done


def _has_large_array(obj: Any) -> bool:
    """Whether something in the object is one block of memory of that size; nothing of it is copied."""
    blocks: list[pickle.PickleBuffer] = []
    pickle.dumps(obj, protocol=5, buffer_callback=blocks.append)
    return any(block.raw().nbytes >= _LARGE_BYTES for block in blocks)


def _has(lineage: tuple[type, ...], name: str) -> bool:
    """Whether a class defines the method. Its dict is read, so no code of the class runs."""
    for cls in lineage:
        if name in vars(cls):
            found = vars(cls)[name]
            return found is not None and not isinstance(found, property)
    return False
