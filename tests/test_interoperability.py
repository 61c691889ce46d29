"""Checkpoints, notes and proofs mean to others what they mean to us, and theirs to us.

The others: Sigstore's client (the inclusion proofs and checkpoints of Rekor), tlog-scales (logs of C2SP
tlog-tiles: proofs of both kinds, signed checkpoints, tiles) and pymerkle (proofs of inclusion); and what Go's
checksum database, Trillian's successors, a log of Certificate Transparency and Rekor have published.
"""

import base64
import itertools
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import pymerkle
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from pymerkle.proof import InclusionProof as PymerkleProof
from sigstore._internal.merkle import verify_merkle_inclusion
from sigstore._internal.rekor.checkpoint import SignedCheckpoint, verify_checkpoint
from sigstore._internal.trust import Keyring as SigstoreKeyring
from sigstore._internal.trust import RekorKeyring
from sigstore._utils import KeyID
from sigstore.errors import VerificationError
from sigstore_models.common import v1 as common
from tests import published
from tests.test_proofs import flipped, leaves_of, naive_root, nodes_of
from tlog_scales.reader import TilesReader
from tlog_scales.signing import PlainEd25519Signer, Vkey
from tlog_scales.tlog import Checkpoint as ScalesCheckpoint
from tlog_scales.tlog import ConsistencyProof as ScalesConsistency
from tlog_scales.tlog import ConsistencyProofInvalid, InclusionProofInvalid
from tlog_scales.tlog import InclusionProof as ScalesInclusion
from tlog_scales.writer import TilesWriter

from chainfold import ArtifactRegistry
from chainfold.dataset import Dataset
from chainfold.errors import CorruptionError, InvalidInputError
from chainfold.events import AliasSet
from chainfold.log import parse_checkpoint
from chainfold.log.merkle import MerkleTree
from chainfold.proof import paths
from chainfold.proof.model_verifier import NotProvenError, check
from chainfold.proof.notes import PrivateKey, PublicKey, opened
from chainfold.proof.tiles import Tiles
from chainfold.storage import LocalFiles

SEED: Final = bytes(range(32))
KEY: Final = PrivateKey("chainfold/wheat", SEED)

# inclusion: ours, as others judge it


def sigstore_includes(line: bytes, index: int, size: int, path: list[bytes], root: bytes) -> bool:
    proof = SimpleNamespace(log_index=index, tree_size=size, hashes=path, root_hash=root)
    entry: Any = SimpleNamespace(_inner=SimpleNamespace(inclusion_proof=proof, canonicalized_body=line))
    try:
        verify_merkle_inclusion(entry)
    except VerificationError:
        return False
    return 0 <= index < size  # which Sigstore's client does not ask


def scales_includes(line: bytes, index: int, size: int, path: list[bytes], root: bytes) -> bool:
    try:
        ScalesInclusion(index, size, path).check(paths.leaf_hash(line), root)
    except InclusionProofInvalid:
        return False
    return index >= 0


def pymerkle_includes(line: bytes, index: int, size: int, path: list[bytes], root: bytes) -> bool:
    """With the sides of the siblings, which pymerkle has in its proofs, as its own layout gives them."""
    if not 0 <= index < size:
        return False
    rule = pymerkle.core._inclusion_path_layout(index + 1, size)[0]
    proof = PymerkleProof("sha256", True, size, index + 1, rule, [paths.leaf_hash(line), *path])
    try:
        proof.verify(paths.leaf_hash(line), root, index=index + 1, size=size, algorithm="sha256")
    except pymerkle.InvalidProof:
        return False
    return True


OTHERS: Final = [sigstore_includes, scales_includes, pymerkle_includes]


@pytest.mark.parametrize("includes", OTHERS)
def test_others_take_our_proof_of_each_entry_in_each_log(includes: Any) -> None:
    for size in range(1, 41):
        leaves = leaves_of(size)
        root = MerkleTree()
        root.extend(leaves)
        for index, leaf in enumerate(leaves):
            path = paths.inclusion(nodes_of(leaves), index, size)
            assert includes(leaf, index, size, path, root.root())
            assert not includes(leaf, index, size, path, flipped(root.root(), index))


@st.composite
def claims(draw: st.DrawFn) -> tuple[bytes, int, int, list[bytes], bytes]:
    """That a leaf is in a log: true, or nearly."""
    size = draw(st.integers(1, 200))
    index = draw(st.integers(0, size - 1))
    leaves = leaves_of(size)
    path, root = paths.inclusion(nodes_of(leaves), index, size), naive_root(leaves)
    leaf = leaves[draw(st.sampled_from([index, index, index, 0, -1]))]
    index = draw(st.sampled_from([index, index, index, index ^ 1, index ^ 2, size, size - 1, 0]))
    size = draw(
        st.sampled_from([size, size, size, size + 1, size - 1, 2 * size, size ^ 1, 1 << size.bit_length()])
    )
    if path:
        at = draw(st.integers(0, len(path) - 1))
        other = draw(
            st.sampled_from([path[at], path[at], path[at], flipped(path[at], 7), root, path[0], None])
        )
        path[at : at + 1] = [] if other is None else [other]
    path += draw(st.sampled_from([[], [], [], [root], [leaf[:0] or root]]))
    return leaf, index, max(size, 1), path, draw(st.sampled_from([root, root, root, flipped(root, 3), leaf]))


@given(claims())
def test_others_agree_on_what_is_included(claim: tuple[bytes, int, int, list[bytes], bytes]) -> None:
    leaf, index, size, path, root = claim
    ours = paths.is_included(paths.leaf_hash(leaf), index, size, path, root)
    assert [includes(*claim) for includes in OTHERS] == [ours] * len(OTHERS)


# consistency


def scales_agrees(first: int, second: int, path: list[bytes], older: bytes, newer: bytes) -> bool:
    try:
        ScalesConsistency(first, second, path).check(older, newer)
    except ConsistencyProofInvalid:
        return False
    return first <= second


def test_others_take_our_proof_of_growth_between_each_two_sizes() -> None:
    for second in range(41):
        leaves = leaves_of(second)
        newer = naive_root(leaves)
        for first in range(second + 1):
            path, older = paths.consistency(nodes_of(leaves), first, second), naive_root(leaves[:first])
            assert scales_agrees(first, second, path, older, newer)
            assert not scales_agrees(first, second, path, flipped(older, first), newer)


@given(st.data(), st.integers(1, 100), st.integers(0, 100))
def test_others_agree_on_what_has_grown(data: st.DataObject, first: int, more: int) -> None:
    """But for empty logs: there, tlog-scales does not look at every root."""
    second = first + more
    leaves = leaves_of(second)
    older, newer = naive_root(leaves[:first]), naive_root(leaves)
    path = paths.consistency(nodes_of(leaves), first, second)
    older = data.draw(st.sampled_from([older, older, older, flipped(older, 9), newer, naive_root([])]))
    newer = data.draw(st.sampled_from([newer, newer, newer, flipped(newer, 9), older]))
    first = data.draw(st.sampled_from([first, first, first, first ^ 1 or 1, first + 1, second, 1]))
    second = data.draw(st.sampled_from([second, second, second, second ^ 1, 2 * second, first]))
    if path:
        at = data.draw(st.integers(0, len(path) - 1))
        other = data.draw(st.sampled_from([path[at], path[at], flipped(path[at], 7), older, None]))
        path[at : at + 1] = [] if other is None else [other]
    path += data.draw(st.sampled_from([[], [], [newer]]))
    claim = first, second, path, older, newer
    assert scales_agrees(*claim) == paths.is_consistent(*claim)


# their proofs, as we judge them; and tiles


@pytest.fixture(scope="module")
def scales_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of tlog-scales, of 600 entries, of which the last tile is partial."""
    if sys.platform == "win32":
        pytest.skip("tlog-scales writes by means that Windows has not")
    folder = tmp_path_factory.mktemp("scales") / "log"
    writer = TilesWriter.create(folder, "chainfold/wheat")
    for leaf in leaves_of(600):
        writer.add_leaf(leaf)
    writer.commit([PlainEd25519Signer("chainfold/wheat", SEED)])
    return folder


def test_we_take_the_proofs_of_a_log_of_tiles(scales_log: Path) -> None:
    leaves, writer = leaves_of(600), TilesWriter.from_path(scales_log)
    signed = (scales_log / "checkpoint").read_bytes()
    text, signatures = opened(signed)
    assert KEY.public.has_signed(text, signatures)
    known = parse_checkpoint(signed)
    assert (known.origin, known.size, known.root) == ("chainfold/wheat", 600, naive_root(leaves))
    for size in (1, 2, 255, 256, 257, 511, 512, 600):
        root = naive_root(leaves[:size])
        for index in {0, 1, size // 2, size - 1} & set(range(size)):
            path = writer.reader.get_inclusion_proof(index, size).node_hashes
            assert paths.is_included(paths.leaf_hash(leaves[index]), index, size, path, root)
            assert path == paths.inclusion(nodes_of(leaves), index, size)
        path = writer.reader.get_consistency_proof(size, 600).node_hashes
        assert paths.is_consistent(size, 600, path, root, known.root)
        assert path == paths.consistency(nodes_of(leaves), size, 600)


def test_we_take_the_proofs_of_pymerkle() -> None:
    tree = pymerkle.InmemoryTree(algorithm="sha256")
    leaves = leaves_of(60)
    for leaf in leaves:
        tree.append_entry(leaf)
    for size in range(1, 61):
        root = tree.get_root(size)
        assert root == naive_root(leaves[:size])
        for index in range(size):
            leaf, *path = tree.prove_inclusion(index + 1, size).path
            assert paths.is_included(leaf, index, size, path, root)
    assert tree.get_root(0) == naive_root([])


class OurTiles:
    """Our files of tiles as a tree of tiles is asked for: `tile/<level>/x001/234` and `….p/<width>`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, *path: str) -> bytes | None:
        _, level, *rest = path
        width = int(rest.pop()) if rest[-2:-1] and rest[-2].endswith(".p") else 256
        number = int("".join(part.removeprefix("x").removesuffix(".p") for part in rest))
        content = (self.folder / level).read_bytes()
        return content[number * 256 * 32 :][: width * 32]


def test_others_make_proofs_of_our_tiles(workspace: Path) -> None:
    data = Dataset(workspace, "wheat", actor="tester")
    with data.writing():
        data.append([AliasSet(f"alias-{number}") for number in range(700)], sync=True)
    data.close()
    with ArtifactRegistry(workspace, "wheat") as registry:
        ours = [registry.as_of(size).inclusion_proof(size // 3) for size in (300, 512, 700)]
        growth = [registry.as_of(700).consistency_proof(size) for size in (1, 256, 300, 512, 699)]
    reader = TilesReader(OurTiles(workspace / "log" / "wheat" / "tiles"))
    reader.set_size(700)
    for each in ours:
        assert reader.get_inclusion_proof(each.position, each.size).node_hashes == each.path
        assert reader.mth(0, each.size) == each.root
    for one in growth:
        assert reader.get_consistency_proof(one.first, one.second).node_hashes == one.path


def test_we_make_proofs_of_their_tiles(scales_log: Path, tmp_path: Path) -> None:
    """As far as they are full: ours have no others."""
    for level in (0, 1):
        full = sorted(path for path in (scales_log / "tile" / str(level)).iterdir() if path.is_file())
        partial = sorted((scales_log / "tile" / str(level)).glob("*.p/*"))
        (tmp_path / str(level)).write_bytes(b"".join(path.read_bytes() for path in [*full, *partial]))
    tiles, leaves = Tiles(tmp_path, LocalFiles()), leaves_of(600)
    assert tiles.size == 600
    assert paths.inclusion(tiles.node, 77, 600) == paths.inclusion(nodes_of(leaves), 77, 600)
    assert paths.consistency(tiles.node, 300, 600) == paths.consistency(nodes_of(leaves), 300, 600)
    tiles.close()


# notes and checkpoints


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Any]]:
    """A signed checkpoint of a registry, and the proof of a model against it."""
    with ArtifactRegistry(tmp_path_factory.mktemp("signed"), "wheat", actor="tester") as registry:
        for number in range(5):
            sources = [f"p:{source}:all" for source in range(number)]
            registry.register([number], f"p:{number}:all", "model", depends_on=sources)
        return registry.checkpoint(KEY), json.loads(registry.model_proof("p:3:all", KEY))


def keyring(key: Ed25519PrivateKey) -> RekorKeyring:
    der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    details = common.PublicKeyDetails.PKIX_ED25519
    return RekorKeyring(
        SigstoreKeyring([common.PublicKey(raw_bytes=base64.b64encode(der), key_details=details)])
    )


def test_sigstore_opens_what_we_sign(signed: tuple[str, dict[str, Any]]) -> None:
    note, proof = signed
    known = SignedCheckpoint.from_text(note)
    key_id = KeyID(KEY.public.key_id)
    known.signed_note.verify(keyring(Ed25519PrivateKey.from_private_bytes(SEED)), key_id)
    assert (known.checkpoint.origin, known.checkpoint.log_size) == ("chainfold/wheat", 5)
    assert known.checkpoint.log_hash == parse_checkpoint(note.encode()).root.hex()
    with pytest.raises(VerificationError, match="invalid signature"):
        known.signed_note.verify(keyring(Ed25519PrivateKey.from_private_bytes(bytes(32))), key_id)
    # And a model's proof: each of its lines is an entry of a log like Rekor's.
    for position, entry in proof["entries"].items():
        inclusion = SimpleNamespace(
            log_index=int(position),
            tree_size=5,
            hashes=[bytes.fromhex(each) for each in entry["path"]],
            root_hash=parse_checkpoint(note.encode()).root,
            checkpoint=SimpleNamespace(envelope=proof["checkpoint"]),
        )
        whole: Any = SimpleNamespace(
            _inner=SimpleNamespace(
                inclusion_proof=inclusion,
                canonicalized_body=entry["line"].encode(),
                log_id=SimpleNamespace(key_id=KEY.public.key_id),
            )
        )
        verify_merkle_inclusion(whole)
        verify_checkpoint(keyring(Ed25519PrivateKey.from_private_bytes(SEED)), whole)


def test_tlog_scales_opens_what_we_sign_and_we_what_it_signs(signed: tuple[str, dict[str, Any]]) -> None:
    note, proof = signed
    vkey, other = Vkey.from_string(str(KEY.public)), Vkey.from_string(published.PETER)
    for text in (note, proof["checkpoint"]):
        known = ScalesCheckpoint.from_text(text)
        known.verify(vkey)
        with pytest.raises(RuntimeError, match="no signature matched"):
            known.verify(other)
        assert known.serialize() == text
    with pytest.raises(InvalidSignature):
        ScalesCheckpoint.from_text(note.replace("\n5\n", "\n6\n")).verify(vkey)
    signer: Any = PlainEd25519Signer("chainfold/wheat", SEED)
    assert signer.vkey.serialize() == str(KEY.public)
    theirs = ScalesCheckpoint.make_signed("chainfold/wheat", 5, known.root_hash, [signer]).serialize()
    assert theirs == note  # Ed25519 signs the same text alike
    check({**proof, "checkpoint": theirs}, str(KEY.public))


# what was published


def test_the_shared_tree_has_its_roots_and_proofs() -> None:
    leaves, roots = published.LEAVES, [published.EMPTY_ROOT, *published.ROOTS]
    tree = MerkleTree()
    for size, root in enumerate(roots):
        assert tree.root() == root == paths.subtree(nodes_of(leaves), 0, size)
        if size < len(leaves):
            tree.append(leaves[size])
    for each in published.CONTAINED:
        assert paths.inclusion(nodes_of(leaves), each.at, each.size) == each.path
        leaf = paths.leaf_hash(leaves[each.at])
        assert paths.is_included(leaf, *each, roots[each.size])
        for wrong in wrong_paths(each.path, roots[each.size]):
            assert not paths.is_included(leaf, each.at, each.size, wrong, roots[each.size])
    for one in published.GROWN:
        older, newer = roots[one.first], roots[one.second]
        assert paths.consistency(nodes_of(leaves), one.first, one.second) == one.path
        assert paths.is_consistent(*one, older, newer)
        for wrong in wrong_paths(one.path, older, newer):
            assert not paths.is_consistent(one.first, one.second, wrong, older, newer)


def wrong_paths(path: list[bytes], *roots: bytes) -> Iterator[list[bytes]]:
    """As `corruptInclusionProof` and `corruptConsistencyProof` beside the published vectors make them."""
    for more in (b"", *roots):
        yield [*path, more]
        yield [more, *path]
    for at in range(len(path)):
        yield path[:at] + path[at + 1 :]
        yield [*path[:at], flipped(path[at], 3), *path[at + 1 :]]
        yield [path[at], *path]


def test_a_log_of_certificates_has_what_it_proved() -> None:
    """Of 961,984,013 leaves."""
    leaf, root, older = published.ARGON_LEAF, published.ARGON_ROOT, published.ARGON_OLDER
    assert paths.is_included(leaf, *published.ARGON_CONTAINED, root)
    assert paths.is_consistent(*published.ARGON_GROWN, older, root)
    for wrong in wrong_paths(published.ARGON_CONTAINED.path, root):
        assert not paths.is_included(leaf, *published.ARGON_CONTAINED[:2], wrong, root)
    for wrong in wrong_paths(published.ARGON_GROWN.path, older, root):
        assert not paths.is_consistent(*published.ARGON_GROWN[:2], wrong, older, root)


def test_rekors_checkpoint_and_proof_are_good() -> None:
    text, signatures = opened(published.REKOR_NOTE.encode())
    assert PublicKey.parse(published.REKOR_KEY).has_signed(text, signatures)
    assert not KEY.public.has_signed(text, signatures)
    known = parse_checkpoint(published.REKOR_NOTE.encode())
    assert known.size == published.REKOR_CONTAINED.size
    assert paths.is_included(published.REKOR_LEAF, *published.REKOR_CONTAINED, known.root)


def test_published_notes_are_signed_and_opened_alike() -> None:
    text, peter, enoch = published.NOTE_TEXT, published.BY_PETER, published.BY_ENOCH
    keys = [PublicKey.parse(each) for each in (published.PETER, published.ENOCH)]
    key = PrivateKey.parse(published.PETERS_SECRET)
    assert (str(key.public), key.text()) == (published.PETER, published.PETERS_SECRET)
    assert published.PETERS_SECRET[-20:] not in repr(key)
    assert key.signed(text) == f"{text}\n{peter}"
    assert not PrivateKey("PeterNeumann", bytes(32)).public.has_signed(*opened(f"{text}\n{peter}".encode()))
    for below, has_signed in [
        (peter + enoch, [True, True]),
        (enoch + peter + enoch, [True, True]),
        (peter, [True, False]),
        (enoch * 16, [False, True]),
        (peter.replace("PeterNeumann", "CarmenSandiego"), [False, False]),
        (peter.replace("x08g", "xxxx"), [False, False]),
    ]:
        found, signatures = opened(f"{text}\n{below}".encode())
        assert found == text
        assert [each.has_signed(found, signatures) for each in keys] == has_signed
    with pytest.raises(CorruptionError, match="not of this text"):
        keys[0].has_signed(*opened(f"{text}\n{peter[:60]}ABCD{peter[60:]}".encode()))


@pytest.mark.parametrize("note", published.BAD_NOTES)
def test_published_notes_that_are_none_are_refused(note: str) -> None:
    with pytest.raises(CorruptionError, match="not a signed note"):
        opened(note.encode())


def test_every_part_and_every_change_of_a_published_key_is_refused() -> None:
    for text, parse in ((published.PETER, PublicKey.parse), (published.PETERS_SECRET, PrivateKey.parse)):
        cuts = itertools.combinations(range(len(text) + 1), 2)
        wrong = [text[start:stop] for start, stop in cuts if stop - start < len(text)]
        wrong += [text[:at] + chr(ord(text[at]) + 1) + text[at + 1 :] for at in range(len(text))]
        for each in [*wrong, *published.BAD_KEYS]:
            with pytest.raises(InvalidInputError):
                parse(each)


def test_published_checkpoints_are_read() -> None:
    text = published.GO_CHECKPOINT
    for more in ("", "JOE", "JOE\n", "JOE\n" * 1000):
        known = parse_checkpoint((text + more).encode())
        assert known == ("go.sum database tree", 123456789012, paths.leaf_hash(b"hello world"))
        assert known.text().decode() == text
    for bad in published.BAD_CHECKPOINTS:
        with pytest.raises(CorruptionError, match="not a checkpoint"):
            parse_checkpoint(bad.encode())
    known = parse_checkpoint(published.C2SP_CHECKPOINT.encode())
    assert (known.origin, known.size) == ("example.com/behind-the-sofa", 20852163)
    text, (signature,) = opened(published.C2SP_CHECKPOINT.encode())
    assert (text, signature.name) == (known.text().decode(), "example.com/behind-the-sofa")
    text, (signature,) = opened(published.C2SP_NOTE.encode())
    assert text.endswith("di sole:\n\ned è subito sera.\n")
    assert (signature.name, len(signature.value)) == ("quasimodo.example/salvatore", 64)


def test_a_model_verifier_reads_notes_as_others_do(signed: tuple[str, dict[str, Any]]) -> None:
    """A checkpoint that is good elsewhere is not this log's."""
    for note, key in ((published.REKOR_NOTE, published.REKOR_KEY), (published.C2SP_CHECKPOINT, None)):
        with pytest.raises(NotProvenError, match="is not in the log"):
            check({**signed[1], "checkpoint": note}, key)
    with pytest.raises(NotProvenError, match="is not signed with the key 'chainfold/wheat'"):
        check({**signed[1], "checkpoint": published.REKOR_NOTE}, str(KEY.public))
