"""Rows by artifact id."""

from chainfold.projections.multimap import Multimap
from chainfold.records import ArtifactRecord


class Ids(Multimap[str]):
    """Every registration of an id, first to last."""

    def register(self, row: int, record: ArtifactRecord) -> None:
        """Take in a registration."""
        self.add(record.artifact_id, row)
