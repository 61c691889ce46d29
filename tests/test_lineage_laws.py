"""The law of lineage: what an artifact says that it was made from is what it was made from."""

import contextlib
import warnings
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainfold import ArtifactRegistry, NotFoundError

IDS: Final = ("p:1:all", "p:2:all", "q:1:all", "q:2:all")
Step = tuple[str, int, frozenset[int]]
steps: Final = st.tuples(
    st.sampled_from(("register", "register", "register", "restore", "delete")),
    st.integers(0, 3),
    st.frozensets(st.integers(0, 3), max_size=3),
)
histories: Final = st.lists(
    st.tuples(
        st.sampled_from(("alone", "commit", "fail", "take back", "other")), st.lists(steps, max_size=5)
    ),
    max_size=6,
)


def digest(registry: ArtifactRegistry, artifact_id: str) -> str | None:
    found = registry.resolve(artifact_id)
    return None if found is None else found.content_hash


def act(registry: ArtifactRegistry, step: Step, contents: list[int]) -> None:
    """A step; what is registered bears in its parameters the digests of what it is made from."""
    verb, which, sources = step
    if verb == "register":
        names = [IDS[source] for source in sorted(sources) if source != which]
        told = {name: digest(registry, name) for name in names}
        contents.append(len(contents))
        registry.register(contents[-1], IDS[which], "model", depends_on=names, params={"from": told})
    elif verb == "restore":
        with contextlib.suppress(NotFoundError):
            registry.restore(IDS[which], min(registry.position, 3 * len(sources)))
    else:
        registry.delete_pipeline_artifacts("pq"[which % 2])


def live(registry: ArtifactRegistry, other: ArtifactRegistry, history: list[tuple[str, list[Step]]]) -> None:
    contents: list[int] = []
    for how, inner in history:
        with contextlib.suppress(ZeroDivisionError), contextlib.ExitStack() as stack:
            registry.end_run()
            if how in {"commit", "fail", "other"}:
                stack.enter_context(registry.run())
            for number, step in enumerate(inner):
                act(other if how == "other" and number % 2 else registry, step, contents)
            if how == "fail":
                raise ZeroDivisionError
            if how == "take back":
                registry.cleanup_failed_run()


@settings(max_examples=150)
@given(histories)
def test_sources_are_what_the_maker_had(
    tmp_path_factory: pytest.TempPathFactory, history: list[tuple[str, list[Step]]]
) -> None:
    """Whatever was superseded, deleted, restored or taken back since, and by whom."""
    workspace = tmp_path_factory.mktemp("lineage")
    with (
        warnings.catch_warnings(),
        ArtifactRegistry(workspace, "wheat") as registry,
        ArtifactRegistry(workspace, "wheat") as other,
    ):
        warnings.simplefilter("ignore")
        live(registry, other, history)
        for size in range(registry.position + 1):
            view = registry.as_of(size)
            for record in view.iter_records():
                itself, *sources = view.lineage(record.artifact_id)
                digests: dict[int | None, Any] = {
                    each.registration.position: each.registration.record.content_hash
                    for each in (itself, *sources)
                    if each.registration is not None
                }
                for (name, had), position in zip(record.params["from"].items(), itself.sources, strict=True):
                    # Nothing was there: the rule for manifests may have found what came with the run.
                    assert had is None or digests[position] == had, name


@settings(max_examples=150)
@given(
    st.lists(st.tuples(st.integers(0, 5), st.lists(st.integers(0, 7), max_size=3)), max_size=8),
    st.sets(st.integers(0, 7)),
)
def test_what_a_manifest_brings_was_made_from_what_it_brings(
    tmp_path_factory: pytest.TempPathFactory, items: list[tuple[int, list[int]]], present: set[int]
) -> None:
    """In whatever order it names them, and whatever else bears these ids."""
    with ArtifactRegistry(tmp_path_factory.mktemp("import"), "wheat") as registry:
        for number in sorted(present):
            registry.register(number, f"m:{number}:all", "model")
        manifest: list[dict[str, Any]] = [
            {
                "artifact_id": f"m:{number}:all",
                "content_hash": f"sha256:{place:064x}",
                "path": f"{place}.pkl",
                "pipeline_id": "m",
                "artifact_type": "model",
                "depends_on": [f"m:{source}:all" for source in sources if source != number],
            }
            for place, (number, sources) in enumerate(items)
        ]
        start = registry.position
        registry.import_from_manifest(
            {"schema_version": "3.0", "items": manifest}, tmp_path_factory.getbasetemp()
        )
        brought = {item["artifact_id"] for item in manifest}
        assert len([*registry.events(start, kinds="artifact-registered")]) == len(manifest)
        alone = {name for name in brought if sum(item["artifact_id"] == name for item in manifest) == 1}
        edges = {item["artifact_id"]: item["depends_on"] for item in manifest}
        for name in alone:
            itself, *_ = registry.lineage(name)
            for source, position in zip(edges[name], itself.sources, strict=True):
                if source in alone:
                    assert position is not None
                    assert position >= start
