import hashlib
import pickle
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from chainfold.artifact_ids import (
    fold_order,
    generate_artifact_id_v3,
    is_v3_artifact_id,
    parse_artifact_id_v3,
    split_artifact_id,
)
from chainfold.chain import OperatorChain, OperatorNode, compute_chain_hash
from chainfold.errors import InvalidInputError
from chainfold.testing import strategies as own

# The grammar once more, as one regular expression: an oracle that shares no code with the parser.
NUMBER = r"(?:0|[1-9][0-9]{0,17})"
BR, SRC, SUB = rf"br={NUMBER}(?:\.{NUMBER})*", f"src={NUMBER}", f"sub={NUMBER}"
QUALIFIERS = rf"\[(?:{BR}(?:,{SRC})?(?:,{SUB})?|{SRC}(?:,{SUB})?|{SUB})\]"
NAME = r"[^>+\[\],=\s\x00-\x1f\x7f-\x9f\ud800-\udfff]+"
NODE = rf"s{NUMBER}\.{NAME}(?:, {NAME})*(?:{QUALIFIERS})?"
PATH = re.compile(rf"(?:{NODE}(?:[>+]{NODE})*)?")
# From every state of the grammar, one of these leads to its end.
ENDINGS = ["", "s1.A", "1.A", ".A", "A", "br=0]", "src=0]", "sub=0]", "r=0]", "=0]", "0]", "]"]

POSITION = re.compile(r"at position (\d+)")


def path(text: str) -> OperatorChain:
    return OperatorChain.from_path(text)


@st.composite
def almost_paths(draw: st.DrawFn) -> str:
    """Paths with a few characters inserted, replaced or lost, and texts of the grammar's characters."""
    alphabet = st.sampled_from([*"s0129.AB>+[],= \n", "br=", "src=", "sub=", "é", "\ud800", "9" * 19])
    if draw(st.booleans()):
        return "".join(draw(st.lists(alphabet, max_size=12)))
    text = draw(own.chains(bare=True, max_size=3)).to_path()
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(text)))
        text = text[:at] + draw(alphabet | st.just("")) + text[at + draw(st.integers(0, 2)) :]
    return text


class TestGrammar:
    @given(own.chains(bare=True))
    def test_parsing_inverts_printing(self, chain: OperatorChain) -> None:
        assert OperatorChain.from_path(chain.to_path(), chain.pipeline_id) == chain

    @given(own.nodes(bare=True))
    def test_parsing_inverts_printing_of_a_node(self, node: OperatorNode) -> None:
        assert OperatorNode.from_key(node.to_key()) == node

    @given(almost_paths() | st.text())
    @example("")
    @example("s03.A")
    @example("s3.A[br=00]")
    @example("s3.A[]")
    @example("s3.A[src=1,br=0]")
    @example("s3.A[br=0,br=0]")
    @example("s3.A[br=0,]")
    @example("s3.A[br=]")
    @example("s3.A[br=0")
    @example("s3.A[x=0]")
    @example("s3.A[br=0]x")
    @example("s3.A>")
    @example("s3.A+>s4.B")
    @example(">s3.A")
    @example("s1.A >s2.B")
    @example("s" + "9" * 19 + ".A")
    @example("s٣.A")
    def test_a_text_parses_to_what_prints_the_same_or_fails_where_it_stops_being_a_path(
        self, text: str
    ) -> None:
        """The oracle agrees which texts are paths, and up to the position every text could become one."""
        if PATH.fullmatch(text):
            assert path(text).to_path() == text
            return
        with pytest.raises(InvalidInputError) as raised:
            path(text)
        found = POSITION.search(str(raised.value))
        assert found
        position = int(found[1])
        assert 0 <= position <= len(text)
        assert any(PATH.fullmatch(text[:position] + ending) for ending in ENDINGS)

    @given(almost_paths() | st.text())
    def test_a_key_is_a_path_of_one_node(self, text: str) -> None:
        if re.fullmatch(NODE, text):
            assert OperatorNode.from_key(text).to_key() == text
        else:
            with pytest.raises(ValueError, match=r"position \d+"):
                OperatorNode.from_key(text)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("s1.A>x", "expected 's' at position 5, found 'x'"),
            ("s1.A>", "expected 's' at position 5, found the end"),
            ("s03.A", "expected '.' at position 2, found '3.A'"),
            ("s1.A>s2.B[src=1,br=0]", "expected 'sub=' at position 16, found 'br=0]'"),
            ("s1.A[]", "expected 'br=' or 'src=' or 'sub=' at position 5"),
            ("s1.A[br=0.]", "expected a number of at most 18 digits at position 10"),
            ("s1.A b", "expected '>', '+' or the end at position 4"),
            ("s1.A, B, ", "expected '>', '+' or the end at position 7"),
            ("s1.A,B", "expected '>', '+' or the end at position 4"),
            ("s1.A[br=0]b", "expected '>', '+' or the end at position 10"),
            ("s1.A[br=0", "expected ']' at position 9, found the end"),
            ("s1.", "expected the name of a class at position 3"),
            ("s" + "1" * 10**6 + ".A", "expected a number of at most 18 digits at position 1,"),
        ],
    )
    def test_a_message_says_what_was_expected_where(self, text: str, message: str) -> None:
        with pytest.raises(ValueError, match=re.escape(message)):
            path(text)

    def test_examples_of_the_reference(self) -> None:
        node = OperatorNode(3, "SNV", [0, 1], 1, 2, 0, "nm")
        assert node.to_key() == "s3.SNV[br=0.1,src=1,sub=0]"
        assert repr(node) == "OperatorNode(s3.SNV[br=0.1,src=1,sub=0])"
        assert OperatorNode.from_key("s3.sklearn.PLS") == OperatorNode(3, "sklearn.PLS")
        assert (
            repr(path("s1.A>s2.B[br=0]")) == str(path("s1.A>s2.B[br=0]")) == "OperatorChain(s1.A>s2.B[br=0])"
        )
        assert repr(OperatorChain()) == "OperatorChain(empty)"

    def test_plus_binds_tighter_than_greater(self) -> None:
        chain = path("s1.A>s2.B[br=0]+s2.B[br=1]>s3.M")
        assert [[node.to_key() for node in group] for group in chain.groups()] == [
            ["s1.A"],
            ["s2.B[br=0]", "s2.B[br=1]"],
            ["s3.M"],
        ]

    def test_long_texts(self) -> None:
        """Linear in the text, and no recursion."""
        text = ">".join(f"s{step}.A[br={'.'.join('0' * 10)}]+s{step}.B" for step in range(20_000))
        assert path(text).to_path() == text
        assert path("s1." + "x" * 10**6).nodes[0].operator_class == "x" * 10**6


class TestNode:
    @pytest.mark.parametrize(
        ("values", "field"),
        [
            ({"step_index": -1}, "step_index"),
            ({"step_index": True}, "step_index"),
            ({"step_index": 1.0}, "step_index"),
            ({"step_index": "1"}, "step_index"),
            ({"step_index": 10**18}, "step_index"),
            ({"step_index": 10**9999}, "step_index"),
            ({"operator_class": ""}, "operator_class"),
            ({"operator_class": None}, "operator_class"),
            *(({"operator_class": f"A{mark}B"}, "operator_class") for mark in ">+[],= "),
            *(({"operator_class": text}, "operator_class") for text in ("A,  B", "A, ", ", A", "A, , B")),
            ({"operator_class": "A\n"}, "operator_class"),
            ({"operator_class": "A\x00"}, "operator_class"),
            ({"operator_class": "A\u2028"}, "operator_class"),
            ({"operator_class": "A\ud800"}, "operator_class"),
            ({"branch_path": [0, -1]}, "branch_path"),
            ({"branch_path": [False]}, "branch_path"),
            ({"branch_path": "01"}, "branch_path"),
            ({"branch_path": 1}, "branch_path"),
            ({"source_index": -1}, "source_index"),
            ({"substep_index": -1}, "substep_index"),
            ({"fold_id": -1}, "fold_id"),
            ({"fold_id": True}, "fold_id"),
            ({"fold_id": 1.5}, "fold_id"),
            ({"operator_name": 3}, "operator_name"),
        ],
    )
    def test_invalid_values_are_named(self, values: dict[str, Any], field: str) -> None:
        with pytest.raises(InvalidInputError, match=field):
            OperatorNode(**{"step_index": 1, "operator_class": "A", **values})

    def test_numbers_of_numpy_become_numbers(self) -> None:
        node = OperatorNode(np.int64(3), "A", [np.int8(1)], np.uint8(0), np.int64(2))  # type: ignore[arg-type, list-item]
        assert [type(value) for value in (node.step_index, *node.branch_path, node.fold_id)] == [int] * 3

    def test_shares_no_list(self) -> None:
        branch = [0]
        node = OperatorNode(1, "A", branch)
        copy = node.with_source(1)
        data = node.to_dict()
        branch.append(1)
        copy.branch_path.append(2)
        data["branch_path"].append(3)
        assert node.branch_path == [0]

    @given(own.nodes())
    def test_a_dict_gives_the_node_back(self, node: OperatorNode) -> None:
        assert OperatorNode.from_dict(node.to_dict()) == node

    def test_dicts_hold_what_is_set(self) -> None:
        assert OperatorNode(1, "A").to_dict() == {"step_index": 1, "operator_class": "A"}
        assert OperatorNode(1, "A", [0, 1], 1, 2, 0, "nm").to_dict() == {
            "step_index": 1,
            "operator_class": "A",
            "branch_path": [0, 1],
            "source_index": 1,
            "fold_id": 2,
            "substep_index": 0,
            "operator_name": "nm",
        }
        with pytest.raises(ValueError, match="operator_class"):
            OperatorNode.from_dict({"step_index": 1})

    def test_with_gives_copies(self) -> None:
        node = OperatorNode(1, "A", [0], 1, 2, 0, "nm")
        assert node.with_fold("final") == OperatorNode(1, "A", [0], 1, "final", 0, "nm")
        assert node.with_source(None) == OperatorNode(1, "A", [0], None, 2, 0, "nm")
        assert node == OperatorNode(1, "A", [0], 1, 2, 0, "nm")

    def test_matches_context_exactly(self) -> None:
        node = OperatorNode(1, "A", [0, 1], 0, 0)
        assert node.matches_context()
        assert node.matches_context(1, [0, 1], 0, 0)
        for asked in ({"step_index": 0}, {"branch_path": [0]}, {"source_index": 1}, {"fold_id": "0"}):
            assert not node.matches_context(**asked)
        assert not node.matches_context(branch_path=[])
        assert OperatorNode(1, "A").matches_context(branch_path=[])


def text_of(groups: list[list[str]]) -> str:
    return ">".join("+".join(group) for group in groups if group)


def kept(chain: OperatorChain, wanted: set[int]) -> str:
    """The oracle of filters: takes keys out of the text, where they stand by position."""
    groups: list[list[str]] = []
    position = 0
    for group in chain.to_path().split(">") if chain else []:
        groups.append([])
        for key in group.split("+"):
            if position in wanted:
                groups[-1].append(key)
            position += 1
    return text_of(groups)


def where(chain: OperatorChain, wanted: list[bool]) -> set[int]:
    assert len(wanted) == len(chain)
    return {position for position, yes in enumerate(wanted) if yes}


class TestChain:
    @given(own.chains(), own.branches())
    def test_filter_branch_keeps_what_the_branch_sees(self, chain: OperatorChain, target: list[int]) -> None:
        """Operators of the branch, of its parents, and of none."""
        parents = [target[:depth] for depth in range(len(target) + 1)]
        expected = kept(chain, where(chain, [node.branch_path in parents for node in chain]))
        filtered = chain.filter_branch(target)
        assert filtered.to_path() == expected
        assert filtered.filter_branch(target) == filtered
        assert path(filtered.to_path()).parallel == filtered.parallel

    @given(own.chains(), own.indices())
    def test_filter_source_keeps_the_source_and_what_is_shared(
        self, chain: OperatorChain, source: int
    ) -> None:
        expected = kept(chain, where(chain, [node.source_index in {source, None} for node in chain]))
        assert chain.filter_source(source).to_path() == expected

    @given(own.chains(), own.indices())
    def test_filter_step_keeps_the_step(self, chain: OperatorChain, step: int) -> None:
        expected = kept(chain, where(chain, [node.step_index == step for node in chain]))
        assert chain.filter_step(step).to_path() == expected
        assert chain.filter_step(step).nodes == chain.get_nodes_at_step(step)

    def test_filters_leave_no_dangling_plus(self) -> None:
        chain = path("s1.A>s2.B[br=0]+s2.B[br=1]+s2.C[br=1]>s3.M")
        assert chain.filter_branch([1]).to_path() == "s1.A>s2.B[br=1]+s2.C[br=1]>s3.M"
        assert chain.filter_branch([0]).to_path() == "s1.A>s2.B[br=0]>s3.M"
        assert chain.filter_branch([]).to_path() == "s1.A>s3.M"
        assert chain.filter_step(2).to_path() == "s2.B[br=0]+s2.B[br=1]+s2.C[br=1]"

    @given(own.chains(), own.chains(), own.nodes())
    def test_appending_and_extending_join_texts(
        self, chain: OperatorChain, other: OperatorChain, node: OperatorNode
    ) -> None:
        before = pickle.dumps((chain, other, node))
        assert chain.append(node).to_path() == ">".join(filter(None, [chain.to_path(), node.to_key()]))
        assert chain.extend(other).to_path() == ">".join(filter(None, [chain.to_path(), other.to_path()]))
        assert chain.append(node).pipeline_id == chain.extend(other).pipeline_id == chain.pipeline_id
        assert chain.append(node).get_last_node() == node
        assert pickle.loads(before) == (chain, other, node)

    @given(own.chains(), own.chains(), st.integers(0, 9))
    def test_a_prefix_goes_first_and_moves_the_steps(
        self, chain: OperatorChain, prefix: OperatorChain, offset: int
    ) -> None:
        assume(all(node.step_index + offset < 10**18 for node in chain))
        merged = chain.merge_with_prefix(prefix, offset)
        moved = re.sub(
            r"(^|[>+])s([0-9]+)", lambda found: f"{found[1]}s{int(found[2]) + offset}", chain.to_path()
        )
        assert merged.to_path() == ">".join(filter(None, [prefix.to_path(), moved]))
        assert merged.pipeline_id == chain.pipeline_id

    def test_examples_of_prefix_and_steps(self) -> None:
        chain = path("s1.A>s2.B")
        assert chain.merge_with_prefix(path("s1.P"), step_offset=10).to_path() == "s1.P>s11.A>s12.B"
        assert chain.remap_steps({1: 5, 7: 8}).to_path() == "s5.A>s2.B"
        assert path("s1.A+s1.B>s2.C").remap_steps({1: 2, 2: 1}).to_path() == "s2.A+s2.B>s1.C"
        with pytest.raises(ValueError, match="step_index"):
            chain.merge_with_prefix(OperatorChain(), step_offset=-2)

    @given(own.chains(), st.dictionaries(own.indices(), own.indices()))
    def test_remapping_changes_steps_only(self, chain: OperatorChain, mapping: dict[int, int]) -> None:
        remapped = chain.remap_steps(mapping)
        assert [node.step_index for node in remapped] == [
            mapping.get(n.step_index, n.step_index) for n in chain
        ]
        assert remapped.remap_steps({}) == remapped
        back = [OperatorNode.from_dict({**n.to_dict(), "step_index": 0}) for n in remapped]
        assert back == [OperatorNode.from_dict({**n.to_dict(), "step_index": 0}) for n in chain]
        assert remapped.parallel == chain.parallel

    @given(own.chains(bare=True))
    def test_starting_with_is_having_those_operators_first(self, chain: OperatorChain) -> None:
        for length in range(len(chain) + 1):
            prefix = OperatorChain(
                chain.nodes[:length], parallel=frozenset(at for at in chain.parallel if at < length)
            )
            assert chain.starts_with(prefix)
            assert prefix.starts_with(chain) == (length == len(chain))

    @given(own.chains(bare=True, max_size=3), own.chains(bare=True, max_size=3))
    def test_starting_with_against_an_oracle(self, chain: OperatorChain, prefix: OperatorChain) -> None:
        tokens, first = (re.split("([>+])", each.to_path()) if each else [] for each in (chain, prefix))
        assert chain.starts_with(prefix) == (tokens[: len(first)] == first)

    def test_starting_with_counts_whole_operators(self) -> None:
        assert path("s1.A>s2.B").starts_with(OperatorChain())
        assert path("s1.A>s2.B").starts_with(path("s1.A"))
        assert not path("s1.AB>s2.B").starts_with(path("s1.A"))
        assert not path("s1.A.B").starts_with(path("s1.A"))
        assert not path("s10.A").starts_with(path("s1.A"))
        assert not path("s1.A[br=0]").starts_with(path("s1.A"))
        assert path("s1.A>s2.B+s2.C>s3.M").starts_with(path("s1.A>s2.B"))
        assert not path("s1.A>s2.B+s2.C").starts_with(path("s1.A>s2.B>s2.C"))

    @given(own.chains())
    def test_a_dict_gives_the_chain_back(self, chain: OperatorChain) -> None:
        data = chain.to_dict()
        assert OperatorChain.from_dict(data) == chain
        assert data["chain_path"] == chain.to_path()
        del data["nodes"]
        assert OperatorChain.from_dict(data).to_path() == chain.to_path()

    def test_dicts_are_those_of_the_reference(self) -> None:
        chain = OperatorChain.from_path("s1.A", "p")
        nodes = [{"step_index": 1, "operator_class": "A"}]
        assert chain.to_dict() == {"nodes": nodes, "pipeline_id": "p", "chain_path": "s1.A"}
        assert path("s1.A+s1.B").to_dict()["parallel"] == [1]
        assert OperatorChain.from_dict({}) == OperatorChain()
        with pytest.raises(ValueError, match="mapping"):
            OperatorChain.from_dict({"nodes": ["s1.A"]})

    @given(own.chains())
    def test_copies_are_equal_and_apart(self, chain: OperatorChain) -> None:
        copy = chain.copy()
        assert copy == chain
        assert not {id(node) for node in copy} & {id(node) for node in chain}
        assert pickle.loads(pickle.dumps(chain)) == chain
        assert chain.with_pipeline_id("other").pipeline_id == "other"
        assert chain.with_pipeline_id(chain.pipeline_id) == chain

    def test_shares_no_list(self) -> None:
        nodes = [OperatorNode(1, "A")]
        chain = OperatorChain(nodes)
        nodes.append(OperatorNode(2, "B"))
        assert chain.to_path() == "s1.A"

    @given(own.chains())
    def test_is_a_sized_iterable(self, chain: OperatorChain) -> None:
        assert list(chain) == chain.nodes
        assert len(chain) == len(chain.nodes)
        assert (
            bool(chain)
            == (not chain.is_empty())
            == (chain.get_last_node() is not None)
            == (chain.to_path() != "")
        )

    def test_the_branch_is_that_of_the_newest_operator_in_one(self) -> None:
        assert path("s1.A>s2.B[br=0]>s3.C[br=0.1,src=1]").get_branch_path() == [0, 1]
        assert path("s1.A>s2.B[br=2]>s3.M").get_branch_path() == [2]
        assert path("s1.A").get_branch_path() == []

    @pytest.mark.parametrize("parallel", [{0}, {2}, {1, 7}, {-1}])
    def test_a_plus_needs_operators_on_both_sides(self, parallel: set[int]) -> None:
        with pytest.raises(InvalidInputError, match="parallel"):
            OperatorChain([OperatorNode(1, "A"), OperatorNode(1, "B")], parallel=frozenset(parallel))

    @given(own.chains(), st.integers(1, 64))
    def test_the_hash_is_of_the_path(self, chain: OperatorChain, length: int) -> None:
        assert chain.to_hash(length) == hashlib.sha256(chain.to_path().encode()).hexdigest()[:length]


class TestMerge:
    def test_common_operators_stand_once(self) -> None:
        start = path("s1.A")
        left = start.append(OperatorNode(2, "B", [0])).append(OperatorNode(3, "C", [0]))
        right = start.append(OperatorNode(2, "B", [1]))
        merged = left.merge(right).append(OperatorNode(4, "M"))
        assert merged.to_path() == "s1.A>s2.B[br=0]+s2.B[br=1]>s3.C[br=0]>s4.M"
        assert merged.filter_branch([1]).to_path() == "s1.A>s2.B[br=1]>s4.M"
        assert start.merge(path("s1.B"), path("s1.C")).to_path() == "s1.A+s1.B+s1.C"

    @given(own.chains(), own.chains(), own.chains())
    def test_is_associative_and_idempotent(
        self, first: OperatorChain, second: OperatorChain, third: OperatorChain
    ) -> None:
        assert first.merge() == first.merge(first) == first.merge(OperatorChain()) == first
        assert first.merge(second).merge(third) == first.merge(second, third)
        assert first.merge(second.merge(third)).to_path() == first.merge(second, third).to_path()
        assert path(first.merge(second).to_path()).to_path() == first.merge(second).to_path()

    @given(
        st.lists(own.chains(bare=True, joined=False), min_size=1, max_size=4),
        own.chains(bare=True, max_size=2),
    )
    def test_a_branch_can_be_taken_out_again(self, tails: list[OperatorChain], start: OperatorChain) -> None:
        """Of branches that were merged, filtering gives each back."""
        start = start.filter_branch([])
        branches = [
            start.extend(
                OperatorChain([OperatorNode.from_dict({**n.to_dict(), "branch_path": [at]}) for n in tail])
            )
            for at, tail in enumerate(tails)
        ]
        merged = branches[0].merge(*branches[1:])
        for at, branch in enumerate(branches):
            assert merged.filter_branch([at]).to_path() == branch.to_path()


class TestIds:
    @given(own.pipeline_ids(), own.chains(), own.folds())
    def test_parsing_inverts_generating(
        self, pipeline_id: str, chain: OperatorChain, fold: int | str | None
    ) -> None:
        artifact_id = generate_artifact_id_v3(pipeline_id, chain, fold)
        assert artifact_id == generate_artifact_id_v3(pipeline_id, chain.to_path(), fold)
        assert parse_artifact_id_v3(artifact_id) == (pipeline_id, chain.to_hash(), fold)
        assert split_artifact_id(artifact_id) == (pipeline_id, fold)
        assert is_v3_artifact_id(artifact_id)

    @given(st.text() | st.text(alphabet="$:a0_-é\n"))
    def test_what_parses_prints_the_same(self, text: str) -> None:
        if not is_v3_artifact_id(text):
            with pytest.raises(ValueError, match=r"form|fold_id"):
                parse_artifact_id_v3(text)
            return
        pipeline_id, chain_hash, fold = parse_artifact_id_v3(text)
        assert f"{pipeline_id}${chain_hash}:{'all' if fold is None else fold}" == text

    def test_examples(self) -> None:
        assert compute_chain_hash("s1.A") == "66db6515faf4"
        assert generate_artifact_id_v3("p", "s1.A", 0) == "p$66db6515faf4:0"
        assert generate_artifact_id_v3("p", path("s1.A")) == "p$66db6515faf4:all"
        assert parse_artifact_id_v3("a$b:c$x:final") == ("a$b:c", "x", "final")
        assert parse_artifact_id_v3("$x:007") == ("", "x", "007")

    @pytest.mark.parametrize(
        "fold", [-1, True, False, 1.0, 10**18, "", "all", "0", "3", "1" * 19, "a:b", "a\n", "\x7f", "\ud800"]
    )
    def test_folds_that_could_not_be_read_back_are_refused(self, fold: Any) -> None:
        with pytest.raises(InvalidInputError, match="fold_id"):
            generate_artifact_id_v3("p", "s1.A", fold)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            ":",
            "$:",
            "p$:0",
            "p$x:",
            "p$x",
            "p:0",
            "p$x y:0",
            "p$é:0",
            "p$x:a\n",
            "p$x\n:0",
            "p$x:" + "1" * 5000,
        ],
    )
    def test_other_forms(self, text: str) -> None:
        assert not is_v3_artifact_id(text)
        with pytest.raises(InvalidInputError):
            parse_artifact_id_v3(text)

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("0001:0:all", ("0001", None)),
            ("0001:3:2", ("0001", 2)),
            ("0001:3:02", ("0001", 2)),
            ("0001:3:final", ("0001", None)),
            ("0001:3:-1", ("0001", None)),
            ("0001:3:٣", ("0001", None)),
            ("0001:3:" + "1" * 5000, ("0001", None)),
            ("anything", ("anything", None)),
            ("5", ("5", None)),
            (":5", ("", 5)),
            ("", ("", None)),
        ],
    )
    def test_ids_in_other_forms_are_split(self, text: str, expected: tuple[str, int | None]) -> None:
        assert split_artifact_id(text) == expected

    @given(st.lists(own.folds()))
    def test_folds_sort_shared_first_then_numbers_then_words(self, folds: list[int | str | None]) -> None:
        numbers = sorted(fold for fold in folds if isinstance(fold, int))
        words = sorted(fold for fold in folds if isinstance(fold, str))
        assert sorted(folds, key=fold_order) == [None] * folds.count(None) + numbers + words

    @pytest.mark.parametrize("length", [0, -1, 65])
    def test_hashes_have_a_length(self, length: int) -> None:
        with pytest.raises(InvalidInputError, match="length"):
            compute_chain_hash("s1.A", length)

    def test_a_path_without_bytes_has_no_hash(self) -> None:
        with pytest.raises(InvalidInputError, match="UTF-8"):
            compute_chain_hash("s1.\ud800")
