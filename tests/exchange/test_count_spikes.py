"""Networks of counts as networks of spikes: counts are sums of spikes, exactly, and outputs are equal."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor, nn

import sewdsl
from sewdsl.compiler import read
from sewdsl.exchange.errors import ExportError
from sewdsl.exchange.write.count_spikes import run, to_spikes
from sewdsl.exchange.write.formats import FORMATS
from sewdsl.ir.op import Activation
from sewdsl.source import Source
from tests.words import raises

TIRED = """\
neuron Tired(D=3, cost=0.5) {
    learn gain per channel = 1
    state tired = 0
    sum = 0.5*v + gain*x - tired
    count = round(clip(sum, 0, D))
    v = sum - count
    tired = cost*(tired + count)
    give count
}
neuron Binary { h = 0.5*v + x   s = fire(h - 1)   v = h - s   give s }
"""
NETS = {
    "chain": "input 2x8x8\nsteps 3\nencode direct\nneuron ILIF\nbody c4k3-BN-SN-c6k3b1-SN-MPk2-c4k3-BN-SN-GAP-FC5",
    "residual": "input 2x8x8\nsteps 2\nencode direct\nneuron ILIF(D=2)\n"
    "body c4k3-BN-MS Block (c8s2)-MS Block-SN-GAP-FC5b0",
    "sequence": f"{TIRED}input 2x6x6\nsteps 4\nreadout sum\nneuron Tired\n"
    "body c4k3-SN-CAT[c3k3-BN-ILIF(D=4)-c3k3 | id]-Binary-tc2k2s2-SN-APk2-FC5",
}


def dyadic(text: str, seed: int) -> sewdsl.SpikingNetwork:
    """A module whose sums are exact: weights, statistics and inputs are multiples of 1/16."""
    model = sewdsl.compile(read(Source("net", f"sewdsl 1\n{text}")).result(), seed=seed, optimize=0).double().eval()
    torch.manual_seed(seed)
    with torch.no_grad():
        for key, tensor in model.state_dict().items():
            if key.endswith("var"):
                tensor.fill_(1 - 1e-5)  # The norm adds 1e-5.
            elif tensor.is_floating_point():
                tensor.copy_((torch.randn_like(tensor) * 16).round() / 16)
    return model


def outputs_of_neurons(model: sewdsl.SpikingNetwork, x: Tensor) -> tuple[list[Tensor], Tensor]:
    """The outputs of the neurons ``[T, N, *]`` and of the network."""
    seen: list[Tensor] = []

    def look(_module: nn.Module, _inputs: object, y: Tensor) -> None:
        seen.append(y)

    neurons = [model.get_submodule(node.name) for node in model.network if isinstance(node.op, Activation)]
    handles = [module.register_forward_hook(look) for module in neurons]
    y = model(x)
    for handle in handles:
        handle.remove()
    return seen, y


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", NETS)
def test_counts_are_sums_of_spikes(name: str, seed: int, plain_pytorch: None) -> None:
    model = dyadic(NETS[name], seed)
    network = model.network
    converted = to_spikes(model)
    assert read(Source("net", converted.text)).result() == converted.network
    spiking = sewdsl.compile(converted.network, optimize=0).double().eval()
    spiking.load_state_dict(converted.tensors)
    T, steps = network.settings.steps, converted.network.settings.steps
    D = max(node.output.values.count or 0 for node in network if isinstance(node.op, Activation))
    shape = (3, *network.settings.input)
    x = torch.randn(*([T] if network.settings.encode == "none" else []), *shape, dtype=torch.float64)
    x = (x * 16).round() / 8
    late = x
    if network.settings.encode == "none":
        late = x.repeat_interleave(D, 0)
        late = torch.cat([late, late.new_zeros(steps - len(late), *shape)])
    with torch.no_grad():
        (counts, y), (spikes, z) = outputs_of_neurons(model, x), outputs_of_neurons(spiking, late)
        assert torch.allclose(run(converted.text.encode(), x, converted.tensors), y, rtol=1e-12, atol=1e-12)
    neurons = [node for node in converted.network if isinstance(node.op, Activation)]
    assert len(counts) == len(neurons)
    for node, count, spike in zip(neurons, counts, spikes, strict=True):
        assert node.output.values.count == 1
        windows = spike.unflatten(0, (-1, D)).sum(1)  # type: ignore[no-untyped-call]
        first = int(dict(node.op)["start"]) + 1
        assert not windows[:first].any()
        assert torch.equal(windows[first : first + T], count)
    assert len({int(value) for count in counts for value in count.flatten().tolist()}) > 2
    assert torch.allclose(y, z, rtol=1e-12, atol=1e-12)
    assert y.std() > 0


REFUSED = [
    "input 2x8x8\nsteps 2\nencode direct\nbody c4k3-BN-IF-FC5",
    "input 2x8x8\nsteps 2\nencode direct\nneuron ILIF\nbody c4k3-MPk2-SN-FC5",
    "input 2x8x8\nsteps 2\nencode direct\nneuron ILIF\nbody c4k3-SN-MUL[c4k3-SN | id]-FC5",
    "input 2x8x8\nsteps 2\nencode direct\nneuron ILIF\nbody c4k3-SN-DELAY-FC5",
    "input 2x8x8\nsteps 2\nencode direct\nneuron ILIF\nbody c4k3-SN-c4k3-IF-FC5",
    "input 2x8x8\nsteps 2\nencode direct\nneuron ILIF\nreadout last\nbody c4k3-SN-FC5",
    "input 2x8x8\nsteps 2\nencode direct\nneuron ILIF\nbody c4k3-SN-c4k3-BN-GAP",
    "input 2x8x8\nsteps 2\nencode direct\nneuron ILIF\nbody c4k3-GELU-c4k3-SN-FC5",
    "input 2x8x8\nsteps 2\nencode direct\nneuron ILIF\npart P = c4k3-SN\nbody c4k3-SN-P-P-FC5",
]


@pytest.mark.parametrize("text", REFUSED)
def test_refusals(text: str) -> None:
    model = sewdsl.compile(read(Source("net", f"sewdsl 1\n{text}")).result(), seed=0).eval()
    with raises(ExportError):
        partial(FORMATS["spikes"].write, model, "")()
