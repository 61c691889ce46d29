"""Formats from outside: other distributions' entry points, and those that a program registers."""

import re
import threading
import warnings
from typing import Any

from chainfold.errors import InvalidInputError, NotFoundError
from chainfold.serializers.protocol import Serializer, describe

GROUP = "chainfold.serializers"
"""The entry-point group. Each value is a `Serializer`, or makes one when called without arguments."""

_EXTENSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,15}\Z")
_METHODS = ("accepts", "dumps", "loads")


class Plugins:
    """The formats that are not built in, by name. Entry points are loaded once, when first asked for."""

    def __init__(self, reserved: frozenset[str]) -> None:
        self._reserved = reserved
        self._by_hand: dict[str, Serializer] = {}
        self._installed: dict[str, Serializer] | None = None
        self._all: tuple[Serializer, ...] | None = None
        self._is_loading = False
        self._lock = threading.RLock()
        self.failures: dict[str, str] = {}
        """Entry points that gave no serializer: their name and the reason."""

    def all(self) -> tuple[Serializer, ...]:
        """In order of preference: a program's own as registered, then the installed by entry-point name."""
        found = self._all  # each object that is serialised asks
        if found is None:
            with self._lock:
                installed = self._load() if self._installed is None else self._installed
                found = (*self._by_hand.values(), *installed.values())
                if not self._is_loading:  # else a plug-in asks while it is imported
                    self._all = found
        return found

    def find(self, name: str) -> Serializer | None:
        """The plug-in of that name, or None."""
        return next((plugin for plugin in self.all() if plugin.name == name), None)

    def register(self, serializer: Serializer) -> None:
        """Add a format for the rest of this process.

        Raises:
            InvalidInputError: When it is no serializer, or its name is taken.
        """
        with self._lock:
            self.all()
            self._by_hand[serializer.name] = self._checked(serializer)
            self._all = None

    def unregister(self, name: str) -> None:
        """Forget a format for the rest of this process, an installed one as well.

        Raises:
            InvalidInputError: When it is built in.
            NotFoundError: When there is none of that name.
        """
        with self._lock:
            if name in self._reserved:
                raise InvalidInputError(f"the format {name!r} is built in: it cannot be unregistered")
            if self.find(name) is None:
                raise NotFoundError(f"there is no serializer {name!r} to unregister")
            self._all = None
            self._by_hand.pop(name, None)
            (self._installed or {}).pop(name, None)

    def _load(self) -> dict[str, Serializer]:
        from importlib.metadata import entry_points  # noqa: PLC0415 - slow to import, needed once

        self._installed = {}
        self._is_loading = True
        troubles = []
        for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
            try:
                plugin = self._checked(_made(point.load()))
            except Exception as error:  # noqa: BLE001 - one that is broken must not break the others
                self.failures[point.name] = describe(error)
                source = f" of {point.dist.name} {point.dist.version}" if point.dist else ""
                troubles.append(f"serializer plug-in {point.name!r}{source} is left out: {describe(error)}")
            else:
                self._installed[plugin.name] = plugin
        self._is_loading = False
        for trouble in troubles:
            warnings.warn(trouble, RuntimeWarning, stacklevel=2)
        return self._installed

    def _checked(self, plugin: Any) -> Serializer:
        name, extension = getattr(plugin, "name", None), getattr(plugin, "extension", None)
        lacking = [method for method in _METHODS if not callable(getattr(plugin, method, None))]
        if lacking:
            raise InvalidInputError(f"{plugin!r} is no serializer: it lacks {', '.join(lacking)}")
        if not isinstance(name, str) or not name.isprintable() or not name.strip():
            raise InvalidInputError(f"the name of a serializer is a printable text, not {name!r}")
        if not isinstance(extension, str) or not _EXTENSION.match(extension):
            raise InvalidInputError(f"{extension!r} cannot end the names of files of the serializer {name!r}")
        if not isinstance(getattr(plugin, "runs_code", True), bool):
            raise InvalidInputError(f"runs_code of the serializer {name!r} must be True or False")
        if name in self._reserved:
            raise InvalidInputError(f"the format {name!r} is built in: a plug-in cannot take its name")
        if name in self._by_hand or name in (self._installed or {}):
            raise InvalidInputError(f"there is a serializer {name!r} already")
        serializer: Serializer = plugin
        return serializer


def _made(value: Any) -> Any:
    """The serializer that an entry point's value is, or makes."""
    whole = all(hasattr(value, attribute) for attribute in ("name", "extension", *_METHODS))
    return value if whole and not isinstance(value, type) else value()
