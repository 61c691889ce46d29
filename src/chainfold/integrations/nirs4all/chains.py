"""Operators as nirs4all names them: any text, which a chain's path has to spell."""

import re
from collections.abc import Mapping
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


def with_shown_names(listed: Any) -> Any:
    """What a manifest lists, in any form, with each item's name as `shown`; nothing else is changed."""
    if isinstance(listed, Mapping):
        return {**listed, "items": with_shown_names(listed["items"])} if "items" in listed else listed
    return [_with_shown_name(item) for item in listed] if isinstance(listed, list) else listed


def _with_shown_name(item: Any) -> Any:
    is_named = isinstance(item, Mapping) and "custom_name" in item
    return {**item, "custom_name": shown(item["custom_name"])} if is_named else item
