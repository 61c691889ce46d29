"""Pure folds of the log: indexes, lineage, runs, aliases, totals."""

from chainfold.projections.projections import Projections
from chainfold.projections.runs import RunState
from chainfold.projections.sight import Sight
from chainfold.projections.totals import Total
from chainfold.projections.visibility import NEVER, NOW

__all__ = ["NEVER", "NOW", "Projections", "RunState", "Sight", "Total"]
