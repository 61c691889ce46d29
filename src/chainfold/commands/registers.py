"""Registering, as the registry offers it."""

import threading
from collections.abc import Iterable
from typing import Any

from chainfold.artifact_ids import split_artifact_id
from chainfold.chain import OperatorChain
from chainfold.commands.registering import check_text, draft, joined, locate, locate_by_chain, register
from chainfold.dataset import Dataset
from chainfold.errors import InvalidInputError
from chainfold.private import checked_names, refuse_unknown
from chainfold.records import ArtifactRecord, ArtifactType, Fold, MetaModelConfig


class Registers:
    """The commands that store what was fitted. In a run they are part of it."""

    _data: Dataset
    _private: tuple[str, ...]
    _alone: list[int]
    _block: threading.local

    @property
    def _run_id(self) -> str | None:
        raise NotImplementedError

    def generate_id(
        self, chain: OperatorChain | str, fold_id: Fold = None, pipeline_id: str | None = None
    ) -> str:
        """The id that a chain and a fold give."""
        raise NotImplementedError

    def register(
        self,
        obj: Any,
        artifact_id: str,
        artifact_type: ArtifactType | str,
        depends_on: list[str] | None = None,
        params: dict[str, Any] | None = None,
        meta_config: MetaModelConfig | None = None,
        format_hint: str | None = None,
        custom_name: str | None = None,
        chain_path: str = "",
        source_index: int | None = None,
        *,
        private: Iterable[str] = (),
    ) -> ArtifactRecord:
        """Store an object under an id of the caller's own; step, branch and source come from the chain path.

        Registering an id again supersedes the earlier record, which stays in `history`.

        Args:
            obj: What to store.
            artifact_id: Its id, in any form: `pipeline$hash:fold`, `0001:3:all`.
            artifact_type: Its role.
            depends_on: Ids of its direct sources.
            params: Anything worth knowing later; what JSON has comes back equal, the rest as text.
            meta_config: For meta-models: their sources, which must be live.
            format_hint: The serialisation format to use, or refuse.
            custom_name: A name for people.
            chain_path: The operators that led here.
            source_index: Which of several data sources; by default the chain's.
            private: Fields that are withheld from the log, beside the registry's own: keys of `params`,
                which must be there, and `custom_name`. The log has a commitment to each, its value is kept
                beside the log, and `erase_private` erases it.

        Returns:
            The record, with id, digest, path and time.

        Raises:
            InvalidInputError: (a ValueError) for what can never work; `MissingDependencyError` and
                `SerializationError` are such. Nothing is left behind.
            RunClosedError: If the open run was ended by others.
            CorruptionError: If the log is damaged.
            StorageError: If the workspace cannot be written.
        """
        asked = checked_names(private)
        record = draft(
            artifact_id,
            artifact_type,
            depends_on=depends_on,
            params=params,
            meta_config=meta_config,
            custom_name=custom_name,
            private=(*self._private, *asked),
        )
        record.pipeline_id, record.fold_id = split_artifact_id(artifact_id)
        locate_by_chain(record, chain_path, source_index)
        return self._register(record, obj, format_hint, asked)

    def register_with_chain(
        self,
        obj: Any,
        chain: OperatorChain | str,
        artifact_type: ArtifactType | str,
        step_index: int,
        branch_path: list[int] | None = None,
        source_index: int | None = None,
        fold_id: Fold = None,
        substep_index: int | None = None,
        depends_on: list[str] | None = None,
        params: dict[str, Any] | None = None,
        meta_config: MetaModelConfig | None = None,
        format_hint: str | None = None,
        custom_name: str | None = None,
        pipeline_id: str | None = None,
        *,
        private: Iterable[str] = (),
    ) -> ArtifactRecord:
        """Store an object under the id that its chain gives: the usual way.

        Args:
            obj: What to store.
            chain: The operators that led here, as a chain or its path.
            artifact_type: Its role.
            step_index: The pipeline's step, 1-based.
            branch_path: Indices of nested branches.
            source_index: Which of several data sources.
            fold_id: Its fold; None for what folds share.
            substep_index: Which of several operators in the step.
            depends_on: As in `register`, like all that follow.
            params: See `register`.
            meta_config: See `register`.
            format_hint: See `register`.
            custom_name: See `register`.
            pipeline_id: Instead of this registry's own.
            private: See `register`.

        Returns:
            The record, with id, digest, path and time.

        Raises:
            InvalidInputError: As `register`.
        """
        artifact_id = self.generate_id(chain, fold_id, pipeline_id)
        asked = checked_names(private)
        record = draft(
            artifact_id,
            artifact_type,
            depends_on=depends_on,
            params=params,
            meta_config=meta_config,
            custom_name=custom_name,
            private=(*self._private, *asked),
        )
        record.chain_path = check_text(
            "chain", chain if isinstance(chain, str) else chain.to_path(), empty=True
        )
        record.pipeline_id, record.fold_id = split_artifact_id(artifact_id)
        locate(record, step_index, branch_path, source_index, substep_index)
        return self._register(record, obj, format_hint, asked)

    def register_meta_model(
        self,
        obj: Any,
        artifact_id: str,
        source_model_ids: list[str],
        feature_columns: list[str] | None = None,
        params: dict[str, Any] | None = None,
        format_hint: str | None = None,
        *,
        private: Iterable[str] = (),
    ) -> ArtifactRecord:
        """Store a stacking meta-model that is fed by these sources, in this order.

        Raises:
            MissingDependencyError: (a ValueError) if a source is not live; all that are missing are named.
            InvalidInputError: As `register`.
        """
        if isinstance(source_model_ids, str):
            raise InvalidInputError(f"source_model_ids is a list of ids, not the string {source_model_ids!r}")
        config = joined(source_model_ids, feature_columns)
        return self.register(
            obj,
            artifact_id,
            ArtifactType.META_MODEL,
            params=params,
            meta_config=config,
            format_hint=format_hint,
            private=private,
        )

    def _register(
        self, record: ArtifactRecord, obj: Any, format_hint: str | None, asked: tuple[str, ...]
    ) -> ArtifactRecord:
        refuse_unknown(record, asked)
        private = (*self._private, *asked)
        row, registered = register(
            self._data, record, obj, format_hint=format_hint, run_id=self._run_id, private=private
        )
        self._alone.append(row)
        rows = getattr(self._block, "rows", None)
        if rows is not None:
            rows.append(row)
        return registered
