"""joblib, for scikit-learn and what is built like it."""

import io
from typing import Any

from chainfold.serializers.protocol import module_of, require

FAMILIES = frozenset(
    {
        "catboost",
        "category_encoders",
        "feature_engine",
        "hdbscan",
        "imblearn",
        "lightgbm",
        "mlxtend",
        "scipy",
        "sklearn",
        "skorch",
        "sktime",
        "statsmodels",
        "tslearn",
        "umap",
        "xgboost",
    }
)
"""Top-level modules whose classes, and all that inherit from them, are stored by joblib."""


class JoblibSerializer:
    """Estimators: of a known family, or with `fit` and one of `predict`, `transform`, `split`.

    Not compressed: `docs/design/serialization.md` has the figures. Reads compressed bytes too.
    """

    name = "joblib"
    extension = "joblib"

    def accepts(self, obj: Any) -> bool:
        """Whether the object's class, or one that it inherits from, is an estimator's."""
        lineage = type(obj).__mro__
        if any(module_of(cls).partition(".")[0] in FAMILIES for cls in lineage):
            return True
        return _has(lineage, "fit") and any(_has(lineage, verb) for verb in ("predict", "transform", "split"))

    def dumps(self, obj: Any) -> bytes:
        """What `joblib.dump` writes: a pickle with the arrays' own bytes in between."""
        buffer = io.BytesIO()
        require("joblib", "joblib").dump(obj, buffer, compress=0, protocol=5)
        return buffer.getvalue()

    def loads(self, data: bytes) -> Any:
        """What `joblib.load` reads. Runs what the bytes say: only for bytes whose digest was checked."""
        return require("joblib", "joblib").load(io.BytesIO(data))


def _has(lineage: tuple[type, ...], name: str) -> bool:
    """Whether a class defines the method. Its dict is read, so no code of the class runs."""
    for cls in lineage:
        if name in vars(cls):
            found = vars(cls)[name]
            return found is not None and not isinstance(found, property)
    return False
