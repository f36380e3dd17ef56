"""A network as a file of SpikingJelly's layers."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING

from sewdsl.exchange.errors import ExportError
from sewdsl.exchange.write.formats import ExportFormat
from sewdsl.exchange.write.source import Dialect, write_document
from sewdsl.exchange.write.source.run_source import neutral_currents, run_source
from sewdsl.exchange.write.spikingjelly.layers import TEXTS, SpikingJellyLayers
from sewdsl.ir.network import Network

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["source", "target"]


MODULES = ("functional", "layer", "neuron", "surrogate")
DIALECT = Dialect(
    title="SpikingJelly",
    layers=SpikingJellyLayers,
    imports={"spikingjelly.activation_based": MODULES},
    reserved=frozenset({*MODULES, *TEXTS}),
    ready=('functional.set_step_mode(self, "m")',),
    begin=("functional.reset_net(self)  # no potential outlives a forward",),
)


def source(network: Network, inputs: str = "") -> str:
    """A file that makes a network of SpikingJelly's layers.

    The same network gives the same file. Its class is the last in the file, and has the ``state_dict`` of our module.

    Args:
        network: The network.
        inputs: How they are scaled, in words.

    Raises:
        UnsupportedLayer: SpikingJelly has no such layer, neuron, surrogate or join.
    """
    return write_document(network, DIALECT, neutral_currents, inputs)


def _run(data: bytes, x: Tensor, weights: Mapping[str, Tensor]) -> Tensor:
    if find_spec("spikingjelly") is None:
        message = "this needs spikingjelly, which is not installed: pip install spikingjelly==2.0.0"
        raise ExportError(message)
    return run_source(data, x, weights)


target = ExportFormat(
    endings=(".py",),
    write=lambda model, inputs: source(model.network, inputs).encode(),
    run=_run,
    holds_weights=False,
)
