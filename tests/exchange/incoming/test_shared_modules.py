"""Import of modules that are called several times, and of modules with several inputs."""

from __future__ import annotations

from collections import Counter
from importlib import import_module
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import sewdsl
from sewdsl.exchange.read.draft import ModelImportError
from sewdsl.exchange.read.torch_modules import read_module
from sewdsl.exchange.write import spikingjelly
from sewdsl.ir.network import Network
from tests.lower.test_parts import SIAMESE, TIED
from tests.notation.same import ways

INPUTS = """sewdsl 1
input   left 1x8x8
input   right 1x8x8
steps   4
neuron  LIF(tau=2.0)
part Eye = c8k3-BN-SN-FC16
let     first = left-Eye
let     second = right-Eye
body    MUL[first | second]-FC2
"""
OTHERS = {
    "same value twice": """part P[a | b] = ADD[a-FC5 | b-FC5]-PLIF(tau=3.0)
let l = FC5
body ADD[P[l | l] | P[l | id]]-FC2""",
    "inside another part": "part D = FC5-BN\npart P = D-SN-D-SN\nbody P-D-P-FC2",
    "one layer": "part W = FC5\nbody W-SN-W-SN-W-FC2",
}
EXPORTED = {"siamese": SIAMESE, "tied": TIED, "inputs": INPUTS} | {
    name: f"sewdsl 1\ninput 5\nsteps 4\nneuron LIF\n{text}\n" for name, text in OTHERS.items()
}


def tied(network: Network) -> list[str]:
    """Return each layer with weights, and the number of its calls."""
    calls = Counter(network.owner(node).name for node in network if node.op.parameters(*network.inputs(node)))
    return sorted(f"{node.op} {calls[node.name]}" for node in network if node.name in calls)


def module_of(network: Network) -> Any:
    space: dict[str, Any] = {"__name__": "exported"}
    exec(spikingjelly.source(network), space)  # noqa: S102 -- a file that sewdsl wrote
    return space


@pytest.mark.parametrize("name", EXPORTED)
def test_exported_files_come_back_with_their_parts(name: str) -> None:
    pytest.importorskip("spikingjelly")
    model = sewdsl.compile(EXPORTED[name], seed=0)
    network = model.network
    space = module_of(network)
    twin = next(each for each in space.values() if isinstance(each, type) and each.__name__ == "Network")()
    twin.load_state_dict(model.state_dict())
    sizes = {source.name: source.shape for source in network.settings.inputs} or network.settings.input
    imported = read_module(twin, sizes, 4)
    assert tied(imported.network) == tied(network)
    if name != "inside another part":  # Its neurons are calls of the file itself.
        assert ways(imported.network) == ways(network)
    assert imported.network.settings.inputs == network.settings.inputs
    assert imported.network.total_parameters == network.total_parameters
    again = sewdsl.compile(imported.network)
    again.load_state_dict(imported.tensors)
    xs = [torch.rand(4, 3, *source.shape) for source in network.settings.sources]
    torch.testing.assert_close(again.eval()(*xs), model.eval()(*xs), rtol=0, atol=0)
    assert ways(sewdsl.load(imported.text)) == ways(imported.network)


class Eye(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.norm(self.conv(x)).relu()
        return y.flatten(1)


class Pair(nn.Module):
    """A plain module that compares two images."""

    def __init__(self) -> None:
        super().__init__()
        self.eye, self.fc = Eye(), nn.Linear(4 * 64, 2)

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        y: Tensor = self.fc(self.eye(left) * 0.5 + self.eye(right))
        return y


def test_a_module_that_is_called_twice_is_a_part() -> None:
    torch.manual_seed(0)
    model = Pair().eval()
    nn.init.uniform_(model.eye.norm.running_mean)  # type: ignore[arg-type]
    imported = read_module(model, {"left": (1, 8, 8), "right": (1, 8, 8)})
    assert "part eye = c4k3s1b1-BN-ReLU" in imported.text
    assert [key for key in imported.tensors if key.endswith("weight")] == [
        "eye.conv1.weight", "eye.bn1.weight", "fc1.weight"
    ]  # fmt: skip
    again = sewdsl.compile(imported.network).eval()
    again.load_state_dict(imported.tensors)
    left, right = torch.rand(2, 1, 3, 1, 8, 8)
    torch.testing.assert_close(again(left=left, right=right), model(left[0], right[0]))
    (network, _), text = sewdsl.from_torch(model, "left=1x8x8,right=1x8x8"), "right 1x8x8"
    assert text in network.settings.input_text


class Charged(nn.Module):
    """Neurons that are called twice."""

    def __init__(self, *, resets: bool) -> None:
        super().__init__()
        self.neuron, self.resets = import_module("spikingjelly.activation_based.neuron").LIFNode(step_mode="m"), resets

    def forward(self, x: Tensor) -> Tensor:
        y = self.neuron(x)
        if self.resets:
            self.neuron.reset()
        z: Tensor = self.neuron(y)
        return z


def test_neurons_that_keep_their_potential_between_calls() -> None:
    pytest.importorskip("spikingjelly")
    assert len(read_module(Charged(resets=True), (5,), 4).network.layers) == 2
    with pytest.raises(ModelImportError, match="shared weights or membrane potential"):
        read_module(Charged(resets=False), (5,), 4)


def test_calls_that_differ() -> None:
    with pytest.raises(ModelImportError, match="computes something else in one of the calls"):
        read_module(Other(), (1, 8, 8))


class Other(nn.Module):
    """A module whose second call has another layer."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = Turning()

    def forward(self, x: Tensor) -> Tensor:
        self.inner.turned = False
        y: Tensor = self.inner(x)
        self.inner.turned = True
        z: Tensor = self.inner(y)
        return z


class Turning(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.turned = nn.Conv2d(1, 1, 3, padding=1), nn.BatchNorm2d(1), False

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        return self.norm(y) if self.turned else y.relu()


class Functions(nn.Module):
    """Model with one weight in two calls of a function, without a module that is called twice."""

    def __init__(self, biases: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(5, 5))
        self.biases = nn.ParameterList(torch.rand(5) for _ in range(biases))

    def forward(self, x: Tensor) -> Tensor:
        y = nn.functional.linear(x, self.weight, self.biases[0])
        return nn.functional.linear(y, self.weight, self.biases[-1])


@pytest.mark.parametrize("biases", [1, 2])
def test_weights_that_are_shared_outside_of_modules(biases: int) -> None:
    with pytest.raises(ModelImportError, match="is called twice"):
        read_module(Functions(biases), (5,))
