"""Runs that are open when a snapshot is written, and all that is in them, end as they would without one."""

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.snapshotting import Everything, answers_without, save_often, small_blocks
from tests.test_laws import die

from chainfold import ArtifactRegistry

Act = Callable[[ArtifactRegistry], object]


def register(registry: ArtifactRegistry, name: str, content: int) -> None:
    registry.register([content], f"{name}:0:all", "model")


def registering(registry: ArtifactRegistry) -> None:
    """New, in place of another, twice, with a file that is known and one that is not."""
    register(registry, "a", 1)
    register(registry, "new", 2)
    register(registry, "new", 9)


def deleting(registry: ArtifactRegistry) -> None:
    registry.delete_pipeline_artifacts("a", delete_files=True)
    registry.delete_pipeline_artifacts("b")


def purging(registry: ArtifactRegistry) -> None:
    register(registry, "gone", 5)
    registry.purge_dataset_artifacts(confirm=True)
    register(registry, "a", 6)


def moving_aliases(registry: ArtifactRegistry) -> None:
    register(registry, "c", 7)
    registry.set_alias("best", "c:0:all")
    registry.set_alias("other", None)
    registry.set_alias("best", "b:0:all")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    small_blocks(monkeypatch)
    save_often(monkeypatch)


@pytest.fixture
def begun(workspace: Path) -> Path:
    """Two artifacts, an alias, and a file of nobody that was swept."""
    with ArtifactRegistry(workspace, "wheat") as registry:
        register(registry, "a", 0)
        register(registry, "b", 1)
        registry.set_alias("best", "a:0:all")
        registry.set_alias("other", "b:0:all")
        (registry.binaries_dir / "stray.pkl").write_bytes(b"of nobody")
        registry.delete_orphaned_artifacts(dry_run=False)
    return workspace


def check(workspace: Path, registry: ArtifactRegistry) -> None:
    """What is lived through snapshots answers as a fold of the whole log does."""
    assert registry._data.projections.snapshot is not None
    assert len(registry) >= 0
    found = Everything(registry._data.log).of(registry)
    assert found == answers_without(workspace)


@pytest.mark.parametrize("how", ["commit", "roll back", "crash", "workers"])
@pytest.mark.parametrize("act", [registering, deleting, purging, moving_aliases])
def test_a_run_across_a_snapshot(begun: Path, act: Act, how: str) -> None:
    """Begun before it, ended after it, by who began it, by a worker that joined, or by nobody."""
    runner = ArtifactRegistry(begun, "wheat")
    expected = [record.to_dict() for record in runner.iter_records()]
    runner.start_run()
    act(runner)
    with ArtifactRegistry(begun, "wheat") as other:
        assert other._data.projections.runs.all_open()
        assert [record.to_dict() for record in other.iter_records()] == expected
        snapshot = other._data.projections.snapshot
        assert snapshot is not None
        assert snapshot.footer.state.open_runs
    if how == "workers":
        joined: ArtifactRegistry = pickle.loads(pickle.dumps(runner))
        register(joined, "late", 3)
        assert [each.to_dict() for each in joined.iter_records()] == [
            each.to_dict() for each in runner.iter_records()
        ]
        joined.close()
    if how == "crash":
        assert runner._run is not None
        die(runner._run)
    elif how == "roll back":
        runner.cleanup_failed_run()
    else:
        runner.end_run()
    with ArtifactRegistry(begun, "wheat") as after:
        found = [record.to_dict() for record in after.iter_records()]
        assert (found == expected) is (how not in {"commit", "workers"})
        assert all(after.load(each["artifact_id"]) for each in found)
        check(begun, after)
    runner.close()


def test_what_was_swept_and_never_registered_is_remembered(begun: Path) -> None:
    with ArtifactRegistry(begun, "wheat") as registry:
        snapshot = registry._data.projections.snapshot
        assert snapshot is not None
        assert snapshot.size == registry.position
        assert registry._data.projections.paths.swept_at("stray.pkl") is not None
        assert registry._data.projections.paths.swept_at("other.pkl") is None


def test_a_stream_goes_on_over_a_snapshot(begun: Path) -> None:
    """What is read one by one shows one moment, also when the state under it becomes a snapshot meanwhile."""
    with ArtifactRegistry(begun, "wheat") as registry:
        for number in range(20):
            register(registry, f"n{number}", number)
        expected = [record.artifact_id for record in registry.iter_records()]
        found = []
        for record in registry.iter_records():
            found.append(record.artifact_id)
            register(registry, f"late{len(found)}", 3)
        assert found == expected
        view = registry.as_of(registry.position)
        before = [record.to_dict() for record in view.iter_records()]
        registry.purge_dataset_artifacts(confirm=True)
        assert [record.to_dict() for record in view.iter_records()] == before
