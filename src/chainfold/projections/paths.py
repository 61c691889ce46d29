"""Files: which registration brought them, who refers to them, what took them."""

from array import array
from collections.abc import Sequence

from chainfold.projections.visibility import NEVER
from chainfold.records import ArtifactRecord


class Paths:
    """What is known of the dataset's files by their path below `binaries/<dataset>/`."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._names: list[str] = []
        self._number_of_row = array("i")
        self._references = array("i")  # by live artifacts
        self._holds = array("i")  # by artifacts of open runs
        self._digests: list[str] = []
        self._bringers: dict[int, int] = {}
        self._sweeps: dict[str, int] = {}
        self._swept_all_at: int | None = None

    def register(self, row: int, record: ArtifactRecord, *, reused: bool) -> None:
        """Take in a registration. The first that did not find the file there has brought it."""
        number = self._numbers.get(record.path)
        if number is None:
            number = self._numbers[record.path] = len(self._names)
            self._names.append(record.path)
            self._references.append(0)
            self._holds.append(0)
            self._digests.append(record.content_hash)
        else:
            self._digests[number] = record.content_hash
        self._number_of_row.append(number)
        if not reused and number not in self._bringers:
            self._bringers[number] = row

    def refer(self, row: int) -> bool:
        """An artifact that is live from now on refers to its file; True if it is the only one."""
        number = self._number_of_row[row]
        self._references[number] += 1
        return self._references[number] == 1

    def adopt(self, row: int, visible_from: Sequence[int]) -> None:
        """Make a registration that is seen the bringer of its file, where an unseen one brought it.

        Else a rollback of the run that brought it would take a file that others have in their history.
        """
        number = self._number_of_row[row]
        bringer = self._bringers.get(number)
        if bringer is not None and visible_from[bringer] == NEVER:
            self._bringers[number] = row

    def release(self, row: int) -> bool:
        """It is no longer live; True if it was the only one."""
        number = self._number_of_row[row]
        self._references[number] -= 1
        return self._references[number] == 0

    def hold(self, row: int) -> None:
        """An artifact of an open run refers to its file."""
        self._holds[self._number_of_row[row]] += 1

    def unhold(self, row: int) -> None:
        """The run has ended, or taken the artifact away."""
        self._holds[self._number_of_row[row]] -= 1

    def sweep(self, path: str, position: int) -> None:
        """The event at this position took the file."""
        self._sweeps[path] = position
        number = self._numbers.get(path)
        if number is not None:
            self._bringers.pop(number, None)

    def sweep_all(self, position: int) -> None:
        """The event at this position took every file."""
        self._swept_all_at = position
        self._bringers.clear()

    def path_of(self, row: int) -> str:
        """The file of a registration."""
        return self._names[self._number_of_row[row]]

    def is_referenced(self, path: str) -> bool:
        """Whether anything live, or in an open run, refers to the file."""
        number = self._numbers.get(path)
        return number is not None and (self._references[number] > 0 or self._holds[number] > 0)

    def is_live(self, path: str) -> bool:
        """Whether anything live refers to the file: then its bytes are durable."""
        number = self._numbers.get(path)
        return number is not None and self._references[number] > 0

    def bringer(self, path: str) -> int | None:
        """The registration that brought the file, if one did since it was last swept."""
        number = self._numbers.get(path)
        return None if number is None else self._bringers.get(number)

    def digest_at(self, path: str) -> str | None:
        """The digest of the last registration that named the file; None if none did."""
        number = self._numbers.get(path)
        return None if number is None else self._digests[number]

    def swept_at(self, path: str) -> int | None:
        """Position of the last event that took the file."""
        swept = (self._sweeps.get(path), self._swept_all_at)
        return max((position for position in swept if position is not None), default=None)
