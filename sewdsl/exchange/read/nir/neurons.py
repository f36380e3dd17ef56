"""NIR neurons, which are differential equations, as neurons with discrete time-steps.

One Euler step of dt seconds gives, for ``IF`` (dv/dt = R I) and ``LIF`` (tau dv/dt = v_leak - v + R I)::

    H = V + dt R X
    H = V + dt/tau (v_leak - V + R X)

The neurons of sewdsl have dt R = 1 (IF), R = 1 (LIF) or R = tau/dt (DLIF), and v_leak = v_reset. Any other R becomes a
factor of the input current. The synaptic current of ``CubaLIF`` (tau_syn dI/dt = w_in X - I) becomes a loop before the
neuron::

    I[t] = (1 - dt/tau_syn) I[t-1] + dt/tau_syn w_in X[t]
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from math import isclose, log
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from sewdsl.compiler import load
from sewdsl.diagnostics import SewdslError
from sewdsl.exchange import nir_graphs
from sewdsl.exchange.read.draft import Draft, ModelImportError, ScaleOp, make_op
from sewdsl.exchange.read.nir.primitives import Primitive
from sewdsl.ir.op import LinearNeuron, PlainScalar
from sewdsl.ir.signal import REAL
from sewdsl.ops.joins import Add
from sewdsl.ops.layers.scaling import Scale
from sewdsl.ops.neurons.integrate_and_fire import DLIF, IF, LIF, PLIF

NEURONS = {"IF": "r", "LIF": "tau", "CubaLIF": "tau_mem"}
"""Neuron primitives, each with the argument that depends on the duration of a time-step."""
USUAL_DTS = (nir_graphs.DEFAULT_DT, 1.0)
"""Common durations of a time-step in seconds: SpikingJelly and snnTorch, and time counted in steps."""
MAX_TIME_CONSTANT_STEPS = 1000
"""Upper bound of a plausible time constant, in time-steps."""
RELATIVE_TOLERANCE = 1e-6
"""Relative tolerance for values that were divided by seconds, possibly in float32."""

ABSOLUTE_TOLERANCE = 1e-12
"""Absolute tolerance for values that may be 0."""


def infer_dt(nodes: Iterable[Primitive]) -> float:
    """Infer the duration of a time-step in seconds, or raise ModelImportError unless exactly one matches."""
    neurons = [node for node in nodes if node.kind in NEURONS]
    # The right duration gives every IF a gain of 1, and every LIF a time constant above one time-step.
    matching = [dt for dt in USUAL_DTS if all(_fits(node, dt) for node in neurons)]
    if not neurons or len(matching) == 1:
        return matching[0]
    example, key = neurons[0], NEURONS[neurons[0].kind]
    evidence = f"{example.name} has {key} {example.number(key):g}"
    raise ModelImportError(f"cannot infer the duration of a time-step ({evidence}); pass --dt SECONDS")


def _fits(node: Primitive, dt: float) -> bool:
    """Return whether a duration gives a plausible neuron."""
    key = NEURONS[node.kind]
    value = node.number(key)
    return (
        isclose(value * dt, 1, rel_tol=RELATIVE_TOLERANCE) if key == "r" else 1 < value / dt < MAX_TIME_CONSTANT_STEPS
    )


def neuron(draft: Draft, node: Primitive, source: int, dt: float) -> int:
    """Add the neuron of a node, preceded by a factor if its gain is not 1, and return its item.

    Raises:
        UnsupportedPart: If no sewdsl neuron computes the same.
    """
    shape = draft.shape(source)
    for key in sorted(set(node.fields) - {"type", "metadata", "input_type", "output_type"}):
        array = node.array(key)
        if array.size != 1 and array.shape != shape:
            raise node.origin.refusal(f"has a {key} of shape {list(array.shape)}, but its input is {list(shape)}")
    op: LinearNeuron
    if node.kind == "IF":
        op, gain = make_op(IF, node.origin, **_firing(node)), node.number("r") * dt
    else:
        op, gain = _leaking(node, dt)
    original = _original_neuron(node, op)
    # The factor is a separate item: build_network() multiplies it into preceding weights where possible.
    if not isclose(gain, 1, rel_tol=RELATIVE_TOLERANCE):
        factor = torch.tensor([gain], dtype=torch.float64)
        source = draft.add(ScaleOp(), (source,), node.origin, factor=factor)
    source = _synapse(draft, node, source, dt)
    if original is None:
        return draft.add(op, (source,), node.origin)
    op, scalars = original
    return draft.add(
        op, (source,), node.origin, **{key: torch.tensor(w, dtype=torch.float64) for key, w in scalars.items()}
    )


def _synapse(draft: Draft, node: Primitive, source: int, dt: float) -> int:
    """Add the synaptic current of ``CubaLIF``, I[t] = decay I[t-1] + X[t], and return its item."""
    if node.kind != "CubaLIF":
        return source
    steps = node.number("tau_syn") / dt
    # The current lasts one time-step only: no loop is needed.
    if isclose(steps, 1, rel_tol=RELATIVE_TOLERANCE):
        return source
    if steps < 1:
        raise node.origin.refusal(
            f"has a synaptic time constant of {steps:g} time-steps of {dt:g} s; expected at least 1"
        )
    delay = draft.add_delay(replace(draft.items[source].output, values=REAL), node.origin)
    decayed = draft.add(Scale(value=_short(1 - 1 / steps, node.array("tau_syn"))), (delay,), node.origin)
    current = draft.add(Add(), (source, decayed), node.origin)
    draft.change(delay, delayed=current)
    return current


def _short(value: float, like: npt.NDArray[Any]) -> float:
    """Round a value to 6 digits, if the difference is within the precision of an array."""
    rounded = float(f"{value:.6g}")
    return rounded if isclose(rounded, value, rel_tol=4 * float(np.finfo(like.dtype).eps)) else value


def _leaking(node: Primitive, dt: float) -> tuple[LinearNeuron, float]:
    """Return the neuron of a ``LIF`` or ``CubaLIF``, and the gain of its input current."""
    gain = node.number("r")
    if node.kind == "CubaLIF":
        gain *= node.number("w_in") / (node.number("tau_syn") / dt)
    tau_array = node.array(NEURONS[node.kind])
    tau = node.number(NEURONS[node.kind]) / dt
    if tau <= 1 or isclose(tau, 1, rel_tol=RELATIVE_TOLERANCE):
        raise node.origin.refusal(f"has a time constant of {tau:g} time-steps of {dt:g} s; expected more than 1")
    leak, reset = node.number("v_leak"), _firing(node)["v_reset"]
    if not isclose(leak, reset, rel_tol=RELATIVE_TOLERANCE, abs_tol=ABSOLUTE_TOLERANCE):
        raise node.origin.refusal(
            f"has v_leak {leak:g} and v_reset {reset:g}; expected equal values: sewdsl neurons leak towards v_reset"
        )
    tau = _short(tau, tau_array)  # Division by seconds leaves a rounding error: 2.0000000000000004 is 2.
    if isclose(gain, tau, rel_tol=RELATIVE_TOLERANCE):
        return make_op(DLIF, node.origin, decay=_short(1 - 1 / tau, tau_array), **_firing(node)), 1.0
    return make_op(LIF, node.origin, tau=tau, **_firing(node)), gain


def _firing(node: Primitive) -> dict[str, float]:
    # An omitted v_reset is 0, as in the nir package.
    reset = node.number("v_reset") if node.fields.get("v_reset") is not None else 0.0
    return {"v_threshold": node.number("v_threshold"), "v_reset": reset}


def _original_neuron(node: Primitive, op: LinearNeuron) -> tuple[LinearNeuron, dict[str, float]] | None:
    """Return the neuron in the node's metadata with its learned scalars, if its dynamics match ``op``."""
    original = _parse_neuron(node.written_for)
    if original is None or (original.v_threshold, original.v_reset) != (op.v_threshold, op.v_reset):
        return None
    # The metadata is only a hint: other programs may have edited the node's arguments.
    scalars = (
        {"w": -log(op.tau - 1)} if isinstance(original, PLIF) and isinstance(op, LIF) else dict(original.learnable())
    )
    expected, dynamics = op.at_start(), original.dynamics(**{key: PlainScalar(value) for key, value in scalars.items()})
    if expected is None or not all(
        isclose(a, b, rel_tol=RELATIVE_TOLERANCE, abs_tol=ABSOLUTE_TOLERANCE)
        for a, b in zip(expected, dynamics, strict=True)
    ):
        return None
    return original, scalars


@lru_cache(maxsize=1024)
def _parse_neuron(text: str) -> LinearNeuron | None:
    try:
        op = load(text, input=(1,)).nodes[-1].op
    except SewdslError:
        return None
    return op if isinstance(op, LinearNeuron) else None
