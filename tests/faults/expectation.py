"""What must be there, whatever happened meanwhile: the naive model of what writers do.

`Expectation` folds what a writer told into the states that may be found: exactly one after a command that
returned, the one before or the one after for a command that was cut off or refused by the system. It shares
no code with what it checks.
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from tests.faults.workload import DATASET, Message, Registration, content, mine, owner

from chainfold import ArtifactRegistry
from chainfold.dataset import Dataset
from chainfold.events import PrivateErased
from chainfold.storage import Files

State = dict[str, Any]
ALWAYS_SYNCED: Final = frozenset({"register", "run", "restore", "import"})
"""Commands that are never done without making something durable: who cannot sync never acknowledges one."""


def after(state: State, command: Sequence[Any]) -> State:
    """The state that a command leads to."""
    live, aliases = dict(state["live"]), dict(state["aliases"])
    what, *rest = command
    if what in {"register", "restore"}:
        artifact_id, number, serial = rest[-3:]
        live[artifact_id] = (number, serial)
    elif what == "run":
        live |= {artifact_id: (number, serial) for artifact_id, number, serial in rest}
    elif what == "delete":
        live = {each: value for each, value in live.items() if not each.startswith(f"{rest[0]}:")}
    elif what == "purge":
        live = {}
    elif what == "alias":
        aliases[rest[0]] = rest[1]
        aliases = {name: target for name, target in aliases.items() if target is not None}
    else:
        assert what in {"undone", "import", "collect"}, command
    return {"live": live, "aliases": aliases, "private": state["private"]}


class Expectation:
    """What may be found of one writer's doings.

    Attributes:
        states: The states that are possible after all that has ended.
        pending: The command that has not ended.
        acknowledged: Registrations that were acknowledged: they are in the history for ever.
        sure: False once what is told may have been told after the cut.
        counts: How often which command ended how.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.states: list[State] = [{"live": {}, "aliases": {}, "private": {}}]
        self.pending: Sequence[Any] | None = None
        self.acknowledged: list[Registration] = []
        self.sure = True
        self.counts: dict[str, int] = {}

    def take(self, message: Message) -> None:
        """Fold in what the writer told."""
        if "begin" in message:
            self.pending = message["begin"]
            return
        command, self.pending = self.pending, None
        assert command is not None, message
        end = message["end"]
        self.counts[f"{command[0]} {end}"] = self.counts.get(f"{command[0]} {end}", 0) + 1
        if end == "refused":
            assert command[0] in {"restore", "alias", "import", "purge"}, (command, message)
            return
        reached = [after(state, command) for state in self.states]
        self.states = reached if end == "done" and self.sure else _distinct([*self.states, *reached])
        if end == "done" and self.sure:
            self.acknowledged += _registrations(command)

    def possible(self) -> list[State]:
        """The states that may be found now."""
        if self.pending is None:
            return self.states
        return _distinct([*self.states, *(after(state, self.pending) for state in self.states)])

    def interrupt(self) -> None:
        """The writer is gone: what it had begun is done, or is not."""
        self.states, self.pending = self.possible(), None

    def settle(self, found: State) -> None:
        """It was looked, durably: the writer goes on from there."""
        self.states, self.pending, self.sure = [found], None, True


def _distinct(states: Iterable[State]) -> list[State]:
    found: list[State] = []
    for state in states:
        if state not in found:
            found.append(state)
    return found


def _registrations(command: Sequence[Any]) -> list[Registration]:
    what, *rest = command
    if what == "register":
        return [(rest[0], rest[1], rest[2])]
    last = {each[0]: (each[0], each[1], each[2]) for each in rest} if what == "run" else {}
    return list(last.values())  # one that was replaced within its run was never seen


def observed(registry: ArtifactRegistry, name: str) -> State:
    """A writer's state, as a reader finds it; everything live is loaded, and is what was registered."""
    live = {}
    for artifact_id, number, serial in mine(registry, name):
        assert registry.load(artifact_id) == content(number), f"{artifact_id} is not what was registered"
        live[artifact_id] = (number, serial)
    aliases = {alias: target for alias, target in registry.aliases().items() if owner(alias) == name}
    private = {
        record.artifact_id: record.params.get("who")
        for record in registry.iter_records()
        if record.private and owner(record.artifact_id) == name
    }
    return {"live": live, "aliases": aliases, "private": private}


def check(workspace: Path, expectations: Iterable[Expectation], files: Files | None = None) -> None:
    """All that was acknowledged is there, nothing is there by half, and the dataset works on."""
    with ArtifactRegistry(workspace, DATASET, actor="checker", storage=files) as registry:
        assert registry.verify().ok, registry.verify().findings
        _check_erasures(registry)
        for each in expectations:
            found = observed(registry, each.name)
            assert found in each.possible(), (
                f"{each.name}: found {found}, which is none of {each.possible()} (pending: {each.pending})"
            )
            _check_history(registry, each)
            each.settle(found)
        assert registry.rebuild(), "replaying the log gives another state"
        registry.set_alias("checker", None)  # it takes entries: the log goes on
        registry.delete_orphaned_artifacts(dry_run=False)
        report = registry.verify()
        assert report.ok, report.findings
        assert [each for each in report.findings if each.kind == "orphan"] == []
        live = {record.path for record in registry.iter_records()}
        _check_private(registry)
    present = {path for path, _ in Dataset(workspace, DATASET, files=files).blobs.scan()}
    assert present == live, "files that nothing needs are left, or files are missing"


def _check_erasures(registry: ArtifactRegistry) -> None:
    """Whoever opens a dataset finishes an erasure that was begun."""
    erased = {
        path
        for entry in registry.events(kinds="private-erased")
        if isinstance(entry.event, PrivateErased)
        for path in entry.event.paths
    }
    left = erased.intersection(path for path, _ in registry._data.private.scan())
    assert not left, f"{left} were erased, and are there"


def _check_private(registry: ArtifactRegistry) -> None:
    """After the collector there is what live records withhold, and nothing else."""
    wanted = {
        f"{sha256(record.artifact_id.encode()).hexdigest()[:16]}-{each.commitment.removeprefix('sha256:')}.json"
        for record in registry.iter_records()
        for each in record.private.values()
        if each.erased_by is None
    }
    assert {path for path, _ in registry._data.private.scan()} == wanted, "private files are left, or missing"


def _check_history(registry: ArtifactRegistry, expected: Expectation) -> None:
    known: dict[str, set[int]] = {}
    for artifact_id, _, serial in expected.acknowledged:
        if artifact_id not in known:
            known[artifact_id] = {
                item.record.params["serial"]
                for item in registry.history(artifact_id)
                if item.visible_from is not None
            }
        assert serial in known[artifact_id], f"{artifact_id} of serial {serial} was acknowledged, and is lost"
