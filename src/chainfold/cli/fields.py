"""What is told of artifacts: the columns of their tables, and their JSON."""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from chainfold.artifact_ids import fold_order
from chainfold.cli.columns import Column
from chainfold.cli.units import age_text, size_text, time_of
from chainfold.params import to_wire

if TYPE_CHECKING:
    from chainfold.history import HistoryItem
    from chainfold.records import ArtifactRecord

SORT_KEYS: Final[dict[str, "Callable[[ArtifactRecord], Any]"]] = {
    "id": lambda record: record.artifact_id,
    "type": lambda record: record.artifact_type.value,
    "class": lambda record: record.class_name,
    "pipeline": lambda record: record.pipeline_id,
    "step": lambda record: (record.step_index, record.substep_index or 0, fold_order(record.fold_id)),
    "fold": lambda record: fold_order(record.fold_id),
    "size": lambda record: record.size_bytes,
    "created": lambda record: record.created_at,
    "chain": lambda record: record.chain_path,
    "digest": lambda record: record.content_hash,
}
"""By what artifacts are sorted."""


def record_json(record: "ArtifactRecord", *, private: bool = False) -> dict[str, Any]:
    """A record as JSON types: the fields of `ArtifactRecord`, parameters in the form that the log has.

    Args:
        record: It.
        private: Whether with what is private, which no erasure reaches once it is printed.
    """
    told = record if private else record.without_private()
    return told.to_dict() | {"params": to_wire(told.params)}


def name_of(record: "ArtifactRecord") -> str:
    """The name that a user gave, unless it is private."""
    return "" if "custom_name" in record.private else record.custom_name


def history_json(item: "HistoryItem", *, private: bool = False) -> dict[str, Any]:
    """One registration in the life of an id as JSON types: the fields of `HistoryItem`."""
    return {
        "position": item.position,
        "standing": item.standing,
        "run": item.run,
        "visible_from": item.visible_from,
        "removed_at": item.removed_at,
        "removed_by": item.removed_by,
        "record": record_json(item.record, private=private),
    }


def artifact_columns(now: datetime) -> list[Column["ArtifactRecord"]]:
    """The columns of a table of artifacts.

    Args:
        now: What ages are reckoned from.
    """

    def age(record: "ArtifactRecord") -> str:
        created = time_of(record.created_at)
        return "" if created is None else age_text(now - created)

    return [
        Column("id", lambda record: record.artifact_id, cut="middle"),
        Column("type", lambda record: record.artifact_type.value, spare=1),
        Column("class", lambda record: record.class_name, spare=2, cut="end"),
        Column("name", name_of, spare=7, cut="end"),
        Column("pipeline", lambda record: record.pipeline_id, spare=9, cut="middle"),
        Column("step", lambda record: record.step_index, right=True, spare=5),
        Column("fold", lambda record: record.get_fold_str(), right=True, spare=6),
        Column(
            "size",
            lambda record: record.size_bytes,
            lambda record: size_text(record.size_bytes),
            right=True,
            spare=3,
        ),
        Column("created", lambda record: record.created_at, age, right=True, spare=4, head="age"),
        Column("chain", lambda record: record.chain_path, spare=8, cut="middle"),
    ]
