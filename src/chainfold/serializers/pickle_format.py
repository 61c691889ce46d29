"""Python's own pickle, protocol 5: for all that has no format of its own."""

import pickle
from typing import Any

from chainfold.serializers.noting import Pickled


class PickleSerializer:
    """Anything that pickle holds. Classes and functions are stored by name and must be importable."""

    name = "pickle"
    extension = "pkl"
    runs_code = True

    def accepts(self, obj: Any) -> bool:  # noqa: ARG002 - it is for what no other format is for
        """Always."""
        return True

    def dumps(self, obj: Any) -> bytes:
        """The object pickled with protocol 5."""
        return pickle.dumps(obj, protocol=5)

    def noted(self, obj: Any) -> tuple[bytes, list[str]]:
        """As `dumps`, and what the bytes refer to."""
        done = Pickled(obj)
        return done.data, done.names()

    def loads(self, data: bytes) -> Any:
        """The object. Runs what the bytes say: only for bytes whose digest was checked."""
        return pickle.loads(data)  # noqa: S301 - the digest was checked before


def refers_to_main(data: bytes) -> bool:
    """Whether pickled bytes name the script itself as a module: only that script could load them.

    Looks for the name as pickle writes a module's name; a text that says just that counts too. In a child
    that multiprocessing spawned, the script is called `__mp_main__`.
    """
    return b"\x8c\x08__main__" in data or b"\x8c\x0b__mp_main__" in data
