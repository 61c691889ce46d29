"""Which kind of file system a folder is on: locks and syncs of network ones keep other promises."""

from pathlib import Path
from typing import Final

_NETWORK: Final = frozenset(
    {
        "9p",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "fuse.glusterfs",
        "fuse.sshfs",
        "glusterfs",
        "gpfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "smb3",
        "smbfs",
    }
)
_MOUNTS: Final = Path("/proc/self/mounts")


def network_kind(folder: Path, mounts: Path = _MOUNTS) -> str | None:
    """The kind of network file system that a folder is on; None for others, or when it cannot be told."""
    kind = file_system(folder, mounts)
    return kind if kind in _NETWORK else None


def file_system(folder: Path, mounts: Path = _MOUNTS) -> str | None:
    """The kind of file system that a folder is on; None when it cannot be told.

    Told on Linux only, from the table of mounts (proc(5)): the last mount of the longest path holds.
    """
    try:
        table = mounts.read_text(errors="surrogateescape").splitlines()
        real = folder.resolve()
    except OSError:
        return None
    best, found = -1, ""
    for line in table:
        fields = line.split(" ")
        if len(fields) < 3:  # noqa: PLR2004 - device, mount point, kind
            continue
        point = Path(fields[1].encode(errors="surrogateescape").decode("unicode_escape"))
        if real.is_relative_to(point) and len(point.parts) >= best:
            best, found = len(point.parts), fields[2]
    return found or None
