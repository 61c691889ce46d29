"""Files with manifests: read with nothing of them trusted, and written item by item."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from chainfold.errors import InvalidInputError, ManifestError, NotFoundError, StorageError

if TYPE_CHECKING:
    from chainfold.records import ArtifactRecord

_MAX_BYTES: Final = 256 << 20
_MAX_DEPTH: Final = 200
_MAX_DIRECTIVES: Final = 100
"""Of `%TAG`: for each, libyaml looks at all those before it."""
_MAX_DIGITS: Final = 1_000
_NUMBER: Final = re.compile(r"[-+0-9_:.]+\Z")
_TIMESTAMP: Final = "tag:yaml.org,2002:timestamp"


def read_manifest(path: Path) -> Any:
    """What a file with a manifest says: JSON by its suffix `.json`, else YAML.

    Raises:
        NotFoundError: If it is not there.
        ManifestError: If it cannot be read, or is made to take more than its bytes.
        StorageError: If the system refuses.
    """
    try:
        if not path.is_file():  # a pipe would be waited for
            raise NotFoundError(f"there is no file {str(path)!r}: name a manifest")
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise StorageError.refused("read", path, error) from error
    try:
        return _parsed(content, is_json=path.suffix.lower() == ".json")
    except (ValueError, RecursionError) as error:
        why = " ".join(str(error).split()) or type(error).__name__
        raise ManifestError(f"the file {str(path)!r} is no manifest: {why}. Nothing was imported") from error


def _parsed(content: bytes, *, is_json: bool) -> Any:
    if len(content) > _MAX_BYTES:
        raise ValueError(f"it has more than {_MAX_BYTES:,} bytes")
    return json.loads(content) if is_json else _from_yaml(content)


def _from_yaml(content: bytes) -> Any:
    """What YAML says; times stay text. ValueError if it is none, or made to take more than its bytes."""
    import yaml

    if content.count(b"%TAG") + content.count(b"%\0T\0A\0G") > _MAX_DIRECTIVES:  # also as UTF-16
        raise ValueError(f"it has more than {_MAX_DIRECTIVES} directives")
    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's where there is one
    resolvers = {
        first: [pair for pair in known if pair[0] != _TIMESTAMP]
        for first, known in base.yaml_implicit_resolvers.items()
    }
    loader = type("_Loader", (base,), {"yaml_implicit_resolvers": resolvers})
    try:
        _check_events(yaml, yaml.parse(content, Loader=base))
        return yaml.load(content, Loader=loader)  # noqa: S506 - a safe one
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


def _check_events(yaml: Any, events: Iterator[Any]) -> None:
    """ValueError for what would cost more than its bytes once it is built."""
    depth = 0
    for event in events:
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > _MAX_DEPTH:
            raise ValueError(f"it is nested deeper than {_MAX_DEPTH} levels")
        if isinstance(event, yaml.ScalarEvent) and event.implicit[0]:
            if event.value == "<<":
                raise ValueError("it merges mappings by <<, which may double them again and again")
            if len(event.value) > _MAX_DIGITS and _NUMBER.match(event.value):
                raise ValueError(f"it has a number of more than {_MAX_DIGITS:,} digits")


def write_json(file: BinaryIO, records: Iterator["ArtifactRecord"]) -> None:
    """Write a manifest as JSON, one item a line.

    Raises:
        InvalidInputError: If a parameter is a number that JSON has not.
    """
    file.write(b'{"schema_version": "3.0", "items": [')
    before = "\n"
    for record in records:
        try:
            text = json.dumps(record.to_dict(), allow_nan=False)
        except ValueError as error:
            raise InvalidInputError(
                f"{record.artifact_id!r} has a parameter that JSON has not (nan, or infinity): export the "
                f"manifest to a .yaml file"
            ) from error
        file.write(f"{before}{text}".encode())
        before = ",\n"
    file.write(b"\n]}\n")


def write_yaml(file: BinaryIO, records: Iterator["ArtifactRecord"]) -> None:
    """Write a manifest as YAML, item by item."""
    import yaml

    dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    file.write(b"schema_version: '3.0'\nitems:")
    before = b"\n"
    for record in records:
        text = yaml.dump([record.to_dict()], Dumper=dumper, sort_keys=False, allow_unicode=True)
        file.write(before + text.encode())
        before = b""
    if before:
        file.write(b" []\n")
