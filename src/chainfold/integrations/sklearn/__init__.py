"""Whatever scikit-learn has fitted: registered part by part, and given back whole. See docs/sklearn.md.

from chainfold.integrations.sklearn import load_fitted, register_fitted

record = register_fitted(registry, pipeline, X, y)
same = load_fitted(registry, record.artifact_id)
"""

from chainfold.serializers.protocol import require

require("sklearn", "chainfold[sklearn]")

from chainfold.integrations.sklearn.fingerprint import fingerprint  # noqa: E402 - what is missing is told first
from chainfold.integrations.sklearn.plan import Part, parts  # noqa: E402 - likewise
from chainfold.integrations.sklearn.registering import load_fitted, register_fitted  # noqa: E402 - likewise
from chainfold.integrations.sklearn.skeletons import Reference  # noqa: E402 - likewise

__all__ = ["Part", "Reference", "fingerprint", "load_fitted", "parts", "register_fitted"]
