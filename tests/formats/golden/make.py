"""Makes the golden blobs of libraries' formats: `python -m tests.formats.golden.make FORMAT[-NUMBER] ...`.

To be run once for each format, where its library is installed. What earlier releases wrote stays, and always
loads.
"""

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from chainfold.serializers import serialize
from chainfold.serializers.protocol import type_name

FOLDER: Final = Path(__file__).parent
EXPECTED: Final = FOLDER / "expected.json"
X: Final = np.linspace(-1, 1, 40).reshape(10, 4)
Y: Final = X[:, 0] - X[:, 2] ** 2


def outcome(obj: Any, name: str) -> Any:
    """What an object of a format says, as JSON."""
    if name in {"numpy_npy", "scipy_npz"}:
        return np.asarray(obj.toarray() if name == "scipy_npz" else obj).tolist()
    if name == "pandas_arrow":
        return json.loads(obj.to_json(orient="split"))
    if name == "onnx":
        return [[node.op_type, *node.input, *node.output] for node in obj.graph.node]
    if isinstance(obj, dict):
        return [value for each in obj.values() for value in each.reshape(-1).tolist()]
    if name in {"torch", "torch_module"}:
        torch = importlib.import_module("torch")
        return obj(torch.tensor(X, dtype=torch.float32)).detach().reshape(-1).tolist()
    found = obj.predict(X, verbose=0) if name == "keras" else obj.predict(X)
    return np.asarray(found, dtype=float).reshape(-1).tolist()


def library(name: str) -> Any:
    """The module: each is imported where its format is asked for."""
    return importlib.import_module(name)


def dense() -> Any:
    """A module of torch's own, the same each time."""
    torch = library("torch")
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Tanh(), torch.nn.Linear(3, 1))


SMALL: Final = {"max_depth": 2, "n_estimators": 2, "n_jobs": 1}
TABLE: Final = {"name": ["a", None], "value": [1.5, 2.5]}
EXAMPLES: Final[dict[str, Callable[[], Any]]] = {
    "numpy_npy": lambda: X[:2],
    "scipy_npz": lambda: library("scipy.sparse").csr_matrix(np.eye(3)),
    "pandas_arrow": lambda: library("pandas").DataFrame(TABLE, index=library("pandas").RangeIndex(5, 7)),
    "skops": lambda: library("sklearn.linear_model").Ridge().fit(X, Y),
    "onnx": lambda: library("tests.formats.test_onnx").samples()["linear"],
    "torch": dense,
    "torch-2": lambda: dense().state_dict(),
    "torch_module": lambda: library("tests.formats.test_torch").Own(2),
    "keras": lambda: library("tests.formats.test_keras").dense(),
    "xgboost": lambda: library("xgboost").XGBRegressor(**SMALL).fit(X, Y),
    "lightgbm": lambda: library("lightgbm").LGBMRegressor(**SMALL, min_child_samples=2, verbose=-1).fit(X, Y),
    "catboost": lambda: (
        library("catboost")
        .CatBoostRegressor(iterations=2, depth=2, thread_count=1, silent=True, allow_writing_files=False)
        .fit(X, Y)
    ),
}
"""A small object of each format."""


def main(names: list[str]) -> None:
    """Keep a blob of each format, and what it says."""
    expected = json.loads(EXPECTED.read_text("utf-8")) if EXPECTED.exists() else {}
    for each in names:
        name, _, number = each.partition("-")
        obj = EXAMPLES[each]()
        done = serialize(obj, name)
        assert done.format == name
        file = f"{name}-{number or 1}.{done.extension}"
        if file in expected:
            raise SystemExit(f"{file} is there: what was written stays; give the next a new number")
        (FOLDER / file).write_bytes(done.data)
        expected[file] = {
            "format": name,
            "class": type_name(obj),
            "written by": done.format_version,
            "says": outcome(obj, name),
        }
    text = json.dumps(dict(sorted(expected.items())), indent=1)
    EXPECTED.write_text(text + "\n", encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main(sys.argv[1:])
