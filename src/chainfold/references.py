"""Which files the pipelines' own manifests refer to: `runs/**/manifest.yaml`, read and never written."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from chainfold.dataset import Dataset
from chainfold.errors import ManifestError

_NAME: Final = "manifest.yaml"
_MAX_DEPTH: Final = 200
_MAX_BYTES: Final = 32 << 20
"""Of one manifest: fifty thousand artifacts or so."""
_MAX_FOLDERS: Final = 1_000_000
_MAX_DIRECTIVES: Final = 100
"""Of `%TAG`: for each, libyaml looks at all those before it."""
_Stamp = tuple[int, int, int, int]


class ManifestReferences:
    """The file names that a workspace's manifests mention, remembered while a manifest does not change.

    Any scalar counts, by its last path component: a reference too many keeps a file, one too few loses it.
    """

    def __init__(self, workspace: Path) -> None:
        self._folder = workspace / "runs"
        self._known: dict[str, tuple[_Stamp, frozenset[str]]] = {}

    def names(self) -> set[str]:
        """All names mentioned now.

        Raises:
            ManifestError: If a manifest, or a folder that may hold one, cannot be read; it is named.
        """
        found: dict[str, tuple[_Stamp, frozenset[str]]] = {}
        for path in self._manifests():
            try:
                status = os.stat(path)  # noqa: PTH116 - a thousand of them at each scan
                stamp = (status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino)
                known = self._known.get(path)
                found[path] = (
                    known if known is not None and known[0] == stamp else (stamp, _mentioned(path, status))
                )
            except (OSError, UnicodeDecodeError, ValueError, RecursionError) as error:
                raise _unreadable(path, error) from error
        self._known = found
        return set().union(*(names for _, names in found.values()))

    def _manifests(self) -> Iterator[str]:
        """Every manifest, whatever its folder is called; links to folders are followed, each folder once."""
        seen: set[tuple[int, int]] = set()
        pending = [str(self._folder)]
        while pending:
            folder = pending.pop()
            try:
                status = os.stat(folder)  # noqa: PTH116 - as above
                if (status.st_dev, status.st_ino) in seen:
                    continue
                seen.add((status.st_dev, status.st_ino))
                if len(seen) > _MAX_FOLDERS:
                    raise _unreadable(
                        folder, ValueError(f"more than {_MAX_FOLDERS:,} folders are below runs/")
                    )
                with os.scandir(folder) as entries:
                    for entry in entries:
                        if entry.is_dir():
                            pending.append(entry.path)
                        elif entry.name == _NAME:
                            yield entry.path
            except FileNotFoundError:
                continue
            except OSError as error:
                raise _unreadable(folder, error) from error


def orphaned_files(data: Dataset, references: ManifestReferences | None) -> list[tuple[str, int]]:
    """Path and size of each file that nothing live, no open run and (when given) no manifest refers to.

    Sorted by path. Call with the projections up to date.

    Raises:
        ManifestError: As `ManifestReferences.names`.
    """
    mentioned = references.names() if references is not None else set()
    paths = data.projections.paths
    return sorted(
        (path, size)
        for path, size in data.blobs.scan()
        if not paths.is_referenced(path) and path.rpartition("/")[2] not in mentioned
    )


def _mentioned(path: str, status: os.stat_result) -> frozenset[str]:
    """The last components of all scalars in a manifest.

    It is read as a stream of events and never built: neither deep nesting, nor aliases of aliases, nor tags
    can cost more than its bytes do, and it takes a third of the time.
    """
    import yaml  # noqa: PLC0415 - slow to import, and needed only where there are manifests

    if not stat.S_ISREG(status.st_mode):
        raise ValueError("it is not a regular file")  # a pipe would be waited for
    with open(path, "rb") as file:  # noqa: PTH123 - as above
        content = file.read(_MAX_BYTES + 1)
    if len(content) > _MAX_BYTES:
        raise ValueError(f"it has more than {_MAX_BYTES:,} bytes")
    if content.count(b"%TAG") + content.count(b"%\0T\0A\0G") > _MAX_DIRECTIVES:  # also as UTF-16
        raise ValueError(f"it has more than {_MAX_DIRECTIVES} directives")
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's where there is one
    names, depth = set(), 0
    try:
        for event in yaml.parse(content, Loader=loader):
            if isinstance(event, yaml.ScalarEvent):
                names.add(event.value.replace("\\", "/").rpartition("/")[2])
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > _MAX_DEPTH:  # the parser's work grows with the square of it
                break
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error
    if depth > _MAX_DEPTH:
        raise ValueError(f"it is nested deeper than {_MAX_DEPTH} levels")
    return frozenset(names)


def _unreadable(path: str, error: Exception) -> ManifestError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return ManifestError(
        f"cannot read the manifest {path}: {reason}. Which files it needs is unknown, so none is deleted: "
        f"mend it or move it out of runs/, or leave manifests out with scan_all_manifests=False"
    )
