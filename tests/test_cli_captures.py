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

from chainfold import ArtifactRegistry
from chainfold.cli.plain import width

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
    "diff {model} {meta} --at {last}",
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
    check(seen, FOLDER / f"cli-{columns}.txt")
    assert contents(WORKSPACE) == before


def check(seen: list[str], path: Path) -> None:
    """What is seen is what was looked at."""
    if os.environ.get("UPDATE_CAPTURES"):
        path.write_text("\n".join(seen), encoding="utf-8", newline="\n")
    assert "\n".join(seen) == path.read_text("utf-8")


@pytest.mark.parametrize("columns", [80, 200])
def test_captures_of_odd_names(
    columns: int, registry: ArtifactRegistry, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a pipeline with a name longer than the terminal, of names with blanks, and of a long lineage."""
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("CHAINFOLD_WORKSPACE", str(workspace))
    monkeypatch.setattr("chainfold.cli.printing.is_terminal", lambda: True)
    registry.register([0], f"{'p' * 230}$4ebb5f7a7015:all", "model")
    source = registry.register([1], "a\u202eb:1:all", "transformer").artifact_id
    for number in range(12):
        deeper = registry.register([number], f"模 {number}:1:all", "model", depends_on=[source])
        beside = registry.register([-number], f"skip:{number}:all", "model", depends_on=[source])
        both = [deeper.artifact_id, beside.artifact_id][: 1 + (number > 5)]
        source = registry.register([number], f"long:{number}:all", "model", depends_on=both).artifact_id
    for alias in ("2 days ago", "-", "q" * 100):
        registry.set_alias(alias, source)
    seen = []
    for line in ("du", "alias", "diff 0", "log -n 3 --kind alias-set", f"tree {source}"):
        text = click.unstyle(chainfold(*shlex.split(line)).output)
        assert all(width(shown) <= columns for shown in text.splitlines())
        text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "2026-01-31 12:00:00", text)
        seen.append(f"$ chainfold {line}\n{text}")
    check(seen, FOLDER / f"cli-odd-{columns}.txt")
