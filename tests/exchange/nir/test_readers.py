"""Outputs of exported files in other libraries."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from typing import Any

import nir
import nirtorch
import numpy as np
import pytest
import snntorch
import torch
from snntorch.export_nir import export_to_nir as write_by_snntorch
from snntorch.import_nir import import_from_nir as read_by_snntorch
from spikingjelly.activation_based.nir_exchange import import_from_nir as read_by_spikingjelly
from torch import Tensor, nn
from torch.nn import functional

import sewdsl
from sewdsl.exchange.nir_graphs import DEFAULT_DT
from sewdsl.exchange.write.nir.execute import NirExecutor
from sewdsl.exchange.write.nir.write_graph import from_bytes, to_bytes
from sewdsl.ir.network import Network
from tests.exchange.narrow import narrow
from tests.exchange.nir.settled import noise, settled

LEAKY = {
    "convolutions": "c4k3-BN-LIF-c6k3s2-BN-LIF(tau=3.0)-c4k3-BN-PLIF-FC5",
    "ADD": "c4k3-BN-PLIF-{SEW Block}*3-SEW Block (c6s2)-FC5",
    "ADD before a neuron": "c4k3-BN-LIF-{Spiking Block (c6s2)}*2-FC5",
    "ADD at the end": "c4k3-BN-LIF-ADD[c4k3-BN-LIF|c4k1-BN-LIF]-DP",
    "pooling": "c4k3-BN-LIF-APk2-c6k3-BN-LIF-GAP-FC10-LIF(v_threshold=0.125)-APk2",
    "dropout": "c4k3-BN-LIF-DP-FC6b0-DP-LIF-FC5",
}
MORE = {
    "IF": "c4k3-BN-IF-c6k3-BN-IF(v_threshold=0.5)-FC5",
    "another reset": "c4k3-BN-IF(v_reset=-0.5)-c4k3-BN-LIF(v_reset=0.25)-FC5",
    "norms by themselves": "BN-c4k3-IF-ADD[BN|id]-BN-IF-FC5",
}
OTHERS = {
    "AND": "c4k3-BN-LIF-SEW Block (g=AND)-FC5",
    "IAND": "c4k3-BN-LIF-SEW Block (g=IAND)-FC5",
    "maxima of spikes": "c4k3-BN-LIF-MPk2-FC5",
    "maxima of counts": "c4k3-BN-LIF-{SEW Block-MPk2}*2-FC5",
    "ADD of vectors": "FC6-LIF-{ADD[FC6-LIF|id]}*2-FC4",
}


def network(spec: str) -> Network:
    """Return a network for one small sample, because reading is slow."""
    return sewdsl.load(spec, input="12" if spec.startswith("FC") else "2x8x8", steps=5)


def written(spec: str, dtype: torch.dtype = torch.float64) -> tuple[nir.NIRGraph, Tensor, Tensor]:
    """A file as nir itself reads it, an input of one sample ``[T, 1, *]``, and what the network gives."""
    known = network(spec)
    x = 2 * noise(known, T=5, N=2)
    model = settled(known, x).to(dtype)
    with torch.no_grad():
        y = model(x[:, :1].to(dtype), return_sequence=True)
    assert y.std() > 0
    return nir.read(io.BytesIO(to_bytes(model))), x[:, :1].to(dtype), y


def run(module: Any, x: Tensor) -> Tensor:
    """The outputs of a module that hands its state on."""
    found, state = [], None
    with torch.no_grad():
        for x_N in x:
            y_N, state = module(x_N, state)
            found.append(y_N)
    return torch.stack(found)


@pytest.mark.parametrize("spec", [*LEAKY.values(), *MORE.values()], ids=[*LEAKY, *MORE])
def test_spikingjelly(spec: str) -> None:
    """2.0.0, with its own time-step."""
    graph, x, y = written(spec)
    z = run(read_by_spikingjelly(graph, dtype=torch.float64), x)
    assert float((z - y).abs().max()) <= 1e-12


@pytest.mark.parametrize("spec", OTHERS.values(), ids=OTHERS)
def test_spikingjelly_knows_no_threshold(spec: str) -> None:
    """SpikingJelly rejects Threshold and Scale."""
    with pytest.raises(ValueError, match=r"Unknown node type <class 'nir\.ir\.\w+\.(Threshold|Scale)'>"):
        read_by_spikingjelly(written(spec)[0])


@pytest.mark.parametrize("spec", LEAKY.values(), ids=LEAKY)
def test_snntorch(spec: str) -> None:
    """1.0.0, in float32, which its neurons give in any case; one sample, since the axis of samples is flattened too."""
    graph, x, y = written(spec, torch.float32)
    with redirect_stdout(io.StringIO()):  # it prints what it does
        module = read_by_snntorch(graph).float()
    assert float((run(module, x).flatten(1) - y.flatten(1)).abs().max()) <= 1e-5


@pytest.mark.parametrize(
    ("spec", "error", "words"),
    [
        (MORE["IF"], AssertionError, "r != 1 not supported"),
        (MORE["another reset"].replace("IF(v_reset=-0.5)", "LIF"), AssertionError, "v_leak not supported"),
        *((spec, ValueError, "Unknown node type") for spec in OTHERS.values()),
    ],
)
def test_snntorch_refuses(spec: str, error: type[Exception], words: str) -> None:
    with redirect_stdout(io.StringIO()), pytest.raises(error, match=words):
        read_by_snntorch(written(spec)[0])


class Fires(nn.Module):
    """Neurons for nirtorch, which has none: it takes ours from a map."""

    def __init__(self, decay: float, gain: float, drift: float, node: nir.IF | nir.LIF) -> None:
        super().__init__()
        self._decay, self._gain, self._drift = decay, gain, drift
        self._threshold, self._reset = float(node.v_threshold.max()), float(node.v_reset.max())

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        v = torch.full_like(x, self._reset) if state is None else state
        h = self._decay * v + self._gain * x + self._drift
        fires = h >= self._threshold
        return fires.to(x.dtype), torch.where(fires, self._reset, h)


class Exceeds(nn.Module):
    def __init__(self, node: nir.Threshold) -> None:
        super().__init__()
        self._threshold = torch.from_numpy(node.threshold)

    def forward(self, x: Tensor) -> Tensor:
        return (x > self._threshold).to(x.dtype)


class Scales(nn.Module):
    def __init__(self, node: nir.Scale) -> None:
        super().__init__()
        self._scale = torch.from_numpy(node.scale)

    def forward(self, x: Tensor) -> Tensor:
        return x * self._scale


def integrate(node: nir.IF) -> Fires:
    return Fires(1.0, DEFAULT_DT * float(node.r.max()), 0.0, node)


def leak(node: nir.LIF) -> Fires:
    rate = DEFAULT_DT / float(node.tau.max())
    return Fires(1 - rate, rate * float(node.r.max()), rate * float(node.v_leak.max()), node)


def affine(node: nir.Affine) -> nn.Linear:
    found = nn.Linear(*reversed(node.weight.shape))
    found.weight.data, found.bias.data = torch.from_numpy(node.weight), torch.from_numpy(node.bias)
    return found


class Sums(nn.Module):
    def __init__(self, node: nir.SumPool2d) -> None:
        super().__init__()
        self._window = [tuple(map(int, pair)) for pair in (node.kernel_size, node.stride, node.padding)]

    def forward(self, x: Tensor) -> Tensor:
        kernel, stride, padding = self._window
        return functional.avg_pool2d(x, kernel, stride, padding, divisor_override=1)


MODULES = {nir.IF: integrate, nir.LIF: leak, nir.Threshold: Exceeds, nir.Scale: Scales, nir.Affine: affine}


@pytest.mark.parametrize("spec", [*LEAKY.values(), *MORE.values(), *OTHERS.values()], ids=[*LEAKY, *MORE, *OTHERS])
def test_nirtorch(spec: str) -> None:
    """2.6, with modules for what it has none: all else, and the edges, are its own. One sample without its axis."""
    graph, x, y = written(spec)
    z = run(nirtorch.nir_to_torch(graph, MODULES, dtype=torch.float64), x[:, 0])
    assert float((z - y[:, 0]).abs().max()) <= 1e-12


def test_nirtorch_has_no_padded_sums() -> None:
    """Its own sum leaves the padding out: the maps get smaller; with a module of ours it is the same."""
    graph, x, y = written("c4k3-BN-IF-MPk3s2p1-GAP")
    own = nirtorch.nir_to_torch(graph, MODULES, dtype=torch.float64)
    assert own.get_submodule("max_pool1_sum")(torch.ones(4, 8, 8)).shape == (4, 3, 3)
    z = run(nirtorch.nir_to_torch(graph, MODULES | {nir.SumPool2d: Sums}, dtype=torch.float64), x[:, 0])
    assert float((z - y[:, 0]).abs().max()) <= 1e-12


def test_nirtorch_loses_biases() -> None:
    """The Affine module of nirtorch has random biases, and must be replaced."""
    node = nir.Affine(np.zeros((2, 3)), np.array([5.0, 6.0]))
    found = nirtorch.nir_to_torch(nir.NIRGraph.from_list(node), {}, dtype=torch.float64)
    assert float(run(found, torch.zeros(1, 3, dtype=torch.float64)).abs().max()) < 5


def test_what_nir_itself_takes_for_wrong() -> None:
    """Files with groups, or kernels that are not square, are read by nir 1.0.8 only if it does not look at types."""
    for spec in ("c4k3g2-IF-FC5", "c4k3x5p1x2-IF-FC5"):
        data = to_bytes(settled(network(spec), noise(network(spec))))
        with pytest.raises(ValueError, match="type mismatch"):
            nir.read(io.BytesIO(data))
        assert len(nir.read(io.BytesIO(data), type_check=False).nodes) == 6


def test_a_whole_network() -> None:
    """The one in ``nets/`` that has no maxima, for fewer places: neither SpikingJelly nor snnTorch wants help."""
    known = narrow(sewdsl.load("tdbn-resnet-19", input="2x8x8"), 4)
    x = 2 * noise(known, T=3, N=1)
    model = settled(known, x).float()
    with torch.no_grad():
        y = model(x.float(), return_sequence=True)
    graph = nir.read(io.BytesIO(to_bytes(model)))
    assert float((run(read_by_spikingjelly(graph), x.float()) - y).abs().max()) <= 1e-5
    with redirect_stdout(io.StringIO()):
        module = read_by_snntorch(graph).float()
    assert float((run(module, x.float())[:, None] - y).abs().max()) <= 1e-5


def test_at_the_threshold() -> None:
    """A current of integers: SpikingJelly's neurons fire as ours, snnTorch's as NIR defines."""
    graph, x, y = written("c4k3-BN-LIF-LIF(v_threshold=0.5)-FC5", torch.float32)
    above = NirExecutor(graph, fires="above").run(x)
    with redirect_stdout(io.StringIO()):
        snntorch_s = run(read_by_snntorch(graph).float(), x)[:, None]
    assert float((run(read_by_spikingjelly(graph), x) - y).abs().max()) <= 1e-5
    assert float((snntorch_s - above).abs().max()) <= 1e-5
    assert float((y - above).abs().max()) > 0.1


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_snntorch_writes_none() -> None:
    """1.0.0 with nir 1.0.8, of the network in its own documentation: neurons without a shape."""
    leaky = snntorch.Leaky(beta=0.9, init_hidden=True)
    module = nn.Sequential(nn.Flatten(), nn.Linear(784, 500), leaky, nn.Linear(500, 10))
    with pytest.raises(ValueError, match="type mismatch"):
        write_by_snntorch(module, torch.randn(1, 784))


@pytest.mark.parametrize("spec", ["c4k3-LIF-c4k3g4-FC5", "c6k3-LIF-c4k3g2-FC5"])
def test_no_reader_knows_groups(spec: str) -> None:
    """SpikingJelly says so; the others take the channels of a group for all of them, which torch then refuses."""
    graph = from_bytes(to_bytes(settled(network(spec), noise(network(spec)))))
    with pytest.raises(NotImplementedError, match="Grouped convolutions are not supported"):
        read_by_spikingjelly(graph)
    with redirect_stdout(io.StringIO()), pytest.raises(ValueError, match="must be divisible by groups"):
        read_by_snntorch(graph)
    with pytest.raises(ValueError, match="must be divisible by groups"):
        nirtorch.nir_to_torch(graph, MODULES, dtype=torch.float64)
