"""A registry on files that are only looked at answers everything, and changes nothing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.cli_running import contents, fill

from chainfold import ArtifactRegistry, StorageError
from chainfold.storage import ReadOnlyFiles

WRITES: list[Callable[[ArtifactRegistry], Any]] = [
    lambda registry: registry.register([1], "0001:9:all", "model"),
    lambda registry: registry.start_run(),
    lambda registry: registry.set_alias("production", None),
    lambda registry: registry.delete_pipeline_artifacts("0001_pls", delete_files=True),
    lambda registry: registry.purge_dataset_artifacts(confirm=True),
    lambda registry: registry.import_from_manifest(registry.export_to_manifest(), "."),
    lambda registry: registry.restore(next(registry.iter_records()).artifact_id, registry.position),
]


@pytest.mark.parametrize("write", WRITES)
def test_no_command_gets_through(workspace: Path, write: Callable[[ArtifactRegistry], Any]) -> None:
    with ArtifactRegistry(workspace, "wheat", pipeline_id="0001_pls") as registry:
        fill(registry)
    before = contents(workspace)
    with (
        ArtifactRegistry(workspace, "wheat", storage=ReadOnlyFiles()) as registry,
        pytest.raises(StorageError, match="read-only"),
    ):
        write(registry)
    assert contents(workspace) == before


def test_it_answers_as_one_that_may_write(workspace: Path) -> None:
    with ArtifactRegistry(workspace, "wheat", pipeline_id="0001_pls") as registry:
        ids = fill(registry)
        wanted = registry.get_all_records(), registry.get_stats(), registry.load(ids["model"])
    before = contents(workspace)
    with ArtifactRegistry(workspace, "wheat", storage=ReadOnlyFiles()) as registry:
        assert wanted == (registry.get_all_records(), registry.get_stats(), registry.load(ids["model"]))
        assert registry.verify().ok
        assert registry.find_orphaned_artifacts() is not None
    assert contents(workspace) == before


def test_a_damaged_snapshot_is_made_good_in_memory(workspace: Path) -> None:
    with ArtifactRegistry(workspace, "wheat", pipeline_id="0001_pls") as registry:
        fill(registry)
        with registry.run():
            for number in range(400):
                registry.register(number, f"0001:{number}:all", "model")
        wanted = registry.get_all_records()
    (path,) = (workspace / "log" / "wheat" / "snapshots").iterdir()
    good = path.read_bytes()
    middle = len(good) // 2
    path.write_bytes(good[:middle] + bytes(64) + good[middle + 64 :])
    before = contents(workspace)
    with ArtifactRegistry(workspace, "wheat", storage=ReadOnlyFiles()) as registry:
        assert registry.get_all_records() == wanted
    assert contents(workspace) == before


def test_a_workspace_that_is_not_there_stays_so(tmp_path: Path) -> None:
    with ArtifactRegistry(tmp_path / "none", "wheat", storage=ReadOnlyFiles()) as registry:
        assert registry.get_all_records() == []
    assert list(tmp_path.iterdir()) == []


def test_what_a_view_gives_one_at_a_time(registry: ArtifactRegistry) -> None:
    """Against a scan of all records, at every moment."""
    fill(registry)
    registry.register({"mean": 1}, "0002:1:all", "model")
    for at in range(registry.position + 1):
        view = registry.as_of(at)
        records = view.get_all_records()
        assert list(view.iter_records(newest_first=True)) == records[::-1]
        assert list(view.events(newest_first=True)) == list(view.events())[::-1]
        assert list(view.iter_chain_paths()) == sorted({each.chain_path for each in records} - {""})
        for record in records:
            of_pipeline = [each for each in records if each.pipeline_id == record.pipeline_id]
            assert list(view.iter_pipeline(record.pipeline_id)) == of_pipeline
            same = [each for each in records if each.content_hash == record.content_hash]
            assert list(view.iter_digest(record.content_hash)) == same
            if record.chain_path:
                of_chain = [each for each in records if each.chain_path == record.chain_path]
                assert sorted(view.iter_chain(record.chain_path), key=str) == sorted(of_chain, key=str)
            assert view.has_blob(record)
        assert view.totals().artifacts == len(records)
        assert view.totals().file_bytes == sum({each.path: each.size_bytes for each in records}.values())
