"""What the operating system refuses, as an error that names the file."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from chainfold.errors import StorageError


@contextlib.contextmanager
def explained(doing: str, path: Path) -> Iterator[None]:
    """Turn the operating system's refusal into a StorageError that names the file; absence stays as it is."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StorageError.refused(doing, path, error) from error
