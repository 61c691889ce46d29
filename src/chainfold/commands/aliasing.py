"""Aliases: names that move between artifacts."""

from chainfold.commands.registering import check_open, check_text
from chainfold.dataset import Dataset
from chainfold.errors import NotFoundError
from chainfold.events import AliasSet
from chainfold.projections import Sight


def set_alias(data: Dataset, name: str, artifact_id: str | None, run_id: str | None) -> None:
    """Let a name point to a live artifact, or to nothing.

    Raises:
        InvalidInputError: If the name is empty or has control characters.
        NotFoundError: If the artifact is not live.
    """
    check_text("alias", name)
    with data.writing():
        check_open(data, run_id)
        if artifact_id is not None and Sight(data.projections, run_id=run_id).row(artifact_id) is None:
            raise NotFoundError(f"alias {name!r} was not set: no live artifact has the id {artifact_id!r}")
        data.append([AliasSet(name, artifact_id)], run=run_id, sync=run_id is None)
