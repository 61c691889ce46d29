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


def test_what_cannot_be_asked(registry: ArtifactRegistry) -> None:
    registry.register([1], "0001:1:all", "model")
    kept = registry.checkpoint()
    with pytest.raises(NotFoundError, match="none"):
        registry.verify(artifacts=["0001:1:all", "none"])
    with pytest.raises(InvalidInputError):
        registry.verify(artifacts=[], since=kept)
    with pytest.raises(InvalidInputError):
        registry.verify(artifacts=[], blobs=False)
