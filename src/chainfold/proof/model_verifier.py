"""Check the proof of a model, offline, with nothing but Python (and `cryptography`, to check a signature).

    python model_verifier.py proof.json [--key NAME+ID+BASE64] [--files FOLDER]

This file needs nothing of chainfold: copy it to wherever it is to be believed. It exits with 0 if all that
the proof says holds, else with 1 and the first thing that does not. A proof says what it does not prove.
"""

import argparse
import base64
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

FORMAT = "chainfold model proof 1"
MAX_BYTES = 256 << 20
HASH_BYTES = 32


class NotProvenError(Exception):
    """Something that the proof says does not hold."""


def check(proof: dict[str, Any], key: str | None = None, files: Path | None = None) -> list[str]:
    """Check a proof; what was found, in sentences.

    Args:
        proof: The file's JSON.
        key: The public key, `name+id+base64`, that must have signed the checkpoint.
        files: A folder of the artifacts' files, to be compared with the digests.

    Raises:
        NotProvenError: Naming the first thing that does not hold.
    """
    try:
        return _check(proof, key, files)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise NotProvenError(f"this is no proof of the form that is known: {error!r}") from error


def _check(proof: dict[str, Any], key: str | None, files: Path | None) -> list[str]:
    _must(proof["format"] == FORMAT, f"unknown format {proof['format']!r}")
    text = proof["checkpoint"].partition("\n\n")[0].rstrip("\n") + "\n"
    name, size_text, root_text = text.split("\n")[:3]
    size, root = int(size_text), base64.b64decode(root_text, validate=True)
    found = [f"the log is {name!r}, of {size} entries, with the root {root.hex()}"]
    if key is not None:
        _check_signature(proof["checkpoint"], key)
        found.append(f"its checkpoint is signed with the key {key.partition('+')[0]!r}")
    entries = {
        int(position): _entry(position, each, size, root) for position, each in proof["entries"].items()
    }
    found.append(f"{len(entries)} entries are in it, each at its position")
    registrations = {each["position"]: each for each in proof["registrations"]}
    for told in registrations.values():
        _check_registration(told, registrations, entries)
    first = proof["registrations"][0]
    _must(first["artifact_id"] == proof["artifact"], "the first registration is not that of the artifact")
    _must(first["shown"] is not None, "nothing says that the artifact ever became visible")
    _must(_reached(first, registrations) == set(registrations), "there are registrations that were not used")
    found += [_sentence(told, entries) for told in registrations.values()]
    if files is not None:
        found += [_check_file(told, entries, files) for told in registrations.values()]
    return found


def _entry(position: str, told: dict[str, Any], size: int, root: bytes) -> dict[str, Any]:
    """The entry at a position, which is proven to be in the log (RFC 9162, section 2.1.3.2)."""
    index, line = int(position), told["line"].encode()
    _must(0 <= index < size, f"the log has no entry {index}")
    node, last = hashlib.sha256(b"\x00" + line).digest(), size - 1
    for sibling in map(bytes.fromhex, told["path"]):
        _must(last > 0 and len(sibling) == HASH_BYTES, f"the proof of entry {index} is too long")
        if index & 1 or index == last:
            node = hashlib.sha256(b"\x01" + sibling + node).digest()
            while index and not index & 1:
                index, last = index >> 1, last >> 1
        else:
            node = hashlib.sha256(b"\x01" + node + sibling).digest()
        index, last = index >> 1, last >> 1
    _must(last == 0 and node == root, f"entry {position} is not in the log of the checkpoint")
    entry: dict[str, Any] = json.loads(line, object_pairs_hook=_object)
    _must(entry["position"] == int(position), f"entry {position} says that it is at {entry['position']}")
    return entry


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object that says nothing twice: readers could differ on which one counts."""
    found = dict(pairs)
    _must(len(found) == len(pairs), "an entry says something twice")
    return found


def _check_registration(
    told: dict[str, Any], registrations: dict[int, dict[str, Any]], entries: dict[int, dict[str, Any]]
) -> None:
    name, entry = told["artifact_id"], entries[told["position"]]
    _must(entry["kind"] == "artifact-registered", f"entry {told['position']} registers nothing")
    record = entry["record"]
    _must(record["artifact_id"] == name, f"entry {told['position']} does not register {name!r}")
    _must(record["content_hash"] == told["digest"], f"{name!r} was registered with another digest")
    named = [source["artifact_id"] for source in told["sources"]]
    _must(record.get("depends_on", []) == named, f"{name!r} was made from something else")
    for source in told["sources"]:
        at = source["position"]
        if at is not None:
            _must(
                registrations[at]["artifact_id"] == source["artifact_id"], f"entry {at} is another artifact"
            )
    run = entry.get("run")
    if told["shown"] is not None:
        shown = entries[told["shown"]]
        is_commit = shown["kind"] == "run-committed" and shown.get("run") == run is not None
        _must(shown is entry if run is None else is_commit, f"{name!r} did not become visible by that event")
    if told["ended"] is not None:
        _must(told["ended"] > told["position"], f"{name!r} cannot have ended before it was registered")
        _must(_ends(entries[told["ended"]], record), f"{name!r} was not ended by that event")


def _ends(entry: dict[str, Any], record: dict[str, Any]) -> bool:
    """Whether an event can have superseded or deleted an artifact."""
    if entry["kind"] == "artifact-registered":
        return bool(entry["record"]["artifact_id"] == record["artifact_id"])
    if entry["kind"] == "artifacts-deleted":
        is_of_pipeline = entry.get("pipeline_id", "") == record.get("pipeline_id")
        return is_of_pipeline or record["artifact_id"] in entry.get("artifact_ids", [])
    return entry["kind"] in ("dataset-purged", "run-committed")


def _reached(first: dict[str, Any], registrations: dict[int, dict[str, Any]]) -> set[int]:
    """The registrations that lead to the first."""
    reached, pending = {first["position"]}, [first]
    while pending:
        for source in pending.pop()["sources"]:
            at = source["position"]
            if at is not None and at not in reached:
                reached.add(at)
                pending.append(registrations[at])
    return reached


def _sentence(told: dict[str, Any], entries: dict[int, dict[str, Any]]) -> str:
    entry = entries[told["position"]]
    text = f"{told['artifact_id']!r} was registered at {told['position']}, {entry['at']}, by {entry['actor']}"
    lost = [source["artifact_id"] for source in told["sources"] if source["position"] is None]
    if lost:
        text += f"; what it calls {', '.join(map(repr, lost))} was not registered by then"
    if told["ended"] is not None:
        by = entries[told["ended"]]
        text += f"; it was ended by {by['kind']} at {told['ended']}, {by['at']}, by {by['actor']}"
    return text


def _check_file(told: dict[str, Any], entries: dict[int, dict[str, Any]], files: Path) -> str:
    """Compare a file with the digest that was registered."""
    path = entries[told["position"]]["record"]["path"]
    _must("\\" not in path and ":" not in path, f"{path!r} is no path below a folder")
    file = files / path
    _must(files.resolve() in file.resolve().parents, f"{path!r} leads out of the folder of files")
    if not file.is_file():
        return f"the file of {told['artifact_id']!r} is not there: {path}"
    digest = hashlib.sha256()
    with file.open("rb") as content:
        while block := content.read(1 << 20):
            digest.update(block)
    _must(f"sha256:{digest.hexdigest()}" == told["digest"], f"the file {path} is not what was registered")
    return f"the file of {told['artifact_id']!r} is what was registered: {path}"


def _check_signature(note: str, key: str) -> None:
    """C2SP signed-note, Ed25519."""
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - only where it is asked for
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415

    name, key_id, encoded = key.split("+", 2)
    public = base64.b64decode(encoded, validate=True)
    wanted = hashlib.sha256(name.encode() + b"\n" + public).digest()[:4]
    _must(public[:1] == b"\x01" and wanted.hex() == key_id, "the key is not an Ed25519 key of that id")
    text, blank, below = note.rpartition("\n\n")
    _must(bool(blank), "the checkpoint is not signed")
    for line in below.splitlines():
        dash, signer, value = line.split(" ")
        signature = base64.b64decode(value, validate=True)
        if (dash, signer, signature[:4]) == ("—", name, wanted):
            try:
                Ed25519PublicKey.from_public_bytes(public[1:]).verify(signature[4:], (text + "\n").encode())
            except InvalidSignature:
                raise NotProvenError("the checkpoint's signature is not of its text") from None
            return
    raise NotProvenError(f"the checkpoint is not signed with the key {name!r}")


def _must(holds: bool, why: str) -> None:  # noqa: FBT001 - reads as a sentence
    if not holds:
        raise NotProvenError(why)


def main(arguments: list[str] | None = None) -> int:
    """The command line; the exit code."""
    parser = argparse.ArgumentParser(description="Check the proof of a model.")
    parser.add_argument("proof", type=Path, help="the file")
    parser.add_argument("--key", help="the public key that must have signed it: NAME+ID+BASE64")
    parser.add_argument("--files", type=Path, help="folder of the artifacts' files: binaries/DATASET")
    options = parser.parse_args(arguments)
    try:
        if options.proof.stat().st_size > MAX_BYTES:
            raise NotProvenError(f"it is larger than {MAX_BYTES:,} bytes")  # noqa: TRY301 - told like the rest
        found = check(json.loads(options.proof.read_bytes()), options.key, options.files)
    except (NotProvenError, OSError, ValueError, RecursionError) as error:
        print(f"NOT PROVEN: {error}", file=sys.stderr)  # noqa: T201 - a command
        return 1
    print("PROVEN:", *found, sep="\n  ")  # noqa: T201 - as above
    return 0


if __name__ == "__main__":
    sys.exit(main())
