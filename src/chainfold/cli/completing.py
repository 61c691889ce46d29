"""What a shell completes: datasets, artifacts, chains. Bounded: it answers at once in any workspace.

Nothing here raises: a shell that asks while something is wrong is told nothing.
"""

from collections import deque
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from chainfold.cli.naming import recent_ids
from chainfold.cli.plain import plain
from chainfold.cli.workspaces import dataset_names, find_dataset, find_workspace

if TYPE_CHECKING:
    from chainfold.registry import ArtifactRegistry

_OFFERED: Final = 100
_LOOKED_AT: Final = 2_000
"""Registrations, the newest: some 40 ms."""


def complete_datasets(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Datasets of the workspace."""
    try:
        workspace = find_workspace(_folder(ctx))
        return sorted(filter(_is_safe, _starting(dataset_names(workspace.folder), incomplete)))[:_OFFERED]
    except Exception:  # noqa: BLE001 - see above
        return []


def complete_ids(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Aliases, and artifacts: of those that were registered last."""
    try:
        with _registry(ctx) as registry:
            found = dict.fromkeys(_starting(registry.aliases(), incomplete))
            ids = _starting(recent_ids(registry, _LOOKED_AT), incomplete)
            found.update(dict.fromkeys(islice(filter(_is_safe, ids), _OFFERED)))
            return list(found)
    except Exception:  # noqa: BLE001 - see above
        return []


def complete_chains(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Chain paths: those that begin so, found by bisection."""
    try:
        with _registry(ctx) as registry:
            return list(islice(filter(_is_safe, registry.iter_chain_paths(incomplete)), _OFFERED))
    except Exception:  # noqa: BLE001 - see above
        return []


def complete_runs(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Runs: of those that began last."""
    try:
        with _registry(ctx) as registry:
            last = deque((run.run_id for run in registry.runs()), maxlen=_OFFERED)
            return list(filter(_is_safe, (each for each in reversed(last) if each.startswith(incomplete))))
    except Exception:  # noqa: BLE001 - see above
        return []


def _folder(ctx: click.Context) -> Path | None:
    folder = ctx.params.get("workspace") or ctx.find_root().params.get("workspace")
    return None if folder is None else Path(folder)


def _registry(ctx: click.Context) -> "ArtifactRegistry":
    from chainfold.registry import ArtifactRegistry
    from chainfold.storage import ReadOnlyFiles

    workspace = find_workspace(_folder(ctx))
    asked = ctx.params.get("dataset") or ctx.find_root().params.get("dataset")
    dataset = find_dataset(workspace, asked)
    return ArtifactRegistry(workspace.folder, dataset, storage=ReadOnlyFiles())


def _starting(names: Iterator[str] | dict[str, str], incomplete: str) -> Iterator[str]:
    return (name for name in names if name.startswith(incomplete))


def _is_safe(name: str) -> bool:
    """Whether a shell may be given it: it goes on the command line as it is."""
    return name == plain(name)
