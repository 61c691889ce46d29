"""What is registered: the artifacts of a search over preprocessings, in pipelines of twenty.

Each pipeline has four preprocessing steps that all its folds share, three data sources that are scaled apart,
a splitter, an encoder, ten models (two branches of five folds), and a meta-model that stacks those ten. The
preprocessings are four of thirty: pipelines share the beginnings of chains, and no two of them all four.

Item number n is the same for everybody, in any process: it can be asked for without being listed.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

SEED: Final = 20_260
PIPELINE: Final = 20
"""Artifacts of one pipeline."""
FOLDS: Final = 5
MODEL_STEP: Final = 8
BELOW_PREFIX: Final = 17
"""Artifacts of a pipeline whose chain begins with its four preprocessings."""
CHAINS_BELOW_PREFIX: Final = 9
"""Their chains: folds share them."""

_OPERATORS: Final = (
    "Autoscale", "Baseline", "Binning", "Clipping", "Detrend", "Derivate", "EMSC", "Filtered", "Gaussian",
    "Haar", "Inverse", "Kubelka", "LSNV", "LogTransform", "MSC", "MinMaxScaler", "Normalize", "OSC",
    "PolyFit", "Quantile", "Resampler", "RobustScaler", "RSNV", "SavGol", "SNV", "Smoothing",
    "StandardScaler", "Trend", "Wavelet", "Yeo",
)  # fmt: skip
_PIPELINES: Final = len(_OPERATORS) ** 4
_STRIDE, _OFFSET = 618_229, 20_261
"""No common divisor with the number of pipelines: every pipeline gets preprocessings of its own."""
_SMALLEST, _LARGEST = 2 << 10, 32 << 10
"""Bytes of arrays in a fitted object; most are small: the logarithm is uniform."""
_PREPROCESSINGS, _SOURCES = 4, 3
_SPLITTER, _ENCODER = 7, 8
_MODELS: Final = range(9, 19)

Record = dict[str, Any]


class Key(NamedTuple):
    """How item number n is asked for.

    Attributes:
        number: Its number, for those who have only that.
        artifact_id: Its id.
        prefix: What the chains of its pipeline, and no others, begin with.
        pipeline_id: Its pipeline.
    """

    number: int
    artifact_id: str
    prefix: str
    pipeline_id: str


@dataclass(slots=True)
class Item:
    """One registration. Attributes as in a record; `model` is what is registered, None for a record alone."""

    number: int
    pipeline_id: str
    chain: str
    step: int
    kind: str
    class_name: str
    branch: list[int]
    source: int | None
    fold: int | None
    depends_on: list[str]
    params: dict[str, Any]
    model: Any = None

    @property
    def artifact_id(self) -> str:
        return id_of(self.pipeline_id, self.chain, self.fold)

    @property
    def is_meta(self) -> bool:
        return self.kind == "meta_model"

    def record(self, digest: str, size_bytes: int) -> Record:
        """All that is kept of it: the same fields on every side."""
        found: Record = {
            "artifact_id": self.artifact_id,
            "content_hash": f"sha256:{digest}",
            "path": f"{self.kind}_{self.class_name}_{digest[:12]}.joblib",
            "chain_path": self.chain,
            "source_index": self.source,
            "pipeline_id": self.pipeline_id,
            "branch_path": self.branch,
            "step_index": self.step,
            "substep_index": None,
            "fold_id": self.fold,
            "artifact_type": self.kind,
            "class_name": self.class_name,
            "custom_name": "",
            "depends_on": self.depends_on,
            "format": "joblib",
            "format_version": "sklearn==1.9.1",
            "nirs4all_version": "",
            "size_bytes": size_bytes,
            "created_at": "2026-01-01T00:00:00.000000Z",
            "params": self.params,
            "version": 3,
        }
        if self.is_meta:
            found["meta_config"] = meta_config(self)
        return found


def meta_config(item: Item) -> dict[str, Any]:
    sources = [
        {"artifact_id": source, "feature_index": index} for index, source in enumerate(item.depends_on)
    ]
    return {"source_models": sources, "feature_columns": [f"pred_{index}" for index in range(len(sources))]}


def key(number: int) -> Key:
    pipeline, place = divmod(number, PIPELINE)
    head = _head(pipeline)
    chain, fold = _chains(head)[place]
    return Key(number, id_of(_name(pipeline), chain, fold), head, _name(pipeline))


def records(count: int, first: int = 0) -> Iterator[Record]:
    """Records alone, as a manifest has them; their digests are of nothing."""
    for item in _items(count, first):
        yield item.record(hashlib.sha256(item.artifact_id.encode()).hexdigest(), 617 + item.number % 9_000)


def items(count: int, first: int = 0) -> list[Item]:
    """Items number `first` and following, with fitted objects, no two alike."""
    from benchmarks.fitted import fitted

    made = list(_items(count, first))
    for item in made:
        item.model = fitted(item.class_name, item.number, SEED, (_SMALLEST, _LARGEST))
    return made


def id_of(pipeline_id: str, chain: str, fold: int | None) -> str:
    short = hashlib.sha256(chain.encode()).hexdigest()[:12]
    return f"{pipeline_id}${short}:{'all' if fold is None else fold}"


def blobs(workspace: Path) -> int:
    """How many blobs a workspace has on disk."""
    return sum(1 for _ in workspace.glob("binaries/*/*.joblib"))


def _name(pipeline: int) -> str:
    return f"{pipeline:06d}_search"


def _head(pipeline: int) -> str:
    if pipeline >= _PIPELINES:
        raise ValueError(f"there are {_PIPELINES:,} pipelines, of {PIPELINE} artifacts each")
    rest = (pipeline * _STRIDE + _OFFSET) % _PIPELINES
    names = []
    for step in range(1, _PREPROCESSINGS + 1):
        rest, drawn = divmod(rest, len(_OPERATORS))
        names.append(f"s{step}.{_OPERATORS[drawn]}")
    return ">".join(names)


def _chains(head: str) -> list[tuple[str, int | None]]:
    """Chain and fold of every place in a pipeline."""
    parts = head.split(">")
    found: list[tuple[str, int | None]] = [(">".join(parts[: step + 1]), None) for step in range(len(parts))]
    found += [(f"{head}>s5.StandardScaler[src={source}]", None) for source in range(_SOURCES)]
    found += [(f"{head}>s6.PredefinedSplit", None), (f"{head}>s7.LabelEncoder", None)]
    for branch, model in enumerate(("PLSRegression", "Ridge")):
        path = f"{head}>s5.StandardScaler[src={branch}]>s{MODEL_STEP}.{model}[br={branch},src={branch}]"
        found += [(path, fold) for fold in range(FOLDS)]
    return [*found, (f"{head}>s9.StackingRegressor", None)]


def _items(count: int, first: int) -> Iterator[Item]:
    pipeline, laid = -1, list[Item]()
    for number in range(first, first + count):
        if number // PIPELINE != pipeline:
            pipeline = number // PIPELINE
            laid = _pipeline(pipeline)
        yield laid[number % PIPELINE]


def _pipeline(pipeline: int) -> list[Item]:
    name, head = _name(pipeline), _head(pipeline)
    chains = _chains(head)
    ids = [id_of(name, chain, fold) for chain, fold in chains]
    return [
        Item(
            pipeline * PIPELINE + place, name, chain, *_role(place, chain), fold,
            [ids[source] for source in _sources(place)], _params(place, pipeline),
        )
        for place, (chain, fold) in enumerate(chains)
    ]  # fmt: skip


def _role(place: int, chain: str) -> tuple[int, str, str, list[int], int | None]:
    """Step, type, class, branch and source."""
    scaler = "StandardScaler"
    if place < _PREPROCESSINGS:
        return place + 1, "transformer", scaler, [], None
    if place < _SPLITTER:
        return 5, "transformer", scaler, [], place - _PREPROCESSINGS
    if place == _SPLITTER:
        return 6, "splitter", "PredefinedSplit", [], None
    if place == _ENCODER:
        return 7, "encoder", "LabelEncoder", [], None
    if place in _MODELS:
        branch = (place - _MODELS.start) // FOLDS
        return MODEL_STEP, "model", "PLSRegression" if "PLS" in chain else "Ridge", [branch], branch
    return 9, "meta_model", "LinearRegression", [], None


def _sources(place: int) -> range:
    """Places in the pipeline that an artifact was made from."""
    if place < _PREPROCESSINGS:
        return range(max(0, place - 1), place)
    if place in _MODELS:
        second = place >= _MODELS.start + FOLDS  # its branch joins two sources
        return (
            range(_PREPROCESSINGS + 1, _SPLITTER) if second else range(_PREPROCESSINGS, _PREPROCESSINGS + 1)
        )
    if place == _MODELS.stop:
        return _MODELS
    return range(_PREPROCESSINGS - 1, _PREPROCESSINGS)


def _params(place: int, pipeline: int) -> dict[str, Any]:
    if place in _MODELS:
        components = 2 + pipeline % 23
        return {
            "n_components": components,
            "scale": True,
            "max_iter": 500,
            "tol": 1e-06,
            "rmse": 1 / components,
        }
    if place == _MODELS.stop:
        return {"fit_intercept": True, "positive": False, "cv": FOLDS}
    return {"copy": True, "with_mean": True, "with_std": bool(pipeline % 2)}
