"""Every shipped network gives the same in onnxruntime."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import sewdsl
from sewdsl.exchange.write.onnx.time_axis import ScannedTime, UnrolledTime
from sewdsl.exchange.write.onnx.write_model import to_onnx
from sewdsl.ir.network import Network
from sewdsl.ir.op import Neuron
from sewdsl.lower import SpikingNetwork
from sewdsl.lower.inputs import Inputs
from sewdsl.snn.batch_norm import BatchNorm
from sewdsl.snn.parallel_neuron import ParallelNeuron
from tests.effort import factor, representatives
from tests.exchange.narrow import narrow
from tests.exchange.nir.settled import watched
from tests.exchange.onnx.dyadic import dyadic, noise
from tests.exchange.onnx.running import run
from tests.shipped import LOOPED, SHIPPED

SMALL = {
    "figure": "3x16x16",
    "resnet": "3x16x16",
    "sew": "3x16x16",
    "spiking": "3x16x16",
    "tdbn": "2x16x16",
    "spiking-unet": "2x16x16",
    "spiking-mlp-mixer": "3x32x32",
    "spikformer-8-512": "3x48x48",
    "tet": "2x16x16",
    **dict.fromkeys(("psn", "tebn", "klif", "glif"), "3x16x16"),
    **dict.fromkeys(("masnn", "tcja"), "2x32x32"),
    **dict.fromkeys(("spiking-densenet-121", "spiking-vgg-11", "spiking-vgg-16"), "3x32x32"),
    **dict.fromkeys(
        (
            "att",
            "ilif",
            "max",
            "maxformer",
            "ms",
            "qkformer",
            "sdt",
            "spikformer",
            "snasnet",
            "spikedhs",
            "spikingresformer",
        ),
        "3x32x32",
    ),
}
"""The input of networks that are for larger ones, by their name or its first word."""
STEPS = 2
NARROWER = 4
"""Divisor of the numbers of channels."""
FULL = {"7b-net-and", "mnist5k-speck", "sdt-v2"}
"""Networks at full width: others are silent with few channels, and the heads of sdt-v2 do not divide fewer channels."""


def _small(name: str) -> Network:
    first, _, _ = name.partition("-")
    steps = {"resnet": 1, "masnn": 6}.get(first, STEPS)
    network = sewdsl.load(name, input=SMALL.get(name, SMALL.get(first)), steps=steps)
    return network if name in FULL else narrow(network, NARROWER)


LEARNING = {"klif-resnet-19", "glif-resnet-19", "s4d"}
ROUNDED = {"masnn-dvs-gesture", "att-ms-resnet-18", "tcja-net", "tebn-resnet-19", "psn-resnet-19"} | LEARNING
"""Networks with sums that are rounded whatever the weights: sigmoids, a matrix over time, learned factors."""
SLOW = set() if factor() > 1 else {"sdt-v2"}
"""Networks that take several seconds at full width."""
NETWORKS = {name: _small(name) for name in representatives(set(SHIPPED) - ROUNDED - LOOPED - SLOW)}
SPIKING, REAL = (
    [name for name, network in NETWORKS.items() if spiking == any(isinstance(node.op, Neuron) for node in network)]
    for spiking in (True, False)
)


@pytest.mark.parametrize("name", SPIKING)
def test_every_spike_is_the_same(name: str) -> None:
    """With weights for which float32 is exact; outputs are rounded by the division of a mean, and sums of it."""
    network = NETWORKS[name]
    model, x = dyadic(network), noise(network, STEPS)
    with torch.no_grad(), watched(model) as spikes:
        y = model(x, return_sequence=True)
    found = run(to_onnx(model, ScannedTime), x, spikes)
    assert [name for name in spikes if not torch.equal(found[name].reshape(spikes[name].shape), spikes[name])] == []
    for prefix, each in {f"{name}/": each for name, each in y.items()}.items() if network.outputs else [("", y)]:
        tolerance = 1e-6 * max(1, float(each.abs().max()))
        torch.testing.assert_close(found[f"{prefix}sequence"], each, rtol=1e-6, atol=tolerance)
        torch.testing.assert_close(found[f"{prefix}logits"], each.mean(0), rtol=1e-6, atol=tolerance)
    assert all(0 < layer.mean() < 1 for layer in spikes.values())  # silence would agree with anything


@pytest.mark.parametrize("name", REAL)
def test_networks_that_do_not_spike(name: str) -> None:
    network = NETWORKS[name]
    x = noise(network, STEPS)
    model = used(network, x)
    with torch.no_grad():
        y = model(x)
    found = run(to_onnx(model, ScannedTime), x)
    outputs = {f"{name}/logits": each for name, each in y.items()} if network.outputs else {"logits": y}
    for key, each in outputs.items():
        assert (found[key] - each).abs().max() <= 1e-5 * each.abs().max()
    assert any((each[0] - each[1]).abs().max() > 1e-2 * each.abs().max() for each in outputs.values())


@pytest.mark.parametrize("name", ["7b-net", "sew-resnet-18", *sorted(ROUNDED)])
def test_weights_of_every_sort(name: str) -> None:
    """With rounded sums, at most one of ten thousand spikes differs."""
    network = _small(name)
    x = noise(network, network.settings.steps)
    model = used(network, x)
    with torch.no_grad(), watched(model) as spikes:
        model(x)
    found = run(to_onnx(model, ScannedTime), x, spikes)
    different = sum(int((found[name].reshape(s.shape) != s).sum()) for name, s in spikes.items())
    assert different <= 1e-4 * sum(s.numel() for s in spikes.values())
    firing = [bool(0 < layer.mean() < 1) for layer in spikes.values()]
    assert sum(firing) > len(firing) / 2 if name in ROUNDED else all(firing)


@pytest.mark.parametrize("name", ["tiny", "7b-net-and", "cifar10-net-spiking", "tdbn-resnet-19"])
def test_unrolled(name: str) -> None:
    """The same to the bit, without a loop."""
    network = _small(name)
    model, x = dyadic(network), noise(network, STEPS)
    unrolled = to_onnx(model, UnrolledTime)
    assert not any(node.op_type == "Scan" for node in unrolled.graph.node)
    expected, found = run(to_onnx(model, ScannedTime), x), run(unrolled, x)
    assert list(found) == list(expected)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def used(network: Network, x: Inputs) -> SpikingNetwork:
    """A module in evaluation, with running statistics that an input gave and odd weights of norms."""
    plain = network.settings.model_copy(update={"zero_init": False})
    model = sewdsl.compile(replace(network, settings=plain), seed=0, optimize=0)
    generator = torch.Generator().manual_seed(1)
    norms = [module for module in model.modules() if isinstance(module, BatchNorm)]
    with torch.no_grad():
        for norm in norms:
            norm.momentum = 1.0
            norm.weight.add_(0.3 * torch.rand(norm.weight.shape, generator=generator))
            norm.bias.add_(torch.rand(norm.bias.shape, generator=generator))
        for module in model.modules():
            if isinstance(module, ParallelNeuron):
                module.bias.fill_(-0.2)  # random weights reach no threshold of 1 in few time-steps
        model.train()(x)
        for norm in norms:
            norm.running_var.add_(0.1)  # of the few values of the last layers it may be hardly any
    return model.eval()
