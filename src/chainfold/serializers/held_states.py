"""How objects that a pickle has made are given their states: by nothing that does more than to take them."""

import datetime as dt
import math
import sys
import types
from collections.abc import Callable
from typing import Any, Final

from chainfold.serializers.held_making import NUMBERS, Fill, Making, is_array, is_dtype, is_scalar
from chainfold.serializers.pickle_dtypes import described, is_shape
from chainfold.serializers.pickle_symbols import NotPickledError

_LARGEST_EMPTY: Final = 1 << 24
"""What the dimensions of an array without items may come to: who takes it may make room for one of them."""
_ISOTONIC: Final = "sklearn.isotonic.IsotonicRegression"
_PREDICTOR: Final = "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"
_RV_GENERIC: Final = "scipy.stats._distn_infrastructure.rv_generic"
HEAP_TYPE: Final = 1 << 9
"""Flag of classes that are made in Python. Source: CPython's `object.h`."""
_TEMPLATE: Final = "_parse_arg_template"
_DISTRIBUTION_BYTES: Final = 1 << 16
"""A text is compiled for each."""
_FIELD_BYTES: Final = 256
_ITEM_BYTES: Final = 4
"""What it costs to look at an item."""
_MOMENTS: Final = frozenset({dt.date, dt.datetime, dt.timedelta})


def fill_attributes(making: Making, obj: Any, state: Any) -> None:
    """As unpickling does without a `__setstate__`: what goes into the object's dict, and into its slots."""
    slots = None
    if type(state) is tuple and len(state) == 2:  # noqa: PLR2004 - as pickling has it
        state, slots = state
    if state is not None:
        _check_attributes(type(obj), state)
        object.__getattribute__(obj, "__dict__").update({sys.intern(key): state[key] for key in state})
    if slots is not None:
        _check_attributes(type(obj), slots)
        for key, value in slots.items():
            _slot(making, type(obj), key).__set__(obj, value)


def _check_attributes(cls: type, state: Any) -> None:
    if type(state) is not dict:
        raise state_of(cls)
    for key in state:
        if type(key) is not str or (
            key.startswith("__") and key.endswith("__") and not _describes(key, state[key])
        ):
            shown = repr(key)[:80] if type(key) is str else type(key).__name__
            raise NotPickledError(f"gives a {cls.__name__} a {shown} of its own", full_name_of(cls))


def _describes(key: str, value: Any) -> bool:
    """Whether an attribute is one of those by which functions are described, and a text."""
    return key in {"__doc__", "__module__", "__name__", "__qualname__"} and (
        value is None or type(value) is str
    )


def fill_freely(obj: Any, state: Any) -> None:
    """Of a class that the user has allowed: by its own method, if it has one, but by none of the object's."""
    method = getattr(type(obj), "__setstate__", None)
    if method is not None:
        method(obj, state)
        return
    slots = None
    if type(state) is tuple and len(state) == 2:  # noqa: PLR2004 - as pickling has it
        state, slots = state
    for key, value in (state or {}).items():
        vars(obj)[sys.intern(key) if type(key) is str else key] = value
    for key, value in (slots or {}).items():
        if key.startswith("__") and key.endswith("__"):
            raise NotPickledError(f"sets {key!r:.80} of a {type(obj).__name__}")
        setattr(obj, key, value)


def _slot(making: Making, cls: type, key: str) -> Any:
    for each in cls.__mro__:
        found = vars(each).get(key)
        if isinstance(found, types.MemberDescriptorType) and each.__flags__ & HEAP_TYPE:
            return found
    raise NotPickledError(f"sets {key!r:.80} of a {cls.__name__}, which is no slot", making.name_of(cls))


def full_name_of(cls: type) -> str:
    """Its module and name."""
    return f"{cls.__module__}.{cls.__qualname__}"


def state_of(cls: type) -> NotPickledError:
    """What is raised when an object is given a state that pickling does not give it."""
    return NotPickledError(f"gives a {cls.__name__} a state that pickling does not", full_name_of(cls))


def _check_no_methods(cls: type, state: dict[str, Any]) -> None:
    """Nothing, if none of a state's keys stands in front of what the class's own code calls."""
    for key in state:
        own = [vars(each)[key] for each in cls.__mro__ if key in vars(each)]
        if any(callable(each) or hasattr(type(each), "__get__") for each in own):
            raise NotPickledError(f"gives a {cls.__name__} a {key!r:.80} of its own", full_name_of(cls))


def _check_estimator(_: Making, cls: type, state: Any) -> None:
    _check_attributes(cls, state)
    if type(state.get("_sklearn_version", "")) is not str:
        raise state_of(cls)


def _check_isotonic(making: Making, cls: type, state: Any) -> None:
    """Its `__setstate__` makes a function of the thresholds, for which they are copied."""
    _check_attributes(cls, state)
    _check_no_methods(cls, state)
    thresholds = [state[key] for key in ("X_thresholds_", "y_thresholds_") if key in state]
    for each in thresholds:
        if not making.is_finished_array(each) or each.ndim != 1 or each.dtype.kind not in "fiu":
            raise state_of(cls)
        making.spend(4 * each.nbytes)
    if type(state.get("out_of_bounds", "")) is not str:
        raise state_of(cls)


def _check_predictor(making: Making, cls: type, state: Any) -> None:
    """Its `__setstate__` turns its nodes into this machine's."""
    _check_attributes(cls, state)
    _check_no_methods(cls, state)
    nodes = state.get("nodes")
    if not making.is_finished_array(nodes) or nodes.dtype.names is None:
        raise state_of(cls)
    making.spend(nodes.nbytes)


def _check_dict(_: Making, cls: type, state: Any) -> None:
    _check_attributes(cls, state)


def _check_coo(_: Making, cls: type, state: Any) -> None:
    _check_attributes(cls, state)
    if "coords" not in state and not {"row", "col"} <= set(state):
        raise state_of(cls)


def _check_distribution(making: Making, cls: type, state: Any) -> None:
    """Its `__setstate__` runs a text, which must be that of scipy's own of its class."""
    _check_attributes(cls, state)
    _check_no_methods(cls, state)
    stats: Any = sys.modules.get("scipy.stats")
    own: Any = next((each for each in vars(stats).values() if type(each) is cls), None) if stats else None
    text = state.get(_TEMPLATE)
    if own is None or type(text) is not str or text != vars(own)[_TEMPLATE]:
        raise NotPickledError(f"gives a {cls.__name__} a text to run", full_name_of(cls))
    if type(state.get("numargs")) is not int or type(state.get("moment_type", 0)) is not int:
        raise state_of(cls)
    making.spend(_DISTRIBUTION_BYTES)


def _check_nothing(_: Making, __: type, ___: Any) -> None:
    """The method leaves the state alone."""


FILLING: Final[dict[str, Callable[[Making, type, Any], None]]] = {
    "sklearn.base.BaseEstimator": _check_estimator,
    _ISOTONIC: _check_isotonic,
    _PREDICTOR: _check_predictor,
    "numpy.polynomial._polybase.ABCPolyBase": _check_dict,
    "scipy.sparse._coo._coo_base": _check_coo,
    "scipy.sparse._coo.coo_matrix": _check_coo,
    "sklearn.utils._bunch.Bunch": _check_nothing,
    _RV_GENERIC: _check_distribution,
}
"""Classes whose `__setstate__` takes a state and does no more with it, if this holds of the state."""


def filler_of(cls: type) -> Fill | None:
    """What gives the instances of a class written in Python their states; None if that would run its code."""
    owners = [each for each in cls.__mro__ if "__setstate__" in vars(each)]
    if not owners:
        return fill_attributes
    checks = [FILLING.get(full_name_of(each)) for each in owners]
    if any(check is None for check in checks):
        return None

    def fill(making: Making, obj: Any, state: Any) -> None:
        for check in checks:
            assert check is not None  # noqa: S101 - for the type checker
            check(making, cls, state)
        vars(owners[0])["__setstate__"](obj, dict(state) if type(state) is dict else state)

    return fill


def fill_dtype(making: Making, obj: Any, state: Any) -> None:
    """Of a dtype that was copied for this load: what numpy makes of it must be what the state describes."""

    def inner(each: Any) -> Any:
        if not is_dtype(each):
            raise NotPickledError("has a dtype of what is none")
        making.seal(each)
        parts.append(each)
        return each

    base, parts = obj, list[Any]()
    if type(state) is not tuple or len(state) < 8:  # noqa: PLR2004 - described says the rest
        raise NotPickledError("gives a dtype a state that pickling does not")
    try:
        expected = described(base, state, inner)
    except NotPickledError:
        raise
    except (TypeError, ValueError) as error:
        raise NotPickledError("has a dtype that is none") from error
    making.compose(obj, parts)
    making.spend(_FIELD_BYTES * len(state[3] or ()))
    obj.__setstate__(_own(state))
    if obj.itemsize != expected.itemsize or obj.flags & 0x7F != expected.flags & 0x7F:
        raise NotPickledError("has a dtype that is not what it claims to be")


def _own(state: tuple[Any, ...]) -> tuple[Any, ...]:
    """A dtype's state with dicts that are nobody else's: numpy keeps them."""
    fields = state[4] if state[4] is None else dict(state[4])
    return (
        *state[:4],
        fields,
        *state[5:8],
        *(dict(each) if type(each) is dict else each for each in state[8:]),
    )


def fill_array(making: Making, obj: Any, state: Any) -> None:
    """Of an array: a version, shape, dtype, order, and its bytes or items."""
    import numpy as np  # noqa: PLC0415 - there is an array

    if type(state) is not tuple or len(state) != 5 or type(state[0]) is not int:  # noqa: PLR2004 - those
        raise NotPickledError("gives an array a state that pickling does not")
    shape, dtype, order, content = state[1:]
    check_array(making, obj, shape, dtype, order, content)
    vars(np.ndarray)["__setstate__"](obj, (state[0], shape, dtype, bool(order), content))


def fill_masked(making: Making, obj: Any, state: Any) -> None:
    """Of a masked array: also the mask's bytes, and what stands for what is hidden."""
    import numpy as np  # noqa: PLC0415 - there is an array

    if type(state) is not tuple or len(state) != 7 or type(state[0]) is not int:  # noqa: PLR2004 - those
        raise NotPickledError("gives a masked array a state that pickling does not")
    _, shape, dtype, order, content, mask, fill_value = state
    check_array(making, obj, shape, dtype, order, content)
    making.spend(
        dtype.itemsize + _FIELD_BYTES * making.size_of(dtype)
    )  # what stands for what is hidden, and a mask's dtype
    check_array(making, obj, shape, np.ma.make_mask_descr(dtype), order, mask)
    if is_array(fill_value):
        is_one = making.is_finished_array(fill_value) and fill_value.size <= 1
    else:
        is_one = type(fill_value) in NUMBERS or is_scalar(fill_value)
    if not is_one:
        raise NotPickledError("has an object stand for what a mask hides")
    vars(np.ma.MaskedArray)["__setstate__"](obj, (1, shape, dtype, bool(order), content, mask, fill_value))


def check_array(making: Making, obj: Any, shape: Any, dtype: Any, order: Any, content: Any) -> None:
    """Nothing, if an array's bytes or items are as many as its shape and dtype say, and fit into it.

    Raises:
        NotPickledError: If not.
    """
    check_shape(making, shape, dtype)
    if type(order) not in {bool, int}:
        raise NotPickledError("has an array of no order")
    count = math.prod(shape)
    if not dtype.hasobject and dtype.kind != "T":
        if type(content) is not bytes or len(content) != count * dtype.itemsize:
            raise NotPickledError("has an array that is not as large as it claims")
        making.spend(len(content))
        return
    if type(content) is not list or len(content) != count:
        raise NotPickledError("has an array with another number of items than it claims")
    making.spend(count * max(dtype.itemsize, 1))
    if dtype.kind != "O" and not all(_fits(making, obj, dtype, each) for each in content):
        raise NotPickledError("puts objects into an array of something else")
    if dtype.kind == "O":
        making.nest(obj, content)


def check_shape(making: Making, shape: Any, dtype: Any) -> None:
    """Nothing, if these are the shape and dtype of an array. No other state may follow for the dtype.

    Raises:
        NotPickledError: If not.
    """
    if not is_dtype(dtype):
        raise NotPickledError("has an array whose dtype is not numpy's own")
    making.seal(dtype)
    if not is_shape(shape):
        raise NotPickledError("has an array of no shape")
    claimed = math.prod(each for each in shape if each)
    if math.prod(shape) * dtype.itemsize == 0 and claimed > _LARGEST_EMPTY:
        raise NotPickledError("has an array without items that is larger than any")


def _fits(making: Making, obj: Any, dtype: Any, item: Any) -> bool:
    """Whether an item goes into an element of a dtype without a method of its own."""
    making.spend(_ITEM_BYTES + (len(item) if type(item) in {bytes, str} else 0))
    if dtype.kind == "O":
        making.nest(obj, [item])
        return True
    if dtype.names is not None:
        return (
            type(item) is tuple
            and len(item) == len(dtype.names)
            and all(
                _fits(making, obj, dtype.fields[name][0], each)
                for name, each in zip(dtype.names, item, strict=True)
            )
        )
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        return _fits_in(making, obj, base, shape, item)
    if dtype.kind == "T":
        return type(item) in {float, str, type(None)}
    return type(item) in NUMBERS | _MOMENTS or is_scalar(item)


def _fits_in(making: Making, obj: Any, base: Any, shape: tuple[int, ...], item: Any) -> bool:
    """Whether an item is an array of this, or lists in each other as deep as the shape is long."""
    making.spend(_ITEM_BYTES)
    if is_array(item):
        return item.dtype == base and item.shape == shape and not making.is_pending(item)
    if not shape:
        return _fits(making, obj, base, item)
    return (
        type(item) in {list, tuple}
        and len(item) == shape[0]
        and all(_fits_in(making, obj, base, shape[1:], each) for each in item)
    )
