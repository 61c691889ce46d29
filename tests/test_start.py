"""The tutorial: its commands run, one after the other, and print what it says they print."""

import re
from pathlib import Path

import pytest
from tests.cli_running import chainfold
from tests.consoles import run, stable, steps

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "start.md").read_text("utf-8")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("CHAINFOLD_WORKSPACE", "CHAINFOLD_DATASET"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CHAINFOLD_ACTOR", "ann@lab")
    monkeypatch.chdir(tmp_path)
    (script,) = re.findall(r"^```py\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    (tmp_path / "train.py").write_text(script, "utf-8")
    return tmp_path


def test_it_has_ten_commands() -> None:
    assert len(list(steps(PAGE))) == 10
    assert re.findall(r"^## (\d+)\.", PAGE, re.MULTILINE) == [str(number) for number in range(1, 11)]


@pytest.mark.usefixtures("folder")
def test_it_prints_what_it_says() -> None:
    for line, shown in steps(PAGE):
        assert stable(run(line)) == stable(shown), line


def test_in_may(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a history that is old enough, the day says what the checkpoint says, as the page has it."""
    clock = folder / "sitecustomize.py"
    clock.write_text(
        "import os\n"
        "from chainfold.log import lines\n"
        "lines.time_ns = lambda: int(os.environ['CLOCK']) * 1_000_000_000\n"
    )
    may, november = 1_779_700_000, 1_794_000_000
    monkeypatch.setenv("CLOCK", str(may))
    monkeypatch.syspath_prepend(str(folder))
    for line, _ in steps(PAGE):
        if "0002" in line:
            monkeypatch.setenv("CLOCK", str(november))
        run(line)
    by_checkpoint = chainfold("show", "production", "--at", "may.txt").stdout
    assert by_checkpoint.startswith("0001_ridge$")
    assert "2026-05-25" in by_checkpoint
    assert stable(chainfold("show", "production", "--at", "2026-05-31").stdout) == stable(by_checkpoint)
    assert chainfold("show", "production").stdout.startswith("0002_ridge$")
    assert chainfold("show", "production", "--at", "2026-05-01").exit_code == 66
