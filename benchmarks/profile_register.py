"""Where the microseconds of a registration in a run go.

    python benchmarks/profile_register.py [--count 5000] [--top 25] [--outside]

First the stages, timed by wrapping the functions that they consist of (self time: without the stages inside
them); then cProfile, which makes Python code look dearer than it is. A stage that was renamed is left out.
In a run nothing waits for the disk, so processor time is measured: what else the machine does is not in it.
"""

import argparse
import cProfile
import functools
import importlib
import pstats
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

_STAGES = {
    "id: hash of the chain": ("chainfold.view:RegistryView.generate_id",),
    "check what the caller says": (
        "chainfold.registry:draft",
        "chainfold.registry:check_text",
        "chainfold.registry:locate",
        "chainfold.registry:locate_by_chain",
        "chainfold.registry:split_artifact_id",
    ),
    "… params made plain": ("chainfold.commands.registering:normalize",),
    "serialise": ("chainfold.commands.registering:serialize",),
    "digest": ("chainfold.commands.registering:digest_of",),
    "where is or will be the blob": (
        "chainfold.commands.registering:_sought",
        "chainfold.blobs.store:BlobStore.exists",
    ),
    "write the blob aside": ("chainfold.blobs.store:BlobStore.write_aside",),
    "give the blob its name": ("chainfold.commands.registering:_place",),
    "… sync a file's bytes": ("chainfold.storage.durable:sync_data",),
    "… sync a folder": ("chainfold.storage.durable:sync_folder",),
    "lock": ("chainfold.storage.locks:_Gate.enter",),
    "unlock": ("chainfold.storage.locks:_Gate.leave",),
    "is the log the one that was opened": ("chainfold.log.appending:LocalLog.is_in_place",),
    "look for what others appended": ("chainfold.dataset:Dataset.refresh",),
    "is its end whole": ("chainfold.log.appending:LocalLog.recover",),
    "is the run open, are the sources live": ("chainfold.commands.registering:_check_ready",),
    "make the event": ("chainfold.dataset:Dataset.registration",),
    "encode the entry, and its sum": ("chainfold.log.appending:LocalLog._sealed",),
    "… read it back": ("chainfold.log.appending:_check_readable",),
    "append it to the file": ("chainfold.log.appending:LocalLog._written",),
    "Merkle leaf": ("chainfold.log.merkle:MerkleTree.append",),
    "write the checkpoint": ("chainfold.log.appending:LocalLog._write_checkpoint",),
    "fold": ("chainfold.projections.projections:Projections.fold",),
    "everything else in `register`": ("chainfold.registry:register",),
}


class Stages:
    """Self time of wrapped functions: what a stage spends inside another counts for that one only."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.seconds: dict[str, float] = defaultdict(float)
        self.calls: dict[str, int] = defaultdict(int)
        self.counting = False
        self._inner = [0.0]

    def wrap(self, title: str, target: str) -> bool:
        """Time a function, given as `module:name` or `module:Class.name`; False if there is none."""
        module, _, name = target.partition(":")
        *owners, last = name.split(".")
        try:
            owner: Any = functools.reduce(getattr, owners, importlib.import_module(module))
            function = getattr(owner, last)
        except (ImportError, AttributeError):
            return False
        setattr(owner, last, self._timed(title, function))
        return True

    def wrap_all(self, title: str, targets: tuple[str, ...]) -> int:
        return sum([self.wrap(title, target) for target in targets])

    def _timed(self, title: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            self._inner.append(0.0)
            start = self._clock()
            try:
                return function(*args, **kwargs)
            finally:
                took = self._clock() - start
                own = took - self._inner.pop()
                self._inner[-1] += took
                if self.counting:
                    self.seconds[title] += own
                    self.calls[title] += 1

        return timed


def main() -> None:
    parser = argparse.ArgumentParser(description="Show where the time of a registration goes.")
    parser.add_argument("--count", type=int, default=5_000)
    parser.add_argument("--top", type=int, default=25, help="lines of cProfile's table")
    parser.add_argument("--outside", action="store_true", help="outside a run: each durable by itself")
    options = parser.parse_args()
    clock = perf_counter if options.outside else process_time
    plain = _seconds(options.count, clock, outside=options.outside)
    profile = cProfile.Profile()
    _seconds(min(options.count, 2_000), clock, outside=options.outside, profile=profile)
    stages = Stages(clock)
    missing = [title for title, targets in _STAGES.items() if stages.wrap_all(title, targets) == 0]
    timed = _seconds(options.count, clock, outside=options.outside, stages=stages)
    _print_stages(stages, options.count, plain, timed, missing)
    pstats.Stats(profile).sort_stats("tottime").print_stats(options.top)


def _seconds(
    count: int,
    clock: Callable[[], float],
    *,
    outside: bool,
    profile: cProfile.Profile | None = None,
    stages: Stages | None = None,
) -> float:
    """Seconds to register that many, after fifty that do not count."""
    from benchmarks.folders import workspace
    from benchmarks.peers.ours import DATASET, register
    from benchmarks.workload import items

    from chainfold import ArtifactRegistry

    registry = ArtifactRegistry(workspace(), DATASET)
    if not outside:
        registry.start_run()
    for item in items(50, first=10 * count):
        register(registry, item)
    batch = items(count)
    if stages is not None:
        stages.counting = True
    if profile is not None:
        profile.enable()
    start = clock()
    for item in batch:
        register(registry, item)
    took = clock() - start
    if profile is not None:
        profile.disable()
    if stages is not None:
        stages.counting = False
    registry.end_run()
    registry.close()
    return took


def _print_stages(stages: Stages, count: int, plain: float, timed: float, missing: list[str]) -> None:
    where = stages.seconds
    print(f"{plain / count * 1e6:8.1f} µs a registration; {timed / count * 1e6:.1f} with the timers in it\n")
    for title, seconds in sorted(where.items(), key=lambda pair: -pair[1]):
        times = stages.calls[title] / count
        print(f"{seconds / count * 1e6:8.1f} µs  {seconds / timed:6.1%}  {times:4.1f} calls  {title}")
    rest = timed - sum(where.values())
    print(f"{rest / count * 1e6:8.1f} µs  {rest / timed:6.1%}              the rest, the timers included")
    if missing:
        print(f"\nnot found under these names: {', '.join(missing)}")
    print()


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    main()
