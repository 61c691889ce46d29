"""Local files, their durability, and locks between processes."""

from chainfold.storage.files import Appender, Files, LocalFiles, Reader
from chainfold.storage.locks import HeldLock, Lock, try_lock
from chainfold.storage.mounts import network_kind

__all__ = ["Appender", "Files", "HeldLock", "LocalFiles", "Lock", "Reader", "network_kind", "try_lock"]
