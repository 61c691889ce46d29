"""What went wrong, in one sentence, and the exit code that says of what kind it was."""

import errno
import logging
import os
import shutil
import sys
import textwrap
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, TextIO

import click

from chainfold.cli.plain import plain
from chainfold.errors import ChainfoldError

EXIT_CODES: Final = {
    0: "Done.",
    1: "What was checked does not hold: `verify` found a mismatch, `diff --exit-code` a difference. Or a "
    "question was answered with no.",
    2: "The command line is wrong: an unknown command or option, a value that it cannot take.",
    65: "What was given can never work: a filter, a time, a manifest, a name that is refused.",
    66: "Something named is not there: a workspace, a dataset, an artifact, a position, a file.",
    70: "chainfold has failed in a way that it did not foresee. Please report it, with `--debug`.",
    74: "The storage refused or failed, or stored bytes are not what was acknowledged.",
    75: "Something stands in the way now, such as an open run: the same command may succeed later.",
    76: "The log was written by a newer release.",
    77: "Bytes that came from elsewhere would run code that nobody has allowed.",
    130: "Interrupted by Ctrl-C. What was begun is taken back or can be repeated.",
    141: "Whoever read the output stopped reading, as `head` does.",
}
"""What each exit code means; made part of the manual."""
UNFORESEEN: Final = 70  # EX_SOFTWARE
_NO_OUTPUT: Final = {
    getattr(errno, name) for name in ("ENOSPC", "EDQUOT", "EFBIG", "EIO", "EBADF") if hasattr(errno, name)
}
"""Why a stream takes nothing; files are written by what says their names."""
STORAGE_FAILED: Final = 74  # EX_IOERR
INTERRUPTED: Final = 130  # 128 + SIGINT
NOBODY_READS: Final = 141  # 128 + SIGPIPE


def exit_code_of(error: BaseException, *, debug: bool, reads: bool = False) -> int:
    """Say on stderr what went wrong.

    Args:
        error: What was raised.
        debug: Whether to say where, too.
        reads: Whether it was of a command that only reads.

    Returns:
        The exit code.
    """
    if isinstance(error, BrokenPipeError) and not isinstance(error, ChainfoldError):
        _let_go(sys.stdout)
        return NOBODY_READS
    if isinstance(error, OSError) and error.filename is None and _is_of_output(error):
        _let_go(sys.stdout)  # what is left of it would fail at exit again
        tell("Error", f"cannot write to stdout: {error.strerror}. What was printed is not whole")
        return STORAGE_FAILED
    if isinstance(error, KeyboardInterrupt):
        tell("Interrupted", "" if reads else "nothing was left half done.")
        for note in getattr(error, "__notes__", ()):
            tell("Note", note)
        return INTERRUPTED
    tell_error(error, debug=debug)
    return error.exit_code if isinstance(error, ChainfoldError) else UNFORESEEN


def tell_error(error: BaseException, *, debug: bool) -> None:
    """Say on stderr what went wrong; see `exit_code_of`."""
    if debug:
        text = "".join(traceback.format_exception(error)).rstrip()
        sys.stderr.write("\n".join(map(plain, text.splitlines())) + "\n")
    else:
        tell("Error", _sentence(error))


def stand_in() -> None:
    """Put something in the place of streams that are closed: each command may count on all three.

    What is written to stdout then fails, as it should; stderr is only for people.
    """
    if sys.stdin is None:
        sys.stdin = open(os.open(os.devnull, os.O_WRONLY), encoding="utf-8")  # noqa: SIM115, PTH123 - until the end
    if sys.stdout is None:
        sys.stdout = open(os.open(os.devnull, os.O_RDONLY), "w", encoding="utf-8")  # noqa: SIM115, PTH123 - as above
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - as above


_SPOKEN: Final = {
    "delete_orphaned_artifacts(dry_run=False)": "chainfold gc --all",
    "scan_all_manifests=False": "--ignore-manifests",
    "dependents='cascade'": "--cascade",
    "dependents='warn'": "--keep-dependents",
    "history(id)": "chainfold log ID",
    "runs(), or `chainfold runs`": "chainfold runs",
    "run verify()": "run chainfold verify",
    "erase_private": "chainfold erase ID",
    "force=True": "--force",
    "verify goes on with after=": "`chainfold verify` goes on with --after ",
}
"""What the library advises its callers, as whoever is at a terminal would do it."""


def as_commands(text: str) -> str:
    """A message of the library, in the words of the command line."""
    for call, command in _SPOKEN.items():
        text = text.replace(call, command)
    return text


def tell(kind: str, text: str) -> None:
    """A line on stderr: what it is, and a text, if there is one."""
    words = plain(" ".join(as_commands(text).split()))
    if sys.stderr.isatty():  # a terminal would break the line amid a word
        columns = shutil.get_terminal_size().columns
        words = textwrap.fill(f"{kind}: {words}", columns, break_on_hyphens=False)[len(kind) + 2 :]
    head = f"{kind}:" if words else f"{kind}."
    if kind in _COLOURS and _shows_colours():
        head = click.style(head, fg=_COLOURS[kind])
    try:
        sys.stderr.write(f"{head} {words}".rstrip() + "\n")
        sys.stderr.flush()
    except OSError:  # nobody can be told; the exit code still tells
        _let_go(sys.stderr)


_COLOURS: Final = {"Error": "red", "Warning": "magenta"}


def _is_of_output(error: OSError) -> bool:
    return not isinstance(error, ChainfoldError) and error.errno in _NO_OUTPUT


def _sentence(error: BaseException) -> str:
    if isinstance(error, ChainfoldError):
        return str(error) or type(error).__name__
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.strerror or error}: {error.filename!r}"
    said = " ".join(str(error).split())
    return (
        f"chainfold failed unexpectedly: {type(error).__name__}{f': {said}' if said else ''}. "
        f"Run it again with --debug to see where, and please report that"
    )


def _let_go(stream: TextIO) -> None:
    """Let nothing more be written to a pipe that nobody reads, at exit in particular."""
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):
        return  # a stand-in of a test
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def _shows_colours() -> bool:
    return sys.stderr.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


class _Handler(logging.Handler):
    """What the library notes on its way, as a line on stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        """One line."""
        tell("Note", record.getMessage())


@contextmanager
def heard() -> Iterator[None]:
    """Inside the block, warnings and what is logged are lines on stderr, each once."""
    handler, logger = _Handler(logging.WARNING), logging.getLogger("chainfold")
    propagates, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("once", UserWarning)
            warnings.simplefilter("once", RuntimeWarning)
            warnings.showwarning = lambda message, *_, **__: tell("Warning", str(message))
            yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagates
