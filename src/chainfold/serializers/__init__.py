"""Objects to bytes and back: npy, joblib, pickle, cloudpickle, libraries' own formats, and plug-ins."""

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
