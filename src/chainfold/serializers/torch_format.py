"""torch modules as safetensors: the tensors under the names of the state dict, and beside them what rebuilds.

`docs/formats.md`, section "torch", has the layout. What a module is made of beside its tensors (classes,
hyperparameters, which tensors are parameters, what is tied to what) is JSON in the file's metadata.
"""

import functools
from collections import OrderedDict
from types import BuiltinFunctionType, FunctionType
from typing import Any, Final

import msgspec

from chainfold.serializers.protocol import module_of, require, type_name
from chainfold.serializers.state import Reader, Writer, found

_INSTALL: Final = "chainfold[torch]"
_LIBRARY: Final = "torch"
_OWN: Final = "torch.nn.modules."
_FUNCTIONS: Final = "torch.nn.functional"
_HOMES: Final = frozenset({_FUNCTIONS, "torch", "torch._C._nn"})
"""Where the functions are from that `torch.nn.functional` offers; it has imported others for itself."""
_KEY: Final = "chainfold"
"""The one key of the file's metadata: several would come in any order."""
_VERSIONS: Final = "_metadata"
"""The attribute of a state dict that `load_state_dict` looks at."""
_ALONE: Final = "tensor"
"""The name of a tensor that is in nothing."""
_HOLDERS: Final = frozenset({"_parameters", "_buffers", "_modules"})
"""The dicts of a module: they are not in the names of its state dict."""
_SIZE_BYTES: Final = 8


class TorchSerializer:
    """Modules whose classes can be imported, on the CPU, of dense tensors, parametrised by plain data.

    Also tensors and dicts of them, as `state_dict` gives them.

    What `pickle` would keep of a module is kept, and nothing else is accepted: hooks that cannot be imported,
    script modules, parametrisations, tensors that share memory without being one and attributes of other
    classes (a configuration, an optimizer) are refused. The module is made anew from its document, with the
    tensors that are at hand, before it is accepted.

    Deterministic: equal modules give equal bytes, in every process; torch numbers hooks as it meets them.

    Args:
        foreign: Also modules of classes from outside torch. Loading these imports the modules that the file
            names, so it can run code.
    """

    extension = "safetensors"

    def __init__(self, *, foreign: bool) -> None:
        self.name = "torch_module" if foreign else "torch"
        self.runs_code = foreign

    def accepts(self, obj: Any) -> bool:
        """Whether the object is a module, of torch's own class when no others are for this format.

        Or tensors, when no others are.
        """
        cls = type(obj)
        if not any(_is_module(each) for each in cls.__mro__):
            return not self.runs_code and (_is_tensor(obj) or _is_state(obj))
        return self.runs_code or module_of(cls).startswith(_OWN)

    def dumps(self, obj: Any) -> bytes:
        """The module as a safetensors file.

        Raises:
            TypeError: With the reason, when the format would not give it back as it is.
        """
        if not self.accepts(obj):
            raise TypeError(f"{self.name} does not hold {type_name(obj)}")
        torch = require(_LIBRARY, _INSTALL)
        safetensors = require("safetensors.torch", _INSTALL)
        tensors = _Tensors(torch)
        writer = Writer(
            self._is_allowed,
            base=torch.nn.Module,
            special=lambda value, path: self._form(value, path, tensors),
        )
        document = writer.document(_apart(obj))
        if writer.files:
            raise TypeError("arrays of numpy in a module have no form here")
        tensors.check_memory()
        content = {name: tensor.detach() for name, tensor in sorted(tensors.named.items())}
        again = self._read(document, {name: tensor.detach() for name, tensor in content.items()}, torch)
        if type(again) is not type(obj):
            raise TypeError(f"{self.name} does not give this {type_name(obj)} back as it is")
        return bytes(safetensors.save(content, {_KEY: document.decode()}))

    def loads(self, data: bytes) -> Any:
        """The module. Imports the modules that its classes are from, and unpickles nothing.

        Raises:
            ValueError: If it is no such file, or holds classes that are not for this format.
        """
        torch = require(_LIBRARY, _INSTALL)
        safetensors = require("safetensors.torch", _INSTALL)
        contents = safetensors.load(data)  # checks every size against the file's
        size = int.from_bytes(data[:_SIZE_BYTES], "little")
        header = msgspec.json.decode(data[_SIZE_BYTES : _SIZE_BYTES + size])
        return self._read(header["__metadata__"][_KEY].encode(), contents, torch)

    def _read(self, document: bytes, contents: dict[str, Any], torch: Any) -> Any:
        """What a document tells of; its tensors are those given."""
        made: dict[str, Any] = {}

        def special(kind: str, content: Any) -> Any:
            if kind in {"tensor", "parameter"}:
                name, requires_grad = content
                if name not in made:
                    tensor = contents[name]
                    if kind == "parameter":
                        tensor = torch.nn.Parameter(tensor, requires_grad=False)
                    made[name] = tensor.requires_grad_(requires_grad)
                return made[name]
            return self._value(kind, content, torch)

        def check(made: Any, state: dict[str, Any]) -> None:
            if isinstance(made, torch.nn.RNNBase):
                _check_weights(state)

        reader = Reader({}, self._is_allowed, base=torch.nn.Module, special=special, join=check)
        return _together(reader.document(document))

    def _is_allowed(self, name: str) -> bool:
        module = name.partition(":")[0]
        return module.startswith(_OWN) or (self.runs_code and module not in {"__main__", "__mp_main__"})

    def _form(self, value: Any, path: str, tensors: "_Tensors") -> Any:
        torch = tensors.torch
        if isinstance(value, torch.Tensor):
            return tensors.form(value, path)
        if type(value) is torch.dtype:
            return {"dtype": str(value).removeprefix("torch.")}
        if type(value) is torch.Size:
            return {"size": list(value)}
        if type(value) is torch.device:
            return {"device": str(value)}
        name = getattr(value, "__name__", None)
        if callable(value) and type(name) is str:
            module = (
                _FUNCTIONS if found(f"{_FUNCTIONS}:{name}") is value else getattr(value, "__module__", "")
            )
            if self._is_function(f"{module}:{name}") and found(f"{module}:{name}") is value:
                return {"function": f"{module}:{name}"}
        return None

    def _is_function(self, name: str) -> bool:
        module, _, path = name.partition(":")
        if module == _FUNCTIONS and path.isidentifier() and not path.startswith("_"):
            function = found(name)
            if isinstance(function, FunctionType | BuiltinFunctionType) and function.__module__ in _HOMES:
                return True
        return self.runs_code and module not in {"__main__", "__mp_main__"}

    def _value(self, kind: str, content: Any, torch: Any) -> Any:
        if kind == "dtype" and isinstance(getattr(torch, content, None), torch.dtype):
            return getattr(torch, content)
        if kind == "size":
            return torch.Size(content)
        if kind == "device":
            return torch.device(content)
        if kind == "function" and self._is_function(content):
            function = found(content)
            if callable(function):
                return function
        raise ValueError(f"unknown form {kind!r:.100} of {content!r:.100}")


class _Tensors:
    """The tensors of a module by name, each once however often it is referred to."""

    def __init__(self, torch: Any) -> None:
        self.torch = torch
        self.named: dict[str, Any] = {}
        self._names: dict[int, str] = {}

    def form(self, tensor: Any, path: str) -> Any:
        """How the document refers to a tensor.

        Raises:
            TypeError: If it is none that would come back as it is.
        """
        torch = self.torch
        kind = {torch.Tensor: "tensor", torch.nn.Parameter: "parameter"}.get(type(tensor))
        if kind is None or vars(tensor) or not _is_plain(tensor, torch):
            raise TypeError(f"the tensor {path!r} is none that safetensors gives back as it is")
        name = self._names.get(id(tensor))
        if name is None:
            parts = (part for part in path.split(".") if part not in {"", *_HOLDERS})
            name = ".".join(parts) or _ALONE
            if name in self.named or name == "__metadata__":
                raise TypeError(f"two tensors are called {name!r}")
            self._names[id(tensor)] = name
            self.named[name] = tensor
        return {kind: [name, tensor.requires_grad]}

    def check_memory(self) -> None:
        """Nothing, if no two tensors lie in the same memory.

        Raises:
            TypeError: If two do: they would come back apart.
        """
        met: dict[int, str] = {}
        for name, tensor in self.named.items():
            storage = tensor.untyped_storage()
            if storage.nbytes() and met.setdefault(storage.data_ptr(), name) != name:
                raise TypeError(f"the tensors {name!r} and {met[storage.data_ptr()]!r} share memory")


def _check_weights(state: dict[str, Any]) -> None:
    """Nothing, if the weights of a recurrent module are told by their names, as torch has done since 0.4.

    Raises:
        ValueError: If not: torch would make up names for as many layers as the state claims.
    """
    layers = state.get("_all_weights")
    is_named = isinstance(layers, list) and all(
        isinstance(layer, list) and layer and set(map(type, layer)) == {str} for layer in layers
    )
    if not layers or not is_named or "all_weights" in state:
        raise ValueError("the weights of a recurrent module have no names")


def _is_tensor(obj: Any) -> bool:
    cls = type(obj)
    return cls.__name__ in {"Tensor", "Parameter"} and module_of(cls) in {"torch", "torch.nn.parameter"}


def _is_state(obj: Any) -> bool:
    """Whether the object is a dict of tensors, as `state_dict` gives them."""
    return (
        type(obj) in {dict, OrderedDict}
        and bool(obj)
        and all(type(key) is str and _is_tensor(value) for key, value in obj.items())
    )


def _apart(obj: Any) -> Any:
    """A state dict as a tuple of what is in it, and the versions of modules that it has as an attribute."""
    if type(obj) is OrderedDict and vars(obj).keys() == {_VERSIONS}:
        return OrderedDict(obj), vars(obj)[_VERSIONS]
    return obj


def _together(made: Any) -> Any:
    """The inverse of `_apart`."""
    if type(made) is not tuple:
        return made
    state, versions = made
    if type(state) is not OrderedDict:
        raise TypeError("what has versions is no state dict")
    setattr(state, _VERSIONS, versions)
    return state


def _is_module(cls: type) -> bool:
    return cls.__name__ == "Module" and module_of(cls) == "torch.nn.modules.module"


@functools.cache
def _is_held(dtype: Any) -> bool:
    """Whether safetensors gives back tensors of a dtype: which ones depends on its version and torch's."""
    torch = require(_LIBRARY, _INSTALL)
    safetensors = require("safetensors.torch", _INSTALL)
    try:
        again = safetensors.load(safetensors.save({"": torch.zeros(2, dtype=dtype)}))[""]
    except Exception:  # noqa: BLE001 - of any class, by the version
        return False
    return bool(again.dtype == dtype)


def _is_plain(tensor: Any, torch: Any) -> bool:
    """Whether dtype, shape, values and `requires_grad` are all there is to the tensor."""
    return (
        tensor.layout is torch.strided
        and _is_held(tensor.dtype)
        and tensor.device.type == "cpu"
        and tensor.is_leaf
        and tensor.is_contiguous()
        and not (tensor.is_quantized or tensor.is_conj() or tensor.is_neg() or tensor.is_inference())
        and not tensor._backward_hooks  # noqa: SLF001 - there is no public name for them
    )
