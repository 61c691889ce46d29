"""What a manifest lists, checked: the one place where records that come from elsewhere are."""

from collections.abc import Collection, Mapping
from datetime import date, datetime
from typing import Any, Final, NamedTuple

import msgspec

from chainfold.artifact_ids import split_artifact_id
from chainfold.blobs import check_relative
from chainfold.commands.registering import check_id, check_text, check_type
from chainfold.digest import PREFIX
from chainfold.errors import ManifestError
from chainfold.grammar import whole_number, whole_numbers
from chainfold.params import normalize
from chainfold.records import CUSTOM_NAME, PARAMS, ArtifactRecord, MetaModelConfig

_VALUES: Final = 3_000_000
"""In the parameters of one manifest: one that says the same again and again, by aliases, has far more."""
_TEXT_LENGTH: Final = 100
"""Characters of a text that count as one value more."""
_VERSIONS: Final = 100
_TEXTS: Final = (
    "content_hash",
    "chain_path",
    "pipeline_id",
    "class_name",
    "format",
    "format_version",
    "nirs4all_version",
    "created_at",
)
_NUMBERS: Final = ("step_index", "substep_index", "source_index", "version")
EVENT_BYTES: Final = 128 << 20
"""Of one import, which is one write."""
TOO_MUCH: Final = (
    f"with this one it says more than one import may bring ({_VALUES:,} parameters, {EVENT_BYTES:,} bytes "
    f"of entries): import it in parts"
)


class Item(NamedTuple):
    """What a manifest lists: a record, and the names of its fields that are to be withheld from the log."""

    record: ArtifactRecord
    private: tuple[str, ...]


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
            raise ManifestError(f"item {index} of the manifest: {TOO_MUCH}")
    return items


def _which(index: int, item: Any) -> str:
    """An item, for people: by its place, and its id if it has one."""
    artifact_id = item.get("artifact_id") if isinstance(item, Mapping) else None
    said = f", {artifact_id!r:.200}," if artifact_id and isinstance(artifact_id, str) else ""
    return f"item {index} of the manifest{said}"


def _private_before(index: int, item: Any) -> list[str]:
    """What an exported item says of its fields: they are as private here."""
    known = item.get("private") if isinstance(item, Mapping) else None
    if known is None:
        return []
    if not isinstance(known, Mapping | list) or not all(isinstance(field, str) for field in known):
        raise ManifestError(f"{_which(index, item)} is invalid: private has no names of fields")
    return [field.removeprefix(PARAMS) for field in known]


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
            raise ManifestError(
                f"manifests of schema version {known} are not known: this one reads 2.0 and 3.0. Import it "
                "with a release that knows it, or have whoever made it export it as one of these"
            )
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
        if isinstance(said.get("created_at"), date):  # YAML has times, unless they are quoted
            said["created_at"] = said["created_at"].isoformat()
        if isinstance(said.get("artifact_type"), str):
            check_type(said["artifact_type"])
        record = ArtifactRecord.from_dict(said)
        record.meta_config = None if meta_config is None else _config(meta_config)
        _check(record, private)
        if params is not None and not isinstance(params, Mapping):
            raise ManifestError(f"params is a {type(params).__name__}, not a dict")
    except (ValueError, TypeError, RecursionError) as error:
        raise ManifestError(f"{_which(index, item)} is invalid: {error}") from error
    record.params = normalize(params) if params else {}
    if "pipeline_id" not in said and not record.pipeline_id:
        record.pipeline_id, fold = split_artifact_id(record.artifact_id)
        record.fold_id = fold if record.fold_id is None else record.fold_id
    return record


def _check(record: ArtifactRecord, private: Collection[str]) -> None:
    """Nothing of an item is trusted: what registering would refuse is refused here.

    A digest that is not real may stand, as the reference allows that; nothing can be loaded by it.
    """
    check_id(record.artifact_id)
    check_relative(record.path)
    for what in _TEXTS:
        check_text(what, getattr(record, what), empty=True)
    check_text(CUSTOM_NAME, record.custom_name, empty=True, private=CUSTOM_NAME in private)
    for source in record.depends_on:
        check_text("a dependency's id", source)
    if record.artifact_id in record.depends_on:
        raise ManifestError(f"depends_on: {record.artifact_id!r:.200} depends on itself")
    for name in record.refers_to:
        check_text("a name in refers_to", name)
    _check_place(record)
    algorithm, colon, _ = record.content_hash.partition(":")
    if colon and algorithm != PREFIX.removesuffix(":"):
        raise ManifestError(f"content_hash {record.content_hash!r:.80} is no {PREFIX} and hex digits")
    if record.created_at:
        _check_time(record.created_at)


def _check_place(record: ArtifactRecord) -> None:
    """Where in its pipeline it belongs."""
    for what in _NUMBERS:
        number = getattr(record, what)
        if number is not None:
            whole_number(what, number)
    whole_numbers("branch_path", record.branch_path)
    if isinstance(record.fold_id, str):
        check_text("fold_id", record.fold_id)
    elif record.fold_id is not None:
        whole_number("fold_id", record.fold_id)


def _check_time(text: str) -> None:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        raise ManifestError(
            f"created_at {text!r:.80} is no time: write one such as 2026-05-31T12:00:00Z"
        ) from None


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
