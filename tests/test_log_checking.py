"""A log is proven good at once, and whatever is odd is told as if it were read line by line."""

import itertools
import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import joblib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainfold import ArtifactRegistry
from chainfold.dataset import Dataset
from chainfold.errors import CorruptionError, UnknownEventError
from chainfold.events import AliasSet, decode_entry, is_time, placing_decoder
from chainfold.log import LogReader, OddError, checking
from chainfold.log import lines as sums
from chainfold.projections import Projections, Snapshot, rebuilding
from chainfold.projections.merging import Writable, write_snapshot
from chainfold.storage import LocalFiles
from chainfold.verify import Report

LINES = 40
Damage = Callable[[list[Path]], None]


def fill(workspace: Path) -> list[Path]:
    """A log of several small segments; their files."""
    data = Dataset(workspace, "wheat", actor="tester", segment_bytes=1_000)
    for number in range(LINES):
        with data.writing():
            data.append([AliasSet(f"alias-{number}", None)], sync=True)
    data.close()
    return sorted((workspace / "log" / "wheat" / "segments").iterdir())


def read_all(workspace: Path) -> LogReader:
    log = LogReader(workspace / "log" / "wheat", "wheat", LocalFiles())
    for _ in log.catch_up():
        pass
    return log


@pytest.mark.parametrize("jobs", [1, 2])
def test_what_is_proven_is_what_a_reader_finds(
    workspace: Path, jobs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(fill(workspace)) > 3
    monkeypatch.setattr(checking, "PARALLEL_BYTES", 0)
    log = read_all(workspace)
    with rebuilding.Rebuilt(log.folder, "wheat", jobs) as proven:
        mark, proof = log.mark(), proven.mark
        assert proof.durable <= mark.durable == LINES  # the checkpoint says more than the entries
        assert {**_plain(proof), "durable": 0} == {**_plain(mark), "durable": 0}
        assert proven.offsets == log.offsets()[1]
    log.close()
    other = LogReader(log.folder, "wheat", LocalFiles())
    assert other.resume(proof, proven.offsets)
    assert list(other.catch_up()) == []
    assert (other.size, other.root(), other.durable) == (LINES, log.root(), LINES)
    other.close()


@pytest.mark.damages
@pytest.mark.parametrize("jobs", [1, 2])
def test_the_log_alone_is_checked_as_with_all_else(
    workspace: Path, jobs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same findings of the log, and not one of anything beside it."""
    (first, *_) = fill(workspace)
    monkeypatch.setattr(checking, "PARALLEL_BYTES", 0)
    with ArtifactRegistry(workspace, "wheat") as registry:
        registry.register([0], "p:1:all", "model")
        kept = registry.checkpoint()
        registry.register([1], "p:1:all", "model")
        for file in (workspace / "binaries" / "wheat").iterdir():
            file.unlink()
        assert not registry.verify(jobs=jobs)
        done: list[tuple[int, int]] = []
        report = registry.verify(lambda *some: done.append(some), jobs=jobs, since=kept, blobs=False)
        assert (report.findings, report.entries) == ([], registry.position)
        assert report.root == registry.verify().root
        assert done[-1][0] == done[-1][1] == len(done) > 3
        first.write_bytes(first.read_bytes().replace(b"alias-1", b"alias-i"))
        found, whole = (registry.verify(jobs=jobs, blobs=blobs).findings for blobs in (False, True))
        assert found
        assert all(finding in whole for finding in found)
        changed = kept.replace("\n" + kept.splitlines()[2], "\n" + "A" * 43 + "=")
        assert "rewritten" in [each.kind for each in registry.verify(since=changed, blobs=False).findings]
    first.write_bytes(first.read_bytes().replace(b"alias-i", b"alias-1"))


def _refused(*_: object) -> None:
    raise OddError("not this time")


def _plain(mark: object) -> dict[str, object]:
    return {name: getattr(mark, name) for name in mark.__struct_fields__}  # type: ignore[attr-defined]


def flip(files: list[Path]) -> None:
    content = bytearray(files[1].read_bytes())
    content[len(content) // 2] ^= 1
    files[1].write_bytes(content)


def cut_in_the_middle(files: list[Path]) -> None:
    files[1].write_bytes(files[1].read_bytes()[:-5])


def lose_a_line(files: list[Path]) -> None:
    files[1].write_bytes(b"".join(files[1].read_bytes().splitlines(keepends=True)[:-1]))


def lose_a_segment(files: list[Path]) -> None:
    files[2].unlink()


def swap(files: list[Path]) -> None:
    first, second = files[1].read_bytes(), files[2].read_bytes()
    files[1].write_bytes(second)
    files[2].write_bytes(first)


def lose_the_end(files: list[Path]) -> None:
    files[-1].unlink()


def tear(files: list[Path]) -> None:
    with files[-1].open("ab") as file:
        file.write(b'{"position":')


def fill_up(files: list[Path]) -> None:
    with files[-1].open("ab") as file:
        file.write(bytes(100_000))


def forge(line: int, old: bytes, new: bytes) -> Damage:
    """Change a line, and seal it and all that follow: no sum is wrong."""

    def damage(files: list[Path]) -> None:
        seed, position = sums.genesis("wheat"), 0
        for path in files:
            content = b""
            for each in path.read_bytes().splitlines():
                body = each[: each.rindex(b',"sum":')]
                if position == line:
                    assert old in body
                    body = body.replace(old, new)
                sealed, seed = sums.seal(body, seed)
                content += sealed + b"\n"
                position += 1
            path.write_bytes(content)

    return damage


def other_checkpoint(files: list[Path]) -> None:
    path = files[0].parent.parent / "checkpoint"
    path.write_bytes(path.read_bytes().replace(b"chainfold/wheat", b"chainfold/other"))


def other_root(files: list[Path]) -> None:
    path = files[0].parent.parent / "checkpoint"
    path.write_bytes(path.read_bytes()[:-10] + b"AAAAAAAA=\n")


def no_checkpoint(files: list[Path]) -> None:
    (files[0].parent.parent / "checkpoint").unlink()


def stray(files: list[Path]) -> None:
    (files[0].parent / f"{LINES + 5:020d}.jsonl").write_bytes(b"x\n")


DAMAGES: dict[str, Damage] = {
    "nothing": lambda _: None,
    "flip": flip,
    "cut": cut_in_the_middle,
    "line": lose_a_line,
    "segment": lose_a_segment,
    "swap": swap,
    "end": lose_the_end,
    "tear": tear,
    "zeros": fill_up,
    "time": forge(9, b'"at":"2', b'"at":"1'),
    "no time": forge(9, b'"at":"', b'"at":"x'),
    "position": forge(9, b'"position":9', b'"position":8'),
    "no entry": forge(9, b'"actor":"tester"', b'"actor":7'),
    "kind": forge(9, b'"alias-set"', b'"alias-lost"'),
    "version": forge(9, b'"kind"', b'"v":2,"kind"'),
    "field": forge(9, b'"alias":"alias-9"', b'"alias":9'),
    "other bytes": forge(9, b"alias-9", b"alias-8"),
    "checkpoint": other_checkpoint,
    "root": other_root,
    "no checkpoint": no_checkpoint,
    "stray": stray,
}


@pytest.mark.damages
@pytest.mark.filterwarnings("ignore:log of dataset:RuntimeWarning")
@pytest.mark.parametrize("name", DAMAGES)
def test_findings_are_those_of_reading_line_by_line(
    name: str, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = fill(workspace)
    with ArtifactRegistry(workspace, "wheat", actor="tester") as registry:  # of before: opening it may refuse
        DAMAGES[name](files)
        at_once = registry.verify()
        with monkeypatch.context() as patch:
            patch.setattr("chainfold.verify.Rebuilt", _refused)
            assert registry.verify() == at_once
    assert bool(at_once.findings) == (name not in ("nothing", "tear", "zeros")), at_once


@pytest.mark.damages
def test_findings_are_the_same_whatever_byte_is_changed(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = fill(workspace)
    draw = random.Random(1)
    with ArtifactRegistry(workspace, "wheat", actor="tester") as registry:
        for path in files:
            content = path.read_bytes()
            for at in draw.sample(range(len(content)), 12):
                path.write_bytes(content[:at] + draw.randbytes(1) + content[at + 1 :])
                at_once = registry.verify()
                with monkeypatch.context() as patch:
                    patch.setattr("chainfold.verify.Rebuilt", _refused)
                    assert registry.verify() == at_once, (path, at)
            path.write_bytes(content)


GOOD: Final = (
    b'"position":1', b'"at":"2024-01-01T00:00:00.000000Z"', b'"actor":"a"', b'"kind":"alias-set"',
    b'"alias":"x"', b'"artifact_id":null',
)  # fmt: skip
ODD: Final = (
    b'"position":1.0', b'"position":"1"', b'"at":"then"', b'"actor":null', b'"kind":"run-committed"',
    b'"kind":"no-such"', b'"kind":1', b'"artifact_id":2', b'"run":"r"', b'"run":[]', b'"durable":1',
    b'"durable":-1', b'"durable":"1"', b'"v":1', b'"v":2', b'"v":0', b'"v":null', b'"x":{"y":[1]}',
    b'"reason":"crash"', b'"reason":"mood"', b'"kind":"run-rolled-back"', b'"\xff":1', b'"x":"\xff"',
    b'"x":"\n"',
)  # fmt: skip
PIECES: Final = st.lists(st.sampled_from(GOOD + ODD), max_size=4)


@given(PIECES, st.sampled_from([GOOD, GOOD, ()]), PIECES)
def test_what_the_fast_decoder_takes_is_an_entry(
    before: list[bytes], middle: tuple[bytes, ...], after: list[bytes]
) -> None:
    """And says the same of it; also of lines that say things twice."""
    line = b"{" + b",".join([*before, *middle, *after]) + b"}"
    decode = placing_decoder()
    assert decode is not None
    try:
        placed = decode(line)
    except ValueError:  # what msgspec raises is one
        return
    try:
        entry = decode_entry(line)
    except (CorruptionError, UnknownEventError):
        assert not is_time(placed.at)
        return
    assert (placed.position, placed.at, placed.durable) == (entry.position, entry.at, entry.durable)
    assert isinstance(placed, type(entry.event))


def test_logs_that_may_have_older_versions_are_read_line_by_line(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(workspace)
    monkeypatch.setattr(checking, "placing_decoder", lambda: None)
    with pytest.raises(OddError):
        rebuilding.Rebuilt(workspace / "log" / "wheat", "wheat")
    with ArtifactRegistry(workspace, "wheat", actor="tester") as registry:
        assert registry.verify().ok


def test_nothing_is_proven_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(OddError):
        rebuilding.Rebuilt(tmp_path, "wheat")


# What is folded


def fill_with_runs(workspace: Path) -> None:
    """Runs that commit, roll back and stay open, some deletions, and a snapshot somewhere in between."""
    with ArtifactRegistry(workspace, "wheat", actor="tester") as registry:
        for number in range(12):
            registry.register([number], f"p{number % 3}:{number}:all", "model")
            with registry.run():
                registry.register([number], f"p:{number % 5}:all", "model")
                registry.delete_pipeline_artifacts(f"p{number % 2}")
            if number == 7:
                registry._data._save()


def told(report: Report, kind: str) -> list[str]:
    return [each.where for each in report.findings if each.kind == kind]


def snapshot_of(workspace: Path) -> Path:
    (path,) = (workspace / "log" / "wheat" / "snapshots").iterdir()
    return path


@pytest.mark.parametrize("limit", [1, 7, 30])
def test_a_check_in_bounded_memory_finds_the_same(
    limit: int, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(Dataset.__init__.__kwdefaults__ or {}, "segment_bytes", 1_000)
    fill_with_runs(workspace)
    segments = sorted((workspace / "log" / "wheat" / "segments").iterdir())
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with ArtifactRegistry(workspace, "wheat", actor="tester") as registry:
        before = registry.verify()
        sizes = []

        def write(file: Writable, projections: Projections, *rest: Any) -> None:
            sizes.append(projections.size)
            write_snapshot(file, projections, *rest)

        with monkeypatch.context() as patch:
            patch.setattr(rebuilding, "TAIL_ENTRIES", limit)
            patch.setattr(rebuilding, "write_snapshot", write)
            patch.setattr("chainfold.checks._KEPT", limit // 7)
            assert registry.verify() == before
        assert told(before, "snapshot") == []
        firsts = [int(path.stem) for path in segments]
        longest = max(stop - first for first, stop in itertools.pairwise([*firsts, registry.position]))
        held = [size - before for before, size in itertools.pairwise([0, *sizes])]
        assert max(held) < limit + longest < registry.position
    assert not list(tmp_path.glob("chainfold-*"))


def test_a_check_without_room_holds_all_in_memory(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill_with_runs(workspace)
    monkeypatch.setattr(rebuilding, "TAIL_ENTRIES", 5)
    monkeypatch.setattr(tempfile, "tempdir", str(workspace / "no-such-folder"))
    with ArtifactRegistry(workspace, "wheat", actor="tester") as registry:
        assert told(registry.verify(), "snapshot") == []


@pytest.mark.damages
def test_a_snapshot_that_says_something_else_is_an_error(workspace: Path) -> None:
    fill_with_runs(workspace)
    path = snapshot_of(workspace)
    log = LogReader(workspace / "log" / "wheat", "wheat", LocalFiles())
    known = Snapshot(path, LocalFiles())
    projections = Projections(log)
    projections.fold(itertools.islice(log.catch_up(), known.size))
    mark, offsets = log.mark(), log.offsets()
    projections.visibility.visible_from[0] += 1
    path.unlink()
    file = LocalFiles().appender(path, create=True)
    write_snapshot(file, projections, mark, offsets)
    file.close()
    log.close()
    with ArtifactRegistry(workspace, "wheat", actor="tester") as registry:
        report = registry.verify()
        assert not report.ok
        assert told(report, "snapshot") == [path.name]
        path.unlink()
        assert registry.verify().ok


@pytest.mark.damages
def test_a_damaged_snapshot_is_noted_and_left_alone(workspace: Path) -> None:
    fill_with_runs(workspace)
    path = snapshot_of(workspace)
    with ArtifactRegistry(workspace, "wheat", actor="tester") as registry:
        content = bytearray(path.read_bytes())
        content[64] ^= 1  # an offset: of the log, and not of what is folded
        content[Snapshot(path, LocalFiles()).footer.sections["positions"][0]] ^= 1
        path.unlink()
        path.write_bytes(content)
        report = registry.verify()
        assert report.ok
        assert told(report, "snapshot") == [path.name]
        assert path.read_bytes() == content


@pytest.mark.damages
@pytest.mark.parametrize("large", [0, 1 << 40])
def test_files_are_read_whoever_reads_them(
    large: int, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In several threads or in this one, whatever joblib is set to by the caller."""
    monkeypatch.setattr("chainfold.checks._LARGE_BYTES", large)
    with ArtifactRegistry(workspace, "wheat", actor="tester") as registry:
        records = [registry.register([number], f"p:{number}:all", "model") for number in range(9)]
        with joblib.parallel_config("multiprocessing", n_jobs=2):
            report = registry.verify()
        assert (report.ok, report.artifacts, report.files) == (True, 9, 9)
        (registry.binaries_dir / records[3].path).write_bytes(b"another")
        (registry.binaries_dir / records[5].path).unlink()
        report = registry.verify()
        assert told(report, "changed") == ["artifact 'p:3:all'"]
        assert told(report, "missing") == ["artifact 'p:5:all'"]
