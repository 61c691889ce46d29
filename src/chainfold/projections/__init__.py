"""Pure folds of the log: indexes, lineage, runs, aliases, totals."""

from chainfold.projections.projections import Projections
from chainfold.projections.run_state import RunState
from chainfold.projections.sight import Sight
from chainfold.projections.snapshot import Snapshot
from chainfold.projections.source import Decoded, unpacked
from chainfold.projections.totals import Total
from chainfold.projections.visibility import NEVER, NOW

__all__ = ["NEVER", "NOW", "Decoded", "Projections", "RunState", "Sight", "Snapshot", "Total", "unpacked"]
