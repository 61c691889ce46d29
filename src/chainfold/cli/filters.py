"""What `-f` takes: `size>1MB`, `age>30d`, `type=model`, `class=PLS*`, `params.n_components=3`."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from chainfold.cli.units import is_date, parse_age, parse_size, parse_time, time_of
from chainfold.errors import InvalidInputError

if TYPE_CHECKING:
    from chainfold.records import ArtifactRecord
    from chainfold.view import RegistryView

HELP: Final = (
    "Only artifacts that fit, as in -f 'size>1MB' -f 'age>30d' -f type=model -f fold=0 -f 'class=PLS*' "
    "-f params.alpha=0.1. Several must all hold. Names: {names}, and params.NAME. Comparisons: = != > >= < "
    "<=; with = and != a text may have * for anything."
)
Test = Callable[["ArtifactRecord"], bool]

_FORM: Final = re.compile(r"\s*([A-Za-z_]+(?:\.[^=<>!]+)?)\s*(!=|>=|<=|=|>|<)\s*(.*?)\s*", re.DOTALL)
_DIGEST: Final = re.compile(r"(\**[0-9a-f]){0,64}\**")
TYPES: Final = ("model", "transformer", "splitter", "encoder", "meta_model")
"""The types of artifacts: those of the library, whose import would make every help slow."""
_ORDERS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "=": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
}
_TEXTS: Final[dict[str, "Callable[[ArtifactRecord], str]"]] = {
    "id": lambda record: record.artifact_id,
    "type": lambda record: record.artifact_type.value,
    "class": lambda record: record.class_name,
    "name": lambda record: record.custom_name,
    "pipeline": lambda record: record.pipeline_id,
    "chain": lambda record: record.chain_path,
    "branch": lambda record: ".".join(map(str, record.branch_path)),
    "digest": lambda record: record.content_hash.removeprefix("sha256:"),
    "format": lambda record: record.format,
    "path": lambda record: record.path,
}
_NUMBERS: Final[dict[str, "Callable[[ArtifactRecord], int | None]"]] = {
    "step": lambda record: record.step_index,
    "substep": lambda record: record.substep_index,
    "source": lambda record: record.source_index,
}
NAMES: Final = (*_TEXTS, *_NUMBERS, "fold", "size", "age", "created", "refers")


class Filter(NamedTuple):
    """One condition.

    Attributes:
        name: What is asked about.
        order: How it is compared.
        value: With what, as typed.
        fits: Whether a record fits.
    """

    name: str
    order: str
    value: str
    fits: Test


def parse_filters(texts: Sequence[str], now: datetime) -> list[Filter]:
    """The conditions.

    Args:
        texts: As typed.
        now: What ages are reckoned from.

    Raises:
        InvalidInputError: If one is none; it is named.
    """
    return [_parsed(text, now) for text in texts]


def fitting(records: Iterable["ArtifactRecord"], filters: Sequence[Filter]) -> Iterator["ArtifactRecord"]:
    """Those that fit all."""
    return (record for record in records if all(each.fits(record) for each in filters))


def candidates(view: "RegistryView", filters: Sequence[Filter]) -> Iterator["ArtifactRecord"]:
    """The live artifacts among which are all that fit, in order of registration; by an index if one helps."""
    exact = {each.name: each.value for each in filters if each.order == "=" and "*" not in each.value}
    pipeline, step = exact.get("pipeline"), exact.get("step")
    if pipeline is not None and step is not None:
        return view.iter_artifacts_for_step(pipeline, int(step))
    if pipeline is not None:
        return view.iter_pipeline(pipeline)
    return view.iter_records()


def _parsed(text: str, now: datetime) -> Filter:
    match = _FORM.fullmatch(text)
    if match is None:
        raise InvalidInputError(
            f"{text!r} is no filter: use NAME=VALUE, or one of != > >= < <=, as in 'size>1MB'"
        )
    name, order, value = match.groups()
    lower = name.lower()
    try:
        if name.startswith("params."):
            return Filter(name, order, value, _of_params(name.removeprefix("params."), order, value))
        if lower in NAMES:
            return Filter(lower, order, value, _test(lower, order, value, now))
    except InvalidInputError as error:
        raise InvalidInputError(f"the filter {text!r} cannot be used: {error}") from error
    raise InvalidInputError(f"the filter {text!r} asks about {name!r}: use {', '.join(NAMES)} or params.NAME")


def check_digest(value: str) -> str:
    """A digest, its beginning, or a pattern with `*` of one, in lower case as records have it.

    Raises:
        InvalidInputError: If no digest is like that.
    """
    digits = value.lower().removeprefix("sha256:")
    if not digits or _DIGEST.fullmatch(digits) is None:
        raise InvalidInputError(
            f"{value!r} is no digest: use at most 64 hexadecimal digits (0-9, a-f), with or without sha256:"
        )
    return digits


def _check_type(value: str) -> None:
    if not any(map(_pattern(value).fullmatch, TYPES)):
        raise InvalidInputError(f"{value!r} is no type: use {', '.join(TYPES)}")


def _test(name: str, order: str, value: str, now: datetime) -> Test:
    if order in {"=", "!="}:
        if name == "type":
            _check_type(value)
        elif name == "digest":
            value = check_digest(value)
    if name in _TEXTS:
        return _of_text(_TEXTS[name], order, value)
    if name in _NUMBERS:
        return _of_number(_NUMBERS[name], order, value)
    if name == "fold":
        return _of_fold(order, value)
    if name == "size":
        size = parse_size(value)
        return lambda record: _ORDERS[order](record.size_bytes, size)
    return _of_references(order, value) if name == "refers" else _of_time(name, order, value, now)


def _pattern(value: str, more: str = "") -> re.Pattern[str]:
    """A text in which `*` is anything, and an expression for what may follow."""
    return re.compile(".*".join(map(re.escape, value.split("*"))) + more, re.DOTALL)


def _of_text(get: "Callable[[ArtifactRecord], str]", order: str, value: str) -> Test:
    if order in {"=", "!="}:
        value = value.removeprefix("sha256:")
        wanted = _pattern(value)
        return lambda record: (wanted.fullmatch(get(record)) is not None) == (order == "=")
    return lambda record: _ORDERS[order](get(record), value)


def _of_references(order: str, value: str) -> Test:
    """Whether a pickle refers to what is named, or to something in it: `sklearn.tree`, `*.Tree`."""
    if order not in {"=", "!="}:
        raise InvalidInputError(f"what a pickle refers to has no order: use = or !=, not {order}")
    wanted = _pattern(value, r"(\..*)?")
    return lambda record: any(map(wanted.fullmatch, record.refers_to)) == (order == "=")


def _of_number(get: "Callable[[ArtifactRecord], int | None]", order: str, value: str) -> Test:
    try:
        wanted = int(value)
    except ValueError as error:
        raise InvalidInputError(f"{value!r} is no whole number") from error
    if wanted < 0:
        raise InvalidInputError(f"{value!r} is below 0: use 0, 1, 2 and so on")

    def fits(record: "ArtifactRecord") -> bool:
        found = get(record)
        return order == "!=" if found is None else _ORDERS[order](found, wanted)

    return fits


def _of_fold(order: str, value: str) -> Test:
    if order in {"=", "!="}:
        return _of_text(lambda record: record.get_fold_str(), order, value)
    return _of_number(
        lambda record: record.fold_id if isinstance(record.fold_id, int) else None, order, value
    )


def _of_time(name: str, order: str, value: str, now: datetime) -> Test:
    """Ages grow as times fall; a date, of which `=` means the whole day, is compared by its nearer end."""
    if name == "age":
        bound = now - parse_age(value)
        order = order.translate(str.maketrans("<>", "><"))
        first = last = bound
    else:
        first, last = parse_time(value, now, end=False), parse_time(value, now)
        if not is_date(value):
            first = last

    def fits(record: "ArtifactRecord") -> bool:
        created = time_of(record.created_at)
        if created is None:
            return order == "!="
        match order:
            case "=" | "!=":
                return (first <= created <= last) == (order == "=")
            case ">" | "<=":
                return _ORDERS[order](created, last)
            case _:
                return _ORDERS[order](created, first)

    return fits


def _of_params(path: str, order: str, value: str) -> Test:
    """A parameter: `alpha`, or one within another: `model.alpha`. A number is compared as a number."""
    number = _number(value)
    wanted = _pattern(value)

    def fits(record: "ArtifactRecord") -> bool:
        found = _at(record.params, path)
        if found is _ABSENT:
            return order == "!="
        if number is not None and isinstance(found, int | float) and not isinstance(found, bool):
            return _ORDERS[order](found, number)
        text = (
            found
            if isinstance(found, str)
            else _WORDS.get(found, str(found))
            if _is_word(found)
            else str(found)
        )
        if order in {"=", "!="}:
            return (wanted.fullmatch(text) is not None) == (order == "=")
        return _ORDERS[order](text, value)

    return fits


_ABSENT: Final = object()
_WORDS: Final[dict[Any, str]] = {True: "true", False: "false", None: "null"}


def _is_word(value: Any) -> bool:
    return value is None or isinstance(value, bool)


def _at(params: Any, path: str) -> Any:
    if not isinstance(params, dict):
        return _ABSENT
    if path in params:
        return params[path]
    name, dot, rest = path.partition(".")
    return _at(params[name], rest) if dot and name in params else _ABSENT


def _number(value: str) -> float | None:
    try:
        return float(value)
    except ValueError:
        return None
