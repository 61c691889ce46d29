"""The event-sourced, append-only registry of the artifacts that machine-learning pipelines fit.

from chainfold import ArtifactRegistry

registry = ArtifactRegistry("workspace", "wheat", pipeline_id="0001_pls")
with registry.run():
    record = registry.register_with_chain(model, "s1.MinMaxScaler>s3.PLS", "model", step_index=3)
registry.load(record.artifact_id)
"""

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from chainfold.ancestry import Relative
    from chainfold.chain import OperatorChain, OperatorNode
    from chainfold.changes import AliasMove, Change, Diff
    from chainfold.errors import (
        BlobNotFoundError,
        ChainfoldError,
        ConflictError,
        CorruptionError,
        DependentsError,
        InvalidInputError,
        ManifestError,
        MissingDependencyError,
        NotFoundError,
        RunClosedError,
        SerializationError,
        StorageError,
        UnknownEventError,
        UntrustedError,
    )
    from chainfold.events import Entry
    from chainfold.graph import DependencyGraph
    from chainfold.history import HistoryItem
    from chainfold.past import RunInfo
    from chainfold.records import ArtifactRecord, ArtifactType, MetaModelConfig
    from chainfold.registry import ArtifactRegistry
    from chainfold.view import RegistryView

__version__ = "0.1.0"

__all__ = [
    "AliasMove",
    "ArtifactRecord",
    "ArtifactRegistry",
    "ArtifactType",
    "BlobNotFoundError",
    "ChainfoldError",
    "Change",
    "ConflictError",
    "CorruptionError",
    "DependencyGraph",
    "DependentsError",
    "Diff",
    "Entry",
    "HistoryItem",
    "InvalidInputError",
    "ManifestError",
    "MetaModelConfig",
    "MissingDependencyError",
    "NotFoundError",
    "OperatorChain",
    "OperatorNode",
    "RegistryView",
    "Relative",
    "RunClosedError",
    "RunInfo",
    "SerializationError",
    "StorageError",
    "UnknownEventError",
    "UntrustedError",
]

_HOMES: Final = {
    name: home
    for home, names in (
        ("chainfold.ancestry", ("Relative",)),
        ("chainfold.chain", ("OperatorChain", "OperatorNode")),
        ("chainfold.changes", ("AliasMove", "Change", "Diff")),
        (
            "chainfold.errors",
            (
                "BlobNotFoundError",
                "ChainfoldError",
                "ConflictError",
                "CorruptionError",
                "DependentsError",
                "InvalidInputError",
                "ManifestError",
                "MissingDependencyError",
                "NotFoundError",
                "RunClosedError",
                "SerializationError",
                "StorageError",
                "UnknownEventError",
                "UntrustedError",
            ),
        ),
        ("chainfold.events", ("Entry",)),
        ("chainfold.graph", ("DependencyGraph",)),
        ("chainfold.history", ("HistoryItem",)),
        ("chainfold.past", ("RunInfo",)),
        ("chainfold.records", ("ArtifactRecord", "ArtifactType", "MetaModelConfig")),
        ("chainfold.registry", ("ArtifactRegistry",)),
        ("chainfold.view", ("RegistryView",)),
    )
    for name in names
}
"""Where the public names are. They are imported when asked for: `chainfold --help` needs none of them."""


def __getattr__(name: str) -> Any:
    """A public name, imported now."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(home), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
