"""The strict file system does what a plain one does, and keeps over a power cut what was synced, no more."""

import errno
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from tests.faults.expectation import Expectation
from tests.faults.mounting import Mounted
from tests.faults.strict import Child
from tests.faults.strict_fs import LOSES_ALL, LOSES_NOTHING

from chainfold.storage import Files, LocalFiles
from chainfold.storage.durable import sync_folder
from chainfold.testing.contract import FilesContract


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.usefixtures("mounted")
class TestLocalFilesOnIt(FilesContract):
    @pytest.fixture
    def files(self) -> Files:
        return LocalFiles()

    @pytest.fixture
    def folder(self, folder: Path) -> Path:
        return folder / "workspace"


# It is a file system


class Side:
    """One of two folders on which the same is done."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.descriptors: list[int] = []

    def do(self, what: str, *arguments: Any) -> Any:
        """What an operation gives, or the name of its refusal."""
        try:
            return getattr(self, what)(*arguments)
        except OSError as error:
            return errno.errorcode[error.errno or 0]

    def open(self, name: str, flags: int) -> None:
        self.descriptors.append(os.open(self.folder / name, flags, 0o666))

    def close(self, number: int) -> None:
        os.close(self.descriptors.pop(number))

    def read(self, number: int) -> bytes:
        return os.pread(self.descriptors[number], 1 << 20, 0)

    def write(self, number: int, data: bytes, offset: int) -> int:
        return os.pwrite(self.descriptors[number], data, offset)

    def sync(self, number: int) -> None:
        os.fsync(self.descriptors[number])

    def room(self, number: int, size: int) -> None:
        os.posix_fallocate(self.descriptors[number], 0, size)

    def truncate(self, name: str, size: int) -> None:
        os.truncate(self.folder / name, size)

    def mkdir(self, name: str) -> None:
        (self.folder / name).mkdir()

    def rmdir(self, name: str) -> None:
        (self.folder / name).rmdir()

    def unlink(self, name: str) -> None:
        (self.folder / name).unlink()

    def rename(self, source: str, target: str) -> None:
        if not ((self.folder / source).is_dir() and (self.folder / target).is_dir()):  # it refuses that
            (self.folder / source).replace(self.folder / target)

    def list(self, name: str) -> list[str]:
        return names_in(self.folder / name)

    def stat(self, name: str) -> tuple[bool, int]:
        found = (self.folder / name).stat()
        is_folder = (self.folder / name).is_dir()
        return is_folder, 0 if is_folder else found.st_size

    def everything(self) -> dict[str, bytes | None]:
        return {
            str(path.relative_to(self.folder)): path.read_bytes() if path.is_file() else None
            for path in sorted(self.folder.rglob("*"))
        }


NAMES: Final = ("a", "b", "c", "f", "f/a", "f/b", "f/g", "f/g/c")
FLAGS: Final = [
    access | extra
    for access in (os.O_RDWR, os.O_RDWR | os.O_APPEND, os.O_RDONLY)
    for extra in (0, os.O_CREAT, os.O_CREAT, os.O_CREAT | os.O_EXCL, os.O_TRUNC)
    if not (access == os.O_RDONLY and extra == os.O_TRUNC)
]
ON_NAMES: Final = {
    "open": 4,
    "truncate": 1,
    "mkdir": 2,
    "rmdir": 1,
    "unlink": 1,
    "rename": 2,
    "list": 1,
    "stat": 1,
}
ON_OPEN: Final = {"write": 6, "read": 2, "sync": 1, "room": 1, "close": 1}


def drawn(chance: random.Random, opened: int) -> list[Any]:
    """An operation and its arguments."""
    weights = ON_OPEN if opened and chance.random() < 0.5 else ON_NAMES
    what = chance.choices(list(weights), list(weights.values()))[0]
    if what in ON_OPEN:
        number, size = chance.randrange(opened), chance.choice([1, 100, 600, 5_000, 200_000])
        data, offset = chance.randbytes(size), chance.choice([0, 10, 512, 3_000])
        on_open: dict[str, list[Any]] = {"write": [data, offset], "room": [size]}
        return [what, number, *on_open.get(what, [])]
    on_names: dict[str, list[Any]] = {
        "open": [chance.choice(FLAGS)],
        "truncate": [chance.randrange(2_000)],
        "rename": [chance.choice(NAMES)],
    }
    return [what, chance.choice(NAMES), *on_names.get(what, [])]


@pytest.mark.parametrize("seed", range(20))
def test_it_does_what_a_plain_folder_does(folder: Path, tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    sides = Side(folder), Side(tmp_path)
    done = []
    for _ in range(200):
        done.append(drawn(chance, len(sides[0].descriptors)))
        found = [side.do(*done[-1]) for side in sides]
        assert found[0] == found[1], [each[:2] for each in done]
    assert sides[0].everything() == sides[1].everything()
    for side in sides:
        while side.descriptors:
            side.close(0)


def test_it_has_no_links(folder: Path) -> None:
    (folder / "x").touch()
    for act in (os.link, os.symlink):
        with pytest.raises(PermissionError):
            act(folder / "x", folder / "y")


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_appends_of_several_processes_never_overlap(folder: Path) -> None:
    """Each has its own idea of where the end is."""
    (folder / "x").touch()

    def append(letter: bytes) -> Callable[[Any], None]:
        def work(_: Any) -> None:
            descriptor = os.open(folder / "x", os.O_WRONLY | os.O_APPEND)
            for _number in range(500):
                os.write(descriptor, letter * 10)

        return work

    children = [Child(append(letter), Expectation("")) for letter in (b"a", b"b")]
    for child in children:
        while not child.is_over:
            child.listen()
    found = (folder / "x").read_bytes()
    pieces = [found[start : start + 10] for start in range(0, len(found), 10)]
    assert sorted(pieces) == [b"a" * 10] * 500 + [b"b" * 10] * 500


# What a cut keeps


def test_what_is_synced_survives_a_cut_and_nothing_else_when_all_is_lost(
    mounted: Mounted, folder: Path
) -> None:
    names = {"a synced": True, "b not synced": False}
    for name, is_synced in names.items():
        descriptor = os.open(folder / name, os.O_RDWR | os.O_CREAT)
        os.write(descriptor, b"bytes")
        if is_synced:
            os.fsync(descriptor)
        os.close(descriptor)
    sync_folder(folder)
    (folder / "c of no synced folder").write_bytes(b"bytes")
    mounted.cut_and_restore(LOSES_ALL)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        "a synced": b"bytes",
        "b not synced": b"",
    }


def test_all_may_survive_a_cut(mounted: Mounted, folder: Path) -> None:
    (folder / "f").mkdir()
    (folder / "f" / "x").write_bytes(b"bytes")
    (folder / "f" / "x").replace(folder / "y")
    mounted.cut_and_restore(LOSES_NOTHING)
    assert list((folder / "f").iterdir()) == []
    assert (folder / "y").read_bytes() == b"bytes"


def test_what_survives_is_told_by_the_seed(mounted: Mounted, folder: Path) -> None:
    found = []
    for number, seed in enumerate([7, 7, 8, 9, 10, 11]):
        part = folder / str(number)
        part.mkdir()
        sync_folder(folder)
        for name in range(20):
            (part / str(name)).write_bytes(bytes([1]) * 600)
        mounted.cut_and_restore(seed)
        found.append({path.name: path.read_bytes() for path in part.iterdir()})
    assert found[0] == found[1]
    assert any(each != found[0] for each in found)


def test_while_the_power_is_off_everything_fails(mounted: Mounted, folder: Path) -> None:
    """And what was open before the cut goes on failing."""
    descriptor = os.open(folder / "x", os.O_RDWR | os.O_CREAT)
    os.fsync(descriptor)
    sync_folder(folder)
    mounted.cut(LOSES_NOTHING)
    told = mounted.told()
    assert told is not None
    assert told["cut"] == LOSES_NOTHING
    on_it: list[Callable[[], Any]] = [
        lambda: os.pread(descriptor, 1, 0),
        lambda: os.write(descriptor, b"1"),
        lambda: os.fsync(descriptor),
    ]
    on_names: list[Callable[[], Any]] = [
        lambda: names_in(folder),
        (folder / "x").stat,
        (folder / "y").mkdir,
        (folder / "x").unlink,
        lambda: (folder / "x").replace(folder / "y"),
        (folder / "x").read_bytes,
    ]
    for act in on_it + on_names:
        with pytest.raises(OSError, match="Input/output error"):
            act()
    mounted.power_on()
    assert names_in(folder) == ["x"]
    for act in on_it:
        with pytest.raises(OSError, match="Input/output error"):
            act()
    os.close(descriptor)


def test_the_power_is_cut_before_the_change_of_a_number(mounted: Mounted, folder: Path) -> None:
    mounted.cut(LOSES_NOTHING, after=3)
    (folder / "a").mkdir()
    names_in(folder)
    (folder / "b").mkdir()
    with pytest.raises(OSError, match="Input/output error"):
        (folder / "c").mkdir()
    assert mounted.told() is not None
    mounted.power_on()
    assert names_in(folder) == ["a", "b"]
