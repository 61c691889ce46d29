"""What tests of chainfold, and of what is built on it, share; nothing else imports it.

`MemoryDisk` is a disk that keeps only what was synced, `MemoryFiles` a process on it, `FaultyFiles` any
storage that fails or dies at a chosen operation. `contract` has the test class that every storage must pass
(it needs pytest), `strategies` draws chains and ids (it needs hypothesis).
"""

from chainfold.testing.disk import MemoryDisk
from chainfold.testing.faults import Crash, FaultyFiles
from chainfold.testing.memory import MemoryFiles

__all__ = ["Crash", "FaultyFiles", "MemoryDisk", "MemoryFiles"]
