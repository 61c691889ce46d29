"""Objects to bytes and back: joblib, npy, pickle, cloudpickle, and formats by plug-ins."""

from chainfold.serializers.choice import (
    available_formats,
    deserialize,
    is_pickle,
    register_serializer,
    runs_code,
    serialize,
    unregister_serializer,
)
from chainfold.serializers.protocol import Serialized, Serializer

__all__ = [
    "Serialized",
    "Serializer",
    "available_formats",
    "deserialize",
    "is_pickle",
    "register_serializer",
    "runs_code",
    "serialize",
    "unregister_serializer",
]
