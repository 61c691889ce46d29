"""Nothing from outside is trusted: no path leads out of a dataset's folders, no changed bytes are loaded.

The logs here have right sums, so that what they say is all there is to distrust.
"""

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from tests.faults import hostile
from tests.faults.hostile import (
    DATASET,
    NO_BYTES,
    ODD_FILES,
    RUN,
    SEGMENT,
    body,
    forged,
    outcome,
    registered,
    used,
)

from chainfold import ArtifactRegistry, ChainfoldError, CorruptionError, InvalidInputError
from chainfold.digest import digest_of

pytestmark = [
    pytest.mark.timeout(60),  # what hangs has failed
    pytest.mark.usefixtures("no_syncs"),
]


# Paths


def paths_out(outside: Path) -> list[str]:
    return [
        "../../../outside/canary.pkl",
        str(outside / "canary.pkl"),
        "link.pkl",
        "folder/canary.pkl",
        "folder/deep/canary.pkl",
        "a/../../../../outside/canary.pkl",
        "folder/..",
        "loop",
        "loop/x",
        "pipe",
        "folder",
        "own",
        "..",
        ".",
        "",
        "/",
        "x\0y",
        "x\ny",
        "C:\\x",
        "..\\..\\x",
        "x" * 300,
        "é" * 999,
        "x/" * 2_000 + "x",
    ]


def with_traps(workspace: Path, outside: Path) -> None:
    """What a folder of blobs may hold besides blobs."""
    blobs = workspace / "binaries" / DATASET
    blobs.mkdir(parents=True, exist_ok=True)
    (blobs / "link.pkl").symlink_to(outside / "canary.pkl")
    (blobs / "folder").symlink_to(outside)
    (blobs / "loop").symlink_to(blobs / "loop")
    (blobs / "own").mkdir()
    os.mkfifo(blobs / "pipe")


CANARY: Final = digest_of(b"canary")
SCENES: Final[dict[str, Callable[[str], list[bytes]]]] = {
    "live": lambda path: [registered(0, path=path, content_hash=CANARY, size_bytes=6)],
    "of no length": lambda path: [registered(0, path=path, content_hash=CANARY)],
    "imported": lambda path: [registered(0, path=path, content_hash=CANARY, imported=True)],
    "left by a run": lambda path: [
        body(0, "run-started", run=RUN),
        registered(1, path=path, content_hash=CANARY, run=RUN),
    ],
    "swept": lambda path: [
        registered(0, path=path),
        body(1, "artifacts-deleted", pipeline_id="p", delete_files=True),
        body(2, "blobs-swept", paths=[path], size_bytes=6, reason="deleted", cause=10**30),
        registered(3, path=path),
    ],
    "of what is registered again": lambda path: [
        registered(0, path=path, content_hash=digest_of(pickle.dumps([1], protocol=5)))
    ],
}


@pytest.mark.parametrize("scene", SCENES)
def test_no_command_follows_a_path_out_of_the_folder(scene: str, tmp_path: Path, outside: Path) -> None:
    for number, path in enumerate(paths_out(outside)):
        workspace = tmp_path / str(number)
        with_traps(workspace, outside)
        forged(workspace, *SCENES[scene](path))
        outcomes = used(workspace)
        for result in outcomes.get("load", []):
            assert isinstance(result, ChainfoldError), path
            assert {name for name in ("p:1:all", repr(path)[1:40], "binaries") if name in str(result)}, path


def test_a_link_that_stays_in_the_folder_is_as_good_as_its_target(workspace: Path) -> None:
    with ArtifactRegistry(workspace, DATASET) as registry:
        record = registry.register([1], "p:1:all", "model")
        blob = registry.binaries_dir / record.path
        blob.rename(blob.with_name("kept"))
        blob.symlink_to("kept")
        assert registry.load("p:1:all") == [1]
        assert registry.verify().ok


def test_a_commit_syncs_and_a_rollback_removes_nothing_elsewhere(tmp_path: Path, outside: Path) -> None:
    """The hostile registration comes into an open run, as from a process that joined it."""
    for number, path in enumerate(paths_out(outside)):
        for end in (ArtifactRegistry.end_run, ArtifactRegistry.cleanup_failed_run):
            workspace = tmp_path / f"{number}-{end.__name__}"
            with_traps(workspace, outside)
            with ArtifactRegistry(workspace, DATASET) as registry:
                registry.start_run()
                segment = workspace / "log" / DATASET / "segments" / SEGMENT
                bodies = hostile.unsealed(segment.read_bytes())
                run = json.loads(bodies[0] + b"}")["run"]
                forged(workspace, *bodies, registered(1, path=path, content_hash=CANARY, run=run))
                outcome(end, registry)


def test_a_manifest_brings_no_file_from_or_to_elsewhere(tmp_path: Path, outside: Path) -> None:
    """`results_dir` is where files may come from; links below it, and below the blobs' folder, lead out."""
    workspace, results = tmp_path / "w", tmp_path / "results"
    with_traps(workspace, outside)
    results.mkdir()
    (results / "way").symlink_to(outside)
    (results / "loop").symlink_to(results / "loop")
    os.mkfifo(results / "tube")
    with ArtifactRegistry(workspace, DATASET) as registry:
        for path in [*paths_out(outside), "way/canary.pkl", "loop", "loop/x", "tube", "way"]:
            item = {"artifact_id": "q:1:all", "path": path, "content_hash": CANARY}
            outcome(registry.import_from_manifest, [item], results)
        for record in registry.get_all_records():
            assert isinstance(outcome(registry.load_artifact, record), ChainfoldError)
        assert not (registry.binaries_dir / "way").exists()


@pytest.mark.parametrize("name", ["segments", "details", "aside", "quarantine", "runs"])
def test_a_folder_of_the_log_that_is_a_link_is_refused(name: str, tmp_path: Path, outside: Path) -> None:
    """A collector clears old files in `aside/`, and locks in `runs/`: elsewhere that is anybody's file."""
    workspace = tmp_path / "w"
    if name != "segments":
        forged(workspace, registered(0))
    (workspace / "log" / DATASET).mkdir(parents=True, exist_ok=True)
    (workspace / "log" / DATASET / name).symlink_to(outside)
    outcomes = used(workspace)
    assert isinstance(outcomes["open"], InvalidInputError)
    assert name in str(outcomes["open"])


@pytest.mark.parametrize("odd", ODD_FILES)
@pytest.mark.parametrize(
    "name",
    [f"segments/{SEGMENT}", f"segments/{2:020d}.jsonl", "checkpoint", "checkpoint.new", "lock", "reserve"],
)
def test_a_file_of_the_log_that_is_none(name: str, odd: str, tmp_path: Path, outside: Path) -> None:
    workspace = tmp_path / "w"
    segment = forged(workspace, registered(0), registered(1, "p:2:all"))
    path = workspace / "log" / DATASET / name
    if path == segment:
        segment.unlink()
    ODD_FILES[odd](path, outside)
    used(workspace)


def test_names_on_disk_that_no_event_can_hold(tmp_path: Path) -> None:
    """A collection takes all others, and leaves those; a purge takes them too."""
    with ArtifactRegistry(tmp_path, DATASET) as registry:
        registry.register([1], "p:1:all", "model")
        odd = [b"\xff.pkl", b"a\nb", b"..\\x", *(b"%03d" % number + b"\x01" * 200 for number in range(300))]
        for name in odd:
            (registry.binaries_dir / os.fsdecode(name)).write_bytes(b"x")
        assert len(registry.find_orphaned_artifacts()) == len(odd)
        assert registry.delete_orphaned_artifacts(dry_run=False)[1] == len(odd) - 1
        assert registry.find_orphaned_artifacts() == ["\udcff.pkl"]
        assert registry.verify()
        assert registry.purge_dataset_artifacts(confirm=True) == (2, 18)
        assert not list(registry.binaries_dir.iterdir())


# Ids, names, digests


def test_hostile_ids_name_no_files_and_stop_nobody(tmp_path: Path, outside: Path) -> None:
    ids = ["../../../../outside/old", "..", "", "x" * 60_000, "\x1b[2J\n\0", "é" * 100, "a/b", str(outside)]
    for number, odd in enumerate(ids):
        workspace = tmp_path / str(number)
        forged(
            workspace,
            body(0, "run-started", run=odd[:30_000], owner=odd[:20_000]),
            registered(1, odd[:30_000] or "p:1:all", run=odd[:30_000]),
            registered(2, odd, pipeline_id="p"),
            body(3, "alias-set", alias=odd, artifact_id=odd[:1_000]),
            body(4, "run-started", run="y" * 65_380),  # fits an entry, and not the one that would end it
        )
        outcomes = used(workspace)
        assert isinstance(outcomes["open"], ArtifactRegistry), odd
        assert outcomes["aliases"] == {odd: odd[:1_000]}
        assert outcomes["verify"].entries == 6, odd  # the first run was rolled back
        assert outcomes["register"].artifact_id == "mine:1:all"
        assert outcomes["give up"] == 0


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "a/b", "/x", "a\\b", "x\0", "x\n", "x\x85", "\ud800", "nul", "C:", "x" * 201, 3, None],
)
def test_a_dataset_has_a_plain_name(name: Any, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="dataset name"):
        ArtifactRegistry(tmp_path, name)
    assert not list(tmp_path.iterdir())


WELL_FORMED: Final = b'{"params":{"a":1},"meta_config":null}'


def test_a_digest_of_details_names_no_other_file(tmp_path: Path, outside: Path) -> None:
    (outside / "x.json").write_bytes(WELL_FORMED)
    for number, details in enumerate(
        ["../../../../outside/x", str(outside / "x"), "sha256:../../../../outside/x", "..", "\0", "x", "/"]
    ):
        workspace = tmp_path / str(number)
        forged(workspace, registered(0, details=details))
        (workspace / "log" / DATASET / "details").mkdir()
        for link in ("x.json", "sha256:x.json"):
            (workspace / "log" / DATASET / "details" / link).symlink_to(outside / "x.json")
        outcomes = used(workspace)
        assert isinstance(outcomes["records"], ChainfoldError), details
        assert outcomes["register"].artifact_id == "mine:1:all"
    (outside / "x.json").unlink()


# Pickles


class Bomb:
    """Unpickled, it writes a file: nothing that runs so may be unpickled from a blob that was changed."""

    def __init__(self, canary: Path) -> None:
        self._canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self._canary),)


@pytest.mark.parametrize("serialisation", ["pickle", "joblib", "cloudpickle", "numpy", "x", "../x", ""])
@pytest.mark.parametrize("size_bytes", [0, 1])
def test_bytes_of_another_digest_are_never_deserialised(
    serialisation: str, size_bytes: int, tmp_path: Path
) -> None:
    canary, data = tmp_path / "canary", pickle.dumps(Bomb(tmp_path / "canary"))
    length = len(data) if size_bytes else 0
    hashes = [
        NO_BYTES,
        "",
        "sha256:",
        digest_of(data)[:20],
        digest_of(data).upper(),
        digest_of(data)[7:],
        "\0",
    ]
    bodies = [
        registered(number, f"p:{number}:all", content_hash=each, format=serialisation, size_bytes=length)
        for number, each in enumerate(hashes)
    ]
    forged(tmp_path, *bodies)
    (tmp_path / "binaries" / DATASET / "x.pkl").write_bytes(data)
    outcomes = used(tmp_path)
    assert len(outcomes["load"]) == len(hashes)
    for error in [*outcomes["load"], *outcomes["load by id"]]:
        assert isinstance(error, CorruptionError)
        assert "its digest should be" in str(error)
    assert not canary.exists()


def test_a_blob_swapped_between_resolve_and_load(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    with ArtifactRegistry(tmp_path, DATASET) as registry:
        registry.register([1], "p:1:all", "model")
        record = registry.resolve("p:1:all")
        assert record is not None
        blob = registry.binaries_dir / record.path
        bomb = pickle.dumps(Bomb(canary))
        for swapped in (bomb, bomb[: record.size_bytes].ljust(record.size_bytes), b""):
            blob.write_bytes(swapped)
            with pytest.raises(CorruptionError, match=blob.name):
                registry.load_artifact(record)
        for odd in ODD_FILES.values():
            blob.unlink()
            odd(blob, tmp_path)
            with pytest.raises(ChainfoldError, match=blob.name):
                registry.load_artifact(record)
            if blob.is_dir() and not blob.is_symlink():
                blob.rmdir()
                blob.touch()
    assert not canary.exists()
