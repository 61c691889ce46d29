"""What may be deserialised: a policy outside the artifact decides, before a byte of it runs.

Most formats run what their bytes say. What a dataset's own log says was registered there is as trustworthy as
whoever wrote the log; what came from elsewhere (an imported manifest, a record made by hand) is looked
through first, and may refer only to what is listed. The list narrows what bytes can do; it is no sandbox, as
the libraries on it can do much themselves: `"none"` is for bytes of an enemy.
"""

import os
from collections.abc import Iterable
from types import ModuleType
from typing import Any, Final, Literal, get_args

from chainfold.errors import InvalidInputError, UntrustedError
from chainfold.serializers import deserialize, is_pickle, runs_code
from chainfold.serializers.held import load_held
from chainfold.serializers.listed import PLAIN, found_all, home_of, may_call, may_fill, may_make, may_mention
from chainfold.serializers.pickle_globals import Globals, globals_of
from chainfold.serializers.pickle_symbols import NotPickledError
from chainfold.serializers.unpacking import TooLargeError, unpacked

Policy = Literal["registered", "listed", "none", "all"]
"""`registered`: what this dataset registered itself is loaded, anything else must be listed. `listed`: all
must be. `none`: only formats that run no code. `all`: whatever has the digest that its record says."""

_UNPACKED: Final = "CHAINFOLD_UNPACKED_BYTES"
_UNPACKED_BYTES: Final = 1 << 30


def default_policy() -> str:
    """What `CHAINFOLD_TRUST` says; if it is not set, or empty, `registered`."""
    return os.environ.get("CHAINFOLD_TRUST") or "registered"


def default_unpacked_bytes() -> int:
    """What `CHAINFOLD_UNPACKED_BYTES` says; if it is not set, or empty, a gibibyte.

    Raises:
        InvalidInputError: If it is no positive number.
    """
    said = os.environ.get(_UNPACKED) or str(_UNPACKED_BYTES)
    if not said.isascii() or not said.isdecimal() or not 0 < len(said.lstrip("0")) < 19:  # noqa: PLR2004 - 64 bits
        raise InvalidInputError(f"{_UNPACKED}={said!r:.40} is no number of bytes: use digits, as 1073741824")
    return int(said)


class Trust:
    """What one registry, and its views, may deserialise.

    Args:
        policy: See `Policy`.
        unpacked_bytes: What a compressed pickle may become while it is looked through; by default
            `CHAINFOLD_UNPACKED_BYTES`, or a gibibyte.

    Raises:
        InvalidInputError: If there is no such policy.
    """

    def __init__(self, policy: str = "registered", *, unpacked_bytes: int | None = None) -> None:
        if policy not in get_args(Policy):
            raise InvalidInputError(
                f"trust={policy!r} is no policy: use {', '.join(map(repr, get_args(Policy)))}"
            )
        self.policy = policy
        self.unpacked_bytes = default_unpacked_bytes() if unpacked_bytes is None else unpacked_bytes
        self._allowed: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        return f"Trust({self.policy!r}, allowed={sorted(self._allowed)})"

    def allow(self, names: Iterable[Any]) -> None:
        """Let pickles refer to these packages, modules, classes or functions, and all in them.

        Raises:
            InvalidInputError: If one is no dotted name.
        """
        names = list(names)
        for name in names:
            if not isinstance(name, str) or not all(part.isidentifier() for part in name.split(".")):
                raise InvalidInputError(
                    f"{name!r} cannot be allowed: give a package, module or class, as 'package.module.Class'"
                )
        self._allowed |= frozenset(names)

    def open(self, content: bytes, format: str, what: str, *, is_own: bool) -> Any:  # noqa: A002 - the record's word
        """The object in these bytes, if the policy lets it be made.

        Args:
            content: The bytes, whose digest was checked.
            format: What their record says in `format`.
            what: Whose they are, for messages.
            is_own: Whether this dataset's log says that they were registered here, in this format.

        Raises:
            UntrustedError: If not; nothing of the bytes has run. The message says what would allow it.
            SerializationError: If they cannot be loaded.
        """
        if self.policy == "all" or not runs_code(format) or (is_own and self.policy == "registered"):
            return deserialize(content, format)
        if self.policy == "none":
            raise UntrustedError(
                f"{what} is not loaded: its format {format!r} runs code, and trust='none' allows none that "
                f"does. Open the registry with trust='listed' to look through it first"
            )
        if not is_pickle(format):
            raise UntrustedError(
                f"{what} is not loaded: {self._why()}, and what its format {format!r} would run cannot be "
                f"foreseen. If you trust whoever made it, open the registry with trust='all'"
            )
        return self._open_pickle(content, format, what)

    def _why(self) -> str:
        """Why it is looked at so closely."""
        if self.policy == "registered":
            return "it was not registered in this dataset"
        return "trust='listed' allows what is listed only"

    def _open_pickle(self, content: bytes, format: str, what: str) -> Any:  # noqa: A002 - as above
        try:
            plain = unpacked(content, self.unpacked_bytes)
            named = globals_of(plain)
        except TooLargeError as error:
            raise UntrustedError(
                f"{what} is not loaded: {self._why()}, and {error} bytes, which is what {_UNPACKED} allows. "
                f"If you trust whoever made it, set that to more, or open the registry with trust='all'"
            ) from error
        except ValueError as error:
            raise self._refusal(what, str(error), []) from error
        refused = self.refused(named)
        if refused:
            shown = ", ".join(repr(name)[1:-1] for name in refused)
            raise self._refusal(what, f"it refers to {shown}", refused)
        names = frozenset(named.all())
        free = frozenset(filter(self._is_allowed, names))
        try:
            return deserialize(plain, format, load=lambda data: load_held(data, names, free))
        except NotPickledError as error:
            raise self._refusal(what, str(error), [error.name] if error.name else []) from error

    def _refusal(self, what: str, reason: str, names: list[str]) -> UntrustedError:
        """The error, with the call that would allow these names, if they are what stands in the way."""
        call = f"call registry.allow({', '.join(map(repr, names))}) and load again"
        if not names or not all(part.isidentifier() for name in names for part in name.split(".")):
            call = "open the registry with trust='all'"
        return UntrustedError(
            f"{what} is not loaded: {self._why()}, and {reason}. If you trust whoever made it, {call}"
        )

    def refused(self, named: Globals) -> list[str]:
        """What of it is not allowed, sorted."""
        checks = (
            (named.called, may_call),
            (named.made, may_make),
            (named.filled, may_fill),
            (named.mentioned, may_mention),
        )
        return sorted(
            {name for names, may in checks for name in names if not (self._is_allowed(name) or may(name))}
        )

    def _is_allowed(self, name: str) -> bool:
        """Whether the very name is allowed, or what it is in, whose own it is: not what that has imported."""
        if name in self._allowed:
            return True
        if not self._is_within(name) or any(part.startswith("__") for part in name.split(".")[1:]):
            return False
        return all(map(self._is_own_of_allowed, found_all(name)))

    def _is_within(self, name: str) -> bool:
        return any(name.startswith(f"{each}.") for each in self._allowed)

    def _is_own_of_allowed(self, found: Any) -> bool:
        if isinstance(found, ModuleType):
            return False
        home = f"{home_of(found)}.{getattr(found, '__qualname__', '')}".rstrip(".")
        return home in self._allowed or self._is_within(home) or home in PLAIN
