"""What depends on what, and in which order to load it."""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from chainfold.errors import InvalidInputError

_NAMED_AT_MOST = 20  # artifacts of a cycle in a message


class Walk(NamedTuple):
    """What `topological` found.

    Attributes:
        order: The start and all it depends on, directly or not: each once, sources before what was made from
            them, the start last. Where there are cycles, no order can be right for all of their edges; each
            edge that closes one is then ignored.
        cycle: The first cycle met, each artifact followed by one it depends on, the last by the first;
            empty when there is none.
    """

    order: list[str]
    cycle: list[str]


def topological(start: str, sources: Callable[[str], Iterable[str]]) -> Walk:
    """Walk everything that an artifact depends on, depth first and without recursion.

    Never raises on a cycle: whoever cares reads it from the result. Asks for the sources of each artifact
    once, so it is linear in artifacts and edges, however many paths lead through them.

    Args:
        start: Where to begin.
        sources: Gives the direct sources of an artifact; those of one that is not known are none.
    """
    order: list[str] = []
    cycle: list[str] = []
    opened: dict[str, Iterator[str]] = {start: iter(sources(start))}  # the path from the start, in order
    path = [start]
    done: set[str] = set()
    while path:
        for source in opened[path[-1]]:
            if source in opened:
                cycle = cycle or path[path.index(source) :]
            elif source not in done:
                opened[source] = iter(sources(source))
                path.append(source)
                break
        else:
            finished = path.pop()
            del opened[finished]
            done.add(finished)
            order.append(finished)
    return Walk(order, cycle)


class DependencyGraph:
    """Artifacts and what they directly depend on.

    Stores what it is given, cycles included. An artifact is in the graph from the first edge that names it
    until it is removed.
    """

    def __init__(self) -> None:
        # Dicts as ordered sets: an edge is found and removed in constant time. Both have every artifact.
        self._sources: dict[str, dict[str, None]] = {}
        self._dependents: dict[str, dict[str, None]] = {}

    def __len__(self) -> int:
        return len(self._sources)

    def __contains__(self, artifact_id: object) -> bool:
        return artifact_id in self._sources

    def __repr__(self) -> str:
        edges = sum(map(len, self._sources.values()))
        return f"DependencyGraph({len(self)} artifacts, {edges} dependencies)"

    def add_dependency(self, artifact_id: str, depends_on: str) -> None:
        """Note that one artifact depends on another. Noting it again changes nothing."""
        self.add_dependencies(artifact_id, [depends_on])

    def add_dependencies(self, artifact_id: str, depends_on: Iterable[str]) -> None:
        """Note that an artifact depends on others."""
        self._add(artifact_id)
        for source in depends_on:
            self._add(source)
            self._sources[artifact_id][source] = None
            self._dependents[source][artifact_id] = None

    def get_dependencies(self, artifact_id: str) -> list[str]:
        """What an artifact directly depends on, in the order it was noted."""
        return list(self._sources.get(artifact_id, ()))

    def get_dependents(self, artifact_id: str) -> list[str]:
        """What directly depends on an artifact, in the order it was noted."""
        return list(self._dependents.get(artifact_id, ()))

    def remove_artifact(self, artifact_id: str) -> None:
        """Forget an artifact and its edges; what was at their other ends stays. Linear in its own edges."""
        for source in self._sources.pop(artifact_id, ()):
            del self._dependents[source][artifact_id]
        for dependent in self._dependents.pop(artifact_id, ()):
            del self._sources[dependent][artifact_id]

    def clear(self) -> None:
        """Forget everything."""
        self._sources.clear()
        self._dependents.clear()

    def resolve_dependencies(self, artifact_id: str, max_depth: int = 100) -> list[str]:
        """All that an artifact depends on, directly or not: each once, sources before what depends on them.

        Args:
            artifact_id: Where to begin; it is not in the result. One that is not known depends on nothing.
            max_depth: How many edges the longest row of dependencies may have.

        Raises:
            InvalidInputError: If there is a cycle among them, or else if they are deeper than `max_depth`.
        """
        order, cycle = topological(artifact_id, self.get_dependencies)
        if cycle:
            raise InvalidInputError(f"Cycle detected: {spelled(cycle)}")
        depth = self._depth(order)
        if depth > max_depth:
            raise InvalidInputError(
                f"Maximum dependency depth of {max_depth} exceeded: {artifact_id} has {depth} in a row"
            )
        return order[:-1]

    def _depth(self, order: list[str]) -> int:
        """Edges on the longest row of dependencies from the last of a topological order."""
        depths: dict[str, int] = {}
        for each in order:
            depths[each] = max((depths[source] + 1 for source in self.get_dependencies(each)), default=0)
        return depths[order[-1]]

    def _add(self, artifact_id: str) -> None:
        self._sources.setdefault(artifact_id, {})
        self._dependents.setdefault(artifact_id, {})


def spelled(cycle: list[str]) -> str:
    """A cycle for a message: its first artifacts, and back to where it began."""
    named = cycle[:_NAMED_AT_MOST]
    if len(cycle) > len(named):
        named.append(f"({len(cycle) - len(named)} more)")
    return " -> ".join([*named, cycle[0]])


class LineageGraph(DependencyGraph):
    """A graph whose edges are kept elsewhere, in the log: it can be asked, and changes only by registering.

    Args:
        dependencies: Gives the direct sources of an artifact.
        dependents: Gives what was made from it directly.
    """

    def __init__(
        self, dependencies: Callable[[str], list[str]], dependents: Callable[[str], list[str]]
    ) -> None:
        super().__init__()
        self._dependencies_of = dependencies
        self._dependents_of = dependents

    def __repr__(self) -> str:
        return "LineageGraph(read from the log)"

    def get_dependencies(self, artifact_id: str) -> list[str]:
        """Ids of the direct sources of a live artifact."""
        return self._dependencies_of(artifact_id)

    def get_dependents(self, artifact_id: str) -> list[str]:
        """Ids of the live artifacts made from an artifact directly."""
        return self._dependents_of(artifact_id)

    def add_dependencies(self, artifact_id: str, depends_on: Iterable[str]) -> None:
        """Refuse: lineage is registered with an artifact, as `depends_on`.

        Raises:
            InvalidInputError: Always.
        """
        raise InvalidInputError(
            f"the lineage of {artifact_id!r} follows the log: to add {list(depends_on)!r}, register the "
            f"artifact again with that in depends_on"
        )

    def remove_artifact(self, artifact_id: str) -> None:
        """Refuse: artifacts are deleted through the registry.

        Raises:
            InvalidInputError: Always.
        """
        raise InvalidInputError(f"the lineage follows the log: delete {artifact_id!r} through the registry")

    def clear(self) -> None:
        """Refuse: a dataset is purged through the registry.

        Raises:
            InvalidInputError: Always.
        """
        raise InvalidInputError("the lineage follows the log: purge the dataset through the registry")
