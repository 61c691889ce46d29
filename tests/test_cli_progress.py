"""Progress is shown to a person who looks at stderr, and to nobody else."""

import io
import re
import sys

import pytest

from chainfold.cli.progress import BYTES, _count_and_rate, _time_left, progress


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def looked_at(monkeypatch: pytest.MonkeyPatch) -> _Terminal:
    """A stderr that is a terminal. No fixture: between setup and test, pytest puts its own in place."""
    stream = _Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    return stream


def test_on_a_terminal_it_says_what_is_done_and_of_how_many(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = looked_at(monkeypatch)
    with progress("Sweeping [red]", 40) as step:
        step()
        step(9)
        step.at(30)
    shown = terminal.getvalue()
    assert "Sweeping [red]" in shown
    assert "30 of 40 files" in shown


def test_a_total_may_come_later(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = looked_at(monkeypatch)
    with progress("Verifying", unit="artifacts") as step:
        step.at(3, 7)
    assert "3 of 7 artifacts" in terminal.getvalue()


def test_it_is_one_line_however_narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = looked_at(monkeypatch)
    monkeypatch.setenv("COLUMNS", "40")
    with progress("Verifying", 12_345_678, "artifacts") as step:
        step.at(1_234_567)
    lines = re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.getvalue()))
    shown = [line for line in lines if line.strip()]
    assert shown
    assert all(line.startswith("Verifying ") and len(line) <= 40 for line in shown)
    assert "…" in shown[-1]


def test_time_left() -> None:
    assert _time_left(None) == ""
    assert _time_left(5.9) == "0:05 left"
    assert _time_left(3_723) == "1:02:03 left"


def test_nothing_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("Sweeping", 40) as step:
        step()
        step.at(3, 7)
    assert capsys.readouterr() == ("", "")


def test_nothing_on_a_dumb_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = looked_at(monkeypatch)
    monkeypatch.setenv("TERM", "dumb")
    with progress("Sweeping", 40) as step:
        step()
    assert terminal.getvalue() == ""


def test_an_error_passes_and_the_cursor_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = looked_at(monkeypatch)
    with pytest.raises(KeyboardInterrupt), progress("Sweeping", 40):
        raise KeyboardInterrupt
    shown = terminal.getvalue()
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")


def test_what_is_slow_does_not_stand_at_nothing() -> None:
    assert _count_and_rate(30, 90, 1.9, "artifacts") == "30 of 90 artifacts, 1/s"
    assert _count_and_rate(3, 90, 0.5, "artifacts") == "3 of 90 artifacts, 30/min"
    assert _count_and_rate(3, 90, 0.01, "artifacts") == "3 of 90 artifacts, 36/h"
    assert _count_and_rate(3, 90, 0.0, "artifacts") == "3 of 90 artifacts"


def test_what_is_not_known_is_not_said() -> None:
    assert _count_and_rate(1_200, None, None, "files") == "1,200 files"
    assert _count_and_rate(1_200, 40_000, 310.4, "files") == "1,200 of 40,000 files, 310/s"
    assert _count_and_rate(1.2e6, 4e7, 3.1e6, BYTES) == "1.2 MB of 40.0 MB, 3.1 MB/s"
