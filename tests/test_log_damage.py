"""Torn tails and corruption: all damage is found at its line, and never taken for a torn tail.

Exhaustive over every byte of small logs.
"""

import itertools
import json
import shutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import reader

from chainfold import ArtifactRegistry
from chainfold.errors import CorruptionError
from chainfold.events import AliasSet, AnyEvent, RunCommitted, RunStarted
from chainfold.log import SEGMENT_BYTES, LocalLog, LogRewoundError
from chainfold.log import lines as sums
from chainfold.storage import LocalFiles, Reader, durable

RUN: Final = "20260131T235959-0123456789ab"
FIRST: Final = f"{0:020d}.jsonl"


@pytest.fixture(scope="module", autouse=True)
def no_syncs() -> Iterator[None]:
    """Thousands of logs are written here, and no power will be cut meanwhile."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(durable, "sync_data", lambda _: None)
        patch.setattr(durable, "sync_folder", lambda _: None)
        yield


def opened(folder: Path, segment_bytes: int = SEGMENT_BYTES, dataset: str = "wheat") -> LocalLog:
    log = LocalLog(folder, dataset, LocalFiles(), segment_bytes=segment_bytes)
    list(log.catch_up())
    return log


def append(log: LocalLog, *events: AnyEvent, sync: bool = True, run: str | None = None) -> None:
    list(log.catch_up())
    log.recover()
    log.append(events, actor="tester", run=run, sync=sync)


def acknowledged(folder: Path, dataset: str = "wheat", segment_bytes: int = SEGMENT_BYTES) -> list[bytes]:
    """Six entries, alone and in a run, all of them durable; their lines."""
    log = opened(folder, segment_bytes, dataset)
    append(log, AliasSet("a"))
    append(log, RunStarted(owner="lab:1"), sync=False, run=RUN)
    append(log, AliasSet("b", "x"), sync=False, run=RUN)
    append(log, RunCommitted(), run=RUN)
    append(log, AliasSet("c"))
    append(log, AliasSet("a", "y"))
    return list(log.raw_lines())


def names_of(log: LocalLog) -> list[bytes]:
    return list(log.raw_lines())


def starts_of(lines: list[bytes]) -> list[int]:
    return [0, *itertools.accumulate(len(line) + 1 for line in lines)]


def check_corrupt(
    folder: Path, lines: list[bytes], good: int, segment: str = FIRST, byte: int | None = None
) -> None:
    """Reading goes on up to the last good entry; writing is refused, says where, and changes nothing."""
    log = opened(folder)
    byte = starts_of(lines)[good] if byte is None else byte
    assert names_of(log) == lines[:good]
    assert isinstance(log.damage, CorruptionError)
    text = str(log.damage)
    assert f"segment {segment}, byte {byte}, position {good}:" in text
    assert f"The {good} entries before it stay readable, writing is refused. Restore " in text
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(CorruptionError, match="Restore"):
        log.recover()
    with pytest.raises(CorruptionError, match="Restore"):
        append(log, AliasSet("more"))
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def check_torn(folder: Path, lines: list[bytes]) -> None:
    """Reading gives the good entries; the next writer moves the rest aside, byte for byte, and goes on."""
    path = folder / "segments" / FIRST
    content, end = path.read_bytes(), starts_of(lines)[-1]
    assert content[:end] == b"".join(line + b"\n" for line in lines)
    follower = opened(folder)
    assert (names_of(follower), follower.damage) == (lines, None)
    log = opened(folder)
    append(log, AliasSet("after"))
    torn = [each.read_bytes() for each in sorted((folder / "quarantine").glob(f"{0:020d}-{end}-*.torn"))]
    assert torn == ([content[end:]] if len(content) > end else [])
    list(follower.catch_up())
    for each in (log, follower, opened(folder)):
        assert each.size == len(lines) + 1
        assert each.entry(len(lines)).event == AliasSet("after")
        assert each.damage is None
    reader.checked(names_of(log), "wheat")


def put_back(folder: Path, content: bytes, checkpoint: bytes | None) -> None:
    """The log as it was, with other bytes in its segment."""
    shutil.rmtree(folder / "quarantine", ignore_errors=True)
    (folder / "segments" / FIRST).write_bytes(content)
    (folder / "checkpoint").unlink(missing_ok=True)
    if checkpoint is not None:
        (folder / "checkpoint").write_bytes(checkpoint)


# Torn tails


@pytest.fixture(scope="module")
def half(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[bytes], bytes, bytes]:
    """A log of six acknowledged entries and three that were not: folder, lines, content, checkpoint."""
    folder = tmp_path_factory.mktemp("half")
    acknowledged(folder)
    log = opened(folder)
    append(log, RunStarted(), AliasSet("d"), AliasSet("e"), sync=False, run=f"{RUN}2")
    content = (folder / "segments" / FIRST).read_bytes()
    return folder, names_of(log), content, (folder / "checkpoint").read_bytes()


@pytest.mark.parametrize("with_checkpoint", [True, False])
def test_every_cut_of_an_unacknowledged_tail(half: Any, with_checkpoint: bool) -> None:  # noqa: FBT001 - parametrised
    folder, lines, content, checkpoint = half
    for length in range(starts_of(lines)[6], len(content) + 1):
        put_back(folder, content[:length], checkpoint if with_checkpoint else None)
        check_torn(folder, lines[: content[:length].count(b"\n")])


@pytest.mark.parametrize("width", [1, 64])
def test_zeros_anywhere_in_an_unacknowledged_tail(half: Any, width: int) -> None:
    """A power cut leaves good pages, zeros, and good pages again."""
    folder, lines, content, checkpoint = half
    starts = starts_of(lines)
    for at in range(starts[6], len(content), 2):
        zeros = content[:at] + b"\0" * len(content[at : at + width]) + content[at + width :]
        put_back(folder, zeros, checkpoint)
        good = sum(start <= at for start in starts[1:])
        check_torn(folder, lines[:good])


@settings(max_examples=60)
@given(st.binary(max_size=90) | st.integers(0, 200_000).map(bytes), st.booleans(), st.booleans())
def test_garbage_after_the_durable_size(half: Any, garbage: bytes, more: bool, with_checkpoint: bool) -> None:  # noqa: FBT001 - drawn
    folder, lines, content, checkpoint = half
    end = starts_of(lines)[6]
    rest = content[end:] if more and garbage else b""
    put_back(folder, content[:end] + garbage + rest, checkpoint if with_checkpoint else None)
    check_torn(folder, lines[:6])


def test_a_tail_may_be_torn_again_and_again(tmp_path: Path) -> None:
    lines = acknowledged(tmp_path)
    for number in range(4):
        with (tmp_path / "segments" / FIRST).open("ab") as file:
            file.write(b'{"position":%d,"at":"2026' % len(lines))
        log = opened(tmp_path)
        append(log, AliasSet(f"again-{number}"))
        lines = names_of(log)
    assert len(list((tmp_path / "quarantine").iterdir())) == 4
    assert opened(tmp_path).size == 10


def test_a_writer_that_is_open_takes_in_a_torn_tail_of_another(tmp_path: Path) -> None:
    log = opened(tmp_path)
    append(log, AliasSet("a"))
    for garbage in (b'{"position"', b"garbage\n", b"\0" * 100_000):
        with (tmp_path / "segments" / FIRST).open("ab") as file:
            file.write(garbage)
        if len(garbage) < 20 and not garbage.endswith(b"\n"):
            append(log, AliasSet("b"))
            continue
        # Not the beginning of a line: perhaps what was read so far has changed, so it must be read again.
        with pytest.raises(LogRewoundError):
            append(log, AliasSet("b"))
        log = opened(tmp_path)
        append(log, AliasSet("b"))
    assert [entry.event for entry in map(log.entry, range(4))] == [AliasSet("a"), *[AliasSet("b")] * 3]


class Interrupted:
    """A reader to which something happens after it has read for the first time."""

    def __init__(self, inner: Reader, happens: Callable[[], None]) -> None:
        self._inner, self._happens = inner, [happens]

    def size(self) -> int:
        return self._inner.size()

    def read(self, offset: int, length: int) -> bytes:
        data = self._inner.read(offset, length)
        if self._happens:
            self._happens.pop()()
        return data

    def close(self) -> None:
        self._inner.close()


def test_a_writer_cleans_up_while_a_reader_looks(tmp_path: Path) -> None:
    """What a reader finds behind a bad line may be newer than that line: it is no proof of damage."""
    append(opened(tmp_path), AliasSet("a"))
    with (tmp_path / "segments" / FIRST).open("ab") as file:
        file.write(b"garbage\n")

    def clean_up() -> None:
        for alias in "bcd":
            append(opened(tmp_path), AliasSet(alias))

    class Files(LocalFiles):
        def reader(self, path: Path) -> Any:
            return Interrupted(LocalFiles.reader(self, path), clean_up)

    log = LocalLog(tmp_path, "wheat", Files())
    list(log.catch_up())
    assert log.damage is None
    list(log.catch_up())
    assert names_of(log) == names_of(opened(tmp_path))
    assert log.size == 4


# Corruption


def stated_behind(content: bytes, start: int) -> int:
    """What lines behind a bad one say was durable, where their sums follow from the line before each."""
    stated = 0
    for before, line in itertools.pairwise(content[start:].split(b"\n")[:-1]):
        try:
            seed, total = reader.line_sum(before), reader.line_sum(line)
        except reader.BadLogError:
            continue
        if xxhash.xxh3_64_intdigest(line[:-26], seed=seed) == total:
            stated = max(stated, json.loads(line).get("durable", 0))
    return stated


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[bytes], bytes, bytes]:
    """A log of which all is acknowledged: folder, lines, content, checkpoint."""
    folder = tmp_path_factory.mktemp("whole")
    lines = acknowledged(folder)
    return folder, lines, (folder / "segments" / FIRST).read_bytes(), (folder / "checkpoint").read_bytes()


@pytest.mark.parametrize("mask", [0x01, 0x20, 0x80])
def test_every_flip_in_an_acknowledged_log(whole: Any, mask: int) -> None:
    """None is harmless: not even one of the last line end, without which the last line is unfinished."""
    folder, lines, content, checkpoint = whole
    starts = starts_of(lines)
    for at in range(len(content)):
        flipped = content[:at] + bytes([content[at] ^ mask]) + content[at + 1 :]
        put_back(folder, flipped, checkpoint)
        check_corrupt(folder, lines, sum(start <= at for start in starts[1:]))


def test_every_flip_without_the_checkpoint(whole: Any) -> None:
    """What good lines behind the bad one state is known still; only the very end looks like a torn tail."""
    folder, lines, content, _ = whole
    starts, corrupt = starts_of(lines), 0
    for at in range(len(content)):
        flipped = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
        put_back(folder, flipped, None)
        good = sum(start <= at for start in starts[1:])
        if stated_behind(flipped, starts[good]) > good:
            corrupt += 1
            check_corrupt(folder, lines, good)
        else:
            check_torn(folder, lines[:good])
    assert corrupt > starts[4]  # all of the first four entries at least


def test_every_truncation_below_the_durable_size(whole: Any) -> None:
    folder, lines, content, checkpoint = whole
    for length in range(len(content)):
        put_back(folder, content[:length], checkpoint)
        check_corrupt(folder, lines, content[:length].count(b"\n"))
        put_back(folder, content[:length], None)
        check_torn(folder, lines[: content[:length].count(b"\n")])
    (folder / "segments" / FIRST).unlink()
    (folder / "checkpoint").write_bytes(checkpoint)
    check_corrupt(folder, lines, 0)


@pytest.mark.parametrize("checkpoint", [None, b"", b"\0" * 90, b"chainfold/wheat\n6\n"])
def test_truncation_to_what_the_entries_state(tmp_path: Path, checkpoint: bytes | None) -> None:
    """Without a checkpoint (a power cut may empty it) the log itself still knows most of what was durable."""
    lines = acknowledged(tmp_path)
    content = b"".join(line + b"\n" for line in lines)
    gap = content.replace(lines[2] + b"\n", b"")
    put_back(tmp_path, gap, checkpoint)
    check_corrupt(tmp_path, lines, 2)


def rearrangements(lines: list[bytes]) -> list[tuple[str, int, list[bytes]]]:
    """What it is, how many entries stay good, the lines."""
    found = []
    for a, b in itertools.combinations(range(len(lines)), 2):
        swapped = lines.copy()
        swapped[a], swapped[b] = lines[b], lines[a]
        found.append((f"swapped {a} {b}", a, swapped))
        found.append((f"repeated {a} at {b}", b, [*lines[:b], lines[a], *lines[b:]]))
        found.append((f"copied {a} over {b}", b, [*lines[:b], lines[a], *lines[b + 1 :]]))
    for at in range(len(lines)):
        found.append((f"dropped {at}", at, [*lines[:at], *lines[at + 1 :]]))
        found.append((f"dropped to {at}", 0 if at else len(lines), lines[at:]))
        found.append((f"empty line at {at}", at, [*lines[:at], b"", *lines[at:]]))
    return found


def test_lines_moved_about(whole: Any) -> None:
    folder, lines, _, checkpoint = whole
    for what, good, moved in rearrangements(lines):
        put_back(folder, b"".join(line + b"\n" for line in moved), checkpoint)
        if good == len(lines):
            assert opened(folder).damage is None, what
        else:
            check_corrupt(folder, lines, good)
    put_back(folder, b"".join(line + b"\n" for line in [*lines, lines[-1]]), checkpoint)
    check_torn(folder, lines)  # repeated behind the durable size


def test_lines_of_another_log(whole: Any, tmp_path: Path) -> None:
    """Also of one with the very same entries: its lines are sealed for another dataset."""
    folder, lines, _, checkpoint = whole
    other = acknowledged(tmp_path, "barley")
    same_at = [json.loads(line)["at"] for line in lines]
    for at in range(len(lines)):
        foreign = [*lines[:at], other[at], *lines[at + 1 :]]
        put_back(folder, b"".join(line + b"\n" for line in foreign), checkpoint)
        check_corrupt(folder, lines, at)
        foreign = [*lines[:at], *other[at:]]
        put_back(folder, b"".join(line + b"\n" for line in foreign), None if at < 4 else checkpoint)
        check_corrupt(folder, lines, at)
    assert same_at == sorted(same_at)


def test_a_checkpoint_of_another_log(whole: Any, tmp_path: Path) -> None:
    folder, lines, content, checkpoint = whole
    put_back(folder, content, checkpoint.replace(b"wheat", b"barley"))
    log = opened(folder)
    assert names_of(log) == lines
    assert "the checkpoint belongs to another log, 'chainfold/barley'" in str(log.damage)
    with pytest.raises(CorruptionError, match="Restore the dataset's log folder"):
        append(log, AliasSet("more"))
    shutil.copytree(folder, tmp_path / "barley")
    (tmp_path / "barley" / "checkpoint").write_bytes(checkpoint)
    renamed = opened(tmp_path / "barley", dataset="barley")
    assert (renamed.size, renamed.damage is None) == (0, False)


def test_a_checkpoint_ahead_of_the_log(whole: Any) -> None:
    folder, lines, content, checkpoint = whole
    put_back(folder, content, checkpoint.replace(b"\n6\n", b"\n7\n"))
    check_corrupt(folder, lines, 6)


def test_a_checkpoint_that_is_none_is_written_again(whole: Any) -> None:
    folder, lines, content, checkpoint = whole
    for at in range(len(checkpoint)):
        put_back(folder, content, checkpoint[:at])
        log = opened(folder)
        assert (names_of(log), log.damage) == (lines, None)
        append(log, AliasSet("more"))
        known = log.stored_checkpoint()
        assert known is not None
        assert (known.size, known.root) == (7, reader.root(names_of(log)))


# Segments


@pytest.mark.parametrize("with_checkpoint", [True, False])
def test_damage_in_a_sealed_segment(tmp_path: Path, with_checkpoint: bool) -> None:  # noqa: FBT001 - parametrised
    """The name of a segment says that all before it was durable, whatever else is lost."""
    lines = acknowledged(tmp_path, segment_bytes=1)
    paths = sorted((tmp_path / "segments").iterdir())
    assert len(paths) == len(lines) == 6
    if not with_checkpoint:
        (tmp_path / "checkpoint").unlink()
    for position, path in enumerate(paths):
        content = path.read_bytes()
        for change in (
            content[:-1],
            content[:9],
            b"",
            content.replace(b"tester", b"Tester"),
            b"\0" * 100_000,
            None,
        ):
            if change is None:
                path.unlink()
            else:
                path.write_bytes(change)
            if with_checkpoint or position < 5:
                log = opened(tmp_path, segment_bytes=1)
                segment = paths[position - 1].name if change is None and position else path.name
                assert f"segment {segment}, byte " in str(log.damage)
                assert f"position {position}: " in str(log.damage)
                assert names_of(log) == lines[:position]
                with pytest.raises(CorruptionError):
                    append(log, AliasSet("more"))
            path.write_bytes(content)
    assert opened(tmp_path, segment_bytes=1).damage is None


def test_files_that_are_no_segments_are_left_alone(tmp_path: Path) -> None:
    lines = acknowledged(tmp_path)
    for name in ("00000000000000000009.jsonl.bak", "9.jsonl", ".00000000000000000009.jsonl.swp", "notes.txt"):
        (tmp_path / "segments" / name).write_text("mine")
    log = opened(tmp_path)
    assert (names_of(log), log.damage) == (lines, None)
    append(log, AliasSet("more"))


# The registry


@pytest.fixture
def dataset(workspace: Path) -> tuple[Path, bytes]:
    """A workspace whose log has a committed run, and one that was given up."""
    with ArtifactRegistry(workspace, "wheat", pipeline_id="p", actor="tester") as registry:
        registry.register([1], "p:1:all", "model")
        with registry.run():
            registry.register([2], "p:2:all", "model")
        registry.start_run()
        registry.register([3], "p:3:all", "model")
        registry.cleanup_failed_run()
        registry.set_alias("best", "p:1:all")
    segment = workspace / "log" / "wheat" / "segments" / FIRST
    return segment, segment.read_bytes()


Command = Callable[[ArtifactRegistry], Any]
COMMANDS: Final[list[Command]] = [
    lambda registry: registry.register([4], "p:4:all", "model"),
    lambda registry: registry.start_run(),
    lambda registry: registry.set_alias("best", None),
    lambda registry: registry.delete_pipeline_artifacts("p"),
    lambda registry: registry.purge_dataset_artifacts(confirm=True),
    lambda registry: registry.delete_orphaned_artifacts(dry_run=False),
    lambda registry: registry.import_from_manifest([{"path": "x"}], "."),
]


@pytest.mark.damages
def test_a_registry_of_a_damaged_log_reads_on(workspace: Path, dataset: tuple[Path, bytes]) -> None:
    """Also when the damage is inside a run, which is open then for all that can be read."""
    segment, content = dataset
    starts = [0, *itertools.accumulate(len(line) + 1 for line in content.split(b"\n")[:-1])]
    files = sorted((workspace / "binaries").rglob("*"))
    for at in range(5, len(content), 17):
        segment.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        good = sum(start <= at for start in starts[1:])
        place = f"'wheat', segment {FIRST}, byte {starts[good]}, position {good}: "
        with pytest.warns(RuntimeWarning, match=place):
            registry = ArtifactRegistry(workspace, "wheat", actor="tester")
        with registry, warnings.catch_warnings():
            warnings.simplefilter("error")  # told once
            assert registry.position == good
            assert ("p:1:all" in registry) == (good >= 1)
            assert ("p:2:all" in registry) == (good >= 4)
            for record in registry.iter_records():
                assert registry.load_artifact(record) in ([1], [2])
            report = registry.verify()
            assert not report
            assert any(place in finding.detail for finding in report.findings)
            for command in COMMANDS if at % 5 == 0 else COMMANDS[:1]:
                with pytest.raises(CorruptionError, match="Restore this segment"):
                    command(registry)
            if good:
                with pytest.raises(CorruptionError, match="Restore this segment"):
                    registry.restore("p:1:all", 1)
        assert sorted((workspace / "binaries").rglob("*")) == files
        assert len(segment.read_bytes()) == len(content)


@pytest.mark.damages
def test_a_rewritten_log_is_not_covered_up_by_the_next_write(workspace: Path) -> None:
    """All sums are right, so only the checkpoint's root tells; the next write must not replace it."""
    with ArtifactRegistry(workspace, "wheat", actor="tester") as registry:
        for number in range(3):
            registry.register([number], f"p:{number}:all", "model", params={"rate": 1})
    segment = workspace / "log" / "wheat" / "segments" / FIRST
    seed, rewritten = sums.genesis("wheat"), b""
    for line in segment.read_bytes().splitlines():
        sealed, seed = sums.seal(line[: line.rindex(b',"sum":')].replace(b'"rate":1', b'"rate":7'), seed)
        rewritten += sealed + b"\n"
    segment.write_bytes(rewritten)
    kept = (workspace / "log" / "wheat" / "checkpoint").read_bytes()
    with ArtifactRegistry(workspace, "wheat", actor="tester") as registry:
        assert len(registry) == 3
        told = "the first 3 entries are not those that the checkpoint commits to"
        with pytest.raises(CorruptionError, match=told):
            registry.register([9], "p:9:all", "model")
        with pytest.warns(RuntimeWarning, match=told):
            assert len(registry) == 3
        with pytest.raises(CorruptionError, match=told):
            registry.register([9], "p:9:all", "model")
        with pytest.raises(CorruptionError, match=told), registry.run():
            pass
        errors = [finding for finding in registry.verify().findings if finding.level == "error"]
        assert [finding.kind for finding in errors] == ["root"]
        assert len(list(registry.binaries_dir.iterdir())) == 3
    assert segment.read_bytes() == rewritten
    assert (workspace / "log" / "wheat" / "checkpoint").read_bytes() == kept


@pytest.mark.damages
def test_a_restored_log_goes_on(workspace: Path, dataset: tuple[Path, bytes]) -> None:
    segment, content = dataset
    segment.write_bytes(content[:100])
    with (
        pytest.warns(RuntimeWarning, match="acknowledged more"),
        ArtifactRegistry(workspace, "wheat") as registry,
    ):
        assert registry.position == 0
    segment.write_bytes(content)
    with ArtifactRegistry(workspace, "wheat", actor="tester") as registry:
        assert COMMANDS[0](registry).artifact_id == "p:4:all"


def test_a_registry_moves_a_torn_tail_aside(workspace: Path, dataset: tuple[Path, bytes]) -> None:
    segment, content = dataset
    with ArtifactRegistry(workspace, "wheat", actor="tester") as registry:
        segment.write_bytes(content + b"\0" * 300)
        position = registry.position
        registry.register([4], "p:4:all", "model")
        segment.write_bytes(segment.read_bytes() + b"garbage\n\0\0{}\n")
        assert registry.position == position + 1
        with ArtifactRegistry(workspace, "wheat", actor="tester") as other:
            other.register([5], "p:5:all", "model")
        assert registry.load("p:5:all") == [5]
    assert len(list((segment.parents[1] / "quarantine").iterdir())) == 2


@pytest.mark.damages
def test_who_finds_damage_behind_a_snapshot_writes_no_more(workspace: Path) -> None:
    """What follows is readable all the same; what is before it can be exported."""
    with ArtifactRegistry(workspace, "wheat") as registry:
        for number in range(300):
            registry.register([number], f"p:{number}:all", "model")
    (path,) = (workspace / "log" / "wheat" / "segments").iterdir()
    path.write_bytes(path.read_bytes().replace(b"p:200:all", b"p:2oo:all"))
    with ArtifactRegistry(workspace, "wheat") as registry:
        assert registry.resolve("p:100:all") is not None
        with pytest.raises(CorruptionError, match=r"position 200: .*writing is refused"):
            registry.resolve("p:200:all")
        size = path.stat().st_size
        with pytest.raises(CorruptionError, match=r"position 200: .*writing is refused"):
            registry.register([0], "p:new:all", "model")
        assert path.stat().st_size == size
        assert not list((workspace / "log" / "wheat" / "aside").iterdir())
        assert registry.resolve("p:299:all") is not None
        assert len(registry.as_of(200).export_to_manifest()["items"]) == 200
