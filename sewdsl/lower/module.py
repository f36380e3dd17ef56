"""A network as a torch module."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from torch import Tensor, nn

from sewdsl.ir.network import Network
from sewdsl.lower import inputs
from sewdsl.lower.stream import Stream
from sewdsl.snn.neuron import Neuron

Integrate = Callable[[str, Neuron, Tensor], Tensor]
"""How a neuron of some name turns its input current ``[T, N, *]`` into spikes."""


class Section(nn.Module):
    """A repeat, a block or a branch: a part of the network with a name, which computes nothing itself."""


class Call(NamedTuple):
    """One node, as forward runs it.

    Attributes:
        name: Of the node and its module.
        operands: Indices of the nodes it reads.
        spent: Indices of the nodes that nobody reads after it.
    """

    name: str
    operands: tuple[int, ...]
    spent: tuple[int, ...]


class SpikingNetwork(nn.Module):
    """Runs the nodes of a network in order; its submodules carry their names.

    No state survives a forward: every call starts from resting neurons.

    Attributes:
        network: What it computes.
    """

    def __init__(self, network: Network, modules: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.network = network
        self.calls = _schedule(network)
        for name, module in modules.items():
            _place(self, name, module)

    def forward(self, x: Tensor, *, return_sequence: bool = False) -> Tensor:
        """The output over all time-steps, read out as the network says.

        Args:
            x: A sequence ``[T, N, C, H, W]`` (or ``[T, N, F]``) of any length T >= 1, or a static input
                ``[N, C, H, W]`` (or ``[N, F]``), which is shown at each of the network's T steps. Integers and
                booleans are converted to the parameters' number format, as they are: 255 becomes 255.0.
            return_sequence: Whether to return the output of every time-step instead of one readout.

        Returns:
            ``[N, classes]``, or ``[T, N, classes]``.

        Raises:
            ValueError: the input's shape or number format does not fit.
        """
        settings = self.network.settings
        y_TN = self.run(inputs.as_sequence(x, settings, self.example))
        if return_sequence:
            return y_TN
        if settings.readout == "last":
            return y_TN[-1]
        return y_TN.sum(0) if settings.readout == "sum" else y_TN.mean(0)

    def stream(self) -> Stream:
        """A view of this module that takes one time-step at a time."""
        return Stream(self)

    def run(self, x_TN: Tensor, integrate: Integrate | None = None) -> Tensor:
        """The output of every time-step; each value is dropped behind its last reader.

        Args:
            x_TN: The input, ``[T, N, *]``, known to fit.
            integrate: What stands in for a neuron's forward.
        """
        values = {0: x_TN}
        for index, call in enumerate(self.calls, start=1):
            module = self.get_submodule(call.name)
            operands = [values[i] for i in call.operands]
            if integrate is not None and isinstance(module, Neuron):
                values[index] = integrate(call.name, module, *operands)
            else:
                values[index] = module(*operands)
            del operands
            for i in call.spent:
                del values[i]
        return values[self.network.output]

    @property
    def example(self) -> Tensor | None:
        """A parameter that shows the number format; None without parameters."""
        return next(self.parameters(), None)

    def extra_repr(self) -> str:  # noqa: D102 -- torch's hook
        settings = self.network.settings
        size = "x".join(map(str, settings.input))
        return f"{self.network.name!r}, input={size}, steps={settings.steps}, readout={settings.readout}"


def _schedule(network: Network) -> tuple[Call, ...]:
    spent: list[list[int]] = [[] for _ in network.nodes]
    for index, readers in enumerate(network.readers):
        if index != network.output:
            spent[max(readers, default=index)].append(index)
    spent[0].clear()  # an input that nobody reads is never dropped
    return tuple(Call(node.name, node.inputs, tuple(spent[index])) for index, node in enumerate(network.nodes) if index)


def _place(root: nn.Module, name: str, module: nn.Module) -> None:
    """Puts a module at the place that its dotted name says, with a section for each step of the way."""
    *way, last = name.split(".")
    place = root
    for part in way:
        if part not in place._modules:  # noqa: SLF001 -- named_children would hide a child that stands twice
            place.add_module(part, Section())
        place = place.get_submodule(part)
    place.add_module(last, module)
