"""Snapshots of several processes at once, and where nothing can be written: none of it reaches who asks."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.snapshotting import answers, answers_without, files_in, folder_of, save_never, save_often, saved

from chainfold import ArtifactRegistry
from chainfold.dataset import Dataset
from chainfold.errors import StorageError
from chainfold.storage import LocalFiles

WORK = """
import sys
import chainfold.folded
from chainfold import ArtifactRegistry
chainfold.folded.TAIL_ENTRIES, chainfold.folded.TAIL_LIMIT = int(sys.argv[3]), 4
chainfold.folded.TAIL_SHARE = 10**9
workspace, name = sys.argv[1], sys.argv[2]
for turn in range(6):
    with ArtifactRegistry(workspace, "wheat") as registry:
        for number in range(5):
            with registry.run():
                registry.register([name, number], f"{name}:{number}:all", "model", params={"turn": turn})
                registry.set_alias(name, f"{name}:{number}:all")
            assert registry.load(f"{name}:{number}:all") == [name, number]
            seen = {record.artifact_id: record.params["turn"] for record in registry.iter_records()}
            assert seen[f"{name}:{number}:all"] == turn
            view = registry.as_of(registry.position)
            assert len(view) == sum(1 for _ in view.iter_records())
        registry.delete_pipeline_artifacts(name if turn % 2 else "nobody", delete_files=True)
print("done")
"""


def test_several_that_write_and_reopen_all_the_time(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each saves after every few entries, reads what others have saved, and sees its own work whole."""
    writers = [
        subprocess.Popen([sys.executable, "-c", WORK, workspace, name, entries], stdout=subprocess.PIPE)
        for name, entries in (("a", "1"), ("b", "2"), ("c", "5"))
    ]
    save_often(monkeypatch, 3, 3)
    while any(writer.poll() is None for writer in writers):
        with ArtifactRegistry(workspace, "wheat") as reader:
            records = reader.get_all_records()
            view = reader.as_of(reader.position)
            assert all(record.artifact_id in view for record in view.iter_records())
            assert len({record.artifact_id for record in records}) == len(records)
    assert [writer.communicate()[0] for writer in writers] == [b"done\n"] * 3
    save_never(monkeypatch)
    assert answers(workspace) == answers_without(workspace)
    assert len(files_in(workspace)) <= 2


@pytest.fixture
def filled(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Some artifacts, with a snapshot of them."""
    save_never(monkeypatch)
    with ArtifactRegistry(workspace, "wheat") as registry:
        for number in range(6):
            registry.register([number], f"p:{number}:all", "model")
    saved(workspace)
    return workspace


@pytest.mark.skipif(sys.platform == "win32", reason="files that are open stay there")
def test_one_that_is_read_may_be_removed(filled: Path) -> None:
    """Whoever has it mapped goes on reading it."""
    with ArtifactRegistry(filled, "wheat") as reader:
        shutil.rmtree(folder_of(filled))
        assert [record.artifact_id for record in reader.iter_records()] == [
            f"p:{each}:all" for each in range(6)
        ]
        assert reader.resolve("p:3:all") is not None
        with ArtifactRegistry(filled, "wheat") as other:
            other.register([9], "p:3:all", "model")
        assert reader.load("p:3:all") == [9]
        assert reader.rebuild()


def test_one_that_went_while_it_was_opened(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process has just written a newer one: then the log is folded, and no word is said."""
    expected = answers_without(filled)
    names = files_in(filled)
    monkeypatch.setattr(
        "chainfold.projections.snapshots.Snapshots._names",
        lambda _: [name.name.replace("-", "-0")[:-10] + ".snapshot" for name in names],
    )
    assert answers(filled) == expected


def test_two_that_save_at_once(filled: Path) -> None:
    """One of them does; the other goes on with what it has."""
    with ArtifactRegistry(filled, "wheat") as one, ArtifactRegistry(filled, "wheat") as two:
        lock = LocalFiles().try_lock(filled / "log" / "wheat" / "snapshots.lock")
        assert lock is not None
        before = files_in(filled)
        two._data._save()
        assert files_in(filled) == before
        assert two._data._patience == 2
        lock.release()
        one._data._save()
        two._data._save()
        assert len(files_in(filled)) == 1, "also of those of one size the last one stays"
        assert len(one) == len(two) == 6


def refused(*_: Any, **__: Any) -> Any:
    raise StorageError("the system refuses")


@pytest.mark.parametrize(
    "operation", ["appender", "rename", "try_lock", "make_folder", "map", "scan", "remove", "age"]
)
def test_a_system_that_refuses_to_save(filled: Path, monkeypatch: pytest.MonkeyPatch, operation: str) -> None:
    """What was asked for is done: no refusal of what a snapshot needs reaches the caller."""
    with ArtifactRegistry(filled, "wheat") as registry:
        data = registry._data
        with monkeypatch.context() as patch:
            patch.setattr(LocalFiles, operation, refused)
            data._save()
            save_often(patch)
            data._patience = 1
            data.save_if_due()
        registry.register([7], "p:7:all", "model")
        assert len(registry) == 7
        assert registry.rebuild()
    assert answers(filled) == answers_without(filled)


@pytest.mark.parametrize("operation", ["scan", "map"])
def test_snapshots_that_cannot_be_read(filled: Path, monkeypatch: pytest.MonkeyPatch, operation: str) -> None:
    """Then the log is folded."""
    expected = answers_without(filled)
    real = getattr(LocalFiles, operation)

    def refuse(self: LocalFiles, path: Path) -> Any:
        return refused() if "snapshots" in (path.name, path.parent.name) else real(self, path)

    monkeypatch.setattr(LocalFiles, operation, refuse)
    assert answers(filled) == expected


def test_rebuilding_where_nothing_can_be_removed(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It folds the log even so: a snapshot that stays is not what it begins from."""
    monkeypatch.setattr(LocalFiles, "remove", refused)
    with ArtifactRegistry(filled, "wheat") as registry:
        assert registry._data.projections.snapshot is not None
        assert registry.rebuild()
        assert registry._data.projections.snapshot is None


@pytest.mark.damages
@pytest.mark.skipif(sys.platform == "win32", reason="files that are open stay there")
def test_a_workspace_that_was_removed_stays_so(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever closes what was opened there makes no folder for a snapshot that nobody can use."""
    registry = ArtifactRegistry(filled, "wheat")
    registry.register([7], "p:7:all", "model")
    shutil.rmtree(filled)
    save_often(monkeypatch)
    registry.close()
    assert not filled.exists()


@pytest.mark.damages
def test_verifying_believes_no_snapshot(filled: Path) -> None:
    """Damage behind a snapshot's back is told by who reads the entry, and by `verify`."""
    segment = next((filled / "log" / "wheat" / "segments").iterdir())
    content = segment.read_bytes()
    at = content.index(b'"p:2:all"') + 1
    segment.write_bytes(content[:at] + b"q" + content[at + 1 :])
    with ArtifactRegistry(filled, "wheat") as registry:
        assert isinstance(registry._data, Dataset)
        assert not registry.verify().ok
