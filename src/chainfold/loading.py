"""From a record to the object: bytes are checked before anything is made of them."""

from typing import Any

from chainfold.dataset import Dataset
from chainfold.digest import digest_of
from chainfold.errors import BlobNotFoundError, CorruptionError, InvalidInputError
from chainfold.events import ArtifactRegistered
from chainfold.history import who_took
from chainfold.records import ArtifactRecord


def load_blob(data: Dataset, record: ArtifactRecord) -> Any:
    """As `RegistryView.load_artifact`, which says what it raises."""
    content = checked_bytes(data, record)
    with data.mutex:
        data.refresh()
        is_own = was_registered_here(data, record)
    return data.trust.open(content, record.format, f"artifact {record.artifact_id!r}", is_own=is_own)


def checked_bytes(data: Dataset, record: ArtifactRecord) -> bytes:
    """As `RegistryView.load_bytes`, which says what it raises."""
    if not isinstance(record, ArtifactRecord):
        raise InvalidInputError(
            f"what is loaded here is a record, not {type(record).__name__}: load(artifact_id) takes an id, "
            f"and require(artifact_id) gives its record"
        )
    try:
        size = data.files.size(data.blobs.locate(record.path))
        if record.size_bytes and size not in (None, record.size_bytes):  # it need not even be read
            raise CorruptionError(
                f"the file {record.path!r} of artifact {record.artifact_id!r} has changed: it should "
                f"have {record.size_bytes:,} bytes, and has {size:,}. Restore it from a copy, or "
                f"register it again"
            )
        content = data.blobs.read(record.path)
    except FileNotFoundError:
        with data.mutex:
            data.refresh()
            reason = who_took(data, record)
        raise BlobNotFoundError(
            f"the file {record.path!r} of artifact {record.artifact_id!r} is missing: {reason}"
        ) from None
    found = digest_of(content)
    if found != record.content_hash:
        raise CorruptionError(
            f"the file {record.path!r} of artifact {record.artifact_id!r} has changed: its digest should "
            f"be {record.content_hash}, and is {found}. Restore it from a copy, or register it again"
        )
    return content


def was_registered_here(data: Dataset, record: ArtifactRecord) -> bool:
    """Whether this log says that these bytes were registered here, in this format; with `data.mutex` held."""
    positions = data.projections.visibility.positions
    for row in reversed(data.projections.digests.rows(record.content_hash)):
        position: int | None = positions[row]
        while position is not None:
            event = data.log.entry(position).event
            if not isinstance(event, ArtifactRegistered) or event.imported:
                break
            position, is_same = event.restored_from, event.record.format == record.format
            if position is None and is_same:
                return True
    return False
