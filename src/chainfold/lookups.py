"""What finds many records: one at a time, or only counted."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Final, NamedTuple, TypeVar

from chainfold.artifact_ids import fold_order
from chainfold.chain import OperatorChain
from chainfold.dataset import Dataset
from chainfold.digest import with_prefix
from chainfold.errors import InvalidInputError
from chainfold.grammar import checked_text, continues
from chainfold.projections import NOW, Sight
from chainfold.records import ArtifactRecord, Fold

T = TypeVar("T")
_AT_ONCE: Final = 256
"""Rows that are looked at while others wait."""


class _Moment(NamedTuple):
    """A size of the log, and what a run saw of its own; how many registrations there were."""

    size: int
    own: dict[str, int]
    rows: int


class Lookups:
    """The lazy queries of a view: nothing holds all that they find.

    They show one moment, that of the first record, whatever is appended while they are read.
    """

    def __init__(self, data: Dataset, size: int) -> None:
        self._data = data
        self._size = size

    def iter_chain_prefix(
        self,
        prefix: OperatorChain | str,
        branch_path: list[int] | None = None,
        source_index: int | None = None,
    ) -> Iterator[ArtifactRecord]:
        """As `get_chain_prefix`, one at a time."""
        moment = self._moment()
        for path in self._paths(prefix):
            records = self._of_chain(moment, path)
            yield from matching(records, branch_path=branch_path, source_index=source_index)

    def count_chain_prefix(self, prefix: OperatorChain | str) -> int:
        """How many `get_chain_prefix` finds; no record is decoded for that."""
        with self._data.mutex:
            sight, chains = self._sight(), self._data.projections.chains
            return sum(1 for path in self._paths(prefix) for _ in sight.rows(chains.rows(path)))

    def iter_artifacts_for_step(
        self,
        pipeline_id: str,
        step_index: int,
        branch_path: list[int] | None = None,
        fold_id: Fold = None,
    ) -> Iterator[ArtifactRecord]:
        """As `get_artifacts_for_step`, one at a time."""
        moment = self._moment()

        def rows() -> Sequence[int]:
            return self._data.projections.steps.rows(pipeline_id, step_index)

        yield from matching(self._stream(moment, rows), branch_path=branch_path, fold_id=fold_id)

    def count_artifacts_for_step(self, pipeline_id: str, step_index: int) -> int:
        """How many live artifacts a step of a pipeline has; no record is decoded for that."""
        with self._data.mutex:
            sight = self._sight()
            return sum(1 for _ in sight.rows(self._data.projections.steps.rows(pipeline_id, step_index)))

    def iter_chain(self, chain: OperatorChain | str) -> Iterator[ArtifactRecord]:
        """The live artifacts of exactly this chain path, by fold, one at a time."""
        return self._of_chain(self._moment(), path_of(chain))

    def iter_digest(self, content_hash: str) -> Iterator[ArtifactRecord]:
        """The live artifacts with this content, in order of registration, one at a time.

        Args:
            content_hash: The whole digest, with or without `sha256:`.
        """
        moment, digest = self._moment(), with_prefix(content_hash)
        yield from self._stream(moment, lambda: self._data.projections.digests.rows(digest))

    def iter_pipeline(self, pipeline_id: str) -> Iterator[ArtifactRecord]:
        """The live artifacts of a pipeline, in order of registration, one at a time."""
        moment = self._moment()
        yield from self._stream(moment, lambda: self._data.projections.steps.rows_of_pipeline(pipeline_id))

    def iter_chain_paths(self, prefix: OperatorChain | str = "") -> Iterator[str]:
        """The distinct chain paths of live artifacts that start with the prefix, in order, one at a time."""
        moment = self._moment()
        for path in self._paths(prefix):
            if next(self._live(moment, partial(self._rows_of_chain, path), lambda _: True), False):
                yield path

    def iter_records(self, *, newest_first: bool = False) -> Iterator[ArtifactRecord]:
        """As `get_all_records`, one at a time.

        Args:
            newest_first: In the opposite order.
        """
        moment = self._moment()
        rows = range(moment.rows)
        yield from self._stream(moment, lambda: rows[::-1] if newest_first else rows)

    def iter_dependents(self, artifact_id: str) -> Iterator[str]:
        """As `get_dependents`, one at a time."""
        checked_text("an artifact's id", artifact_id)
        moment = self._moment()

        def rows() -> Sequence[int]:
            return self._data.projections.lineage.rows(artifact_id)

        yield from self._live(moment, rows, lambda row: self._data.projections.artifact_id(row))  # noqa: PLW0108 - they may be others by then

    def count_dependents(self, artifact_id: str) -> int:
        """How many live artifacts were made from an artifact directly; no record is decoded for that."""
        with self._data.mutex:
            sight = self._sight()
            return sum(1 for _ in sight.rows(self._data.projections.lineage.rows(artifact_id)))

    # inside

    def _sight(self) -> Sight:
        """What is live to this view; for the present, with what others appended taken in."""
        if self._size == NOW or self._data.is_in_doubt:
            self._data.refresh()
        return Sight(self._data.projections, self._size)

    def _moment(self) -> _Moment:
        """What is live now, to be looked at one by one while others go on."""
        with self._data.mutex:
            sight = self._sight()
            size = min(self._size, self._data.projections.size)
            return _Moment(size, dict(sight.own), len(self._data.projections.visibility))

    def _live(
        self, moment: _Moment, rows: Callable[[], Sequence[int]], what: Callable[[int], T]
    ) -> Iterator[T]:
        """Something of those of the rows that were live at a moment; some at a time, while others wait.

        Rows are asked for each time: what they lie in may be closed meanwhile, and opened again.
        """
        start, count = 0, 1
        while start < count:
            with self._data.mutex:
                self._data.settle()
                asked = rows()
                count = count if start else len(asked)
                sight = Sight(self._data.projections, moment.size)
                sight.own = moment.own
                found = list(map(what, sight.rows(asked[start : start + _AT_ONCE])))
            yield from found
            start += _AT_ONCE

    def _stream(self, moment: _Moment, rows: Callable[[], Sequence[int]]) -> Iterator[ArtifactRecord]:
        return self._unsealed(self._live(moment, rows, self._data.sealed))

    def _unsealed(self, records: Iterable[ArtifactRecord]) -> Iterator[ArtifactRecord]:
        """Records with what is private of them, each read as it is handed out: it may be erased any time."""
        for record in records:
            if record.private:
                self._data.unseal(record)
            yield record

    def _of_chain(self, moment: _Moment, path: str) -> Iterator[ArtifactRecord]:
        """The records of one chain by fold, then by registration; where many share it, none are held."""
        rows = partial(self._rows_of_chain, path)
        with self._data.mutex:
            self._data.settle()
            few = len(rows()) <= _AT_ONCE
        if few:
            found = self._live(moment, rows, self._data.sealed)
            yield from self._unsealed(sorted(found, key=lambda record: fold_order(record.fold_id)))
            return
        folds = {record.fold_id for record in self._live(moment, rows, self._data.sealed)}
        for fold in sorted(folds, key=fold_order):
            yield from self._stream(moment, partial(self._rows_of_fold, path, fold))

    def _rows_of_chain(self, path: str) -> Sequence[int]:
        return self._data.projections.chains.rows(path)

    def _rows_of_fold(self, path: str, fold: Fold) -> Sequence[int]:
        return self._data.projections.chains.rows_of_fold(path, fold)

    def _paths(self, prefix: OperatorChain | str) -> Iterator[str]:
        """Chain paths with a prefix, some at a time."""
        text, after = path_of(prefix), ""
        while True:
            with self._data.mutex:
                self._data.settle()
                some = list(islice(self._data.projections.chains.paths_from(text, after), _AT_ONCE))
            for path in some:
                if isinstance(prefix, str) or continues(path, text):
                    yield path
            if len(some) < _AT_ONCE:
                return
            after = some[-1]


def path_of(chain: OperatorChain | str) -> str:
    """The path of a chain, which may be given as its path.

    Raises:
        InvalidInputError: If it is neither.
    """
    if isinstance(chain, str):
        return chain
    if not isinstance(chain, OperatorChain):
        raise InvalidInputError(f"a chain is an OperatorChain or its path, not {chain!r:.80}")
    return chain.to_path()


def matching(
    records: Iterable[ArtifactRecord],
    *,
    branch_path: list[int] | None = None,
    source_index: int | None = None,
    fold_id: Fold = None,
) -> Iterator[ArtifactRecord]:
    """Those of exactly that branch, source and fold; None asks for any."""
    if branch_path is None and source_index is None and fold_id is None:
        return iter(records)
    return (
        record
        for record in records
        if record.matches_context(branch_path=branch_path, source_index=source_index, fold_id=fold_id)
    )
