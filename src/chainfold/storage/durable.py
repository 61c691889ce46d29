"""The one place that asks the operating system to make bytes durable.

| call | Linux | macOS | Windows |
|---|---|---|---|
| `sync_data` | fdatasync(fd) | fcntl(fd, F_FULLFSYNC) | _commit(fd) |
| `sync_folder` | fsync(dirfd) | fcntl(dirfd, F_FULLFSYNC) | nothing: a rename is durable with the journal |

An error of a sync is never retried: after a failed fsync the kernel may have dropped the pages and the next
call may succeed without them (https://lwn.net/Articles/752063/).
"""

import os
import sys
from pathlib import Path

if sys.platform == "darwin":
    import fcntl

    def sync_data(descriptor: int) -> None:
        """Return when the file's bytes and size are on the medium; plain fsync stops at the drive's cache."""
        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)

elif sys.platform == "linux":

    def sync_data(descriptor: int) -> None:
        """Return when the file's bytes and size are on the medium."""
        os.fdatasync(descriptor)

else:

    def sync_data(descriptor: int) -> None:
        """Return when the file's bytes and size are on the medium."""
        os.fsync(descriptor)


def sync_folder(folder: Path) -> None:
    """Return when the names in a folder (created, renamed, removed) are on the medium."""
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if sys.platform == "darwin":
            sync_data(descriptor)
        else:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def allocate(descriptor: int, size_bytes: int) -> None:
    """Let a file have so many bytes, with room on the disk for all of them; none of it is synced."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size_bytes)
    else:
        os.write(descriptor, bytes(size_bytes))
