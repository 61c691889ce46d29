"""The command line: one file per command."""

from chainfold.cli.main import main

__all__ = ["main"]
