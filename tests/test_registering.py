"""Registering: what is kept, what is refused, and that nothing is left behind."""

import enum
import math
import threading
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from sklearn.linear_model import Ridge

from chainfold import (
    ArtifactRegistry,
    ArtifactType,
    CorruptionError,
    InvalidInputError,
    MetaModelConfig,
    MissingDependencyError,
    OperatorChain,
    OperatorNode,
    RunClosedError,
)

CHAIN = OperatorChain([OperatorNode(1, "MinMaxScaler"), OperatorNode(3, "PLS", [0], source_index=1)])


def files(registry: ArtifactRegistry) -> list[str]:
    """What is in the dataset's folder."""
    return sorted(path.name for path in registry.binaries_dir.glob("*"))


def test_the_record_says_all_that_was_said(registry: ArtifactRegistry) -> None:
    model = Ridge(alpha=2.0).fit([[0.0], [1.0]], [0.0, 1.0])
    record = registry.register_with_chain(
        model,
        CHAIN,
        ArtifactType.MODEL,
        step_index=3,
        branch_path=[0],
        source_index=1,
        fold_id=2,
        substep_index=4,
        depends_on=["0001_pls$aaaaaaaaaaaa:all"],
        params={"alpha": 2.0},
        custom_name="Q5",
    )
    assert record.artifact_id == f"0001_pls${CHAIN.to_hash()}:2"
    assert record.chain_path == "s1.MinMaxScaler>s3.PLS[br=0,src=1]"
    assert (record.pipeline_id, record.step_index, record.substep_index) == ("0001_pls", 3, 4)
    assert (record.branch_path, record.source_index, record.fold_id) == ([0], 1, 2)
    assert (record.artifact_type, record.class_name, record.custom_name) == ("model", "Ridge", "Q5")
    assert record.path == f"model_Ridge_{record.short_hash}.joblib"
    assert record.size_bytes == (registry.binaries_dir / record.path).stat().st_size
    assert record.format == "joblib"
    assert record.format_version.startswith("sklearn==")
    assert record == registry.resolve(record.artifact_id)
    assert record == registry.as_of(registry.position).resolve(record.artifact_id)
    assert registry.load(record.artifact_id).predict([[0.5]]) == model.predict([[0.5]])


def test_records_share_nothing_with_their_callers(registry: ArtifactRegistry) -> None:
    params = {"nested": {"list": [1]}}
    depends_on = ["a$bbbbbbbbbbbb:0"]
    branch = [1]
    record = registry.register_with_chain(
        1, CHAIN, "model", 3, branch_path=branch, depends_on=depends_on, params=params
    )
    params["nested"]["list"].append(2)
    depends_on.append("x")
    branch.append(9)
    for each in (record, registry.resolve(record.artifact_id)):
        assert each is not None
        assert each.params == {"nested": {"list": [1]}}
        assert (each.depends_on, each.branch_path) == (["a$bbbbbbbbbbbb:0"], [1])
        each.params["nested"]["list"].append(3)
        each.depends_on.clear()
        each.branch_path.clear()
    bare = registry.register(
        1, "p:1:all", "model", meta_config=MetaModelConfig([{"artifact_id": "x", "l": [1]}])
    )
    for each in (bare, registry.resolve("p:1:all")):
        assert each is not None
        assert each.meta_config is not None
        each.params["leak"] = 1
        each.meta_config.source_models[0]["l"].append(2)
    registry.export_to_manifest()["items"][1]["meta_config"]["source_models"][0]["l"].append(3)
    fresh = registry.resolve("p:1:all")
    assert fresh is not None
    assert fresh.params == {}
    assert fresh.meta_config == MetaModelConfig([{"artifact_id": "x", "l": [1]}])
    assert registry.resolve(record.artifact_id) == registry.as_of(1).resolve(record.artifact_id)
    assert registry.get_dependencies(record.artifact_id) == ["a$bbbbbbbbbbbb:0"]


def test_numpys_numbers_are_plain_ones(registry: ArtifactRegistry) -> None:
    record = registry.register_with_chain(
        1,
        CHAIN,
        "model",
        np.int64(3),  # type: ignore[arg-type] # what pipelines pass
        branch_path=[np.int8(1)],  # type: ignore[list-item] # likewise
        fold_id=np.int64(2),  # type: ignore[arg-type] # likewise
    )
    assert [type(value) for value in (record.step_index, *record.branch_path, record.fold_id)] == [int] * 3


def test_created_at_is_the_entrys_time(registry: ArtifactRegistry) -> None:
    record = registry.register(1, "p:1:all", "model")
    line = (registry.workspace / "log" / "wheat" / "segments" / f"{0:020d}.jsonl").read_bytes()
    assert msgspec.json.decode(line)["at"] == record.created_at


def test_odd_parameters_never_fail_a_registration(registry: ArtifactRegistry) -> None:
    class Odd:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    cyclic: list[Any] = []
    cyclic.append(cyclic)
    color = enum.IntEnum("color", "RED")
    params: dict[Any, Any] = {
        "nan": math.nan,
        "inf": -math.inf,
        "big": 2**80,
        "np": np.float32(0.5),
        "flag": np.bool_(True),
        "odd": Odd(),
        "cyclic": cyclic,
        "enum": color(1),
        "lambda": lambda: 1,
        3: "int key",
    }
    found = registry.register(1, "p:1:all", "model", params=params).params
    assert math.isnan(found["nan"])
    assert (found["inf"], found["big"], found["np"], found["flag"]) == (-math.inf, 2**80, 0.5, True)
    assert isinstance(found["odd"], str)


def test_large_parameters_are_kept_beside_the_log(registry: ArtifactRegistry) -> None:
    params = {"grid": ["x" * 100] * 2_000}
    config = MetaModelConfig([{"artifact_id": "p:0:all", "feature_index": 0}], ["c" * 90] * 900)
    registry.register(0, "p:0:all", "model")
    record = registry.register(1, "p:1:all", "meta_model", params=params, meta_config=config)
    with ArtifactRegistry(registry.workspace, "wheat") as other:
        found = other.resolve("p:1:all")
    assert found == record
    assert found is not None
    assert found.params == params
    assert found.meta_config == config


def test_too_many_dependencies_for_an_entry_are_refused_and_leave_nothing(registry: ArtifactRegistry) -> None:
    with pytest.raises(InvalidInputError, match="65,535"):
        registry.register(1, "p:1:all", "model", depends_on=[f"p:{n:060d}:all" for n in range(2_000)])
    assert files(registry) == []


def test_same_bytes_are_one_file(registry: ArtifactRegistry) -> None:
    first = registry.register([1, 2], "p:1:all", "model")
    second = registry.register([1, 2], "p:2:all", "transformer")
    with ArtifactRegistry(registry.workspace, "wheat") as other:
        third = other.register([1, 2], "q:2:all", "encoder", custom_name="other")
    assert first.path == second.path == third.path
    assert files(registry) == [first.path]
    assert registry.get_stats()["deduplication_ratio"] == pytest.approx(2 / 3)


def test_a_file_of_the_same_name_proves_nothing(registry: ArtifactRegistry) -> None:
    name = registry.register([1], "p:1:all", "model").path
    registry.purge_dataset_artifacts(confirm=True)
    registry.binaries_dir.mkdir(exist_ok=True)
    (registry.binaries_dir / name).write_bytes(b"somebody else's")
    record = registry.register([1], "p:1:all", "model")
    assert record.path == name
    assert registry.load_artifact(record) == [1]


@pytest.mark.parametrize("damage", [b"", b"x", None])
def test_a_damaged_or_missing_file_is_written_again(registry: ArtifactRegistry, damage: bytes | None) -> None:
    record = registry.register([1], "p:1:all", "model")
    path = registry.binaries_dir / record.path
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage)
        with pytest.raises(CorruptionError, match=record.path):
            registry.load_artifact(record)
    registry.register([1], "p:2:all", "model")
    assert registry.load_artifact(record) == [1]


def test_two_contents_whose_digests_begin_alike(
    registry: ArtifactRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests = iter(["sha256:" + "0" * 64, "sha256:" + "0" * 63 + "1"])
    monkeypatch.setattr("chainfold.commands.registering.digest_of", lambda _: next(digests))
    first = registry.register([1], "p:1:all", "model")
    second = registry.register([2], "p:2:all", "model")
    assert first.path != second.path
    assert len(files(registry)) == 2
    monkeypatch.undo()
    registry.purge_dataset_artifacts(confirm=True)  # the digests are not real: nothing to verify


BAD_IDS = ["", "a\nb", "a\x00", "p:0:-1", "p$aaaaaaaaaaaa:-2", "\ud800"]


@pytest.mark.parametrize("artifact_id", BAD_IDS)
def test_bad_ids(registry: ArtifactRegistry, artifact_id: str) -> None:
    with pytest.raises(ValueError, match="id"):
        registry.register(1, artifact_id, "model")
    assert registry.position == 0
    assert files(registry) == []


def test_other_bad_input_is_refused_before_anything_is_written(registry: ArtifactRegistry) -> None:
    with pytest.raises(ValueError, match="unknown artifact type 'modle': use one of model"):
        registry.register(1, "p:1:all", "modle")
    with pytest.raises(ValueError, match="fold"):
        registry.register_with_chain(1, CHAIN, "model", 1, fold_id=-1)
    for bad in (
        {"step_index": "x"},
        {"step_index": -1},
        {"step_index": 2**70},
        {"step_index": 1.5},
        {"step_index": True},
        {"step_index": 1, "branch_path": ["a"]},
        {"step_index": 1, "branch_path": [-1]},
        {"step_index": 1, "source_index": "x"},
        {"step_index": 1, "substep_index": []},
        {"step_index": 1, "fold_id": 2.5},
    ):
        with pytest.raises(ValueError, match=list(bad)[-1]):
            registry.register_with_chain(1, CHAIN, "model", **bad)
    with pytest.raises(ValueError, match="source_index"):
        registry.register(1, "p:1:all", "model", source_index="x")  # type: ignore[arg-type] # on purpose
    with pytest.raises(ValueError, match="meta_config"):
        registry.register(1, "p:1:all", "model", meta_config={"a": 1})  # type: ignore[arg-type] # on purpose
    with pytest.raises(ValueError, match="itself"):
        registry.register(1, "p:1:all", "model", depends_on=["p:1:all"])
    with pytest.raises(ValueError, match="list of ids"):
        registry.register(1, "p:1:all", "model", depends_on="p:2:all")  # type: ignore[arg-type] # on purpose
    with pytest.raises(ValueError, match=r"_thread\.lock"):
        registry.register(threading.Lock(), "p:1:all", "model")
    with pytest.raises(ValueError, match="npz"):
        registry.register(np.arange(3), "p:1:all", "model", format_hint="npz")
    assert registry.position == 0
    assert files(registry) == []


@pytest.mark.parametrize(
    ("artifact_id", "pipeline_id", "fold"),
    [
        ("0001:0:all", "0001", None),
        ("0001:0_1:3:2", "0001", 2),
        ("a$b:c$0123456789ab:final", "a$b:c", "final"),
        ("p$0123456789ab:7", "p", 7),
        ("plain", "plain", None),
        ("p:3:avg", "p", None),
    ],
)
def test_ids_in_any_form(
    registry: ArtifactRegistry, artifact_id: str, pipeline_id: str, fold: int | str | None
) -> None:
    record = registry.register(1, artifact_id, "model", chain_path="s1.A>s4.B[br=0.2,src=1,sub=3]")
    assert (record.pipeline_id, record.fold_id) == (pipeline_id, fold)
    assert (record.step_index, record.branch_path) == (4, [0, 2])
    assert (record.source_index, record.substep_index) == (1, 3)


def test_text_that_the_grammar_does_not_know_is_a_legal_chain(registry: ArtifactRegistry) -> None:
    record = registry.register_with_chain(1, "any / text, you like", "model", step_index=2)
    assert registry.get_by_chain("any / text, you like") == record
    assert registry.register(1, "p:1:all", "model", chain_path="zzz").step_index == 0


def test_registering_again_supersedes_and_is_never_silent(registry: ArtifactRegistry) -> None:
    old = registry.register("old", "p:1:all", "model")
    new = registry.register("new", "p:1:all", "model")
    assert registry.resolve("p:1:all") == new
    assert [(item.record, item.standing, item.removed_by) for item in registry.history("p:1:all")] == [
        (old, "superseded", "artifact-registered"),
        (new, "live", None),
    ]
    assert registry.resolve_by_hash(old.content_hash) is None
    assert registry.as_of(1).resolve("p:1:all") == old
    assert registry.as_of(1).load("p:1:all") == "old"


def test_an_odd_configuration_is_kept_as_it_will_be_read(registry: ArtifactRegistry) -> None:
    config = MetaModelConfig([{"artifact_id": "p:0:all", "weight": np.float64(0.5), "odd": {1, 2}}])
    record = registry.register(1, "p:1:all", "model", meta_config=config)
    with ArtifactRegistry(registry.workspace, "wheat") as other:
        assert other.resolve("p:1:all") == record
    assert record.meta_config is not None
    assert record.meta_config.source_models[0]["weight"] == 0.5


def test_meta_models_need_live_sources(registry: ArtifactRegistry) -> None:
    a, b = (registry.register(n, f"p:{n}:all", "model").artifact_id for n in (1, 2))
    with pytest.raises(ValueError, match=r"missing source model dependencies: q:1:all, q:2:all\.") as caught:
        registry.register_meta_model(3, "p:3:all", [a, "q:1:all", "q:2:all"])
    assert a not in str(caught.value)
    with pytest.raises(ValueError, match="missing source model dependencies: q:9:all"):
        registry.register(3, "p:3:all", ArtifactType.META_MODEL, depends_on=["q:9:all"])
    assert len(files(registry)) == 2
    meta = registry.register_meta_model(3, "p:3:all", [b, a], ["from b", "from a"])
    assert meta.is_meta_model
    assert meta.depends_on == [b, a]
    assert meta.meta_config == MetaModelConfig(
        [{"artifact_id": b, "feature_index": 0}, {"artifact_id": a, "feature_index": 1}],
        ["from b", "from a"],
    )
    assert [record.artifact_id for record in registry.resolve_dependencies("p:3:all")] == [b, a]


def test_what_others_did_meanwhile_is_seen(workspace: Path) -> None:
    """Before the work a registration goes by what it knows; what has changed since still counts."""
    with ArtifactRegistry(workspace, "wheat") as ours, ArtifactRegistry(workspace, "wheat") as theirs:
        source = theirs.register([1], "p:1:all", "model")
        meta = ours.register_meta_model([2], "p:2:all", [source.artifact_id])
        assert [record.artifact_id for record in theirs.resolve_dependencies(meta.artifact_id)] == ["p:1:all"]
        theirs.delete_pipeline_artifacts("p")
        with pytest.raises(MissingDependencyError, match="p:1:all"):
            ours.register_meta_model([3], "p:3:all", [source.artifact_id])
        ours.start_run()
        theirs.purge_dataset_artifacts(confirm=True, force=True)  # it ends the run
        with pytest.raises(RunClosedError, match="rolled back"):
            ours.register([4], "p:4:all", "model")
        assert files(ours) == []
        assert list((workspace / "log" / "wheat" / "aside").iterdir()) == []


def test_a_file_that_only_lies_there_is_used(registry: ArtifactRegistry) -> None:
    """Whoever put it there: it has these bytes, and what was not brought by us is not ours to take."""
    first = registry.register([1], "p:1:all", "model")
    content = (registry.binaries_dir / first.path).read_bytes()
    with ArtifactRegistry(registry.workspace, "barley") as other:
        other.binaries_dir.mkdir(parents=True)
        (other.binaries_dir / first.path).write_bytes(content)
        other.start_run()
        assert other.register([1], "p:1:all", "model").path == first.path
        assert other.cleanup_failed_run() == 1
        assert files(other) == [first.path]


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "a/b", "a\\b", "nul\x00", "CON", "x.", " x", "a" * 201]
)
def test_bad_dataset_names(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="dataset name"):
        ArtifactRegistry(tmp_path, name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("actor", [3, b"ann"])
def test_who_acts_is_a_text(tmp_path: Path, actor: Any) -> None:
    with pytest.raises(InvalidInputError, match="actor says who acts"):
        ArtifactRegistry(tmp_path, "wheat", actor=actor)
