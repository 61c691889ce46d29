"""The pipeline of the demo: two sources, two branches, folds, and a stack on top. It needs scikit-learn.

What it does is ordinary; what to look at is `_keep`, where each fitted thing is registered, and `predict`,
which needs nothing but the registry.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from sklearn.cross_decomposition import PLSRegression
from sklearn.datasets import load_diabetes
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.model_selection import StratifiedKFold
from sklearn.preprocessing import KBinsDiscretizer, StandardScaler

from chainfold import (
    ArtifactRegistry,
    ArtifactType,
    InvalidInputError,
    MetaModelConfig,
    OperatorChain,
    OperatorNode,
    RegistryView,
)

Array = npt.NDArray[np.float64]

SOURCES: Final = {"body": 4, "serum": 6}
"""Name of each source, and how many of the data's columns are its."""


@dataclass(frozen=True)
class Data:
    """Measurements of patients, by source, and how their diabetes had progressed a year later."""

    sources: list[Array]
    target: Array

    @classmethod
    def load(cls) -> "Data":
        """442 patients: age, sex, body mass index and blood pressure; six values of the blood serum."""
        bunch = load_diabetes(scaled=False)
        ends = np.cumsum(list(SOURCES.values()))[:-1]
        sources = [np.ascontiguousarray(part) for part in np.split(bunch.data, ends, axis=1)]
        return cls(sources, np.asarray(bunch.target, dtype=np.float64))

    def with_gap(self) -> "Data":
        """The same, but one value of the serum is missing."""
        serum = self.sources[1].copy()
        serum[7, 2] = np.nan
        return replace(self, sources=[self.sources[0], serum])


class Pipeline:
    """One pipeline: what it fits is registered, and kept in memory to compare with.

    Attributes:
        objects: What was fitted, by artifact id.
        meta_id: Id of the meta-model.
    """

    def __init__(self, registry: ArtifactRegistry, pipeline_id: str, data: Data, *, folds: int = 4) -> None:
        self.pipeline_id = pipeline_id
        self.objects: dict[str, Any] = {}
        self.meta_id = ""
        self._registry = registry
        self._data = data
        self._folds = folds
        self._splits: list[tuple[Any, Any]] = []
        self._splitter_id = ""
        self._scaler_ids: list[str] = []
        self._model_ids: dict[tuple[int, int], list[str]] = {}
        self._out_of_fold: dict[tuple[int, int], Array] = {}

    def fit(self) -> None:
        """Fit and register everything: branch 0 has PLS, branch 1 a random forest, each for both sources."""
        self._split()
        self._scale()
        for source in range(len(SOURCES)):
            self.fit_models(0, source, lambda: PLSRegression(2), {"n_components": 2})
            self.fit_models(1, source, _forest, {"n_estimators": 20, "max_depth": 5})
        self.stack(Ridge(1.0))

    def fit_models(
        self, branch: int, source: int, make: Callable[[], Any], params: dict[str, Any]
    ) -> list[str]:
        """Fit one model for each fold, and register them; their ids. Those fitted earlier are superseded."""
        x = self._scaled(source)
        out_of_fold = np.empty_like(self._data.target)
        ids = []
        for fold, (train, test) in enumerate(self._splits):
            model = make().fit(x[train], self._data.target[train])
            out_of_fold[test] = model.predict(x[test]).ravel()
            chain = _scaler_chain(source).append(OperatorNode(4, type(model).__name__, [branch], source))
            sources = [self._scaler_ids[source], self._splitter_id]
            ids.append(
                self._keep(model, chain, ArtifactType.MODEL, fold=fold, depends_on=sources, params=params)
            )
        self._model_ids[branch, source] = ids
        self._out_of_fold[branch, source] = out_of_fold
        return ids

    def stack(self, meta: Any) -> None:
        """Fit the meta-model on what the models predict out of fold, and register it with its sources."""
        columns = sorted(self._model_ids)
        meta.fit(np.column_stack([self._out_of_fold[column] for column in columns]), self._data.target)
        config = MetaModelConfig(
            source_models=[
                {"artifact_id": artifact_id, "feature_index": index}
                for index, column in enumerate(columns)
                for artifact_id in self._model_ids[column]
            ],
            feature_columns=[f"branch {branch}, {list(SOURCES)[source]}" for branch, source in columns],
        )
        chains = [_chain_of(self._registry, self._model_ids[column][0]) for column in columns]
        chain = chains[0].merge(*chains[1:]).append(OperatorNode(5, type(meta).__name__))
        self.meta_id = self._keep(meta, chain, ArtifactType.META_MODEL, meta_config=config)

    def predict(self) -> Array:
        """What the stack predicts, from the objects in memory."""
        columns = [
            [
                self.objects[each].predict(self._scaled(source)).ravel()
                for each in self._model_ids[branch, source]
            ]
            for branch, source in sorted(self._model_ids)
        ]
        return _predict_stack(self.objects[self.meta_id], columns)

    def score(self, branch: int, source: int) -> float:
        """R2 of the out-of-fold predictions of one branch on one source."""
        return float(r2_score(self._data.target, self._out_of_fold[branch, source]))

    def _split(self) -> None:
        """Fit the encoder, which cuts the target into classes, and the splitter, which shares them out."""
        encoder = KBinsDiscretizer(4, encode="ordinal", strategy="uniform")
        classes = encoder.fit_transform(self._data.target.reshape(-1, 1)).ravel()
        splitter = StratifiedKFold(self._folds, shuffle=True, random_state=0)
        self._splits = list(splitter.split(self._data.sources[0], classes))
        first = OperatorChain([OperatorNode(1, type(encoder).__name__)])
        second = first.append(OperatorNode(2, type(splitter).__name__))
        encoder_id = self._keep(encoder, first, ArtifactType.ENCODER)
        self._splitter_id = self._keep(splitter, second, ArtifactType.SPLITTER, depends_on=[encoder_id])

    def _scale(self) -> None:
        """Fit one scaler for each source; all folds share it."""
        self._scaler_ids = [
            self._keep(StandardScaler().fit(x), _scaler_chain(source), ArtifactType.TRANSFORMER)
            for source, x in enumerate(self._data.sources)
        ]

    def _scaled(self, source: int) -> Array:
        scaled: Array = self.objects[self._scaler_ids[source]].transform(self._data.sources[source])
        return scaled

    def _keep(
        self,
        fitted: Any,
        chain: OperatorChain,
        artifact_type: ArtifactType,
        *,
        fold: int | None = None,
        depends_on: Sequence[str] = (),
        params: dict[str, Any] | None = None,
        meta_config: MetaModelConfig | None = None,
    ) -> str:
        """Register what was fitted, and remember it; its id."""
        last = chain.nodes[-1]
        record = self._registry.register_with_chain(
            fitted,
            chain,
            artifact_type,
            step_index=last.step_index,
            branch_path=last.branch_path,
            source_index=last.source_index,
            fold_id=fold,
            depends_on=list(depends_on),
            params=params,
            meta_config=meta_config,
            pipeline_id=self.pipeline_id,
        )
        self.objects[record.artifact_id] = fitted
        return record.artifact_id


def predict(view: RegistryView, meta_id: str, data: Data) -> Array:
    """What a stack predicts, from nothing but its id: the records say which models and scalers it needs."""
    meta = view.resolve(meta_id)
    if meta is None or meta.meta_config is None:
        raise InvalidInputError(f"{meta_id!r} is no meta-model that is live")
    columns: defaultdict[int, list[Array]] = defaultdict(list)
    scaled: dict[str, Array] = {}
    for each in meta.meta_config.source_models:
        model_id = each["artifact_id"]
        for record in view.resolve_dependencies(model_id):
            if record.artifact_type is ArtifactType.TRANSFORMER:
                if record.artifact_id not in scaled:
                    x = data.sources[record.source_index or 0]
                    scaled[record.artifact_id] = view.load_artifact(record).transform(x)
                prediction = view.load(model_id).predict(scaled[record.artifact_id])
                columns[each["feature_index"]].append(prediction.ravel())
    return _predict_stack(view.load_artifact(meta), [columns[index] for index in sorted(columns)])


def _predict_stack(meta: Any, columns: list[list[Array]]) -> Array:
    """Each column is the mean of its folds."""
    prediction: Array = meta.predict(np.column_stack([np.mean(column, axis=0) for column in columns]))
    return prediction


def _forest() -> Any:
    return RandomForestRegressor(n_estimators=20, max_depth=5, random_state=0)


def _scaler_chain(source: int) -> OperatorChain:
    return OperatorChain([OperatorNode(3, "StandardScaler", source_index=source)])


def _chain_of(registry: ArtifactRegistry, artifact_id: str) -> OperatorChain:
    record = registry.resolve(artifact_id)
    return OperatorChain.from_path(record.chain_path if record is not None else "")
