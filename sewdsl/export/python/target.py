"""Files of plain PyTorch."""

from __future__ import annotations

from sewdsl.export.python import layers, neurons, surrogates
from sewdsl.export.source import Dialect, write_document
from sewdsl.export.source.running import neutral_currents, run_source
from sewdsl.export.target import ExportFormat
from sewdsl.ir.network import Network

DIALECT = Dialect(
    title="plain PyTorch",
    layers=layers.TorchLayers,
    imports={},
    reserved=frozenset({"each_step", *layers.TEXTS}) | neurons.NAMES | surrogates.SURROGATE_NAMES,
)


def source(network: Network, inputs: str = "") -> str:
    """A file that makes a network, of PyTorch alone.

    The same network gives the same file. Its class is the last in the file, and has the ``state_dict`` of our module.

    Args:
        network: The network.
        inputs: How they are scaled, in words.

    Raises:
        Refused: a layer, neuron, surrogate or join is of a kind that is not sewdsl's own.
    """
    return write_document(network, DIALECT, neutral_currents, inputs)


target = ExportFormat(
    endings=(".py",),
    write=lambda model, inputs: source(model.network, inputs).encode(),
    run=run_source,
    holds_weights=False,
)
