"""What `--at` takes: a position, a time, or a checkpoint that was kept."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from chainfold.cli.plain import quoted
from chainfold.cli.units import parse_time
from chainfold.errors import CorruptionError, InvalidInputError, NotFoundError

HELP: Final = (
    "As of a position, a time or a checkpoint: 120 (after the first 120 entries), 2026-05-31 (at the end of "
    "that day), 2026-05-31T12:00:00+02:00, '2 days ago', or a file with a kept checkpoint. Times without a "
    "zone are UTC."
)
_CHECKPOINT_BYTES: Final = 64 << 10
_DIGITS: Final = 19


class NoMomentError(InvalidInputError):
    """A text is neither a position nor a time, nor the name of a file."""


def parse_moment(text: str, dataset: str, *, end: bool = True) -> int | datetime | bytes:
    """A position, a time, or the bytes of a checkpoint's file.

    Args:
        text: What was typed.
        dataset: Whose checkpoint such a file must have.
        end: Whether a date means the end of that day, or its beginning.

    Raises:
        NoMomentError: If it is none of these.
        InvalidInputError: If it is a file with something else, or of another dataset.
    """
    try:
        return _position_or_time(text, end=end)
    except InvalidInputError:
        content = _content(text.strip(), dataset)
        if content is None:
            raise NoMomentError(
                f"{text!r} is no position (120), no time (2026-05-31T12:00:00Z, 2026-05-31, '2 days ago') "
                f"and no file with a kept checkpoint that can be read"
            ) from None
        return content


def is_moment(text: str) -> bool:
    """Whether a text is a position or a time."""
    try:
        _position_or_time(text, end=True)
    except InvalidInputError:
        return False
    return True


def _position_or_time(text: str, *, end: bool) -> int | datetime:
    words = text.strip()
    if words.isascii() and words.isdigit() and len(words) <= _DIGITS:
        return int(words)
    return parse_time(words, datetime.now(UTC), end=end)


def read_checkpoint(name: str, dataset: str) -> bytes:
    """The bytes of a file with a checkpoint of a dataset.

    Raises:
        NotFoundError: If it is not there, or cannot be read.
        InvalidInputError: If it is no checkpoint, or one of another dataset.
    """
    content = _content(name, dataset)
    if content is None:
        raise NotFoundError(f"there is no file {name!r} that can be read: name one with a kept checkpoint")
    return content


def _content(name: str, dataset: str) -> bytes | None:
    """The file's bytes; None if there is none of that name."""
    path = Path(name)
    try:
        if not path.is_file():
            return None
        with path.open("rb") as file:
            content = file.read(_CHECKPOINT_BYTES + 1)
    except (OSError, ValueError):  # a NUL in the name
        return None
    if len(content) > _CHECKPOINT_BYTES:
        raise InvalidInputError(f"{name!r} has more than {_CHECKPOINT_BYTES:,} bytes: it is no checkpoint")
    _require_checkpoint(name, content, dataset)
    return content


def _require_checkpoint(name: str, content: bytes, dataset: str) -> None:
    """InvalidInputError if that is none of the dataset; other text may be a secret: it is not printed."""
    from chainfold.log import parse_checkpoint
    from chainfold.log.lines import origin

    try:
        found = parse_checkpoint(content).origin
    except CorruptionError:
        raise InvalidInputError(
            f"the file {name!r} is no checkpoint: one has three lines (the log's name, a size, a root), as "
            f"chainfold checkpoint -o FILE writes them"
        ) from None
    if found != origin(dataset):
        other = found.removeprefix(origin(""))
        raise InvalidInputError(
            f"the checkpoint {name!r} is of "
            + (
                f"dataset {other!r}, and this is {dataset!r}: use -d {quoted(other)}"
                if other != found
                else f"the log {found!r}, and this is {origin(dataset)!r}: name one of dataset {dataset!r}"
            )
        )
