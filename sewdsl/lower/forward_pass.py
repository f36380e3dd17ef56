"""Forward pass of an execution plan, and its rehearsal, which compiles all kernels."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from sewdsl.snn.time_steps import expand_all

Listener = Callable[[str, Sequence[Tensor], Tensor], object]
"""Callback for the name, the inputs and the output of a node."""


class ForwardPass:
    """Forward pass of one input.

    Args:
        modules: Modules by node, or None for an input.
        step: State of the nodes, if the input is one time-step of a stream.
        on_convolution: Callback for each convolution that may be event-driven, with the node name and whether it was.
        parts: Hooked or replaced parts, inner parts first.
        targets: Nodes to compute. The pass ends when all are available. None: the outputs of the network.
        listeners: Callbacks for the values of nodes, by node (see :func:`sewdsl.lower.spiking_network.watch_nodes`).
    """

    def __init__(  # noqa: PLR0913 -- all that a pass needs
        self,
        network: Network,
        plan: ExecutionPlan,
        modules: Sequence[Any],
        T: int,
        step: StepState | None,
        on_convolution: Callable[[str, bool], object] | None = None,
        parts: Sequence[PartCall] = (),
        targets: frozenset[int] | None = None,
        listeners: Sequence[Mapping[int, Listener]] = (),
    ) -> None:
        self._network, self._plan, self._modules, self._T, self._step = network, plan, modules, T, step
        self._on_convolution, self._parts, self._targets = on_convolution, parts, targets
        self._listeners = listeners

    def run(self, values: dict[int, Tensor]) -> None:
        """Compute all steps. Each value is dropped after its last reader.

        Args:
            values: Known values by node, and afterwards the outputs. If all time-steps share memory, a value has one
                time-step.
        """
        unexpected: set[int] = set()
        # A local variable: recomputed values reference the pass, which must not reference other values.
        saved_tensors = SavedTensors(self._plan)
        for step in self._plan.steps:
            if self._targets is not None and self._targets <= values.keys():
                return
            if not unexpected.isdisjoint(step.operands):
                step = step._replace(events=None)  # noqa: PLW2901 -- same step, computed densely
            active_calls = [call for call in self._parts if not call.part.nodes.isdisjoint(step.nodes)]
            for call in reversed(active_calls):
                call.begin(values)
            replaced = next((call for call in active_calls if call.replaced), None)
            if replaced is not None:
                if replaced.part.gives in step.nodes:
                    values[replaced.part.gives] = replaced.compute(None if step.once else self._T)
                self._finish_step(active_calls, step, values, saved_tensors, unexpected)
                continue
            operands = [values[i] for i in step.operands]
            if step.loop:
                values |= self._run_loop(step, operands)
                del operands
                self._finish_step(active_calls, step, values, saved_tensors, unexpected)
                continue
            modules = [self._modules[i] for i in step.nodes]
            saved_operands = {i: x_TN for i, x_TN in zip(step.operands, operands, strict=True) if i in step.keeps}
            with saved_tensors.reading(saved_operands, modules):
                values[step.gives] = self._compute(step, modules, operands)
            if self._listeners:
                self._report(step.gives, self._expand(step, operands), values[step.gives])
            if step.recomputed:
                recompute = partial(self._recompute_step, step, modules)
                saved_tensors.add_recomputed(
                    step.gives, values[step.gives], recompute, list(zip(step.operands, operands, strict=True))
                )
            # Without these references, values that are not saved are freed before the next step.
            del operands, saved_operands
            self._finish_step(active_calls, step, values, saved_tensors, unexpected)

    def _report(self, index: int, inputs: Sequence[Tensor], y_TN: Tensor) -> None:
        """Pass the values of a node to its listeners."""
        for listeners in self._listeners:
            if index in listeners:
                listeners[index](self._network.nodes[index].name, inputs, y_TN)

    def _finish_step(
        self,
        active_calls: Sequence[PartCall],
        step: PlannedStep,
        values: dict[int, Tensor],
        saved_tensors: SavedTensors,
        unexpected: set[int],
    ) -> None:
        """Call the hooks of parts ending with a step, and drop the values without further readers."""
        for call in active_calls:
            if not call.replaced and call.part.gives in step.nodes:
                values[call.part.gives] = call.finish(values[call.part.gives])
        # The range of a hooked or replaced value is checked. If it is wrong, the values that depend on it, up to the
        # next spikes, are neither packed nor computed event-driven.
        for i in step.outputs if self._plan.doubtful else ():
            if i not in values:
                continue
            node, x_TN = self._network.nodes[i], values[i]
            is_unexpected = not isinstance(node.op, Spiking) and not unexpected.isdisjoint(step.operands)
            if i in self._plan.doubtful:
                max_count = node.output.values.count or 0
                is_unexpected = not ((x_TN >= 0) & (x_TN <= max_count) & (x_TN == x_TN.round())).all()
            if is_unexpected:
                unexpected.add(i)
                saved_tensors.keep_unpacked(i)
        for i in step.spent:
            if self._targets is None or i not in self._targets:
                values.pop(i, None)  # inside a replaced part, values are not computed
            saved_tensors.drop(i)

    def _run_loop(self, step: PlannedStep, operands: Sequence[Tensor]) -> dict[int, Tensor]:
        """Return the outputs of a loop, computed one time-step after the other."""
        nodes = self._network.nodes
        operand_steps = {
            i: x_TN.unbind() if len(x_TN) == self._T else [x_TN[0]] * self._T
            for i, x_TN in zip(step.operands, operands, strict=True)
        }
        N, like = operands[0].shape[1], operands[0]
        results = {*step.loop, *(self._targets or ())} & {*step.nodes}
        watched = [i for i in step.nodes if any(i in listeners for listeners in self._listeners)]
        recorded = results.union(watched, *(nodes[i].inputs for i in watched))
        sequences: dict[int, list[Tensor]] = {i: [] for i in recorded}
        masks: dict[str, Tensor] = {}
        state = self._step.first_step(masks) if self._step is not None else StepState(None, 0, masks)
        # The next outputs of each delay, [1, N, *] each. They enter the state after the last time-step only.
        delays = {
            i: deque(
                torch.split(state.delayed_values(node.name, (N, *node.output.shape), node.op.delay_steps, like), 1)
            )
            for i in step.nodes
            if (node := nodes[i]).feeds_back
        }
        for t in range(self._T):
            values = {i: steps[t][None] for i, steps in operand_steps.items()}
            for i in step.nodes:
                node, module = nodes[i], self._modules[i]
                operand_values = [values[j] for j in node.inputs]
                if node.feeds_back:
                    values[i] = delays[i].popleft()
                elif node.op.reads == "past" or (module.training and isinstance(module, Dropout)):
                    values[i] = state.advance(node.name, module, *operand_values)
                else:
                    values[i] = module(*operand_values)
            # The delayed sources are available only after all nodes of the time-step.
            for i, ring in delays.items():
                ring.append(values[nodes[i].sources[0]])
            for i, steps in sequences.items():
                steps.append(values[i])
            if t < self._T - 1:
                state = state.next_step(masks)
        state.after |= {nodes[i].name: torch.cat((*ring,)) if len(ring) > 1 else ring[0] for i, ring in delays.items()}
        values = {i: torch.cat(steps) for i, steps in sequences.items()}
        for i in watched:
            self._report(i, [values[j] for j in nodes[i].inputs], values[i])
        return {i: values[i] for i in results}

    def _expand(self, step: PlannedStep, operands: Sequence[Tensor]) -> list[Tensor]:
        """Return the operands at all time-steps, or at one for a step that is computed once."""
        reduces_time = self._network.nodes[step.gives].op.reduces_time
        return expand_all(operands, None if step.once and not reduces_time else self._T)

    def _compute(self, step: PlannedStep, modules: Sequence[Any], operands: Sequence[Tensor]) -> Tensor:
        operands = self._expand(step, operands)
        options: dict[str, Any] = {"byte_places": True} if step.byte_places else {}
        if step.frees_input or step.events or step.winograd:
            on_convolution = (
                None
                if self._on_convolution is None
                else partial(self._on_convolution, self._network.nodes[step.nodes[0]].name)
            )
            options["run"] = ConvRun(step.frees_input, step.events, step.exact, step.winograd, on_convolution)
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
        elif step.kernel == "attention":
            scores, values = modules
            y_TN = values.of_scores(scores, *operands)
        elif self._step is not None and self._network.nodes[step.gives].op.reads == "past":
            y_TN = self._step.advance(self._network.nodes[step.gives].name, modules[0], *operands)
        elif step.once and not step.reduced and isinstance(modules[0], BatchNorm):
            y_TN = modules[0](*operands, repeats=self._T)
        else:
            y_TN = modules[0](*operands, **options)
        return y_TN

    def _recompute_step(self, step: PlannedStep, modules: Sequence[Any], operands: Sequence[Tensor]) -> Tensor:
        """Compute a step again, without updating running statistics."""
        with unchanged(modules):
            return self._compute(step, modules, operands)


@contextmanager
def unchanged(modules: Sequence[nn.Module]) -> Iterator[None]:
    """Return a context in which modules use copies of buffers."""
    before = [module._buffers for module in modules]  # noqa: SLF001 -- the original tensors must be restored
    for module, buffers in zip(modules, before, strict=True):
        module._buffers = {name: None if b is None else b.clone() for name, b in buffers.items()}  # noqa: SLF001
    try:
        yield
    finally:
        for module, buffers in zip(modules, before, strict=True):
            module._buffers = buffers  # noqa: SLF001


MAX_ELEMENTS = 1 << 20
"""Maximum number of input elements in a rehearsal, which reduces the batch size if necessary."""
MIN_SAMPLES = 2
"""Minimum number of samples in a rehearsal, because batch norm rejects a single value."""


def prepare_rehearsal(
    network: Network, plan: ExecutionPlan, modules: Sequence[Any], values: Mapping[int, Tensor], T: int
) -> Callable[[], None]:
    """Return the rehearsal of the next pass, for execution in another thread.

    The rehearsal runs the pass on zeros, without changing weights, gradients, running statistics or the random state.

    Args:
        plan: Execution plan, which depends on the size of the full batch.
        modules: Modules by node, or None for an input.
        values: Inputs by node, ``[T, N, *]`` or ``[1, N, *]``. The rehearsal does not reference them.
    """
    layouts = {i: (x_TN.shape, x_TN.dtype) for i, x_TN in values.items()}
    size = max(
        shape.numel() * T // len(x_TN) for (shape, _), x_TN in zip(layouts.values(), values.values(), strict=True)
    )
    N, device = next((x_TN.shape[1], x_TN.device.type) for x_TN in values.values())
    gradients, autocast = torch.is_grad_enabled(), autocast_dtype(device)
    layers = modules[network.first_layer :]

    def run() -> None:
        inner = [each for module in layers for each in module.modules()]
        # Hooks and other processes that share statistics would notice the additional pass.
        if any(map(has_hooks, inner)) or (distributed.is_available() and distributed.is_initialized()):
            return
        samples = min(N, max(MIN_SAMPLES, MAX_ELEMENTS * N // size))
        with ExitStack() as stack:
            stack.enter_context(torch.random.fork_rng(devices=()))
            stack.enter_context(torch.set_grad_enabled(gradients))
            stack.enter_context(torch.autocast("cpu", autocast, enabled=autocast is not None))
            stack.enter_context(unchanged(inner))
            zeros = {
                i: torch.zeros(shape[0], samples, *shape[2:], dtype=dtype) for i, (shape, dtype) in layouts.items()
            }
            ForwardPass(network, plan, modules, T, None).run(zeros)
            outputs = [y_TN.sum() for y_TN in zeros.values() if y_TN.requires_grad]
            weights = [weight for module in layers for weight in module.parameters() if weight.requires_grad]
            # The backward pass compiles the gradient kernels.
            if outputs and weights:
                torch.autograd.grad(torch.stack(outputs).sum(), weights, allow_unused=True)

    return run
