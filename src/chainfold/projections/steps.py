"""Rows by pipeline and step."""

from collections.abc import Sequence

from chainfold.projections.index import Index
from chainfold.projections.keys import step_key


class Steps:
    """Registrations by pipeline, and by step in it."""

    def __init__(self, indexes: dict[str, Index]) -> None:
        self._by_step, self._by_pipeline = indexes["step"], indexes["pipeline"]

    def rows(self, pipeline_id: str, step_index: int) -> Sequence[int]:
        """Those of one step of one pipeline."""
        return self._by_step.rows(step_key(pipeline_id, step_index))

    def rows_of_pipeline(self, pipeline_id: str) -> Sequence[int]:
        """Those of a whole pipeline, in order of registration."""
        return self._by_pipeline.rows(pipeline_id)
