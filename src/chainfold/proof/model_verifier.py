"""Check the proof of a model, offline, with nothing but Python (and `cryptography`, to check a signature).

    python model_verifier.py proof.json [--key NAME+ID+BASE64] [--log NAME] [--checkpoint FILE] [--files DIR]

This file needs nothing of chainfold: copy it to wherever it is to be believed. It says PROVEN, and what, and
exits with 0; or NOT PROVEN, and the first thing that does not hold, with 1; or NOT CHECKED, and why it could
not, with 2. Whatever the file holds, it is taken for the work of somebody who wants to deceive.
"""

import argparse
import base64
import hashlib
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

Json = dict[str, Any]
Text = str | None
FORMAT = "chainfold model proof 1"
MAX_BYTES = 64 << 20
MAX_SIGNATURES = 100
HASH = re.compile(r"[0-9a-f]{64}")
NUMBER = re.compile(r"0|[1-9][0-9]{0,17}")
BOUND = (
    "The entries below are, byte for byte, in the log that the checkpoint commits to, each at its position.",
    "They register the artifact, and its sources with a position, by the names that it was made from.",
    "A source without a position is named only: nothing else is said of it.",
    "Each registration has the digest of the bytes that were registered, unless it was imported.",
    "An entry that is named as `shown` can have made it visible: the registration, or the commit of its run.",
    "A private field of a registration is the digest of a file: who has the file can compare it.",
    "An entry that is named as `ended` can have ended it, because of the one that is named as `cause`.",
)
UNBOUND = (
    "That nothing else happened: the log may have more about these artifacts. Who has all of it can tell.",
    "That a source is the registration that was used: an older one of its name, or none, may stand there.",
    "That these events, and no others before them, showed and ended it: its own run may have taken it back.",
    "That the log was shown alike to everybody: compare checkpoints with others who keep them.",
    "That what the entries say is true: who acts, and when, is what the writer's machine said.",
    "Who made the checkpoint, unless it is signed with a key that you know, or you have kept it yourself.",
)

REGISTRATION = {
    "artifact_id": str, "position": int, "digest": str, "sources": [{"artifact_id": str, "position": None}],
    "shown": None, "ended": None, "cause": None,
}  # fmt: skip
"""The members of an object, and their types; None for a number or null."""
PROOF = {
    "format": str, "artifact": str, "checkpoint": str, "registrations": [REGISTRATION], "entries": dict,
    "proves": [str], "does not prove": [str],
}  # fmt: skip
ENTRY = {"line": str, "path": [str]}


class NotProvenError(Exception):
    """Something that the proof says does not hold."""


class NotCheckedError(Exception):
    """What is needed for the check is missing or unreadable: this says nothing about the proof."""


def check(
    proof: Any, key: Text = None, checkpoint: Text = None, files: Path | None = None, log: Text = None
) -> list[str]:
    """Check a proof; what was found, in sentences.

    Args:
        proof: The file's JSON, as `loads` gives it.
        key: The public key, `name+id+base64`, that must have signed the checkpoint.
        checkpoint: A checkpoint that was kept: the proof must be against this one.
        files: A folder of the artifacts' files, to be compared with the digests: all must be there.
        log: The name of the log that is meant, `chainfold/DATASET`: one key may sign several.

    Raises:
        NotProvenError: Naming the first thing that does not hold.
        NotCheckedError: If key or checkpoint is none, a file is not there, or cryptography is not installed.
    """
    public = None if key is None else _key(key)
    kept = None if checkpoint is None else _kept(checkpoint)
    try:
        found = _check(proof, public, kept, log)
        entries = proof["entries"]
        return found + [_check_file(told, entries, files) for told in proof["registrations"] if files]
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError) as error:
        why = f"{error!s:.80} is not in it" if isinstance(error, KeyError) else "a part of it is no such part"
        raise NotProvenError(f"this is no proof of the form that is known: {why}") from error


def _check(proof: Any, key: tuple[str, bytes, Any] | None, kept: str | None, log: str | None) -> list[str]:
    _must(isinstance(proof, dict) and proof.get("format") == FORMAT, f"it is not of the format {FORMAT!r}")
    _shaped(proof, PROOF)
    words = proof["proves"], proof["does not prove"]
    _must(words == ([*BOUND], [*UNBOUND]), "its words on what it proves are not those of its format")
    text, below = _note(proof["checkpoint"])
    name, size, root = _head(text)
    _must(log in (None, name), f"it is of the log {name!r}, not of {log!r}")
    found = [f"the log is {name!r}, of {size} entries, with the root {base64.b64encode(root).decode()}"]
    if key is not None:
        _check_signature(text, below, key)
        found.append(f"its checkpoint is signed with the key {key[0]!r}")
    if kept is not None:
        _must(kept == text, "it is against another checkpoint than the one that was kept")
        found.append("its checkpoint is the one that was kept")
    entries = dict(_entry(position, each, size, root) for position, each in proof["entries"].items())
    found.append(f"{len(entries)} entries are in it, each at its position")
    registrations = {each["position"]: each for each in proof["registrations"]}
    _must(len(registrations) == len(proof["registrations"]) > 0, "a registration is there twice, or none is")
    for told in registrations.values():
        _check_registration(told, registrations, entries)
    first = proof["registrations"][0]
    _must(first["artifact_id"] == proof["artifact"], "the first registration is not that of the artifact")
    _must(first["shown"] is not None, "nothing says that the artifact ever became visible")
    is_all = _reached(first, registrations, entries) == set(registrations)
    _must(is_all, "there are registrations that were not used")
    used = {each[at] for each in registrations.values() for at in ("position", "shown", "ended", "cause")}
    _must(used - {None} == set(entries), "there are entries that nothing names")
    return found + [_sentence(told, entries) for told in registrations.values()]


def loads(data: bytes) -> Any:
    """The JSON of a file, if all readers would take it for the same.

    Raises:
        NotProvenError: If it is too large, no JSON, or says something twice or in numbers that JSON has not.
    """
    _must(len(data) <= MAX_BYTES, f"it is larger than {MAX_BYTES:,} bytes")
    try:
        return json.loads(data.decode(), object_pairs_hook=_object, parse_constant=_no_number)
    except (ValueError, RecursionError, MemoryError) as error:
        raise NotProvenError(f"this is no JSON that can be read: {error!s:.200}") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object that says nothing twice: readers could differ on which one counts."""
    found = dict(pairs)
    _must(len(found) == len(pairs), "something is said twice in one object")
    return found


def _no_number(text: str) -> None:
    raise NotProvenError(f"{text} is no number in JSON")


def _shaped(value: Any, shape: Any) -> None:
    """Refuse what is not made of these members and types: a reader that is lenient can be told two things."""
    if isinstance(shape, dict):
        _must(isinstance(value, dict) and value.keys() == shape.keys(), f"an object is not {[*shape]}")
        for name, inner in shape.items():
            _shaped(value[name], inner)
    elif isinstance(shape, list):
        _must(isinstance(value, list), f"a list was expected, not {value!r:.80}")
        for each in value:
            _shaped(each, shape[0])
    elif shape is int:
        _must(type(value) is int and value >= 0, f"a number from 0 on was expected, not {value!r:.80}")
    elif shape is None:
        _must(value is None or (type(value) is int and value >= 0), f"no number, nor null: {value!r:.80}")
    else:
        _must(isinstance(value, shape), f"{shape.__name__} was expected, not {value!r:.80}")


def _note(note: str) -> tuple[str, str]:
    """The text of a C2SP signed note, and the lines of signatures below it; or a text that is not signed."""
    _must(not any(char < " " and char != "\n" for char in note), "the checkpoint has control characters")
    text, blank, below = note.rpartition("\n\n")
    _must(not blank or below.endswith("\n"), "the checkpoint's signatures have no end")
    return (text + "\n", below) if blank else (note, "")


def _head(text: str) -> tuple[str, int, bytes]:
    """Name, size and root of a C2SP tlog-checkpoint."""
    _must(text.count("\n") > 2, "the checkpoint has fewer than three lines")  # noqa: PLR2004 - as C2SP has it
    name, size, root, *rest = text.split("\n")
    _must(bool(name) and bool(rest) and rest[-1] == "" and all(rest[:-1]), "the checkpoint has odd lines")
    _must(NUMBER.fullmatch(size) is not None, f"the checkpoint's size is {size!r:.80}")
    value = _base64(root)
    _must(len(value) == hashlib.sha256().digest_size, "the checkpoint's root has not 32 bytes")
    return name, int(size), value


def _kept(checkpoint: str) -> str:
    try:
        text = _note(checkpoint)[0]
        _head(text)
    except (NotProvenError, ValueError) as error:
        raise NotCheckedError(f"what was kept is no checkpoint: {error}") from error
    return text


def _base64(text: str) -> bytes:
    """The bytes of a text in base64 that has one spelling only."""
    value = base64.b64decode(text, validate=True)
    _must(base64.b64encode(value).decode() == text, f"{text!r:.80} is not how base64 spells it")
    return value


def _key(text: str) -> tuple[str, bytes, Any]:
    """Name, id and value of an Ed25519 key."""
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415 - only here
    except ImportError as error:
        raise NotCheckedError(f"a signature is checked with `pip install cryptography`: {error}") from error
    try:
        _must(text.count("+") > 1, f"{text.strip()!r:.80} is none")
        name, stated, encoded = text.strip().split("+", 2)
        public = _base64(encoded)
        key_id = hashlib.sha256(name.encode() + b"\n" + public).digest()[:4]
        _must(public[:1] == b"\x01" and key_id.hex() == stated, "it does not have the id that it says")
        return name, key_id, Ed25519PublicKey.from_public_bytes(public[1:])
    except (NotProvenError, ValueError) as error:
        raise NotCheckedError(f"the key is no Ed25519 key, NAME+ID+BASE64: {error}") from error


def _check_signature(text: str, below: str, key: tuple[str, bytes, Any]) -> None:
    """C2SP signed-note, Ed25519: of the key's signatures none may be wrong."""
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - only where it is asked for

    name, key_id, public = key
    lines = below[:-1].split("\n") if below else []
    _must(len(lines) <= MAX_SIGNATURES, f"the checkpoint has more than {MAX_SIGNATURES} signatures")
    is_signed = False
    for line in lines:
        dash, signer, value = line.split(" ") if line.count(" ") == 2 else ("", "", "")  # noqa: PLR2004 - as a line is
        signature = _base64(value)
        _must(dash == "—" and bool(signer) and len(signature) > len(key_id), f"no signature: {line!r:.100}")
        if (signer, signature[:4]) == (name, key_id):
            try:
                public.verify(signature[4:], text.encode())
            except InvalidSignature:
                raise NotProvenError("the checkpoint's signature is not of its text") from None
            is_signed = True
    _must(is_signed, f"the checkpoint is not signed with the key {name!r}")


def _entry(position: str, told: Any, size: int, root: bytes) -> tuple[int, dict[str, Any]]:
    """The entry at a position, which is proven to be in the log (RFC 9162, section 2.1.3.2)."""
    _must(NUMBER.fullmatch(position) is not None, f"{position!r:.80} is no position")
    _shaped(told, ENTRY)
    index, last, line = int(position), size - 1, told["line"].encode()
    _must(index <= last, f"the log has no entry {position}")
    node = hashlib.sha256(b"\x00" + line).digest()
    for each in told["path"]:
        _must(HASH.fullmatch(each) is not None, f"{each!r:.80} is no hash")
        _must(last > 0, f"the proof of entry {position} is too long")
        sibling = bytes.fromhex(each)
        if index & 1 or index == last:
            node = hashlib.sha256(b"\x01" + sibling + node).digest()
            while index and not index & 1:
                index, last = index >> 1, last >> 1
        else:
            node = hashlib.sha256(b"\x01" + node + sibling).digest()
        index, last = index >> 1, last >> 1
    _must(last == 0 and node == root, f"entry {position} is not in the log of the checkpoint")
    entry: dict[str, Any] = loads(line)
    _shaped(entry["position"], int)
    _must(entry["position"] == int(position), f"entry {position} says that it is at {entry['position']}")
    known = (1, 2) if entry["kind"] == "artifact-registered" else (1,)  # 2: what is private is a digest
    _must(entry.get("v", 1) in known, f"entry {position} is of a version that is not known")
    return int(position), entry


def _check_registration(told: Json, registrations: dict[int, Json], entries: dict[int, Json]) -> None:
    name, position, entry = told["artifact_id"], told["position"], entries[told["position"]]
    _must(entry["kind"] == "artifact-registered", f"entry {position} registers nothing")
    record = entry["record"]
    _must(record["artifact_id"] == name, f"entry {position} does not register {name!r}")
    _must(record["content_hash"] == told["digest"], f"{name!r} was registered with another digest")
    named = [source["artifact_id"] for source in told["sources"]]
    _must(record.get("depends_on", []) == named, f"{name!r} was made from something else")
    product = _repeated(told, registrations, entries)
    for source, at in ((each["artifact_id"], each["position"]) for each in told["sources"]):
        if at is not None:
            used = registrations[at]
            _must(used["artifact_id"] == source, f"entry {at} is another artifact than {source!r}")
            _must(_was_there(used, product, entries), f"{source!r} of entry {at} was not there for {name!r}")
    if told["shown"] is not None:
        run, shown = entry.get("run"), entries[told["shown"]]
        is_commit = shown["kind"] == "run-committed" and shown["run"] == run and told["shown"] > position
        is_shown = shown is entry if run is None else is_commit
        _must(is_shown, f"{name!r} did not become visible by that event")
    if told["ended"] is not None or told["cause"] is not None:
        _must(_has_ended(told, entries), f"{name!r} was not ended by that event")


def _repeated(told: Json, registrations: dict[int, Json], entries: dict[int, Json]) -> Json:
    """The first of what a registration repeats, or itself: its sources were there then."""
    while (at := entries[told["position"]].get("restored_from")) is not None:
        position, before = told["position"], registrations[at]
        is_same = all(before[name] == told[name] for name in ("artifact_id", "digest", "sources"))
        _must(at < position and is_same, f"entry {position} is no repetition of entry {at}")
        told = before
    return told


def _was_there(source: Json, product: Json, entries: dict[int, Json]) -> bool:
    """Whether a registration can be what its id named when it was used, or what its run brought later."""
    run, own = entries[source["position"]].get("run"), entries[product["position"]].get("run")
    at, shown, ended = product["position"], source["shown"], source["ended"]
    if run is not None and run == own and source["position"] < at:
        return True
    if shown is not None and shown < at:
        return ended is None or at <= ended
    return run is not None and run == own and shown is not None and shown == product["shown"]


def _has_ended(told: Json, entries: dict[int, Json]) -> bool:
    """Whether an event superseded or deleted a registration that had become visible."""
    shown, ended, cause = told["shown"], told["ended"], told["cause"]
    if shown is None or ended is None or cause is None or ended <= shown or cause == told["position"]:
        return False
    by, commit = entries[cause], entries[ended]
    if by.get("run") is None and ended != cause:
        return False
    if by.get("run") is not None:  # it took effect with its run
        is_commit = commit["kind"] == "run-committed" and commit["run"] == by["run"]
        if not is_commit or ended <= cause:
            return False
    if by["kind"] == "artifact-registered":
        return bool(by["record"]["artifact_id"] == told["artifact_id"])
    return cause > shown and _takes_away(by, entries[told["position"]]["record"])


def _takes_away(by: Json, record: Json) -> bool:
    """Whether an event deletes what has a record, if it is live."""
    if by["kind"] == "artifacts-deleted":
        if by.get("pipeline_id") is not None:
            return bool(by["pipeline_id"] == record.get("pipeline_id", ""))
        return record["artifact_id"] in by.get("artifact_ids", [])
    return bool(by["kind"] == "dataset-purged")


def _reached(first: Json, registrations: dict[int, Json], entries: dict[int, Json]) -> set[int]:
    """The registrations that lead to the first, and those that were restored."""
    reached, pending = {first["position"]}, [first]
    while pending:
        told = pending.pop()
        before = entries[told["position"]].get("restored_from")
        for at in (*(source["position"] for source in told["sources"]), before):
            if at is not None and at not in reached:
                reached.add(at)
                pending.append(registrations[at])
    return reached


def _sentence(told: Json, entries: dict[int, Json]) -> str:
    entry, cause = entries[told["position"]], told["cause"]
    text = f"{told['artifact_id']!r} was registered {_by(entry)}, with the digest {told['digest']!r}"
    before = entry.get("restored_from")
    if before is not None:
        text += f"; it repeats the registration at {before}"
    elif entry.get("imported", False):
        text += ", which was imported and not compared"
    if lost := [source["artifact_id"] for source in told["sources"] if source["position"] is None]:
        text += f"; of what it calls {', '.join(map(repr, lost))} there is nothing in the proof"
    if told["shown"] is None:
        text += "; that others ever saw it is not in the proof"
    if cause is not None:
        text += f"; it can have been ended by {entries[cause]['kind']} {_by(entries[cause])}"
        if told["ended"] != cause:
            text += f", which took effect {_by(entries[told['ended']])}"
    return text


def _by(entry: Json) -> str:
    """When and by whom; with nothing in it that a terminal would obey."""
    at, actor = (repr(str(entry[name]))[1:-1] for name in ("at", "actor"))
    return f"at {entry['position']}, {at}, by {actor}"


def _check_file(told: Json, entries: Json, files: Path) -> str:
    """Compare a file with the digest that was registered; the proof holds."""
    name, path = told["artifact_id"], json.loads(entries[str(told["position"])]["line"])["record"]["path"]
    _must("\\" not in path and ":" not in path, f"{path!r} is no path below a folder")
    file = files / path
    _must(files.resolve() in file.resolve().parents, f"{path!r} leads out of the folder of files")
    if not file.is_file():
        raise NotCheckedError(f"the file of {name!r} is not there: {path!r}. Leave out --files for the rest")
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256")
    _must(f"sha256:{digest.hexdigest()}" == told["digest"], f"the file {path!r} is not what was registered")
    return f"the file of {name!r} is what was registered: {path!r}"


def _must(holds: bool, why: str) -> None:  # noqa: FBT001 - reads as a sentence
    if not holds:
        raise NotProvenError(why)


def main(arguments: list[str] | None = None) -> int:
    """The command line; the exit code."""
    parser = argparse.ArgumentParser(description="Check the proof of a model.")
    parser.add_argument("proof", type=Path, help="the file")
    parser.add_argument("--key", help="the public key that must have signed it: NAME+ID+BASE64")
    parser.add_argument("--checkpoint", type=Path, help="a file with the checkpoint that you have kept")
    parser.add_argument("--files", type=Path, help="folder of the artifacts' files: binaries/DATASET")
    parser.add_argument("--log", help="the name of the log that you mean: chainfold/DATASET")
    options = parser.parse_args(arguments)
    for stream in sys.stdout, sys.stderr:
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # names may have what a terminal has not
    try:
        kept = None if options.checkpoint is None else _read(options.checkpoint).decode()
        found = check(loads(_read(options.proof)), options.key, kept, options.files, options.log)
    except NotProvenError as error:
        _print(sys.stderr, f"NOT PROVEN: {error}")
        return 1
    except (NotCheckedError, OSError, ValueError, MemoryError, RuntimeError) as error:  # a loop of links
        _print(sys.stderr, f"NOT CHECKED: {error}")
        return 2
    is_known = options.key is not None or options.checkpoint is not None
    head = "PROVEN:" if is_known else "PROVEN, if the checkpoint is of the log that you mean:"
    lines = [head, *(f"  {each}" for each in found), "It does not prove:", *(f"  {each}" for each in UNBOUND)]
    if not is_known:
        lines.append("Nobody's signature was checked: give --key, or a --checkpoint that you have kept.")
    _print(sys.stdout, *lines)
    return 0


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_BYTES + 1)


def _print(stream: Any, *lines: str) -> None:
    try:
        print(*lines, sep="\n", file=stream, flush=True)
    except BrokenPipeError:  # nobody reads on: the exit code tells
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


if __name__ == "__main__":
    sys.exit(main())
