"""Files, their durability, and locks between processes."""

from chainfold.storage.local import LocalFiles
from chainfold.storage.locks import holder_of, owner_name
from chainfold.storage.mounts import file_system, network_kind
from chainfold.storage.protocol import Appender, Files, HeldLock, Lock, Reader
from chainfold.storage.read_only import ReadOnlyFiles, is_local

__all__ = [
    "Appender",
    "Files",
    "HeldLock",
    "LocalFiles",
    "Lock",
    "ReadOnlyFiles",
    "Reader",
    "file_system",
    "holder_of",
    "is_local",
    "network_kind",
    "owner_name",
]
