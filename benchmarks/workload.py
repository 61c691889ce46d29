"""What is registered: small fitted models, no two alike, in pipelines of twenty."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sklearn.linear_model import Ridge

GROUP = 20
"""Artifacts of one pipeline: they share a chain prefix and a step; four branches of five folds."""
STEP = 3
FOLDS = 5


class Item(NamedTuple):
    """One registration.

    Attributes:
        model: A fitted Ridge: some 600 bytes.
        pipeline_id: Its pipeline, shared by `GROUP` items.
        chain: Its chain path.
        branch: Its branch path.
        fold: Its fold.
        depends_on: The scaler of its pipeline, which stands for the lineage that real pipelines have.
    """

    model: Any
    pipeline_id: str
    chain: str
    branch: list[int]
    fold: int
    depends_on: list[str]

    @property
    def artifact_id(self) -> str:
        return _id(self.pipeline_id, self.chain, str(self.fold))

    @property
    def prefix(self) -> str:
        """What the chain paths of this item's pipeline, and no others, start with."""
        return self.chain.partition(">")[0]

    @property
    def params(self) -> dict[str, Any]:
        return {"alpha": 1.0, "fit_intercept": True, "solver": "auto"}


def items(count: int, first: int = 0) -> list[Item]:
    """Items number `first` and following; equal numbers give equal items, but for an own model."""
    return list(_items(count, first, with_models=True))


def _items(count: int, first: int, *, with_models: bool) -> Iterator[Item]:
    rng = np.random.default_rng(first)
    data = np.random.default_rng(0).normal(size=(40, 8))
    fitted = vars(Ridge().fit(data, data.sum(axis=1)))
    for number in range(first, first + count):
        group, place = divmod(number, GROUP)
        branch, fold = divmod(place, FOLDS)
        pipeline, head = f"p{group:06d}", f"s1.Scaler{group:06d}"
        model = None
        if with_models:
            model = Ridge.__new__(Ridge)
            vars(model).update(fitted, coef_=rng.normal(size=8))  # as if fitted: a fit takes 300 µs
        chain = f"{head}>s2.SNV[br={branch}]>s{STEP}.Ridge[br={branch}]"
        yield Item(model, pipeline, chain, [branch], fold, [_id(pipeline, head, "all")])


def manifest(count: int) -> dict[str, Any]:
    """The manifest of that many registrations, in the form that both sides import; without files."""
    listed = [_manifest_item(item) for item in _items(count, 0, with_models=False)]
    return {"artifacts": {"schema_version": "3.0", "items": listed}}


def _manifest_item(item: Item) -> dict[str, Any]:
    digest = hashlib.sha256(item.artifact_id.encode()).hexdigest()
    return {
        "artifact_id": item.artifact_id,
        "content_hash": f"sha256:{digest}",
        "path": f"model_Ridge_{digest[:12]}.joblib",
        "chain_path": item.chain,
        "source_index": None,
        "pipeline_id": item.pipeline_id,
        "branch_path": item.branch,
        "step_index": STEP,
        "substep_index": None,
        "fold_id": item.fold,
        "artifact_type": "model",
        "class_name": "Ridge",
        "custom_name": "",
        "depends_on": item.depends_on,
        "format": "joblib",
        "format_version": "sklearn==1.9.1",
        "nirs4all_version": "",
        "size_bytes": 617,
        "created_at": "2026-01-01T00:00:00.000000Z",
        "params": item.params,
        "version": 3,
    }


def _id(pipeline_id: str, chain: str, fold: str) -> str:
    return f"{pipeline_id}${hashlib.sha256(chain.encode()).hexdigest()[:12]}:{fold}"


def blobs(workspace: Path) -> int:
    """How many blobs a workspace has on disk."""
    return sum(1 for _ in workspace.glob("binaries/*/*.joblib"))
