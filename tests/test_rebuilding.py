"""A large log that has no snapshot is folded segment by segment, whatever its segments are like."""

import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.snapshotting import (
    answers,
    answers_without,
    check_rebuilt,
    files_in,
    fingerprint_of,
    from_nothing,
    small_blocks,
)

from chainfold import ArtifactRegistry
from chainfold.dataset import Dataset
from chainfold.events import ArtifactsDeleted, BlobsSwept
from chainfold.log import OddError, checking
from chainfold.projections import keys, rebuilding
from chainfold.projections.merging import fingerprint
from chainfold.storage import LocalFiles

texts = st.text(st.characters(codec=None), max_size=20)


@pytest.fixture
def filled(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Several segments, runs across them, the same ids and files again and again; no snapshot."""
    monkeypatch.setitem(Dataset.__init__.__kwdefaults__ or {}, "segment_bytes", 2_000)
    with ArtifactRegistry(workspace, "wheat", pipeline_id="p", actor="tester") as registry:
        for number in range(6):
            with registry.run():
                for place in range(8):
                    registry.register([place % 3], f"p{number % 2}:{place}:all", "model")
                registry.set_alias("best", f"p{number % 2}:{number}:all")
            registry.register([number], "single", "model", depends_on=["p0:1:all", "p0:2:all"])
        registry.delete_pipeline_artifacts("p1", delete_files=True)
    for path in files_in(workspace):
        path.unlink()
    monkeypatch.setattr("chainfold.projections.snapshots.BUILD_BYTES", 0)
    return workspace


@pytest.mark.parametrize("aside", [1, 9, 500_000])
@pytest.mark.parametrize("jobs", [1, 2])
def test_opening_a_large_log_builds_a_snapshot(
    filled: Path, jobs: int, aside: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checking, "PARALLEL_BYTES", 0 if jobs > 1 else 1 << 40)
    monkeypatch.setattr(rebuilding, "TAIL_ENTRIES", aside)
    with ArtifactRegistry(filled, "wheat") as registry:
        snapshot = registry._data.projections.snapshot
        assert snapshot is not None
        assert snapshot.size == registry.position
    (path,) = files_in(filled)
    assert answers(filled) == answers_without(filled)
    assert path.exists()
    check_rebuilt(filled)


def test_small_logs_and_other_storage_are_folded_as_they_are(
    filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class OtherFiles(LocalFiles):
        """Read otherwise, perhaps."""

    data = Dataset(filled, "wheat", files=OtherFiles())
    assert data.projections.snapshot is None
    data.close()
    monkeypatch.setattr("chainfold.projections.snapshots.BUILD_BYTES", 1 << 30)
    with ArtifactRegistry(filled, "wheat") as registry:
        assert registry._data.projections.snapshot is None


@pytest.mark.parametrize("error", [OddError("odd"), OSError("no"), RuntimeError("a worker was killed")])
def test_what_cannot_be_built_is_folded(
    filled: Path, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(rebuilding, "gather", failing)
        with ArtifactRegistry(filled, "wheat") as registry:
            assert registry._data.projections.snapshot is None
            assert registry.resolve("single") is not None
            assert registry.verify().ok
    assert not list((filled / "log" / "wheat" / "snapshots").glob("*.new"))


def test_nobody_builds_what_another_process_is_building(
    filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chainfold.projections.snapshots._PATIENCE_SECONDS", 0.2)
    files = LocalFiles()
    lock = files.try_lock(filled / "log" / "wheat" / "snapshots.lock")
    assert lock is not None
    try:
        with ArtifactRegistry(filled, "wheat") as registry:
            assert registry._data.projections.snapshot is None
            assert registry.resolve("single") is not None
    finally:
        lock.release()


@pytest.mark.damages
@pytest.mark.filterwarnings("ignore:log of dataset:RuntimeWarning")
def test_a_damaged_log_is_told_as_ever(filled: Path) -> None:
    path = sorted((filled / "log" / "wheat" / "segments").iterdir())[3]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with ArtifactRegistry(filled, "wheat") as registry:
        assert registry._data.log.damage is not None
        assert path.name in str(registry._data.log.damage)
        assert registry._data.projections.snapshot is None
    assert not files_in(filled)


@given(st.lists(texts))
def test_many_digests_are_those_of_each(some: list[str]) -> None:
    assert keys.text_digests(some).tolist() == list(map(keys.text_digest, some))


@given(st.lists(st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1)), min_size=1))
def test_many_pairs_are_mixed_as_each_is(pairs: list[tuple[int, int]]) -> None:
    first, second = (np.array(column, dtype="u8") for column in zip(*pairs, strict=True))
    mixed = keys.mixed(first, second)
    assert mixed.dtype == np.uint64
    assert mixed.tolist() == [keys.mixed(*pair) for pair in pairs]
    for kind in ("id", "source"):
        assert keys.stored(kind, mixed).tolist() == [keys.stored(kind, each) for each in mixed.tolist()]


@pytest.mark.parametrize("size", [1, 20, 47])
def test_the_first_entries_are_rebuilt(filled: Path, size: int) -> None:
    """What a damaged snapshot of them should have been."""
    projections, log = from_nothing(filled, "wheat", size)
    with rebuilding.Rebuilt(log.folder, "wheat", stop=size) as rebuilt:
        assert rebuilt.mark.size == size
        assert fingerprint(rebuilt.projections, log.mark(), ((), rebuilt.offsets)) == fingerprint_of(
            projections, log
        )
    log.close()


def test_a_damaged_snapshot_of_a_large_log_is_healed(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_blocks(monkeypatch)
    with ArtifactRegistry(filled, "wheat") as registry:
        registry.set_alias("x", "single")
    (path,) = files_in(filled)
    content = bytearray(path.read_bytes())
    for at in range(200, len(content) // 2, 64):
        content[at] ^= 1
    path.write_bytes(content)

    def never(*_: object) -> None:
        raise AssertionError("it is folded entry by entry")

    with monkeypatch.context() as patch, ArtifactRegistry(filled, "wheat") as registry:
        patch.setattr("chainfold.projections.snapshots.Projections", never)
        seen = [record.artifact_id for record in registry.iter_records()]
    assert seen == [record["artifact_id"] for record in answers_without(filled)["present"]["records"]]
    assert not path.exists()


def weakly(monkeypatch: pytest.MonkeyPatch, *alike: str) -> None:
    """Let some texts have one digest."""
    digest = keys.text_digest

    def weak(text: str) -> int:
        return digest(alike[0] if text in alike else text)

    def all_weak(some: Iterable[str]) -> "keys.Hashes":
        return np.array(list(map(weak, some)), dtype="u8")

    for module in ("keys", "gathering"):
        monkeypatch.setattr(f"chainfold.projections.{module}.text_digest", weak)
        monkeypatch.setattr(f"chainfold.projections.{module}.text_digests", all_weak)


@pytest.mark.parametrize(
    "event",
    [ArtifactsDeleted(pipeline_id="other"), BlobsSwept(["other"], 1, "orphaned")],
    ids=lambda it: it.kind,
)
def test_what_nothing_has_is_not_taken_for_another(
    event: ArtifactsDeleted | BlobsSwept, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if it has the same hash: whoever names pipelines may look for such names."""
    with ArtifactRegistry(workspace, "wheat") as registry:
        path = registry.register([1], "p:1:all", "model").path
        registry.register([2], "p:2:all", "model")
        with registry._data.writing():
            registry._data.append([event], sync=True)
    monkeypatch.setattr("chainfold.projections.snapshots.BUILD_BYTES", 0)
    weakly(monkeypatch, "p" if isinstance(event, ArtifactsDeleted) else path, "other")
    for snapshot in files_in(workspace):
        snapshot.unlink()
    with pytest.raises(OddError, match="taken for another"):
        rebuilding.Rebuilt(workspace / "log" / "wheat", "wheat")
    with ArtifactRegistry(workspace, "wheat") as registry:
        assert len(registry) == 2
        assert registry._data.projections.snapshot is None
    monkeypatch.undo()


def test_a_log_that_begins_with_nothing_that_is_looked_up(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(Dataset.__init__.__kwdefaults__ or {}, "segment_bytes", 300)
    monkeypatch.setattr(rebuilding, "TAIL_ENTRIES", 2)
    with ArtifactRegistry(workspace, "wheat") as registry:
        for _ in range(4):
            registry.purge_dataset_artifacts(confirm=True)
        registry.register([1], "p:1:all", "model")
    check_rebuilt(workspace)


def test_a_forked_child_shares_no_processes_with_its_parent(
    filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loky does not live through a fork: the child would wait for workers that it does not have."""
    monkeypatch.setattr(checking, "PARALLEL_BYTES", 0)
    monkeypatch.setattr(checking, "_PROCESS", -1)
    monkeypatch.setattr("joblib.externals.loky.ProcessPoolExecutor", None)
    with ArtifactRegistry(filled, "wheat") as registry:
        assert registry._data.projections.snapshot is not None


def test_what_the_caller_has_set_for_joblib_does_not_matter(
    filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checking, "PARALLEL_BYTES", 0)
    with joblib.parallel_config("multiprocessing", n_jobs=2), ArtifactRegistry(filled, "wheat") as registry:
        assert registry._data.projections.snapshot is not None


def test_segments_are_gathered_in_order_by_several_processes() -> None:
    tasks = [checking.Task(Path(str(number)), number, 0) for number in range(20)]
    assert list(checking.in_order(number_of, tasks, checking.PARALLEL_BYTES, 2)) == list(range(20))


def test_no_more_is_gathered_than_is_needed_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many processes there are, what they have gathered does not pile up."""
    begun: list[int] = []

    class Pool(ThreadPoolExecutor):
        def submit(self, work: Any, task: Any) -> Any:  # type: ignore[override]
            begun.append(task.first)
            return super().submit(work, task)

    monkeypatch.setattr("joblib.externals.loky.ProcessPoolExecutor", Pool)
    monkeypatch.setattr("joblib.effective_n_jobs", lambda _: 3)
    tasks = [checking.Task(Path(str(number)), number, 0) for number in range(20)]
    for taken, _ in enumerate(checking.in_order(number_of, tasks, checking.PARALLEL_BYTES, -1)):
        assert len(begun) <= taken + 4


def number_of(task: checking.Task) -> int:
    return task.first


def test_who_finds_another_building_takes_what_that_has_built(filled: Path) -> None:
    files = LocalFiles()
    lock = files.try_lock(filled / "log" / "wheat" / "snapshots.lock")
    assert lock is not None
    found: list[int] = []

    def open_one() -> None:
        with ArtifactRegistry(filled, "wheat") as registry:
            assert registry._data.projections.snapshot is not None
            found.append(registry._data.projections.snapshot.size)

    waiting = threading.Thread(target=open_one)
    waiting.start()
    with rebuilding.Rebuilt(filled / "log" / "wheat", "wheat") as rebuilt:
        folder = filled / "log" / "wheat" / "snapshots"
        folder.mkdir(exist_ok=True)
        rebuilt.write(folder / f"{rebuilt.mark.size:020d}-{'0' * 12}.snapshot")
        size = rebuilt.mark.size
    lock.release()
    waiting.join(60)
    assert found == [size]
    assert [path.name[21:33] for path in files_in(filled)] == ["0" * 12]


def test_rebuilding_takes_the_place_of_a_snapshot_that_lies(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its sums are right, as of one that was written by a release with a mistake."""
    monkeypatch.setattr("chainfold.folded.TAIL_ENTRIES", 20)
    with ArtifactRegistry(workspace, "wheat") as registry:
        with registry.run():
            for number in range(40):
                registry.register([number], f"p:{number}:all", "model")
        data = registry._data
        data.projections.visibility.removed_at[data.projections.ids.rows("p:3:all")[0]] = 5
        data._snapshots._forget_all_but(data._snapshots._write(data.projections, data.log))
        data.is_in_doubt = True
    with ArtifactRegistry(workspace, "wheat") as registry:
        assert registry.resolve("p:3:all") is None
        assert not registry.rebuild()
        assert registry.resolve("p:3:all") is not None
    with ArtifactRegistry(workspace, "wheat") as registry:
        assert registry.resolve("p:3:all") is not None


def test_an_interrupt_amid_a_rebuild_leaves_what_was_known(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Log and what is folded of it change together: else the whole log is folded onto itself."""
    with ArtifactRegistry(workspace, "wheat") as registry:
        for number in range(9):
            registry.register([number], "p:1:all", "model")
        before = registry.get_all_records(), registry.history("p:1:all")

        def interrupted(*_: Any, **__: Any) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr("chainfold.projections.snapshots.Snapshots.build", interrupted)
            with pytest.raises(KeyboardInterrupt):
                registry.rebuild()
        assert (registry.get_all_records(), registry.history("p:1:all")) == before
        assert len(registry.as_of(5)) == 1
        assert registry.rebuild()


def test_rebuilding_beside_a_writer_compares_equal_sizes(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What others append meanwhile is no difference; what was held and is wrong still is one."""
    build = "chainfold.projections.snapshots.Snapshots.build"
    with ArtifactRegistry(workspace, "wheat") as registry, ArtifactRegistry(workspace, "wheat") as other:
        registry.register([0], "p:0:all", "model")

        def beside(*_: Any, **__: Any) -> None:
            other.register([1], "p:1:all", "model")

        monkeypatch.setattr(build, beside)
        assert registry.rebuild()
        registry._data.projections.visibility.removed_at[0] = 1
        assert not registry.rebuild()
        assert registry.position == 3
