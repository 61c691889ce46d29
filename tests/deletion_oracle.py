"""What a request should take away, worked out from the log's lines and from listings of folders alone."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

Request = tuple[Any, ...]
"""`delete` ids or pipeline, files, policy; `collect` manifests; `purge`; `erase` id; `rollback` run."""
Row = dict[str, Any]


def listed(folder: Path) -> dict[str, int]:
    """Files and their bytes."""
    return {
        str(path.relative_to(folder)): path.stat().st_size for path in folder.rglob("*") if path.is_file()
    }


class Refused(Exception):  # noqa: N818 - it is what is expected
    """There is no such plan."""


class State:
    """A dataset as its log and folders are now.

    Attributes:
        rows: Registrations by position, each the record with its run.
        live: Ids that are live, each with the position of its registration.
        own: What each open run has registered and kept, likewise.
        shown: Positions from which registrations were visible.
        replaced: What was live when a run committed.
    """

    def __init__(self, workspace: Path, dataset: str = "wheat") -> None:
        log = workspace / "log" / dataset
        self.files, self.private = listed(workspace / "binaries" / dataset), listed(log / "private")
        self.mentioned = "".join(path.read_text() for path in sorted((workspace / "runs").rglob("*.yaml")))
        self.rows: dict[int, Row] = {}
        self.live: dict[str, int] = {}
        self.own: dict[str, dict[str, int]] = {}
        self.shown: dict[int, int] = {}
        self.replaced: dict[str, dict[str, int]] = {}
        self.runs: list[str] = []
        self.aliases: dict[str, str | None] = {}
        self.erased: set[str] = set()
        self.swept: list[tuple[int, str | None]] = []
        self._doomed: dict[str, set[int]] = {}
        self.size = 0
        for path in sorted((log / "segments").glob("*.jsonl")):
            for entry in map(json.loads, path.read_bytes().rstrip(b"\0").splitlines()):
                self._take(entry)

    def _take(self, entry: dict[str, Any]) -> None:
        run: Any = entry.get("run")
        position = entry["position"]
        self.size = position + 1
        match entry["kind"]:
            case "run-started":
                self.runs.append(run)
                self.own[run], self._doomed[run] = {}, set()
            case "run-committed":
                self._commit(run, position)
            case "run-rolled-back":
                self.own.pop(run)
            case "artifact-registered":
                self.rows[position] = {**entry["record"], "run": run}
                self.own.get(run, self.live)[entry["record"]["artifact_id"]] = position
                if run is None:
                    self.shown[position] = position
            case "artifacts-deleted":
                self._delete(entry, run)
            case _:
                self._take_rest(entry, position)

    def _take_rest(self, entry: dict[str, Any], position: int) -> None:
        match entry["kind"]:
            case "dataset-purged":
                self.live = {}
                self.swept.append((position, None))
            case "blobs-swept":
                self.swept += [(position, path) for path in entry["paths"]]
            case "private-erased":
                self.erased.update(entry["paths"])
            case "alias-set":
                self.aliases[entry["alias"]] = entry.get("artifact_id")

    def _commit(self, run: str, position: int) -> None:
        self.replaced[run] = dict(self.live)
        doomed, own = self._doomed.pop(run), self.own.pop(run)
        self.live = {each: at for each, at in self.live.items() if at not in doomed} | own
        self.shown |= dict.fromkeys(own.values(), position)

    def _delete(self, entry: dict[str, Any], run: str | None) -> None:
        meant = {each for each in self.live if _is_meant(entry, each)}
        if run is None:
            self.live = {each: at for each, at in self.live.items() if each not in meant}
        else:
            self._doomed[run] |= {self.live[each] for each in meant}
            self.own[run] = {each: at for each, at in self.own[run].items() if not _is_meant(entry, each)}

    # what the parts of a plan should be

    def expected(self, request: Request) -> dict[str, Any]:
        """The parts of its plan; `files` is left out where `kept` and `brought` bound them.

        Raises:
            Refused: If it has none.
        """
        match request:
            case ("delete", target, with_files, policy):
                return self._deletion(target, policy, with_files=with_files)
            case ("collect", scans):
                needed = self._paths(self.live.values()) | self._held()
                files = {
                    path for path in self.files.keys() - needed if not (scans and path in self.mentioned)
                }
                used = self._values(self._current())
                return _plan(files=files, values=self._known() - used - self.erased)
            case ("purge",):
                return _plan(
                    artifacts=self.live.items(),
                    files=self.files,
                    values=self.private.keys() - self.erased,
                    aliases=self._aliases(self.live),
                    runs=self.own,
                )
            case ("erase", artifact_id):
                rows = [at for at, row in self.rows.items() if row["artifact_id"] == artifact_id]
                if not any(self.rows[at].get("private") for at in rows):
                    raise Refused
                return _plan(values=self._values(rows) - self.erased)
            case ("rollback", number, policy):
                if not self.runs:
                    raise Refused
                return self._rollback(self.runs[number % len(self.runs)], policy)
        raise AssertionError(request)

    def _deletion(self, target: str | tuple[str, ...], policy: str, *, with_files: bool) -> dict[str, Any]:
        if isinstance(target, str):
            ids = {each for each in self.live if each.partition("$")[0] == target}
        else:
            ids = set(target)
            if not ids <= self.live.keys():
                raise Refused
        more = self._made_from(ids)
        while policy == "cascade" and more:
            ids |= more
            more = self._made_from(ids)
        if more and policy == "refuse":
            raise Refused
        gone = {each: self.live[each] for each in ids}
        stay = self._paths(at for each, at in self.live.items() if each not in gone) | self._held()
        return _plan(
            artifacts=gone.items(),
            files=(self._paths(gone.values()) - stay) & self.files.keys() if with_files else (),
            values=self._values(gone.values()) if with_files else (),
            dependents=more,
            aliases=self._aliases(gone),
        )

    def _rollback(self, run: str, policy: str) -> dict[str, Any]:
        mine = {at for at, row in self.rows.items() if row["run"] == run}
        values = self._values(mine)
        if run in self.own:
            others = self._paths(self.live.values()) | self._held(but=run)
            kept, brought = self._bounds(mine, others)
            return _plan(
                artifacts=self.own[run].items(), values=values, runs=[run], kept=kept, brought=brought
            )
        if run not in self.replaced:
            return _plan(files=())
        gone = {each: at for each, at in self.live.items() if at in mine}
        back = {each: at for each, at in self.replaced[run].items() if each in gone}
        back = {each: at for each, at in back.items() if self.rows[at]["path"] in self.files}
        rest = {each: at for each, at in self.live.items() if each not in gone} | back
        ended = gone.keys() - back.keys()
        dependents = {each for each in self._made_from(ended) if self.live[each] not in mine}
        if dependents and policy == "refuse":
            raise Refused
        kept, brought = self._bounds(mine, self._paths(rest.values()) | self._held())
        return _plan(
            artifacts=gone.items(),
            values=values,
            restored=back.items(),
            dependents=dependents,
            aliases=self._aliases(ended),
            kept=kept,
            brought=brought,
        )

    def _bounds(self, mine: set[int], needed: set[str]) -> tuple[set[str], set[str]]:
        """What stays in any case when these are taken back, and what goes: nobody else ever had it."""
        others = {at: row["path"] for at, row in self.rows.items() if at not in mine}
        never = float("inf")
        kept = set(needed)
        for path in self._paths(mine):
            seen = min(self.shown.get(at, never) for at in mine if self.rows[at]["path"] == path)
            kept |= {
                path
                for at, theirs in others.items()
                if theirs == path and self.shown.get(at, never) < seen and not self._is_swept(path, since=at)
            }
        return kept, (self._paths(mine) - set(others.values()) - needed) & self.files.keys()

    def _is_swept(self, path: str, since: int) -> bool:
        return any(at > since and swept in {None, path} for at, swept in self.swept)

    def _made_from(self, ids: Iterable[str]) -> set[str]:
        found, ids = set(), set(ids)
        for each, at in self.live.items():
            if each not in ids and ids & set(self.rows[at].get("depends_on", ())):
                found.add(each)
        return found

    def _current(self) -> list[int]:
        return [*self.live.values(), *(at for own in self.own.values() for at in own.values())]

    def _held(self, but: str | None = None) -> set[str]:
        return {path for run, own in self.own.items() if run != but for path in self._paths(own.values())}

    def _paths(self, rows: Iterable[int]) -> set[str]:
        return {self.rows[at]["path"] for at in rows}

    def _values(self, rows: Iterable[int]) -> set[str]:
        """Files of private values: their names end with what the record commits to."""
        ends = {
            each["commitment"].removeprefix("sha256:")
            for at in rows
            for each in self.rows[at].get("private", {}).values()
        }
        return {path for path in self.private if path.rpartition("-")[2].removesuffix(".json") in ends}

    def _known(self) -> set[str]:
        return self._values(self.rows)

    def _aliases(self, ids: Iterable[str]) -> set[str]:
        ids = set(ids)
        return {name for name, target in self.aliases.items() if target in ids}


def _plan(**parts: Any) -> dict[str, Any]:
    bounds = {"kept", "brought"} & parts.keys()
    names = [
        "artifacts",
        "values",
        "restored",
        "dependents",
        "aliases",
        "runs",
        *([] if bounds else ["files"]),
    ]
    return {name: sorted(parts.get(name, ())) for name in [*names, *sorted(bounds)]}


def _is_meant(entry: dict[str, Any], artifact_id: str) -> bool:
    return artifact_id in entry.get("artifact_ids", ()) or artifact_id.partition("$")[0] == entry.get(
        "pipeline_id"
    )
