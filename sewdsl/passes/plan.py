"""The execution plan: by which kernel each step of a program runs, what is kept of its values, and for how long.

A program says what may be computed together. Whether that pays, and whether it can be done, depends on the sizes, the
device and the modules at hand. It is decided here and nowhere else: the forward pass follows the plan, the memory
prediction walks along it, ``compile --emit plan`` prints it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from sewdsl.ir.op import Activation, Join, Op
from sewdsl.ops.layers.conv import Conv
from sewdsl.ops.layers.norms import BatchNorm
from sewdsl.ops.layers.pool import MaxPool
from sewdsl.passes.program import EventInput, Program
from sewdsl.snn.limits import MAX_BYTE_PLACES, MAX_REGISTER_STEPS

LARGE_VALUE_ELEMENTS = 1 << 20
"""Numbers in a value from which on storing less of it is worth computing more: below, it is quickly there again, and
finding memory for it takes no longer than the arithmetic."""

Kernel = Literal["module", "norm_neuron", "folded", "loop"]
"""How a step is computed.

``module``: by its module. ``norm_neuron``: batch norm, neurons and, if it is part of the step, the join after them in
one kernel that stores neither the current nor the potential. ``folded``: by a layer whose weights have the batch norm
in them. ``loop``: node by node, one time-step after the other.
"""

PartKind = Literal["convolution", "max pooling", "batch norm", "neuron", "join", "other"]

"""Kinds of the part after a batch norm in a step that may run in one kernel."""


class ModuleState(NamedTuple):
    """What has become of the module of a node since it was built.

    Attributes:
        ours: Whether its ``forward`` is the one that it was built with.
        alone: Whether it has to be called by itself: somebody waits for the call, it is not ours, or several processes
            share its statistics.
        as_built: Whether nothing about it was replaced, hooked or parametrized, so that it gives the same again.
    """

    ours: bool = True
    alone: bool = False
    as_built: bool = True
    training: bool = True


AS_BUILT = ModuleState()


class ExecutionContext(NamedTuple):
    """What a program runs on.

    Attributes:
        T: Time-steps.
        N: Samples.
        static: Whether the input is one and the same at all time-steps; what does not depend on time then runs once.
        device: Its kind, as torch has it: ``cpu``, ``cuda``.
        kernels: Whether the generated kernels of that device may be used, and can.
        gradients: Whether a backward pass follows.
        compiling: Whether torch's compiler follows the program, which plans memory by itself.
        modules: The state of each node's module; empty: all are as they were built, in training mode.
    """

    T: int
    N: int
    static: bool = False
    device: str = "cpu"
    kernels: bool = True
    gradients: bool = True
    compiling: bool = False
    modules: tuple[ModuleState, ...] = ()

    def module(self, node: int) -> ModuleState:
        """The state of a node's module."""
        return self.modules[node] if self.modules else AS_BUILT


class PlannedStep(NamedTuple):
    """One step, as it runs.

    Attributes:
        nodes: What it computes, in order; it gives the value of the last, unless it is a loop.
        operands: The nodes whose values it reads.
        keeps: Those of them whose values it keeps for its gradient; a loop keeps them as they are.
        spent: Nodes whose values are not read after it.
        once: Whether it runs for one time-step in place of all.
        recomputed: Whether its value is not kept for the backward pass but computed again in it.
        frees_input: Whether a convolution gives up its input before there is room for its gradient.
        byte_places: Whether max pooling keeps a byte for each maximum.
        events: What a convolution reads that is computed from what is active, where that is little; None: it is not.
        exact: Whether its output is computed so only where every bit stays the same.
        winograd: Whether a convolution may be computed by Winograd's algorithm.
        loop: Of a loop, the nodes whose values it gives.
    """

    nodes: tuple[int, ...]
    operands: tuple[int, ...]
    keeps: frozenset[int]
    spent: tuple[int, ...]
    once: bool
    kernel: Kernel = "module"
    recomputed: bool = False
    frees_input: bool = False
    byte_places: bool = False
    events: EventInput | None = None
    exact: bool = True
    winograd: bool = False
    loop: tuple[int, ...] = ()

    @property
    def given(self) -> tuple[int, ...]:
        """The nodes whose values it gives."""
        return self.loop or self.nodes[-1:]

    @property
    def gives(self) -> int:
        """The node whose value it gives; of a loop, the last."""
        return self.given[-1]


class ExecutionPlan(NamedTuple):
    """How a program runs.

    Attributes:
        bits: In how many bits a number of a value is kept for the backward pass, by node; none: as it is.
        doubtful: Nodes that should give spikes or counts, by which the plan stores and computes less, and may give
            anything: they are hooked, or another module has their place.
    """

    steps: tuple[PlannedStep, ...]
    bits: Mapping[int, int]
    doubtful: frozenset[int] = frozenset()


class _Part(NamedTuple):
    """One node of a step of a program.

    Attributes:
        step: As it runs by itself.
        elements: Numbers in its first operand, of one sample at one time-step.
    """

    step: PlannedStep
    kind: PartKind
    elements: int


class _Step(NamedTuple):
    """What is known of a step of a program before it is known what it runs on.

    Attributes:
        all_parts: As it runs if all of them run in one kernel.
        first_two: As its first two run in one kernel, if there is a third.
        again: Whether the program wants its value computed again.
    """

    parts: tuple[_Part, ...]
    all_parts: PlannedStep
    first_two: PlannedStep
    again: bool


class PlanOutline:
    """What all plans of a program have in common. Numbers and names only, which torch's compiler can follow."""

    def __init__(self, program: Program) -> None:
        network = program.network
        last_reader = {i: node for step in program.steps for node in step.nodes for i in network.nodes[node].inputs}
        spent: dict[int, list[int]] = {}
        for node in range(len(network)):
            if node not in network.output_indices:
                spent.setdefault(last_reader.get(node, node), []).append(node)
        static = set() if network.nodes[0].output.varies else {0}
        steps: list[_Step | PlannedStep] = []
        for step in program.steps:
            if step.loop:
                inside = {*step.nodes}
                over = tuple(i for node in step.nodes for i in spent.get(node, ()) if i not in inside)
                kept = step.keeps(network)
                steps.append(
                    PlannedStep(step.nodes, step.operands, kept, over, once=False, kernel="loop", loop=step.loop)
                )
                continue
            kinds = [_kind(network.nodes[node].op) for node in step.nodes]
            parts = []
            for node, kind in zip(step.nodes, kinds, strict=True):
                op, inputs = network.nodes[node].op, network.nodes[node].inputs
                kept = frozenset(inputs[place] for place in op.keeps(*network.inputs(network.nodes[node])).inputs)
                # of equal time-steps, a norm that runs without the neurons after it needs one
                once = step.once or (kind == "batch norm" and kinds[1:2] == ["neuron"] and static.issuperset(inputs))
                planned = PlannedStep((node,), inputs, kept, tuple(spent.get(node, ())), once)
                parts.append(_Part(planned, kind, network.nodes[inputs[0]].output.elements))
                static |= {node} if once else set()
            again = step.gives in program.again and all(network.nodes[node].op.repeatable for node in step.nodes)
            steps.append(
                _Step(tuple(parts), _in_one_kernel(parts, step.once), _in_one_kernel(parts[:2], step.once), again)
            )
        self._steps = tuple(steps)
        self._counts = tuple(i for i, node in enumerate(network.nodes) if i and node.output.values.count is not None)
        self._lean, self._channels_last = program.lean, program.channels_last
        self._events, self._exact, self._winograd = program.events, program.exact, program.winograd
        self._bits = tuple((i, width, network.nodes[i].output.elements) for i, width in program.bits.items())

    def resolve(self, context: ExecutionContext) -> ExecutionPlan:
        """The plan for what the program is to run on."""
        steps: list[PlannedStep] = []
        for step in self._steps:
            if isinstance(step, PlannedStep):
                steps.append(step)
                continue
            again = step.again and context.gradients and all(context.module(i).as_built for i in step.all_parts.nodes)
            together, kernel = self._together(step, context)
            if together:
                first = step.all_parts if together == len(step.parts) else step.first_two
                steps.append(self._planned(first, step.parts[0], context, kernel, recomputed=again))
            steps += [
                self._planned(part.step, part, context, "module", recomputed=again) for part in step.parts[together:]
            ]
        bits = self._resolve_bits(context)
        relied = bits or any(step.events for step in steps)
        doubtful = [i for i in self._counts if relied and not context.module(i).as_built]
        return ExecutionPlan(tuple(steps), bits, frozenset(doubtful))

    def _together(self, step: _Step, context: ExecutionContext) -> tuple[int, Kernel]:
        """How many of the first nodes of a step run in one kernel, and in which; 0: none do."""
        kinds, alone = [part.kind for part in step.parts], [context.module(i).alone for i in step.all_parts.nodes]
        if kinds[:1] == ["batch norm"] and kinds[1:2] == ["neuron"]:
            possible = context.kernels and not (alone[0] or alone[1])
            possible = possible and (context.device == "cpu" or context.T <= MAX_REGISTER_STEPS)
            large = step.parts[0].elements * context.T * context.N >= LARGE_VALUE_ELEMENTS
            if possible and (self._lean or large or context.device != "cpu"):  # elsewhere, few kernels are worth more
                return (2 if kinds[2:] and alone[2] else len(kinds)), "norm_neuron"
        elif len(kinds) > 1 and not (context.module(step.all_parts.gives).training or alone[0] or alone[1]):
            return len(kinds), "folded"
        return 0, "module"

    def _planned(
        self, step: PlannedStep, first: _Part, context: ExecutionContext, kernel: Kernel, *, recomputed: bool
    ) -> PlannedStep:
        """A step as it runs, with what its first node does to save memory."""
        once = step.once and context.static
        # torch's compiler plans memory by itself
        ours, saves = not context.compiling and context.module(first.step.gives).ours, False
        if ours:
            saves = first.elements * (context.N if once else context.T * context.N) >= LARGE_VALUE_ELEMENTS
        here = self._channels_last and context.kernels
        events = self._events.get(first.step.gives) if context.module(first.step.gives).as_built else None
        return PlannedStep(
            step.nodes,
            step.operands,
            step.keeps,
            step.spent,
            once,
            kernel,
            recomputed,
            # elsewhere memory that nobody touches takes room too
            frees_input=saves and first.kind == "convolution" and context.gradients and context.device == "cpu",
            byte_places=saves and first.kind == "max pooling" and here,
            events=events if saves and here and context.device == "cpu" else None,
            exact=self._exact,
            winograd=ours and here and context.device == "cpu" and first.step.gives in self._winograd,
        )

    def _resolve_bits(self, context: ExecutionContext) -> dict[int, int]:
        if not context.kernels or not context.gradients or context.compiling:
            return {}
        samples = context.T * context.N  # of spikes and sums of them, of which none is in the static prefix
        return {
            i: width for i, width, elements in self._bits if self._lean or elements * samples >= LARGE_VALUE_ELEMENTS
        }


def plan_execution(program: Program, context: ExecutionContext) -> ExecutionPlan:
    """How a program runs on something; to ask more than once, keep its :class:`PlanOutline`."""
    return PlanOutline(program).resolve(context)


def _kind(op: Op) -> PartKind:
    match op:
        case Conv():
            return "convolution"
        case MaxPool() if op.kernel[0] * op.kernel[1] <= MAX_BYTE_PLACES:
            return "max pooling"
        case BatchNorm():
            return "batch norm"
        case Activation(has_kernel=True):
            return "neuron"
        case Join():
            return "join"
    return "other"


def _in_one_kernel(parts: Sequence[_Part], once: bool) -> PlannedStep:  # noqa: FBT001 -- private
    """The step of some nodes, in which the values between them are never there."""
    nodes = [part.step.gives for part in parts]
    return PlannedStep(
        tuple(nodes),
        tuple(i for part in parts for i in part.step.operands if i not in nodes),
        frozenset(i for part in parts for i in part.step.keeps if i not in nodes),
        tuple(i for part in parts for i in part.step.spent if i not in nodes[:-1]),
        once,
    )
