"""Progress is shown to a person who looks at stderr, and to nobody else."""

import io
import sys

import pytest

from chainfold.cli.progress import BYTES, _count_and_rate, progress


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


def test_what_is_not_known_is_not_said() -> None:
    assert _count_and_rate(1_200, None, None, "files") == "1,200 files"
    assert _count_and_rate(1_200, 40_000, 310.4, "files") == "1,200 of 40,000 files, 310/s"
    assert _count_and_rate(1.2e6, 4e7, 3.1e6, BYTES) == "1.2 MB of 40.0 MB, 3.1 MB/s"
