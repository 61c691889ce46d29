"""Chains of operators: how an artifact came to be, oldest operator first. `grammar.py` has their text."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from itertools import zip_longest
from typing import Any, Self

from chainfold.errors import InvalidInputError
from chainfold.grammar import (
    CLASS_NAME,
    checked_text,
    continues,
    parse_node,
    unparsable,
    whole_number,
    whole_numbers,
)

_SHA256_HEX_DIGITS = 64


@dataclass(slots=True, repr=False)
class OperatorNode:
    """One operator of a chain.

    Attributes:
        step_index: The pipeline's step.
        operator_class: Name of the operator's class; dots are allowed in it. Of what holds several, such as
            branches in a branch, their names, joined by ", ".
        branch_path: Indices of nested branches, outermost first; empty outside branches.
        source_index: Which of several data sources, None for all of them.
        fold_id: Cross-validation fold; not part of the key.
        substep_index: Which of several operators in one step.
        operator_name: A name the user gave; not part of the key.

    Raises:
        InvalidInputError: If a value could not be read back from the key; the message names the field.
    """

    step_index: int
    operator_class: str
    branch_path: list[int] = field(default_factory=list)
    source_index: int | None = None
    fold_id: int | str | None = None
    substep_index: int | None = None
    operator_name: str | None = None

    def __post_init__(self) -> None:
        self.step_index = whole_number("step_index", self.step_index)
        if CLASS_NAME.fullmatch(checked_text("operator_class", self.operator_class)) is None:
            raise InvalidInputError(
                "operator_class must be a name without white space, control characters or > + [ ] , =, or "
                f"several joined by ', ', not {self.operator_class!r:.80}"
            )
        self.branch_path = whole_numbers("branch_path", self.branch_path)
        if self.source_index is not None:
            self.source_index = whole_number("source_index", self.source_index)
        if self.fold_id is not None and not isinstance(self.fold_id, str):
            self.fold_id = whole_number("fold_id", self.fold_id)
        if self.substep_index is not None:
            self.substep_index = whole_number("substep_index", self.substep_index)
        if self.operator_name is not None:
            self.operator_name = checked_text("operator_name", self.operator_name)

    def __repr__(self) -> str:
        return f"OperatorNode({self.to_key()})"

    def to_key(self) -> str:
        """The text of this node in a path: `s3.SNV[br=0.1,src=1,sub=0]`, without what is not set."""
        qualifiers = []
        if self.branch_path:
            qualifiers.append("br=" + ".".join(map(str, self.branch_path)))
        if self.source_index is not None:
            qualifiers.append(f"src={self.source_index}")
        if self.substep_index is not None:
            qualifiers.append(f"sub={self.substep_index}")
        suffix = f"[{','.join(qualifiers)}]" if qualifiers else ""
        return f"s{self.step_index}.{self.operator_class}{suffix}"

    @classmethod
    def from_key(cls, key: str) -> Self:
        """The inverse of `to_key`: a node without fold and name.

        Raises:
            InvalidInputError: If the text is not exactly a key; the message has the position, from 0.
        """
        values, end = parse_node(key, 0)
        if end != len(key):
            raise unparsable(key, end, "the end of the key")
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Step, class, and what else is set, as JSON types that share nothing with this node."""
        data: dict[str, Any] = {"step_index": self.step_index, "operator_class": self.operator_class}
        if self.branch_path:
            data["branch_path"] = list(self.branch_path)
        for name in ("source_index", "fold_id", "substep_index", "operator_name"):
            value = getattr(self, name)
            if value is not None:
                data[name] = value
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`. Unknown keys are ignored; None is as good as missing.

        Raises:
            InvalidInputError: If a value is invalid or one that is needed is missing; the message names it.
        """
        if not isinstance(data, Mapping):
            raise InvalidInputError(f"an operator must be a mapping, not {type(data).__name__}")
        values = {each.name: data[each.name] for each in fields(cls) if data.get(each.name) is not None}
        for name in ("step_index", "operator_class"):
            if name not in values:
                raise InvalidInputError(f"an operator needs {name}")
        return cls(**values)

    def with_fold(self, fold_id: int | str | None) -> Self:
        """A copy of that fold."""
        return replace(self, fold_id=fold_id)

    def with_source(self, source_index: int | None) -> Self:
        """A copy of that source."""
        return replace(self, source_index=source_index)

    def matches_context(
        self,
        step_index: int | None = None,
        branch_path: list[int] | None = None,
        source_index: int | None = None,
        fold_id: int | str | None = None,
    ) -> bool:
        """Whether it is exactly of that step, branch, source and fold; None asks nothing."""
        return (
            (step_index is None or self.step_index == step_index)
            and (branch_path is None or self.branch_path == list(branch_path))
            and (source_index is None or self.source_index == source_index)
            and (fold_id is None or self.fold_id == fold_id)
        )


@dataclass(slots=True, repr=False)
class OperatorChain:
    """The operators that lead to an artifact, oldest first.

    Methods that change something return a new chain of the same pipeline; nodes that stay as they were are
    shared with it, except by `copy`.

    Attributes:
        nodes: The operators, parallel ones too, in the order of the path.
        pipeline_id: The pipeline they belong to; not part of the path.
        parallel: Positions in `nodes` of those that `+` joins to the node before them. A position belongs to
            the chain, not to the node: a node that is appended elsewhere brings no `+` along.

    Raises:
        InvalidInputError: If `parallel` names a position that has no node before it.
    """

    nodes: list[OperatorNode] = field(default_factory=list)
    pipeline_id: str = ""
    parallel: frozenset[int] = field(default=frozenset(), kw_only=True)

    def __post_init__(self) -> None:
        self.nodes = list(self.nodes)
        self.parallel = frozenset(whole_numbers("parallel", self.parallel))
        if not self.parallel <= frozenset(range(1, len(self.nodes))):
            raise InvalidInputError("parallel must be positions of nodes that follow another node")

    def __len__(self) -> int:
        return len(self.nodes)

    def __iter__(self) -> Iterator[OperatorNode]:
        return iter(self.nodes)

    def __bool__(self) -> bool:
        return bool(self.nodes)

    def __repr__(self) -> str:
        return f"OperatorChain({self.to_path() or 'empty'})"

    def groups(self) -> list[list[OperatorNode]]:
        """The nodes, those that `+` joins together in one list: each list is fed by the one before it."""
        groups: list[list[OperatorNode]] = []
        for position, node in enumerate(self.nodes):
            if groups and position in self.parallel:
                groups[-1].append(node)
            else:
                groups.append([node])
        return groups

    def append(self, node: OperatorNode) -> Self:
        """A chain with one more operator, fed by the last group: `a+b` and `c` give `a+b>c`."""
        return self._with_groups([*self.groups(), [node]])

    def extend(self, other: "OperatorChain") -> Self:
        """A chain with another's operators after its own."""
        return self._with_groups([*self.groups(), *other.groups()])

    def merge(self, *others: "OperatorChain") -> Self:
        """This chain and others as parallel branches, for the meta-model that is appended next.

        The first groups of all chains become one group, then the second ones, and so on. An operator that
        several chains have in the same place, such as all those before they part, stands there once: `a>b`
        and `a>c` give `a>b+c`. `filter_branch` takes a branch out again.
        """
        merged = []
        for level in zip_longest(self.groups(), *(other.groups() for other in others), fillvalue=()):
            group = list(level[0])
            seen = {node.to_key() for node in group}
            for node in (node for part in level[1:] for node in part):
                key = node.to_key()
                if key not in seen:
                    seen.add(key)
                    group.append(node)
            merged.append(group)
        return self._with_groups(merged)

    def copy(self) -> Self:
        """A chain that shares no node with this one."""
        return self._each(replace)

    def with_pipeline_id(self, pipeline_id: str) -> Self:
        """The same operators in another pipeline."""
        return replace(self, pipeline_id=pipeline_id)

    def filter_branch(self, target: list[int]) -> Self:
        """The operators that a branch sees: its own, its parents', and those outside any branch."""
        target = list(target)
        return self._keep(lambda node: node.branch_path == target[: len(node.branch_path)])

    def filter_source(self, source_index: int) -> Self:
        """The operators of that source, and those of all sources."""
        return self._keep(lambda node: node.source_index is None or node.source_index == source_index)

    def filter_step(self, step_index: int) -> Self:
        """The operators of one step."""
        return self._keep(lambda node: node.step_index == step_index)

    def get_nodes_at_step(self, step_index: int) -> list[OperatorNode]:
        """The operators of one step, as a list."""
        return [node for node in self.nodes if node.step_index == step_index]

    def get_last_node(self) -> OperatorNode | None:
        """The newest operator; None in an empty chain."""
        return self.nodes[-1] if self.nodes else None

    def get_branch_path(self) -> list[int]:
        """The branch of the newest operator that is in one; empty when none is."""
        return next((list(node.branch_path) for node in reversed(self.nodes) if node.branch_path), [])

    def is_empty(self) -> bool:
        """Whether there is no operator."""
        return not self.nodes

    def starts_with(self, prefix: "OperatorChain") -> bool:
        """Whether its first operators are those of the prefix, as whole ones: `s1.A` begins no `s1.AB`.

        A prefix may end within a group: `a>b` begins `a>b+c`.
        """
        return continues(self.to_path(), prefix.to_path())

    def merge_with_prefix(self, prefix_chain: "OperatorChain", step_offset: int = 0) -> Self:
        """The prefix's operators, then its own with their steps moved by the offset."""
        moved = self._each(lambda node: replace(node, step_index=node.step_index + step_offset))
        return self._with_groups([*prefix_chain.groups(), *moved.groups()])

    def remap_steps(self, mapping: Mapping[int, int]) -> Self:
        """A chain with steps renumbered; those that the mapping does not name stay."""
        return self._each(
            lambda node: replace(node, step_index=mapping.get(node.step_index, node.step_index))
        )

    def to_hash(self, length: int = 12) -> str:
        """The first hex digits of the path's sha256."""
        return compute_chain_hash(self.to_path(), length)

    def to_path(self) -> str:
        """The text of the chain, as the module describes it."""
        return ">".join("+".join(node.to_key() for node in group) for group in self.groups())

    @classmethod
    def from_path(cls, path: str, pipeline_id: str = "") -> Self:
        """The inverse of `to_path`: nodes without fold and name.

        Raises:
            InvalidInputError: If the text is no path; the message has the position, from 0, and what was
                expected there.
        """
        path = checked_text("a chain's path", path or "")
        nodes: list[OperatorNode] = []
        parallel: set[int] = set()
        position = 0
        while path:
            values, position = parse_node(path, position)
            nodes.append(OperatorNode(**values))
            if position == len(path):
                break
            if path[position] == "+":
                parallel.add(len(nodes))
            elif path[position] != ">":
                raise unparsable(path, position, "'>', '+' or the end")
            position += 1
        return cls(nodes, pipeline_id, parallel=frozenset(parallel))

    def to_dict(self) -> dict[str, Any]:
        """JSON types that share nothing with this chain; `parallel` is there only when `+` is."""
        data: dict[str, Any] = {
            "nodes": [node.to_dict() for node in self.nodes],
            "pipeline_id": self.pipeline_id,
            "chain_path": self.to_path(),
        }
        if self.parallel:
            data["parallel"] = sorted(self.parallel)
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`. The path is read only when there are no nodes beside it.

        Raises:
            InvalidInputError: If a node or the path is invalid.
        """
        pipeline_id = str(data.get("pipeline_id") or "")
        nodes = data.get("nodes")
        if nodes is None:
            return cls.from_path(str(data.get("chain_path") or ""), pipeline_id)
        return cls(
            [OperatorNode.from_dict(node) for node in nodes],
            pipeline_id,
            parallel=data.get("parallel") or frozenset(),
        )

    def _with_groups(self, groups: Iterable[list[OperatorNode]]) -> Self:
        """A chain of this pipeline with those groups; empty ones vanish, and their `+` with them."""
        nodes: list[OperatorNode] = []
        parallel: set[int] = set()
        for group in groups:
            parallel.update(range(len(nodes) + 1, len(nodes) + len(group)))
            nodes.extend(group)
        return replace(self, nodes=nodes, parallel=frozenset(parallel))

    def _keep(self, wanted: Callable[[OperatorNode], bool]) -> Self:
        """The nodes that are wanted. What they were parallel to, they stay parallel to, if it is kept."""
        return self._with_groups([node for node in group if wanted(node)] for group in self.groups())

    def _each(self, change: Callable[[OperatorNode], OperatorNode]) -> Self:
        """Every node changed, in the same groups."""
        return self._with_groups([change(node) for node in group] for group in self.groups())


def compute_chain_hash(chain_path: str, length: int = 12) -> str:
    """The first hex digits of the sha256 of a path, whether or not the grammar knows it."""
    if not 1 <= length <= _SHA256_HEX_DIGITS:
        raise InvalidInputError(f"length must be from 1 to {_SHA256_HEX_DIGITS}")
    try:
        data = checked_text("a chain's path", chain_path).encode()
    except UnicodeEncodeError as error:
        raise InvalidInputError(f"the chain path has no UTF-8: {error}") from error
    return hashlib.sha256(data).hexdigest()[:length]
