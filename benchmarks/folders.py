"""Where the benchmarks write."""

import atexit
import functools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from time import perf_counter

from benchmarks.peers.protocol import CannotError

_KEPT_FREE = 10 << 30
"""Bytes of the disk that stay free."""


@functools.cache
def _root() -> Path:
    """A folder whose subfolders ext4 spreads over the disk, where `chattr` can say so; gone at the very end.

    ext4 avoids inodes that were freed in the last minutes: where thousands of files were removed, by an
    earlier run or by anyone's tests, creating one takes up to fifty times as long, and hides all else.
    """
    root = Path(tempfile.mkdtemp(prefix="chainfold-bench-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    chattr = shutil.which("chattr")
    if chattr is not None:
        subprocess.run([chattr, "+T", str(root)], check=False, capture_output=True)  # noqa: S603 - our own folder
    return root


def workspace() -> Path:
    """A new folder. It stays till the end, so that nothing is removed while others are measured.

    Raises:
        CannotError: If the disk is nearly full.
    """
    if shutil.disk_usage(_root()).free < _KEPT_FREE:
        raise CannotError("not begun: the disk is nearly full")
    return Path(tempfile.mkdtemp(dir=_root()))


def bytes_below(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def microseconds_to_create_a_file(count: int = 500) -> float:
    """What creating an empty file takes now: see `_root` for why that changes."""
    folder = workspace()
    start = perf_counter()
    for number in range(count):
        os.close(os.open(folder / str(number), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    return (perf_counter() - start) / count * 1e6
