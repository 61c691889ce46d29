"""What every test gets: a workspace, and the full consistency check when it ends."""

import signal
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from tests.snapshotting import check_rebuilt

from chainfold import ArtifactRegistry

settings.register_profile(
    "default",
    deadline=None,  # no test asserts on a clock
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
settings.load_profile("default")

# A shell has Ctrl-C ignored by what it leaves in the background, and so by what the tests start to interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


def check_consistency(workspace: Path) -> None:
    """Every dataset of a workspace verifies, and replaying its log gives the state that opening it gave."""
    for folder in sorted((workspace / "log").glob("*")):
        with ArtifactRegistry(workspace, folder.name) as registry:
            report = registry.verify()
            assert report.ok, report.findings
            assert registry.rebuild()
        check_rebuilt(workspace, folder.name)


@pytest.fixture
def workspace(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A workspace that is checked in full after the test, unless the test is marked `damages`."""
    path = tmp_path / "workspace"
    yield path
    if request.node.get_closest_marker("damages") is None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            check_consistency(path)


@pytest.fixture
def registry(workspace: Path) -> Iterator[ArtifactRegistry]:
    """An open registry of the dataset `wheat`, for pipeline `0001_pls`."""
    with ArtifactRegistry(workspace, "wheat", pipeline_id="0001_pls", actor="tester") as opened:
        yield opened
