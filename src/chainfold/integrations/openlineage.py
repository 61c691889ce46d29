"""A history as OpenLineage run events: https://openlineage.io/spec/2-0-2/OpenLineage.json.

docs/exports.md says what becomes what. The events are plain JSON types: send them with any client.
"""

import uuid
from collections.abc import Iterator
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Any, Final
from urllib.parse import quote

from chainfold.tables.rows import named_rows
from chainfold.view import RegistryView, checked_view

_PRODUCER: Final = "urn:x-chainfold:openlineage:1"
_SCHEMA: Final = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
_FACETS: Final = "https://openlineage.io/spec/facets/"
_OWN_FACET: Final = "urn:x-chainfold:openlineage:1:record"
_TAKEN: Final = frozenset({"deleted", "purged"})
_ENDED: Final = {"rolled back": "ABORT", "withdrawn": "ABORT"}
_TOLD: Final = (
    "artifact_type", "class_name", "chain_path", "pipeline_id", "step_index", "fold_id", "content_hash",
    "size_bytes", "format", "format_version", "params", "actor", "standing", "imported",
)  # fmt: skip
"""What the facet of a registration says of it."""

Event = dict[str, Any]


def events(view: RegistryView) -> Iterator[Event]:
    """Each registration of a view as a run of its own, and each deletion, in the order of the log.

    A registration has two events: START, and COMPLETE, ABORT (if its run was rolled back, or took it back) or
    RUNNING (if its run is open). Private fields are withheld.

    Args:
        view: The registry, or a view of the past.

    Raises:
        InvalidInputError: If it is no view.
    """
    return _events(checked_view(view))


def _events(view: RegistryView) -> Iterator[Event]:
    moment = view.table_moment()
    live: set[str] = set()
    taken = [row for row in named_rows(moment, "history") if row["standing"] in _TAKEN]
    taken.sort(key=itemgetter("removed_at", "position"), reverse=True)
    sources = groupby(named_rows(moment, "lineage"), key=itemgetter("position"))
    position, used = next(sources, (None, iter(())))
    for row in named_rows(moment, "history"):
        inputs: list[Event] = []
        if position == row["position"]:
            inputs = [_input(view, each) for each in used]
            position, used = next(sources, (None, iter(())))
        while taken and taken[-1]["removed_at"] <= row["position"]:
            live.discard(taken[-1]["artifact_id"])
            yield from _deletion(view, taken.pop())
        yield from _registration(view, row, inputs, is_first=row["artifact_id"] not in live)
        if row["standing"] not in _ENDED:
            live.add(row["artifact_id"])
    for row in reversed(taken):
        yield from _deletion(view, row)


def _registration(
    view: RegistryView, row: dict[str, Any], inputs: list[Event], *, is_first: bool
) -> Iterator[Event]:
    job = f"{row['pipeline_id']}/{row['chain_path'] or row['artifact_id']}"
    change = "CREATE" if is_first else "OVERWRITE"
    told = {name: row[name] for name in _TOLD if row[name] is not None}
    output = _dataset(view, row["artifact_id"], row["position"])
    output["facets"] |= {
        "lifecycleStateChange": _facet(
            "1-0-1/LifecycleStateChangeDatasetFacet.json", lifecycleStateChange=change
        ),
        "chainfold_record": {"_producer": _PRODUCER, "_schemaURL": _OWN_FACET, **told},
    }
    last = "RUNNING" if row["standing"] == "in open run" else _ENDED.get(row["standing"], "COMPLETE")
    outputs = [output] if last == "COMPLETE" else []
    run = _run(view, f"registration/{row['position']}", row["run_id"])
    yield _event("START", row["registered_at"], run, _job(view, job), inputs, [])
    when = _given_up(view, row) if last == "ABORT" else row["registered_at"]
    yield _event(last, when, run, _job(view, job), inputs, outputs)


def _given_up(view: RegistryView, row: dict[str, Any]) -> datetime:
    """When a registration came to nothing: its run took it back, or was rolled back."""
    closed: Any = view.run_info(row["run_id"]).closed
    at = row["removed_at"] - 1 if row["removed_at"] is not None else closed
    (entry,) = view.events(at, at + 1)
    return datetime.fromisoformat(entry.at)


def _deletion(view: RegistryView, row: dict[str, Any]) -> Iterator[Event]:
    """That a registration is no longer live, by the event after which it was not."""
    (entry,) = view.events(row["removed_at"] - 1, row["removed_at"])
    output = _dataset(view, row["artifact_id"], row["position"])
    output["facets"]["lifecycleStateChange"] = _facet(
        "1-0-1/LifecycleStateChangeDatasetFacet.json", lifecycleStateChange="DROP"
    )
    when = datetime.fromisoformat(entry.at)
    run = _run(view, f"deletion/{row['position']}", entry.run)
    job = _job(view, f"{row['pipeline_id']}/{row['removed_by']}")
    yield _event("START", when, run, job, [], [])
    yield _event("COMPLETE", when, run, job, [], [output])


def _event(
    kind: str, when: datetime | None, run: Event, job: Event, inputs: list[Event], outputs: list[Event]
) -> Event:
    return {
        "eventType": kind,
        "eventTime": "" if when is None else when.isoformat(),
        "run": run,
        "job": job,
        "inputs": inputs,
        "outputs": outputs,
        "producer": _PRODUCER,
        "schemaURL": _SCHEMA,
    }


def _input(view: RegistryView, source: dict[str, Any]) -> Event:
    return _dataset(view, source["source_id"], source["source_position"])


def _dataset(view: RegistryView, artifact_id: str, position: int | None) -> Event:
    """An artifact; the registration that is meant is its version."""
    facets: Event = {}
    if position is not None:
        facets["version"] = _facet("1-0-1/DatasetVersionDatasetFacet.json", datasetVersion=str(position))
    return {"namespace": _namespace(view), "name": artifact_id, "facets": facets}


def _job(view: RegistryView, name: str) -> Event:
    return {"namespace": _namespace(view), "name": name, "facets": {}}


def _run(view: RegistryView, name: str, run_id: str | None) -> Event:
    """A run by its UUID, which is the same whenever it is exported; its parent is the run of the registry."""
    facets: Event = {}
    if run_id is not None:
        parent = {"runId": _uuid(view, f"run/{run_id}")}
        facets["parent"] = _facet(
            "1-2-0/ParentRunFacet.json", run=parent, job={"namespace": _namespace(view), "name": run_id}
        )
    return {"runId": _uuid(view, name), "facets": facets}


def _facet(schema: str, **fields: Any) -> Event:
    name = schema.partition("/")[2].removesuffix(".json")
    return {"_producer": _PRODUCER, "_schemaURL": f"{_FACETS}{schema}#/$defs/{name}", **fields}


def _namespace(view: RegistryView) -> str:
    return f"chainfold://{quote(view.dataset, safe='')}"


def _uuid(view: RegistryView, name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{_namespace(view)}/{name}"))
