"""Content-addressed files: their names, and the folder that holds them."""

from chainfold.blobs.names import (
    check_relative,
    generate_filename,
    get_binaries_path,
    get_short_hash,
    longer_filename,
    parse_filename,
)
from chainfold.blobs.store import BlobStore

__all__ = [
    "BlobStore",
    "check_relative",
    "generate_filename",
    "get_binaries_path",
    "get_short_hash",
    "longer_filename",
    "parse_filename",
]
