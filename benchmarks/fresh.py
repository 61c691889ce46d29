"""A function in a process of its own: nothing imported, decoded or cached by what was measured before.

    python -m benchmarks.fresh module:function '{"argument": 1}'

prints what the function returns as JSON. A process that takes more time or memory than it may is ended.
"""

import contextlib
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.peers.protocol import CannotError, one_line

_ROOT = Path(__file__).resolve().parents[1]
_SHARE = 0.6
"""Of the machine's memory that one process may take."""


def call(target: str, timeout: float, **arguments: Any) -> dict[str, Any]:
    """What `module:function` returns there.

    Raises:
        CannotError: If it raises that, or takes too long, or too much memory, or fails.
    """
    command = [sys.executable, "-m", "benchmarks.fresh", target, json.dumps(arguments)]
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter, our own text
            command, cwd=_ROOT, check=False, capture_output=True, text=True, timeout=timeout
        )
    except subprocess.TimeoutExpired:
        raise CannotError(f"stopped after {timeout:.0f} s") from None
    try:
        answer: dict[str, Any] = json.loads(done.stdout.rpartition("\n{")[2].join(("{", "")))
    except ValueError:
        last = done.stderr.strip().rpartition("\n")[2]
        raise CannotError(f"died with status {done.returncode}: {last[:150]}") from None
    if "cannot" in answer:
        raise CannotError(answer["cannot"])
    return answer


def _memory() -> int:
    """Bytes that a process may take; 0 where that cannot be said."""
    names = os.sysconf_names if hasattr(os, "sysconf_names") else {}
    if "SC_PHYS_PAGES" not in names:
        return 0
    return int(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") * _SHARE)


def _limit_memory() -> None:
    if sys.platform == "linux" and _memory():
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (_memory(), _memory()))


def _main() -> None:
    module, _, name = sys.argv[1].partition(":")
    _limit_memory()
    answer: dict[str, Any]
    try:
        with contextlib.redirect_stdout(sys.stderr):
            answer = getattr(importlib.import_module(module), name)(**json.loads(sys.argv[2]))
    except CannotError as error:
        answer = {"cannot": str(error)}
    except MemoryError:
        answer = {"cannot": f"stopped: it needs more than {_memory() / 1e9:.0f} GB of memory"}
    except Exception as error:  # noqa: BLE001 - told to the parent, who writes it down
        answer = {"cannot": one_line(error)}
    print("\n" + json.dumps(answer), flush=True)
    os._exit(0)  # a million objects take seconds to be taken apart


if __name__ == "__main__":
    _main()
