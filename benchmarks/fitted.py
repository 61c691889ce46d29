"""Objects as if fitted: real classes with real attributes, drawn at random, for a fit takes longer."""

from typing import Any

import numpy as np
from sklearn.cross_decomposition import PLSRegression
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import PredefinedSplit
from sklearn.preprocessing import LabelEncoder, StandardScaler

_BYTES = 8
"""Of a number."""


def fitted(class_name: str, number: int, seed: int, between: tuple[int, int]) -> Any:
    """An object whose arrays have so many bytes, in all; the logarithm of that is uniform between these."""
    rng = np.random.default_rng((seed, number))
    smallest, largest = np.log(between)
    return _MAKERS[class_name](rng, int(np.exp(rng.uniform(smallest, largest))) // _BYTES)


def _scaler(rng: np.random.Generator, numbers: int) -> StandardScaler:
    features = numbers // 3
    made = StandardScaler()
    made.mean_, made.var_ = rng.normal(size=features), rng.gamma(2.0, size=features)
    made.scale_, made.n_samples_seen_, made.n_features_in_ = np.sqrt(made.var_), 400, features
    return made


def _pls(rng: np.random.Generator, numbers: int) -> PLSRegression:
    components = 10
    features = max(8, numbers // (4 * components))
    made = PLSRegression(n_components=components)
    for name in ("x_weights_", "x_loadings_", "x_rotations_", "_x_scores"):
        setattr(made, name, rng.normal(size=(features, components)))
    made.coef_, made.intercept_, made.n_features_in_ = (
        rng.normal(size=(1, features)),
        rng.normal(size=1),
        features,
    )
    return made


def _linear(made: Any, rng: np.random.Generator, numbers: int) -> Any:
    made.coef_, made.intercept_, made.n_features_in_ = rng.normal(size=numbers), float(rng.normal()), numbers
    return made


def _splitter(rng: np.random.Generator, numbers: int) -> PredefinedSplit:
    return PredefinedSplit(rng.integers(0, 5, size=numbers))


def _encoder(rng: np.random.Generator, numbers: int) -> LabelEncoder:
    made = LabelEncoder()
    made.classes_ = np.sort(rng.integers(0, 1 << 40, size=numbers))
    return made


_MAKERS = {
    "StandardScaler": _scaler,
    "PLSRegression": _pls,
    "Ridge": lambda rng, numbers: _linear(Ridge(), rng, numbers),
    "LinearRegression": lambda rng, numbers: _linear(LinearRegression(), rng, numbers),
    "PredefinedSplit": _splitter,
    "LabelEncoder": _encoder,
}
