"""The peer without the heavy libraries that its package imports and its registry does not use."""

import importlib.util
import sys
import types
from pathlib import Path

PEER_PACKAGES = (
    "nirs4all",
    "nirs4all.core",
    "nirs4all.pipeline",
    "nirs4all.pipeline.storage",
    "nirs4all.utils",
)
"""They import heavy libraries that the registry does not use: empty packages stand in for them."""


def peer_is_installed() -> bool:
    return importlib.util.find_spec("nirs4all") is not None


def stand_in_for_packages(names: tuple[str, ...] = PEER_PACKAGES) -> None:
    """Put empty packages in place of the peer's own, so that only its registry's modules are imported."""
    spec = importlib.util.find_spec(names[0])
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"{names[0]} is not installed: see benchmarks/nirs4all-requirements.txt")
    root = Path(spec.submodule_search_locations[0]).parent
    for name in names:
        if name not in sys.modules:
            package = types.ModuleType(name)
            package.__path__ = [str(root.joinpath(*name.split(".")))]
            sys.modules[name] = package
