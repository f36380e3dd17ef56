"""``energy.json``: the operations of a trained network, counted on a few test samples once its run has ended."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from sewdsl.analysis.energy_table import LayerCounts, MemoryCosts, energy_lines
from sewdsl.analysis.operation_bounds import EnergyCosts, operation_bounds
from sewdsl.ir.network import Network
from sewdsl.notation.energy_forms import EnergyTable
from sewdsl.train.records import STRICT, Count, Positive, Share, Text, Word

COUNTED_SAMPLES = 16
"""Test samples on which a run counts its operations: ``sewdsl probe energy RUN`` counts on all."""

_Figure = Annotated[float, Field(ge=0, le=1e100)]


class LayerRecord(BaseModel):
    """What a layer computed for one sample, see :class:`sewdsl.analysis.energy_table.LayerCounts`."""

    model_config = STRICT

    events: _Figure
    accumulations: _Figure
    rate: Share
    largest: _Figure


class EnergyRecord(BaseModel):
    """The contents of ``energy.json``.

    Attributes:
        data: The dataset's name.
        samples: Test samples that were shown, with the weights of the last epoch.
        of: How many there are.
        sparsity: Share of what neurons gave that was zero.
        layers: Counts of each layer with weights, by the node's name; means over samples.
    """

    model_config = STRICT

    data: Word
    samples: Positive
    of: Count
    sparsity: Share
    layers: dict[Text, LayerRecord]

    def table(self, network: Network) -> EnergyTable | None:
        """The whole table, at the usual energies of an operation; None: the counts are of another network."""
        bounds = list(operation_bounds(network))
        if {most.node.name for most in bounds} != set(self.layers):
            return None
        counted = [LayerCounts(most, **self.layers[most.node.name].model_dump()) for most in bounds]
        shown = f"{self.samples:,} of {self.of:,}" if self.samples != self.of else f"all {self.of:,}"
        title = (
            f"{network.name}: operations of one sample, T = {network.settings.steps}, after the last epoch, "
            f"on {shown} test samples of {self.data}"
        )
        lines = energy_lines(network, counted)
        return EnergyTable(network, title, lines, self.sparsity, EnergyCosts(), MemoryCosts(), trained=True)
