"""torch modules as safetensors: what comes back is what was, and nothing of a file runs that must not."""

import os
import struct
import uuid
from collections import OrderedDict
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.formats.laws import came_back, check_processes, check_refused, damaged, strangers
from torch import nn

from chainfold import ArtifactRegistry, UntrustedError
from chainfold.errors import SerializationError
from chainfold.serializers import deserialize, runs_code, serialize

X: Final = torch.linspace(-1, 1, 24).reshape(6, 4)


class Own(nn.Module):  # type: ignore[misc] # torch is not installed where types are checked
    """A module of a class from outside torch."""

    def __init__(self, width: int = 3) -> None:
        super().__init__()
        self.width = width
        self.first = nn.Linear(4, width)
        self.register_buffer("seen", torch.tensor([1, 2, 3]))

    def forward(self, x: Any) -> Any:
        return torch.relu(self.first(x)).sum(dim=1) * self.width


class Tied(nn.Module):  # type: ignore[misc] # likewise
    """One parameter under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Linear(4, 4)
        self.two = nn.Linear(4, 4)
        self.two.weight = self.one.weight

    def forward(self, x: Any) -> Any:
        return self.two(self.one(x))


def samples() -> dict[str, Any]:
    torch.manual_seed(0)
    frozen = nn.Linear(4, 2)
    frozen.weight.requires_grad_(False)
    return {
        "linear": nn.Linear(4, 2),
        "frozen": frozen,
        "layers": nn.Sequential(
            nn.Linear(4, 8), nn.ReLU(), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 1)
        ).eval(),
        "half": nn.Linear(4, 2).to(torch.bfloat16),
        "attention": nn.TransformerEncoderLayer(4, 2, 8, batch_first=True).eval(),
        "recurrent": nn.LSTM(4, 3, num_layers=2),
        "pictures": nn.Sequential(nn.Unflatten(1, (1, 2, 2)), nn.Conv2d(1, 2, 2), nn.Flatten()),
        "own": Own(5),
        "tied": Tied(),
    }


def first(found: Any) -> Any:
    return found[0] if isinstance(found, tuple) else found


def test_what_comes_back_is_what_was() -> None:
    for name, module in samples().items():
        again = came_back(module, "torch_module" if name in {"own", "tied"} else "torch")
        x = X.to(next(module.parameters()).dtype)
        assert torch.equal(first(again(x)), first(module(x))), name
        assert again.training == module.training
        assert str(again) == str(module)
        ours, theirs = dict(module.named_parameters()), dict(again.named_parameters())
        assert list(ours) == list(theirs)
        assert all(ours[key].requires_grad == theirs[key].requires_grad for key in ours)
        state = module.state_dict()
        assert list(state) == list(again.state_dict())
        assert all(torch.equal(state[key], tensor) for key, tensor in again.state_dict().items())


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=4),
    st.sampled_from([nn.ReLU, nn.Tanh, nn.GELU]),
    st.sampled_from([torch.float32, torch.float64, torch.float16]),
    st.booleans(),
)
def test_layers_of_all_widths(widths: list[int], activation: Any, dtype: Any, has_bias: bool) -> None:  # noqa: FBT001 - drawn
    pairs = zip([4, *widths], widths, strict=False)
    layers = [each for a, b in pairs for each in (nn.Linear(a, b, bias=has_bias, dtype=dtype), activation())]
    module = nn.Sequential(*layers)
    again = came_back(module, "torch")
    assert torch.equal(again(X.to(dtype)), module(X.to(dtype)))


def test_other_processes(tmp_path: Path) -> None:
    check_processes("tests.formats.test_torch", tmp_path)


def test_what_is_tied_stays_tied() -> None:
    again = came_back(Tied(), "torch_module")
    assert again.two.weight is again.one.weight
    with torch.no_grad():
        again.one.weight.fill_(7)
    assert again.two.weight.max() == 7


def test_training_goes_on_as_it_would_have() -> None:
    torch.manual_seed(1)
    module = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 1))
    again = came_back(module, "torch")
    for each in (module, again):
        optimizer = torch.optim.SGD(each.parameters(), lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            each(X).square().mean().backward()
            optimizer.step()
    assert torch.equal(module(X), again(X))


def states() -> dict[str, Any]:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8))
    return {
        "state": module.state_dict(),
        "nested": nn.Sequential(module, nn.Linear(8, 1)).state_dict(),
        "plain": {"a": torch.ones(2), "b.c": torch.zeros(0, 3), "": torch.tensor(7)},
        "parameters": dict(module.named_parameters()),
        "adopted": OrderedDict(module.state_dict()),
    }


def test_state_dicts() -> None:
    for name, state in states().items():
        again = came_back(state, "torch")
        assert vars(again) == vars(state) if isinstance(state, OrderedDict) else type(again) is dict, name
        assert list(again) == list(state)
        for ours, theirs in zip(state.values(), again.values(), strict=True):
            assert type(ours) is type(theirs)
            assert torch.equal(ours, theirs)
            assert ours.requires_grad == theirs.requires_grad


def test_a_state_dict_is_taken_by_its_module() -> None:
    module = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8)).eval()
    again = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8)).eval()
    again.load_state_dict(came_back(module.state_dict(), "torch"))
    assert torch.equal(again(X), module(X))


@pytest.mark.parametrize(
    "tensor",
    [torch.tensor(3), torch.ones(2, 0), X, X.to(torch.bfloat16), nn.Parameter(X, requires_grad=False)],
    ids=lambda tensor: f"{type(tensor).__name__}-{tensor.dtype}-{tuple(tensor.shape)}",
)
def test_tensors(tensor: Any) -> None:
    again = came_back(tensor, "torch")
    assert torch.equal(again, tensor)
    assert (again.dtype, again.requires_grad) == (tensor.dtype, tensor.requires_grad)


@pytest.mark.parametrize(
    "dtype",
    ["float8_e4m3fn", "float8_e5m2", "uint16", "uint32", "uint64", "complex64", "complex128", "bool"],
)
@pytest.mark.parametrize("hint", [None, "pickle"])
def test_dtypes_of_all_kinds_come_back_or_are_refused(dtype: str, hint: str | None) -> None:
    """torch pickles tensors that it cannot unpickle: these were acknowledged, and lost."""
    module = nn.Module()
    module.register_buffer("scale", torch.arange(3).to(getattr(torch, dtype)))
    objects: list[Any] = [module, [module], module.scale, {"scale": module.scale, "step": 1}]
    for obj in objects:
        try:
            done = serialize(obj, hint)
        except SerializationError as error:
            assert "torch.save" in str(error)  # noqa: PT017 - it need not fail
            continue
        again = deserialize(done.data, done.format)
        assert type(again) is type(obj)
        if obj is module:
            assert again.scale.dtype is module.scale.dtype
            assert torch.equal(again.scale.view(torch.uint8), module.scale.view(torch.uint8))


@pytest.mark.parametrize("dtype", ["float8_e4m3fn", "uint16", "uint32", "complex64"])
def test_dtypes_that_safetensors_holds(dtype: str) -> None:
    module = nn.Module()
    module.register_buffer("scale", torch.arange(3).to(getattr(torch, dtype)))
    assert came_back(module, "torch").scale.dtype is module.scale.dtype


@pytest.mark.parametrize(
    "obj",
    [
        {},
        {"a": X, "b": 1},
        {1: X},
        {"a": X, "b": X.view(-1)},
        {"a.b": X, "a..b": X + 1},
        nn.Linear(4, 2)(X),
        X.T,
        nn.Linear(4, 2).state_dict(prefix="_modules."),
    ],
    ids=str,
)
def test_what_is_no_state_dict_is_a_pickle_or_as_it_was(obj: Any) -> None:
    try:
        done = serialize(obj)
    except SerializationError:
        assert not obj.is_leaf  # torch deep-copies and pickles leaves only
        return
    again = deserialize(done.data, done.format)
    assert type(again) is type(obj)
    if isinstance(obj, dict):
        assert list(again) == list(obj)
    if done.format == "torch":
        assert all(torch.equal(again[key], obj[key]) for key in obj)


def test_an_ordered_dict_in_a_module_keeps_its_attributes() -> None:
    module = nn.Linear(4, 2)
    module.best = nn.Linear(4, 2).state_dict()
    done = serialize(module)
    assert done.format == "pickle"
    assert vars(deserialize(done.data, done.format).best) == vars(module.best)


class Config:
    """No module: plain data with a class."""

    def __init__(self) -> None:
        self.width = 3

    def __eq__(self, other: object) -> bool:
        return type(other) is Config and vars(other) == vars(self)

    __hash__ = None  # type: ignore[assignment] # it can change


@pytest.mark.parametrize("held", [Config(), [Config()], {"a": Config()}, uuid.UUID(int=7)], ids=repr)
def test_a_module_with_an_object_is_one_that_can_be_loaded(held: Any) -> None:
    """Such an object was once written into a form whose reader makes modules only."""
    module = Own()
    module.config = held
    with pytest.raises(SerializationError, match="has no form here"):
        serialize(module, "torch_module")
    done = serialize(module)
    assert done.format == "pickle"
    assert deserialize(done.data, done.format).config == held


def test_a_module_with_its_optimizer_is_one_that_can_be_loaded() -> None:
    module = nn.Linear(4, 2)
    module.optimizer = torch.optim.Adam(module.parameters())
    module(X).sum().backward()
    module.optimizer.step()
    done = serialize(module)
    again = deserialize(done.data, done.format)
    assert torch.equal(again(X), module(X))
    assert again.optimizer.param_groups[0]["params"][0] is again.weight


class Forgetful(nn.Module):  # type: ignore[misc] # likewise
    """Its state lacks what setting it asks for."""

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "width"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state | {"width": state["width"]})


def test_a_module_that_cannot_be_made_again_is_refused() -> None:
    with pytest.raises(SerializationError, match="width"):
        serialize(Forgetful(), "torch_module")


def hooked() -> nn.Module:
    module = nn.Linear(4, 2)
    module.register_forward_hook(lambda *_: None)
    return module


def shared() -> nn.Module:
    module = nn.Linear(4, 2)
    module.bias = nn.Parameter(module.weight.data[:, 0])
    return module


def with_views() -> nn.Module:
    module = nn.Module()
    whole = torch.arange(6.0)
    module.register_buffer("a", whole[:3])
    module.register_buffer("b", whole[3:])
    return module


def normed() -> nn.Module:
    module: nn.Module = torch.nn.utils.parametrizations.weight_norm(nn.Linear(4, 2))
    return module


@pytest.mark.parametrize("make", [hooked, shared, with_views, normed])
def test_what_the_format_does_not_hold_is_refused(make: Any) -> None:
    """Never kept in part: pickle takes it, or nothing does."""
    with pytest.raises(SerializationError):
        serialize(make(), "torch")
    try:
        done = serialize(make())
    except SerializationError:
        return
    assert done.format not in {"torch", "torch_module"}


def test_a_hook_that_can_be_imported_is_kept() -> None:
    module = nn.Linear(4, 2)
    module.register_forward_hook(print)
    again = came_back(module, "torch_module")
    assert list(again._forward_hooks.values()) == [print]


def with_document(data: bytes, change: Any) -> bytes:
    """A safetensors file whose metadata says something else."""
    size = int.from_bytes(data[:8], "little")
    header = msgspec.json.decode(data[8 : 8 + size])
    header["__metadata__"]["chainfold"] = change(header["__metadata__"]["chainfold"])
    text = msgspec.json.encode(header)
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data[8 + size :]


@pytest.mark.parametrize("format", ["torch", "torch_module"])
@pytest.mark.parametrize(
    "name", ["os:_Environ", "subprocess:Popen", "builtins:dict", "tests.formats.laws:Any", "no.such:C"]
)
def test_only_modules_are_made(format: str, name: str) -> None:  # noqa: A002 - the record's own word
    data = with_document(
        serialize(nn.ReLU()).data, lambda text: text.replace("torch.nn.modules.activation:ReLU", name)
    )
    with pytest.raises(SerializationError):
        deserialize(data, format)


def test_a_class_from_outside_is_not_made_by_the_format_that_runs_no_code() -> None:
    with pytest.raises(SerializationError):
        deserialize(serialize(Own()).data, "torch")
    assert not runs_code("torch")
    assert runs_code("torch_module")


def test_functions_are_torch_s_own() -> None:
    """What an activation is, is a name in the file: no other function is found by it."""
    encoder = nn.TransformerEncoderLayer(4, 2, 8)
    data = serialize(encoder).data
    assert b"torch.nn.functional:relu" in data
    for name in ("os:system", "torch.nn.functional:torch", "torch.nn.functional:_verify_batch_size"):
        with pytest.raises(SerializationError):
            deserialize(
                with_document(data, lambda text, name=name: text.replace("torch.nn.functional:relu", name)),
                "torch",
            )


MODULE: Final = "torch.nn.modules.module"


def naming(cls: str, **state: Any) -> bytes:
    """A file of one object."""
    document = {"root": {"object": 0}, "objects": [{"class": cls, "state": state}], "shared": []}
    return bytes(safetensors.torch.save({}, {"chainfold": msgspec.json.encode(document).decode()}))


@pytest.mark.parametrize(
    "cls",
    [
        f"{MODULE}:torch.jit.ScriptModule",
        f"{MODULE}:torch.nn.parallel.DistributedDataParallel",
        f"{MODULE}:itertools",
        f"{MODULE}:torch.jit.load",
        "torch.nn.modules.no_such:Module",
    ],
)
def test_a_class_is_found_in_its_own_module(cls: str) -> None:
    """Not by way of what that module has imported: ScriptModule once got through."""
    with pytest.raises(SerializationError):
        deserialize(naming(cls), "torch")


def test_a_class_is_found_where_torch_has_it_too() -> None:
    """If torch moves a class and leaves its name behind, old files still load."""
    assert type(deserialize(naming("torch.nn.modules.container:Module"), "torch")) is nn.Module


@pytest.mark.parametrize(
    "name",
    ["boolean_dispatch", "handle_torch_function", "has_torch_function", "Tensor", "Callable", "importlib"],
)
def test_what_the_module_of_functions_imported_is_none(name: str) -> None:
    with pytest.raises(SerializationError):
        deserialize(naming(f"{MODULE}:Module", run={"function": f"torch.nn.functional:{name}"}), "torch")
    for good in ("relu", "gelu", "conv1d", "adaptive_max_pool2d"):
        found = deserialize(
            naming(f"{MODULE}:Module", run={"function": f"torch.nn.functional:{good}"}), "torch"
        )
        assert found.run is getattr(nn.functional, good)


@pytest.mark.parametrize(
    "state",
    [
        {"_all_weights": [[1]]},
        {"all_weights": [[1]]},
        {"_all_weights": [["w"]], "all_weights": [[1]]},
        {"_all_weights": []},
        {"_parameters": {"dict": {"_all_weights": [[1]]}}},
    ],
    ids=str,
)
def test_layers_that_are_only_claimed_are_not_made_up(state: dict[str, Any]) -> None:
    """torch makes up the names of weights that have none: for ten billion layers that has no end."""
    claims = {"num_layers": 10**10, "bidirectional": False, "bias": True, "proj_size": 0, "training": False}
    with pytest.raises(SerializationError, match="names"):
        deserialize(naming("torch.nn.modules.rnn:LSTM", **claims, **state), "torch")


SAMPLE: Final = serialize(nn.Sequential(nn.Linear(4, 2), nn.ReLU())).data


@settings(deadline=None)
@given(damaged(SAMPLE))
def test_damage_is_an_error(data: bytes) -> None:
    check_refused(data, "torch")


@pytest.mark.parametrize("data", [*strangers()])
def test_strangers_are_refused(data: bytes) -> None:
    for name in ("torch", "torch_module"):
        with pytest.raises(SerializationError):
            deserialize(data, name)


def test_the_policy_decides(tmp_path: Path) -> None:
    """Imported, a module of torch's own is loaded by every policy, another by none but `all`."""
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    with ArtifactRegistry(theirs, "d") as registry:
        registry.register(nn.Linear(4, 2), "p:0", "model")
        registry.register(Own(), "p:1", "model")
        assert isinstance(registry.load("p:1"), Own)
        manifest = registry.export_to_manifest()
    with ArtifactRegistry(ours, "d") as registry:
        registry.import_from_manifest(manifest, theirs)
    for policy in ("registered", "listed", "none"):
        with ArtifactRegistry(ours, "d", trust=policy) as registry:
            assert isinstance(registry.load("p:0"), nn.Linear)
            with pytest.raises(UntrustedError, match="torch_module"):
                registry.load("p:1")
    assert os.environ.get("CHAINFOLD_TRUST") is None


def test_registering_what_was_loaded_is_the_same_blob(tmp_path: Path) -> None:
    with ArtifactRegistry(tmp_path, "d") as registry:
        one = registry.register(nn.Linear(4, 2), "p:0", "model")
        two = registry.register(registry.load("p:0"), "p:1", "model")
        assert (one.path, one.format) == (two.path, "torch")
