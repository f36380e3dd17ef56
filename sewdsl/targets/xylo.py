"""Xylo, a family of chips with fully connected layers of leaky neurons."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from sewdsl.ir.network import Network
from sewdsl.light_dataclass import dataclass
from sewdsl.ops.joins import Add
from sewdsl.ops.layers.linear import Linear
from sewdsl.targets.layers import LayerTarget, neuron_after, weighted_readers
from sewdsl.targets.target import Citation, Fit, Misfit, at_most


@dataclass(frozen=True, kw_only=True)
class Xylo(LayerTarget):
    """Chip with hidden neurons, which any weights can connect, and output neurons.

    Attributes:
        fan_out: Largest number of hidden neurons that a hidden neuron sends spikes to.
        average: Largest mean of these numbers.
        projection: Largest number of hidden neurons that read the input, and that the output neurons read.
    """

    inputs: int = 16
    neurons: int
    outputs: int
    fan_out: int
    average: int = 64
    projection: int

    @property
    def limits(self) -> tuple[str, ...]:
        return (
            f"events as input, of at most {self.inputs} channels",
            *super().limits,
            f"at most {self.outputs} output neurons, and at least one layer of other neurons",
            f"spikes of a hidden neuron to at most {self.fan_out:,} hidden neurons, {self.average} on average",
            f"input to at most {self.projection:,} hidden neurons, and output from at most {self.projection:,}",
        )

    def check(self, network: Network) -> Fit:
        misfits, rows, unknown, _ = super().check(network)
        misfits += tuple(self._ends(network))
        # With few neurons, the search for readers takes little time.
        return Fit(misfits or tuple(self._connections(network)), rows, unknown)

    def _ends(self, network: Network) -> Iterator[Misfit]:
        nodes = network.nodes
        for node in (nodes[i] for i in network.input_indices):
            yield from at_most(node, node.output.elements, self.inputs, "input channels", "reduce the input")
            if not node.output.varies:
                yield Misfit(node, "expected events, got an image", "train on events, without encode direct")
        for node in (nodes[i] for i in network.output_indices):
            yield from at_most(node, node.output.elements, self.outputs, "output neurons", "use fewer outputs")
            if not self.hidden(network):
                yield Misfit(node, "expected two layers of neurons, got one", "add a layer of neurons")

    def _connections(self, network: Network) -> Iterator[Misfit]:
        """Yield layers with too many connections."""
        nodes, readers, hidden = network.nodes, weighted_readers(network, self.fan_out + 1), self.hidden(network)
        after = {i: neuron_after(network, i) for own in readers for i in own}
        fan_outs = {i: sum(nodes[j].output.elements for j in readers[i] if after[j] in hidden) for i in hidden}
        for index, count in fan_outs.items():
            hint = f"use at most {self.fan_out:,} neurons in the layers that read it"
            yield from at_most(nodes[index], count, self.fan_out, "hidden neurons that read a neuron", hint)
        weights, first = sum(hidden[i] * fan_outs[i] for i in hidden), nodes[min(hidden)]
        hint = "use fewer neurons"
        yield from at_most(first, weights, self.average * self.neurons, "weights between hidden neurons", hint)
        reading = {after[j] for i in network.input_indices for j in readers[i]}
        counts = {
            "hidden neurons that read the input": sum(hidden[i] for i in hidden if i in reading),
            "hidden neurons that the output neurons read": sum(
                hidden[i] for i in hidden if any(after[j] not in hidden for j in readers[i])
            ),
        }
        for what, count in counts.items():
            yield from at_most(first, count, self.projection, what, hint)


def _sources(chip: str) -> tuple[Citation, ...]:
    folder, package = f"Rockpool 3.1.0, devices/xylo/{chip}", "https://pypi.org/project/rockpool/3.1.0/"
    return (
        Citation("Rockpool, Overview of the Xylo family: resources", "https://rockpool.ai/devices/xylo-overview.html"),
        Citation(f"{folder}/xylo_mapper.py: order of layers, numbers of neurons", package),
        Citation(f"{folder}/xylo_samna.py: rounding, neurons that read the input", package),
    )


AUDIO2 = Xylo(
    name="xylo-audio2",
    title="Xylo Audio 2",
    sources=_sources("syns61201"),
    unknown=(
        "leak: a potential V loses V >> n at each time-step, so a decay is rounded to 1 - 2^-n",
        "rounding: weights have 8 bits",
        "recurrent weights: the chip has them, but loops are not checked",
    ),
    layers=(Linear, Add),
    leak="required",
    resets=("to zero", "by subtraction", "to v_reset"),
    fires=True,
    bias=False,
    neurons=1000,
    outputs=8,
    fan_out=64,
    projection=1000,
)
AUDIO3 = replace(
    AUDIO2,
    name="xylo-audio3",
    title="XyloAudio 3",
    sources=_sources("syns65302"),
    neurons=992,
    outputs=32,
    fan_out=1024,
    projection=128,
)
IMU = replace(
    AUDIO3, name="xylo-imu", title="Xylo IMU", sources=_sources("syns63300"), neurons=496, outputs=16, fan_out=512
)
