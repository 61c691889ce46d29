"""Files with manifests: read with nothing of them trusted, and written item by item."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from chainfold.errors import InvalidInputError, ManifestError, NotFoundError

if TYPE_CHECKING:
    from chainfold.records import ArtifactRecord

_MAX_BYTES: Final = 256 << 20
MANY: Final = 15_000
"""Artifacts in a manifest as YAML from which on it may be more than is read again."""


def read_manifest(path: Path) -> Any:
    """What a file with a manifest says: JSON by its suffix `.json`, else YAML.

    Raises:
        NotFoundError: If it is not there.
        ManifestError: If it cannot be read, or is made to take more than its bytes.
    """
    from chainfold.references import manifest_at

    if path.is_dir():
        inside = path / "manifest.yaml"
        instead = f": {str(inside)!r}" if inside.is_file() else " in it"
        raise ManifestError(f"{str(path)!r} is a folder: name the manifest{instead}")
    if path.exists() and not path.is_file():
        raise ManifestError(f"{str(path)!r} is no file, but a device or a pipe: name a manifest")
    if not path.is_file():  # a pipe would be waited for
        raise NotFoundError(f"there is no file {str(path)!r}: name a manifest")
    if path.suffix.lower() != ".json":
        return manifest_at(str(path))
    try:
        with path.open("rb") as file:
            return _from_json(file.read(_MAX_BYTES + 1))
    except (OSError, ValueError, RecursionError) as error:
        why = " ".join(str(error).split()) or type(error).__name__
        raise ManifestError(f"cannot read the manifest {path}: {why}") from error


def _from_json(content: bytes) -> Any:
    if len(content) > _MAX_BYTES:
        raise ValueError(f"it has more than {_MAX_BYTES:,} bytes")
    return json.loads(content)


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
