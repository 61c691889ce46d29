"""The Merkle tree of RFC 6962, section 2.1, over the lines of a log (without their line ends).

MTH({}) = SHA-256(""), leaf hash = SHA-256(0x00 || line), node hash = SHA-256(0x01 || left || right).
"""

from collections.abc import Iterable
from hashlib import sha256
from typing import Final

EMPTY_ROOT: Final = sha256(b"").digest()


class MerkleTree:
    """The root of a growing list of leaves, from at most log2(size) + 1 hashes.

    It keeps the roots of the perfect subtrees that the leaves so far split into, largest first, as the
    binary digits of the size say.

    Args:
        size: Leaves that are in it from the start.
        subtrees: Their roots.
    """

    def __init__(self, size: int = 0, subtrees: Iterable[bytes] = ()) -> None:
        self.size = size
        self.subtrees = list(subtrees)

    def append(self, leaf: bytes) -> None:
        """Add a leaf's bytes: amortised two hashes."""
        node = sha256(b"\x00" + leaf).digest()
        size = self.size
        while size & 1:
            node = sha256(b"\x01" + self.subtrees.pop() + node).digest()
            size >>= 1
        self.subtrees.append(node)
        self.size += 1

    def extend(self, leaves: Iterable[bytes]) -> None:
        """Add many leaves, in order."""
        for leaf in leaves:
            self.append(leaf)

    def root(self) -> bytes:
        """The hash of the whole tree: 32 bytes, at most log2(size) hashes."""
        if not self.subtrees:
            return EMPTY_ROOT
        node = self.subtrees[-1]
        for left in reversed(self.subtrees[:-1]):
            node = sha256(b"\x01" + left + node).digest()
        return node
