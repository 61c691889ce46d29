"""Makes the newest golden workspace: `PYTHONPATH=src python -m tests.golden.make`.

To be run once, when the format changes: then what it fills goes to a folder of a new number. What earlier
releases left stays for ever, and always replays.
Times, ids of runs, actors and owners are fixed, so the same release gives the same bytes.
"""

import contextlib
import itertools
import json
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, Final
from unittest import mock

from tests import reader

from chainfold import ArtifactRegistry
from chainfold.commands import running
from chainfold.log import lines

FOLDER: Final = Path(__file__).parent
START: Final = datetime(2026, 1, 31, 12, tzinfo=UTC)
KEPT: Final = (
    "log/*/segments/*",
    "log/*/checkpoint",
    "log/*/details/*",
    "log/*/private/*.json",
    "binaries/*/*",
)
TOTALS: Final = ("total_artifacts", "unique_files", "total_size_bytes", "log_entries", "log_bytes")
TYPES: Final = ("model", "transformer", "splitter", "encoder", "meta_model")


def main(number: str = "2") -> None:
    """Make a workspace, say what must be read from it, and keep both."""
    target_folder, names = FOLDER / number, sorted(WORKSPACES[number])
    with tempfile.TemporaryDirectory() as folder, fixed():
        workspace = Path(folder) / "workspace"
        for fill in WORKSPACES[number].values():
            fill(workspace)
        shutil.rmtree(target_folder, ignore_errors=True)
        kept = sorted(path for pattern in KEPT for path in workspace.glob(pattern))
        for path in kept:
            target = target_folder / path.relative_to(workspace)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        expected = {
            "files": {path.relative_to(workspace).as_posix(): digest_of(path) for path in kept},
            "datasets": {name: answers(target_folder, workspace, name) for name in names},
        }
    kinds = {
        entry["kind"]
        for each, datasets in WORKSPACES.items()
        for name in datasets
        for entry in reader.Reader(FOLDER / each, name).entries
    }
    assert kinds == set(reader.KINDS), set(reader.KINDS) - kinds
    (target_folder / "expected.json").write_text(printed(expected) + "\n", "utf-8", newline="\n")


def printed(value: Any, depth: int = 0) -> str:
    """JSON with a line for each thing that one may want to look at."""
    if depth == 4 or not isinstance(value, dict | list) or not value:
        return json.dumps(value, sort_keys=True)
    inner = [printed(each, depth + 1) for each in (value.values() if isinstance(value, dict) else value)]
    if isinstance(value, dict):
        inner = [f"{json.dumps(key)}: {text}" for key, text in zip(value, inner, strict=True)]
    brackets = "{}" if isinstance(value, dict) else "[]"
    return brackets[0] + "\n" + ",\n".join(inner) + "\n" + brackets[1]


def digest_of(path: Path) -> str:
    """The digest of a file, in hexadecimal."""
    return sha256(path.read_bytes()).hexdigest()


@contextlib.contextmanager
def fixed() -> Iterator[None]:
    """A clock that counts seconds, and names that are the same everywhere."""
    seconds, runs, salts = itertools.count(), itertools.count(1), itertools.count(1)

    def now(last: str) -> str:
        time = START + timedelta(seconds=next(seconds))
        return max(last, time.strftime("%Y-%m-%dT%H:%M:%S.%fZ"))

    def run_id() -> str:
        return f"20260131T120000-{next(runs):012x}"

    def owner() -> str:
        return "lab-3:4711"

    def salt(length: int) -> bytes:
        return next(salts).to_bytes(length, "big")

    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.object(lines, "now", now))
        stack.enter_context(mock.patch("chainfold.private.salt", salt))
        for module in ("chainfold.dataset", "chainfold.commands.running"):
            stack.enter_context(mock.patch(f"{module}.new_run_id", run_id))
            stack.enter_context(mock.patch(f"{module}.owner_name", owner))
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore", UserWarning)
        yield


def opened(workspace: Path, dataset: str, pipeline_id: str) -> ArtifactRegistry:
    """A registry of Ann's."""
    return ArtifactRegistry(workspace, dataset, pipeline_id=pipeline_id, actor="ann@lab-3")


def crash(registry: ArtifactRegistry) -> None:
    """What is left of a run when its process dies."""
    assert registry._run is not None
    registry._run.release()
    registry._run = None


def fail() -> None:
    """Stop a run as an error in a pipeline does."""
    raise RuntimeError("no convergence")


def fill_wheat(workspace: Path) -> None:
    """Everything but a purge."""
    path = "s1.MinMaxScaler>s3.PLSRegression"
    with opened(workspace, "wheat", "0001_pls") as registry:
        scaler = registry.register_with_chain({"min": [0.5]}, "s1.MinMaxScaler", "transformer", 1)
        with registry.run():
            models = [
                registry.register_with_chain(
                    {"coef": [fold, 2.5]},
                    path,
                    "model",
                    3,
                    fold_id=fold,
                    depends_on=[scaler.artifact_id],
                    params={
                        "n_components": 10,
                        "tol": float("inf"),
                        "seed": 2**70,
                        "note": {"$float": "nan"},
                    },
                )
                for fold in (0, 1)
            ]
            registry.set_alias("candidate", models[1].artifact_id)
        registry.set_alias("production", models[0].artifact_id)
        first = registry.position
        registry.register_with_chain({"coef": [7]}, path, "model", 3, fold_id=0)  # supersedes
        registry.register({"min": [0.5]}, "0001:2:all", "splitter", custom_name="same bytes")
        stacked = [each.artifact_id for each in models]
        registry.register_meta_model({"weights": [1, 2]}, "0001_pls$abcdef012345:final", stacked, ["a", "b"])
        registry.start_run()
        registry.register_with_chain({"coef": [8]}, path, "model", 3, fold_id=1)
        registry.set_alias("production", None)
        registry.delete_pipeline_artifacts("0001_pls", delete_files=True)
        registry.cleanup_failed_run()
        with contextlib.suppress(RuntimeError), registry.run():
            registry.register_with_chain({"coef": [9]}, path, "model", 3, fold_id=2)
            fail()
        registry.start_run()
        registry.register_with_chain({"coef": [10]}, path, "model", 3, fold_id=3)
        crash(registry)
        running.reap(registry._data)
        registry.register(
            {"table": []}, "0001_pls$0123456789ab:all", "encoder", params={"vocabulary": "ä" * 32_300}
        )
        registry.restore(models[0].artifact_id, first)
    with opened(workspace, "wheat", "0002_rf") as registry:
        registry.register_with_chain([1], "s1.RF[br=0.1,src=1,sub=2]", "model", 1, [0, 1], 1, "avg", 2)
        registry.register_with_chain([2], "s1.RF[br=0]+s1.RF[br=1]", "model", 1)
        registry.end_run()
        registry.register_with_chain([3], "s1.RF[br=0]+s1.RF[br=1]", "model", 1)
        registry.cleanup_failed_run()  # stood alone: what it superseded is registered again
        with registry.run():
            registry.register_with_chain([4], "s2.RF", "model", 2, pipeline_id="0003_tmp")
            registry.register_with_chain([5], "s2.RF", "model", 2, pipeline_id="0003_tmp")
            registry.delete_pipeline_artifacts("0003_tmp", delete_files=True)
            registry.register_with_chain([6], "s3.RF", "model", 3)
            registry.delete_pipeline_artifacts("0001", delete_files=True)
            registry.set_alias("candidate", None)
        import_one(registry, workspace.parent / "results")
        registry.delete_pipeline_artifacts("0009_old", delete_files=True)
        import_one(registry, workspace.parent / "results")
        (registry.binaries_dir / "model_list_000000000000.pkl").write_bytes(b"nobody's")
        registry.delete_orphaned_artifacts(dry_run=False)


def import_one(registry: ArtifactRegistry, results: Path) -> None:
    """An item of a manifest, with a time and a file of its own."""
    results.mkdir(exist_ok=True)
    (results / "model_PLS_ours.joblib").write_bytes(b"from elsewhere")
    item = {
        "artifact_id": "0009_old:4:0",
        "content_hash": f"sha256:{sha256(b'from elsewhere').hexdigest()}",
        "path": "model_PLS_ours.joblib",
        "class_name": "PLS",
        "step_index": 4,
        "size_bytes": 14,
        "created_at": "2024-02-29T10:00:00+00:00",
        "nirs4all_version": "0.6.2",
        "params": {"n_components": 3},
    }
    registry.import_from_manifest({"schema_version": "3.0", "items": [item]}, results)


def fill_barley(workspace: Path) -> None:
    """Purges, alone and in a run, and at the end a run whose owner has died without being noticed."""
    with opened(workspace, "barley", "p") as registry:
        registry.register([1], "p:1:all", "model")
        registry.register([2], "p:2:all", "model")
        registry.set_alias("best", "p:2:all")
        registry.purge_dataset_artifacts(confirm=True)
        registry.register([3], "p:1:all", "model")
        with registry.run():
            registry.register([4], "p:4:all", "model")
            registry.purge_dataset_artifacts(confirm=True)
            registry.register([5], "p:5:all", "model")
        registry.start_run()
        registry.register([6], "p:6:all", "model")
        registry.set_alias("best", "p:6:all")
        crash(registry)


def fill_rye(workspace: Path) -> None:
    """What is withheld: live, restored, imported, of a run, and erased for each reason."""
    private = ["operator", "custom_name"]
    said: dict[str, Any] = {"operator": "Ann Doe", "note": ["free text", float("inf")], "n": 3}
    with opened(workspace, "rye", "p") as registry:
        registry.register([1], "p:1:all", "model", params=said, custom_name="Ann's", private=private)
        registry.register([2], "p:2:all", "model", params=said, private=["note"])
        first = registry.position
        registry.register([3], "p:1:all", "model", params=said, private=["operator"])  # supersedes
        registry.restore("p:1:all", first)
        registry.erase_private("p:2:all")
        registry.restore("p:2:all", first)  # what was erased stays so
        with registry.run():
            registry.register([4], "p:4:all", "model", custom_name="Bea's", private=["custom_name"])
        with contextlib.suppress(RuntimeError), registry.run():
            registry.register([5], "p:5:all", "model", params=said, private=["operator"])
            fail()
        registry.register([6], "q:6:all", "model", params=said, private=["operator"])
        registry.delete_pipeline_artifacts("q", delete_files=True)
        large = {"operator": "Ann Doe", "vocabulary": "ä" * 32_300}
        registry.register([7], "p:7:all", "encoder", params=large, private=["operator"])
        registry.import_from_manifest(registry.export_to_manifest(private=True), workspace)
        registry.erase_private("p:1:all", ["operator"])
        registry.delete_orphaned_artifacts(dry_run=False)


def fill_oats(workspace: Path) -> None:
    """A purge takes what is withheld, too."""
    said = {"operator": "Ann Doe", "n": 3}
    with opened(workspace, "oats", "p") as registry:
        registry.register([1], "p:1:all", "model", params=said, private=["operator"])
        registry.purge_dataset_artifacts(confirm=True)
        registry.register([2], "p:2:all", "model", params=said)


WORKSPACES: Final = {
    "1": {"wheat": fill_wheat, "barley": fill_barley},
    "2": {"oats": fill_oats, "rye": fill_rye},
}
"""By number, the datasets of each, and what fills them."""


def answers(folder: Path, workspace: Path, dataset: str) -> dict[str, Any]:
    """What every size must answer; two readers must agree on it."""
    read = reader.Reader(folder, dataset)
    with mock.patch("chainfold.registry.reap_if_possible"), opened(workspace, dataset, "") as registry:
        report = registry.verify()
        found = answered(registry, len(read.entries))
    assert report, report
    for size, (live, aliases, *_) in enumerate(found["as_of"]):
        theirs = [
            [each.artifact_id, each.record["content_hash"]]
            for each in read.registrations
            if each.is_live(size)
        ]
        assert [found["artifacts"][number] for number in live] == theirs
        assert aliases == read.aliases_at(size)
    return {"root": report.root, **found}


def answered(registry: ArtifactRegistry, last: int) -> dict[str, Any]:
    """What a registry says of every size up to one.

    Returns:
        `artifacts`: id and digest of all that was ever live; `as_of`: for each size what was live, as
        numbers in `artifacts`, the aliases, `TOTALS`, and the count of each of `TYPES`; `records`: what was
        live at last, without defaults.
    """
    artifacts: list[list[str]] = []
    sizes: list[Any] = []
    for size in range(last + 1):
        view = registry.as_of(size)
        pairs = [[record.artifact_id, record.content_hash] for record in view.iter_records()]
        artifacts += [pair for pair in pairs if pair not in artifacts]
        stats = view.get_stats()
        assert stats["by_type"].keys() <= set(TYPES)
        sizes.append(
            [
                [artifacts.index(pair) for pair in pairs],
                view.aliases(),
                [stats[name] for name in TOTALS],
                [stats["by_type"].get(name, 0) for name in TYPES],
            ]
        )
    records: dict[str, Any] = {}
    for record in registry.as_of(last).iter_records():
        fields = {
            name: value for name, value in record.to_dict().items() if value != reader.RECORD.get(name, ())
        }
        if len(json.dumps(record.params)) > 1_000:
            fields["params"] = "large"  # kept aside, where its digest is checked
        records[record.artifact_id] = fields
    return {"artifacts": artifacts, "as_of": sizes, "records": records}


if __name__ == "__main__":
    main()
