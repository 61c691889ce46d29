"""An auditor who kept a checkpoint learns of whatever was changed before it, and of nothing else."""

import json
import shutil
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from tests.test_log_checking import forge

from chainfold import ArtifactRegistry, CorruptionError, InvalidInputError, NotFoundError
from chainfold.log import Checkpoint
from chainfold.proof import paths
from chainfold.proof.notes import PrivateKey, opened
from chainfold.storage import ReadOnlyFiles
from chainfold.testing.disk import MemoryDisk
from chainfold.testing.memory import MemoryFiles

KEY: Final = PrivateKey("example.com/auditor", bytes(range(32)))


@pytest.fixture
def filled(workspace: Path) -> Path:
    with ArtifactRegistry(workspace, "wheat", actor="tester") as registry:
        for number in range(12):
            registry.register([number], f"p:{number}:all", "model")
    return workspace


def grow(workspace: Path) -> None:
    with ArtifactRegistry(workspace, "wheat", actor="tester") as registry:
        with registry.run():
            for number in range(5):
                registry.register([number], f"q:{number}:all", "model")
        registry.delete_pipeline_artifacts("p")


def test_a_checkpoint_is_as_good_as_a_position(filled: Path) -> None:
    with ArtifactRegistry(filled, "wheat") as registry:
        kept = registry.checkpoint()
        assert registry.checkpoint() == kept
        name, size, _ = kept.splitlines()
        assert (name, int(size)) == ("chainfold/wheat", registry.position)
        assert kept.encode() == (filled / "log" / "wheat" / "checkpoint").read_bytes()
    grow(filled)
    with ArtifactRegistry(filled, "wheat") as registry:
        view = registry.as_of(kept)
        assert (len(view), len(registry)) == (12, 5)
        assert view.checkpoint() == kept != registry.checkpoint()
        assert registry.as_of(kept.encode()).position == view.position
        assert registry.verify(since=kept).ok
        growth = registry.consistency_proof(kept)
        roots = [Checkpoint("", 0, b"").root, growth.first_root, growth.second_root]
        assert paths.is_consistent(growth.first, growth.second, growth.path, *roots[1:])
        assert registry.consistency_proof(view.position) == growth
        line = (filled / "log" / "wheat" / "segments" / f"{0:020d}.jsonl").read_bytes().splitlines()[3]
        proof = view.inclusion_proof(3)
        assert paths.is_included(paths.leaf_hash(line), 3, view.position, proof.path, growth.first_root)
        with pytest.raises(NotFoundError, match="has none at position 12"):
            view.inclusion_proof(12)


def test_a_moment_may_be_a_checkpoint_or_any_whole_number(filled: Path) -> None:
    with ArtifactRegistry(filled, "wheat") as registry:
        kept, seven = registry.checkpoint(), registry.as_of(7).checkpoint(KEY)
        assert [entry.position for entry in registry.events(seven, kept)] == list(range(7, 12))
        assert registry.diff(seven, kept) == registry.diff(7, 12)
        with pytest.raises(NotFoundError, match="this view ends at 7: it does not know of 12"):
            registry.as_of(seven).diff(3, kept)
        with pytest.raises(InvalidInputError, match="position 12 is later than 7"):
            registry.diff(kept, seven)
        registry.delete_pipeline_artifacts("p", delete_files=False)
        assert registry.restore("p:3:all", seven).artifact_id == "p:3:all"
        assert registry.as_of(np.int64(3)).position == 3  # type: ignore[arg-type] # numpy's are numbers, too
        assert registry.inclusion_proof(np.int64(3)) == registry.inclusion_proof(3)  # type: ignore[arg-type]
        changed = kept.replace("\n12\n", "\n11\n")
        for ask in (registry.diff, registry.events, lambda text: registry.restore("p:3:all", text)):
            with pytest.raises(CorruptionError, match="were changed since"):
                ask(changed)


@pytest.mark.parametrize(
    "moment", [None, True, 1.0, [1], object(), "", "x", "\ud800", b"\xff", date(2026, 1, 1)]
)
def test_what_is_no_moment_is_told(filled: Path, moment: Any) -> None:
    with ArtifactRegistry(filled, "wheat") as registry:
        asks: list[Callable[[], object]] = [
            lambda: registry.as_of(moment),
            lambda: registry.diff(moment),
            lambda: registry.events(moment),
            lambda: registry.consistency_proof(moment),
            lambda: registry.inclusion_proof(moment),
            lambda: registry.restore("p:1:all", moment),
        ]
        for ask in asks:
            with pytest.raises(InvalidInputError, match=r"must be a whole number, not|not a checkpoint"):
                ask()


@pytest.mark.parametrize("since", [0, 3, [3], [None], datetime(2026, 1, 1, tzinfo=UTC), {"x": 1}.items()])
def test_what_nobody_can_have_kept_is_told(filled: Path, since: Any) -> None:
    with (
        ArtifactRegistry(filled, "wheat") as registry,
        pytest.raises(InvalidInputError, match="a checkpoint is given as its text"),
    ):
        registry.verify(since=since)


def test_what_a_checkpoint_commits_to_no_power_cut_takes() -> None:
    """Also in an open run, whose entries are not synced before it commits."""
    disk = MemoryDisk()
    files = MemoryFiles(disk)
    workspace = Path("/memory/workspace")
    registry = ArtifactRegistry(workspace, "wheat", storage=files)
    registry.register([0], "o:0:all", "model")
    registry.start_run()
    for number in range(5):
        registry.register([number], f"p:{number}:all", "model")
    with (
        ArtifactRegistry(workspace, "wheat", storage=ReadOnlyFiles(files)) as reader,
        pytest.warns(UserWarning, match=r"entries from 1 on, of the 7 .* may not be on the disk yet"),
    ):
        reader.checkpoint()
    kept = [registry.checkpoint()]
    registry.register([5], "p:5:all", "model")
    kept.append(json.loads(registry.model_proof("o:0:all"))["checkpoint"])
    disk.power_cut(lambda _: 0)
    files.die()
    with ArtifactRegistry(workspace, "wheat", storage=MemoryFiles(disk)) as after:
        for number in range(9):
            after.register([number], f"q:{number}:all", "model")
        assert after.verify(since=kept).ok


def test_keys_are_no_texts(filled: Path) -> None:
    text: Any = "PRIVATE+KEY+x"
    with ArtifactRegistry(filled, "wheat") as registry:
        asks: list[Callable[[], str]] = [
            lambda: registry.checkpoint(text),
            lambda: registry.model_proof("p:1:all", text),
        ]
        for ask in asks:
            with pytest.raises(InvalidInputError, match="must be a PrivateKey, not str"):
                ask()


def test_a_signed_checkpoint_is_one_too(filled: Path) -> None:
    with ArtifactRegistry(filled, "wheat") as registry:
        note = registry.checkpoint(KEY)
        text, signatures = opened(note.encode())
        assert text == registry.checkpoint()
        assert KEY.public.has_signed(text, signatures)
        assert registry.as_of(note).position == registry.position
        assert registry.verify(since=note).ok


def rewrite(workspace: Path) -> None:
    """Another content for an artifact, with right sums everywhere."""
    files = sorted((workspace / "log" / "wheat" / "segments").iterdir())
    forge(4, b'"artifact_id":"p:4:all"', b'"artifact_id":"p:9:all"')(files)


def cut(workspace: Path) -> None:
    path = workspace / "log" / "wheat" / "segments" / f"{0:020d}.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:7]))


def replay_another(workspace: Path) -> None:
    """A log of the same name, with other facts."""
    shutil.rmtree(workspace / "log")
    with ArtifactRegistry(workspace, "wheat", actor="somebody") as registry:
        for number in range(14):
            registry.register([number], f"p:{number}:all", "model")


CHANGES: Final[dict[str, Callable[[Path], None]]] = {
    "rewritten": rewrite,
    "cut": cut,
    "another": replay_another,
}


@pytest.mark.damages
@pytest.mark.parametrize("name", CHANGES)
def test_whoever_kept_a_checkpoint_learns_of_a_change(filled: Path, name: str) -> None:
    """Also when whoever changed it made all of its own sums, and the checkpoint beside it, anew."""
    with ArtifactRegistry(filled, "wheat") as registry:
        kept = registry.checkpoint()
    CHANGES[name](filled)
    for derived in ("checkpoint", "snapshots", "tiles"):
        path = filled / "log" / "wheat" / derived
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    with ArtifactRegistry(filled, "wheat") as registry:
        assert "rewritten" not in [each.kind for each in registry.verify().findings]
        report = registry.verify(since=kept)
        assert [each.kind for each in report.findings if each.kind == "rewritten"] == ["rewritten"]
        assert not report.ok
        problem = NotFoundError if name == "cut" else CorruptionError
        with pytest.raises(problem):
            registry.as_of(kept)
        with pytest.raises(problem):
            registry.consistency_proof(kept)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not a checkpoint"),
        ("chainfold/wheat\n12\n", "not a checkpoint"),
        ("chainfold/barley\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n", "is of 'chainfold/barley'"),
    ],
)
def test_what_is_no_checkpoint_of_this_log_is_told(filled: Path, text: str, why: str) -> None:
    with ArtifactRegistry(filled, "wheat") as registry:
        for ask in (registry.as_of, registry.consistency_proof, lambda text: registry.verify(since=text)):
            with pytest.raises(InvalidInputError, match=why):
                ask(text)
