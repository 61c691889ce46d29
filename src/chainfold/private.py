"""What is withheld from the log: a commitment is there, the value in a file of its own beside it, erasable.

A file's name ends with the digest of its bytes, which is the commitment: it hides the value as long as the
salt in the file is unknown, and can be shown to be of no other value. No two registrations share a file. See
`docs/format.md`, and `docs/design/privacy.md` for what this hides and what not.
"""

import contextlib
import errno
import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final

import msgspec

from chainfold.blobs import BlobStore
from chainfold.digest import digest_of, short
from chainfold.errors import ChainfoldError, CorruptionError, InvalidInputError, StorageError
from chainfold.events import check_depth
from chainfold.params import from_wire, to_wire
from chainfold.records import CUSTOM_NAME, PARAMS, ArtifactRecord, Withheld

FORMAT: Final = "chainfold private 1"
NEW: Final = "new"
"""The folder within for files that have no name yet. They are written with the dataset's lock held."""
_SALT_BYTES: Final = 32
_ID_DIGITS: Final = 16
_LIMIT_BYTES: Final = 64 << 20
_PATH: Final = re.compile(r"([0-9a-f]{16})-([0-9a-f]{64})\.json\Z")
_COMMITMENT: Final = re.compile(r"sha256:[0-9a-f]{64}\Z")


class _Text(msgspec.Struct):
    """What one file says."""

    format: str
    artifact_id: str
    field: str
    salt: str
    value: Any


_decoder = msgspec.json.Decoder(_Text)


def checked_names(names: Iterable[str]) -> tuple[str, ...]:
    """Names of fields, if they can be some: keys of `params`, or `custom_name`.

    Raises:
        InvalidInputError: If they are no list of texts.
    """
    if isinstance(names, str):
        raise InvalidInputError(f"private is a list of names of fields, not the string {names!r}")
    found = tuple(names)
    for name in found:
        if not isinstance(name, str):
            raise InvalidInputError(f"private has names of fields, and {name!r:.80} is none")
    return found


def refuse_unknown(record: ArtifactRecord, names: Iterable[str]) -> None:
    """Nothing, if a record has all of the fields: the value of one that is misspelt would go to the log.

    Raises:
        InvalidInputError: Naming one that it has not.
    """
    for name in names:
        if name != CUSTOM_NAME and not any(
            is_meant(key, value, {name}) for key, value in record.params.items()
        ):
            raise InvalidInputError(
                f"artifact {record.artifact_id!r} was not registered: its params have no {name!r} that could "
                f"be private. Spell it as in params, or name it once for all: ArtifactRegistry(private=[...])"
            )


def fields(record: ArtifactRecord, names: Collection[str]) -> list[str]:
    """Which fields of a record are meant: see `is_meant`, and the custom name if it is named."""
    found = [PARAMS + key for key, value in record.params.items() if is_meant(key, value, names)]
    return [*found, CUSTOM_NAME] if CUSTOM_NAME in names and record.custom_name else found


def is_meant(key: str, value: Any, names: Collection[str]) -> bool:
    """Whether names of private fields mean a parameter: by its key, or by that of something within its value.

    A key that others lead to by `__`, as scikit-learn spells the parameters of parts (`step__name`), is meant
    with its last part, and with each before it: what is private, is so with all that is in it.
    """
    if _is_named(key, names):
        return True
    within = [value]
    while within:
        each = within.pop()
        if isinstance(each, dict):
            if any(_is_named(name, names) for name in each):
                return True
            within += each.values()
        elif isinstance(each, list):
            within += each
    return False


def _is_named(key: str, names: Collection[str]) -> bool:
    return key in names or ("__" in key and any(f"__{name}__" in f"__{key}__" for name in names))


def present(record: ArtifactRecord) -> list[str]:
    """The private fields of a record whose values it has."""
    return [
        field
        for field in record.private
        if (record.custom_name if field == CUSTOM_NAME else field.removeprefix(PARAMS) in record.params)
    ]


def withhold(record: ArtifactRecord, which: Iterable[str]) -> dict[str, bytes]:
    """Take fields out of a record and leave commitments there; nothing else is changed, or written.

    Returns:
        The files to be written, by their paths in the folder of private files.

    Raises:
        InvalidInputError: If a value is too large.
    """
    files: dict[str, bytes] = {}
    record.private = {field: Withheld(each.commitment) for field, each in record.private.items()}
    record.params = dict(record.params)
    for field in which:
        if field == CUSTOM_NAME:
            value, record.custom_name = record.custom_name, ""
        else:
            value = record.params.pop(field.removeprefix(PARAMS))
        data = _encoded(record.artifact_id, field, value)
        commitment = digest_of(data)
        record.private[field] = Withheld(commitment)
        files[path_of(record.artifact_id, commitment)] = data
    return files


salt: Final = os.urandom
"""Where salts come from: what is written with one that others know hides nothing."""


def _encoded(artifact_id: str, field: str, value: Any) -> bytes:
    wire = to_wire({"value": value})["value"]
    try:
        data = msgspec.json.encode(_Text(FORMAT, artifact_id, field, salt(_SALT_BYTES).hex(), wire))
    except (TypeError, ValueError, OverflowError):
        data = b""  # what refused it may quote it
    if not 0 < len(data) <= _LIMIT_BYTES:
        raise InvalidInputError(
            f"artifact {artifact_id!r} cannot be recorded: its private field {field!r} is no text, or takes "
            f"more than {_LIMIT_BYTES:,} bytes"
        )
    return data


def path_of(artifact_id: str, commitment: str) -> str:
    """The file of a private field, in the folder of these.

    Raises:
        CorruptionError: If the commitment is none.
    """
    if _COMMITMENT.match(commitment) is None:
        raise CorruptionError(
            f"artifact {artifact_id!r} has {commitment!r:.100} for a commitment: it is none"
        )
    return f"{_tag(artifact_id)}-{short(commitment, 64)}.json"


def paths_of(record: ArtifactRecord) -> dict[str, str]:
    """The files of a record's private fields, by field; of commitments that are none there are no files."""
    return {
        field: path_of(record.artifact_id, withheld.commitment)
        for field, withheld in record.private.items()
        if _COMMITMENT.match(withheld.commitment)
    }


def is_path(path: str) -> bool:
    """Whether a file has the name of a private field."""
    return _PATH.match(path) is not None


def files_of(store: BlobStore, artifact_id: str) -> list[str]:
    """The files that are there for private fields of an artifact, whatever the log knows of them."""
    tag = _tag(artifact_id)
    return [path for path, _ in store.scan() if path.startswith(tag) and is_path(path)]


def _tag(artifact_id: str) -> str:
    return short(digest_of(artifact_id.encode(errors="surrogatepass")), _ID_DIGITS)


def keep(store: BlobStore, files: Mapping[str, bytes]) -> None:
    """Write files, with the dataset's lock held; they are durable when this returns, or not there.

    Raises:
        StorageError: If the system refuses.
    """
    try:
        for path, data in files.items():
            aside = store.write_aside(data, sync=True)
            store.name(aside, path)
        if files:
            store.sync_names(files)
    except BaseException:
        discard(store, files)
        raise


def discard(store: BlobStore, paths: Iterable[str]) -> None:
    """Remove files that no entry names, with the lock held; what is refused is found by a collector."""
    for path in paths:
        store.remove_aside(store.folder / path)
    with contextlib.suppress(StorageError):
        clear_new(store)


def clear_new(store: BlobStore) -> None:
    """Remove what never got its name, with the lock held: whoever wrote it has failed, or died."""
    store.clear_aside(float("-inf"))


def reveal(
    store: BlobStore, record: ArtifactRecord, erased_at: Callable[[str], int | None]
) -> tuple[list[str], list[str]]:
    """Put back what was withheld from a record, as far as it was not erased.

    Args:
        store: The private files.
        record: As the log has it.
        erased_at: The position of the event that erased a file, or None.

    Returns:
        The fields whose files are missing, though no event took them; and those that this user may not read.

    Raises:
        CorruptionError: If a file is not what was committed to.
    """
    missing, closed = [], []
    for field, withheld in record.private.items():
        path = path_of(record.artifact_id, withheld.commitment)
        position = erased_at(path)
        record.private[field] = Withheld(withheld.commitment, position)
        if position is not None:
            continue
        try:
            found = read(store, path)
        except StorageError as error:
            if not is_closed(error):
                raise
            closed.append(field)
            continue
        if found is None:
            missing.append(field)
            continue
        if (found.artifact_id, found.field) != (record.artifact_id, field):
            raise CorruptionError(
                f"the private field {field!r} of {record.artifact_id!r} in {store.folder / path} is another's"
            )
        _put(record, field, from_wire({"value": found.value})["value"])
    return missing, closed


def is_closed(error: ChainfoldError) -> bool:
    """Whether the system does not let this user read what is private: the folder is not for everybody."""
    return isinstance(error, StorageError) and error.errno in (errno.EACCES, errno.EPERM)


def _put(record: ArtifactRecord, field: str, value: Any) -> None:
    if field.startswith(PARAMS):
        record.params[field.removeprefix(PARAMS)] = value
    elif field == CUSTOM_NAME and isinstance(value, str):
        record.custom_name = value
    else:
        raise CorruptionError(
            f"artifact {record.artifact_id!r} has a private field {field!r:.100}: there is none"
        )


def read(store: BlobStore, path: str) -> _Text | None:
    """What a file says; None if it is not there.

    Raises:
        CorruptionError: If it is not what its name commits to. It is not quoted.
    """
    changed = (
        f"the private file {store.folder / path} has changed: restore it, or erase it with erase_private"
    )
    size = store.size(path)
    if size is None:
        return None
    if size > _LIMIT_BYTES:
        raise CorruptionError(changed)
    try:
        data = store.read(path)
        match = _PATH.match(path)
        if match is None or short(digest_of(data), 64) != match[2]:
            raise CorruptionError(changed)
        check_depth(data)
        text = _decoder.decode(data)
    except FileNotFoundError:
        return None
    except (msgspec.MsgspecError, UnicodeDecodeError, InvalidInputError):  # the last: a link leads out
        raise CorruptionError(changed) from None
    if text.format != FORMAT or _tag(text.artifact_id) != match[1]:
        raise CorruptionError(changed)
    return text
