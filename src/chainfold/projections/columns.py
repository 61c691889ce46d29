"""All columns, by the names that a snapshot gives them."""

from chainfold.projections.section import Column
from chainfold.projections.snapshot import COLUMNS, SECTIONS, Snapshot

Columns = dict[str, Column]


def columns_on(snapshot: Snapshot | None) -> Columns:
    """Every column, with what a snapshot has of it below."""
    if snapshot is None:
        return {name: Column(SECTIONS[name]) for name in COLUMNS}
    return {name: Column(SECTIONS[name], snapshot.sections[name]) for name in COLUMNS}
