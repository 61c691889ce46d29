"""Which library's own formats there are for an object. No library is imported to find out."""

import itertools
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Any, Final

from chainfold.serializers.booster_formats import CatBoostSerializer, LightGBMSerializer, XGBoostSerializer
from chainfold.serializers.keras_format import KerasSerializer
from chainfold.serializers.onnx_format import OnnxSerializer
from chainfold.serializers.pandas_format import PandasSerializer
from chainfold.serializers.protocol import Serializer, module_of
from chainfold.serializers.skops_format import SkopsSerializer
from chainfold.serializers.sparse_format import SparseSerializer
from chainfold.serializers.torch_format import TorchSerializer

_BY_LIBRARY: Final[dict[str, Sequence[Serializer]]] = {
    "scipy": (SparseSerializer(),),
    "pandas": (PandasSerializer(),),
    "torch": (TorchSerializer(foreign=False), TorchSerializer(foreign=True)),
    "keras": (KerasSerializer(),),
    "xgboost": (XGBoostSerializer(),),
    "lightgbm": (LightGBMSerializer(),),
    "catboost": (CatBoostSerializer(),),
    "onnx": (OnnxSerializer(),),
}
"""By the top-level module of a class; of several formats the one that runs no code first."""

OWN_FORMATS: Final[tuple[Serializer, ...]] = (
    *itertools.chain.from_iterable(_BY_LIBRARY.values()),
    SkopsSerializer(),
)


def own_formats(obj: Any) -> Iterator[Serializer]:
    """The formats of the libraries that an object's class or its ancestors come from, and which accept it.

    Of a dict, which comes from no library, those of its first value: it may be torch's state dict.
    """
    met = ""
    is_dict = type(obj) in {dict, OrderedDict} and obj
    for cls in type(next(iter(obj.values())) if is_dict else obj).__mro__:
        library = module_of(cls).partition(".")[0]
        if library in _BY_LIBRARY and library != met:
            met = library
            for serializer in _BY_LIBRARY[library]:
                if serializer.accepts(obj):
                    yield serializer


def is_of_library(obj: Any) -> bool:
    """Whether an object's class or one of its ancestors is from a library that has a format of its own."""
    return any(module_of(cls).partition(".")[0] in _BY_LIBRARY for cls in type(obj).__mro__)
