"""What the registry knows of an artifact."""

from enum import StrEnum
from typing import Annotated, Any, Final, Self

import msgspec

from chainfold.chain import compute_chain_hash
from chainfold.digest import short
from chainfold.markup import card

Fold = int | str | None
"""A cross-validation fold: its number, a word such as `final` or `avg`, or None for what folds share."""


class ArtifactType(StrEnum):
    """What role an artifact plays in its pipeline."""

    MODEL = "model"
    TRANSFORMER = "transformer"
    SPLITTER = "splitter"
    ENCODER = "encoder"
    META_MODEL = "meta_model"


class MetaModelConfig(msgspec.Struct):
    """How a stacking meta-model was fed.

    Attributes:
        source_models: In feature order, `{"artifact_id": ..., "feature_index": ...}` of each source.
        feature_columns: Names of the columns that the sources filled, in the same order.
    """

    source_models: list[dict[str, Any]] = msgspec.field(default_factory=list)
    feature_columns: list[str] = msgspec.field(default_factory=list)

    @property
    def source_ids(self) -> list[str]:
        """The ids of the sources, in feature order."""
        return [str(source["artifact_id"]) for source in self.source_models if "artifact_id" in source]

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts and lists that share nothing with this object."""
        return {
            "source_models": [copied(source) for source in self.source_models],
            "feature_columns": list(self.feature_columns),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """The inverse of `to_dict`; keys that are missing are empty."""
        return cls(
            source_models=[copied(dict(source)) for source in data.get("source_models") or ()],
            feature_columns=list(data.get("feature_columns") or ()),
        )


class Withheld(msgspec.Struct, frozen=True, omit_defaults=True):
    """A private field: the log has no more than a commitment to it.

    Attributes:
        commitment: Digest of the file beside the log that has its value, and a salt.
        erased_by: Position of the event that erased it; None while that has not happened.
    """

    commitment: str
    erased_by: int | None = None


CUSTOM_NAME: Final = "custom_name"
PARAMS: Final = "params."
"""What the name of a private field begins with, if it is not `CUSTOM_NAME`; its key in `params` follows."""
PARTS: Final = "@parts"
"""The parameter in which a composite, stored without its parts, names them in the order of `depends_on`."""


class ArtifactRecord(msgspec.Struct, omit_defaults=True):
    """What is known of one registration of one artifact.

    Attributes:
        artifact_id: `{pipeline_id}${chain hash}:{fold or "all"}`, or an id of the caller's own form.
        content_hash: Digest of the blob, `"sha256:<hex>"`.
        path: File name of the blob below `binaries/<dataset>/`.
        chain_path: Operators that led here, oldest first: `s1.MinMaxScaler>s3.PLS[br=0]`.
        source_index: Which of several data sources, None for a single one.
        pipeline_id: The pipeline that registered it.
        branch_path: Indices of nested branches, outermost first; empty outside branches.
        step_index: The pipeline's step, 1-based; 0 when unknown.
        substep_index: Which of several operators in one step.
        fold_id: Cross-validation fold; None for what all folds share.
        artifact_type: Its role.
        class_name: Name of the object's class.
        custom_name: A name the user gave.
        depends_on: Ids of the direct sources.
        format: Name of the serialisation format.
        format_version: Library and version that wrote the bytes: `sklearn==1.9.1`.
        nirs4all_version: Kept for manifests of that package.
        size_bytes: Length of the blob.
        created_at: When it was registered, RFC 3339, UTC.
        params: The parameters it was fitted with, as JSON types.
        meta_config: For meta-models, how they were fed.
        version: Version of the record's schema.
        private: What is withheld from the log, by field: `custom_name`, or `params.` and a key. A value that
            was erased, or whose file is missing, is not in `params`, and the name is empty.
        refers_to: Of a blob that is a pickle: the classes and functions that it refers to, as `module.name`;
            of a great many only their packages, as `package.*`, or just `*`. Nothing is decided by it.
    """

    artifact_id: str
    content_hash: str
    path: str
    chain_path: str = ""
    source_index: int | None = None
    pipeline_id: str = ""
    branch_path: list[int] = msgspec.field(default_factory=list)
    step_index: int = 0
    substep_index: int | None = None
    fold_id: int | str | None = None
    artifact_type: ArtifactType = ArtifactType.MODEL
    class_name: str = ""
    custom_name: str = ""
    depends_on: list[str] = msgspec.field(default_factory=list)
    format: str = "joblib"
    format_version: str = ""
    nirs4all_version: str = ""
    size_bytes: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] = 0
    created_at: str = ""
    params: dict[str, Any] = msgspec.field(default_factory=dict)
    meta_config: MetaModelConfig | None = None
    version: int = 3
    private: dict[str, Withheld] = msgspec.field(default_factory=dict)
    refers_to: list[str] = msgspec.field(default_factory=list)

    def __repr__(self) -> str:
        name = self.class_name if CUSTOM_NAME in self.private else self.custom_name or self.class_name
        return f"ArtifactRecord(id={self.artifact_id!r}, type={self.artifact_type.value}, name={name!r})"

    def _repr_html_(self) -> str:
        """What a notebook shows: not what is private, as notebooks keep it where no erasure reaches."""
        told = self.without_private()
        return card(
            self.artifact_id,
            [
                ("type", self.artifact_type.value),
                ("class", self.class_name),
                ("name", told.custom_name),
                ("chain", self.chain_path),
                ("step", self.step_index),
                ("fold", self.get_fold_str()),
                ("made from", ", ".join(self.depends_on)),
                ("parameters", ", ".join(f"{name}={value!r}" for name, value in told.params.items())),
                ("created", self.created_at),
                ("format", self.format),
                ("digest", self.content_hash),
                ("bytes", f"{self.size_bytes:,}"),
            ],
        )

    @property
    def chain_hash(self) -> str:
        """First 12 hex digits of the chain path's sha256; empty without a chain path."""
        return compute_chain_hash(self.chain_path) if self.chain_path else ""

    @property
    def short_hash(self) -> str:
        """First 12 hex digits of the content's digest."""
        return short(self.content_hash)

    @property
    def is_meta_model(self) -> bool:
        """Whether this is a stacking meta-model."""
        return self.artifact_type is ArtifactType.META_MODEL

    @property
    def is_branch_specific(self) -> bool:
        """Whether it belongs to one branch only."""
        return bool(self.branch_path)

    @property
    def is_fold_specific(self) -> bool:
        """Whether it belongs to one fold only."""
        return self.fold_id is not None

    @property
    def is_source_specific(self) -> bool:
        """Whether it belongs to one data source only."""
        return self.source_index is not None

    def get_branch_path_str(self) -> str:
        """The branch path joined by `:`; empty outside branches."""
        return ":".join(map(str, self.branch_path))

    def get_fold_str(self) -> str:
        """The fold as the id spells it: `all` when shared."""
        return "all" if self.fold_id is None else str(self.fold_id)

    def matches_context(
        self,
        step_index: int | None = None,
        branch_path: list[int] | None = None,
        source_index: int | None = None,
        fold_id: Fold = None,
    ) -> bool:
        """Whether it is exactly of that step, branch, source and fold; None asks nothing."""
        return (
            (step_index is None or self.step_index == step_index)
            and (branch_path is None or self.branch_path == list(branch_path))
            and (source_index is None or self.source_index == source_index)
            and (fold_id is None or self.fold_id == fold_id)
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types that share no list or dict with this record.

        `meta_config`, `private` and `refers_to` are left out when there is none, as in the reference's
        manifests.
        """
        data = {name: copied(getattr(self, name)) for name in self.__struct_fields__}
        data["artifact_type"] = self.artifact_type.value
        if self.meta_config is None:
            del data["meta_config"]
        else:
            data["meta_config"] = self.meta_config.to_dict()
        if not self.refers_to:
            del data["refers_to"]
        del data["private"]
        if self.private:
            data["private"] = {name: msgspec.structs.asdict(each) for name, each in self.private.items()}
        return data

    def without_private(self) -> Self:
        """A copy that tells which fields are private and not what they say: for what no erasure reaches."""
        clone = self.__copy__()
        for name in clone.private:
            if name == CUSTOM_NAME:
                clone.custom_name = ""
            else:
                clone.params.pop(name.removeprefix(PARAMS), None)
        return clone

    def __copy__(self) -> Self:
        """A record that shares no list or dict with this one."""
        clone: Self = msgspec.Struct.__copy__(self)  # type: ignore[attr-defined] # its stubs leave it out
        clone.branch_path = self.branch_path.copy()
        clone.depends_on = self.depends_on.copy()
        clone.private = self.private.copy()
        clone.refers_to = self.refers_to.copy()
        params = self.params
        clone.params = params.copy() if is_flat(params) else copied(params)
        if self.meta_config is not None:
            clone.meta_config = MetaModelConfig.from_dict(self.meta_config.to_dict())
        return clone

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """The inverse of `to_dict`. Unknown keys are ignored, missing ones take their defaults.

        Raises:
            ValueError: If a value has the wrong type; the message names the field.
        """
        known = {key: value for key, value in data.items() if value is not None or key in _NULLABLE}
        known.setdefault("artifact_id", "")
        known.setdefault("content_hash", "")
        known.setdefault("path", "")
        params = known.pop("params", None) or {}
        try:
            record = msgspec.convert(known, cls)
        except msgspec.ValidationError as error:
            raise ValueError(_misfit(known) or f"not an artifact record: {error}") from error
        if not isinstance(params, dict):
            raise ValueError(f"not an artifact record: params is {type(params).__name__}, not a dict")  # noqa: TRY004 - the reference documents ValueError
        record.params = copied(params)
        return record


_MUST_BE: Final = {
    "source_index": "a whole number",
    "branch_path": "a list of whole numbers",
    "step_index": "a whole number",
    "substep_index": "a whole number",
    "fold_id": "a whole number or a word",
    "artifact_type": f"one of {', '.join(ArtifactType)}",
    "depends_on": "a list of ids",
    "size_bytes": f"a whole number from 0 to {2**63 - 1}",
    "version": "a whole number",
    "private": "a dict of names of fields",
    "refers_to": "a list of texts",
}
"""What a field takes that is no text."""


def _misfit(known: dict[str, Any]) -> str:
    """Which field of a record has a value that it cannot take; empty if it is none of them."""
    for field in msgspec.structs.fields(ArtifactRecord):
        if field.name in known:
            value = known[field.name]
            try:
                msgspec.convert(value, field.type)
            except msgspec.ValidationError:
                wanted = _MUST_BE.get(field.name, "text")
                was = "this one" if isinstance(value, int) else f"a value of type {type(value).__name__}"
                return f"{field.name} must be {wanted}, not {was}"
    return ""


_NESTED = frozenset({dict, list})


def is_flat(params: dict[str, Any]) -> bool:
    """Whether no value is a list or dict: what has none is copied, checked and read far faster."""
    return _NESTED.isdisjoint(map(type, params.values()))


_NULLABLE = frozenset({"source_index", "substep_index", "fold_id", "meta_config"})


def copied(value: Any) -> Any:
    """A deep copy of JSON types, at a tenth of what `copy.deepcopy` costs."""
    if isinstance(value, dict):
        return {key: copied(item) for key, item in value.items()}
    if isinstance(value, list):
        return [copied(item) for item in value]
    return value
