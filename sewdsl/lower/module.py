"""A network as a torch module."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from sewdsl.ir.network import Network
from sewdsl.lower import inputs
from sewdsl.lower.forward import Forward, Integrate, calls
from sewdsl.lower.stream import Stream
from sewdsl.passes import Program
from sewdsl.snn.steps import at_all_steps


class Section(nn.Module):
    """A repeat, a block or a branch: a part of the network with a name, which computes nothing itself."""


class SpikingNetwork(nn.Module):
    """Runs the nodes of a network in order; its submodules carry their names.

    No state survives a forward: every call starts from resting neurons.

    Attributes:
        program: What it computes, and how.
        calls: The steps of that.
    """

    def __init__(self, program: Program, modules: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.program = program
        self.calls = calls(program)
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
            x_TN: The input, ``[T, N, *]``, known to fit; where its time-steps are one and the same memory, what does
                not depend on time is computed once.
            integrate: What stands in for a neuron's forward.
        """
        T = len(x_TN)
        static = T > 1 and x_TN.stride(0) == 0  # the slices share their memory, so they are equal
        values = {0: x_TN[:1] if static else x_TN}
        del x_TN
        Forward(self.get_submodule, self.program, T, static=static, integrate=integrate).run(self.calls, values)
        return at_all_steps(values[self.network.output], T)

    @property
    def network(self) -> Network:
        """What it computes."""
        return self.program.network

    @property
    def example(self) -> Tensor | None:
        """A parameter that shows the number format; None without parameters."""
        return next(self.parameters(), None)

    def extra_repr(self) -> str:  # noqa: D102 -- torch's hook
        settings = self.network.settings
        size = "x".join(map(str, settings.input))
        return f"{self.network.name!r}, input={size}, steps={settings.steps}, readout={settings.readout}"


def _place(root: nn.Module, name: str, module: nn.Module) -> None:
    """Puts a module at the place that its dotted name says, with a section for each step of the way."""
    *way, last = name.split(".")
    place = root
    for part in way:
        if part not in place._modules:  # noqa: SLF001 -- named_children would hide a child that stands twice
            place.add_module(part, Section())
        place = place.get_submodule(part)
    place.add_module(last, module)
