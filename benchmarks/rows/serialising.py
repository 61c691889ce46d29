"""Ways to write a fitted object: how long it takes, how large it is, how long it takes to load."""

import functools
import pickle
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

from benchmarks.bench import Bench
from benchmarks.folders import workspace
from benchmarks.measuring import Metrics, Side


class Way(NamedTuple):
    """How to write an object to a file, and back."""

    write: Callable[[Any, Path], object]
    load: Callable[[Path], Any]


def measure(bench: Bench) -> None:
    ways = _ways()
    for key, fitted in _fitted().items():
        sides: dict[str, Side] = {
            title: functools.partial(_there_and_back, way, fitted) for title, way in ways.items()
        }
        samples = bench.ask(f"serialise-{key}", [f"write-{key}"], 0, sides)
        for metric in ("write", "size", "load"):
            bench.results.add(f"{metric}-{key}", 0, samples, metric)


def _there_and_back(way: Way, fitted: Any, repetition: int) -> Metrics:
    del repetition
    path = workspace() / "fitted"
    way.write(fitted, path)
    way.load(path)  # nobody pays for what is imported or allocated for the first time
    start = perf_counter()
    way.write(fitted, path)
    written = perf_counter()
    again = way.load(path)
    loaded = perf_counter()
    assert type(again) is type(fitted)
    return {"write": written - start, "load": loaded - written, "size": path.stat().st_size}


def _ways() -> dict[str, Way]:
    import joblib

    ways = {
        f"joblib, compress={level}": Way(functools.partial(joblib.dump, compress=level), joblib.load)
        for level in (0, 3)
    }
    ways["pickle 5"] = Way(
        lambda fitted, path: path.write_bytes(pickle.dumps(fitted, protocol=5)),
        lambda path: pickle.loads(path.read_bytes()),  # noqa: S301 - our own bytes
    )
    try:
        import zstandard
    except ModuleNotFoundError:
        return ways
    ways["pickle 5 and zstd"] = Way(
        lambda fitted, path: path.write_bytes(zstandard.compress(pickle.dumps(fitted, protocol=5))),
        lambda path: pickle.loads(zstandard.decompress(path.read_bytes())),  # noqa: S301 - our own bytes
    )
    return ways


def _fitted() -> dict[str, Any]:
    import numpy as np
    from sklearn.cross_decomposition import PLSRegression
    from sklearn.ensemble import RandomForestRegressor

    rng = np.random.default_rng(0)
    data = rng.normal(size=(400, 200)).cumsum(axis=1)  # smooth, as spectra are
    target = data[:, 20] - data[:, 120] + rng.normal(size=400)
    return {
        "pls": PLSRegression(n_components=10).fit(data, target),
        "forest": RandomForestRegressor(100, random_state=0, n_jobs=1).fit(data[:, ::5], target),
    }
