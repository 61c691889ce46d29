"""The Merkle tree of RFC 6962, section 2.1, over the lines of a log (without their line ends).

MTH({}) = SHA-256(""), leaf hash = SHA-256(0x00 || line), node hash = SHA-256(0x01 || left || right).
"""

from collections.abc import Iterable, Sequence
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
        self.append_hash(sha256(b"\x00" + leaf).digest())

    def append_hash(self, node: bytes) -> None:
        """Add a leaf of which only the hash is known."""
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


class Span:
    """The tree of some leaves in a row, as far as it does not depend on those before and behind them.

    It keeps the roots of the perfect subtrees that they have in the tree of all leaves. So the spans of a
    log's parts can be built one without the other, and then be joined.

    Args:
        first: How many leaves are before the first of these.
    """

    def __init__(self, first: int = 0) -> None:
        self.first = first
        self.stop = first
        self.nodes: list[tuple[int, bytes]] = []
        """Height and root of each, from left to right."""

    def extend(self, leaves: Sequence[bytes]) -> None:
        """Add leaves, in order: level by level, which is a little faster than one by one."""
        nodes = [sha256(b"\x00" + leaf).digest() for leaf in leaves]
        index, height = self.stop, 0
        right: list[tuple[int, bytes]] = []
        while nodes:
            if index & 1:  # its sibling is not among these
                self._add(height, nodes[0])
                del nodes[0]
                index += 1
            if len(nodes) & 1:
                right.append((height, nodes.pop()))
            pairs = zip(nodes[::2], nodes[1::2], strict=True)
            nodes = [sha256(b"\x01" + left + right).digest() for left, right in pairs]
            index >>= 1
            height += 1
        for above, node in reversed(right):
            self._add(above, node)

    def join(self, other: "Span") -> None:
        """Add the leaves of the span that begins where this one stops."""
        if other.first != self.stop:
            raise ValueError(f"a span from {other.first} on does not follow one up to {self.stop}")
        for height, node in other.nodes:
            self._add(height, node)

    def tree(self) -> MerkleTree:
        """The tree of all leaves, if these are all."""
        if self.first:
            raise ValueError(f"there are {self.first} leaves before these")
        return MerkleTree(self.stop, [node for _, node in self.nodes])

    def _add(self, height: int, node: bytes) -> None:
        index = self.stop >> height
        self.stop += 1 << height
        while index & 1 and self.nodes and self.nodes[-1][0] == height:
            node = sha256(b"\x01" + self.nodes.pop()[1] + node).digest()
            index >>= 1
            height += 1
        self.nodes.append((height, node))
