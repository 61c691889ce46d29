"""scikit-learn estimators as skops writes them, without what changes from one writing to the next.

skops names arrays by their address in memory, refers to what is shared by it, and dates each member. Here
each is numbered in order, what cannot be changed (texts, numbers, classes) is never told to be shared, sets
are sorted, and the members are stored by `archive`. `skops.io.load` reads the file.
"""

import io
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from chainfold.serializers.archive import pack, unpack
from chainfold.serializers.numpy_format import NumpySerializer
from chainfold.serializers.protocol import require, type_name

_INSTALL: Final = "chainfold[skops]"
_SCHEMA: Final = "schema.json"
_UNCHANGING: Final = frozenset({"JsonNode", "TypeNode", "FunctionNode", "MethodNode"})
_TRUSTED: Final = tuple(
    f"{module}.{name}"
    for module, names in {
        "numpy": "dtype",
        "sklearn._loss._loss": (
            "CyAbsoluteError CyExponentialLoss CyHalfBinomialLoss CyHalfGammaLoss CyHalfMultinomialLoss "
            "CyHalfPoissonLoss CyHalfSquaredError CyHalfTweedieLoss CyHalfTweedieLossIdentity CyHuberLoss "
            "CyPinballLoss"
        ),
        "sklearn._loss.link": "HalfLogitLink IdentityLink Interval LogLink LogitLink MultinomialLogit",
        "sklearn._loss.loss": (
            "AbsoluteError ExponentialLoss HalfBinomialLoss HalfGammaLoss HalfMultinomialLoss "
            "HalfPoissonLoss HalfSquaredError HalfTweedieLoss HalfTweedieLossIdentity HuberLoss PinballLoss"
        ),
        "sklearn.calibration": "_CalibratedClassifier _SigmoidCalibration",
        "sklearn.feature_selection._univariate_selection": (
            "chi2 f_classif f_oneway f_regression r_regression"
        ),
        "sklearn.gaussian_process._gpc": "_BinaryGaussianProcessClassifierLaplace",
        "sklearn.gaussian_process.kernels": (
            "CompoundKernel ConstantKernel DotProduct ExpSineSquared Exponentiation Matern PairwiseKernel "
            "Product RBF RationalQuadratic Sum WhiteKernel"
        ),
        "sklearn.neural_network._stochastic_optimizers": "AdamOptimizer SGDOptimizer",
        "sklearn.tree._tree": "Tree",
    }.items()
    for name in names.split()
)
"""What skops leaves to the user to trust, and is trusted here: parts that hold numbers and run nothing."""
_COPIES: Final = 2
_COPIED_BYTES: Final = 4 << 20
"""What is copied when it is made may come to so many times the file, and so many bytes more."""
_NPY: Final = NumpySerializer()
_NPY_MAGIC: Final = b"\x93NUMPY"
_ZIP_MAGIC: Final = (b"PK\x03\x04", b"PK\x05\x06")
"""How numpy and scipy tell a zip from other files: they go by no name."""


class SkopsSerializer:
    """Only when asked for (`format_hint="skops"`): the types that skops trusts, and those of `_TRUSTED`.

    skops does not trust trees, as their nodes can lead anywhere in memory: here they are followed before they
    are made. Structures that cannot be followed (nearest neighbours, histogram boosting) are refused.

    Deterministic: equal estimators, whose parts are shared alike, give equal bytes.
    """

    name = "skops"
    extension = "skops"
    runs_code = False

    def accepts(self, obj: Any) -> bool:  # noqa: ARG002 - it is never the default
        """Never: joblib is the default for scikit-learn."""
        return False

    def dumps(self, obj: Any) -> bytes:
        """The object as a skops file.

        Raises:
            TypeError: If it holds types that reading would refuse; they are named. Or if reading would not
                give the same back.
        """
        skops = require("skops.io", _INSTALL)
        data = _settled(skops.dumps(obj))
        untrusted = sorted(set(skops.get_untrusted_types(data=data)) - set(_TRUSTED))
        if untrusted:
            raise TypeError(f"skops does not trust {', '.join(untrusted)}: such objects could run code")
        again = self.loads(data)
        if type(again) is not type(obj) or _settled(skops.dumps(again)) != data:
            raise TypeError(f"skops does not give this {type_name(obj)} back as it is")
        return data

    def loads(self, data: bytes) -> Any:
        """The object, if it is made of trusted types only: then nothing that the bytes say is run.

        Raises:
            ValueError: If it is no such file, or holds a tree whose nodes lead astray.
            Exception: By skops, naming the types that are not trusted.
        """
        skops = require("skops.io", _INSTALL)
        members = unpack(data)
        _check_members(members)
        met: dict[Any, dict[str, Any]] = {}
        copied = 0
        for node in _nodes(msgspec.json.decode(members[_SCHEMA])):
            if "__id__" in node and met.setdefault(node["__id__"], node) != node:
                raise ValueError("one number is given to two objects")  # skops would take the first for both
            if node["__loader__"] == "NdArrayNode" and node["type"] == "numpy":
                _NPY.loads(members[node["file"]])  # numpy would take a zip of arrays for one
            if node["__loader__"] == "TreeNode" or node.get("__class__") == "Tree":
                _check_tree(node, members)
            if node.get("__class__") == "IsotonicRegression":
                copied += _copied(node, members)
        if copied > _COPIES * len(data) + _COPIED_BYTES:
            raise ValueError("it asks for more memory than its bytes could fill")
        return skops.loads(data, trusted=list(_TRUSTED))


def _settled(data: bytes) -> bytes:
    """A skops file with numbers in place of addresses."""
    members = _members(data)
    schema = _same(msgspec.json.decode(members.pop(_SCHEMA)), {})
    _sort_sets(schema)
    numbers: dict[int, int] = {}
    names: dict[str, str] = {}
    done: set[int] = set()
    for node in _nodes(schema):
        if id(node) in done:
            continue
        done.add(id(node))
        if node.get("__loader__") in _UNCHANGING:
            node.pop("__id__", None)
        if "__id__" in node:
            node["__id__"] = numbers.setdefault(node["__id__"], len(numbers) + 1)
        if node.get("file") in members:
            _, dot, ending = node["file"].rpartition(".")
            node["file"] = names.setdefault(node["file"], f"{len(names) + 1}{dot}{ending}")
    files = {name: _plain(name, members[theirs]) for theirs, name in names.items()}
    return pack({_SCHEMA: msgspec.json.encode(schema)} | files)


def _members(data: bytes) -> dict[str, bytes]:
    """What is in a zip that skops or scipy has just written."""
    import zipfile  # noqa: PLC0415 - rarely needed

    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _plain(name: str, data: bytes) -> bytes:
    """A member without what changes: arrays' gaps, and the dates of sparse matrices."""
    if name.endswith(".npz"):
        return pack(_members(data))
    return _without_gaps(data) if name.endswith(".npy") else data


def _without_gaps(data: bytes) -> bytes:
    """An npy file with zeros where the fields of its dtype leave room: what lies there is anything."""
    array = _NPY.loads(data)
    if array.dtype.names is None:
        return data
    clean = require("numpy", "numpy").zeros(array.shape, array.dtype)
    for name in array.dtype.names:
        clean[name] = array[name]
    return _NPY.dumps(clean)


def _check_members(members: dict[str, bytes]) -> None:
    """Nothing, if every array is of plain values and as large as its header says, in whatever file it is.

    Raises:
        ValueError: If one is not.
    """
    for name, data in members.items():
        if name == _SCHEMA:
            continue
        for each in unpack(data).values() if data.startswith(_ZIP_MAGIC) else [data]:
            if each.startswith(_NPY_MAGIC):
                _NPY.loads(each)


def _check_tree(node: dict[str, Any], members: dict[str, bytes]) -> None:
    """Nothing, if every path from the root of a tree goes forward to a leaf, by features that there are.

    Raises:
        ValueError: If one does not.
    """
    state, arguments = node["content"], node["__reduce__"]["args"]
    file, count = state["content"]["nodes"], arguments["content"][0]
    loaders = [each["__loader__"] for each in (node, state, arguments, file, count)]
    if loaders != ["TreeNode", "DictNode", "TupleNode", "NdArrayNode", "JsonNode"] or file["type"] != "numpy":
        raise ValueError("a tree that is not made as trees are")
    nodes = _NPY.loads(members[file["file"]])
    usual = require("sklearn.tree._tree", "scikit-learn").NODE_DTYPE
    if nodes.dtype.names != usual.names:  # scikit-learn takes others for them, by place
        raise ValueError("a tree whose nodes have other fields than trees have")
    features = int(count["content"])
    numbers = range(len(nodes))
    for number, left, right, feature in zip(
        numbers, *(nodes[name].tolist() for name in ("left_child", "right_child", "feature")), strict=True
    ):
        is_leaf = left == right == -1
        if not is_leaf and not (
            number < left < len(nodes) and number < right < len(nodes) and 0 <= feature < features
        ):
            raise ValueError(f"node {number} of a tree leads astray")


def _copied(node: dict[str, Any], members: dict[str, bytes]) -> int:
    """Bytes that an isotonic regression copies when it is made: it makes a function of its thresholds.

    Raises:
        ValueError: If its state brings a function of its own for that, or other thresholds than arrays.
    """
    state = node["content"]["content"]
    thresholds = [state[name] for name in ("X_thresholds_", "y_thresholds_") if name in state]
    if "_build_f" in state or any(each["__loader__"] != "NdArrayNode" for each in thresholds):
        raise ValueError("an isotonic regression that is not made as such are")
    return sum(len(members[each["file"]]) for each in thresholds)


def _same(form: Any, met: dict[int, Any]) -> Any:
    """A schema in which an object that is told again is told as the first time, which is what skops reads."""
    if isinstance(form, list):
        form[:] = [_same(each, met) for each in form]
    elif isinstance(form, dict):
        if "__loader__" in form and form.get("__id__") in met:
            return met[form["__id__"]]
        if "__loader__" in form and "__id__" in form:
            met[form["__id__"]] = form
        for key, each in form.items():
            form[key] = _same(each, met)
    return form


def _nodes(form: Any) -> Iterator[dict[str, Any]]:
    """Every node of a schema, each before what is in it, in the order of the file."""
    waiting = [form]
    while waiting:
        form = waiting.pop()
        if isinstance(form, dict):
            if "__loader__" in form:
                yield form
            waiting += reversed(list(form.values()))
        elif isinstance(form, list):
            waiting += reversed(form)


def _sort_sets(schema: Any) -> None:
    """Sets of plain values come in the order of their values: their own changes from process to process."""
    for node in _nodes(schema):
        if node["__loader__"] == "SetNode" and all(
            each.get("__loader__") in _UNCHANGING for each in node["content"]
        ):
            node["content"].sort(key=lambda each: str(each.get("content")))
