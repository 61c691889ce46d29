"""What is paid before anything is done: imports, `--help`.

As on a user's machine, where each module's bytecode was written when it was installed or first imported:
a machine that forbids Python to write it would compile what runs from its sources each time anew.
"""

import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path
from time import perf_counter

from benchmarks.bench import Bench
from benchmarks.measuring import Metrics, Side
from benchmarks.peers import FLOOR, load

_ROOT = Path(__file__).resolve().parents[2]
_PROGRAM = "from time import perf_counter; start = perf_counter(); import {}; print(perf_counter() - start)"
_ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
_COMMANDS = {"chainfold": "chainfold", "mlflow": "mlflow", "optuna": "optuna"}


def measure(bench: Bench) -> None:
    modules = {name: ", ".join(load(name).modules) for name in bench.sides if name != FLOOR}
    sides: dict[str, Side] = {name: functools.partial(_imported, each) for name, each in modules.items()}
    for each in modules.values():
        _imported(each, 0)  # writes the bytecode
    bench.results.add("import", 0, bench.ask("import", ["import"], 0, sides), "import")
    commands: dict[str, Side] = {
        "an empty Python program": functools.partial(_ran, [sys.executable, "-c", ""])
    }
    for name, command in _COMMANDS.items():
        found = shutil.which(command, path=str(Path(sys.executable).parent))
        if name in bench.sides and found is not None:
            commands[name] = functools.partial(_ran, [found, "--help"])
            commands[name](0)  # as above
    bench.results.add("help", 0, bench.ask("help", ["help"], 0, commands), "ran")


def _imported(modules: str, _: int) -> Metrics:
    command = [sys.executable, "-c", _PROGRAM.format(modules)]
    done = subprocess.run(  # noqa: S603 - our own text
        command, cwd=_ROOT, env=_ENVIRONMENT, check=True, capture_output=True, text=True
    )
    return {"import": float(done.stdout)}


def _ran(command: list[str], _: int) -> Metrics:
    start = perf_counter()
    subprocess.run(command, env=_ENVIRONMENT, check=True, capture_output=True)  # noqa: S603 - found beside our own interpreter
    return {"ran": perf_counter() - start}
