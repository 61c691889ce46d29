"""Ids and file names under the names that nirs4all has for them."""

import re
from dataclasses import dataclass, field
from typing import Final, Self

from chainfold import blobs
from chainfold.artifact_ids import (
    generate_artifact_id_v3,
    is_v3_artifact_id,
    parse_artifact_id_v3,
    split_artifact_id,
)
from chainfold.errors import InvalidInputError
from chainfold.records import Fold

_LEGACY_NAME: Final = re.compile(r"(.+)_([0-9a-f]{8,64})\.(.+)", re.DOTALL)


@dataclass
class ExecutionPath:
    """Where in which pipeline an artifact was fitted.

    Attributes:
        pipeline_id: The pipeline.
        chain_path: The operators that led here, as text.
        branch_path: Indices of nested branches, outermost first.
        step_index: The pipeline's step; 0 when unknown.
        source_index: Which of several data sources.
        fold_id: The fold; None for what folds share.
        substep_index: Which of several operators in one step.
    """

    pipeline_id: str
    chain_path: str = ""
    branch_path: list[int] = field(default_factory=list)
    step_index: int = 0
    source_index: int | None = None
    fold_id: Fold = None
    substep_index: int | None = None

    def __post_init__(self) -> None:
        self.branch_path = list(self.branch_path or ())

    def to_artifact_id(self) -> str:
        """The id of the artifact: pipeline, hash of the chain path, fold."""
        return generate_artifact_id_v3(self.pipeline_id, self.chain_path, self.fold_id)

    @classmethod
    def from_artifact_id_v3(cls, artifact_id: str, chain_path: str = "") -> Self:
        """What an id says, and the chain path, whose hash alone it has.

        Raises:
            InvalidInputError: If the id has another form.
        """
        pipeline_id, _, fold_id = parse_artifact_id_v3(artifact_id)
        return cls(pipeline_id, chain_path, fold_id=fold_id)


def parse_artifact_id(artifact_id: str) -> tuple[str, list[int], int, Fold, int | None]:
    """Pipeline, branch path, step, fold, substep; what an id does not say is empty, 0 or None.

    Raises:
        InvalidInputError: If the id is not of the form `pipeline$hash:fold`.
    """
    pipeline_id, _, fold_id = parse_artifact_id_v3(artifact_id)
    return pipeline_id, [], 0, fold_id, None


def validate_artifact_id(artifact_id: str) -> bool:
    """Whether an id has the form `pipeline$hash:fold`."""
    return is_v3_artifact_id(artifact_id)


def extract_pipeline_id_from_artifact_id(artifact_id: str) -> str:
    """The pipeline of an id in any form."""
    return split_artifact_id(artifact_id)[0]


def extract_fold_id_from_artifact_id(artifact_id: str) -> Fold:
    """The fold of an id in any form; None for what folds share."""
    return split_artifact_id(artifact_id)[1]


def artifact_id_matches_context(
    artifact_id: str,
    pipeline_id: str | None = None,
    branch_path: list[int] | None = None,  # noqa: ARG001 - an id does not say; the signature is nirs4all's
    step_index: int | None = None,  # noqa: ARG001 - likewise
    fold_id: Fold = None,
) -> bool:
    """Whether an id is of that pipeline and fold; None asks nothing. The record alone has branch and step."""
    try:
        pipeline, _, fold = parse_artifact_id_v3(artifact_id)
    except InvalidInputError:
        return False
    return pipeline_id in (None, pipeline) and fold_id in (None, fold)


def parse_filename(filename: str) -> tuple[str, str, str] | None:
    """Type, class name and hash digits of a blob's file name; None if it is not one.

    In the names of the oldest workspaces, `<Class>_<hash>.<extension>`, the type is empty.
    """
    found = blobs.parse_filename(filename)
    if found is None and (legacy := _LEGACY_NAME.fullmatch(filename)) is not None:
        found = "", legacy[1], legacy[2]
    return found
