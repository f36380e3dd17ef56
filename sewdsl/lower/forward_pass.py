"""One forward pass: the steps of a program, in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple, cast

from torch import Tensor, nn

from sewdsl.ir.op import Neuron as NeuronOp
from sewdsl.lower.saved_tensors import SavedTensors
from sewdsl.passes import Program
from sewdsl.snn.batch_norm import BatchNorm
from sewdsl.snn.hooks import fusible, has_hooks
from sewdsl.snn.join import PendingJoin
from sewdsl.snn.layers import Conv2d, Linear
from sewdsl.snn.neuron import Neuron, normalised
from sewdsl.snn.time_steps import expand_steps

Integrate = Callable[[str, nn.Module, Tensor], Tensor]
"""How the module of a neuron of some name turns its input current ``[T, N, *]`` into spikes."""


class ForwardStep(NamedTuple):
    """One step, as forward runs it.

    Attributes:
        names: Of its modules, in order.
        gives: Index of the node whose value it gives.
        operands: Indices of the nodes it reads.
        keeps: Those of them whose values it keeps for its gradient.
        spent: Indices of the nodes that nobody reads after it.
        once: Whether it gives the same at every time-step of a static input.
        neuron: Which of its modules is a neuron; None: none is.
        kinds: What its modules are, unless something else is put into their places.
    """

    names: tuple[str, ...]
    gives: int
    operands: tuple[int, ...]
    keeps: frozenset[int]
    spent: tuple[int, ...]
    once: bool
    neuron: int | None
    kinds: tuple[type[nn.Module], ...]


def forward_steps(program: Program, modules: Mapping[str, nn.Module]) -> tuple[ForwardStep, ...]:
    """The steps of a program, with modules by name."""
    network = program.network
    last = {i: step.gives for step in program.steps for i in step.operands}
    spent: dict[int, list[int]] = {}
    for index in {step.gives for step in program.steps} | set(last):
        spent.setdefault(last.get(index, index), []).append(index)
    return tuple(
        ForwardStep(
            tuple(network.nodes[i].name for i in step.nodes),
            step.gives,
            step.operands,
            step.keeps(network),
            tuple(i for i in spent.get(step.gives, ()) if i != network.output),
            step.once,
            next((place for place, i in enumerate(step.nodes) if isinstance(network.nodes[i].op, NeuronOp)), None),
            tuple(type(modules[network.nodes[i].name]) for i in step.nodes),
        )
        for step in program.steps
    )


class ForwardPass:
    """A pass over one input.

    Args:
        modules: By name.
        program: What to compute.
        T: Time-steps of the input.
        static: Whether they are one and the same memory; what does not depend on time is then computed once.
        integrate: What replaces a neuron's forward.
    """

    def __init__(
        self,
        modules: Callable[[str], nn.Module],
        program: Program,
        T: int,
        *,
        static: bool,
        integrate: Integrate | None,
    ) -> None:
        self._modules, self._T, self._static, self._integrate = modules, T, static, integrate
        self._program = program

    def run(self, calls: Sequence[ForwardStep], values: dict[int, Tensor]) -> None:
        """Computes all steps; each value is dropped after its last reader.

        Args:
            calls: The steps.
            values: What is known, by node; what is left of it is what nobody reads.
        """
        savings = SavedTensors(self._program)  # not an attribute: what is recomputed holds the pass, but not its values
        for call in calls:
            operands = [values[i] for i in call.operands]
            modules = [self._modules(name) for name in call.names]
            kept = {i: x_TN for i, x_TN in zip(call.operands, operands, strict=True) if i in call.keeps}
            with savings.reading(kept, modules):
                values[call.gives] = self._compute(call, modules, operands)
            if [type(module) for module in modules] == [*call.kinds] and not any(map(has_hooks, modules)):
                again = partial(self._again, call, modules)
                savings.given(call.gives, values[call.gives], again, list(zip(call.operands, operands, strict=True)))
            del operands, kept
            for i in call.spent:
                del values[i]
                savings.forget(i)

    def _compute(self, call: ForwardStep, modules: Sequence[nn.Module], operands: Sequence[Tensor]) -> Tensor:
        """What a step gives."""
        if self._static and not call.once:
            operands = [expand_steps(operand, self._T) for operand in operands]
        repeats = self._T if self._static and call.once else 1
        if call.neuron is not None:
            return self._spikes(call, call.neuron, modules, operands)
        *layers, last = modules
        if isinstance(last, BatchNorm):
            return _normalised(layers, last, operands[0], repeats)
        for layer in layers:  # a norm that was to be folded into it, and in whose place something else is
            operands = [layer(*operands)]
        output: Tensor = last(*operands)
        return output

    def _spikes(
        self, call: ForwardStep, place: int, modules: Sequence[nn.Module], operands: Sequence[Tensor]
    ) -> Tensor:
        """Of neurons, with the batch norm before them and the join after them if those are part of their step."""
        x_TN, neuron = operands[0], modules[place]
        norm = modules[0] if place else None
        joint = None
        if place + 1 < len(modules):
            branch = self._program.network.nodes[call.gives].inputs[0] != call.operands[1]
            joint = PendingJoin(modules[-1], operands[1], branch)
        if self._integrate is None and isinstance(neuron, Neuron) and isinstance(norm, BatchNorm):
            return neuron.normalised(x_TN, norm, joint, lean=self._program.lean)
        current_TN = x_TN if norm is None else normalised(norm, x_TN)
        spikes_TN: Tensor = (
            neuron(current_TN) if self._integrate is None else self._integrate(call.names[place], neuron, current_TN)
        )
        return spikes_TN if joint is None else joint.of(spikes_TN)

    def _again(self, call: ForwardStep, modules: Sequence[nn.Module], operands: Sequence[Tensor]) -> Tensor:
        """The same value once more; running statistics stay as they are."""
        with _unchanged(modules):
            return self._compute(call, modules, operands)


def _normalised(layers: Sequence[nn.Module], norm: BatchNorm, x_TN: Tensor, repeats: int) -> Tensor:
    """A normalised input, or what a layer makes of it, normalised: in evaluation, by weights that have both in them."""
    for layer in layers:
        if not (norm.training or norm.watched) and (fusible(layer, Conv2d) or fusible(layer, Linear)):
            return layer.normalised(x_TN, norm)
        x_TN = layer(x_TN)
    return cast("Tensor", norm(x_TN) if repeats == 1 else norm(x_TN, repeats=repeats))


@contextmanager
def _unchanged(modules: Sequence[nn.Module]) -> Iterator[None]:
    """Lets modules work on copies of their buffers."""
    before = [module._buffers for module in modules]  # noqa: SLF001 -- the very tensors have to come back
    for module, buffers in zip(modules, before, strict=True):
        module._buffers = {name: None if b is None else b.clone() for name, b in buffers.items()}  # noqa: SLF001
    try:
        yield
    finally:
        for module, buffers in zip(modules, before, strict=True):
            module._buffers = buffers  # noqa: SLF001
