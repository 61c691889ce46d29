"""Which artifacts a fitted estimator becomes: the chain, fold, branch and sources of each of its parts."""

from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple

from chainfold.chain import OperatorChain, OperatorNode
from chainfold.errors import InvalidInputError
from chainfold.integrations.sklearn.composites import (
    TARGET_ENCODERS,
    Composite,
    Member,
    composite_of,
    is_estimator,
    is_fitted,
)
from chainfold.records import ArtifactType, Fold
from chainfold.serializers.protocol import type_name

_MOST_MEMBERS: Final = 800
"""What is put together from more is registered in one piece: its entry in the log could not name them all."""


@dataclass(eq=False)
class Part:
    """One artifact that a fitted estimator becomes.

    Attributes:
        name: Its place in the whole, as `get_params` spells places: `stack__pls__scale`; empty for the whole.
        fitted: The object itself.
        artifact_type: Its role.
        chain: The operators that led to it, itself last.
        fold: Its fold.
        sources: What fed it when it was fitted: nearest only.
        members: What it is put together from; empty for what is registered in one piece.
        columns: For the last model of a stack: who gives each column that it is fed, and the column's name.
        branch_path: Indices of the nested branches that it is in.
    """

    name: str
    fitted: Any
    artifact_type: ArtifactType
    chain: OperatorChain
    fold: Fold = None
    sources: list["Part"] = field(default_factory=list)
    members: list["Part"] = field(default_factory=list)
    columns: list[tuple["Part", str]] = field(default_factory=list)
    branch_path: list[int] = field(default_factory=list)

    def __repr__(self) -> str:
        fold = "" if self.fold is None else f", fold={self.fold}"
        return f"Part({self.name!r}, {self.artifact_type.value}, {self.chain.to_path()}{fold})"

    @property
    def node(self) -> OperatorNode:
        """Its own operator: the last of its chain."""
        return self.chain.nodes[-1]


def parts(estimator: Any, fold_id: Fold = None) -> list[Part]:
    """What `register_fitted` would register, in that order: sources before products, the whole last.

    Args:
        estimator: As for `register_fitted`.
        fold_id: Likewise.

    Raises:
        InvalidInputError: As `register_fitted`.
    """
    if isinstance(estimator, dict | list | tuple):
        if fold_id is not None:
            raise InvalidInputError(
                "a list of estimators is one for each fold: give no fold_id, or one estimator at a time"
            )
    elif not is_estimator(estimator):
        raise InvalidInputError(
            f"cannot register {_told(estimator)} as an estimator: it is no object that has `fit`. Give what "
            "was fitted, or what cross_validate(..., return_estimator=True) gives, or its list of estimators"
        )
    walk = _Walk()
    walk.visit(Member("", estimator), _Place(fold=fold_id))
    return walk.finished()


class _Place(NamedTuple):
    """Where the walk is.

    Attributes:
        path: The operators that data have passed through.
        step: The step of the next operator.
        sources: What feeds it.
        branch: Indices of the nested branches.
        name: Of the composite around it.
        fold: Its fold.
        substep: Of the operators here; None on the way of the data.
    """

    path: OperatorChain = OperatorChain()
    step: int = 1
    sources: tuple[Part, ...] = ()
    branch: tuple[int, ...] = ()
    name: str = ""
    fold: Fold = None
    substep: int | None = None

    def entered(self, member: Member) -> "_Place":
        """The place of a member here."""
        place = self._replace(
            name="__".join(filter(None, (self.name, member.name))),
            branch=self.branch if member.branch is None else (*self.branch, member.branch),
            fold=self.fold if member.fold is None else member.fold,
        )
        return place._replace(path=OperatorChain(), sources=(), substep=0) if member.is_beside else place

    def left(self, flows: list[tuple[Member, "_Flow"]]) -> "_Place":
        """The place behind a stage; one that fits nothing takes a step all the same."""
        if not flows:
            return self._replace(step=self.step + 1)
        beside = tuple(flow.part for member, flow in flows if member.is_beside)
        passed = [flow for member, flow in flows if not member.is_beside]
        if not passed:
            return self._replace(sources=(*self.sources, *beside))
        return self._replace(
            path=passed[0].path.merge(*(flow.path for flow in passed[1:])),
            step=max(flow.step for flow in passed),
            sources=(*(flow.part for flow in passed), *beside),
        )


class _Flow(NamedTuple):
    """What comes out of a member.

    Attributes:
        part: Its artifact.
        path: The operators that data have passed through behind it.
        step: The step of what follows.
        height: How many routes are within each other there.
    """

    part: Part
    path: OperatorChain
    step: int
    height: int


class _HoldsItselfError(Exception):
    """A composite is within itself: it is registered in one piece."""

    def __init__(self, fitted: Any) -> None:
        super().__init__(fitted)
        self.fitted = fitted


class _Walk:
    """One walk over a fitted estimator. Routes get their steps at the end: they follow all operators."""

    def __init__(self) -> None:
        self._parts: list[tuple[Part, int]] = []  # each with its height if it is a route, else 0
        self._steps = 0
        self._taken: set[tuple[str, Fold]] = set()
        self._open: list[Any] = []

    def visit(self, member: Member, place: _Place, role: ArtifactType | None = None) -> _Flow:
        """Plan what one member becomes, after all that is in it; its role, where it has none of its own."""
        fitted, role = member.fitted, member.artifact_type or role
        if is_estimator(fitted) and not is_fitted(fitted):
            told = f"{_told(fitted)}{_where(place)}{_step(fitted)}"
            raise InvalidInputError(f"cannot register what is not fitted: {told}. Fit it first")
        if any(each is fitted for each in self._open):
            raise _HoldsItselfError(fitted)
        composite = composite_of(fitted)
        if composite is not None and sum(map(len, composite.stages)) > _MOST_MEMBERS:
            composite = None
        part = Part(place.name, fitted, role or _role(fitted), OperatorChain(), place.fold)
        part.branch_path = list(place.branch)
        planned = None if composite is None else self._inside(composite, place, part, role)
        if composite is None or planned is None:
            part.sources = list(place.sources)
            return self._operator(part, place, place, 0)
        behind, height = planned
        if not composite.is_route:
            return self._operator(part, place, behind, height)
        part.chain = behind.path  # its own node comes at the end
        self._parts.append((part, height + 1))
        return _Flow(part, behind.path, behind.step, height + 1)

    def _inside(
        self, composite: Composite, place: _Place, part: Part, role: ArtifactType | None
    ) -> tuple[_Place, int] | None:
        """Plan what is in a composite; None if that is, among others, the composite itself."""
        done, steps, taken = len(self._parts), self._steps, set(self._taken)
        self._open.append(part.fitted)
        try:
            return self._stages(composite, place, part, role)
        except _HoldsItselfError as error:
            if error.fitted is not part.fitted:
                raise
            del self._parts[done:]
            self._steps, self._taken = steps, taken
            part.members = []
            return None
        finally:
            self._open.pop()

    def finished(self) -> list[Part]:
        """All parts, in order of registration."""
        for part, height in self._parts:
            if height:
                node = OperatorNode(self._steps + height, type(part.fitted).__name__, part.branch_path)
                part.chain = self._chain(part.chain, node, part.fold)
        return [part for part, _ in self._parts]

    def _stages(
        self, composite: Composite, place: _Place, part: Part, role: ArtifactType | None
    ) -> tuple[_Place, int]:
        """Plan all members; the place behind them, and the greatest height."""
        here, height, before = place, 0, list[tuple[Member, _Flow]]()
        for number, stage in enumerate(composite.stages, 1):
            is_last = number == len(composite.stages)
            if is_last and composite.passes_on:
                here = here._replace(sources=(*here.sources, *place.sources))
            flows = []
            for member in stage:
                if member.fitted is not None:
                    inherited = role if is_last and composite.inherits(member) else None
                    flows.append((member, self.visit(member, here.entered(member), inherited)))
            if is_last and composite.columns:
                flows[0][1].part.columns = [
                    (before[index][1].part, name) for index, name in composite.columns
                ]
            part.members += [flow.part for _, flow in flows]
            height = max([height, *(flow.height for _, flow in flows)])
            here, before = here.left(flows), flows
        self._steps = max(self._steps, here.step - 1)
        return here, height

    def _operator(self, part: Part, place: _Place, behind: _Place, height: int) -> _Flow:
        """Put it at the end of the way of the data."""
        node = OperatorNode(
            behind.step, type(part.fitted).__name__, part.branch_path, substep_index=place.substep
        )
        part.chain = self._chain(behind.path, node, part.fold)
        self._parts.append((part, 0))
        self._steps = max(self._steps, behind.step)
        return _Flow(part, part.chain, behind.step + 1, height)

    def _chain(self, path: OperatorChain, node: OperatorNode, fold: Fold) -> OperatorChain:
        """A chain that no other part has: encoders of one target in each other are told apart by substep."""
        chain = path.append(node)
        while (chain.to_path(), fold) in self._taken:
            node = replace(node, substep_index=0 if node.substep_index is None else node.substep_index + 1)
            chain = path.append(node)
        self._taken.add((chain.to_path(), fold))
        return chain


def _role(fitted: Any) -> ArtifactType:
    """What an object is, by what it can do."""
    if isinstance(fitted, TARGET_ENCODERS):
        return ArtifactType.ENCODER
    if any(hasattr(fitted, verb) for verb in ("predict", "fit_predict")):
        return ArtifactType.MODEL
    if any(hasattr(fitted, verb) for verb in ("transform", "fit_transform")):
        return ArtifactType.TRANSFORMER
    return ArtifactType.MODEL


def _where(place: _Place) -> str:
    name = f", named {place.name!r}" if place.name else ""
    return name if place.fold is None else f"{name}, of fold {place.fold}"


def _step(fitted: Any) -> str:
    """The first step of a pipeline that is not fitted: one like that is in the way of the whole."""
    for name, step in getattr(fitted, "steps", None) or ():
        if is_estimator(step) and not is_fitted(step):
            return f", whose step {name!r:.100} is not"
    return ""


def _told(thing: Any) -> str:
    return f"the class {thing.__name__}" if isinstance(thing, type) else type_name(thing)
