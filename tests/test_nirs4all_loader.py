"""What nirs4all predicts with: found and loaded as a scan of the manifest finds it."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.nirs4all_manifests import (
    BRANCHES,
    CHAINS,
    FOLDS,
    IDS,
    MODELS,
    NAMES,
    SOURCES,
    Item,
    Stored,
    loader_of,
    manifests,
    storing,
)

from chainfold import InvalidInputError, ManifestError, NotFoundError, OperatorChain
from chainfold.integrations.nirs4all.loader import ArtifactLoader

MANY = settings(max_examples=300)


@pytest.fixture(scope="module")
def stored() -> Iterator[Stored]:
    with storing() as made:
        yield made


def latest(items: list[Item]) -> list[Item]:
    """Each id once, where it stands last."""
    seen: list[str] = []
    found: list[Item] = []
    for each in reversed(items):
        if each["artifact_id"] not in seen:
            seen.append(each["artifact_id"])
            found.insert(0, each)
    return found


def ids(items: list[Item]) -> list[str]:
    return [each["artifact_id"] for each in items]


def objects(items: list[Item]) -> list[tuple[str, Any]]:
    return [(each["artifact_id"], [each["blob"]]) for each in items]


def sees(branch: list[int], other: list[int]) -> bool:
    """Whether a branch is another, or inside it."""
    return all(place < len(branch) and branch[place] == index for place, index in enumerate(other))


def order_of_folds(fold: Any) -> tuple[bool, bool, Any]:
    return (fold is not None, isinstance(fold, str), 0 if fold is None else fold)


@MANY
@given(manifests(), st.sampled_from(IDS))
def test_an_id_gives_what_is_listed_last(stored: Stored, items: list[Item], wanted: str) -> None:
    """Its object, equal, by a name that can be printed; twice the same one, from the cache."""
    loader, listed = loader_of(stored, items), latest(items)
    assert ids([each.to_dict() for each in loader.get_all_records()]) == ids(listed)
    found = [each for each in listed if each["artifact_id"] == wanted]
    if not found:
        assert loader.get_record(wanted) is None
        for call in (loader.load_by_id, loader.load_by_artifact_id, loader.load_with_dependencies):
            with pytest.raises(KeyError, match=wanted.replace("$", r"\$")):
                call(wanted)
        return
    (item,) = found
    loaded = loader.load_by_id(wanted)
    assert loaded == [item["blob"]]
    assert loader.load_by_id(wanted) is loaded
    fold = "" if item["fold_id"] is None else f"_fold{item['fold_id']}"
    name = (item["custom_name"].replace("\t", " ") or item["class_name"]) + fold
    assert loader.load_by_artifact_id(wanted) == (name, loaded)
    assert loader.get_step_binaries_by_artifact_ids([wanted]) == [(name, loaded)]


@MANY
@given(manifests(), st.sampled_from([*CHAINS, "s"]), st.sampled_from(FOLDS), st.sampled_from(SOURCES))
def test_chains_are_found_whole_and_by_prefix(
    stored: Stored, items: list[Item], path: str, fold: Any, source: int | None
) -> None:
    """A text is a prefix of characters, a chain one of operators; branch and source are exact."""
    loader, listed = loader_of(stored, items), latest(items)
    of_chain = [each for each in listed if each["chain_path"] == path]
    of_fold = [each for each in of_chain if each["fold_id"] == fold]
    found = of_fold or (of_chain if fold is None else [])
    record = loader.get_record_by_chain(path, fold)
    assert ([] if record is None else [record.artifact_id]) == ids(found[-1:])
    assert loader.load_by_chain(path, fold) == ([found[-1]["blob"]] if found else None)

    def expected(starts: Any, branch: list[int] | None) -> list[tuple[str, Any]]:
        matching = [
            each
            for each in listed
            if starts(each["chain_path"])
            and branch in (None, each["branch_path"])
            and source in (None, each["source_index"])
        ]
        return objects(
            sorted(matching, key=lambda each: (each["chain_path"], order_of_folds(each["fold_id"])))
        )

    for branch in (None, *BRANCHES):
        assert loader.load_by_chain_prefix(path, branch, source) == expected(
            lambda text: text.startswith(path), branch
        )
    if path not in ("an old text", "s"):
        operators = path.split(">")
        assert loader.load_by_chain_prefix(OperatorChain.from_path(path), None, source) == expected(
            lambda text: text.split(">")[: len(operators)] == operators, None
        )


@MANY
@given(
    manifests(),
    st.integers(0, 3),
    st.sampled_from([None, *BRANCHES]),
    st.sampled_from(SOURCES),
    st.sampled_from(FOLDS),
    st.sampled_from([None, "p0", "p1"]),
)
def test_a_step_has_its_own_and_what_it_shares(
    stored: Stored,
    items: list[Item],
    step: int,
    branch: list[int] | None,
    source: int | None,
    fold: Any,
    pipeline: str | None,
) -> None:
    """What a branch, source or fold uses is its own, and what is of none; filters are exact."""
    loader = loader_of(stored, items)
    of_step = [each for each in latest(items) if each["step_index"] == step]
    seen = [each for each in of_step if sees(branch or [], each["branch_path"])]
    used = [
        each
        for each in seen
        if (source is None or each["source_index"] in (None, source))
        and (fold is None or each["fold_id"] in (None, fold))
        and pipeline in (None, each["pipeline_id"])
    ]
    assert loader.load_for_step(step, branch, source, fold, pipeline) == objects(used)
    of_branch = [each for each in of_step if branch in (None, each["branch_path"])]
    exact = [
        each
        for each in of_branch
        if source in (None, each["source_index"]) and fold in (None, each["fold_id"])
    ]
    told = loader.get_artifacts_by_chain_filter(step, branch, source, fold)
    assert [record.artifact_id for record in told] == ids(exact)
    for name in NAMES[1:]:
        called = [
            each for each in of_branch if each["custom_name"] == name and fold in (None, each["fold_id"])
        ]
        record = loader.find_artifact_by_custom_name(name, step, fold, branch)
        assert ([] if record is None else [record.artifact_id]) == ids(called[:1])
    models = [
        each
        for each in of_step
        if each["artifact_type"] in MODELS
        and each["fold_id"] is not None
        and (not branch or each["branch_path"] == branch)
        and pipeline in (None, each["pipeline_id"])
    ]
    models.sort(key=lambda each: order_of_folds(each["fold_id"]))
    assert loader.load_fold_models(step, branch, pipeline) == [
        (each["fold_id"], [each["blob"]]) for each in models
    ]
    assert loader.has_binaries_for_step(step) is bool(of_step)
    shared = [each for each in of_step if each["branch_path"] in ([], [0])]
    assert loader.has_binaries_for_step(step, None, 0) is bool(shared)
    assert loader.get_step_binaries(f"{step}_7", None, branch) == [
        (name, [each["blob"]]) for name, each in zip(step_names(step, seen), seen, strict=True)
    ]


def step_names(step: int, seen: list[Item]) -> list[str]:
    """Names of a step's objects: of models by fold, of the rest by what of their class was before them."""
    names: list[str] = []
    for place, each in enumerate(seen):
        before = [other["class_name"] for other in seen[:place] if other["artifact_type"] not in MODELS]
        if each["artifact_type"] in MODELS:
            number = each["fold_id"] if isinstance(each["fold_id"], int) else 0
        else:
            number = before.count(each["class_name"])
        prefix = "y_" if each["artifact_type"] == "encoder" else ""
        names.append(f"{prefix}{each['class_name']}_{100 * step + number}")
    return names


def reached(items: dict[str, Item], start: str) -> set[str]:
    """All that can be reached from an artifact by at least one step."""
    found: set[str] = set()
    while True:
        more = {source for each in {start, *found} if each in items for source in items[each]["depends_on"]}
        if more <= found:
            return found
        found |= more


@MANY
@given(manifests(), st.data())
def test_what_it_was_made_from_comes_with_it(stored: Stored, items: list[Item], data: st.DataObject) -> None:
    """Everything that can be reached, sources first; a cycle or what is missing is an error that says so."""
    loader, listed = loader_of(stored, items), {each["artifact_id"]: each for each in latest(items)}
    if not listed:
        return
    wanted = data.draw(st.sampled_from(sorted(listed)))
    everything = {wanted} | reached(listed, wanted)
    if any(each in reached(listed, each) for each in everything):
        with pytest.raises(ValueError, match="Cycle detected"):
            loader.load_with_dependencies(wanted)
    elif everything - listed.keys():
        with pytest.raises(NotFoundError) as caught:
            loader.load_with_dependencies(wanted)
        assert all(each in str(caught.value) for each in everything - listed.keys())
    else:
        loaded = loader.load_with_dependencies(wanted)
        assert loaded == {each: [listed[each]["blob"]] for each in everything}
        order = list(loaded)
        assert order[-1] == wanted
        for product in order:
            for source in listed[product]["depends_on"]:
                assert order.index(source) < order.index(product)


@pytest.mark.parametrize("validate", [True, False])
@MANY
@given(items=manifests(), data=st.data())
def test_a_meta_model_comes_with_what_feeds_it(
    stored: Stored,
    validate: bool,  # noqa: FBT001 - pytest gives it by name
    items: list[Item],
    data: st.DataObject,
) -> None:
    """Its sources in feature order; validated, each is of a branch that it sees."""
    loader, listed = loader_of(stored, items), {each["artifact_id"]: each for each in latest(items)}
    if not listed:
        return
    wanted = listed[data.draw(st.sampled_from(sorted(listed)))]
    config = wanted.get("meta_config")
    sources = wanted["depends_on"]
    if config is not None:
        sources = [each["artifact_id"] for each in config["source_models"]]
    missing = [each for each in sources if each not in listed]
    blind = [
        each
        for each in sources
        if each in listed and not sees(wanted["branch_path"], listed[each]["branch_path"])
    ]
    wrong: type[Exception] | None = None
    if wanted["artifact_type"] != "meta_model" or (validate and (missing or blind)):
        wrong = InvalidInputError
    elif missing:
        wrong = NotFoundError
    if wrong is not None:
        with pytest.raises(wrong):
            loader.load_meta_model_with_sources(wanted["artifact_id"], validate)
        return
    names = [f"{listed[each]['class_name']}_pred" for each in sources]
    columns = names if config is None else config["feature_columns"]
    fed = objects([listed[each] for each in sources])
    assert loader.load_meta_model_with_sources(wanted["artifact_id"], validate) == (
        [wanted["blob"]],
        fed,
        columns,
    )
    if validate:
        columns = columns if len(columns) == len(sources) else names
        assert loader.load_meta_model_for_prediction(wanted["artifact_id"]) == (
            [wanted["blob"]],
            fed,
            columns,
        )


@pytest.mark.parametrize("wrong", [None, [], "wheat", 3])
def test_what_is_no_manifest_is_refused(stored: Stored, wrong: Any) -> None:
    folder = stored.workspace / "runs" / "wheat" / "0001"
    with pytest.raises(ManifestError, match="that is no manifest: it is a"):
        ArtifactLoader.from_manifest(wrong, folder)
    with pytest.raises(ManifestError, match="that is no manifest: it is a"):
        loader_of(stored, []).import_from_manifest(wrong)


@pytest.mark.parametrize("wrong", ["../x", ["a"], 3, "a/b", "a\0", " "])
def test_a_dataset_that_is_no_name_is_refused_at_once(stored: Stored, wrong: Any) -> None:
    """Not only when something is loaded."""
    folder = stored.workspace / "runs" / "wheat" / "0001"
    with pytest.raises(InvalidInputError, match="dataset name"):
        ArtifactLoader.from_manifest({"dataset": wrong, "artifacts": []}, folder)


@pytest.mark.parametrize("wrong", ["x", "", None, "_1"])
def test_a_step_that_is_no_number_is_refused(stored: Stored, wrong: Any) -> None:
    with pytest.raises(InvalidInputError, match="a step is a number"):
        loader_of(stored, []).get_step_binaries(wrong)


@pytest.mark.parametrize(
    "folder", ["w/runs/wheat/0001", "w/runs/2025-01-01_wheat/0001", "w/runs/wheat", "w/wheat"]
)
def test_a_manifest_without_a_dataset_is_of_its_folder_s(folder: str) -> None:
    """As nirs4all's own loader has it."""
    with closing(ArtifactLoader.from_manifest({"artifacts": []}, Path(folder))) as loader:
        assert loader.dataset == "wheat"
        assert loader.binaries_dir == Path("w/binaries/wheat")
