"""Which format an object goes to, and back from it."""

import warnings
from collections.abc import Callable
from typing import Any

from chainfold.errors import SerializationError
from chainfold.serializers.cloudpickle_format import CloudpickleSerializer
from chainfold.serializers.joblib_format import JoblibSerializer
from chainfold.serializers.libraries import OWN_FORMATS, own_formats
from chainfold.serializers.noting import noted
from chainfold.serializers.numpy_format import NumpySerializer
from chainfold.serializers.origin import format_version
from chainfold.serializers.pickle_format import PickleSerializer, refers_to_main
from chainfold.serializers.pickle_symbols import NotPickledError
from chainfold.serializers.plugins import Plugins
from chainfold.serializers.protocol import (
    MissingLibraryError,
    NotOfThisFormatError,
    Serialized,
    Serializer,
    describe,
    type_name,
)
from chainfold.serializers.reading_back import UnreadableError, check_readable

_NUMPY, _JOBLIB, _PICKLE, _CLOUDPICKLE = (
    NumpySerializer(),
    JoblibSerializer(),
    PickleSerializer(),
    CloudpickleSerializer(),
)
_GENERAL: tuple[Serializer, ...] = (_NUMPY, _JOBLIB, _PICKLE, _CLOUDPICKLE)
_BUILT_IN = {builtin.name: builtin for builtin in (*_GENERAL, *OWN_FORMATS)}
_SYNONYMS = {
    "numpy": "numpy_npy",
    "npy": "numpy_npy",
    "sklearn": "joblib",
    "pkl": "pickle",
    "pytorch": "torch",
    "pandas": "pandas_arrow",
    "scipy": "scipy_npz",
}
"""Other names for the same bytes, in hints and in the records of other registries."""
_WIDER = {"torch": "torch_module"}
"""Formats that a hint stands for as well, when the one of its name cannot hold the object."""
_VARIANTS: dict[str, Serializer] = {"joblib+zlib": JoblibSerializer(compress=True)}
"""Hints for other bytes of a format: the record says the format, whose reader takes them too."""

_plugins = Plugins(reserved=frozenset(_BUILT_IN) | frozenset(_SYNONYMS) | frozenset(_VARIANTS))
_warned: set[str] = set()


def available_formats() -> tuple[str, ...]:
    """Names of all formats: the built-in ones, then the plug-ins in order of preference."""
    return (*_BUILT_IN, *(plugin.name for plugin in _plugins.all()))


def register_serializer(serializer: Serializer) -> None:
    """Add a format for the rest of this process; it is asked before the installed and built-in ones.

    Raises:
        InvalidInputError: When it is no serializer, or its name is taken.
    """
    _plugins.register(serializer)


def unregister_serializer(name: str) -> None:
    """Forget a format that is not built in, for the rest of this process.

    Raises:
        InvalidInputError: When it is built in.
        NotFoundError: When there is none of that name.
    """
    _plugins.unregister(name)


def serialize(obj: Any, format_hint: str | None = None) -> Serialized:
    """The object as bytes, such that loading them gives the same type with the same behaviour.

    Without a hint: the first plug-in that accepts it, then npy, its library's own format where that gives it
    back as it is, joblib or pickle by its class; cloudpickle when that fails or when the bytes could be
    loaded by this script only. A pickle of an object of a library that has a format is read back first.

    Args:
        obj: Anything.
        format_hint: Name of the one format to use.

    Raises:
        SerializationError: When the hint names no format, or the object does not go into it, or into any
            without a hint. The message names the object's class and the reason.
    """
    if format_hint is not None:
        serializer, data, names = _as_hinted(obj, _hinted(format_hint))
    else:
        try:
            serializer, data, names = _chosen(obj)
        except Exception as error:
            raise _refusal(obj, error) from error
    return Serialized(
        data=data,
        format=serializer.name,
        extension=serializer.extension,
        format_version=format_version(obj),
        class_name=type(obj).__name__,
        refers_to=noted(names),
    )


def runs_code(format: str) -> bool:  # noqa: A002 - the record's own word for it
    """Whether reading this format may run what the bytes say. Of an unknown format, nothing is read."""
    serializer = _find(format)
    return serializer is not None and getattr(serializer, "runs_code", True)


def is_pickle(format: str) -> bool:  # noqa: A002 - as above
    """Whether bytes of this format are a pickle, or one in a form of joblib's."""
    return _find(format) in (_JOBLIB, _PICKLE, _CLOUDPICKLE)


def deserialize(data: bytes, format: str, *, load: Callable[[bytes], Any] | None = None) -> Any:  # noqa: A002 - as above
    """The object, read in the recorded format and no other.

    Runs what the bytes say, in most formats: check their digest first, and whether that may be.

    Args:
        data: The bytes of a blob.
        format: What its record says in `format`.
        load: What reads them in place of the format itself: with less trust.

    Raises:
        NotPickledError: By `load`, if the bytes do what they may not.
        SerializationError: When the format is unknown here, or reading fails. The bytes are what was
            registered, so what is missing is a module, a plug-in or the right version: the message says.
    """
    serializer = _find(format)
    if serializer is None:
        raise SerializationError(
            f"unknown format {format!r}: the plug-in that wrote it may be missing here; {_known()}"
        )
    try:
        return serializer.loads(data) if load is None else load(data)
    except NotPickledError:
        raise
    except Exception as error:
        cannot = f"cannot load {len(data):,} bytes of format {serializer.name!r}"
        raise SerializationError(f"{cannot}: {describe(error)}. {_advice(error)}") from error


def _as_hinted(obj: Any, serializer: Serializer) -> tuple[Serializer, bytes, list[str]]:
    try:
        return serializer, *_bytes(serializer, obj)
    except Exception as error:
        wider = _BUILT_IN.get(_WIDER.get(serializer.name, ""))
        if wider is not None and wider.accepts(obj):
            return _as_hinted(obj, wider)
        suggestion = _suggestion(serializer, obj, error)
        raise _refusal(obj, error, f"as {serializer.name}", suggestion) from error


def _chosen(obj: Any) -> tuple[Serializer, bytes, list[str]]:
    for plugin in _plugins.all():
        if _accepted(plugin, obj):
            try:
                return plugin, *_bytes(plugin, obj)
            except Exception as error:
                raise ValueError(f"its plug-in {plugin.name!r} fails: {describe(error)}") from error
    if _NUMPY.accepts(obj):
        return _NUMPY, _NUMPY.dumps(obj), []
    for own in own_formats(obj):
        try:
            return own, *_bytes(own, obj)
        except Exception:  # noqa: BLE001, S112 - it cannot hold this one, or is not installed: pickle can
            continue
    return _pickled(obj)


def _pickled(obj: Any) -> tuple[Serializer, bytes, list[str]]:
    preferred = _JOBLIB if _JOBLIB.accepts(obj) else _PICKLE
    try:
        data, names = preferred.noted(obj)
    except MissingLibraryError:
        raise
    except Exception:  # noqa: BLE001 - if cloudpickle fails as well, its reason is the one to tell
        return _CLOUDPICKLE, *_bytes(_CLOUDPICKLE, obj)
    if refers_to_main(data):
        return _CLOUDPICKLE, *_by_value(obj)
    try:
        check_readable(obj, preferred, data, names)
    except UnreadableError as error:
        try:
            return _CLOUDPICKLE, *_bytes(_CLOUDPICKLE, obj)
        except Exception:  # noqa: BLE001 - the first reason is the one to tell
            raise error from error.__cause__
    return preferred, data, names


def _by_value(obj: Any) -> tuple[bytes, list[str]]:
    try:
        return _bytes(_CLOUDPICKLE, obj)
    except (MissingLibraryError, UnreadableError):
        raise
    except Exception as error:
        raise ValueError(
            f"it uses code of the script itself, which cannot be stored by value ({describe(error)}): "
            "move that code to a module"
        ) from error


def _accepted(plugin: Serializer, obj: Any) -> bool:
    try:
        return bool(plugin.accepts(obj))
    except Exception as error:  # noqa: BLE001 - a broken plug-in must not stand in the way of other objects
        if plugin.name not in _warned:
            _warned.add(plugin.name)
            warnings.warn(
                f"serializer plug-in {plugin.name!r} fails to say what it accepts: {describe(error)}",
                RuntimeWarning,
                stacklevel=4,
            )
        return False


def _bytes(serializer: Serializer, obj: Any) -> tuple[bytes, list[str]]:
    """The object as bytes, and what they refer to, if they are a pickle."""
    if isinstance(serializer, JoblibSerializer | PickleSerializer | CloudpickleSerializer):
        data, names = serializer.noted(obj)
        check_readable(obj, serializer, data, names)
        return data, names
    made: Any = serializer.dumps(obj)
    if isinstance(made, bytes | bytearray | memoryview):
        return bytes(made), []
    raise TypeError(f"the serializer {serializer.name!r} made {type_name(made)}, not bytes")


def _find(name: str) -> Serializer | None:
    return _BUILT_IN.get(_SYNONYMS.get(name, name)) or _plugins.find(name)


def _hinted(hint: Any) -> Serializer:
    serializer = (_VARIANTS.get(hint) or _find(hint)) if isinstance(hint, str) else None
    if serializer is None:
        raise SerializationError(
            f"format_hint {hint!r} names no format; {_known()}; as a hint also {', '.join(_VARIANTS)}"
        )
    return serializer


def _known() -> str:
    text = "known formats: " + ", ".join(available_formats())
    if _plugins.failures:
        text += "; left out: " + ", ".join(f"{name} ({why})" for name, why in _plugins.failures.items())
    return text


def _refusal(obj: Any, error: Exception, how: str = "", suggestion: str = "") -> SerializationError:
    cannot = f"cannot serialise {type_name(obj)} {how}".rstrip()
    return SerializationError(f"{cannot}: {describe(error)}{suggestion}")


def _suggestion(serializer: Serializer, obj: Any, error: Exception) -> str:
    """What to do about a format that was asked for and cannot hold the object."""
    if serializer is _CLOUDPICKLE or isinstance(error, MissingLibraryError | MemoryError):
        return ""
    try:
        _bytes(_CLOUDPICKLE, obj)
    except Exception:  # noqa: BLE001 - then there is nothing to suggest
        return ""
    return "; format_hint='cloudpickle' can hold it"


def _advice(error: Exception) -> str:
    """What to do about bytes that are right and cannot be loaded."""
    if isinstance(error, MissingLibraryError):
        return "Install it and load again."
    if isinstance(error, ModuleNotFoundError) and error.name:
        return f"Install the module {error.name!r} and load again."
    if "__main__" in describe(error):
        return "It needs a class or function of the script that registered it: define that in this one."
    if isinstance(error, NotOfThisFormatError):
        return (
            "The bytes have the digest of their record: whoever made it named another format than theirs, or "
            "stored damaged bytes. Ask there, or look at what registry.load_bytes gives."
        )
    return "Install the version of its library that the record names in format_version."
