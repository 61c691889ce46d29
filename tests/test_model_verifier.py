"""The verifier of model proofs: one spelling for everything, and a verdict in words whatever it is given."""

import contextlib
import copy
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
from tests.test_model_proof_laws import NUMBERS, places, verdict
from tests.test_model_proofs import KEY, VERIFIER, fill
from tests.test_proofs import naive_root, nodes_of

from chainfold import ArtifactRegistry
from chainfold.log import Checkpoint
from chainfold.proof import model_verifier, paths
from chainfold.proof.model_verifier import MAX_BYTES, NotCheckedError, NotProvenError, check, loads, main


@pytest.fixture(scope="module")
def proof(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    folder = tmp_path_factory.mktemp("verifier")
    return folder, fill(folder / "workspace").encode()


def objects(value: Any) -> list[dict[str, Any]]:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [value] * isinstance(value, dict) + [found for each in inner for found in objects(each)]


def refused(told: dict[str, Any], why: str) -> None:
    with pytest.raises(NotProvenError, match=why):
        check(told)


def test_a_proof_has_its_members_and_no_others(proof: tuple[Path, bytes]) -> None:
    told = loads(proof[1])
    for at in range(len(objects(told))):
        again = copy.deepcopy(told)
        if objects(again)[at] is not again["entries"]:
            objects(again)[at]["note"] = "checked by nobody"
            refused(again, "an object is not")


def test_a_number_is_a_number(proof: tuple[Path, bytes]) -> None:
    """Not one that only equals it, nor one thing for another of its kind."""
    told = loads(proof[1])
    for path in [place for place in places(told) if place[-1] in NUMBERS]:
        again = copy.deepcopy(told)
        inner: Any = again
        for step in path[:-1]:
            inner = inner[step]
        number = inner[path[-1]]
        for wrong in () if number is None else (float(number), str(number), [number], -1 - number):
            inner[path[-1]] = wrong
            refused(again, "number")
    wholes = {"registrations": {}, "entries": [], "proves": "", "artifact": 1, "checkpoint": None}
    for name, whole in wholes.items():
        refused({**told, name: whole}, "expected")
    first, *others = told["registrations"]
    for name, part in {"position": True, "shown": True, "sources": {}, "digest": None}.items():
        refused({**told, "registrations": [{**first, name: part}, *others]}, r"number|expected")


def test_a_position_and_a_hash_have_one_spelling(proof: tuple[Path, bytes]) -> None:
    told = loads(proof[1])
    entries = told["entries"]
    for key in ("00", "+0", " 0", "\uff10", "0_0", "-0", ""):
        again = {key if at == "0" else at: each for at, each in entries.items()}
        refused({**told, "entries": again}, "is no position")
    first, *others = entries["0"]["path"]
    for wrong in (first.upper(), " " + first, first[:-2], first + "00", ""):
        again = {**entries, "0": {**entries["0"], "path": [wrong, *others]}}
        refused({**told, "entries": again}, "is no hash")


def test_a_checkpoint_has_one_spelling(proof: tuple[Path, bytes]) -> None:
    """Also where nobody has signed it."""
    told = loads(proof[1])
    note = told["checkpoint"]
    text = note.partition("\n\n")[0] + "\n"
    name, size, root = text.splitlines()
    assert check({**told, "checkpoint": text})[1:] == check(told)[1:]
    for wrong in (
        "", "\n", text[:-1], text + "\n", "\n" + text, text.replace("\n", "\r\n"), text.replace("/", "\0/"),
        f"\n{size}\n{root}\n", f"{name}\n0{size}\n{root}\n", f"{name}\n+{size}\n{root}\n",
        f"{name}\n{size} \n{root}\n", f"{name}\n{size}\n{root}=\n", f"{name}\n{size}\n{root[:-4]}\n",
        f"{name}\n{size}\n\n{root}\n", f"{name}\n{size}\n{root}\n\nmore\n\n",
        f"{name}\n{'9' * 5000}\n{root}\n", text + "\n— name AAAAAAAA",
        f"{name}\n{size}\n{root[:-2]}{chr(ord(root[-2]) + 1)}=\n",
    ):  # fmt: skip
        with pytest.raises(NotProvenError):
            check({**told, "checkpoint": wrong})
        with pytest.raises(NotProvenError):
            check({**told, "checkpoint": wrong}, str(KEY.public))
    kept = f"{text[:-1]}\nan extension\n"
    assert check({**told, "checkpoint": kept}, checkpoint=kept)
    with pytest.raises(NotProvenError, match="another checkpoint"):
        check(told, checkpoint=kept)
    twice = note + "— somebody/else AAAAAAAA\n" + note.rpartition("\n\n")[2]
    assert check({**told, "checkpoint": twice}, str(KEY.public))
    for more in ("nonsense\n", "\n", "— two words AAAA\n", "— name !\n"):
        with pytest.raises(NotProvenError):
            check({**told, "checkpoint": text + "\n" + more + note.rpartition("\n\n")[2]}, str(KEY.public))


def deep(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


HOSTILE: Final[dict[str, bytes]] = {
    "empty": b"",
    "null": b"null",
    "bytes": bytes(range(256)),
    "utf-16": "{}".encode("utf-16"),
    "deep": deep(200_000),
    "long number": b'{"format":' + b"9" * 10_000 + b"}",
    "large number": b'{"format": 1e999}',
    "NaN": b'{"format": NaN}',
    "infinity": b'{"format": -Infinity}',
    "surrogate": b'{"format": "\\ud800"}',
    "twice": b'{"format": "chainfold model proof 1", "format": "chainfold model proof 1"}',
    "only a format": b'{"format": "chainfold model proof 1"}',
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused_in_words(proof: tuple[Path, bytes], name: str) -> None:
    code, text = verdict(proof[0] / "hostile.json", HOSTILE[name], "--key", str(KEY.public))
    assert (code, text[:12]) == (1, "NOT PROVEN: ")
    assert len(text.splitlines()) == 1
    assert len(text) < 500


@pytest.mark.parametrize("where", ["top", "registration", "entry", "line"])
def test_what_is_said_twice_is_refused(proof: tuple[Path, bytes], where: str) -> None:
    """Also if it is the same: readers differ on which one counts."""
    folder, original = proof
    text = original.decode()
    old, new = {
        "top": ('"artifact":', '"artifact": "pls:1:0", "artifact":'),
        "registration": ('"digest":', '"digest": "sha256:0", "digest":'),
        "entry": ('"line":', '"line": "", "line":'),
        "line": ('"line": "{', '"line": "{\\"kind\\":\\"alias-set\\",'),
    }[where]
    assert old in text
    code, found = verdict(folder / "twice.json", text.replace(old, new, 1).encode(), "--key", str(KEY.public))
    assert code == 1
    assert "twice" in found or where == "line"


def test_a_file_that_is_too_large_is_not_read(proof: tuple[Path, bytes]) -> None:
    path = proof[0] / "large.json"
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    out = io.StringIO()
    with contextlib.redirect_stderr(out):
        assert main([str(path)]) == 1
    assert out.getvalue() == f"NOT PROVEN: it is larger than {MAX_BYTES:,} bytes\n"
    path.unlink()


@pytest.mark.parametrize(
    "key", ["", "name", "a+b", "a+b+c", str(KEY.public)[:-4], str(KEY.public).replace("+", " "), KEY.text()]
)
def test_what_is_no_key_says_nothing_about_the_proof(proof: tuple[Path, bytes], key: str) -> None:
    code, text = verdict(proof[0] / "proof.json", proof[1], "--key", key)
    assert (code, text[:13]) == (2, "NOT CHECKED: ")
    assert "the key is no Ed25519 key" in text
    with pytest.raises(NotCheckedError):
        check(loads(proof[1]), key)


def test_files_that_cannot_be_read_say_nothing_about_the_proof(proof: tuple[Path, bytes]) -> None:
    folder, original = proof
    with contextlib.redirect_stderr(io.StringIO()) as out:
        assert main([str(folder)]) == 2
        assert main([str(folder / "nowhere.json")]) == 2
    assert out.getvalue().count("NOT CHECKED: ") == 2
    code, text = verdict(folder / "proof.json", original, "--checkpoint", str(folder / "proof.json"))
    assert (code, "what was kept is no checkpoint" in text) == (2, True)


def test_a_proof_is_against_the_checkpoint_that_was_kept(tmp_path: Path) -> None:
    with ArtifactRegistry(tmp_path / "workspace", "wheat", actor="tester") as registry:
        registry.register([1], "p:1:all", "model")
        kept = registry.checkpoint()
        registry.register([2], "p:2:all", "model")
        older, newer = registry.as_of(kept).model_proof("p:1:all"), registry.model_proof("p:1:all")
        signed = registry.as_of(kept).checkpoint(KEY)
    for each in (kept, signed):
        (tmp_path / "kept").write_text(each, encoding="utf-8")
        options = ["--checkpoint", str(tmp_path / "kept")]
        code, text = verdict(tmp_path / "proof.json", older.encode(), *options)
        assert (code, "its checkpoint is the one that was kept" in text) == (0, True)
        assert text.startswith("PROVEN:\n")
        code, text = verdict(tmp_path / "proof.json", newer.encode(), *options)
        assert (code, "it is against another checkpoint" in text) == (1, True)
    code, text = verdict(tmp_path / "proof.json", newer.encode())
    assert code == 0
    assert text.startswith("PROVEN, if the checkpoint is of the log that you mean:\n")
    assert "Nobody's signature was checked" in text


def test_a_terminal_obeys_nothing_of_a_proof(tmp_path: Path) -> None:
    with ArtifactRegistry(tmp_path / "workspace", "wheat", actor="me\u202e\u2028you") as registry:
        registry.register([1], "p\u202eq:1:all", "model", depends_on=["naïve\u2066"])
        told = registry.model_proof("p\u202eq:1:all")
    code, text = verdict(tmp_path / "proof.json", told.encode())
    assert code == 0
    assert all(char.isprintable() or char == "\n" for char in text)
    assert "by me\\u202e\\u2028you" in text


def test_a_stranger_has_python_and_nothing_else(proof: tuple[Path, bytes], tmp_path: Path) -> None:
    """No site-packages: all but the signature is checked, and what that needs is said."""
    shutil.copy(VERIFIER, tmp_path / "verifier.py")
    (tmp_path / "proof.json").write_bytes(proof[1])
    (tmp_path / "kept").write_text(loads(proof[1])["checkpoint"], encoding="utf-8")

    def run(*options: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-I", "-S", "verifier.py", "proof.json", *options]
        return subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=tmp_path, encoding="utf-8"
        )

    done = run()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("PROVEN, if the checkpoint is of the log that you mean:\n")
    done = run("--checkpoint", "kept")
    assert (done.returncode, done.stdout[:8]) == (0, "PROVEN:\n")
    done = run("--key", str(KEY.public))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("NOT CHECKED: a signature is checked with `pip install cryptography`")
    done = run("--nonsense")
    assert done.returncode == 2


@pytest.mark.skipif(sys.platform == "win32", reason="pipes end otherwise there")
@pytest.mark.parametrize("is_proven", [True, False])
def test_who_stops_reading_is_not_told_of_it(*, tmp_path: Path, is_proven: bool) -> None:
    """As `head -1` does; the exit code still says what was found."""
    with ArtifactRegistry(tmp_path / "workspace", "wheat") as registry:
        registry.register([1], "p:1:all", "model")
        proof = registry.model_proof("p:1:all")
    (tmp_path / "proof.json").write_text(proof if is_proven else proof.replace("p:1:all", "p:2:all"))
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, str(model_verifier.__file__), str(tmp_path / "proof.json")],
            check=False,
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
        )
    finally:
        os.close(writer)
    assert done.returncode == (0 if is_proven else 1)
    assert done.stderr.startswith("" if is_proven else "NOT PROVEN: ")
    assert len(done.stderr.splitlines()) == (0 if is_proven else 1)


def test_a_verifier_is_one_short_file_of_the_standard_library() -> None:
    source = Path(model_verifier.__file__).read_text(encoding="utf-8")
    assert source.count("\n") < 450
    imported = {
        line.split()[1].partition(".")[0]
        for line in source.splitlines()
        if line.startswith(("import ", "from "))
    }
    assert imported <= sys.stdlib_module_names
    assert "chainfold." not in source
    with pytest.raises(NotProvenError):
        check({})


# what somebody says who makes a log of his own, so that every path is right


def record(name: str, *sources: str) -> dict[str, Any]:
    digest = "sha256:" + hashlib.sha256(name.encode()).hexdigest()
    return {"artifact_id": name, "content_hash": digest, "path": f"{name}.joblib", "depends_on": [*sources]}


def entry(position: int, kind: str, **more: Any) -> dict[str, Any]:
    return {"position": position, "at": "2026-01-31T00:00:00.000000Z", "actor": "me", "kind": kind, **more}


def told_of(position: int, registered: dict[str, Any], *sources: int | None, **more: Any) -> dict[str, Any]:
    names = registered["depends_on"]
    return {
        "artifact_id": registered["artifact_id"],
        "position": position,
        "digest": registered["content_hash"],
        "sources": [{"artifact_id": name, "position": at} for name, at in zip(names, sources, strict=True)],
        "shown": position,
        "ended": None,
        "cause": None,
        **more,
    }


def made(log: list[dict[str, Any]], *told: dict[str, Any]) -> dict[str, Any]:
    """The proof that somebody makes of a log of his own."""
    lines = [json.dumps(each).encode() for each in log]
    checkpoint = Checkpoint("chainfold/wheat", len(lines), naive_root(lines)).text().decode()
    used = {each[name] for each in told for name in NUMBERS} - {None}
    entries = {
        str(at): {
            "line": lines[at].decode(),
            "path": [each.hex() for each in paths.inclusion(nodes_of(lines), at, len(lines))],
        }
        for at in sorted(used)
    }
    return {
        "format": model_verifier.FORMAT,
        "artifact": told[0]["artifact_id"],
        "checkpoint": checkpoint,
        "registrations": [*told],
        "entries": entries,
        "proves": [*model_verifier.BOUND],
        "does not prove": [*model_verifier.UNBOUND],
    }


A: Final = record("a")
B: Final = record("b", "a")
GOOD: Final = [entry(0, "artifact-registered", record=A), entry(1, "artifact-registered", record=B)]


def changed(at: int, **more: Any) -> list[dict[str, Any]]:
    return [{**each, **more} if number == at else each for number, each in enumerate(GOOD)]


def test_a_log_that_somebody_makes_must_make_sense() -> None:
    told = told_of(1, B, 0), told_of(0, A)
    assert check(made(GOOD, *told))
    assert check(made(changed(0, v=2), *told))  # with private fields
    for log, why in [
        (changed(0, v=0), "of a version that is not known"),
        (changed(0, position=1), "says that it is at 1"),
        (changed(0, position=0.0), "a number from 0 on"),
        (changed(0, v=3), "of a version that is not known"),
        (changed(0, kind="alias-set"), "registers nothing"),
        (changed(0, record=record("c")), "does not register 'a'"),
        (changed(1, record={**B, "depends_on": ["a", "c"]}), "was made from something else"),
        (changed(1, record={**B, "content_hash": "sha256:"}), "with another digest"),
        (changed(0, run="r"), "did not become visible by that event"),
        (changed(0, record=None), "no proof of the form"),
        (changed(0, note=float("nan")), "no number in JSON"),
    ]:
        refused(made(log, *told), why)


def test_a_source_was_there_when_it_was_used() -> None:
    later = [entry(0, "artifact-registered", record=B), entry(1, "artifact-registered", record=A)]
    refused(made(later, told_of(0, B, 1), told_of(1, A)), "was not there for 'b'")
    gone = entry(1, "artifacts-deleted", artifact_ids=["a"])
    log = [GOOD[0], gone, entry(2, "artifact-registered", record=B)]
    refused(made(log, told_of(2, B, 0), told_of(0, A, ended=1, cause=1)), "was not there for 'b'")
    log = [GOOD[0], entry(1, "artifact-registered", record=B), {**gone, "position": 2}]
    assert check(made(log, told_of(1, B, 0), told_of(0, A, ended=2, cause=2)))


@pytest.mark.parametrize("kind", ["pipeline", "other pipeline", "other id", "purge", "in no run", "earlier"])
def test_an_end_has_a_cause_that_can_end_it(kind: str) -> None:
    ending, is_good = {
        "pipeline": (entry(1, "artifacts-deleted", pipeline_id="p"), True),
        "other pipeline": (entry(1, "artifacts-deleted", pipeline_id="q", artifact_ids=["a"]), False),
        "other id": (entry(1, "artifacts-deleted", artifact_ids=["b"]), False),
        "purge": (entry(1, "dataset-purged"), True),
        "in no run": (entry(1, "run-committed", run="r"), False),
        "earlier": (entry(1, "artifact-registered", record=A, run="r"), False),
    }[kind]
    log = [entry(0, "artifact-registered", record={**A, "pipeline_id": "p"}), ending]
    proof = made(log, told_of(0, A, ended=1, cause=1))
    if is_good:
        assert any("it can have been ended by" in each for each in check(proof))
    else:
        refused(proof, "was not ended by that event")


def test_a_run_ends_what_it_ends_with_its_own_commit() -> None:
    log = [
        GOOD[0],
        entry(1, "run-started", run="r"),
        entry(2, "artifact-registered", record=A, run="r"),
        entry(3, "run-committed", run="s"),
        entry(4, "run-committed", run="r"),
        entry(5, "run-rolled-back", run="r"),
    ]
    assert check(made(log, told_of(0, A, ended=4, cause=2)))
    for ended in (1, 2, 3, 5):
        refused(made(log, told_of(0, A, ended=ended, cause=2)), "was not ended by that event")
    refused(made(log, told_of(0, A, ended=4, cause=0)), "was not ended by that event")
    refused(made(log, told_of(0, A, ended=None, cause=2)), "was not ended by that event")
    assert check(made(log, told_of(2, A, shown=4)))
    for shown in (1, 2, 3, 5):
        refused(made(log, told_of(2, A, shown=shown)), "did not become visible by that event")


def test_a_path_is_as_long_as_the_tree_is_high() -> None:
    proof = made(GOOD, told_of(1, B, None))
    for path in ([], [*proof["entries"]["1"]["path"], "00" * 32]):
        refused(
            {**proof, "entries": {"1": {**proof["entries"]["1"], "path": path}}}, r"not in the log|too long"
        )
    moved = {**proof, "entries": {"2": proof["entries"]["1"]}}
    refused(moved, "the log has no entry 2")


@pytest.mark.parametrize("path", ["../a", "/etc/passwd", "C:\\a", "c:a", "a\0b", "x/../../a", 7, None])
def test_a_file_is_looked_for_in_its_folder_only(tmp_path: Path, path: Any) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "a").write_bytes(b"a")
    log = [entry(0, "artifact-registered", record={**A, "path": path})]
    with pytest.raises(NotProvenError, match=r"leads out|no path|no proof of the form"):
        check(made(log, told_of(0, A)), files=tmp_path / "files")
