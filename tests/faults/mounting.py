"""Mounting the strict file system for as long as a block lasts, and its power switch."""

import contextlib
import json
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from tests.faults.strict_fs import CUT, KILL, ON, unmount

_ROOT: Final = Path(__file__).resolve().parents[2]
_PATIENCE_SECONDS: Final = 30.0


class Mounted:
    """A strict file system that is mounted.

    Attributes:
        folder: Where.
        descriptor: What its server tells can be read here.
    """

    def __init__(self, folder: Path, server: "subprocess.Popen[bytes]") -> None:
        assert server.stdout is not None
        self.folder = folder
        self.descriptor = server.stdout.fileno()
        self._server = server
        self._rest = b""

    def told(self, timeout_seconds: float | None = _PATIENCE_SECONDS) -> dict[str, Any] | None:
        """What the server says next; None if that is nothing for so long.

        Raises:
            OSError: If the server has ended.
        """
        until = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        with selectors.DefaultSelector() as selector:
            selector.register(self.descriptor, selectors.EVENT_READ)
            while b"\n" not in self._rest:
                left = None if until is None else max(0.0, until - time.monotonic())
                if not selector.select(left):
                    return None
                data = os.read(self.descriptor, 1 << 16)
                if not data:
                    raise OSError(f"the server of {self.folder} has ended ({self._server.poll()})")
                self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        return message

    def cut(self, seed: int, after: int | None = None) -> None:
        """Cut the power: now, or before the change of that number from now on."""
        self._use(CUT, str(seed) if after is None else f"{seed} {after}")

    def cut_and_restore(self, seed: int) -> None:
        """Cut the power now and switch it on again."""
        self.cut(seed)
        assert self.told() is not None
        self.power_on()

    def kill(self, after: int) -> None:
        """Kill the process that is about to do the change of that number from now on."""
        self._use(KILL, str(after))

    def power_on(self) -> None:
        """Let processes at what survived, and forget what was asked for. Those of before must be dead."""
        self._use(ON, "1")

    def _use(self, switch: str, text: str) -> None:
        descriptor = os.open(self.folder / switch, os.O_WRONLY)
        try:
            os.write(descriptor, text.encode())
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def strict_file_system(folder: Path) -> Iterator[Mounted]:
    """Serve a new strict file system at a folder, by a process of its own, inside the block.

    Raises:
        OSError: If it cannot be mounted.
    """
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "tests.faults.strict_fs", str(folder)]
    server = subprocess.Popen(command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        mounted = Mounted(folder, server)
        if mounted.told() is None:
            raise TimeoutError(f"{folder} was not mounted in {_PATIENCE_SECONDS:.0f} seconds")
        yield mounted
    finally:
        _end(server, folder)


def _end(server: "subprocess.Popen[bytes]", folder: Path) -> None:
    """Unmount, whoever still uses it, and end the server."""
    assert server.stdin is not None
    assert server.stdout is not None
    if server.poll() is not None or not unmount(str(folder)):
        unmount(str(folder), "-z")
        server.kill()  # it would wait for whoever has a file open
    server.stdin.close()
    try:
        server.wait(5)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
    server.stdout.close()
