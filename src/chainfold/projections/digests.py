"""Rows by content digest."""

from chainfold.projections.multimap import Multimap
from chainfold.records import ArtifactRecord


class Digests(Multimap[str]):
    """Every registration of a content, first to last; the key is the digest as the record has it."""

    def register(self, row: int, record: ArtifactRecord) -> None:
        """Take in a registration."""
        self.add(record.content_hash, row)
