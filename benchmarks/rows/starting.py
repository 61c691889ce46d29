"""What is paid before anything is done: imports, `--help`."""

import functools
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
_COMMANDS = {"chainfold": "chainfold", "mlflow": "mlflow", "optuna": "optuna"}


def measure(bench: Bench) -> None:
    sides: dict[str, Side] = {
        name: functools.partial(_imported, ", ".join(load(name).modules))
        for name in bench.sides
        if name != FLOOR
    }
    bench.results.add("import", 0, bench.ask("import", ["import"], 0, sides), "import")
    commands: dict[str, Side] = {
        "an empty Python program": functools.partial(_ran, [sys.executable, "-c", ""])
    }
    for name, command in _COMMANDS.items():
        found = shutil.which(command, path=str(Path(sys.executable).parent))
        if name in bench.sides and found is not None:
            commands[name] = functools.partial(_ran, [found, "--help"])
    bench.results.add("help", 0, bench.ask("help", ["help"], 0, commands), "ran")


def _imported(modules: str, _: int) -> Metrics:
    command = [sys.executable, "-c", _PROGRAM.format(modules)]
    done = subprocess.run(command, cwd=_ROOT, check=True, capture_output=True, text=True)  # noqa: S603 - our own text
    return {"import": float(done.stdout)}


def _ran(command: list[str], _: int) -> Metrics:
    start = perf_counter()
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - found beside our own interpreter
    return {"ran": perf_counter() - start}
