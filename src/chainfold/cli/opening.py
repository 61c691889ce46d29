"""How commands open a dataset: to read, without ever writing, or to change it."""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

import click

from chainfold.cli.completing import complete_datasets
from chainfold.cli.moments import HELP as AT_HELP
from chainfold.cli.moments import parse_moment
from chainfold.cli.printing import FORMATS, Format, Printer
from chainfold.cli.units import time_of, time_text
from chainfold.cli.workspaces import (
    DATASET_VARIABLE,
    WORKSPACE_VARIABLE,
    Workspace,
    find_dataset,
    find_workspace,
)

if TYPE_CHECKING:
    from chainfold.registry import ArtifactRegistry
    from chainfold.view import RegistryView

Body = Callable[..., Any]
_PLACED: Final = ("workspace", "dataset")
_TYPED: Final = click.core.ParameterSource.COMMANDLINE


class Reading(NamedTuple):
    """A dataset that is looked at.

    Attributes:
        view: It, as of one moment, whatever is appended meanwhile. Nothing can be written through it.
        registry: The same as of now, as it grows; read only too.
        printer: Prints in the format that was asked for.
        now: What ages are reckoned from: the present, or the moment that was asked for.
        is_past: Whether a moment was asked for.
        is_certain: Whether a moment was of which all is known, even if the log is damaged behind it.
    """

    view: "RegistryView"
    registry: "ArtifactRegistry"
    printer: Printer
    now: datetime
    is_past: bool
    is_certain: bool

    def require_whole(self) -> None:
        """Refuse to go on with less than was asked for, for what is handed to others.

        Raises:
            CorruptionError: If the log is damaged, so that nobody can tell what is missing.
        """
        if not self.is_certain:
            refuse_damage(self.registry)


class Writing(NamedTuple):
    """A dataset that may be changed.

    Attributes:
        registry: It.
        printer: Prints in the format that was asked for.
    """

    registry: "ArtifactRegistry"
    printer: Printer


class Place:
    """Which workspace and dataset a command line means, and in which format it wants to be answered.

    Args:
        ctx: The command's.
        at: What `--at` says.
        shape: What `--format` says.
        long: What `--long` says.
    """

    def __init__(
        self, ctx: click.Context, at: str | None = None, shape: Format = "human", *, long: bool = False
    ) -> None:
        self._asked = {name: _asked(ctx, name) for name in _PLACED}
        self._at, self.shape, self.long = at, shape, long

    @functools.cached_property
    def workspace(self) -> Workspace:
        """The workspace; see `find_workspace`."""
        asked = self._asked["workspace"]
        return find_workspace(None if asked is None else Path(asked))

    @functools.cached_property
    def dataset(self) -> str:
        """The dataset's name; see `find_dataset`."""
        return find_dataset(self.workspace, self.asked_dataset)

    def of_dataset(self, name: str) -> "Place":
        """The same, of another dataset of the workspace."""
        other = copy(self)
        other.dataset = name
        return other

    @property
    def asked_workspace(self) -> str | None:
        """The workspace that the option or the environment names."""
        return self._asked["workspace"] or None

    @property
    def is_of_the_past(self) -> bool:
        """Whether `--at` was given."""
        return self._at is not None

    @property
    def asked_dataset(self) -> str | None:
        """The dataset that the option or the environment names."""
        return self._asked["dataset"] or None

    def printer(self, **about: Any) -> Printer:
        """A printer; what is named is said in JSON."""
        return Printer(self.shape, about, long=self.long)

    @contextmanager
    def reading(self) -> Iterator[Reading]:
        """The dataset, open inside the block for reading.

        Raises:
            ChainfoldError: If it is not there, or has no such moment.
        """
        from chainfold.registry import ArtifactRegistry
        from chainfold.storage import ReadOnlyFiles

        with ArtifactRegistry(self.workspace.folder, self.dataset, storage=ReadOnlyFiles()) as registry:
            moment = registry.position if self._at is None else parse_moment(self._at, self.dataset)
            view = registry.as_of(moment)
            now = datetime.now(UTC)
            if self._at is not None:
                now = moment if isinstance(moment, datetime) else _time_at(view) or now
            printer = self.printer(dataset=view.dataset, position=view.position)
            if self._at is not None:
                printer.note(
                    f"as of position {view.position} of {registry.position} in dataset {view.dataset!r}, "
                    f"{time_text(now.isoformat())} UTC"
                )
            certain = self._at is not None and (
                not isinstance(moment, datetime) or view.position < registry.position
            )
            yield Reading(view, registry, printer, now, self._at is not None, certain)

    @contextmanager
    def peeking(self) -> Iterator[Writing]:
        """As `writing`, but nothing can be written: for what only says what would be."""
        from chainfold.registry import ArtifactRegistry
        from chainfold.storage import ReadOnlyFiles

        with ArtifactRegistry(self.workspace.folder, self.dataset, storage=ReadOnlyFiles()) as registry:
            yield Writing(registry, self.printer(dataset=registry.dataset))

    @contextmanager
    def writing(self) -> Iterator[Writing]:
        """The dataset, open inside the block for writing.

        Raises:
            ChainfoldError: If it is not there.
        """
        from chainfold.registry import ArtifactRegistry

        with ArtifactRegistry(self.workspace.folder, self.dataset) as registry:
            yield Writing(registry, self.printer(dataset=registry.dataset))


def refuse_damage(registry: "ArtifactRegistry") -> None:
    """CorruptionError if the log cannot be read to its end."""
    if registry.damage:
        from chainfold.errors import CorruptionError

        raise CorruptionError(f"{registry.damage}; chainfold verify tells all that is wrong")


def _asked(ctx: click.Context, name: str) -> str | None:
    """An option of the command, or else of `chainfold` before it, or else of the environment."""
    before = ctx.find_root().params.get(name)
    if before is not None and ctx.get_parameter_source(name) is not _TYPED:
        return str(before)
    value = ctx.params.get(name)
    return None if value is None else str(value)


def _time_at(view: "RegistryView") -> datetime | None:
    """The time of the last entry of a view."""
    size = view.position
    last = next(view.events(size - 1, size), None) if size else None
    return None if last is None else time_of(last.at)


def place_options(body: Body) -> Body:
    """Add `-w` and `-d`."""
    workspace = click.option(
        "-w",
        "--workspace",
        metavar="FOLDER",
        envvar=WORKSPACE_VARIABLE,
        show_envvar=True,
        type=click.Path(file_okay=False),
        help="The workspace; by default the one of the current folder.",
    )
    dataset = click.option(
        "-d",
        "--dataset",
        metavar="NAME",
        envvar=DATASET_VARIABLE,
        show_envvar=True,
        shell_complete=complete_datasets,
        help="The dataset; by default the one that chainfold.toml names, or the only one.",
    )
    return workspace(dataset(body))


def format_options(body: Body) -> Body:
    """Add `--format`, and what is short for it."""
    shape = click.option(
        "--format",
        "shape",
        type=click.Choice(FORMATS),
        default="human",
        show_default=True,
        help="For people, as JSON, as CSV, or ids alone, one a line.",
    )
    quiet = click.option("-q", "--quiet", is_flag=True, help="Ids alone: short for --format quiet.")
    return shape(quiet(body))


def at_option(body: Body) -> Body:
    """Add `--at`."""
    return click.option("--at", metavar="POSITION|TIME", help=AT_HELP)(body)


def long_option(body: Body) -> Body:
    """Add `--long`, for commands that print tables."""
    return click.option(
        "-l", "--long", is_flag=True, help="All columns, and nothing cut, however narrow the terminal is."
    )(body)


def placed(body: Body) -> Body:
    """A command that reads, and is given a `Place` to open when it wants to."""

    @functools.wraps(body)
    def command(workspace: str | None, dataset: str | None, **rest: Any) -> Any:
        del workspace, dataset  # `Place` asks the context, which knows where they are from
        return body(_place(rest), **rest)

    return place_options(at_option(format_options(command)))


def placed_now(body: Body) -> Body:
    """As `placed`, without `--at`: for what is always about the present."""

    @functools.wraps(body)
    def command(workspace: str | None, dataset: str | None, **rest: Any) -> Any:
        del workspace, dataset  # as in `placed`
        return body(_place(rest), **rest)

    return place_options(format_options(command))


def reading(body: Body) -> Body:
    """A command that reads: it is given a `Reading` first."""

    @functools.wraps(body)
    def opened(place: Place, **rest: Any) -> Any:
        with place.reading() as found:
            return body(found, **rest)

    return placed(opened)


def changing(body: Body) -> Body:
    """A command that may change a dataset, and is given a `Place` to open when it wants to."""

    @functools.wraps(body)
    def command(workspace: str | None, dataset: str | None, **rest: Any) -> Any:
        del workspace, dataset  # as in `placed`
        return body(_place(rest), **rest)

    return place_options(format_options(command))


def writing(body: Body) -> Body:
    """A command that changes a dataset: it is given a `Writing` first."""

    @functools.wraps(body)
    def command(workspace: str | None, dataset: str | None, **rest: Any) -> Any:
        del workspace, dataset  # as in `placed`
        with _place(rest).writing() as found:
            return body(found, **rest)

    return place_options(format_options(command))


def _place(options: dict[str, Any]) -> Place:
    """The place that the options mean, which are taken out of them."""
    quiet, shape = options.pop("quiet"), options.pop("shape")
    ctx = click.get_current_context()
    if quiet and shape != "quiet" and ctx.get_parameter_source("shape") is _TYPED:
        raise click.UsageError(f"--quiet is short for --format quiet, and excludes --format {shape}.")
    return Place(
        ctx,
        options.pop("at", None),
        cast("Format", "quiet" if quiet else shape),
        long=options.pop("long", False),
    )
