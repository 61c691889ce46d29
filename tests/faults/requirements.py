"""What a test of failures needs of the machine: where that is missing it is skipped, and says why.

With `REQUIRE_ALL=1` in the environment nothing is skipped: a machine that is meant to try everything shall
not quietly try less.
"""

import os
import shutil
import sys

import pytest


def need(condition: object, what: str) -> None:
    """Go on only where a condition holds; for a test, a fixture, or a whole module."""
    if condition:
        return
    if os.environ.get("REQUIRE_ALL") == "1":
        pytest.fail(f"needs {what}, and REQUIRE_ALL=1 forbids to skip")
    pytest.skip(f"needs {what}", allow_module_level=True)


def need_root() -> None:
    """Go on only as root on Linux: nobody else mounts or traces what they like."""
    need(sys.platform == "linux", "Linux")
    need(os.geteuid() == 0, "root")


def need_programs(*names: str) -> None:
    """Go on only where these programs are installed."""
    for name in names:
        need(shutil.which(name), f"the program {name}")
