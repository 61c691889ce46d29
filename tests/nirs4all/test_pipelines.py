"""nirs4all's pipelines, unchanged, on chainfold."""

import shutil
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from tests.conftest import check_consistency
from tests.nirs4all.conftest import INSTALLED, PLAIN, SCRIPT, Outcome, printable
from tests.nirs4all.pipelines import NESTED

from chainfold import ArtifactRegistry

KINDS = (
    "single",
    "folds",
    "branches",
    "variants",
    "stacking",
    "stacked_branches",
    "stack_of_each_branch",
    "sources",
)
META_BUNDLES = ("stacking_meta", "stack_of_each_branch_meta")
"""Of a meta-model rather than of the best model."""
WRITTEN_ANEW = {"content_hash", "path", "created_at", "size_bytes"}
"""What a manifest's item says of bytes: nirs4all compresses them."""


def listed(outcome: Outcome) -> dict[str, list[dict[str, Any]]]:
    """The items of all manifests, by dataset."""
    items: dict[str, list[dict[str, Any]]] = {}
    for path in outcome.manifests():
        manifest = yaml.safe_load(path.read_text())
        items.setdefault(manifest["dataset"], []).extend(manifest["artifacts"]["items"])
    return items


@pytest.mark.parametrize("stage", ["trained", "predicted"])
def test_predictions_are_equal_to_the_bit(plain: Outcome, installed: Outcome, stage: str) -> None:
    theirs, ours = getattr(plain, stage), getattr(installed, stage)
    assert theirs.files == ours.files
    assert [name for name in theirs.files if theirs[name].tobytes() != ours[name].tobytes()] == []
    assert [name for name in theirs.files if theirs[name].dtype != ours[name].dtype] == []


def test_every_kind_was_trained_stored_and_predicted(installed: Outcome) -> None:
    """Else two failures would be equal as well."""
    for bundle in (*KINDS, *META_BUNDLES):
        assert installed.trained[f"{bundle} n4a"] == f"{bundle}.n4a"
        assert installed.trained[f"{bundle} n4a.py"] == f"{bundle}.n4a.py"
    for name in META_BUNDLES:
        assert np.isfinite(installed.predicted[f"{name} bundle"]).all()
    for kind in KINDS:
        numbers = [n for n in installed.trained.files if n.startswith(f"{kind} ") and "n4a" not in n]
        assert all(np.isfinite(installed.trained[name]).all() for name in numbers)
        if kind != "stacked_branches":  # nirs4all itself cannot predict from the workspace there
            again = [n for n in installed.predicted.files if n.startswith(f"{kind} ") and "bundle" not in n]
            assert len(again) > (2 if kind == "single" else 5)  # without folds there is one model
            assert all(installed.predicted[name].dtype == np.float64 for name in again)
        if kind != "sources":  # nor from a bundle here
            for name in (f"{kind} bundle", f"{kind} bundle alone"):
                assert np.isfinite(installed.predicted[name]).all()


def test_branches_in_branches_were_trained_stored_and_predicted(installed: Outcome) -> None:
    """Likewise. Of these nirs4all itself cannot predict all: at least some of each."""
    for kind in NESTED:
        assert installed.trained[f"{kind} n4a"] == f"{kind}.n4a"
        for outcome, count in ((installed.trained, 10), (installed.predicted, 1)):
            found = [outcome[name] for name in outcome.files if name.startswith(f"{kind} ")]
            numbers = [each for each in found if each.dtype == np.float64]
            assert len(numbers) >= count, kind
            assert all(np.isfinite(each).all() for each in numbers)
    paths = {item["chain_path"] for items in listed(installed).values() for item in items}
    assert "s3.StandardNormalVariate, FirstDerivative[br=0,sub=0]" in {path.split(">")[0] for path in paths}


def test_every_log_verifies_and_replays(installed: Outcome) -> None:
    datasets = {path.name for path in (installed.workspace / "log").iterdir()}
    assert datasets >= {*KINDS, *NESTED, "failing"}
    check_consistency(installed.workspace)


def test_the_log_has_what_the_manifests_list(installed: Outcome) -> None:
    for dataset, items in listed(installed).items():
        if dataset == "failing":
            continue
        with ArtifactRegistry(installed.workspace, dataset) as registry:
            records = registry.get_all_records()
            assert [record.to_dict() for record in records] == items
            assert registry.find_orphaned_artifacts() == []


def test_manifests_say_the_same_but_for_bytes(plain: Outcome, installed: Outcome) -> None:
    theirs, ours = listed(plain), listed(installed)
    assert ours.keys() == theirs.keys() >= {*KINDS, *NESTED, "failing"}
    for dataset in (*KINDS, *NESTED, "failing"):  # when it trains again, it makes the ids up
        for our, their in zip(ours[dataset], theirs[dataset], strict=True):
            assert our.keys() - {"refers_to"} == their.keys()
            differing = {key for key in their if our[key] != printable(their)[key]}
            if not their["format_version"]:  # it knows of few libraries: not even of itself
                differing.discard("format_version")
            assert differing <= WRITTEN_ANEW, (dataset, our, their)


def test_nirs4all_alone_predicts_from_what_was_trained_on_chainfold(
    installed: Outcome, tmp_path: Path
) -> None:
    """Nobody is locked in: its own loader reads manifests and files."""
    workspace = Path(shutil.copytree(installed.workspace, tmp_path / "workspace"))
    (workspace / "predict.npz").unlink()
    log = {path: path.read_bytes() for path in (workspace / "log").rglob("*") if path.is_file()}
    run = subprocess.run([*PLAIN, str(SCRIPT), str(workspace), "predict"], capture_output=True, text=True)  # noqa: PLW1510 - looked at
    assert run.returncode == 0, run.stderr[-2000:]
    alone, on_chainfold = np.load(workspace / "predict.npz"), installed.predicted
    assert alone.files == on_chainfold.files
    assert [name for name in alone.files if alone[name].tobytes() != on_chainfold[name].tobytes()] == []
    assert {path: path.read_bytes() for path in (workspace / "log").rglob("*") if path.is_file()} == log


def test_each_run_is_one_run_of_the_log(installed: Outcome) -> None:
    with ArtifactRegistry(installed.workspace, "stacking") as registry:
        (run,) = registry.runs()
        assert run.status == "committed"
        meta = registry.get_artifacts_for_step(registry.get_all_records()[-1].pipeline_id, 5)
        assert len(meta) == 3
        for record in meta:
            sources = registry.resolve_dependencies(record.artifact_id)
            assert {each.class_name for each in sources} == {"PLSRegression", "RandomForestRegressor"}


def test_a_pipeline_that_fails_leaves_nothing_but_its_record(plain: Outcome, installed: Outcome) -> None:
    with ArtifactRegistry(installed.workspace, "failing") as registry:
        assert len(registry) == 0
        (run,) = registry.runs()
        assert run.status == "rolled-back"
        assert len(list(registry.events(kinds=["artifact-registered"]))) == 4
        assert list(registry.binaries_dir.iterdir()) == []
    assert "upper bound" in str(installed.trained["failing failed"])
    assert "failing" in {path.name for path in (plain.workspace / "binaries").iterdir()}


def test_bundles_hold_the_same_files(plain: Outcome, installed: Outcome) -> None:
    for kind in (*KINDS, *META_BUNDLES):
        names = [
            sorted(zipfile.ZipFile(outcome.workspace / f"{kind}.n4a").namelist())
            for outcome in (plain, installed)
        ]
        assert names[0] == names[1]


def test_portable_scripts_need_neither(installed: Outcome, tmp_path: Path) -> None:
    """What is embedded in them is read by joblib alone."""
    rows = np.random.default_rng(1).random((4, 80))
    np.savetxt(tmp_path / "rows.csv", rows, delimiter=",")
    script = installed.workspace / "folds.n4a.py"
    run = subprocess.run([*PLAIN, str(script), str(tmp_path / "rows.csv")], capture_output=True, text=True)  # noqa: PLW1510 - looked at
    assert run.returncode == 0, run.stderr[-2000:]
    assert "chainfold" not in script.read_text()


STATS = ("-m", "nirs4all.cli.main", "artifacts")


def test_its_command_line_works_on_it(installed: Outcome) -> None:
    for arguments in (["stats"], ["list-orphaned"], ["cleanup"]):
        command = [
            *INSTALLED,
            *STATS,
            *arguments,
            "--workspace",
            str(installed.workspace),
            "--dataset",
            "folds",
        ]
        run = subprocess.run(command, capture_output=True, text=True)  # noqa: PLW1510 - looked at
        assert run.returncode == 0, run.stdout + run.stderr
