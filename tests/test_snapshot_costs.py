"""What a snapshot is for, by count and not by clock: who opens through one reads little but the tail."""

import itertools
from pathlib import Path
from typing import Any

import pytest
from tests.snapshotting import save_never, saved

from chainfold import ArtifactRegistry
from chainfold.dataset import Dataset
from chainfold.events import Entry, decode_record
from chainfold.log.segment import Segment
from chainfold.projections import Projections, source

ARTIFACTS = 120


class Counts:
    """What was done so far."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.applied: list[int] = []
        self.decoded = 0
        self.opened: set[int] = set()
        apply, decode = Projections.apply, decode_record
        reader: Any = vars(Segment)["reader"]

        def applying(projections: Projections, entry: Entry) -> None:
            self.applied.append(entry.position)
            apply(projections, entry)

        def decoding(line: bytes) -> object:
            self.decoded += 1
            return decode(line)

        def opening(segment: Segment) -> object:
            self.opened.add(segment.first)
            return reader.fget(segment)

        patch.setattr(Projections, "apply", applying)
        patch.setattr(source, "decode_record", decoding)
        patch.setattr(Segment, "reader", property(opening))


@pytest.fixture
def dataset(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A log of several segments, with a snapshot, and three entries behind it."""
    save_never(monkeypatch)
    defaults = Dataset.__init__.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "segment_bytes", 8_000)
    with ArtifactRegistry(workspace, "wheat") as registry, registry.run():
        for number in range(ARTIFACTS):
            registry.register(
                [number], f"p{number % 6}:{number}:all", "model", chain_path=f"s1.A>s{number}.B"
            )
    saved(workspace)
    with ArtifactRegistry(workspace, "wheat") as registry:
        for number in range(3):
            registry.set_alias("best", f"p{number}:{number}:all")
    return workspace


@pytest.fixture
def counts(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> Counts:
    return Counts(monkeypatch)


def test_opening_folds_the_tail_alone(dataset: Path, counts: Counts) -> None:
    """However long the log: three entries are folded, no record is decoded, the last segments are opened."""
    with ArtifactRegistry(dataset, "wheat") as registry:
        assert counts.applied == list(range(ARTIFACTS + 2, ARTIFACTS + 5))
        assert counts.decoded == 0
        firsts = registry._data.log._firsts
        assert len(firsts) > 4
        assert counts.opened <= set(firsts[-2:])
        assert len(registry) == ARTIFACTS


def test_a_lookup_decodes_what_it_returns(dataset: Path, counts: Counts) -> None:
    with ArtifactRegistry(dataset, "wheat") as registry:
        assert registry.resolve("p0:0:all") is not None
        assert counts.decoded == 1
        assert registry.resolve("nobody") is None
        assert counts.decoded == 1
        assert registry.alias("best") == "p2:2:all"
        counts.decoded = 0
        assert len(registry.get_artifacts_for_step("p1", 1)) <= ARTIFACTS // 6
        assert counts.decoded <= ARTIFACTS // 6
        counts.decoded = 0
        assert len(registry.get_chain_prefix("s1.A>s77.")) == 1
        assert counts.decoded <= 1
        assert counts.applied[3:] == []


def test_a_lookup_opens_the_segment_it_reads(dataset: Path, counts: Counts) -> None:
    with ArtifactRegistry(dataset, "wheat") as registry:
        firsts = registry._data.log._firsts
        assert firsts[0] not in counts.opened
        registry.resolve("p0:0:all")
        assert counts.opened <= {firsts[0], *firsts[-2:]}


@pytest.mark.parametrize("how", ["roll back", "delete"])
def test_a_record_is_decoded_for_the_plan_and_once_for_the_file_that_goes(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """However many files go, and however few records are remembered: none is read again for its name."""
    save_never(monkeypatch)
    monkeypatch.setattr("chainfold.dataset._SWEEP_BYTES", 300)
    monkeypatch.setattr("chainfold.projections.source.KEPT_BYTES", 1)
    with ArtifactRegistry(workspace, "wheat") as registry:
        registry.start_run()
        for number in range(ARTIFACTS):
            registry.register([number], f"p:{number}:all", "model")
        if how == "delete":
            registry.end_run()
        registry._data._save()
        counts = Counts(monkeypatch)
        if how == "roll back":
            registry.cleanup_failed_run()
        else:
            registry.delete_pipeline_artifacts("p", delete_files=True)
        assert not list(registry.binaries_dir.iterdir())
        assert len(counts.applied) > 10  # so many events it took
        before = 0 if how == "roll back" else ARTIFACTS + 1  # their ids, to look for what depends on them
        assert counts.decoded <= before + 2 * ARTIFACTS  # what is planned is looked at again where it is done


def test_a_writer_holds_the_tail_alone(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what it has written, and of what others have, no more than it was told to is held in memory."""
    monkeypatch.setattr("chainfold.folded.TAIL_ENTRIES", 10)
    monkeypatch.setattr("chainfold.folded.TAIL_LIMIT", 20)
    with ArtifactRegistry(workspace, "wheat") as writer, ArtifactRegistry(workspace, "wheat") as reader:
        most = 0
        for number in range(60):
            writer.register([number % 3], f"p:{number}:all", "model")
            assert writer._data._tail <= 10
            if number % 7 == 0:
                assert len(reader) == number + 1
                most = max(most, reader._data._tail)
        assert most <= 20


def test_a_snapshot_is_written_for_so_many_entries_and_no_fewer(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A log of few entries has none; the work of writing them stays a share of the log."""
    monkeypatch.setattr("chainfold.folded.TAIL_ENTRIES", 16)
    monkeypatch.setattr("chainfold.folded.TAIL_SHARE", 2)
    written: list[int] = []
    save = Dataset._save

    def saving(data: Dataset) -> None:
        written.append(data.log.size)
        save(data)

    monkeypatch.setattr(Dataset, "_save", saving)
    with ArtifactRegistry(workspace, "wheat") as registry:
        for number in range(130):
            registry.set_alias("x", None)
            assert registry.position == number + 1
    assert written[:3] == [16, 32, 48]
    assert all(later >= 3 * earlier // 2 for earlier, later in itertools.pairwise(written[2:-1]))


@pytest.fixture
def sizes_written(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sizes of the log at which snapshots were written."""
    written: list[int] = []
    save = Dataset._save

    def saving(data: Dataset) -> None:
        written.append(data.log.size)
        save(data)

    monkeypatch.setattr(Dataset, "_save", saving)
    return written


def test_a_run_has_snapshots_the_more_rarely_the_longer_it_is(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, sizes_written: list[int]
) -> None:
    """Each has all of the run in it: what is written of it stays a multiple of what it registered."""
    monkeypatch.setattr("chainfold.folded.TAIL_ENTRIES", 8)
    monkeypatch.setattr("chainfold.folded.RUN_SHARE", 2)
    with ArtifactRegistry(workspace, "wheat") as registry:
        registry.start_run()
        for number in range(200):
            registry.register([number % 3], f"p:{number}:all", "model")
        assert sizes_written[0] == 8
        assert all(later >= 3 * earlier // 2 for earlier, later in itertools.pairwise(sizes_written[2:]))
        assert sum(sizes_written) <= 3 * sizes_written[-1]
        assert sizes_written[-1] > 100
        registry.end_run()
        in_run = len(sizes_written)
        for _ in range(60):
            registry.set_alias("x", None)
        assert len(sizes_written) >= in_run + 60 // 8  # once it has ended, as ever


def test_a_run_that_is_longer_than_any_tail_has_snapshots_all_the_same(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, sizes_written: list[int]
) -> None:
    monkeypatch.setattr("chainfold.folded.TAIL_ENTRIES", 4)
    monkeypatch.setattr("chainfold.folded.RUN_SHARE", 1)
    monkeypatch.setattr("chainfold.folded.TAIL_LIMIT", 16)
    with ArtifactRegistry(workspace, "wheat") as registry, registry.run():
        for number in range(150):
            registry.register([number % 3], f"p:{number}:all", "model")
            assert registry._data._tail < 16
        gaps = [later - earlier for earlier, later in itertools.pairwise(sizes_written)]
        assert gaps[-3:] == [16, 16, 16]


def test_who_closes_writes_one_for_fewer_entries(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, sizes_written: list[int]
) -> None:
    monkeypatch.setattr("chainfold.folded.CLOSING_ENTRIES", 10)
    monkeypatch.setattr("chainfold.folded.CLOSING_SHARE", 2)
    size = 0
    for count, is_written in [
        (9, False),
        (1, True),
        (9, False),
        (1, True),
        (9, False),
        (1, True),
        (14, False),
        (1, True),
    ]:
        with ArtifactRegistry(workspace, "wheat") as registry:
            for _ in range(count):
                registry.set_alias("x", None)
        size += count
        assert (sizes_written[-1:] == [size]) is is_written


def test_a_deletion_counts_as_much_as_it_takes(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, sizes_written: list[int]
) -> None:
    """One entry may take any number of artifacts: whoever opens the dataset would have to fold all of it."""
    monkeypatch.setattr("chainfold.folded.CLOSING_ENTRIES", 10)
    with ArtifactRegistry(workspace, "wheat") as registry:
        for pipeline, count in (("few", 30), ("many", 80)):
            for number in range(count):
                registry.register([0], f"{pipeline}:{number}:all", "model")
    for pipeline, is_written in (("few", False), ("many", True)):
        with ArtifactRegistry(workspace, "wheat") as registry:
            registry.delete_pipeline_artifacts(pipeline)
            size = registry.position
        assert (sizes_written[-1] == size) is is_written


def test_a_system_that_refuses_is_not_asked_each_time(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each time that no snapshot could be written, twice as many entries go by before the next attempt."""
    monkeypatch.setattr("chainfold.folded.TAIL_ENTRIES", 2)
    asked: list[int] = []

    def refuse(_: object, projections: Projections, __: object) -> None:
        asked.append(projections.size)

    monkeypatch.setattr("chainfold.projections.snapshots.Snapshots.save", refuse)
    with ArtifactRegistry(workspace, "wheat") as registry:
        for _ in range(40):
            registry.set_alias("x", None)
    assert asked[:5] == [2, 4, 8, 16, 32]
