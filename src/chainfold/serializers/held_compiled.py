"""How objects of compiled classes are given their states, which they take unseen: so these are looked at."""

import importlib
from typing import Any, Final

from chainfold.serializers.held_making import Making, is_array
from chainfold.serializers.held_states import full_name_of, state_of
from chainfold.serializers.pickle_symbols import NotPickledError

_TREE_FIELDS: Final = ("left_child", "right_child", "feature")


def fill_compiled(making: Making, obj: Any, state: Any) -> None:
    """Of a class of scikit-learn's or numpy's in C: numbers, arrays, and what such classes were made of."""
    parts = _parts(state)
    making.spend(sum(each.nbytes + 8 * sum(each.shape) for each in parts if is_array(each)))
    if not all(making.is_plain(each) or making.is_compiled(each) for each in parts):
        raise state_of(type(obj))
    obj.__setstate__(state)


def fill_metric(making: Making, obj: Any, state: Any) -> None:
    """Of a distance of scikit-learn's, which takes them unseen: its power, a vector, a matrix.

    One that holds a function of a user's is not for here.
    """
    if (
        type(state) is not tuple
        or [type(each) for each in state[:1]] != [float]
        or len(state) != 3  # noqa: PLR2004 - those
        or not all(making.is_finished_array(each) and each.dtype == "f8" for each in state[1:])
        or [each.ndim for each in state[1:]] != [1, 2]
    ):
        raise state_of(type(obj))
    fill_compiled(making, obj, state)


def fill_neighbours(making: Making, obj: Any, state: Any) -> None:
    """Of a tree for nearest neighbours, which takes them unseen: what another one has, of the same kinds."""
    usual = type(obj)([[0.0], [1.0]]).__getstate__()
    if type(state) is not tuple or len(state) != len(usual):
        raise state_of(type(obj))
    for one, other in zip(state, usual, strict=True):
        if is_array(other):
            is_usual = making.is_finished_array(one) and (one.dtype, one.ndim) == (other.dtype, other.ndim)
        elif other is None:  # weights of the samples
            is_usual = one is None or (making.is_finished_array(one) and one.ndim == 1)
        else:
            is_usual = type(one) is type(other) or (
                making.is_compiled(one) and isinstance(one, type(other).__mro__[1])
            )
        if not is_usual:
            raise state_of(type(obj))
    fill_compiled(making, obj, state)


def fill_generator(making: Making, obj: Any, state: Any) -> None:
    """Of numpy's random generators: positions must lie within what they are positions of."""
    if not all(making.is_plain(each) or making.is_compiled(each) for each in _parts(state)):
        raise state_of(type(obj))
    said = state[0] if type(state) is tuple and state else state
    if type(said) is not dict:
        raise state_of(type(obj))
    inner = said.get("state")
    places = [inner.get("pos", 0) if type(inner) is dict else 0, said.get("buffer_pos", 0)]
    for place, most in zip(places, (624, 4), strict=True):
        if type(place) is not int or not 0 <= place <= most:
            raise state_of(type(obj))
    obj.__setstate__(state)


def _parts(state: Any) -> Any:
    return state if type(state) is tuple else (state,)


def fill_tree(making: Making, obj: Any, state: Any) -> None:
    """Of a decision tree: every node leads forward, and by a feature that there is."""
    import numpy as np  # noqa: PLC0415 - there is a tree

    if type(state) is not dict or not making.is_plain(state):
        raise state_of(type(obj))
    nodes: Any = state.get("nodes")
    values: Any = state.get("values")
    if not making.is_finished_array(nodes) or not making.is_finished_array(values):
        raise state_of(type(obj))
    making.spend(nodes.nbytes + values.nbytes)
    count = len(nodes) if nodes.ndim == 1 else 0
    usual: Any = vars(importlib.import_module("sklearn.tree._tree")).get("NODE_DTYPE", nodes.dtype)
    if nodes.dtype.names != usual.names:  # scikit-learn takes others for them, by place
        raise state_of(type(obj))
    if not count or state.get("node_count") != count or not {*_TREE_FIELDS} <= {*(nodes.dtype.names or ())}:
        raise state_of(type(obj))
    left, right, feature = (nodes[name].astype(np.int64) for name in _TREE_FIELDS)
    is_leaf = (left == -1) & (right == -1)
    numbers = np.arange(count)
    goes_on = (numbers < left) & (left < count) & (numbers < right) & (right < count)
    if not (is_leaf | (goes_on & (feature >= 0) & (feature < obj.n_features))).all():
        raise NotPickledError("has a tree whose nodes lead astray", full_name_of(type(obj)))
    obj.__setstate__(state)
