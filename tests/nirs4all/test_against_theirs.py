"""Our loader and our import beside nirs4all's own loader, on the workspace that nirs4all left alone."""

import inspect
import itertools
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from nirs4all.pipeline.storage.artifacts import artifact_loader as theirs
from nirs4all.pipeline.storage.artifacts import operator_chain as their_chain
from nirs4all.pipeline.storage.artifacts import utils as their_utils
from tests.conftest import check_consistency
from tests.nirs4all.conftest import Outcome, printable

from chainfold import ArtifactRegistry, ManifestError
from chainfold.integrations.nirs4all import ids, import_workspace, installing
from chainfold.integrations.nirs4all.loader import ArtifactLoader

pytestmark = pytest.mark.filterwarnings("ignore")


def alike(one: Any, other: Any) -> bool:
    """Whether two estimators have the same class and parameters, and do the same, to the bit.

    Their pickles need not be equal: the nodes of a tree have bytes between them that nobody ever wrote.
    """
    if type(one) is not type(other) or repr(one.get_params()) != repr(other.get_params()):
        return False
    x = np.random.default_rng(5).random((7, getattr(other, "n_features_in_", 80)))
    did = [each.predict(x) if hasattr(each, "predict") else each.transform(x) for each in (one, other)]
    return bool(did[0].tobytes() == did[1].tobytes())


@pytest.fixture
def copied(plain: Outcome, tmp_path: Path) -> Path:
    """The workspace that nirs4all left, to be changed."""
    return Path(shutil.copytree(plain.workspace, tmp_path / "workspace"))


@pytest.fixture
def pairs(plain: Outcome) -> Iterator[list[tuple[Any, ArtifactLoader]]]:
    """Their loader and ours, of each manifest."""
    manifests = [(yaml.safe_load(path.read_text()), path.parent) for path in plain.manifests()]
    found = [
        (theirs.ArtifactLoader.from_manifest(each, folder), ArtifactLoader.from_manifest(each, folder))
        for each, folder in manifests
        if each["dataset"] != "failing"
    ]
    yield found
    for _, ours in found:
        ours.close()


def test_every_artifact_is_loaded_equal(pairs: list[tuple[Any, ArtifactLoader]]) -> None:
    count = 0
    for their, our in pairs:
        assert [each.to_dict() for each in our.get_all_records()] == [
            printable(each.to_dict()) for each in their.get_all_records()
        ]
        for record in their.get_all_records():
            assert alike(our.load_by_id(record.artifact_id), their.load_by_id(record.artifact_id))
            name, _ = their.load_by_artifact_id(record.artifact_id)
            assert our.load_by_artifact_id(record.artifact_id)[0] == name.replace("\t", " ")
            count += 1
    assert count > 60


def test_the_same_is_found(pairs: list[tuple[Any, ArtifactLoader]]) -> None:
    for their, our in pairs:
        records = their.get_all_records()
        for step in range(8):
            for branch in (None, [], [0], [1], [7]):
                for fold in (None, 0, 2, 9):
                    for source in (None, 0, 1):
                        asked = (step, branch, source, fold)
                        assert named(our.load_for_step(*asked)) == named(their.load_for_step(*asked))
                        assert listed(our.get_artifacts_by_chain_filter(*asked)) == listed(
                            their.get_artifacts_by_chain_filter(*asked)
                        )
                folds = [fold for fold, _ in their.load_fold_models(step, branch)]
                assert [fold for fold, _ in our.load_fold_models(step, branch)] == folds
                assert named(our.get_step_binaries(step, None, branch)) == named(
                    their.get_step_binaries(step, None, branch)
                )
            for branch_id in (None, 0, 1):
                assert our.has_binaries_for_step(step, None, branch_id) == their.has_binaries_for_step(
                    step, None, branch_id
                )
        for record in records:
            asked_name = (record.custom_name, record.step_index, record.fold_id, record.branch_path)
            assert same(
                our.find_artifact_by_custom_name(*asked_name), their.find_artifact_by_custom_name(*asked_name)
            )
            assert same(
                our.get_record_by_chain(record.chain_path), their.get_record_by_chain(record.chain_path)
            )
            assert list(our.load_with_dependencies(record.artifact_id)) == list(
                their.load_with_dependencies(record.artifact_id)
            )


def test_a_branch_in_a_branch_sees_what_that_one_has(pairs: list[tuple[Any, ArtifactLoader]]) -> None:
    """Which its models were fitted on: nirs4all's own sees what is of exactly that branch, or of none."""
    seen = more = 0
    for their, our in pairs:
        for step, branch in itertools.product(range(8), ([0, 0], [0, 1], [0, 1, 1], [1, 0], [7, 0])):
            for fold, source in itertools.product((None, 0, 2), (None, 0, 1)):
                asked = (step, branch, source, fold)
                assert listed(our.get_artifacts_by_chain_filter(*asked)) == listed(
                    their.get_artifacts_by_chain_filter(*asked)
                )
                ours = [our.get_record(each) for each in named(our.load_for_step(*asked))]
                own = [each.artifact_id for each in ours if each and each.branch_path in ([], branch)]
                assert own == named(their.load_for_step(*asked))
                of_parents = [each.branch_path for each in ours if each and each.artifact_id not in own]
                assert all(each in (branch[:1], branch[:2]) for each in of_parents)
                seen, more = seen + len(own), more + len(of_parents)
    assert seen > 100
    assert more > 100


def test_every_fold_of_a_chain_is_found(pairs: list[tuple[Any, ArtifactLoader]]) -> None:
    """nirs4all's own finds the last one alone."""
    for _, our in pairs:
        records = our.get_all_records()
        for record in records:
            assert our.get_record_by_chain(record.chain_path, record.fold_id) == record
        assert {each for each, _ in our.load_by_chain_prefix("s")} == {each.artifact_id for each in records}


def test_meta_models_come_with_the_same_sources(pairs: list[tuple[Any, ArtifactLoader]]) -> None:
    count = 0
    for their, our in pairs:
        for record in their.get_all_records():
            for validate in (True, False):
                expected = outcome(their.load_meta_model_with_sources, record.artifact_id, validate)
                assert outcome(our.load_meta_model_with_sources, record.artifact_id, validate) == expected
                count += isinstance(expected, tuple)
            expected = outcome(their.load_meta_model_for_prediction, record.artifact_id)
            assert outcome(our.load_meta_model_for_prediction, record.artifact_id) == expected
    assert count > 6


def named(loaded: list[tuple[str, Any]]) -> list[str]:
    return [name for name, _ in loaded]


def listed(records: list[Any]) -> list[str]:
    return [record.artifact_id for record in records]


def same(one: Any, other: Any) -> bool:
    return getattr(one, "artifact_id", None) == getattr(other, "artifact_id", None)


def outcome(call: Any, *arguments: Any) -> Any:
    """Which sources in which order, and the columns; or which error."""
    try:
        model, sources, columns = call(*arguments)
    except (KeyError, ValueError) as error:
        return KeyError if isinstance(error, KeyError) else ValueError
    return type(model), named(sources), columns


def test_an_import_takes_over_everything_and_copies_nothing(copied: Path) -> None:
    files = {path: path.read_bytes() for path in copied.rglob("*") if path.is_file()}
    would = import_workspace(copied, dry_run=True)
    assert not (copied / "log").exists()
    did = import_workspace(copied, actor="importer")
    assert [each.dataset for each in did] == sorted(each.name for each in (copied / "binaries").iterdir())
    assert did == would
    assert {path: path.read_bytes() for path in files} == files
    assert all(
        path in files or path.is_relative_to(copied / "log") for path in copied.rglob("*") if path.is_file()
    )
    check_consistency_but_for(copied, did)

    for manifest in sorted(copied.glob("runs/**/manifest.yaml")):
        content = yaml.safe_load(manifest.read_text())
        loader = theirs.ArtifactLoader.from_manifest(content, manifest.parent)
        with ArtifactRegistry(copied, content["dataset"]) as registry:
            registry.allow("nirs4all")
            for expected in loader.get_all_records():
                record = registry.resolve(expected.artifact_id)
                assert record is not None
                assert record.to_dict() == printable(expected.to_dict())
                if content["dataset"] != "failing":
                    assert alike(registry.load_artifact(record), loader.load_by_id(expected.artifact_id))

    again = import_workspace(copied)
    assert [(len(each.items), each.known) for each in again] == [(0, len(each.items)) for each in did]


def check_consistency_but_for(workspace: Path, imports: list[Any]) -> None:
    """Whole, but for files that nirs4all itself has removed."""
    missing = {item.path for each in imports for item in each.missing}
    if not missing:
        check_consistency(workspace)
        return
    for each in imports:
        with ArtifactRegistry(workspace, each.dataset) as registry:
            report = registry.verify()
            assert report.ok == (not each.missing), report.findings
            assert registry.rebuild()


def test_what_their_manifests_list_is_no_orphan(copied: Path) -> None:
    """Nothing is imported: the log is empty, and the manifests alone keep the files."""
    kept = 0
    for folder in sorted((copied / "binaries").iterdir()):
        if folder.name == "failing":
            continue
        files = sorted(path.name for path in folder.iterdir())
        (folder / "model_Stray_0123456789ab.joblib").write_bytes(b"stray")
        with ArtifactRegistry(copied, folder.name) as registry:
            assert registry.find_orphaned_artifacts() == ["model_Stray_0123456789ab.joblib"]
            assert registry.find_orphaned_artifacts(scan_all_manifests=False) == sorted(
                [*files, "model_Stray_0123456789ab.joblib"]
            )
            assert registry.delete_orphaned_artifacts(dry_run=False) == (
                ["model_Stray_0123456789ab.joblib"],
                5,
            )
        assert sorted(path.name for path in folder.iterdir()) == files
        kept += len(files)
    assert kept > 60


def test_only_what_is_asked_for_is_imported(copied: Path) -> None:
    (done,) = import_workspace(copied, ["folds"])
    assert done.dataset == "folds"
    assert [path.name for path in (copied / "log").iterdir()] == ["folds"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not done.missing


def test_an_import_stops_at_the_first_invalid_item(copied: Path) -> None:
    path = next(copied.glob("runs/stacking/*/manifest.yaml"))
    content = yaml.safe_load(path.read_text())
    content["artifacts"]["items"][3]["path"] = "../../outside.joblib"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(
        ManifestError, match=r"manifest\.yaml: item 3 of the manifest, .*, is invalid: .*'\.\.'"
    ):
        import_workspace(copied)
    assert not (copied / "log").exists()


IDS = [
    "p$abc123abc123:0", "p$abc123abc123:all", "0001_pls_ab12cd$0123456789ab:17", "0001:3:all", "x", "",
]  # fmt: skip


def test_ids_and_file_names_are_read_alike() -> None:
    for name in ("validate_artifact_id", "extract_pipeline_id_from_artifact_id"):
        for each in IDS:
            assert getattr(ids, name)(each) == getattr(their_utils, name)(each), (name, each)
    for each in IDS[:3]:
        assert ids.parse_artifact_id(each) == their_utils.parse_artifact_id(each)
        assert ids.extract_fold_id_from_artifact_id(each) == their_utils.extract_fold_id_from_artifact_id(
            each
        )
        for fold in (None, 0, 17):
            for pipeline in (None, "p", "q"):
                ours = ids.artifact_id_matches_context(each, pipeline, fold_id=fold)
                assert ours == their_utils.artifact_id_matches_context(each, pipeline, fold_id=fold)
        path = ids.ExecutionPath.from_artifact_id_v3(each, "s1.A")
        their_path = their_utils.ExecutionPath.from_artifact_id_v3(each, "s1.A")
        assert repr(path) == repr(their_path)
        assert path.to_artifact_id() == their_path.to_artifact_id()
    for each in (
        "model_PLS_abc123abc123.joblib",
        "PLS_abc123abc123.pkl",
        "model_My_Class_abc123abc123.joblib",
        "x",
    ):
        assert ids.parse_filename(each) == their_utils.parse_filename(each)


def test_every_name_that_nirs4all_has_is_offered() -> None:
    """Every public class and function of the five modules, under its name, with every public attribute."""
    for name, offered in installing.offered().items():
        module = __import__(name, fromlist=["*"])
        for key, value in vars(module).items():
            if getattr(value, "__module__", None) == name and not key.startswith("_"):
                assert key in offered, (name, key)
                if isinstance(value, type):
                    public = {each for each in dir(value) if not each.startswith("_")}
                    missing = public - {*dir(offered[key]), *inspect.get_annotations(offered[key])}
                    assert not missing, (name, key, missing)
    assert their_chain.OperatorChain is not offered["OperatorChain"]
