"""A disk in memory that keeps, over a power cut, only what was synced: files, folders, names.

The rules, stricter than those of any one file system (compare ALICE, Pillai et al., OSDI 2014):

- A file's bytes are durable after its own sync. Of what was written since, each sector of 512 bytes survives
  or not, in any combination: an append may come back short, torn, or with holes of zeros.
- A name (created, replaced, removed) is durable after a sync of its folder. Of what happened to a name since,
  any state that it went through may come back; the two halves of a rename do not go together.
- When a sync fails (`File.drop`), the pages that it should have written are taken for clean: they are read as
  they are until the power goes, and a later sync succeeds without them (https://lwn.net/Articles/752063/).
- A folder's own name is such a name.

Paths are tuples of names below the root, which is `()`.
"""

import copy
import errno
import os
import time
from collections.abc import Callable, Iterator
from typing import Final

SECTOR_BYTES: Final = 512
PAGE_BYTES: Final = 4_096
Path = tuple[str, ...]
Choose = Callable[[int], int]
"""Given n, a number below n: which of n states comes back. 0 is what was durable, n - 1 what was last."""


class File:
    """Bytes, those of them that are durable, and how long the file has been in between.

    Attributes:
        dropped: Numbers of the pages that a failed sync has taken for clean.
        errors: How many syncs have failed.
    """

    def __init__(self) -> None:
        self.data = bytearray()
        self.durable = b""
        self.lengths: list[int] = []
        self.dropped: set[int] = set()
        self.errors = 0
        self.changed = time.time()

    def write(self, offset: int, data: bytes) -> None:
        """Write at an offset; what lies between the end and the offset becomes zeros."""
        if offset > len(self.data):
            self.data.extend(bytes(offset - len(self.data)))
        self.data[offset : offset + len(data)] = data
        self.dropped -= set(range(offset // PAGE_BYTES, (offset + len(data)) // PAGE_BYTES + 1))
        self._touch()

    def truncate(self, size: int) -> None:
        """Cut the file, or extend it with zeros."""
        self.data = self.data[:size].ljust(size, b"\0")
        self._touch()

    def sync(self) -> None:
        """What is there now is durable, but for what was dropped."""
        durable = bytearray(self.data)
        for page in self.dropped:
            start, end = page * PAGE_BYTES, min((page + 1) * PAGE_BYTES, len(durable))
            durable[start:end] = self.durable[start:end].ljust(max(end - start, 0), b"\0")
        self.durable, self.lengths = bytes(durable), []

    def drop(self) -> None:
        """A sync has failed: what is not durable is taken for clean, and will never be written."""
        self.errors += 1
        for page in range(-(-len(self.data) // PAGE_BYTES)):
            start, end = page * PAGE_BYTES, (page + 1) * PAGE_BYTES
            if self.data[start:end] != self.durable[start:end]:
                self.dropped.add(page)

    def cut(self, choose: Choose) -> None:
        """The power is gone: some of what was not synced survives."""
        lengths = [len(self.durable), *self.lengths]
        length = lengths[choose(len(lengths))] if self.lengths else len(self.durable)
        found = bytearray(self.durable[:length].ljust(length, b"\0"))
        for start in range(0, length, SECTOR_BYTES):
            end = min(start + SECTOR_BYTES, length)
            is_written = start // PAGE_BYTES not in self.dropped and self.data[start:end] != found[start:end]
            if is_written and choose(2):
                found[start:end] = self.data[start:end].ljust(end - start, b"\0")
        self.data, self.dropped = found, set()
        self.sync()

    def _touch(self) -> None:
        self.lengths.append(len(self.data))
        self.changed = time.time()


class Folder:
    """Names, those that are durable, and what happened to each since."""

    def __init__(self) -> None:
        self.names: dict[str, File | Folder] = {}
        self.durable: dict[str, File | Folder] = {}
        self.changes: dict[str, list[File | Folder | None]] = {}

    def set(self, name: str, node: "File | Folder | None") -> None:
        """Give a name to a node, or to none."""
        self.changes.setdefault(name, []).append(node)
        if node is None:
            del self.names[name]
        else:
            self.names[name] = node

    def sync(self) -> None:
        """The names are durable as they are now."""
        self.durable, self.changes = dict(self.names), {}

    def cut(self, choose: Choose) -> None:
        """The power is gone: each name is in one of the states that it went through."""
        found = dict(self.durable)
        for name in sorted(self.changes):
            states = [self.durable.get(name), *self.changes[name]]
            node = states[choose(len(states))]
            if node is None:
                found.pop(name, None)
            else:
                found[name] = node
        self.names = found
        self.sync()
        for name in sorted(found):
            found[name].cut(choose)


class MemoryDisk:
    """Files and folders by path, as a kernel gives them to its processes. What it refuses is an OSError.

    Attributes:
        generation: How many power cuts there were: what was opened before one is of no use after it.
        capacity_bytes: How much fits; None for no limit.
        locks: The files that are locked, and by whom.
    """

    def __init__(self, capacity_bytes: int | None = None) -> None:
        self.root = Folder()
        self.generation = 0
        self.capacity_bytes = capacity_bytes
        self.locks: dict[object, object] = {}

    def copy(self) -> "MemoryDisk":
        """A disk with the same content, synced or not, that goes its own way; nothing on it is locked."""
        twin = MemoryDisk(self.capacity_bytes)
        twin.root = copy.deepcopy(self.root)
        return twin

    def power_cut(self, choose: Choose) -> None:
        """Lose what was not synced, or not all of it; every process is dead, and its locks are free."""
        self.generation += 1
        self.locks = {}
        self.root.cut(choose)

    def node(self, path: Path) -> File | Folder:
        """What has a path. FileNotFoundError, NotADirectoryError."""
        found: File | Folder = self.root
        for number, name in enumerate(path):
            if not isinstance(found, Folder):
                raise refusal(errno.ENOTDIR, path[:number])
            if name not in found.names:
                raise refusal(errno.ENOENT, path)
            found = found.names[name]
        return found

    def file(self, path: Path) -> File:
        """The file of a path. As `node`, and IsADirectoryError."""
        found = self.node(path)
        if isinstance(found, Folder):
            raise refusal(errno.EISDIR, path)
        return found

    def folder(self, path: Path) -> Folder:
        """The folder of a path. As `node`."""
        found = self.node(path)
        if isinstance(found, File):
            raise refusal(errno.ENOTDIR, path)
        return found

    def create(self, path: Path) -> File:
        """A new file. FileExistsError if the name is taken."""
        file = File()
        self._add(path, file)
        return file

    def make_folder(self, path: Path) -> None:
        """A new folder. FileExistsError if the name is taken."""
        self._add(path, Folder())

    def append(self, file: File, data: bytes) -> None:
        """Write at the end; on a full disk as much as there is room for, and then ENOSPC."""
        self.write(file, len(file.data), data)

    def write(self, file: File, offset: int, data: bytes) -> None:
        """Write anywhere; as `append`."""
        if self.capacity_bytes is not None:
            room = self.capacity_bytes - self.used_bytes()
            growth = offset + len(data) - len(file.data)
            if growth > room:
                data = data[: max(0, len(data) - (growth - max(room, 0)))]
                if data:
                    file.write(offset, data)
                raise refusal(errno.ENOSPC)
        file.write(offset, data)

    def rename(self, source: Path, target: Path) -> None:
        """Give a node another name, replacing the file that had it."""
        node = self.node(source)
        target_folder = self.folder(target[:-1])
        if isinstance(target_folder.names.get(target[-1]), Folder):
            raise refusal(errno.EISDIR, target)
        if source != target:
            target_folder.set(target[-1], node)
            self.folder(source[:-1]).set(source[-1], None)

    def remove(self, path: Path) -> None:
        """Remove a file's name."""
        self.file(path)
        self.folder(path[:-1]).set(path[-1], None)

    def remove_folder(self, path: Path) -> None:
        """Remove an empty folder. OSError ENOTEMPTY if it is not."""
        if self.folder(path).names:
            raise refusal(errno.ENOTEMPTY, path)
        self.folder(path[:-1]).set(path[-1], None)

    def walk(self, path: Path = ()) -> Iterator[tuple[Path, File]]:
        """Every file below a folder, with its path relative to it."""
        for name, node in list(self.folder(path).names.items()):
            if isinstance(node, File):
                yield (name,), node
            else:
                for below, file in self.walk((*path, name)):
                    yield (name, *below), file

    def used_bytes(self) -> int:
        """Bytes that the files take."""
        return sum(len(file.data) for _, file in self.walk())

    def unsynced(self) -> int:
        """How many choices a power cut now would make at least: 0 if all is durable."""
        count = 0
        folders = [self.root]
        while folders:
            folder = folders.pop()
            count += len(folder.changes)
            for node in folder.names.values():
                if isinstance(node, Folder):
                    folders.append(node)
                else:
                    count += bool(node.lengths)
        return count

    def _add(self, path: Path, node: File | Folder) -> None:
        parent = self.folder(path[:-1])
        if path[-1] in parent.names:
            raise refusal(errno.EEXIST, path)
        parent.set(path[-1], node)


def refusal(number: int, path: Path = ()) -> OSError:
    """What the operating system would raise."""
    return OSError(number, os.strerror(number), "/" + "/".join(path))
