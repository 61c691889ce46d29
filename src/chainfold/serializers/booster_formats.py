"""XGBoost, LightGBM and CatBoost: the library's own file of the trees, and what else the object is, as JSON.

`docs/formats.md`, section "Boosters", has the layout: a zip that is not compressed. The trees are in the form
that the library itself documents and reads in later versions; hyperparameters, classes, names of features and
results of evaluations are JSON and npy beside them.
"""

import warnings
from typing import Any, ClassVar, Final

from chainfold.serializers.archive import pack, unpack
from chainfold.serializers.protocol import describe, module_of, require, type_name
from chainfold.serializers.state import Reader, Writer

_OBJECT: Final = "object.json"
_ENCODER: Final = "sklearn.preprocessing._label:LabelEncoder"


class BoosterSerializer:
    """The classes of one library, as they are: what inherits from them elsewhere is not for this format.

    What is written is read back before it is accepted, and must be of the same class and give the same bytes
    again: so registering what was loaded is the same blob. Objects that refer to functions (an objective of
    one's own, callbacks) or to objects of other libraries are refused.

    No code is in such a file. But these libraries trust the files of trees that they read: bytes made to hurt
    (those that chance has changed are told by their checksum) can lead them anywhere in memory. So loading
    counts as running code.
    """

    name: str
    extension: str
    runs_code = True
    _classes: ClassVar[frozenset[str]]
    """The classes, each as `module:Class`, of which objects are stored and made."""
    _parts: ClassVar[frozenset[str]] = frozenset()
    """Further classes that objects of these can hold."""
    _key: ClassVar[str] = ""
    """Where in an object's state its trees are."""
    _ending: ClassVar[str] = ""

    def accepts(self, obj: Any) -> bool:
        """Whether the object is of one of the library's classes itself."""
        return f"{module_of(type(obj))}:{type(obj).__qualname__}" in self._classes

    def dumps(self, obj: Any) -> bytes:
        """The object as a zip.

        Raises:
            TypeError: With the reason, when the format would not give it back as it is.
        """
        if not self.accepts(obj):
            raise TypeError(f"{self.name} holds the classes of that library, not {type_name(obj)}")
        data = self._packed(obj)
        again = self.loads(data)
        if type(again) is not type(obj) or self._packed(again) != data:
            raise TypeError(f"{self.name} does not give this {type_name(obj)} back as it is")
        return data

    def loads(self, data: bytes) -> Any:
        """The object. The library reads its trees; nothing is unpickled.

        Raises:
            ValueError: If it is no such file.
        """
        require(self.name, f"chainfold[{self.name}]")
        files = unpack(data)
        reader = Reader(
            files,
            self._is_allowed,
            special=lambda kind, content: self._made(kind, content, files),
            join=lambda _, state: self._join(state, files),
        )
        return reader.document(files[_OBJECT])

    def _packed(self, obj: Any) -> bytes:
        writer = Writer(
            self._is_allowed,
            special=lambda value, _: self._form(value, writer.files),
            split=lambda state: self._split(state, writer.files),
        )
        document = writer.document(obj)
        return pack({_OBJECT: document, **writer.files})

    def _is_allowed(self, name: str) -> bool:
        return name in self._classes or name in self._parts

    def _form(self, value: Any, files: dict[str, bytes]) -> Any:  # noqa: ARG002 - see XGBoostSerializer
        """The form of a value whose trees are not in its state, or None."""
        return None

    def _made(self, kind: str, content: Any, files: dict[str, bytes]) -> Any:  # noqa: ARG002 - likewise
        """The value of a form of `_form`."""
        raise ValueError(f"unknown form {kind!r:.100}")

    def _split(self, state: Any, files: dict[str, bytes]) -> Any:
        """A state without its trees: these go to a file, whose name takes their place."""
        if self._key not in state:
            return state
        name = f"model-{_count(files)}.{self._ending}"
        files[name] = self._stored(state[self._key])
        return {**state, self._key: name}

    def _join(self, state: dict[str, Any], files: dict[str, bytes]) -> None:
        """Put the trees back into a state."""
        if self._key in state:
            state[self._key] = self._loaded(files[state[self._key]])

    def _stored(self, trees: Any) -> bytes:
        return bytes(trees)

    def _loaded(self, trees: bytes) -> Any:
        return trees


class XGBoostSerializer(BoosterSerializer):
    """`Booster` and the estimators of XGBoost; the trees as UBJSON, and how they were trained."""

    name = "xgboost"
    extension = "xgboost.zip"
    _booster: ClassVar[str] = "xgboost.core:Booster"
    _classes = frozenset(
        {
            _booster,
            "xgboost.sklearn:XGBModel",
            "xgboost.sklearn:XGBClassifier",
            "xgboost.sklearn:XGBRegressor",
            "xgboost.sklearn:XGBRanker",
            "xgboost.sklearn:XGBRFClassifier",
            "xgboost.sklearn:XGBRFRegressor",
        }
    )

    def _form(self, value: Any, files: dict[str, bytes]) -> Any:
        if f"{module_of(type(value))}:{type(value).__qualname__}" != self._booster:
            return None
        if vars(value).keys() != {"handle"}:
            raise TypeError("a Booster with attributes of one's own has no form here")
        number = _count(files)
        files[f"model-{number}.ubj"] = bytes(value.save_raw("ubj"))
        files[f"config-{number}.json"] = value.save_config().encode()
        return {"booster": number}

    def _made(self, kind: str, content: Any, files: dict[str, bytes]) -> Any:
        if kind != "booster":
            return super()._made(kind, content, files)
        xgboost = require("xgboost", "chainfold[xgboost]")
        booster = xgboost.Booster()
        booster.load_model(bytearray(files[f"model-{content}.ubj"]))
        try:
            booster.load_config(files[f"config-{content}.json"].decode())
        except xgboost.core.XGBoostError as error:  # it is not promised between versions; the trees are
            warnings.warn(
                f"the model predicts, but training cannot go on as it was configured: {describe(error)}",
                RuntimeWarning,
                stacklevel=2,
            )
        return booster


class LightGBMSerializer(BoosterSerializer):
    """`Booster` and the estimators of LightGBM; the trees as its text, all iterations."""

    name = "lightgbm"
    extension = "lightgbm.zip"
    _booster: ClassVar[str] = "lightgbm.basic:Booster"
    _classes = frozenset(
        {
            _booster,
            *(
                f"lightgbm.sklearn:{name}"
                for name in ("LGBMModel", "LGBMClassifier", "LGBMRegressor", "LGBMRanker")
            ),
        }
    )
    _parts = frozenset({_ENCODER, "lightgbm.sklearn:_LGBMLabelEncoder"})

    _key, _ending = "_handle", "txt"

    def _stored(self, trees: Any) -> bytes:
        return bytes(trees.encode())

    def _loaded(self, trees: bytes) -> Any:
        return trees.decode()


DICTIONARY: Final = b"MMapDictionary"
"""What a model of CatBoost's has if it has features of texts."""


class CatBoostSerializer(BoosterSerializer):
    """The estimators of CatBoost; the trees in its binary form.

    Predictions for evaluation sets are left out: CatBoost reads none back, from its own pickles neither. So
    are the id and the time that it gives each model: those trained alike are one file.
    """

    name = "catboost"
    extension = "catboost.zip"
    _classes = frozenset(
        f"catboost.core:{name}"
        for name in ("CatBoost", "CatBoostClassifier", "CatBoostRegressor", "CatBoostRanker")
    )

    _key, _ending = "__model", "cbm"
    _differing: ClassVar[frozenset[str]] = frozenset({"model_guid", "train_finish_time"})
    """What the trees' metadata say that no two trainings have in common."""

    def _split(self, state: Any, files: dict[str, bytes]) -> Any:
        if "_test_evals" in state:
            state = {**state, "_test_evals": [[]]}
        return super()._split(state, files)

    def dumps(self, obj: Any) -> bytes:
        """The object as a zip.

        Raises:
            TypeError: With the reason, when the format would not give it back as it is.
        """
        if DICTIONARY in bytes(obj.__getstate__().get("__model", b"")):
            raise TypeError(
                "CatBoost writes a model with features of texts once, and wrongly once it was read"
            )
        return super().dumps(obj)

    def _stored(self, trees: Any) -> bytes:
        """The bytes as CatBoost writes them once it has read them: its map of metadata then has one order."""
        again = require("catboost", "chainfold[catboost]").CatBoost()
        again.load_model(blob=bytes(trees))
        metadata = again.get_metadata()
        for key in self._differing & set(metadata):
            del metadata[key]
        return bytes(again.__getstate__()["__model"])


def _count(files: dict[str, bytes]) -> int:
    """How many files of trees there are."""
    return sum(name.startswith("model-") for name in files)
