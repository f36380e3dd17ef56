"""One forward pass: the steps of an execution plan, in order; and its rehearsal, which requests all of its kernels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, distributed, nn

from sewdsl.ir.network import Network
from sewdsl.ir.op import Spiking
from sewdsl.lower.parts import PartCall
from sewdsl.lower.saved_tensors import SavedTensors
from sewdsl.lower.stream import StepState
from sewdsl.passes.plan import ExecutionPlan, PlannedStep
from sewdsl.snn.autocast import autocast_dtype
from sewdsl.snn.batch_norm import BatchNorm
from sewdsl.snn.convolution import ConvRun
from sewdsl.snn.hooks import has_hooks
from sewdsl.snn.join import PendingJoin
from sewdsl.snn.layers import Dropout
from sewdsl.snn.time_steps import expand_steps


class ForwardPass:
    """A pass over one input.

    Args:
        modules: By node; None for the input.
        step: What nodes keep, if the input is one time-step of a stream.
        tell: Told of each convolution that may be computed by events, by its node's name, whether it was.
        parts: That are hooked or replaced, inner ones first.
        wanted: Nodes whose values are asked for, with which it ends; None: what the network gives.
    """

    def __init__(  # noqa: PLR0913 -- all that a pass needs
        self,
        network: Network,
        plan: ExecutionPlan,
        modules: Sequence[Any],
        T: int,
        step: StepState | None,
        tell: Callable[[str, bool], object] | None = None,
        parts: Sequence[PartCall] = (),
        wanted: frozenset[int] | None = None,
    ) -> None:
        self._network, self._plan, self._modules, self._T, self._step = network, plan, modules, T, step
        self._tell, self._parts, self._wanted = tell, parts, wanted

    def run(self, values: dict[int, Tensor]) -> None:
        """Computes all steps; each value is dropped after its last reader.

        Args:
            values: What is known, by node; what is left of it is the output. Where time-steps are one and the
                same memory, a value is that of one.
        """
        strange: set[int] = set()
        savings = SavedTensors(self._plan)  # not an attribute: what is recomputed holds the pass, but not its values
        for step in self._plan.steps:
            if self._wanted is not None and self._wanted <= values.keys():
                return
            if not strange.isdisjoint(step.operands):
                step = step._replace(events=None)  # noqa: PLW2901 -- the same step, computed otherwise
            here = [call for call in self._parts if not call.part.nodes.isdisjoint(step.nodes)]
            for call in reversed(here):
                call.begin(values)
            replaced = next((call for call in here if call.replaced), None)
            if replaced is not None:
                if replaced.part.gives in step.nodes:
                    expand = partial(expand_steps, T=1 if step.once else self._T)
                    values[replaced.part.gives] = replaced.compute(expand)
                self._after(here, step, values, savings, strange)
                continue
            operands = [values[i] for i in step.operands]
            if step.loop:
                values |= self._run_loop(step, operands)
                del operands
                self._after(here, step, values, savings, strange)
                continue
            modules = [self._modules[i] for i in step.nodes]
            kept = {i: x_TN for i, x_TN in zip(step.operands, operands, strict=True) if i in step.keeps}
            with savings.reading(kept, modules):
                values[step.gives] = self._compute(step, modules, operands)
            if step.recomputed:
                again = partial(self._again, step, modules)
                savings.given(step.gives, values[step.gives], again, list(zip(step.operands, operands, strict=True)))
            del operands, kept
            self._after(here, step, values, savings, strange)

    def _after(
        self,
        here: Sequence[PartCall],
        step: PlannedStep,
        values: dict[int, Tensor],
        savings: SavedTensors,
        strange: set[int],
    ) -> None:
        """Calls the hooks of the parts that end with a step, and drops the values that nothing reads after it.

        A value that is not what the network says of it is strange, and so is what follows from it, up to the next
        spikes: nothing of them is packed, or computed by events.
        """
        for call in here:
            if not call.replaced and call.part.gives in step.nodes:
                values[call.part.gives] = call.finish(values[call.part.gives])
        for i in step.given if self._plan.doubtful else ():
            if i not in values:
                continue
            node, x_TN = self._network.nodes[i], values[i]
            wrong = not isinstance(node.op, Spiking) and not strange.isdisjoint(step.operands)
            if i in self._plan.doubtful:
                most = node.output.values.count or 0
                wrong = not ((x_TN >= 0) & (x_TN <= most) & (x_TN == x_TN.round())).all()
            if wrong:
                strange.add(i)
                savings.distrust(i)
        for i in step.spent:
            if self._wanted is None or i not in self._wanted:
                values.pop(i, None)  # in a part that is replaced, most are never there
            savings.forget(i)

    def _run_loop(self, step: PlannedStep, operands: Sequence[Tensor]) -> dict[int, Tensor]:
        """The values of a loop that are read outside it, computed one time-step after the other."""
        nodes = self._network.nodes
        sequences = {
            i: x_TN.unbind() if len(x_TN) == self._T else [x_TN[0]] * self._T
            for i, x_TN in zip(step.operands, operands, strict=True)
        }
        N, like = operands[0].shape[1], operands[0]
        given: dict[int, list[Tensor]] = {i: [] for i in {*step.loop, *(self._wanted or ())} & {*step.nodes}}
        masks: dict[str, Tensor] = {}
        state = self._step.begin(masks) if self._step is not None else StepState(None, 0, masks)
        for t in range(self._T):
            values = {i: steps[t][None] for i, steps in sequences.items()}
            for i in step.nodes:
                node, module = nodes[i], self._modules[i]
                read = [values[j] for j in node.inputs]
                if node.feeds_back:
                    values[i] = state.fed_back(node.name, (N, *node.output.shape), like)
                elif node.op.reads == "past" or (module.training and isinstance(module, Dropout)):
                    values[i] = state.advance(node.name, module, *read)
                else:
                    values[i] = module(*read)
            for node in (nodes[i] for i in step.nodes):
                if node.feeds_back:
                    state.after[node.name] = values[node.sources[0]]
            for i, steps in given.items():
                steps.append(values[i])
            if t < self._T - 1:
                state = state.following(masks)
        return {i: torch.cat(steps) for i, steps in given.items()}

    def _compute(self, step: PlannedStep, modules: Sequence[Any], operands: Sequence[Tensor]) -> Tensor:
        if not step.once:
            operands = [expand_steps(operand, self._T) for operand in operands]
        options: dict[str, Any] = {"byte_places": True} if step.byte_places else {}
        if step.frees_input or step.events or step.winograd:
            tell = None if self._tell is None else partial(self._tell, self._network.nodes[step.nodes[0]].name)
            options["run"] = ConvRun(step.frees_input, step.events, step.exact, step.winograd, tell)
        if step.kernel == "norm_neuron":
            norm, neuron, *joins = modules
            joint = None
            if joins:
                branch = self._network.nodes[step.gives].inputs[0] == step.nodes[1]
                joint = PendingJoin(joins[0], operands[1], branch)
            y_TN: Tensor = neuron.normalised(operands[0], norm, joint)
        elif step.kernel == "folded":
            layer, norm = modules
            y_TN = layer.normalised(operands[0], norm, **options)
        elif self._step is not None and self._network.nodes[step.gives].op.reads == "past":
            y_TN = self._step.advance(self._network.nodes[step.gives].name, modules[0], *operands)
        elif step.once and isinstance(modules[0], BatchNorm):
            y_TN = modules[0](*operands, repeats=self._T)
        else:
            y_TN = modules[0](*operands, **options)
        return y_TN

    def _again(self, step: PlannedStep, modules: Sequence[Any], operands: Sequence[Tensor]) -> Tensor:
        """The same value once more; running statistics stay as they are."""
        with unchanged(modules):
            return self._compute(step, modules, operands)


@contextmanager
def unchanged(modules: Sequence[nn.Module]) -> Iterator[None]:
    """Lets modules work on copies of their buffers."""
    before = [module._buffers for module in modules]  # noqa: SLF001 -- the very tensors have to come back
    for module, buffers in zip(modules, before, strict=True):
        module._buffers = {name: None if b is None else b.clone() for name, b in buffers.items()}  # noqa: SLF001
    try:
        yield
    finally:
        for module, buffers in zip(modules, before, strict=True):
            module._buffers = buffers  # noqa: SLF001


MAX_ELEMENTS = 1 << 20
"""Values of an input that a rehearsal computes with: of a larger input, it takes fewer samples."""
MIN_SAMPLES = 2
"""Batch norm has no statistics of one value."""


def prepare_rehearsal(
    network: Network, plan: ExecutionPlan, modules: Sequence[Any], x_TN: Tensor, *, static: bool
) -> Callable[[], None]:
    """Return the rehearsal of a pass that is about to run in this thread, which another thread may run.

    It runs the pass on zeros. Weights, gradients, running statistics and random numbers stay as they are. Nothing is
    done if others would notice: hooks, or other processes that share statistics.

    Args:
        plan: How the pass is computed, which depends on the size of the whole batch.
        modules: By node; None for the input.
        x_TN: The input, which the rehearsal does not hold.
        static: Whether all time-steps of the input are the same.
    """
    shape, dtype = x_TN.shape, x_TN.dtype
    gradients, autocast = torch.is_grad_enabled(), autocast_dtype(x_TN.device.type)

    def run() -> None:
        inner = [each for module in modules[1:] for each in module.modules()]
        if any(map(has_hooks, inner)) or (distributed.is_available() and distributed.is_initialized()):
            return
        T, N, *size = shape
        samples = min(N, max(MIN_SAMPLES, MAX_ELEMENTS * N // shape.numel()))
        with ExitStack() as stack:
            stack.enter_context(torch.random.fork_rng(devices=()))
            stack.enter_context(torch.set_grad_enabled(gradients))
            stack.enter_context(torch.autocast("cpu", autocast, enabled=autocast is not None))
            stack.enter_context(unchanged(inner))
            zeros_TN = torch.zeros(T, samples, *size, dtype=dtype)
            values = {0: zeros_TN[:1] if static else zeros_TN}
            ForwardPass(network, plan, modules, T, None).run(values)
            outputs = [y_TN.sum() for y_TN in values.values() if y_TN.requires_grad]
            weights = [weight for module in modules[1:] for weight in module.parameters() if weight.requires_grad]
            if outputs and weights:
                torch.autograd.grad(torch.stack(outputs).sum(), weights, allow_unused=True)

    return run
