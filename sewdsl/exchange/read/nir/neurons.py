"""Neurons of NIR, which are differential equations, as ours, which are steps in time.

``IF``, dv/dt = R I, and ``LIF``, tau dv/dt = v_leak - v + R I, by one Euler step of dt seconds::

    H = V + dt R X
    H = V + dt/tau (v_leak - V + R X)

Ours are these with dt R = 1, and with R = 1 (LIF) or R = tau/dt (DLIF) and v_leak = v_reset. Another R is a factor of
the current. That of ``CubaLIF``, tau_syn dI/dt = w_in X - I, is a loop before the neuron::

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
"""Primitives that are neurons, each with the argument that tells how long a time-step is."""
USUAL_DTS = (nir_graphs.DEFAULT_DT, 1.0)
"""Seconds of a time-step in SpikingJelly and snnTorch, and where time is counted in steps."""
MAX_TIME_CONSTANT_STEPS = 1000
"""Time-steps; no network that was trained step by step remembers for longer."""
RELATIVE_TOLERANCE = 1e-6
"""How near, relatively, two numbers are that were one before they were divided by seconds, perhaps in float32."""

ABSOLUTE_TOLERANCE = 1e-12
"""How near numbers are that may be 0."""


def infer_dt(nodes: Iterable[Primitive]) -> float:
    """Return seconds of a time-step, seen from the neurons.

    With the right one, a current counts once in each IF, and each LIF remembers for more than one step.

    Raises:
        ModelImportError: it cannot be inferred.
    """
    neurons = [node for node in nodes if node.kind in NEURONS]
    fitting = [dt for dt in USUAL_DTS if all(_fits(node, dt) for node in neurons)]
    if not neurons or len(fitting) == 1:
        return fitting[0]
    first, key = neurons[0], NEURONS[neurons[0].kind]
    has = f"{first.name} has {key} {first.number(key):g}"
    raise ModelImportError(f"the graph does not say how long a time-step is ({has}): say it with --dt SECONDS")


def _fits(node: Primitive, dt: float) -> bool:
    key = NEURONS[node.kind]
    number = node.number(key)
    return (
        isclose(number * dt, 1, rel_tol=RELATIVE_TOLERANCE) if key == "r" else 1 < number / dt < MAX_TIME_CONSTANT_STEPS
    )


def neuron(draft: Draft, node: Primitive, source: int, dt: float) -> int:
    """Return the neuron of a node, after the factor of its current if that is not 1.

    Raises:
        UnsupportedPart: it computes what no neuron of ours does.
    """
    shape = draft.shape(source)
    for key in sorted(set(node.fields) - {"type", "metadata", "input_type", "output_type"}):
        found = node.array(key)
        if found.size != 1 and found.shape != shape:
            raise node.origin.refusal(f"has a {key} of shape {list(found.shape)}, but reads {list(shape)}")
    op: LinearNeuron
    if node.kind == "IF":
        op, gain = make_op(IF, node.origin, **_firing(node)), node.number("r") * dt
    else:
        op, gain = _leaking(node, dt)
    said = _said(node, op)
    if not isclose(gain, 1, rel_tol=RELATIVE_TOLERANCE):
        factor = torch.tensor([gain], dtype=torch.float64)
        source = draft.add(ScaleOp(), (source,), node.origin, factor=factor)
    source = _synapse(draft, node, source, dt)
    if said is None:
        return draft.add(op, (source,), node.origin)
    same, learned = said
    return draft.add(
        same, (source,), node.origin, **{key: torch.tensor(w, dtype=torch.float64) for key, w in learned.items()}
    )


def _synapse(draft: Draft, node: Primitive, source: int, dt: float) -> int:
    """Return the current of ``CubaLIF`` that outlasts a time-step: I[t] = decay I[t-1] + X[t]."""
    if node.kind != "CubaLIF":
        return source
    steps = node.number("tau_syn") / dt
    if isclose(steps, 1, rel_tol=RELATIVE_TOLERANCE):
        return source
    if steps < 1:
        raise node.origin.refusal(f"has a current of {steps:g} time-steps of {dt:g} s; it must be 1 or more")
    delay = draft.add_delay(replace(draft.items[source].output, values=REAL), node.origin)
    decayed = draft.add(Scale(value=_short(1 - 1 / steps, node.array("tau_syn"))), (delay,), node.origin)
    total = draft.add(Add(), (source, decayed), node.origin)
    draft.close(delay, total)
    return total


def _short(value: float, like: npt.NDArray[Any]) -> float:
    """Return a number without the digits that dividing by seconds, in the precision of an array, has left."""
    near = float(f"{value:.6g}")
    return near if isclose(near, value, rel_tol=4 * float(np.finfo(like.dtype).eps)) else value


def _leaking(node: Primitive, dt: float) -> tuple[LinearNeuron, float]:
    """``LIF``; ``CubaLIF`` where its current does not outlast the step: I = w_in X."""
    gain = node.number("r")
    if node.kind == "CubaLIF":
        gain *= node.number("w_in") / (node.number("tau_syn") / dt)
    times = node.array(NEURONS[node.kind])
    tau, precision = node.number(NEURONS[node.kind]) / dt, float(np.finfo(times.dtype).eps)
    if tau <= 1 or isclose(tau, 1, rel_tol=RELATIVE_TOLERANCE):
        raise node.origin.refusal(f"has a time constant of {tau:g} time-steps of {dt:g} s; it must be more than 1")
    leak, reset = node.number("v_leak"), _firing(node)["v_reset"]
    if not isclose(leak, reset, rel_tol=RELATIVE_TOLERANCE, abs_tol=ABSOLUTE_TOLERANCE):
        raise node.origin.refusal(
            f"leaks towards {leak:g}, but is reset to {reset:g}; ours leak towards where they are reset to"
        )
    # 2.0000000000000004, which was divided by seconds in a dtype of some precision, is 2
    near = float(f"{tau:.6g}")
    tau = near if isclose(near, tau, rel_tol=2 * precision) else tau
    if isclose(gain, tau, rel_tol=RELATIVE_TOLERANCE):
        return make_op(DLIF, node.origin, decay=_short(1 - 1 / tau, times), **_firing(node)), 1.0
    return make_op(LIF, node.origin, tau=tau, **_firing(node)), gain


def _firing(node: Primitive) -> dict[str, float]:
    reset = node.number("v_reset") if node.fields.get("v_reset") is not None else 0.0
    return {"v_threshold": node.number("v_threshold"), "v_reset": reset}


def _said(node: Primitive, op: LinearNeuron) -> tuple[LinearNeuron, dict[str, float]] | None:
    """Return the neuron that a node was written for and its learned scalars, if it computes the same."""
    said = _neuron(node.written_for)
    if said is None or (said.v_threshold, said.v_reset) != (op.v_threshold, op.v_reset):
        return None
    learned = {"w": -log(op.tau - 1)} if isinstance(said, PLIF) and isinstance(op, LIF) else dict(said.learnable())
    wanted, found = op.at_start(), said.dynamics(**{key: PlainScalar(value) for key, value in learned.items()})
    if wanted is None or not all(
        isclose(a, b, rel_tol=RELATIVE_TOLERANCE, abs_tol=ABSOLUTE_TOLERANCE)
        for a, b in zip(wanted, found, strict=True)
    ):
        return None
    return said, learned


@lru_cache(maxsize=1024)
def _neuron(text: str) -> LinearNeuron | None:
    """Return the neuron of a text; None: it is none, or nothing that can be understood."""
    try:
        said = load(text, input=(1,)).nodes[-1].op
    except SewdslError:
        return None
    return said if isinstance(said, LinearNeuron) else None
