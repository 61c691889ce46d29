"""Keras models as `.keras`: what comes back is what was; lambdas and strangers are refused."""

import warnings
from pathlib import Path
from typing import Any, Final

import keras
import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from tests.formats.laws import came_back, check_processes, check_refused, damaged, strangers

from chainfold import ArtifactRegistry, UntrustedError
from chainfold.errors import SerializationError
from chainfold.serializers import deserialize, runs_code, serialize
from chainfold.serializers.archive import pack, unpack

X: Final = np.linspace(-1, 1, 48, dtype=np.float32).reshape(12, 4)
Y: Final = X.sum(axis=1)


class Unknown(keras.Model):  # type: ignore[misc] # keras has no types
    """A model of a class that Keras does not know."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = keras.layers.Dense(3)

    def call(self, x: Any) -> Any:
        return self.dense(x)


class Wrapped:
    """An estimator of one's own around a model of Keras."""

    def __init__(self, model: Any) -> None:
        self.model_ = model

    def fit(self) -> None:
        pass

    def predict(self, x: Any) -> Any:
        return self.model_.predict(x, verbose=0)


@keras.saving.register_keras_serializable("tests")
class Shifting(keras.layers.Layer):  # type: ignore[misc] # likewise
    """A layer with state that Keras is not told of."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.shift = 0.0

    def call(self, x: Any) -> Any:
        return x + self.shift

    def get_config(self) -> dict[str, Any]:
        return dict(super().get_config())


@keras.saving.register_keras_serializable("tests")
class Drawing(keras.layers.Layer):  # type: ignore[misc] # likewise
    """A layer whose output is another each time."""

    def call(self, x: Any) -> Any:
        return x + keras.random.normal(keras.ops.shape(x))


@keras.saving.register_keras_serializable("tests")
class Counting(keras.layers.Layer):  # type: ignore[misc] # likewise
    """A layer that counts its calls in a weight."""

    def build(self, _: Any) -> None:
        self.count = self.add_weight(initializer="zeros", trainable=False)

    def call(self, x: Any) -> Any:
        self.count.assign(self.count + 1)
        return x + self.count


@keras.saving.register_keras_serializable("tests")
class Doubling(keras.layers.Layer):  # type: ignore[misc] # likewise
    """A layer of one's own that Keras knows."""

    def call(self, x: Any) -> Any:
        return x * 2


def dense(*, trained: bool = False) -> Any:
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(3, "relu"), keras.layers.Dense(1)])
    if trained:
        model.compile("adam", "mse", metrics=["mae"])
        model.fit(X, Y, epochs=2, verbose=0)
    return model


def functional() -> Any:
    keras.utils.set_random_seed(1)
    start = keras.Input((4,))
    shared = keras.layers.Dense(4, name="shared")
    joined = keras.layers.Add()([shared(start), shared(keras.layers.BatchNormalization()(start))])
    return keras.Model(start, [keras.layers.Dense(1)(joined), Doubling()(joined)])


def samples() -> dict[str, Any]:
    return {"dense": dense(), "trained": dense(trained=True), "functional": functional()}


def predicted(model: Any) -> list[bytes]:
    found = model.predict(X, verbose=0)
    return [each.tobytes() for each in (found if isinstance(found, list) else [found])]


def test_what_comes_back_is_what_was() -> None:
    for name, model in samples().items():
        again = came_back(model, "keras")
        assert predicted(again) == predicted(model), name
        assert [each.name for each in again.layers] == [each.name for each in model.layers]


def test_training_goes_on_as_it_would_have() -> None:
    model = dense(trained=True)
    again = came_back(model, "keras")
    for each in (model, again):
        each.fit(X, Y, epochs=2, shuffle=False, verbose=0)
    assert predicted(again) == predicted(model)


def test_other_processes(tmp_path: Path) -> None:
    check_processes("tests.formats.test_keras", tmp_path, equally_made=False)


def test_a_lambda_is_refused() -> None:
    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Lambda(lambda x: x + 1)])
    with pytest.raises(SerializationError):
        serialize(model, "keras")


def test_a_lambda_in_a_file_does_not_run(tmp_path: Path) -> None:
    """Also when somebody else has written it: safe mode is on."""
    path = tmp_path / "lambda.keras"
    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Lambda(lambda x: x + 1)])
    model.save(path)
    with pytest.raises(SerializationError):
        deserialize(path.read_bytes(), "keras")


@pytest.mark.parametrize("hint", [None, "joblib", "pickle", "cloudpickle"])
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_class_that_keras_does_not_know_is_refused(hint: str | None, wrapped: bool) -> None:  # noqa: FBT001 - given
    """Its pickles were acknowledged, and not even the same process could load them."""
    model = Unknown()
    model(X)
    with pytest.raises(SerializationError, match="register_keras_serializable") as caught:
        serialize(Wrapped(model) if wrapped else model, hint)
    assert "can hold it" not in str(caught.value)


def test_a_model_in_an_estimator_of_one_s_own_comes_back() -> None:
    done = serialize(Wrapped(dense(trained=True)))
    assert predicted_by(deserialize(done.data, done.format)) == predicted_by(Wrapped(dense(trained=True)))


def predicted_by(estimator: Any) -> bytes:
    return bytes(estimator.predict(X).tobytes())


def shifted(shift: float, *, functional: bool = False) -> Any:
    layer = Shifting()
    start = keras.Input((4,), name="rows")
    model = keras.Model({"rows": start}, {"out": layer(start)}) if functional else keras.Sequential([layer])
    if not functional:
        model(X)
    layer.shift = shift
    return model


@pytest.mark.parametrize("functional", [False, True])
@pytest.mark.parametrize("hint", [None, "keras", "joblib"])
def test_a_model_that_would_predict_something_else_is_refused(hint: str | None, functional: bool) -> None:  # noqa: FBT001 - given
    """Keras keeps its configuration and weights, and this layer has something besides."""
    assert serialize(shifted(0.0, functional=functional), hint).data
    with pytest.raises(SerializationError, match="predicts something else"):
        serialize(shifted(5.0, functional=functional), hint)


def test_predictions_are_tried_without_a_trace() -> None:
    """Weights that a call changes are as before, and what is drawn anew each time is no difference."""
    model = keras.Sequential([keras.layers.Input((4,)), Counting(), keras.layers.Dropout(0.5), Drawing()])
    before = [each.copy() for each in model.get_weights()]
    assert serialize(model).format == "keras"
    assert [each.tolist() for each in model.get_weights()] == [each.tolist() for each in before]


@pytest.mark.parametrize(
    "inputs",
    [
        [keras.Input((None, 4))],
        [keras.Input((3,), dtype="int32"), keras.Input((2, 2))],
        [keras.Input((2,), batch_size=3, dtype="bool")],
    ],
    ids=lambda inputs: f"{len(inputs)}-{inputs[0].dtype}",
)
def test_inputs_of_all_kinds_are_tried(inputs: list[Any]) -> None:
    """Of each kind a model is tried: one that loses its shift is told."""
    for shift in (0.0, 5.0):
        layer = Shifting()
        flat = [keras.layers.Flatten()(keras.ops.cast(each, "float32")) for each in inputs]
        joined = keras.layers.Concatenate()(flat) if len(flat) > 1 else flat[0]
        model = keras.Model(inputs, layer(joined))
        layer.shift = shift
        if shift:
            with pytest.raises(SerializationError, match="predicts something else"):
                serialize(model)
        else:
            assert serialize(model).format == "keras"


@pytest.mark.parametrize("module", ["os", "subprocess", "builtins"])
def test_a_class_that_is_no_layer_is_refused(module: str) -> None:
    members = unpack(serialize(dense()).data)
    config = msgspec.json.decode(members["config.json"])
    layer = next(each for each in config["config"]["layers"] if each["class_name"] == "Dense")
    layer |= {"module": module, "class_name": "system", "registered_name": None}
    members["config.json"] = msgspec.json.encode(config)
    with pytest.raises(SerializationError, match="could not be deserialized"):
        deserialize(pack(members), "keras")


@settings(deadline=None, max_examples=50)
@given(damaged(serialize(dense()).data))
def test_damage_is_an_error(data: bytes) -> None:
    check_refused(data, "keras")


@pytest.mark.parametrize("data", [*strangers()])
def test_strangers_are_refused(data: bytes) -> None:
    with pytest.raises(SerializationError):
        deserialize(data, "keras")


def test_the_policy_decides(tmp_path: Path) -> None:
    """What this dataset registered is loaded; what others did is not: Keras imports what it names."""
    assert runs_code("keras")
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    with ArtifactRegistry(theirs, "d") as registry:
        one = registry.register(dense(), "p:0", "model")
        two = registry.register(registry.load("p:0"), "p:1", "model")
        assert (one.path, one.format) == (two.path, "keras")
        manifest = registry.export_to_manifest()
    with ArtifactRegistry(ours, "d") as registry:
        registry.import_from_manifest(manifest, theirs)
        with pytest.raises(UntrustedError, match="keras"):
            registry.load("p:0")


def warned(model: Any) -> list[str]:
    with warnings.catch_warnings(record=True) as met:
        warnings.simplefilter("always")
        serialize(model)
    return [str(each.message) for each in met]


def test_what_keras_does_not_keep_is_told() -> None:
    """It predicts the same, and goes on training otherwise."""
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    model.fit(X, Y, verbose=0)
    assert not any("does not keep" in each for each in warned(model))
    model.layers[0].trainable = False
    assert any("does not keep the optimizer's state" in each for each in warned(model))
    model.layers[0].enable_lora(2)
    for factor in model.layers[0].trainable_variables:
        factor.assign(np.ones(factor.shape))
    assert any("does not keep the weights, one by one" in each for each in warned(model))
