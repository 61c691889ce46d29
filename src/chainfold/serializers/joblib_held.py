"""joblib's own form: as it was written, and held to the names and arrays that were read off it before."""

import inspect
import io
import pickle
from typing import Any, ClassVar, Final

import joblib
from joblib.numpy_pickle import NumpyArrayWrapper, NumpyUnpickler

from chainfold.serializers.pickle_globals import Held

AS_WRITTEN: Final[dict[str, Any]] = (
    {"ensure_native_byte_order": False}
    if "ensure_native_byte_order" in inspect.signature(NumpyUnpickler.__init__).parameters
    else {}
)
"""Arrays keep their byte order. Releases of joblib that cannot be told so turn it into the machine's."""


class _Arrays(NumpyUnpickler):  # type: ignore[misc] # joblib has no types
    """Takes arrays from where they were found, and what is in arrays of objects by the same rule."""

    dispatch: ClassVar[dict[int, Any]] = dict(NumpyUnpickler.dispatch)

    def __init__(self, file: io.BytesIO, arrays: tuple[tuple[int, int], ...], held: Held) -> None:
        super().__init__("", file, **AS_WRITTEN)
        self._arrays = list(arrays)
        self._held = held

    def find_class(self, module: str, name: str) -> Any:
        return self._held.find_class(module, name)

    def load_build(self) -> None:
        if not isinstance(self.stack[-2], NumpyArrayWrapper):
            super().load_build()
            return
        begins = self.file_handle.tell()
        if self.stack[-1]["dtype"].hasobject:
            del self.stack[-2:]
            self.stack.append(Held(self.file_handle, self._held.names).load())
        else:
            super().load_build()
        if not self._arrays or self._arrays.pop(0) != (begins, self.file_handle.tell()):
            raise pickle.UnpicklingError("an array of it could not be read off it where it is")

    dispatch[pickle.BUILD[0]] = load_build


def load_as_written(data: bytes) -> Any:
    """What `joblib.load` reads, compressed or not. Runs what the bytes say: their digest was checked."""
    return joblib.load(io.BytesIO(data), **AS_WRITTEN)


def load_arrays(data: bytes, arrays: tuple[tuple[int, int], ...], held: Held) -> Any:
    """The object in bytes of joblib's own form.

    Args:
        data: The bytes, not compressed.
        arrays: Where its arrays begin and end.
        held: What finds the names that it may ask for.

    Raises:
        Exception: Of any class, if it cannot be loaded, or asks for anything else.
    """
    unpickler = _Arrays(io.BytesIO(data), arrays, held)
    found = unpickler.load()
    if unpickler._arrays:  # noqa: SLF001 - its own
        raise pickle.UnpicklingError("arrays that were read off it are not in it")
    return found
