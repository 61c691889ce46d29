"""Laws of proofs: they hold for every entry and every two sizes, and for nothing else; and they cost little.

The trees here are small enough for all of them to be tried; hypothesis draws from larger ones.
"""

import functools
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.test_proofs import flipped, leaves_of, naive_root

from chainfold.dataset import Dataset
from chainfold.errors import CorruptionError
from chainfold.events import AliasSet
from chainfold.log import Checkpoint
from chainfold.proof import paths, tiles
from chainfold.proof.notes import PrivateKey, opened
from chainfold.proof.prover import Prover

SIZES: Final = 40
EVERY_BIT: Final = 12
"""Up to this size each of the 256 bits of each hash is changed; above it, one in each third byte."""
WORD: Final = 64
"""Bits of a size or an index."""


def nodes_of(leaves: list[bytes]) -> paths.Node:
    """As in test_proofs, but each node is hashed once."""
    return functools.cache(lambda height, index: naive_root(leaves[index << height : (index + 1) << height]))


def split_of(size: int) -> int:
    """The largest power of two below a size."""
    return int("1" + "0" * (len(f"{size - 1:b}") - 1), 2)


def way(index: int, size: int) -> str:
    """Where the leaf is, on each level from the top: PATH of RFC 6962, section 2.1.1, word for word."""
    if size == 1:
        return ""
    split = split_of(size)
    return "l" + way(index, split) if index < split else "r" + way(index - split, size - split)


def growth(first: int, second: int, *, is_whole: bool = True) -> str:
    """The same for two sizes: SUBPROOF of RFC 6962, section 2.1.2, word for word."""
    if first == second:
        return "w" if is_whole else "p"
    split = split_of(second)
    if first <= split:
        return "l" + growth(first, split, is_whole=is_whole)
    return "r" + growth(first - split, second - split, is_whole=False)


def bits_of(size: int) -> Iterator[int]:
    return iter(range(256)) if size <= EVERY_BIT else iter(range(size % 8, 256, 24))


def changes(path: list[bytes], size: int) -> Iterator[list[bytes]]:
    """A path with a bit that is changed, each in turn."""
    for at, digest in enumerate(path):
        for bit in bits_of(size):
            yield [*path[:at], flipped(digest, bit), *path[at + 1 :]]


def check_inclusion(leaf: bytes, index: int, size: int, path: list[bytes], root: bytes) -> None:
    """It holds, and with no bit of leaf, path, root, index or size changed."""
    assert paths.is_included(leaf, index, size, path, root)
    assert len(path) == len(way(index, size)) <= (size - 1).bit_length()
    for bit in bits_of(size):
        assert not paths.is_included(flipped(leaf, bit), index, size, path, root)
        assert not paths.is_included(leaf, index, size, path, flipped(root, bit))
    for changed in changes(path, size):
        assert not paths.is_included(leaf, index, size, changed, root)
    for bit in range(WORD):
        assert not paths.is_included(leaf, index ^ (1 << bit), size, path, root)
        other = size ^ (1 << bit)  # the root does not tell: only the same way up can hold
        is_same_way = index < other and way(index, other) == way(index, size)
        assert paths.is_included(leaf, index, other, path, root) == is_same_way


def check_growth(first: int, second: int, path: list[bytes], older: bytes, newer: bytes) -> None:
    """It holds, and with no bit of path, roots or sizes changed."""
    assert paths.is_consistent(first, second, path, older, newer)
    assert len(path) <= second.bit_length() + 1
    for bit in bits_of(second):
        assert not paths.is_consistent(first, second, path, flipped(older, bit), newer)
        is_moot = first == 0 < second  # all have grown from nothing
        assert paths.is_consistent(first, second, path, older, flipped(newer, bit)) == is_moot
    for changed in changes(path, second):
        assert not paths.is_consistent(first, second, changed, older, newer)
    for bit in range(WORD if first else 0):
        other = first ^ (1 << bit)
        is_same_way = 0 < other <= second and growth(other, second) == growth(first, second)
        assert paths.is_consistent(other, second, path, older, newer) == is_same_way
        other = second ^ (1 << bit)
        is_same_way = first <= other and growth(first, other) == growth(first, second)
        assert paths.is_consistent(first, other, path, older, newer) == is_same_way


def test_every_entry_is_proven_in_every_log_and_no_changed_bit_is() -> None:
    leaves = leaves_of(SIZES)
    node = nodes_of(leaves)
    for size in range(1, SIZES + 1):
        root = naive_root(leaves[:size])
        for index in range(size):
            leaf = sha256(b"\0" + leaves[index]).digest()
            check_inclusion(leaf, index, size, paths.inclusion(node, index, size), root)


def test_growth_is_proven_between_every_two_sizes_and_no_changed_bit_is() -> None:
    leaves = leaves_of(SIZES)
    node = nodes_of(leaves)
    for second in range(SIZES + 1):
        for first in range(second + 1):
            older, newer = naive_root(leaves[:first]), naive_root(leaves[:second])
            check_growth(first, second, paths.consistency(node, first, second), older, newer)


@settings(max_examples=25)
@given(st.data(), st.integers(SIZES, 3_000))
def test_so_it_is_in_larger_logs(data: st.DataObject, size: int) -> None:
    leaves = leaves_of(size)
    node, root = nodes_of(leaves), naive_root(leaves)
    index = data.draw(st.integers(0, size - 1))
    leaf = sha256(b"\0" + leaves[index]).digest()
    check_inclusion(leaf, index, size, paths.inclusion(node, index, size), root)
    first = data.draw(st.integers(0, size))
    check_growth(first, size, paths.consistency(node, first, size), naive_root(leaves[:first]), root)


@given(st.integers(0, 10**17), st.integers(0, WORD - 5))
def test_a_size_is_bound_by_the_signature_of_its_checkpoint(size: int, bit: int) -> None:
    key = PrivateKey("example.com/lab", bytes(32))
    note = key.signed(Checkpoint("chainfold/wheat", size, bytes(32)).text().decode())
    changed = note.replace(f"\n{size}\n", f"\n{size ^ (1 << bit)}\n", 1)
    text, signatures = opened(changed.encode())
    with pytest.raises(CorruptionError, match="not of this text"):
        key.public.has_signed(text, signatures)


# different logs


def rewritten(leaves: list[bytes], at: int) -> list[bytes]:
    return [*leaves[:at], b"another", *leaves[at + 1 :]]


def removed(leaves: list[bytes], at: int) -> list[bytes]:
    return [*leaves[:at], *leaves[at + 1 :], b"one more"]


def inserted(leaves: list[bytes], at: int) -> list[bytes]:
    return [*leaves[:at], b"another", *leaves[at:-1]]


def reordered(leaves: list[bytes], at: int) -> list[bytes]:
    other = (at + 1) % len(leaves)
    found = [*leaves]
    found[at], found[other] = found[other], found[at]
    return found


@pytest.mark.parametrize("change", [rewritten, removed, inserted, reordered])
def test_no_log_has_grown_from_another(change: Callable[[list[bytes], int], list[bytes]]) -> None:
    """Whichever of the two is asked for the proof: what they prove is not what was kept."""
    leaves = leaves_of(SIZES)
    roots, node = [naive_root(leaves[:size]) for size in range(SIZES + 1)], nodes_of(leaves)
    for at in range(SIZES - 1):
        others = change(leaves, at)
        other_node = nodes_of(others)
        for second in range(at + 1, SIZES + 1, 3):
            newer = naive_root(others[:second])
            for first in range(at + 1, second + 1):
                for made_of in (node, other_node):
                    path = paths.consistency(made_of, first, second)
                    assert not paths.is_consistent(first, second, path, roots[first], newer)
        for first in range(at + 1):  # what was before the change is in both
            path = paths.consistency(other_node, first, SIZES)
            assert paths.is_consistent(first, SIZES, path, roots[first], naive_root(others))


# what proofs cost


class Counted:
    """How many nodes were hashed, and how many tiles were read."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.hashes = self.tiles = 0
        hash_nodes, read_hashes = paths.node_hash, tiles.Tiles._hashes

        def node_hash(left: bytes, right: bytes) -> bytes:
            self.hashes += 1
            return hash_nodes(left, right)

        def hashes(self_: tiles.Tiles, level: int, start: int, stop: int) -> list[bytes]:
            self.tiles += 1
            assert start // tiles.WIDTH == (stop - 1) // tiles.WIDTH
            return read_hashes(self_, level, start, stop)

        patch.setattr(paths, "node_hash", node_hash)
        patch.setattr(tiles, "node_hash", node_hash)
        patch.setattr(tiles.Tiles, "_hashes", hashes)

    def of(self, act: Callable[[], object]) -> tuple[int, int]:
        self.hashes = self.tiles = 0
        act()
        return self.hashes, self.tiles


def test_a_proof_costs_as_many_tiles_as_the_tree_is_high(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No entry is read; a node is hashed from at most half a tile of 256, once; each level has a few."""
    data = Dataset(workspace, "wheat", actor="tester")
    counted = Counted(monkeypatch)
    for size in (100, 1_000, 10_000, 40_000):
        with data.writing():
            count = size - data.log.size
            data.append([AliasSet(f"alias-{number % 7}") for number in range(count)], sync=True)
        with Prover(data) as prover:
            prover.root()
        height = (size - 1).bit_length()
        for position in {0, 1, size // 3, size // 2, size - 2, size - 1}:
            for ask in (
                lambda it: it.inclusion(position, size),  # noqa: B023 - it is called at once
                lambda it: it.inclusion(position, position + 1),  # noqa: B023 - likewise
                lambda it: it.consistency(position, size),  # noqa: B023 - likewise
            ):
                with monkeypatch.context() as patch, Prover(data) as prover:
                    patch.setattr(data.log, "raw_lines", no_lines)
                    hashes, read = counted.of(functools.partial(ask, prover))
                    assert read <= 3 * height
                    assert hashes <= 80 * height
                    hashes, read = counted.of(functools.partial(ask, prover))
                    assert read == 0
                    assert hashes <= 5 * height
    data.close()


def no_lines(start: int = 0) -> Iterator[bytes]:
    """A log of which nothing may be read; that nothing is left to be hashed is all that is asked."""
    yield from ()


def test_a_check_costs_a_hash_for_each_level(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = Counted(monkeypatch)
    leaf, root = bytes(32), bytes(32)
    for size in (2**20, 2**20 + 1, 2**40 - 1):
        for index in (0, size // 3, size - 1):
            path = [leaf] * len(way(index, size))
            assert counted.of(lambda: paths.is_included(leaf, index, size, path, root))[0] == len(path)  # noqa: B023 - it is called at once
            path = [leaf] * (len(growth(index or 1, size)) - 1 + bool((index or 1) & ((index or 1) - 1)))
            hashes, _ = counted.of(lambda: paths.is_consistent(index or 1, size, path, root, root))  # noqa: B023 - likewise
            assert hashes <= 2 * len(path) <= 2 * (size.bit_length() + 1)
