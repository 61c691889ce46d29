"""Sizes, ages and times, as people write and read them."""

import re
from datetime import UTC, date, datetime, timedelta
from typing import Final

from chainfold.errors import InvalidInputError

_SIZE: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([kmgtp]?)(i?)b?", re.IGNORECASE)
_POWERS: Final = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_AGE: Final = re.compile(
    r"([0-9]{1,9})\s*(s|secs?|seconds?|m|mins?|minutes?|h|hours?|d|days?|w|weeks?|months?|y|years?)",
    re.IGNORECASE,
)
_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800, "mo": 2_592_000, "y": 31_536_000}
_STEP: Final = 1_000
_LAST_MICROSECOND: Final = timedelta(days=1) - timedelta(microseconds=1)


def parse_size(text: str) -> float:
    """Bytes: `1500`, `1.5MB` (1,000 x 1,000), `2GiB` (1,024 x ...), `10k`.

    Raises:
        InvalidInputError: If it is none of these.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise InvalidInputError(
            f"{text!r} is no size: use a number of bytes, or one such as 10kB, 1.5MB, 2GiB"
        )
    number, power, binary = match.groups()
    return float(number) * float((1_024 if binary else _STEP) ** _POWERS[power.lower()])


def size_text(size_bytes: int) -> str:
    """Bytes for people, in powers of 1,000: `812 B`, `1.5 kB`, `20.3 MB`."""
    if size_bytes < _STEP:
        return f"{size_bytes} B"
    size: float = size_bytes
    for unit in "kMGTPE":
        size /= _STEP
        if size < _STEP - 0.05:
            return f"{size:.1f} {unit}B"
    return f"{size:.1f} EB"


def counted(count: int, name: str, several: str = "") -> str:
    """So many of something: `1 entry`, `1,200 entries`."""
    return f"{count:,} {name if count == 1 else several or f'{name}s'}"


def parse_age(text: str) -> timedelta:
    """`90s`, `15m` (minutes), `36h`, `30d`, `2 weeks`, `3 months` (of 30 days), `1y` (of 365).

    Raises:
        InvalidInputError: If it is none of these.
    """
    match = _AGE.fullmatch(text.strip())
    if match is None:
        raise InvalidInputError(f"{text!r} is no age: use one such as 90s, 15m, 36h, 30d, 2w, 3 months, 1y")
    unit = match[2].lower()
    seconds = _SECONDS["mo" if unit.startswith("mo") else unit[0]]
    try:
        return timedelta(seconds=int(match[1]) * seconds)
    except OverflowError as error:
        raise InvalidInputError(f"{text!r} is more than can be reckoned with") from error


def age_text(age: timedelta) -> str:
    """An age for people, in its largest unit: `12s`, `5m`, `3h`, `20d`, `3y`."""
    seconds = max(int(age.total_seconds()), 0)
    for unit in ("y", "d", "h", "m"):
        if seconds >= _SECONDS[unit]:
            return f"{seconds // _SECONDS[unit]}{unit}"
    return f"{seconds}s"


def parse_time(text: str, now: datetime, *, end: bool = True) -> datetime:
    """A time: RFC 3339, a date, or how long ago. Without a zone it is UTC, as all that is printed.

    Args:
        text: `2026-05-31T12:00:00Z`, `2026-05-31 12:00`, `2026-05-31`, `2 days ago`.
        now: What is meant by now.
        end: Whether a date means its last microsecond, or its first.

    Raises:
        InvalidInputError: If it is none of these.
    """
    words = text.strip()
    try:
        if words.lower().endswith(" ago") or words.lower().endswith("ago"):
            return now - parse_age(words[:-3])
        when = datetime.fromisoformat(words)
        if when.tzinfo is None:
            when = when.replace(tzinfo=UTC)
        when = when.astimezone(UTC)
        if is_date(words):
            when += _LAST_MICROSECOND if end else timedelta(0)
    except (ValueError, OverflowError) as error:
        raise InvalidInputError(
            f"{text!r} is no time: use one such as 2026-05-31T12:00:00Z, 2026-05-31 (UTC), or '2 days ago'"
        ) from error
    return when


def is_date(text: str) -> bool:
    """Whether a text is a date without a time of day."""
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def time_text(at: str) -> str:
    """A time of the log, to the second, for people: `2026-05-31 12:00:00`. It is UTC."""
    return f"{at[:10]} {at[11:19]}" if len(at) > 19 and at[10] == "T" else at  # noqa: PLR2004 - RFC 3339


def kind_text(kind: str) -> str:
    """A kind of event for people, without what goes without saying: `registered`, `run-committed`."""
    return (
        kind.removeprefix("artifact-")
        .removeprefix("artifacts-")
        .removeprefix("dataset-")
        .removeprefix("blobs-")
    )


def time_of(at: str) -> datetime | None:
    """A time that a record or an entry has; None if it has none that can be read."""
    try:
        when = datetime.fromisoformat(at)
    except ValueError:
        return None
    return when if when.tzinfo is not None else when.replace(tzinfo=UTC)
