"""Which files the pipelines' own manifests refer to: `runs/**/manifest.yaml`, read and never written."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from chainfold.dataset import Dataset
from chainfold.errors import ManifestError

_NAME: Final = "manifest.yaml"
_Stamp = tuple[int, int, int, int]


class ManifestReferences:
    """The file names that a workspace's manifests mention, remembered while a manifest does not change.

    Any string counts, by its last path component: a reference too many keeps a file, one too few loses it.
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
                found[path] = known if known is not None and known[0] == stamp else (stamp, _mentioned(path))
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


def _mentioned(path: str) -> frozenset[str]:
    import yaml  # noqa: PLC0415 - slow to import, and needed only where there are manifests

    # The C loader is twenty times as fast; both build nothing but plain types.
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - as above
            content = yaml.load(file, Loader=loader)  # noqa: S506 - a safe loader
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error
    return frozenset(_last_components(content))


def _last_components(content: Any) -> Iterable[str]:
    pending, seen = [content], set()
    while pending:
        value = pending.pop()
        if isinstance(value, str):
            yield value.replace("\\", "/").rpartition("/")[2]
        elif isinstance(value, (dict, list, tuple, set)):
            if id(value) in seen:  # YAML's anchors can make one object stand in many places
                continue
            seen.add(id(value))
            pending.extend(value)
            if isinstance(value, dict):
                pending.extend(value.values())


def _unreadable(path: str, error: Exception) -> ManifestError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return ManifestError(
        f"cannot read the manifest {path}: {reason}. Which files it needs is unknown, so none is deleted: "
        f"mend it or move it out of runs/, or leave manifests out with scan_all_manifests=False"
    )
