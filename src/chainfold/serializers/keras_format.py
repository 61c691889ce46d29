"""Keras models as `.keras` files, which Keras itself reads, without what changes from time to time.

Keras dates the file, and numbers what is shared by its address in memory. Here the date is fixed, numbers
are given in order, and the members are stored by `archive`.
"""

import tempfile
from pathlib import Path
from typing import Any, Final

import msgspec

from chainfold.serializers.archive import pack, unpack
from chainfold.serializers.protocol import module_of, require, type_name

_INSTALL: Final = "chainfold[keras]"
_CONFIG: Final = "config.json"
_METADATA: Final = "metadata.json"
_DATE: Final = "1980-01-01@00:00:00"


class KerasSerializer:
    """Models that Keras rebuilds from their configuration, with weights, optimizer and how they are compiled.

    What is written is read back before it is accepted, in Keras' safe mode, and must be of the same class,
    configuration and weights. Classes of one's own must be registered with Keras; lambdas are refused.

    Loading can run code: the file names modules and classes, which Keras imports and calls.
    """

    name = "keras"
    extension = "keras"
    runs_code = True

    def accepts(self, obj: Any) -> bool:
        """Whether the object is a model of Keras 3, or inherits from one."""
        return any(
            cls.__name__ == "Model" and module_of(cls) == "keras.src.models.model"
            for cls in type(obj).__mro__
        )

    def dumps(self, obj: Any) -> bytes:
        """The model as a `.keras` file.

        Raises:
            TypeError: With the reason, when Keras would not give it back as it is.
        """
        if not self.accepts(obj):
            raise TypeError(f"keras holds models of Keras, not {type_name(obj)}")
        data = _written(obj)
        if not _is_same(obj, self.loads(data), data):
            raise TypeError(f"Keras does not give this {type_name(obj)} back as it is")
        return data

    def loads(self, data: bytes) -> Any:
        """The model, read by Keras in its safe mode. Imports what the file names: only if it is trusted.

        Raises:
            ValueError: If it is no such file.
        """
        keras = require("keras", _INSTALL)
        unpack(data)  # so that nothing swells, and damage is found before Keras reads
        with tempfile.TemporaryDirectory(prefix="chainfold-") as folder:
            path = Path(folder) / "model.keras"
            path.write_bytes(data)
            return keras.saving.load_model(path, safe_mode=True)


def _written(model: Any) -> bytes:
    with tempfile.TemporaryDirectory(prefix="chainfold-") as folder:
        path = Path(folder) / "model.keras"
        require("keras", _INSTALL).saving.save_model(model, path)
        members = unpack(path.read_bytes())
    metadata = msgspec.json.decode(members[_METADATA])
    members[_METADATA] = msgspec.json.encode({**metadata, "date_saved": _DATE})
    config = msgspec.json.decode(members[_CONFIG])
    _forget_addresses(config)
    members[_CONFIG] = msgspec.json.encode(config)
    return pack(dict(sorted(members.items())))


def _forget_addresses(config: Any) -> None:
    """Number what is shared in order, and leave out that data types are: those have no state."""
    numbers: dict[int, int] = {}
    waiting = [config]
    while waiting:
        form = waiting.pop()
        if isinstance(form, dict):
            if str(form.get("class_name")).endswith("DTypePolicy"):
                form.pop("shared_object_id", None)
            if "shared_object_id" in form:
                form["shared_object_id"] = numbers.setdefault(form["shared_object_id"], len(numbers))
            waiting += reversed(list(form.values()))
        elif isinstance(form, list):
            waiting += reversed(form)


def _is_same(one: Any, other: Any, data: bytes) -> bool:
    """Whether two models have one class, configuration, weights and optimizer's weights, to the bit.

    Names that Keras gave by itself to layers which no configuration tells of are not compared.
    """
    if type(one) is not type(other) or unpack(data)[_CONFIG] != unpack(_written(other))[_CONFIG]:
        return False
    ours, theirs = _weights(one), _weights(other)
    return len(ours) == len(theirs) and all(
        mine.dtype == your.dtype and mine.tobytes() == your.tobytes()
        for mine, your in zip(ours, theirs, strict=True)
    )


def _weights(model: Any) -> list[Any]:
    to_numpy = require("keras", _INSTALL).ops.convert_to_numpy
    return [
        *model.get_weights(),
        *(to_numpy(each) for each in getattr(getattr(model, "optimizer", None), "variables", [])),
    ]
