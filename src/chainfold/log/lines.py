r"""Lines and their sums.

    {"position":7,...,"sum":"0123456789abcdef"}\n
    ^------- body -------^

The sum is xxh3-64 of the body, seeded with the sum of the line before as a number; the seed of a log's first
line is `genesis(dataset)`. So a line that was torn, flipped, lost, moved or taken from another log is found
at that line. The sum guards against accidents; against people, the Merkle root does.
"""

import functools
from datetime import UTC, datetime
from time import time_ns
from typing import Final

import xxhash

ENTRY_LIMIT: Final = 65_535
"""Bytes of a line without its line end: the limit of https://c2sp.org/tlog-tiles entries."""
_TAIL: Final = len(b',"sum":"0123456789abcdef"}')
_MARK: Final = b',"sum":"'
_HEX: Final = frozenset(b"0123456789abcdef")


def origin(dataset: str) -> str:
    """What a checkpoint's first line calls the log of a dataset."""
    return f"chainfold/{dataset}"


def genesis(dataset: str) -> int:
    """The seed of the first line's sum."""
    return xxhash.xxh3_64_intdigest(origin(dataset).encode())


def seal(body: bytes, seed: int) -> tuple[bytes, int]:
    """The line (without line end) for a body that lacks its closing brace, and its sum."""
    total = xxhash.xxh3_64_intdigest(body, seed)
    return b'%b,"sum":"%016x"}' % (body, total), total


def checked_sum(line: bytes, seed: int) -> int | None:
    """The sum of a line, or None if the line does not have the sum that it should."""
    total = xxhash.xxh3_64_intdigest(line[:-_TAIL], seed)
    return total if line[-_TAIL:] == b',"sum":"%016x"}' % total else None


def stated_sum(line: bytes) -> int | None:
    """The sum that ends a line, right or wrong; None if there is none."""
    tail = line[-_TAIL:]
    if len(tail) < _TAIL or not tail.startswith(_MARK) or not tail.endswith(b'"}'):
        return None
    digits = tail[len(_MARK) : -2]
    return int(digits, 16) if _HEX.issuperset(digits) else None


def sums(line: bytes, seed: int) -> tuple[str, str]:
    """The sum that a line states, and that of the bytes that it has, as digits."""
    return f"{stated_sum(line) or 0:016x}", f"{xxhash.xxh3_64_intdigest(line[:-_TAIL], seed):016x}"


def follows(line: bytes, before: bytes) -> bool:
    """Whether a line has the sum that it should have behind another, which is known by its end alone.

    That one was checked when it was read first, so its digits are not looked at: lookups ask this.
    """
    try:  # written out, as `checked_sum` has it
        total = xxhash.xxh3_64_intdigest(line[:-_TAIL], int(before[-18:-2], 16))
    except ValueError:
        return False
    return line[-_TAIL:] == b',"sum":"%016x"}' % total


def now(last: str) -> str:
    """The time for the next entry: RFC 3339, UTC, microseconds, not before `last`."""
    second, fraction = divmod(time_ns(), 1_000_000_000)
    return max(f"{_second_text(second)}.{fraction // 1_000:06d}Z", last)


@functools.lru_cache(maxsize=1)
def _second_text(second: int) -> str:
    """A second since 1970 as entries spell it; a run asks for the same one thousands of times."""
    return datetime.fromtimestamp(second, UTC).isoformat().removesuffix("+00:00")


def time_text(when: datetime) -> str:
    """A time as entries spell it: RFC 3339, UTC, microseconds; texts sort as the times do.

    The first and the last hours that Python knows are taken as they are: UTC's year would have no number.
    """
    try:
        when.astimezone(UTC)
    except OverflowError:
        when = when.replace(tzinfo=UTC)
    return when.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"
