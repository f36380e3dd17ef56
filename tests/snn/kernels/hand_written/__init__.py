"""Kernels of IF, LIF and PLIF that were written by hand for Triton: the generated ones must compute the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sewdsl.equations.step import read_linear
from sewdsl.snn.kernels.neuron.layer_call import LayerCall, LayerGradients
from sewdsl.snn.kernels.neuron.plan_kernel import LayerNeedsGrad
from tests.snn.kernels.hand_written import neurons, norm_neurons, render
from tests.snn.kernels.hand_written.call import FusedJoin, NeedsGrad, NeuronCall, NeuronConstants, NeuronNeedsGrad

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["backward", "forward", "render"]


def forward(call: LayerCall, *, final: bool) -> tuple[Tensor, Tensor]:
    """Return the output, and the states after the last time-step; an empty tensor if these are not wanted."""
    work, channels = _linear(call), call.channels
    if channels is not None:
        return norm_neurons.forward(work, channels, FusedJoin(call.program.join, call.other_TN)), call.nothing()
    y_TN, v_N = neurons.forward(work, final=final)
    return y_TN, v_N


def backward(
    call: LayerCall, g_TN: Tensor | None, g_after: Tensor | None, wanted: LayerNeedsGrad, *, batch: bool
) -> LayerGradients:
    """Return the gradients of :func:`forward`, as :func:`sewdsl.snn.kernels.neuron.on_cpu.backward` does."""
    work, channels = _linear(call), call.channels
    none = call.nothing()
    if channels is None:
        needs = NeuronNeedsGrad(wanted.x, wanted.start, wanted.factors)
        g_x_TN, g_start, sums = neurons.backward(work, g_TN, g_after, needs)
        return LayerGradients(
            g_x_TN, g_start, none, none.clone(), _of_factors(sums, call), call.nothing(call.x_TN.dtype)
        )
    joint, needs_norm = FusedJoin(call.program.join, call.other_TN), NeedsGrad(wanted.x, *wanted[2:])
    g_TN = call.empty_output().zero_() if g_TN is None else g_TN
    found = norm_neurons.gradients(work, g_TN, channels, joint, needs_norm, batch=batch)
    return LayerGradients(found.x_TN, none, found.weight, found.bias, _of_factors(found.factors, call), found.other_TN)


def _linear(call: LayerCall) -> NeuronCall:
    """Return the call of a hand-written kernel."""
    program = call.program
    constants = read_linear(program.law)
    assert constants is not None
    numbers = () if call.factors is None else call.factors.unbind()
    learned = dict(zip(constants.order, numbers, strict=True))
    decay, gain, drift = (number or 0.0 for number in constants[:3])
    law = NeuronConstants(decay, gain, drift, *constants[3:], slope=program.slope)
    return NeuronCall(call.x_TN, call.start, learned.get(0), learned.get(1), learned.get(2), law)


def _of_factors(sums: Tensor, call: LayerCall) -> Tensor:
    """Return those gradients of decay, gain and drift that are given with the call, in their dtype."""
    constants = read_linear(call.program.law)
    if call.factors is None or constants is None:
        return call.nothing()
    return sums[list(constants.order)].to(call.factors.dtype)
