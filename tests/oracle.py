"""A naive model of a registry: facts in plain lists, answered by scanning them.

It shares no code with what it checks. It counts the entries that each command appends, and keeps what was
seen after each of them, so that any moment of the past can be asked. A file is known by its bytes' digest.
"""

import copy
import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

Fold = int | str | None


@dataclass(eq=False)
class Registration:
    """One registration, and what has become of it."""

    fields: dict[str, Any]
    """The record as plain types; `created_at`, and commitments to what is private, are None until known."""
    value: Any
    position: int
    run: str | None
    standing: str = "in open run"
    visible_from: int | None = None
    removed_at: int | None = None
    removed_by: str | None = None
    replaced: "Registration | None" = None
    """What it took the place of: for its run, or for all."""

    @property
    def id(self) -> str:
        return str(self.fields["artifact_id"])

    @property
    def digest(self) -> str:
        return str(self.fields["content_hash"])

    @property
    def fold(self) -> Fold:
        fold: Fold = self.fields["fold_id"]
        return fold

    def fate(self) -> tuple[str, int | None, int | None, str | None]:
        return self.standing, self.visible_from, self.removed_at, self.removed_by

    def end(self, standing: str, size: int, by: str) -> None:
        self.standing, self.removed_at, self.removed_by = standing, size, by

    def kept(self, names: Sequence[str] | None = None) -> list[str]:
        """The private fields, of some names, that were not erased."""
        private = self.fields.get("private", {})
        return [
            each
            for each, told in private.items()
            if told["erased_by"] is None and (names is None or each.removeprefix("params.") in names)
        ]

    def erase(self, position: int, names: Sequence[str] | None = None) -> None:
        """What was withheld is gone for all who look, whenever they look."""
        for each in self.kept(names):
            self.fields["private"][each]["erased_by"] = position
            if each == "custom_name":
                self.fields["custom_name"] = ""
            else:
                del self.fields["params"][each.removeprefix("params.")]

    def repeated(self) -> dict[str, Any]:
        """The fields of a registration that says the same: what it withholds has files of its own."""
        fields = copy.deepcopy({**self.fields, "created_at": None})
        for each in self.kept():
            fields["private"][each]["commitment"] = None
        return fields


@dataclass(eq=False)
class Run:
    """A run: what it did that nobody else has seen."""

    name: str
    open: bool = True
    alive: bool = True
    own: dict[str, Registration] = field(default_factory=dict)
    all: list[Registration] = field(default_factory=list)
    doomed: dict[Registration, str] = field(default_factory=dict)
    unwanted: set[str] = field(default_factory=set)
    forgets: list[Registration] = field(default_factory=list)
    purges: bool = False
    moves: list[tuple[str, str | None]] = field(default_factory=list)


@dataclass
class Item:
    """What a history should say of a registration."""

    registration: Registration
    standing: str
    visible_from: int | None
    removed_at: int | None
    removed_by: str | None


class Eyes:
    """What one reader sees: `live` is in order of registration."""

    def __init__(self, live: list[Registration], aliases: dict[str, str], items: list[Item]) -> None:
        self.live = live
        self.aliases = aliases
        self.items = items

    def resolve(self, artifact_id: str) -> Registration | None:
        return _last(each for each in self.live if each.id == artifact_id)

    def resolve_by_hash(self, digest: str) -> Registration | None:
        return _last(each for each in self.live if each.digest == digest)

    def get_by_chain(self, chain: str, fold: Fold, pipeline: str) -> Registration | None:
        all_of_it = [each for each in self.live if each.fields["chain_path"] == chain]
        own = [each for each in all_of_it if pipeline and each.fields["pipeline_id"] == pipeline]
        for group in (own, all_of_it):
            exact = [each for each in group if each.fold == fold]
            if exact:
                return exact[-1]
            if group and fold is None:
                return group[-1]
        return None

    def get_chain_prefix(
        self, prefix: str, branch: list[int] | None = None, source: int | None = None
    ) -> list[Registration]:
        found = [
            each
            for each in self.live
            if each.fields["chain_path"]
            and each.fields["chain_path"].startswith(prefix)
            and (branch is None or each.fields["branch_path"] == branch)
            and (source is None or each.fields["source_index"] == source)
        ]
        return sorted(found, key=lambda each: (each.fields["chain_path"], _fold_order(each.fold)))

    def get_artifacts_for_step(
        self, pipeline: str, step: int, branch: list[int] | None = None, fold: Fold = None
    ) -> list[Registration]:
        return [
            each
            for each in self.live
            if each.fields["pipeline_id"] == pipeline
            and each.fields["step_index"] == step
            and (branch is None or each.fields["branch_path"] == branch)
            and (fold is None or each.fold == fold)
        ]

    def get_fold_models(
        self, pipeline: str, step: int, branch: list[int] | None = None
    ) -> list[Registration]:
        models = [
            each
            for each in self.get_artifacts_for_step(pipeline, step, branch)
            if each.fold is not None and each.fields["artifact_type"] in ("model", "meta_model")
        ]
        return sorted(models, key=lambda each: (each.fields["substep_index"] or 0, _fold_order(each.fold)))

    def get_dependencies(self, artifact_id: str) -> list[str]:
        found = self.resolve(artifact_id)
        return list(found.fields["depends_on"]) if found is not None else []

    def get_dependents(self, artifact_id: str) -> list[str]:
        return [each.id for each in self.live if artifact_id in each.fields["depends_on"]]

    def history(self, artifact_id: str) -> list[Item]:
        return [item for item in self.items if item.registration.id == artifact_id]

    def totals(self) -> dict[str, Any]:
        sizes = [each.fields["size_bytes"] for each in self.live]
        files = {each.digest: each.fields["size_bytes"] for each in self.live}
        kinds = [each.fields["artifact_type"] for each in self.live]
        saved = sum(sizes) - sum(files.values())
        return {
            "total_artifacts": len(self.live),
            "unique_files": len(files),
            "total_size_bytes": sum(sizes),
            "by_type": {kind: kinds.count(kind) for kind in kinds},
            "deduplication_ratio": saved / sum(sizes) if sizes and sum(sizes) else 0.0,
        }


class Oracle:
    """The registry as its rules say it is; each method is a command that was accepted."""

    def __init__(self) -> None:
        self.registrations: list[Registration] = []
        self.runs: list[Run] = []
        self.aliases: dict[str, str] = {}
        self.files: dict[str, Registration] = {}
        """Digests of the files on disk, and which registration brought each."""
        self._past: list[Eyes] = []
        self._keep()

    # asking

    @property
    def size(self) -> int:
        """Entries in the log."""
        return len(self._past) - 1

    def past(self, size: int) -> Eyes:
        """What any reader saw after so many entries, outside of runs."""
        return self._past[size]

    def present(self, run: Run | None = None) -> Eyes:
        """What is seen now outside of runs, or in one."""
        return Eyes(self.live(run), dict(self.aliases), self._items())

    def live(self, run: Run | None = None) -> list[Registration]:
        """Live registrations, in order: a run sees its own in place of others of the same id."""
        own = run.own if run is not None and run.open else {}
        return [
            each
            for each in self.registrations
            if own.get(each.id) is each or (each.standing == "live" and each.id not in own)
        ]

    def needed(self) -> set[str]:
        """Digests of the files that something live, or an open run, refers to."""
        own = [each for run in self.open_runs() for each in run.own.values()]
        return {each.digest for each in [*self.live(), *own]}

    def open_runs(self) -> list[Run]:
        return [run for run in self.runs if run.open]

    # commands

    def register(self, run: Run | None, fields: dict[str, Any], value: Any) -> Registration:
        """A registration; it brings its file when that is not there."""
        self._grow()
        return self._register(run, fields, value)

    def start(self, name: str) -> Run:
        """A run begins, after those whose owners died have been rolled back."""
        self.reap()
        self._grow()
        run = Run(name)
        self.runs.append(run)
        self._keep()
        return run

    def commit(self, run: Run) -> None:
        """What a run did is seen by all."""
        self._grow()
        run.open = False
        for each, by in run.doomed.items():
            if each.standing == "live" and each.id not in run.own:
                each.end("purged" if by == "dataset-purged" else "deleted", self.size, by)
        for each in run.own.values():
            self._show(each, "run-committed")
        for name, target in run.moves:
            self._point(name, target)
        self._keep()
        self._sweep(self.files if run.purges else run.unwanted)
        self._forget(self._unneeded() if run.purges else run.forgets)

    def roll_back(self, run: Run) -> int:
        """What a run did never was; files go that nobody outside of runs ever saw."""
        self._grow()
        run.open = False
        for each in run.own.values():
            each.end("rolled back", self.size, "run-rolled-back")
        self._keep()
        digests = {each.digest for each in run.all}
        self._sweep(each for each in digests if each in self.files and not _was_seen(self.files[each]))
        self._forget(run.all)
        return len(run.own)

    def reap(self, keep: Run | None = None) -> None:
        """Somebody looks after the runs whose owners died."""
        for run in self.open_runs():
            if not run.alive and run is not keep:
                self.roll_back(run)

    def targets(self, run: Run | None, pipeline: str) -> list[Registration]:
        """What a reader sees of a pipeline."""
        return [each for each in self.live(run) if each.fields["pipeline_id"] == pipeline]

    def dependents(
        self, run: Run | None, targets: Sequence[Registration], *, follow: bool
    ) -> list[Registration]:
        """What a reader sees that was made from these; with `follow` also what was made from that."""
        found: list[Registration] = []
        names = {each.id for each in targets}
        while True:
            more = [
                each
                for each in self.live(run)
                if each not in targets and each not in found and names.intersection(each.fields["depends_on"])
            ]
            found += more
            if not more or not follow:
                return found
            names = {each.id for each in more}

    def delete_pipeline(self, run: Run | None, pipeline: str, *, files: bool) -> None:
        """Everything of a pipeline goes."""
        self._delete(run, lambda each: each.fields["pipeline_id"] == pipeline, files=files)

    def delete_ids(self, run: Run | None, ids: Iterable[str], *, files: bool) -> None:
        """These ids go."""
        wanted = set(ids)
        self._delete(run, lambda each: each.id in wanted, files=files)

    def purge(self, run: Run | None, *, force: bool) -> tuple[int, int]:
        """Everything goes, and every file; the open runs of others are rolled back when that is forced."""
        gone = len(self.files), sum(each.fields["size_bytes"] for each in self.files.values())
        for other in self.open_runs():
            if other is not run and force:
                self.roll_back(other)
        self._grow()
        if run is None:
            for each in self.live():
                each.end("purged", self.size, "dataset-purged")
            self.files.clear()
        else:
            for each in run.own.values():
                each.end("withdrawn", self.size, "dataset-purged")
            run.own = {}
            run.doomed.update(dict.fromkeys(self.live(), "dataset-purged"))
            run.purges = True
        self._keep()
        if run is None:
            self._forget(self._unneeded())
        return gone

    def orphans(self) -> list[Registration]:
        """What brought the files that nothing refers to."""
        needed = self.needed()
        return [each for digest, each in self.files.items() if digest not in needed]

    def delete_orphans(self) -> None:
        """The files that nothing refers to go."""
        self._sweep(list(self.files))
        self._forget(self._unneeded())

    def erase_private(self, artifact_id: str, names: Sequence[str] | None) -> int | None:
        """What registrations of an id withheld is erased; how many values were, None if that is refused."""
        mine = [each for each in self.registrations if each.id == artifact_id]
        known = {name.removeprefix("params.") for each in mine for name in each.fields.get("private", ())}
        if not known or not known.issuperset(names or ()):
            return None
        count = sum(len(each.kept(names)) for each in mine)
        self._forget(mine, names)
        return count

    def set_alias(self, run: Run | None, name: str, target: str | None) -> None:
        """A name moves; in a run when that commits."""
        self._grow()
        if run is None:
            self._point(name, target)
        else:
            run.moves.append((name, target))
        self._keep()

    def can_restore(self, registration: Registration | None) -> bool:
        """Whether its file is still there."""
        return registration is not None and registration.digest in self.files

    def restore(self, run: Run | None, registration: Registration) -> Registration:
        """A registration of the past is repeated."""
        self._grow()
        return self._register(run, registration.repeated(), registration.value)

    def import_all(self, run: Run | None, items: Sequence[Registration]) -> None:
        """Registrations of the past come from a manifest: as a run of their own, outside of one."""
        if not items:
            return
        within = run
        if within is None:
            within = Run("?")
            self.runs.append(within)
            self._plain()  # started
        for each in items:
            self._grow()
            fields = each.repeated()
            fields["created_at"] = each.fields["created_at"]
            kept = {name: fields["private"][name] for name in each.kept()}
            fields.pop("private", None)
            self._register(within, {**fields, "private": kept} if kept else fields, each.value)
        if run is None:
            self.commit(within)

    def take_back(self, alone: Sequence[Registration]) -> tuple[int, list[Registration]]:
        """What stood alone and is live goes, and what it had superseded returns, in a run of its own.

        Returns:
            How many went, and what cannot return because its file is gone.
        """
        mine = [each for each in alone if each.standing == "live"]
        lost: list[Registration] = []
        if mine:
            run = Run("?")
            self.runs.append(run)
            run.doomed = dict.fromkeys(mine, "artifacts-deleted")
            self._plain()  # started
            self._plain()  # deleted
            for each in mine:
                lost += self._return_first(run, [_not_of(each.replaced, alone)])[1]
            self.commit(run)
        self._sweep_brought_by(alone)
        self._forget(alone)
        return len(mine), lost

    def take_back_in_run(self, run: Run, alone: Sequence[Registration]) -> tuple[int, list[Registration]]:
        """What was registered in a run that goes on goes from it, and what it had replaced there returns."""
        if not run.open:
            return 0, []
        mine = [each for each in alone if run.own.get(each.id) is each]
        hidden = {each.id: each for each in self.live() if each not in run.doomed}
        ways = [(each, [_not_of(each.replaced, alone), hidden.get(each.id)]) for each in mine]
        gone = [each for each, ways_back in ways if not any(map(self.can_restore, ways_back))]
        if gone:
            self._grow()
            for each in gone:
                del run.own[each.id]
                each.end("withdrawn", self.size, "artifacts-deleted")
            self._keep()
        lost = [each for _, ways_back in ways for each in self._return_first(run, ways_back)[1]]
        self._sweep_brought_by(alone)
        self._forget(alone)
        return len(mine), lost

    def _return_first(
        self, run: Run, ways_back: Sequence[Registration | None]
    ) -> tuple[Registration | None, list[Registration]]:
        """The first of some registrations that can is repeated; and those before it that cannot be."""
        lost: list[Registration] = []
        for each in ways_back:
            if each is not None:
                if self.can_restore(each):
                    return self.restore(run, each), lost
                lost.append(each)
        return None, lost

    def _sweep_brought_by(self, some: Sequence[Registration]) -> None:
        self._sweep(digest for digest, brought in self.files.items() if brought in some)

    # inside

    def _register(self, run: Run | None, fields: dict[str, Any], value: Any) -> Registration:
        new = Registration(fields, value, self.size - 1, run.name if run is not None else None)
        self.registrations.append(new)
        self.files.setdefault(new.digest, new)
        if run is None:
            self._show(new, "artifact-registered")
        else:
            earlier = run.own.pop(new.id, None)
            if earlier is not None:
                earlier.end("withdrawn", self.size, "artifact-registered")
                new.replaced = earlier
            run.own[new.id] = new
            run.all.append(new)
        self._keep()
        return new

    def _show(self, new: Registration, by: str) -> None:
        earlier = _last(each for each in self.registrations if each.standing == "live" and each.id == new.id)
        if earlier is not None:
            earlier.end("superseded", self.size, by)
        new.standing, new.visible_from, new.replaced = "live", self.size, earlier
        if new.digest in self.files and not _was_seen(self.files[new.digest]):
            self.files[new.digest] = new  # its file is no longer one that only an unseen run brought

    def _delete(self, run: Run | None, wanted: Callable[[Registration], bool], *, files: bool) -> None:
        self._grow()
        gone = [each for each in self.live() if wanted(each)]
        if run is None:
            for each in gone:
                each.end("deleted", self.size, "artifacts-deleted")
        else:
            run.doomed.update(dict.fromkeys(gone, "artifacts-deleted"))
            run.unwanted.update(each.digest for each in gone if files)
            run.forgets += [each for each in gone if files]
            gone = [each for each in run.own.values() if wanted(each)]
            for each in gone:
                del run.own[each.id]
                each.end("withdrawn", self.size, "artifacts-deleted")
        self._keep()
        if files:
            self._sweep(each.digest for each in gone)
            self._forget(gone)

    def _sweep(self, digests: Iterable[str]) -> None:
        """Files go that nothing needs: one entry, if any does."""
        needed = self.needed()
        gone = [digest for digest in set(digests) if digest in self.files and digest not in needed]
        if gone:
            for digest in gone:
                del self.files[digest]
            self._plain()

    def _unneeded(self) -> list[Registration]:
        """The registrations that nobody sees."""
        needed = [*self.live(), *(each for run in self.open_runs() for each in run.own.values())]
        return [each for each in self.registrations if each not in needed]

    def _forget(self, some: Iterable[Registration], names: Sequence[str] | None = None) -> None:
        """What they withheld is erased: one entry, if any has something left."""
        gone = [each for each in some if each.kept(names)]
        for each in gone:
            each.erase(self.size, names)
        if gone:
            self._plain()

    def _point(self, name: str, target: str | None) -> None:
        if target is None:
            self.aliases.pop(name, None)
        else:
            self.aliases[name] = target

    def _plain(self) -> None:
        """An entry that nobody outside of a run sees."""
        self._grow()
        self._keep()

    def _grow(self) -> None:
        """One more entry: what it changes is kept by `_keep`, which must follow."""
        self._past.append(self._past[-1])

    def _keep(self) -> None:
        eyes = self.present()
        if self._past:
            self._past[-1] = eyes
        else:
            self._past.append(eyes)

    def _items(self) -> list[Item]:
        return [Item(each, *each.fate()) for each in self.registrations]


def artifact_id(pipeline: str, chain: str, fold: Fold) -> str:
    """The id of a chain's artifact."""
    word = "all" if fold is None else str(fold)
    return f"{pipeline}${hashlib.sha256(chain.encode()).hexdigest()[:12]}:{word}"


def _last(found: Iterable[Registration]) -> Registration | None:
    return next(iter([*found][::-1]), None)


def _not_of(registration: Registration | None, alone: Sequence[Registration]) -> Registration | None:
    """What was replaced, by any number of registrations that stood alone."""
    while registration is not None and registration in alone:
        registration = registration.replaced
    return registration


def _was_seen(registration: Registration) -> bool:
    return registration.visible_from is not None


def _fold_order(fold: Fold) -> tuple[int, int, str]:
    if fold is None:
        return 0, 0, ""
    return (1, fold, "") if isinstance(fold, int) else (2, 0, fold)
