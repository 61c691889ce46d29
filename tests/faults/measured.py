"""Use workspaces in a process of its own, and tell what came of it and how much memory it took.

Run as `python measured.py WORKSPACE...`; prints JSON.
"""

import json
import resource
import sys
from pathlib import Path

from tests.faults.hostile import used

from chainfold import ArtifactRegistry
from chainfold.storage import durable

_KIB = 1024
_HEADROOM_BYTES = 2 << 30
"""Of address space: a process that wants far more than it should is refused it; the machine stays well."""


def main() -> None:
    """Warm up on the first workspace, which is harmless; then measure."""
    first, *rest = map(Path, sys.argv[1:])
    durable.sync_data = durable.sync_folder = lambda _: None  # type: ignore[assignment] # no power will be cut
    used(first)
    resource.setrlimit(resource.RLIMIT_AS, (_HEADROOM_BYTES, _HEADROOM_BYTES))
    found = {}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for workspace in rest:
        outcomes = used(workspace)
        found[workspace.name] = {
            "bytes": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * _KIB,
            "outcomes": {
                name: "ArtifactRegistry" if isinstance(each, ArtifactRegistry) else repr(each)[:300]
                for name, each in outcomes.items()
            },
        }
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
