"""Neurons of SpikingJelly, as ours."""

from __future__ import annotations

from collections.abc import Callable
from math import exp
from typing import Any

import torch

from sewdsl.export.incoming.draft import ScaleOp
from sewdsl.export.incoming.made import make_op
from sewdsl.export.incoming.modules.trace import LeadingAxes, Trace, TracedTensor
from sewdsl.ir.op import Neuron, Surrogate
from sewdsl.ops.neurons.integrate_and_fire import IF
from sewdsl.ops.neurons.leaky_integrate_and_fire import LIF
from sewdsl.ops.neurons.parametric_lif import PLIF
from sewdsl.ops.surrogates.atan import ATan
from sewdsl.ops.surrogates.constant import Constant
from sewdsl.ops.surrogates.rectangular import Rectangular
from sewdsl.ops.surrogates.sigmoid import Sigmoid
from sewdsl.ops.surrogates.triangle import Triangle

NEURONS = ("IFNode", "LIFNode", "ParametricLIFNode")

LIBRARIES = {
    "spikingjelly.": f"is not covered: of SpikingJelly's neurons, {', '.join(NEURONS[:-1])} and {NEURONS[-1]} are",
    "snntorch.": "is not covered: of snnTorch, what its export_to_nir writes can be imported",
}
"""What is said of a neuron of another library that is none of them, by what the names of its modules begin with."""


def unsupported_neuron_message(module: Any) -> str:
    """What is to be said of a module that is a neuron of another library; empty for one that is none."""
    for cls in type(module).__mro__:
        for library, said in LIBRARIES.items():
            if cls.__module__.startswith(library) and ".neuron" in cls.__module__.replace("._", "."):
                return said
    return ""


def neuron(trace: Trace, module: Any, a: TracedTensor) -> TracedTensor:
    """``IFNode``, ``LIFNode`` and ``ParametricLIFNode``.

    One that does not divide its input by tau reads tau times as much.
    """
    if a.form is not (LeadingAxes.SEQUENCE if module.step_mode == "m" else LeadingAxes.STEP):
        raise trace.refusal(f"is in step mode '{module.step_mode}', but reads {a.form.value}")
    common = {
        "v_threshold": float(module.v_threshold),
        "v_reset": None if module.v_reset is None else float(module.v_reset),
        "detach_reset": bool(module.detach_reset),
        "surrogate": _surrogate(trace, module.surrogate_function),
    }
    learns, decays = hasattr(module, "w"), getattr(module, "decay_input", True)
    if learns and not decays:
        raise trace.refusal("learns tau, and does not divide its input by it (decay_input=False)")
    if learns:
        op: Neuron = make_op(PLIF, trace.origin, tau=_tau(module.w), **common)
        return trace.add(op, a, w=module.w.detach().clone().reshape(()))
    if not hasattr(module, "tau"):
        return trace.add(make_op(IF, trace.origin, **common), a)
    if not decays:
        a = trace.add(ScaleOp(), a, factor=torch.tensor([module.tau], dtype=torch.float64))
    return trace.add(make_op(LIF, trace.origin, tau=float(module.tau), **common), a)


def _tau(w: torch.Tensor) -> float:
    """Time-steps; w is in float32, so that more digits than that would say nothing."""
    return float(f"{1 + exp(-float(w.detach())):.6g}")


def _surrogate(trace: Trace, function: Any) -> Surrogate:
    name = type(function).__name__
    if not getattr(function, "spiking", True):
        raise trace.refusal(f"gives no spikes, but what {name} is the derivative of (spiking=False)")
    found = SURROGATES[name](function) if name in SURROGATES else None
    if found is None:
        raise trace.refusal(f"has the surrogate {name}, which the language does not have")
    kind, arguments = found
    return make_op(kind, trace.origin, **arguments)


Derivative = tuple[type[Surrogate], dict[str, float]]
"""One of ours, and its arguments."""
SURROGATES: dict[str, Callable[[Any], Derivative | None]] = {
    "ATan": lambda f: (ATan, {"alpha": float(f.alpha)}),
    "Sigmoid": lambda f: (Sigmoid, {"alpha": float(f.alpha)}),
    "PiecewiseQuadratic": lambda f: (Triangle, {"alpha": float(f.alpha)}),
    "Rect": lambda f: (Rectangular, {"width": 1 / float(f.alpha)}),
    "PiecewiseLeakyReLU": lambda f: None if f.c else (Rectangular, {"width": 2 * float(f.w)}),
    "LeakyKReLU": lambda f: (Constant, {"value": float(f.k)}) if f.k == f.leak else None,
    "DeterministicPass": lambda _: (Constant, {"value": 1.0}),
}
"""Of SpikingJelly, by name; None: with these arguments it is none of ours."""
