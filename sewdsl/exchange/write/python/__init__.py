"""A network as a file of plain PyTorch."""

from __future__ import annotations

from sewdsl.exchange.write.formats import ExportFormat
from sewdsl.exchange.write.python import layers, neurons
from sewdsl.exchange.write.source import Dialect, write_document
from sewdsl.exchange.write.source.run_source import run_source
from sewdsl.ir.network import Network

__all__ = ["source", "target"]


DIALECT = Dialect(
    title="plain PyTorch",
    layers=layers.TorchLayers,
    imports={},
    reserved=frozenset({"each_step", *layers.TEXTS}) | neurons.NAMES | neurons.SURROGATE_NAMES,
)


def source(network: Network, inputs: str = "") -> str:
    """A file that makes a network, of PyTorch alone.

    The same network gives the same file. Its class is the last in the file, and has the ``state_dict`` of our module.

    Args:
        inputs: How they are scaled, in words.

    Raises:
        UnsupportedLayer: a layer, neuron, surrogate or join is of a kind that is not sewdsl's own.
    """
    return write_document(network, DIALECT, inputs)


target = ExportFormat(
    endings=(".py",),
    write=lambda model, inputs: source(model.network, inputs).encode(),
    run=run_source,
    tolerance=1e-8,
    double=True,
    holds_weights=False,
)
