"""Power cuts on real file systems: `python -m tests.faults.power --fs ext4 --seconds 60`.

Writers work on a file system on a loop device until it is shut down beneath them without flushing its
journal (as xfstests cuts the power). Then it is mounted again, and all that they had been told was done must
be there. Both file systems write new names down whenever any file is synced, so a folder's sync that is
missing does not show here: disks that forget more than these are asked for that.

The last line of the output is one JSON object of figures; the status is 1 if anything was lost.
"""

import argparse
import json
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tests.faults.children import Child, listen
from tests.faults.disks import Disk, private_mounts
from tests.faults.expectation import ALWAYS_SYNCED, Expectation, check
from tests.faults.planted import PLANTED
from tests.faults.workload import Message, Tell, Writer, small_segments

CUTS_PER_DISK: Final = 12
"""Then a new file system is made, so that the log stays short and checking it stays fast."""
_SIZE: Final = {"ext4": "64M", "xfs": "320M"}
_SHORTEST: Final = 0.005
_LONGEST: Final = 0.080
_AFTERWARDS: Final = 0.004
"""How long writers may go on after the cut, so that they meet its errors."""


class Lost(Exception):  # noqa: N818 - it is what happened
    """A promise was broken; the text says which."""


class Cuts:
    """Cycles of work, cut, mount and check, and their figures.

    Args:
        disk: Where to work, mounted.
        seed: For what is done and when it is cut.
        plant: A bug to have in the writers.
    """

    def __init__(self, disk: Disk, seed: int, plant: Callable[[], None] | None = None) -> None:
        self._disk = disk
        self._random = random.Random(seed)
        self._plant = plant
        self._expectations: list[Expectation] = []
        self._broke: list[str] = []
        self._began: dict[str, int] = {}
        self._cut_at = 0
        self.cuts = 0
        self.acknowledged = 0
        self.failed = 0

    def cycle(self) -> None:
        """Let writers work, cut the power, and look.

        Raises:
            Lost: If anything that was acknowledged is gone, or whatever else was found to be wrong.
        """
        if self.cuts % CUTS_PER_DISK == 0:
            self._disk.unmount()
            self._disk.make()
            self._disk.mount()
            names = ["a", "b"][: self._random.randint(1, 2)]
            self._expectations = [Expectation(name) for name in names]
        self._work_and_cut()
        self.cuts += 1
        self._disk.unmount()
        self._disk.mount()
        if self._broke:
            raise Lost("a writer broke: " + self._broke[0])
        try:
            check(self._disk.root / "workspace", self._expectations)
        except Exception as error:
            raise Lost(f"after cut {self.cuts}: {traceback.format_exc()}") from error

    def _work_and_cut(self) -> None:
        named = {}
        try:
            for each in self._expectations:
                named[Child(self._writing(each.name, self._random.randrange(1 << 30)))] = each

            for child in named:
                child.begun()  # on a busy machine that alone may take longer than all the rest

            def take(child: Child, message: Message) -> None:
                self._take(named[child], message)

            listen(list(named), self._random.uniform(_SHORTEST, _LONGEST), take)
            for child, each in named.items():
                for message in child.told():
                    self._take(each, message)
            for each in named.values():
                each.sure = False
            self._disk.cut()
            self._cut_at = time.monotonic_ns()
            listen(list(named), self._random.uniform(0, _AFTERWARDS), take)
            for child, each in named.items():
                child.end()
                child.wait()
                for message in child.told(to_the_end=True):
                    self._take(each, message)
        finally:
            self._cut_at = 0
            for child in named:
                child.close()

    def _take(self, expectation: Expectation, message: Message) -> None:
        if "broke" in message:
            self._broke.append(message["broke"])
            return
        command, end = expectation.pending, message.get("end")
        if "begin" in message:
            self._began[expectation.name] = message["at"]
        elif end == "done":
            self.acknowledged += expectation.sure
            is_late = 0 < self._cut_at < self._began[expectation.name]
            if command and is_late and command[0] in ALWAYS_SYNCED:
                self._broke.append(f"{command} was acknowledged on a disk that was gone before it began")
        elif end == "failed":
            self.failed += 1
        expectation.take(message)

    def _writing(self, name: str, seed: int) -> Callable[[Tell], None]:
        purges = len(self._expectations) == 1

        def act(tell: Tell) -> None:
            small_segments()
            if self._plant is not None:
                self._plant()
            Writer(self._disk.root / "workspace", name, seed, tell, purges=purges, large_every=16).work()

        return act


@contextmanager
def powered(kind: str) -> Iterator[Disk]:
    """A disk in memory, which goes with this process even if that is killed."""
    private_mounts()
    folder = Path(tempfile.mkdtemp(prefix="power-"))
    memory = Disk("tmpfs", folder, "1G")
    try:
        with memory, Disk(kind, memory.root, _SIZE[kind]) as disk:
            yield disk
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def figures_of(cuts: Cuts, *, cycles: int | None, seconds: float) -> dict[str, Any]:
    """Cut until there were enough cycles, or time is up, or something was lost."""
    began, lost = time.monotonic(), None
    try:
        while (cuts.cuts < cycles) if cycles else (time.monotonic() - began < seconds):
            cuts.cycle()
    except Lost as error:
        lost = str(error)
    return {
        "cuts": cuts.cuts,
        "acknowledged": cuts.acknowledged,
        "failed": cuts.failed,
        "seconds": round(time.monotonic() - began, 1),
        "lost": lost,
    }


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--fs", choices=["ext4", "xfs"], required=True)
    parser.add_argument("--cycles", type=int, help="how many cuts; else --seconds")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--planted", choices=sorted(PLANTED), help="a bug that must be caught")
    parser.add_argument("--keep", type=Path, help="where to copy a workspace that lost something")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with powered(given.fs) as disk:
        plant = PLANTED[given.planted] if given.planted else None
        figures = figures_of(Cuts(disk, given.seed, plant), cycles=given.cycles, seconds=given.seconds)
        if figures["lost"] and given.keep:
            shutil.copytree(disk.root, given.keep, dirs_exist_ok=True)
    what = {"fs": given.fs, "seed": given.seed, "planted": given.planted}
    sys.stdout.write(json.dumps(what | figures) + "\n")
    return 1 if figures["lost"] else 0


if __name__ == "__main__":
    sys.exit(main())
