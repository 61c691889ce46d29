"""The logs that earlier releases left: they always replay, give the same answers, and can be added to."""

import json
import shutil
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import pytest
from tests.golden.make import answered
from tests.reader import Reader

from chainfold import ArtifactRegistry
from chainfold.events import RunRolledBack

GOLDEN: Final = sorted(
    path for path in (Path(__file__).parent / "golden").iterdir() if (path / "log").is_dir()
)


@pytest.fixture(params=GOLDEN, ids=lambda path: path.name)
def golden(request: pytest.FixtureRequest) -> tuple[Path, dict[str, Any]]:
    """The stored workspace, and what must be read from it."""
    path: Path = request.param
    return path, json.loads((path / "expected.json").read_text("utf-8"))


@pytest.fixture
def copied(golden: tuple[Path, dict[str, Any]], workspace: Path) -> dict[str, Any]:
    """A copy of it in the workspace of the test; what must be read from each dataset."""
    path, expected = golden
    for name in ("log", "binaries"):
        shutil.copytree(path / name, workspace / name)
    return dict(expected["datasets"])


def test_there_is_a_golden_log() -> None:
    assert [path.name for path in GOLDEN] == ["1", "2"]


def test_the_golden_files_are_what_was_left(golden: tuple[Path, dict[str, Any]]) -> None:
    path, expected = golden
    files = [each for each in path.rglob("*") if each.is_file() and each.name != "expected.json"]
    digests = {each.relative_to(path).as_posix(): sha256(each.read_bytes()).hexdigest() for each in files}
    assert digests == expected["files"]


def test_every_size_answers_as_it_did(copied: dict[str, Any], workspace: Path) -> None:
    for dataset, expected in copied.items():
        last = len(expected["as_of"]) - 1
        with ArtifactRegistry(workspace, dataset, actor="tester") as registry:
            found = answered(registry, last)
            for part in ("artifacts", "as_of", "records"):
                assert json.loads(json.dumps(found[part])) == expected[part]
            assert registry._data.log.root_at(last).hex() == expected["root"]
            assert registry.verify()
            for record in registry.iter_records():
                if record.format == "pickle":
                    registry.load_artifact(record)
            assert registry.rebuild()


@pytest.mark.parametrize("golden", GOLDEN[:1], indirect=True, ids=["1"])
def test_a_run_that_was_left_open_is_rolled_back(copied: dict[str, Any], workspace: Path) -> None:
    last = len(copied["barley"]["as_of"]) - 1
    with ArtifactRegistry(workspace, "barley", actor="tester") as registry:
        event = registry._data.log.entry(last).event
        assert isinstance(event, RunRolledBack)
        assert event.reason == "crash"
        assert "lab-3:4711" in event.detail
        assert registry.alias("best") == "p:2:all"
        assert registry.resolve("p:6:all") is None
        assert registry.find_orphaned_artifacts() == []


def test_the_golden_log_can_be_added_to(copied: dict[str, Any], workspace: Path) -> None:
    for dataset, expected in copied.items():
        last = len(expected["as_of"]) - 1
        before = [path.read_bytes() for path in sorted((workspace / "log" / dataset / "segments").iterdir())]
        with ArtifactRegistry(workspace, dataset, pipeline_id="0001_pls", actor="tester") as registry:
            live = {record.artifact_id for record in registry.iter_records()}
            registry.register({"coef": [1]}, "9999:1:all", "model", params={"large": "x" * 70_000})
            with registry.run():
                registry.register({"coef": [2]}, min(live), "model")
                registry.set_alias("production", min(live))
            registry.delete_pipeline_artifacts("9999", delete_files=True)
            assert {record.artifact_id for record in registry.iter_records()} == live
            assert registry.load(min(live)) == {"coef": [2]}
            assert registry.verify()
        after = [path.read_bytes() for path in sorted((workspace / "log" / dataset / "segments").iterdir())]
        assert all(new.startswith(old) for old, new in zip(before, after, strict=True))
        read = Reader(workspace, dataset)
        assert set(read.live(len(read.entries))) == live
        for number, (numbers, aliases, *_) in enumerate(expected["as_of"][: last + 1]):
            there = sorted(tuple(expected["artifacts"][each]) for each in numbers)
            assert (
                sorted((each.artifact_id, each.record["content_hash"]) for each in read.live(number).values())
                == there
            )
            assert read.aliases_at(number) == aliases
