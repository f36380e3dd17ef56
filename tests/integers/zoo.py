"""Small networks of all kinds with a law in integers, with weights as after training."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch

import sewdsl
from sewdsl.integers.build import InputScaling, IntegerFormat, build_integer_network
from sewdsl.integers.calibration import measure_ranges
from sewdsl.integers.network import IntegerNetwork
from sewdsl.integers.value import Integers
from sewdsl.lower import SpikingNetwork
from sewdsl.snn.batch_norm import BatchNorm

TWO_INPUTS = """sewdsl 1
neuron Two(alpha=0.5)[a | b] {
    state begun = 0
    m = a + begun*alpha*(b - a)
    begun = 1
    h = 0.5*v + m
    s = fire(h - v_threshold)
    v = reset(h, s)
    give s
}
body c8k3-BN-SN-Two[c8k3-BN | c8k1-BN]-Two[c8k3 | Two[c8k3-BN | id]]-FC5
"""
NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "sums of spikes, pools": ("c8k3-BN-SN-{SEW Block (c8)-MPk2s2}*2-GAP-FC5", {}),
    "and": ("c8k3-BN-SN-SEW Block (c8)-SEW Block (c12s2)-FC5", {"join": "AND"}),
    "iand": ("c8k3-BN-SN-SEW Block (c8)-SEW Block (c12s2)-FC5", {"join": "IAND"}),
    "or": ("c8k3-BN-SN-SEW Block (c8)-SEW Block (c12s2)-FC5", {"join": "OR"}),
    "bottlenecks": ("c8k3-BN-SN-SEW Bottleneck (c4)-SEW Bottleneck (c4s2)-GAP-FC5", {}),
    "average pools, voting": ("c8k3-BN-SN-APk2-c8k3-BN-APk2-SN-FC20-BN-SN-APk4s4", {}),
    "maxima of currents": ("c8k3-BN-MPk3s2p1-SN-c8k3s2-MPk2-SN-FC5", {}),
    "groups, dilation, rectangles": ("c8k3-BN-SN-c8k3g8-BN-SN-c8k3d1x2g2-BN-SN-c6k3x5-BN-SN-FC5", {}),
    "currents added": ("c8k3-BN-SN-Spiking Block (c8)-Spiking Block (c12s2)-GAP-FC5", {}),
    "membrane shortcuts": ("c8k3-BN-MS Block (c8)-MS Block (c8)-SN-GAP-FC5", {}),
    "currents read by a convolution": ("c8k3-BN-MS Block (c12s2)-SN-GAP-FC5", {}),
    "maxima of negative norms": ("c8k3-BN-SN-ADD[c8k3 | c8k3]-BN-MPk2-CAT[id | c4k1-BN]-SN-FC5", {}),
    "attention": ("c16k3-BN-SN-MPk2-Spikformer Block (heads=2)-GAP-FC5", {}),
    "gates of tokens": ("c16k3-BN-SN-MPk2-QK Token Attention (heads=4)-GAP-FC5", {}),
    "gates of channels": ("c16k3-BN-SN-MPk2-QK Channel Attention-GAP-FC5", {}),
    "masks": ("c16k3-BN-SN-MPk2-Spike Driven Attention-SN-GAP-FC5", {}),
    "concatenation, maximum": ("c8k3-BN-SN-CAT[c4k3-BN-SN | id | c4k1-BN-SN]-MAX[c16k3-BN-SN | id]-FC5", {}),
    "scaled operand": ("c8k3-BN-SN-ADD[c8k3-BN-SN-SCALE(value=0.5) | id]-c8k3-BN-SN-FC5", {}),
    "three operands": ("c8k3-BN-SN-ADD[c8k3-BN-SN | c8k1-BN-SN | id]-c8k3-BN-SN-FC5", {}),
    "norm of counts": ("c8k3-BN-SN-SEW Block (c8)-BN-SN-FC5", {}),
    "norm of counts, convolution": ("c8k3-BN-SN-SEW Block (c8)-BN-SN-ADD[id | id]-BN-c8k3g2-SN-FC5", {}),
    "upsampling": ("c8k3-BN-SN-MPk2-c6k3-BN-SN-UP2-c8k3-BN-SN-GAP-FC5", {}),
    "transposed": ("c8k3-BN-SN-MPk2-tc6k3s2-BN-SN-tc4k2s2g2-BN-SN-tc4k4s2p1-SN-GAP-FC5", {"input": "2x12x8"}),
    "loop": ("c8k3-BN-SN-LOOP[SN | c8k3-BN]-FC12-LOOP[SN | FC12]-FC5", {}),
    "delays of delays": ("c8k3-BN-SN-DELAY-ADD[DELAY2 | DELAY-DELAY3]-MPk2-FC5", {}),
    "delays": ("c8k3-BN-SN-ADD[DELAY3 | id]-c4k3-BN-SN-ReLU-DELAY-FC5", {}),
    "sums of currents, equations": ("c8k3-BN-SN-c8k3-BN-SN-GAP-FC12-SN-FC5", {}),
    "rectified": ("c8k3-BN-ReLU-ADD[c8k3-BN-ReLU | id]-MPk2-c8k3-BN-SN-FC12-ReLU-FC5", {}),
    "slices": (
        "c8k3-BN-SN-ADD[Slice(stop=4) | Slice(start=-4)-BN]-SN-Slice(start=9, over=places)-BN-Slice(start=1)-SN-FC5",
        {},
    ),
    "tokens that are learned": ("c8k3-BN-SN-MPk2-CAT[TOK2-Swap | Flatten-FC16-Reshape(8x2)-Swap]-Swap-c8k1-SN-FC5", {}),
    "reshaped": ("c8k3-BN-SN-MPk2-Flatten-SN-FC32-SN-Reshape(8x2x2)-c4k3-BN-SN-FC5", {}),
    "tokens": ("c8k3-BN-SN-MPk2-Swap[c12k1-BN-SN-c36k1-BN-SN]-Swap(heads=2)-SN-FC5", {}),
    "currents moved": ("c8k3-BN-MPk2-Flatten-SN-FC36-BN-Reshape(4x3x3)-Swap[c9k1-BN]-SUM(over=channels)-SN-FC5", {}),
    "rows": ("c8k3-BN-SN-MPk2-c8k5s2g2-BN-SN-SEW Block (c8)-APk3-SN-GAP-FC5", {"input": "2x30"}),
    "numbers of each time-step": ("c8k3-BN-GLIF-c8k3-BN-GLIF-FC5", {}),
    "norms of each time-step": ("c8k3-TEBN-SN-ADD[c8k3-BNTT | TAB]-SN-FC12-TAB-SN-FC5", {}),
    "currents delayed": ("c8k3-BN-DELAY2-SN-ADD[c4k3-BN-SN-DELAY-c8k3 | DELAY]-MPk2-SN-FC5-BN", {}),
    "loops of currents": (
        "c8k3-BN-LOOP[id | SCALE(value=0.7)]-SN-LOOP[c8k3 | SCALE(value=-0.5)-c8k1]-SN-FC5-LOOP[id | id]",
        {},
    ),
    "neurons with two inputs": (TWO_INPUTS, {}),
    "vectors, dropout": ("c8k3-tdBN-SN-DP(p=0.2, per=step)-FC20-DP0.5-SN-FC5", {}),
    "padded averages": ("c8k3-BN-SN-APk3s2p1-c4k3-BN-SN-FC5", {}),
    "zeros around and between currents": (
        "c8k3-BN-PAD1x2-SN-c8k3-BN-APk3s2p1-tc6k3s2-BN-ADD[id | PAD1-c6k3p0]-SN-FC5",
        {},
    ),
}
NEURONS = (
    "IF",
    "LIF(tau=2.0)",
    "PLIF(tau=3.0)",
    "DLIF(decay=0.25, v_threshold=0.5)",
    "IF(v_reset=none)",
    "LIF(tau=1.7, v_reset=-0.3, v_threshold=0.8)",
    "LIF(tau=4.0, v_reset=none)",
    "IF(v_reset=0.2)",
)
EQUATIONS = (
    "PLIFC(tau=3.0)",
    "LIF1(decay=0.3, v_reset=none)",
    "KLIF",
    "CUBA",
    "ALIF",
    "ILIF(D=4)",
    "LTH",
    "RF",
    "Ternary",
    "Rate",
)
"""Neurons as equations, also with several states, per channel, and with other outputs than spikes."""
READOUTS = "mean", "sum", "last"
SAMPLES = 6


class Case(NamedTuple):
    """Network, its integers and an input."""

    model: SpikingNetwork
    network: IntegerNetwork
    n: Integers
    formats: IntegerFormat = IntegerFormat()

    @property
    def x(self) -> torch.Tensor:
        """Input of the float network."""
        value = self.network.steps[0].value
        array = np.moveaxis(self.n * np.asarray(value.factor) + value.shift, -1, -3)
        shape = self.model.network.settings.input
        return torch.from_numpy(array.reshape(*array.shape[:-3], *shape).copy())

    def calibrated(self, samples: slice = slice(None)) -> Case:
        """The same network with ranges of currents from some of its samples, so that other samples can saturate."""
        x = self.x if self.network.static else self.x.transpose(0, 1)
        x = x[samples] if self.network.static else x[samples].transpose(0, 1)
        ranges = measure_ranges(self.model, self.network, [x])
        value, formats = self.network.steps[0].value, self.formats
        scaling = InputScaling(value.high, value.factor, value.shift)
        return self._replace(network=build_integer_network(self.model, scaling, formats, ranges))


def case(name: str, variant: int, formats: IntegerFormat | None = None, neuron: str | None = None) -> Case:
    """A network in one of its variants: neuron, encoding and readout."""
    text, settings = NETWORKS[name]
    seed = [*NETWORKS].index(name)
    options: dict[str, Any] = {
        "input": "2x12x12",
        "steps": 4,
        "neuron": neuron or NEURONS[(3 * seed + variant) % len(NEURONS)],
        "encode": ("direct", "none")[variant % 2],
        "readout": READOUTS[variant % 3],
        **settings,
    }
    model = trained(sewdsl.compile(text, seed=seed, **options), seed)
    static = options["encode"] == "direct"
    scaling = InputScaling.of_pixels([0.3, 0.5], [0.2, 0.4]) if static else None
    network = build_integer_network(model, scaling, formats or IntegerFormat(), {})
    random = np.random.default_rng(seed)
    shape = network.steps[0].value.shape
    n = random.integers(0, 256, (SAMPLES, *shape)) if static else random.poisson(0.4, (4, SAMPLES, *shape))
    this = Case(model, network, n, formats or IntegerFormat())
    return this.calibrated(slice(2)) if variant or "ReLU" in text else this


def trained(model: SpikingNetwork, seed: int) -> SpikingNetwork:
    """A module whose norms have other statistics, and one weight of 0 and one below."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, BatchNorm):
            # Some norms have numbers for each time-step and channel.
            shape = module.running_mean.shape
            module.running_mean.copy_(torch.randn(shape, generator=generator) * 0.2)
            module.running_var.copy_(torch.rand(shape, generator=generator) * 0.5 + 0.05)
            shape = module.weight.shape
            with torch.no_grad():
                module.weight.copy_(torch.randn(shape, generator=generator) * 0.3 + 0.8)
                if module.bias is not None:
                    module.bias.copy_(torch.randn(shape, generator=generator) * 0.3 + 0.2)
                module.weight[..., :2] = torch.tensor([0.0, -0.7])[: shape[-1]]
            weight = getattr(module, "step_weight", None)
            if weight is not None:
                weight.data += torch.randn(len(weight), generator=generator) * 0.3
    return model.eval().double()
