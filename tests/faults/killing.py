"""Writers on a real file system that are killed at random moments, as `kill -9` does.

    python -m tests.faults.killing --cycles 100 [--seconds 600] [--seed 1] [--planted NAME]

The last line is one JSON object of figures.
"""

import argparse
import json
import logging
import random
import signal
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import filelock
from tests.faults.children import Child
from tests.faults.expectation import Expectation, check
from tests.faults.workload import Tell, Writer, small_segments

from chainfold import ArtifactRegistry
from chainfold.blobs import BlobStore
from chainfold.errors import ChainfoldError
from chainfold.log import LocalLog

_CYCLES_PER_WORKSPACE: Final = 25
_MEAN_SECONDS: Final = 0.03


def cycle(
    workspace: Path,
    expectations: dict[str, Expectation],
    chance: random.Random,
    plant: Callable[[], None] | None,
) -> int:
    """Let writers work, kill them one after the other, and check; how many were killed."""
    names = chance.sample(sorted(expectations), chance.randint(1, len(expectations)))
    children = {name: _writer(workspace, name, chance.randrange(1 << 30), plant) for name in names}
    try:
        for name, child in children.items():
            time.sleep(chance.expovariate(1 / _MEAN_SECONDS))
            child.end()
            status = child.wait()
            messages = list(child.told(to_the_end=True))
            assert status == -signal.SIGKILL, f"writer {name} ended by itself: {status}, {messages[-1:]}"
            for message in messages:
                expectations[name].take(message)
    finally:
        for child in children.values():
            child.close()
    check(workspace, expectations.values())
    return len(children)


def _writer(workspace: Path, name: str, seed: int, plant: Callable[[], None] | None) -> Child:
    def act(tell: Tell) -> None:
        if plant is not None:
            plant()
        Writer(workspace, name, seed, tell, large_every=16).work()

    return Child(act)


def run(
    folder: Path, chance: random.Random, *, cycles: int, seconds: float, plant: Any = None
) -> dict[str, int]:
    """So many cycles, or as many as fit into the time; the figures."""
    figures = {"cycles": 0, "kills": 0, "acknowledged": 0, "refused": 0, "lost": 0}
    ends = time.monotonic() + seconds
    while figures["cycles"] < cycles and time.monotonic() < ends:
        workspace = folder / str(figures["cycles"])
        expectations = {name: Expectation(name) for name in "abc"}
        for _ in range(min(_CYCLES_PER_WORKSPACE, cycles - figures["cycles"])):
            figures["kills"] += cycle(workspace, expectations, chance, plant)
            figures["cycles"] += 1
            if time.monotonic() > ends:
                break
        for expectation in expectations.values():
            figures["acknowledged"] += sum(
                expectation.counts[each] for each in expectation.counts if "done" in each
            )
            figures["refused"] += sum(
                expectation.counts[each] for each in expectation.counts if "refused" in each
            )
    return figures


# Bugs that a kill must find. (It cannot find a missing sync: what was written stays.)


def _return_too_early() -> None:
    set_alias = ArtifactRegistry.set_alias

    def later(self: ArtifactRegistry, name: str, artifact_id: str | None) -> None:
        threading.Timer(0.002, set_alias, (self, name, artifact_id)).start()

    ArtifactRegistry.set_alias = later  # type: ignore[method-assign]


def _wait_for_nobody() -> None:
    filelock.lock_descriptor = lambda *_, **__: True


def _name_after_the_event() -> None:
    name = BlobStore.name
    append = LocalLog.append
    waiting: list[tuple[BlobStore, Path, str]] = []

    def later(self: BlobStore, aside: Path, path: str) -> None:
        waiting.append((self, aside, path))

    def and_then(self: LocalLog, *args: Any, **kwargs: Any) -> Any:
        entries = append(self, *args, **kwargs)
        while waiting:
            time.sleep(0.0005)
            name(*waiting.pop())
        return entries

    BlobStore.name = later  # type: ignore[method-assign]
    BlobStore.sync_names = lambda *_: None  # type: ignore[method-assign]
    LocalLog.append = and_then  # type: ignore[method-assign]


PLANTED: Final[dict[str, Callable[[], None]]] = {
    "returns before it is written": _return_too_early,
    "a blob gets its name after the event": _name_after_the_event,
    "nobody waits for the lock": _wait_for_nobody,
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cycles", type=int, default=1 << 30)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--planted", choices=PLANTED)
    options = parser.parse_args()
    logging.disable(logging.WARNING)  # torn tails that are moved aside are what this is about
    small_segments()
    chance = random.Random(options.seed)
    plant = PLANTED.get(options.planted)
    with tempfile.TemporaryDirectory(prefix="chainfold-kills-", ignore_cleanup_errors=True) as folder:
        Writer(Path(folder) / "warm", "a", 0, lambda _: None).work(20)  # all that is imported late
        try:
            figures = run(Path(folder), chance, cycles=options.cycles, seconds=options.seconds, plant=plant)
        except (AssertionError, ChainfoldError) as error:
            print(json.dumps({"lost": 1, "found": str(error)[:2_000]}))
            raise SystemExit(1) from error
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
