"""ONNX models as the protobuf message that they are: what any ONNX runtime reads."""

from typing import Any, Final

from chainfold.serializers.protocol import module_of, require, type_name

_INSTALL: Final = "chainfold[onnx]"


ELSEWHERE: Final = "weights of this model lie in another file"
_ADVICE: Final = "load it with its external data (onnx.load does), and register that"
_EXTERNAL: Final = 1
"""`TensorProto.EXTERNAL`. Source: `onnx.proto`."""


def has_weights_elsewhere(model: Any) -> bool:
    """Whether the message says of tensors in it only in which file they are."""
    graphs = [model.graph]
    while graphs:
        graph = graphs.pop()
        attributes = [each for node in graph.node for each in node.attribute]
        tensors = [*graph.initializer, *(each.t for each in attributes if each.HasField("t"))]
        if any(each.data_location == _EXTERNAL for each in tensors):
            return True
        graphs += [each.g for each in attributes if each.HasField("g")]
        graphs += [graph for each in attributes for graph in each.graphs]
    return False


class OnnxSerializer:
    """`onnx.ModelProto`. Reading it runs nothing and opens no other file.

    Deterministic: maps inside are written in the order of their keys.
    """

    name = "onnx"
    extension = "onnx"
    runs_code = False

    def accepts(self, obj: Any) -> bool:
        """Whether the object is a whole model."""
        cls = type(obj)
        return cls.__name__ == "ModelProto" and module_of(cls).partition(".")[0] == "onnx"

    def dumps(self, obj: Any) -> bytes:
        """The message.

        Raises:
            TypeError: If the object is no model, or has weights elsewhere.
            ValueError: If it has neither a graph nor functions.
            Exception: By protobuf, if the message has 2 GiB or more, or lacks what it must have.
        """
        if not self.accepts(obj):
            raise TypeError(f"onnx holds onnx.ModelProto, not {type_name(obj)}")
        if has_weights_elsewhere(obj):
            raise TypeError(f"{ELSEWHERE}: {_ADVICE}")
        data = bytes(obj.SerializeToString(deterministic=True))
        self.loads(data)
        return data

    def loads(self, data: bytes) -> Any:
        """The model, as it was registered: whether a runtime takes it is for the runtime to say.

        Raises:
            ValueError: If the bytes are no model.
        """
        model = require("onnx", _INSTALL).ModelProto()
        model.ParseFromString(data)
        if not model.HasField("graph") and not model.functions:
            raise ValueError("the bytes hold no graph: they are not a model")
        return model
