"""Whatever becomes of a log or a manifest: damage is found, what is before it stays, and nothing else breaks.

`tests/test_log_damage.py` asks the log, byte by byte; here the registry is asked, with all its commands.
"""

import contextlib
import itertools
import os
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.faults import fuzzing
from tests.faults.fuzzing import ACCIDENTS, FORGERIES, Lines, Mutation, mutated, resealed, segment_of
from tests.faults.hostile import DATASET, outcome, used

from chainfold import ArtifactRegistry, ChainfoldError, CorruptionError, ManifestError
from chainfold.dataset import Dataset
from chainfold.storage import durable
from chainfold.verify import verify
from chainfold.view import RegistryView

pytestmark = pytest.mark.timeout(120)
_EXAMPLES: Final = int(os.environ.get("CHAINFOLD_EXAMPLES", "150"))


@pytest.fixture(scope="module", autouse=True)
def no_syncs_at_all() -> Iterator[None]:
    """Thousands of logs are written here, and no power will be cut meanwhile."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(durable, "sync_data", lambda _: None)
        patch.setattr(durable, "sync_folder", lambda _: None)
        yield


class Whole(NamedTuple):
    """A small log before anything has happened to it."""

    workspace: Path
    lines: Lines
    checkpoint: bytes
    answers: list[Any]
    """By size of the log."""


def answers(view: Any) -> Any:
    """What a reader sees of the state that a log leads to."""
    return view.export_to_manifest(), view.aliases(), len(view)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    workspace = tmp_path_factory.mktemp("whole")
    fuzzing.small_log(workspace)
    with ArtifactRegistry(workspace, DATASET) as registry:
        past = [answers(registry.as_of(size)) for size in range(registry.position + 1)]
    lines = segment_of(workspace).read_bytes().splitlines()
    return Whole(workspace, lines, (workspace / "log" / DATASET / "checkpoint").read_bytes(), past)


def put(whole: Whole, content: bytes, *, checkpoint: bool = True) -> None:
    segment_of(whole.workspace).write_bytes(content)
    path = whole.workspace / "log" / DATASET / "checkpoint"
    path.write_bytes(whole.checkpoint) if checkpoint else path.unlink(missing_ok=True)


def check_found(whole: Whole, content: bytes, good: int) -> None:
    """Reading stops before the damage, with all that is before it; verify says so; nobody writes on."""
    put(whole, content)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        registry = ArtifactRegistry(whole.workspace, DATASET)
    with registry:
        assert (registry.position, answers(registry)) == (good, whole.answers[good])
        report = registry.verify()
        if good < len(whole.lines):
            place = f"position {good}: "
            assert any(place in str(each.message) for each in told)
            assert any(place in each.detail for each in report.findings if each.level == "error")
            with pytest.raises(CorruptionError, match=place):
                registry.set_alias("other", None)
        else:
            assert (told, report.ok) == ([], True)
    assert segment_of(whole.workspace).read_bytes() == content


@contextlib.contextmanager
def ignored_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def intact(before: Lines, content: bytes) -> int:
    """How many lines at the beginning are as they were."""
    pairs = zip(before, ended(content), strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))


def ended(content: bytes) -> Lines:
    return content.split(b"\n")[:-1]


def joined(lines: Lines) -> bytes:
    return b"".join(line + b"\n" for line in lines)


# Accidents: the sums are not made right again


def test_every_line_dropped_repeated_or_swapped_is_found_by_the_registry(whole: Whole) -> None:
    count = len(whole.lines)
    changes: list[Mutation] = [fuzzing.dropped(index) for index in range(count)]
    for a, b in itertools.combinations(range(count), 2):
        changes += [
            fuzzing.swapped(a, b),
            fuzzing.repeated(a, b),
            fuzzing.repeated(b, a),
            fuzzing.spliced(a, b, 90),
        ]
    for change in changes:
        content = joined(change(whole.lines))
        check_found(whole, content, intact(whole.lines, content))


@settings(max_examples=_EXAMPLES)
@given(st.lists(ACCIDENTS, min_size=1, max_size=3))
def test_an_accident_is_found_or_harmless(whole: Whole, accidents: Sequence[Mutation]) -> None:
    """Harmless is only what is behind all that was acknowledged; and what changes nothing."""
    content = joined(mutated(whole.lines, accidents))
    check_found(whole, content, intact(whole.lines, content))


@settings(max_examples=_EXAMPLES)
@given(st.lists(ACCIDENTS, min_size=1, max_size=3), st.integers(0, 5_000))
def test_what_is_left_by_an_accident_and_a_lost_checkpoint_is_a_beginning(
    whole: Whole, accidents: Sequence[Mutation], cut: int
) -> None:
    """It may pass for a torn tail then, but never for anything that was not there."""
    content = joined(mutated(whole.lines, accidents))[: cut or None]
    put(whole, content, checkpoint=False)
    good = intact(whole.lines, content)
    with ignored_warnings():
        data = Dataset(whole.workspace, DATASET)  # a registry would roll back the runs that are open now
    assert data.log.size == good
    assert answers(RegistryView(data)) == whole.answers[good]
    assert verify(data).entries == good
    data.close()


# Forgeries: the sums are right again, and only the checkpoint tells


@settings(max_examples=_EXAMPLES)
@given(st.lists(FORGERIES, min_size=1, max_size=3))
@example([fuzzing.dropped(11)])
def test_a_forgery_is_found_by_the_root(whole: Whole, forgeries: Sequence[Mutation]) -> None:
    content = resealed(mutated(whole.lines, forgeries))
    put(whole, content)
    outcomes = used(whole.workspace, writing=False)
    if isinstance(outcomes["open"], ChainfoldError):
        assert outcomes["open"].code == "unknown-event"
        return
    good = intact(whole.lines, content)
    if good < len(whole.lines):
        assert not outcomes["verify"].ok
        with ignored_warnings(), ArtifactRegistry(whole.workspace, DATASET) as registry:
            with pytest.raises(CorruptionError):
                registry.register([1], "mine:1:all", "model")
            assert answers(registry.as_of(good)) == whole.answers[good]
        assert segment_of(whole.workspace).read_bytes() == content
    else:  # what comes after all that was acknowledged may be any writer's
        assert outcomes["verify"].ok or len(ended(content)) > good
        assert segment_of(whole.workspace).read_bytes().startswith(content)


@settings(max_examples=_EXAMPLES)
@given(st.lists(FORGERIES, min_size=1, max_size=4))
def test_a_forgery_without_a_checkpoint_is_a_log_like_any_other(
    whole: Whole, tmp_path_factory: pytest.TempPathFactory, forgeries: Sequence[Mutation]
) -> None:
    """Every command works on it, or refuses in its own words; and nothing leaves the folder."""
    folder = tmp_path_factory.mktemp("forged")
    (folder / "canary").write_bytes(b"canary")
    segment = segment_of(folder / "a" / "b")
    segment.parent.mkdir(parents=True)
    segment.write_bytes(resealed(mutated(whole.lines, forgeries)))
    used(folder / "a" / "b")
    assert sorted(path.name for path in folder.iterdir()) == ["a", "canary"]
    with ignored_warnings():
        again = outcome(ArtifactRegistry, folder / "a" / "b", DATASET)
    if isinstance(again, ArtifactRegistry):
        with again:
            assert again.rebuild()


# Manifests


@pytest.fixture(scope="module")
def exported(whole: Whole) -> dict[str, Any]:
    manifest: dict[str, Any] = whole.answers[-1][0]
    return manifest


@settings(max_examples=_EXAMPLES)
@given(st.data())
def test_a_manifest_is_imported_as_a_whole_or_refused(
    exported: dict[str, Any], tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    manifest = data.draw(fuzzing.manifests(exported))
    workspace = tmp_path_factory.mktemp("manifest")
    with ArtifactRegistry(workspace, DATASET) as registry:
        error = outcome(registry.import_from_manifest, manifest, workspace)
        assert isinstance(error, ManifestError | None)
        assert (registry.position > 0) <= (error is None)
        before = registry.export_to_manifest()
    with ArtifactRegistry(workspace, DATASET) as registry:
        assert repr(registry.export_to_manifest()) == repr(before)  # NaN is not equal to itself
        assert registry.verify().ok
        assert registry.rebuild()
