"""Parameters that are too large for an entry: in files of their own, beside the log; see docs/format.md."""

from typing import Any, Final

import msgspec

from chainfold.blobs import BlobStore
from chainfold.digest import digest_of, short
from chainfold.errors import BlobNotFoundError, CorruptionError, InvalidInputError
from chainfold.events import check_depth
from chainfold.records import ArtifactRecord, MetaModelConfig

_LIMIT_BYTES: Final = 64 << 20


class _Details(msgspec.Struct):
    """What one file says."""

    params: dict[str, Any]
    meta_config: MetaModelConfig | None


_decoder = msgspec.json.Decoder(_Details)


def move_aside(store: BlobStore, record: ArtifactRecord) -> str:
    """Take out of a record what is large, into a file that is durable when this returns; its digest.

    Raises:
        InvalidInputError: If it is too large even for that.
    """
    data = msgspec.json.encode(_Details(record.params, record.meta_config))
    if len(data) > _LIMIT_BYTES:
        raise InvalidInputError(
            f"artifact {record.artifact_id!r} cannot be recorded: its parameters take {len(data):,} "
            f"bytes, and may take {_LIMIT_BYTES:,}"
        )
    digest = digest_of(data)
    store.keep(_name(digest), data)
    record.params, record.meta_config = {}, None
    return digest


def put_back(store: BlobStore, record: ArtifactRecord, digest: str) -> None:
    """The inverse of `move_aside`.

    Raises:
        BlobNotFoundError, CorruptionError: If the file is gone, or has changed.
    """
    name = _name(digest)
    path = store.folder / name
    if (store.size(name) or 0) > _LIMIT_BYTES:
        raise CorruptionError(
            f"the parameters of {record.artifact_id!r} have changed: {path} is larger than the "
            f"{_LIMIT_BYTES:,} bytes that are ever written; restore it"
        )
    try:
        data = store.read(name)
    except FileNotFoundError as error:
        raise BlobNotFoundError(
            f"the parameters of {record.artifact_id!r} are missing: restore {path}"
        ) from error
    if digest_of(data) != digest:
        raise CorruptionError(f"the parameters of {record.artifact_id!r} have changed: restore {path}")
    try:
        check_depth(data)
        content = _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, CorruptionError) as error:
        raise CorruptionError(
            f"the parameters of {record.artifact_id!r} in {path} are none: {error}"
        ) from error
    record.params, record.meta_config = content.params, content.meta_config


def _name(digest: str) -> str:
    return f"{short(digest, 64)}.json"
