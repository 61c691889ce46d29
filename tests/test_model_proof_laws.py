"""Laws of model proofs: whatever happened can be proven, and no file says what did not happen.

Whatever is done to a file, the verifier ends with a verdict in words; and if that is PROVEN, the file states
nothing that the untouched one did not.
"""

import contextlib
import copy
import io
import json
import shutil
import warnings
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.test_model_proofs import KEY, fill

from chainfold import ArtifactRegistry, NotFoundError
from chainfold.proof.model_verifier import check, loads, main

IDS: Final = ("p:1:all", "p:2:all", "q:1:all", "q:2:all")
Fact = tuple[Any, ...]

# completeness: what happened can be proven

Step = tuple[str, int, frozenset[int]]
steps: Final = st.tuples(
    st.sampled_from(("register", "register", "register", "restore", "delete", "purge")),
    st.integers(0, 3),
    st.frozensets(st.integers(0, 3), max_size=3),
)
histories: Final = st.lists(
    st.tuples(st.sampled_from(("alone", "commit", "fail", "take back")), st.lists(steps, max_size=4))
)


def act(registry: ArtifactRegistry, step: Step) -> None:
    verb, which, sources = step
    if verb == "register":
        names = [IDS[source] for source in sorted(sources) if source != which]
        registry.register([which, *sources], IDS[which], "model", depends_on=names)
    elif verb == "restore":
        with contextlib.suppress(NotFoundError):
            registry.restore(IDS[which], min(registry.position, 3 * len(sources)))
    elif verb == "delete":
        registry.delete_pipeline_artifacts("pq"[which % 2])
    elif which == 0:
        registry.purge_dataset_artifacts(confirm=True)


def live(registry: ArtifactRegistry, history: list[tuple[str, list[Step]]]) -> None:
    for how, inner in history:
        with contextlib.suppress(ZeroDivisionError), contextlib.ExitStack() as stack:
            registry.end_run()  # what stood alone before is not taken back
            if how in {"commit", "fail"}:
                stack.enter_context(registry.run())
            for step in inner:
                act(registry, step)
            if how == "fail":
                raise ZeroDivisionError
            if how == "take back":
                registry.cleanup_failed_run()


@settings(max_examples=60)
@given(histories)
def test_whatever_is_visible_can_be_proven_at_every_size(
    tmp_path_factory: pytest.TempPathFactory, history: list[tuple[str, list[Step]]]
) -> None:
    workspace = tmp_path_factory.mktemp("history")
    with warnings.catch_warnings(), ArtifactRegistry(workspace, "wheat", actor="tester") as registry:
        warnings.simplefilter("ignore")
        live(registry, history)
        for size in range(registry.position + 1):
            view = registry.as_of(size)
            kept = view.checkpoint()
            for record in view.iter_records():
                told = loads(view.model_proof(record.artifact_id).encode())
                found = check(told, checkpoint=kept)
                assert any(record.artifact_id in each and record.content_hash in each for each in found)
                assert_true(registry, facts(told), size)
    shutil.rmtree(workspace)


def facts(told: dict[str, Any]) -> set[Fact]:
    """What a proof states, one by one."""
    found: set[Fact] = {
        ("artifact", told["artifact"]),
        ("checkpoint", told["checkpoint"].partition("\n\n")[0]),
    }
    for each in told["registrations"]:
        place = each["artifact_id"], each["position"]
        found.add(("registered", *place, each["digest"]))
        found |= {
            ("made from", *place, source["artifact_id"], source["position"])
            for source in each["sources"]
            if source["position"] is not None
        }
        if each["shown"] is not None:
            found.add(("shown", *place, each["shown"]))
        if each["ended"] is not None:
            found.add(("ended", *place, each["ended"], each["cause"]))
    found |= {("words", name, *told[name]) for name in ("proves", "does not prove")}
    return found | {("entry", int(at), entry["line"]) for at, entry in told["entries"].items()}


def assert_true(registry: ArtifactRegistry, found: set[Fact], size: int) -> None:
    """Each fact, against what the history of each id says."""
    for kind, *rest in found:
        if kind in ("shown", "ended"):
            artifact_id, position, moment, *cause = rest
            (item,) = [each for each in registry.history(artifact_id) if each.position == position]
            assert moment + 1 == (item.visible_from if kind == "shown" else item.removed_at)
            assert moment < size
            if cause and item.standing != "superseded":
                (event,) = registry.events(cause[0], cause[0] + 1)
                assert event.event.kind == item.removed_by
        elif kind == "made from":
            product, source = rest[1], rest[3]
            assert source is None or source != product


# soundness: a changed file says nothing new


@pytest.fixture(scope="module")
def proof(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    folder = tmp_path_factory.mktemp("laws")
    return folder, fill(folder / "workspace").encode()


def verdict(path: Path, data: bytes, *options: str) -> tuple[int, str]:
    """The exit code of the command, and all that it prints."""
    path.write_bytes(data)
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        code = main([str(path), *options])
    return code, out.getvalue()


def check_verdict(folder: Path, data: bytes, original: bytes) -> None:
    code, text = verdict(folder / "changed.json", data, "--key", str(KEY.public))
    if code == 1:
        assert text.startswith("NOT PROVEN: ")
        return
    assert code == 0
    assert text.startswith("PROVEN:")
    assert facts(loads(data)) <= facts(loads(original))


values: Final = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 12)
    | st.just(10**400)
    | st.floats()
    | st.sampled_from(
        ["", "0", "00", "1", "\uff19", "+1", "pls:1:0", "data:1:all", "\ud800", "\x1b[2J", "— a b\n"]
    )
    | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["position", "x"]), inner),
    max_leaves=4,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where something is in a JSON value, the value itself left out."""
    inner: Any = (
        value.items() if isinstance(value, dict) else enumerate(value if isinstance(value, list) else ())
    )
    return [place for step, each in inner for place in [(*path, step), *places(each, (*path, step))]]


def changed(told: Any, data: st.DataObject) -> Any:
    told = copy.deepcopy(told)
    path = data.draw(st.sampled_from(places(told)))
    inner = told
    for step in path[:-1]:
        inner = inner[step]
    verb = data.draw(st.sampled_from(["replace", "replace", "remove", "repeat", "swap", "another"]))
    if verb == "remove":
        del inner[path[-1]]
    elif verb == "repeat" and isinstance(inner, list):
        inner.insert(data.draw(st.integers(0, len(inner))), copy.deepcopy(inner[path[-1]]))
    elif verb == "repeat":
        inner[data.draw(st.sampled_from(["x", "00", "1", "2", "position", "0"]))] = inner[path[-1]]
    elif verb == "swap":
        other = data.draw(st.sampled_from([*inner] if isinstance(inner, dict) else range(len(inner))))
        inner[path[-1]], inner[other] = inner[other], inner[path[-1]]
    elif verb == "another":  # what the proof has elsewhere
        elsewhere = told
        for step in data.draw(st.sampled_from(places(told))):
            elsewhere = elsewhere[step]
        inner[path[-1]] = copy.deepcopy(elsewhere)
    else:
        inner[path[-1]] = data.draw(values)
    return told


@settings(max_examples=400)
@given(st.data(), st.integers(1, 3))
def test_a_changed_value_is_refused_or_says_nothing_new(
    proof: tuple[Path, bytes], data: st.DataObject, times: int
) -> None:
    folder, original = proof
    told = loads(original)
    for _ in range(times):
        told = changed(told, data)
    check_verdict(folder, json.dumps(told).encode(), original)


@settings(max_examples=300)
@given(st.data(), st.binary(max_size=4), st.sampled_from(["flip", "insert", "remove", "repeat", "cut"]))
def test_changed_bytes_are_refused_or_say_nothing_new(
    proof: tuple[Path, bytes], data: st.DataObject, more: bytes, verb: str
) -> None:
    folder, original = proof
    at = data.draw(st.integers(0, len(original) - 1))
    until = min(at + data.draw(st.integers(1, 300)), len(original))
    changed = {
        "flip": original[:at] + bytes([original[at] ^ (1 << len(more))]) + original[at + 1 :],
        "insert": original[:at] + more + original[at:],
        "remove": original[:at] + original[until:],
        "repeat": original[:until] + original[at:],
        "cut": original[:at],
    }[verb]
    check_verdict(folder, changed, original)


def test_no_entry_of_the_log_can_be_misused(proof: tuple[Path, bytes]) -> None:
    """Each position that a proof names, changed to every other, by somebody who has the whole log."""
    folder, original = proof
    told = loads(original)
    with ArtifactRegistry(folder / "workspace", "wheat") as registry:
        log, size = registry._data.log, registry.position
        known = {
            at: {
                "line": log.line(at).decode(),
                "path": [each.hex() for each in registry.inclusion_proof(at).path],
            }
            for at in range(size)
        }
        tried = 0
        for path in [place for place in places(told) if place[-1] in NUMBERS]:
            for number in [*range(size), None]:
                again = copy.deepcopy(told)
                inner: Any = again
                for step in path[:-1]:
                    inner = inner[step]
                inner[path[-1]] = number
                tried += check_forged(folder, again, known, original)
        assert tried > 200
        assert_true(registry, facts(told), size)


NUMBERS: Final = frozenset({"position", "shown", "ended", "cause"})


def check_forged(folder: Path, told: dict[str, Any], known: dict[int, Any], original: bytes) -> int:
    """With the entries that it names then, and also with a cause that is the end."""
    tries = [told, copy.deepcopy(told)]
    for each in tries[1]["registrations"]:
        each["cause"] = each["ended"]
    for one in tries:
        named = {each[name] for each in one["registrations"] for name in NUMBERS} - {None}
        one["entries"] = {str(at): known[at] for at in sorted(named)}
        code, _ = verdict(folder / "forged.json", json.dumps(one).encode(), "--key", str(KEY.public))
        if code == 0:
            new = facts(one) - facts(loads(original))
            assert {each[0] for each in new} <= {"entry"}, new
    return len(tries)
