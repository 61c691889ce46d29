"""A history as W3C PROV: https://www.w3.org/TR/prov-dm/. docs/exports.md says what becomes what."""

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from chainfold.serializers.protocol import require
from chainfold.tables.rows import Moment, named_rows
from chainfold.view import RegistryView, checked_view

if TYPE_CHECKING:
    from prov.model import ProvDocument

_TOLD: Final = (
    "artifact_id",
    "artifact_type",
    "class_name",
    "chain_path",
    "pipeline_id",
    "content_hash",
    "size_bytes",
    "standing",
    "imported",
    "params",
)
"""What an entity says of its registration."""


def document(view: RegistryView) -> "ProvDocument":
    """All registrations of a view, what made them, from what, and what ended them; held in memory.

    `serialize(format="json")` of the result is PROV-JSON, `get_provn()` PROV-N. Private fields are withheld.

    Args:
        view: The registry, or a view of the past.

    Raises:
        InvalidInputError: If it is no view.
        MissingLibraryError: Without prov: `pip install 'chainfold[prov]'`.
    """
    moment = checked_view(view).table_moment()
    found: ProvDocument = require("prov.model", "chainfold[prov]").ProvDocument()
    found.add_namespace("chainfold", "urn:x-chainfold:")
    for kind in ("registration", "activity", "actor"):
        found.add_namespace(kind, f"urn:x-chainfold:{_local(view.dataset)}:{kind}:")
    activities = _activities(found, moment)
    for each in named_rows(moment, "history"):
        _registration(found, each, activities)
    for each in named_rows(moment, "lineage"):
        if each["source_position"] is not None:
            product, source = _entity(each["position"]), _entity(each["source_position"])
            found.used(activities[each["position"]], source)
            found.wasDerivedFrom(product, source, activity=activities[each["position"]])
    return found


def _activities(found: Any, moment: Moment) -> dict[int, str]:
    """Write the runs, and the events outside runs; the activity that each entry of the log is part of."""
    names: dict[int, str] = {}
    runs: dict[str, str] = {}
    agents: set[str] = set()
    associated: set[tuple[str, str]] = set()
    for each in named_rows(moment, "runs"):
        runs[each["run_id"]] = name = f"activity:{each['started']}"
        about = {"chainfold:run_id": each["run_id"], "chainfold:status": each["status"]}
        found.activity(name, each["started_at"], each["closed_at"], about)
    for each in named_rows(moment, "events"):
        position, run = each["position"], runs.get(each["run_id"])
        names[position] = name = run or f"activity:{position}"
        if run is None:
            found.activity(name, each["at"], each["at"], {"chainfold:kind": each["kind"]})
        agent = f"actor:{_local(each['actor'])}"
        if agent not in agents:
            agents.add(agent)
            found.agent(agent, {"prov:label": each["actor"]})
        if (name, agent) not in associated:  # a run has several actors if others join it, or close it
            associated.add((name, agent))
            found.wasAssociatedWith(name, agent)
    return names


def _registration(found: Any, row: dict[str, Any], activities: dict[int, str]) -> None:
    position = row["position"]
    name = _entity(position)
    told = {f"chainfold:{each}": row[each] for each in _TOLD if row[each] is not None}
    found.entity(name, told)
    found.wasGeneratedBy(name, activities[position], row["registered_at"])
    found.wasAttributedTo(name, f"actor:{_local(row['actor'])}")
    if row["removed_at"] is not None:
        how = {"chainfold:removed_by": row["removed_by"]}
        found.wasInvalidatedBy(name, activities[row["removed_at"] - 1], other_attributes=how)


def _entity(position: int) -> str:
    return f"registration:{position}"


def _local(text: str) -> str:
    """Any text as the end of a name in PROV-N, which may neither begin with `-` nor end with `.`."""
    return quote(text, safe="").replace(".", "%2E").replace("-", "%2D")
