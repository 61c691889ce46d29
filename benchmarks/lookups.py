"""Looking up, with more and more else registered."""

import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.measuring import CHAINFOLD, PEER, Metrics, Table, each, interleave, pick
from benchmarks.sides import Peer, chainfold, workspace
from benchmarks.workload import FOLDS, GROUP, STEP, manifest

Item = dict[str, Any]
Call = tuple[object, ...]


class Query(NamedTuple):
    """A question to both sides.

    Attributes:
        method: The registry's method.
        arguments: What it is asked, for an item.
        places: Items of a group that it is asked for.
        records: How many it finds.
        peer_finds: How many the peer finds: by chain it knows only the last of the folds.
    """

    method: str
    arguments: Callable[[Item], Call]
    places: range
    records: int
    peer_finds: int


_AT_MOST = 10
"""Groups that a repetition asks for."""
_ALL, _FIRST, _LAST_FOLDS = range(GROUP), range(1), range(FOLDS - 1, GROUP, FOLDS)
_QUERIES = {
    "resolve, by id": Query("resolve", lambda item: (item["artifact_id"],), _ALL, 1, 1),
    "resolve_by_hash": Query("resolve_by_hash", lambda item: (item["content_hash"],), _ALL, 1, 1),
    "get_by_chain and last fold": Query(
        "get_by_chain", lambda item: (item["chain_path"], item["fold_id"]), _LAST_FOLDS, 1, 1
    ),
    f"get_chain_prefix, {GROUP} records": Query(
        "get_chain_prefix",
        lambda item: (item["chain_path"].partition(">")[0],),
        _FIRST,
        GROUP,
        GROUP // FOLDS,
    ),
    f"get_artifacts_for_step, {GROUP} records": Query(
        "get_artifacts_for_step", lambda item: (item["pipeline_id"], STEP), _FIRST, GROUP, GROUP
    ),
    f"get_fold_models, {GROUP} records": Query(
        "get_fold_models", lambda item: (item["pipeline_id"], STEP), _FIRST, GROUP, GROUP
    ),
}


def measure(table: Table, peer: Peer | None, sizes: list[int], huge: list[int], *, quick: bool) -> None:
    repetitions = 3 if quick else 5
    for size in [*sizes, *huge]:
        taken = manifest(size)
        folder = workspace()
        writer = chainfold(folder)
        writer.import_from_manifest(taken, folder)
        assert len(writer) == size
        writer.close()
        registries = _registries(peer if size in sizes else None, folder, taken)
        _measure(table, registries, taken["artifacts"]["items"], repetitions)
        registries[CHAINFOLD].close()


def _registries(peer: Peer | None, folder: Path, taken: dict[str, Any]) -> dict[str, Any]:
    """Both sides with the same records: chainfold opened anew, nothing decoded yet."""
    registries: dict[str, Any] = {CHAINFOLD: chainfold(folder)}
    if peer is not None:
        registries[PEER] = peer.registry(folder)
        registries[PEER].import_from_manifest(taken, folder)
    return registries


def _measure(table: Table, registries: Mapping[str, Any], listed: Sequence[Item], repetitions: int) -> None:
    """Every repetition asks for records that nobody asked for before, then for the same again."""
    groups = list(range(1, len(listed) // GROUP))
    random.Random(0).shuffle(groups)  # noqa: S311 - an order, not a secret
    share = max(1, min(_AT_MOST, len(groups) // (repetitions * len(_QUERIES))))
    fresh, again, notes = {}, {}, {}
    for title, query in _QUERIES.items():
        wanted = [[groups.pop() for _ in range(share)] for _ in range(repetitions)]
        batches = [
            [query.arguments(listed[group * GROUP + place]) for group in batch for place in query.places]
            for batch in wanted
        ]
        notes[title] = _checked(registries, query, listed[query.places[0]])
        sides = {
            side: _asker(getattr(registry, query.method), batches) for side, registry in registries.items()
        }
        samples = interleave(repetitions, sides)
        fresh[title], again[title] = pick(samples, "fresh"), pick(samples, "again")
    for title, figures in fresh.items():
        table.add(title, len(listed), "µs", figures, f"asked for the first time{notes[title]}")
    for title, figures in again.items():
        table.add(f"{title}, again", len(listed), "µs", figures, f"the same asked for again{notes[title]}")


def _asker(method: Callable[..., object], batches: Sequence[Sequence[Call]]) -> Callable[[int], Metrics]:
    def ask(repetition: int) -> Metrics:
        calls = batches[repetition]
        return {"fresh": each(method, calls), "again": each(method, calls)}

    return ask


def _checked(registries: Mapping[str, Any], query: Query, item: Item) -> str:
    """What is to be said about the answers, once both sides have been found to give the expected ones."""
    for side, registry in registries.items():
        found = getattr(registry, query.method)(*query.arguments(item))
        records = found if isinstance(found, list) else [found] if found is not None else []
        expected = query.peer_finds if side == PEER else query.records
        assert len({record.artifact_id for record in records}) == expected, (side, query.method)
        assert item["artifact_id"] in {record.artifact_id for record in records} or side == PEER
    if PEER not in registries or query.peer_finds == query.records:
        return ""
    return f"; nirs4all finds {query.peer_finds} of {query.records}"
