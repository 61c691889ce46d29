"""Queries by example; the laws stand in test_laws.py."""

import warnings
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from chainfold import ArtifactRegistry, DependencyGraph, InvalidInputError, NotFoundError, OperatorChain


def ids(records: list[object]) -> list[str]:
    """The ids of records."""
    return [record.artifact_id for record in records]  # type: ignore[attr-defined] # records all


def test_by_chain_prefers_the_own_pipeline_then_the_shared_fold_then_the_last(
    registry: ArtifactRegistry,
) -> None:
    def put(content: int, fold: int | None, pipeline: str) -> str:
        return registry.register_with_chain(
            content, "s1.A>s2.B", "model", 2, fold_id=fold, pipeline_id=pipeline
        ).artifact_id

    other = put(1, None, "other")
    assert registry.get_by_chain("s1.A>s2.B").artifact_id == other  # type: ignore[union-attr] # it is there
    zero, one = put(2, 0, "0001_pls"), put(3, 1, "0001_pls")
    found = {fold: registry.get_by_chain("s1.A>s2.B", fold) for fold in (None, 0, 1, 2)}
    assert [record and record.artifact_id for record in found.values()] == [one, zero, one, None]
    shared = put(4, None, "0001_pls")
    put(5, 2, "0001_pls")
    assert registry.get_by_chain(OperatorChain.from_path("s1.A>s2.B")) == registry.resolve(shared)
    assert registry.get_by_chain("s1.A") is None


def test_prefix_is_literal_for_text_and_whole_operators_for_chains(registry: ArtifactRegistry) -> None:
    for path in ("s10.X", "s1.X", "s1.X>s2.Y", "s1.X+s1.Z", "s1.XY"):
        for fold in ("final", 1, None, 0):
            registry.register_with_chain(1, path, "model", 1, fold_id=fold)
    assert len(registry.get_chain_prefix("s1")) == 20
    found = registry.get_chain_prefix(OperatorChain.from_path("s1.X"))
    assert [record.chain_path for record in found[::4]] == ["s1.X", "s1.X+s1.Z", "s1.X>s2.Y"]
    assert [record.fold_id for record in found[:4]] == [None, 0, 1, "final"]
    assert len(registry.get_chain_prefix(OperatorChain())) == 20
    assert registry.get_chain_prefix("s3") == []


def test_fold_models_are_models_with_a_fold_in_order(registry: ArtifactRegistry) -> None:
    for substep in (1, 0):
        for fold in (1, 0, None):
            for kind in ("model", "meta_model", "transformer"):
                path = f"s1.A>s2.{kind}[sub={substep}]"
                registry.register_with_chain(
                    1, path, kind, 2, substep_index=substep, fold_id=fold, branch_path=[substep]
                )
    models = registry.get_fold_models("0001_pls", 2)
    assert [(each.substep_index, each.fold_id) for each in models] == [
        (0, 0), (0, 0), (0, 1), (0, 1), (1, 0), (1, 0), (1, 1), (1, 1),
    ]  # fmt: skip
    assert len(registry.get_fold_models("0001_pls", 2, branch_path=[1])) == 4
    assert len(registry.get_artifacts_for_step("0001_pls", 2, branch_path=[0], fold_id=1)) == 3
    assert registry.get_artifacts_for_step("0001_pls", 2, branch_path=[]) == []
    assert registry.get_artifacts_for_step("nobody", 2) == []


def test_sources_that_are_not_live_are_reported_and_followed(registry: ArtifactRegistry) -> None:
    a = registry.register(1, "a:1:all", "transformer").artifact_id
    b = registry.register(2, "b:1:all", "transformer", depends_on=[a]).artifact_id
    c = registry.register(3, "c:1:all", "model", depends_on=[b, a, "never:1:all"]).artifact_id
    with pytest.warns(UserWarning, match="never:1:all"):
        assert ids(registry.resolve_dependencies(c)) == [a, b]  # type: ignore[arg-type] # records
    with pytest.warns(UserWarning, match=c):
        registry.delete_pipeline_artifacts("b")
    with pytest.warns(UserWarning, match=r"b:1:all, never:1:all|never:1:all, b:1:all"):
        assert ids(registry.resolve_dependencies(c)) == [a]  # type: ignore[arg-type] # records
    assert registry.get_dependencies(c) == [b, a, "never:1:all"]
    assert registry.get_dependencies(b) == []
    assert registry.get_dependents(b) == [c]


def test_lineage_of_any_depth(registry: ArtifactRegistry) -> None:
    with registry.run():
        for n in range(1_500):
            depends_on = [f"p:{n - 1}:all"] if n else None
            registry.register(0, f"p:{n}:all", "transformer", depends_on=depends_on)
    found = registry.resolve_dependencies("p:1499:all")
    assert ids(found) == [f"p:{n}:all" for n in range(1_499)]  # type: ignore[arg-type] # records
    graph = registry.dependency_graph
    assert isinstance(graph, DependencyGraph)
    assert graph.get_dependents("p:7:all") == ["p:8:all"]
    with pytest.raises(ValueError, match="Maximum dependency depth"):
        graph.resolve_dependencies("p:1499:all")
    assert len(graph.resolve_dependencies("p:100:all")) == 100
    with pytest.raises(InvalidInputError, match="register"):
        graph.add_dependency("p:1:all", "p:2:all")


def test_a_cycle_in_the_lineage_is_named(registry: ArtifactRegistry) -> None:
    registry.register(1, "a:1:all", "model", depends_on=["b:1:all"])
    registry.register(1, "b:1:all", "model", depends_on=["a:1:all"])
    with pytest.raises(ValueError, match="Cycle detected"):
        registry.resolve_dependencies("a:1:all")


def test_ids_that_were_registered_from_each_other_are_told_apart_by_lineage(
    registry: ArtifactRegistry,
) -> None:
    """By name they are a cycle, which the error says; by registration they are none, which it points to."""
    registry.register(1, "a:1:all", "model")
    registry.register(2, "b:1:all", "model", depends_on=["a:1:all"])
    registry.register(3, "a:1:all", "model", depends_on=["b:1:all"])
    message = r"^Cycle detected: a:1:all -> b:1:all -> a:1:all, .* lineage\('a:1:all'\) gives"
    with pytest.raises(ValueError, match=message):
        registry.resolve_dependencies("a:1:all")
    found = [(each.artifact_id, each.sources) for each in registry.lineage("a:1:all")]
    assert found == [("a:1:all", [1]), ("b:1:all", [0]), ("a:1:all", [])]


def test_aliases_and_restoring(registry: ArtifactRegistry) -> None:
    old = registry.register("old", "p:1:all", "model")
    registry.set_alias("production", "p:1:all")
    then = registry.position
    registry.register("new", "p:1:all", "model")
    registry.register("other", "p:2:all", "model")
    registry.set_alias("production", "p:2:all")
    registry.set_alias("candidate", "p:1:all")
    registry.set_alias("candidate", None)
    assert registry.alias("production") == "p:2:all"
    assert registry.aliases() == {"production": "p:2:all"}
    assert registry.as_of(then).alias("production") == "p:1:all"
    assert registry.as_of(0).alias("production") is None
    with pytest.raises(KeyError, match="no live artifact has the id 'p:9:all'"):
        registry.set_alias("x", "p:9:all")
    restored = registry.restore("p:1:all", then)
    assert (restored.content_hash, restored.path) == (old.content_hash, old.path)
    assert registry.load("p:1:all") == "old"
    with pytest.raises(NotFoundError):
        registry.restore("p:2:all", then)


def test_hashes_with_and_without_prefix(registry: ArtifactRegistry) -> None:
    first = registry.register([1], "p:1:all", "model")
    second = registry.register([1], "p:2:all", "model")
    bare = first.content_hash.removeprefix("sha256:")
    assert registry.resolve_by_hash(first.content_hash) == registry.resolve_by_hash(bare) == second
    assert registry.resolve_by_hash(bare[:12]) is None
    assert registry.resolve_by_hash("") is None


def test_the_registry_says_what_it_is(registry: ArtifactRegistry) -> None:
    registry.register([1], "p:1:all", "model")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "artifacts=1" in repr(registry)
        assert "position=0" in repr(registry.as_of(0))
    assert len(registry) == 1
    assert "p:1:all" in registry
    assert "p:1:all" not in registry.as_of(0)


def test_what_is_read_one_by_one_shows_one_moment(registry: ArtifactRegistry) -> None:
    """That of the first record, whatever is registered or deleted before the last."""
    for number in range(600):
        registry.register([number], f"p:{number}:all", "model", chain_path=f"s1.A{number % 300:03d}")
    found = [
        registry.iter_records(),
        registry.iter_chain_prefix("s1.A"),
        registry.iter_artifacts_for_step("p", 1),
        registry.as_of(registry.position).iter_records(),
    ]
    firsts = [next(records) for records in found]
    registry.delete_pipeline_artifacts("p")
    registry.register([0], "p:9999:all", "model", chain_path="s1.A000")
    for first, records in zip(firsts, found, strict=True):
        ids = [first.artifact_id, *(record.artifact_id for record in records)]
        assert sorted(ids) == sorted(f"p:{number}:all" for number in range(600))
    assert len(registry) == registry.count_chain_prefix("s1") == 1


def test_an_iterator_goes_on_when_its_registry_was_closed(workspace: Path) -> None:
    """As a closed registry is opened again by whoever uses it, also where its records lie in a snapshot."""
    with ArtifactRegistry(workspace, "wheat", pipeline_id="p") as registry:
        with registry.run():
            for fold in range(600):
                registry.register_with_chain([fold], "s1.PLS", "model", 1, fold_id=fold)
        expected = [record.artifact_id for record in registry.get_all_records()]
    registry = ArtifactRegistry(workspace, "wheat", pipeline_id="p")
    ways = [
        registry.iter_records(),
        registry.iter_artifacts_for_step("p", 1),
        registry.iter_chain_prefix("s1"),
        registry.as_of(registry.position).iter_records(),
    ]
    first = [next(each).artifact_id for each in ways]
    events = registry.events()
    next(events)
    registry.close()
    for head, rest in zip(first, ways, strict=True):
        assert [head, *(record.artifact_id for record in rest)] == expected
    assert len(list(events)) == registry.position - 1
    registry.close()
    registry.set_alias("best", expected[0])  # a command, too
    registry.close()


def test_a_chain_that_many_share_is_read_by_fold(registry: ArtifactRegistry) -> None:
    """In the order in which it would be sorted, if all of it were held."""
    with registry.run():
        for number in range(300):
            fold = (None, 10, 2, "avg", 0)[number % 5]
            registry.register_with_chain(
                [number], "s1.SNV", "model", 1, fold_id=fold, pipeline_id=f"p{number}"
            )
    found = [(record.fold_id, record.pipeline_id) for record in registry.iter_chain_prefix("s1.SNV")]
    folds = [fold for fold, _ in found]
    assert [fold for place, fold in enumerate(folds) if fold not in folds[:place]] == [None, 0, 2, 10, "avg"]
    assert len(found) == 300
    for fold in (None, 0, 2, 10, "avg"):
        numbers = [int(pipeline[1:]) for each, pipeline in found if each == fold]
        assert numbers == sorted(numbers)
        assert len(numbers) == 60


def test_texts_and_times_that_are_none(registry: ArtifactRegistry) -> None:
    for ask in (registry.get_by_chain, registry.get_chain_prefix, registry.resolve_by_hash):
        with pytest.raises(InvalidInputError, match="not 5"):
            ask(5)  # type: ignore[arg-type] # on purpose
    offset = timezone(timedelta(hours=5))
    assert registry.as_of(datetime.min.replace(tzinfo=offset)).position == 0
    assert registry.as_of(datetime.max.replace(tzinfo=timezone(-timedelta(hours=5)))).position == 0


def test_an_id_where_a_record_is_wanted(registry: ArtifactRegistry) -> None:
    registry.register([1], "0001:1:all", "model")
    for load in (registry.load_artifact, registry.load_bytes):
        with pytest.raises(InvalidInputError, match=r"a record, not str: load\(artifact_id\) takes an id"):
            load("0001:1:all")  # type: ignore[arg-type] # the mistake
