"""Pipelines of every kind, as a user of nirs4all writes them: nothing here knows of chainfold.

`pipelines.py WORKSPACE train`, then `... predict` in a process of its own, leave all that came out of them in
`WORKSPACE/train.npz` and `WORKSPACE/predict.npz`: predictions, or the text of what went wrong.
"""

import pickle
import sys
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from nirs4all.data.dataset import SpectroDataset
from nirs4all.operators.models import BranchScope, MetaModel, StackingConfig
from nirs4all.operators.transforms import FirstDerivative, SavitzkyGolay, StandardNormalVariate
from nirs4all.pipeline import PipelineConfigs, PipelineRunner
from nirs4all.pipeline.bundle import BundleLoader
from sklearn.cross_decomposition import PLSRegression
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold
from sklearn.preprocessing import MinMaxScaler, StandardScaler

FOLDS = KFold(3, shuffle=True, random_state=1)
PIPELINES: dict[str, list[Any]] = {
    "single": [MinMaxScaler(), StandardNormalVariate(), PLSRegression(4)],
    "folds": [
        MinMaxScaler(),
        StandardNormalVariate(),
        {"y_processing": MinMaxScaler()},
        FOLDS,
        {"model": PLSRegression(5), "name": "five"},
        {"model": PLSRegression(3)},
    ],
    "branches": [
        MinMaxScaler(),
        FOLDS,
        {"branch": {"snv": [StandardNormalVariate()], "derivative": [FirstDerivative(), SavitzkyGolay()]}},
        PLSRegression(4),
    ],
    "variants": [
        {"_or_": [MinMaxScaler(), StandardScaler()]},
        FOLDS,
        {"_or_": [PLSRegression(2), Ridge()]},
    ],
    "stacking": [
        MinMaxScaler(),
        FOLDS,
        PLSRegression(4),
        RandomForestRegressor(5, random_state=0),
        {"model": MetaModel(model=Ridge())},
    ],
    "stacked_branches": [
        MinMaxScaler(),
        FOLDS,
        {
            "branch": [
                [{"model": PLSRegression(3), "name": "raw"}],
                [FirstDerivative(), {"model": PLSRegression(3), "name": "derived"}],
            ]
        },
        {
            "model": MetaModel(
                model=Ridge(), stacking_config=StackingConfig(branch_scope=BranchScope.ALL_BRANCHES)
            ),
            "name": "stacked",
        },
    ],
    "stack_of_each_branch": [
        MinMaxScaler(),
        FOLDS,
        {"branch": [[StandardNormalVariate()], [FirstDerivative()]]},
        PLSRegression(3),
        RandomForestRegressor(5, random_state=0),
        {"model": MetaModel(model=Ridge())},
    ],
    "sources": [MinMaxScaler(), FOLDS, PLSRegression(4)],
    # The second model cannot be fitted: the first, and its scaler, are registered by then.
    "failing": [StandardScaler(), FOLDS, PLSRegression(2), PLSRegression(999)],
}
INNER = {"branch": [[StandardNormalVariate()], [FirstDerivative()]]}
DEEP = {"branch": [[StandardNormalVariate()], [{"branch": [[MinMaxScaler()], [StandardScaler()]]}]]}
OUTER = {"branch": [[INNER], [SavitzkyGolay()]]}
NESTED: dict[str, list[Any]] = {
    "two_levels": [MinMaxScaler(), FOLDS, OUTER, {"model": PLSRegression(3), "name": "tab\tin it"}],
    "three_levels": [FOLDS, {"branch": {"deep, first": [DEEP], "flat": [SavitzkyGolay()]}}, PLSRegression(2)],
    "uneven": [
        FOLDS,
        {"branch": [[{"branch": [[FirstDerivative(), MinMaxScaler()], [StandardNormalVariate()]]}], [INNER]]},
        StandardScaler(),
        PLSRegression(2),
    ],
    "models_inside": [
        MinMaxScaler(),
        FOLDS,
        {
            "branch": [
                [{"branch": [[StandardNormalVariate(), PLSRegression(2)], [FirstDerivative(), Ridge()]]}],
                [PLSRegression(1), {"model": Ridge(), "name": "in it"}],
            ]
        },
    ],
    "stack_after": [FOLDS, OUTER, PLSRegression(2), Ridge(), {"model": MetaModel(model=Ridge())}],
    "two_sources": [MinMaxScaler(), FOLDS, OUTER, PLSRegression(3)],
    "generated": [
        FOLDS,
        {"branch": [[{"branch": [[{"_or_": [StandardNormalVariate(), MinMaxScaler()]}], [INNER]]}], [INNER]]},
        {"_range_": [1, 3, 1], "param": "n_components", "model": PLSRegression()},
    ],
    "merged_inside": [
        FOLDS,
        {"branch": [[INNER, {"merge": "features"}], [SavitzkyGolay()]]},
        PLSRegression(2),
    ],
    "merged_after": [FOLDS, OUTER, {"merge": "features"}, PLSRegression(3)],
}
"""Branches in branches, of which nirs4all itself cannot predict all that it trains."""
PIPELINES |= NESTED


def spectra(name: str, *parts: tuple[str, int, int]) -> SpectroDataset:
    """Three peaks with noise: partition, number and seed of each part's samples; `...sources` have two."""
    dataset = SpectroDataset(name)
    for partition, count, seed in parts:
        random = np.random.default_rng(seed)
        amounts = random.random((count, 3))
        peaks = np.stack([np.exp(-(((np.linspace(0, 1, 80) - at) / 0.08) ** 2)) for at in (0.2, 0.5, 0.8)])
        measured = amounts @ peaks + 0.01 * random.standard_normal((count, 80))
        samples = [measured, measured[:, ::2] * 2 + 0.1] if name.endswith("sources") else measured
        dataset.add_samples(samples, {"partition": partition})
        dataset.add_targets(amounts @ np.array([1.0, 2.0, -1.0]) + 0.02 * random.standard_normal(count))
    return dataset


def runner(workspace: Path) -> PipelineRunner:
    return PipelineRunner(
        workspace_path=workspace, save_charts=False, enable_tab_reports=False, log_file=False, random_state=3
    )


def attempt(results: dict[str, Any], name: str, call: Any) -> None:
    """What a call gives, or why it fails: nirs4all itself cannot do all that is tried here."""
    try:
        results[name] = np.asarray(call())
    except Exception as error:  # noqa: BLE001 - that it fails in the same way is what is looked at
        results[name] = np.array(f"{type(error).__name__}: {error}")


def train(workspace: Path) -> dict[str, Any]:
    """Train each, and keep what nirs4all says of each model."""
    results: dict[str, Any] = {}
    entries: dict[str, list[dict[str, Any]]] = {}
    for name, steps in PIPELINES.items():
        dataset = spectra(name, ("train", 60, 7), ("test", 15, 9))
        try:
            predictions, _ = runner(workspace).run(PipelineConfigs(steps, name), dataset)
        except Exception as error:  # noqa: BLE001 - as above
            results[f"{name} failed"] = np.array(f"{type(error).__name__}: {error}")
            continue
        for index, each in enumerate(predictions.to_dicts()):
            results[f"{name} {index} {each['model_name']} {each['fold_id']}"] = np.asarray(each["y_pred"])
        entries[name] = predictions.top(n=3 if name == "stacked_branches" else 40, rank_partition="val")
        metas = [each for each in entries[name] if each["model_name"].startswith("MetaModel")]
        for bundle, chosen in ((name, entries[name][:1]), (f"{name}_meta", metas[:1])):
            for entry in chosen:
                for extension in ("n4a", "n4a.py"):
                    out = workspace / f"{bundle}.{extension}"
                    attempt(results, f"{bundle} {extension}", partial(export, workspace, entry, out))
    (workspace / "entries.pickle").write_bytes(pickle.dumps(entries))
    return results


def export(workspace: Path, entry: dict[str, Any], out: Path) -> str:
    """The name of the bundle, which is made of a model's pipeline."""
    return str(runner(workspace).export(entry, out, format=out.name.partition(".")[2]).name)


def predict(workspace: Path) -> dict[str, Any]:
    """Predict new spectra by each stored model, by bundles, and by what is trained anew from models."""
    results: dict[str, Any] = {}
    entries = pickle.loads((workspace / "entries.pickle").read_bytes())
    for name, models in entries.items():
        for index, each in enumerate(models):
            label = f"{name} {index} {each['model_name']} {each['fold_id']} {each.get('branch_name')}"
            attempt(results, label, partial(predicted, workspace, each, name))
        for bundle in sorted(workspace.glob(f"{name}*.n4a")):
            if bundle.stem in (name, f"{name}_meta"):
                attempt(results, f"{bundle.stem} bundle", partial(predicted, workspace, str(bundle), name))
                attempt(results, f"{bundle.stem} bundle alone", partial(by_bundle, bundle, name))
        for mode in ("full", "transfer"):
            attempt(results, f"{name} retrained {mode}", partial(retrained, workspace, models[0], name, mode))
    return results


NEW = ("test", 20, 8)


def predicted(workspace: Path, source: dict[str, Any] | str, name: str) -> Any:
    """New spectra, by a stored model or a bundle."""
    return runner(workspace).predict(source, spectra(name, NEW))[0]


def by_bundle(bundle: Path, name: str) -> Any:
    """New spectra, by a bundle without a workspace."""
    return BundleLoader(bundle).predict(np.asarray(spectra(name, NEW).x({"partition": "test"}, layout="2d")))


def retrained(workspace: Path, model: dict[str, Any], name: str, mode: str) -> Any:
    """The first predictions of what is trained again, from a stored model, on other spectra."""
    again = spectra(f"{name}_{mode}", ("train", 40, 11), ("test", 15, 12))
    return runner(workspace).retrain(model, again, mode=mode)[0].to_dicts()[0]["y_pred"]


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    folder, stage = Path(sys.argv[1]), sys.argv[2]
    folder.mkdir(exist_ok=True)
    np.savez(folder / f"{stage}.npz", **{"train": train, "predict": predict}[stage](folder))
