"""Who was made from what: products by source. Sources are in the record of the product itself."""

from chainfold.projections.multimap import Multimap
from chainfold.records import ArtifactRecord


class Lineage(Multimap[str]):
    """Every registration that names an id among its sources, by that id, first to last."""

    def register(self, row: int, record: ArtifactRecord) -> None:
        """Take in a registration."""
        for source in dict.fromkeys(record.depends_on):
            self.add(source, row)
