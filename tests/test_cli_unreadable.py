"""What this user may not read is named, and never taken to be absent."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from tests.cli_running import chainfold, environment, fill

from chainfold import ArtifactRegistry

_HELD: Final = "dac_override,dac_read_search"
"""What lets root read everything."""


def bare(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """A command, by a user who may not read everything."""
    words = [sys.executable, "-m", "chainfold", *arguments]
    if os.geteuid() == 0:
        without = ",".join(f"-{each}" for each in _HELD.split(","))
        words = ["setpriv", f"--bounding-set={without}", f"--inh-caps={without}", *words]
    return subprocess.run(words, check=False, capture_output=True, text=True, cwd=cwd, env=environment())


pytestmark = pytest.mark.skipif(
    sys.platform == "win32" or (os.geteuid() == 0 and shutil.which("setpriv") is None),
    reason="whoever runs this may read everything",
)


@contextmanager
def closed(path: Path) -> Iterator[None]:
    mode = path.stat().st_mode
    path.chmod(0)
    try:
        yield
    finally:
        path.chmod(mode)


@pytest.fixture
def there(workspace: Path, registry: ArtifactRegistry) -> Path:
    fill(registry)
    assert chainfold("init", workspace, "--default-dataset", "wheat").exit_code == 0
    return workspace


@pytest.mark.parametrize(
    "what", ["log", "log/wheat", "log/wheat/checkpoint", "log/wheat/segments", "chainfold.toml"]
)
def test_what_cannot_be_read_is_named(there: Path, what: str) -> None:
    with closed(there / what):
        for command in (["ls"], ["ls", "--datasets"], ["verify"], ["show", "production"]):
            done = bare(*command, cwd=there)
            assert done.returncode == 74, done.stderr
            assert str(there / what) in done.stderr
            assert "reading works" not in done.stderr
        doctor = bare("doctor", cwd=there)
        assert doctor.returncode == 1, doctor.stderr
        assert str(there / what) in " ".join(doctor.stdout.split())


def test_records_are_shown_where_files_cannot_be_seen(there: Path) -> None:
    with closed(there / "binaries" / "wheat"):
        shown = bare("show", "production", cwd=there)
        assert shown.returncode == 0, shown.stderr
        assert "may not look" in " ".join(shown.stdout.split())
        doctor = bare("doctor", cwd=there)
        assert doctor.returncode == 1
        assert str(there / "binaries" / "wheat") in doctor.stdout


def test_a_file_elsewhere_is_not_said_to_be_the_workspace_s(there: Path, tmp_path: Path) -> None:
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o555)
    done = bare("load", "production", "-o", str(folder / "x"), cwd=there)
    assert done.returncode == 74
    assert "name a place that this user may write to" in done.stderr


class TestMarker:
    def test_a_broken_one_is_told_by_init_and_doctor(self, tmp_path: Path) -> None:
        marker = tmp_path / "chainfold.toml"
        marker.write_text("bogus = [\n", "utf-8")
        made = chainfold("init", tmp_path)
        assert made.exit_code == 65
        assert "remove it" in made.stderr
        doctor = chainfold("doctor", "-w", tmp_path)
        assert doctor.exit_code == 1
        assert "Error (marker)" in doctor.stdout
        marker.unlink()
        assert chainfold("init", tmp_path).exit_code == 0

    def test_a_folder_in_its_place(self, tmp_path: Path) -> None:
        (tmp_path / "chainfold.toml").mkdir()
        made = chainfold("init", tmp_path)
        assert made.exit_code == 65
        assert "move it away" in made.stderr
