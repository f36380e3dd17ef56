"""Export as a Python file that requires PyTorch only."""

from __future__ import annotations

from sewdsl.exchange.write.python import layer_classes, layers, neurons
from sewdsl.exchange.write.source import Dialect

DIALECT = Dialect(
    title="plain PyTorch",
    layers=layers.TorchLayers,
    imports={},
    reserved=frozenset({"each_step", *layer_classes.TEXTS}) | neurons.NAMES | neurons.SURROGATE_NAMES,
)
source = DIALECT.source
write = DIALECT.write
