"""Many processes and threads on one dataset: writers with mixed commands, collectors among them, and readers.

    python -m tests.faults.crowding --operations 10000 [--processes 4] [--threads 16] [--seed 1]

The last line is one JSON object of figures.
"""

import argparse
import json
import random
import tempfile
import threading
import time
import warnings
from pathlib import Path
from typing import Any, ClassVar, Final

from tests.faults.children import Child
from tests.faults.expectation import Expectation, check
from tests.faults.workload import CONTENTS, DATASET, Message, Tell, Writer, small_segments

from chainfold import ArtifactRegistry
from chainfold.errors import BlobNotFoundError, ChainfoldError

_SEGMENT_BYTES: Final = 200_000
_TOGETHER: Final = 3
_READERS: Final = 2


class Crowded(Writer):
    """A writer some of whose runs register ids that are never touched again: all of them are seen, or none.

    It tells how long its slowest command took.
    """

    COMMANDS: ClassVar = {**Writer.COMMANDS, "together": 3}

    def draw_together(self) -> list[Any]:
        first = self.draw_register()[-1]
        self.serial += _TOGETHER
        return [
            [f"{self.name}-together:{first}.{each}:all", self.random.randrange(CONTENTS), first + each]
            for each in range(_TOGETHER)
        ]

    def do(self, command: list[Any]) -> None:
        began = time.monotonic()
        super().do(command)
        self.tell({"writer": self.name, "took": time.monotonic() - began})

    def draw(self) -> list[Any]:
        what, *arguments = super().draw()
        return ["run" if what == "together" else what, *arguments]


def write(workspace: Path, names: list[str], count: int, seed: int, tell: Tell) -> None:
    """One process: a thread for each writer."""
    mutex = threading.Lock()

    def tell_in_turn(message: dict[str, Any]) -> None:
        with mutex:
            tell(message)

    failures: list[str] = []

    def work(number: int, name: str) -> None:
        try:
            Crowded(workspace, name, seed + number, tell_in_turn).work(count)
        except BaseException as error:
            failures.append(f"{name}: {error!r}")
            raise

    threads = [threading.Thread(target=work, args=each) for each in enumerate(names)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise AssertionError(failures)


def read(workspace: Path, seed: int, tell: Tell) -> None:
    """One process that looks all the time; it ends when it is ended."""
    chance = random.Random(seed)
    with ArtifactRegistry(workspace, DATASET) as registry:
        while True:
            look(registry, chance)
            tell({"looked": registry.position})


def look(registry: ArtifactRegistry, chance: random.Random) -> None:
    """Nothing is seen by half, now and in the past; and what is seen loads, unless it has gone since."""
    size = registry.position
    for view in (registry, registry.as_of(size), registry.as_of(chance.randint(0, size))):
        counts: dict[str, int] = {}
        for record in view.iter_records():
            if "-together:" in record.artifact_id:
                group = record.artifact_id.rpartition(".")[0]
                counts[group] = counts.get(group, 0) + 1
        assert set(counts.values()) <= {_TOGETHER}, counts
    records = list(registry.iter_records())
    for record in chance.sample(records, min(5, len(records))):
        try:
            loaded = registry.load_artifact(record)
        except BlobNotFoundError:
            again = registry.resolve(record.artifact_id)
            assert again is None or again.content_hash != record.content_hash, f"{record} has no file"
        else:
            assert loaded["content"] == record.params["c"]


def run(workspace: Path, *, processes: int, threads: int, operations: int, seed: int) -> dict[str, Any]:
    """Let them all work, and check the union of what they were told; the figures."""
    names = [[f"w{process}x{thread}" for thread in range(threads)] for process in range(processes)]
    count = -(-operations // (processes * threads))
    began = time.monotonic()
    readers = [Child(lambda tell, each=each: read(workspace, each, tell)) for each in range(_READERS)]  # type: ignore[misc]
    writers = [
        Child(lambda tell, some=some, each=each: write(workspace, some, count, seed + each * 1_000, tell))  # type: ignore[misc]
        for each, some in enumerate(names)
    ]
    expectations = {name: Expectation(name) for some in names for name in some}
    slowest, looks = 0.0, 0
    messages = _all_told(writers)
    seconds = time.monotonic() - began
    for reader in readers:
        reader.end()
        told = list(reader.told(to_the_end=True))
        looks += len(told)
        messages += told
        reader.close()
    for message in messages:
        assert "broke" not in message, message["broke"]
        if "took" in message:
            slowest = max(slowest, message["took"])
        elif "writer" in message:
            expectations[message["writer"]].take(message)
    check(workspace, expectations.values())
    return {
        "operations": count * processes * threads,
        "refused": sum(
            number
            for each in expectations.values()
            for how, number in each.counts.items()
            if "refused" in how
        ),
        "looks": looks,
        "operations_per_s": round(count * processes * threads / seconds),
        "slowest_s": round(slowest, 3),
        "lost": 0,
    }


def _all_told(children: list[Child]) -> list[Message]:
    """What children tell until they end."""
    messages: list[Message] = []
    listeners = [
        threading.Thread(target=lambda child=child: messages.extend(child.told(to_the_end=True)))
        for child in children
    ]
    for listener in listeners:
        listener.start()
    for listener in listeners:
        listener.join()
    for child in children:
        assert child.wait() == 0, messages[-1]
        child.close()
    return messages


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--operations", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=0, help="again and again, for so long")
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--threads", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    options = vars(parser.parse_args())
    ends = time.monotonic() + options.pop("seconds")
    small_segments(_SEGMENT_BYTES)
    warnings.simplefilter("error")
    with tempfile.TemporaryDirectory(prefix="chainfold-crowd-", ignore_cleanup_errors=True) as folder:
        Writer(Path(folder) / "warm", "a", 0, lambda _: None).work(20)  # all that is imported late
        try:
            figures = run(Path(folder) / "workspace", **options)
            while time.monotonic() < ends:
                options["seed"] += 1
                again = run(Path(folder) / str(options["seed"]), **options)
                for name in ("operations", "refused", "looks"):
                    figures[name] += again[name]
                figures["slowest_s"] = max(figures["slowest_s"], again["slowest_s"])
        except (AssertionError, ChainfoldError) as error:
            print(json.dumps({"lost": 1, "found": str(error)[:2_000]}))
            raise SystemExit(1) from error
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
