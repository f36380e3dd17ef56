"""Laws of neurons as equations, called with numbers or with these numbers as defaults."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

import sewdsl
from sewdsl.analysis.energy import EnergyCosts, LayerCounts, operation_bounds
from sewdsl.cli.show import network_to_json
from sewdsl.exchange.errors import UnsupportedLayer
from sewdsl.exchange.write.nir.write_graph import to_graph
from sewdsl.exchange.write.source.document import module_from_source
from sewdsl.ir.json import to_json
from sewdsl.ir.network import Network
from sewdsl.lower import SpikingNetwork
from sewdsl.notation import write_net
from sewdsl.notation.energy_forms import energy_to_json
from sewdsl.ops.equation_neurons import EquationKind
from sewdsl.snn import kernels
from sewdsl.source import Source
from tests.exchange.source.files import SOURCES
from tests.laws.random_neurons import Plain, RandomNeuron, plain
from tests.network_json import from_json

DOUBLE = torch.float64
TOLERANCE = 1e-8
"""Parts of the size of what is compared."""


def both(neuron: RandomNeuron, body: str = "N") -> tuple[Network, Network] | None:
    """The network with the neuron called, and with its numbers as defaults; None where a default is wrong."""
    called, default = (neuron.compiled(body, called=called) for called in (True, False))
    if called.network is None or not called.valid:
        # the definition is wrong with its own numbers, or the call is, and then these are no defaults either
        assert not default.valid or any(said.span.line <= 2 + len(neuron.lines) for said in called.diagnostics)
        return None
    if default.network is None or not default.valid:
        assert neuron.settings, default.diagnostics  # the defaults are read with the usual settings
        return None
    return called.network, default.network


def check_numbers_decide(neuron: RandomNeuron) -> str:
    """A neuron called with numbers is the neuron with these as its defaults; its family, or nothing if it is wrong."""
    networks = both(neuron, "FC4-N-FC2")
    if networks is None:
        return ""
    one, other = (_neuron(network) for network in networks)
    assert type(one).__mro__[1] is type(other).__mro__[1]
    assert one.equations.text == other.equations.text
    assert (one.reads, one.fixed_steps, one.can_be_silent) == (other.reads, other.fixed_steps, other.can_be_silent)
    facts, others = (_facts(network) for network in networks)
    assert facts == others
    called = networks[0]
    assert pickle.loads(pickle.dumps(one)) == one  # noqa: S301 -- our own
    assert hash(one) == hash(one.replace())
    assert from_json(to_json(called)) == called
    assert [node.op for node in sewdsl.read(Source("again.net", write_net(called))).result()] == [n.op for n in called]
    return type(one).__mro__[1].__name__


def _neuron(network: Network) -> EquationKind:
    (found,) = (node.op for node in network if isinstance(node.op, EquationKind))
    return found


def _facts(network: Network) -> Any:
    """Types, sizes, counts and energy of all layers: what is shown of a network, but for its text."""
    shown, lines = network_to_json(network), [*map(LayerCounts.at_most, operation_bounds(network))]
    energy = energy_to_json(network, lines, EnergyCosts())
    layers = [{key: value for key, value in layer.items() if key != "text"} for layer in shown["layers"]]
    return layers, [shown[key] for key in ("parameters", "macs", "activations", "output")], energy["layers"]


def check_against_plain(
    neuron: RandomNeuron, choice: kernels.Choice = "reference", levels: tuple[int, ...] = (0, 1)
) -> str:
    """A neuron computes what PyTorch does of its equations, called and by default; why not compared, or nothing."""
    networks = both(neuron)
    if networks is None:
        return "invalid"
    wanted: Plain | None = None
    for network in networks:
        for level in levels:
            model = _model(neuron, network, level)
            learned = {name.rpartition(".")[2]: value for name, value in model.named_parameters()}
            wanted = wanted or plain(neuron, learned)
            if not wanted.decided:
                return "undecided"
            with kernels.use_kernels(choice):
                _agree(model, learned, neuron, wanted)
            values = network.nodes[-1].output.values
            if values.upper is not None:
                assert torch.equal(wanted.y, wanted.y.round())
                assert values.lower <= float(wanted.y.min()) <= float(wanted.y.max()) <= values.upper
    return ""


def _model(neuron: RandomNeuron, network: Network, level: int) -> SpikingNetwork:
    """The module, with what it learns moved away from where it starts."""
    model = sewdsl.compile(network, seed=0, optimize=level).double()
    with torch.no_grad():
        for salt, parameter in enumerate(model.parameters(), start=2):
            parameter.add_(0.3 * neuron.random(*parameter.shape, salt=salt))
    return model


def _agree(model: Any, learned: Mapping[str, Tensor], neuron: RandomNeuron, wanted: Plain) -> None:
    x = neuron.x.requires_grad_()
    y = model(x, return_sequence=True)
    torch.testing.assert_close(y.detach(), wanted.y, rtol=TOLERANCE, atol=TOLERANCE)
    loss = (y * neuron.random(*y.shape, salt=1)).sum() + 0 * x.sum()  # what is given may depend on nothing
    found = torch.autograd.grad(loss, [x, *learned.values()], allow_unused=True, materialize_grads=True)
    for gradient, (name, other) in zip(found, wanted.gradients.items(), strict=True):
        size = 1 + float(other.abs().max())
        torch.testing.assert_close(gradient, other, rtol=TOLERANCE, atol=TOLERANCE * size, msg=f"gradient of {name}")


def check_exports(neuron: RandomNeuron) -> list[str]:
    """Files for other libraries compute the same, called and by default; the formats that say such a neuron."""
    networks = both(neuron, "FC4-N-FC2")
    if networks is None:
        return []
    formats = []
    models = [_model(neuron, network, 0) for network in networks]
    x = neuron.x
    with torch.no_grad(), kernels.use_kernels("reference"):
        wanted = models[0](x)
        for name, source in SOURCES.items():
            for network in networks:
                model: Any = module_from_source(source(network)).double()
                model.load_state_dict(models[0].state_dict())
                torch.testing.assert_close(model(x), wanted, rtol=TOLERANCE, atol=TOLERANCE)
            formats.append(name)
    graphs = [_nir(model) for model in models]
    assert graphs[0] == graphs[1]
    return [*formats, *(["nir"] if graphs[0] else [])]


def _nir(model: SpikingNetwork) -> list[tuple[str, str]]:
    """The nodes of NIR and their numbers; none where it has no such neuron."""
    try:
        nodes = to_graph(model).nodes
    except UnsupportedLayer:
        return []
    return [
        (name, repr(sorted((key, repr(value)) for key, value in vars(node).items()))) for name, node in nodes.items()
    ]
