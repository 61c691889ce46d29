"""Runs: visibility, ends of every kind, taking back, and the manager that is told."""

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainfold import ArtifactRecord, ArtifactRegistry, ConflictError, RunClosedError


class Manager:
    """Stands in for a pipeline's manifest manager."""

    def __init__(self) -> None:
        self.told: list[tuple[str, list[str]]] = []

    def append_artifacts(self, pipeline_id: str, records: list[ArtifactRecord]) -> None:
        self.told.append((pipeline_id, [record.artifact_id for record in records]))


def files(registry: ArtifactRegistry) -> int:
    return sum(1 for _ in registry.binaries_dir.glob("*"))


def test_others_see_a_run_when_it_commits(registry: ArtifactRegistry) -> None:
    with ArtifactRegistry(registry.workspace, "wheat") as other:
        old = registry.register("old", "p:1:all", "model")
        with registry.run() as run:
            new = registry.register("new", "p:1:all", "model")
            assert registry.resolve("p:1:all") == new
            assert other.resolve("p:1:all") == old
            assert other.resolve_by_hash(new.content_hash) is None
            assert registry.get_all_records() == [new]
            assert registry.history("p:1:all")[-1].standing == "in open run"
            assert run.owned
        assert other.resolve("p:1:all") == new


def test_an_exception_rolls_back_and_leaves_only_the_record_of_it(registry: ArtifactRegistry) -> None:
    shared = registry.register("shared", "p:1:all", "model")
    with pytest.raises(ZeroDivisionError), registry.run():
        registry.register("new", "p:1:all", "model")
        registry.register("shared", "p:2:all", "model")
        registry.delete_pipeline_artifacts("p")
        raise ZeroDivisionError
    assert registry.get_all_records() == [shared]
    assert files(registry) == 1
    (*_, item) = registry.history("p:1:all")
    assert (item.standing, item.removed_by) == ("withdrawn", "artifacts-deleted")
    segment = next((registry.workspace / "log" / "wheat" / "segments").iterdir())
    assert '"reason":"exception","detail":"ZeroDivisionError' in segment.read_text()


def test_an_exception_that_cannot_be_told_rolls_back_all_the_same(registry: ArtifactRegistry) -> None:
    class UntellableError(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no")

    for error in (UntellableError(), ValueError("\ud800" * 1_000)):
        with pytest.raises(type(error)), registry.run():
            registry.register("new", "p:1:all", "model")
            raise error
    assert len(registry) == files(registry) == 0


def test_an_interrupt_rolls_back_too(registry: ArtifactRegistry) -> None:
    with pytest.raises(KeyboardInterrupt), registry.run():
        registry.register("new", "p:1:all", "model")
        raise KeyboardInterrupt
    assert len(registry) == files(registry) == 0


def test_the_references_calls_are_the_same_thing(registry: ArtifactRegistry) -> None:
    registry.start_run()
    registry.register(1, "p:1:all", "model")
    registry.register(2, "p:2:all", "model")
    assert registry.cleanup_failed_run() == 2
    registry.start_run()
    registry.register(3, "p:3:all", "model")
    registry.end_run()
    registry.end_run()
    assert registry.cleanup_failed_run() == 0
    assert [record.artifact_id for record in registry.get_all_records()] == ["p:3:all"]
    assert files(registry) == 1
    registry.start_run()
    with pytest.warns(UserWarning, match="still open"):
        registry.start_run()
    registry.end_run()


def test_outside_a_run_cleanup_takes_back_what_stood_alone(registry: ArtifactRegistry) -> None:
    old = registry.register("old", "p:1:all", "model")
    kept = registry.register("kept", "p:2:all", "model")
    registry.end_run()
    registry.register("new", "p:1:all", "model")
    registry.register("newer", "p:1:all", "model")
    registry.register("kept", "p:3:all", "model")
    with ArtifactRegistry(registry.workspace, "wheat") as other:
        theirs = other.register("theirs", "q:1:all", "model")
        assert registry.cleanup_failed_run() == 2
        found = {record.artifact_id: record for record in other.get_all_records()}
    assert sorted(found) == ["p:1:all", "p:2:all", "q:1:all"]
    assert found["p:1:all"].content_hash == old.content_hash
    assert found["p:2:all"] == kept
    assert found["q:1:all"] == theirs
    assert registry.load("p:1:all") == "old"
    assert files(registry) == 3


def test_a_failed_run_leaves_what_stood_alone_before_it_to_the_next_call(registry: ArtifactRegistry) -> None:
    registry.register("alone", "p:1:all", "model")
    registry.start_run()
    registry.register("in the run", "p:2:all", "model")
    assert registry.cleanup_failed_run() == 1
    assert [record.artifact_id for record in registry.get_all_records()] == ["p:1:all"]
    assert registry.cleanup_failed_run() == 1
    assert len(registry) == files(registry) == 0


def test_runs_do_not_nest_and_an_ended_run_takes_nothing_more(registry: ArtifactRegistry) -> None:
    with registry.run():
        with pytest.raises(ConflictError, match="do not nest"), registry.run():
            pass
        registry.register(1, "p:1:all", "model")
        registry.end_run()
        registry.register(2, "p:2:all", "model")
    assert len(registry) == 2
    with ArtifactRegistry(registry.workspace, "wheat") as other, registry.run() as run:
        registry.register(3, "p:3:all", "model")
        other.purge_dataset_artifacts(confirm=True, force=True)
        with pytest.raises(RunClosedError, match=f"run {run.run_id} was rolled back"):
            registry.register(4, "p:4:all", "model")
        registry._run = None
    assert len(registry) == files(registry) == 0


def test_deleting_in_a_run(registry: ArtifactRegistry) -> None:
    registry.register("committed", "p:1:all", "model")
    registry.set_alias("production", "p:1:all")
    with ArtifactRegistry(registry.workspace, "wheat") as other:
        with registry.run():
            registry.register("own", "p:2:all", "model")
            registry.set_alias("production", "p:2:all")
            assert other.alias("production") == "p:1:all"
            assert registry.delete_pipeline_artifacts("p", delete_files=True) == 2
            assert registry.resolve("p:2:all") is None
            assert registry.resolve("p:1:all") is not None
            assert other.load("p:1:all") == "committed"
            assert files(registry) == 1
        assert len(other) == files(registry) == 0
        with pytest.raises(FileNotFoundError, match=r"artifacts-deleted|run-committed"):
            other.load_artifact(other.history("p:1:all")[0].record)


def test_the_manager_is_told_after_the_commit(workspace: Path) -> None:
    manager = Manager()
    with ArtifactRegistry(workspace, "wheat", manager) as registry:
        with registry.run():
            registry.register(1, "p:1:all", "model")
            registry.register(2, "q:1:all", "model")
            registry.register(3, "p:2:all", "model")
            assert manager.told == []
        assert manager.told == [("p", ["p:1:all", "p:2:all"]), ("q", ["q:1:all"])]
        with pytest.raises(OSError, match="x"), registry.run():
            registry.register(1, "p:3:all", "model")
            raise OSError("x")
        assert len(manager.told) == 2


def test_a_failing_manager_does_not_undo_the_commit(workspace: Path) -> None:
    class Failing:
        def append_artifacts_v2(self, *_: Any) -> None:
            raise RuntimeError("disk of its own full")

    with ArtifactRegistry(workspace, "wheat", Failing()) as registry:
        with pytest.warns(UserWarning, match="is committed, but the manifest manager failed"), registry.run():
            registry.register(1, "p:1:all", "model")
        assert len(registry) == 1


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3), st.booleans()), max_size=12))
def test_figures_of_an_open_run_are_those_of_what_it_sees(steps: list[tuple[int, int, bool]]) -> None:
    """Counted one by one: its own in the place of what it supersedes, each file once."""
    with TemporaryDirectory() as folder, ArtifactRegistry(folder, "wheat") as registry:
        begun = False
        for name, content, begins in steps:
            if begins and not begun:
                registry.start_run()
                begun = True
            registry.register([content] * (content + 1), f"p{name}:1:all", "model" if name % 2 else "encoder")
        seen = registry.get_all_records()
        stats = registry.get_stats()
        assert len(registry) == stats["total_artifacts"] == len(seen)
        assert stats["total_size_bytes"] == sum(record.size_bytes for record in seen)
        assert stats["unique_files"] == len({record.path for record in seen})
        assert stats["by_type"] == dict(Counter(record.artifact_type.value for record in seen))
        if begun:
            registry.end_run()
