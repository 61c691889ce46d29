"""Which library, in which version, an object's class comes from."""

import functools
import sys
from typing import Any

from chainfold.serializers.protocol import module_of

_SCRIPTS = frozenset({"", "__main__", "__mp_main__"})


def format_version(obj: Any) -> str:
    """`library==version` of the library that the object's class is from: `sklearn==1.9.1`.

    Empty for Python's own classes, for a script's, and where a library states no version.
    """
    library = module_of(type(obj)).partition(".")[0]
    if library in _SCRIPTS or library in sys.stdlib_module_names:
        return ""
    stated = getattr(sys.modules.get(library), "__version__", None)
    version = stated if isinstance(stated, str) else _installed(library)
    return f"{library}=={version}" if version else ""


@functools.cache
def _installed(library: str) -> str:
    """The version of the distribution of that name. Searching `sys.path` takes milliseconds: cached."""
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - slow to import, rarely needed

    try:
        return version(library)
    except PackageNotFoundError:
        return ""
