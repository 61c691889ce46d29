"""The registry against its naive model, as in `test_laws`, with snapshots written at nearly every step."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize
from tests.snapshotting import check_rebuilt, few_hashes, save_often, small_blocks
from tests.test_laws import Registries

from chainfold.dataset import Dataset

EXAMPLES = int(os.environ.get("CHAINFOLD_EXAMPLES", "0"))
pytestmark = pytest.mark.timeout(0 if EXAMPLES else 300)


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """What the machines below set is their own."""
    with pytest.MonkeyPatch.context() as outer:
        save_often(outer)
        small_blocks(outer)
        few_hashes(outer, 60)
        outer.setitem(Dataset.__init__.__kwdefaults__ or {}, "segment_bytes", 2_000)
        outer.setattr("chainfold.projections.rebuilding.TAIL_ENTRIES", 5)
        outer.setattr("chainfold.projections.snapshots.BUILD_BYTES", 0)
        yield


class SavingRegistries(Registries):
    """Three registries that write snapshots, and open through them, all the time."""

    def __init__(self) -> None:
        self.patch = pytest.MonkeyPatch()  # undone by the fixture, which has set all of it before
        save_often(self.patch)
        super().__init__()

    @initialize(
        entries=st.sampled_from((1, 1, 3, 8)),
        limit=st.sampled_from((1, 2, 5, 10_000)),
        aside=st.sampled_from((2, 10, 500_000)),
        build=st.sampled_from((0, 0, 32 << 20)),
    )
    def save_all_the_time(self, entries: int, limit: int, aside: int, build: int) -> None:
        save_often(self.patch, entries, limit)
        self.patch.setattr("chainfold.projections.rebuilding.TAIL_ENTRIES", aside)
        self.patch.setattr("chainfold.projections.snapshots.BUILD_BYTES", build)

    def teardown(self) -> None:
        check_rebuilt(self.workspace)
        super().teardown()


class CollidingRegistries(SavingRegistries):
    """As those, and all keys of a kind share eight hashes."""

    def __init__(self) -> None:
        super().__init__()
        few_hashes(self.patch)

    def teardown(self) -> None:
        super().teardown()
        few_hashes(self.patch, 60)


TestSavingRegistries = SavingRegistries.TestCase
TestSavingRegistries.settings = settings(
    max_examples=max(EXAMPLES, 25), stateful_step_count=30, report_multiple_bugs=False
)
TestCollidingRegistries = CollidingRegistries.TestCase
TestCollidingRegistries.settings = settings(
    max_examples=max(EXAMPLES, 15),
    stateful_step_count=25,
    report_multiple_bugs=False,
)
