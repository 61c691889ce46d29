"""A file system, mounted through FUSE, that keeps over a power cut only what was synced.

It gives the rules of `chainfold.testing.MemoryDisk` to real processes and real system calls: ext4 and xfs
make most names durable with the next sync of any file, so that a missing sync of a folder is hidden there.

    python -m tests.faults.strict_fs MOUNTPOINT

serves one disk until it is unmounted, or until its standard input ends. Three names at the top are no files
but switches; no listing shows them:

- `SEED` written to `.power-cut` cuts the power at once, `SEED NUMBER` before the operation of that number (1
  is the next) of those that change something. The seed decides what survives: 0 loses all that was not
  synced, 1 nothing. From then on every operation fails, so that no process of before can touch what survived;
  what was opened before the cut fails for ever. Each cut is told on standard output.
- `NUMBER` written to `.kill` kills the process that is about to do the operation of that number.
- Anything written to `.power-on` switches on again, and undoes what was asked for and has not come.

Nothing is cached by the kernel but the size of an open file: so appending is done here, not by the offset
that the kernel gives. Locks (flock) are the kernel's own. The server has one thread: an operation is atomic.

What a plain file system can and this cannot: links, a folder renamed onto a folder, permissions; fstat and
ftruncate of a file that has lost its last name (FUSE names a path, and there is none).
"""

import errno
import json
import os
import random
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from chainfold.testing import MemoryDisk
from chainfold.testing.disk import Choose, File, Folder, refusal

CUT: Final = ".power-cut"
KILL: Final = ".kill"
ON: Final = ".power-on"
_SWITCHES: Final = {f"/{name}": name for name in (CUT, KILL, ON)}
LOSES_ALL: Final = 0
LOSES_NOTHING: Final = 1
_BLOCK_BYTES: Final = 4096
_BLOCKS: Final = 1 << 20
_SECOND: Final = 10**9


class Handle(NamedTuple):
    """What is open: a node or a switch, since which power cut, and whether it writes at the end only."""

    node: File | Folder | str
    generation: int
    appends: bool = False


def choices(seed: int) -> Choose:
    """What a cut does: mostly any mixture, often the loss of all that was not synced, rarely of nothing."""
    chance = random.Random(seed)
    kind = chance.random()
    if seed == LOSES_ALL or (seed != LOSES_NOTHING and kind < 0.4):
        return lambda _: 0
    if seed == LOSES_NOTHING or kind > 0.9:
        return lambda count: count - 1
    return chance.randrange


class StrictFileSystem:
    """What FUSE calls: `mfusepy` takes any object, and uses the operations that it has.

    Args:
        caller: The id of the process whose operation is being done.

    Attributes:
        disk: Where everything is.
        is_on: False from a power cut until the switch is used.
    """

    use_ns = True

    def __init__(self, caller: Callable[[], int]) -> None:
        self.disk = MemoryDisk()
        self.is_on = True
        self._caller = caller
        self._born = time.time()
        self._handles: dict[int, Handle] = {}
        self._next_handle = 1
        self._changes = 0
        self._cut_at: tuple[int, int] | None = None
        self._kill_at: int | None = None

    def init(self, _: str) -> None:
        """It is mounted."""
        tell({"mounted": True})

    # what is there

    def getattr(self, path: str | None, fh: int | None = None) -> dict[str, int]:
        """What stat(2) says."""
        node: File | Folder | str
        if fh is not None:
            node = self._open(fh).node
        elif path in _SWITCHES or path == "/":
            node = self.disk.root if path == "/" else _SWITCHES[path]
        else:
            self._check_power()
            node = self.disk.node(_parts(path))
        changed = int((node.changed if isinstance(node, File) else self._born) * _SECOND)
        size = len(node.data) if isinstance(node, File) else 0
        return {
            "st_mode": stat.S_IFDIR | 0o755 if isinstance(node, Folder) else stat.S_IFREG | 0o644,
            "st_nlink": 2 if isinstance(node, Folder) else 1,
            "st_size": size,
            "st_blocks": -(-size // 512),
            "st_uid": os.getuid(),
            "st_gid": os.getgid(),
            "st_atime": changed,
            "st_mtime": changed,
            "st_ctime": changed,
        }

    def statfs(self, _: str) -> dict[str, int]:
        """Room for everything."""
        sizes = {"f_bsize": _BLOCK_BYTES, "f_frsize": _BLOCK_BYTES, "f_namemax": 255}
        return {**sizes, "f_blocks": _BLOCKS, "f_bfree": _BLOCKS, "f_bavail": _BLOCKS}

    def opendir(self, path: str) -> int:
        """Open a folder, to list it or to sync it."""
        self._check_power()
        return self._handle(self.disk.folder(_parts(path)))

    def readdir(self, _: str | None, fh: int) -> list[str]:
        """The names in a folder."""
        return [".", "..", *self._folder(fh).names]

    def fsyncdir(self, _: str | None, _datasync: int, fh: int) -> None:
        """Make the names in a folder durable."""
        folder = self._folder(fh)
        self._change()
        folder.sync()

    def releasedir(self, _: str | None, fh: int) -> None:
        """Close a folder."""
        self._handles.pop(fh, None)

    # names

    def mkdir(self, path: str, _mode: int) -> None:
        """Make a folder."""
        self._change()
        self.disk.make_folder(_parts(path))

    def rmdir(self, path: str) -> None:
        """Remove an empty folder."""
        self._change()
        self.disk.remove_folder(_parts(path))

    def unlink(self, path: str) -> None:
        """Remove a file's name; who has it open keeps it."""
        self._change()
        self.disk.remove(_parts(path))

    def rename(self, old: str, new: str) -> None:
        """Give a node another name, replacing the file that had it."""
        self._change()
        self.disk.rename(_parts(old), _parts(new))

    def link(self, _target: str, _source: str) -> None:
        """There are no hard links."""
        raise refusal(errno.EPERM)

    def symlink(self, _target: str, _source: str) -> None:
        """There are no symbolic links."""
        raise refusal(errno.EPERM)

    def chmod(self, _path: str | None, _mode: int) -> None:
        """Everybody may do everything."""
        self._check_power()

    def chown(self, _path: str | None, _uid: int, _gid: int) -> None:
        """Everything belongs to whoever mounted it."""
        self._check_power()

    def utimens(self, path: str, times: tuple[int, int] | None = None) -> None:
        """Set when a file was changed."""
        self._check_power()
        node = self.disk.node(_parts(path))
        if isinstance(node, File):
            node.changed = times[1] / _SECOND if times else time.time()

    # files

    def create(self, path: str, _mode: int, flags: int) -> int:
        """Make a file and open it."""
        if path in _SWITCHES:
            return self.open(path, flags)
        self._change()
        try:
            file = self.disk.create(_parts(path))
        except FileExistsError:
            if flags & os.O_EXCL:
                raise
            file = self.disk.file(_parts(path))  # another process was faster
        return self._handle(file, flags)

    def open(self, path: str, flags: int) -> int:
        """Open a file."""
        if path in _SWITCHES:
            return self._handle(_SWITCHES[path])
        self._check_power()
        file = self.disk.file(_parts(path))
        if flags & os.O_TRUNC:
            self._change()
            file.truncate(0)
        return self._handle(file, flags)

    def read(self, _: str | None, size: int, offset: int, fh: int) -> bytes:
        """Read, fewer bytes at the end."""
        handle = self._open(fh)
        return bytes(handle.node.data[offset : offset + size]) if isinstance(handle.node, File) else b""

    def write(self, _: str | None, data: bytes, offset: int, fh: int) -> int:
        """Write; at the end, if the file was opened so, wherever the kernel thinks that is."""
        handle = self._open(fh)
        if isinstance(handle.node, str):
            self._switch(handle.node, data)
        else:
            self._change()
            file = self._file(fh)
            self.disk.write(file, len(file.data) if handle.appends else offset, data)
        return len(data)

    def truncate(self, path: str | None, length: int, _: int | None = None) -> None:
        """Cut a file, or extend it with zeros. FUSE gives no handle. A switch has nothing to cut."""
        if path in _SWITCHES:
            return
        if path is None:
            raise refusal(errno.ENOENT)
        self._change()
        self.disk.file(_parts(path)).truncate(length)

    def fallocate(self, _: str | None, mode: int, offset: int, size: int, fh: int) -> None:
        """Extend a file with zeros."""
        if mode:
            raise refusal(errno.EOPNOTSUPP)
        self._change()
        file = self._file(fh)
        if len(file.data) < offset + size:
            file.truncate(offset + size)

    def fsync(self, _: str | None, _datasync: int, fh: int) -> None:
        """Make a file's bytes durable."""
        file = self._file(fh)
        self._change()
        file.sync()

    def flush(self, _: str | None, _fh: int) -> None:
        """Closing makes nothing durable."""

    def release(self, _: str | None, fh: int) -> None:
        """Close a file."""
        self._handles.pop(fh, None)

    # inside

    def _handle(self, node: File | Folder | str, flags: int = 0) -> int:
        number, self._next_handle = self._next_handle, self._next_handle + 1
        self._handles[number] = Handle(node, self.disk.generation, bool(flags & os.O_APPEND))
        return number

    def _open(self, fh: int) -> Handle:
        handle = self._handles.get(fh)
        if handle is None:
            raise refusal(errno.EBADF)
        if not isinstance(handle.node, str):
            self._check_power()
            if handle.generation != self.disk.generation:
                raise refusal(errno.EIO)
        return handle

    def _file(self, fh: int) -> File:
        node = self._open(fh).node
        if not isinstance(node, File):
            raise refusal(errno.EINVAL)
        return node

    def _folder(self, fh: int) -> Folder:
        node = self._open(fh).node
        if not isinstance(node, Folder):
            raise refusal(errno.ENOTDIR)
        return node

    def _check_power(self) -> None:
        if not self.is_on:
            raise refusal(errno.EIO)

    def _change(self) -> None:
        """Something is about to change: perhaps the power goes, or the process is killed, before it does."""
        self._check_power()
        self._changes += 1
        if self._changes == self._kill_at:
            os.kill(self._caller(), signal.SIGKILL)
            raise refusal(errno.EIO)
        if self._cut_at is not None and self._changes == self._cut_at[1]:
            self._cut(self._cut_at[0])
            raise refusal(errno.EIO)

    def _switch(self, switch: str, data: bytes) -> None:
        numbers = [int(each) for each in data.split()]
        if switch == ON:
            self.is_on, self._cut_at, self._kill_at = True, None, None
        elif switch == KILL:
            self._kill_at = self._changes + numbers[0]
        elif len(numbers) > 1:
            self._cut_at = (numbers[0], self._changes + numbers[1])
        elif self.is_on:
            self._cut(numbers[0])

    def _cut(self, seed: int) -> None:
        unsynced = self.disk.unsynced()
        self.disk.power_cut(choices(seed))
        self.is_on = False
        tell({"cut": seed, "unsynced": unsynced})


def _parts(path: str | None) -> tuple[str, ...]:
    if path is None:
        raise refusal(errno.ENOENT)
    return tuple(path.split("/")[1:]) if path != "/" else ()


def tell(message: dict[str, Any]) -> None:
    """To whoever started the server, one line each."""
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def unmount(mountpoint: str, *options: str) -> bool:
    """Unmount, and whether that worked."""
    command = ["fusermount3", "-u", *options, mountpoint]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def serve(mountpoint: str) -> None:
    """Serve one disk until it is unmounted."""
    import mfusepy  # it needs libfuse: what only looks at this module does not

    def until_input_ends() -> None:
        while os.read(0, 1024):
            pass
        unmount(mountpoint, "-z")  # who started this is gone, and leaves no mount behind

    threading.Thread(target=until_input_ends, daemon=True).start()
    mfusepy.FUSE(
        StrictFileSystem(lambda: int(mfusepy.fuse_get_context()[2])),
        mountpoint,
        foreground=True,
        nothreads=True,
        fsname="strict",
        attr_timeout=0,
        entry_timeout=0,
        negative_timeout=0,
        direct_io=True,
        hard_remove=True,  # else an open file that is removed would be renamed first
    )


if __name__ == "__main__":
    serve(sys.argv[1])
