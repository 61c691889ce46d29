"""Run a script, or a module (`-m`), that uses nirs4all, with chainfold as its registry."""

import runpy
import sys
from pathlib import Path
from typing import Final

from chainfold.errors import InvalidInputError
from chainfold.integrations.nirs4all.installing import install

_USAGE: Final = "usage: python -m chainfold.integrations.nirs4all (SCRIPT | -m MODULE) [ARGUMENT ...]"


def _install() -> None:
    """Put chainfold in place; what is missing for that is said without a traceback."""
    try:
        install()
    except InvalidInputError as error:
        sys.exit(f"Error: {error}")


def main(arguments: list[str]) -> None:
    """Put chainfold in place, then run what is named as `python` itself would."""
    if arguments[:1] == ["-m"] and len(arguments) > 1:
        _install()
        sys.argv = arguments[1:]
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    elif arguments and not arguments[0].startswith("-"):
        _install()
        sys.argv = arguments
        if not sys.flags.safe_path:  # what is there is the current folder, because of our own -m
            sys.path[0] = str(Path(arguments[0]).resolve().parent)
        runpy.run_path(arguments[0], run_name="__main__")
    else:
        sys.exit(_USAGE)


if __name__ == "__main__":
    main(sys.argv[1:])
