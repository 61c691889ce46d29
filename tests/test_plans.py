"""What a plan names is what carrying it out takes away, and it is carried out so or not at all.

What went is read from listings of folders and from the log's lines, neither of which a plan has to do with.
"""

import itertools
import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conftest import check_consistency

from chainfold import ArtifactRegistry, ConflictError, DependentsError, InvalidInputError, NotFoundError
from chainfold.commands.plans import Plan

IDS = [f"p{pipeline}${'0123456789ab'}:{fold}" for pipeline in range(2) for fold in range(3)]
USED = [IDS[0], IDS[1], IDS[3], IDS[4]]
Operation = tuple[Any, ...]
registrations = st.tuples(
    st.just("register"),
    st.sampled_from(USED),
    st.integers(0, 1),
    st.lists(st.sampled_from(USED), max_size=1),
    st.booleans(),
)
operations = st.lists(
    st.one_of(
        registrations,
        registrations,  # most of a history
        registrations,
        st.tuples(st.just("run"), st.booleans()),
        st.tuples(st.just("delete"), st.sampled_from(["p0", "p1"]), st.booleans()),
        st.tuples(st.just("alias"), st.sampled_from(["a", "b"]), st.sampled_from(USED)),
        st.tuples(st.just("stray"), st.integers(0, 3)),
    ),
    min_size=2,
    max_size=14,
)


def enact(registry: ArtifactRegistry, steps: list[Operation]) -> None:
    """A history: some of it in runs, some by hand."""
    counter = itertools.count()
    for step in steps:
        match step:
            case ("register", artifact_id, content, sources, private):
                params = {"who": f"Grete {next(counter)}"} if private else {}
                sources = [each for each in sources if each != artifact_id]
                registry.register(
                    [content], artifact_id, "model", sources, params=params, private=list(params)
                )
            case ("run", commits):
                if registry._run is None:
                    registry.start_run()
                elif commits:
                    registry.end_run()
                else:
                    registry.cleanup_failed_run()
            case ("delete", pipeline_id, files):
                registry.delete_pipeline_artifacts(pipeline_id, delete_files=files)
            case ("alias", name, artifact_id):
                if registry._run is None and artifact_id in registry:
                    registry.set_alias(name, artifact_id)
            case ("stray", number):
                registry.binaries_dir.mkdir(parents=True, exist_ok=True)
                (registry.binaries_dir / f"stray{number}.bin").write_bytes(b"x" * number)


def listed(folder: Path) -> dict[str, int]:
    """Files and their bytes."""
    return {
        str(path.relative_to(folder)): path.stat().st_size for path in folder.rglob("*") if path.is_file()
    }


def names(folder: Path) -> list[str]:
    """Files of a folder."""
    return sorted(path.name for path in folder.iterdir())


def live(workspace: Path) -> dict[str, int]:
    """Ids that are live, each with the position of its registration: from the lines of the log alone."""
    found: dict[str, int] = {}
    pending: dict[str, list[dict[str, Any]]] = {}
    for path in sorted((workspace / "log" / "wheat" / "segments").glob("*.jsonl")):
        for entry in map(json.loads, path.read_bytes().rstrip(b"\0").splitlines()):
            run = entry.get("run")
            if entry["kind"] == "run-started":
                pending[run] = []
            elif entry["kind"] == "run-committed":
                for each in _of_commit(pending.pop(run)):
                    _take(found, each)
            elif entry["kind"] == "run-rolled-back":
                pending.pop(run, None)
            elif run in pending:
                pending[run].append(entry)
            else:
                _take(found, entry)
    return found


def _take(found: dict[str, int], entry: dict[str, Any]) -> None:
    if entry["kind"] == "artifact-registered":
        found[entry["record"]["artifact_id"]] = entry["position"]
    elif entry["kind"] == "artifacts-deleted":
        for each in list(filter(partial(_is_meant, entry), found)):
            del found[each]
    elif entry["kind"] == "dataset-purged":
        found.clear()


def _is_meant(entry: dict[str, Any], artifact_id: str) -> bool:
    return artifact_id in entry.get("artifact_ids", ()) or artifact_id.partition("$")[0] == entry.get(
        "pipeline_id"
    )


def _of_commit(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A run's deletions, which are of what was committed, then what it has at its end."""
    own: dict[str, dict[str, Any]] = {}
    deletions = []
    for entry in entries:
        if entry["kind"] == "artifact-registered":
            own[entry["record"]["artifact_id"]] = entry
        elif entry["kind"] == "artifacts-deleted":
            deletions.append(entry)
            for each in list(filter(partial(_is_meant, entry), own)):
                del own[each]
    return [*deletions, *own.values()]


@contextmanager
def a_workspace() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp())
    try:
        yield folder / "workspace"
    finally:
        shutil.rmtree(folder)


def requests(registry: ArtifactRegistry) -> dict[str, Callable[[], Plan]]:
    """Ways to plan, by name; some refuse."""
    runs = [run.run_id for run in registry.runs()]
    return {
        "ids": lambda: registry.plan_deletion(USED[1:3], dependents="warn"),
        "one": lambda: registry.plan_deletion(IDS[0]),
        "keep": lambda: registry.plan_deletion(IDS[0], delete_files=False, dependents="warn"),
        "cascade": lambda: registry.plan_deletion(IDS[0], dependents="cascade"),
        "pipeline": lambda: registry.plan_deletion(pipeline_id="p0", dependents="warn"),
        "both": lambda: registry.plan_deletion(pipeline_id="p0", dependents="cascade"),
        "collect": registry.plan_collection,
        "purge": registry.plan_purge,
        "erase": lambda: registry.plan_erasure(IDS[0]),
        "first": lambda: registry.plan_rollback(runs[0] if runs else "none", dependents="warn"),
        "forced": lambda: registry.plan_rollback(runs[-1] if runs else "none", force=True, dependents="warn"),
        "forced purge": lambda: registry.plan_purge(force=True),
        "last": lambda: registry.plan_rollback(runs[-1] if runs else "none", dependents="warn"),
    }


NAMES = [
    "ids",
    "one",
    "keep",
    "cascade",
    "pipeline",
    "both",
    "collect",
    "purge",
    "forced purge",
    "erase",
    "first",
    "last",
    "forced",
]


@settings(max_examples=150)
@given(operations, st.sampled_from(NAMES), st.booleans())
def test_what_is_planned_is_what_goes(steps: list[Operation], name: str, is_run_open: bool) -> None:  # noqa: FBT001
    """Files, private values and live artifacts before and after differ by just what the plan names."""
    check(steps, name, is_run_open=is_run_open)


some = st.lists(registrations, max_size=3)


@settings(max_examples=200)
@given(
    some, st.lists(registrations, min_size=1, max_size=4), some, st.sampled_from(["first", "last", "forced"])
)
def test_what_a_run_registered_is_taken_back(
    before: list[Operation], inside: list[Operation], after: list[Operation], name: str
) -> None:
    """The same of a run amid others, committed or, where it is forced, open."""
    turn = ("run", True)
    if name == "forced":
        check([*before, *after, turn, *inside], name, is_run_open=True)
    else:
        check([*before, turn, *inside, turn, *after], name, is_run_open=False)


def check(steps: list[Operation], name: str, *, is_run_open: bool) -> None:
    """Plan, carry out, and compare."""
    with warnings.catch_warnings(), a_workspace() as workspace:
        warnings.simplefilter("ignore")
        with (
            ArtifactRegistry(workspace, "wheat") as registry,
            ArtifactRegistry(workspace, "wheat") as other,
        ):
            enact(registry, steps)
            if is_run_open and registry._run is None:
                registry.start_run()
                enact(registry, [step for step in steps if step[0] == "register"][:2])
            elif not is_run_open and registry._run is not None:
                registry.end_run()
            private = workspace / "log" / "wheat" / "private"
            before = listed(registry.binaries_dir), listed(private), live(workspace), other.position
            try:
                plan = requests(other)[name]()
                assert (listed(registry.binaries_dir), listed(private)) == before[:2]
                assert other.position == before[3]
                other.carry_out(plan)
            except (NotFoundError, DependentsError):
                plan = Plan(None, before[3])
            except ConflictError:  # a run of a living process
                assert name in {"first", "last", "purge"}
                assert is_run_open
                plan = Plan(None, before[3])
            after = listed(registry.binaries_dir), listed(private), live(workspace)
            sources = {record.artifact_id: set(record.depends_on) for record in other.get_all_records()}
        assert {each.path: each.size_bytes for each in plan.files} == _lost(before[0], after[0])
        assert {v.path: v.size_bytes for v in plan.values if v.size_bytes} == _lost(before[1], after[1])
        assert after[0].keys() <= before[0].keys()
        assert plan.restored or after[1].keys() <= before[1].keys()  # what is repeated is withheld again
        gone = {each.artifact_id: each.position for each in plan.artifacts}
        if plan.runs:  # what only an open run sees was live to nobody else
            gone = {each: at for each, at in gone.items() if before[2].get(each) == at}
        assert gone == {each: at for each, at in before[2].items() if after[2].get(each) != at}
        back = {each.artifact_id for each in plan.restored}
        assert back == {each for each, at in after[2].items() if before[2].get(each) != at}
        ended = gone.keys() - after[2].keys()
        # What is live again is as it was before the run, sources that were not live then included.
        assert set(plan.dependents) == {each for each in sources.keys() - back if sources[each] & ended}
        if not any(step[0] == "stray" for step in steps):
            check_consistency(workspace)


def _lost(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    return {name: size for name, size in before.items() if name not in after}


class TestWhenTheLogHasMoved:
    def test_nothing_is_done_and_it_is_said_what_has_changed(self, registry: ArtifactRegistry) -> None:
        for number in range(3):
            registry.register([number], IDS[number], "model")
        plan = registry.plan_deletion(pipeline_id="p0")
        registry.register([7], IDS[2], "model")
        registry.register([8], IDS[3], "model")
        position = registry.position
        with pytest.raises(ConflictError, match="at position 3 no longer holds at position 5") as caught:
            registry.carry_out(plan)
        message = str(caught.value)
        assert f"1 more artifact ({IDS[2]})" in message
        assert f"1 fewer artifact ({IDS[2]})" in message
        assert registry.position == position

    def test_a_dependent_that_came_since(self, registry: ArtifactRegistry) -> None:
        registry.register([1], IDS[0], "model")
        plan = registry.plan_deletion(IDS[0])
        registry.register([8], IDS[3], "model", [IDS[0]])
        with pytest.raises(ConflictError, match="other live artifacts depend on it") as caught:
            registry.carry_out(plan)
        assert IDS[3] in str(caught.value)
        assert IDS[0] in registry

    def test_a_file_that_came_since_stays(self, registry: ArtifactRegistry) -> None:
        registry.register([1], IDS[0], "model")
        (registry.binaries_dir / "a.bin").write_bytes(b"1")
        plan = registry.plan_collection()
        (registry.binaries_dir / "b.bin").write_bytes(b"1")
        with pytest.raises(ConflictError, match=r"1 more file \(b.bin\)"):
            registry.carry_out(plan)
        assert {"a.bin", "b.bin"} <= {*names(registry.binaries_dir)}
        registry.carry_out(registry.plan_collection())

    def test_what_has_nothing_to_do_with_it_does_not_matter(self, registry: ArtifactRegistry) -> None:
        registry.register([1], IDS[0], "model")
        plan = registry.plan_deletion(IDS[0])
        registry.register([8], IDS[3], "model")
        registry.carry_out(plan)
        assert list(registry.get_all_records()) == [registry.resolve(IDS[3])]


class TestAsking:
    def test_ids_or_a_pipeline(self, registry: ArtifactRegistry) -> None:
        for ids, pipeline in (((), None), ((IDS[0],), "p0")):
            with pytest.raises(InvalidInputError, match="name either"):
                registry.plan_deletion(ids, pipeline_id=pipeline)

    def test_outside_of_a_run(self, registry: ArtifactRegistry) -> None:
        with registry.run(), pytest.raises(ConflictError, match="outside of runs"):
            registry.plan_purge()

    def test_files_by_their_age(self, registry: ArtifactRegistry) -> None:
        registry.register([1], IDS[0], "model")
        for name, age in (("old.bin", 7_200), ("new.bin", 0)):
            path = registry.binaries_dir / name
            path.write_bytes(b"1")
            os.utime(path, (path.stat().st_atime, path.stat().st_mtime - age))
        plan = registry.plan_collection(older_than=timedelta(hours=1))
        assert [each.path for each in plan.files] == ["old.bin"]
        registry.carry_out(plan)
        assert not (registry.binaries_dir / "old.bin").exists()
        registry.carry_out(registry.plan_collection())

    def test_an_end_by_what_is_told_leaves_the_rest_for_the_next(
        self, registry: ArtifactRegistry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Each file is either there and named by no event, or gone and named."""
        monkeypatch.setattr("chainfold.dataset._SWEEP_BYTES", 20)
        registry.binaries_dir.mkdir(parents=True)
        for number in range(9):
            (registry.binaries_dir / f"stray{number}.bin").write_bytes(b"1")

        def stop(_: int) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            registry.carry_out(registry.plan_collection(), stop)
        swept = [
            path
            for entry in registry.events(kinds="blobs-swept")
            for path in getattr(entry.event, "paths", ())
        ]
        left = names(registry.binaries_dir)
        assert swept
        assert sorted([*swept, *left]) == [f"stray{number}.bin" for number in range(9)]
        registry.carry_out(registry.plan_collection())
        assert names(registry.binaries_dir) == []


class TestRollingBackACommittedRun:
    def test_what_it_superseded_is_live_again(self, registry: ArtifactRegistry) -> None:
        first = registry.register([1], IDS[0], "model")
        with registry.run() as run:
            registry.register([2], IDS[0], "model")
            registry.register([3], IDS[1], "model")
        plan = registry.plan_rollback(run.run_id)
        assert [each.artifact_id for each in plan.restored] == [IDS[0]]
        registry.carry_out(plan)
        assert registry.load(IDS[0]) == [1]
        assert registry.require(IDS[0]).content_hash == first.content_hash
        assert IDS[1] not in registry
        assert len(names(registry.binaries_dir)) == 1

    def test_what_depends_on_it_refuses(self, registry: ArtifactRegistry) -> None:
        with registry.run() as run:
            registry.register([2], IDS[0], "model")
        registry.register([3], IDS[1], "model", [IDS[0]])
        with pytest.raises(DependentsError, match="outside it depend") as caught:
            registry.plan_rollback(run.run_id)
        assert IDS[1] in str(caught.value)
        registry.carry_out(registry.plan_rollback(run.run_id, dependents="warn"))
        assert IDS[0] not in registry
        assert IDS[1] in registry
        assert registry.plan_rollback(run.run_id, dependents="warn").is_empty
