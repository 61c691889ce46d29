"""What earlier releases wrote in libraries' formats loads, and says what it said."""

import json
import warnings
from importlib.util import find_spec
from typing import Any, Final

import pytest
from tests.formats.golden.make import EXPECTED, FOLDER, outcome

from chainfold.serializers import available_formats, deserialize
from chainfold.serializers.protocol import type_name

GOLDEN: Final = json.loads(EXPECTED.read_text("utf-8"))
LIBRARIES: Final = {
    "numpy_npy": "numpy",
    "scipy_npz": "scipy",
    "pandas_arrow": "pyarrow",
    "torch_module": "torch",
}
PICKLES: Final = {"joblib", "pickle", "cloudpickle"}


def test_every_format_has_a_golden_blob() -> None:
    assert {each["format"] for each in GOLDEN.values()} == set(available_formats()) - PICKLES
    assert {path.name for path in FOLDER.iterdir()} - {"__pycache__"} == {*GOLDEN, "expected.json", "make.py"}


@pytest.mark.parametrize("file", GOLDEN)
def test_golden_blobs(file: str) -> None:
    """Numbers may differ by what a newer version of a library rounds otherwise."""
    expected = GOLDEN[file]
    name = expected["format"]
    library = LIBRARIES.get(name, name)
    if find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a newer library may say that the older one wrote it
        obj = deserialize((FOLDER / file).read_bytes(), name)
    assert type_name(obj) == expected["class"]
    found: Any = outcome(obj, name)
    if isinstance(found, list) and all(isinstance(each, float) for each in found):
        assert found == pytest.approx(expected["says"], rel=1e-5)
    else:
        assert found == expected["says"]
