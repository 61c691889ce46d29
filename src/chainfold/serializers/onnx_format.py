"""ONNX models as the protobuf message that they are: what any ONNX runtime reads."""

from typing import Any, Final

from chainfold.serializers.protocol import module_of, require, type_name

_INSTALL: Final = "chainfold[onnx]"


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
            TypeError: If the object is no model.
            Exception: By protobuf, if the message has 2 GiB or more, or lacks what it must have.
        """
        if not self.accepts(obj):
            raise TypeError(f"onnx holds onnx.ModelProto, not {type_name(obj)}")
        return bytes(obj.SerializeToString(deterministic=True))

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
