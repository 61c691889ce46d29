"""Writes `docs/cli.md` from the commands themselves: `python -m chainfold.cli.manual > docs/cli.md`."""

import sys
import textwrap
from collections.abc import Iterator
from typing import Final

import click

from chainfold.cli.command import Command
from chainfold.cli.failing import EXIT_CODES
from chainfold.cli.main import main

_WIDTH: Final = 118
_INTRODUCTION: Final = """\
# The command line

Made from the commands themselves by `python -m chainfold.cli.manual > docs/cli.md`; a test keeps it so.

## The workspace and the dataset

A command finds its workspace by `-w`, else by `CHAINFOLD_WORKSPACE`, else in the current folder or the
nearest one above that has a marker, or datasets in its `log/`. The marker is the file `chainfold.toml`,
which `chainfold init` makes:

    workspace = "."      # the folder that holds log/ and binaries/, below the marker's own or that itself
    dataset = "wheat"    # optional: the dataset that is meant when none is named

The dataset is the one that `-d` names, else `CHAINFOLD_DATASET`, else the marker; else the only one that
there is.

## Reading

Commands that read write nothing: they make no folder, take no lock, leave runs alone whose owners died, and
work on storage that is read-only. What they show is of one moment, whatever is appended meanwhile: of now,
or of what `--at` says. Times are UTC, in what is printed, and in what is typed without a zone; a date in
`--at` is the end of that day. Ages are reckoned from that moment.

## Deleting

What deletes (`rm`, `gc`, `purge`, `erase`, `rollback`) first shows its plan: what goes, the bytes that this
frees, the aliases that will point to nothing, and what was made from it. Then it asks; where stdin is no
terminal it refuses, unless `--yes` is given. `--dry-run` shows the plan alone, and writes nothing: runs of
dead processes, which whoever writes rolls back first, are open to it. What is done is what was shown, or
nothing: if others change in the meantime what the plan is about, it says what has changed. Ctrl-C amid the
work ends `gc` between two files; the others finish what they have begun.

## Output

What was asked for goes to stdout, notes to stderr; `--format` has four shapes.

- `human`: tables and words. On a terminal, columns that do not fit are left out or cut (`--long` has all of
  them), and there are colours, unless `NO_COLOR` is set. Sizes are in powers of 1,000.
- `json`: one document, which begins with `"schema": "chainfold/NAME/VERSION"`; [cli-json.md](cli-json.md)
  has the shapes. Lists have one item a line. The text is ASCII.
- `csv`: with a head; sizes in bytes, times as the log has them. What a spreadsheet would compute begins
  with `'`: take ids for other commands from `quiet` or `json`.
- `quiet` (`-q`): ids alone, one a line, so that pipes compose: `chainfold ls -q -f type=model | chainfold
  show -`.

What is cut or broken to fit a terminal is whole in a pipe or a file.

What is private is not printed, as no erasure reaches what was; `show --private` is for who must see it.

Long work says on a terminal, and nowhere else, how far it has come, at what rate, and how long it will take.
A file that a command writes has its name when it is whole; one that is there is replaced with `--force` only.

Control characters, and whatever else would move a cursor or turn the direction of writing, are shown as
escapes. Into a pipe or a file, `quiet` and `csv` write only control characters so, which no id that was
registered has: an id with U+202E, say, is there as other commands take it.

## Exit codes

| code | means |
|---|---|
"""


def manual() -> str:
    """The page."""
    codes = "".join(f"| {code} | {meaning} |\n" for code, meaning in EXIT_CODES.items())
    return _INTRODUCTION + codes + "".join(_parts())


def _parts() -> Iterator[str]:
    yield (
        "\nErrors are one sentence on stderr; `--debug` shows where they come from.\n\n## Completion\n\n"
        "Shells complete commands, options, datasets, artifacts and chains:\n\n"
        '    eval "$(chainfold completion bash)"      # in ~/.bashrc\n'
        '    eval "$(chainfold completion zsh)"       # in ~/.zshrc, after compinit\n'
        "    chainfold completion fish | source       # in fish's config\n"
        "\n## Commands\n"
    )
    root = click.Context(main, info_name="chainfold", **main.context_settings)
    for name in main.list_commands(root):
        command = main.get_command(root, name)
        if command is not None:
            yield from _of(command, click.Context(command, info_name=name, parent=root))


def _of(command: click.Command, ctx: click.Context) -> Iterator[str]:
    usage = " ".join(command.collect_usage_pieces(ctx))
    yield f"\n### {ctx.info_name}\n\n    {ctx.command_path} {usage}\n"
    for paragraph in (command.help or "").split("\n\n"):
        yield f"\n{textwrap.fill(_escaped(' '.join(paragraph.split())), _WIDTH, break_on_hyphens=False)}\n"
    yield "\n| option | what it does |\n|---|---|\n"
    for param in command.get_params(ctx):
        record = param.get_help_record(ctx)
        if isinstance(param, click.Option) and record is not None:
            yield f"| `{record[0].replace('|', '&#124;')}` | {_escaped(' '.join(record[1].split()))} |\n"
    if isinstance(command, Command):
        for line, what in command.examples:
            yield f"\n{what}\n\n    {line}\n"


def _escaped(text: str) -> str:
    """Text of a help as Markdown."""
    for each in "\\*<>|[":
        text = text.replace(each, f"\\{each}")
    return text


if __name__ == "__main__":
    sys.stdout.write(manual())
