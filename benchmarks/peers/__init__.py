"""The sides of the comparison, by name; each is imported only where it is measured."""

import importlib
import importlib.util
from importlib.metadata import PackageNotFoundError, version

from benchmarks.peers.protocol import Peer

OURS, FLOOR = "chainfold", "floor"
ALL = (OURS, FLOOR, "sqlite", "nirs4all", "diskcache", "joblib", "optuna", "mlflow", "eventsourcing")
"""In the order of the tables."""
_MODULES = {OURS: "ours"}


def load(name: str) -> Peer:
    """A side by its name, with its libraries imported.

    Raises:
        ModuleNotFoundError: If its package is not installed.
    """
    module = importlib.import_module(f"benchmarks.peers.{_MODULES.get(name, name)}")
    found = module.PEER
    assert isinstance(found, Peer)
    return found


def installed() -> list[str]:
    """The sides whose packages are here."""
    packages = {"sqlite": "sqlite3", FLOOR: OURS}
    return [name for name in ALL if importlib.util.find_spec(packages.get(name, name)) is not None]


def versions(names: list[str]) -> dict[str, str]:
    """Version of each package of these sides."""
    found = {}
    for name in names:
        for package in load(name).packages:
            try:
                found[package] = version(package)
            except PackageNotFoundError:
                found[package] = "not installed"
    return found
