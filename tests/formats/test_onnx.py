"""ONNX models come back as the message that they were, and a runtime predicts the same with it."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from onnx import TensorProto, helper, numpy_helper
from tests.formats.laws import came_back, check_processes, check_refused, damaged, strangers

from chainfold.errors import SerializationError
from chainfold.serializers import deserialize, runs_code, serialize


def linear(weights: Any, **metadata: str) -> Any:
    """A model that multiplies by a matrix."""
    name = {"f4": TensorProto.FLOAT, "f8": TensorProto.DOUBLE}[weights.dtype.str[1:]]
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "linear",
        [helper.make_tensor_value_info("x", name, [None, weights.shape[0]])],
        [helper.make_tensor_value_info("y", name, [None, weights.shape[1]])],
        [numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, metadata)
    return model


def samples() -> dict[str, Any]:
    return {
        "linear": linear(np.array([[1.5], [-2.0]], dtype="f4")),
        "described": linear(np.ones((2, 2)), author="ann", task="protein"),
    }


def predicted(model: Any, x: Any) -> Any:
    (y,) = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x})
    return y


@given(
    st.sampled_from(["f4", "f8"]).flatmap(
        lambda dtype: arrays(
            dtype, array_shapes(min_dims=2, max_dims=2, max_side=5), elements=st.floats(-9, 9, width=32)
        )
    ),
    st.dictionaries(st.text(min_size=1, max_size=5), st.text(max_size=5), max_size=3),
)
def test_models_come_back_as_they_were(weights: Any, metadata: dict[str, str]) -> None:
    """Of any shape, dtype and description: the message is equal, and so are predictions."""
    model = linear(weights, **metadata)
    again = came_back(model, "onnx")
    assert again == model
    x = np.ones((3, weights.shape[0]), dtype=weights.dtype)
    assert predicted(again, x).tobytes() == predicted(model, x).tobytes()


def test_other_processes(tmp_path: Path) -> None:
    check_processes("tests.formats.test_onnx", tmp_path)


def test_onnx_reads_the_file() -> None:
    model = samples()["linear"]
    done = serialize(model)
    assert (done.format, done.extension, done.class_name) == ("onnx", "onnx", "ModelProto")
    onnx.checker.check_model(onnx.load_model_from_string(done.data))
    assert not runs_code("onnx")
    assert serialize(model.graph).format == "pickle"
    with pytest.raises(SerializationError, match=r"onnx holds onnx\.ModelProto"):
        serialize(model.graph, "onnx")


def test_files_beside_the_model_are_not_read(tmp_path: Path) -> None:
    model = samples()["linear"]
    tensor = model.graph.initializer[0]
    tensor.data_location = TensorProto.EXTERNAL
    tensor.ClearField("raw_data")
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", str(tmp_path / "secret")
    (tmp_path / "secret").write_bytes(bytes(8))
    again = deserialize(model.SerializeToString(), "onnx")
    assert again.graph.initializer[0].raw_data == b""


@given(st.sampled_from(sorted(samples())), st.data())
def test_damage(name: str, data: st.DataObject) -> None:
    check_refused(data.draw(damaged(serialize(samples()[name]).data)), "onnx")


@pytest.mark.parametrize("data", list(strangers()))
def test_strangers(data: bytes) -> None:
    with pytest.raises(SerializationError, match="onnx"):
        deserialize(data, "onnx")


def test_weights_in_another_file_are_missed(tmp_path: Path) -> None:
    """The message alone would be registered, and the model gone with the file."""
    model = linear(np.ones((400, 20), dtype="f4"))
    path = tmp_path / "model.onnx"
    onnx.save(model, path, save_as_external_data=True, size_threshold=0, location="weights.bin")
    for hint in (None, "onnx", "pickle"):
        with pytest.raises(SerializationError, match="weights of this model lie in another file"):
            serialize(onnx.load(path, load_external_data=False), hint)
    assert serialize(onnx.load(path)).format == "onnx"


def test_a_message_without_a_graph_is_no_model() -> None:
    assert serialize(onnx.ModelProto()).format == "pickle"
    with pytest.raises(SerializationError, match="no graph"):
        serialize(onnx.ModelProto(), "onnx")
