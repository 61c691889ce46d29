"""The command line: one file per command, imported when it is asked for.

Where things go:

- `main.py` has the table of commands: a new one is a line there, and a module that has it under its name
  (with `_` behind it where Python reserves the name, as in `import_`).
- A command is a `click.command(cls=Command, examples=[...])`; `command.py` has that class. Its help is its
  docstring: a first sentence for the list, then what it does, with a word on what it prints. Every option
  has a help. The tests refuse what has no help or no example, and `docs/cli.md` is made of all that by
  `python -m chainfold.cli.manual`.
- `opening.py` has the options and the ways to open: `reading` for commands that only read (`-w`, `-d`,
  `--at`, `--format`), which are given a `Reading`: a view that cannot write, pinned to one moment, and a
  printer; `writing` for those that change a dataset (`-w`, `-d`, `--format`), which are given a `Writing`:
  the registry and a printer. `workspaces.py` finds workspace and dataset.
- `printing.py` has the four formats. Whatever is printed goes through it: tables, documents and ids to
  stdout, `note` and `warn` to stderr. What a person's terminal must not be sent is made visible there by
  `plain.py`.
- `units.py` reads and prints sizes, ages and times; `moments.py` reads what `--at` takes; `filters.py` what
  `-f` takes; `fields.py` has the columns of artifacts; `naming.py` finds the artifact that an argument
  names; `completing.py` what a shell may complete.
- `outfiles.py` writes files, whole or not at all; `progress.py` tells how far long work has come;
  `manifests.py`, `keys.py` read and write such files; `symptoms.py` has what the doctor looks for.
- `deleting.py` plans, shows, asks and carries out, for all that deletes; `interrupting.py` holds Ctrl-C back
  meanwhile.
- `failing.py` turns what went wrong into one sentence and an exit code; commands just raise.
- What several commands share lies below them; commands do not import each other (`.importlinter` has it).
"""

from chainfold.cli.main import main

__all__ = ["main"]
