"""Proofs about the Merkle tree of RFC 6962: made from the roots of perfect subtrees, checked from nothing.

MTH({}) = SHA-256(""), leaf hash = SHA-256(0x00 || line), node hash = SHA-256(0x01 || left || right). Both
proofs are of at most log2(size) + 1 hashes. Made as in RFC 6962, section 2.1; checked as in RFC 9162,
sections 2.1.3.2 and 2.1.4.2.
"""

from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256

Node = Callable[[int, int], bytes]
"""The root of a perfect subtree, by height h and number n: over leaves n * 2^h to (n + 1) * 2^h - 1."""


def leaf_hash(line: bytes) -> bytes:
    """The hash of a leaf: 32 bytes."""
    return sha256(b"\x00" + line).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of a node that is over two others."""
    return sha256(b"\x01" + left + right).digest()


def inclusion(node: Node, index: int, size: int) -> list[bytes]:
    """The proof that a leaf is at an index of the tree of the first `size` leaves: PATH(m, D[n]).

    Raises:
        IndexError: If the tree has no such leaf.
    """
    if not 0 <= index < size:
        raise IndexError(f"a tree of {size} leaves has no leaf {index}")
    path: list[bytes] = []
    start, stop = 0, size
    while stop - start > 1:
        middle = start + _split(stop - start)
        if index < middle:
            path.append(subtree(node, middle, stop))
            stop = middle
        else:
            path.append(subtree(node, start, middle))
            start = middle
    path.reverse()
    return path


def consistency(node: Node, first: int, second: int) -> list[bytes]:
    """The proof that the tree of the first `first` leaves has only grown to that of `second`: PROOF(m, D[n]).

    It is empty if both are the same tree, or the first is empty.

    Raises:
        IndexError: If the second is the smaller one.
    """
    if not 0 <= first <= second:
        raise IndexError(f"a tree of {second} leaves did not grow from one of {first}")
    if first in (0, second):
        return []
    path: list[bytes] = []
    start, stop, is_whole = 0, second, True  # whether what is left of the first tree begins at its first leaf
    while stop != first:
        middle = start + _split(stop - start)
        if first <= middle:
            path.append(subtree(node, middle, stop))
            stop = middle
        else:
            path.append(subtree(node, start, middle))
            start, is_whole = middle, False
    if not is_whole:
        path.append(subtree(node, start, stop))
    path.reverse()
    return path


def subtree(node: Node, start: int, stop: int) -> bytes:
    """The root over some leaves in a row that is a node of the tree of `stop` leaves: at most log2 hashes."""
    root = b""
    for height, index in reversed(list(_perfect(start, stop))):
        part = node(height, index)
        root = node_hash(part, root) if root else part
    return root or sha256(b"").digest()


def is_included(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Whether a path proves that the tree of `size` leaves with a root has this leaf hash at an index.

    A root does not tell how many leaves it is over: that is as sure as the checkpoint that says both. The
    same proof holds for another size if the way from the leaf to the root is the same in that tree.
    """
    sides = _sides(index, size - 1, len(path)) if 0 <= index < size else None
    if sides is None:
        return False
    found = leaf
    for other, is_left in zip(path, sides, strict=True):
        found = node_hash(other, found) if is_left else node_hash(found, other)
    return found == root


def is_consistent(
    first: int, second: int, path: Sequence[bytes], first_root: bytes, second_root: bytes
) -> bool:
    """Whether a path proves that the tree of `second` leaves with a root has grown from another.

    The sizes are as sure as the checkpoints that say them; see `is_included`.
    """
    if not 0 < first < second:  # nothing is to be proven of the empty tree, or of the same one
        is_same = first == second and first_root == second_root
        is_empty = first_root == sha256(b"").digest()
        return not path and ((is_same and (first > 0 or is_empty)) or (0 == first < second and is_empty))
    # A perfect tree is itself a node of the larger one.
    parts = list(path) if first & (first - 1) else [first_root, *path]
    height = (first & -first).bit_length() - 1
    sides = _sides(first - 1 >> height, second - 1 >> height, len(parts) - 1) if parts else None
    if sides is None:
        return False
    older = newer = parts[0]
    for other, is_left in zip(parts[1:], sides, strict=True):
        if is_left:
            older = node_hash(other, older)
        newer = node_hash(other, newer) if is_left else node_hash(newer, other)
    return older == first_root and newer == second_root


def _sides(index: int, last: int, count: int) -> list[bool] | None:
    """Whether each sibling on the way up from a node is to its left; None unless there are so many.

    Args:
        index: Of the node, on its level.
        last: Index of the last node of that level.
        count: How many siblings there should be.
    """
    sides: list[bool] = []
    while last:
        is_left = bool(index & 1) or index == last
        if is_left:
            while (
                index and not index & 1
            ):  # the last node of a level may have no sibling: it is the one above
                index, last = index >> 1, last >> 1
        sides.append(is_left)
        index, last = index >> 1, last >> 1
    return sides if len(sides) == count else None


def _split(count: int) -> int:
    """The largest power of two smaller than a count of two or more."""
    return 1 << (count - 1).bit_length() - 1


def _perfect(start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Height and index of the perfect subtrees that some leaves split into, from left to right."""
    while start < stop:
        height = (stop - start).bit_length() - 1
        if start:
            height = min(height, (start & -start).bit_length() - 1)
        yield height, start >> height
        start += 1 << height
