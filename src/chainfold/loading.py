"""From a record to the object: bytes are checked before anything is made of them."""

from typing import Any

from chainfold.dataset import Dataset
from chainfold.digest import digest_of
from chainfold.errors import BlobNotFoundError, CorruptionError
from chainfold.history import who_took
from chainfold.records import ArtifactRecord
from chainfold.serializers import deserialize


def load_blob(data: Dataset, record: ArtifactRecord) -> Any:
    """As `RegistryView.load_artifact`, which says what it raises."""
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
    return deserialize(content, record.format)
