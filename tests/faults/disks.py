"""File systems for a test alone: small ones that fill up, and ones whose power can be cut.

Those on a loop device are `mount -o loop`: the device goes with the mount. A process that called
`private_mounts` takes all its mounts with it when it ends, however it ends.
"""

import ctypes
import os
import struct
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Final, Self

_FS_IOC_SHUTDOWN: Final = 0x8004587D
_NO_LOG_FLUSH: Final = 2
"""The journal is left as it is: what was not synced is gone, as when the power fails."""
_CLONE_NEWNS: Final = 0x00020000

MINIMUM: Final = {"tmpfs": "1M", "ext4": "8M", "xfs": "300M"}
"""The smallest size that the tools make, or that is of use."""


class Disk:
    """A file system, from making it to taking it away: a context manager.

    Args:
        kind: tmpfs, ext4 or xfs.
        folder: Where its image and its mount point are made; it may exist.
        size: As `mount` and `truncate` take it; by default the smallest.
        inodes: How many files it can have; for xfs that is not for us to say.
    """

    def __init__(self, kind: str, folder: Path, size: str = "", *, inodes: int | None = None) -> None:
        self.kind = kind
        self.size = size or MINIMUM[kind]
        self.inodes = inodes
        self.root = folder / "mounted"
        self._image = folder / f"{kind}.image"

    def __enter__(self) -> Self:
        self.root.mkdir(parents=True, exist_ok=True)
        self.make()
        self.mount()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if os.path.ismount(self.root):
            command("umount", "--lazy", self.root)  # lazily: whoever failed may have files open
        self._image.unlink(missing_ok=True)

    def make(self) -> None:
        """A new, empty file system; not mounted."""
        if self.kind == "tmpfs":
            return
        self._image.unlink(missing_ok=True)
        command("truncate", "--size", self.size, self._image)
        if self.kind == "xfs":
            command("mkfs.xfs", "-q", self._image)
            return
        inodes = ["-N", self.inodes] if self.inodes else []
        command("mkfs.ext4", "-q", "-F", "-b", 4096, "-m", 0, *inodes, self._image)

    def mount(self, *options: str) -> None:
        """Mount it; a journal is replayed."""
        if self.kind == "tmpfs":
            inodes = [f"nr_inodes={self.inodes}"] if self.inodes else []
            given = ",".join([f"size={self.size}", *inodes, *options])
            command("mount", "-t", "tmpfs", "-o", given, "none", self.root)
        else:
            command("mount", "-t", self.kind, "-o", ",".join(["loop", *options]), self._image, self.root)

    def remount(self, option: str) -> None:
        """Change what is mounted: `ro`, `rw`."""
        command("mount", "-o", f"remount,{option}", self.root)

    def unmount(self) -> None:
        """Unmount it; who has files open there must be gone."""
        command("umount", self.root)

    def cut(self) -> None:
        """Cut the power: from now on nothing reaches the medium, and what was not synced never will."""
        import fcntl  # there is none on Windows, where these tests are skipped

        descriptor = os.open(self.root, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, _FS_IOC_SHUTDOWN, struct.pack("I", _NO_LOG_FLUSH))
        finally:
            os.close(descriptor)

    def fail(self) -> None:
        """Let ext4 find an error: it then does what its mount option `errors=` says."""
        device = self.root.stat().st_dev
        name = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}").resolve().name
        Path(f"/sys/fs/ext4/{name}/trigger_fs_error").write_text("chainfold", encoding="ascii")

    def fill(self, keep: int = 0) -> Path:
        """Fill it up with a file of someone else's, until not one byte more fits; that file."""
        path = self.root / "foreign"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            for size in (1 << 20, 1 << 16, 1 << 12, 1 << 9, 1):
                _write_until_refused(descriptor, size)
            os.ftruncate(descriptor, os.fstat(descriptor).st_size - keep)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        return path


def _write_until_refused(descriptor: int, size: int) -> None:
    data = bytes(size)
    try:
        while os.write(descriptor, data):
            pass
    except OSError:
        return


def command(*words: object) -> None:
    """Run a program of the system, which must succeed; what it says is in the error."""
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise OSError(done.returncode, f"{' '.join(map(str, words))}: {done.stderr.strip()}")


def refusal(kind: str, folder: Path) -> str:
    """Why such a file system cannot be made and mounted here; empty if it can."""
    try:
        with Disk(kind, folder):
            return ""
    except OSError as error:
        return str(error)


def private_mounts() -> None:
    """Let nobody else see what this process mounts, and let it go when this process ends, however it ends."""
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), "cannot have mounts of its own")
    command("mount", "--make-rprivate", "/")
