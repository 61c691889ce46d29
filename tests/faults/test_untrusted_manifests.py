"""A manifest made to hurt costs an error, and neither memory nor minutes."""

from pathlib import Path
from typing import Any, Final

import pytest
from tests.faults.hostile import DATASET, ODD_FILES, outcome

from chainfold import ArtifactRegistry, ManifestError

pytestmark = [
    pytest.mark.timeout(60),  # what hangs has failed
    pytest.mark.usefixtures("no_syncs"),
]


def bomb(levels: int = 40) -> list[Any]:
    """Nine to the power of `levels` texts, in a few lists: as YAML's aliases give them."""
    found: list[Any] = ["x"] * 9
    for _ in range(levels):
        found = [found] * 9
    return found


def deep(levels: int = 10_000) -> list[Any]:
    found: list[Any] = []
    for _ in range(levels):
        found = [found]
    return found


ITEM: Final = {"artifact_id": "q:1:all", "path": "q.pkl", "content_hash": "sha256:abc"}
CYCLE: Final[list[Any]] = []
CYCLE.append(CYCLE)
COSTLY: Final = {"bomb": bomb(), "deep": deep(), "cycle": CYCLE, "huge": 10**5_000, "text": "x" * 10_000_000}
FIELDS: Final = [
    *ITEM,
    "params",
    "meta_config",
    "name",
    "step",
    "depends_on",
    "branch_path",
    "step_index",
    "version",
]


@pytest.mark.parametrize("what", COSTLY)
def test_a_manifest_of_anything_costs_an_error_or_little(what: str, tmp_path: Path) -> None:
    costly = COSTLY[what]
    with ArtifactRegistry(tmp_path, DATASET) as registry:
        for field in FIELDS:
            for item in (
                {**ITEM, field: costly},
                {"path": "q.pkl", field: costly},
                {**ITEM, field: {"a": costly}},
            ):
                assert isinstance(
                    outcome(registry.import_from_manifest, [item], tmp_path), ManifestError | None
                )
        for part in ("source_models", "feature_columns"):
            for inner in (costly, [costly], [{"artifact_id": costly}]):
                item = {**ITEM, "meta_config": {part: inner}}
                assert isinstance(
                    outcome(registry.import_from_manifest, [item], tmp_path), ManifestError | None
                )
        for manifest in (
            costly,
            [costly],
            {"items": costly},
            {"artifacts": costly},
            {costly: 1} if what == "text" else 1,
        ):
            assert isinstance(outcome(registry.import_from_manifest, manifest, tmp_path), ManifestError)
        manifest = {"schema_version": costly, "items": []}
        assert isinstance(outcome(registry.import_from_manifest, manifest, tmp_path), ManifestError)
        assert registry.verify().ok


def test_a_manifest_that_says_the_same_a_thousand_times_is_refused_early(tmp_path: Path) -> None:
    shared = {"a": bomb(4)}
    items = [{**ITEM, "artifact_id": f"q:{number}:all", "params": shared} for number in range(100_000)]
    with (
        ArtifactRegistry(tmp_path, DATASET) as registry,
        pytest.raises(ManifestError, match="more than one import may bring"),
    ):
        registry.import_from_manifest(items, tmp_path)


ALIASES: Final = b"".join(
    [
        b"a0: &a0 [x, x, x, x, x, x, x, x, x]\n",
        *(b"a%d: &a%d [%s]\n" % (n, n, b", ".join([b"*a%d" % (n - 1)] * 9)) for n in range(1, 30)),
    ]
)
HARMLESS: Final = {
    "aliases of aliases": ALIASES,
    "tags": b"a: !!python/object/apply:os.system [x]\nb: !x y\nc: !!binary x\n",
    "keys twice": b"a: 1\na: 2\n",
    "huge numbers": b"a: 1e999\nb: " + b"9" * 10_000,
    "one text": b"a: " + b"x" * 5_000_000,
    "no anchor": b"a: *b\n",
    "many documents": b"---\n" * 10_000,
}
HURTING: Final = {
    "deep": b"[" * 100_000,
    "deep and wide": b"[" * 900 + b"a, " * 1_000_000,
    "invalid UTF-8": b"a: \xff\xfe\n",
    "zeros": b"\0" * 1_000_000,
    "directives": b"".join(b"%%TAG !a%d! x\n" % number for number in range(1_000_000)) + b"--- a\n",
    "directives in UTF-16": ("\ufeff" + "".join(f"%TAG !a{n}! x\n" for n in range(100_000))).encode(
        "utf-16-le"
    ),
}


@pytest.mark.parametrize("what", [*HARMLESS, *HURTING])
def test_a_manifest_of_a_pipeline_that_is_made_to_hurt(what: str, tmp_path: Path) -> None:
    """Files that it may need are kept: either it is read, or nothing is removed and it is named."""
    manifest = tmp_path / "runs" / "a" / "manifest.yaml"
    manifest.parent.mkdir(parents=True)
    manifest.write_bytes({**HARMLESS, **HURTING}[what])
    with ArtifactRegistry(tmp_path, DATASET) as registry:
        registry.binaries_dir.mkdir(parents=True)
        (registry.binaries_dir / "orphan.pkl").write_bytes(b"x")
        found = outcome(registry.delete_orphaned_artifacts, False)
        if what in HURTING:
            assert isinstance(found, ManifestError)
            assert str(manifest) in str(found)
        else:
            assert found == (["orphan.pkl"], 1)


def test_folders_of_manifests_that_lead_in_circles(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    (runs / "a").mkdir(parents=True)
    (runs / "a" / "up").symlink_to(runs)
    (runs / "a" / "manifest.yaml").symlink_to(runs / "a" / "manifest.yaml")
    (runs / "loop").symlink_to(runs / "loop")
    with ArtifactRegistry(tmp_path, DATASET) as registry:
        for loop in (runs / "loop", runs / "a" / "manifest.yaml"):
            with pytest.raises(ManifestError, match=loop.name):
                registry.find_orphaned_artifacts()
            loop.unlink()
        assert registry.find_orphaned_artifacts() == []
        for odd in ("pipe", "folder"):
            ODD_FILES[odd](runs / "manifest.yaml", tmp_path)
            assert isinstance(outcome(registry.find_orphaned_artifacts), ManifestError | list)
            (runs / "manifest.yaml").rename(runs / odd)
