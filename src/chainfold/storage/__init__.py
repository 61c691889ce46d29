"""Local files, their durability, and locks between processes."""

from chainfold.storage.files import Appender, Files, LocalFiles, Reader
from chainfold.storage.locks import Lock, try_lock

__all__ = ["Appender", "Files", "LocalFiles", "Lock", "Reader", "try_lock"]
