"""Which files the pipelines' own manifests refer to: `runs/**/manifest.yaml`, read and never written."""

import functools
import os
import stat
from collections.abc import Iterator
from itertools import islice
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
_MAX_NODES: Final = 1_000_000
"""Of a manifest that is built: twenty thousand artifacts or so, and a gigabyte while it is."""
_ADVICE: Final = (
    ". Which files it needs is unknown, so none is deleted: mend it or move it out of runs/, or leave "
    "manifests out with scan_all_manifests=False"
)
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
        for path in self.paths():
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

    def paths(self) -> Iterator[str]:
        """Every manifest, whatever its folder is called; links to folders are followed, each folder once.

        Raises:
            ManifestError: If a folder that may hold one cannot be read; it is named.
        """
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


def manifest_at(path: str) -> Any:
    """What a manifest says, as the types of JSON (and dates).

    Raises:
        ManifestError: If it cannot be read; it is named.
    """
    import yaml  # noqa: PLC0415 - slow to import, and needed only where there are manifests

    try:
        content = _content(path, os.stat(path))  # noqa: PTH116 - as above
        if next(islice(_parsed(content), _MAX_NODES, None), None) is None:
            return yaml.load(content, Loader=_plain_loader())  # noqa: S506 - a safe one
    except (yaml.YAMLError, OSError, ValueError, RecursionError) as error:
        raise _unreadable(path, error, "") from error
    except (LookupError, AttributeError, ArithmeticError, TypeError) as error:
        # What PyYAML trips over when a text is not of the type that its tag claims, as in `!!bool z`.
        misfit = ValueError(f"a value in it is not what its tag says ({type(error).__name__}: {error})")
        raise _unreadable(path, misfit, "") from error
    raise _unreadable(path, ValueError(f"it has more than {_MAX_NODES:,} nodes"), "")


@functools.cache
def _plain_loader() -> Any:
    """The safe loader of YAML, without what can cost more than its bytes do."""
    import yaml  # noqa: PLC0415 - as above

    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    def flatten_mapping(self: Any, node: Any) -> None:
        del self
        if any(key.tag == "tag:yaml.org,2002:merge" for key, _ in node.value):
            raise yaml.constructor.ConstructorError(
                None, None, "it merges mappings, which no manifest does", node.start_mark
            )

    def number(self: Any, node: Any) -> Any:
        # To the base of 60, as YAML 1.1 has it, a number takes the square of its digits to read, or is
        # too large for a float.
        text = self.construct_scalar(node)
        if ":" in text:
            return text
        is_whole = node.tag == "tag:yaml.org,2002:int"
        return self.construct_yaml_int(node) if is_whole else self.construct_yaml_float(node)

    loader: Any = type("PlainLoader", (base,), {"flatten_mapping": flatten_mapping})
    loader.add_constructor("tag:yaml.org,2002:int", number)
    loader.add_constructor("tag:yaml.org,2002:float", number)
    return loader


def _mentioned(path: str, status: os.stat_result) -> frozenset[str]:
    """The last components of all scalars in a manifest. It is not built: that takes a third of the time."""
    names = set()
    for event in _parsed(_content(path, status)):
        value = getattr(event, "value", None)
        if value is not None:
            names.add(value.replace("\\", "/").rpartition("/")[2])
    return frozenset(names)


def _content(path: str, status: os.stat_result) -> bytes:
    """The bytes of a manifest, if it is one that can be parsed in time."""
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("it is not a regular file")  # a pipe would be waited for
    with open(path, "rb") as file:  # noqa: PTH123 - as above
        content = file.read(_MAX_BYTES + 1)
    if len(content) > _MAX_BYTES:
        raise ValueError(f"it has more than {_MAX_BYTES:,} bytes")
    if content.count(b"%TAG") + content.count(b"%\0T\0A\0G") > _MAX_DIRECTIVES:  # also as UTF-16
        raise ValueError(f"it has more than {_MAX_DIRECTIVES} directives")
    return content


def _parsed(content: bytes) -> Iterator[Any]:
    """The events of a YAML text, as a stream.

    Neither deep nesting, nor aliases of aliases, nor tags can cost more than its bytes do.
    """
    import yaml  # noqa: PLC0415 - slow to import, and needed only where there are manifests

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's where there is one
    depth = 0
    try:
        for event in yaml.parse(content, Loader=loader):
            yield event
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > _MAX_DEPTH:  # the parser's work grows with the square of it
                raise ValueError(f"it is nested deeper than {_MAX_DEPTH} levels")
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


def _unreadable(path: str, error: Exception, advice: str = _ADVICE) -> ManifestError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return ManifestError(f"cannot read the manifest {path}: {reason}{advice}")
