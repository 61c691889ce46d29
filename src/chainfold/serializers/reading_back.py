"""Reading pickles back before they are acknowledged, where a library writes what it cannot read.

Keras and torch say by themselves how their objects are pickled, and what is pickled so cannot always be
loaded: a model of a class that Keras does not know, a tensor whose dtype torch finds no class of storage for.
"""

import os
import subprocess
import sys
import warnings
from collections.abc import Iterable
from typing import Any, Final

from chainfold.serializers.booster_formats import DICTIONARY
from chainfold.serializers.keras_format import KerasSerializer, lost_by_keras, predict_alike
from chainfold.serializers.libraries import is_of_library, own_formats
from chainfold.serializers.onnx_format import ELSEWHERE, OnnxSerializer, has_weights_elsewhere
from chainfold.serializers.protocol import Serializer, describe, type_name

_AT_ODDS: Final = frozenset({"keras", "torch"})
"""Top-level modules whose objects are read back wherever in a pickle they are."""
_EXITS: Final = (0, 1)
"""A child read it, or Python raised an error; others come from what ends a process."""
_KERAS: Final = "_unpickle_model"
"""How Keras pickles its objects: by this method of their class, which may be from anywhere."""


class UnreadableError(ValueError):
    """What an object became cannot be loaded, or is something else then. The message says what to do."""


def check_readable(obj: Any, serializer: Serializer, data: bytes, names: Iterable[str]) -> None:
    """Nothing, if a pickle gives its object back, or is one that Python alone has made.

    Args:
        obj: What was pickled.
        serializer: What has pickled it.
        data: The pickle.
        names: What it refers to, as `module.name`.

    Raises:
        UnreadableError: If it cannot be loaded, gives another class, or a model that predicts otherwise.
    """
    if OnnxSerializer().accepts(obj) and has_weights_elsewhere(obj):
        raise UnreadableError(f"{ELSEWHERE}: register what onnx.load gives, which reads that too")
    if DICTIONARY in data:
        _check_in_a_child(data)
    is_keras = (
        any(name.endswith(_KERAS) for name in names) or _KERAS.encode() in data
    )  # cloudpickle has its code
    if not (is_keras or is_of_library(obj) or any(name.partition(".")[0] in _AT_ODDS for name in names)):
        return
    try:
        again = serializer.loads(data)
    except Exception as error:
        raise UnreadableError(
            f"{_advice(is_keras=is_keras)}: what {serializer.name} makes of it cannot be loaded "
            f"({describe(error, 300)})"
        ) from error
    if type(again) is not type(obj):
        raise UnreadableError(f"{serializer.name} gives it back as {type_name(again)}")
    if not any(isinstance(own, KerasSerializer) for own in own_formats(obj)):
        return
    if not predict_alike(obj, again):
        raise UnreadableError(
            "have the state of its layers in their get_config(), in a weight, or in save_own_variables(): "
            "loaded again it predicts something else, because Keras does not keep what it needs for that"
        )
    lost = lost_by_keras(obj, again)
    if lost:
        warnings.warn(
            f"Keras does not keep {lost} of this {type_name(obj)}: loaded again it predicts the same, and "
            "goes on training otherwise",
            UserWarning,
            stacklevel=2,
        )


def _check_in_a_child(data: bytes) -> None:
    """Nothing, if reading a pickle does not end the process, as what CatBoost writes of what it read may.

    Raises:
        UnreadableError: If it does.
    """
    path = os.pathsep.join(filter(None, sys.path))
    try:
        done = subprocess.run(
            [sys.executable, "-c", "import pickle, sys; pickle.load(sys.stdin.buffer)"],
            input=data,
            capture_output=True,
            env=os.environ | {"PYTHONPATH": path},
            check=False,
        )
    except OSError:  # no Python to be started: then nothing can be tried
        return
    if done.returncode not in _EXITS:
        raise UnreadableError(
            "register the model as it was trained: CatBoost has written one with features of texts that it "
            "had read before, and to read that again ends the process"
        )


def _advice(*, is_keras: bool) -> str:
    if is_keras:
        return "register its classes with keras.saving.register_keras_serializable() and try again"
    return "store it in another form (what torch.save writes, a plain array, a dict of these)"
