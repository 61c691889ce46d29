"""What a record says of a fitted estimator: parameters, the outcome of a search, versions of libraries."""

import platform
from collections.abc import Mapping
from typing import Any, Final

import joblib
import numpy as np
import scipy
import sklearn

from chainfold.integrations.sklearn.composites import is_estimator
from chainfold.params import readable

_NESTED_AT_MOST: Final = 8
"""Containers within containers in which estimators are replaced by their names."""


def params_of(fitted: Any) -> dict[str, Any]:
    """Its parameters and those of all in it, as `get_params` spells them, with estimators by their class.

    Of what `cross_validate` gives: the scores and times of the folds. Of a search: the best of it under
    `@best`. Names that start with `@` are never those of parameters.
    """
    if isinstance(fitted, Mapping):
        return {str(key): value for key, value in fitted.items() if key not in ("estimator", "indices")}
    if not hasattr(fitted, "get_params"):
        return {}
    try:
        params = {str(name): _spoken(value, 0) for name, value in fitted.get_params(deep=True).items()}
    except Exception as error:  # noqa: BLE001 - an odd parameter never fails a registration
        return {"@params": readable(error)}
    best = {name: getattr(fitted, f"best_{name}_", None) for name in ("params", "score", "index")}
    if best["params"] is not None:
        params["@best"] = {name: _spoken(value, 0) for name, value in best.items() if value is not None}
    return params


def versions() -> dict[str, str]:
    """The versions of what fits and stores estimators, by the names that people install."""
    return {
        "python": platform.python_version(),
        "scikit-learn": sklearn.__version__,
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "joblib": joblib.__version__,
    }


def _spoken(value: Any, depth: int) -> Any:
    """The value, with the names of their classes in place of estimators."""
    if is_estimator(value):
        return type(value).__name__
    if depth < _NESTED_AT_MOST:
        if type(value) in (list, tuple):
            return [_spoken(each, depth + 1) for each in value]
        if type(value) is dict:
            return {key: _spoken(each, depth + 1) for key, each in value.items()}
    return value
