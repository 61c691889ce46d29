"""Writers in processes of their own on the strict file system, killed and cut off at any moment.

    python -m tests.faults.strict --seconds 60 --seed 1

Each cycle forks one or two writers, ends them (by a power cut, or by a kill only), and looks at what they
left: all that they were told to be done is there, nothing else is there by half, and work goes on. Some are
killed at a chosen operation, and others go on with what they left before the power is cut. Now and then
nobody looks, and the next writers go on right away, so that recovery is cut off too.

A command that returned did so before the power was cut: since then every operation has failed, and a command
does not return when its sync fails. So all that a writer tells counts, also what is read from it later.

The last line of output is a JSON object with the figures. The exit status is 1 if something was lost; with
`--planted` (a bug of `planted.PLANTED`, put into the writers), if nothing was.
"""

import argparse
import json
import logging
import os
import random
import selectors
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from tests.faults.expectation import Expectation, check
from tests.faults.mounting import Mounted, strict_file_system
from tests.faults.planted import PLANTED
from tests.faults.workload import Message, Writer, small_segments

from chainfold import ChainfoldError
from chainfold.testing import MemoryDisk, MemoryFiles

_REFUSED: Final = "Input/output error"
"""What the file system says to everything while the power is off."""


class LostError(Exception):
    """A promise was broken."""


class Child:
    """A writer in a forked process.

    Attributes:
        status: How it ended; None while it lives.
    """

    def __init__(self, work: Callable[[Callable[[Message], None]], None], expectation: Expectation) -> None:
        self.expectation = expectation
        self.status: int | None = None
        self.descriptor, write = os.pipe()
        self._rest = b""
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            status = 1
            try:
                os.close(self.descriptor)
                work(lambda message: _send(write, message))
                status = 0
            except BaseException:  # noqa: BLE001 - nothing may go on from here in the child
                traceback.print_exc()
            finally:
                os._exit(status)
        os.close(write)

    def listen(self) -> list[Message]:
        """The messages that have come; waits for some. None once it has ended: see `is_over`."""
        data = os.read(self.descriptor, 1 << 16)
        if not data:
            self._await()
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [json.loads(line) for line in lines]

    @property
    def is_over(self) -> bool:
        """Whether all that it told has been read."""
        return self.status is not None

    def kill(self) -> list[Message]:
        """End it, if it lives, and read what is left."""
        messages: list[Message] = []
        if not self.is_over:
            os.kill(self.pid, signal.SIGKILL)
        while not self.is_over:
            messages += self.listen()
        return messages

    def _await(self) -> None:
        os.close(self.descriptor)
        self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def _send(descriptor: int, message: Message) -> None:
    os.write(descriptor, json.dumps(message).encode() + b"\n")


class Driver:
    """Cycles on one mounted file system.

    Attributes:
        figures: What is reported.
    """

    def __init__(self, mounted: Mounted, seed: int, planted: str | None = None) -> None:
        self.mounted = mounted
        self.random = random.Random(seed)
        self.planted = planted
        self.figures: Counter[str] = Counter()
        self._serials = seed * 1_000_000
        self._datasets = 0
        self._begin()

    def _begin(self) -> None:
        """A new workspace: logs stay short, and first uses are tried often."""
        self._datasets += 1
        self.workspace = self.mounted.folder / f"workspace-{self._datasets}"
        names = self.random.choice([["a"], ["a", "b"]])
        self.expectations = [Expectation(name) for name in names]
        self._cycles_left = self.random.randint(1, 8)

    def cycle(self) -> None:
        """One end of all writers, and a look at what they left.

        Raises:
            LostError: If something is lost, or there by half.
        """
        self.figures["cycles"] += 1
        children = [self._fork(each) for each in self.expectations]
        try:
            self._let_work(children)
        finally:
            for child in children:
                child.kill()
        self.mounted.power_on()
        self._cycles_left -= 1
        if self._cycles_left and self.random.random() < 0.25:
            self.figures["not looked at"] += 1
        else:
            self._look()
        if not self._cycles_left:
            shutil.rmtree(self.workspace, ignore_errors=True)
            self._begin()

    def _fork(self, expectation: Expectation) -> Child:
        self._serials += 1
        seed, workspace, alone = self._serials, self.workspace, len(self.expectations) == 1

        def work(tell: Callable[[Message], None]) -> None:
            if self.planted is not None:
                PLANTED[self.planted]()
            Writer(workspace, expectation.name, seed, tell, purges=alone, large_every=16).work()

        return Child(work, expectation)

    def _let_work(self, children: list[Child]) -> None:
        """Until they are ended: at a number of changes, or after a time; one of them perhaps before."""
        chance = self.random
        seed, cuts = chance.getrandbits(32), chance.random() < 0.85
        changes = round(2 ** chance.uniform(0, 9))
        if cuts:
            self.mounted.cut(seed, after=changes)
        if chance.random() < 0.4:
            self.mounted.kill(chance.randint(1, changes))
        is_cut = self._listen(children, chance.uniform(0.01, 0.25))
        if not is_cut and all(child.is_over for child in children):
            self.figures["killed, and another went on"] += 1
            children.append(self._fork(children[0].expectation))
            is_cut = self._listen(children, chance.uniform(0.01, 0.25))
        if cuts and not is_cut:
            self.mounted.cut(seed)
            is_cut = self._listen(children, None)
        if is_cut and chance.random() < 0.3:
            self._listen(children, 0.01, until_cut=False)  # they meet a storage that fails
        for child in children:
            if not child.is_over:
                self._take(child, child.kill())
        self.figures["cuts" if is_cut else "kills"] += 1

    def _listen(self, children: list[Child], seconds: float | None, *, until_cut: bool = True) -> bool:
        """Take what the writers tell, for so long or until the cut; whether the power was cut."""
        until = None if seconds is None else time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            if until_cut:
                selector.register(self.mounted.descriptor, selectors.EVENT_READ)
            for child in children:
                if not child.is_over:
                    selector.register(child.descriptor, selectors.EVENT_READ, child)
            while selector.get_map():
                left = None if until is None else until - time.monotonic()
                if left is not None and left <= 0:
                    break
                for key, _ in sorted(selector.select(left), key=lambda ready: ready[0].data is not None):
                    if key.data is None:
                        told = self.mounted.told()
                        assert told is not None
                        self.figures["unsynced when cut"] += told["unsynced"]
                        return True
                    self._take(key.data, key.data.listen())
                    if key.data.is_over:
                        selector.unregister(key.fileobj)
                if until_cut and all(child.is_over for child in children):
                    break
        return False

    def _take(self, child: Child, messages: list[Message]) -> None:
        for message in messages:
            child.expectation.take(message)
            if message.get("end") == "done":
                self.figures["acknowledged"] += 1
            elif message.get("end") == "failed":
                self.figures["failed"] += 1
                if _REFUSED not in message["why"]:
                    raise LostError(f"refused, with the power on: {message}")
        if child.is_over and child.status == -signal.SIGKILL:
            child.expectation.interrupt()
        elif child.status not in {None, 0}:
            raise LostError(f"writer {child.expectation.name} ended with status {child.status}: see above")

    def _look(self) -> None:
        try:
            check(self.workspace, self.expectations)
        except (AssertionError, ChainfoldError) as error:
            raise LostError(f"{self.workspace.name}: {type(error).__name__}: {error}") from error


def _warm_up() -> None:
    """Import what is imported late before there are forks."""
    Writer(Path("/warm"), "warm", 0, lambda _: None, large_every=16, files=MemoryFiles(MemoryDisk())).work(40)


def drive(
    mounted: Mounted, seed: int, *, cycles: int | None, seconds: float | None, planted: str | None
) -> dict[str, Any]:
    """So many cycles, or for so long, or until something is lost; the figures."""
    driver = Driver(mounted, seed, planted)
    began, lost = time.monotonic(), ""
    while (cycles is None or driver.figures["cycles"] < cycles) and (
        seconds is None or time.monotonic() - began < seconds
    ):
        try:
            driver.cycle()
        except LostError as error:
            traceback.print_exc()
            lost = str(error)
            break
    taken = time.monotonic() - began
    count = driver.figures["cycles"]
    return {
        "seed": seed,
        **({"planted": planted} if planted else {}),
        **driver.figures,
        "ms per cycle": round(1_000 * taken / max(count, 1), 1),
        "lost": lost,
    }


def main(arguments: list[str] | None = None) -> int:
    """The command line: see above."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.strict", description=__doc__)
    parser.add_argument("--cycles", type=int)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--planted", choices=PLANTED)
    given = parser.parse_args(arguments)
    if given.cycles is None and given.seconds is None:
        given.cycles = 100
    warnings.simplefilter("ignore", UserWarning)  # what could not be swept
    logging.getLogger("chainfold").setLevel(logging.ERROR)  # of what we tear
    small_segments()
    _warm_up()
    with tempfile.TemporaryDirectory() as folder, strict_file_system(Path(folder) / "mount") as mounted:
        figures = drive(
            mounted, given.seed, cycles=given.cycles, seconds=given.seconds, planted=given.planted
        )
    print(json.dumps(figures))
    return int(bool(figures["lost"]) == (given.planted is None))


if __name__ == "__main__":
    sys.exit(main())
