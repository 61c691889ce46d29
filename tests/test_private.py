"""What is private is withheld from the log, can be erased, and everything else goes on being provable."""

import contextlib
import errno
import json
import os
import pickle
import re
import stat
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.reader import Reader
from tests.snapshotting import save_often
from tests.test_format import PARAMS

from chainfold import (
    ArtifactRecord,
    ArtifactRegistry,
    CorruptionError,
    InvalidInputError,
    ManifestError,
    NotFoundError,
    RegistryView,
    StorageError,
)
from chainfold.blobs import BlobStore
from chainfold.commands.running import reap
from chainfold.events import PrivateErased
from chainfold.log import LocalLog
from chainfold.params import normalize
from chainfold.private import read, withhold
from chainfold.proof.model_verifier import check
from chainfold.storage import LocalFiles
from chainfold.testing import Crash

TEXT: Final = "Grete Hopper, ward 4711"
NOTE: Final = "allergic to chalk dust"
ID: Final = "p:1:all"


def say(registry: ArtifactRegistry, artifact_id: str = ID, obj: Any = (1,), **more: Any) -> ArtifactRecord:
    """A registration with two private parameters, a private name, and one that all may know."""
    params = {"operator": TEXT, "notes": {"free": [NOTE]}, "n": 3}
    private = ["operator", "notes", "custom_name"]
    return registry.register(
        obj, artifact_id, "model", params=params, custom_name=TEXT, private=private, **more
    )


def holders(workspace: Path, text: str = TEXT) -> list[str]:
    """The files of a workspace that have a text, in whatever folder."""
    found = [path for path in workspace.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]
    return sorted(path.relative_to(workspace).as_posix() for path in found)


def private_files(workspace: Path, dataset: str = "wheat") -> list[Path]:
    return sorted((workspace / "log" / dataset / "private").glob("*.json"))


def found(registry: RegistryView, artifact_id: str = ID) -> ArtifactRecord:
    record = registry.resolve(artifact_id)
    assert record is not None
    return record


def erasures(registry: ArtifactRegistry) -> list[tuple[str, int, int | None]]:
    """Why, how many, because of what."""
    events = [entry.event for entry in registry.events(kinds="private-erased")]
    return [(each.reason, len(each.paths), each.cause) for each in events if isinstance(each, PrivateErased)]


@pytest.fixture
def other(workspace: Path) -> Iterator[ArtifactRegistry]:
    """Another process, for all that it knows."""
    with ArtifactRegistry(workspace, "wheat", actor="other") as registry:
        yield registry


# Reading


def test_it_reads_as_if_it_were_in_the_log(registry: ArtifactRegistry, other: ArtifactRegistry) -> None:
    record = say(registry)
    assert record.params == {"operator": TEXT, "notes": {"free": [NOTE]}, "n": 3}
    assert record.custom_name == TEXT
    for each in (registry, other, registry.as_of(1)):
        assert each.resolve(ID) == record
        assert [item.record for item in each.history(ID)] == [record]
        assert each.get_all_records() == [record]
    assert {name: each.erased_by for name, each in record.private.items()} == {
        "params.operator": None,
        "params.notes": None,
        "custom_name": None,
    }


def test_the_log_has_commitments_only(workspace: Path, registry: ArtifactRegistry) -> None:
    record = say(registry)
    registry.rebuild()
    line = json.loads(registry._data.log.line(0))
    assert line["v"] == 2
    assert line["record"]["params"] == {"n": 3}
    assert "custom_name" not in line["record"]
    names = [path.name for path in private_files(workspace)]
    assert len(names) == 3
    tag = sha256(ID.encode()).hexdigest()[:16]
    commitments = [each.commitment.removeprefix("sha256:") for each in record.private.values()]
    assert sorted(f"{tag}-{digits}.json" for digits in commitments) == names
    for path in private_files(workspace):
        assert path.name == f"{tag}-{sha256(path.read_bytes()).hexdigest()}.json"
    assert {path.rpartition("/")[0] for path in holders(workspace)} == {"log/wheat/private"}


def test_what_is_not_private_is_written_as_ever(registry: ArtifactRegistry) -> None:
    registry.register([1], ID, "model", params={"n": 3}, custom_name="x")
    assert b'"v":' not in registry._data.log.line(0)
    assert b"private" not in registry._data.log.line(0)
    assert not registry._data.private.folder.exists()
    assert "private" not in found(registry).to_dict()


@settings(max_examples=40)
@given(
    PARAMS, st.lists(st.text(max_size=3) | st.sampled_from(["$float", "$dict", "$"]), max_size=4), st.data()
)
def test_any_part_of_any_params_can_be_private(
    tmp_path_factory: pytest.TempPathFactory, params: dict[str, Any], names: list[str], data: st.DataObject
) -> None:
    """It comes back equal; erased, the rest does; and nothing of it was ever in the line."""
    params = normalize({**params, **{name: [name] for name in names}})
    chosen = data.draw(st.lists(st.sampled_from(sorted(params)), unique=True)) if params else []
    workspace = tmp_path_factory.mktemp("private")
    with ArtifactRegistry(workspace, "wheat", actor="tester") as registry:
        record = registry.register([1], ID, "model", params=params, private=chosen)
        assert repr(sorted(found(registry).params.items())) == repr(sorted(params.items()))
        assert repr(sorted(record.params.items())) == repr(sorted(params.items()))
        read_back = Reader(workspace, "wheat")
        values, _ = read_back.private(read_back.registrations[0])
        chosen = [key for key in params if any(_speaks_of({key: params[key]}, name) for name in chosen)]
        assert repr(sorted(values.items())) == repr(sorted((f"params.{key}", params[key]) for key in chosen))
        rest = {key: value for key, value in params.items() if key not in chosen}
        assert repr(sorted(read_back.params(read_back.registrations[0]).items())) == repr(
            sorted(rest.items())
        )
        if chosen:
            assert registry.erase_private(ID) == len(chosen)
        assert repr(sorted(found(registry).params.items())) == repr(sorted(rest.items()))
        assert registry.verify().ok


def _speaks_of(value: Any, name: str) -> bool:
    """Whether a name is that of anything within, also as `step__name` and `name__more`."""
    if isinstance(value, list):
        return any(_speaks_of(each, name) for each in value)
    if not isinstance(value, dict):
        return False
    spelt = re.compile(rf"(.*__)?{re.escape(name)}(__.*)?", re.DOTALL)
    return any(spelt.fullmatch(key) or _speaks_of(each, name) for key, each in value.items())


@pytest.mark.parametrize(
    "said",
    [
        {"step__operator": TEXT},
        {"union__step__operator": TEXT},
        {"operator__name": TEXT},
        {"step__operator__name": TEXT},
        {"grid": [{"step__operator": [TEXT]}]},
        {"deep": {"down": [1, {"operator": TEXT}]}},
    ],
)
def test_what_is_private_is_so_wherever_it_occurs(workspace: Path, said: dict[str, Any]) -> None:
    params = {**said, "operators": "all may know", "step__cooperator": 1, "an_operator": {"n": 2}}
    with ArtifactRegistry(workspace, "wheat", private=["operator"]) as registry:
        registry.register([1], ID, "model", params=params)
        registry.register([2], "p:2:all", "model", params={"n": 1})
        assert found(registry).params == params
        assert [key.removeprefix("params.") for key in found(registry).private] == list(said)
        assert {path.rpartition("/")[0] for path in holders(workspace)} == {"log/wheat/private"}
        with pytest.raises(NotFoundError, match="no private field an_operator"):
            registry.erase_private(ID, ["an_operator"])
        assert registry.erase_private(ID, ["operator"]) == 1
        assert holders(workspace) == []
        assert registry.verify().ok
    with ArtifactRegistry(workspace, "rye") as registry:
        registry.register([1], ID, "model", params=params, private=["operator"])
        assert [key.removeprefix("params.") for key in found(registry).private] == list(said)


def test_a_registry_can_be_told_once_for_all(workspace: Path) -> None:
    """A pipeline need not be changed: what it says under these names is withheld, where it says it."""
    with ArtifactRegistry(workspace, "wheat", private=["operator", "custom_name"]) as registry:
        registry.register([1], "p:1:all", "model", params={"operator": TEXT}, custom_name=TEXT)
        registry.register_with_chain(
            [2], "s1.A", "model", 1, params={"operator": TEXT, "n": 1}, pipeline_id="p"
        )
        registry.register_meta_model([3], "p:3:all", ["p:1:all"], params={"n": 1, "custom_name": TEXT})
        with pickle.loads(pickle.dumps(registry)) as copy:
            copy.register([4], "p:4:all", "model", params={"operator": TEXT})
        assert [len(record.private) for record in registry.iter_records()] == [2, 1, 1, 1]
        assert {path.rpartition("/")[0] for path in holders(workspace)} == {"log/wheat/private"}


def test_large_values_do_not_crowd_the_line(registry: ArtifactRegistry) -> None:
    params = {"operator": TEXT * 10_000, "vocabulary": "x" * 70_000}
    registry.register([1], ID, "model", params=params, private=["operator"])
    assert found(registry).params == params
    registry.erase_private(ID)
    assert found(registry).params == {"vocabulary": "x" * 70_000}


# Refusing


@pytest.mark.parametrize("private", ["operator", [1], ["operater"], ["n", "no"]])
def test_what_is_misspelt_is_refused(workspace: Path, registry: ArtifactRegistry, private: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"private|names of fields"):
        registry.register([1], ID, "model", params={"operator": TEXT, "n": 1}, private=private)
    assert registry.position == 0
    assert holders(workspace) == []


def test_errors_do_not_quote_it(workspace: Path, registry: ArtifactRegistry) -> None:
    """Else the log would have it: a run that an error ends says which."""
    names: tuple[Any, ...] = (TEXT + "\n", 7)
    for name in names:
        with pytest.raises(InvalidInputError) as raised, registry.run():
            registry.register([1], ID, "model", custom_name=name, private=["custom_name"])
        assert TEXT not in str(raised.value)
    item = {"artifact_id": ID, "path": "x", "custom_name": TEXT + "\n", "private": ["custom_name"]}
    with pytest.raises(ManifestError) as refused, registry.run():
        registry.import_from_manifest([item], workspace)
    assert TEXT not in str(refused.value)
    assert holders(workspace) == []


def test_a_value_that_is_too_large_is_refused(
    registry: ArtifactRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chainfold.private._LIMIT_BYTES", 300)
    with pytest.raises(InvalidInputError, match=r"private field 'params.operator'.*more than 300 bytes"):
        registry.register([1], ID, "model", params={"operator": "x" * 200}, private=["operator"])
    assert registry.position == 0
    assert private_files(registry.workspace) == []


def test_it_is_not_shown_in_passing(registry: ArtifactRegistry) -> None:
    record = say(registry)
    assert TEXT not in repr(record)
    shown = record.without_private()
    assert (shown.params, shown.custom_name, shown.private) == ({"n": 3}, "", record.private)
    assert record.params["operator"] == TEXT
    assert ArtifactRecord.from_dict(record.to_dict()) == record
    assert ArtifactRecord.from_dict(shown.to_dict()) == shown


# Committing


def test_no_two_registrations_commit_alike(workspace: Path, registry: ArtifactRegistry) -> None:
    """Who guesses a value cannot try whether it is the one: salts are new each time."""
    say(registry)
    say(registry, obj=(2,))
    say(registry, "p:2:all")
    assert len(private_files(workspace)) == 9


@given(PARAMS, PARAMS)
def test_a_commitment_is_to_one_value(one: dict[str, Any], other: dict[str, Any]) -> None:
    """With the very same salt another value, field or artifact has another commitment."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("chainfold.private.salt", bytes)
        first = ArtifactRecord("a", "", "", params=normalize({"v": one}))
        second = ArtifactRecord("a", "", "", params=normalize({"v": other}))
        elsewhere = ArtifactRecord("b", "", "", params=normalize({"v": one, "w": one}))
        names = ["params.v"]
        is_same = repr(first.params) == repr(second.params)
        withhold(first, names)
        withhold(second, names)
        withhold(elsewhere, ["params.v", "params.w"])
        assert (first.private == second.private) == is_same
        assert (
            len({*(each.commitment for each in [first.private["params.v"], *elsewhere.private.values()])})
            == 3
        )


@pytest.mark.damages
def test_every_changed_byte_is_found(workspace: Path, registry: ArtifactRegistry) -> None:
    registry.register([1], ID, "model", params={"operator": TEXT}, private=["operator"])
    (path,) = private_files(workspace)
    content = path.read_bytes()
    for at in range(len(content)):
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        with pytest.raises(CorruptionError, match="has changed") as raised:
            read(registry._data.private, path.name)
        assert TEXT not in str(raised.value)
    with pytest.raises(CorruptionError, match="erase_private"):
        registry.resolve(ID)
    (finding,) = registry.verify().findings
    assert (finding.level, finding.kind) == ("error", "changed")
    assert "params.operator" in finding.detail
    assert registry.erase_private(ID) == 1  # also what was tampered with goes
    assert private_files(workspace) == []
    assert registry.verify().ok


@pytest.mark.damages
def test_the_file_of_another_is_refused(workspace: Path, registry: ArtifactRegistry) -> None:
    """Also where the log itself says so: a line that was made by hand commits to another's value."""
    record = say(registry)
    event = registry._data.registration(record.without_private())
    event.record.artifact_id = "p:2:all"
    registry._data.append([event], sync=True)
    source = next(path for path in private_files(workspace) if TEXT in path.read_text())
    digits = source.stem.partition("-")[2]
    source.with_name(f"{sha256(b'p:2:all').hexdigest()[:16]}-{digits}.json").write_bytes(source.read_bytes())
    with pytest.raises((CorruptionError, UserWarning)):
        registry.resolve("p:2:all")
    assert not registry.verify().ok


# Erasing


def test_an_erasure_is_for_all_times(
    workspace: Path, registry: ArtifactRegistry, other: ArtifactRegistry
) -> None:
    """Of every registration, for every reader and view, in every file; the rest stays."""
    say(registry)
    say(registry, obj=(2,))
    say(registry, "p:2:all")
    early = registry.as_of(1)
    for view in (registry, other, early):  # whatever is remembered of it
        assert found(view).params["operator"] == TEXT
    assert registry.erase_private(ID) == 6
    position = registry.position - 1
    for view in (registry, other, early, registry.as_of(1), registry.as_of(2)):
        record = found(view)
        assert (record.params, record.custom_name) == ({"n": 3}, "")
        assert {each.erased_by for each in record.private.values()} == {position}
        assert TEXT not in str([item.record.to_dict() for item in view.history(ID)])
    assert found(registry, "p:2:all").params["operator"] == TEXT
    assert erasures(registry) == [("requested", 6, None)]
    assert registry._data.log.entry(position) in list(registry.events(artifact=ID))
    assert registry.erase_private("p:2:all", ["operator", "custom_name"]) == 2
    assert holders(workspace) == []
    assert len(holders(workspace, NOTE)) == 1
    assert registry.erase_private("p:2:all") == 1
    assert holders(workspace, NOTE) == []
    assert registry.erase_private("p:2:all") == 0
    assert registry.load(ID) == (2,)


def test_what_was_not_private_is_said_not_to_be_erased(registry: ArtifactRegistry) -> None:
    registry.register([1], ID, "model", params={"operator": TEXT, "n": 1}, private=["n"])
    registry.register([1], "p:2:all", "model", params={"operator": TEXT})
    for artifact_id, fields in ((ID, ["operator"]), ("p:2:all", None), ("nobody", None)):
        with pytest.raises(NotFoundError, match="cannot be erased"):
            registry.erase_private(artifact_id, fields)
    assert erasures(registry) == []


def test_no_run_undoes_an_erasure(workspace: Path, registry: ArtifactRegistry) -> None:
    say(registry)
    registry.start_run()
    say(registry, obj=(2,))
    assert registry.erase_private(ID) == 6  # of the open run, too
    assert holders(workspace) == []
    registry.cleanup_failed_run()
    assert found(registry).params == {"n": 3}
    assert erasures(registry) == [("requested", 6, None)]


def test_all_proofs_still_hold(workspace: Path, registry: ArtifactRegistry) -> None:
    """Inclusion, consistency, models, checkpoints: made before an erasure, or after it."""
    say(registry)
    registry.register_meta_model((3,), "p:3:all", [ID])
    before, size = registry.checkpoint(), registry.position
    proof = registry.model_proof("p:3:all")
    inclusion, line = registry.inclusion_proof(0), registry._data.log.line(0)
    assert TEXT not in proof
    assert NOTE not in proof
    registry.erase_private(ID)
    assert holders(workspace) == []
    assert registry.verify(since=before).ok
    assert check(json.loads(proof))
    assert check(json.loads(registry.model_proof("p:3:all")))
    assert inclusion == registry.as_of(size).inclusion_proof(0)
    assert registry._data.log.line(0) == line
    assert registry.as_of(before).position == size
    assert registry.consistency_proof(before) is not None
    assert registry.as_of(before).checkpoint() == before


def test_who_has_a_file_can_prove_what_it_said(workspace: Path, registry: ArtifactRegistry) -> None:
    """A proof of the model and the file: the entry has the digest."""
    record = say(registry)
    kept = {sha256(path.read_bytes()).hexdigest(): path.read_bytes() for path in private_files(workspace)}
    proof = json.loads(registry.model_proof(ID))
    registry.erase_private(ID)
    check(proof)
    told = json.loads(proof["entries"]["0"]["line"])["record"]["private"]["params.operator"]["commitment"]
    assert told == record.private["params.operator"].commitment
    assert json.loads(kept[told.removeprefix("sha256:")])["value"] == TEXT


# What takes it with it


def test_a_rollback_takes_what_was_never_seen(workspace: Path, registry: ArtifactRegistry) -> None:
    say(registry)
    with contextlib.suppress(ZeroDivisionError), registry.run():
        say(registry, "p:2:all", (2,))
        say(registry, "p:2:all", (3,))
        assert len(private_files(workspace)) == 9
        raise ZeroDivisionError
    assert len(private_files(workspace)) == 3
    ((reason, count, cause),) = erasures(registry)
    assert (reason, count) == ("rolled-back", 6)
    assert cause is not None
    assert registry._data.log.entry(cause).event.kind == "run-rolled-back"
    registry.start_run()
    say(registry, "p:2:all", (2,))
    assert registry._run is not None
    registry._run.release()  # its process died
    registry._run = None
    reap(registry._data)
    assert len(private_files(workspace)) == 3
    assert found(registry).params["operator"] == TEXT


def test_what_is_taken_back_goes_and_what_it_replaced_returns(
    workspace: Path, registry: ArtifactRegistry
) -> None:
    say(registry)
    registry.end_run()
    say(registry, obj=(2,))
    registry.cleanup_failed_run()
    assert found(registry).params["operator"] == TEXT
    assert registry.load(ID) == (1,)
    assert len(private_files(workspace)) == 6  # those of the first one, and of its repetition
    registry.delete_orphaned_artifacts(dry_run=False)
    assert len(private_files(workspace)) == 3
    assert found(registry).params["operator"] == TEXT


def test_what_is_restored_shares_nothing(workspace: Path, registry: ArtifactRegistry) -> None:
    say(registry)
    registry.delete_pipeline_artifacts("p")
    size = registry.position - 1
    registry.start_run()
    assert registry.restore(ID, size).params["operator"] == TEXT
    registry.cleanup_failed_run()  # takes the repetition's, not the first one's
    assert registry.as_of(size).get_all_records()[0].params["operator"] == TEXT
    registry.restore(ID, size)
    assert found(registry).custom_name == TEXT
    registry.erase_private(ID, ["operator"])
    registry.restore(ID, size)
    record = found(registry)
    assert (record.params, record.custom_name) == ({"n": 3, "notes": {"free": [NOTE]}}, TEXT)
    assert record.private["params.operator"].erased_by is not None
    registry.erase_private(ID)
    assert holders(workspace) == []
    assert private_files(workspace) == []


def test_a_deletion_takes_it_with_the_files(workspace: Path, registry: ArtifactRegistry) -> None:
    say(registry)
    size = registry.position
    registry.delete_pipeline_artifacts("p")
    assert found(registry.as_of(size)).params["operator"] == TEXT
    registry.restore(ID, size)
    with registry.run():
        registry.delete_pipeline_artifacts("p", delete_files=True)
        assert len(private_files(workspace)) == 6
    assert len(private_files(workspace)) == 3  # of the one that was deleted, and kept, before
    say(registry, "q:2:all")
    registry.delete_pipeline_artifacts("q", delete_files=True)
    assert len(private_files(workspace)) == 3
    registry.delete_orphaned_artifacts(dry_run=False)
    assert holders(workspace) == []
    assert [reason for reason, _, _ in erasures(registry)] == ["deleted", "deleted", "orphaned"]


def test_the_collector_leaves_what_is_needed(
    workspace: Path, registry: ArtifactRegistry, other: ArtifactRegistry
) -> None:
    say(registry)
    say(registry, obj=(2,))
    other.start_run()
    say(other, "p:2:all")
    store = registry._data.private
    (store.folder / "new" / "left").write_text(TEXT)  # by a process that died
    (path, *_) = private_files(workspace)
    in_vain = path.read_bytes().replace(b'"salt":"', b'"salt":"0')
    (store.folder / f"{path.name[:16]}-{sha256(in_vain).hexdigest()}.json").write_bytes(in_vain)
    (store.folder / "README").write_text("of somebody else")
    registry.delete_orphaned_artifacts(dry_run=True)
    assert len(private_files(workspace)) == 10
    registry.delete_orphaned_artifacts(dry_run=False)
    assert len(private_files(workspace)) == 6
    assert not (store.folder / "new" / "left").exists()
    assert (store.folder / "README").exists()
    assert found(registry).params["operator"] == TEXT
    other.end_run()
    assert found(registry, "p:2:all").params["operator"] == TEXT


def test_a_purge_takes_everything(workspace: Path, registry: ArtifactRegistry) -> None:
    say(registry)
    say(registry, obj=(2,))
    registry.purge_dataset_artifacts(confirm=True)
    assert private_files(workspace) == []
    say(registry)
    with registry.run():
        say(registry, "p:4:all")
        registry.purge_dataset_artifacts(confirm=True)
        say(registry, "p:5:all")
    assert found(registry, "p:5:all").params["operator"] == TEXT
    assert len(private_files(workspace)) == 3
    assert [reason for reason, _, _ in erasures(registry)] == ["purged", "purged"]
    private_files(workspace)[0].write_text(TEXT)  # what was tampered with is taken too
    registry.purge_dataset_artifacts(confirm=True)
    assert holders(workspace) == []


# Leaving the workspace


class Manager:
    """What a pipeline writes its manifests with."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def append_artifacts(self, pipeline_id: str, records: list[ArtifactRecord]) -> None:
        self.told += [pipeline_id, *(record.to_dict() for record in records)]


def test_manifests_do_not_have_it_unless_they_are_asked_to(workspace: Path) -> None:
    manager = Manager()
    with ArtifactRegistry(workspace, "wheat", manager) as registry:
        with registry.run():
            say(registry)
        assert TEXT not in str(manager.told)
        assert manager.told[1]["params"] == {"n": 3}
        plain, whole = registry.export_to_manifest(), registry.export_to_manifest(private=True)
        assert TEXT not in json.dumps(plain)
        assert NOTE not in json.dumps(plain)
        assert whole["items"][0]["custom_name"] == TEXT
        for name, manifest in (("barley", plain), ("rye", whole)):
            with ArtifactRegistry(workspace, name) as imported:
                imported.import_from_manifest(json.loads(json.dumps(manifest)), registry.binaries_dir)
                record = found(imported)
                expected = found(registry) if manifest is whole else found(registry).without_private()
                assert (record.params, record.custom_name) == (expected.params, expected.custom_name)
                assert list(record.private) == (list(expected.private) if manifest is whole else [])
                assert imported.verify().ok
        registry.erase_private(ID)
        assert {path.rpartition("/")[0] for path in holders(workspace)} == {"log/rye/private"}


def test_an_import_keeps_private_what_the_registry_does(workspace: Path) -> None:
    item = {"artifact_id": ID, "path": "x.bin", "params": {"operator": TEXT}, "custom_name": TEXT}
    with ArtifactRegistry(workspace, "wheat", private=["operator"]) as registry:
        registry.import_from_manifest([{**item, "private": {"custom_name": {}}}], workspace)
        assert found(registry).params == {"operator": TEXT}
        assert list(found(registry).private) == ["params.operator", "custom_name"]
        for odd in ("operator", [1], 7):
            with pytest.raises(ManifestError, match=r"item 0.*private"):
                registry.import_from_manifest([{**item, "private": odd}], workspace)
        registry.erase_private(ID)
        assert holders(workspace) == []


# When something goes wrong


@pytest.mark.damages
@pytest.mark.skipif(os.name == "nt", reason="needs the right to make links")
def test_a_link_out_of_the_workspace_is_not_followed(workspace: Path, registry: ArtifactRegistry) -> None:
    say(registry)
    elsewhere = workspace.parent / "elsewhere"
    for path in private_files(workspace):
        path.replace(elsewhere)
        path.symlink_to(elsewhere)
    with pytest.raises(CorruptionError, match="has changed"):
        registry.resolve(ID)
    assert {each.kind for each in registry.verify().findings} == {"changed"}
    registry.delete_orphaned_artifacts(dry_run=False)
    assert registry.erase_private(ID) == 3
    assert private_files(workspace) == []
    assert elsewhere.exists()


@pytest.mark.damages
def test_what_is_missing_is_told_and_the_model_still_loads(
    workspace: Path, registry: ArtifactRegistry
) -> None:
    """A backup without private values is a good one: what cannot be erased there is not in it."""
    say(registry)
    for path in private_files(workspace):
        path.unlink()
    with pytest.warns(UserWarning, match=r"params.operator.*erase_private") as told:
        record = found(registry)
    assert TEXT not in str(told[0].message)
    assert (record.params, record.custom_name) == ({"n": 3}, "")
    assert {each.erased_by for each in record.private.values()} == {None}
    report = registry.verify()
    assert [(each.level, each.kind) for each in report.findings] == [("error", "missing")] * 3
    with pytest.warns(UserWarning, match="missing"):
        assert registry.load(ID) == (1,)
    assert registry.erase_private(ID) == 3  # then nobody misses it any more
    assert registry.verify().findings == []
    assert found(registry).params == {"n": 3}


def test_what_comes_back_from_a_backup_is_not_believed(workspace: Path, registry: ArtifactRegistry) -> None:
    say(registry)
    kept = {path: path.read_bytes() for path in private_files(workspace)}
    registry.erase_private(ID)
    say(registry, "p:2:all")
    registry.erase_private("p:2:all")  # the erasure is not the last one
    for path, content in kept.items():
        path.write_bytes(content)
    assert found(registry).params == {"n": 3}
    report = registry.verify()
    assert [(each.level, each.kind) for each in report.findings] == [("error", "not-erased")] * 3
    registry.delete_orphaned_artifacts(dry_run=False)
    assert holders(workspace) == []
    for path, content in kept.items():
        path.write_bytes(content)
    assert registry.erase_private(ID) == 0
    assert holders(workspace) == []


@pytest.mark.parametrize("erases", [False, True])
@pytest.mark.parametrize("saves", [False, True])
def test_whoever_opens_it_next_finishes_an_erasure(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, *, saves: bool, erases: bool
) -> None:
    def die(*_: object) -> None:
        raise Crash

    if saves:  # what is left to do is known from a snapshot as well
        save_often(monkeypatch)
    with ArtifactRegistry(workspace, "wheat", actor="tester") as registry:
        say(registry)
        with monkeypatch.context() as patch, pytest.raises(Crash):
            patch.setattr(BlobStore, "remove", die)
            registry.erase_private(ID)
        assert len(holders(workspace)) == 2
        assert found(registry).params == {"n": 3}
        registry.set_alias("later", ID)  # others may have gone on
        if erases:  # also with other erasures
            registry.register([2], "p:other", "model", params={"who": "Eve"}, private=["who"])
            assert registry.erase_private("p:other") == 1
    with ArtifactRegistry(workspace, "wheat", actor="tester") as registry:
        assert holders(workspace) == []
        assert registry.verify().findings == []


def test_what_the_system_refuses_can_be_tried_again(
    workspace: Path, registry: ArtifactRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise StorageError("the disk says no")

    say(registry)
    with monkeypatch.context() as patch:
        patch.setattr(BlobStore, "remove", refuse)
        for _ in range(2):  # also when it is tried again
            with pytest.raises(
                StorageError, match=r"still on the disk: .*says no\. .*call erase_private again"
            ):
                registry.erase_private(ID)
    assert found(registry).params == {"n": 3}
    assert registry.erase_private(ID) == 0
    assert holders(workspace) == []
    registry.start_run()
    say(registry)
    with monkeypatch.context() as patch:
        patch.setattr(BlobStore, "remove", refuse)
        with pytest.warns(UserWarning, match="could not be"):
            registry.cleanup_failed_run()
    assert private_files(workspace) != []
    registry.delete_orphaned_artifacts(dry_run=False)
    assert private_files(workspace) == []


@pytest.mark.parametrize("alone", [True, False])
def test_what_was_not_registered_leaves_nothing(
    workspace: Path, registry: ArtifactRegistry, monkeypatch: pytest.MonkeyPatch, *, alone: bool
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise StorageError("the disk says no")

    say(registry, "p:0:all")
    manifest = registry.export_to_manifest(private=True)
    if not alone:
        registry.start_run()
    for act in (lambda: say(registry), lambda: registry.import_from_manifest(manifest, workspace)):
        with monkeypatch.context() as patch:
            patch.setattr(LocalLog, "append", refuse)
            with pytest.raises(StorageError, match="says no"):
                act()
        assert len(private_files(workspace)) == 3
    registry.end_run()


def test_a_reader_that_lags_is_told_of_an_erasure(
    registry: ArtifactRegistry, other: ArtifactRegistry
) -> None:
    """Views of the past do not look for news; here they do: the file went, and an event says so."""
    say(registry)
    view = other.as_of(1)
    assert found(view).params["operator"] == TEXT
    registry.erase_private(ID)
    assert {each.erased_by for each in found(view).private.values()} == {1}


# All of it, in any order

ACTS: Final = st.sampled_from(
    [
        "register",
        "register",
        "supersede",
        "run",
        "undone",
        "restore",
        "take back",
        "delete",
        "import",
        "collect",
        "open",
    ]
)


@settings(max_examples=60)
@given(st.lists(ACTS, max_size=8), st.sampled_from([1, 3, 10_000]))
def test_no_byte_of_it_is_left(
    tmp_path_factory: pytest.TempPathFactory, acts: list[str], entries: int
) -> None:
    """Whatever was done to an artifact before: after its erasure no file of the workspace has the text."""
    workspace = tmp_path_factory.mktemp("erasing") / "workspace"
    with pytest.MonkeyPatch.context() as patch:
        save_often(patch, entries, 5)
        registry = ArtifactRegistry(workspace, "wheat", actor="tester")
        for number, act in enumerate(["register", *acts]):
            if act == "open":
                registry.close()
                registry = ArtifactRegistry(workspace, "wheat", actor="tester")
            else:
                with contextlib.suppress(NotFoundError):
                    _do(registry, act, number)
        size = registry.position
        lines = [registry._data.log.line(position) for position in range(size)]
        before = registry.checkpoint()
        registry.erase_private(ID)
        assert holders(workspace) == []
        assert holders(workspace, NOTE) == []
        assert [registry._data.log.line(position) for position in range(size)] == lines
        report = registry.verify(since=before)
        assert report.ok, report.findings
        assert registry.rebuild()
        for past in range(registry.position + 1):
            assert TEXT not in str([record.to_dict() for record in registry.as_of(past).iter_records()])
        assert TEXT not in str([item.record.to_dict() for item in registry.history(ID)])
        registry.close()


def _do(registry: ArtifactRegistry, act: str, number: int) -> None:
    if act in {"register", "supersede"}:
        say(registry, obj=(number if act == "supersede" else 0,))
    elif act == "run":
        with registry.run():
            say(registry)
            say(registry, obj=(number,))
    elif act == "undone":
        registry.start_run()
        say(registry)
        registry.cleanup_failed_run()
    elif act == "restore":
        registry.restore(ID, 1)
    elif act == "take back":
        registry.end_run()
        say(registry, obj=(number,))
        registry.cleanup_failed_run()
    elif act == "delete":
        registry.delete_pipeline_artifacts("p", delete_files=number % 2 == 0)
    elif act == "import":
        registry.import_from_manifest(registry.export_to_manifest(private=True), registry.workspace)
    else:
        registry.delete_orphaned_artifacts(dry_run=False)


@pytest.mark.parametrize(
    "params", [[("operator", "Ann")], {b"operator": "Ann"}, {"operator": "Ann"}.items(), "Ann", object()]
)
def test_params_that_do_not_tell_what_is_private_are_refused(workspace: Path, params: Any) -> None:
    """What was to be withheld would be in the log for ever."""
    with ArtifactRegistry(workspace, "wheat", private=["operator"]) as registry:
        with pytest.raises(InvalidInputError, match=r"operator.*Give a dict"):
            registry.register([1], ID, "model", params=params)
        assert registry.position == 0
        registry.register([1], ID, "model", params=None)


def test_what_was_left_before_its_entry_goes_with_an_erasure(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process died between the private file and the registration: nothing in the log knows of it."""

    def die(*_: object, **__: object) -> None:
        raise Crash

    with ArtifactRegistry(workspace, "wheat", actor="tester") as registry:
        with monkeypatch.context() as patch, pytest.raises(Crash):
            patch.setattr("chainfold.dataset.Dataset.append", die)
            patch.setattr("chainfold.commands.registering.take_back_private", lambda *_: None)
            say(registry)
        assert holders(workspace) != []
        with pytest.raises(NotFoundError, match="the log has nothing of"):
            registry.erase_private(ID)
        assert holders(workspace) == []


def test_an_iterator_hands_out_nothing_that_was_erased_meanwhile(
    workspace: Path, registry: ArtifactRegistry, other: ArtifactRegistry
) -> None:
    """Records are read some at a time, and what is private of each only as it is handed out."""
    for number in range(6):
        registry.register(
            [1], f"p:{number}:all", "model", params={"who": TEXT}, chain_path="s1.A", private=["who"]
        )
    (digest,) = {record.content_hash for record in registry.get_all_records()}
    then = registry.as_of(registry.position)
    begun = [
        each
        for view in (registry, then)
        for each in (
            view.iter_records(), view.iter_records(newest_first=True), view.iter_chain("s1.A"),
            view.iter_chain_prefix("s1"), view.iter_pipeline("p"), view.iter_digest(digest),
            view.iter_artifacts_for_step("p", 1),
        )
    ]  # fmt: skip
    assert [next(each).params for each in begun] == [{"who": TEXT}] * len(begun)
    for number in range(6):
        other.erase_private(f"p:{number}:all")
    for each in begun:
        rest = list(each)
        assert [record.params for record in rest] == [{}] * 5
        assert all(record.private["params.who"].erased_by is not None for record in rest)
    assert holders(workspace) == []


@pytest.mark.skipif(os.name != "posix", reason="elsewhere folders have no modes")
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o750), (0o002, 0o770), (0o077, 0o700)])
def test_strangers_may_not_look_into_it(workspace: Path, umask: int, mode: int) -> None:
    """The group may as far as the umask lets it: several users may share a workspace."""
    before = os.umask(umask)
    try:
        with ArtifactRegistry(workspace, "wheat") as registry:
            say(registry)
    finally:
        os.umask(before)
    (path, *_) = private_files(workspace)
    assert [stat.S_IMODE(each.stat().st_mode) for each in (path.parent, path.parent / "new")] == [mode, mode]
    assert stat.S_IMODE(path.parent.parent.stat().st_mode) == 0o777 & ~umask


def test_who_may_not_read_it_is_told_so(
    workspace: Path, registry: ArtifactRegistry, other: ArtifactRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Models load all the same, and nothing is said to be changed or missing."""
    say(registry)
    size = registry.position

    def closed(name: str, doing: str) -> Any:
        real = getattr(LocalFiles, name)

        def refuse(files: LocalFiles, path: Path, *more: Any) -> Any:
            if "private" in path.parts:
                raise StorageError.refused(doing, path, PermissionError(errno.EACCES, "Permission denied"))
            return real(files, path, *more)

        return refuse

    for name, doing in (("read", "read"), ("size", "look at"), ("scan", "list"), ("remove", "remove")):
        monkeypatch.setattr(LocalFiles, name, closed(name, doing))
    asks: list[Callable[[], list[ArtifactRecord]]] = [lambda: [found(other)], other.get_all_records]
    for records in asks:
        with pytest.warns(UserWarning, match=r"left out, as this user may not read .*params.operator"):
            (record,) = records()
        assert (record.params, record.custom_name) == ({"n": 3}, "")
        assert {each.erased_by for each in record.private.values()} == {None}
    with pytest.warns(UserWarning, match="may not read"):
        assert other.load(ID) == (1,)
    report = other.verify()
    assert {(each.level, each.kind) for each in report.findings} == {("error", "unread")}
    with pytest.raises(StorageError, match="This user may not read it"):
        other.erase_private(ID)
    assert registry.position == size
