"""The command `chainfold`: it finds the command that is asked for, and says what went wrong."""

import importlib
import traceback
from typing import Any, Final

import click

from chainfold import ChainfoldError, __version__

_COMMANDS: Final = {"demo": "chainfold.cli.demo"}
"""Name of a command to the module that has it, under that name. Modules are imported when asked for."""


class _Commands(click.Group):
    """Commands that are imported when they are needed, and whose errors are told in one sentence."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Their names, sorted."""
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as above
        """The command of a name, imported now."""
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = getattr(importlib.import_module(_COMMANDS[cmd_name]), cmd_name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; an error of chainfold goes to stderr, and its code to the shell."""
        try:
            return super().invoke(ctx)
        except ChainfoldError as error:
            if ctx.params["debug"]:
                text = "".join(traceback.format_exception(error)).rstrip()
            else:
                text = f"Error: {' '.join(str(error).split()) or type(error).__name__}"
            click.echo(text, err=True)
            ctx.exit(error.exit_code)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="chainfold")
@click.option("--debug", is_flag=True, help="Show where an error comes from.")
def main(debug: bool) -> None:  # noqa: FBT001 - `_Commands.invoke` reads it
    """The event-sourced, append-only registry of what machine-learning pipelines fit."""
