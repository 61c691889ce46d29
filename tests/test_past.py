"""What happened, asked of random histories, against what their entries say one by one."""

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.snapshotting import save_often

from chainfold import ArtifactRegistry, Diff, InvalidInputError, NotFoundError, RegistryView, Relative
from chainfold.events import KINDS, AliasSet, ArtifactRegistered, ArtifactsDeleted, Entry, RunRolledBack

IDS: Final = ("p:1:all", "p:2:all", "q:1:all")
PIPELINES: Final = ("p", "q")
Command = tuple[str, int, int]
commands: Final = st.lists(
    st.tuples(
        st.sampled_from(("register", "register", "register", "run", "fail", "alias", "delete", "purge")),
        st.integers(0, 2),
        st.integers(0, 3),
    ),
    max_size=9,
)


def act(registry: ArtifactRegistry, command: Command, *, in_run: bool = False) -> None:
    verb, which, content = command
    match verb:
        case "register":
            registry.register([content], IDS[which], "model")
        case "alias":
            with contextlib.suppress(NotFoundError):
                registry.set_alias("best", IDS[which] if content else None)
        case "delete":
            registry.delete_pipeline_artifacts(PIPELINES[which % 2])
        case "purge" if content == 0:
            registry.purge_dataset_artifacts(confirm=True)
        case "run" | "fail" if not in_run:
            with contextlib.suppress(ZeroDivisionError), registry.run():
                for inner in ("register", "register", "alias", "delete", "register")[: 1 + content]:
                    act(registry, (inner, (which + len(inner) + content) % 3, content), in_run=True)
                if verb == "fail":
                    raise ZeroDivisionError


@contextlib.contextmanager
def lived(history: list[Command]) -> Iterator[ArtifactRegistry]:
    """A registry that has had some history, half of it in a snapshot."""
    with TemporaryDirectory() as folder, warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("ignore")
        save_often(patch, 7, 1_000)
        with ArtifactRegistry(Path(folder), "wheat", actor="tester") as registry:
            for command in history:
                act(registry, command)
            yield registry


def entries_of(registry: ArtifactRegistry) -> list[Entry]:
    log = registry._data.log
    return [log.entry(position) for position in range(registry.position)]


def state(view: RegistryView) -> dict[str, Any]:
    return {record.artifact_id: record.to_dict() for record in view.iter_records()}


def test_what_is_no_id_is_told(tmp_path: Path) -> None:
    with ArtifactRegistry(tmp_path, "wheat") as registry:
        registry.register([1], IDS[0], "model")
        named: Any
        for named in (["x"], [], {}, None, 5, b"x"):
            asks: list[Any] = [
                registry.history, registry.lineage, registry.descendants, registry.alias, registry.run_info,
                registry.model_proof, registry.get_dependents, lambda each: registry.restore(each, 0),
            ]  # fmt: skip
            if named is not None:
                asks += [
                    lambda each: registry.events(run=each),
                    lambda each: registry.events(pipeline=each),
                    lambda each: registry.events(artifact=each),
                ]
            if isinstance(
                named, list | dict
            ):  # of these only what cannot be looked up is told: they cost much
                asks += [registry.resolve, registry.load, registry.require, registry.as_of(1).resolve]
            for ask in asks:
                with pytest.raises(InvalidInputError, match=f"must be text, not {type(named).__name__}"):
                    ask(named)
        kinds: Any
        for kinds in (3, [3], [None], [["x"]]):
            with pytest.raises(InvalidInputError, match="kind of event"):
                registry.events(kinds=kinds)


@settings(max_examples=60)
@given(commands, st.data())
def test_events_are_those_that_are_asked_for(history: list[Command], data: st.DataObject) -> None:
    with lived(history) as registry:
        entries = entries_of(registry)
        assert list(registry.events()) == entries
        after = data.draw(st.integers(0, len(entries)))
        until = data.draw(st.integers(0, len(entries)))
        kinds = data.draw(st.sets(st.sampled_from(sorted(KINDS))))
        assert list(registry.events(after, until)) == entries[after:until]
        found = list(registry.events(after, until, kinds=kinds))
        assert found == [each for each in entries[after:until] if not kinds or each.event.kind in kinds]
        for run in {each.run for each in entries if each.run}:
            assert list(registry.events(run=run)) == [each for each in entries if each.run == run]
        for pipeline in PIPELINES:
            of_it = [each for each in entries if is_of_pipeline(each, pipeline)]
            told = list(registry.events(pipeline=pipeline))
            assert told == [each for each in of_it if each in told]
            committed = {each.run for each in entries if each.event.kind == "run-committed"}
            for each in of_it:  # what a run deletes that never commits takes nothing
                is_sure = each.event.kind == "artifact-registered" or each.run in {None, *committed}
                assert each in told or not is_sure or took_nothing(registry, each)


def took_nothing(registry: ArtifactRegistry, entry: Entry) -> bool:
    """Whether a run's deletion was of what the run had replaced already."""
    assert isinstance(entry.event, ArtifactsDeleted)
    pipeline = entry.event.pipeline_id
    ends = [each for each in registry.events(run=entry.run) if each.event.kind == "run-committed"]
    before = registry.as_of(ends[0].position).get_all_records()
    return entry.run is not None and not any(record.pipeline_id == pipeline for record in before)


def is_of_pipeline(entry: Entry, pipeline: str) -> bool:
    event = entry.event
    if isinstance(event, ArtifactRegistered):
        return event.record.pipeline_id == pipeline
    return isinstance(event, ArtifactsDeleted) and event.pipeline_id == pipeline


@settings(max_examples=60)
@given(commands)
def test_an_artifacts_events_change_it_and_others_do_not(history: list[Command]) -> None:
    with lived(history) as registry:
        states = [state(registry.as_of(size)) for size in range(registry.position + 1)]
        for artifact_id in IDS:
            mine = {entry.position for entry in registry.events(artifact=artifact_id)}
            for entry in entries_of(registry):
                if isinstance(entry.event, ArtifactRegistered):
                    assert (entry.event.record.artifact_id == artifact_id) == (entry.position in mine)
                before, after = states[entry.position], states[entry.position + 1]
                if before.get(artifact_id) != after.get(artifact_id):
                    assert entry.position in mine
            for each in entries_of(registry):  # a run's deletion takes effect with its commit, and is told
                before, after = states[each.position], states[each.position + 1]
                if each.event.kind == "run-committed" and artifact_id in before and artifact_id not in after:
                    took = {one.event.kind for one in registry.events(run=each.run, artifact=artifact_id)}
                    assert took & {"artifacts-deleted", "dataset-purged"}


@settings(max_examples=60)
@given(commands)
def test_an_artifacts_events_are_those_of_its_aliases_too(history: list[Command]) -> None:
    with lived(history) as registry:
        entries = entries_of(registry)
        targets = [registry.as_of(size).alias("best") for size in range(len(entries) + 1)]
        committed = {each.run for each in entries if each.event.kind == "run-committed"}
        for artifact_id in IDS:
            mine = {entry.position for entry in registry.events(artifact=artifact_id)}
            for entry in entries:
                moved = targets[entry.position : entry.position + 2]
                if moved[0] != moved[1] and artifact_id in moved:  # by itself, or by the commit of its run
                    assert entry.position in mine
                if isinstance(entry.event, AliasSet) and entry.run in {None, *committed}:
                    assert entry.position in mine or entry.event.artifact_id != artifact_id
            # of the settings that held, in the order in which they did, it has those to the id and from it
            held = in_order_of_holding(entries, committed)
            told = [each.position for each in held if each.position in mine]
            assert told == [
                each.position
                for before, each in zip([None, *held][:-1], held, strict=True)
                if artifact_id in {target_of(before), target_of(each)}
            ]


def in_order_of_holding(entries: list[Entry], committed: set[str | None]) -> list[Entry]:
    ends = {each.run: each.position for each in entries if each.event.kind == "run-committed"}
    held = [each for each in entries if isinstance(each.event, AliasSet) and each.run in {None, *committed}]
    return sorted(held, key=lambda each: ends.get(each.run, each.position) if each.run else each.position)


def target_of(entry: Entry | None) -> str | None:
    return entry.event.artifact_id if entry is not None and isinstance(entry.event, AliasSet) else None


@settings(max_examples=60)
@given(commands, st.data())
def test_a_diff_leads_from_one_state_to_the_other(history: list[Command], data: st.DataObject) -> None:
    with lived(history) as registry:
        entries = entries_of(registry)
        sizes = sorted(data.draw(st.integers(0, len(entries))) for _ in range(3))
        states = [state(registry.as_of(size)) for size in sizes]
        whole, parts = (
            registry.diff(sizes[0], sizes[2]),
            [registry.diff(*sizes[:2]), registry.diff(*sizes[1:])],
        )
        assert parts[0].then(parts[1]) == whole
        found = dict(states[0])
        for change in whole.changes:
            assert (change.before is None) == (change.artifact_id not in states[0])
            assert (change.before is None) == (change.ended is None)
            assert (change.after is None) == (change.shown is None)
            found.pop(change.artifact_id, None)
            if change.before is not None:
                assert registered(entries, change.before) == states[0][change.artifact_id]
            if change.after is not None:
                found[change.artifact_id] = registered(entries, change.after)
        assert found == states[2]
        check_events(registry, whole)
        aliases = registry.as_of(sizes[0]).aliases()
        for move in whole.aliases:
            assert aliases.pop(move.alias, None) == move.before
            if move.after is not None:
                aliases[move.alias] = move.after
        assert aliases == registry.as_of(sizes[2]).aliases()
        assert bool(whole) == bool(whole.added or whole.superseded or whole.removed or whole.aliases)


def registered(entries: list[Entry], position: int) -> dict[str, Any]:
    entry = entries[position]
    assert isinstance(entry.event, ArtifactRegistered)
    record = entry.event.record.to_dict()
    return {**record, "created_at": record["created_at"] or entry.at}


def check_events(registry: ArtifactRegistry, difference: Diff) -> None:
    """Each event is in between, and did what it is said to have done."""
    for change in difference.changes:
        for position, is_live_then in ((change.ended, False), (change.shown, True)):
            if position is None:
                continue
            assert difference.first <= position < difference.second
            before, after = state(registry.as_of(position)), state(registry.as_of(position + 1))
            assert before.get(change.artifact_id) != after.get(change.artifact_id)
            assert not is_live_then or change.artifact_id in after


@settings(max_examples=40)
@given(commands)
def test_runs_are_told_as_of_each_moment(history: list[Command]) -> None:
    with lived(history) as registry:
        entries = entries_of(registry)
        for size in range(len(entries) + 1):
            view = registry.as_of(size)
            found = list(view.runs())
            assert [info.run_id for info in found] == list(
                dict.fromkeys(each.run for each in entries[:size] if each.run)
            )
            for info in found:
                ends = [
                    each
                    for each in entries[:size]
                    if each.run == info.run_id and each.event.kind in ("run-committed", "run-rolled-back")
                ]
                assert view.run_info(info.run_id) == info
                assert info.closed == (ends[0].position if ends else None)
                assert info.status == (ends[0].event.kind.removeprefix("run-") if ends else "open")
                if ends and isinstance(ends[0].event, RunRolledBack):
                    assert info.reason == ends[0].event.reason


def test_what_cannot_be_asked_is_told(registry: ArtifactRegistry) -> None:
    registry.register([1], "p:1:all", "model")
    with pytest.raises(InvalidInputError, match="unknown kind of event 'artifact-lost': use alias-set, "):
        registry.events(kinds="artifact-lost")
    with pytest.raises(NotFoundError, match="no run 'r'; see runs"):
        registry.events(run="r")
    with pytest.raises(NotFoundError, match="no position 7"):
        registry.diff(7)
    with pytest.raises(InvalidInputError, match="1 is later than 0"):
        registry.diff(1, 0)
    with pytest.raises(NotFoundError, match="this view ends at 0"):
        registry.as_of(0).events(until=1)
    with pytest.raises(InvalidInputError, match="from 0 on does not follow one up to 1"):
        registry.diff(0, 1).then(registry.diff(0, 1))


def test_many_events_are_read_some_at_a_time(
    registry: ArtifactRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And whoever reads them keeps nobody from writing."""
    monkeypatch.setattr("chainfold.past._AT_ONCE", 3)
    for _ in range(5):
        with registry.run():
            registry.set_alias("x", None)
    events, runs = registry.events(), registry.runs()
    first, begun = next(events), next(runs)
    with registry.run():
        registry.set_alias("y", None)
    assert [first, *events] == entries_of(registry)[:15]
    assert len([begun, *runs]) == 6


def test_a_lineage_is_of_the_registrations_that_were_used(registry: ArtifactRegistry) -> None:
    def register(name: str, content: int, *sources: str) -> int:
        registry.register(
            [content], f"{name}:1:all", "model", depends_on=[f"{each}:1:all" for each in sources]
        )
        return registry.position - 1

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data, scaler = register("data", 1), register("scaler", 2, "data")
        model = register("model", 3, "scaler", "data", "never")
        newer = register("scaler", 4, "data")
        deleted = registry.position
        registry.delete_pipeline_artifacts("data")
    again = register("model", 5, "scaler")
    with registry.run():
        own = register("scaler", 6)
        last = register("last", 7, "scaler", "model")
        register("scaler", 8)

    def told(relatives: list[Relative]) -> list[tuple[Any, ...]]:
        return [
            (
                each.artifact_id.partition(":")[0],
                each.depth,
                each.registration and each.registration.position,
                each.registration.standing if each.registration else "missing",
                each.ended_by and each.ended_by.position,
            )
            for each in relatives
        ]

    then = registry.as_of(model + 1)
    assert told(then.lineage("model:1:all")) == [
        ("model", 0, model, "live", None),
        ("never", 1, None, "missing", None),
        ("scaler", 1, scaler, "live", None),
        ("data", 1, data, "live", None),
    ]
    assert then.lineage("model:1:all")[0].sources == [scaler, data, None]
    found = registry.as_of(deleted + 1).lineage("model:1:all")
    assert told(found)[2:] == [
        ("scaler", 1, scaler, "superseded", newer),
        ("data", 1, data, "deleted", deleted),
    ]
    assert [each.is_current for each in found] == [True, False, False, False]
    ancestry = told(registry.lineage("last:1:all"))
    assert [each[:3] for each in ancestry] == [
        ("last", 0, last), ("scaler", 1, own), ("model", 1, again), ("scaler", 2, newer), ("data", 3, data),
    ]  # fmt: skip
    assert [each[:3] for each in told(registry.descendants("data:1:all"))] == [
        ("data", 0, data), ("scaler", 1, scaler), ("model", 1, model), ("scaler", 1, newer),
        ("model", 2, again), ("last", 3, last),
    ]  # fmt: skip
    assert [each[0] for each in told(registry.as_of(model).descendants("data:1:all"))] == ["data", "scaler"]
    with pytest.raises(NotFoundError, match="no artifact has, or had, the id 'nobody'"):
        registry.lineage("nobody")
