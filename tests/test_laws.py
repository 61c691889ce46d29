"""The registry against a naive model of it, under any order of commands; and laws that hold for any history.

CHAINFOLD_EXAMPLES raises the number of examples, for soaks.
"""

import contextlib
import copy
import json
import os
import pickle
import tempfile
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)
from tests.oracle import Eyes, Fold, Oracle, Registration, Run, artifact_id

from chainfold import (
    ArtifactRecord,
    ArtifactRegistry,
    ConflictError,
    DependentsError,
    InvalidInputError,
    MissingDependencyError,
    NotFoundError,
    RegistryView,
    RunClosedError,
)
from chainfold.commands.running import Run as OwnedRun
from chainfold.projections import Projections, Sight
from chainfold.storage.locks import LocalHeldLock

EXAMPLES = int(os.environ.get("CHAINFOLD_EXAMPLES", "0"))
pytestmark = pytest.mark.timeout(0 if EXAMPLES else 300)  # a soak takes as long as it was told to

# Small pools, so that the same ids, contents and chains meet again and again.
PIPELINES = ("", "p", "q$x")
CHAINS = ("s1.A", "s1.A>s2.B[br=0]", "s1.A>s2.B[br=0]+s2.B[br=1]>s3.M[src=1]", "s10.A", "no path at all")
PREFIXES = ("", "s1", "s1.A", "s1.A>", "s1.A>s2.B[br=0]", "s2", "no ")
FOLDS: tuple[Fold, ...] = (None, 0, 10, 2, "final")
BRANCHES: tuple[list[int] | None, ...] = (None, [], [0], [0, 1])
CONTENTS = ({"n": 0}, {"n": 1}, [1, 2], ["x", None], 7)
KINDS = ("model", "transformer", "meta_model")
ALIASES = ("production", "candidate")
PRIVATE = ((), ("who",), ("who", "custom_name"))
IDS = tuple(
    artifact_id(pipeline, chain, fold) for pipeline in PIPELINES for chain in CHAINS for fold in FOLDS
)
# Other forms of ids, with the pipeline and fold that they give.
ODD_IDS: dict[str, tuple[str, Fold]] = {
    "p:3:0": ("p", 0),
    "p:3:all": ("p", None),
    "word": ("word", None),
    "a$b:c": ("a", "c"),
    "q$x$0123456789ab:10": ("q$x", 10),
}
# What a chain path says of the artifact it leads to: step, branch, source, substep.
PLACES: dict[str, tuple[int, list[int], int | None, int | None]] = {
    "": (0, [], None, None),
    "s1.A": (1, [], None, None),
    "s1.A>s2.B[br=0]": (2, [0], None, None),
    "s1.A>s2.B[br=0]+s2.B[br=1]>s3.M[src=1]": (3, [], 1, None),
    "s10.A": (10, [], None, None),
    "no path at all": (0, [], None, None),
}
STEPS = (0, 1, 2, 3, 10)

slots = st.integers(0, 2)
actors = st.integers(
    0, 5
)  # who is to act: one of the three, or in half of the draws the first that is in a run
# Those before the last ones are drawn often: registering an id again is what makes a history.
chains = st.sampled_from(CHAINS[:2]) | st.sampled_from(CHAINS)
folds = st.sampled_from(FOLDS[:2]) | st.sampled_from(FOLDS)
pipelines = st.sampled_from(PIPELINES)
contents = st.integers(0, len(CONTENTS) - 1)
plain = st.tuples(chains, folds, contents)
kinds = st.sampled_from(KINDS)
any_ids = st.sampled_from((*IDS, *ODD_IDS))
places = st.sampled_from([(1, None, None, None), (2, [0], None, 1), (2, [0, 1], 1, 0), (3, [0], 0, None)])


class BoomError(Exception):
    """What goes wrong inside a run."""


@dataclass
class Slot:
    """One registry object, and what a caller would know of it."""

    pipeline_id: str
    registry: ArtifactRegistry | None = None
    run: Run | None = None
    owned: bool = False
    alone: list[Registration] = field(default_factory=list)
    """What `cleanup_failed_run` would take back outside of a run."""
    block: tuple[AbstractContextManager[Any], Run] | None = None
    """The `with` block that it is in."""

    @property
    def stale(self) -> bool:
        """Whether others have ended its run."""
        return self.run is not None and not self.run.open


def maybe_warns(when: object, match: str) -> AbstractContextManager[Any]:
    return pytest.warns(UserWarning, match=match) if when else contextlib.nullcontext()


def maybe_raises(problem: type[Exception] | None) -> AbstractContextManager[Any]:
    """Whether a command is refused; then nothing may change, which the invariants see."""
    if problem is None:
        return contextlib.nullcontext()
    text = "missing source model dependencies" if problem is MissingDependencyError else None
    return pytest.raises(problem, match=text)


def die(owner: OwnedRun) -> None:
    """The process that owns a run is killed: only its lock is let go, by the operating system."""
    if owner._lock is not None:
        assert isinstance(owner._lock, LocalHeldLock)
        owner._lock._after_fork()


class Comparison:
    """Checks what a reader says against what it should see."""

    def __init__(self, oracle: Oracle) -> None:
        self.oracle = oracle

    def same(self, record: ArtifactRecord | None, expected: Registration | None) -> None:
        if record is None or expected is None:
            assert record is None, f"{record} should not be found"
            assert expected is None, f"{expected} should be found"
            return
        found = record.to_dict()
        if expected.fields["created_at"] is None:
            expected.fields["created_at"] = found[
                "created_at"
            ]  # registered by a command that returns no record
        for name, told in expected.fields.get("private", {}).items():
            if told["commitment"] is None:
                told["commitment"] = found["private"][name][
                    "commitment"
                ]  # likewise, and nobody can foretell it
        assert found == expected.fields

    def all_same(self, records: list[ArtifactRecord], expected: list[Registration]) -> None:
        assert [record.artifact_id for record in records] == [each.id for each in expected]
        for record, each in zip(records, expected, strict=True):
            self.same(record, each)

    def sees(self, view: RegistryView, eyes: Eyes, *, everything: bool = False) -> None:
        """Every query says what it should."""
        self.all_same(view.get_all_records(), eyes.live)
        assert len(view) == len(eyes.live)
        known = dict.fromkeys(each.id for each in self.oracle.registrations)
        for name in [*known, "nobody"]:
            self.same(view.resolve(name), eyes.resolve(name))
            assert (name in view) == (eyes.resolve(name) is not None)
            assert view.get_dependents(name) == eyes.get_dependents(name)
            assert view.count_dependents(name) == len(eyes.get_dependents(name))
        for digest in {each.digest for each in self.oracle.registrations}:
            self.same(view.resolve_by_hash(digest), eyes.resolve_by_hash(digest))
        for chain in CHAINS:
            for fold in FOLDS:
                expected = eyes.get_by_chain(chain, fold, view.pipeline_id)
                self.same(view.get_by_chain(chain, fold), expected)
        for prefix in PREFIXES:
            self.all_same(view.get_chain_prefix(prefix), eyes.get_chain_prefix(prefix))
            assert view.count_chain_prefix(prefix) == len(eyes.get_chain_prefix(prefix))
        for pipeline in PIPELINES:
            for step in STEPS:
                found = view.get_artifacts_for_step(pipeline, step)
                self.all_same(found, eyes.get_artifacts_for_step(pipeline, step))
                assert view.count_artifacts_for_step(pipeline, step) == len(found)
                self.all_same(view.get_fold_models(pipeline, step), eyes.get_fold_models(pipeline, step))
        assert view.aliases() == eyes.aliases
        assert {name: view.alias(name) for name in ALIASES} == {
            name: eyes.aliases.get(name) for name in ALIASES
        }
        if everything:
            self._sees_filtered(view, eyes)
            for name in known:
                self._remembers(view, eyes, name)
                assert view.get_dependencies(name) == eyes.get_dependencies(name)

    def _sees_filtered(self, view: RegistryView, eyes: Eyes) -> None:
        for branch in BRANCHES:
            for prefix in PREFIXES:
                for source in (None, 0, 1):
                    expected = eyes.get_chain_prefix(prefix, branch, source)
                    self.all_same(view.get_chain_prefix(prefix, branch, source), expected)
            for fold in FOLDS:
                expected = eyes.get_artifacts_for_step("p", 2, branch, fold)
                self.all_same(view.get_artifacts_for_step("p", 2, branch, fold), expected)
            self.all_same(view.get_fold_models("p", 2, branch), eyes.get_fold_models("p", 2, branch))

    def _remembers(self, view: RegistryView, eyes: Eyes, name: str) -> None:
        expected, items = eyes.history(name), view.history(name)
        assert len(items) == len(expected)
        for item, each in zip(items, expected, strict=True):
            self.same(item.record, each.registration)
            assert item.position == each.registration.position
            assert each.registration.run in (item.run, "?")
            found = (item.standing, item.visible_from, item.removed_at, item.removed_by)
            assert found == (each.standing, each.visible_from, each.removed_at, each.removed_by), name

    def stats(self, view: RegistryView, eyes: Eyes, size: int) -> None:
        """The figures are those of what it sees, and of the files that should be there."""
        sizes = {digest: each.fields["size_bytes"] for digest, each in self.oracle.files.items()}
        orphans = [each.fields["size_bytes"] for each in self.oracle.orphans()]
        stats = view.get_stats(scan_all_manifests=False)
        assert stats.pop("log_bytes") > 0 or size == 0
        assert stats == {
            **eyes.totals(),
            "orphaned_count": len(orphans),
            "orphaned_size_bytes": sum(orphans),
            "disk_usage_bytes": sum(sizes.values()),
            "disk_file_count": len(sizes),
            "dataset": view.dataset,
            "binaries_path": str(view.binaries_dir),
            "log_entries": size,
        }

    def loads(self, view: RegistryView, eyes: Eyes) -> None:
        """What is live loads, and equals what was registered."""
        for each in eyes.live:
            loaded = view.load(each.id)
            assert loaded == each.value
            assert type(loaded) is type(each.value)

    def files(self, folder: Path) -> None:
        """What is on disk is what should be there."""
        paths = {each.fields["path"] for each in self.oracle.files.values()}
        assert {path.name for path in folder.glob("*")} == paths

    def private(self, folder: Path) -> None:
        """What is withheld and not erased is on disk, each in a file of its own, and nothing else."""
        kept = [each.fields["private"][name] for each in self.oracle.registrations for name in each.kept()]
        digests = {f"sha256:{path.stem.partition('-')[2]}" for path in folder.glob("*.json")}
        assert len(digests) == len(kept)
        assert digests.issuperset(told["commitment"] for told in kept if told["commitment"] is not None)
        assert list(folder.glob("new/*")) == []


class Registries(RuleBasedStateMachine):
    """Three registry objects on one dataset, and the model of it."""

    ids: Bundle[str] = Bundle("ids")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(prefix="chainfold-laws-")
        self.workspace = Path(self.folder.name) / "workspace"
        self.oracle = Oracle()
        self.comparison = Comparison(self.oracle)
        self.slots = [Slot(pipeline_id) for pipeline_id in PIPELINES]
        self.contents: dict[int, tuple[Any, ...]] = {}
        self.serial = 0
        self.in_order = True

    def opened(self, number: int) -> tuple[Slot, ArtifactRegistry]:
        """A slot with an open registry; opening one looks after runs whose owners died."""
        if number >= len(self.slots):
            number -= len(self.slots)
            number = next((each for each, slot in enumerate(self.slots) if slot.run is not None), number)
        slot = self.slots[number]
        if slot.registry is None:
            slot.registry = ArtifactRegistry(
                self.workspace, "wheat", pipeline_id=slot.pipeline_id, actor="tester"
            )
            self.oracle.reap()
        return slot, slot.registry

    def accepted(
        self, slot: Slot, record: ArtifactRecord, content: int, said: dict[str, Any]
    ) -> Registration:
        """A registration succeeded: its record says what was said, and where the content is."""
        fields = record.to_dict()
        placed = tuple(
            fields[name] for name in ("content_hash", "path", "size_bytes", "class_name", "format")
        )
        assert self.contents.setdefault(content, placed) == placed, "same bytes, one file"
        assert len({others[0] for others in self.contents.values()}) == len(self.contents)
        for name, value in said.items():
            assert fields.get(name) == value, name
        registration = self.oracle.register(slot.run, fields, copy.deepcopy(CONTENTS[content]))
        slot.alone.append(registration)
        return registration

    def problem(self, slot: Slot, name: str, kind: str, sources: list[str]) -> type[Exception] | None:
        """Why a registration should be refused."""
        eyes = self.oracle.present(slot.run)
        if name in sources:
            return InvalidInputError
        if slot.stale:
            return RunClosedError
        if kind == "meta_model" and any(eyes.resolve(source) is None for source in sources):
            return MissingDependencyError
        return None

    def params(self) -> dict[str, Any]:
        self.serial += 1
        return {"serial": self.serial}

    # registering

    @initialize(target=ids, number=actors, drawn=st.lists(plain, max_size=6))
    def begin_with_some(self, number: int, drawn: list[tuple[str, Fold, int]]) -> Any:
        return multiple(*(self._register_plainly(number, *each) for each in drawn))

    @rule(target=ids, number=actors, drawn=st.lists(plain, min_size=1, max_size=4))
    def register_some(self, number: int, drawn: list[tuple[str, Fold, int]]) -> Any:
        if self.opened(number)[0].stale:
            return multiple()
        return multiple(*(self._register_plainly(number, *each) for each in drawn))

    def _register_plainly(self, number: int, chain: str, fold: Fold, content: int) -> str:
        slot, registry = self.opened(number)
        params = self.params()
        record = registry.register_with_chain(
            CONTENTS[content], chain, "model", 2, fold_id=fold, params=params
        )
        said = {"artifact_id": artifact_id(slot.pipeline_id, chain, fold), "params": params}
        return self.accepted(slot, record, content, said).id

    @rule(
        target=ids,
        number=actors,
        chain=chains,
        fold=folds,
        pipeline=st.none() | pipelines,
        content=contents,
        kind=kinds,
        place=places,
        sources=st.lists(any_ids, max_size=2, unique=True),
        known=st.lists(ids, max_size=2, unique=True),
    )
    def register_with_chain(
        self,
        number: int,
        chain: str,
        fold: Fold,
        pipeline: str | None,
        content: int,
        kind: str,
        place: tuple[int, list[int] | None, int | None, int | None],
        sources: list[str],
        known: list[str],
    ) -> Any:
        slot, registry = self.opened(number)
        owner = slot.pipeline_id if pipeline is None else pipeline
        name = artifact_id(owner, chain, fold)
        sources = [
            source for source in dict.fromkeys([*known, *sources]) if kind != "meta_model" or source in known
        ]
        step, branch, source, substep = place
        said: dict[str, Any] = {
            "artifact_id": name,
            "pipeline_id": owner,
            "chain_path": chain,
            "fold_id": fold,
            "artifact_type": kind,
            "step_index": step,
            "branch_path": branch or [],
            "source_index": source,
            "substep_index": substep,
            "depends_on": sources,
            "params": self.params(),
            "custom_name": "Q",
            "meta_config": None,
        }
        problem = self.problem(slot, name, kind, sources)
        with maybe_raises(problem):
            record = registry.register_with_chain(
                CONTENTS[content],
                chain,
                kind,
                step,
                branch_path=branch,
                source_index=source,
                fold_id=fold,
                substep_index=substep,
                depends_on=sources,
                params=said["params"],
                custom_name="Q",
                pipeline_id=pipeline,
            )
        if problem is not None:
            return multiple()
        return self.accepted(slot, record, content, said).id

    @rule(
        target=ids,
        number=actors,
        name=st.sampled_from(tuple(ODD_IDS)),
        content=contents,
        kind=st.sampled_from(("model", "encoder")),
        path=st.sampled_from(tuple(PLACES)),
        sources=st.lists(any_ids | ids, max_size=2, unique=True),
        private=st.sampled_from(PRIVATE),
    )
    def register(
        self,
        number: int,
        name: str,
        content: int,
        kind: str,
        path: str,
        sources: list[str],
        private: tuple[str, ...],
    ) -> Any:
        slot, registry = self.opened(number)
        step, branch, source, substep = PLACES[path]
        said: dict[str, Any] = {
            "artifact_id": name,
            "pipeline_id": ODD_IDS[name][0],
            "fold_id": ODD_IDS[name][1],
            "chain_path": path,
            "artifact_type": kind,
            "step_index": step,
            "branch_path": branch,
            "source_index": source,
            "substep_index": substep,
            "depends_on": sources,
            "params": {**self.params(), "who": "Ann"},
            "custom_name": "Q",
        }
        problem = self.problem(slot, name, kind, sources)
        with maybe_raises(problem):
            record = registry.register(
                CONTENTS[content],
                name,
                kind,
                depends_on=sources,
                params=said["params"],
                chain_path=path,
                custom_name="Q",
                private=private,
            )
        if problem is not None:
            return multiple()
        return self.accepted(slot, record, content, said).id

    @rule(
        target=ids,
        number=actors,
        name=any_ids,
        content=contents,
        sources=st.lists(ids, min_size=1, max_size=3, unique=True),
        missing=st.sampled_from((False, False, False, True)),
    )
    def register_meta_model(
        self, number: int, name: str, content: int, sources: list[str], *, missing: bool
    ) -> Any:
        slot, registry = self.opened(number)
        sources = [*sources, "nobody"] if missing else sources
        config = {
            "source_models": [
                {"artifact_id": source, "feature_index": index} for index, source in enumerate(sources)
            ],
            "feature_columns": ["x"],
        }
        said: dict[str, Any] = {"artifact_id": name, "depends_on": sources, "meta_config": config}
        said["params"] = self.params()
        problem = self.problem(slot, name, "meta_model", sources)
        with maybe_raises(problem):
            record = registry.register_meta_model(CONTENTS[content], name, sources, ["x"], said["params"])
        if problem is not None:
            return multiple()
        return self.accepted(slot, record, content, said).id

    # runs

    @rule(number=slots, in_block=st.booleans())
    def begin(self, number: int, *, in_block: bool) -> None:
        if in_block:
            self._enter_block(number)
        else:
            self._start_run(number)

    @precondition(lambda self: any(slot.run is not None for slot in self.slots))
    @rule(number=slots, how=st.sampled_from(("end", "leave", "raise", "clean up")))
    def end(self, number: int, how: str) -> None:
        while self.slots[number].run is None:
            number = (number + 1) % len(self.slots)
        if self.slots[number].block is not None and how in {"leave", "raise"}:
            self._leave_block(number, fails=how == "raise")
        elif how in {"end", "leave"}:
            self._end_run(number)
        else:
            self._clean_up(number)

    @rule(number=slots)
    def cleanup_failed_run(self, number: int) -> None:
        self._clean_up(number)

    @rule(number=slots, how=st.sampled_from(("die", "reopen", "pickle", "end")), other=slots)
    def leave(self, number: int, how: str, other: int) -> None:
        if how == "die":
            self._die(number)
        elif how == "reopen":
            self._reopen(number)
        elif how == "pickle":
            self._pickle(number, other)
        elif self.slots[number].block is not None:
            self._leave_block(number, fails=False)
        else:
            self._end_run(number)

    def _start_run(self, number: int) -> None:
        slot, registry = self.opened(number)
        problem = RunClosedError if slot.stale and slot.owned else None
        with maybe_warns(slot.run, "was still open"), maybe_raises(problem):
            registry.start_run()
        if slot.run is not None:
            slot.alone = []
            if slot.owned and slot.run.open:
                self.oracle.commit(slot.run)
        if problem is None:
            self._started(slot, registry)

    def _enter_block(self, number: int) -> None:
        slot, registry = self.opened(number)
        block = registry.run()
        if slot.run is not None:
            with pytest.raises(ConflictError):
                block.__enter__()
            return
        block.__enter__()
        self._started(slot, registry)
        assert slot.run is not None
        slot.block = block, slot.run

    def _leave_block(self, number: int, *, fails: bool) -> None:
        slot = self.slots[number]
        if slot.block is None:
            return
        (block, run), slot.block = slot.block, None
        within = slot.run is run
        if fails:
            boom = BoomError("on purpose")
            assert not block.__exit__(BoomError, boom, None)  # it is raised on
            if within:
                if run.open:
                    self.oracle.roll_back(run)
                slot.run = None
            return
        with maybe_raises(RunClosedError if within and not run.open else None):
            block.__exit__(None, None, None)
        if within:
            if run.open:
                self.oracle.commit(run)
            slot.alone, slot.run = [], None

    def _end_run(self, number: int) -> None:
        slot, registry = self.opened(number)
        problem = RunClosedError if slot.stale and slot.owned else None
        with maybe_raises(problem):
            registry.end_run()
        slot.alone = []
        if problem is None and slot.run is not None:
            if slot.owned:
                self.oracle.commit(slot.run)
            slot.run = None

    def _clean_up(self, number: int) -> None:
        slot, registry = self.opened(number)
        run, alone = slot.run, slot.alone
        slot.run = None
        if run is None or not slot.owned:
            slot.alone = []  # a run that is rolled back leaves what stood alone before it to the next call
        lost: list[Registration] = []
        before = self.oracle.size
        if run is None:
            expected, lost = self.oracle.take_back(alone)
        elif not slot.owned:
            expected, lost = self.oracle.take_back_in_run(run, alone)
        else:
            expected = self.oracle.roll_back(run) if run.open else 0
        assert self.oracle.size >= before
        with maybe_warns(lost, "is not back"):
            assert registry.cleanup_failed_run() == expected

    def _die(self, number: int) -> None:
        slot = self.slots[number]
        if slot.registry is None:
            return
        if slot.registry._run is not None:
            die(slot.registry._run)
        if slot.run is not None and slot.owned:
            slot.run.alive = False
        slot.registry._run = None
        slot.registry._data.close()
        self._forgotten(slot)

    def _reopen(self, number: int) -> None:
        """Closing rolls an open run back."""
        slot, registry = self.opened(number)
        registry.close()
        if slot.run is not None and slot.owned and slot.run.open:
            self.oracle.roll_back(slot.run)
        self._forgotten(slot)
        self.opened(number)

    def _pickle(self, number: int, other: int) -> None:
        """A registry is sent to a worker: the copy is in the same run, which it does not own."""
        slot, registry = self.opened(number)
        sent = pickle.dumps(registry)
        if other == number:
            return
        target = self.slots[other]
        if target.registry is not None:
            target.registry.close()
            if target.run is not None and target.owned and target.run.open:
                self.oracle.roll_back(target.run)
            self._forgotten(target)
        target.registry = pickle.loads(sent)
        self.oracle.reap()
        target.pipeline_id, target.run, target.owned = slot.pipeline_id, slot.run, False

    def _started(self, slot: Slot, registry: ArtifactRegistry) -> None:
        assert registry._run is not None
        slot.run, slot.owned = self.oracle.start(registry._run.run_id), True

    def _forgotten(self, slot: Slot) -> None:
        slot.registry, slot.run, slot.owned, slot.alone, slot.block = None, None, False, [], None

    # deleting

    @rule(
        number=actors,
        pipeline=pipelines,
        files=st.booleans(),
        dependents=st.sampled_from(("warn", "refuse", "cascade")),
    )
    def delete_pipeline_artifacts(self, number: int, pipeline: str, dependents: Any, *, files: bool) -> None:
        slot, registry = self.opened(number)
        targets = self.oracle.targets(slot.run, pipeline)
        others = self.oracle.dependents(slot.run, targets, follow=dependents == "cascade")
        problem: type[Exception] | None = None
        if slot.stale:
            problem = RunClosedError
        elif others and dependents == "refuse":
            problem = DependentsError
        warns = others and dependents == "warn" and problem is None
        with maybe_raises(problem), maybe_warns(warns, others[0].id.replace("$", "[$]") if others else ""):
            count = registry.delete_pipeline_artifacts(pipeline, files, dependents=dependents)
        if problem is not None:
            return
        cascades = dependents == "cascade" and others
        assert count == len(targets) + (len(others) if cascades else 0)
        if cascades:
            self.oracle.delete_ids(slot.run, [each.id for each in [*targets, *others]], files=files)
        elif targets:
            self.oracle.delete_pipeline(slot.run, pipeline, files=files)

    @precondition(lambda self: len(self.oracle.live()) > 6)  # not too often
    @rule(number=actors, force=st.booleans())
    def purge_dataset_artifacts(self, number: int, *, force: bool) -> None:
        slot, registry = self.opened(number)
        self.oracle.reap(keep=slot.run)
        others = [run for run in self.oracle.open_runs() if run is not slot.run]
        problem: type[Exception] | None = None
        if others and not force:
            problem = ConflictError
        elif slot.stale:
            problem = RunClosedError
        with maybe_raises(problem):
            gone = registry.purge_dataset_artifacts(confirm=True, force=force)
        if problem is None:
            assert gone == self.oracle.purge(slot.run, force=force)

    @rule(number=actors)
    def delete_orphaned_artifacts(self, number: int) -> None:
        _, registry = self.opened(number)
        self.oracle.reap()
        expected = self._orphans()
        assert registry.delete_orphaned_artifacts(dry_run=False, scan_all_manifests=False) == expected
        self.oracle.delete_orphans()

    def _orphans(self) -> tuple[list[str], int]:
        orphans = [each.fields for each in self.oracle.orphans()]
        return sorted(each["path"] for each in orphans), sum(each["size_bytes"] for each in orphans)

    # the rest

    @rule(number=actors, alias=st.sampled_from(ALIASES), name=st.none() | ids | any_ids)
    def set_alias(self, number: int, alias: str, name: str | None) -> None:
        slot, registry = self.opened(number)
        problem: type[Exception] | None = None
        if slot.stale:
            problem = RunClosedError
        elif name is not None and self.oracle.present(slot.run).resolve(name) is None:
            problem = NotFoundError
        with maybe_raises(problem):
            registry.set_alias(alias, name)
        if problem is None:
            self.oracle.set_alias(slot.run, alias, name)

    @rule(number=actors, name=ids, back=st.integers(0, 30))
    def restore(self, number: int, name: str, back: int) -> None:
        slot, registry = self.opened(number)
        size = max(0, self.oracle.size - back)
        earlier = self.oracle.past(size).resolve(name)
        problem: type[Exception] | None = None
        if earlier is None:
            problem = NotFoundError
        elif slot.stale:
            problem = RunClosedError
        elif not self.oracle.can_restore(earlier):
            problem = NotFoundError
        with maybe_raises(problem):
            record = registry.restore(name, size)
        if problem is None and earlier is not None:
            again = self.oracle.restore(slot.run, earlier)
            self.comparison.same(record, again)
            slot.alone.append(again)

    @rule(number=actors, back=st.integers(0, 20))
    def import_the_past(self, number: int, back: int) -> None:
        slot, registry = self.opened(number)
        size = max(0, self.oracle.size - back)
        items = self.oracle.past(size).live
        if not all(map(self.oracle.can_restore, items)):
            return  # accepted too, but then what is live does not load
        manifest = registry.as_of(size).export_to_manifest(private=True)
        with maybe_raises(RunClosedError if slot.stale and items else None):
            registry.import_from_manifest(manifest, self.workspace)
        if not slot.stale:
            self.oracle.import_all(slot.run, items)

    @rule(number=actors, name=ids, names=st.none() | st.sampled_from(PRIVATE))
    def erase_private(self, number: int, name: str, names: tuple[str, ...] | None) -> None:
        _, registry = self.opened(number)
        expected = self.oracle.erase_private(name, names)
        with maybe_raises(NotFoundError if expected is None else None):
            assert registry.erase_private(name, names) == expected

    @rule(number=actors)
    def look_closely(self, number: int) -> None:
        slot, registry = self.opened(number)
        assert registry.find_orphaned_artifacts(scan_all_manifests=False) == self._orphans()[0]
        assert registry.delete_orphaned_artifacts(scan_all_manifests=False) == self._orphans()
        assert registry.rebuild(), "replaying the log gives the state that was lived"
        self.comparison.sees(registry, self.oracle.present(slot.run), everything=True)
        with ArtifactRegistry(self.workspace, "wheat", pipeline_id="p") as fresh:
            self.oracle.reap()
            self.comparison.sees(fresh, self.oracle.present(), everything=True)
            assert fresh.verify().ok

    # what always holds

    @invariant()
    def everyone_sees_what_they_should(self) -> None:
        self.in_order = False
        for slot in self.slots:
            if slot.registry is not None:
                eyes = self.oracle.present(slot.run)
                assert slot.registry.position == self.oracle.size
                self.comparison.sees(slot.registry, eyes)
                self.comparison.stats(slot.registry, eyes, self.oracle.size)
                self.comparison.loads(slot.registry, eyes)
        self.comparison.files(self.workspace / "binaries" / "wheat")
        self.comparison.private(self.workspace / "log" / "wheat" / "private")
        self.in_order = True

    def teardown(self) -> None:
        try:
            if self.in_order:
                self._check_all_of_it()
        finally:
            for slot in self.slots:
                if slot.registry is not None:
                    slot.registry.close()
            self.folder.cleanup()

    def _check_all_of_it(self) -> None:
        _, registry = self.opened(0)
        assert registry.verify().ok
        assert registry.position == self.oracle.size
        for size in range(self.oracle.size + 1):
            view, eyes = registry.as_of(size), self.oracle.past(size)
            self.comparison.sees(view, eyes, everything=True)
            self.comparison.stats(view, eyes, size)
        check_replays(registry)


def check_replays(registry: ArtifactRegistry) -> None:
    """Folding a log to any position, in one go or resumed there, gives what was lived."""
    log, lived = registry._data.log, registry._data.projections
    entries = [log.entry(position) for position in range(log.size)]
    replayed = Projections()
    replayed.fold(entries)
    assert replayed.dump() == lived.dump()
    growing = Projections()
    for size in range(len(entries) + 1):
        then, resumed = Sight(growing), copy.deepcopy(growing)
        past = Sight(lived, size)
        assert list(then.all()) == list(past.all())
        assert growing.totals.at(size) == lived.totals.at(size)
        assert growing.aliases.all(size) == lived.aliases.all(size)
        for name in map(str, growing.ids.tail):
            assert then.row(name) == past.row(name)
        resumed.fold(entries[size:])
        assert resumed.dump() == lived.dump()
        growing.fold(entries[size : size + 1])


TestRegistries = Registries.TestCase
TestRegistries.settings = settings(
    max_examples=max(EXAMPLES, 150), stateful_step_count=40, report_multiple_bugs=False
)


class Players:
    """Three registries, of which the first two act in runs, and so few ids and contents that they meet."""

    ACTS = ("register", "register", "register", "delete", "delete files", "alias", "commit", "roll back")

    def __init__(self, stack: contextlib.ExitStack) -> None:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="chainfold-laws-"))
        self.workspace = Path(folder) / "workspace"
        self.oracle = Oracle()
        self.comparison = Comparison(self.oracle)
        self.registries = [stack.enter_context(ArtifactRegistry(self.workspace, "wheat")) for _ in range(3)]
        self.runs: list[Run | None] = [None, None, None]
        self.serial = 0

    def act(self, who: int, what: str, which: int, content: int) -> None:
        """One command of one of them; who acts in a run starts it first."""
        registry = self.registries[who]
        if who < 2 and self.runs[who] is None:
            registry.start_run()
            assert registry._run is not None
            self.runs[who] = self.oracle.start(registry._run.run_id)
        run, pipeline = self.runs[who], f"p{which}"
        if what == "register":
            self.serial += 1
            record = registry.register(
                CONTENTS[content], f"{pipeline}:0:all", "model", params={"serial": self.serial}
            )
            self.oracle.register(run, record.to_dict(), CONTENTS[content])
        elif what == "alias":
            target = f"{pipeline}:0:all" if self.oracle.targets(run, pipeline) else None
            registry.set_alias("production", target)
            self.oracle.set_alias(run, "production", target)
        elif what in {"delete", "delete files"}:
            files, targets = what == "delete files", self.oracle.targets(run, pipeline)
            assert registry.delete_pipeline_artifacts(pipeline, files) == len(targets)
            if targets:
                self.oracle.delete_pipeline(run, pipeline, files=files)
        elif run is not None:
            self._end(who, run, commits=what == "commit")

    def _end(self, who: int, run: Run, *, commits: bool) -> None:
        if commits:
            self.registries[who].end_run()
            self.oracle.commit(run)
        else:
            assert self.registries[who].cleanup_failed_run() == self.oracle.roll_back(run)
        self.runs[who] = None

    def check(self, *, everything: bool = False) -> None:
        """All see what they should, and it loads."""
        for registry, run in zip(self.registries, self.runs, strict=True):
            eyes = self.oracle.present(run)
            self.comparison.all_same(registry.get_all_records(), eyes.live)
            self.comparison.loads(registry, eyes)
            if everything:
                self.comparison.sees(registry, eyes, everything=True)
        self.comparison.files(self.registries[0].binaries_dir)


def acts(who: st.SearchStrategy[int], *, but: frozenset[str] = frozenset()) -> Any:
    """Commands for `Players.act`."""
    what = st.sampled_from([each for each in Players.ACTS if each not in but])
    return st.tuples(who, what, st.integers(0, 1), st.integers(0, 1))


@settings(max_examples=max(EXAMPLES, 500))
@given(st.lists(acts(st.integers(0, 2)), max_size=14))
def test_interleaved_runs(drawn: list[tuple[int, str, int, int]]) -> None:
    """Runs that overlap commit and roll back in any order: each is seen whole or not at all, by everyone."""
    with contextlib.ExitStack() as stack:
        players = Players(stack)
        for each in drawn:
            players.act(*each)
            players.check()
        players.check(everything=True)
        view = players.registries[2]
        for size in range(players.oracle.size + 1):
            players.comparison.sees(view.as_of(size), players.oracle.past(size), everything=True)
        check_replays(view)
        assert view.verify().ok


def answers(registry: ArtifactRegistry) -> dict[str, Any]:
    """All that a reader can ask of the present, but for what is said of the log itself."""
    records = registry.get_all_records()
    stats = registry.get_stats()
    return {
        "records": [record.to_dict() for record in records],
        "objects": [registry.load_artifact(record) for record in records],
        "aliases": registry.aliases(),
        "digests": [registry.resolve_by_hash(record.content_hash) for record in records],
        "chains": [registry.get_by_chain(chain) for chain in CHAINS],
        "prefixes": [registry.get_chain_prefix(prefix) for prefix in PREFIXES],
        "dependents": [registry.get_dependents(record.artifact_id) for record in records],
        "stats": {name: stats[name] for name in stats if name not in {"log_entries", "log_bytes"}},
        "files": sorted(path.name for path in registry.binaries_dir.glob("*")),
    }


@settings(max_examples=max(EXAMPLES, 200))
@given(
    st.lists(acts(st.just(2)), max_size=5),
    st.lists(acts(st.just(0), but=frozenset({"delete files", "commit", "roll back"})), max_size=6),
    st.sampled_from(("exception", "request", "close", "crash")),
)
def test_a_run_that_is_rolled_back_never_was(
    before: list[tuple[int, str, int, int]], within: list[tuple[int, str, int, int]], how: str
) -> None:
    """However a run is rolled back, others see and load what they did before, from the same files."""
    with contextlib.ExitStack() as stack:
        players = Players(stack)
        for each in before:
            players.act(*each)
        runner, reader, _ = players.registries
        expected = answers(reader)
        runner.start_run()
        assert runner._run is not None
        players.runs[0] = players.oracle.start(runner._run.run_id)
        for each in within:
            players.act(*each)
            assert without_files(answers(reader)) == without_files(expected)
        if how == "exception":
            runner._abandon(BoomError())
        elif how == "request":
            runner.cleanup_failed_run()
        elif how == "close":
            runner.close()
        else:
            die(runner._run)
            ArtifactRegistry(players.workspace, "wheat").close()  # whoever comes next sees that it died
        assert answers(reader) == expected


def without_files(found: dict[str, Any]) -> dict[str, Any]:
    """Answers without those on what is on disk, where an open run's files are too."""
    disk = {"disk_usage_bytes", "disk_file_count", "orphaned_count", "orphaned_size_bytes"}
    stats = {name: found["stats"][name] for name in found["stats"] if name not in disk}
    return {**found, "stats": stats, "files": None}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
items = st.tuples(any_ids, chains, contents, st.sampled_from(KINDS[:2]), st.lists(any_ids, max_size=2))


@settings(max_examples=max(EXAMPLES, 200))
@given(
    st.lists(st.tuples(items, st.dictionaries(st.text(max_size=5), json_values, max_size=3)), max_size=6),
    st.sampled_from(("items", "artifacts", "list")),
)
def test_a_manifest_comes_back_as_it_was(drawn: list[Any], form: str) -> None:
    """What one registry exports another imports, times included, and exports the same; the objects load."""
    with tempfile.TemporaryDirectory(prefix="chainfold-laws-") as folder:
        one = ArtifactRegistry(Path(folder) / "one", "wheat")
        two = ArtifactRegistry(Path(folder) / "two", "barley")
        with one, two:
            for (name, chain, content, kind, sources), params in drawn:
                others = [source for source in sources if source != name]
                one.register(
                    CONTENTS[content], name, kind, depends_on=others, params=params, chain_path=chain
                )
            (one.workspace / "results").mkdir(parents=True)
            for path in one.binaries_dir.glob("*"):
                (one.workspace / "results" / path.name).write_bytes(path.read_bytes())
            exported = one.export_to_manifest()
            manifest: Any = exported if form == "items" else {"artifacts": exported}
            manifest = exported["items"] if form == "list" else manifest
            two.import_from_manifest(manifest, one.workspace / "results")
            assert same_json(two.export_to_manifest(), exported)
            for record in two.get_all_records():
                assert two.load_artifact(record) == one.load(record.artifact_id)
            assert two.rebuild()
            assert two.verify().ok


def same_json(one: Any, other: Any) -> bool:
    """Whether two values are the same JSON; NaN is the same as NaN."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
