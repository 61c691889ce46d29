"""A lineage as a graph: who was made from whom, registration by registration."""

from typing import TYPE_CHECKING, Any, NamedTuple

from chainfold.cli.fields import name_of

if TYPE_CHECKING:
    from chainfold.ancestry import Relative
    from chainfold.view import RegistryView

Key = int | str
"""Position of a registration; the id of one that is not known."""


class Kin(NamedTuple):
    """A lineage.

    Attributes:
        start: Where it begins.
        nodes: Those in it, nearest first.
        edges: From each to those that follow: what it was made from, or what was made from it.
    """

    start: Key
    nodes: "dict[Key, Relative]"
    edges: dict[Key, list[Key]]


def kin(view: "RegistryView", artifact_id: str, *, down: bool, depth: int | None = None) -> Kin:
    """What an artifact was made from, or what was made from it.

    Args:
        view: Where to look.
        artifact_id: The artifact.
        down: Whether to look for products.
        depth: How many steps away at most.

    Raises:
        NotFoundError: If there is none of that id.
    """
    found = view.descendants(artifact_id) if down else view.lineage(artifact_id)
    near = [each for each in found if depth is None or each.depth <= depth]
    nodes = {_key(each): each for each in near}
    edges: dict[Key, list[Key]] = {key: [] for key in nodes}
    for key, each in nodes.items():
        if each.registration is None:
            continue
        for name, position in zip(each.registration.record.depends_on, each.sources, strict=True):
            source: Key = name if position is None else position
            if source in nodes and source != key:
                edges[source if down else key].append(key if down else source)
    return Kin(next(iter(nodes)), nodes, {key: list(dict.fromkeys(many)) for key, many in edges.items()})


def _key(relative: "Relative") -> Key:
    return relative.artifact_id if relative.registration is None else relative.registration.position


def in_words(relative: "Relative") -> str:
    """What it is and, unless it is live, how it stands."""
    if relative.registration is None:
        return "not registered"
    record = relative.registration.record
    parts = [record.artifact_type.value, name_of(record) or record.class_name]
    if not relative.is_current:
        ended = "" if relative.ended_by is None else f" at {relative.ended_by.position}"
        parts.append(f"{relative.registration.standing}{ended}")
    return ", ".join(filter(None, parts))


def kin_json(found: Kin) -> list[dict[str, Any]]:
    """Each of a lineage as JSON types."""
    return [_json(relative) for relative in found.nodes.values()]


def _json(relative: "Relative") -> dict[str, Any]:
    registration = relative.registration
    return {
        "artifact_id": relative.artifact_id,
        "depth": relative.depth,
        "position": None if registration is None else registration.position,
        "standing": None if registration is None else registration.standing,
        "type": None if registration is None else registration.record.artifact_type.value,
        "class": None if registration is None else registration.record.class_name,
        "content_hash": None if registration is None else registration.record.content_hash,
        "ended_at": None if relative.ended_by is None else relative.ended_by.position,
        "sources": relative.sources,
    }
