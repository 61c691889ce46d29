"""The checkpoint: C2SP tlog-checkpoint text (https://c2sp.org/tlog-checkpoint), so far unsigned.

    chainfold/<dataset>
    <size, decimal>
    <root, base64>

It says how many entries are known to be durable, and commits to their bytes.
"""

import base64
import binascii
from typing import Final, NamedTuple

from chainfold.errors import CorruptionError

_MAX_BYTES: Final = 65_536
_LINES: Final = 3
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
    try:
        if len(data) > _MAX_BYTES:
            raise ValueError(f"{len(data)} bytes")
        lines = data.decode().split("\n")
        if len(lines) <= _LINES or not lines[0]:
            raise ValueError("it has fewer than three lines")
        origin, size, root = lines[0], lines[1], base64.b64decode(lines[2], validate=True)
        if not (size.isascii() and size.isdecimal()) or (size != "0" and size[0] == "0") or len(size) > 18:  # noqa: PLR2004 - a size fits 63 bits
            raise ValueError(f"its size is {size[:40]!r}")
        if len(root) != _ROOT_BYTES:
            raise ValueError(f"its root has {len(root)} bytes")
    except (ValueError, binascii.Error) as error:
        raise CorruptionError(f"not a checkpoint: {error}") from error
    return Checkpoint(origin, int(size), root)
