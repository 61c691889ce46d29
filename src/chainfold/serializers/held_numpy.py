"""What numpy's and scikit-learn's compiled classes are made by in pickles, and with what."""

import math
from typing import Any, Final

from chainfold.serializers.held_calls import Rule, are, imported, unusual
from chainfold.serializers.held_compiled import (
    fill_compiled,
    fill_generator,
    fill_metric,
    fill_neighbours,
    fill_tree,
)
from chainfold.serializers.held_making import Making, is_dtype
from chainfold.serializers.held_states import check_shape, fill_array, fill_dtype, fill_masked
from chainfold.serializers.pickle_dtypes import DTYPES, RECORDS, STRING_DTYPES, base_of
from chainfold.serializers.pickle_symbols import NotPickledError

_CORES: Final = ("core", "_core")
_RANDOM: Final = "numpy.random._pickle."
_GENERATORS: Final = ("MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64")
_GENERATOR_BYTES: Final = 4 << 10
_COMPILED_BYTES: Final = 1 << 10
_TREE_BYTES: Final = 1 << 10
_SEEDS: Final = "numpy.random.bit_generator."
_BYTE: Final = (b"b", "b")
_TREE: Final = "sklearn.tree._tree.Tree"
_LOSSES: Final = ("sklearn._loss._loss.", "sklearn.linear_model._sgd_fast.")
_AGAIN: Final = "__pyx_unpickle_"
"""How functions begin that Cython makes objects of a class again by."""
_METRICS: Final = "sklearn.metrics._dist_metrics"
_NEW: Final = tuple(
    f"{module}.newObj"
    for module in (
        _METRICS,
        "sklearn.neighbors._ball_tree",
        "sklearn.neighbors._kd_tree",
    )
)


def _numpy() -> Any:
    import numpy as np  # noqa: PLC0415 - asked for by a pickle

    return np


def _dtype(making: Making, args: tuple[Any, ...]) -> Any:
    """Always a copy, that a state can be given to."""
    if not args or any(type(each) not in {bool, int} for each in args[1:]):
        raise unusual("a dtype")
    np = _numpy()
    if type(args[0]) is str:
        made = np.dtype(base_of(args[0]), copy=True)
    elif making.name_of(args[0]) in RECORDS:
        made = np.dtype(np.record, copy=True)
    else:
        raise unusual("a dtype")
    return making.await_state(made, fill_dtype)


def _string_dtype(_: Making, args: tuple[Any, ...]) -> Any:
    missing = args[1] if args[1:] else None
    if (
        not 1 <= len(args) <= 2  # noqa: PLR2004 - whether it coerces, what is missing
        or type(args[0]) not in {bool, int}
        or type(missing) not in {float, str, type(None)}
    ):
        raise unusual("a dtype of texts")
    np = _numpy()
    return np.dtypes.StringDType(coerce=bool(args[0]), **({"na_object": args[1]} if args[1:] else {}))


def _is_of_no_items(args: tuple[Any, ...], length: int) -> bool:
    """Whether the last of arguments are the shape and type that pickling writes, whatever an array has."""
    if len(args) != length:
        return False
    shape, kind = args[-2:]
    return (
        are((shape,), tuple)
        and are(shape, int)
        and shape == (0,)
        and type(kind) in {bytes, str}
        and kind in _BYTE
    )


def _array(making: Making, args: tuple[Any, ...]) -> Any:
    """An array of no items, as pickling writes it: shape and type are in its state."""
    np = _numpy()
    kinds = (np.ndarray, np.matrix, np.recarray)
    if not _is_of_no_items(args, 3):
        raise unusual("an array")
    kind = next((each for each in kinds if each is args[0]), None)
    if kind is None:
        if (
            isinstance(args[0], type)
            and issubclass(args[0], np.ndarray)
            and making.name_of(args[0]) in making.free
        ):
            return making.let(np.ndarray.__new__(args[0], (0,), "b"))
        raise NotPickledError("makes an array of another class than numpy's", making.name_of(args[0]))
    return making.await_state(np.ndarray.__new__(kind, (0,), "b"), fill_array)


def _masked(making: Making, args: tuple[Any, ...]) -> Any:
    np = _numpy()
    if not _is_of_no_items(args, 4) or args[0] is not np.ma.MaskedArray or args[1] is not np.ndarray:
        raise unusual("a masked array")
    making.spend(_COMPILED_BYTES)
    hidden = np.zeros((0,), "?")
    made = np.ma.MaskedArray.__new__(np.ma.MaskedArray, np.zeros((0,), "b"), mask=hidden, dtype="b")
    return making.await_state(made, fill_masked)


def _scalar(making: Making, args: tuple[Any, ...]) -> Any:
    """Of a dtype and bytes: of objects numpy has given back the very object."""
    np = _numpy()
    if len(args) != 2 or not is_dtype(args[0]) or type(args[1]) is not bytes:  # noqa: PLR2004 - those two
        raise unusual("a scalar")
    dtype, content = args
    making.seal(dtype)
    if dtype.hasobject or dtype.kind == "T" or len(content) != dtype.itemsize:
        raise unusual("a scalar")
    making.spend(len(content))
    multiarray = getattr(np, "_core", None) or np.core
    return multiarray.multiarray.scalar(dtype, content)


def _buffer(making: Making, args: tuple[Any, ...]) -> Any:
    """An array on bytes that lie in the pickle."""
    np = _numpy()
    if not 4 <= len(args) <= 5 or type(args[0]) not in {bytes, bytearray}:  # noqa: PLR2004 - those and an order of axes
        raise unusual("an array")
    content, dtype, shape, order = args[:4]
    check_shape(making, shape, dtype)
    is_large = len(content) == math.prod(shape) * dtype.itemsize
    if dtype.hasobject or dtype.kind == "T" or not is_large or type(order) is not str:
        raise unusual("an array")
    if not content:
        return np.zeros(shape, dtype)
    flat = np.frombuffer(content, dtype=dtype)
    if args[4:] and args[4] is not None:
        if type(args[4]) is not tuple or any(type(each) is not int for each in args[4]):
            raise unusual("an array")
        return flat.reshape(shape, order="C").transpose(args[4])
    return flat.reshape(shape, order=order)


def _bit_generator(making: Making, args: tuple[Any, ...]) -> Any:
    """By its class, or its name, as numpy before 1.25 has it."""
    np = _numpy()
    said = args[0] if len(args) == 1 else np.random.MT19937
    known = {name: getattr(np.random, name) for name in _GENERATORS}
    kind = (
        known.get(said)
        if type(said) is str
        else next((each for each in known.values() if each is said), None)
    )
    if kind is None or len(args) > 1:
        raise unusual("a bit generator")
    making.spend(_GENERATOR_BYTES)
    made = kind(0)  # any seed: its state follows
    return making.await_state(making.compile(made), fill_generator)


def _of_bit_generator(kind: str) -> Rule:
    """What makes a generator of numbers of a bit generator, or of the name of one."""

    def rule(making: Making, args: tuple[Any, ...]) -> Any:
        np = _numpy()
        maker = f"{_RANDOM}__bit_generator_ctor"
        if len(args) > 2 or any(making.name_of(each) != maker for each in args[1:]):  # noqa: PLR2004 - it, and its maker
            raise unusual("a random generator")
        bits = args[0] if args else "MT19937"
        if type(bits) is str:
            bits = _bit_generator(making, (bits,))
        elif not any(type(bits) is getattr(np.random, name) for name in _GENERATORS):
            raise unusual("a random generator")
        made = getattr(np.random, kind)(bits)
        return making.await_state(made, fill_generator)

    return rule


def _tree(making: Making, args: tuple[Any, ...]) -> Any:
    """Of how many features, an array of how many classes each output has, and how many outputs that are."""
    if len(args) != 3 or not are(args[::2], int, int) or not making.is_finished_array(args[1]):  # noqa: PLR2004 - those
        raise unusual("a tree")
    features, classes, outputs = args
    if classes.shape != (outputs,) or outputs < 1 or features < 0 or not (classes > 0).all():
        raise unusual("a tree")
    making.spend(_TREE_BYTES + classes.nbytes)
    made = imported("sklearn.tree._tree", "Tree")(features, classes, outputs)
    return making.await_state(making.compile(made), fill_tree)


def _new(name: str) -> Rule:
    """What makes an object of a compiled class of its own module."""
    module = name.rpartition(".")[0]

    def rule(making: Making, args: tuple[Any, ...]) -> Any:
        if len(args) != 1 or making.name_of(args[0]).rpartition(".")[0] != module:
            raise unusual(f"an object by {name}")
        making.spend(_COMPILED_BYTES)
        fill = fill_metric if module == _METRICS else fill_neighbours
        return making.await_state(making.compile(imported(module, "newObj")(*args)), fill)

    return rule


def _is_made_again(name: str, making: Making, args: tuple[Any, ...]) -> bool:
    """Whether a function of Cython's is given its class, a checksum, and a state of plain values."""
    module, _, function = name.rpartition(".")
    if not are(args[1:], int, tuple) and not are(args[1:], int, type(None)):
        return False
    is_its_own = making.name_of(args[0]) == f"{module}.{function.removeprefix(_AGAIN)}"
    return is_its_own and (args[2] is None or making.is_plain(args[2]))


def compiled_rule(name: str) -> Rule | None:
    """What makes the objects of a compiled class, if a function or class does that in pickles; else None."""
    module, _, last = name.rpartition(".")
    if not (name.startswith(_LOSSES) or (name.startswith(_SEEDS) and last.startswith(_AGAIN))):
        return None

    def rule(making: Making, args: tuple[Any, ...]) -> Any:
        if last.startswith(_AGAIN):
            is_usual = _is_made_again(name, making, args)
        else:
            is_usual = all(type(each) in {bool, int, float} for each in args)
        if not is_usual:
            raise unusual(f"an object by {name}")
        return making.await_state(making.compile(imported(module, last)(*args)), fill_compiled)

    return rule


NUMPY: Final[dict[str, Rule]] = {
    **dict.fromkeys(DTYPES, _dtype),
    **dict.fromkeys(STRING_DTYPES, _string_dtype),
    **{f"numpy.{core}.multiarray._reconstruct": _array for core in _CORES},
    **{f"numpy.{core}.multiarray.scalar": _scalar for core in _CORES},
    **{f"numpy.{core}.numeric._frombuffer": _buffer for core in _CORES},
    "numpy.ma.core._mareconstruct": _masked,
    f"{_RANDOM}__bit_generator_ctor": _bit_generator,
    f"{_RANDOM}__generator_ctor": _of_bit_generator("Generator"),
    f"{_RANDOM}__randomstate_ctor": _of_bit_generator("RandomState"),
    _TREE: _tree,
    **{name: _new(name) for name in _NEW},
}
"""Of numpy and scikit-learn, by name."""
