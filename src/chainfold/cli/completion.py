"""`chainfold completion`: what makes a shell complete commands, options, datasets, artifacts and chains."""

import os
import sys
from pathlib import PurePath
from typing import Final

import click

from chainfold.cli.command import Command
from chainfold.cli.failing import tell
from chainfold.errors import InvalidInputError

_HOW: Final = {
    "bash": 'put this into ~/.bashrc: eval "$(chainfold completion bash)"',
    "zsh": 'put this into ~/.zshrc, after compinit: eval "$(chainfold completion zsh)"',
    "fish": "run: chainfold completion fish > ~/.config/fish/completions/chainfold.fish",
}


@click.command(
    cls=Command,
    examples=[
        ('eval "$(chainfold completion bash)"', "Let this shell complete, if it is bash."),
        (
            "chainfold completion fish > ~/.config/fish/completions/chainfold.fish",
            "Let fish complete from now on.",
        ),
    ],
)
@click.argument("shell", metavar="[bash|zsh|fish]", type=click.Choice(tuple(_HOW)), required=False)
def completion(shell: str | None) -> None:
    """Print the script that lets a shell complete.

    SHELL is bash (4.4 or later), zsh or fish; by default what the variable SHELL says. Where to put the
    script is said on stderr. It completes commands, options, datasets, artifacts and chains, of the workspace
    that the command line names so far.
    """
    from click.shell_completion import get_completion_class

    shell = shell or PurePath(os.environ.get("SHELL", "")).name
    maker = get_completion_class(shell) if shell in _HOW else None
    if maker is None:
        raise InvalidInputError(
            f"the shell {shell!r} is none of {', '.join(_HOW)}: name one, as in chainfold completion bash"
        )
    root = click.get_current_context().find_root().command
    click.echo(maker(root, {}, "chainfold", "_CHAINFOLD_COMPLETE").source())
    if sys.stdout.isatty():
        tell("Note", f"to have it in every shell, {_HOW[shell]}")
