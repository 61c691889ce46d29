"""`chainfold ls`: the datasets of a workspace, or the artifacts of a dataset."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import click

from chainfold.cli.choosing import choice_options, chosen
from chainfold.cli.columns import Column
from chainfold.cli.command import Command
from chainfold.cli.opening import Place, Reading, long_option, placed
from chainfold.cli.units import size_text, time_text
from chainfold.cli.workspaces import dataset_names
from chainfold.errors import NotFoundError

if TYPE_CHECKING:
    from chainfold.view import RegistryView


class _Dataset(NamedTuple):
    name: str
    artifacts: int
    size_bytes: int
    position: int
    changed_at: str


@click.command(
    cls=Command,
    examples=[
        ("chainfold ls", "List what is live, oldest first."),
        (
            "chainfold ls -f type=model -f 'size>1MB' --sort=-size -n 10",
            "List the ten largest models above 1 MB.",
        ),
        ("chainfold ls --at 2026-05-31", "List what was live at the end of May."),
        (
            "chainfold ls -q -f 'age>30d' | chainfold show -",
            "Pipe the ids of what is old into another command.",
        ),
        ("chainfold ls --datasets", "List the datasets of the workspace."),
    ],
)
@click.option("--datasets", is_flag=True, help="List the datasets of the workspace.")
@long_option
@choice_options
@placed
def ls(
    place: Place, *, datasets: bool, filters: tuple[str, ...], sort: str | None, limit: int | None
) -> None:
    """List artifacts, or datasets.

    Artifacts come in the order in which they were registered. In a workspace with several datasets, of which
    none is named, the datasets are listed; with --at and a position, those whose logs go that far, and a
    warning names the others.
    """
    if datasets or _is_open(place):
        if filters or sort or limit is not None:
            raise click.UsageError("filters, --sort and --limit are for artifacts: name a dataset by -d.")
        _list_datasets(place)
    else:
        with place.reading() as reading:
            _list_artifacts(reading, filters, sort, limit)


def _is_open(place: Place) -> bool:
    """Whether it is open which dataset is meant."""
    named = place.asked_dataset or place.workspace.dataset
    return not named and sum(1 for _ in dataset_names(place.workspace.folder)) != 1


def _list_artifacts(reading: Reading, filters: tuple[str, ...], sort: str | None, limit: int | None) -> None:
    from chainfold.cli.fields import artifact_columns, record_json

    reading.printer.table(
        "artifacts/1",
        chosen(reading.view, reading.now, filters, sort, limit),
        artifact_columns(reading.now),
        as_json=record_json,
        id_of=lambda record: record.artifact_id,
        empty=f"no artifact of dataset {reading.view.dataset!r} {'fits' if filters else 'is live'}",
    )


def _list_datasets(place: Place) -> None:
    printer = place.printer()
    names = sorted(dataset_names(place.workspace.folder))

    def items() -> Iterator[_Dataset]:
        shorter = 0
        for name in names:
            try:
                with place.of_dataset(name).reading() as reading:
                    found = _summed(reading.view)
            except NotFoundError as error:  # a position is of one log, and others may not have come so far
                shorter += 1
                if not place.is_of_the_past or shorter == len(names):
                    raise
                printer.warn(f"dataset {name!r} is left out: {error}")
            else:
                yield found

    count = printer.table(
        "datasets/1",
        items(),
        [
            Column("dataset", lambda each: each.name, cut="middle"),
            Column("artifacts", lambda each: each.artifacts, lambda each: f"{each.artifacts:,}", right=True),
            Column("size", lambda each: each.size_bytes, lambda each: size_text(each.size_bytes), right=True),
            Column(
                "entries", lambda each: each.position, lambda each: f"{each.position:,}", right=True, spare=1
            ),
            Column("changed", lambda each: each.changed_at, lambda each: time_text(each.changed_at), spare=2),
        ],
        as_json=lambda each: each._asdict(),
        id_of=lambda each: each.name,
        empty=f"workspace {str(place.workspace.folder)!r} has no dataset yet: the first artifact that is "
        f"registered makes one",
    )
    if count > 1:
        printer.note("chainfold ls -d NAME lists the artifacts of one")


def _summed(view: "RegistryView") -> _Dataset:
    size = view.position
    last = next(view.events(size - 1, size), None) if size else None
    total = view.totals()
    return _Dataset(view.dataset, total.artifacts, total.file_bytes, size, "" if last is None else last.at)
