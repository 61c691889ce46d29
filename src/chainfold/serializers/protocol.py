"""What a serialisation format is, and what comes out of one."""

import importlib
from typing import Any, Protocol

import msgspec


class Serializer(Protocol):
    """A format: it turns objects into bytes and back.

    A plug-in is any object with these five, or a factory without arguments that makes one, under the
    entry-point group `chainfold.serializers`. It is imported before the first object is serialised, so
    it should import a heavy library only inside `dumps` and `loads`.

    Attributes:
        name: What a record says in `format`, for ever: bytes are read back by the serializer of this name.
        extension: How the names of its files end, without the dot: letters, digits, `.`, `_`, `-`.

    A sixth, `runs_code = False`, says that `loads` runs nothing that the bytes say, whatever they are.
    Without it they are taken to be code.
    """

    name: str
    extension: str

    def accepts(self, obj: Any) -> bool:
        """Whether this format is the one for the object when nobody names a format.

        Goes by the real class, `type(obj)`, the classes it inherits from and their modules. Never by a
        part of a name, nor by `obj.__class__`, which an object can make up.
        """
        ...

    def dumps(self, obj: Any) -> bytes:
        """The object as bytes; loading them gives the same type with the same behaviour.

        It may be asked for any object, also one that it does not accept: a user named the format.

        Raises:
            Exception: Of any class, with the reason, when the format cannot hold the object.
        """
        ...

    def loads(self, data: bytes) -> Any:
        """The object that `dumps` was given.

        Raises:
            Exception: Of any class, when a module is missing or the bytes are not of this format.
        """
        ...


class Serialized(msgspec.Struct, frozen=True):
    """An object as bytes, and what its record says of them.

    Attributes:
        data: The bytes.
        format: Name of the serializer that reads them back.
        extension: How the name of their file ends, without the dot.
        format_version: Library and version that the object's class comes from: `sklearn==1.9.1`. Empty
            for Python's own classes, for a script's and where no version is known.
        class_name: Name of the object's class, without its module.
        refers_to: Of a pickle, the classes and functions that it refers to, as `module.name`.
    """

    data: bytes
    format: str
    extension: str
    format_version: str
    class_name: str
    refers_to: list[str] = msgspec.field(default_factory=list)


class MissingLibraryError(ImportError):
    """A format needs a library that cannot be imported. Install it; another format is no substitute."""


class NotOfThisFormatError(ValueError):
    """The bytes are not of the format at all, whichever version of its library reads them."""


def require(module: str, install: str) -> Any:
    """The module, imported now and not before: `import chainfold` stays fast.

    Args:
        module: Its import name.
        install: What to give to `pip install` for it, an extra of chainfold where there is one.

    Raises:
        MissingLibraryError: When it cannot be imported; the message says what to install.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingLibraryError(
            f"{module} cannot be imported ({error}): pip install '{install}'", name=module
        ) from error


def module_of(cls: type) -> str:
    """The name of the module that a class says it is from; empty when it says nothing sensible."""
    name = getattr(cls, "__module__", "")
    return name if isinstance(name, str) else ""


def type_name(obj: Any) -> str:
    """`module.Class` of the object's real class."""
    cls = type(obj)
    return f"{module_of(cls)}.{cls.__qualname__}"


def describe(error: BaseException, limit: int = 500) -> str:
    """`Class: message` of an error in at most about `limit` characters, whatever its `__str__` does."""
    try:
        message = str(error)
    except Exception:  # noqa: BLE001 - a broken message must not hide which error it was
        message = ""
    if len(message) > limit:
        message = message[:limit] + "…"
    return f"{type(error).__name__}: {message}" if message else type(error).__name__
