"""Laws of merging: what a snapshot was merged from, and in how many steps, leaves no trace in it."""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.snapshotting import (
    Everything,
    answers,
    answers_without,
    few_hashes,
    files_in,
    fingerprint_of,
    folder_of,
    from_nothing,
    save_never,
    save_often,
    small_blocks,
)
from tests.test_laws import Players, acts

from chainfold import ArtifactRegistry
from chainfold.log import LogReader
from chainfold.projections import Projections
from chainfold.projections.chains import Paths
from chainfold.projections.keys import hashed
from chainfold.projections.snapshot import FORMAT
from chainfold.projections.snapshots import Snapshots
from chainfold.storage import LocalFiles

EXAMPLES = int(os.environ.get("CHAINFOLD_EXAMPLES", "0"))
pytestmark = pytest.mark.timeout(0 if EXAMPLES else 300)
GOLDEN: Final = [
    (path, dataset)
    for path in (Path(__file__).parent / "golden").iterdir()
    if (path / "log").is_dir()
    for dataset in sorted(each.name for each in (path / "log").iterdir())
]
Setting = Callable[[pytest.MonkeyPatch], None]


def few_at_a_time(patch: pytest.MonkeyPatch) -> None:
    small_blocks(patch)
    few_hashes(patch)


def as_shipped(_: pytest.MonkeyPatch) -> None:
    """Nothing is changed."""


@contextlib.contextmanager
def set_up(setting: Setting) -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        setting(patch)
        yield patch


class Stepwise:
    """A log that is folded in steps, with a snapshot after each that the next begins from."""

    def __init__(self, workspace: Path, dataset: str) -> None:
        self.log = LogReader(workspace / "log" / dataset, dataset, LocalFiles())
        self.snapshots = Snapshots(self.log.folder, dataset, LocalFiles())
        self.projections = Projections(self.log)
        self.entries = self.log.catch_up()

    def go(self, count: int) -> bool:
        """So many more; False at the end of the log."""
        for _ in range(count):
            entry = next(self.entries, None)
            if entry is None:
                return False
            self.projections.apply(entry)
        snapshot = self.snapshots.save(self.projections, self.log)
        assert snapshot is not None
        self.log.rest_on(snapshot.sections["offsets"])
        self.projections = Projections(self.log, snapshot)
        return True


def check_steps(workspace: Path, dataset: str, steps: list[int]) -> None:
    """After each step the state, and the snapshot made of it, are those of a fold from nothing."""
    stepwise = Stepwise(workspace, dataset)
    going = True
    for count in [*steps, 10**9]:
        going = going and stepwise.go(count)
        found = stepwise.projections
        fresh, log = from_nothing(workspace, dataset, found.size)
        assert found.dump() == fresh.dump()
        assert fingerprint_of(found, stepwise.log) == fingerprint_of(fresh, log)
        assert stepwise.log.root() == log.root()
        assert [stepwise.log.line(each) for each in range(log.size)] == list(log.raw_lines())
        assert [stepwise.log.size_bytes(each) for each in range(log.size)] == [
            log.size_bytes(each) for each in range(log.size)
        ]
        log.close()
    stepwise.log.close()


@pytest.mark.parametrize("setting", [as_shipped, small_blocks, few_hashes, few_at_a_time])
@pytest.mark.parametrize("step", [1, 2, 7])
@pytest.mark.parametrize(("path", "dataset"), GOLDEN)
def test_golden_logs_in_steps(tmp_path: Path, path: Path, dataset: str, step: int, setting: Setting) -> None:
    """Merged in steps of any length, a golden log's snapshot is the one that is built from nothing."""
    shutil.copytree(path / "log" / dataset, tmp_path / "log" / dataset)
    with set_up(setting):
        check_steps(tmp_path, dataset, [step] * 100)


@pytest.mark.parametrize("setting", [as_shipped, small_blocks, few_at_a_time])
@pytest.mark.parametrize(("path", "dataset"), GOLDEN)
def test_golden_logs_answer_through_a_snapshot(
    tmp_path: Path, path: Path, dataset: str, setting: Setting
) -> None:
    """Every query, as of every position, is answered as without one, wherever the snapshot ends."""
    for name in ("log", "binaries"):
        shutil.copytree(path / name / dataset, tmp_path / name / dataset)
    with set_up(setting) as patch:
        save_never(patch)
        expected = answers_without(tmp_path, dataset)
        _, log = from_nothing(tmp_path, dataset)
        for size in range(1, log.size + 1, 1 if EXAMPLES else 9):
            shutil.rmtree(folder_of(tmp_path, dataset), ignore_errors=True)
            Stepwise(tmp_path, dataset).go(size)
            with ArtifactRegistry(tmp_path, dataset) as registry:
                snapshot = registry._data.projections.snapshot
                assert snapshot is not None
                assert snapshot.size == size
                assert _same(Everything(registry._data.log).of(registry), expected)
        log.close()


def _same(found: dict[str, Any], expected: dict[str, Any]) -> bool:
    for name, value in expected.items():
        assert found[name] == value, name
    return True


def played(stack: contextlib.ExitStack, drawn: list[Any]) -> Players:
    """A history by commands; its runs stay open at the end, unless they were closed."""
    players = Players(stack)
    for each in drawn:
        players.act(*each)
    return players


histories = st.lists(acts(st.integers(0, 2)), max_size=14)


@settings(max_examples=max(EXAMPLES, 40))
@given(histories, st.lists(st.integers(1, 5), max_size=12), st.sampled_from((small_blocks, few_at_a_time)))
def test_any_history_in_any_steps(drawn: list[Any], steps: list[int], setting: Setting) -> None:
    """A snapshot merged over any number of steps has the same sections as one that is built from nothing."""
    with contextlib.ExitStack() as stack, set_up(setting) as patch:
        save_never(patch)
        players = played(stack, drawn)
        check_steps(players.workspace, "wheat", steps)


@settings(max_examples=max(EXAMPLES, 40))
@given(histories, st.sampled_from((1, 2, 5)), st.sampled_from((small_blocks, few_at_a_time)))
def test_any_history_answers_as_without(drawn: list[Any], entries: int, setting: Setting) -> None:
    """What was lived and what is opened through snapshots answers as a fold of the whole log does."""
    with contextlib.ExitStack() as stack, set_up(setting) as patch:
        save_often(patch, entries, entries)
        players = played(stack, drawn)
        lived = players.registries[2]
        assert len(lived) >= 0
        found = Everything(lived._data.log).of(lived)
        opened = answers(players.workspace)
        assert _same(opened, found)
        save_never(patch)
        assert _same(answers_without(players.workspace), found)
        assert lived._data.projections.snapshot is not None or not files_in(players.workspace)
        assert lived.rebuild()


def test_a_saved_state_is_the_lived_one_at_any_step(tmp_path: Path) -> None:
    """Chain paths that are new, known, prefixes of each other, or of many bytes, keep their order."""
    with pytest.MonkeyPatch.context() as patch:
        small_blocks(patch)
        save_often(patch, 2, 2)
        paths = ["s2.B", "s1.A", "s1.A>s2.B", "s1.Ä", "s1.模型", "s1.A", "s1.𐍈", "s1.\uffee", "s0.Z", "s9.A"]
        with ArtifactRegistry(tmp_path, "wheat", pipeline_id="p") as registry:
            for number, path in enumerate(paths * 2):
                registry.register_with_chain([number], path, "model", 1, fold_id=number % 3)
                projections = registry._data.projections
                assert list(projections.chains.paths_from("")) == sorted({*(paths * 2)[: number + 1]})
        check_steps(tmp_path, "wheat", [3, 1, 4])


def test_the_hashes_of_keys_are_those_of_the_format() -> None:
    """Whoever changes them must change the format's number too: older snapshots would find nothing."""
    assert FORMAT == 3
    assert hashed("id", "p:1:all") == 189504941949382715
    assert hashed("step", ("p", "1")) == 8394403570875128793
    assert hashed("sweep", "ä.joblib") == 13199002120509827624
    assert hashed("erased", "ä.json") == 14788610262503786196


class Listed(Paths):
    """Paths of a list, not of a snapshot."""

    def __init__(self, paths: list[bytes]) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> bytes:
        return self.paths[index]


@given(st.sets(st.binary(max_size=3)), st.lists(st.binary(max_size=3)))
def test_places_of_many_paths_are_those_of_each(older: set[bytes], newer: list[bytes]) -> None:
    """Looked for one after the other they are found where each belongs: behind all that are smaller."""
    places = Listed(sorted(older)).places(sorted(newer))
    assert list(places) == [sum(path < each for path in older) for each in sorted(newer)]
