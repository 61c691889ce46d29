"""What every storage must do: a test class to inherit. Needs pytest.

class TestMine(FilesContract):
    @pytest.fixture
    def files(self) -> Files: ...

    @pytest.fixture
    def folder(self) -> Path: ...  # absolute; it need not be there yet
"""

import threading
from pathlib import Path

import pytest

from chainfold.errors import StorageError
from chainfold.storage import Files


class FilesContract:
    """One test for each promise of `chainfold.storage.Files`. Subclasses give `files` and `folder`."""

    @pytest.fixture
    def made(self, files: Files, folder: Path) -> Path:
        """The folder, which is there."""
        files.make_folder(folder)
        return folder

    def test_folders_are_made_with_their_parents(self, files: Files, folder: Path) -> None:
        """And more than once."""
        assert not files.has_folder(folder)
        for _ in range(2):
            files.make_folder(folder / "a" / "b")
            assert files.has_folder(folder / "a" / "b")
        assert list(files.scan(folder)) == []

    def test_what_was_appended_is_read(self, files: Files, made: Path) -> None:
        """By whoever has it open, at once; and it can be cut."""
        path = made / "log"
        writer = files.appender(path, create=True)
        reader = files.reader(path)
        assert (reader.size(), reader.read(0, 10)) == (0, b"")
        writer.append(b"one")
        files.appender(path, create=False).append(b"two")
        writer.sync()
        assert (reader.size(), reader.read(0, 10), reader.read(2, 2)) == (6, b"onetwo", b"et")
        writer.truncate(4)
        writer.append(b"!")
        assert (reader.size(), reader.read(0, 10), reader.read(99, 1)) == (5, b"onet!", b"")
        assert reader.is_at(path)
        files.write_new(made / "log.new", b"", sync=False)
        files.rename(made / "log.new", path)
        assert not reader.is_at(path)
        assert not reader.is_at(made / "none")
        for each in (writer, reader):
            each.close()

    def test_new_means_new(self, files: Files, made: Path) -> None:
        """What is there is neither replaced nor changed."""
        files.write_new(made / "x", b"old", sync=True)
        with pytest.raises(StorageError):
            files.write_new(made / "x", b"new", sync=False)
        with pytest.raises(StorageError):
            files.appender(made / "x", create=True)
        assert files.read(made / "x") == b"old"

    def test_what_is_not_there_is_said_so(self, files: Files, made: Path) -> None:
        """With FileNotFoundError, False or None; in a folder that is not there too."""
        for path in (made / "x", made / "none" / "x"):
            for act in (files.reader, files.read, lambda each: files.appender(each, create=False)):
                with pytest.raises(FileNotFoundError):
                    act(path)
            with pytest.raises(FileNotFoundError):
                files.rename(path, made / "y")
            assert files.remove(path) is False
            assert files.size(path) is None
            assert files.age(path) is None
        with pytest.raises(FileNotFoundError):
            files.write_new(made / "none" / "x", b"", sync=False)
        assert list(files.scan(made / "none")) == []
        assert files.size(made) is None

    def test_a_rename_replaces(self, files: Files, made: Path) -> None:
        """At once; who has the old file open goes on reading it."""
        files.write_new(made / "x", b"old", sync=True)
        files.write_new(made / "x.new", b"new one", sync=True)
        reader = files.reader(made / "x")
        files.rename(made / "x.new", made / "x")
        files.sync_folder(made)
        assert files.read(made / "x") == b"new one"
        assert reader.read(0, 10) == b"old"
        assert files.size(made / "x.new") is None
        reader.close()

    def test_a_rename_into_no_folder_changes_nothing(self, files: Files, made: Path) -> None:
        """The file stays where it is."""
        files.write_new(made / "x", b"x", sync=True)
        with pytest.raises(FileNotFoundError):
            files.rename(made / "x", made / "none" / "x")
        assert files.read(made / "x") == b"x"

    def test_files_are_overwritten_in_place(self, files: Files, made: Path) -> None:
        """What is longer keeps its rest."""
        files.write_new(made / "x", b"0123456789", sync=True)
        files.overwrite(made / "x", b"abc")
        assert files.read(made / "x") == b"abc3456789"
        files.overwrite(made / "x", b"ABCDEFGHIJKL")
        assert files.read(made / "x") == b"ABCDEFGHIJKL"
        files.overwrite(made / "x", b"..", 4)
        assert files.read(made / "x") == b"ABCD..GHIJKL"
        with pytest.raises(FileNotFoundError):
            files.overwrite(made / "none", b"abc")

    def test_scanning_names_all_files_below(self, files: Files, made: Path) -> None:
        """With their sizes, and `/` between the parts of their names."""
        files.make_folder(made / "a" / "b")
        for name in ("x", "a/y", "a/b/z"):
            files.write_new(made / name, name.encode(), sync=False)
        assert sorted(files.scan(made)) == [("a/b/z", 5), ("a/y", 3), ("x", 1)]
        assert sorted(files.scan(made / "a")) == [("b/z", 5), ("y", 3)]
        assert files.remove(made / "x") is True
        files.sync([made / "a" / "y"])
        assert sorted(files.scan(made)) == [("a/b/z", 5), ("a/y", 3)]
        age = files.age(made / "a" / "y")
        assert age is not None
        assert age < 3_600  # noqa: PLR2004 - an hour: it is new

    def test_room_is_reserved_once(self, files: Files, made: Path) -> None:
        """The file is as long as was asked for."""
        for _ in range(2):
            files.reserve(made / "reserve", 10_000)
            assert files.size(made / "reserve") == 10_000  # noqa: PLR2004 - as asked for

    def test_locks_are_exclusive(self, files: Files, made: Path) -> None:
        """Between objects and between threads; who holds one may enter again."""
        locks = [files.lock(made / "lock"), files.lock(made / "lock")]
        total = 0

        def work(number: int) -> None:
            nonlocal total
            for _ in range(50):
                with locks[number % 2].held(), locks[number % 2].held():
                    before = total
                    total = before + 1

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert total == 4 * 50
        for lock in locks:
            lock.close()

    def test_a_lock_is_held_until_it_is_released(self, files: Files, made: Path) -> None:
        """Then its file is gone, and it is free."""
        held = files.try_lock(made / "x.lock")
        assert held is not None
        assert held.is_held
        assert files.try_lock(made / "x.lock") is None
        held.release()
        held.release()
        assert not held.is_held
        assert list(files.scan(made)) == []
        again = files.try_lock(made / "x.lock")
        assert again is not None
        again.release()
