"""What the operating system refuses, as an error that names the file."""

from pathlib import Path
from types import TracebackType

from chainfold.errors import StorageError


class explained:  # noqa: N801 - it is called like a function
    """Turn the operating system's refusal into a StorageError that names the file; absence stays as it is.

    A class, as `contextlib.contextmanager` would cost as much as the calls that are explained.
    """

    __slots__ = ("_doing", "_path")

    def __init__(self, doing: str, path: Path) -> None:
        self._doing = doing
        self._path = path

    def __enter__(self) -> None:
        """Nothing is taken."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is given back; an OSError comes out explained."""
        if isinstance(error, OSError) and not isinstance(error, FileNotFoundError):
            raise StorageError.refused(self._doing, self._path, error) from error
