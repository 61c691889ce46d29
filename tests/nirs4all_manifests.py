"""Manifests as nirs4all writes them, drawn or made by hand, and a workspace that has their files."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from hypothesis import strategies as st

from chainfold import ArtifactRegistry
from chainfold.integrations.nirs4all.loader import ArtifactLoader

Item = dict[str, Any]
MODELS = ("model", "meta_model")
BLOBS = 6
IDS = [f"p{pipeline}$abc{number}:{fold}" for pipeline in "01" for number in range(3) for fold in ("all", 1)]
CHAINS = ["s1.A", "s1.A>s2.B", "s1.A>s2.B[br=0]", "s10.A", "s1.AB", "an old text"]
BRANCHES: list[list[int]] = [[], [0], [1], [0, 1]]
FOLDS = [None, 0, 1, 10, "avg"]
SOURCES = [None, 0, 1]
NAMES = ["", "first", "sec\tond"]


class Stored(NamedTuple):
    """A workspace whose log has some lists, and where the file of each is."""

    workspace: Path
    files: list[Item]


@contextmanager
def storing() -> Iterator[Stored]:
    """A new one."""
    with TemporaryDirectory() as folder:
        workspace = Path(folder)
        with ArtifactRegistry(workspace, "wheat", pipeline_id="0001") as registry:
            records = [registry.register_with_chain([i], f"s{i}.X", "model", i) for i in range(BLOBS)]
        (workspace / "runs" / "wheat" / "0001").mkdir(parents=True)
        keys = ("content_hash", "path", "format", "size_bytes")
        yield Stored(workspace, [{key: getattr(each, key) for key in keys} for each in records])


ITEM: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "artifact_id": st.sampled_from(IDS),
        "blob": st.integers(0, BLOBS - 1),
        "chain_path": st.sampled_from(CHAINS),
        "step_index": st.integers(0, 3),
        "branch_path": st.sampled_from(BRANCHES),
        "source_index": st.sampled_from(SOURCES),
        "fold_id": st.sampled_from(FOLDS),
        "artifact_type": st.sampled_from([*MODELS, "transformer", "encoder"]),
        "class_name": st.sampled_from(["A", "B"]),
        "custom_name": st.sampled_from(NAMES),
        "depends_on": st.lists(st.sampled_from(IDS), max_size=3, unique=True),
    }
)


@st.composite
def manifests(draw: st.DrawFn) -> list[Item]:
    """Items of a manifest; most depend on what is listed before them, some on what is not there."""
    items: list[Item] = []
    at_least: int = draw(st.sampled_from([6, 0]))
    for item in draw(st.lists(ITEM, min_size=at_least, max_size=14)):
        known = [each["artifact_id"] for each in items if each["artifact_id"] != item["artifact_id"]]
        is_known: bool = draw(st.sampled_from([True, True, True, False]))
        if known and is_known:
            item["depends_on"] = draw(st.lists(st.sampled_from(known), max_size=3, unique=True))
        item["depends_on"] = [each for each in item["depends_on"] if each != item["artifact_id"]]
        item["pipeline_id"] = item["artifact_id"].partition("$")[0]
        if item["artifact_type"] == "meta_model" and draw(st.booleans()):
            sources = draw(st.permutations(item["depends_on"]))
            item["meta_config"] = {
                "source_models": [
                    {"artifact_id": each, "feature_index": i} for i, each in enumerate(sources)
                ],
                "feature_columns": [f"c{i}" for i in range(draw(st.integers(0, 3)))],
            }
        items.append(item)
    return items


def loader_of(stored: Stored, items: list[Item], **more: Any) -> ArtifactLoader:
    listed = [{**stored.files[each["blob"]], **each} for each in items]
    folder = stored.workspace / "runs" / "wheat" / "0001"
    manifest = {"dataset": "wheat", "artifacts": {"schema_version": "3.0", "items": listed}}
    return ArtifactLoader.from_manifest(manifest, folder, **more)


def item(artifact_id: str, blob: int = 0, **more: Any) -> Item:
    return {"artifact_id": artifact_id, "blob": blob, "pipeline_id": "p0", "chain_path": "s1.A", **more}
