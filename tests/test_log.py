"""The log: sums, the tree, the checkpoint, segments, and readers that follow a writer."""

import itertools
import json
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import reader

from chainfold.errors import CorruptionError, InvalidInputError, UnknownEventError
from chainfold.events import (
    AliasSet,
    AnyEvent,
    ArtifactRegistered,
    ArtifactsDeleted,
    BlobsSwept,
    DatasetPurged,
    Entry,
    RunCommitted,
    RunRolledBack,
    RunStarted,
    decode_entry,
    encode_entry,
)
from chainfold.log import ENTRY_LIMIT, SEGMENT_BYTES, Checkpoint, LocalLog, MerkleTree
from chainfold.log import checkpoint as checkpoints
from chainfold.log import lines as log_lines
from chainfold.log.merkle import Span
from chainfold.records import ArtifactRecord, ArtifactType, MetaModelConfig
from chainfold.storage import LocalFiles

SEEDS = st.integers(0, 2**64 - 1)
TEXTS = st.text(max_size=8)


def opened(folder: Path, segment_bytes: int = SEGMENT_BYTES, dataset: str = "wheat") -> LocalLog:
    """A log that has read all there is."""
    log = LocalLog(folder, dataset, LocalFiles(), segment_bytes=segment_bytes)
    list(log.catch_up())
    return log


def write(log: LocalLog, count: int = 1, *, sync: bool = True, run: str | None = None) -> list[Entry]:
    """Append as a command does, with the lock held."""
    list(log.catch_up(thorough=True))
    log.recover()
    events = [AliasSet(f"alias-{log.size + number}") for number in range(count)]
    return log.append(events, actor="tester", run=run, sync=sync)


def segments(folder: Path) -> list[Path]:
    return sorted((folder / "segments").iterdir())


# Sums


@given(st.binary(max_size=80), SEEDS, SEEDS, st.data())
def test_a_sealed_line_has_its_sum_and_no_other_line_does(
    body: bytes, seed: int, other: int, data: st.DataObject
) -> None:
    """A line checks with its own seed; with another seed, one byte changed, or cut anywhere it does not."""
    line, total = log_lines.seal(body, seed)
    assert log_lines.checked_sum(line, seed) == total == log_lines.stated_sum(line) == reader.line_sum(line)
    assert total == xxhash.xxh3_64_intdigest(body, seed)
    if other != seed:
        assert log_lines.checked_sum(line, other) is None
    at, mask = data.draw(st.integers(0, len(line) - 1)), data.draw(st.integers(1, 255))
    flipped = line[:at] + bytes([line[at] ^ mask]) + line[at + 1 :]
    assert log_lines.checked_sum(flipped, seed) is None
    assert all(log_lines.checked_sum(line[:length], seed) is None for length in range(len(line)))


def test_the_seed_of_the_first_line() -> None:
    assert f"{xxhash.xxh3_64_intdigest(b''):016x}" == "2d06800538d394c2"  # published with xxHash
    assert log_lines.genesis("wheat") == xxhash.xxh3_64_intdigest(b"chainfold/wheat")
    assert log_lines.genesis("wheat") != log_lines.genesis("Wheat")


@pytest.mark.parametrize(
    "sum_", ["0123456789ABCDEF", "123456789abcdef", "0x23456789abcdef", "+123456789abcdef"]
)
def test_a_sum_is_sixteen_lower_case_digits(sum_: str) -> None:
    assert log_lines.stated_sum(f'{{"position":0,"sum":"{sum_}"}}'.encode()) is None


# The tree

# The inputs and roots that certificate-transparency publishes for RFC 6962.
LEAVES: Final = [
    bytes.fromhex(leaf)
    for leaf in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS: Final = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def test_the_tree_has_the_published_roots() -> None:
    tree = MerkleTree()
    assert tree.root() == reader.root([])
    for size, (leaf, root) in enumerate(zip(LEAVES, ROOTS, strict=True), 1):
        tree.append(leaf)
        assert (tree.size, tree.root().hex()) == (size, root)
        assert reader.root(LEAVES[:size]).hex() == root


@given(st.lists(st.binary(max_size=3), max_size=70), st.integers(0, 70))
def test_the_tree_is_that_of_the_recursive_definition(leaves: list[bytes], split: int) -> None:
    """Fed in any portions, and asked at any size, it gives the root that RFC 6962 defines."""
    tree = MerkleTree()
    for portion in (leaves[:split], leaves[split:]):
        tree.extend(portion)
        assert tree.root() == reader.root(leaves[: tree.size])


@given(st.lists(st.binary(max_size=3), max_size=70), st.lists(st.integers(0, 70)), st.integers(1, 9))
def test_spans_of_any_parts_join_to_the_tree_of_all(leaves: list[bytes], cuts: list[int], step: int) -> None:
    """Wherever the leaves are cut, and in whatever portions each part is fed."""
    whole = Span()
    bounds = [0, *sorted(min(cut, len(leaves)) for cut in cuts), len(leaves)]
    for first, stop in itertools.pairwise(bounds):
        part = Span(first)
        for start in range(first, stop, step):
            part.extend(leaves[start : min(start + step, stop)])
        assert part.stop == stop
        whole.join(part)
        assert whole.tree().root() == reader.root(leaves[:stop])
    tree = MerkleTree()
    tree.extend(leaves)
    assert (whole.tree().size, whole.tree().subtrees) == (tree.size, tree.subtrees)


def test_every_split_of_small_trees_joins() -> None:
    for size in range(len(LEAVES) + 1):
        for first, second in itertools.combinations_with_replacement(range(size + 1), 2):
            whole = Span()
            for start, stop in ((0, first), (first, second), (second, size)):
                part = Span(start)
                part.extend(LEAVES[start:stop])
                whole.join(part)
            assert whole.tree().root() == reader.root(LEAVES[:size])


def test_spans_join_only_where_one_follows_the_other() -> None:
    with pytest.raises(ValueError, match="a span from 2 on does not follow one up to 0"):
        Span().join(Span(2))
    with pytest.raises(ValueError, match="there are 2 leaves before these"):
        Span(2).tree()


# The checkpoint

CHECKPOINTS = st.builds(
    Checkpoint,
    TEXTS.map(lambda text: f"chainfold/{text}").filter(lambda text: "\n" not in text),
    st.integers(0, 10**18 - 1),
    st.binary(min_size=32, max_size=32),
)


@given(CHECKPOINTS, st.sampled_from([b"", b"extension\n", b"\n\xe2\x80\x94 name sig==\n"]))
def test_parsing_a_checkpoint_is_the_inverse_of_printing(known: Checkpoint, more: bytes) -> None:
    """What follows the third line is left alone."""
    assert checkpoints.parse(known.text() + more) == known


@given(CHECKPOINTS, st.data())
def test_no_part_of_a_checkpoint_is_one(known: Checkpoint, data: st.DataObject) -> None:
    length = data.draw(st.integers(0, len(known.text()) - 1))
    with pytest.raises(CorruptionError, match="not a checkpoint"):
        checkpoints.parse(known.text()[:length])


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\0" * 80,
        b"\n1\n" + b"A" * 43 + b"=\n",
        b"o\n01\n" + b"A" * 43 + b"=\n",
        b"o\n-1\n" + b"A" * 43 + b"=\n",
        b"o\n1.0\n" + b"A" * 43 + b"=\n",
        b"o\n1\n" + b"A" * 42 + b"==\n",
        b"o\n1\n" + b"A" * 44 + b"\n",
        b"o\n1\n" + b"A=" * 22 + b"\n",
        b"o\n1\n!" + b"A" * 42 + b"=\n",
        b"o\r\n1\r\n" + b"A" * 43 + b"=\r\n",
        b"o\n1\n" + b"A" * 43 + b"=\n" + b"x" * 65_536,
    ],
)
def test_what_is_no_checkpoint_is_refused(text: bytes) -> None:
    with pytest.raises(CorruptionError, match="not a checkpoint"):
        checkpoints.parse(text)


# Events

DIGESTS = st.binary(min_size=32, max_size=32).map(lambda digest: f"sha256:{digest.hex()}")
RECORDS = st.builds(
    ArtifactRecord,
    artifact_id=TEXTS,
    content_hash=DIGESTS,
    path=TEXTS,
    chain_path=TEXTS,
    branch_path=st.lists(st.integers(0, 9), max_size=2),
    fold_id=st.none() | st.integers(0, 9) | TEXTS,
    artifact_type=st.sampled_from(ArtifactType),
    depends_on=st.lists(TEXTS, max_size=2),
    created_at=st.sampled_from(["", "2026-01-31T23:59:59.000000Z"]),
    params=st.dictionaries(
        TEXTS, st.none() | st.integers(-9, 9) | TEXTS | st.lists(TEXTS, max_size=2), max_size=2
    ),
    meta_config=st.none() | st.builds(MetaModelConfig, feature_columns=st.lists(TEXTS, max_size=2)),
)
POSITIONS = st.integers(0, 2**53)
EVENTS: st.SearchStrategy[AnyEvent] = st.one_of(
    st.builds(RunStarted, owner=TEXTS),
    st.builds(ArtifactRegistered, RECORDS, DIGESTS, st.booleans(), st.none() | POSITIONS, st.booleans()),
    st.just(RunCommitted()),
    st.builds(RunRolledBack, st.sampled_from(["exception", "crash", "request"]), TEXTS),
    st.builds(ArtifactsDeleted, st.none() | TEXTS, st.lists(TEXTS, max_size=3), st.booleans()),
    st.just(DatasetPurged()),
    st.builds(BlobsSwept, st.lists(TEXTS), POSITIONS, st.sampled_from(["deleted", "orphaned"]), POSITIONS),
    st.builds(AliasSet, TEXTS, st.none() | TEXTS),
)
ENTRIES = st.builds(
    Entry,
    POSITIONS,
    st.just("2026-01-31T23:59:59.000000Z"),
    TEXTS,
    EVENTS,
    st.none() | TEXTS,
    st.none() | POSITIONS,
)


@given(ENTRIES, SEEDS)
def test_decoding_an_entry_is_the_inverse_of_encoding(entry: Entry, seed: int) -> None:
    line, _ = log_lines.seal(encode_entry(entry), seed)
    assert decode_entry(line) == entry
    assert b"\n" not in line
    assert json.loads(line)["kind"] == entry.event.kind


def forged(folder: Path, fields: dict[str, Any]) -> None:
    """Append an entry that this release could not write."""
    log = opened(folder)
    head = {"position": log.size, "at": "2026-01-31T23:59:59.000000Z", "actor": "tester", "durable": log.size}
    line, _ = log_lines.seal(msgspec.json.encode({**head, **fields})[:-1], log._sum)
    with segments(folder)[-1].open("ab") as file:
        file.write(line + b"\n")


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"kind": "artifact-promoted", "artifact_id": "a"}, "unknown kind 'artifact-promoted'"),
        ({"kind": "alias-set", "alias": 7, "v": 2}, "'alias-set' event of version 2"),
        ({"kind": "alias-set", "alias": "a", "v": 0}, "'alias-set' event of version 0"),
    ],
)
def test_an_unknown_event_stops_a_replay(tmp_path: Path, fields: dict[str, Any], named: str) -> None:
    write(opened(tmp_path), 2)
    forged(tmp_path, fields)
    log = LocalLog(tmp_path, "wheat", LocalFiles())
    read = log.catch_up()
    assert [next(read).position, next(read).position] == [0, 1]
    with pytest.raises(UnknownEventError, match=r"entry 2.*upgrade chainfold") as raised:
        next(read)
    assert named in str(raised.value)
    assert log.size == 2
    with pytest.raises(UnknownEventError):  # not only the first time, and never skipped
        list(log.catch_up())


def test_an_entry_of_another_position_is_no_part_of_the_log(tmp_path: Path) -> None:
    write(opened(tmp_path), 2)
    forged(tmp_path, {"position": 3, "kind": "dataset-purged"})
    log = opened(tmp_path)
    assert (log.size, log.damage) == (2, None)
    write(log)
    assert opened(tmp_path).entry(2).event == AliasSet("alias-2")


def test_a_line_with_a_right_sum_that_is_no_entry_is_corrupt(tmp_path: Path) -> None:
    write(opened(tmp_path))
    forged(tmp_path, {"kind": "alias-set"})
    with pytest.raises(CorruptionError, match="not an entry"):
        opened(tmp_path)


def test_older_versions_are_turned_into_newer_ones() -> None:
    """One step a version; what no step leads from is unknown; what is newest already is left alone."""
    head = b'{"position":5,"at":"2026-01-31T23:59:59.000000Z","actor":"tester",'
    first, _ = log_lines.seal(head + b'"kind":"alias-set","name":"a","to":"x"', 0)
    second, _ = log_lines.seal(head + b'"v":2,"kind":"alias-set","alias":"a","to":"x"', 0)
    newest, _ = log_lines.seal(head + b'"v":3,"kind":"alias-set","alias":"a","artifact_id":"x"', 0)
    other, _ = log_lines.seal(head + b'"kind":"dataset-purged"', 0)
    versions = {"alias-set": 3}
    upcasts = {
        ("alias-set", 1): lambda fields: {**fields, "alias": fields["name"]},
        ("alias-set", 2): lambda fields: {**fields, "artifact_id": fields["to"]},
    }
    for line in (first, second, newest):
        entry = decode_entry(line, upcasts, versions)
        assert (entry.position, entry.event) == (5, AliasSet("a", "x"))
    assert decode_entry(other, upcasts, versions).event == DatasetPurged()
    with pytest.raises(UnknownEventError, match="entry 5 is a 'alias-set' event of version 1"):
        decode_entry(first, {("alias-set", 2): upcasts["alias-set", 2]}, versions)
    with pytest.raises(UnknownEventError, match="reads 2: upgrade"):
        decode_entry(newest, upcasts, {"alias-set": 2})


# Time


class Clock:
    """A clock that the test sets, as `time.time_ns` tells it."""

    times: Final[list[datetime]] = []

    @classmethod
    def now(cls) -> int:
        return (cls.times.pop(0) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1_000


@given(st.lists(st.integers(-(10**7), 10**7), min_size=1, max_size=12))
def test_time_never_goes_back(microseconds: list[int]) -> None:
    """Whatever the clock does, the times of entries are those of the clock or of the entry before."""
    start, last = datetime(2026, 1, 31, 23, 59, 59, tzinfo=UTC), ""
    latest = start + timedelta(microseconds=microseconds[0])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log_lines, "time_ns", Clock.now)
        for each in microseconds:
            time = start + timedelta(microseconds=each)
            latest = max(latest, time)
            Clock.times.append(time)
            last = log_lines.now(last)
            assert last == latest.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def test_entries_after_a_clock_was_set_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(opened(tmp_path))
    monkeypatch.setattr(log_lines, "time_ns", Clock.now)
    Clock.times[:] = [datetime(1999, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC), datetime.now(UTC)]
    for _ in range(3):
        write(opened(tmp_path))  # a new process each time
    times = [opened(tmp_path).entry(position).at for position in range(4)]
    assert times == sorted(times)
    assert times[1] == times[0]
    assert times[2] == times[3] == "9999-01-01T00:00:00.000000Z"


# Segments


@settings(max_examples=40)
@given(st.integers(1, 600), st.lists(st.integers(1, 5), min_size=1, max_size=8), st.data())
def test_segments_are_one_log(
    tmp_path_factory: pytest.TempPathFactory, segment_bytes: int, batches: list[int], data: st.DataObject
) -> None:
    """Sealed at any size and reopened at any time, the log reads as it was written, from any place."""
    folder = tmp_path_factory.mktemp("log")
    log, written = opened(folder, segment_bytes), []
    for batch in batches:
        if data.draw(st.booleans()):
            log.close()
            log = opened(folder, segment_bytes)
        written += write(log, batch, sync=data.draw(st.booleans()))
    for each in (log, opened(folder, segment_bytes)):
        assert each.size == len(written)
        assert list(map(each.entry, range(each.size))) == written
    lines: list[bytes] = []
    ends = set(itertools.accumulate(batches))
    for path in segments(folder):
        assert path.name == f"{len(lines):020d}.jsonl"
        size = 0
        for line in path.read_bytes().split(b"\n")[:-1]:
            # A batch is never split; between batches a segment is sealed once it is large enough.
            assert size < segment_bytes or len(lines) not in ends
            lines.append(line)
            size += len(line) + 1
        assert path == segments(folder)[-1] or size >= segment_bytes
    reader.checked(lines, "wheat")
    position = data.draw(st.integers(0, len(lines)))
    assert list(log.raw_lines(position)) == lines[position:]
    assert [log.line(each) for each in range(len(lines))] == lines
    assert log.size_bytes(position) == sum(len(line) + 1 for line in lines[:position])
    assert log.root_at(position) == reader.root(lines[:position])
    assert log.root() == reader.root(lines)
    with pytest.raises(IndexError, match=r"'wheat' has no entry"):
        log.line(len(lines))


def test_a_sealed_segment_is_never_opened_for_writing(tmp_path: Path) -> None:
    log = opened(tmp_path, 1)
    write(log)
    write(log)
    sealed = segments(tmp_path)[0]
    before = (sealed.stat().st_mtime_ns, sealed.read_bytes())
    write(log)
    write(opened(tmp_path, 1))
    assert (sealed.stat().st_mtime_ns, sealed.read_bytes()) == before
    assert len(segments(tmp_path)) == 4


def test_a_segment_that_was_created_and_not_used_is_used(tmp_path: Path) -> None:
    write(opened(tmp_path, 1), 3)
    log = opened(tmp_path, 1)
    (tmp_path / "segments" / f"{3:020d}.jsonl").touch()
    follower = opened(tmp_path, 1)
    assert (follower.size, follower.damage) == (3, None)
    for each in (log, opened(tmp_path, 1)):
        write(each)
    list(follower.catch_up())
    assert [follower.size, opened(tmp_path, 1).size] == [5, 5]
    assert [path.name[18:20] for path in segments(tmp_path)] == ["00", "03", "04"]


def test_an_entry_is_never_longer_than_the_limit(tmp_path: Path) -> None:
    log = opened(tmp_path)
    head = len(write(log) and log.line(0)) - len("alias-0")
    event = AliasSet("x" * (ENTRY_LIMIT - head))
    log.append([event], actor="tester", sync=True)
    assert len(log.line(1)) == ENTRY_LIMIT
    with pytest.raises(InvalidInputError, match="65,536 bytes"):
        log.append([AliasSet("a"), AliasSet(event.alias + "x")], actor="tester", sync=True)
    assert opened(tmp_path).size == 2
    write(log)
    assert opened(tmp_path).entry(2).event == AliasSet("alias-2")


@pytest.mark.parametrize(
    "event",
    [
        AliasSet(7),  # type: ignore[arg-type]  # on purpose, as all of these
        RunRolledBack("boredom"),  # type: ignore[arg-type]
        ArtifactRegistered(ArtifactRecord("a", "sha256:0", "a.pkl", size_bytes=-1)),
        ArtifactRegistered(ArtifactRecord("a", "sha256:0", "a.pkl", fold_id=0.5)),  # type: ignore[arg-type]
        ArtifactRegistered(ArtifactRecord("a", "sha256:0", "a.pkl", artifact_type="modle")),  # type: ignore[arg-type]
        ArtifactRegistered(ArtifactRecord("a", "sha256:0", "a.pkl", depends_on=[None])),  # type: ignore[list-item]
        ArtifactRegistered(ArtifactRecord("a", "sha256:0", "a.pkl"), reused=1),  # type: ignore[arg-type]
    ],
    ids=lambda event: event.kind,
)
def test_nothing_is_appended_that_could_not_be_read_back(tmp_path: Path, event: AnyEvent) -> None:
    log = opened(tmp_path)
    with pytest.raises(InvalidInputError, match=f"{event.kind}' event was not appended: Expected|Invalid"):
        log.append([AliasSet("before"), event], actor="tester", sync=True)
    write(log)
    assert opened(tmp_path).entry(0).event == AliasSet("alias-0")


def test_a_line_that_changes_after_it_was_read_is_not_given_out(tmp_path: Path) -> None:
    write(opened(tmp_path, 300), 5)
    log = opened(tmp_path, 300)
    path = segments(tmp_path)[0]
    path.write_bytes(path.read_bytes().replace(b"alias-3", b"alias-x"))
    assert log.entry(2).event == AliasSet("alias-2")
    with pytest.raises(CorruptionError, match=r"segment 0{20}.jsonl, byte \d+, position 3.*restore"):
        log.line(3)


# Following


@settings(max_examples=40)
@given(st.integers(1, 700), st.data())
def test_readers_follow_a_writer_at_any_moment(
    tmp_path_factory: pytest.TempPathFactory, segment_bytes: int, data: st.DataObject
) -> None:
    """However much of a line is there, a reader has every whole line, and takes the rest for "not yet"."""
    source, folder = tmp_path_factory.mktemp("whole"), tmp_path_factory.mktemp("growing")
    whole = opened(source, segment_bytes)
    for batch in data.draw(st.lists(st.integers(1, 3), min_size=1, max_size=6)):
        write(whole, batch, sync=False)
    followers = [LocalLog(folder, "wheat", LocalFiles(), segment_bytes=segment_bytes) for _ in range(3)]
    read: list[list[Entry]] = [[] for _ in followers]
    (folder / "segments").mkdir()
    complete = 0
    for path in segments(source):
        content, at = path.read_bytes(), 0
        target = folder / "segments" / path.name
        target.touch()
        while at < len(content):
            step = data.draw(st.integers(1, len(content)))
            with target.open("ab") as file:
                file.write(content[at : at + step])
            at += step
            here = complete + content[:at].count(b"\n")
            for number in data.draw(st.sets(st.integers(0, 2))):
                read[number] += followers[number].catch_up()
                assert len(read[number]) == followers[number].size == here
            if data.draw(st.booleans()):
                assert opened(folder, segment_bytes).size == here
        complete += content.count(b"\n")
    entries = list(map(whole.entry, range(whole.size)))
    for number, follower in enumerate(followers):
        read[number] += follower.catch_up()
        assert read[number] == entries
        assert follower.damage is None


def test_readers_follow_a_writer_that_does_not_wait(tmp_path: Path) -> None:
    batches = [number % 7 + 1 for number in range(100)]
    done, wrong = threading.Event(), []

    def follow() -> None:
        log, positions = LocalLog(tmp_path, "wheat", LocalFiles(), segment_bytes=2_000), []
        while not done.is_set():
            positions += [entry.position for entry in log.catch_up()]
        positions += [entry.position for entry in log.catch_up()]
        if positions != list(range(sum(batches))) or log.damage is not None:
            wrong.append((positions, log.damage))

    threads = [threading.Thread(target=follow) for _ in range(3)]
    for thread in threads:
        thread.start()
    log = opened(tmp_path, 2_000)
    try:
        for batch in batches:
            write(log, batch, sync=batch == 7)
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert not wrong


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 3)), max_size=20))
def test_writers_that_seal_at_different_sizes(
    tmp_path_factory: pytest.TempPathFactory, batches: list[tuple[int, int]]
) -> None:
    """Each goes on where the log ends, though it would not have sealed there."""
    folder = tmp_path_factory.mktemp("log")
    writers = [opened(folder, segment_bytes) for segment_bytes in (1, 400, SEGMENT_BYTES)]
    for writer, count in batches:
        write(writers[writer], count)
    log = opened(folder)
    assert log.damage is None
    assert log.size == sum(count for _, count in batches)
    reader.checked(list(log.raw_lines()), "wheat")
