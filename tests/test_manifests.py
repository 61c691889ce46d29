"""Manifests in and out."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from chainfold import ArtifactRegistry, CorruptionError, InvalidInputError, ManifestError

ITEM = {"artifact_id": "p$0123456789ab:0", "content_hash": "sha256:abc", "path": "model_A_abc.joblib"}


@pytest.fixture
def filled(registry: ArtifactRegistry) -> ArtifactRegistry:
    registry.register_with_chain([1], "s1.A", "transformer", 1, params={"nan": float("inf")})
    registry.register_with_chain([2], "s1.A>s2.B[br=0]", "model", 2, branch_path=[0], fold_id=1)
    registry.register_meta_model([3], "p:m:all", [registry.get_all_records()[1].artifact_id], ["c"])
    return registry


@pytest.mark.parametrize("wrap", [lambda m: m, lambda m: {"artifacts": m}, lambda m: m["items"]])
def test_round_trip_into_another_workspace(filled: ArtifactRegistry, tmp_path: Path, wrap: Any) -> None:
    manifest = filled.export_to_manifest()
    assert manifest["schema_version"] == "3.0"
    with ArtifactRegistry(tmp_path / "other", "wheat") as other:
        other.import_from_manifest(wrap(manifest), filled.workspace)
        assert other.export_to_manifest() == manifest
        assert [other.load(each["artifact_id"]) for each in manifest["items"]] == [[1], [2], [3]]
        assert other.verify().ok
        assert len(other.as_of(other.position - 1)) == 0  # one run


def test_items_without_an_id_get_one_each(registry: ArtifactRegistry, tmp_path: Path) -> None:
    items = [{"name": "scaler", "path": "a.pkl", "step": 1}, {"name": "scaler", "path": "b.pkl", "step": 1}]
    registry.import_from_manifest(items, tmp_path)
    assert len({record.artifact_id for record in registry.get_all_records()}) == 2


def test_digests_that_are_not_real_are_accepted_and_fail_to_load(
    tmp_path: Path,
) -> None:
    with ArtifactRegistry(tmp_path, "wheat") as registry:
        registry.import_from_manifest([ITEM], tmp_path)
        record = registry.resolve("p$0123456789ab:0")
        assert record is not None
        assert (record.pipeline_id, record.fold_id) == ("p", 0)
        assert registry.resolve_by_hash("sha256:abc") == registry.resolve_by_hash("abc") == record
        with pytest.raises(FileNotFoundError, match="no event took it"):
            registry.load_artifact(record)
        registry.binaries_dir.mkdir(parents=True)
        (registry.binaries_dir / record.path).write_bytes(b"cos\nsystem\n(S'false'\ntR.")
        with pytest.raises(CorruptionError):
            registry.load_artifact(record)
        assert not registry.verify().ok


BAD_PATHS = [
    "/etc/passwd",
    "../x",
    "a/../../x",
    "a\x00b",
    "C:\\x",
    "..\\x",
    "\\\\host\\x",
    "",
    "a\nb",
    "9" * 5_000,
    "a/" * 600,
]


@pytest.mark.parametrize("path", BAD_PATHS)
def test_paths_that_leave_the_folder_are_refused(
    registry: ArtifactRegistry, tmp_path: Path, path: str
) -> None:
    with pytest.raises(ValueError, match=r"item 1 of the manifest, .*, is invalid: path .* is refused"):
        registry.import_from_manifest([ITEM, {**ITEM, "path": path}], tmp_path)
    assert registry.position == 0


@pytest.mark.parametrize(
    "bad",
    [
        None,
        3,
        {**ITEM, "artifact_type": "nonsense"},
        {**ITEM, "artifact_id": "a\x00"},
        {**ITEM, "fold_id": -1},
        {**ITEM, "fold_id": 2.5},
        {**ITEM, "depends_on": "abc"},
        {**ITEM, "depends_on": [ITEM["artifact_id"]]},
        {**ITEM, "size_bytes": -1},
        {**ITEM, "size_bytes": 2**63},
        {**ITEM, "size_bytes": 2**70},
        {**ITEM, "params": [1]},
        {**ITEM, "meta_config": 3},
        {"path": "x", 3: 4},
    ],
)
def test_an_invalid_item_stops_the_import_by_its_index(
    registry: ArtifactRegistry, tmp_path: Path, bad: Any
) -> None:
    with pytest.raises(ManifestError, match="item 1 of the manifest"):
        registry.import_from_manifest({"items": [ITEM, bad]}, tmp_path)
    assert registry.position == 0


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        ("content_hash", "md5:abc", "is no sha256:"),
        ("content_hash", "sha256:\x1b[31m", "control characters"),
        ("created_at", "yes\x1b[1m", "control characters"),
        ("created_at", "yes", "is no time"),
        ("created_at", "9999999-01-01", "is no time"),
        ("created_at", "2026-05-01T00:00:00+99:00", "is no time"),
        ("format", "p\x1b[31mx", "control characters"),
        ("format_version", "1\n2", "control characters"),
        ("nirs4all_version", "\x1b[31m", "control characters"),
        ("fold_id", "\x1b", "control characters"),
        ("fold_id", "", "is empty"),
        ("fold_id", 10**18, "18 digits"),
        ("step_index", 10**40, "18 digits"),
        ("step_index", -1, "negative"),
        ("step_index", "3", "must be a whole number, not a value of type str"),
        ("source_index", -1, "negative"),
        ("substep_index", 10**18, "18 digits"),
        ("branch_path", [0, -1], "negative"),
        ("branch_path", 3, "must be a list of whole numbers"),
        ("version", "x", "must be a whole number"),
        ("size_bytes", -1, "must be a whole number from 0"),
        ("size_bytes", "5", "must be a whole number from 0"),
        ("class_name", 5, "must be text"),
        ("refers_to", ["a\x1b[31m"], "control characters"),
        ("depends_on", [ITEM["artifact_id"]], "depends on itself"),
    ],
)
def test_what_registering_would_refuse_is_refused_and_the_field_is_named(
    registry: ArtifactRegistry, tmp_path: Path, field: str, value: Any, why: str
) -> None:
    with pytest.raises(
        ManifestError, match=f"item 1 of the manifest, .*, is invalid: .*{field}.*{why}"
    ) as caught:
        registry.import_from_manifest({"items": [ITEM, {**ITEM, field: value}]}, tmp_path)
    assert "$." not in str(caught.value)  # what the decoder says is for programmers
    assert registry.position == 0


@pytest.mark.parametrize(
    ("at", "kept"),
    [
        ("2026-05-31T12:00:00.123456+00:00", "2026-05-31T12:00:00.123456+00:00"),
        ("2026-05-31T12:00:00Z", "2026-05-31T12:00:00Z"),
        ("2026-05-31T12:00:00", "2026-05-31T12:00:00"),
        (datetime(2026, 5, 31, 12, tzinfo=UTC), "2026-05-31T12:00:00+00:00"),
        (None, None),
        ("", None),
    ],
)
def test_times_as_other_programs_write_them_are_kept(
    registry: ArtifactRegistry, tmp_path: Path, at: Any, kept: str | None
) -> None:
    registry.import_from_manifest([{**ITEM, "created_at": at}], tmp_path)
    [entry] = registry.events(kinds=["artifact-registered"])
    assert registry.get_all_records()[0].created_at == (kept or entry.at)


def test_what_is_no_manifest_is_refused(registry: ArtifactRegistry, tmp_path: Path) -> None:
    nested = {"artifacts": {"artifacts": {"items": [1]}}}
    for bad in ("text", 3, None, {"items": {"a": 1}}, {"schema_version": "9.0", "items": []}, nested):
        with pytest.raises(ManifestError):
            registry.import_from_manifest(bad, tmp_path)
    registry.import_from_manifest({}, tmp_path)
    registry.import_from_manifest({"artifacts": None}, tmp_path)
    registry.import_from_manifest([], tmp_path)
    assert registry.position == 0


def test_links_out_are_refused_at_import_and_at_load(tmp_path: Path) -> None:
    secret = tmp_path / "secret.pkl"
    secret.write_bytes(b"x")
    with ArtifactRegistry(tmp_path / "w", "wheat") as registry:
        record = registry.register([1], "p:1:all", "model")
        (registry.binaries_dir / "link").symlink_to(secret)
        (registry.binaries_dir / "folder").symlink_to(tmp_path)
        for path in ("link", "folder/secret.pkl"):
            with pytest.raises(ValueError, match="leads out"):
                registry.import_from_manifest([{**ITEM, "path": path}], tmp_path)
        (registry.binaries_dir / record.path).unlink()
        (registry.binaries_dir / record.path).symlink_to(secret)
        with pytest.raises(InvalidInputError, match="leads out"):
            registry.load_artifact(record)
        registry.register([1], "p:2:all", "model")
        assert registry.load_artifact(record) == [1]
        assert secret.read_bytes() == b"x"
