"""Faults at system calls of a real process: `python -m tests.faults.tracing --seconds 60`.

`strace` lets the n-th call of a kind fail, or kills the process there, while a writer works; sometimes beside
another whom nothing happens to. Nothing that was acknowledged may be lost by that, errors must be those that
are promised, and whoever opens the workspace next works on.

The last line of the output is one JSON object of figures; the status is 1 if a promise was broken.
"""

import argparse
import contextlib
import json
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.faults.children import Child, listen
from tests.faults.disks import Disk, private_mounts
from tests.faults.expectation import ALWAYS_SYNCED, Expectation, check
from tests.faults.workload import Message, Tell, Writer, small_segments

from chainfold import ChainfoldError

_COMMANDS: Final = 25
_CUTS_FAIL: Final = 0.3
"""How often what was appended by half cannot be cut off either."""
_PATIENCE_SECONDS: Final = 60.0
_LOG_SYNC: Final = re.compile(r"cannot sync .*/segments(/|:)")

_RENAME: Final = "?rename,?renameat,?renameat2"
_UNLINK: Final = "?unlink,?unlinkat"
FAULTS: Final = {
    "sync": [("fdatasync", "error=EIO", 45), ("fsync", "error=EIO", 25)],
    "full": [
        ("write", "error=ENOSPC", 100),
        (_RENAME, "error=ENOSPC", 15),
        ("openat", "error=ENOSPC", 130),
        ("?mkdir,?mkdirat", "error=ENOSPC", 8),
        ("fallocate", "error=ENOSPC", 1),
    ],
    "kill": [
        ("fdatasync", "signal=KILL", 45),
        ("fsync", "signal=KILL", 25),
        ("write", "signal=KILL", 100),
        (_RENAME, "signal=KILL", 15),
        (_UNLINK, "signal=KILL", 20),
        ("openat", "signal=KILL", 130),
    ],
    "failing": [
        ("write", "error=EIO", 100),
        ("openat", "error=EMFILE", 130),
        (_RENAME, "error=EIO", 15),
        (_UNLINK, "error=EIO", 20),
        ("pread64", "error=EIO", 2),
        ("pwrite64", "error=EIO", 60),
        ("?stat,?newfstatat", "error=EIO", 400),
    ],
}
"""By sort: the calls, what happens there, and about how many of them a writer makes."""


class Fault(NamedTuple):
    """What happens at which calls.

    Attributes:
        calls: Their names.
        act: As `strace` takes it.
        when: Which of them, as `strace` takes it: `5` (the fifth), `5+` (from then on), `5..8`.
        cuts_fail: Whether files cannot be cut either.
    """

    calls: str
    act: str
    when: str
    cuts_fail: bool = False

    def words(self) -> list[str]:
        """For the command line of `strace`."""
        inject = ["-e", f"inject={self.calls}:{self.act}:when={self.when}"]
        cuts = ["-e", "inject=ftruncate:error=EIO"] if self.cuts_fail else []
        return ["-e", f"trace={self.calls},ftruncate", *inject, *cuts]


class Stubborn(Writer):
    """A writer that goes on with a registry that has failed, against all advice."""

    def reopen(self) -> None:
        if self.registry is not None and self.registry._run is not None:
            with contextlib.suppress(ChainfoldError):
                self.registry.cleanup_failed_run()


class Traced:
    """One writer that meets a fault, maybe one beside it; and what they told.

    Args:
        workspace: A new one.
        fault: What happens.
        seed: For what is done.
        is_stubborn: Whether the writer goes on after a failure without reopening.
        has_company: Whether another writes too.
    """

    def __init__(
        self, workspace: Path, fault: Fault, seed: int, *, is_stubborn: bool, has_company: bool
    ) -> None:
        self.fault = fault
        self.broke: list[str] = []
        self.failed = 0
        self.acknowledged = 0
        self.killed = False
        self._workspace = workspace
        self._seed = seed
        self._expectations = {name: Expectation(name) for name in (["a", "b"] if has_company else ["a"])}
        self._writer = Stubborn if is_stubborn else Writer
        self._log_failed = False

    def run(self) -> None:
        """Let them work, then look."""
        children: dict[Child, str] = {}
        tracer = None
        try:
            for name in self._expectations:
                children[Child(self._writing(name), is_held=True)] = name
            traced = next(iter(children))
            tracer = attached(traced.pid, self.fault)
            self._let_them_work(children)
            self.killed = traced.status == -signal.SIGKILL
        finally:
            for child in children:
                child.close()
            if tracer is not None:
                tracer.communicate(timeout=_PATIENCE_SECONDS)
        if not self.broke:
            try:
                check(self._workspace, self._expectations.values())
            except Exception:  # noqa: BLE001 - whatever it is, it must be told
                self.broke.append(traceback.format_exc())

    def _let_them_work(self, children: dict[Child, str]) -> None:
        def take(child: Child, message: Message) -> None:
            self._take(children[child], message)

        for child in children:
            child.go()
        working, deadline = list(children), time.monotonic() + _PATIENCE_SECONDS
        while working and time.monotonic() < deadline:
            listen(working, 0.2, take)
            working = [child for child in working if not child.has_ended()]
        if working:
            self.broke.append("a writer hung")
            return
        for child in children:
            for message in child.told(to_the_end=True):
                take(child, message)
            child.wait()

    def _take(self, name: str, message: Message) -> None:
        if "broke" in message:
            self.broke.append(message["broke"])
            return
        expectation = self._expectations[name]
        command, end = expectation.pending, message.get("end")
        if end == "failed":
            self.failed += 1
            self._log_failed |= name == "a" and _LOG_SYNC.search(message["why"]) is not None
        elif end == "done":
            self.acknowledged += 1
            is_too_late = name == "a" and self._log_failed and self._writer is Stubborn
            if is_too_late and command and command[0] in ALWAYS_SYNCED:
                self.broke.append(f"{command} was acknowledged after a failed sync, without reopening")
        expectation.take(message)

    def _writing(self, name: str) -> Callable[[Tell], None]:
        def act(tell: Tell) -> None:
            small_segments()
            kind = self._writer if name == "a" else Writer
            kind(self._workspace, name, self._seed + ord(name), tell).work(_COMMANDS)

        return act


def attached(pid: int, fault: Fault) -> "subprocess.Popen[str]":
    """The tracer of a process, from now on."""
    words = ["strace", "-f", "-p", str(pid), "-o", "/dev/null"]
    tracer = subprocess.Popen([*words, *fault.words()], stderr=subprocess.PIPE, text=True)
    assert tracer.stderr is not None
    said = tracer.stderr.readline()
    if "attached" not in said:
        tracer.kill()
        raise OSError(f"strace does not trace: {said}{tracer.communicate()[1]}")
    return tracer


class Tracing:
    """Cases one after the other, and their figures."""

    def __init__(self, folder: Path, seed: int, sorts: list[str]) -> None:
        self._folder = folder
        self._random = random.Random(seed)
        self._faults = [each for sort in sorts for each in FAULTS[sort]]
        self._warm_up()
        self.figures: dict[str, Any] = dict.fromkeys(["cases", "acknowledged", "failed", "killed"], 0)
        self.figures |= {"calls": {}, "broke": []}

    def _warm_up(self) -> None:
        """Everything that is imported late is imported now, so that no fault hits that instead."""
        workspace = self._folder / "warm"
        Writer(workspace, "a", 0, lambda _: None, large_every=16).work(40)
        check(workspace, [])

    def case(self) -> None:
        """One more: the kinds of faults take turns."""
        number = self.figures["cases"]
        calls, act, about = self._faults[number % len(self._faults)]
        first = self._random.randint(1, about)
        forms = [f"{first}"] * 3 + ([f"{first}+", f"{first}..{first + 4}"] if "error" in act else [])
        traced = Traced(
            self._folder / str(number),
            Fault(calls, act, self._random.choice(forms), cuts_fail=self._random.random() < _CUTS_FAIL),
            self._random.randrange(1 << 30),
            is_stubborn=self._random.random() < 0.3,
            has_company=self._random.random() < 0.5,
        )
        traced.run()
        figures = self.figures
        figures["cases"] += 1
        figures["acknowledged"] += traced.acknowledged
        figures["failed"] += traced.failed
        figures["killed"] += traced.killed
        if traced.killed or traced.failed:
            what = f"{calls}:{act}"
            figures["calls"][what] = figures["calls"].get(what, 0) + 1
        figures["broke"] += [f"{traced.fault.words()}: {each}" for each in traced.broke]
        shutil.rmtree(self._folder / str(number), ignore_errors=True)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cases", type=int, help="how many; else --seconds")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sort", action="append", choices=sorted(FAULTS), help="by default all")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    began = time.monotonic()
    private_mounts()
    with tempfile.TemporaryDirectory(prefix="traced-") as folder, Disk("tmpfs", Path(folder), "256M") as disk:
        tracing = Tracing(disk.root, given.seed, given.sort or sorted(FAULTS))
        figures = tracing.figures
        while not figures["broke"] and (
            figures["cases"] < given.cases if given.cases else time.monotonic() - began < given.seconds
        ):
            tracing.case()
    figures |= {"seed": given.seed, "seconds": round(time.monotonic() - began, 1)}
    sys.stdout.write(json.dumps(figures) + "\n")
    return 1 if figures["broke"] else 0


if __name__ == "__main__":
    sys.exit(main())
