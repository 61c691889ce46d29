"""Hypothesis strategies for chains and ids."""

from typing import Final

from hypothesis import strategies as st

from chainfold.chain import OperatorChain, OperatorNode

# Unicode categories of controls, of what has no UTF-8, and of spaces.
_NO_ID: Final = ("Cc", "Cs")
_NO_CLASS: Final = ("Cc", "Cs", "Zl", "Zp", "Zs")
_SYNTAX = ">+[],="  # what separates the parts of a path
_WORDS = ["final", "avg", "w_avg", "0a", "007", "all_", "Final"]


def indices() -> st.SearchStrategy[int]:
    """Branches, sources, substeps, fold numbers: mostly small, so that they meet."""
    return st.integers(0, 3) | st.integers(0, 10**18 - 1)


def branches() -> st.SearchStrategy[list[int]]:
    """Paths of nested branches; often one is another's parent."""
    return st.lists(st.integers(0, 1), max_size=3) | st.lists(indices(), max_size=4)


def classes() -> st.SearchStrategy[str]:
    """Names of operators' classes, sometimes of several."""
    known = st.sampled_from(["SNV", "PLS", "A", "B", "sklearn.PLS", "s1", "src", "br", "Ä.模型", "_x1", "."])
    legal = st.characters(exclude_categories=_NO_CLASS, exclude_characters=_SYNTAX)
    one = known | st.text(legal, min_size=1, max_size=8)
    return one | st.lists(one, min_size=2, max_size=3).map(", ".join)


def fold_words() -> st.SearchStrategy[str]:
    """Folds that are words."""
    words = st.text(st.characters(exclude_categories=_NO_ID, exclude_characters=":"), min_size=1, max_size=6)
    return st.sampled_from(_WORDS) | words.filter(lambda word: word != "all" and not _is_number(word))


def folds() -> st.SearchStrategy[int | str | None]:
    """Folds of every kind."""
    return st.none() | indices() | fold_words()


def nodes(*, bare: bool = False) -> st.SearchStrategy[OperatorNode]:
    """Valid operators; bare ones have only what their key shows."""
    return st.builds(
        OperatorNode,
        step_index=indices(),
        operator_class=classes(),
        branch_path=branches(),
        source_index=st.none() | indices(),
        fold_id=st.none() if bare else folds(),
        substep_index=st.none() | indices(),
        operator_name=st.none() if bare else st.none() | st.text(max_size=4),
    )


@st.composite
def chains(
    draw: st.DrawFn, *, bare: bool = False, min_size: int = 0, max_size: int = 6, joined: bool = True
) -> OperatorChain:
    """Valid chains; bare ones have only what their path shows, unjoined ones no `+`."""
    drawn = draw(st.lists(nodes(bare=bare), min_size=min_size, max_size=max_size))
    follow = range(1, len(drawn))
    parallel = draw(st.sets(st.sampled_from(follow))) if follow and joined else set()
    return OperatorChain(drawn, draw(pipeline_ids()), parallel=frozenset(parallel))


def pipeline_ids() -> st.SearchStrategy[str]:
    """Ids of pipelines, with the marks of artifact ids in some."""
    known = st.sampled_from(["", "p", "0001_pls", "a$b", "a:b", "$:", "x$0:1", "a$b:all"])
    return known | st.text(st.characters(exclude_categories=_NO_ID), max_size=8)


def _is_number(word: str) -> bool:
    """Whether a fold of this spelling is a number."""
    return word.isascii() and word.isdigit() and (word == "0" or not word.startswith("0"))
