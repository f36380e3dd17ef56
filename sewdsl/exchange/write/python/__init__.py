"""A network as a file of plain PyTorch."""

from __future__ import annotations

from sewdsl.exchange.write.python import layers, neurons
from sewdsl.exchange.write.source import Dialect
from sewdsl.exchange.write.source.run_source import run_source

__all__ = ["source", "target"]


DIALECT = Dialect(
    title="plain PyTorch",
    layers=layers.TorchLayers,
    imports={},
    reserved=frozenset({"each_step", *layers.TEXTS}) | neurons.NAMES | neurons.SURROGATE_NAMES,
)
source = DIALECT.source
target = DIALECT.target(run_source)
