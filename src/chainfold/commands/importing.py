"""Manifests in: the reference's format, and the older flat list. An import is one run."""

import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from chainfold.artifact_ids import split_artifact_id
from chainfold.blobs import check_relative
from chainfold.commands.erasing import take_back_private
from chainfold.commands.registering import check_id, check_open, check_text, check_type
from chainfold.dataset import Dataset
from chainfold.digest import digest_of
from chainfold.errors import ChainfoldError, InvalidInputError, ManifestError, StorageError
from chainfold.events import AnyEvent
from chainfold.log import ENTRY_LIMIT
from chainfold.params import normalize
from chainfold.private import fields, keep, withhold
from chainfold.records import CUSTOM_NAME, PARAMS, ArtifactRecord, MetaModelConfig
from chainfold.storage import LocalFiles

_VALUES: Final = 3_000_000
"""In the parameters of one manifest: one that says the same again and again, by aliases, has far more."""
_TEXT_LENGTH: Final = 100
"""Characters of a text that count as one value more."""
_VERSIONS: Final = 100
_EVENT_BYTES: Final = 128 << 20
"""Of one import, which is one write."""
_LOCAL: Final = LocalFiles()
_TOO_MUCH: Final = (
    f"with this one it says more than one import may bring ({_VALUES:,} parameters, {_EVENT_BYTES:,} bytes "
    f"of entries): import it in parts"
)


class Item(NamedTuple):
    """What a manifest lists: a record, and the names of its fields that are to be withheld from the log."""

    record: ArtifactRecord
    private: tuple[str, ...]


def import_manifest(
    data: Dataset,
    manifest: Any,
    results_dir: Path,
    run_id: str | None,
    private: Collection[str] = (),
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Register every item of a manifest: all or none.

    Digests that are not real and files that are not there are accepted; loading such an artifact then fails.
    A file that is missing here but found below `results_dir`, with the right digest, is copied in.

    Args:
        data: Where to.
        manifest: `{"schema_version": ..., "items": [...]}`, or that under `artifacts`, or a list of items.
        results_dir: Where the files may be, as the manifest's paths say.
        run_id: The open run that this is part of, if one is.
        private: Fields that are withheld from the log, beside those that an item says were private before.
        progress: Called with how many items have their file, and of how many.

    Returns:
        How many items there were.

    Raises:
        ManifestError: If the manifest or an item, named by its index, is invalid. Nothing is imported then.
    """
    items = dict(enumerate(items_of(manifest, private)))
    import_items(data, items, results_dir, run_id, progress)
    return len(items)


def import_items(
    data: Dataset,
    items: Mapping[int, Item],
    results_dir: Path,
    run_id: str | None,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Register items of a manifest, which `items_of` has checked, by their index in it: all or none.

    `progress` is called with how many items have their file, and of how many.

    Raises:
        ManifestError: If one is too large for the log, named by its index. Nothing is imported then.
    """
    if not items:
        return
    records = {index: item.record for index, item in items.items()}
    texts = _withheld(items)
    events = _events(data, records)
    root = Path(os.path.realpath(results_dir))
    with data.writing():
        check_open(data, run_id)
        for number, record in enumerate(records.values()):
            if progress is not None:
                progress(number, len(records))
            _bring_file(data, record, root)
        try:
            keep(data.private, texts)
            if run_id is not None:
                data.append(events, run=run_id, sync=False)
            else:
                data.secure(record.path for record in records.values())
                data.append_run(events)
        except BaseException:
            take_back_private(data, list(records.values()))
            raise


def items_of(manifest: Any, private: Collection[str] = ()) -> list[Item]:
    """What a manifest in any of the three forms lists, checked; nothing is withheld yet.

    Args:
        manifest: See `import_manifest`.
        private: See there.

    Raises:
        ManifestError: If the manifest or an item, named by its index, is invalid.
    """
    items, left = list[Item](), _VALUES
    for index, item in enumerate(_items(manifest)):
        names = tuple(dict.fromkeys([*private, *_private_before(index, item)]))
        record = _record(index, item, names)
        items.append(Item(record, names))
        left -= _values(record.params)
        if record.meta_config is not None:
            left -= _values(record.meta_config.source_models)
            left -= _values(record.meta_config.feature_columns)
        if left < 0:
            raise ManifestError(f"item {index} of the manifest: {_TOO_MUCH}")
    return items


def _withheld(items: Mapping[int, Item]) -> dict[str, bytes]:
    """The files of what is taken out of the records: see `chainfold.private`."""
    texts: dict[str, bytes] = {}
    for index, (record, names) in items.items():
        try:
            texts |= withhold(record, fields(record, names))
        except InvalidInputError as error:
            raise ManifestError(f"item {index} of the manifest: {error}") from error
    return texts


def _private_before(index: int, item: Any) -> list[str]:
    """What an exported item says of its fields: they are as private here."""
    known = item.get("private") if isinstance(item, Mapping) else None
    if known is None:
        return []
    if not isinstance(known, Mapping | list) or not all(isinstance(field, str) for field in known):
        raise ManifestError(f"item {index} of the manifest is invalid: private has no names of fields")
    return [field.removeprefix(PARAMS) for field in known]


def _events(data: Dataset, records: Mapping[int, ArtifactRecord]) -> list[AnyEvent]:
    """What is to be appended for records; large parameters are written beside the log."""
    events: list[AnyEvent] = []
    left = _EVENT_BYTES
    for index, record in records.items():
        try:
            events.append(data.registration(record, imported=True))
        except StorageError:
            raise  # not the manifest's fault
        except ChainfoldError as error:
            raise ManifestError(f"item {index} of the manifest: {error}") from error
        length = len(msgspec.json.encode(events[-1]))
        if length > ENTRY_LIMIT:
            raise ManifestError(
                f"item {index} of the manifest takes {length:,} bytes, and an entry of the log at most "
                f"{ENTRY_LIMIT:,}: shorten its names or its list of dependencies"
            )
        left -= length
        if left < 0:
            raise ManifestError(f"item {index} of the manifest: {_TOO_MUCH}")
    return events


def _items(manifest: Any) -> list[Any]:
    """The items of any of the three forms."""
    if isinstance(manifest, Mapping) and "items" not in manifest and "artifacts" in manifest:
        manifest = manifest["artifacts"] or []  # a pipeline that has none may say null
    if isinstance(manifest, Mapping) and (not manifest or {"items", "schema_version"} & manifest.keys()):
        version = manifest.get("schema_version", "3.0")
        if isinstance(version, int | float) and 0 <= version < _VERSIONS:
            version = str(version)
        if not isinstance(version, str) or version.partition(".")[0] not in ("2", "3"):
            known = repr(version[:20]) if isinstance(version, str) else f"of type {type(version).__name__}"
            raise ManifestError(f"manifests of schema version {known} are not known: export it as 3.0")
        manifest = manifest.get("items", [])
    if not isinstance(manifest, list):
        raise ManifestError(
            f"not a manifest: expected a dict with 'items' or 'artifacts', or a list, not "
            f"{type(manifest).__name__}"
        )
    return manifest


def _record(index: int, item: Any, private: Collection[str]) -> ArtifactRecord:
    """The record of an item, checked."""
    try:
        if not isinstance(item, Mapping):
            raise ManifestError(f"it is a {type(item).__name__}, not a dict")
        said = dict(item)
        params, meta_config = said.pop("params", None), said.pop("meta_config", None)
        said.pop("private", None)
        if not said.get("artifact_id"):
            said["artifact_id"] = _generated_id(index, said)
        said.setdefault("content_hash", said.get("hash", ""))
        if isinstance(said.get("artifact_type"), str):
            check_type(said["artifact_type"])
        record = ArtifactRecord.from_dict(said)
        record.meta_config = None if meta_config is None else _config(meta_config)
        _check(record, private)
        if params is not None and not isinstance(params, Mapping):
            raise ManifestError(f"params is a {type(params).__name__}, not a dict")
    except (ValueError, TypeError, RecursionError) as error:
        raise ManifestError(f"item {index} of the manifest is invalid: {error}") from error
    record.params = normalize(params) if params else {}
    if "pipeline_id" not in said and not record.pipeline_id:
        record.pipeline_id, fold = split_artifact_id(record.artifact_id)
        record.fold_id = fold if record.fold_id is None else record.fold_id
    return record


def _check(record: ArtifactRecord, private: Collection[str]) -> None:
    """Nothing of an item is trusted."""
    check_id(record.artifact_id)
    check_relative(record.path)
    for what in ("content_hash", "chain_path", "pipeline_id", "class_name"):
        check_text(what, getattr(record, what), empty=True)
    check_text(CUSTOM_NAME, record.custom_name, empty=True, private=CUSTOM_NAME in private)
    for source in record.depends_on:
        check_text("a dependency's id", source)
    if record.artifact_id in record.depends_on:
        raise ManifestError(f"{record.artifact_id!r} depends on itself")
    if isinstance(record.fold_id, int) and record.fold_id < 0:
        raise ManifestError("fold_id is negative")


def _config(given: Any) -> MetaModelConfig:
    """How a meta-model was fed, bounded like parameters are."""
    if isinstance(given, MetaModelConfig):
        return given
    if not isinstance(given, Mapping):
        raise ManifestError(f"meta_config is a {type(given).__name__}, not a dict")
    bounded = normalize({name: given.get(name) or [] for name in ("source_models", "feature_columns")})
    return msgspec.convert(bounded, MetaModelConfig)


def _values(value: Any) -> int:
    """How much parameters say, whatever they share."""
    if isinstance(value, dict):
        return 1 + sum(_values(key) + _values(each) for key, each in value.items())
    if isinstance(value, list):
        return 1 + sum(map(_values, value))
    return 1 + len(value) // _TEXT_LENGTH if isinstance(value, str) else 1


def _generated_id(index: int, fields: Mapping[str, Any]) -> str:
    """An id for an item of the flat list, which had none: its step and name, and its place in the list."""
    name = fields.get("name") or fields.get("path") or "artifact"
    step = fields.get("step_index", fields.get("step", 0))
    for what, value in (("name", name), ("step", step)):
        if value is not None and not isinstance(value, str | int | float):
            raise ManifestError(f"{what} is a {type(value).__name__}")  # and its text may be endless
    return f"imported:{step}:{name}:{index}:all"


def _bring_file(data: Dataset, record: ArtifactRecord, root: Path) -> None:
    """Copy a file in that is missing here and is where the manifest comes from."""
    if data.files.size(data.blobs.locate(record.path)) is not None:
        return
    for candidate in (root / record.path, root / "binaries" / data.name / record.path):
        if _LOCAL.size(candidate) is None:
            continue  # as good as always, and far cheaper to see than where links lead
        real = Path(os.path.realpath(candidate))
        size = _LOCAL.size(real) if real.is_relative_to(root) else None
        if size is not None and size == (record.size_bytes or size):  # else it need not even be read
            content = _LOCAL.read(real)
            if digest_of(content) == record.content_hash:
                data.blobs.put(record.path, content)
                return
