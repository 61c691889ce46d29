"""The first impression: importing chainfold imports nothing that is heavy and not needed yet."""

import subprocess
import sys

HEAVY = {"numpy", "scipy", "sklearn", "joblib", "cloudpickle", "yaml", "click", "rich", "pandas", "asyncio"}


def test_importing_imports_little() -> None:
    """Neither numbers nor formats nor the command line, and no more modules than when this was written."""
    code = "import sys; before = set(sys.modules); import chainfold; print(*(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    imported = done.stdout.split()
    assert not HEAVY.intersection(name.partition(".")[0] for name in imported)
    assert len(imported) < 250
