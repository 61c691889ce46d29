"""nirs4all on chainfold: `install()` once, and its pipelines register with, and load from, this registry.

import chainfold.integrations.nirs4all

chainfold.integrations.nirs4all.install()
import nirs4all  # and all goes on as before

For a script that shall stay as it is, `CHAINFOLD_NIRS4ALL=1 python script.py` does that, and so does
`python -m chainfold.integrations.nirs4all script.py`. `import_workspace` takes over what nirs4all has left
behind on its own. docs/nirs4all.md has the rest.
"""

import importlib
from typing import TYPE_CHECKING, Any

from chainfold.integrations.nirs4all.installing import install

if TYPE_CHECKING:
    from chainfold.integrations.nirs4all.workspace import DatasetImport, ImportedItem, import_workspace

__all__ = ["DatasetImport", "ImportedItem", "import_workspace", "install"]


def __getattr__(name: str) -> Any:
    """What imports workspaces, when asked for: installing, which each process may do, needs none of it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.workspace"), name)
