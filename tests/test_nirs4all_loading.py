"""The loader's cache, its copies, and what it refuses."""

import copy
import hashlib
import pickle
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.nirs4all_manifests import BLOBS, IDS, Item, Stored, item, loader_of, storing

from chainfold import BlobNotFoundError, CorruptionError, ManifestError, UntrustedError
from chainfold.integrations.nirs4all.loader import ArtifactLoader


@pytest.fixture(scope="module")
def stored() -> Iterator[Stored]:
    with storing() as made:
        yield made


def test_the_cache_is_bounded_and_told_about(stored: Stored) -> None:
    loader = loader_of(stored, [item(each, i % BLOBS) for i, each in enumerate(IDS[:5])])
    loader.set_cache_size(2)
    assert loader.preload_artifacts() == 5
    assert loader.cache_info() == loader.get_cache_info() == {
        "cached_count": 2, "max_size": 2, "hits": 0, "misses": 5, "hit_rate": 0.0,
        "total_artifacts": 5, "artifacts_by_type": {"model": 5},
    }  # fmt: skip
    kept = loader.load_by_id(IDS[4])
    assert loader.load_by_id(IDS[4]) is kept
    assert loader.cache_info()["hits"] == 2
    loader.clear_cache()
    assert loader.load_by_id(IDS[4]) is not kept
    loader.import_from_manifest({"items": [{**stored.files[5], **item(IDS[4], 5)}]})
    assert loader.load_by_id(IDS[4]) == [5]  # the manifest that was read last is right, the cache is not


def test_only_what_is_asked_for_is_preloaded(stored: Stored, caplog: pytest.LogCaptureFixture) -> None:
    lost: Item = {"path": "model_A_000000000000.joblib"}
    items = [item(IDS[0]), item(IDS[1], artifact_type="encoder"), item(IDS[2]), item(IDS[3], **lost)]
    loader = loader_of(stored, items)
    assert loader.preload_artifacts([IDS[0], IDS[1], "unknown"]) == 2
    assert loader.preload_artifacts(artifact_types=[loader.get_all_records()[0].artifact_type]) == 1
    assert f"{IDS[3]} was not loaded" in caplog.text


def test_copies_are_the_loader_and_pickles_start_empty(stored: Stored) -> None:
    """Its open files go into no other process."""
    loader = loader_of(stored, [item(IDS[0], 3)])
    loader.load_by_id(IDS[0])
    assert copy.copy(loader) is copy.deepcopy({"loader": loader})["loader"] is loader
    sent = pickle.loads(pickle.dumps(loader))
    assert sent.cache_info()["cached_count"] == 0
    assert sent.cache_info()["max_size"] == ArtifactLoader.DEFAULT_CACHE_SIZE
    assert sent.load_by_id(IDS[0]) == [3]
    for each in (sent, loader, loader):
        each.close()
    assert loader.load_by_id(IDS[0]) == [3]


def test_nothing_is_loaded_that_is_not_what_was_registered(stored: Stored, tmp_path: Path) -> None:
    workspace = tmp_path / "workspace"
    shutil.copytree(stored.workspace, workspace)
    copied = Stored(workspace, stored.files)
    binaries = workspace / "binaries" / "wheat"
    (binaries / stored.files[0]["path"]).write_bytes(b"else")
    (binaries / stored.files[1]["path"]).unlink()
    with pytest.raises(CorruptionError):
        loader_of(copied, [item(IDS[0], 0)]).load_by_id(IDS[0])
    with pytest.raises(BlobNotFoundError):
        loader_of(copied, [item(IDS[0], 1)]).load_by_id(IDS[0])
    with pytest.raises(ManifestError, match=r"item 1 of the manifest, .*, is invalid: path .* is refused"):
        loader_of(copied, [item(IDS[0]), item(IDS[1], path="../../x")])


class Foreign:
    """Of no package that is allowed."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Foreign)

    __hash__ = None  # type: ignore[assignment] # it is only compared


def test_what_the_log_does_not_know_is_looked_through_first(stored: Stored, tmp_path: Path) -> None:
    """The error says which call allows more; nothing of it has run."""
    workspace = tmp_path / "workspace"
    (workspace / "binaries" / "wheat").mkdir(parents=True)
    content = pickle.dumps(Foreign())
    (workspace / "binaries" / "wheat" / "x.pkl").write_bytes(content)
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    foreign = {"path": "x.pkl", "content_hash": digest, "format": "pickle", "size_bytes": len(content)}
    loader = loader_of(Stored(workspace, [foreign]), [item(IDS[0])])
    with pytest.raises(UntrustedError, match="Foreign") as caught:
        loader.load_by_id(IDS[0])
    assert any("install(allow=[...])" in each for each in caught.value.__notes__)
    assert not (workspace / "log").exists()
