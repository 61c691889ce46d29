"""nirs4all on chainfold: `install()` once, and its pipelines register with, and load from, this registry.

import chainfold.integrations.nirs4all

chainfold.integrations.nirs4all.install()
import nirs4all  # and all goes on as before

`python -m chainfold.integrations.nirs4all script.py` does that for a script that shall stay as it is.
`import_workspace` takes over what nirs4all has left behind on its own. docs/nirs4all.md has the rest.
"""

from chainfold.integrations.nirs4all.installing import install
from chainfold.integrations.nirs4all.workspace import DatasetImport, ImportedItem, import_workspace

__all__ = ["DatasetImport", "ImportedItem", "import_workspace", "install"]
