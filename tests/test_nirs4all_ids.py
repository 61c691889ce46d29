"""Ids and file names under nirs4all's names: what is put in comes out."""

import hashlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainfold import ArtifactType, InvalidInputError
from chainfold.blobs import generate_filename, get_short_hash
from chainfold.chain import compute_chain_hash
from chainfold.integrations.nirs4all.ids import (
    ExecutionPath,
    artifact_id_matches_context,
    extract_fold_id_from_artifact_id,
    extract_pipeline_id_from_artifact_id,
    parse_artifact_id,
    parse_filename,
    validate_artifact_id,
)

PRINTABLE = st.characters(exclude_categories=("C", "Z"))
PIPELINES = st.text(st.one_of(PRINTABLE, st.sampled_from("$:")), max_size=12)
CHAINS = st.text(st.sampled_from("s12.PLS>[br=0,fo]+"), max_size=20)
FOLDS = st.one_of(st.none(), st.integers(0, 10**6), st.sampled_from(["final", "avg", "w_avg"]))
OTHERS = ("", "x", "0001:3:all", "0001:3:7", "p$:0", "p$abc", "$", ":", "p$ab c:0", "p$abc123abc123:")


@given(PIPELINES, CHAINS, FOLDS)
def test_a_path_and_its_id_say_the_same(pipeline: str, chain: str, fold: int | str | None) -> None:
    """The id has the pipeline, twelve digits of the chain's sha256 and the fold, and each is read from it."""
    path = ExecutionPath(pipeline, chain, fold_id=fold)
    made = path.to_artifact_id()
    digits = hashlib.sha256(chain.encode()).hexdigest()[:12]
    assert made == f"{pipeline}${digits}:{'all' if fold is None else fold}"
    assert ExecutionPath.from_artifact_id_v3(made, chain) == path
    assert validate_artifact_id(made)
    assert parse_artifact_id(made) == (pipeline, [], 0, fold, None)
    assert extract_pipeline_id_from_artifact_id(made) == pipeline
    assert extract_fold_id_from_artifact_id(made) == fold


@given(PIPELINES, CHAINS, FOLDS, PIPELINES, FOLDS)
def test_an_id_is_of_its_context_alone(
    pipeline: str, chain: str, fold: int | str | None, other: str, another: int | str | None
) -> None:
    """What is asked has to be so; what is not asked, and what an id does not say, may be anything."""
    made = ExecutionPath(pipeline, chain, fold_id=fold).to_artifact_id()
    assert artifact_id_matches_context(made)
    assert artifact_id_matches_context(made, pipeline, [3], 7, fold)
    assert artifact_id_matches_context(made, other) is (other == pipeline)
    assert artifact_id_matches_context(made, None, None, None, another) is (another in (None, fold))


@pytest.mark.parametrize("other", [None, 5, b"p$abc123abc123:0", ["p$abc123abc123:0"], {"a": 1}])
def test_what_is_no_text_is_named_as_such(other: Any) -> None:
    """Nobody sees an AttributeError from inside."""
    assert not validate_artifact_id(other)
    assert not artifact_id_matches_context(other)
    calls: list[Callable[[Any], Any]] = [compute_chain_hash, get_short_hash, parse_filename]
    calls += [parse_artifact_id, ExecutionPath.from_artifact_id_v3, extract_pipeline_id_from_artifact_id]
    calls += [extract_fold_id_from_artifact_id]
    for call in calls:
        with pytest.raises(InvalidInputError, match=f"must be text, not {type(other).__name__}"):
            call(other)


@pytest.mark.parametrize("other", OTHERS)
def test_ids_in_other_forms_are_told_apart(other: str) -> None:
    assert not validate_artifact_id(other)
    assert not artifact_id_matches_context(other)
    for call in (parse_artifact_id, ExecutionPath.from_artifact_id_v3):
        with pytest.raises(InvalidInputError, match=r"pipeline\$hash:fold|fold_id must be"):
            call(other)


def test_ids_of_the_older_form_have_a_pipeline_and_a_fold() -> None:
    assert extract_pipeline_id_from_artifact_id("0001_pls:3:7") == "0001_pls"
    assert extract_fold_id_from_artifact_id("0001_pls:3:7") == 7
    assert extract_fold_id_from_artifact_id("0001_pls:3:all") is None


def test_paths_share_nothing() -> None:
    branches = [0, 1]
    path = ExecutionPath("p", branch_path=branches)
    branches.append(2)
    assert path.branch_path == [0, 1]
    assert ExecutionPath("p").branch_path is not ExecutionPath("p").branch_path


NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,20}", fullmatch=True)
HASHES = st.from_regex(r"[0-9a-f]{64}", fullmatch=True)
EXTENSIONS = st.sampled_from(["joblib", "pkl", "npy", "tar.gz"])


@given(st.sampled_from(ArtifactType), NAMES, HASHES, EXTENSIONS)
def test_a_file_name_says_type_class_and_digits(
    kind: ArtifactType, name: str, content: str, extension: str
) -> None:
    """A name is read back, whatever the class is called."""
    filename = generate_filename(kind, name, content, extension)
    assert filename == f"{kind.value}_{name}_{content[:12]}.{extension}"
    assert parse_filename(filename) == (kind.value, name, content[:12])


@pytest.mark.parametrize(
    ("filename", "read"),
    [
        ("PLSRegression_abc123abc123.pkl", ("", "PLSRegression", "abc123abc123")),
        ("model_My_Class_abc123abc123.joblib", ("model", "My_Class", "abc123abc123")),
        ("PLSRegression.pkl", None),
        ("model_PLS_abc.joblib", None),
        ("model_PLS_abc123abc123", None),
        ("", None),
    ],
)
def test_what_is_no_such_name_is_none(filename: str, read: tuple[str, str, str] | None) -> None:
    """The oldest workspaces have names without a type."""
    assert parse_filename(filename) == read
