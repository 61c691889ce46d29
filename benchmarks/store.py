"""Results as data: so that pages and figures can be made again, and compared, without measuring again."""

import dataclasses
import json
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.bench import Bench
from benchmarks.measuring import Cell, Results
from benchmarks.peers import OURS, load, versions

Facts = dict[str, Any]


def facts(bench: Bench, seconds: float, creating: list[float], *, quick: bool) -> Facts:
    """What belongs to a result: when, on what, with which versions, within which limits."""
    peers = {name: load(name) for name in bench.sides}
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "system": platform.system(),
        "versions": versions(bench.sides),
        "titles": {name: peer.title for name, peer in peers.items()},
        "notes": {name: peer.notes for name, peer in peers.items()},
        "minutes": seconds / 60,
        "creating": creating,
        "limit": bench.budget.limit,
        "repetitions": bench.budget.repetitions,
        "quick": quick,
        "ours": OURS,
    }


def write(path: Path, known: Facts, results: Results) -> None:
    cells = [dataclasses.asdict(cell) for cell in results.cells]
    path.write_text(json.dumps({"facts": known, "cells": cells}, indent=1) + "\n", encoding="utf-8")


def read(path: Path) -> tuple[Facts, Results]:
    found = json.loads(path.read_text(encoding="utf-8"))
    cells = [
        Cell(**{**cell, "values": {int(number): value for number, value in cell["values"].items()}})
        for cell in found["cells"]
    ]
    return found["facts"], Results(cells)
