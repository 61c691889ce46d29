"""Child processes that do something until they are ended, and tell about it over a socket, unbuffered."""

import json
import os
import select
import signal
import socket
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from tests.faults.workload import Message, Tell

_BEGINNING_SECONDS: Final = 10.0


class Child:
    """A fork of this process, which must have one thread only; so that nothing is imported again.

    Args:
        act: What it does. It is given what to tell with, and ends when its parent is gone.
        is_held: Wait for `go` first.

    Attributes:
        status: How it ended: 0, an exit status, or minus a signal's number. None while it lives.
    """

    def __init__(self, act: Callable[[Tell], None], *, is_held: bool = False) -> None:
        self._socket, theirs = socket.socketpair()
        self._rest = b""
        self.status: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            _be(act, self._socket, theirs, is_held=is_held)
        theirs.close()

    def go(self) -> None:
        """Let it begin."""
        self._socket.sendall(b"\n")

    def fileno(self) -> int:
        """For `select`."""
        return self._socket.fileno()

    def begun(self) -> None:
        """Wait until it tells something, or has ended."""
        select.select([self], [], [], _BEGINNING_SECONDS)

    def told(self, *, to_the_end: bool = False) -> Iterator[Message]:
        """What it has told until now, or until it ended."""
        while True:
            self._socket.setblocking(to_the_end)
            try:
                data = self._socket.recv(1 << 20)
            except BlockingIOError:
                return
            except ConnectionResetError:  # it was ended while it had not read what we sent
                return
            if not data:
                return
            *whole, self._rest = (self._rest + data).split(b"\n")
            yield from map(json.loads, whole)

    def end(self, number: int = signal.SIGKILL) -> None:
        """End it by a signal, unless it has ended."""
        if self.status is None:
            os.kill(self.pid, number)

    def has_ended(self) -> bool:
        """Whether it has; it may have told things that are not taken yet."""
        return (
            self.status is not None
            or os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        )

    def wait(self) -> int:
        """Wait until it has ended; its status."""
        if self.status is None:
            self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.status

    def close(self) -> None:
        """End it, whatever it does, and forget it."""
        self.end()
        self.wait()
        self._socket.close()


def listen(children: Sequence[Child], seconds: float, take: Callable[[Child, Message], None]) -> None:
    """Take what children tell for a while, so that none waits for us."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        for child in select.select(children, [], [], left)[0]:
            for message in child.told():
                take(child, message)
            if child.has_ended():
                return


def _be(act: Callable[[Tell], None], parents: socket.socket, mine: socket.socket, *, is_held: bool) -> None:
    """The child's life: it never returns into the parent's code."""
    status = 1
    try:
        parents.close()

        def tell(message: Message) -> None:
            message["at"] = time.monotonic_ns()
            mine.sendall(json.dumps(message).encode() + b"\n")

        try:
            if not is_held or mine.recv(1):
                act(tell)
            status = 0
        except BrokenPipeError:
            status = 2
        except BaseException:  # noqa: BLE001 - it must be told, whatever it is
            tell({"broke": traceback.format_exc()})
    finally:
        os._exit(status)
