"""Operators as nirs4all names them: any text, which a chain's path has to spell."""

import re
from dataclasses import dataclass
from typing import Any, Final

from chainfold import chain
from chainfold.grammar import CLASS_NAME, UNPRINTABLE

_CONTROLS: Final = re.compile(f"[{UNPRINTABLE}]")


@dataclass(slots=True, repr=False)
class OperatorNode(chain.OperatorNode):
    """`chainfold.OperatorNode`, but for what no class is called: it is spelled with `_` in its place.

    A branch in a branch is `StandardNormalVariate, FirstDerivative` to nirs4all, and to the grammar as well.
    """

    def __post_init__(self) -> None:
        name: object = self.operator_class  # what is no text is refused below
        if isinstance(name, str) and CLASS_NAME.fullmatch(name) is None:
            self.operator_class = "_".join(CLASS_NAME.findall(name)) or "_"
        self.operator_name = shown(self.operator_name)
        chain.OperatorNode.__post_init__(self)


def shown(text: Any) -> Any:
    """A name for people without what cannot be printed; what is no text stays as it is."""
    return _CONTROLS.sub(" ", text) if isinstance(text, str) else text
