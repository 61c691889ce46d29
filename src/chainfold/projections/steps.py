"""Rows by pipeline and step."""

from collections.abc import Iterator, Sequence

from chainfold.projections.multimap import Multimap
from chainfold.records import ArtifactRecord


class Steps:
    """Registrations by pipeline, and by step in it."""

    def __init__(self) -> None:
        self._pipelines: dict[str, Multimap[int]] = {}

    def register(self, row: int, record: ArtifactRecord) -> None:
        """Take in a registration."""
        steps = self._pipelines.get(record.pipeline_id)
        if steps is None:
            steps = self._pipelines[record.pipeline_id] = Multimap()
        steps.add(record.step_index, row)

    def rows(self, pipeline_id: str, step_index: int) -> Sequence[int]:
        """Those of one step of one pipeline."""
        steps = self._pipelines.get(pipeline_id)
        return () if steps is None else steps.rows(step_index)

    def rows_of_pipeline(self, pipeline_id: str) -> list[int]:
        """Those of a whole pipeline, in order of registration."""
        steps = self._pipelines.get(pipeline_id)
        return [] if steps is None else sorted(row for step in steps for row in steps.rows(step))

    def pipelines(self) -> Iterator[str]:
        """Every pipeline that ever registered."""
        return iter(self._pipelines)
