"""Pages with commands: what they say is typed, and what they say is printed."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from typing import NamedTuple

from tests.cli_running import environment

CHANGING = (
    (r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+Z)?", "TIME"),
    (r"[0-9A-Za-z+/]{43}=", "ROOT"),
    (r"\b\d{8}T\d{6}-[0-9a-f]{12}\b", "RUN"),
    (
        r"(?<![0-9a-zA-Z$])[0-9a-f]{12,64}\b(?!:)",
        "DIGEST",
    ),  # but not the hash of a chain, which is the same everywhere
    (r"\b[\d.,]+ (B|kB|MB)", "SIZE"),
    (r"\b\d+s\b|\b\d+[mhdy](?= ago)", "AGE"),
    (r"\S+[/\\]binaries", "FOLDER/binaries"),
    (r"sklearn==[\w.]+", "VERSION"),
    (r"refers to .*", "refers to NAMES"),  # modules within libraries move
    (r" {2,}", "  "),
)
"""What other machines, releases of other libraries and other days print otherwise."""


class Step(NamedTuple):
    """A command, and what the page shows of what it prints."""

    line: str
    shown: str


def steps(page: str) -> Iterator[Step]:
    """What a page has in blocks of `console`, each of them a command and what it prints."""
    for block in re.findall(r"^```console\n(.*?)^```", page, re.MULTILINE | re.DOTALL):
        command, _, shown = block.partition("\n")
        assert command.startswith("$ ")
        yield Step(command.removeprefix("$ "), shown)


def stable(text: str) -> str:
    """The text, without what changes."""
    for pattern, name in CHANGING:
        text = re.sub(pattern, name, text)
    return "\n".join(line.rstrip() for line in text.splitlines()).strip()


def run(line: str) -> str:
    """What a line of the page prints; installing is not tried: what is tried is what is installed."""
    program, *arguments = shlex.split(line)
    if program == "pip":
        assert arguments == ["install", "./chainfold[sklearn]"]
        return ""
    command = {"python": [sys.executable], "chainfold": [sys.executable, "-m", "chainfold"]}[program]
    done = subprocess.run(
        [*command, *arguments], capture_output=True, text=True, env=environment(), check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
