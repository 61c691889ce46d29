"""`chainfold du`: what takes the room."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from chainfold.cli.choosing import filter_option
from chainfold.cli.columns import Column
from chainfold.cli.command import Command
from chainfold.cli.opening import Reading, reading
from chainfold.cli.units import size_text

if TYPE_CHECKING:
    from chainfold.records import ArtifactRecord

_GROUPS: "Final[dict[str, Callable[[ArtifactRecord], str]]]" = {
    "pipeline": lambda record: record.pipeline_id,
    "type": lambda record: record.artifact_type.value,
    "step": lambda record: f"{record.pipeline_id} step {record.step_index}",
    "class": lambda record: record.class_name,
}
_SHARED: Final = -1


class _Use(NamedTuple):
    """What a group takes; of the last two, what several share, and all."""

    kind: str
    group: str
    artifacts: int
    files: int
    size_bytes: int


@click.command(
    cls=Command,
    examples=[
        ("chainfold du", "Show what each pipeline takes, largest first."),
        ("chainfold du --by type -f 'age>30d'", "Show what is older than 30 days, by type."),
    ],
)
@click.option(
    "--by", type=click.Choice(list(_GROUPS)), default="pipeline", show_default=True, help="What to add up by."
)
@filter_option
@reading
def du(reading: Reading, *, by: str, filters: tuple[str, ...]) -> None:
    """Show what takes the room, by pipeline, type, step or class.

    The bytes of a group are those of files that nothing outside it needs: what deleting it would free. Files
    that several groups need are added up once, in a line of their own; so the lines add up to the last, which
    is all.
    """
    uses = _uses(reading, by, filters)
    reading.printer.table(
        "usage/1",
        uses,
        [
            Column(by, lambda use: use.group if use.kind == "group" else f"({use.kind})", cut="middle"),
            Column("artifacts", lambda use: use.artifacts, lambda use: f"{use.artifacts:,}", right=True),
            Column("files", lambda use: use.files, lambda use: f"{use.files:,}", right=True),
            Column("size", lambda use: use.size_bytes, lambda use: size_text(use.size_bytes), right=True),
        ],
        as_json=lambda use: use._asdict(),
        id_of=lambda use: use.group,
        empty="nothing is live that fits",
    )


def _uses(reading: Reading, by: str, filters: tuple[str, ...]) -> list[_Use]:
    """Each group, largest first, then what is shared, then all; holds the name of each file."""
    from chainfold.cli.filters import candidates, fitting, parse_filters

    parsed = parse_filters(filters, reading.now)
    numbers: dict[str, int] = {}
    artifacts: list[int] = []
    files: dict[str, tuple[int, int]] = {}
    for record in fitting(candidates(reading.view, parsed), parsed):
        number = numbers.setdefault(_GROUPS[by](record), len(numbers))
        if number == len(artifacts):
            artifacts.append(0)
        artifacts[number] += 1
        owner, size_bytes = files.get(record.path, (number, record.size_bytes))
        files[record.path] = (number if owner == number else _SHARED, size_bytes)
    sums: dict[int, list[int]] = {number: [0, 0] for number in (*numbers.values(), _SHARED)}
    for owner, size_bytes in files.values():
        sums[owner][0] += 1
        sums[owner][1] += size_bytes
    uses = [_Use("group", group, artifacts[number], *sums[number]) for group, number in numbers.items()]
    if not uses:
        return []
    uses.sort(key=lambda use: (-use.size_bytes, use.group))
    shared: list[Any] = sums[_SHARED]
    if shared[0]:
        uses.append(_Use("shared", "", 0, *shared))
    total = [sum(each[at] for each in sums.values()) for at in (0, 1)]
    return [*uses, _Use("total", "", sum(artifacts), *total)]
