"""A bounded memory of what was used last."""

import operator
import threading
from typing import Any

from chainfold.errors import InvalidInputError


class LRUCache:
    """Values by key; when there are too many, the one that was not asked for the longest goes first.

    Args:
        max_size: How many are kept; with 0 none is.

    Raises:
        InvalidInputError: If `max_size` is negative, or no whole number.
    """

    def __init__(self, max_size: int = 100) -> None:
        self._values: dict[str, Any] = {}  # the one used last is the last
        self._mutex = threading.Lock()
        self.hits = self.misses = 0
        self.resize(max_size)

    def __len__(self) -> int:
        return len(self._values)

    @property
    def size(self) -> int:
        """How many values are kept now."""
        return len(self._values)

    @property
    def stats(self) -> dict[str, Any]:
        """`size`, `max_size`, `hits`, `misses`, and `hit_rate` from 0 to 1."""
        asked = self.hits + self.misses
        return {
            "size": self.size,
            "max_size": self.max_size,
            "hits": self.hits,
            "misses": self.misses,
            "hit_rate": self.hits / asked if asked else 0.0,
        }

    def get(self, key: str) -> Any | None:
        """The value, which is the last to go now; None if there is none."""
        with self._mutex:
            if key not in self._values:
                self.misses += 1
                return None
            self.hits += 1
            value = self._values[key] = self._values.pop(key)
            return value

    def put(self, key: str, value: Any) -> None:
        """Keep a value."""
        with self._mutex:
            self._values.pop(key, None)
            self._values[key] = value
            self._shrink()

    def contains(self, key: str) -> bool:
        """Whether there is a value; that is not counted, and changes no order."""
        return key in self._values

    def remove(self, key: str) -> None:
        """Forget a value, if it is there."""
        with self._mutex:
            self._values.pop(key, None)

    def clear(self) -> None:
        """Forget all, the counts too."""
        with self._mutex:
            self._values.clear()
            self.hits = self.misses = 0

    def resize(self, max_size: int) -> None:
        """Keep so many from now on."""
        try:
            max_size = operator.index(max_size)
        except TypeError:
            raise InvalidInputError(f"a cache keeps a number of values, not {max_size!r:.80}") from None
        if max_size < 0:
            raise InvalidInputError(f"a cache keeps 0 values or more, not {max_size}")
        with self._mutex:
            self.max_size = max_size
            self._shrink()

    def _shrink(self) -> None:
        while len(self._values) > self.max_size:
            del self._values[next(iter(self._values))]
