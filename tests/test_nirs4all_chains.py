"""What nirs4all calls its operators and models, whatever is in it, is no reason to fail."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from chainfold.chain import OperatorChain
from chainfold.chain import OperatorNode as Strict
from chainfold.grammar import CLASS_NAME
from chainfold.integrations.nirs4all.chains import OperatorNode
from chainfold.integrations.nirs4all.registry import ArtifactRegistry


@given(st.text())
def test_any_text_is_an_operator(name: str) -> None:
    node = OperatorNode(3, name, branch_path=[0, 1], operator_name=name)
    chain = OperatorChain([node])
    assert OperatorChain.from_path(chain.to_path()).to_path() == chain.to_path()
    assert isinstance(node, Strict)
    if CLASS_NAME.fullmatch(name):
        assert node.operator_class == name


def test_a_branch_in_a_branch(tmp_path: Path) -> None:
    node = OperatorNode(2, "StandardNormalVariate, FirstDerivative", branch_path=[0])
    assert node.to_key() == "s2.StandardNormalVariate, FirstDerivative[br=0]"
    chain = OperatorChain([node, OperatorNode(3, "PLS", branch_path=[0, 1])])
    assert OperatorChain.from_path(chain.to_path()) == OperatorChain(
        [Strict(2, "StandardNormalVariate, FirstDerivative", [0]), Strict(3, "PLS", [0, 1])]
    )
    with ArtifactRegistry(tmp_path, "wheat", pipeline_id="p") as registry:
        artifact_id = registry.generate_id(chain, 0)
        registry.register([1], artifact_id, "model", chain_path=chain.to_path())
        (record,) = registry.get_artifacts_for_step("p", 3, [0, 1], 0)
        assert record.artifact_id == artifact_id
        assert registry.get_chain_prefix(OperatorChain([node])) == [record]
        assert registry.get_chain_prefix(OperatorChain([Strict(2, "StandardNormalVariate")])) == []


def test_a_name_that_cannot_be_printed(tmp_path: Path) -> None:
    with ArtifactRegistry(tmp_path, "wheat", pipeline_id="p") as registry:
        record = registry.register([1], "p$0123456789ab:0", "model", custom_name="a\tb")
        assert record.custom_name == "a b"
        record = registry.register_with_chain([2], "s1.A", "model", 1, custom_name="c\nd")
        assert record.custom_name == "c d"
