"""Local files, their durability, and locks between processes."""

from chainfold.storage.files import Appender, Files, LocalFiles, Reader
from chainfold.storage.locks import HeldLock, Lock, try_lock

__all__ = ["Appender", "Files", "HeldLock", "LocalFiles", "Lock", "Reader", "try_lock"]
