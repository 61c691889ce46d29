"""What a person sees at a terminal of 80 and of 200 columns, on the golden log: kept as it was looked at.

`UPDATE_CAPTURES=1 python -m pytest tests/test_cli_captures.py` writes them anew, to be looked at again.
"""

import os
import re
import shlex
from pathlib import Path

import click
import pytest
from tests.cli_running import chainfold, contents

FOLDER = Path(__file__).resolve().parent / "golden"
WORKSPACE = FOLDER / "1"
LINES = [
    "ls --datasets",
    "ls --at {last}",
    "ls --at {last} --sort=-size -n 3 -f type=model",
    "show {model} --at {last}",
    "find --prefix s --at {last}",
    "log -n 12",
    "runs",
    "du --by type --at {last}",
    "tree {meta} --at {last}",
    "tree {scaler} --down --at {last}",
    "graph {meta} --at {last}",
    "diff 4",
    "verify",
    "verify {model} {meta}",
    "verify --since nothing",
    "checkpoint --at {last}",
    "prove --since 4 --at {last}",
    "prove {model} --entry 3",
    "export somewhere.json",
    "import nothing.yaml",
    "alias --at {last}",
    "rm {model} --dry-run",
    "rm {scaler} --cascade --dry-run",
    "rollback {run} --dry-run",
    "gc --all --dry-run",
    "purge --dry-run",
    "show nothing-like-that",
    "ls -f colour=red",
]


def named() -> dict[str, str]:
    """Ids in the golden log by what they are for, and the position of its end."""
    records = chainfold("ls", "-w", WORKSPACE, "-d", "wheat", "--format", "csv").stdout.splitlines()[1:]
    rows = [row.split(",") for row in records]
    kinds = {row[1]: row[0] for row in reversed(rows)}
    runs = chainfold("runs", "-w", WORKSPACE, "-d", "wheat", "-q", "--status", "committed").stdout.split()
    last = chainfold("log", "-w", WORKSPACE, "-d", "wheat", "-q", "-n", "1").stdout.strip()
    return {
        "model": shlex.quote(kinds["model"]),
        "meta": shlex.quote(kinds["meta_model"]),
        "scaler": shlex.quote(kinds["transformer"]),
        "last": str(int(last) + 1),
        "run": shlex.quote(runs[0]),
    }


@pytest.mark.parametrize("columns", [80, 200])
def test_captures(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("CHAINFOLD_WORKSPACE", str(WORKSPACE))
    monkeypatch.setenv("CHAINFOLD_DATASET", "wheat")
    before, names = contents(WORKSPACE), named()
    monkeypatch.setattr("chainfold.cli.printing.is_terminal", lambda: True)
    seen = []
    for line in LINES:
        words = line.format(**names)
        text = click.unstyle(chainfold(*shlex.split(words)).output)
        for shown in text.splitlines():
            if "sha256:" not in shown and "binaries" not in shown and "label=" not in shown:
                assert len(shown) <= columns or "Note: " in shown or "Error: " in shown
        text = re.sub(r"(  file +\S+/)\n +", r"\1", text)  # where it is broken depends on where this is
        text = re.sub(re.escape(str(WORKSPACE)), "WORKSPACE", text)
        seen.append(f"$ chainfold {words}\n{text}")
    path = FOLDER / f"cli-{columns}.txt"
    if os.environ.get("UPDATE_CAPTURES"):
        path.write_text("\n".join(seen), encoding="utf-8", newline="\n")
    assert "\n".join(seen) == path.read_text("utf-8")
    assert contents(WORKSPACE) == before
