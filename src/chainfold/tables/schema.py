"""Which tables there are, and what each of their columns means: the same in every output."""

from typing import Final, Literal, NamedTuple, get_args

from chainfold.errors import InvalidInputError

TableName = Literal["artifacts", "history", "events", "runs", "aliases", "lineage"]
TABLES: Final[tuple[TableName, ...]] = get_args(TableName)
Kind = Literal["text", "integer", "boolean", "time", "json", "texts"]
"""What a column holds: `time` is UTC with microseconds, `json` the text of a JSON value, `texts` a list."""


class Field(NamedTuple):
    """One column.

    Attributes:
        name: Its name.
        kind: What it holds.
        may_be_null: Whether it may hold nothing.
        meaning: In words.
    """

    name: str
    kind: Kind
    may_be_null: bool
    meaning: str


def _needed(name: str, kind: Kind, meaning: str) -> Field:
    return Field(name, kind, may_be_null=False, meaning=meaning)


def _optional(name: str, kind: Kind, meaning: str) -> Field:
    return Field(name, kind, may_be_null=True, meaning=meaning)


_REGISTRATION: Final = (
    _needed("position", "integer", "of the registration in the log"),
    _optional("registered_at", "time", "when it was appended"),
    _needed("actor", "text", "who registered it"),
    _optional("run_id", "text", "the run that it is part of"),
    _needed("artifact_id", "text", "the artifact's id"),
    _needed("pipeline_id", "text", "the pipeline that registered it"),
    _needed("artifact_type", "text", "model, transformer, splitter, encoder or meta_model"),
    _needed("class_name", "text", "the object's class"),
    _needed("custom_name", "text", "a name that the user gave; empty without"),
    _needed("chain_path", "text", "operators that led here, oldest first"),
    _optional("step_index", "integer", "the pipeline's step, from 1; 0 when unknown"),
    _optional("substep_index", "integer", "which of several operators in the step"),
    _optional("source_index", "integer", "which of several data sources"),
    _needed("branch_path", "text", "nested branches as chain paths spell them, `0.1`; empty outside"),
    _optional("fold_id", "text", "the fold, number or word; null for what folds share"),
    _optional("fold_number", "integer", "the fold, if it is a number"),
    _needed("content_hash", "text", "the blob's digest, `sha256:` and 64 hex digits"),
    _needed("path", "text", "the blob's file below `binaries/<dataset>/`"),
    _needed("size_bytes", "integer", "the blob's length"),
    _needed("format", "text", "how it is serialised"),
    _needed("format_version", "text", "library and version that wrote it"),
    _needed("nirs4all_version", "text", "as a manifest of that package said"),
    _optional("record_version", "integer", "of the record's schema"),
    _optional("created_at", "time", "as the record says; a manifest may have brought it"),
    _needed("params", "json", "the parameters, as the log spells them"),
    _optional("meta_config", "json", "how a meta-model was fed"),
    _needed("depends_on", "texts", "ids of the direct sources"),
    _needed("refers_to", "texts", "of a pickle, the classes and functions that it refers to"),
    _needed("imported", "boolean", "whether a manifest brought it, or what it repeats, unchecked"),
    _optional("restored_from", "integer", "position of the registration that it repeats"),
)

FIELDS: Final[dict[TableName, tuple[Field, ...]]] = {
    "artifacts": _REGISTRATION,
    "history": (
        *_REGISTRATION,
        _needed(
            "standing",
            "text",
            "live, superseded, deleted, purged, in open run, rolled back or withdrawn (by its own run)",
        ),
        _optional("visible_from", "integer", "size of the log from which on others saw it"),
        _optional("removed_at", "integer", "size of the log from which on it was no longer live"),
        _optional("removed_by", "text", "kind of the event that ended it"),
    ),
    "events": (
        _needed("position", "integer", "in the log"),
        _optional("at", "time", "when it was appended"),
        _needed("kind", "text", "`artifact-registered`, `run-committed` and so on"),
        _needed("actor", "text", "who appended it"),
        _optional("run_id", "text", "the run that it is part of"),
        _optional("durable", "integer", "entries that were known to be durable before it"),
        _optional("artifact_id", "text", "what was registered, or what an alias was set to"),
        _optional("pipeline_id", "text", "of what was registered, or what was deleted as a whole"),
        _optional("alias", "text", "the alias that was set"),
        _optional("reason", "text", "why a run was rolled back, or files went"),
        _needed("event", "json", "the event whole, as docs/format.md has it"),
    ),
    "runs": (
        _needed("run_id", "text", "the run's id"),
        _needed("started", "integer", "position of its first event"),
        _optional("started_at", "time", "time of that"),
        _needed("actor", "text", "who started it"),
        _needed("owner", "text", "host and process that held its lock"),
        _needed("status", "text", "open, committed or rolled-back"),
        _optional("closed", "integer", "position of the event that ended it"),
        _optional("closed_at", "time", "time of that"),
        _needed("reason", "text", "why it was rolled back: exception, crash or request; empty if it was not"),
    ),
    "aliases": (
        _needed("alias", "text", "the name"),
        _optional("artifact_id", "text", "where it points; null for nowhere"),
        _needed("holds_from", "integer", "size of the log from which on it did"),
        _optional(
            "holds_until", "integer", "size of the log from which on it was set anew; null: it still holds"
        ),
        _needed("position", "integer", "of the event that says so"),
        _optional("at", "time", "time of that"),
        _needed("actor", "text", "who set it"),
        _optional("run_id", "text", "the run that it was part of"),
    ),
    "lineage": (
        _needed("position", "integer", "of the product's registration"),
        _needed("artifact_id", "text", "the product's id"),
        _needed("ordinal", "integer", "which of its sources, from 0"),
        _needed("source_id", "text", "the source's id"),
        _optional(
            "source_position", "integer", "of the source's registration that was used, if there was one"
        ),
    ),
}

INDEXED: Final[dict[TableName, tuple[tuple[str, ...], ...]]] = {
    "artifacts": (("artifact_id",), ("pipeline_id", "step_index"), ("chain_path",), ("content_hash",)),
    "history": (("artifact_id",), ("pipeline_id", "step_index"), ("content_hash",), ("run_id",)),
    "events": (("kind",), ("run_id",), ("artifact_id",), ("at",)),
    "runs": (("run_id",),),
    "aliases": (("alias", "holds_from"), ("artifact_id",)),
    "lineage": (("position",), ("artifact_id",), ("source_id",), ("source_position",)),
}
"""What SQLite has indexes for: one for each tuple of columns."""


def check_table(what: str) -> TableName:
    """The table of that name.

    Raises:
        InvalidInputError: If there is none.
    """
    for known in TABLES:
        if what == known:
            return known
    raise InvalidInputError(f"there is no table {what!r}: use {', '.join(TABLES)}")
