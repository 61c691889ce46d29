"""Formats that nirs4all alone reads back."""

import contextlib
import importlib.util
from typing import Any, Final

from chainfold.errors import InvalidInputError
from chainfold.serializers import available_formats, register_serializer

_PERSISTENCE: Final = "nirs4all.pipeline.storage.artifacts.artifact_persistence"


class PersistedFormat:
    """A format of nirs4all's own persistence, for reading what that has written.

    Args:
        name: What its records say in `format`.
    """

    extension = "bin"

    def __init__(self, name: str) -> None:
        self.name = name

    def accepts(self, obj: Any) -> bool:  # noqa: ARG002 - it is for reading
        """Never: nothing new is written so."""
        return False

    def dumps(self, obj: Any) -> bytes:  # noqa: ARG002 - as above
        """Refused: nothing new is written so."""
        raise TypeError(f"the format {self.name!r} of nirs4all is only read; leave format_hint out")

    def loads(self, data: bytes) -> Any:
        """The object, read by nirs4all: only for bytes whose digest was checked."""
        return importlib.import_module(_PERSISTENCE).from_bytes(data, self.name)


def offer_format(name: str) -> None:
    """See to it that a format of a record can be read: if it is none of ours, by nirs4all."""
    if name not in available_formats() and importlib.util.find_spec("nirs4all") is not None:
        with contextlib.suppress(InvalidInputError):  # another name for one of ours, or no name at all
            register_serializer(PersistedFormat(name))
