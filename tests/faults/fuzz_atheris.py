"""Coverage-guided fuzzing of everything that reads what others wrote; needs atheris (Linux, macOS).

    python tests/faults/fuzz_atheris.py TARGET --seconds N [--seed N]

The law: whatever the bytes are, the only errors are `ChainfoldError`s. Ends with one line of figures, and an
exit code other than 0 when the law broke. Without atheris it says so and ends well, unless REQUIRE_ALL=1.
"""

import argparse
import importlib
import json
import logging
import mmap
import os
import struct
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

try:
    atheris: Any = importlib.import_module("atheris")  # it has no types, and is not there everywhere
except ImportError:
    atheris = None

Target = Callable[[bytes], None]
_MAX_BYTES: Final = 8_192
_FAILED: Final = 70
_READ: Final = ("records", "load", "history", "lineage", "prefix", "stats", "verify")


@contextmanager
def _imports() -> Iterator[None]:
    """What is imported inside is instrumented: its branches guide the fuzzer."""
    if atheris is None:
        yield
        return
    with atheris.instrument_imports(include=["chainfold"]):
        yield


with _imports():
    import msgspec
    import yaml
    from tests.faults.fuzzing import segment_of, small_log
    from tests.faults.hostile import DATASET, READING, outcome, sealed

    from chainfold import ArtifactRegistry, ChainfoldError
    from chainfold.chain import OperatorChain
    from chainfold.events import ArtifactRegistered, decode_entry, decode_record
    from chainfold.log import LogReader, checkpoint
    from chainfold.params import from_wire
    from chainfold.references import ManifestReferences
    from chainfold.storage import LocalFiles, durable


def lines(folder: Path) -> tuple[Target, list[bytes]]:
    """Lines whose sum is right: every entry of them is read, and every record of those that register one."""
    small_log(folder)
    seeds = segment_of(folder).read_bytes().splitlines()

    def run(data: bytes) -> None:
        entry = outcome(decode_entry, data)
        if isinstance(getattr(entry, "event", None), ArtifactRegistered):
            record = outcome(decode_record, data)
            if not isinstance(record, ChainfoldError):
                from_wire(record[0].params)
                record[0].to_dict()

    return run, seeds


def log(folder: Path) -> tuple[Target, list[bytes]]:
    """The bytes of a segment and, after a 0xFF, of a checkpoint; behind a `+`, sums are made right first."""
    small_log(folder / "seed")
    content = segment_of(folder / "seed").read_bytes()
    stored = (folder / "seed" / "log" / DATASET / "checkpoint").read_bytes()
    seeds = [
        content + b"\xff" + stored,
        content,
        *(b"+" + each for each in (content, content[: len(content) // 2])),
    ]
    workspace = folder / "w"
    segment = segment_of(workspace)
    segment.parent.mkdir(parents=True)

    def run(data: bytes) -> None:
        whole, _, known = data.partition(b"\xff")
        if whole[:1] == b"+":
            whole = sealed(b"{" + each if each[:1] != b"{" else each for each in _bodies(whole[1:]))
        segment.write_bytes(whole)
        (segment.parents[1] / "checkpoint").write_bytes(known)
        reader = LogReader(segment.parents[1], DATASET, LocalFiles())
        outcome(lambda: list(reader.catch_up()))
        reader.close()
        opened = outcome(ArtifactRegistry, workspace, DATASET)
        if isinstance(opened, ArtifactRegistry):
            with opened:
                for name in _READ:
                    outcome(READING[name], opened)

    return run, seeds


def _bodies(content: bytes) -> list[bytes]:
    """What of a segment is to be sealed again."""
    return [line.rpartition(b',"sum":')[0] or line for line in content.splitlines()]


def manifest(folder: Path) -> tuple[Target, list[bytes]]:
    """A manifest in JSON or YAML, as a pipeline would have read it."""
    small_log(folder / "seed")
    with ArtifactRegistry(folder / "seed", DATASET) as registry:
        exported = registry.export_to_manifest()
    flat = [{"name": "scaler", "path": "a.pkl", "step": 1, "hash": "sha256:abc"}]
    documents = [exported, {"artifacts": exported}, flat]
    seeds = [json.dumps(each).encode() for each in documents] + [yaml.safe_dump(flat).encode()]
    counter = iter(range(sys.maxsize))

    def run(data: bytes) -> None:
        try:
            found = msgspec.json.decode(data) if data[:1] in b"{[" else yaml.load(data, yaml.CSafeLoader)
        except (ValueError, RecursionError, yaml.YAMLError, TypeError):
            return  # what is neither never gets as far as an import
        workspace = folder / str(next(counter) // 500)
        with ArtifactRegistry(workspace, DATASET) as registry:
            before = registry.position
            error = outcome(registry.import_from_manifest, found, folder)
            if registry.position > before:
                _check(error is None, f"refused, and imported: {error!r}")
                _check(registry.rebuild(), "replayed to another state")
                registry.export_to_manifest()

    return run, seeds


def references(folder: Path) -> tuple[Target, list[bytes]]:
    """A `manifest.yaml` that is looked through for names."""
    path = folder / "runs" / "a" / "manifest.yaml"
    path.parent.mkdir(parents=True)
    seeds = [
        b"a: [b/c.pkl, {d: &x e}]\nf: *x\n",
        b"%TAG ! x\n---\n- !!str a\n...\n---\n? |\n  b\n",
        b"a: {b: 'c', \"d\": >-\n",
    ]

    def run(data: bytes) -> None:
        path.write_bytes(data)
        outcome(ManifestReferences(folder).names)

    return run, seeds


def checkpoints(folder: Path) -> tuple[Target, list[bytes]]:
    """The text of a checkpoint."""
    small_log(folder)
    seeds = [(folder / "log" / DATASET / "checkpoint").read_bytes()]

    def run(data: bytes) -> None:
        known = outcome(checkpoint.parse, data)
        if isinstance(known, checkpoint.Checkpoint):
            _check(checkpoint.parse(known.text()) == known, "said again it is another")

    return run, seeds


def chain(_: Path) -> tuple[Target, list[bytes]]:
    """The text of a chain path; one that is read has no other text."""
    seeds = [b"s1.A>s2.B[br=0.1,src=1,sub=0]+s2.C[br=1]>s3.M", b"", b"s1.A+s1.B", b"s0.a.b[src=9]"]

    def run(data: bytes) -> None:
        text = data.decode("utf-8", "surrogateescape")
        found = outcome(OperatorChain.from_path, text)
        if isinstance(found, OperatorChain):
            _check(found.to_path() == text, f"{text!r} came back as {found.to_path()!r}")

    return run, seeds


TARGETS: Final[dict[str, Callable[[Path], tuple[Target, list[bytes]]]]] = {
    "line": lines,
    "log": log,
    "manifest": manifest,
    "references": references,
    "checkpoint": checkpoints,
    "chain": chain,
}


def _check(is_so: bool, otherwise: str) -> None:  # noqa: FBT001 - it stands for `assert`, and is never optimised away
    if not is_so:
        raise AssertionError(otherwise)


class Counted:
    """A target with its figures, in memory that the parent shares: libFuzzer ends its process on its own."""

    def __init__(self, run: Target) -> None:
        self._run = run
        self._shared = mmap.mmap(-1, 16)

    def __call__(self, data: bytes) -> None:
        executions, size_bytes = self.figures()
        struct.pack_into("QQ", self._shared, 0, executions + 1, size_bytes + len(data))
        try:
            self._run(data)
        except BaseException:
            sys.stdout.write(f"the law broke for {data!r}\n")
            sys.stdout.flush()
            raise

    def figures(self) -> tuple[int, int]:
        """Executions and bytes so far."""
        executions, size_bytes = struct.unpack_from("QQ", self._shared)
        return executions, size_bytes


def main() -> int:
    """Fuzz one target for a bounded time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0, help="of the random numbers; 0 for another each time")
    asked = parser.parse_args()
    if atheris is None:
        sys.stdout.write(f"{asked.target}: not fuzzed, since atheris is not installed: pip install atheris\n")
        return 1 if os.environ.get("REQUIRE_ALL") == "1" else 0
    warnings.simplefilter("ignore")  # damage is warned about
    logging.disable()
    durable.sync_data = durable.sync_folder = lambda _: None  # type: ignore[assignment] # no power will be cut
    with tempfile.TemporaryDirectory() as folder:
        run, seeds = TARGETS[asked.target](Path(folder) / "w")
        return _fuzzed(asked, run, seeds, Path(folder) / "corpus")


def _fuzzed(asked: argparse.Namespace, run: Target, seeds: list[bytes], corpus: Path) -> int:
    """Run the fuzzer in a child: it would end this process when it is done, and leave our files behind."""
    corpus.mkdir()
    for number, each in enumerate(seeds):
        (corpus / str(number)).write_bytes(each)
    counted, began = Counted(run), time.monotonic()
    child = os.fork()
    if not child:
        options = [f"-max_total_time={asked.seconds}", f"-max_len={_MAX_BYTES}", f"-seed={asked.seed}"]
        options += ["-timeout=20", "-rss_limit_mb=2048", "-verbosity=0", f"-artifact_prefix={corpus.parent}/"]
        atheris.Setup([sys.argv[0], *options, str(corpus)], counted)
        atheris.Fuzz()
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    executions, size_bytes = counted.figures()
    seconds = time.monotonic() - began
    sys.stdout.write(
        f"{asked.target}: {executions:,} executions, {size_bytes:,} bytes in {seconds:.0f} s, "
        f"{'no law broke' if status == 0 else f'FAILED with status {status}'}\n"
    )
    return 0 if status == 0 else _FAILED


if __name__ == "__main__":
    raise SystemExit(main())
