"""What earlier releases wrote in libraries' formats loads, and says what it said."""

import json
import warnings
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import pytest
from tests.formats.golden.make import EXPECTED, FOLDER, outcome

from chainfold import ArtifactRegistry, UntrustedError
from chainfold.serializers import available_formats, deserialize
from chainfold.serializers.protocol import type_name

GOLDEN: Final = json.loads(EXPECTED.read_text("utf-8"))
LIBRARIES: Final = {
    "numpy_npy": "numpy",
    "scipy_npz": "scipy",
    "pandas_arrow": "pyarrow",
    "torch_module": "torch",
}
RUNNING: Final = {"catboost", "keras", "lightgbm", "torch_module", "xgboost"}
"""Formats whose loading runs what the file names, or trusts what it says of memory."""
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


def imported(folder: Path, file: str) -> str:
    """The dataset's folder, into which a blob of another workspace was imported as `p:0`."""
    data = (FOLDER / file).read_bytes()
    theirs = folder / "theirs" / "binaries" / "d"
    theirs.mkdir(parents=True)
    (theirs / file).write_bytes(data)
    item = {
        "artifact_id": "p:0",
        "content_hash": f"sha256:{sha256(data).hexdigest()}",
        "path": file,
        "chain_path": "s1.X",
        "pipeline_id": "p",
        "artifact_type": "model",
        "format": GOLDEN[file]["format"],
        "class_name": "X",
        "size_bytes": len(data),
    }
    with ArtifactRegistry(folder / "ours", "d") as registry:
        registry.import_from_manifest({"schema_version": "3.0", "items": [item]}, folder / "theirs")
    return "p:0"


def registered(folder: Path, file: str) -> str:
    """The same object, registered in the dataset itself as `q:0`."""
    name = GOLDEN[file]["format"]
    with ArtifactRegistry(folder / "ours", "d") as registry:
        record = registry.register(
            deserialize((FOLDER / file).read_bytes(), name), "q:0", "model", format_hint=name
        )
        assert record.format == name
    return "q:0"


@pytest.mark.parametrize("policy", ["registered", "listed", "none", "all"])
@pytest.mark.parametrize("origin", [registered, imported])
@pytest.mark.parametrize("file", GOLDEN)
def test_golden_blobs_under_every_policy(file: str, origin: Any, policy: str, tmp_path: Path) -> None:
    """Formats that run no code are always loaded; others if registered here, from elsewhere by `all` only."""
    expected = GOLDEN[file]
    name = expected["format"]
    library = LIBRARIES.get(name, name)
    if find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    artifact_id = origin(tmp_path, file)
    is_loaded = name not in RUNNING or policy == "all" or (policy == "registered" and origin is registered)
    with ArtifactRegistry(tmp_path / "ours", "d", trust=policy) as registry, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if is_loaded:
            assert type_name(registry.load(artifact_id)) == expected["class"]
            return
        with pytest.raises(UntrustedError, match=name):
            registry.load(artifact_id)
