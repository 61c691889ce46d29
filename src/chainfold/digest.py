"""Content digests: `"sha256:<hex>"`."""

import hashlib
from collections.abc import Iterable

PREFIX = "sha256:"


def digest_of(data: bytes | memoryview) -> str:
    """The digest of bytes: `"sha256:"` and 64 lower-case hex digits."""
    return PREFIX + hashlib.sha256(data).hexdigest()


def digest_of_pieces(pieces: Iterable[bytes]) -> str:
    """The digest of bytes that come one piece after the other."""
    total = hashlib.sha256()
    for piece in pieces:
        total.update(piece)
    return PREFIX + total.hexdigest()


def with_prefix(digest: str) -> str:
    """A digest as it is stored, given with or without its `sha256:`."""
    return digest if digest.startswith(PREFIX) else PREFIX + digest


def short(digest: str, length: int = 12) -> str:
    """The first `length` characters after the prefix: a name for people, proof of nothing."""
    return digest.removeprefix(PREFIX)[:length]
