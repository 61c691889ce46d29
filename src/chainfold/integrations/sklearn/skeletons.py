"""A composite without its parts: the same object, with references where the parts were."""

import copy
from collections.abc import Sequence
from typing import Any, Final, NoReturn

from chainfold.errors import CorruptionError, SerializationError

_PARTS: Final = "chainfold parts"
"""Where `copy.deepcopy`'s memo has them: its own keys are numbers."""


class Reference:
    """Stands in a skeleton for one of the parts: the first so many of the record's `depends_on`.

    It says which by number, not by id: so the skeletons of equal composites are equal, whatever their
    pipelines and folds.
    """

    __module__ = "chainfold.integrations.sklearn"  # as pickles name it, for ever

    def __init__(self, index: int) -> None:
        self.index = index

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

    def __deepcopy__(self, memo: dict[Any, Any]) -> Any:
        found = memo.get(_PARTS)
        if found is None:
            return Reference(self.index)
        if self.index not in range(len(found)):
            raise CorruptionError(f"a skeleton refers to part {self.index!r}, and has {len(found)} parts")
        return found[self.index]


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


def put_together(skeleton: Any, members: Sequence[Any]) -> Any:
    """The inverse of `taken_apart`: the members themselves, not copies, stand where the references stood."""
    memo: dict[Any, Any] = {_PARTS: members}
    return copy.deepcopy(skeleton, memo)
