"""The command line as the tests run it, and a workspace that it is tried on."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from chainfold import ArtifactRegistry
from chainfold.cli import main


def chainfold(*arguments: str | Path, text: str | None = None) -> Result:
    """A command, in this process."""
    return CliRunner().invoke(main, list(map(str, arguments)), input=text, catch_exceptions=False)


def as_json(*arguments: str | Path) -> Any:
    """What a command prints with `--format json`."""
    result = chainfold(*arguments, "--format", "json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def environment() -> dict[str, str]:
    """The environment of a process that finds what this one does."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def process(*arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """A command, in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "chainfold", *map(str, arguments)],
        check=False,
        capture_output=True,
        text=True,
        env=environment(),
        **options,
    )


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Every file below a folder, with its bytes and the time of its last change; every folder with none."""
    return {
        str(path.relative_to(folder)): (
            (path.read_bytes(), path.stat().st_mtime_ns) if path.is_file() else (b"", 0)
        )
        for path in sorted(folder.rglob("*"))
    }


def fill(registry: ArtifactRegistry) -> dict[str, str]:
    """A pipeline with folds, a stack on them, and a model that was replaced; some ids by name."""
    with registry.run():
        scaler = registry.register_with_chain(
            {"mean": 1}, "s1.MinMaxScaler", "transformer", step_index=1, params={"feature_range": [0, 1]}
        )
        models = [
            registry.register_with_chain(
                [0.5] * 400 * (fold + 1),
                "s1.MinMaxScaler>s3.PLS",
                "model",
                step_index=3,
                fold_id=fold,
                depends_on=[scaler.artifact_id],
                params={"n_components": fold + 2, "tolerance": float("inf")},
            )
            for fold in range(3)
        ]
    ids = [model.artifact_id for model in models]
    stack = registry.register_meta_model({"weights": [1, 2, 3]}, "0001_pls$abcdef012345:all", ids)
    registry.set_alias("production", ids[0])
    registry.register_with_chain(
        [9.0],
        "s1.MinMaxScaler>s3.PLS",
        "model",
        step_index=3,
        fold_id=0,
        depends_on=[scaler.artifact_id],
        params={"n_components": 12},
        custom_name="retrained",
    )
    return {"scaler": scaler.artifact_id, "model": ids[0], "other": ids[1], "stack": stack.artifact_id}
