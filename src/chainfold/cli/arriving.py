"""What manifests would bring: read and checked first, and compared with what is there."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from chainfold.cli.manifests import read_manifest
from chainfold.errors import ManifestError

if TYPE_CHECKING:
    from chainfold.records import ArtifactRecord
    from chainfold.registry import ArtifactRegistry

_DIGEST: Final = re.compile("(sha256:)?[0-9a-f]{64}")


class Listed(NamedTuple):
    """A manifest that was read.

    Attributes:
        path: Its file.
        root: Where the files are that it names.
        manifest: What it says.
        records: What it lists.
    """

    path: Path
    root: Path
    manifest: Any
    records: "list[ArtifactRecord]"


class Arrival(NamedTuple):
    """What a manifest would bring.

    Attributes:
        record: The artifact, as the manifest has it.
        kind: Whether its id is new, is there with the same bytes, or has others, which it would supersede.
    """

    record: "ArtifactRecord"
    kind: Literal["new", "same", "superseding"]


def read_list(path: Path, files: Path | None) -> Listed:
    """A manifest, read and checked.

    Args:
        path: Its file.
        files: Where its files are; None for beside it.

    Raises:
        NotFoundError: If it is not there.
        ManifestError: If it is none, or has an item that is invalid; the file, item and field are named.
    """
    from chainfold.commands.items import items_of

    manifest = read_manifest(path)
    with told_of(path):
        records = [item.record for item in items_of(manifest)]
    return Listed(path, files or path.parent, manifest, records)


@contextmanager
def told_of(path: Path) -> Iterator[None]:
    """Inside the block, what is wrong with a manifest is said with the name of its file."""
    try:
        yield
    except ManifestError as error:
        raise ManifestError(f"{str(path)!r}: {error}") from error


def arrivals(registry: "ArtifactRegistry", lists: list[Listed]) -> list[Arrival]:
    """What lists bring to what is there now, and to what those before bring."""
    from chainfold.digest import with_prefix

    brought: dict[str, str] = {}
    found = list[Arrival]()
    for record in (record for each in lists for record in each.records):
        live = registry.resolve(record.artifact_id)
        before = brought.get(record.artifact_id) or (live and with_prefix(live.content_hash))
        brought[record.artifact_id] = digest = with_prefix(record.content_hash)
        found.append(Arrival(record, "new" if not before else "same" if before == digest else "superseding"))
    return found


def without_file(registry: "ArtifactRegistry", lists: list[Listed], *, look: bool) -> dict[str, str]:
    """Ids of what has no file; each with what is wrong about one that is where it should be.

    Args:
        registry: Where it was imported to, or would be.
        lists: What was, or would be.
        look: Whether a file counts that would be copied in.
    """
    from chainfold.commands.importing import file_for, other_size

    bare: dict[str, str] = {}
    for each in lists:
        root = Path(os.path.realpath(each.root))
        for record in each.records:
            if registry.has_blob(record) or (look and file_for(registry.dataset, record, root) is not None):
                continue
            bare[record.artifact_id] = _odd(record, other_size(registry.dataset, record, root))
    return bare


def _odd(record: "ArtifactRecord", size: int | None) -> str:
    """What is wrong with what is known of a file, beside that it is not there."""
    if not _DIGEST.fullmatch(record.content_hash):
        return f"{record.artifact_id!r} has no whole sha256 digest, so that no file can be right"
    return "" if size is None else f"{record.path!r} has {size:,} bytes, not {record.size_bytes:,}"
