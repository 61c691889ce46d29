"""`chainfold graph`: a lineage for programs that draw: DOT, Mermaid, or SVG by way of Graphviz."""

import shutil
import subprocess
from collections.abc import Iterator
from typing import Final

import click

from chainfold.cli.command import Command
from chainfold.cli.completing import complete_ids
from chainfold.cli.naming import artifact_name, find_id
from chainfold.cli.opening import Reading, reading
from chainfold.cli.plain import plain
from chainfold.cli.relatives import Key, Kin, in_words, kin, kin_json
from chainfold.errors import NotFoundError, StorageError

_SECONDS: Final = 120


@click.command(
    cls=Command,
    examples=[
        ("chainfold graph production --as svg > production.svg", "Draw what production was made from."),
        ("chainfold graph production --as mermaid", "The same, to be pasted into a Markdown page."),
        (
            "chainfold graph '0001_pls$4ebb5f7a7015:all' --down | dot -Tpdf -o scaler.pdf",
            "Draw what a scaler led to.",
        ),
    ],
)
@click.argument("name", metavar="ID", type=artifact_name, shell_complete=complete_ids)
@click.option(
    "--as",
    "drawn",
    type=click.Choice(["dot", "mermaid", "svg"]),
    default="dot",
    show_default=True,
    help="DOT for Graphviz, Mermaid for Markdown, or SVG, for which Graphviz must be installed.",
)
@click.option("--down", is_flag=True, help="What was made from it, instead of what it was made from.")
@click.option("--depth", metavar="NUMBER", type=click.IntRange(min=0), help="At most so many steps away.")
@reading
def graph(reading: Reading, *, name: str, drawn: str, down: bool, depth: int | None) -> None:
    """Print the lineage of an artifact as a graph.

    Arrows go from what was used to what was made of it. What is no longer live is dashed. The format that is
    drawn is chosen by --as; --format json has the nodes, as in tree.
    """
    found = kin(reading.view, find_id(reading.view, name), down=down, depth=depth)
    if reading.printer.is_human:
        text = "".join(_mermaid(found, down=down) if drawn == "mermaid" else _dot(found, down=down))
        reading.printer.raw(_svg(text) if drawn == "svg" else text)
        return
    reading.printer.document(
        "lineage/1",
        {"items": kin_json(found)},
        human=lambda: None,
        ids=(relative.artifact_id for relative in found.nodes.values()),
    )


def _arrows(found: Kin, *, down: bool) -> Iterator[tuple[int, int]]:
    """From what was used to what was made of it, by number."""
    numbers = {key: number for number, key in enumerate(found.nodes)}
    for key, following in found.edges.items():
        for each in following:
            pair = (numbers[key], numbers[each])
            yield pair if down else pair[::-1]


def _dot(found: Kin, *, down: bool) -> Iterator[str]:
    yield 'digraph lineage {\n  rankdir=LR;\n  node [shape=box, fontname="sans-serif"];\n'
    for number, key in enumerate(found.nodes):
        style = "" if _is_live(found, key) else ", style=dashed"
        yield f'  n{number} [label="{_dot_text(found, key)}"{style}];\n'
    for source, product in _arrows(found, down=down):
        yield f"  n{source} -> n{product};\n"
    yield "}\n"


def _mermaid(found: Kin, *, down: bool) -> Iterator[str]:
    yield "flowchart LR\n"
    for number, relative in enumerate(found.nodes.values()):
        lines = map(_mermaid_text, (relative.artifact_id, in_words(relative)))
        yield f'  n{number}["{"<br/>".join(lines)}"]\n'
    for source, product in _arrows(found, down=down):
        yield f"  n{source} --> n{product}\n"
    dashed = [f"n{number}" for number, key in enumerate(found.nodes) if not _is_live(found, key)]
    if dashed:
        yield f"  classDef gone stroke-dasharray: 4 4\n  class {','.join(dashed)} gone\n"


def _is_live(found: Kin, key: Key) -> bool:
    return found.nodes[key].is_current


def _dot_text(found: Kin, key: Key) -> str:
    """A label in quotes: there, only backslashes and quotes mean something."""
    relative = found.nodes[key]
    lines = (plain(relative.artifact_id), plain(in_words(relative)))
    return r"\n".join(line.replace("\\", r"\\").replace('"', r"\"") for line in lines)


def _mermaid_text(text: str) -> str:
    """Text that is nothing but text in Mermaid, and in the HTML that it makes: all else is codes."""
    return "".join(each if each.isalnum() or each in " _.,:-" else f"#{ord(each)};" for each in plain(text))


def _svg(dot: str) -> str:
    program = shutil.which("dot")
    if program is None:
        raise NotFoundError(
            "SVG is drawn by Graphviz, whose program dot is not installed: install it, or use --as dot, or "
            "--as mermaid"
        )
    try:
        done = subprocess.run(  # noqa: S603 - a program found on the user's own path, with our own text
            [program, "-Tsvg"], input=dot.encode(), capture_output=True, check=True, timeout=_SECONDS
        )
    except (subprocess.SubprocessError, OSError) as error:
        said = getattr(error, "stderr", b"") or b""
        raise StorageError(f"Graphviz could not draw it: {error}. {said.decode(errors='replace')}") from error
    return done.stdout.decode()
