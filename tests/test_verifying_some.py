"""`verify(artifacts=...)` says of artifacts what the full check says of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainfold import ArtifactRegistry, InvalidInputError, NotFoundError
from chainfold.storage import ReadOnlyFiles

COUNT = 6


@given(
    damage=st.lists(st.sampled_from(["none", "changed", "missing"]), min_size=COUNT, max_size=COUNT),
    asked=st.lists(st.integers(0, COUNT - 1), max_size=COUNT),
    jobs=st.sampled_from([1, -1]),
)
def test_it_is_the_full_check_of_those(
    tmp_path_factory: pytest.TempPathFactory, damage: list[str], asked: list[int], jobs: int
) -> None:
    folder = tmp_path_factory.mktemp("some")
    names = [f"0001:{number}:all" for number in range(COUNT)]
    with ArtifactRegistry(folder, "wheat") as registry:
        for number, name in enumerate(names):
            registry.register(
                [number], name, "model", depends_on=names[:number][-1:], params={"n": number}, private=["n"]
            )
        for number, kind in enumerate(damage):
            path = registry.binaries_dir / registry.require(names[number]).path
            if kind == "changed":
                path.write_bytes(b"x")
            elif kind == "missing":
                path.unlink()
    with ArtifactRegistry(folder, "wheat", storage=ReadOnlyFiles()) as registry:
        wanted = {names[number] for number in asked}
        full = [each for each in registry.verify(jobs=jobs).findings if each.artifact_id in wanted]
        some = registry.verify(jobs=jobs, artifacts=[names[number] for number in asked])
    assert some.findings == full
    assert some.artifacts == len(wanted)
    assert {each.artifact_id: each.kind for each in full} == {
        names[number]: damage[number] for number in asked if damage[number] != "none"
    }
    assert all(each.expected.startswith("sha256:") for each in full)


@given(
    damage=st.lists(st.booleans(), min_size=COUNT, max_size=COUNT),
    after=st.integers(0, COUNT),
    jobs=st.sampled_from([1, -1]),
)
def test_what_was_registered_after(
    tmp_path_factory: pytest.TempPathFactory, damage: list[bool], after: int, jobs: int
) -> None:
    folder = tmp_path_factory.mktemp("after")
    with ArtifactRegistry(folder, "wheat") as registry:
        for number, is_lost in enumerate(damage):
            record = registry.register([number], f"0001:{number}:all", "model")
            if is_lost:
                (registry.binaries_dir / record.path).unlink()
        found = registry.verify(jobs=jobs, after=after)
        assert [each.artifact_id for each in found.findings] == [
            f"0001:{number}:all" for number in range(after, COUNT) if damage[number]
        ]
        assert found.artifacts == COUNT - after
        assert found.root == registry.verify().root


@pytest.mark.damages
@pytest.mark.parametrize("lost", [0, 1, 25])
def test_an_interrupted_check_says_where_to_go_on(lost: int, registry: ArtifactRegistry) -> None:
    with registry.run():
        for number in range(700):
            registry.register(number, f"0001:{number}:all", "model")
    for number in [*range(lost), 690]:
        (registry.binaries_dir / registry.require(f"0001:{number}:all").path).unlink()

    def interrupt(done: int, total: int) -> None:
        assert total == 700
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as met:
        registry.verify(interrupt)
    (note,) = met.value.__notes__
    told, _, place = note.partition("; verify goes on with after=")
    assert ("nothing was found wrong" in told) == (lost == 0)
    assert told.count("0001:") == min(lost, 20)
    assert ("and 5 more" in told) == (lost == 25)
    rest = registry.verify(after=int(place))
    assert [each.artifact_id for each in rest.findings] == ["0001:690:all"]
    assert rest.artifacts == 700 - 512


def test_what_cannot_be_asked(registry: ArtifactRegistry) -> None:
    registry.register([1], "0001:1:all", "model")
    kept = registry.checkpoint()
    with pytest.raises(NotFoundError, match="none"):
        registry.verify(artifacts=["0001:1:all", "none"])
    with pytest.raises(InvalidInputError):
        registry.verify(artifacts=[], since=kept)
    with pytest.raises(InvalidInputError):
        registry.verify(artifacts=[], blobs=False)
    with pytest.raises(InvalidInputError):
        registry.verify(artifacts=[], after=1)
    with pytest.raises(InvalidInputError):
        registry.verify(after=1, blobs=False)
    with pytest.raises(NotFoundError):
        registry.verify(after=2)
