"""What is remembered of records that were asked for: always what the log says, nobody else's, and bounded."""

import tempfile
from array import array
from bisect import bisect_left
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.faults.hostile import DATASET, forged, registered
from tests.snapshotting import save_never, saved
from tests.test_params import PARAMS, same

from chainfold import ArtifactRecord, ArtifactRegistry, RegistryView
from chainfold.projections import section
from chainfold.projections.section import ABSENT, SEVERAL, Section, sum_of

SMALL = {"model": "pls", "n": 2}
ODD: list[dict[str, Any]] = [
    {},
    SMALL,
    {"$float": "nan"},
    {"$dict": {"a": 1}},
    {"limit": float("inf"), "least": -(2**63), "most": 2**64 - 1, "beyond": 2**64, "zero": -0.0},
    {"grid": [[1, 2], {"deep": [None, True]}]},
    {"many": [{"row": "x" * 1_000}] * 70},
]


def spoiled(value: Any) -> None:
    """Change whatever a caller can change in lists and dicts."""
    if isinstance(value, dict):
        for inner in list(value.values()):
            spoiled(inner)
        value["spoiled"] = True
    elif isinstance(value, list):
        for inner in value:
            spoiled(inner)
        value.append("spoiled")


def spoil(record: ArtifactRecord) -> None:
    for each in (record.params, record.depends_on, record.branch_path):
        spoiled(each)
    if record.meta_config is not None:
        spoiled(record.meta_config.source_models)
        spoiled(record.meta_config.feature_columns)
    record.artifact_id = record.path = record.pipeline_id = "spoiled"


def asked(view: RegistryView, artifact_id: str) -> list[ArtifactRecord | None]:
    """A record by all ways that lead to it."""
    found = view.resolve(artifact_id)
    assert found is not None
    listed = view.get_artifacts_for_step(found.pipeline_id, found.step_index)
    return [
        found,
        view.resolve_by_hash(found.content_hash),
        next(each for each in listed if each.artifact_id == artifact_id),
        view.resolve(artifact_id),
        next(each for each in view.iter_records() if each.artifact_id == artifact_id),
    ]


def alike(left: ArtifactRecord, right: ArtifactRecord) -> bool:
    """Whether two records are equal; NaN is NaN here."""
    mine, other = left.to_dict(), right.to_dict()
    return same(mine.pop("params"), other.pop("params")) and mine == other


@settings(max_examples=25)
@given(st.lists(PARAMS | st.sampled_from(ODD), min_size=1, max_size=4), st.booleans())
def test_every_answer_is_the_callers_own(drawn: list[dict[str, Any]], with_snapshot: bool) -> None:  # noqa: FBT001 - hypothesis passes it
    """However often a record is asked for, whatever was done to the answers before."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        save_never(patch)
        with ArtifactRegistry(folder, "wheat") as registry:
            with registry.run():
                expected = [
                    registry.register(
                        number, f"p:{number}:all", "model", params=params, depends_on=["a"], source_index=0
                    )
                    for number, params in enumerate(drawn)
                ]
                sources = [record.artifact_id for record in expected]
                expected.append(registry.register_meta_model("meta", "p:meta:all", sources, ["x"]))
            then = registry.position
        if with_snapshot:
            saved(Path(folder))
        with ArtifactRegistry(folder, "wheat") as registry:
            for view in (registry, registry.as_of(then), registry):
                for record in expected:
                    for found in asked(view, record.artifact_id):
                        assert found is not None
                        assert alike(found, record)
                        spoil(found)


def test_answers_follow_what_others_write(workspace: Path) -> None:
    """What another registry has acknowledged is seen by the next lookup, whatever was remembered."""
    with ArtifactRegistry(workspace, "wheat") as writer, ArtifactRegistry(workspace, "wheat") as reader:
        writer.register(0, "p:0:all", "model", params={"n": 0})
        then = writer.position
        past = reader.as_of(then)

        def seen(view: RegistryView) -> Any:
            found = [view.resolve("p:0:all") for _ in range(3)]
            assert found[0] == found[1] == found[2]
            return found[0] and found[0].params["n"]

        for number in range(1, 5):
            assert seen(reader) == number - 1
            writer.register(number, "p:0:all", "model", params={"n": number})
            assert seen(reader) == number
            assert seen(past) == 0
        with writer.run():
            writer.register(5, "p:0:all", "model", params={"n": 5})
            assert (seen(writer), seen(reader), seen(past)) == (5, 4, 0)
            writer.delete_pipeline_artifacts("p")
            assert (seen(writer), seen(reader), seen(past)) == (4, 4, 0)
        assert (seen(writer), seen(reader), seen(past)) == (None, None, 0)
        writer.start_run()
        writer.register(6, "p:0:all", "model", params={"n": 6})
        assert (seen(writer), seen(reader)) == (6, None)
        writer.cleanup_failed_run()
        assert (seen(writer), seen(reader), seen(past)) == (None, None, 0)


@pytest.mark.parametrize("params", [{"text": "x" * 20_000}, {"list": [[]] * 1_500}, SMALL])
def test_what_is_kept_is_bounded_in_bytes(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, params: dict[str, Any]
) -> None:
    """However large the records are, and in whatever order they are asked for."""
    limit = 30_000
    monkeypatch.setattr("chainfold.projections.source.KEPT_BYTES", limit)
    monkeypatch.setattr("chainfold.view._REMEMBERED_BYTES", limit)
    save_never(monkeypatch)
    count = 250 if params is SMALL else 100
    with ArtifactRegistry(workspace, "wheat") as registry, registry.run():
        for number in range(count):
            registry.register(0, f"p:{number}:all", "model", params={**params, "number": number})
    saved(workspace)
    with ArtifactRegistry(workspace, "wheat") as registry:
        source = registry._data.projections.source
        most: dict[str, int] = {}
        ask: list[Callable[[int], Any]] = [
            lambda number: registry.resolve(f"p:{number}:all"),
            registry._data.record,
            lambda number: registry._data.projections.source.decoded(number).record,
        ]
        for turn in range(6):
            for number in range(count) if turn % 2 else reversed(range(0, count, 3)):
                found = ask[turn // 2](number)
                assert found.artifact_id == f"p:{number}:all"
                for name, held in (
                    ("kept", source._kept),
                    ("fading", source._fading),
                    ("answers", registry._answers),
                ):
                    most[name] = max(most.get(name, 0), sum(map(len, held.values())))
                assert len(source._at_hand) <= 8
        assert most["fading"] > limit // 4, "else nothing was tried"
        assert max(most.values()) <= limit


@pytest.mark.damages
@pytest.mark.parametrize("before", [b"", b" ", b"\t"])
@pytest.mark.parametrize("params", [{}, {"n": 2**70}, {"n": [2**70]}, {"x": 1e308}, {"": None}])
def test_lines_that_others_wrote_in_their_own_way(
    workspace: Path, before: bytes, params: dict[str, Any]
) -> None:
    """Blanks before the line, numbers that 64 bits do not hold: the same however often it is asked for."""
    forged(workspace, before + registered(0, params=params))
    with ArtifactRegistry(workspace, DATASET) as registry:
        for _ in range(3):
            for found in asked(registry, "p:1:all"):
                assert found is not None
                assert same(found.params, params)
                spoil(found)


NUMBERS = st.lists(st.integers(0, 12), min_size=1, max_size=40).map(sorted)


@given(NUMBERS, st.integers(-1, 13))
def test_a_number_in_a_block_is_found_once_or_not_or_known_to_be_several(
    numbers: list[int], wanted: int
) -> None:
    """As by counting; blocks of eight."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(section, "BLOCK_BYTES", 64)
        data = memoryview(array("Q", numbers))
        blocks = [numbers[start : start + 8] for start in range(0, len(numbers), 8)]
        sums = [sum_of(bytes(array("Q", block))) for block in blocks]
        tried = Section(data, sums, lambda: None)  # type: ignore[arg-type] # nothing heals it
        for place, block in enumerate(blocks):
            count = block.count(wanted)
            expected = ABSENT if count == 0 else SEVERAL
            if count == 1:
                expected = 8 * place + bisect_left(block, wanted)
            if wanted >= 0:
                assert tried.only(wanted, place) == expected
