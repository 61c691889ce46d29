"""A history as OpenLineage run events: https://openlineage.io/spec/2-0-2/OpenLineage.json.

docs/exports.md says what becomes what. The events are plain JSON types: send them with any client.
"""

import uuid
from collections.abc import Iterator
from datetime import datetime
from heapq import heappop, heappush
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
_DROPPED, _DONE = range(2)
"""What an event takes away is told before what it shows."""
_TOLD: Final = (
    "artifact_type", "class_name", "chain_path", "pipeline_id", "step_index", "fold_id", "content_hash",
    "size_bytes", "format", "format_version", "params", "actor", "standing", "imported",
)  # fmt: skip
"""What the facet of a registration says of it."""

Event = dict[str, Any]


def events(view: RegistryView) -> Iterator[Event]:
    """Each registration of a view as a run of its own, and each deletion, in the order of their times.

    A registration has two events: START, and COMPLETE, ABORT or RUNNING. What is part of a run is COMPLETE
    when that commits, for others to see; ABORT when it is rolled back, or takes the registration back;
    RUNNING while it is open. Private fields are withheld.

    Args:
        view: The registry, or a view of the past.

    Raises:
        InvalidInputError: If it is no view.
    """
    return _events(checked_view(view))


def _events(view: RegistryView) -> Iterator[Event]:
    moment = view.table_moment()
    live: set[str] = set()
    later: list[tuple[int, int, int, Event, list[Event]]] = []  # what has yet to take effect: when, and what
    sources = groupby(named_rows(moment, "lineage"), key=itemgetter("position"))
    position, used = next(sources, (None, iter(())))
    for row in named_rows(moment, "history"):
        inputs: list[Event] = []
        if position == row["position"]:
            inputs = [_input(view, each) for each in used]
            position, used = next(sources, (None, iter(())))
        while later and later[0][0] < row["position"]:
            yield from _effect(view, live, *heappop(later)[1:])
        yield _event("START", row["registered_at"], _run_of(view, row), _job_of(view, row), inputs, [])
        if row["standing"] == "in open run":
            yield _event("RUNNING", row["registered_at"], _run_of(view, row), _job_of(view, row), inputs, [])
            continue
        heappush(later, (_ends_at(row), _DONE, row["position"], row, inputs))
        if row["standing"] in _TAKEN:
            heappush(later, (row["removed_at"] - 1, _DROPPED, row["position"], row, []))
    while later:
        yield from _effect(view, live, *heappop(later)[1:])


def _ends_at(row: dict[str, Any]) -> int:
    """Position of the event that shows a registration to others, or after which it came to nothing."""
    ended: int = row["visible_from"] or row["removed_at"]
    return ended - 1


def _effect(
    view: RegistryView, live: set[str], kind: int, _: int, row: dict[str, Any], inputs: list[Event]
) -> Iterator[Event]:
    """What is told when a registration, or its deletion, takes effect; `live` is what others see then."""
    if kind == _DROPPED:
        live.discard(row["artifact_id"])
        yield from _deletion(view, row)
        return
    run, job, when = _run_of(view, row), _job_of(view, row), _time_of(view, _ends_at(row))
    if row["visible_from"] is None:
        yield _event("ABORT", when, run, job, inputs, [])
        return
    change = "OVERWRITE" if row["artifact_id"] in live else "CREATE"
    live.add(row["artifact_id"])
    told = {name: row[name] for name in _TOLD if row[name] is not None}
    output = _dataset(view, row["artifact_id"], row["position"])
    output["facets"] |= {
        "lifecycleStateChange": _facet(
            "1-0-1/LifecycleStateChangeDatasetFacet.json", lifecycleStateChange=change
        ),
        "chainfold_record": {"_producer": _PRODUCER, "_schemaURL": _OWN_FACET, **told},
    }
    yield _event("COMPLETE", when, run, job, inputs, [output])


def _run_of(view: RegistryView, row: dict[str, Any]) -> Event:
    return _run(view, f"registration/{row['position']}", row["run_id"])


def _job_of(view: RegistryView, row: dict[str, Any]) -> Event:
    return _job(view, f"{row['pipeline_id']}/{row['chain_path'] or row['artifact_id']}")


def _time_of(view: RegistryView, position: int) -> datetime:
    (entry,) = view.events(position, position + 1)
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
