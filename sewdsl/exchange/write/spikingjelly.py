"""Export as a Python file with SpikingJelly layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

from sewdsl.exchange.errors import MissingLibrary, UnsupportedLayer
from sewdsl.exchange.spikingjelly_names import NEURONS, SURROGATES
from sewdsl.exchange.write.python import equations, layer_classes
from sewdsl.exchange.write.python.layers import layer_call
from sewdsl.exchange.write.source import Dialect, loops
from sewdsl.exchange.write.source.document import run_source
from sewdsl.exchange.write.source.expressions import Arg, Code, Literal, PyCall
from sewdsl.ir.network import Network
from sewdsl.ir.node import Node
from sewdsl.ir.op import Neuron, ParallelNeuron, Spiking, Surrogate
from sewdsl.ops.equation_neurons import EquationKind
from sewdsl.ops.neurons.integrate_and_fire import DLIF, LIF, PLIF
from sewdsl.ops.neurons.parallel import MaskedParallelSpikingNeuron, ParallelSpikingNeuron, SlidingParallelSpikingNeuron
from sewdsl.ops.surrogates import ATan

if TYPE_CHECKING:
    from torch import Tensor

    from sewdsl.exchange.write.formats import Outputs
    from sewdsl.lower.inputs import Inputs

PARALLEL: dict[type[ParallelNeuron], str] = {
    ParallelSpikingNeuron: "neuron.PSN",
    MaskedParallelSpikingNeuron: "MaskedPSN",
    SlidingParallelSpikingNeuron: "neuron.SlidingPSN",
}


def _neuron(node: Node, op: Spiking) -> PyCall:
    if isinstance(op, ParallelNeuron) and type(op) in PARALLEL:
        return _parallel(node, op)
    if not isinstance(op, Neuron) or type(op) not in NEURONS:
        raise UnsupportedLayer(node, "is a neuron without an equivalent in SpikingJelly")
    tau: tuple[Arg, ...] = ()
    if isinstance(op, LIF | PLIF):
        name = "tau" if isinstance(op, LIF) else "init_tau"
        tau = (Arg(name, Literal(op.tau), 2.0),)
    elif isinstance(op, DLIF):
        # LIFNode with decay_input=False computes V + X - (V - v_reset) / tau: decay = 1 - 1 / tau.
        tau = (Arg("tau", Literal(1 / (1 - op.decay)), 2.0), Arg("decay_input", Literal(False), default=True))  # noqa: FBT003
    return PyCall(
        f"neuron.{NEURONS[type(op)]}",
        (
            *tau,
            Arg("v_threshold", Literal(op.v_threshold), 1.0),
            Arg("v_reset", Literal(op.v_reset), 0.0),
            Arg("surrogate_function", Literal(_surrogate(node, op.surrogate))),
            Arg("detach_reset", Literal(op.detach_reset), default=False),
        ),
    )


def _parallel(node: Node, op: ParallelNeuron) -> PyCall:
    # SpikingJelly's parallel neurons have no argument for the initial threshold.
    if op.v_threshold != 1:
        raise UnsupportedLayer(node, f"has initial v_threshold {op.v_threshold}; SpikingJelly's {op.kind} starts at 1")
    sizes = {name: value for name, value in op if name in {"order", "steps"}}
    return PyCall(
        PARALLEL[type(op)],
        (
            *(Arg(name, Literal(sizes[field]), positional=True) for name, field in SIZE_ARGUMENTS if field in sizes),
            Arg("surrogate_function", Literal(_surrogate(node, op.surrogate))),
        ),
    )


SIZE_ARGUMENTS = (("k", "order"), ("T", "steps"))
"""SpikingJelly's names of the size arguments of parallel neurons, in order, and the sewdsl names."""


def _surrogate(node: Node, surrogate: Surrogate) -> Code:
    equivalent = next((equivalent for equivalent in SURROGATES if equivalent.kind is type(surrogate)), None)
    if equivalent is None or equivalent.call is None:
        raise UnsupportedLayer(node, f"has the surrogate {surrogate.kind}, which has no equivalent in SpikingJelly")
    if isinstance(surrogate, ATan) and surrogate.scale != 1:
        raise UnsupportedLayer(
            node, f"has the surrogate ATan with scale {surrogate.scale}; SpikingJelly's ATan has no scale"
        )
    return Code(f"surrogate.{equivalent.name}({equivalent.call(surrogate)})")


FIRE = '''\
def fire(u: Tensor, spikes: nn.Module) -> Tensor:
    """Return spikes where u >= 0, with the gradient of a SpikingJelly surrogate."""
    return spikes(u)
'''
TEXTS = {
    **layer_classes.LAYER_TEXTS,
    **layer_classes.weighted_norm_texts("layer"),
    **layer_classes.norm_texts(
        "layer",
        "weight * scale * (x - mean) / sqrt(var + eps) + bias. SpikingJelly's norm\n"
        "    stores weight * scale as its weight, which changes the effective learning rate.",
    ),
    **layer_classes.SEQUENCE_TEXTS,
    **layer_classes.once_texts("layer"),
    "MaskedPSN": '''\
class MaskedPSN(neuron.MaskedPSN):
    """Masked parallel neurons with a complete mask, which is not part of the state_dict."""

    def __init__(self, k: int, T: int, **options: Any) -> None:
        super().__init__(k, T, 1.0, **options)
        for name, buffer in list(self.named_buffers()):
            self.register_buffer(name, buffer, persistent=False)
''',
    "Linear": layer_classes.LINEAR.format(library="layer"),
}
"""Definitions of classes that SpikingJelly does not have."""
CALLEES = {
    "nn.Linear": "layer.Linear",
    "nn.Flatten": "layer.Flatten",
    **{name: name for name in ("nn.ReLU", "nn.GELU", "nn.SiLU", "nn.Sigmoid", "nn.Tanh", "nn.PReLU")},
    "VotingPool": "layer.VotingLayer",
}
"""SpikingJelly's names of layers, by their PyTorch names, where ``layer.NAME`` does not exist."""


class SpikingJellyLayers:
    """Layers of a network in SpikingJelly."""

    def __init__(self, network: Network, taken: set[str]) -> None:
        self._network = network
        self._used: set[str] = set()
        self._has_loops = bool(network.graph.looped)
        self._equations = equations.EquationClasses(loops.BASE if self._has_loops else "nn.Module", taken)

    def module_call(self, node: Node) -> PyCall:
        """Return the constructor call of a node's module."""
        if isinstance(node.op, EquationKind):
            surrogate = node.op.step_surrogate
            slope = "" if surrogate is None else _surrogate(node, surrogate)
            source = self._network.inputs(node)[0]
            return self._equations.call(node.op, source, slope)
        # A loop runs step by step, but PSN needs the whole sequence.
        if isinstance(node.op, ParallelNeuron) and self._network.nodes.index(node) in self._network.graph.looped:
            raise UnsupportedLayer(node, "is in a loop, but SpikingJelly computes all its time-steps at once")
        if isinstance(node.op, Spiking):
            neuron_call = _neuron(node, node.op)
            self._used.add(neuron_call.callee)
            return neuron_call
        call = layer_call(node, self._network, "is a layer without an equivalent in SpikingJelly")
        self._used.add(call.callee)
        if call.callee in TEXTS or call.callee in loops.NAMES:
            return call
        callee = CALLEES.get(call.callee, f"layer.{call.callee}")
        return PyCall(callee, () if call.callee == "nn.Flatten" else call.args)

    def definitions(self) -> Sequence[str]:
        """Return the functions and classes that the calls so far require."""
        layers = layer_classes.layer_definitions(
            TEXTS, self._used, ("functional.reset_net(part)",), looped=self._has_loops
        )
        fire = [FIRE] if self._equations.fires else []
        return [*layers, *fire, *self._equations.definitions()]


MODULES = ("functional", "layer", "neuron", "surrogate")
DIALECT = Dialect(
    title="SpikingJelly",
    layers=SpikingJellyLayers,
    imports={"spikingjelly.activation_based": MODULES},
    reserved=frozenset({*MODULES, *TEXTS, "each_step", "fire"}) | equations.NAMES,
    ready=('functional.set_step_mode(self, "m")',),
    begin=("functional.reset_net(self)  # Every forward starts from the initial state.",),
    reset="functional.reset_net({})",
)


source = DIALECT.source
write = DIALECT.write


def run_layers(data: bytes, x: Inputs, weights: Mapping[str, Tensor]) -> Outputs:
    """Run an exported network with the given weights and return its outputs."""
    if find_spec("spikingjelly") is None:
        raise MissingLibrary("spikingjelly")
    return run_source(data, x, weights)
