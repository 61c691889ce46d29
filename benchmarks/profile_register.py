"""Where the microseconds of a registration in a run go.

    python benchmarks/profile_register.py [--count 5000] [--top 25] [--outside]

First the stages, timed by wrapping the functions that they consist of (self time: without the stages inside
them); then cProfile, which makes Python code look dearer than it is. A stage that was renamed is left out.
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
from time import perf_counter
from typing import Any

_STAGES = {
    "id: hash of the chain": ("chainfold.view:RegistryView.generate_id",),
    "check what the caller says": ("chainfold.registry:draft",),
    "… params made plain": ("chainfold.commands.registering:normalize",),
    "parse the chain path": (
        "chainfold.registry:locate_by_chain",
        "chainfold.commands.registering:locate_by_chain",
    ),
    "serialise": ("chainfold.commands.registering:serialize",),
    "digest": ("chainfold.commands.registering:digest_of",),
    "is the blob there": (
        "chainfold.commands.registering:_file_of",
        "chainfold.blobs.store:BlobStore.holds",
    ),
    "write and rename the blob": ("chainfold.blobs.store:BlobStore.put",),
    "… sync a file's bytes": ("chainfold.storage.durable:sync_data",),
    "… sync a folder": ("chainfold.storage.durable:sync_folder",),
    "look for what others appended": ("chainfold.dataset:Dataset.refresh",),
    "lock and unlock": ("filelock:lock_descriptor", "filelock:unlock_descriptor"),
    "is the log whole": ("chainfold.log.appending:LocalLog.recover",),
    "make the event": ("chainfold.dataset:Dataset.registration",),
    "is the run open, are the sources live": ("chainfold.commands.registering:_check_ready",),
    "encode the entry": ("chainfold.log.appending:encode_entry",),
    "append: sum, Merkle leaf, write": ("chainfold.log.appending:LocalLog.append",),
    "write the checkpoint": ("chainfold.log.appending:LocalLog._write_checkpoint",),
    "fold": ("chainfold.projections.projections:Projections.fold",),
    "the record that is returned": ("chainfold.dataset:Dataset.record",),
}


class Stages:
    """Self time of wrapped functions: what a stage spends inside another counts for that one only."""

    def __init__(self) -> None:
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
            start = perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                took = perf_counter() - start
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
    plain = _seconds(options.count, outside=options.outside)
    profile = cProfile.Profile()
    _seconds(min(options.count, 2_000), outside=options.outside, profile=profile)
    stages = Stages()
    missing = [title for title, targets in _STAGES.items() if stages.wrap_all(title, targets) == 0]
    timed = _seconds(options.count, outside=options.outside, stages=stages)
    _print_stages(stages, options.count, plain, timed, missing)
    pstats.Stats(profile).sort_stats("tottime").print_stats(options.top)


def _seconds(
    count: int, *, outside: bool, profile: cProfile.Profile | None = None, stages: Stages | None = None
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
    start = perf_counter()
    for item in batch:
        register(registry, item)
    took = perf_counter() - start
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
