"""A network as a torch module."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, cast

from torch import Tensor, nn

from sewdsl.ir.network import Network
from sewdsl.lower import inputs
from sewdsl.lower.saving import Savings, watched
from sewdsl.lower.stream import Stream
from sewdsl.ops.layers import batch_norm
from sewdsl.passes import Program, Step
from sewdsl.snn.layers import Conv2d
from sewdsl.snn.neuron import Neuron
from sewdsl.snn.norm import BatchNorm

Integrate = Callable[[str, Neuron, Tensor], Tensor]
"""How a neuron of some name turns its input current ``[T, N, *]`` into spikes."""


class Section(nn.Module):
    """A repeat, a block or a branch: a part of the network with a name, which computes nothing itself."""


class Call(NamedTuple):
    """One step, as forward runs it.

    Attributes:
        name: Of its module.
        norm: Name of the batch norm that is computed with it: before neurons, behind anything else.
        gives: Index of the node whose value it gives.
        operands: Indices of the nodes it reads.
        spent: Indices of the nodes that nobody reads after it.
        once: Whether it gives the same at every time-step of a static input.
    """

    name: str
    norm: str | None
    gives: int
    operands: tuple[int, ...]
    spent: tuple[int, ...]
    once: bool


class SpikingNetwork(nn.Module):
    """Runs the nodes of a network in order; its submodules carry their names.

    No state survives a forward: every call starts from resting neurons.

    Attributes:
        network: What it computes.
    """

    def __init__(self, program: Program, modules: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.network = program.network
        self.calls = _schedule(program)
        self.bits = program.bits
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
        savings = Savings(self.bits)
        for call in self.calls:
            module = self.get_submodule(call.name)
            operands = [values[i] for i in call.operands]
            if static and not call.once:
                operands = [_at_all_steps(operand, T) for operand in operands]
            if static and call.once and isinstance(module, BatchNorm):
                values[call.gives] = module(*operands, repeats=T)
            elif isinstance(module, Neuron):
                values[call.gives] = self._spikes(call, module, operands[0], integrate)
            else:
                values[call.gives] = self._output(call, module, operands, savings, T if static and call.once else 1)
            del operands
            for i in call.spent:
                del values[i]
                savings.forget(i)
        return _at_all_steps(values[self.network.output], T)

    def _spikes(self, call: Call, neuron: Neuron, x_TN: Tensor, integrate: Integrate | None) -> Tensor:
        """Of neurons, with the batch norm before them if that is part of their step."""
        norm = cast("BatchNorm | None", self.get_submodule(call.norm) if call.norm else None)
        if integrate is not None:
            return integrate(call.name, neuron, x_TN if norm is None else norm(x_TN))
        spikes_TN: Tensor = neuron(x_TN) if norm is None else neuron(x_TN, norm=norm)
        return spikes_TN

    def _output(self, call: Call, module: nn.Module, operands: list[Tensor], savings: Savings, repeats: int) -> Tensor:
        """Of any other module, with the batch norm behind it if that is part of its step."""
        norm = cast("BatchNorm | None", self.get_submodule(call.norm) if call.norm else None)
        folded = norm is not None and not (norm.training or norm.watched or watched(module))
        with savings.of(module, call.operands[0], operands[0]):
            if norm is not None and folded:
                output: Tensor = cast("Conv2d", module).normalised(operands[0], norm)
                return output
            output = module(*operands)
        return output if norm is None else norm(output, repeats=repeats)

    @property
    def example(self) -> Tensor | None:
        """A parameter that shows the number format; None without parameters."""
        return next(self.parameters(), None)

    def extra_repr(self) -> str:  # noqa: D102 -- torch's hook
        settings = self.network.settings
        size = "x".join(map(str, settings.input))
        return f"{self.network.name!r}, input={size}, steps={settings.steps}, readout={settings.readout}"


def _schedule(program: Program) -> tuple[Call, ...]:
    last = {i: step.gives for step in program.steps for i in step.operands}
    spent: dict[int, list[int]] = {}
    for index in {step.gives for step in program.steps} | set(last):
        spent.setdefault(last.get(index, index), []).append(index)
    output = program.network.output
    return tuple(
        Call(
            *_modules(step, program.network),
            step.gives,
            step.operands,
            tuple(i for i in spent.get(step.gives, ()) if i != output),
            step.once,
        )
        for step in program.steps
    )


def _modules(step: Step, network: Network) -> tuple[str, str | None]:
    """Names of a step's module and of the batch norm that is computed with it."""
    first, last = network.nodes[step.nodes[0]], network.nodes[step.nodes[-1]]
    if first is last:
        return first.name, None
    return (last.name, first.name) if isinstance(first.op, batch_norm.BatchNorm) else (first.name, last.name)


def _at_all_steps(x_TN: Tensor, T: int) -> Tensor:
    """A value of one time-step as that of each of T; any other as it is."""
    return x_TN if len(x_TN) == T else x_TN.expand(T, *x_TN.shape[1:])


def _place(root: nn.Module, name: str, module: nn.Module) -> None:
    """Puts a module at the place that its dotted name says, with a section for each step of the way."""
    *way, last = name.split(".")
    place = root
    for part in way:
        if part not in place._modules:  # noqa: SLF001 -- named_children would hide a child that stands twice
            place.add_module(part, Section())
        place = place.get_submodule(part)
    place.add_module(last, module)
