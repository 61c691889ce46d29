"""One file proves a model, to a program that knows nothing of chainfold, and each change to it is found."""

import copy
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainfold import ArtifactRegistry, CorruptionError, NotFoundError
from chainfold.proof import model_verifier
from chainfold.proof.model_verifier import NotCheckedError, NotProvenError, check
from chainfold.proof.notes import PrivateKey, opened

KEY: Final = PrivateKey("example.com/lab", bytes(range(32)))
OTHER: Final = PrivateKey("example.com/lab", bytes(32))
PYTHON: Final = re.compile(r"Error\b|object|attribute|unpack|subscript|indices|operand|NoneType")
"""What only its own programmers say."""
VERIFIER: Final = Path(model_verifier.__file__)


def fill(workspace: Path) -> str:
    """A model with sources in and outside of runs, some superseded or deleted since; its proof, signed."""
    with ArtifactRegistry(workspace, "wheat", pipeline_id="p", actor="tester") as registry:
        registry.register({"raw": 1}, "data:1:all", "transformer")
        with registry.run():
            registry.register([2], "scaler:1:all", "transformer", depends_on=["data:1:all"])
            registry.register([3], "pls:1:0", "model", depends_on=["scaler:1:all", "data:1:all"])
            registry.register([4], "pls:1:1", "model", depends_on=["scaler:1:all", "never:1:all"])
        registry.register([5], "meta:1:all", "model", depends_on=["pls:1:0", "pls:1:1"])
        registry.register([6], "unrelated:1:all", "model")
        registry.register([7], "pls:1:0", "model")
        with pytest.warns(UserWarning, match="depend on what was deleted"):
            registry.delete_pipeline_artifacts("data", delete_files=False)
        with registry.run():
            registry.register([8], "scaler:1:all", "transformer")
            registry.register([9], "data:1:all", "transformer")
        with registry.run():
            registry.set_alias("best", "meta:1:all")
            with pytest.warns(UserWarning, match="depend on what was deleted"):
                registry.delete_pipeline_artifacts("pls", delete_files=False)
        return registry.model_proof("meta:1:all", KEY)


@pytest.fixture(scope="module")
def proof(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    workspace = tmp_path_factory.mktemp("proofs") / "workspace"
    return workspace, fill(workspace)


def test_a_proof_is_checked_by_a_file_of_its_own(proof: tuple[Path, str], tmp_path: Path) -> None:
    """Copied out, in an interpreter that finds nothing of chainfold."""
    workspace, text = proof
    alone = tmp_path / "verifier.py"
    shutil.copy(VERIFIER, alone)
    (tmp_path / "proof.json").write_text(text, encoding="utf-8")
    command = [sys.executable, "-I", str(alone), str(tmp_path / "proof.json"), "--key", str(KEY.public)]
    files = ["--files", str(workspace / "binaries" / "wheat")]
    done = subprocess.run([*command, *files], capture_output=True, text=True, check=False, encoding="utf-8")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("PROVEN:")
    assert "signed with the key 'example.com/lab'" in done.stdout
    assert "'pls:1:0' was registered at 3" in done.stdout
    assert "'data:1:all' was registered at 0" in done.stdout
    assert "it can have been ended by artifacts-deleted at 9" in done.stdout
    assert "of what it calls 'never:1:all' there is nothing in the proof" in done.stdout
    assert "unrelated" not in done.stdout
    assert done.stdout.count("is what was registered") == 5
    command[-1] = str(OTHER.public)
    done = subprocess.run(command, capture_output=True, text=True, check=False, encoding="utf-8")
    assert done.returncode == 1
    assert "NOT PROVEN: the checkpoint is not signed with the key" in done.stderr


def test_a_proof_says_what_it_does_not_prove(proof: tuple[Path, str]) -> None:
    told = json.loads(proof[1])
    assert any("That nothing else happened" in each for each in told["does not prove"])
    assert [each["artifact_id"] for each in told["registrations"]] == [
        "meta:1:all", "pls:1:0", "pls:1:1", "scaler:1:all", "data:1:all",
    ]  # fmt: skip


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where a JSON value has something that is not a list or an object."""
    if isinstance(value, dict):
        return [each for key, inner in value.items() for each in leaves(inner, (*path, key))]
    if isinstance(value, list):
        return [each for at, inner in enumerate(value) for each in leaves(inner, (*path, at))]
    return [path]


def changed(value: Any, data: st.DataObject) -> Any:
    if isinstance(value, str) and value:
        at = data.draw(st.integers(0, len(value) - 1))
        return value[:at] + chr(ord(value[at]) ^ (1 << data.draw(st.integers(0, 5)))) + value[at + 1 :]
    if isinstance(value, int):
        return value + data.draw(st.sampled_from([-1, 1, 2]))
    return 3 if value is None else None


@settings(max_examples=300)
@given(st.data())
def test_each_change_to_a_proof_is_found(proof: tuple[Path, str], data: st.DataObject) -> None:
    """But for the words, and what only says how an artifact stands."""
    told = json.loads(proof[1])
    words = {"proves", "does not prove", "standing"}
    path = data.draw(st.sampled_from([each for each in leaves(told) if not words & set(each)]))
    inner = told
    for step in path[:-1]:
        inner = inner[step]
    before = copy.deepcopy(inner[path[-1]])
    inner[path[-1]] = changed(before, data)
    if inner[path[-1]] == before or is_harmless(path, before, inner[path[-1]]):
        return
    with pytest.raises(NotProvenError) as refused:
        check(told, str(KEY.public))
    assert not PYTHON.search(str(refused.value))


def is_harmless(path: tuple[Any, ...], before: Any, after: Any) -> bool:
    """Hexadecimal digits in the other case are the same hash."""
    return "path" in path and before.lower() == after.lower()


def drop_an_entry(told: dict[str, Any]) -> None:
    told["entries"].popitem()


def swap_entries(told: dict[str, Any]) -> None:
    entries = told["entries"]
    entries["0"], entries["3"] = entries["3"], entries["0"]


def drop_a_source(told: dict[str, Any]) -> None:
    del told["registrations"][0]["sources"][0]


def forget_a_source(told: dict[str, Any]) -> None:
    del told["registrations"][-1]


def another_artifact(told: dict[str, Any]) -> None:
    told["artifact"] = "pls:1:0"


def another_version(told: dict[str, Any]) -> None:
    told["registrations"][0]["sources"][0]["position"] = 0


def another_end(told: dict[str, Any]) -> None:
    told["registrations"][-1]["ended"] = told["registrations"][0]["position"]


def another_commit(told: dict[str, Any]) -> None:
    told["registrations"][1]["shown"] = told["registrations"][1]["position"]


def never_shown(told: dict[str, Any]) -> None:
    told["registrations"][0]["shown"] = None


def unsigned(told: dict[str, Any]) -> None:
    told["checkpoint"] = told["checkpoint"].partition("\n\n")[0] + "\n"


def say_it_twice(told: dict[str, Any]) -> None:
    told["entries"]["0"]["line"] = told["entries"]["0"]["line"].replace("{", '{"position":0,', 1)


def twice(told: dict[str, Any]) -> None:
    """Readers that take the first would take another than those that take the last."""
    forged = {**told["registrations"][0], "digest": "sha256:" + "0" * 64}
    told["registrations"].insert(0, forged)


def unused(told: dict[str, Any]) -> None:
    """A registration that is good, and that the artifact was not made from."""
    told["registrations"][0]["sources"][0]["position"] = None


def unnamed(told: dict[str, Any]) -> None:
    """An entry that is good, and that nothing names any more."""
    told["registrations"][-1].update(ended=None, cause=None)


def other_words(told: dict[str, Any]) -> None:
    told["proves"].append("That it predicts well.")


def fewer_words(told: dict[str, Any]) -> None:
    del told["does not prove"][0]


FORGERIES: Final[list[Callable[[dict[str, Any]], None]]] = [
    drop_an_entry, swap_entries, drop_a_source, forget_a_source, another_artifact, another_version,
    another_end, another_commit, never_shown, unsigned, say_it_twice, twice, unused, unnamed, other_words,
    fewer_words,
]  # fmt: skip


@pytest.mark.parametrize("forge", FORGERIES)
def test_a_forged_proof_is_refused(proof: tuple[Path, str], forge: Callable[[dict[str, Any]], None]) -> None:
    told = json.loads(proof[1])
    check(told, str(KEY.public))
    forge(told)
    with pytest.raises(NotProvenError):
        check(told, str(KEY.public))


@pytest.mark.parametrize(
    "told", [{}, [], None, 3, {"format": "chainfold model proof 1"}, {"format": "other"}]
)
def test_what_is_no_proof_is_told(told: Any) -> None:
    with pytest.raises(NotProvenError):
        check(told)


def test_what_a_proof_names_and_has_not_is_told(proof: tuple[Path, str]) -> None:
    told = json.loads(proof[1])
    told["registrations"][0]["sources"][0]["position"] = 43
    with pytest.raises(
        NotProvenError, match=r"^this is no proof of the form that is known: 43 is not in it$"
    ):
        check(told)
    told = json.loads(proof[1])
    told["entries"]["0"]["path"][0] = None
    with pytest.raises(NotProvenError) as refused:
        check(told)
    assert not PYTHON.search(str(refused.value))


def test_a_file_that_was_swapped_is_found(proof: tuple[Path, str], tmp_path: Path) -> None:
    workspace, text = proof
    files = tmp_path / "files"
    shutil.copytree(workspace / "binaries" / "wheat", files)
    told = json.loads(text)
    assert any("is what was registered" in each for each in check(told, files=files))
    path = json.loads(told["entries"]["0"]["line"])["record"]["path"]
    (files / path).write_bytes(b"another")
    with pytest.raises(NotProvenError, match="is not what was registered"):
        check(told, files=files)
    (files / path).unlink()
    with pytest.raises(NotCheckedError, match="is not there") as missing:  # that is no yes
        check(told, files=files)
    assert repr(path) in str(missing.value)


def test_notes_are_read_as_strictly_as_the_library_reads_them(proof: tuple[Path, str]) -> None:
    """A good signature does not help beside a wrong one of the same key, lines that are none, or a crowd."""
    workspace, text = proof
    told, key = json.loads(text), PrivateKey("lab/key", bytes(32))
    with ArtifactRegistry(workspace, "wheat") as registry:
        note = key.signed(registry.as_of(int(told["checkpoint"].split("\n")[1])).checkpoint())
    other = PrivateKey("lab/other", bytes(range(32))).signed("another text\n").partition("\n\n")[2]
    wrong = key.signed("another text\n").partition("\n\n")[2]
    for extra in ["", other, other * 99, wrong, "nonsense\n", "— lab/key\n", "— lab/key AAAA\n", other * 100]:
        told["checkpoint"] = note + extra
        try:
            body, signatures = opened(told["checkpoint"].encode())
            is_signed = key.public.has_signed(body, signatures)
        except CorruptionError:
            is_signed = False
        if is_signed:
            assert check(told, str(key.public))
        else:
            with pytest.raises(NotProvenError):
                check(told, str(key.public))
        assert is_signed == (extra in ("", other, other * 99))


def test_a_log_that_is_not_meant_is_refused(proof: tuple[Path, str]) -> None:
    """One key may sign several."""
    told = json.loads(proof[1])
    assert check(told, log="chainfold/wheat") == check(told)
    with pytest.raises(NotProvenError, match="not of 'chainfold/oats'"):
        check(told, log="chainfold/oats")


def test_a_proof_is_of_one_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others may append whenever the log is looked at; the artifact was live all the time."""
    with (
        ArtifactRegistry(tmp_path, "wheat") as registry,
        ArtifactRegistry(tmp_path, "wheat", actor="other") as other,
    ):
        other.register([0], "m:1:all", "model")
        other.register([1], "n:1:all", "model", depends_on=["m:1:all"])
        looked = 0

        def refresh() -> None:
            nonlocal looked
            looked += 1
            other.register([looked], "m:1:all", "model")
            real()

        real = registry._data.refresh
        monkeypatch.setattr(registry._data, "refresh", refresh)
        for _ in range(3):
            check(json.loads(registry.model_proof("m:1:all")))
            for found in (registry.lineage("m:1:all"), registry.descendants("m:1:all")):
                assert [(each.registration is not None, each.is_current) for each in found] == [(True, True)]
        assert looked >= 9


@pytest.mark.parametrize("how", ["deleted", "replaced", "rolled back"])
def test_what_never_was_visible_is_said_to_be_so(tmp_path: Path, how: str) -> None:
    with ArtifactRegistry(tmp_path, "wheat") as registry:
        registry.start_run()
        registry.register([1], "m:1:all", "model")
        if how == "rolled back":
            registry.cleanup_failed_run()
        else:
            if how == "replaced":
                registry.register([2], "m:1:all", "model")
            registry.delete_pipeline_artifacts("m")
            registry.end_run()
        said = "was rolled back" if how == "rolled back" else "before it committed"
        with pytest.raises(NotFoundError, match=rf"'m:1:all', registered at \d, is not visible.*{said}"):
            registry.model_proof("m:1:all")


def test_what_is_not_visible_is_not_proven(tmp_path: Path) -> None:
    with ArtifactRegistry(tmp_path, "wheat") as registry:
        with pytest.raises(NotFoundError, match="nobody"):
            registry.model_proof("nobody")
        registry.start_run()
        registry.register([1], "mine:1:all", "model")
        with pytest.raises(NotFoundError, match="is not visible"):
            registry.model_proof("mine:1:all")
        registry.end_run()
        check(json.loads(registry.model_proof("mine:1:all")))


@pytest.fixture
def restored(tmp_path: Path) -> dict[str, Any]:
    """The proof of a model that was restored when its scaler had been replaced."""
    with ArtifactRegistry(tmp_path, "wheat") as registry:
        registry.register(["old"], "p:s:all", "transformer")
        registry.register(["model"], "p:m:all", "model", depends_on=["p:s:all"])
        good = registry.position
        registry.register(["new"], "p:s:all", "transformer")
        registry.register(["other model"], "p:m:all", "model", depends_on=["p:s:all"])
        registry.restore("p:m:all", good)
        registry.register(["again"], "q:m:all", "model", depends_on=["p:m:all"])
        told: dict[str, Any] = json.loads(registry.model_proof("p:m:all"))
    return told


def test_what_was_restored_was_made_from_what_was_there_then(restored: dict[str, Any]) -> None:
    found = check(restored)
    assert [each["position"] for each in restored["registrations"]] == [4, 1, 0]
    assert "it repeats the registration at 1" in found[-3]
    assert "'p:s:all' was registered at 0" in found[-1]


def name_the_new_source(told: dict[str, Any]) -> None:
    for each in told["registrations"][:2]:
        each["sources"][0]["position"] = None
    told["registrations"].pop()


def leave_out_what_it_repeats(told: dict[str, Any]) -> None:
    told["registrations"].pop(1)


def differ_from_what_it_repeats(told: dict[str, Any]) -> None:
    told["registrations"][0]["sources"][0]["position"] = None


def repeat_a_source(told: dict[str, Any]) -> None:
    line = told["entries"]["4"]["line"]
    told["entries"]["4"]["line"] = line.replace('"restored_from":1', '"restored_from":0')


@pytest.mark.parametrize(
    "forge",
    [name_the_new_source, leave_out_what_it_repeats, differ_from_what_it_repeats, repeat_a_source],
)
def test_what_was_restored_cannot_be_said_otherwise(
    restored: dict[str, Any], forge: Callable[[dict[str, Any]], None]
) -> None:
    forge(restored)
    with pytest.raises(NotProvenError):
        check(restored)


def test_a_loop_of_links_is_no_verdict(proof: tuple[Path, str], tmp_path: Path) -> None:
    (tmp_path / "proof.json").write_text(proof[1], encoding="utf-8")
    loop = tmp_path / "loop"
    try:
        loop.symlink_to(loop)
    except OSError:
        pytest.skip("no links here")
    done = subprocess.run(
        [sys.executable, model_verifier.__file__, tmp_path / "proof.json", "--files", loop],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("NOT CHECKED: ")
