"""A network as a file of plain PyTorch."""

from __future__ import annotations

from sewdsl.exchange.write.python import layers, neurons
from sewdsl.exchange.write.source import Dialect

DIALECT = Dialect(
    title="plain PyTorch",
    layers=layers.TorchLayers,
    imports={},
    reserved=frozenset({"each_step", *layers.TEXTS}) | neurons.NAMES | neurons.SURROGATE_NAMES,
)
source = DIALECT.source
write = DIALECT.write
