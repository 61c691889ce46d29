from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainfold.errors import InvalidInputError
from chainfold.graph import DependencyGraph, topological

Edge = tuple[str, str]  # dependent, source

NAMES = "abcdef"
UNREACHABLE = -1


def edges() -> st.SearchStrategy[list[Edge]]:
    """Any edges: cycles, self-loops and duplicates among them."""
    name = st.sampled_from(NAMES)
    return st.lists(st.tuples(name, name), max_size=14)


def acyclic_edges() -> st.SearchStrategy[list[Edge]]:
    """Edges that lead forward in the alphabet only."""
    return edges().map(lambda drawn: [(min(edge), max(edge)) for edge in drawn if edge[0] != edge[1]])


def graph_of(some: Iterable[Edge]) -> DependencyGraph:
    graph = DependencyGraph()
    for dependent, source in some:
        graph.add_dependency(dependent, source)
    return graph


def row(length: int, prefix: str = "n") -> list[Edge]:
    return [(f"{prefix}{at}", f"{prefix}{at + 1}") for at in range(length)]


def reachable(some: list[Edge]) -> set[Edge]:
    """Warshall's closure: which artifact leads to which."""
    closure = set(some)
    for middle in NAMES:
        for start in NAMES:
            for end in NAMES:
                if (start, middle) in closure and (middle, end) in closure:
                    closure.add((start, end))
    return closure


def longest(some: set[Edge], start: str) -> int:
    """By trying every path. For acyclic edges."""
    return max((1 + longest(some, source) for dependent, source in some if dependent == start), default=0)


class TestResolving:
    @given(acyclic_edges(), st.sampled_from(NAMES), st.integers(0, 6))
    def test_is_a_topological_order_of_all_that_is_reachable(
        self, some: list[Edge], start: str, max_depth: int
    ) -> None:
        graph = graph_of(some)
        depth = longest(set(some), start)
        if depth > max_depth:
            with pytest.raises(
                ValueError, match=f"Maximum dependency depth of {max_depth} .*{depth} in a row"
            ):
                graph.resolve_dependencies(start, max_depth)
        order = graph.resolve_dependencies(start, max(depth, max_depth))
        assert sorted(order) == sorted({end for begin, end in reachable(some) if begin == start})
        for dependent, source in some:
            if dependent in order:
                assert order.index(source) < order.index(dependent)

    @given(edges(), st.sampled_from(NAMES), st.integers(0, 6))
    def test_a_cycle_is_never_called_a_depth_nor_a_depth_a_cycle(
        self, some: list[Edge], start: str, max_depth: int
    ) -> None:
        closure = reachable(some)
        cyclic = any((name, name) in closure for name in NAMES if name == start or (start, name) in closure)
        try:
            graph_of(some).resolve_dependencies(start, max_depth)
        except InvalidInputError as error:
            assert ("Cycle detected" in str(error)) == cyclic  # noqa: PT017 - whether it is raised is the question
            assert ("Maximum dependency depth" in str(error)) == (not cyclic)  # noqa: PT017
        else:
            assert not cyclic

    @given(edges(), st.sampled_from(NAMES))
    def test_a_walk_gets_everywhere_once_and_names_a_real_cycle(self, some: list[Edge], start: str) -> None:
        asked: list[str] = []

        def sources(name: str) -> list[str]:
            asked.append(name)
            return [source for dependent, source in some if dependent == name]

        order, cycle = topological(start, sources)
        closure = reachable(some)
        everything = {start} | {end for begin, end in closure if begin == start}
        assert sorted(asked) == sorted(order) == sorted(everything)
        assert order[-1] == start
        assert bool(cycle) == any((name, name) in closure for name in everything)
        assert len(set(cycle)) == len(cycle)
        assert set(pairwise([*cycle, *cycle[:1]])) <= set(some)
        # Where an edge goes against the order, it is part of a cycle.
        for dependent, source in some:
            if dependent in order and order.index(source) >= order.index(dependent):
                assert (source, dependent) in closure or source == dependent

    def test_a_walk_names_the_first_cycle_it_meets(self) -> None:
        sources = {"a": ["b", "a"], "b": ["a"]}
        assert topological("a", sources.__getitem__) == (["b", "a"], ["a", "b"])

    def test_rows(self) -> None:
        graph = graph_of(row(150))
        with pytest.raises(ValueError, match="Maximum dependency depth of 100 exceeded: n0 has 150 in a row"):
            graph.resolve_dependencies("n0")
        assert graph.resolve_dependencies("n50") == [f"n{at}" for at in range(150, 50, -1)]
        assert len(graph.resolve_dependencies("n0", max_depth=150)) == 150
        assert graph.resolve_dependencies("n150") == []
        assert graph.resolve_dependencies("unknown") == []
        assert "unknown" not in graph

    @pytest.mark.parametrize("start", ["n0", "n499"])
    def test_a_long_cycle_is_a_cycle(self, start: str) -> None:
        graph = graph_of([*row(499), ("n499", "n0")])
        with pytest.raises(ValueError, match=rf"^Cycle detected: {start} -> .* \(480 more\) -> {start}$"):
            graph.resolve_dependencies(start)

    def test_a_cycle_below_a_long_row_is_a_cycle(self) -> None:
        graph = graph_of([*row(150), ("n150", "x"), ("x", "y"), ("y", "x")])
        with pytest.raises(ValueError, match=r"^Cycle detected: x -> y -> x$"):
            graph.resolve_dependencies("n0")

    def test_an_artifact_that_depends_on_itself_is_a_cycle(self) -> None:
        with pytest.raises(ValueError, match=r"^Cycle detected: a -> a$"):
            graph_of([("a", "a")]).resolve_dependencies("a")

    def test_a_cycle_elsewhere_does_not_matter(self) -> None:
        assert graph_of([("x", "x"), ("x", "a"), ("a", "b")]).resolve_dependencies("a") == ["b"]

    def test_many_paths_to_few_artifacts(self) -> None:
        """2 to the 90th paths."""
        graph = DependencyGraph()
        for at in range(90):
            graph.add_dependencies(f"t{at}", [f"l{at}", f"r{at}"])
            graph.add_dependency(f"l{at}", f"t{at + 1}")
            graph.add_dependency(f"r{at}", f"t{at + 1}")
        assert len(graph.resolve_dependencies("t0", max_depth=180)) == 270

    def test_a_hundred_thousand_in_a_row(self) -> None:
        graph = graph_of(row(100_000))
        assert len(graph.resolve_dependencies("n0", max_depth=100_000)) == 100_000


class TestEdges:
    @given(
        st.lists(
            st.tuples(st.just("add"), st.sampled_from(NAMES), st.lists(st.sampled_from(NAMES), max_size=3))
            | st.tuples(st.just("remove"), st.sampled_from(NAMES), st.just([]))
            | st.tuples(st.just("clear"), st.just(""), st.just([]))
        )
    )
    def test_against_a_list_of_edges(self, steps: list[tuple[str, str, list[str]]]) -> None:
        graph = DependencyGraph()
        known: set[str] = set()
        oracle: list[Edge] = []
        for step, name, sources in steps:
            if step == "add":
                graph.add_dependencies(name, sources)
                known |= {name, *sources}
                oracle += [
                    (name, source) for source in dict.fromkeys(sources) if (name, source) not in oracle
                ]
            elif step == "remove":
                graph.remove_artifact(name)
                known -= {name}
                oracle = [edge for edge in oracle if name not in edge]
            else:
                graph.clear()
                known, oracle = set(), []
            for each in NAMES:
                assert graph.get_dependencies(each) == [source for name, source in oracle if name == each]
                assert graph.get_dependents(each) == [name for name, source in oracle if source == each]
                assert (each in graph) == (each in known)
            assert len(graph) == len(known)
            assert repr(graph) == f"DependencyGraph({len(known)} artifacts, {len(oracle)} dependencies)"

    def test_lists_are_fresh(self) -> None:
        graph = graph_of([("a", "b")])
        graph.get_dependencies("a").append("c")
        graph.get_dependents("b").append("c")
        assert graph.get_dependencies("a") == ["b"]
        assert graph.get_dependents("b") == ["a"]

    def test_removing_a_hundred_thousand_dependents_of_one(self) -> None:
        """Each removal costs its own one edge, not the hub's hundred thousand."""
        graph = DependencyGraph()
        graph.add_dependencies("hub", [f"s{at}" for at in range(100_000)])
        for at in range(100_000):
            graph.add_dependency(f"d{at}", "hub")
        for at in range(100_000):
            graph.remove_artifact(f"d{at}")
            graph.remove_artifact(f"s{at}")
        assert graph.get_dependencies("hub") == graph.get_dependents("hub") == []
        assert len(graph) == 1
