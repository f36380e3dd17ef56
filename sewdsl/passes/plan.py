"""Execution plans: the kernel of each step of a program, its saved values, and their lifetimes.

A program states which nodes may be computed together. The plan decides whether this is possible and pays off, from the
sizes, the device and the current modules. The forward pass executes the plan, the memory prediction simulates it, and
``compile --emit plan`` prints it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from sewdsl.ir.op import Activation, Join, Op
from sewdsl.ops.attention import Scores
from sewdsl.ops.layers.conv import Conv
from sewdsl.ops.layers.norms import BatchNorm
from sewdsl.ops.layers.pool import MaxPool
from sewdsl.passes.program import EventInput, Program
from sewdsl.snn.limits import MAX_BYTE_PLACES, MAX_REGISTER_STEPS

LARGE_VALUE_ELEMENTS = 1 << 20
"""Elements of a value from which recomputing is faster than storing. Allocating smaller values takes less time."""

Kernel = Literal["module", "norm_neuron", "folded", "attention", "loop"]
"""Computation of a step.

``module``: call of the module. ``norm_neuron``: batch norm, neurons and, if part of the step, the join after them, in
one kernel that stores neither the input current nor the membrane potential. ``folded``: layer with the batch norm
folded into its weights. ``attention``: attention without its scores. ``loop``: node by node, one time-step after the
other.
"""

PartKind = Literal["convolution", "max pooling", "batch norm", "neuron", "join", "scores", "other"]
"""Kinds of nodes that the plan distinguishes."""


class ModuleState(NamedTuple):
    """Changes to the module of a node since it was built."""

    is_original: bool = True
    """Whether its ``forward`` is unchanged."""
    alone: bool = False
    """Whether the module must be called separately: it has hooks or another ``forward``, or several processes share its
    statistics."""
    as_built: bool = True
    """Whether the module is neither replaced, hooked nor parametrized, so that its output is reproducible."""
    training: bool = True


AS_BUILT = ModuleState()


class ExecutionContext(NamedTuple):
    """Conditions under which a program runs."""

    T: int
    N: int
    static: bool = False
    """Whether all time-steps of the input are equal. Time-independent steps then run once."""
    device: str = "cpu"
    """Device type of PyTorch: ``cpu``, ``cuda``."""
    kernels: bool = True
    """Whether the generated kernels of the device are enabled and available."""
    gradients: bool = True
    """Whether a backward pass follows."""
    compiling: bool = False
    """Whether PyTorch's compiler traces the program. It plans memory itself."""
    modules: tuple[ModuleState, ...] = ()
    """State of the module of each node. Empty: all modules are as built, in training mode."""

    def module(self, node: int) -> ModuleState:
        """Return the state of the module of a node."""
        return self.modules[node] if self.modules else AS_BUILT


class PlannedStep(NamedTuple):
    """One step of an execution plan."""

    nodes: tuple[int, ...]
    """Nodes in order. The output of the step is the last node, unless the step is a loop."""
    operands: tuple[int, ...]
    """Nodes read by the step."""
    keeps: frozenset[int]
    """Operands saved for the gradient, by a loop unchanged."""
    spent: tuple[int, ...]
    """Nodes without readers after this step."""
    once: bool
    """Whether the step is computed for one time-step instead of all."""
    kernel: Kernel = "module"
    recomputed: bool = False
    """Whether its output is recomputed in the backward pass instead of saved."""
    frees_input: bool = False
    """Whether a convolution frees its input before the input gradient is allocated."""
    byte_places: bool = False
    """Whether max pooling saves one byte per maximum."""
    events: EventInput | None = None
    """Input of an event-driven convolution. None: the convolution is dense."""
    exact: bool = True
    """Whether the output must be bit-identical to a dense convolution."""
    winograd: bool = False
    """Whether a convolution may use Winograd's algorithm."""
    loop: tuple[int, ...] = ()
    """Output nodes of a loop."""
    reduced: bool = False
    """Whether the output is a value reduced over time, see :attr:`~sewdsl.ir.network.Network.reduced`."""

    @property
    def outputs(self) -> tuple[int, ...]:
        """Output nodes of the step."""
        return self.loop or self.nodes[-1:]

    @property
    def gives(self) -> int:
        """Output node of the step, or the last one of a loop."""
        return self.outputs[-1]


class ExecutionPlan(NamedTuple):
    """Execution plan of a program."""

    steps: tuple[PlannedStep, ...]
    bits: Mapping[int, int]
    """Bits per saved value, by node. Other values are saved unchanged."""
    doubtful: frozenset[int] = frozenset()
    """Nodes of spikes or counts whose values may be out of range, because the module is hooked or replaced. The plan
    relies on their range."""


class _Part(NamedTuple):
    step: PlannedStep
    """Planned step of this node alone."""
    kind: PartKind
    elements: int
    """Elements of its first operand, per sample and time-step."""


class _Step(NamedTuple):
    """Context-independent part of a planned step."""

    parts: tuple[_Part, ...]
    all_parts: PlannedStep
    first_two: PlannedStep
    """Planned step of the first two parts in one kernel, if there are more."""
    recomputed: bool
    """Whether the output is to be recomputed."""


class PlanOutline:
    """Part of the execution plan independent of T, N and device."""

    def __init__(self, program: Program) -> None:
        # All attributes are numbers and names, which PyTorch's compiler can trace.
        network = program.network
        last_reader = {i: node for step in program.steps for node in step.nodes for i in network.nodes[node].inputs}
        spent: dict[int, list[int]] = {}
        for node in range(len(network)):
            if node not in network.output_indices:
                spent.setdefault(last_reader.get(node, node), []).append(node)
        static, reduced = {*network.static_inputs}, network.reduced
        steps: list[_Step | PlannedStep] = []
        for step in program.steps:
            if step.loop:
                inside = {*step.nodes}
                step_spent = tuple(i for node in step.nodes for i in spent.get(node, ()) if i not in inside)
                kept = step.keeps(network)
                steps.append(
                    PlannedStep(step.nodes, step.operands, kept, step_spent, once=False, kernel="loop", loop=step.loop)
                )
                continue
            kinds = [_kind(network.nodes[node].op) for node in step.nodes]
            parts = []
            for node, kind in zip(step.nodes, kinds, strict=True):
                op, inputs = network.nodes[node].op, network.nodes[node].inputs
                kept = frozenset(inputs[position] for position in op.keeps(*network.inputs(network.nodes[node])).inputs)
                # If the time-steps are equal, a norm that is not fused with its neurons runs for one of them.
                once = step.once or (kind == "batch norm" and kinds[1:2] == ["neuron"] and static.issuperset(inputs))
                planned = PlannedStep((node,), inputs, kept, tuple(spent.get(node, ())), once, reduced=node in reduced)
                parts.append(_Part(planned, kind, network.nodes[inputs[0]].output.elements))
                static |= {node} if once else set()
            recomputed = step.gives in program.recomputed and all(
                network.nodes[node].op.repeatable for node in step.nodes
            )
            steps.append(
                _Step(tuple(parts), _in_one_kernel(parts, step.once), _in_one_kernel(parts[:2], step.once), recomputed)
            )
        self._steps = tuple(steps)
        counted = (i for i, node in enumerate(network.nodes) if node.output.values.count is not None)
        self._counts = tuple(i for i in counted if i >= network.first_layer)
        self._lean, self._channels_last = program.lean, program.channels_last
        self._events, self._exact, self._winograd = program.events, program.exact, program.winograd
        self._bits = tuple(
            (i, width, network.nodes[i].output.elements, i in reduced) for i, width in program.bits.items()
        )

    def resolve(self, context: ExecutionContext) -> ExecutionPlan:
        """Return the execution plan for a context."""
        steps: list[PlannedStep] = []
        for step in self._steps:
            if isinstance(step, PlannedStep):
                steps.append(step)
                continue
            # A hook or a replaced module may return another value the second time.
            recomputed = (
                step.recomputed and context.gradients and all(context.module(i).as_built for i in step.all_parts.nodes)
            )
            fused_count, kernel = self._fused_count(step, context)
            if fused_count:
                first = step.all_parts if fused_count == len(step.parts) else step.first_two
                steps.append(self._plan_step(first, step.parts[0], context, kernel, recomputed=recomputed))
            steps += [
                self._plan_step(part.step, part, context, "module", recomputed=recomputed)
                for part in step.parts[fused_count:]
            ]
        bits = self._resolve_bits(context)
        # Without packing and events, values of any range are computed correctly.
        relies_on_ranges = bits or any(step.events for step in steps)
        doubtful = [i for i in self._counts if relies_on_ranges and not context.module(i).as_built]
        return ExecutionPlan(tuple(steps), bits, frozenset(doubtful))

    def _fused_count(self, step: _Step, context: ExecutionContext) -> tuple[int, Kernel]:
        """Return the number of leading parts fused in one kernel, or 0, and the kernel."""
        kinds, alone = [part.kind for part in step.parts], [context.module(i).alone for i in step.all_parts.nodes]
        if kinds[:1] == ["batch norm"] and kinds[1:2] == ["neuron"]:
            possible = context.kernels and not (alone[0] or alone[1])
            # On a GPU, the backward kernel keeps the potentials of all time-steps in registers.
            possible = possible and (context.device == "cpu" or context.T <= MAX_REGISTER_STEPS)
            large = step.parts[0].elements * context.T * context.N >= LARGE_VALUE_ELEMENTS
            # On a GPU, fewer kernel launches pay off for small tensors too.
            if possible and (self._lean or large or context.device != "cpu"):
                return (2 if kinds[2:] and alone[2] else len(kinds)), "norm_neuron"
        elif kinds[:1] == ["scores"]:
            return (len(kinds) if kinds[1:] and not any(alone) else 0), "attention"
        elif len(kinds) > 1 and not (context.module(step.all_parts.gives).training or alone[0] or alone[1]):
            return len(kinds), "folded"
        return 0, "module"

    def _plan_step(
        self, step: PlannedStep, first: _Part, context: ExecutionContext, kernel: Kernel, *, recomputed: bool
    ) -> PlannedStep:
        """Return a planned step with the memory options of its first node."""
        # Other steps than those of reduced values are independent of time only if the input is.
        once = step.reduced or (step.once and context.static)
        # PyTorch's compiler plans memory itself, and a replaced module has its own forward.
        is_managed, saves_memory = not context.compiling and context.module(first.step.gives).is_original, False
        if is_managed:
            saves_memory = first.elements * (context.N if once else context.T * context.N) >= LARGE_VALUE_ELEMENTS
        channels_last = self._channels_last and context.kernels
        events = self._events.get(first.step.gives) if context.module(first.step.gives).as_built else None
        return PlannedStep(
            step.nodes,
            step.operands,
            step.keeps,
            step.spent,
            once,
            kernel,
            recomputed,
            # On other devices, memory is occupied as soon as it is allocated.
            frees_input=saves_memory and first.kind == "convolution" and context.gradients and context.device == "cpu",
            byte_places=saves_memory and first.kind == "max pooling" and channels_last,
            events=events if saves_memory and channels_last and context.device == "cpu" else None,
            exact=self._exact,
            winograd=is_managed and channels_last and context.device == "cpu" and first.step.gives in self._winograd,
            reduced=step.reduced,
        )

    def _resolve_bits(self, context: ExecutionContext) -> dict[int, int]:
        """Return the bits per saved value, by node, for a context."""
        if not context.kernels or not context.gradients or context.compiling:
            return {}
        # Spikes vary over time, unless a slice selects a single time-step.
        samples = context.T * context.N
        return {
            i: width
            for i, width, elements, reduced in self._bits
            if self._lean or elements * (context.N if reduced else samples) >= LARGE_VALUE_ELEMENTS
        }


def plan_execution(program: Program, context: ExecutionContext) -> ExecutionPlan:
    """Return the execution plan of a program, without caching its :class:`PlanOutline`."""
    return PlanOutline(program).resolve(context)


def _kind(op: Op) -> PartKind:
    match op:
        case Conv():
            return "convolution"
        # Larger windows have more positions than one byte can distinguish.
        case MaxPool() if op.kernel[0] * op.kernel[1] <= MAX_BYTE_PLACES:
            return "max pooling"
        case BatchNorm():
            return "batch norm"
        case Activation(has_kernel=True):
            return "neuron"
        case Join():
            return "join"
        case Scores():
            return "scores"
    return "other"


def _in_one_kernel(parts: Sequence[_Part], once: bool) -> PlannedStep:  # noqa: FBT001 -- private
    """Return the planned step of parts in one kernel, without the values in between."""
    nodes = [part.step.gives for part in parts]
    return PlannedStep(
        tuple(nodes),
        tuple(i for part in parts for i in part.step.operands if i not in nodes),
        frozenset(i for part in parts for i in part.step.keeps if i not in nodes),
        tuple(i for part in parts for i in part.step.spent if i not in nodes[:-1]),
        once,
        reduced=parts[-1].step.reduced,
    )
