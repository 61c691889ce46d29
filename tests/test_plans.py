"""What a plan names is what carrying it out takes away, and it is carried out so or not at all.

What went is read from listings of folders and from the log's lines, neither of which a plan has to do with.
"""

import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conftest import check_consistency
from tests.deletion_histories import (
    ALL,
    IDS,
    USED,
    Operation,
    enact,
    histories,
    names,
    registrations,
    requests,
    turns,
)
from tests.deletion_oracle import Refused, Request, State

from chainfold import (
    ArtifactRegistry,
    ConflictError,
    DependentsError,
    InvalidInputError,
    NotFoundError,
)
from chainfold.blobs import BlobStore
from chainfold.commands.plans import Plan, PlannedArtifact, PlannedFile, PlannedValue


def ask(registry: ArtifactRegistry, request: Request, *, force: bool = True) -> Plan:
    """The plan of a request.

    Raises:
        Refused: If there is none.
    """
    try:
        match request:
            case ("delete", str() as pipeline_id, files, policy):
                return registry.plan_deletion(pipeline_id=pipeline_id, delete_files=files, dependents=policy)
            case ("delete", ids, files, policy):
                return registry.plan_deletion(ids, delete_files=files, dependents=policy)
            case ("collect", scans):
                return registry.plan_collection(scan_all_manifests=scans)
            case ("purge",):
                return registry.plan_purge(force=force)
            case ("erase", artifact_id):
                return registry.plan_erasure(artifact_id)
            case ("rollback", number, policy):
                runs = [run.run_id for run in registry.runs()] or ["none"]
                return registry.plan_rollback(runs[number % len(runs)], force=force, dependents=policy)
    except (NotFoundError, DependentsError) as error:
        raise Refused from error
    raise AssertionError(request)


def parts(plan: Plan) -> dict[str, Any]:
    """What it names, in the order of names."""
    return {
        "artifacts": sorted((each.artifact_id, each.position) for each in plan.artifacts),
        "files": sorted(each.path for each in plan.files),
        "values": sorted(each.path for each in plan.values),
        "restored": sorted((each.artifact_id, each.position) for each in plan.restored),
        **{name: sorted(getattr(plan, name)) for name in ("dependents", "aliases", "runs")},
    }


def hold_to_what_was_asked(registry: ArtifactRegistry, request: Request, state: State) -> None:
    """A plan names what the lines of the log and the listings of folders say that it should."""
    try:
        expected = state.expected(request)
    except Refused:
        with pytest.raises(Refused):
            ask(registry, request)
        return
    plan = ask(registry, request)
    planned = parts(plan)
    if "files" not in expected:
        files = set(planned["files"])
        assert len(files) == len(planned["files"])
        assert files.issuperset(expected.pop("brought")), request
        assert files.isdisjoint(expected.pop("kept")), request
        assert files <= state.files.keys()
        expected["files"] = planned["files"]
    if request[0] == "erase":  # an event erases what has no file any more, too
        planned["values"] = sorted(set(planned["values"]) & state.private.keys())
    assert planned == expected, request
    assert plan.size_bytes == sum(state.files[each] for each in planned["files"]) + sum(
        state.private[each] for each in planned["values"]
    )


@settings(max_examples=200)
@given(histories(10))
def test_a_plan_is_of_what_was_asked_for(steps: list[tuple[int, Operation]]) -> None:
    """Closures, shared files, restorations: as a naive reading of the log has them, for every request."""
    with a_dataset() as (workspace, writers, other):
        enact(writers, steps)
        state = State(workspace)
        for request in ALL:
            hold_to_what_was_asked(other, request, state)
        assert vars(State(workspace)) == vars(state)


@settings(max_examples=200)
@given(histories(6), requests, st.booleans(), st.lists(turns, max_size=2) | st.just([]))
def test_what_is_planned_is_what_goes_or_nothing(
    steps: list[tuple[int, Operation]],
    request: Request,
    force: bool,  # noqa: FBT001 - drawn
    meanwhile: list[tuple[int, Operation]],
) -> None:
    """Before and after differ by just what the plan names, if it is still the plan when it is carried out."""
    check(steps, request, force=force, meanwhile=meanwhile)


some = st.lists(st.tuples(st.just(0), registrations), max_size=3)


@settings(max_examples=200)
@given(
    some,
    st.lists(st.tuples(st.just(0), registrations), min_size=1, max_size=4),
    some,
    st.booleans(),
    st.lists(turns, max_size=1),
)
def test_what_a_run_registered_is_taken_back(
    before: list[tuple[int, Operation]],
    inside: list[tuple[int, Operation]],
    after: list[tuple[int, Operation]],
    commits: bool,  # noqa: FBT001 - drawn
    meanwhile: list[tuple[int, Operation]],
) -> None:
    """The same of a run amid others, committed or open."""
    turn = (0, ("run", True))
    ends = [turn, *after] if commits else [(1, step) for _, step in after]
    named: list[tuple[int, Operation]] = [(0, ("alias", f"a{at}", each)) for at, each in enumerate(USED)]
    check([*before, *named, turn, *inside, *ends], ("rollback", 0, "warn"), force=True, meanwhile=meanwhile)


def check(
    steps: list[tuple[int, Operation]],
    request: Request,
    *,
    force: bool,
    meanwhile: list[tuple[int, Operation]],
) -> None:
    """Plan, let others go on, carry out, and compare."""
    with a_dataset() as (workspace, writers, other):
        enact(writers, steps)
        hold_to_what_was_asked(other, request, State(workspace))
        try:
            plan = ask(other, request, force=force)
        except Refused:
            return
        enact(writers, meanwhile)
        try:
            same = _compared(plan) == _compared(ask(other, request, force=force))
        except Refused:
            same = False
        before = State(workspace)
        told: list[int] = []
        try:
            other.carry_out(plan, told.append)
        except ConflictError:
            assert not same or (plan.runs and not force)
            assert vars(State(workspace)) == vars(before)
            return
        assert same
        assert force or not plan.runs
        hold_to_what_went(plan, before, State(workspace))
        assert sum(told) >= len(plan.files)
        if not any(step[0] in {"stray", "lose"} for _, step in [*steps, *meanwhile]):
            check_consistency(workspace)


def _compared(plan: Plan) -> list[set[Any]]:
    return [
        set(getattr(plan, name))
        for name in ("artifacts", "files", "values", "restored", "dependents", "aliases", "runs")
    ]


def hold_to_what_went(plan: Plan, before: State, after: State) -> None:
    """Two states of a dataset differ by what a plan names."""
    gone, named = before.files.keys() - after.files.keys(), parts(plan)
    assert sorted(gone) == named["files"]
    erased = before.private.keys() - after.private.keys()
    # What is erased may have no file, and what an erasure left whose process died goes as well.
    assert set(named["values"]) & before.private.keys() == erased - before.erased
    assert after.files.keys() <= before.files.keys()
    assert (
        plan.restored or after.private.keys() <= before.private.keys()
    )  # what is repeated is withheld again
    assert before.own.keys() - after.own.keys() == set(plan.runs)
    ended = dict(named["artifacts"])
    if plan.runs:  # what only an open run sees was live to nobody else
        ended = {each: at for each, at in ended.items() if before.live.get(each) == at}
    assert ended == {each: at for each, at in before.live.items() if after.live.get(each) != at}
    back = {each for each, at in after.live.items() if before.live.get(each) != at}
    assert back == set(dict(named["restored"]))
    assert after.aliases == before.aliases
    assert plan.is_empty == (after.size == before.size)


@contextmanager
def a_dataset() -> Iterator[tuple[Path, list[ArtifactRegistry], ArtifactRegistry]]:
    """A workspace, two that write to its dataset, and one that plans."""
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        warnings.simplefilter("ignore")
        workspace = Path(folder) / "workspace"
        opened = [stack.enter_context(ArtifactRegistry(workspace, "wheat")) for _ in range(3)]
        yield workspace, opened[:2], opened[2]


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

    def test_what_is_no_longer_there(self, registry: ArtifactRegistry) -> None:
        registry.register([1], IDS[0], "model")
        plan = registry.plan_deletion(IDS[0])
        registry.delete_pipeline_artifacts("p0")
        with pytest.raises(ConflictError, match=f"no longer holds at position 2: no artifact '{IDS[0][:2]}"):
            registry.carry_out(plan)

    def test_what_was_deleted_and_restored_since_is_another_registration(
        self, registry: ArtifactRegistry
    ) -> None:
        registry.register([1], IDS[0], "model")
        plan = registry.plan_deletion(IDS[0])
        registry.delete_pipeline_artifacts("p0")
        registry.restore(IDS[0], 1)
        with pytest.raises(ConflictError, match="1 more artifact"):
            registry.carry_out(plan)
        assert IDS[0] in registry

    @pytest.mark.parametrize(
        ("name", "item"),
        [
            ("artifacts", PlannedArtifact(IDS[0], 7)),
            ("files", PlannedFile("a.bin", 2)),
            ("values", PlannedValue(IDS[0], "who", "a.json", 2)),
            ("restored", PlannedArtifact(IDS[0], 7)),
            ("dependents", IDS[3]),
            ("aliases", "production"),
            ("runs", "run"),
        ],
    )
    def test_each_part_counts(self, registry: ArtifactRegistry, name: str, item: object) -> None:
        registry.register([1], IDS[0], "model")
        registry.set_alias("best", IDS[0])
        plan = registry.plan_deletion(IDS[0])
        more = msgspec.structs.replace(plan, **{name: (*getattr(plan, name), item)})
        with pytest.raises(ConflictError, match="1 fewer"):
            registry.carry_out(more)
        assert IDS[0] in registry

    def test_the_size_of_a_file_counts(self, registry: ArtifactRegistry) -> None:
        registry.binaries_dir.mkdir(parents=True)
        stray = registry.binaries_dir / "a.bin"
        stray.write_bytes(b"1")
        plan = registry.plan_collection()
        stray.write_bytes(b"12")
        with pytest.raises(ConflictError, match=r"1 more file \(a.bin\); 1 fewer file"):
            registry.carry_out(plan)
        registry.carry_out(registry.plan_collection())
        assert not stray.exists()

    def test_a_plan_is_of_one_dataset(self, registry: ArtifactRegistry, workspace: Path) -> None:
        """Ids, positions and files are the same in both."""
        registry.register([1], IDS[0], "model")
        plan = registry.plan_deletion(IDS[0])
        with ArtifactRegistry(workspace, "rye") as other:
            other.register([1], IDS[0], "model")
            with pytest.raises(InvalidInputError, match="Make it of this one"):
                other.carry_out(plan)
            assert IDS[0] in other
        with ArtifactRegistry(workspace, "wheat") as same:
            same.carry_out(plan)
        assert IDS[0] not in registry


class TestAsking:
    def test_one_private_field_of_two(self, registry: ArtifactRegistry) -> None:
        params = {"who": "Grete", "where": "Lab"}
        registry.register([1], IDS[0], "model", params=params, private=list(params))
        plan = registry.plan_erasure(IDS[0], ["who"])
        assert [each.field for each in plan.values] == ["who"]
        registry.carry_out(plan)
        assert registry.require(IDS[0]).params == {"where": "Lab"}

    def test_a_cascade_goes_from_one_pipeline_to_the_next(self, registry: ArtifactRegistry) -> None:
        registry.register([1], IDS[0], "model")
        registry.register([2], IDS[3], "model", [IDS[0]])
        registry.register([3], IDS[1], "model", [IDS[3]])
        registry.register([4], IDS[4], "model", [IDS[1]])
        registry.register([5], IDS[5], "model")
        registry.carry_out(registry.plan_deletion(pipeline_id="p0", dependents="cascade"))
        assert [record.artifact_id for record in registry.get_all_records()] == [IDS[5]]

    @pytest.mark.parametrize("files", [True, False])
    def test_the_event_says_whether_files_went(self, registry: ArtifactRegistry, *, files: bool) -> None:
        registry.register([1], IDS[0], "model")
        registry.carry_out(registry.plan_deletion(pipeline_id="p0", delete_files=files))
        (entry,) = registry.events(kinds="artifacts-deleted")
        assert getattr(entry.event, "delete_files", None) is files

    def test_ids_or_a_pipeline(self, registry: ArtifactRegistry) -> None:
        for ids, pipeline in (((), None), ((IDS[0],), "p0")):
            with pytest.raises(InvalidInputError, match="name either"):
                registry.plan_deletion(ids, pipeline_id=pipeline)

    def test_outside_of_a_run(self, registry: ArtifactRegistry) -> None:
        plan = registry.plan_purge()
        with registry.run():
            with pytest.raises(ConflictError, match="outside of runs"):
                registry.plan_purge()
            with pytest.raises(ConflictError, match="outside of runs"):
                registry.carry_out(plan)

    def test_a_purge_names_all_open_runs_and_is_refused_unless_forced(
        self, registry: ArtifactRegistry, workspace: Path
    ) -> None:
        with (
            ArtifactRegistry(workspace, "wheat") as one,
            ArtifactRegistry(workspace, "wheat") as two,
        ):
            for other in (one, two):
                other.start_run()
                other.register([1], IDS[0], "model")
            runs = {run.run_id for run in registry.runs()}
            assert set(registry.plan_purge().runs) == runs
            position = registry.position
            with pytest.raises(ConflictError, match="force=True"):
                registry.carry_out(registry.plan_purge())
            assert registry.position == position
            for run in runs:
                assert registry.plan_rollback(run).files == ()  # the other one holds it
                with pytest.raises(ConflictError, match="its process is alive"):
                    registry.carry_out(registry.plan_rollback(run))
            registry.carry_out(registry.plan_purge(force=True))
            assert {run.status for run in registry.runs()} == {"rolled-back"}
            assert names(registry.binaries_dir) == []

    def test_what_a_dead_process_left_open_is_rolled_back_first(
        self, registry: ArtifactRegistry, workspace: Path
    ) -> None:
        with ArtifactRegistry(workspace, "wheat") as other:
            other.start_run()
            other.register([1], IDS[0], "model")
            run = other._run
            assert run is not None
            run.release()  # as the system does when a process dies
            assert registry.plan_purge().is_empty
            assert registry.run_info(run.run_id).status == "rolled-back"

    def test_what_dead_processes_left_is_tidied_away(self, registry: ArtifactRegistry) -> None:
        """Locks of no run, and old files without a name: a young one may be another's that is at work."""
        registry.register([1], IDS[0], "model", params={"who": "Grete"}, private=["who"])
        log = registry.workspace / "log" / "wheat"
        (log / "runs").mkdir(exist_ok=True)
        lock, private = log / "runs" / "gone.lock", next((log / "private").glob("*.json"))
        lock.touch()
        aside = [log / "aside" / name for name in ("old", "young")]
        aside[0].parent.mkdir(exist_ok=True)
        for path, age in zip(aside, (7_200, 0), strict=True):
            path.write_bytes(b"1")
            os.utime(path, (path.stat().st_atime, path.stat().st_mtime - age))
        text = private.read_bytes()
        registry.erase_private(IDS[0])
        private.write_bytes(text)  # as a copy that was put back
        registry.carry_out(registry.plan_collection())
        assert not lock.exists()
        assert not aside[0].exists()
        assert aside[1].exists()
        assert not private.exists()
        aside[1].unlink()

    def test_private_values_by_their_age(self, registry: ArtifactRegistry) -> None:
        for artifact_id in IDS[:2]:
            registry.register([1], artifact_id, "model", params={"who": "Grete"}, private=["who"])
        registry.delete_pipeline_artifacts("p0")
        old, young = sorted((registry.workspace / "log" / "wheat" / "private").glob("*.json"))
        os.utime(old, (old.stat().st_atime, old.stat().st_mtime - 7_200))
        plan = registry.plan_collection(older_than=timedelta(hours=1))
        assert [each.path for each in plan.values] == [old.name]
        registry.carry_out(plan)
        assert not old.exists()
        assert young.exists()
        registry.carry_out(registry.plan_collection())

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

    @pytest.mark.parametrize("command", ["delete", "collect", "purge"])
    def test_an_interrupt_waits_for_the_files_that_an_event_names(
        self, registry: ArtifactRegistry, command: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Also where nobody holds it back, as the command line does."""
        for number in range(9):
            registry.register([number], f"p0${'0123456789ab'}:{number}", "model")
        if command == "collect":
            registry.delete_pipeline_artifacts("p0")
        remove, removed = BlobStore.remove, list[str]()

        def interrupted(store: BlobStore, path: str) -> bool:
            removed.append(path)
            if len(removed) == 3:
                raise KeyboardInterrupt
            return remove(store, path)

        monkeypatch.setattr(BlobStore, "remove", interrupted)
        with pytest.raises(KeyboardInterrupt):
            match command:
                case "delete":
                    registry.delete_pipeline_artifacts("p0", delete_files=True)
                case "collect":
                    registry.delete_orphaned_artifacts(dry_run=False)
                case _:
                    registry.purge_dataset_artifacts(confirm=True)
        assert names(registry.binaries_dir) == []
        assert len(registry) == 0

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

    def test_it_is_told_amid_the_files_of_an_event_and_ends_after_them(
        self, registry: ArtifactRegistry
    ) -> None:
        registry.binaries_dir.mkdir(parents=True)
        for number in range(200):
            (registry.binaries_dir / f"stray{number}.bin").write_bytes(b"1")
        left: list[int] = []

        def stop(_: int) -> None:
            left.append(len(names(registry.binaries_dir)))
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            registry.carry_out(registry.plan_collection(), stop)
        assert left[0] > left[1] > left[-1] == 0
        (swept,) = registry.events(kinds="blobs-swept")
        assert len(getattr(swept.event, "paths", ())) == 200


class TestRollingBackACommittedRun:
    def test_a_file_that_the_run_wrote_again_goes_again(self, registry: ArtifactRegistry) -> None:
        first = registry.register([1], IDS[0], "model")
        registry.delete_pipeline_artifacts("p0")
        registry.carry_out(registry.plan_collection())
        with registry.run() as run:
            registry.register([1], IDS[1], "model")
            registry.register([3], IDS[0], "model")
        assert first.path in names(registry.binaries_dir)
        registry.carry_out(registry.plan_rollback(run.run_id))
        assert names(registry.binaries_dir) == []

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
