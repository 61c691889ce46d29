"""A dataset's ordered facts: lines, segments, sums, the Merkle tree and the checkpoint."""

from chainfold.log.appending import QUARANTINE, RESERVE_BYTES, LocalLog
from chainfold.log.checking import OddError, has_passed, proven
from chainfold.log.checkpoint import Checkpoint
from chainfold.log.checkpoint import parse as parse_checkpoint
from chainfold.log.lines import ENTRY_LIMIT, time_text
from chainfold.log.mark import LogMark, Numbers
from chainfold.log.merkle import MerkleTree
from chainfold.log.segments import SEGMENT_BYTES, LogReader, LogRewoundError

__all__ = [
    "ENTRY_LIMIT",
    "QUARANTINE",
    "RESERVE_BYTES",
    "SEGMENT_BYTES",
    "Checkpoint",
    "LocalLog",
    "LogMark",
    "LogReader",
    "LogRewoundError",
    "MerkleTree",
    "Numbers",
    "OddError",
    "has_passed",
    "parse_checkpoint",
    "proven",
    "time_text",
]
