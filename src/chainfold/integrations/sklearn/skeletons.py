"""A composite without its parts: the same object, with references where the parts were."""

import contextlib
import copy
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from typing import Any, NoReturn

from chainfold.errors import CorruptionError, SerializationError

_met: ContextVar[list["Reference"] | None] = ContextVar("chainfold_references_met", default=None)


class Reference:
    """Stands in a skeleton for one of the parts: the first so many of the record's `depends_on`.

    It says which by number, not by id: so the skeletons of equal composites are equal, whatever their
    pipelines and folds.
    """

    __module__ = "chainfold.integrations.sklearn"  # as pickles name it, for ever

    def __init__(self, index: int) -> None:
        self.index = index
        met = _met.get()
        if met is not None:
            met.append(self)

    def __repr__(self) -> str:
        return f"Reference({self.index})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reference) and self.index == other.index

    def __hash__(self) -> int:
        return hash((Reference, self.index))

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(
            f"a reference has no {name!r}: it stands for a part that is registered by itself; "
            "load_fitted gives the whole"
        )

    def __reduce__(self) -> tuple[type["Reference"], tuple[int]]:
        return Reference, (self.index,)


@contextlib.contextmanager
def references_met() -> Iterator[list[Reference]]:
    """The references that come into being in this block, in this thread: those of what is loaded there.

    A `__deepcopy__` of their own would be simpler, but an estimator that passes on what it is asked to what
    it holds (`FrozenEstimator`) would pass that on as well.
    """
    met: list[Reference] = []
    token = _met.set(met)
    try:
        yield met
    finally:
        _met.reset(token)


def taken_apart(composite: Any, members: Sequence[Any]) -> Any:
    """A copy of a composite with a reference in each place, however deep, where one of its members was.

    Raises:
        SerializationError: If it holds what cannot be copied, which cannot be stored either.
    """
    memo: dict[Any, Any] = {}
    for index, member in enumerate(members):
        memo.setdefault(id(member), Reference(index))
    try:
        return copy.deepcopy(composite, memo)
    except Exception as error:
        raise SerializationError(
            f"cannot take {type(composite).__name__} apart to register it: {type(error).__name__}: {error}"
        ) from error


def put_together(skeleton: Any, references: Sequence[Reference], members: Sequence[Any]) -> Any:
    """The inverse of `taken_apart`: the members themselves, not copies, stand where the references stood.

    Args:
        skeleton: As it was loaded.
        references: All that were met then.
        members: What they refer to.

    Raises:
        CorruptionError: If a reference is to none of them.
    """
    memo: dict[Any, Any] = {}
    for reference in references:
        if reference.index not in range(len(members)):
            raise CorruptionError(
                f"a skeleton refers to part {reference.index!r:.80}, and has {len(members)} parts"
            )
        memo[id(reference)] = members[reference.index]
    return copy.deepcopy(skeleton, memo)
