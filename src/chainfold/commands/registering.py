"""Registering: from an object and what is said about it to an entry in the log."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from chainfold.blobs import generate_filename, longer_filename
from chainfold.chain import OperatorChain
from chainfold.commands.erasing import take_back_private
from chainfold.dataset import Dataset
from chainfold.digest import digest_of
from chainfold.errors import (
    ChainfoldError,
    InvalidInputError,
    MissingDependencyError,
    NotFoundError,
    RunClosedError,
)
from chainfold.events import ArtifactRegistered
from chainfold.grammar import UNPRINTABLE, whole_number, whole_numbers
from chainfold.history import who_took
from chainfold.params import normalize
from chainfold.private import fields, keep, present, withhold
from chainfold.projections import RunState, Sight
from chainfold.records import CUSTOM_NAME, ArtifactRecord, ArtifactType, MetaModelConfig
from chainfold.serializers import Serialized, serialize

_CONTROL: Final = re.compile(f"[{UNPRINTABLE}]")
_NEGATIVE_FOLD: Final = re.compile(r":-[0-9]+\Z")


class _Blob(msgspec.Struct, frozen=True):
    """A content's file.

    Attributes:
        path: Where it is, or will be.
        is_there: Whether it was there before, with this content.
        is_known: Whether a record names it already.
    """

    path: str
    is_there: bool
    is_known: bool


def check_text(what: str, text: str, *, empty: bool = False, private: bool = False) -> str:
    """The text, if it can be an id or a name. What is `private` is not quoted.

    Raises:
        InvalidInputError: If it is no text, is empty, or has control characters.
    """
    if not isinstance(text, str):
        shown = "" if private else f": {text!r:.80}"
        raise InvalidInputError(f"{what} must be a string, not {type(text).__name__}{shown}")
    if not text and not empty:
        raise InvalidInputError(f"{what} is empty")
    if _CONTROL.search(text):
        shown = "" if private else f" {text!r:.200}"
        raise InvalidInputError(f"{what}{shown} has control characters")
    return text


def check_id(artifact_id: str) -> str:
    """An artifact id, if it can be one; see `check_text`. A negative fold is refused too."""
    check_text("artifact id", artifact_id)
    if _NEGATIVE_FOLD.search(artifact_id):
        raise InvalidInputError(f"artifact id {artifact_id!r} has a negative fold")
    return artifact_id


def check_type(artifact_type: ArtifactType | str) -> ArtifactType:
    """The type of that name.

    Raises:
        InvalidInputError: If there is none; the message lists them.
    """
    try:
        return ArtifactType(artifact_type)
    except ValueError:
        known = ", ".join(kind.value for kind in ArtifactType)
        raise InvalidInputError(f"unknown artifact type {artifact_type!r}: use one of {known}") from None


def draft(
    artifact_id: str,
    artifact_type: ArtifactType | str,
    *,
    depends_on: Iterable[str] | None,
    params: Any,
    meta_config: MetaModelConfig | None,
    custom_name: str | None,
    private: Collection[str] = (),
) -> ArtifactRecord:
    """A record of what the caller said, checked, sharing nothing with it; content and place are still open.

    What is private is all there: it is withheld when it is registered.

    Raises:
        InvalidInputError: Naming what is wrong.
    """
    check_id(artifact_id)
    _check_names(artifact_id, params, private)
    if isinstance(depends_on, str):
        raise InvalidInputError(f"depends_on is a list of ids, not the string {depends_on!r}")
    sources = list(depends_on or ())
    config = None
    if meta_config is not None:
        config = _config(meta_config)
        sources += config.source_ids
    sources = list(dict.fromkeys(check_text("a dependency's id", source) for source in sources))
    if artifact_id in sources:
        raise InvalidInputError(f"artifact {artifact_id!r} cannot depend on itself")
    return ArtifactRecord(
        artifact_id=artifact_id,
        content_hash="",
        path="",
        artifact_type=check_type(artifact_type),
        custom_name=check_text("custom_name", custom_name or "", empty=True, private=CUSTOM_NAME in private),
        depends_on=sources,
        params=normalize(params) if params is not None else {},
        meta_config=config,
    )


def _check_names(artifact_id: str, params: Any, private: Collection[str]) -> None:
    """Nothing, if what is private can be told from the names of params.

    Raises:
        InvalidInputError: If they have none: what was to be withheld would go to the log, for ever.
    """
    if params is None or not set(private) - {CUSTOM_NAME}:
        return
    if not isinstance(params, Mapping) or not all(isinstance(key, str) for key in params):
        raise InvalidInputError(
            f"artifact {artifact_id!r} was not registered: some of its params may be private "
            f"({', '.join(sorted(private))}), and {type(params).__name__} does not tell which. Give a dict "
            f"whose keys are texts"
        )


def _config(meta_config: MetaModelConfig) -> MetaModelConfig:
    """A configuration as it will be read back: JSON types only."""
    try:
        given = meta_config.to_dict()
        plain = {
            "source_models": [normalize(source) for source in given["source_models"]],
            "feature_columns": [str(column) for column in given["feature_columns"]],
        }
        return msgspec.json.decode(msgspec.json.encode(plain), type=MetaModelConfig)
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise InvalidInputError(f"meta_config is not a MetaModelConfig that can be kept: {error}") from error


def locate(
    record: ArtifactRecord,
    step_index: int,
    branch_path: Iterable[int] | None,
    source_index: int | None,
    substep_index: int | None,
) -> None:
    """Fill in where in a pipeline an artifact belongs.

    Raises:
        InvalidInputError: If one of these is not a whole number, or is negative; it is named.
    """
    record.step_index = whole_number("step_index", step_index)
    record.branch_path = whole_numbers("branch_path", branch_path)
    record.source_index = None if source_index is None else whole_number("source_index", source_index)
    record.substep_index = None if substep_index is None else whole_number("substep_index", substep_index)


def locate_by_chain(record: ArtifactRecord, chain_path: str, source_index: int | None) -> None:
    """Fill in step, branch, source and substep from a chain path, as far as the grammar knows it."""
    record.chain_path = check_text("chain_path", chain_path, empty=True)
    record.source_index = None if source_index is None else whole_number("source_index", source_index)
    try:
        last = OperatorChain.from_path(chain_path).get_last_node()
    except ValueError:
        return
    if last is not None:
        record.step_index, record.branch_path = last.step_index, list(last.branch_path)
        record.substep_index = last.substep_index
        if source_index is None:
            record.source_index = last.source_index


def register(
    data: Dataset,
    record: ArtifactRecord,
    obj: Any,
    *,
    format_hint: str | None,
    run_id: str | None,
    private: Collection[str] = (),
) -> tuple[int, ArtifactRecord]:
    """Store an object's bytes, then the fact; outside a run both are durable when it returns.

    The fields that are named as private are withheld from the log; the record that is returned has them.

    Returns:
        The row of the registration, and its record; `record` is used up.

    Raises:
        SerializationError: If the object cannot be serialised; nothing is left behind.
        MissingDependencyError: If a meta-model's source is not live.
        RunClosedError: If the run is no longer open.
        StorageError: If the workspace cannot be written.
    """
    _check_early(data, record, run_id)
    content = serialize(obj, format_hint)
    data.check_writable()
    record.content_hash = digest_of(content.data)
    record.format, record.format_version = content.format, content.format_version
    record.class_name, record.size_bytes = content.class_name, len(content.data)
    record.refers_to = content.refers_to
    params, custom_name = record.params, record.custom_name
    texts = withhold(record, fields(record, private)) if private else {}
    folded, blob = _sought(data, record, content, look=False)
    aside = None if blob.is_there else data.blobs.write_aside(content.data, sync=run_id is None)
    try:
        with data.writing():
            if (
                data.projections.size != folded
                or data.blobs.exists(blob.path, len(content.data)) != blob.is_there
            ):
                _, blob = _sought(data, record, content)  # others have appended, or files have come or gone
            _check_ready(data, record, run_id)
            if not blob.is_there and aside is None:
                aside = data.blobs.write_aside(content.data, sync=True)
            record.path = blob.path
            event = data.registration(record, reused=blob.is_there)
            try:
                keep(data.private, texts)
                aside = _place(data, blob, aside, sync=run_id is None)
                (entry,) = data.append([event], run=run_id, sync=run_id is None)
            except BaseException:
                _take_back(data, blob)
                take_back_private(data, [record])
                raise
            record.created_at, record.params, record.custom_name = entry.at, params, custom_name
            return len(data.projections.visibility) - 1, record
    finally:
        if aside is not None:
            data.blobs.remove_aside(aside)


def register_again(data: Dataset, row: int, run_id: str | None) -> tuple[int, ArtifactRecord]:
    """Repeat a registration of the past, whose blob must still be there.

    Returns:
        The row of the new registration, and its record.

    Raises:
        NotFoundError: If the blob is gone.
    """
    with data.writing():
        check_open(data, run_id)
        event = repetition(data, row)
        if run_id is None:
            data.secure([event.record.path])
        data.append([event], run=run_id, sync=run_id is None)
        again = len(data.projections.visibility) - 1
        return again, data.record(again)


def repetition(data: Dataset, row: int) -> ArtifactRegistered:
    """The event that repeats a registration of the past, inside `writing`.

    What it withheld is withheld again; what was erased of that stays erased.

    Raises:
        NotFoundError: If its blob is gone or has changed.
    """
    record = data.record(row)
    refuse_lost(data, record)
    record.created_at = ""
    position = data.projections.visibility.positions[row]
    texts = withhold(record, present(record))
    repeated = data.log.entry(position).event
    imported = isinstance(repeated, ArtifactRegistered) and repeated.imported
    event = data.registration(record, reused=True, restored_from=position, imported=imported)
    keep(data.private, texts)  # with a salt of its own: who erases one does not take the other's
    return event


def refuse_lost(data: Dataset, record: ArtifactRecord) -> None:
    """Nothing, if the blob of a registration of the past is still there.

    Raises:
        NotFoundError: If it is gone, which names the event that took it, or has changed.
    """
    found = data.blobs.digest(record.path)
    if found != record.content_hash:
        why = who_took(data, record) if found is None else "its bytes are not those that were registered"
        raise NotFoundError(
            f"artifact {record.artifact_id!r} cannot be restored: its file {record.path!r} is gone or "
            f"changed: {why}"
        )


def check_open(data: Dataset, run_id: str | None) -> None:
    """Nothing, if the run is open, or none is asked for.

    Raises:
        RunClosedError: If it was committed or rolled back meanwhile.
    """
    if run_id is not None:
        open_run(data, run_id)


def open_run(data: Dataset, run_id: str) -> RunState:
    """The run of an id, which is open.

    Raises:
        RunClosedError: If it was committed or rolled back meanwhile.
    """
    run = data.projections.runs.get(run_id)
    if run is not None and run.status == "open":
        return run
    if run is None:
        raise RunClosedError(f"run {run_id} is not in the log of {data.name!r}: start a new run")
    why = f" ({run.reason})" if run.reason else ""
    raise RunClosedError(
        f"run {run_id} was {run.status.replace('-', ' ')}{why} at position {run.closed}: start a new run"
    )


def _check_early(data: Dataset, record: ArtifactRecord, run_id: str | None) -> None:
    """`_check_ready` before the work, by what is known already: others are looked at only when that refuses.

    What they have changed in the meantime is seen at the end, inside `writing`.
    """
    with data.mutex:
        data.settle()
        try:
            _check_ready(data, record, run_id)
        except (RunClosedError, MissingDependencyError):
            data.refresh()
            _check_ready(data, record, run_id)


def _check_ready(data: Dataset, record: ArtifactRecord, run_id: str | None) -> None:
    """What must hold in the state that the registration joins."""
    if data.log.damage is not None:
        raise data.log.damage
    check_open(data, run_id)
    if record.artifact_type is not ArtifactType.META_MODEL:
        return
    sight = Sight(data.projections, run_id=run_id)
    missing = [source for source in record.depends_on if sight.row(source) is None]
    if missing:
        raise MissingDependencyError(
            f"cannot register meta-model {record.artifact_id!r}: missing source model dependencies: "
            f"{', '.join(missing)}. Register them first"
        )


def _sought(
    data: Dataset, record: ArtifactRecord, content: Serialized, *, look: bool = True
) -> tuple[int, _Blob]:
    """How much of the log was known, and where a content has or will have its file: same bytes, one file.

    Without `look` a file that no record names is taken to be missing, as it nearly always is.
    """
    digest = record.content_hash
    name = generate_filename(record.artifact_type, record.class_name, digest, content.extension)
    with data.mutex:
        folded = data.projections.size
        known = _file_of(data, digest)
        named = data.projections.paths.digest_at(name)
    if known is not None:
        return folded, _Blob(known, is_there=data.blobs.holds(known, content.data), is_known=True)
    if named not in (None, digest):
        name = longer_filename(name, digest)  # twelve digits in a name prove nothing
    is_there = look and data.blobs.holds(name, content.data)
    return folded, _Blob(name, is_there=is_there, is_known=False)


def _place(data: Dataset, blob: _Blob, aside: Path | None, *, sync: bool) -> Path | None:
    """See to it that a content has its file, inside `writing`; what was written aside and is not needed.

    Files get their names only here, under the lock: so nobody's durable file is ever replaced by one that is
    not.
    """
    if blob.is_there:
        if sync:
            data.secure([blob.path])
        return aside
    if aside is None:
        return None
    if blob.is_known and not sync:
        data.files.sync([aside])  # it heals a file that others have acknowledged
    data.blobs.name(aside, blob.path)
    if sync or blob.is_known:
        data.blobs.sync_names([blob.path])
    return None


def _file_of(data: Dataset, digest: str) -> str | None:
    """The file that registrations of this content use, if its path can be trusted."""
    rows = data.projections.digests.rows(digest)
    if not rows:
        return None
    path = data.projections.paths.path_of(rows[-1])
    if data.projections.paths.digest_at(path) != digest:
        return None
    try:
        data.blobs.locate(path)
    except InvalidInputError:
        return None
    return path


def _take_back(data: Dataset, blob: _Blob) -> None:
    """Remove a file that got its name for a registration that did not come to be, unless it is needed."""
    if blob.is_there:
        return
    try:
        with (
            data.writing()
        ):  # again: a refused entry may be in the log all the same, and then it needs its file
            paths = data.projections.paths
            if not paths.is_referenced(blob.path) and paths.bringer(blob.path) is None:
                data.blobs.remove(blob.path)
    except (OSError, ChainfoldError):
        return  # what refused the registration refuses this too: the collector will find the file


def joined(sources: Sequence[str], columns: Sequence[str] | None) -> MetaModelConfig:
    """The configuration of a meta-model fed by these sources, in this order."""
    return MetaModelConfig(
        source_models=[{"artifact_id": each, "feature_index": index} for index, each in enumerate(sources)],
        feature_columns=list(columns or ()),
    )
