"""Files with the private keys that sign checkpoints."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from chainfold.cli.outfiles import write_file
from chainfold.errors import InvalidInputError, NotFoundError, StorageError

if TYPE_CHECKING:
    from chainfold.proof.notes import PrivateKey

_SEED_BYTES: Final = 32
_LARGEST_BYTES: Final = 10_000


def key_option(body: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--key-file`."""
    return click.option(
        "--key-file",
        metavar="FILE",
        type=click.Path(path_type=Path),
        help="A private key that signs the checkpoint; checkpoint --make-key makes one.",
    )(body)


def read_key(path: Path) -> "PrivateKey":
    """The private key in a file.

    Raises:
        NotFoundError: If it is not there.
        InvalidInputError: If it has none; what it has is not repeated.
        StorageError: If it cannot be read.
        MissingLibraryError: Without cryptography: `pip install 'chainfold[proof]'`.
    """
    private_key = _private_key()
    try:
        with path.open("rb") as file:
            text = file.read(_LARGEST_BYTES).decode()
        return private_key.parse(text)
    except FileNotFoundError:
        raise NotFoundError(
            f"there is no key file {str(path)!r}: make one by chainfold checkpoint --make-key NAME "
            f"--key-file {path}"
        ) from None
    except OSError as error:
        raise StorageError.refused("read", path, error) from error
    except ValueError as error:
        why = "it is not text" if isinstance(error, UnicodeDecodeError) else str(error)
        raise InvalidInputError(f"the file {str(path)!r} has no private key: {why}") from None


def check_signature(name: str, content: bytes, key: str) -> None:
    """Make sure that a checkpoint is signed with a key.

    Args:
        name: The checkpoint's file.
        content: What it has.
        key: The public key.

    Raises:
        InvalidInputError: If the key is none, or has not signed it.
        CorruptionError: If a signature says that it is this key's, and is of another text.
        MissingLibraryError: As `read_key`.
    """
    from chainfold.proof.notes import PublicKey, opened
    from chainfold.serializers.protocol import require

    public = PublicKey.parse(key)
    require("cryptography", "chainfold[proof]")
    signed = b"\n\n" in content and public.has_signed(*opened(content))
    if not signed:
        raise InvalidInputError(f"the checkpoint {name!r} is not signed with the key {public.name!r}")


def make_key_file(name: str, path: Path) -> "PrivateKey":
    """Make a key, in a file that its owner alone may read.

    Raises:
        InvalidInputError: If the name cannot be one, or the file is there: no key is ever written over.
        StorageError: If it cannot be written.
        MissingLibraryError: As `read_key`.
    """
    key = _private_key()(name, os.urandom(_SEED_BYTES))
    try:
        write_file(path, f"{key.text()}\n".encode(), secret=True)
    except InvalidInputError:
        raise InvalidInputError(
            f"the file {str(path)!r} is there already, and no key is written over: name another"
        ) from None
    return key


def _private_key() -> "type[PrivateKey]":
    from chainfold.proof.notes import PrivateKey
    from chainfold.serializers.protocol import require

    require("cryptography", "chainfold[proof]")
    return PrivateKey
