"""Appendix A.4 of Fang et al. 2021: how far the gradient shrinks over Spiking blocks that are identities."""

from __future__ import annotations

import math

import pytest
import torch

import sewdsl
from sewdsl.lower.spiking_network import watch_nodes
from sewdsl.probe import block_gradients, random_inputs

BLOCKS = 6
BODY = f"c8k3-BN-IF-{{Spiking Block}}*{BLOCKS}-GAP-FC3"


def measured(v_threshold: float, alpha: float, steps: int) -> tuple[list[float], torch.Tensor, torch.Tensor]:
    """Amplitudes of all blocks, and of the last block's input its spikes, and the gradient of its output."""
    neuron = f"IF(v_threshold={v_threshold}, surrogate=ATan(alpha={alpha}))"
    options = {"init": "kaiming zero"}
    model = sewdsl.compile(BODY, input="2x10x10", steps=steps, neuron=neuron, set=options, seed=0, optimize=0).double()
    (batch,) = [(x.double(), y) for x, y in random_inputs(model.network, samples=4)]
    amplitudes = [found.amplitude for found in block_gradients(model.train(), [batch])]
    seen: dict[str, torch.Tensor] = {}
    last = f"repeat1.{BLOCKS}.spiking_block1.if1"
    with watch_nodes(model, [last], lambda name, _, y: seen.update({name: y})):
        loss = torch.nn.functional.cross_entropy(model(batch[0]), batch[1])
    (g,) = torch.autograd.grad(loss, seen[last])
    return amplitudes, seen[last].detach(), g


def slope(x: float, alpha: float) -> float:
    return alpha / 2 / (1 + (math.pi / 2 * alpha * x) ** 2)


@pytest.mark.parametrize(("v_threshold", "alpha"), [(1.0, 2.0), (0.5, 2.0), (1.0, 3.0)])
def test_at_one_time_step(v_threshold: float, alpha: float) -> None:
    """The formula, with the gradient that arrives in place of one that is alike everywhere."""
    amplitudes, spikes, g = measured(v_threshold, alpha, 1)
    factors = torch.where(spikes > 0, slope(1 - v_threshold, alpha), slope(-v_threshold, alpha))
    for index, amplitude in enumerate(amplitudes):
        expected = (g * factors ** (BLOCKS - index)).norm().item()
        assert amplitude == pytest.approx(expected, rel=1e-6)


def test_at_several_time_steps_more_arrives() -> None:
    """A potential below the threshold hands the gradient of later spikes back, which the formula leaves out."""
    amplitudes, spikes, g = measured(0.5, 2.0, 4)
    factors = torch.where(spikes > 0, slope(0.5, 2.0), slope(-0.5, 2.0))
    assert amplitudes[0] > 2 * (g * factors**BLOCKS).norm().item()
