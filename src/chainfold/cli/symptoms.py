"""What may be wrong around a dataset, found without writing anything; each with what to do about it."""

import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from chainfold.cli.units import age_text, size_text, time_of
from chainfold.errors import ChainfoldError, StorageError

if TYPE_CHECKING:
    from chainfold.dataset import Dataset

_NEEDED: Final = (
    "click", "cloudpickle", "filelock", "joblib", "msgspec", "numpy", "PyYAML", "sortedcontainers", "xxhash",
)  # fmt: skip
_EXTRAS: Final = {
    "arrow": "pyarrow",
    "demo": "rich",
    "pandas": "pandas",
    "polars": "polars",
    "proof": "cryptography",
    "prov": "prov",
    "sklearn": "scikit-learn",
}
_SCARCE_BYTES: Final = 256 << 20
_NOTHING_BYTES: Final = 1 << 20
_ABANDONED_SECONDS: Final = 3_600
"""As the collector has it: younger files may be those of a process that is at work."""
_CLOCKS_DIFFER: Final = timedelta(minutes=5)
_GC: Final = "chainfold gc --all removes what processes left that died"


class Symptom(NamedTuple):
    """One thing that is wrong, or worth knowing.

    Attributes:
        level: `error`: somebody must see to it; `note`: it mends itself, or costs little.
        kind: What it is, in a word.
        where: The dataset, folder or file.
        detail: What is the matter.
        advice: What to do.
    """

    level: Literal["error", "note"]
    kind: str
    where: str
    detail: str
    advice: str


def environment() -> dict[str, str]:
    """Versions of `chainfold`, `python`, `platform` and each library; empty if it is not there."""
    found = {
        "chainfold": _version("chainfold"),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.release()} {platform.machine()}",
    }
    return found | {name: _version(name) for name in (*_NEEDED, *_EXTRAS.values())}


def of_environment() -> Iterator[Symptom]:
    """What is wrong with the installation."""
    for name in _NEEDED:
        if not _version(name):
            yield Symptom(
                "error", "library", name, "is not installed", "pip install --force-reinstall chainfold"
            )
    if sys.byteorder != "little":
        yield Symptom(
            "note",
            "platform",
            platform.machine(),
            "is big-endian: there are no snapshots",
            "use another machine for large logs",
        )


def of_folder(folder: Path) -> Iterator[Symptom]:
    """What is wrong with the place where a workspace is."""
    from chainfold.storage import network_kind

    where = str(folder)
    kind = network_kind(folder)
    if kind is not None:
        yield Symptom(
            "error",
            "network",
            where,
            f"is on a network file system ({kind}): locks may not hold between machines",
            "let only one machine write, or move the workspace to a local disk",
        )
    free = shutil.disk_usage(folder).free
    if free < _SCARCE_BYTES:
        level: Literal["error", "note"] = "error" if free < _NOTHING_BYTES else "note"
        yield Symptom(
            level,
            "space",
            where,
            f"has {size_text(free)} left on its disk",
            "make room: chainfold gc, or chainfold rm with the files of what is not needed",
        )
    if not os.access(folder, os.W_OK):
        yield Symptom(
            "note",
            "read-only",
            where,
            "may not be written by this user: reading works",
            "give permission to whoever is to register",
        )


def of_dataset(data: "Dataset", now: datetime) -> Iterator[Symptom]:
    """What is wrong with a dataset that was opened on files that are only read."""
    if data.log.damage is not None:
        yield Symptom(
            "error",
            "damage",
            f"dataset {data.name}",
            str(data.log.damage),
            "docs/recovery.md says how; chainfold verify checks everything",
        )
    yield from _of_folders(data)
    yield from _of_lock(data)
    yield from _of_runs(data, now)
    yield from _of_leavings(data)
    yield from _of_snapshots(data)
    yield from _of_checkpoint(data)
    yield from _of_clock(data, now)


def lock_holder(data: "Dataset") -> str | None:
    """Who holds the lock of a dataset; None if nobody."""
    from chainfold.storage import holder_of

    return holder_of(data.folder / "lock")


def _of_folders(data: "Dataset") -> Iterator[Symptom]:
    """Folders beside the log that this user may not look into."""
    for folder, what in ((data.blobs.folder, "artifacts"), (data.folder / "private", "private fields")):
        if folder.is_dir() and not os.access(folder, os.R_OK | os.X_OK):
            yield Symptom(
                "error",
                "storage",
                str(folder),
                f"this user may not read it: no {what} can be loaded",
                "let this user read it, or look as one who may",
            )


def _of_lock(data: "Dataset") -> Iterator[Symptom]:
    try:
        holder = lock_holder(data)
    except StorageError as error:
        yield Symptom(
            "note",
            "lock",
            f"dataset {data.name}",
            f"it cannot be told who holds the lock: {error}",
            "look at it as a user who may write there",
        )
        return
    if holder is not None:
        yield Symptom(
            "note",
            "lock",
            f"dataset {data.name}",
            f"{holder} is writing just now",
            "nothing: the lock is free when it goes on, or dies; if it hangs, end that process",
        )


def _of_runs(data: "Dataset", now: datetime) -> Iterator[Symptom]:
    from chainfold.storage import holder_of

    for run in data.projections.runs.all_open():
        began = time_of(run.at)
        since = "" if began is None else f", open for {age_text(now - began)}"
        where = f"run {run.run_id} of dataset {data.name}"
        try:
            holder = holder_of(data.folder / "runs" / f"{run.run_id}.lock")
        except (StorageError, ValueError) as error:
            yield Symptom(
                "note",
                "run",
                where,
                f"it cannot be told whether {run.owner} lives{since}: {error}",
                "look at it as a user who may write there",
            )
            continue
        if holder is None:
            yield Symptom(
                "note",
                "stale-run",
                where,
                f"its owner {run.owner} is gone{since}; none of it was visible",
                "nothing: whoever writes next rolls it back",
            )
        else:
            yield Symptom(
                "note",
                "run",
                where,
                f"{holder} is at it{since}",
                "nothing; if it is not wanted: chainfold rollback, or end that process",
            )


def _of_leavings(data: "Dataset") -> Iterator[Symptom]:
    """Files that never got their name, locks without a run, and what was moved aside."""
    from chainfold.log import QUARANTINE

    open_runs = {run.run_id for run in data.projections.runs.all_open()}
    kinds: tuple[tuple[str, str, Callable[[str], bool]], ...] = (
        ("aside", "files that never got their name", lambda _: True),
        ("private/new", "private files that never got their name", lambda _: True),
        ("runs", "lock files without a run", lambda file: file.removesuffix(".lock") not in open_runs),
        ("snapshots", "unfinished snapshots", lambda file: file.endswith(".new")),
    )
    for name, what, is_one in kinds:
        folder = data.folder / name
        left = [
            size
            for file, size in data.files.scan(folder)
            if is_one(file) and (data.files.age(folder / file) or 0) > _ABANDONED_SECONDS
        ]
        if left:
            yield Symptom(
                "note", "left-behind", str(folder), f"{what}: {len(left):,}, {size_text(sum(left))}", _GC
            )
    torn = [size for _, size in data.files.scan(data.folder / QUARANTINE)]
    if torn:
        yield Symptom(
            "note",
            "torn",
            str(data.folder / QUARANTINE),
            f"ends of the log that were never acknowledged: {len(torn):,}, {size_text(sum(torn))}",
            "nothing: delete them when you like",
        )


def _of_snapshots(data: "Dataset") -> Iterator[Symptom]:
    from chainfold.folded import TAIL_ENTRIES
    from chainfold.projections.snapshots import Snapshots

    for path, why in Snapshots(data.folder, data.name, data.files).damaged():
        yield Symptom(
            "note",
            "snapshot",
            str(path),
            f"{why}; nothing is lost by it, and the log is read in its place",
            "chainfold rebuild writes another",
        )
    size = data.projections.size
    if data.projections.snapshot is None and size > TAIL_ENTRIES:
        yield Symptom(
            "note",
            "snapshot",
            f"dataset {data.name}",
            f"there is none: opening folds {size:,} entries",
            "chainfold rebuild writes one; so does whoever writes next",
        )


def _of_checkpoint(data: "Dataset") -> Iterator[Symptom]:
    why = ""
    try:
        if data.log.stored_checkpoint() is None and data.log.durable > 0:
            why = "is missing"
    except ChainfoldError as error:
        why = str(error)
    if why:
        yield Symptom(
            "note",
            "checkpoint",
            str(data.folder / "checkpoint"),
            why,
            "nothing: the next change writes it again",
        )


def _of_clock(data: "Dataset", now: datetime) -> Iterator[Symptom]:
    size = data.log.size
    last = time_of(data.log.entry(size - 1).at) if size else None
    if last is not None and last > now + _CLOCKS_DIFFER:
        yield Symptom(
            "error",
            "clock",
            f"dataset {data.name}",
            f"its last entry is from {last:%Y-%m-%d %H:%M} UTC, {age_text(last - now)} from now",
            "set the clock right: entries get the time of the one before until it has passed",
        )


def _version(name: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError:
        return ""
