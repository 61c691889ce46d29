"""All that is tried in parts by the tests, for as long as is wanted; and the figures.

    python -m tests.faults.soak --seconds 3600

It ends with a table in Markdown, and with 1 if anything was lost.
"""

import argparse
import json
import os
import platform
import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, Final

_LANES: Final = 2
"""So many at once: most wait for a disk half of the time."""
_LAWS: Final = ("tests/test_laws.py", "tests/faults/test_power_laws.py", "tests/faults/test_fuzzing.py")
_FUZZED: Final = ("line", "log", "manifest", "references", "checkpoint", "chain")
_TOLD: Final = (
    *("cycles", "cuts", "kills", "killed", "cases", "acknowledged", "failed", "refused"),
    *("operations", "looks", "slowest_s", "executions", "bytes"),
)
_COUNTED: Final = re.compile(r"([0-9][0-9,]*) (executions|bytes)")
Figures = dict[str, Any]


def tiers(seconds: float) -> list[tuple[str, list[str]]]:
    """What is run, and with which arguments: shares of the time."""
    seed = random.randrange(1 << 30)

    def driver(module: str, share: float, *arguments: str) -> list[str]:
        wanted = ["--seconds", str(round(seconds * share)), "--seed", str(seed), *arguments]
        return [sys.executable, "-W", "ignore", "-m", f"tests.faults.{module}", *wanted]

    return [
        ("kill -9", driver("killing", 0.4)),
        ("power cuts, ext4", driver("power", 0.2, "--fs", "ext4")),
        ("power cuts, xfs", driver("power", 0.2, "--fs", "xfs")),
        ("power cuts, strict file system", driver("strict", 0.3)),
        ("refused and killed at system calls", driver("tracing", 0.2)),
        ("64 writers on one dataset", driver("crowding", 0.2)),
        *((f"fuzzed: {target}", _fuzzer(target, seconds * 0.3 / len(_FUZZED))) for target in _FUZZED),
    ]


def _fuzzer(target: str, seconds: float) -> list[str]:
    return [sys.executable, "-m", "tests.faults.fuzz_atheris", target, "--seconds", str(round(seconds))]


def run(name: str, command: list[str]) -> tuple[str, Figures]:
    """One of them; its last line is its figures."""
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = done.stdout.strip().splitlines() or [""]
    print(f"{name}: {lines[-1]}", flush=True)
    if done.returncode != 0:
        print(done.stdout[-4_000:], done.stderr[-4_000:], flush=True)
    figures = {key: value for key, value in _figures(lines[-1]).items() if key in _TOLD}
    figures["seconds"] = round(time.monotonic() - began)
    return name, figures | {"lost": int(done.returncode != 0)}


def _figures(line: str) -> Figures:
    """What a driver's last line says: JSON, or numbers and what they count."""
    try:
        found: Figures = json.loads(line)
    except ValueError:
        return {word.strip(",:"): int(number.replace(",", "")) for number, word in _COUNTED.findall(line)}
    return found


def laws(seconds: float) -> Iterator[tuple[str, Figures]]:
    """The laws with new examples, again and again."""
    ends = time.monotonic() + seconds
    rounds = 0
    while time.monotonic() < ends:
        rounds += 1
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:randomly",
            *_LAWS,
        ]
        environment = {**os.environ, "CHAINFOLD_EXAMPLES": "500"}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        if done.returncode != 0:
            print(done.stdout[-8_000:], flush=True)
            yield "laws", {"rounds": rounds, "lost": 1}
            return
    yield "laws, 500 examples or more of each", {"rounds": rounds, "seconds": round(seconds), "lost": 0}


def table(results: list[tuple[str, Figures]], seconds: float) -> str:
    """The figures, in Markdown."""
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.release()}"
    told = f"{datetime.now(UTC):%Y-%m-%d}, {machine}, Python {platform.python_version()}"
    lines = [f"{told}; `make soak SECONDS={seconds:.0f}`", "", "| tried | figures | lost |", "|---|---|---|"]
    for name, figures in results:
        said = ", ".join(
            f"{value:,} {'seconds at most' if key == 'slowest_s' else key}"
            for key, value in figures.items()
            if key != "lost"
        )
        lines.append(f"| {name} | {said} | {figures['lost']} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=3_600)
    seconds = parser.parse_args().seconds
    with ThreadPoolExecutor(_LANES) as lanes:
        law = lanes.submit(lambda: list(laws(seconds * 0.4)))
        jobs = [lanes.submit(run, *tier) for tier in tiers(seconds)]
        results = [*(job.result() for job in jobs), *law.result()]
    print(f"\n{table(results, seconds)}")
    if any(figures["lost"] for _, figures in results):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
