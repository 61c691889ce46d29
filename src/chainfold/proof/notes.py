"""Signed notes (https://c2sp.org/signed-note) with Ed25519 keys: what a checkpoint is signed as.

    <text, each line ended>

    — <name> <base64 of: key id, 4 bytes; signature, 64 bytes>

The key id is the beginning of SHA-256(name || 0x0A || 0x01 || public key). A public key is written
`<name>+<key id, hex>+<base64 of 0x01 || public key>`, a private one `PRIVATE+KEY+<name>+<key id>+<base64 of
0x01 || seed>`. Signing needs `cryptography`: `pip install "chainfold[proof]"`.
"""

import base64
import binascii
import re
from collections.abc import Iterable
from hashlib import sha256
from typing import Final, NamedTuple, Self

from chainfold.errors import CorruptionError, InvalidInputError

MAX_BYTES: Final = 1_000_000
"""As in Go's implementation: larger notes are refused."""
MAX_SIGNATURES: Final = 100
"""Likewise."""
_ED25519: Final = b"\x01"
_KEY_BYTES: Final = 32
_ID_BYTES: Final = 4
_NAME: Final = re.compile(r"[^\s+\x00-\x1f]+\Z")
_SIGNATURE: Final = re.compile(r"— ([^\s+\x00-\x1f]+) ([0-9A-Za-z+/=]+)\Z")
_PRIVATE: Final = "PRIVATE+KEY+"


class Signature(NamedTuple):
    """One line below a note: who signed, by name and id of the key, and the signature's bytes."""

    name: str
    key_id: bytes
    value: bytes


class PublicKey(NamedTuple):
    """Who may have signed a note.

    Attributes:
        name: The key's name.
        value: 32 bytes.
    """

    name: str
    value: bytes

    @classmethod
    def parse(cls, text: str) -> Self:
        """The key that a text spells.

        Raises:
            InvalidInputError: If it spells none, or one of another kind.
        """
        name, value = _parsed(text.strip())
        key = cls(name, value)
        if text.strip() != str(key):
            raise InvalidInputError(f"the key {text.strip()!r:.100} does not have the id that it says")
        return key

    @property
    def key_id(self) -> bytes:
        """4 bytes that tell it from others of its name."""
        return sha256(self.name.encode() + b"\n" + _ED25519 + self.value).digest()[:_ID_BYTES]

    def __str__(self) -> str:
        encoded = base64.b64encode(_ED25519 + self.value).decode()
        return f"{self.name}+{self.key_id.hex()}+{encoded}"

    def has_signed(self, text: str, signatures: Iterable[Signature]) -> bool:
        """Whether one of the signatures below a text is this key's.

        Raises:
            CorruptionError: If one says that it is, and is not: the note is worthless then, the format says.
        """
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - an extra
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415

        mine = [each for each in signatures if (each.name, each.key_id) == (self.name, self.key_id)]
        for signature in mine:
            try:
                Ed25519PublicKey.from_public_bytes(self.value).verify(signature.value, text.encode())
            except InvalidSignature:
                raise CorruptionError(
                    f"the note has a signature by {self.name!r} that is not of this text: it was changed, or "
                    f"signed by somebody else"
                ) from None
        return bool(mine)


class PrivateKey:
    """What signs notes.

    Args:
        name: The key's name, without blanks and `+`.
        seed: 32 secret bytes.

    Raises:
        InvalidInputError: If the name cannot be one, or the seed has another length.
    """

    def __init__(self, name: str, seed: bytes) -> None:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415

        if _NAME.match(name) is None:
            raise InvalidInputError(f"a key's name has no blanks and no '+', and is not empty: {name!r:.100}")
        if len(seed) != _KEY_BYTES:
            raise InvalidInputError(f"a key's seed has {_KEY_BYTES} bytes, not {len(seed)}")
        self._seed, self._key = seed, Ed25519PrivateKey.from_private_bytes(seed)
        self.public = PublicKey(name, self._key.public_key().public_bytes_raw())

    @classmethod
    def parse(cls, text: str) -> Self:
        """The key that a text spells.

        Raises:
            InvalidInputError: If it spells none; the message does not repeat it.
        """
        text = text.strip()
        if not text.startswith(_PRIVATE):
            raise InvalidInputError(f"a private key begins with {_PRIVATE}")
        key = cls(*_parsed(text.removeprefix(_PRIVATE), secret=True))
        if key.text() != text:
            raise InvalidInputError("the private key does not have the id that it says")
        return key

    def text(self) -> str:
        """The key as a text, to be kept secret."""
        encoded = base64.b64encode(_ED25519 + self._seed).decode()
        return f"{_PRIVATE}{self.public.name}+{self.public.key_id.hex()}+{encoded}"

    def __repr__(self) -> str:
        return f"PrivateKey({self.public.name!r})"

    def signed(self, text: str) -> str:
        """A text as a note, with this key's signature.

        Raises:
            InvalidInputError: If a note cannot have this text.
        """
        _check_text(text)
        value = base64.b64encode(self.public.key_id + self._key.sign(text.encode())).decode()
        return f"{text}\n— {self.public.name} {value}\n"


def opened(note: bytes) -> tuple[str, list[Signature]]:
    """The text of a note and the signatures below it, none of them checked.

    Raises:
        CorruptionError: If it is no note.
    """
    try:
        text, blank, below = note.decode().rpartition("\n\n") if len(note) <= MAX_BYTES else ("", "", "")
        _check_text(text + "\n")
        return text + "\n", _signatures(below if blank else "")
    except (InvalidInputError, UnicodeDecodeError) as error:
        raise CorruptionError(f"not a signed note: {error}") from error


def _signatures(below: str) -> list[Signature]:
    lines = below.removesuffix("\n").split("\n") if below.endswith("\n") else [""]
    if len(lines) > MAX_SIGNATURES:
        raise InvalidInputError(f"it has {len(lines)} signatures, more than {MAX_SIGNATURES}")
    return [_signature(line) for line in lines]


def _signature(line: str) -> Signature:
    match = _SIGNATURE.match(line)
    value = _decoded(match[2]) if match is not None else b""
    if match is None or len(value) <= _ID_BYTES:
        raise InvalidInputError(f"not a signature: {line!r:.100}")
    return Signature(match[1], value[:_ID_BYTES], value[_ID_BYTES:])


def _parsed(text: str, *, secret: bool = False) -> tuple[str, bytes]:
    name, _, rest = text.partition("+")
    value = _decoded(rest.partition("+")[2])
    if _NAME.match(name) is None or value[:1] != _ED25519 or len(value) != 1 + _KEY_BYTES:
        what = "a private key" if secret else f"{text!r:.100}"
        raise InvalidInputError(f"{what} is not an Ed25519 key of the form name+id+base64")
    return name, value[1:]


def _decoded(text: str) -> bytes:
    """The bytes of a text in base64; none if another text spells them: no bit of a note may be changed."""
    try:
        value = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
    return value if base64.b64encode(value).decode() == text else b""


def _check_text(text: str) -> None:
    if not text.endswith("\n") or len(text) == 1:
        raise InvalidInputError("a note's text has lines, each of them ended")
    if any(ord(char) < ord(" ") and char != "\n" for char in text):
        raise InvalidInputError("a note's text has no control characters")
