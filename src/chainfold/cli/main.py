"""The command `chainfold`: it finds the command that is asked for, and says what went wrong."""

import importlib
import keyword
import sys
from typing import Any, Final

import click

from chainfold.cli.failing import exit_code_of, heard, stand_in

_LOOK: Final = "Look"
_CHANGE: Final = "Change"
_BEGIN: Final = "Begin"
_CHECK: Final = "Check"
_MOVE: Final = "Move"
_COMMANDS: Final = {
    "init": _BEGIN,
    "demo": _BEGIN,
    "ls": _LOOK,
    "show": _LOOK,
    "find": _LOOK,
    "log": _LOOK,
    "diff": _LOOK,
    "tree": _LOOK,
    "graph": _LOOK,
    "runs": _LOOK,
    "stats": _LOOK,
    "du": _LOOK,
    "load": _LOOK,
    "alias": _CHANGE,
    "restore": _CHANGE,
    "rollback": _CHANGE,
    "rm": _CHANGE,
    "gc": _CHANGE,
    "purge": _CHANGE,
    "erase": _CHANGE,
    "verify": _CHECK,
    "checkpoint": _CHECK,
    "prove": _CHECK,
    "rebuild": _CHECK,
    "doctor": _CHECK,
    "import": _MOVE,
    "export": _MOVE,
    "completion": _BEGIN,
}
"""Name of a command to its part of the help; it is in the module of that name."""
_READING: Final = {name for name in _COMMANDS if _COMMANDS[name] == _LOOK} - {"load"} | {"verify", "doctor"}
"""Commands that write nothing: when they end early, nothing can be half done."""
_PARTS: Final = (_BEGIN, _LOOK, _CHANGE, _CHECK, _MOVE)


class _Commands(click.Group):
    """Commands that are imported when they are needed, and whose errors are told in one sentence."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Their names, as the help lists them."""
        return [name for part in _PARTS for name in _COMMANDS if _COMMANDS[name] == part]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as above
        """The command of a name, imported now."""
        if cmd_name not in _COMMANDS:
            return None
        name = f"{cmd_name}_" if keyword.iskeyword(cmd_name) else cmd_name
        command: click.Command = getattr(importlib.import_module(f"chainfold.cli.{name}"), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands, by what they are for."""
        commands = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}
        limit = formatter.width - 6 - max(map(len, commands))
        for part in _PARTS:
            rows = [
                (name, command.get_short_help_str(limit))
                for name, command in commands.items()
                if command is not None and _COMMANDS[name] == part
            ]
            with formatter.section(part):
                formatter.write_dl(rows)

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """As click has it; what goes wrong before a command runs is told in one sentence, too."""
        stand_in()
        try:
            return super().main(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - as in `invoke`
            sys.exit(exit_code_of(error, debug="--debug" in sys.argv))

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """As click has it; Ctrl-C ends it here as it does in a command."""
        try:
            return super().make_context(*args, **kwargs)
        except KeyboardInterrupt as error:
            sys.exit(exit_code_of(error, debug=False))

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; what goes wrong is told on stderr, and its code goes to the shell."""
        try:
            with heard():
                result = super().invoke(ctx)
                sys.stdout.flush()
                return result
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - whatever it is, it is told in one sentence
            reads = ctx.invoked_subcommand in _READING
            ctx.exit(exit_code_of(error, debug=ctx.params["debug"], reads=reads))


def _version(ctx: click.Context, _: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click's signature
    if value:
        from chainfold import __version__

        click.echo(f"chainfold, version {__version__}")
        ctx.exit()


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="`chainfold COMMAND --help` has examples of each.",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_version,
    help="Show the version and exit.",
)
@click.option("--debug", is_flag=True, help="Show where an error comes from.")
@click.option("-w", "--workspace", metavar="FOLDER", help="The workspace, as after the command.")
@click.option("-d", "--dataset", metavar="NAME", help="The dataset, as after the command.")
def main(debug: bool, workspace: str | None, dataset: str | None) -> None:  # noqa: FBT001 - read from the context
    """The event-sourced, append-only registry of what machine-learning pipelines fit."""
