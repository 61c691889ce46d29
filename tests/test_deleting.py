"""Deleting, collecting, purging: events first, then exactly the right files."""

import os
from pathlib import Path

import pytest

from chainfold import ArtifactRegistry, BlobNotFoundError, ConflictError, DependentsError, ManifestError


def files(registry: ArtifactRegistry) -> set[str]:
    return {path.name for path in registry.binaries_dir.glob("*")}


def test_deletion_leaves_other_pipelines_as_they_were(registry: ArtifactRegistry) -> None:
    mine = registry.register("shared", "p:1:all", "model", chain_path="s1.A")
    theirs = registry.register("shared", "q:1:all", "model", chain_path="s1.A")
    alone = registry.register("alone", "p:2:all", "model")
    assert registry.delete_pipeline_artifacts("p", delete_files=True) == 2
    assert registry.delete_pipeline_artifacts("p", delete_files=True) == 0
    assert files(registry) == {theirs.path}
    assert registry.resolve_by_hash(mine.content_hash) == theirs
    assert registry.get_chain_prefix("s1") == [theirs]
    assert registry.load("q:1:all") == "shared"
    with pytest.raises(FileNotFoundError, match=r"'artifacts-deleted' at position 3, 20\d\d-.* by tester"):
        registry.load_artifact(alone)
    assert registry.as_of(3).load_artifact(mine) == "shared"


def test_without_delete_files_the_past_can_still_be_loaded(registry: ArtifactRegistry) -> None:
    registry.register("x", "p:1:all", "model")
    assert registry.delete_pipeline_artifacts("p") == 1
    assert registry.as_of(1).load("p:1:all") == "x"
    assert registry.find_orphaned_artifacts() == sorted(files(registry))


def test_dependents_are_warned_about_refused_or_taken_along(registry: ArtifactRegistry) -> None:
    registry.register(1, "p:1:all", "transformer")
    registry.register(2, "q:1:all", "model", depends_on=["p:1:all"])
    registry.register(3, "r:1:all", "model", depends_on=["q:1:all"])
    with pytest.raises(DependentsError, match="depend on it: q:1:all"):
        registry.delete_pipeline_artifacts("p", dependents="refuse")
    assert len(registry) == 3
    with pytest.warns(UserWarning, match="pipeline 'p': q:1:all"):
        assert registry.delete_pipeline_artifacts("p") == 1
    registry.register(1, "p:1:all", "transformer")
    assert registry.delete_pipeline_artifacts("p", delete_files=True, dependents="cascade") == 3
    assert len(registry) == 0
    assert files(registry) == set()
    with pytest.raises(ValueError, match="'warn', 'refuse' or 'cascade'"):
        registry.delete_pipeline_artifacts("p", dependents="ignore")  # type: ignore[arg-type] # on purpose


def test_a_cascade_too_large_for_one_event_is_one_run(registry: ArtifactRegistry) -> None:
    with registry.run():
        registry.register(0, "p:0:all", "transformer")
        for n in range(1_200):
            registry.register(0, f"q:{n:040d}:all", "model", depends_on=["p:0:all"])
    assert registry.delete_pipeline_artifacts("p", dependents="cascade") == 1_201
    assert len(registry) == 0
    assert len(registry.as_of(registry.position - 2)) == 1_201


def test_orphans(registry: ArtifactRegistry) -> None:
    kept = registry.register("kept", "p:1:all", "model").path
    registry.register("old", "p:2:all", "model")
    live = registry.register("new", "p:2:all", "model").path
    (registry.binaries_dir / "stray.bin").write_bytes(b"12345")
    (orphan,) = files(registry) - {kept, live, "stray.bin"}
    assert registry.find_orphaned_artifacts() == sorted([orphan, "stray.bin"])
    names, size = registry.delete_orphaned_artifacts()
    assert names == sorted([orphan, "stray.bin"])
    assert size == 5 + (registry.binaries_dir / orphan).stat().st_size
    assert files(registry) == {kept, live, orphan, "stray.bin"}
    old = registry.history("p:2:all")[0].record
    assert registry.delete_orphaned_artifacts(dry_run=False) == (names, size)
    assert files(registry) == {kept, live}
    assert registry.delete_orphaned_artifacts(dry_run=False) == ([], 0)
    with pytest.raises(FileNotFoundError, match=r"'blobs-swept' \(orphaned\) at position 3"):
        registry.load_artifact(old)


def test_manifests_keep_files_whatever_their_folder_is_called(registry: ArtifactRegistry) -> None:
    registry.register("a", "p:1:all", "model")
    registry.register("b", "p:2:all", "model")
    a, b = (registry.resolve(f"p:{n}:all") for n in (1, 2))
    assert a is not None
    assert b is not None
    registry.delete_pipeline_artifacts("p")
    manifest = registry.workspace / "runs" / "any" / "depth" / "0001" / "manifest.yaml"
    manifest.parent.mkdir(parents=True)
    manifest.write_text(
        f"artifacts:\n  items:\n  - path: ../../binaries/wheat/{a.path}\n    odd: [1, null]\n"
    )
    assert registry.find_orphaned_artifacts() == [b.path]
    assert len(registry.find_orphaned_artifacts(scan_all_manifests=False)) == 2
    manifest.write_text(f"- {{path: {b.path}}}\n")
    os.utime(manifest, ns=(1, 1))
    assert registry.find_orphaned_artifacts() == [a.path]


HOSTILE = {
    "deep": b"[" * 50_000 + b"]" * 50_000,
    "aliases": b"a: &a0 [x]\n"
    + b"".join(b"b%d: &a%d [%s]\n" % (n, n, b"*a%d," % (n - 1) * 9) for n in range(1, 40)),
    "number": b"a: " + b"9" * 50_000,
    "recursive": b"a: &a [*a]",
    "tag": b"a: !!python/object/apply:os._exit [3]",
    "date": b"a: 2020-13-45",
    "keys": b"? {a: b}\n: c\na: 1\na: 2\n",
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_a_manifest_made_to_hurt_costs_no_more_than_its_bytes(
    registry: ArtifactRegistry, content: bytes
) -> None:
    """Read or refused, it ends neither in a crash nor in a loss."""
    registry.register("a", "p:1:all", "model")
    registry.register("a", "p:2:all", "model")
    registry.delete_pipeline_artifacts("p")
    (path,) = files(registry)
    manifest = registry.workspace / "runs" / "x" / "manifest.yaml"
    manifest.parent.mkdir(parents=True)
    manifest.write_bytes(b"- " + path.encode() + b"\n--- \n" + content)
    try:
        assert registry.delete_orphaned_artifacts(dry_run=False) == ([], 0)
    except ManifestError:
        assert files(registry) == {path}


@pytest.mark.parametrize("content", [b"a: [", b"\xff\xfe\x00", b"a: 'x", b"a: \x01", b"[" * 50_000])
def test_an_unreadable_manifest_stops_a_deletion(registry: ArtifactRegistry, content: bytes) -> None:
    registry.register("a", "p:1:all", "model")
    registry.delete_pipeline_artifacts("p")
    manifest = registry.workspace / "runs" / "x" / "manifest.yaml"
    manifest.parent.mkdir(parents=True)
    manifest.write_bytes(content)
    for dry_run in (True, False):
        with pytest.raises(ManifestError, match=r"runs/x/manifest\.yaml"):
            registry.delete_orphaned_artifacts(dry_run=dry_run)
    assert len(files(registry)) == 1
    with pytest.warns(UserWarning, match="left out"):
        assert registry.get_stats()["orphaned_count"] == 1
    assert registry.delete_orphaned_artifacts(dry_run=False, scan_all_manifests=False)[1] > 0


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_called_manifest_is_not_waited_for(registry: ArtifactRegistry) -> None:
    (registry.workspace / "runs" / "x").mkdir(parents=True)
    os.mkfifo(registry.workspace / "runs" / "x" / "manifest.yaml")
    with pytest.raises(ManifestError, match="not a regular file"):
        registry.find_orphaned_artifacts()


def test_a_purge_takes_every_file_and_no_history(registry: ArtifactRegistry) -> None:
    record = registry.register("a", "p:1:all", "model")
    (registry.binaries_dir / "stray").write_bytes(b"1")
    for confirm in (False, 1):
        with pytest.raises(ValueError, match="confirm=True"):
            registry.purge_dataset_artifacts(confirm=confirm)  # type: ignore[arg-type] # on purpose
    assert registry.purge_dataset_artifacts(confirm=True) == (2, record.size_bytes + 1)
    assert files(registry) == set()
    assert registry.get_all_records() == []
    assert registry.history("p:1:all")[0].standing == "purged"
    assert registry.as_of(1).resolve("p:1:all") == record
    with pytest.raises(FileNotFoundError, match="'dataset-purged' at position 1"):
        registry.as_of(1).load("p:1:all")
    assert registry.purge_dataset_artifacts(confirm=True) == (0, 0)


def test_a_purge_in_a_run_takes_effect_at_its_commit(registry: ArtifactRegistry) -> None:
    registry.register("a", "p:1:all", "model")
    with pytest.raises(ZeroDivisionError), registry.run():
        registry.purge_dataset_artifacts(confirm=True)
        raise ZeroDivisionError
    assert registry.load("p:1:all") == "a"
    with registry.run():
        assert registry.purge_dataset_artifacts(confirm=True)[0] == 1
        registry.register("b", "p:2:all", "model")
        assert registry.load("p:1:all") == "a"
    assert [record.artifact_id for record in registry.get_all_records()] == ["p:2:all"]
    assert len(files(registry)) == 1


def test_a_purge_refuses_while_a_living_run_is_open(registry: ArtifactRegistry) -> None:
    with ArtifactRegistry(registry.workspace, "wheat") as other:
        other.start_run()
        other.register("a", "p:1:all", "model")
        with pytest.raises(ConflictError, match=r"runs of living processes are open: 20\d+T"):
            registry.purge_dataset_artifacts(confirm=True)
        assert registry.purge_dataset_artifacts(confirm=True, force=True)[0] == 1
    assert files(registry) == set()


def test_a_failed_run_keeps_a_file_that_it_only_found(registry: ArtifactRegistry) -> None:
    record = registry.register("found", "p:1:all", "model")
    registry.delete_pipeline_artifacts("p")
    with pytest.raises(ZeroDivisionError), registry.run():
        registry.register("found", "q:1:all", "model")
        registry.register("brought", "q:2:all", "model")
        raise ZeroDivisionError
    assert files(registry) == {record.path}


def test_statistics(registry: ArtifactRegistry) -> None:
    records = [registry.register([n // 2], f"p:{n}:all", "model") for n in range(4)]
    registry.register("x", "p:9:all", "encoder")
    registry.delete_pipeline_artifacts("q")
    stats = registry.get_stats()
    sizes = [record.size_bytes for record in registry.get_all_records()]
    distinct = sizes[0] + sizes[2] + sizes[4]
    assert stats == {
        "total_artifacts": 5,
        "unique_files": 3,
        "total_size_bytes": sum(sizes),
        "deduplication_ratio": 1 - distinct / sum(sizes),
        "by_type": {"model": 4, "encoder": 1},
        "orphaned_count": 0,
        "orphaned_size_bytes": 0,
        "disk_usage_bytes": distinct,
        "disk_file_count": 3,
        "dataset": "wheat",
        "binaries_path": str(Path(registry.binaries_dir)),
        "log_entries": 5,
        "log_bytes": sum(p.stat().st_size for p in (registry.workspace / "log/wheat/segments").iterdir()),
    }
    with ArtifactRegistry(registry.workspace, "wheat") as fresh:
        assert fresh.get_stats() == stats
    past = registry.as_of(2).get_stats()
    assert (past["total_artifacts"], past["unique_files"], past["log_entries"]) == (2, 1, 2)
    assert past["total_size_bytes"] == 2 * records[0].size_bytes


def test_nobody_is_blamed_for_what_was_removed_by_hand(registry: ArtifactRegistry) -> None:
    """An event that took the file of equal bytes before they were registered again took nothing of that."""
    registry.register([1], "p:x:all", "model")
    registry.delete_pipeline_artifacts("p", delete_files=True)
    record = registry.register([1], "q:y:all", "model")
    assert [each.event.kind for each in registry.events(artifact="q:y:all")] == ["artifact-registered"]
    (registry.binaries_dir / record.path).unlink()
    for view, artifact_id in ((registry, "q:y:all"), (registry.as_of(1), "p:x:all")):
        with pytest.raises(BlobNotFoundError, match="no event took it, so it was removed by hand"):
            view.load(artifact_id)
    registry.delete_pipeline_artifacts("q")
