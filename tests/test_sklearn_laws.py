"""Laws of what scikit-learn fits: over composites drawn from a grammar, against a naive walk over them."""

import io
import itertools
import pickle
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from sklearn.base import BaseEstimator
from tests.composites import children, everything, fitted, leaves, outcome
from tests.conftest import check_consistency

from chainfold import ArtifactRegistry, OperatorChain
from chainfold.integrations.sklearn import load_fitted, parts, register_fitted

FEW = settings(max_examples=50)

_numbers = itertools.count()


@pytest.fixture(scope="module")
def registry() -> Iterator[ArtifactRegistry]:
    """One for all examples, which have pipelines of their own."""
    with TemporaryDirectory() as folder:
        with ArtifactRegistry(folder, "wheat") as opened:
            yield opened
        check_consistency(Path(folder))


def registered(registry: ArtifactRegistry, estimator: Any) -> tuple[str, Any]:
    """The pipeline, and the record of the whole."""
    pipeline = f"p{next(_numbers)}"
    return pipeline, register_fitted(registry, estimator, pipeline_id=pipeline)


@FEW
@given(fitted())
def test_what_comes_back_is_what_was_registered(registry: ArtifactRegistry, estimator: Any) -> None:
    """Same type, same parameters, same text, and the same outcome to the last bit."""
    _, record = registered(registry, estimator)
    again = load_fitted(registry, record.artifact_id)
    assert type(again) is type(estimator)
    assert repr(again) == repr(estimator)
    assert repr(again.get_params()) == repr(estimator.get_params())
    assert outcome(again).tobytes() == outcome(estimator).tobytes()
    assert [type(each) for each in everything(again)] == [type(each) for each in everything(estimator)]


@FEW
@given(fitted())
def test_everything_fitted_is_a_part(registry: ArtifactRegistry, estimator: Any) -> None:
    """The naive walk finds the same objects, leaves and composites; each has an id of its own."""
    plan = parts(estimator)
    assert Counter(id(each.fitted) for each in plan) == Counter(map(id, everything(estimator)))
    of_one_piece = Counter(id(each.fitted) for each in plan if not each.members)
    assert of_one_piece == Counter(map(id, leaves(estimator)))
    assert plan[-1].fitted is estimator
    assert len({each.chain.to_path() for each in plan}) == len(plan)
    pipeline, _ = registered(registry, estimator)
    records = [each for each in registry.iter_records() if each.pipeline_id == pipeline]
    assert [each.class_name for each in records] == [type(each.fitted).__name__ for each in plan]


@FEW
@given(fitted())
def test_every_part_is_found_by_its_chain(registry: ArtifactRegistry, estimator: Any) -> None:
    """And loads, by its id, as what works as the part does; its chain can be parsed, and ends with itself."""
    pipeline, _ = registered(registry, estimator)
    view = registry.as_of(registry.position)
    view.pipeline_id = pipeline
    for part in parts(estimator):
        assert OperatorChain.from_path(part.chain.to_path()).to_path() == part.chain.to_path()
        record = view.get_by_chain(part.chain)
        assert record is not None
        assert record.pipeline_id == pipeline
        assert record.class_name == part.chain.nodes[-1].operator_class == type(part.fitted).__name__
        step = view.get_artifacts_for_step(pipeline, record.step_index, record.branch_path)
        assert record.artifact_id in [each.artifact_id for each in step]
        again = load_fitted(view, record.artifact_id)
        assert repr(again) == repr(part.fitted)
        if not part.members:
            assert pickle.dumps(again) == pickle.dumps(pickle.loads(pickle.dumps(part.fitted)))


@FEW
@given(fitted())
def test_the_whole_was_made_from_all_parts(registry: ArtifactRegistry, estimator: Any) -> None:
    """Sources before products, each once, and nothing else; what an operator was fed comes before it too."""
    pipeline, record = registered(registry, estimator)
    sources = registry.resolve_dependencies(record.artifact_id)
    everybody = {each.artifact_id for each in registry.iter_records() if each.pipeline_id == pipeline}
    assert [each.artifact_id for each in sources] == list(dict.fromkeys(each.artifact_id for each in sources))
    assert {each.artifact_id for each in sources} == everybody - {record.artifact_id}
    seen: set[str] = set()
    for each in [*sources, record]:
        assert seen.issuperset(each.depends_on)
        seen.add(each.artifact_id)
    plan = {each.chain.to_path(): each for each in parts(estimator)}
    for each in sources:  # what is not the first operator was fed by something
        part = plan[each.chain_path]
        assert each.depends_on or len(part.chain) == 1


@FEW
@given(fitted())
def test_bytes_are_there_once(registry: ArtifactRegistry, estimator: Any) -> None:
    """A skeleton holds nothing fitted that is a part; registering again brings no file."""
    _, record = registered(registry, estimator)
    before = registry.get_stats()["disk_file_count"]
    _, again = registered(registry, estimator)
    assert registry.get_stats()["disk_file_count"] == before
    assert again.content_hash == record.content_hash
    inside = {id(each) for each in everything(estimator)}
    loaded = registry.load_artifact(record)
    learned = {_learned(each) for each in leaves(estimator)} - {()}
    if children(estimator):
        assert not learned & {_learned(each) for each in _estimators_in(loaded) if id(each) not in inside}


def _learned(estimator: Any) -> tuple[tuple[str, bytes], ...]:
    """What an estimator has learned, as far as it is arrays of more than one number."""
    return tuple(
        (name, value.tobytes())
        for name, value in sorted(vars(estimator).items())
        if name.endswith("_") and isinstance(value, np.ndarray) and value.size > 1 and name != "classes_"
    )


def _estimators_in(obj: Any) -> list[Any]:
    """Every estimator that pickle comes across, at any depth."""
    found: list[Any] = []

    class Pickler(pickle.Pickler):
        def persistent_id(self, obj: Any) -> None:
            if isinstance(obj, BaseEstimator):
                found.append(obj)

    Pickler(io.BytesIO()).dump(obj)
    return found
