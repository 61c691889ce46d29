"""A snapshot that is not what was written: it is always noticed, never believed, and nothing breaks.

Whatever was done to it, every answer is that of a registry that folds the log. CHAINFOLD_EXAMPLES tries each
byte.
"""

import errno
import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from tests.snapshotting import (
    Everything,
    answers,
    answers_without,
    files_in,
    folder_of,
    save_never,
    saved,
    small_blocks,
)

from chainfold import ArtifactRegistry
from chainfold.errors import CorruptionError, InvalidInputError, StorageError
from chainfold.projections.section import TYPES
from chainfold.projections.snapshot import SECTIONS, TRAILER, Snapshot
from chainfold.storage import LocalFiles

EVERY: Final = 1 if os.environ.get("CHAINFOLD_EXAMPLES") else 61
pytestmark = [pytest.mark.damages, pytest.mark.timeout(0 if EVERY == 1 else 300)]
BLOCK: Final = 256


@pytest.fixture(autouse=True)
def blocks_of_few(monkeypatch: pytest.MonkeyPatch) -> None:
    small_blocks(monkeypatch, BLOCK)
    save_never(monkeypatch)


def filled(workspace: Path, dataset: str = "wheat", count: int = 4) -> None:
    """Some of everything, with a run that is open where the snapshot ends."""
    with ArtifactRegistry(workspace, dataset, pipeline_id="p") as registry:
        for number in range(count):
            registry.register_with_chain(
                [number % 3], f"s1.A>s{number}.B", "model", 1, depends_on=["p:9:all"] if number else None
            )
        registry.set_alias("best", None)
        with registry.run():
            registry.register([9], "p:9:all", "model")
            registry.set_alias("best", "p:9:all")
        registry.register([1], "q:1:all", "model")
        registry.delete_pipeline_artifacts("q", delete_files=True)


@pytest.fixture
def dataset(workspace: Path) -> Path:
    """A workspace with a snapshot, and two entries behind it."""
    filled(workspace)
    saved(workspace)
    with ArtifactRegistry(workspace, "wheat") as registry:
        registry.register([7], "p:9:all", "model")
        registry.set_alias("late", "p:9:all")
    return workspace


@pytest.fixture
def expected(dataset: Path) -> dict[str, Any]:
    return answers_without(dataset)


def check(workspace: Path, expected: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    """The answers are right, and somebody said that the snapshot is not."""
    caplog.clear()
    with caplog.at_level(logging.WARNING, logger="chainfold.projections.snapshots"):
        assert answers(workspace) == expected
    assert "the snapshot" in caplog.text


def bytes_that_count(path: Path) -> set[int]:
    """Where a snapshot is not padding."""
    content = path.read_bytes()
    counted = {*range(64), *range(TRAILER.unpack(content[-TRAILER.size :])[1], len(content))}
    for name, (start, count) in Snapshot(path, LocalFiles()).footer.sections.items():
        counted |= {*range(start, start + count * TYPES[SECTIONS[name]])}
    return counted


def replaced(path: Path, content: bytes) -> None:
    """Put something else in its place; others that were built meanwhile go."""
    for other in path.parent.glob("*"):
        other.unlink()
    path.write_bytes(content)


def test_every_byte_flipped(
    dataset: Path, expected: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """A sum tells, or the form; but for the padding between sections, which nobody reads."""
    path = files_in(dataset)[0]
    content, read = path.read_bytes(), bytes_that_count(path)
    for at in range(0, len(content), EVERY):
        replaced(path, content[:at] + bytes([content[at] ^ 0x10]) + content[at + 1 :])
        caplog.clear()
        assert answers(dataset) == expected, at
        assert (at in read) == ("the snapshot" in caplog.text), at


def test_every_prefix(dataset: Path, expected: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    """Cut anywhere, it is left out."""
    path = files_in(dataset)[0]
    content = path.read_bytes()
    for length in [*range(0, len(content), EVERY), len(content) - 1]:
        replaced(path, content[:length])
        check(dataset, expected, caplog)


def test_blocks_of_zeros_and_of_others(
    dataset: Path, expected: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """Blocks that a power cut has emptied, or that were swapped, are found when they are read."""
    path = files_in(dataset)[0]
    content = path.read_bytes()
    for start in range(64, len(content) - BLOCK, BLOCK):
        for other in (b"\0" * BLOCK, content[start + BLOCK : start + 2 * BLOCK].ljust(BLOCK, b"\1")):
            changed = content[:start] + other + content[start + BLOCK :]
            replaced(path, changed[: len(content)])
            if changed != content:
                check(dataset, expected, caplog)


@pytest.mark.parametrize(
    "content", [b"", b"\0", b"\0" * 4_096, b"{}" * 64, b"chainfold snapshot 3\n".ljust(96, b"\0")]
)
def test_what_is_none_at_all(
    dataset: Path, expected: dict[str, Any], caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    replaced(files_in(dataset)[0], content)
    check(dataset, expected, caplog)


def test_another_format(dataset: Path, expected: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    path = files_in(dataset)[0]
    replaced(path, path.read_bytes().replace(b"snapshot 3", b"snapshot 2"))
    check(dataset, expected, caplog)


def test_that_of_another_dataset(
    dataset: Path, expected: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    filled(dataset, "barley")
    other = saved(dataset, "barley")
    replaced(files_in(dataset)[0], other.read_bytes())
    check(dataset, expected, caplog)


def test_that_of_another_log_of_the_same_name(
    dataset: Path, tmp_path: Path, expected: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """Of as many entries, of the same lengths: the sum of the last one tells."""
    filled(tmp_path / "other")
    replaced(files_in(dataset)[0], saved(tmp_path / "other").read_bytes())
    check(dataset, expected, caplog)


def test_one_that_is_ahead_of_a_log_that_was_restored(
    dataset: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is left out, and goes when the next is written: it does not stand in that one's way."""
    shutil.rmtree(folder_of(dataset))
    shutil.copytree(dataset, tmp_path / "copy")
    expected = answers_without(dataset)
    with ArtifactRegistry(dataset, "wheat") as registry:
        for number in range(9):
            registry.register([number], f"r:{number}:all", "model")
    ahead = saved(dataset)
    for name in ("log/wheat/segments", "log/wheat/checkpoint", "binaries"):
        path = dataset / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        copy = tmp_path / "copy" / name
        shutil.copytree(copy, path) if copy.is_dir() else shutil.copy(copy, path)
    assert files_in(dataset) == [ahead]
    check(dataset, expected, caplog)
    monkeypatch.setattr("chainfold.folded.TAIL_ENTRIES", 1)
    with ArtifactRegistry(dataset, "wheat") as registry:
        registry.set_alias("again", None)
        snapshot = registry._data.projections.snapshot
        assert snapshot is not None
        assert [path.name for path in files_in(dataset)] == [snapshot.path.name]


def test_the_same_log_before_it_was_rewritten(
    dataset: Path, expected: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """The dataset was made again under its name, and the old snapshots are still there."""
    kept = {path.name: path.read_bytes() for path in files_in(dataset)}
    shutil.rmtree(dataset)
    filled(dataset, count=6)
    folder_of(dataset).mkdir(exist_ok=True)
    for name, content in kept.items():
        (folder_of(dataset) / name).write_bytes(content)
    check(dataset, answers_without(dataset), caplog)


@pytest.fixture
def odd(dataset: Path, expected: dict[str, Any]) -> Iterator[Path]:
    """The name of a snapshot that is none, which must not be followed, waited for, or removed."""
    path = files_in(dataset)[0]
    path.rename(dataset / "elsewhere")
    yield path
    assert answers(dataset) == expected


@pytest.mark.parametrize("what", ["link", "dangling link", "pipe", "folder"])
def test_what_is_no_file(odd: Path, what: str) -> None:
    if what == "link":
        odd.symlink_to(odd.parents[3] / "elsewhere")
    elif what == "dangling link":
        odd.symlink_to("nowhere")
    elif what == "pipe":
        os.mkfifo(odd)
    else:
        odd.mkdir()
        (odd / odd.name).write_bytes(b"")


def test_a_folder_that_leads_elsewhere_is_refused(dataset: Path, tmp_path: Path) -> None:
    """What is in it would be listed, written to and removed."""
    folder = folder_of(dataset)
    shutil.move(folder, tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InvalidInputError, match="is a link"):
        ArtifactRegistry(dataset, "wheat")


def test_only_snapshots_are_removed(dataset: Path) -> None:
    """What else lies in the folder is somebody's."""
    folder = folder_of(dataset)
    (folder / "deep").mkdir()
    others = [
        folder / "0notes.txt",
        folder / "deep" / "0.snapshot",
        folder / "0.new",
        folder / "x.snapshot.new",
    ]
    left = folder / f"{files_in(dataset)[0].name}.new"
    for path in [*others, left]:
        path.write_bytes(b"mine")
        os.utime(path, (0, 0))
    saved(dataset)
    assert all(path.exists() for path in others)
    assert not left.exists(), "what a writer that died has left goes after an hour"
    assert len(files_in(dataset)) == 1


def test_it_is_built_anew_where_it_lies(
    dataset: Path, expected: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """Who finds the damage mends it: the next one finds none."""
    path = files_in(dataset)[0]
    content = path.read_bytes()
    replaced(path, content[:64] + bytes(BLOCK) + content[64 + BLOCK :])
    check(dataset, expected, caplog)
    assert not path.exists()
    (mended,) = files_in(dataset)
    sections = len(content) - TRAILER.unpack(content[-TRAILER.size :])[1]
    assert mended.read_bytes()[:-sections] == content[:-sections]
    caplog.clear()
    assert answers(dataset) == expected
    assert "the snapshot" not in caplog.text


@pytest.mark.parametrize(
    "section", ["sizes", "files", "totals", "keys", "values", "chain_text", "chain_ends"]
)
@pytest.mark.parametrize("writable", [True, False])
def test_it_goes_bad_while_it_is_open(
    dataset: Path,
    expected: dict[str, Any],
    section: str,
    monkeypatch: pytest.MonkeyPatch,
    *,
    writable: bool,
) -> None:
    """A block is checked when it is first read; where nothing can be written it is built anew in memory."""
    path = saved(dataset)  # of all there is: opening reads nothing of it but where the last entry is
    with ArtifactRegistry(dataset, "wheat") as registry:
        place, _ = Snapshot(path, LocalFiles()).footer.sections[section]
        with path.open("r+b") as file:
            file.seek(place)
            file.write(b"\xff")
        if not writable:
            monkeypatch.setattr(LocalFiles, "appender", refused)
            monkeypatch.setattr(LocalFiles, "remove", refused)
        assert Everything(registry._data.log).of(registry) == expected
        assert path.exists() is not writable


def refused(self: LocalFiles, path: Path, **_: Any) -> Any:
    raise StorageError.refused("write", path, OSError(errno.EROFS, "Read-only file system"))


def test_both_it_and_the_log_are_damaged(dataset: Path) -> None:
    """It is not built anew from less than it was made of: that would be another state. It goes instead."""
    path, segment = saved(dataset), next((dataset / "log" / "wheat" / "segments").iterdir())
    place, _ = Snapshot(path, LocalFiles()).footer.sections["keys"]
    with path.open("r+b") as file:
        file.seek(place)
        file.write(b"\xff")
    lines = segment.read_bytes().split(b"\n")
    segment.write_bytes(b"\n".join([*lines[:2], lines[2].replace(b"p", b"q", 1), *lines[3:]]))
    with (
        ArtifactRegistry(dataset, "wheat") as registry,
        pytest.raises(CorruptionError, match="open the work"),
    ):
        registry.get_stats()
        registry.resolve("p:9:all")
        registry.resolve("nobody")
    with pytest.warns(RuntimeWarning, match="position 2"), ArtifactRegistry(dataset, "wheat") as registry:
        assert len(registry) == 2
