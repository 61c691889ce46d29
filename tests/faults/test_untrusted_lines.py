"""A log made to hurt, with right sums or none, costs an error, and neither memory nor minutes."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from tests.faults import measured
from tests.faults.hostile import DATASET, SEGMENT, body, forged, registered, used

from chainfold import ArtifactRegistry, ChainfoldError, CorruptionError
from chainfold.digest import digest_of

pytestmark = [
    pytest.mark.timeout(60),  # what hangs has failed
    pytest.mark.usefixtures("no_syncs"),
]


# Lines


HEAD: Final = b'{"position":0,"at":"2026-01-31T23:59:59.000000Z","actor":"a","durable":0,'
RECORD: Final = (
    HEAD + b'"kind":"artifact-registered","record":{"artifact_id":"p:1:all","content_hash":"","path":"x"'
)
LINES: Final = {
    "deep": HEAD + b'"kind":"alias-set","alias":"a","x":' + b"[" * 10_000 + b"]" * 10_000,
    "deep, in brackets and texts": RECORD
    + b',"params":{"a\\"[":'
    + b'{"a":[' * 5_000
    + b"]}" * 5_000
    + b"}}",
    "deep, unfinished": HEAD + b'"kind":"alias-set","alias":"a","x":' + b"[" * 10_000,
    "deep, of an unknown kind": HEAD + b'"kind":"x","x":' + b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "invalid UTF-8": HEAD + b'"kind":"alias-set","alias":"\xff"',
    "invalid UTF-8 in the kind": HEAD + b'"kind":"\xff"',
    "a surrogate": HEAD + b'"kind":"alias-set","alias":"\\ud800"',
    "two kinds": HEAD + b'"kind":"alias-set","alias":"a","kind":"dataset-purged"',
    "true for a number": HEAD.replace(b'"durable":0', b'"durable":true') + b'"kind":"alias-set","alias":"a"',
    "a number for text": HEAD + b'"kind":"alias-set","alias":1',
    "no number": RECORD + b',"step_index":1e999}',
    "a fraction": RECORD + b',"step_index":1.5}',
    "a number of 10,000 digits": RECORD + b',"step_index":' + b"9" * 10_000 + b"}",
    "a size below 0": RECORD + b',"size_bytes":-1}',
    "a size of 400 digits": RECORD + b',"size_bytes":1' + b"0" * 400 + b"}",
    "another type": RECORD + b',"artifact_type":"x"}',
    "not an object": b"[1",
    "a time that is none": HEAD.replace(b"2026", b"zzzz") + b'"kind":"alias-set","alias":"a"',
    "a time that would write more": HEAD.replace(b"59.000000Z", b'59.000000Z\\",\\"kind\\":\\"x')
    + b'"kind":"alias-set","alias":"a"',
}


@pytest.mark.parametrize("what", LINES)
def test_a_line_with_a_right_sum_that_is_no_entry(what: str, tmp_path: Path) -> None:
    """Reading stops before it, nothing is lost that is before it, and nobody writes after it."""
    before = [registered(0), registered(1, "p:2:all")]
    forged(tmp_path, *before, LINES[what].replace(b'"position":0', b'"position":2'))
    outcomes = used(tmp_path)
    if isinstance(outcomes["open"], ChainfoldError):
        assert outcomes["open"].code == "unknown-event"
        return
    assert [record.artifact_id for record in outcomes["records"]] == ["p:1:all", "p:2:all"]
    assert isinstance(outcomes["register"], CorruptionError)
    assert "position 2: " in str(outcomes["register"])
    assert not outcomes["verify"].ok


ODD_LINES: Final = {
    "a member twice": HEAD + b'"kind":"alias-set","alias":"x","alias":"a"',
    "numbers as large as an entry": RECORD + b',"step_index":' + b"9" * 400 + b',"branch_path":[-1]}',
    "params of all kinds": RECORD
    + b',"params":{"a":{"$int":"0x'
    + b"f" * 30_000
    + b'"},"b":{"$float":"x"}}}',
    "a durable size that is ahead": HEAD.replace(b'"durable":0', b'"durable":1' + b"0" * 50)
    + b'"kind":"alias-set","alias":"a"',
    "a durable size below 0": HEAD.replace(b'"durable":0', b'"durable":-5')
    + b'"kind":"alias-set","alias":"a"',
    "an end of nothing": HEAD.replace(b'"durable"', b'"run":"x","durable"') + b'"kind":"run-committed"',
    "a run that is its own": HEAD + b'"kind":"run-started"',
    "a sweep of nothing": HEAD
    + b'"kind":"blobs-swept","paths":[],"size_bytes":-1,"reason":"deleted","cause":-1',
    "itself as source": RECORD + b',"depends_on":["p:1:all","p:1:all"]}',
}


@pytest.mark.parametrize("what", ODD_LINES)
def test_an_odd_entry_is_borne(what: str, tmp_path: Path) -> None:
    forged(tmp_path, ODD_LINES[what])
    outcomes = used(tmp_path)
    assert isinstance(outcomes["open"], ArtifactRegistry)
    assert outcomes["verify"].entries >= 1
    for name in ("records", "stats", "export"):
        assert not isinstance(outcomes[name], Exception), name


def test_sizes_whose_sum_is_too_long_for_a_number_of_64_bits(tmp_path: Path) -> None:
    """From a manifest such a log could come about by our own hand, and never be opened again."""
    items = [{"artifact_id": f"q:{n}:all", "path": f"{n}.pkl", "size_bytes": 2**63 - 1} for n in range(5)]
    with ArtifactRegistry(tmp_path, DATASET) as registry:
        registry.import_from_manifest(items, tmp_path)
        for count in (5, 1):
            stats = registry.get_stats()
            assert stats["total_size_bytes"] == count * (2**63 - 1)
            assert stats["deduplication_ratio"] == 0
            registry.import_from_manifest([{**item, "size_bytes": 0} for item in items[1:]], tmp_path)
    with ArtifactRegistry(tmp_path, DATASET) as registry:
        assert registry.as_of(7).get_stats()["total_size_bytes"] == 5 * (2**63 - 1)
        assert registry.verify()


def test_a_line_longer_than_an_entry_is_none(tmp_path: Path) -> None:
    forged(tmp_path, registered(0), body(1, "alias-set", alias="a" * 65_536))
    assert used(tmp_path)["verify"].entries == 1


# Details


DETAILS: Final = {
    "no JSON": b"\x80",
    "empty": b"",
    "a list": b"[]",
    "nothing in it": b"{}",
    "no params": b'{"meta_config":null}',
    "params are a list": b'{"params":[],"meta_config":null}',
    "a config of another form": b'{"params":{},"meta_config":{"source_models":[1]}}',
    "deep": b'{"params":{"a":' + b"[" * 10_000 + b"]" * 10_000 + b'},"meta_config":null}',
    "deeper than anything of ours": b'{"params":{"a":' + b"[" * 400 + b"]" * 400 + b'},"meta_config":null}',
    "invalid UTF-8": b'{"params":{"a":"\xff"},"meta_config":null}',
    "a surrogate": b'{"params":{"a":"\\ud800"},"meta_config":null}',
    "a huge number": b'{"params":{"a":' + b"9" * 10_000 + b'},"meta_config":null}',
    "no number": b'{"params":{"a":1e999},"meta_config":null}',
}


@pytest.mark.parametrize("what", DETAILS)
def test_details_that_are_none(what: str, tmp_path: Path) -> None:
    """Their digest is right: whoever wrote the log wrote them."""
    content = DETAILS[what]
    forged(tmp_path, registered(0, details=digest_of(content)))
    folder = tmp_path / "log" / DATASET / "details"
    folder.mkdir()
    (folder / f"{digest_of(content).removeprefix('sha256:')}.json").write_bytes(content)
    outcomes = used(tmp_path)
    assert isinstance(outcomes["records"], CorruptionError)
    assert "p:1:all" in str(outcomes["records"])
    assert not outcomes["verify"].ok


# Memory


def filled(path: Path, what: bytes, size: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        for _ in range(size >> 20):
            file.write(what * ((1 << 20) // len(what)))


def beside(place: str, size: int, **record: Any) -> Callable[[Path], None]:
    """Makes a good workspace, and one file in it that says to be so large, of zeros that take no room."""

    def make(workspace: Path) -> None:
        forged(workspace, registered(0, **record))
        path = workspace / place
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            file.truncate(size)

    return make


def with_text(workspace: Path) -> None:
    forged(workspace, registered(0))
    filled(workspace / "runs" / "manifest.yaml", b"a", SOME)


MANY: Final = 200 << 20
SOME: Final = 50 << 20
HUGE: Final = 8 << 40
DIGEST: Final = "0" * 64
LOG: Final = f"log/{DATASET}"
HEAVY: Final[dict[str, Callable[[Path], None]]] = {
    "a line of 200 MB": lambda w: filled(forged(w, registered(0)), b"a", MANY),
    "line ends": lambda w: filled(forged(w, registered(0)), b"\n", 20 << 20),
    "ends of lines": lambda w: filled(forged(w), b'{,"sum":"0123456789abcdef"}\n'.rjust(32), 20 << 20),
    "zeros": beside(f"{LOG}/segments/{SEGMENT}", SOME),
    "zeros without end": beside(f"{LOG}/segments/{SEGMENT}", HUGE),
    "a checkpoint": beside(f"{LOG}/checkpoint", HUGE),
    "a blob": beside(f"binaries/{DATASET}/x.pkl", HUGE, size_bytes=3),
    "a blob of that length": beside(f"binaries/{DATASET}/x.pkl", HUGE, size_bytes=HUGE),
    "a blob of no length": beside(f"binaries/{DATASET}/x.pkl", HUGE),
    "details": beside(f"{LOG}/details/{DIGEST}.json", HUGE, details=f"sha256:{DIGEST}"),
    "a manifest": beside("runs/manifest.yaml", HUGE),
    "a manifest of one text": with_text,
}


@pytest.mark.timeout(300)
def test_what_is_huge_costs_neither_memory_nor_minutes(tmp_path: Path) -> None:
    """All that can be asked, in a process that is measured: at most a manifest's worth of memory more."""
    forged(tmp_path / "warm", registered(0))
    for name, make in HEAVY.items():
        make(tmp_path / name)
    command = [sys.executable, measured.__file__, *(str(tmp_path / name) for name in ["warm", *HEAVY])]
    paths = os.pathsep.join([*sys.path, str(Path(__file__).parents[2])])
    environment = {**os.environ, "PYTHONPATH": paths}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-2_000:]
    found: dict[str, Any] = json.loads(done.stdout)
    assert list(found) == list(HEAVY)
    for name, each in found.items():
        assert each["bytes"] < 100 << 20, (name, each)
        assert each["outcomes"]["open"] == "ArtifactRegistry", (name, each)
    assert "CorruptionError" in found["zeros without end"]["outcomes"]["register"]
    assert "ArtifactRecord" in found["zeros"]["outcomes"]["register"]
    for name in ("a blob", "a blob of that length", "a blob of no length", "details"):
        assert "Error(" in found[name]["outcomes"]["load" if name != "details" else "records"], name
    assert "ManifestError" in found["a manifest"]["outcomes"]["collect"]
    assert "ManifestError" in found["a manifest of one text"]["outcomes"]["collect"]
