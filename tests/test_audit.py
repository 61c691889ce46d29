"""The auditor's walk in a shell: its commands run on what the page's own first section makes."""

import re
from pathlib import Path
from typing import Any

import pytest
from tests.cli_running import chainfold, contents
from tests.consoles import run, stable, steps

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "audit.md").read_text("utf-8")


def test_it_holds_where_line_ends_are_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Windows writes texts, unless it is told not to: a checkpoint with such ends is none."""
    write = Path.write_text

    def written(
        path: Path,
        text: str,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> int:
        return write(path, text, encoding, errors, "\r\n" if newline is None else newline)

    monkeypatch.setattr(Path, "write_text", written)
    monkeypatch.chdir(tmp_path)
    made: dict[str, Any] = {}
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    for block in blocks:
        exec(block, made)  # noqa: S102 - our own page
    made["registry"].close()
    assert made["done"].returncode == 1  # of what is forged; each block asserts what it says itself


def test_it_prints_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CHAINFOLD_WORKSPACE", "CHAINFOLD_DATASET"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    (first, *_) = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    made: dict[str, Any] = {}
    exec(first, made)  # noqa: S102 - our own page
    Path("kept.txt").write_text(made["kept_in_march"], "utf-8")
    before = contents(tmp_path / "workspace")
    for line, shown in steps(PAGE):
        assert stable(run(line)) == stable(shown), line
    assert contents(tmp_path / "workspace") == before
    key = "other+78be19e3+AbytJVaV+FAOptw1R11w+IO+0oPvzlahjaUf1OFuXLsD"
    assert chainfold("verify", "--since", "kept.txt", "--key", key, "-w", "workspace").exit_code == 65
    assert (
        chainfold("verify", "--since", "next.txt", "--key", made["public_key"], "-w", "workspace").exit_code
        == 65
    )
