"""The grammar of chain paths, with nothing between the tokens.

    path       = "" | group (">" group)*            oldest first
    group      = node ("+" node)*                   parallel branches, merged by what follows
    node       = "s" number "." class [qualifiers]
    qualifiers = "[" at least one of "br=0.1", "src=1", "sub=0", in this order, joined by "," "]"
    number     = decimal, no leading zeros, at most 18 digits
    class      = name (", " name)*                  several: what stands for all of them together
    name       = characters that are no white space, no control characters, none of > + [ ] , =

So `+` binds tighter than `>`: in `s1.A>s2.B[br=0]+s2.B[br=1]>s3.M` both B are fed by A, and M by both B.
Every chain has one text and every text one chain: a path is a key.
"""

import operator
import re
from collections.abc import Iterable
from typing import Any, Final

from chainfold.errors import InvalidInputError

MAX_DIGITS: Final = 18
DECIMAL: Final = re.compile("0|[1-9][0-9]*")
UNPRINTABLE: Final = r"\x00-\x1f\x7f-\x9f\ud800-\udfff"
"""For a character class: controls, and surrogates, which have no UTF-8."""
_NAME: Final = rf"[^>+\[\],=\s{UNPRINTABLE}]+"
CLASS_NAME: Final = re.compile(rf"{_NAME}(?:, {_NAME})*")


def continues(path: str, prefix: str) -> bool:
    """Whether a path begins with a prefix as whole operators: `s1.A` begins no `s1.AB`, but `s1.A+s1.B`."""
    return path.startswith(prefix) and (not prefix or path[len(prefix) : len(prefix) + 1] in {"", ">", "+"})


def whole_number(name: str, value: Any) -> int:
    """A whole number that a path can spell; numpy's become Python's."""
    number = integer(name, value)
    if number < 0:
        raise InvalidInputError(f"{name} must not be negative")
    if number >= 10**MAX_DIGITS:
        raise InvalidInputError(f"{name} must have at most {MAX_DIGITS} digits")
    return number


def integer(name: str, value: Any) -> int:
    """A number without a fraction, of either sign; numpy's become Python's, and truth values are none."""
    try:
        number: int | None = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool):
        raise InvalidInputError(f"{name} must be a whole number, not {type(value).__name__}")
    return number


def checked_text(name: str, value: Any) -> str:
    """A text, which numpy's are too."""
    if not isinstance(value, str):
        raise InvalidInputError(f"{name} must be text, not {type(value).__name__}")
    return value


def whole_numbers(name: str, values: Any) -> list[int]:
    """A new list of whole numbers; None is an empty one."""
    if values is None:
        return []
    if not isinstance(values, Iterable):
        raise InvalidInputError(f"{name} must be whole numbers, not {type(values).__name__}")
    return [whole_number(name, value) for value in values]


def parse_node(text: str, position: int) -> tuple[dict[str, Any], int]:
    """The fields of the node that starts at a position, and the position after it."""
    position = expect(text, position, "s")
    step, position = _parse_number(text, position)
    position = expect(text, position, ".")
    name = CLASS_NAME.match(text, position)
    if name is None:
        raise unparsable(text, position, "the name of a class")
    values: dict[str, Any] = {"step_index": step, "operator_class": name[0]}
    qualifiers, position = _parse_qualifiers(text, name.end())
    return values | qualifiers, position


def _parse_qualifiers(text: str, position: int) -> tuple[dict[str, Any], int]:
    """The fields in the brackets that may start at a position, and the position after them."""
    values: dict[str, Any] = {}
    left = [("br=", "branch_path"), ("src=", "source_index"), ("sub=", "substep_index")]
    opening = "["
    while left and text.startswith(opening, position):
        position += 1
        at = next((at for at, (token, _) in enumerate(left) if text.startswith(token, position)), None)
        if at is None:
            raise unparsable(text, position, " or ".join(repr(token) for token, _ in left))
        token, name = left[at]
        del left[: at + 1]
        number, position = _parse_number(text, position + len(token))
        values[name] = number
        if name == "branch_path":
            values[name] = [number]
            while text.startswith(".", position):
                number, position = _parse_number(text, position + 1)
                values[name].append(number)
        opening = ","
    return values, expect(text, position, "]") if values else position


def _parse_number(text: str, position: int) -> tuple[int, int]:
    """The number that starts at a position, and the position after it."""
    digits = DECIMAL.match(text, position)
    if digits is None or digits.end() - position > MAX_DIGITS:
        raise unparsable(text, position, f"a number of at most {MAX_DIGITS} digits")
    return int(digits[0]), digits.end()


def expect(text: str, position: int, token: str) -> int:
    """The position after a token that must stand there."""
    if not text.startswith(token, position):
        raise unparsable(text, position, repr(token))
    return position + len(token)


def unparsable(text: str, position: int, expected: str) -> InvalidInputError:
    """The error for a text that stops being a path at a position."""
    found = repr(text[position : position + 12]) if position < len(text) else "the end"
    return InvalidInputError(f"not a chain path: expected {expected} at position {position}, found {found}")
