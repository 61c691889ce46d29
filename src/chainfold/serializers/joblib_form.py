"""joblib's own form, with arrays as they were written."""

import inspect
import io
from typing import Any, Final

import joblib
from joblib.numpy_pickle import NumpyUnpickler

AS_WRITTEN: Final[dict[str, Any]] = (
    {"ensure_native_byte_order": False}
    if "ensure_native_byte_order" in inspect.signature(NumpyUnpickler.__init__).parameters
    else {}
)
"""Arrays keep their byte order. Releases of joblib that cannot be told so turn it into the machine's."""


def load_as_written(data: bytes) -> Any:
    """What `joblib.load` reads, compressed or not. Runs what the bytes say: their digest was checked."""
    return joblib.load(io.BytesIO(data), **AS_WRITTEN)
