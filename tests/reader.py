"""A minimal reader of the format, written from `docs/format.md` alone: it shares no code with chainfold."""

import base64
import json
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import xxhash

NEVER: Final = float("inf")
TAIL_BYTES: Final = 26
LINE_LIMIT: Final = 65_535
KINDS: Final[dict[str, dict[str, Any]]] = {
    "run-started": {"owner": ""},
    "artifact-registered": {"details": "", "reused": False, "restored_from": None, "imported": False},
    "run-committed": {},
    "run-rolled-back": {"detail": ""},
    "artifacts-deleted": {"pipeline_id": None, "artifact_ids": [], "delete_files": False},
    "dataset-purged": {},
    "blobs-swept": {"cause": None},
    "alias-set": {"artifact_id": None},
    "private-erased": {"cause": None},
}
RECORD: Final[dict[str, Any]] = {
    "chain_path": "",
    "source_index": None,
    "pipeline_id": "",
    "branch_path": [],
    "step_index": 0,
    "substep_index": None,
    "fold_id": None,
    "artifact_type": "model",
    "class_name": "",
    "custom_name": "",
    "depends_on": [],
    "format": "joblib",
    "format_version": "",
    "nirs4all_version": "",
    "size_bytes": 0,
    "created_at": "",
    "params": {},
    "meta_config": None,
    "version": 3,
    "private": {},
    "refers_to": [],
}


class BadLogError(Exception):
    """The log is not as the format says."""


def line_sum(line: bytes) -> int:
    """The sum that a line states."""
    tail = line[-TAIL_BYTES:]
    digits = tail[8:24]
    if tail[:8] != b',"sum":"' or tail[24:] != b'"}' or digits.strip(b"0123456789abcdef"):
        raise BadLogError("no sum")
    return int(digits, 16)


def checked(lines: list[bytes], dataset: str) -> list[dict[str, Any]]:
    """The entries of the lines of a whole log, or of its beginning."""
    seed, last_at, entries = xxhash.xxh3_64_intdigest(f"chainfold/{dataset}".encode()), "", []
    for position, line in enumerate(lines):
        if len(line) > LINE_LIMIT or xxhash.xxh3_64_intdigest(line[:-TAIL_BYTES], seed=seed) != line_sum(
            line
        ):
            raise BadLogError(f"line {position} is bad")
        seed = line_sum(line)
        entry = json.loads(line)
        if entry["position"] != position or len(entry["at"]) != 27 or entry["at"] < last_at:
            raise BadLogError(f"entry {position} is out of order")
        is_private = entry["kind"] == "artifact-registered" and "private" in entry["record"]
        if entry.get("v", 1) != (2 if is_private else 1) or entry["kind"] not in KINDS:
            raise BadLogError(f"entry {position} is unknown")
        closes = entry["kind"] in ("run-committed", "run-rolled-back")
        if entry.get("durable", -1 if "run" not in entry or closes else position) not in range(position + 1):
            raise BadLogError(f"entry {position} does not say what was durable")
        last_at = entry["at"]
        entries.append({"run": None, **KINDS[entry["kind"]], **entry})
        if entry["kind"] == "artifact-registered":
            entries[-1]["record"] = {**RECORD, **entry["record"]}
    return entries


def root(lines: list[bytes]) -> bytes:
    """MTH of RFC 6962, as it is written there."""
    if not lines:
        return sha256(b"").digest()
    if len(lines) == 1:
        return sha256(b"\0" + lines[0]).digest()
    split = 1
    while split * 2 < len(lines):
        split *= 2
    return sha256(b"\1" + root(lines[:split]) + root(lines[split:])).digest()


def plain(wire: Any) -> Any:
    """A value of params as it was before it was written."""
    if isinstance(wire, list):
        return [plain(each) for each in wire]
    if not isinstance(wire, dict):
        return wire
    if len(wire) == 1:
        ((name, inner),) = wire.items()
        if name == "$float" and inner in ("nan", "inf", "-inf"):
            return float(inner)
        if name == "$int" and isinstance(inner, str) and inner.lstrip("-").startswith("0x"):
            return int(inner, 16)
        if name == "$dict" and isinstance(inner, dict):
            wire = inner
    return {key: plain(each) for key, each in wire.items()}


@dataclass
class Registration:
    """One registration and the sizes at which it was live."""

    position: int
    record: dict[str, Any]
    details: str
    at: str
    visible_from: float = NEVER
    removed_at: float = NEVER

    @property
    def artifact_id(self) -> str:
        return str(self.record["artifact_id"])

    def is_live(self, size: float) -> bool:
        return self.visible_from <= size < self.removed_at


@dataclass
class Run:
    """What an open run would do."""

    own: dict[str, Registration] = field(default_factory=dict)
    doomed: list[Registration] = field(default_factory=list)
    moves: list[tuple[str, str | None]] = field(default_factory=list)


class Reader:
    """A dataset, read whole."""

    def __init__(self, workspace: Path, dataset: str) -> None:
        self.folder, self.blobs = workspace / "log" / dataset, workspace / "binaries" / dataset
        self.lines: list[bytes] = []
        for path in sorted((self.folder / "segments").glob("*.jsonl")):
            if path.name != f"{len(self.lines):020d}.jsonl":
                raise BadLogError(f"{path.name} does not follow {len(self.lines)} entries")
            *lines, rest = path.read_bytes().split(b"\n")
            if rest:
                raise BadLogError(f"{path.name} has an unfinished line")
            self.lines += lines
        self.entries = checked(self.lines, dataset)
        self._check_checkpoint(dataset)
        self.registrations: list[Registration] = []
        self.aliases: list[tuple[int, str, str | None]] = []
        self._runs: dict[str, Run] = {}
        self._ended: set[str] = set()
        for entry in self.entries:
            self._fold(entry, entry["position"] + 1)

    def live(self, size: int) -> dict[str, Registration]:
        """What was live at a size, by id."""
        found = [each for each in self.registrations if each.is_live(size)]
        assert len({each.artifact_id for each in found}) == len(found)
        return {each.artifact_id: each for each in found}

    def aliases_at(self, size: int) -> dict[str, str]:
        """Where the aliases pointed at a size."""
        found = {alias: target for moved_at, alias, target in self.aliases if moved_at <= size}
        return {alias: target for alias, target in found.items() if target is not None}

    def params(self, registration: Registration) -> Any:
        """The parameters of a registration, from wherever they are."""
        if not registration.details:
            return plain(registration.record["params"])
        kind, _, digits = registration.details.partition(":")
        data = (self.folder / "details" / f"{digits}.json").read_bytes()
        if kind != "sha256" or sha256(data).hexdigest() != digits:
            raise BadLogError(f"the details of {registration.artifact_id} have changed")
        return plain(json.loads(data)["params"])

    def erasures(self) -> dict[str, int]:
        """The private files that are erased, and the position of the entry that first said so."""
        found: dict[str, int] = {}
        for entry in self.entries:
            if entry["kind"] == "private-erased":
                for path in entry["paths"]:
                    found.setdefault(path, entry["position"])
        return found

    def private(self, registration: Registration) -> tuple[dict[str, Any], dict[str, int]]:
        """The private fields of a registration that can be read, and which entries erased the others."""
        values, erased, erasures = {}, {}, self.erasures()
        tag = sha256(registration.artifact_id.encode()).hexdigest()[:16]
        for name, told in registration.record["private"].items():
            digits = told["commitment"].removeprefix("sha256:")
            path = f"{tag}-{digits}.json"
            if path in erasures:
                erased[name] = erasures[path]
                continue
            data = (self.folder / "private" / path).read_bytes()
            said = json.loads(data)
            if sha256(data).hexdigest() != digits or said["format"] != "chainfold private 1":
                raise BadLogError(f"the private field {name} has changed")
            if (said["artifact_id"], said["field"]) != (registration.artifact_id, name):
                raise BadLogError(f"the private field {name} is of another")
            values[name] = plain({"value": said["value"]})["value"]
        return values, erased

    def blob(self, registration: Registration) -> bytes:
        """The bytes of a registration's blob."""
        data: bytes = (self.blobs / registration.record["path"]).read_bytes()
        if f"sha256:{sha256(data).hexdigest()}" != registration.record["content_hash"]:
            raise BadLogError(f"the blob of {registration.artifact_id} has changed")
        return data

    def _check_checkpoint(self, dataset: str) -> None:
        path = self.folder / "checkpoint"
        if not path.exists():
            return
        origin, size, digest, *_ = path.read_text("utf-8").split("\n")
        if origin != f"chainfold/{dataset}" or int(size) > len(self.lines):
            raise BadLogError("the checkpoint is not of this log")
        if base64.b64decode(digest) != root(self.lines[: int(size)]):
            raise BadLogError("the root is wrong")

    def _fold(self, entry: dict[str, Any], size: int) -> None:
        kind, run_id = entry["kind"], entry["run"]
        if kind == "artifact-registered":
            self.registrations.append(
                Registration(entry["position"], entry["record"], entry["details"], entry["at"])
            )
        if kind == "run-started":
            if run_id is None or run_id in self._ended or run_id in self._runs:
                raise BadLogError(f"run {run_id} starts twice")
            self._runs[run_id] = Run()
        elif run_id is not None:
            if run_id not in self._runs:
                raise BadLogError(f"run {run_id} is not open")
            self._in_run(self._runs[run_id], entry, size)
            if kind in ("run-committed", "run-rolled-back"):
                del self._runs[run_id]
                self._ended.add(run_id)
        else:
            self._alone(entry, size)

    def _alone(self, entry: dict[str, Any], size: int) -> None:
        kind = entry["kind"]
        if kind == "artifact-registered":
            self._show(self.registrations[-1], size)
        elif kind in ("artifacts-deleted", "dataset-purged"):
            for each in self._meant(entry, self.live(size).values()):
                each.removed_at = size
        elif kind == "alias-set":
            self.aliases.append((size, entry["alias"], entry["artifact_id"]))

    def _in_run(self, run: Run, entry: dict[str, Any], size: int) -> None:
        kind = entry["kind"]
        if kind == "artifact-registered":
            registration = self.registrations[-1]
            if registration.artifact_id in run.own:
                run.own[registration.artifact_id].removed_at = size
            run.own[registration.artifact_id] = registration
        elif kind in ("artifacts-deleted", "dataset-purged"):
            for each in self._meant(entry, run.own.values()):
                run.own.pop(each.artifact_id).removed_at = size
            run.doomed += self._meant(entry, self.live(size).values())
        elif kind == "alias-set":
            run.moves.append((entry["alias"], entry["artifact_id"]))
        elif kind == "run-committed":
            for each in run.doomed:
                each.removed_at = min(each.removed_at, size)
            for each in run.own.values():
                self._show(each, size)
            self.aliases += [(size, alias, target) for alias, target in run.moves]

    def _meant(self, entry: dict[str, Any], among: Any) -> list[Registration]:
        if entry["kind"] == "dataset-purged":
            return list(among)
        if entry["pipeline_id"] is not None:
            return [each for each in among if each.record["pipeline_id"] == entry["pipeline_id"]]
        return [each for each in among if each.artifact_id in entry["artifact_ids"]]

    def _show(self, registration: Registration, size: int) -> None:
        for each in self.registrations:
            if each.artifact_id == registration.artifact_id and each.is_live(size):
                each.removed_at = size
        registration.visible_from = size
