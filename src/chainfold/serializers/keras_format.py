"""Keras models as `.keras` files, which Keras itself reads, without what changes from time to time.

Keras dates the file, and numbers what is shared by its address in memory. Here the date is fixed, numbers
are given in order, and the members are stored by `archive`.
"""

import math
import tempfile
import warnings
from pathlib import Path
from typing import Any, Final

import msgspec

from chainfold.serializers.archive import pack, unpack
from chainfold.serializers.protocol import module_of, require, type_name

_INSTALL: Final = "chainfold[keras]"
_CONFIG: Final = "config.json"
_METADATA: Final = "metadata.json"
_DATE: Final = "1980-01-01@00:00:00"
_SIDE: Final = 32
"""How long the axes of an input are that a model leaves open, to try it."""
_NEAR: Final = 1e-5
"""How far apart predictions may be, of the largest: sums in another order differ by less."""


class KerasSerializer:
    """Models that Keras rebuilds from their configuration, with weights, optimizer and how they are compiled.

    What is written is read back before it is accepted, in Keras' safe mode, and must be of the same class,
    configuration and weights, and predict alike, where that can be tried. Classes of one's own must be
    registered with Keras; lambdas are refused.

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
        again = self.loads(data)
        if not _is_same(obj, again, data):
            raise TypeError(f"Keras does not give this {type_name(obj)} back as it is")
        if not predict_alike(obj, again):
            raise TypeError(f"Keras gives a {type_name(obj)} back that predicts something else")
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
    return _are_equal(_weights(one), _weights(other))


def _weights(model: Any) -> list[Any]:
    to_numpy = require("keras", _INSTALL).ops.convert_to_numpy
    return [
        *model.get_weights(),
        *(to_numpy(each) for each in getattr(getattr(model, "optimizer", None), "variables", [])),
    ]


def lost_by_keras(one: Any, other: Any) -> str:
    """What a model that was written by Keras no longer has as it was, in words; empty if nothing.

    Keras merges the factors of LoRA into the weights, and leaves out what an optimizer has of frozen layers.
    """
    if not _are_equal(one.get_weights(), other.get_weights()):
        return "the weights, one by one,"
    optimizer = getattr(one, "optimizer", None)
    if optimizer is None or not optimizer.built:
        return ""
    count = len(one.get_weights())
    return "" if _are_equal(_weights(one)[count:], _weights(other)[count:]) else "the optimizer's state"


def _are_equal(ours: list[Any], theirs: list[Any]) -> bool:
    return len(ours) == len(theirs) and all(
        mine.dtype == your.dtype and mine.tobytes() == your.tobytes()
        for mine, your in zip(ours, theirs, strict=True)
    )


def predict_alike(one: Any, other: Any) -> bool:
    """Whether two models predict the same for one row of their inputs, which runs from -1 to 1.

    Also where that cannot be tried: the shape of the inputs is not known, the model takes nothing of that
    kind, or predicts something else each time. The models' variables are as before.
    """
    for sample in _samples(one):
        ours = _tried(one, sample)
        if ours is not None:
            theirs = _tried(other, sample)
            if theirs is not None and _is_near(ours, theirs):
                return True
            repeated = _tried(one, sample)
            return repeated is None or not _is_near(ours, repeated)
    return True


def _samples(model: Any) -> list[Any]:
    """Inputs to try a model with, in a list or alone, and by name; none if it does not say what it takes."""
    try:
        shape = (model.get_build_config() or {}).get("input_shape")
        inputs = [(each.name, each.shape, each.dtype) for each in getattr(model, "inputs", None) or []]
        if not inputs and shape and all(each is None or type(each) is int for each in shape):
            inputs = [("", shape, "float32")]
        values = {name: _sample(shape, dtype) for name, shape, dtype in inputs}
    except Exception:  # noqa: BLE001 - of a class of one's own, get_build_config is its own code
        return []
    several = list(values.values())
    return [several[0] if len(several) == 1 else several, values] if several else []


def _sample(shape: Any, dtype: str) -> Any:
    numpy = require("numpy", "numpy")
    shape = (shape[0] or 1, *(each or _SIDE for each in shape[1:]))
    values = numpy.linspace(-1, 1, math.prod(shape), dtype="float32").reshape(shape)
    return values if "float" in dtype else numpy.abs(values).round().astype("int32")


def _tried(model: Any, sample: Any) -> list[Any] | None:
    """What a model predicts, as arrays, or None if it takes no such inputs. Its variables stay as is."""
    keras = require("keras", _INSTALL)
    variables = [(variable, variable.value) for variable in model.variables]
    try:
        with keras.StatelessScope(state_mapping=variables), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = model(sample, training=False)
        arrays = [keras.ops.convert_to_numpy(each) for each in keras.tree.flatten(found)]
        return [array.astype("float64") for array in arrays]
    except Exception:  # noqa: BLE001 - it is the model's own code, and says no more than this
        return None


def _is_near(ours: list[Any], theirs: list[Any]) -> bool:
    numpy = require("numpy", "numpy")
    return len(ours) == len(theirs) and all(
        mine.shape == your.shape
        and numpy.allclose(
            mine,
            your,
            rtol=_NEAR,
            atol=_NEAR * numpy.abs(mine[numpy.isfinite(mine)]).max(initial=0),
            equal_nan=True,
        )
        for mine, your in zip(ours, theirs, strict=True)
    )
