"""What is told of long work: on a terminal only, in words that are right, and nothing of it stays."""

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.cli_running import chainfold, fill, process

from chainfold import ArtifactRegistry
from chainfold.cli.progress import Progress, progress, words_for


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.floats(0, 10**6))
def test_words_are_right(done: int, total: int, seconds: float) -> None:
    words = words_for("Verifying", "artifacts", done, total, seconds)
    known = max(done, total)
    assert f"{done:,} of {known:,} artifacts" in words
    for percent in re.findall(r"(\d+)%", words):
        assert int(percent) * known <= 100 * done < (int(percent) + 1) * known
    assert (" left" in words) == (done > 0 and seconds > 0)


@pytest.mark.parametrize(
    ("done", "total", "seconds", "left"),
    [(50, 100, 5, "5s"), (1, 131, 1, "2m10s"), (10, 39_010, 1, "1h05m"), (7, 7, 1, "0s")],
)
def test_time_left(done: int, total: int, seconds: float, left: str) -> None:
    assert words_for("X", "y", done, total, seconds).endswith(f"  {left} left")


def test_rates() -> None:
    assert "  2,000/s  " in words_for("X", "y", 4_000, 8_000, 2)
    assert "  0.5/s  " in words_for("X", "y", 1, 8_000, 2)


class TestLine:
    @pytest.fixture
    def clock(self, monkeypatch: pytest.MonkeyPatch) -> None:
        seconds = itertools.count()
        monkeypatch.setattr("chainfold.cli.progress.time.monotonic", lambda: float(next(seconds)))
        monkeypatch.setenv("COLUMNS", "40")

    @pytest.mark.usefixtures("clock")
    def test_it_is_one_line_that_fits_and_goes(self, capsys: pytest.CaptureFixture[str]) -> None:
        shown = Progress("Verifying", "artifacts", shown=True)
        assert list(shown.over(range(1_000), 1_000)) == list(range(1_000))
        shown.clear()
        shown.clear()
        told = capsys.readouterr().err.split("\r\x1b[K")
        assert told[0] == told[-1] == ""
        assert len(told) == 1_000 // 256 + 3
        assert all(0 < len(each) < 40 for each in told[1:-1])
        assert "\n" not in "".join(told)

    @pytest.mark.usefixtures("clock")
    def test_nothing_stays_of_it_after_an_error(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr("chainfold.cli.progress._can_show", lambda: True)
        with pytest.raises(KeyboardInterrupt), progress("Verifying", "artifacts") as told:
            told(1, 2)
            raise KeyboardInterrupt
        assert capsys.readouterr().err.endswith("\r\x1b[K")

    @pytest.mark.usefixtures("clock")
    def test_what_is_quick_needs_no_word(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr("chainfold.cli.progress._FIRST_SECONDS", 1_000)
        list(Progress("Verifying", "artifacts", shown=True).over(range(1_000), 1_000))
        assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "line", ["verify", "verify --no-blobs", "rebuild", "export a.sqlite", "export a.yaml"]
)
def test_nothing_of_it_is_in_a_pipe(
    registry: ArtifactRegistry, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(registry)
    monkeypatch.chdir(registry.workspace.parent)
    done = process(*line.split(), "-w", registry.workspace)
    assert done.returncode == 0
    assert "\r" not in done.stderr
    assert "\x1b" not in done.stderr


def test_each_is_told_how_far_it_has_come(
    registry: ArtifactRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By count: each command calls, never with more than there is, and never goes back."""
    with registry.run():
        for number in range(1_100):
            registry.register(number, f"0001:{number}:all", "model")
    calls: list[tuple[int, int]] = []
    monkeypatch.setattr(Progress, "__call__", lambda _, done, total: calls.append((done, total)))
    monkeypatch.chdir(registry.workspace.parent)
    for line in (
        "verify",
        "verify --no-blobs",
        "rebuild",
        "export a.sqlite",
        "export a.parquet",
        "export a.yaml",
        "export - --as openlineage",
        "import a.yaml",
    ):
        calls.clear()
        assert chainfold(*line.split(), "-w", registry.workspace).exit_code == 0, line
        assert calls, line
        assert all(0 <= done <= total for done, total in calls), line
        assert calls == sorted(calls), line
