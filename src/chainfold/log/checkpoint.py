"""The checkpoint: C2SP tlog-checkpoint text (https://c2sp.org/tlog-checkpoint), unsigned beside the log.

    chainfold/<dataset>
    <size, decimal>
    <root, base64>

It says how many entries are known to be durable, and commits to their bytes.
"""

import base64
import binascii
import re
from typing import Final, NamedTuple

from chainfold.errors import CorruptionError

MAX_BYTES: Final = 65_536
_TEXT: Final = re.compile(rb"([^\n]+)\n(0|[1-9][0-9]{0,17})\n([0-9A-Za-z+/=]+)\n")
_ROOT_BYTES: Final = 32


class Checkpoint(NamedTuple):
    """A commitment to the first `size` entries of a log."""

    origin: str
    size: int
    root: bytes

    def text(self) -> bytes:
        """The file's content."""
        root = base64.b64encode(self.root).decode()
        return f"{self.origin}\n{self.size}\n{root}\n".encode()


def parse(data: bytes) -> Checkpoint:
    """The inverse of `Checkpoint.text`. Lines after the third (extensions, signatures) are left alone.

    Raises:
        CorruptionError: If it is not a checkpoint.
    """
    match = _TEXT.match(data) if len(data) <= MAX_BYTES else None
    try:
        root = base64.b64decode(match[3], validate=True) if match is not None else b""
    except binascii.Error:
        root = b""
    if match is None or len(root) != _ROOT_BYTES or base64.b64encode(root) != match[3]:
        raise CorruptionError(f"not a checkpoint: {data[:100]!r}")
    return Checkpoint(match[1].decode(errors="replace"), int(match[2]), root)
