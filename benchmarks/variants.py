"""A search of nirs4all's: thousands of variants of one pipeline, registered in one run as it registers them.

    .venv-nirs4all/bin/python -m benchmarks.variants [--variants 10000] [--theirs]

(`make test-nirs4all` makes that environment.) For each variant, a scaler that all variants share, and three
fitted PLS models of its own: `generate_id`, then `register`. Fitting is not measured, nor is the rest of
nirs4all. `--theirs` measures its own registry instead, which syncs nothing, and slows down as it goes.
"""

import argparse
import copy
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
from benchmarks.folders import workspace
from sklearn.cross_decomposition import PLSRegression
from sklearn.preprocessing import MinMaxScaler

FOLDS = 3
WAVELENGTHS = 100


def main() -> None:
    parser = argparse.ArgumentParser(description="Register variants of a pipeline as nirs4all does.")
    parser.add_argument("--variants", type=int, default=10_000)
    parser.add_argument("--theirs", action="store_true", help="nirs4all's own registry")
    options = parser.parse_args()
    if not options.theirs:
        from chainfold.integrations.nirs4all import install

        install()
    from nirs4all.pipeline.storage.artifacts.artifact_registry import ArtifactRegistry

    registry = ArtifactRegistry(workspace(), "wheat")
    print(f"{type(registry).__module__}.{type(registry).__name__}")
    registry.start_run()
    took = _variants(registry, options.variants)
    start = perf_counter()
    registry.end_run()
    ended = perf_counter() - start
    few = max(1, min(1_000, options.variants // 10))
    calls = 1 + FOLDS
    for name, some in (("all", took), (f"first {few:,}", took[:few]), (f"last {few:,}", took[-few:])):
        mean = sum(some) / len(some)
        print(
            f"{name:>12} variants: {mean * 1e3:.3f} ms each (median {median(some) * 1e3:.3f}), "
            f"{mean / calls * 1e3:.3f} ms an artifact"
        )
    print(f"last against first: {sum(took[-few:]) / sum(took[:few]):.2f}; end_run: {ended:.2f} s")
    assert len(registry.get_all_records()) == calls * options.variants


def _variants(registry: Any, count: int) -> list[float]:
    """Seconds for each variant."""
    from nirs4all.pipeline.storage.artifacts.types import ArtifactType

    random = np.random.default_rng(7)
    x, y = random.random((60, WAVELENGTHS)), random.random(60)
    scaler, fitted = MinMaxScaler().fit(x), PLSRegression(5).fit(x, y)
    took = []
    for number in range(count):
        models = []
        for _ in range(FOLDS):
            model = copy.copy(fitted)
            model.coef_ = random.random(fitted.coef_.shape)
            models.append(model)
        pipeline_id = f"{number:05}_pls_{number:06x}"
        path = "s1.MinMaxScaler"
        start = perf_counter()
        _register(registry, scaler, pipeline_id, path, None, ArtifactType.TRANSFORMER)
        for fold, model in enumerate(models):
            _register(registry, model, pipeline_id, f"{path}>s3.PLSRegression", fold, ArtifactType.MODEL)
        took.append(perf_counter() - start)
    return took


def _register(registry: Any, obj: Any, pipeline_id: str, path: str, fold: int | None, kind: Any) -> None:
    artifact_id = registry.generate_id(path, fold, pipeline_id)
    registry.register(obj, artifact_id, kind, format_hint="sklearn", chain_path=path)


if __name__ == "__main__":
    main()
