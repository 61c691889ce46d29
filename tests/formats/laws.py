"""What holds for every format of a library, and how it is tried in other processes."""

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from hypothesis import strategies as st

from chainfold.errors import SerializationError
from chainfold.serializers import deserialize, serialize

ROOT: Final = Path(__file__).parents[2]


def came_back(obj: Any, format: str, hint: str | None = None) -> Any:  # noqa: A002 - the record's own word
    """The object after a round trip; its class and its bytes are those of before."""
    done = serialize(obj, hint)
    assert done.format == format
    again = deserialize(done.data, format)
    assert type(again) is type(obj)
    assert again is not obj
    assert serialize(obj, hint).data == done.data
    assert serialize(again, hint).data == done.data
    return again


def digests(module: str, folder: Path) -> dict[str, str]:
    """Digests of the samples of a module, and of what is loaded from a folder and written again.

    A module of samples has `samples()`: objects by name, and may have `HINT`, the format to ask for.
    """
    imported = importlib.import_module(module)
    hint = getattr(imported, "HINT", None)
    found = {f"made:{name}": serialize(obj, hint).data for name, obj in imported.samples().items()}
    for path in sorted(folder.iterdir()):
        name, _, recorded = path.name.partition("@")
        again = serialize(deserialize(path.read_bytes(), recorded), hint)
        assert again.format == recorded
        found[f"loaded:{name}"] = again.data
    return {name: sha256(data).hexdigest() for name, data in found.items()}


def check_processes(module: str, folder: Path, *, equally_made: bool = True) -> None:
    """Other processes, in which texts have other hashes, load the samples and write the same bytes again.

    And, if what is made twice is equal at all, they write the same bytes of what they have made themselves.
    """
    imported = importlib.import_module(module)
    hint = getattr(imported, "HINT", None)
    expected = {}
    for name, obj in imported.samples().items():
        done = serialize(obj, hint)
        (folder / f"{name}@{done.format}").write_bytes(done.data)
        expected[f"loaded:{name}"] = sha256(done.data).hexdigest()
        if equally_made:
            expected[f"made:{name}"] = expected[f"loaded:{name}"]
    for seed in ("1", "2"):
        output = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "tests.formats.laws", module, str(folder)],
            check=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
        ).stdout
        found = json.loads(output.splitlines()[-1])
        assert [name for name in expected if found[name] != expected[name]] == []


def check_refused(data: bytes, format: str) -> None:  # noqa: A002 - the record's own word
    """Bytes that are not of the format are an error of ours, or happen to mean something: nothing else."""
    try:
        deserialize(data, format)
    except SerializationError as error:
        assert format in str(error)  # noqa: PT017 - it need not fail


@st.composite
def damaged(draw: st.DrawFn, data: bytes) -> bytes:
    """Bytes with some changed, left out, repeated or put in, or only some of them."""
    kind = draw(st.sampled_from(["change", "cut", "fill", "repeat", "insert"]))
    place = draw(st.integers(0, max(len(data) - 1, 0)))
    match kind:
        case "change":
            return data[:place] + draw(st.binary(min_size=1, max_size=4)) + data[place + 1 :]
        case "cut":
            return data[:place] + data[place + draw(st.integers(1, len(data) + 1)) :]
        case "fill":
            return data[:place] + draw(st.sampled_from([b"\xff", b"\0", b"\x7f"])) * 8 + data[place + 8 :]
        case "repeat":
            return data[:place] + data[place : place + draw(st.integers(1, 200))] + data[place:]
    return data[:place] + draw(st.binary(max_size=20)) + data[place:]


def strangers() -> Iterator[bytes]:
    """Bytes of no format here, or of one that must not be read as another."""
    yield from (b"", b"\0", b"PK\x05\x06" + bytes(18), b"{}", b"[" * 100_000, b"\x80\x05cposix\nsystem\n.")
    yield b"\x93NUMPY\x01\x00\xff\xff"
    yield b"\xff" * 64


if __name__ == "__main__":
    sys.stdout.write("\n" + json.dumps(digests(sys.argv[1], Path(sys.argv[2]))) + "\n")
