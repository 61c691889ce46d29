"""These tests run nirs4all itself: `make test-nirs4all` installs it into a virtual environment of its own."""

import importlib.util
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.lib.npyio import NpzFile

if importlib.util.find_spec("nirs4all") is None:
    collect_ignore_glob = ["test_*.py"]

SCRIPT = Path(__file__).with_name("pipelines.py")
PLAIN = (sys.executable,)
INSTALLED = (sys.executable, "-m", "chainfold.integrations.nirs4all")


@dataclass
class Outcome:
    """What the pipelines left behind."""

    workspace: Path
    trained: NpzFile
    predicted: NpzFile

    def manifests(self) -> list[Path]:
        return sorted(self.workspace.glob("runs/**/manifest.yaml"))


def _run(workspace: Path, command: tuple[str, ...], stage: str) -> subprocess.Popen[bytes]:
    arguments = [*command, str(SCRIPT), str(workspace), stage]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def printable(item: dict[str, Any]) -> dict[str, Any]:
    """What a manifest lists, with the name of its model as chainfold has it."""
    return {**item, "custom_name": item.get("custom_name", "").replace("\t", " ")}


@pytest.fixture(scope="session")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    """The same pipelines without chainfold (`plain`) and with it (`installed`), side by side."""
    commands = {"plain": PLAIN, "installed": INSTALLED}
    workspaces = {name: tmp_path_factory.mktemp(name) / "workspace" for name in commands}
    for stage in ("train", "predict"):
        running = {name: _run(workspaces[name], command, stage) for name, command in commands.items()}
        for name, process in running.items():
            output, _ = process.communicate()
            assert process.returncode == 0, (name, stage, output.decode(errors="replace")[-5000:])
    return {
        name: Outcome(workspace, np.load(workspace / "train.npz"), np.load(workspace / "predict.npz"))
        for name, workspace in workspaces.items()
    }


@pytest.fixture(scope="session")
def plain(outcomes: dict[str, Outcome]) -> Outcome:
    return outcomes["plain"]


@pytest.fixture(scope="session")
def installed(outcomes: dict[str, Outcome]) -> Outcome:
    return outcomes["installed"]
