"""Footers that lie though their sum is right, and sections that do not fit: left out, and never an error.

The sums guard against accidents. Whoever can compute them can also rewrite the log, so all that is claimed
here is that what cannot be is not taken for a snapshot.
"""

import contextlib
import copy
import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.snapshotting import answers, answers_without, files_in, save_never, saved, small_blocks
from tests.test_snapshot_damage import filled, replaced

from chainfold import ArtifactRegistry
from chainfold.projections.section import sum_of
from chainfold.projections.snapshot import END, TRAILER

pytestmark = [pytest.mark.damages, pytest.mark.timeout(0 if os.environ.get("CHAINFOLD_EXAMPLES") else 300)]
Change = Callable[[dict[str, Any]], object]
HUGE = 2**63
EXAMPLES = int(os.environ.get("CHAINFOLD_EXAMPLES", "0"))


@pytest.fixture(autouse=True)
def blocks_of_few(monkeypatch: pytest.MonkeyPatch) -> None:
    small_blocks(monkeypatch)
    save_never(monkeypatch)


@pytest.fixture
def dataset(workspace: Path) -> Path:
    """A workspace with a snapshot that ends inside a run."""
    filled(workspace)
    registry = ArtifactRegistry(workspace, "wheat")
    registry.start_run()
    registry.register([5], "p:1:all", "model")
    registry.set_alias("best", "p:1:all")
    registry.delete_pipeline_artifacts("p")
    registry.register([6], "p:2:all", "model")
    saved(workspace)
    registry.end_run()
    registry.close()
    return workspace


def footer_of(content: bytes) -> tuple[dict[str, Any], bytes, int]:
    """The footer, what is before it, and where the sums begin."""
    offset, sums, _, _ = TRAILER.unpack(content[-TRAILER.size :])
    footer: dict[str, Any] = json.loads(content[offset : -TRAILER.size])
    return footer, content[:offset], sums


def forged(content: bytes, footer: object) -> bytes:
    """The same with another footer, and the right sum."""
    _, before, sums = footer_of(content)
    text = footer if isinstance(footer, bytes) else json.dumps(footer).encode()
    total = sum_of(before[sums:] + text)
    return before + text + TRAILER.pack(len(before), sums, total, END)


def section(name: str, offset: int | None = None, count: int | None = None) -> Change:
    def change(footer: dict[str, Any]) -> None:
        known = footer["sections"][name]
        footer["sections"][name] = [
            known[0] if offset is None else offset,
            known[1] if count is None else count,
        ]

    return change


def mark(name: str, value: Any) -> Change:
    return lambda footer: footer["mark"].__setitem__(name, value)


def run(name: str, value: Any) -> Change:
    return lambda footer: footer["state"]["open_runs"][0].__setitem__(name, value)


LIES: dict[str, Change] = {
    "no sections": lambda footer: footer.__setitem__("sections", {}),
    "no section": lambda footer: footer["sections"].pop("fences"),
    "a section behind the end": section("keys", offset=1 << 40),
    "a section before the start": section("keys", offset=-64),
    "a section in the first line": section("keys", offset=0),
    "a section at no multiple": section("keys", offset=65),
    "sections over each other": lambda footer: footer["sections"].update(
        removed_at=footer["sections"]["visible_from"]
    ),
    "a huge count": section("keys", count=HUGE),
    "a negative count": section("keys", count=-1),
    "a row too few": section("sizes", count=1),
    "a key too few": section("keys", count=1),
    "no fences": section("fences", count=0),
    "no totals": section("totals", count=0),
    "an offset too few": section("offsets", count=1),
    "sections of text": lambda footer: footer["sections"].update(keys=["0", "1"]),
    "sections of three": lambda footer: footer["sections"].update(keys=[64, 1, 1]),
    "no mark": lambda footer: footer.pop("mark"),
    "no state": lambda footer: footer.pop("state"),
    "a size too large": mark("size", 10**6),
    "a size too small": mark("size", 1),
    "no entries": mark("size", 0),
    "a negative size": mark("size", -1),
    "no segments": mark("segments", []),
    "a segment that is not there": mark("segments", [[0, 10], [5, 10]]),
    "a segment elsewhere": mark("segments", [["../../../x", 10]]),
    "a negative segment": mark("segments", [[-1, 10]]),
    "segments twice": lambda footer: footer["mark"].update(segments=footer["mark"]["segments"] * 2),
    "a segment of nothing": mark("segments", [[0, 0]]),
    "a segment of less than nothing": mark("segments", [[0, -5]]),
    "a longer segment": mark("segments", [[0, HUGE]]),
    "another sum": mark("sum", 0),
    "a huge sum": mark("sum", 2**64),
    "another time": mark("last_at", "2999-01-01T00:00:00.000000Z"),
    "more durable than there is": mark("durable", 10**6),
    "less than nothing durable": mark("durable", -1),
    "no subtrees": mark("subtrees", []),
    "subtrees of text": mark("subtrees", ["xyz"]),
    "short subtrees": lambda footer: footer["mark"].update(
        subtrees=[each[:-2] for each in footer["mark"]["subtrees"]]
    ),
    "another origin": mark("origin", "chainfold/barley"),
    "a run of no such row": run("own", {"p:1:all": 10**6}),
    "a run of a negative row": run("rows", [-1]),
    "a run of another number": run("number", 7),
    "a run that dooms what is not there": run("doomed", {"99": True}),
    "a run with a status of its own": run("status", "stale"),
    "a swept position of text": lambda footer: footer["state"].update(swept_all_at="x"),
}


def check_left_out(workspace: Path, content: bytes, footer: object, expected: dict[str, Any]) -> None:
    replaced(files_in(workspace)[0], forged(content, footer))
    assert answers(workspace) == expected


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_left_out(dataset: Path, caplog: pytest.LogCaptureFixture, lie: str) -> None:
    expected = answers_without(dataset)
    content = files_in(dataset)[0].read_bytes()
    footer, *_ = footer_of(content)
    assert forged(content, footer) != b""
    LIES[lie](footer)
    with caplog.at_level(logging.WARNING, logger="chainfold.projections.snapshots"):
        check_left_out(dataset, content, footer, expected)
    assert "is left out" in caplog.text


@pytest.mark.parametrize(
    "text", [b"", b"null", b"[]", b"{", b"\xff", b"[" * 10**5, b'{"x":' * 10**5, b"{}" * 9]
)
def test_a_footer_that_is_none(dataset: Path, caplog: pytest.LogCaptureFixture, text: bytes) -> None:
    expected = answers_without(dataset)
    check_left_out(dataset, files_in(dataset)[0].read_bytes(), text, expected)
    assert "is left out" in caplog.text


@pytest.mark.parametrize("end", [(0, 0), (2**64 - 1, 64), (64, 2**64 - 1), (10**9, 10**9), (63, 63)])
def test_a_trailer_that_points_elsewhere(dataset: Path, end: tuple[int, int]) -> None:
    expected = answers_without(dataset)
    content = files_in(dataset)[0].read_bytes()
    replaced(files_in(dataset)[0], content[: -TRAILER.size] + TRAILER.pack(*end, 0, END))
    assert answers(dataset) == expected


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2**65) | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@settings(max_examples=max(EXAMPLES, 60), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_anything_anywhere_in_the_footer(dataset: Path, data: st.DataObject) -> None:
    """Whatever stands in the place of a value: opening and asking raise nothing that is no error of ours."""
    path = dataset / "first.snapshot"
    if not path.exists():
        path.write_bytes(files_in(dataset)[0].read_bytes())
    content = path.read_bytes()
    footer, *_ = footer_of(content)
    changed = copy.deepcopy(footer)
    place: Any = changed
    for _ in range(data.draw(st.integers(0, 3))):
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        below = [key for key in keys if isinstance(place[key], dict | list) and place[key]]
        if not below:
            break
        place = place[data.draw(st.sampled_from(below))]
    keys = list(place) if isinstance(place, dict) else list(range(len(place)))
    place[data.draw(st.sampled_from(keys))] = data.draw(JSON | st.integers(0, 300))
    for other in files_in(dataset):
        other.unlink()
    target = dataset / "log" / "wheat" / "snapshots" / f"{9:020d}-{0:012d}.snapshot"
    target.write_bytes(forged(content, changed))
    with contextlib.closing(ArtifactRegistry(dataset, "wheat")) as registry:
        assert len(list(registry.iter_records())) == len(registry)
        registry.aliases()
        registry.get_stats()
