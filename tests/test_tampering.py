"""Whatever is done to a log or a blob is found, and the report names the place.

Tried on random logs. Once as an accident or a vandal does it: then the log itself tells, at the entry. And
once by somebody who covers it up, makes all sums and the checkpoint beside the log anew, and removes or
makes anew what is derived from it: then whoever kept a checkpoint learns of it, and where it can be.
"""

import base64
import contextlib
import json
import shutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

import pytest
import xxhash
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.reader import root
from tests.test_model_proof_laws import Step, histories, live

from chainfold import ArtifactRegistry
from chainfold.checks import Finding
from chainfold.events import Entry
from chainfold.verify import Report

DATASET: Final = "wheat"
PER_SEGMENT: Final = 4
Lines = list[bytes]

# a log, as somebody with an editor has it


def folder_of(workspace: Path, dataset: str = DATASET) -> Path:
    return workspace / "log" / dataset


def read(workspace: Path, dataset: str = DATASET) -> Lines:
    files = sorted((folder_of(workspace, dataset) / "segments").iterdir())
    return b"".join(file.read_bytes() for file in files).splitlines()


def write(workspace: Path, lines: Lines) -> None:
    """In segments of a few entries, each named by its first."""
    folder = folder_of(workspace) / "segments"
    shutil.rmtree(folder)
    folder.mkdir()
    for first in range(0, max(len(lines), 1), PER_SEGMENT):
        content = b"".join(line + b"\n" for line in lines[first : first + PER_SEGMENT])
        (folder / f"{first:020d}.jsonl").write_bytes(content)


def seal(bodies: Lines, dataset: str = DATASET) -> Lines:
    """Lines with right positions and sums, as `docs/format.md` says it, for what the lines say else."""
    seed = xxhash.xxh3_64_intdigest(f"chainfold/{dataset}".encode())
    sealed = []
    for position, line in enumerate(bodies):
        rest = line[: line.rindex(b',"sum":')].partition(b",")[2]
        body = b'{"position":%d,%b' % (position, rest)
        seed = xxhash.xxh3_64_intdigest(body, seed)
        sealed.append(b'%b,"sum":"%016x"}' % (body, seed))
    return sealed


def commit(workspace: Path, lines: Lines) -> None:
    """A checkpoint beside the log that says that all of this is durable."""
    text = f"chainfold/{DATASET}\n{len(lines)}\n{base64.b64encode(root(lines)).decode()}\n"
    (folder_of(workspace) / "checkpoint").write_text(text, encoding="utf-8")


# what may be done to it


def rewritten(lines: Lines, at: int, _: int) -> Lines:
    return [*lines[:at], lines[at].replace(b'"actor":"tester"', b'"actor":"nobody"'), *lines[at + 1 :]]


def removed(lines: Lines, at: int, _: int) -> Lines:
    return [*lines[:at], *lines[at + 1 :]]


def reordered(lines: Lines, at: int, to: int) -> Lines:
    found = removed(lines, at, to)
    return [*found[:to], lines[at], *found[to:]]


def inserted(lines: Lines, at: int, to: int) -> Lines:
    return [*lines[:at], rewritten(lines, to, 0)[to], *lines[at:]]


def repeated(lines: Lines, at: int, to: int) -> Lines:
    return [*lines[:at], lines[to], *lines[at:]]


def cut(lines: Lines, at: int, _: int) -> Lines:
    return lines[:at]


TAMPERINGS: Final[dict[str, Callable[[Lines, int, int], Lines]]] = {
    each.__name__: each for each in (rewritten, removed, reordered, inserted, repeated, cut)
}


class Tampered(NamedTuple):
    """A log before and after, and the first entry that is another, or missing."""

    before: Lines
    after: Lines
    first: int


@contextlib.contextmanager
def opened(workspace: Path) -> Iterator[ArtifactRegistry]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with ArtifactRegistry(workspace, DATASET, actor="tester") as registry:
            yield registry


def lived(workspace: Path, history: list[tuple[str, list[Step]]]) -> list[str]:
    """A random log, in segments; its checkpoints at every size, which leave hashes of all of it beside it."""
    with opened(workspace) as registry:
        registry.register([0], "first:1:all", "model")
        live(registry, history)
    write(workspace, read(workspace))
    with opened(workspace) as registry:
        return [registry.as_of(size).checkpoint() for size in range(registry.position + 1)]


def tampered(data: st.DataObject, before: Lines, name: str, *, is_sealed: bool) -> Tampered:
    at = data.draw(st.integers(0, len(before) - 1), "at")
    to = data.draw(st.integers(0, len(before) - 1), "to")
    after = TAMPERINGS[name](before, at, to)
    if is_sealed:
        after = seal(after)
    assume(after != before)
    pairs = zip(before, after, strict=False)
    first = next(
        (place for place, (old, new) in enumerate(pairs) if old != new), min(len(before), len(after))
    )
    return Tampered(before, after, first)


def errors(report: Report) -> list[Finding]:
    return [each for each in report.findings if each.level == "error"]


def verified(workspace: Path, since: list[str] | None = None) -> Report:
    with opened(workspace) as registry:
        return registry.verify(since=since)


@pytest.mark.parametrize("name", TAMPERINGS)
@settings(max_examples=15)
@given(history=histories, data=st.data())
def test_who_does_not_cover_it_up_is_found_at_the_entry(
    name: str, history: list[tuple[str, list[Step]]], data: st.DataObject
) -> None:
    """By the log alone; what follows the durable size is a torn tail, which nobody was told of."""
    with TemporaryDirectory() as folder:
        workspace = Path(folder)
        lived(workspace, history)
        lines = read(workspace)
        change = tampered(data, lines, name, is_sealed=False)
        assume(change.first < len(lines))  # else something was put behind the end
        assert verified(workspace).ok
        write(workspace, change.after)
        report = verified(workspace)
        assert not report.ok
        assert f"entry {change.first}" in [each.where for each in errors(report)]
        assert any(f"position {change.first}" in each.detail for each in errors(report))
        assert report.entries == change.first


TRACES: Final = ("left", "removed", "anew")


@pytest.mark.parametrize("name", TAMPERINGS)
@settings(max_examples=25)
@given(history=histories, data=st.data(), trace=st.sampled_from(TRACES))
def test_who_covers_it_up_is_found_by_whoever_kept_a_checkpoint(
    name: str, history: list[tuple[str, list[Step]]], data: st.DataObject, trace: str
) -> None:
    with TemporaryDirectory() as folder:
        workspace = Path(folder)
        checkpoints = lived(workspace, history)
        lines = read(workspace)
        change = tampered(data, lines, name, is_sealed=True)
        kept = sorted(data.draw(st.sets(st.integers(0, len(lines)), min_size=1, max_size=4), "kept"))
        write(workspace, change.after)
        commit(workspace, change.after)
        cover_up(workspace, trace)
        since = [checkpoints[size] for size in data.draw(st.permutations(kept))]
        found = [each for each in verified(workspace, since).findings if each.kind == "rewritten"]
        assert [each.kind for each in verified(workspace).findings if each.kind == "rewritten"] == []
        if max(kept) <= change.first:  # nothing that was committed to is another
            assert found == []
            return
        (finding,) = found
        low = max([size for size in kept if size <= change.first], default=0)
        high = min(size for size in kept if size > change.first)
        now = change._replace(after=read(workspace))  # a run that has lost its end was rolled back
        check_place(finding, now, (low, high), segments_of(workspace), is_exact=trace == "left")


def cover_up(workspace: Path, trace: str) -> None:
    """What is derived from the log: forgotten, removed, or made anew."""
    if trace != "left":
        for name in ("tiles", "snapshots"):
            shutil.rmtree(folder_of(workspace) / name, ignore_errors=True)
    if trace == "anew":
        with contextlib.suppress(Exception), opened(workspace) as registry:  # a log may make no sense now
            registry.checkpoint()
            registry.rebuild()


def segments_of(workspace: Path) -> Callable[[int], str]:
    """The segment that an entry is in."""
    names = sorted(path.name for path in (folder_of(workspace) / "segments").iterdir())
    return lambda position: max(name for name in names if int(name.partition(".")[0]) <= position)


def check_place(
    finding: Finding,
    change: Tampered,
    sizes: tuple[int, int],
    segment_of: Callable[[int], str],
    *,
    is_exact: bool,
) -> None:
    """The entry, if the hashes of what was kept are still there; else between which two sizes."""
    low, high = sizes
    size = len(change.after)
    if is_exact and change.first < size:
        assert finding.where == f"entry {change.first}"
        assert finding.detail.startswith(f"(segment {segment_of(change.first)}, byte ")
        assert "those before it are" in finding.detail
    elif size < high:
        assert finding.where == span(size, high)
        assert f"the log had {high} entries, and {size} are there" in finding.detail
        intact = size if is_exact else low
        told = f"the first {intact} are what they were" if intact else "nothing says"
        assert told in finding.detail
    else:
        assert finding.where == span(low, high)
        assert all(f"segment {segment_of(position)}" in finding.detail for position in (low, high - 1))
        assert (f"the first {low} are what they were" in finding.detail) == (low > 0)


def span(low: int, high: int) -> str:
    return f"entry {low}" if high == low + 1 else f"entries {low} to {high - 1}"


@settings(max_examples=15)
@given(histories, histories)
def test_a_log_that_has_only_grown_holds_against_every_checkpoint(
    history: list[tuple[str, list[Step]]], more: list[tuple[str, list[Step]]]
) -> None:
    with TemporaryDirectory() as folder:
        workspace = Path(folder)
        checkpoints = lived(workspace, history)
        with opened(workspace) as registry:
            live(registry, more)
        report = verified(workspace, checkpoints)
        assert report.ok, report.findings
        shutil.rmtree(folder_of(workspace) / "tiles")
        assert verified(workspace, checkpoints).ok
        for each in checkpoints:
            assert verified(workspace, [each]).ok


@settings(max_examples=15)
@given(histories, histories, st.booleans(), st.data())
def test_the_log_of_another_dataset_is_found(
    history: list[tuple[str, list[Step]]],
    others: list[tuple[str, list[Step]]],
    is_covered: bool,  # noqa: FBT001 - drawn
    data: st.DataObject,
) -> None:
    """In this one's place: as it is, or with all sums for this dataset."""
    with TemporaryDirectory() as folder, TemporaryDirectory() as elsewhere:
        workspace, other = Path(folder), Path(elsewhere)
        checkpoints = lived(workspace, history)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with ArtifactRegistry(other, "barley", actor="tester") as registry:
                registry.register([1], "other:1:all", "model")
                live(registry, others)
        before, foreign = read(workspace), read(other, "barley")
        size = data.draw(st.integers(1, len(before)))
        if not is_covered:
            shutil.rmtree(folder_of(workspace))
            shutil.copytree(folder_of(other, "barley"), folder_of(workspace))
            assert "entry 0" in [each.where for each in errors(verified(workspace))]
        else:
            write(workspace, seal(foreign))
            commit(workspace, seal(foreign))
            cover_up(workspace, "removed")
        (finding,) = [
            each for each in errors(verified(workspace, [checkpoints[size]])) if each.kind == "rewritten"
        ]
        left = len(read(workspace)) if is_covered else 0
        assert finding.where == (span(0, size) if left >= size else span(left, size))


@settings(max_examples=15)
@given(histories, st.data())
def test_a_swapped_blob_is_found_at_its_artifacts(
    history: list[tuple[str, list[Step]]], data: st.DataObject
) -> None:
    """By its digest; and by a checkpoint if the digest in the log is made to fit."""
    with TemporaryDirectory() as folder:
        workspace = Path(folder)
        checkpoints = lived(workspace, history)
        with opened(workspace) as registry:
            records = registry.get_all_records()
        assume(records)
        victim = data.draw(st.sampled_from(records))
        owners = {each.artifact_id for each in records if each.path == victim.path}
        blob = workspace / "binaries" / DATASET / victim.path
        blob.write_bytes(b"another"[:1] + blob.read_bytes()[1:])
        report = verified(workspace)
        assert {each.where for each in errors(report)} == {f"artifact {owner!r}" for owner in owners}
        assert {each.kind for each in errors(report)} == {"changed"}
        with opened(workspace) as registry:
            found = registry._data.blobs.digest(victim.path)
        lines = read(workspace)
        forged = seal([line.replace(victim.content_hash.encode(), str(found).encode()) for line in lines])
        first = next(at for at, line in enumerate(lines) if victim.content_hash.encode() in line)
        write(workspace, forged)
        commit(workspace, forged)
        assert verified(workspace).ok  # nothing in the workspace tells
        (finding,) = errors(verified(workspace, [checkpoints[-1]]))
        assert (finding.kind, finding.where) == ("rewritten", f"entry {first}")
        cover_up(workspace, "anew")
        (finding,) = errors(verified(workspace, checkpoints))
        assert (finding.kind, finding.where) == ("rewritten", f"entry {first}")


@pytest.mark.damages
@pytest.mark.parametrize("what", ["folder", "short", "long", "other", "odd"])
def test_hashes_that_are_not_those_that_were_kept_are_not_believed(workspace: Path, what: str) -> None:
    with ArtifactRegistry(workspace, DATASET, actor="tester") as registry:
        for number in range(9):
            registry.register([number], f"p:{number}:all", "model")
        kept = registry.checkpoint()
        early = registry.as_of(2).checkpoint()
    leaves = folder_of(workspace) / "tiles" / "0"
    content = leaves.read_bytes()
    forged = seal(rewritten(read(workspace), 4, 0))
    write(workspace, forged)
    commit(workspace, forged)
    leaves.unlink()
    if what == "folder":
        leaves.mkdir()
    else:
        changed = {
            "short": content[:-32],
            "long": content + bytes(40),
            "other": content[::-1],
            "odd": content[:-1],
        }
        leaves.write_bytes(changed[what])
    before = {path: path.read_bytes() for path in folder_of(workspace).rglob("*") if path.is_file()}
    with ArtifactRegistry(workspace, DATASET) as registry:
        (finding,) = [
            each for each in registry.verify(since=[kept, early]).findings if each.kind == "rewritten"
        ]
    # What follows those that were kept takes nothing from them.
    assert finding.where == ("entry 4" if what == "long" else "entries 2 to 8")
    after = {path: path.read_bytes() for path in folder_of(workspace).rglob("*") if path.is_file()}
    assert {path: after[path] for path in before if path.suffix != ".lock"} == {
        path: content for path, content in before.items() if path.suffix != ".lock"
    }


def test_an_entry_is_one_line_of_json(workspace: Path) -> None:
    """What these tests do to lines is done to entries."""
    with ArtifactRegistry(workspace, DATASET, actor="tester") as registry:
        registry.register([1], "p:1:all", "model")
        entry: Entry = registry._data.log.entry(0)
    (line,) = read(workspace)
    assert json.loads(line)["position"] == entry.position == 0
    assert seal([line]) == [line]
