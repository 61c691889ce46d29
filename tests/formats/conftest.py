"""Formats of libraries that are not installed cannot be tried: `make test-frameworks` has all of them."""

import os
from importlib.util import find_spec
from typing import Final

import pytest

NEEDS: Final = {
    "test_catboost.py": "catboost",
    "test_keras.py": "keras",
    "test_lightgbm.py": "lightgbm",
    "test_onnx.py": "onnxruntime",
    "test_pandas.py": "pyarrow",
    "test_skops.py": "skops",
    "test_torch.py": "torch",
    "test_xgboost.py": "xgboost",
}

pytest.register_assert_rewrite("tests.formats.laws")

collect_ignore = [
    file
    for file, library in NEEDS.items()
    if os.environ.get("REQUIRE_FRAMEWORKS") != "1" and find_spec(library) is None
]
