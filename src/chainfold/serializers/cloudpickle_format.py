"""cloudpickle: for lambdas, closures and the classes of scripts and notebooks."""

import functools
import io
import sys
from collections import ChainMap
from typing import Any

from chainfold.serializers.pickle_globals import names_in
from chainfold.serializers.protocol import require


class CloudpickleSerializer:
    """What only cloudpickle holds: code that no later process could import is stored by value.

    Refuses what cloudpickle itself would give back as something else: open files (as text in memory) and
    memoryviews (as bytes).
    """

    name = "cloudpickle"
    extension = "pkl"
    runs_code = True

    def accepts(self, obj: Any) -> bool:  # noqa: ARG002 - the last resort, never chosen by type
        """Never: it is taken when pickle fails, or when somebody asks for it."""
        return False

    def dumps(self, obj: Any) -> bytes:
        """The object pickled with protocol 5, unimportable code by value."""
        pickler = _pickler()
        script = sys.modules.get("__mp_main__")
        if script is not None:  # the script, in a child that multiprocessing spawned: see refers_to_main
            require("cloudpickle", "cloudpickle").register_pickle_by_value(script)
        buffer = io.BytesIO()
        pickler(buffer, protocol=5).dump(obj)
        return buffer.getvalue()

    def noted(self, obj: Any) -> tuple[bytes, list[str]]:
        """As `dumps`, and what the bytes refer to."""
        data = self.dumps(obj)
        return data, names_in(data)

    def loads(self, data: bytes) -> Any:
        """The object. Runs what the bytes say: only for bytes whose digest was checked."""
        return require("cloudpickle", "cloudpickle").loads(data)


@functools.cache
def _pickler() -> Any:
    """The pickler of cloudpickle without its lossy reductions."""
    base: Any = require("cloudpickle", "cloudpickle").CloudPickler
    table = ChainMap({io.TextIOWrapper: _stream, memoryview: _refuse}, base.dispatch_table)
    return type("Pickler", (base,), {"dispatch_table": table})


def _stream(file: io.TextIOWrapper) -> Any:
    """Standard output and error come back as the loading process's own; no other open file does."""
    for name in ("stdout", "stderr"):
        if file is getattr(sys, name):
            return getattr, (sys, name)
    return _refuse(file)


def _refuse(obj: Any) -> Any:
    raise TypeError(f"cannot pickle {type(obj).__name__!r} object")
