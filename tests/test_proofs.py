"""Proofs: made and checked, against the tree's definition, and against each single bit that is changed."""

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.published import BY_PETER, NOTE_TEXT, PETER, PETERS_SECRET

from chainfold.dataset import Dataset
from chainfold.errors import CorruptionError, InvalidInputError, NotFoundError
from chainfold.events import AliasSet
from chainfold.proof import paths, tiles
from chainfold.proof.notes import PrivateKey, PublicKey, opened
from chainfold.proof.prover import Prover

sizes = st.integers(0, 70)
bits = st.integers(0, 255)


def naive_root(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962, section 2.1, word for word."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return sha256(b"\x00" + leaves[0]).digest()
    split = 1
    while 2 * split < len(leaves):
        split *= 2
    return sha256(b"\x01" + naive_root(leaves[:split]) + naive_root(leaves[split:])).digest()


def leaves_of(size: int, salt: int = 0) -> list[bytes]:
    return [f"{salt} {number}".encode() for number in range(size)]


def nodes_of(leaves: list[bytes]) -> paths.Node:
    return lambda height, index: naive_root(leaves[index << height : (index + 1) << height])


def flipped(data: bytes, bit: int) -> bytes:
    content = bytearray(data)
    content[bit // 8] ^= 1 << bit % 8
    return bytes(content)


def test_every_leaf_of_every_small_tree_is_proven_and_at_no_other_place() -> None:
    for size in range(1, 34):
        leaves = leaves_of(size)
        root = naive_root(leaves)
        for index in range(size):
            path = paths.inclusion(nodes_of(leaves), index, size)
            assert len(path) <= (size - 1).bit_length()
            leaf = paths.leaf_hash(leaves[index])
            found = [n for n in range(-1, size + 2) if paths.is_included(leaf, n, size, path, root)]
            assert found == [index]


def test_every_small_tree_has_grown_from_each_smaller_one_and_from_no_other() -> None:
    for second in range(34):
        leaves = leaves_of(second)
        root = naive_root(leaves)
        for first in range(second + 1):
            path = paths.consistency(nodes_of(leaves), first, second)
            assert len(path) <= second.bit_length() + 1
            older = naive_root(leaves[:first])
            found = [n for n in range(-1, second + 2) if paths.is_consistent(n, second, path, older, root)]
            assert found == [first]
            assert paths.subtree(nodes_of(leaves), 0, first) == older


@given(st.data(), st.integers(1, 300), bits)
def test_a_proof_of_inclusion_fails_for_each_bit_that_is_changed(
    data: st.DataObject, size: int, bit: int
) -> None:
    index = data.draw(st.integers(0, size - 1))
    leaves = leaves_of(size)
    root, path = naive_root(leaves), paths.inclusion(nodes_of(leaves), index, size)
    leaf = paths.leaf_hash(leaves[index])
    assert paths.is_included(leaf, index, size, path, root)
    assert not paths.is_included(flipped(leaf, bit), index, size, path, root)
    assert not paths.is_included(leaf, index, size, path, flipped(root, bit))
    assert not paths.is_included(leaf, index, size, [*path, leaf], root)
    if path:
        at = data.draw(st.integers(0, len(path) - 1))
        assert not paths.is_included(leaf, index, size, path[:at] + path[at + 1 :], root)
        path[at] = flipped(path[at], bit)
        assert not paths.is_included(leaf, index, size, path, root)


@given(st.data(), st.integers(2, 300), bits)
def test_a_proof_of_growth_fails_for_each_bit_that_is_changed(
    data: st.DataObject, second: int, bit: int
) -> None:
    first = data.draw(st.integers(1, second - 1))
    leaves = leaves_of(second)
    older, newer = naive_root(leaves[:first]), naive_root(leaves)
    path = paths.consistency(nodes_of(leaves), first, second)
    assert paths.is_consistent(first, second, path, older, newer)
    assert not paths.is_consistent(first, second, path, flipped(older, bit), newer)
    assert not paths.is_consistent(first, second, path, older, flipped(newer, bit))
    assert not paths.is_consistent(first, second, [*path, older], older, newer)
    at = data.draw(st.integers(0, len(path) - 1))
    assert not paths.is_consistent(first, second, path[:at] + path[at + 1 :], older, newer)
    path[at] = flipped(path[at], bit)
    assert not paths.is_consistent(first, second, path, older, newer)


@given(st.data(), st.integers(1, 60), st.integers(1, 60))
def test_no_other_log_has_grown_from_it(data: st.DataObject, first: int, more: int) -> None:
    changed = data.draw(st.integers(0, first - 1))
    leaves = leaves_of(first + more)
    others = [*leaves]
    others[changed] = b"another"
    for made_of in (leaves, others):
        path = paths.consistency(nodes_of(made_of), first, first + more)
        roots = naive_root(leaves[:first]), naive_root(others)
        assert not paths.is_consistent(first, first + more, path, *roots)


@pytest.mark.parametrize(("first", "second"), [(-1, 2), (3, 2)])
def test_what_never_was_is_not_proven(first: int, second: int) -> None:
    with pytest.raises(IndexError):
        paths.consistency(nodes_of(leaves_of(5)), first, second)
    with pytest.raises(IndexError):
        paths.inclusion(nodes_of(leaves_of(5)), first if first < 0 else second, second)


# beside a log

ENTRIES: Final = 43


@pytest.fixture
def data(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Dataset]:
    """A log of several segments, and tiles of four hashes."""
    monkeypatch.setattr(tiles, "HEIGHT", 2)
    monkeypatch.setattr(tiles, "WIDTH", 4)
    dataset = Dataset(workspace, "wheat", actor="tester", segment_bytes=1_000)
    fill(dataset, ENTRIES)
    yield dataset
    dataset.close()


def fill(data: Dataset, count: int) -> None:
    for number in range(count):
        with data.writing():
            data.append([AliasSet(f"alias-{number}", None)], sync=True)


def check_all(data: Dataset, prover: Prover) -> None:
    lines = list(data.log.raw_lines())
    for size in range(1, len(lines) + 1, 3):
        assert prover.root(size) == naive_root(lines[:size])
        for position in range(0, size, 5):
            proof = prover.inclusion(position, size)
            leaf = paths.leaf_hash(lines[position])
            assert paths.is_included(leaf, position, size, proof.path, naive_root(lines[:size]))
        for first in range(0, size, 4):
            growth = prover.consistency(first, size)
            assert (growth.first_root, growth.second_root) == (naive_root(lines[:first]), prover.root(size))
            assert paths.is_consistent(first, size, growth.path, growth.first_root, growth.second_root)


def test_all_of_a_log_is_proven_and_no_entry_is_read_again(
    data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    prover = Prover(data)
    check_all(data, prover)
    prover.close()
    assert {path.name for path in (data.folder / "tiles").iterdir()} == {"0", "1", "2"}
    fill(data, 7)
    again = Prover(data)
    asked: list[int] = []
    lines = data.log.raw_lines

    def reading(start: int = 0) -> Iterator[bytes]:
        asked.append(start)
        return lines(start)

    monkeypatch.setattr(data.log, "raw_lines", reading)
    again.root()
    assert min(asked) == ENTRIES
    monkeypatch.undo()
    check_all(data, again)
    again.close()


@pytest.mark.parametrize("level", [0, 1, 2])
@pytest.mark.parametrize("damage", ["flip", "cut", "more", "remove", "other"])
def test_hashes_that_are_not_the_logs_are_made_anew(data: Dataset, level: int, damage: str) -> None:
    prover = Prover(data)
    prover.root()
    prover.close()
    path = data.folder / "tiles" / str(level)
    content = path.read_bytes()
    changed = {
        "flip": flipped(content, 8 * (len(content) // 2)),
        "cut": content[:-40] if len(content) > 40 else content[:-7],
        "more": content + bytes(100),
        "remove": b"",
        "other": bytes(len(content)),
    }[damage]
    path.write_bytes(changed) if damage != "remove" else path.unlink()
    prover = Prover(data)
    check_all(data, prover)
    fill(data, 30)
    check_all(data, prover)
    prover.close()
    prover = Prover(data)
    check_all(data, prover)
    prover.close()


def test_where_nothing_can_be_written_hashes_are_kept_in_memory(
    data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("read-only")

    monkeypatch.setattr(data.files, "make_folder", refuse)
    prover = Prover(data)
    check_all(data, prover)
    prover.close()
    assert not (data.folder / "tiles").exists()


def test_what_the_log_does_not_have_is_not_proven(data: Dataset) -> None:
    prover = Prover(data)
    with pytest.raises(NotFoundError, match="43 entries has none at position 43"):
        prover.inclusion(43)
    with pytest.raises(NotFoundError, match="has 43 entries, and had never 44"):
        prover.inclusion(3, 44)
    with pytest.raises(NotFoundError, match="10 entries did not grow from one of 11"):
        prover.consistency(11, 10)
    prover.close()


# notes

SIGNED: Final = f"{NOTE_TEXT}\n{BY_PETER}"


def test_a_note_with_one_changed_bit_is_not_signed() -> None:
    """Whichever bit it is: base64 has one spelling only."""
    for bit in range(8 * len(SIGNED.encode())):
        try:
            text, signatures = opened(flipped(SIGNED.encode(), bit))
            is_signed = PublicKey.parse(PETER).has_signed(text, signatures)
        except CorruptionError:
            continue
        assert not is_signed, bit


@pytest.mark.parametrize(
    "note",
    [
        b"",
        b"text\n",
        b"text\n\n",
        SIGNED.encode()[:-1],
        b"\xff\n\n",
        SIGNED.encode() + b"\n",
        b"a\n" * 600_000,
    ],
)
def test_what_is_no_note_is_told(note: bytes) -> None:
    with pytest.raises(CorruptionError, match="not a signed note"):
        opened(note)


@pytest.mark.parametrize(
    "key", ["", "name", "a+b+c", PETER.replace("c74f", "c74e"), PETER[:-4], PETERS_SECRET]
)
def test_what_is_no_key_is_told(key: str) -> None:
    with pytest.raises(InvalidInputError):
        PublicKey.parse(key)
    with pytest.raises(InvalidInputError) as error:
        PrivateKey.parse(key if key == "" else PETERS_SECRET.replace("c74f", "c74e"))
    assert "AYEK" not in str(error.value)


def test_keys_and_texts_that_cannot_be_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="no blanks"):
        PrivateKey("two words", bytes(32))
    with pytest.raises(InvalidInputError, match="32 bytes, not 31"):
        PrivateKey("name", bytes(31))
    for text in ("", "\n", "no end", "a\x00\n"):
        with pytest.raises(InvalidInputError):
            PrivateKey("name", bytes(32)).signed(text)
