"""Networks as PyTorch modules, with views for streaming and for intermediate values."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, final

import torch
from torch import Tensor, nn

from sewdsl.ir.network import Network
from sewdsl.lower import inputs
from sewdsl.lower.forward_pass import ForwardPass, Listener, prepare_rehearsal
from sewdsl.lower.inputs import Inputs
from sewdsl.lower.parts import Group, ModuleGroup, PartCall, PartNodes, find_calls, find_part
from sewdsl.lower.stream import State, StepState
from sewdsl.passes import Program
from sewdsl.passes.plan import AS_BUILT, ExecutionContext, ExecutionPlan, ModuleState, PlanOutline
from sewdsl.snn import kernels
from sewdsl.snn.batch_norm import BatchNorm
from sewdsl.snn.hooks import has_hooks, is_ours
from sewdsl.snn.kernels import compile_ahead
from sewdsl.snn.layers import Dropout
from sewdsl.snn.time_steps import expand_steps

READOUTS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "last": lambda y_TN: y_TN[-1],
    "sum": lambda y_TN: y_TN.sum(0),
    "mean": lambda y_TN: y_TN.mean(0),
}
"""Reductions of the outputs over time, by ``readout`` of the header."""

MAX_PLANS = 16
"""Maximum number of cached plans. Few programs alternate between more input sizes."""


class SpikingNetwork(Group):
    """PyTorch module of a network, with one submodule per node, named after the node.

    Nodes that share weights, in the calls of a part, have one submodule. It has the name of the node in the first call.

    Each call starts from resting neurons. No state is kept between calls. The execution plan depends on the input and
    on the current modules, see :mod:`sewdsl.passes.plan`.

    Attributes:
        event_listener: Callback for each convolution that may be event-driven, with the node name and whether it was.
            See :class:`EventShares`.
        doubts_layout: Whether to warn about an input that looks batch first. The warning is issued once.
    """

    event_listener: Callable[[str, bool], object] | None = None
    doubts_layout = True

    _program: Program
    _outline: PlanOutline
    _plans: dict[ExecutionContext, ExecutionPlan]
    _part_cache: dict[str, tuple[PartNodes, ...]]
    _listeners: tuple[Mapping[int, Listener], ...] = ()

    def __init__(self, program: Program, modules: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.program = program
        # torch.compile would compile again for an attribute that the instance gets later.
        self.event_listener, self._listeners = None, ()
        owners = {node.name: program.network.owner(node).name for node in program.network.layers}
        self._built = tuple((name, type(modules[name])) for name in owners.values())
        self._owners = {name: owner for name, owner in owners.items() if name != owner}
        for name, module in modules.items():
            _add_module(self, name, module)
        paths = [name for name, module in self.named_modules(remove_duplicate=False) if isinstance(module, ModuleGroup)]
        self._groups = tuple(sorted(paths, key=lambda path: -path.count(".")))  # inner groups first

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for copying and pickling, without listeners."""
        return {**self.__dict__, "event_listener": None, "_listeners": ()}

    def _repr_html_(self) -> str:
        return self.network._repr_html_()

    def forward(self, x: Inputs = None, *more: Tensor, return_sequence: bool = False, **named: Tensor) -> Any:
        """Return the readout of the outputs over all time-steps.

        Args:
            x: A sequence ``[T, N, C, H, W]`` (or ``[T, N, F]``) of any length T >= 1, or a static input
                ``[N, C, H, W]`` (or ``[N, F]``), which is repeated at each of the network's T time-steps. If a layer
                has weights for a fixed number of time-steps, T must have this value. Integers and booleans are
                converted to the
                dtype of the parameters without scaling: 255 becomes 255.0. For named inputs, the first one, or a
                mapping of all by name.
            more: Further named inputs, in order.
            return_sequence: Whether to return the output of every time-step instead of the readout.

        Returns:
            ``[N, classes]``, or ``[T, N, classes]``. For a network with several outputs, a dictionary of these by name.

        Raises:
            ValueError: If the shape, the dtype or the number of time-steps does not match.
        """
        outputs = self.run(self.read_inputs(inputs.by_name(self.network.settings, (x, *more), named)))
        if not return_sequence:
            read_out = READOUTS[self.network.settings.readout]
            outputs = {index: read_out(y_TN) for index, y_TN in outputs.items()}
        return self.network.name_outputs(outputs)

    def read_inputs(self, values: Sequence[Tensor]) -> dict[int, Tensor]:
        """Return the inputs by node, as ``[T, N, *]`` in the dtype of the parameters.

        A static input is repeated without a copy. Warn once if a sequence looks batch first: N equals the network's
        number of time-steps, and T does not.

        Raises:
            ValueError: If a shape or a dtype does not match.
        """
        settings, sequences = self.network.settings, []
        for x, source in zip(values, settings.sources, strict=True):
            # A compiled graph cannot warn, and a comparison there would fix the sizes it is compiled for.
            doubtful = self.doubts_layout and not torch.compiler.is_compiling()
            if doubtful and inputs.looks_batch_first(x, source, settings.steps):
                self.doubts_layout = False
                # The caller is five frames up: two frames here and two of nn.Module are in between.
                warnings.warn(inputs.batch_first_warning(x, self.network), stacklevel=5)
            sequences.append(inputs.to_sequence(x, source, settings.steps, self.example))
        inputs.check_equal_lengths(sequences, settings)
        return dict(zip(self.network.input_indices, sequences, strict=True))

    def stream(self) -> Stream:
        """Return a view of the module for single time-steps."""
        return Stream(self)

    def at(self, *paths: str) -> ValuesAt:
        """Return a view of the module with the values of layers and groups as output.

        Args:
            paths: Names of layers, blocks, branches and repeats: ``sew_block3``, ``sew_block3.branch``.

        Raises:
            ValueError: If there is no part of a name, or a part does not have exactly one output.
        """
        return ValuesAt(self, paths)

    def run(
        self, values: dict[int, Tensor], step: StepState | None = None, targets: frozenset[int] | None = None
    ) -> dict[int, Tensor]:
        """Run all nodes and return the outputs over time. Each value is released after its last use.

        Args:
            values: Validated inputs by node, ``[T, N, *]``, and afterwards the outputs. If the time-steps of the inputs
                share memory, time-independent values are computed once.
            step: State of the nodes, if the input is one time-step of a stream.
            targets: Nodes to return instead of the outputs. Later nodes are not computed.
        """
        network, first = self.network, self.network.first_layer
        T = len(values[network.input_indices[0]])
        if step is None or T > 1:
            self._check_steps(T)
        repeated = {i for i, x_TN in values.items() if T > 1 and x_TN.stride(0) == 0}  # all slices share memory
        static = repeated.issuperset(network.static_inputs or network.input_indices)
        parts = self._part_calls(streaming=step is not None)
        replacements = {i: call for call in parts if call.replaced for i in call.part.nodes}
        if targets is not None and (
            missing := [i for i in targets if i in replacements and replacements[i].part.gives != i]
        ):
            raise ValueError(
                f"layer {self.network.nodes[missing[0]].name} no longer exists: its part was replaced by another module"
            )
        modules = [
            self if i in replacements else self.get_submodule(name) for i, (name, _) in enumerate(self._built, first)
        ]
        separate = {call.part.gives for call in parts} | {*replacements, *(targets or ())}
        x_TN = values[network.input_indices[0]]
        plan = self._plan(x_TN, modules, separate, static=static, streaming=step is not None)
        by_node = [*[None] * first, *modules]
        values |= {i: values[i][:1] for i in repeated}
        # Event-driven convolutions are not used in compiled graphs, so their listener is not passed. The input is
        # released here, so that the pass can free it after its last reader.
        del x_TN
        if torch.compiler.is_compiling():
            ForwardPass(network, plan, by_node, T, step, None, parts, targets, self._listeners).run(values)
        else:
            rehearsal = prepare_rehearsal(network, plan, by_node, values, T)
            listeners = self.event_listener, parts, targets, self._listeners
            with compile_ahead.rehearsed_by(rehearsal):
                ForwardPass(network, plan, by_node, T, step, *listeners).run(values)
        return {index: expand_steps(values[index], T) for index in targets or self.network.output_indices}

    def _part_calls(self, *, streaming: bool) -> list[PartCall]:
        """Return the hooked and replaced parts, inner parts first.

        Raises:
            TypeError: If a stateful part of a stream is replaced.
            ValueError: If a part does not have exactly one output.
        """
        calls: list[PartCall] = []
        for path in self._groups:
            module: nn.Module = self
            for name in path.split("."):
                child = module._modules.get(name)  # noqa: SLF001 -- same lookup as nn.Module
                if child is None or not isinstance(module, Group):
                    break
                module = child
            else:
                replaced = not isinstance(module, ModuleGroup)
                if replaced or module._forward_hooks or module._forward_pre_hooks:  # noqa: SLF001 -- no public equivalent
                    if path not in self._part_cache:
                        self._part_cache[path] = find_calls(self.network, path)
                    for part in self._part_cache[path]:
                        if streaming and replaced and any(self.network.nodes[i].op.reads == "past" for i in part.nodes):
                            raise TypeError(
                                f"cannot stream the network: the module that replaces {path} does not return a state"
                            )
                        calls.append(PartCall(part, module, replaced=replaced))
        return calls

    def get_submodule(self, target: str) -> nn.Module:
        """Return a layer, a group, or a module inside a layer, by path.

        Args:
            target: Name of a module, or of a node that uses the module of another node.

        Raises:
            AttributeError: If the module does not exist, or its group was replaced by another module.
        """
        target = self.__dict__.get("_owners", {}).get(target, target)
        try:
            return super().get_submodule(target)
        except AttributeError:
            for path in reversed(self.__dict__.get("_groups", ())):  # outer groups first
                if target.startswith(f"{path}.") and not isinstance(self.get_submodule(path), ModuleGroup):
                    raise AttributeError(f"{target} no longer exists: {path} was replaced by another module") from None
            raise

    def _check_steps(self, T: int) -> None:
        """Raise ValueError if layers have weights for another number of time-steps."""
        fixed, steps = self._fixed, self.network.settings.steps
        if fixed is not None and steps != T:
            raise ValueError(
                f"{fixed.name} ({fixed.op.kind}) has weights for {steps} time-steps, but the input has {T}; "
                f"compile the network with steps={T}"
            )

    def _plan(
        self, x_TN: Tensor, modules: Sequence[nn.Module], separate: set[int], *, static: bool, streaming: bool
    ) -> ExecutionPlan:
        """Return the execution plan for an input and the current modules, without fusion of separate nodes."""
        first = self.network.first_layer
        states = [
            *[AS_BUILT] * first,
            *(_state(module, kind) for module, (_, kind) in zip(modules, self._built, strict=True)),
        ]
        for i in separate - {*range(first)}:
            states[i] = states[i]._replace(alone=True, as_built=False)
        # In a stream, the state of every stateful node is read.
        past = (i for i, node in enumerate(self.network.nodes) if streaming and node.op.reads == "past")
        for i in {*past}.union(*self._listeners):
            states[i] = states[i]._replace(alone=True)
        context = ExecutionContext(
            len(x_TN),
            x_TN.shape[1],
            static,
            x_TN.device.type,
            kernels.kernels_run_on(x_TN.device),
            torch.is_grad_enabled(),
            torch.compiler.is_compiling(),
            tuple(states),
        )
        # Symbolic sizes of PyTorch's compiler cannot be keys of the cache.
        if context.compiling or not isinstance(context.T, int) or not isinstance(context.N, int):
            return self._outline.resolve(context)
        if context not in self._plans:
            if len(self._plans) >= MAX_PLANS:
                self._plans.clear()
            self._plans[context] = self._outline.resolve(context)
        return self._plans[context]

    @property
    def program(self) -> Program:
        """Program of the module."""
        return self._program

    @program.setter
    def program(self, program: Program) -> None:
        self._program, self._outline, self._plans = program, PlanOutline(program), {}
        self._part_cache = {}
        self._fixed = program.network.first_fixed

    @property
    def network(self) -> Network:
        """Network of the module."""
        return self.program.network

    @property
    def example(self) -> Tensor | None:
        """A parameter, which shows the dtype, or None without parameters."""
        return next(self.parameters(), None)

    def extra_repr(self) -> str:
        settings = self.network.settings
        return f"{self.network.name!r}, input={settings.input_text}, steps={settings.steps}, readout={settings.readout}"


@final
class ValuesAt(nn.Module):
    """View that outputs the values of layers and groups of a network with shared weights, created by ``model.at``.

    ::

        maps_TN = model.at("sew_block3")(x)
        values = model.at("conv1", "sew_block3.branch")(x)
        values["conv1"]

    Attributes:
        model: The network, whose current mode, hooks and replacements apply.
    """

    def __init__(self, model: SpikingNetwork, paths: Sequence[str]) -> None:
        super().__init__()
        if not paths:
            raise ValueError("at() requires a path, e.g. model.at('sew_block1')")
        self.model, self.paths = model, tuple(paths)
        self._gives = {path: find_part(model.network, path).gives for path in paths}

    def forward(self, x: Inputs = None, *more: Tensor, **named: Tensor) -> Any:
        """Return the values at all time-steps, ``[T, N, *]``, or a dictionary of several by name.

        Raises:
            ValueError: If the input does not match, or if the part around a layer was replaced.
        """
        values_in = self.model.read_inputs(inputs.by_name(self.model.network.settings, (x, *more), named))
        values = self.model.run(values_in, targets=frozenset(self._gives.values()))
        values_by_path = {path: values[index] for path, index in self._gives.items()}
        return values_by_path if len(self.paths) > 1 else values_by_path[self.paths[0]]

    def extra_repr(self) -> str:
        return ", ".join(self.paths)


@final
class Stream:
    """View of a network for single time-steps.

    The outputs equal those of the full sequence up to rounding: libraries round a convolution or a matrix product of N
    samples differently from one of T · N samples. A potential at the threshold can therefore change a spike.

    ::

        stream, state = model.eval().stream(), None
        for x_N in frames:
            y_N, state = stream(x_N, state)

    The view is stateless, so calls may interleave several sequences.

    Raises:
        ValueError: If a layer needs all time-steps at once.
    """

    def __init__(self, model: SpikingNetwork) -> None:
        self._model = model
        non_causal = next((node for node in model.network if node.op.reads == "sequence"), None)
        if non_causal is not None:
            raise ValueError(
                f"cannot stream the network: {non_causal.name} ({non_causal.op.kind}) needs all time-steps at once; "
                "call the module on whole sequences"
            )

    def __call__(self, x_N: Inputs = None, state: State | None = None, **named: Tensor) -> tuple[Any, State]:
        """Run one time-step.

        Args:
            x_N: Input of the time-step, ``[N, C, H, W]`` or ``[N, F]``. For named inputs, a mapping of all by name.
            state: State returned by the previous call, or None for the first time-step.

        Returns:
            The output of the time-step ``[N, classes]``, or a dictionary of several outputs by name, and the state
            after it.

        Raises:
            ValueError: If the input does not match, if the state belongs to another network or batch, or if there are
                no weights for the time-step.
            RuntimeError: If a layer is in training mode and needs all time-steps at once.
        """
        self._reject_training_mode()
        model = self._model
        settings = model.network.settings
        values = [
            inputs.to_time_step(x, source, model.example)[None]
            for x, source in zip(inputs.by_name(settings, (x_N,), named), settings.sources, strict=True)
        ]
        inputs.check_equal_lengths(values, settings)
        t = 0 if state is None else state.t
        fixed, steps = model.network.first_fixed, settings.steps
        if fixed is not None and t >= steps:
            raise ValueError(
                f"{fixed.name} ({fixed.op.kind}) has weights for {steps} time-steps, got time-step {t + 1}"
            )

        step = StepState(state, t)
        outputs = model.run(dict(zip(model.network.input_indices, values, strict=True)), step)
        output = model.network.name_outputs({index: y_TN[0] for index, y_TN in outputs.items()})
        return output, State(step.after, t + 1)

    def _reject_training_mode(self) -> None:
        """Raise RuntimeError if a batch norm or dropout is in training mode."""
        for name, module in self._model.named_modules():
            if module.training and isinstance(module, BatchNorm | Dropout):
                why = "computes statistics over" if isinstance(module, BatchNorm) else "draws one mask for"
                raise RuntimeError(
                    f"cannot stream the network: {name} is in training mode and {why} all time-steps; "
                    "call model.eval() first, or train on whole sequences"
                )

    def __repr__(self) -> str:
        return f"Stream({self._model.network.name!r})"


@contextmanager
def watch_nodes(model: SpikingNetwork, names: Iterable[str], listener: Listener) -> Iterator[None]:
    """Return a context in which each forward pass passes the values of nodes to a callback.

    A watched node is not fused with others. The calls of a part are nodes of their own, though they share modules, so
    hooks of the modules could not tell them apart.

    Args:
        listener: Receives the name of a node, its inputs and its output, ``[T, N, *]`` each, or ``[1, N, *]`` if the
            node is static and computed once. Values in loops are passed on after the last time-step.

    Raises:
        AttributeError: If the part around a node was replaced by another module.
    """
    watched = {*names}
    for name in watched:
        model.get_submodule(name)
    before = model._listeners  # noqa: SLF001 -- public names cannot be names of layers
    listeners = {index: listener for index, node in enumerate(model.network) if node.name in watched}
    model._listeners = (*before, listeners)  # noqa: SLF001
    try:
        yield
    finally:
        model._listeners = before  # noqa: SLF001


class EventShares:
    """Fraction of event-driven forward passes of each convolution."""

    def __init__(self) -> None:
        self._counts: dict[str, tuple[int, int]] = {}

    @contextmanager
    def watch(self, model: SpikingNetwork) -> Iterator[None]:
        """Return a context that counts the convolutions of all forward passes."""
        before, model.event_listener = model.event_listener, self._count
        try:
            yield
        finally:
            model.event_listener = before

    def _count(self, name: str, by_events: bool) -> None:  # noqa: FBT001 -- signature of event_listener
        events, total = self._counts.get(name, (0, 0))
        self._counts[name] = events + by_events, total + 1

    @property
    def shares(self) -> dict[str, float]:
        """Fraction of event-driven forward passes, in [0, 1], by node name, in topological order."""
        return {name: events / total for name, (events, total) in self._counts.items()}


def _state(module: nn.Module, kind: type[nn.Module]) -> ModuleState:
    """Return the state of a module built as an instance of ``kind``."""
    hooked, is_original = has_hooks(module), is_ours(module, kind)
    shares = isinstance(module, BatchNorm) and module.shares_statistics
    return ModuleState(
        is_original, hooked or not is_original or shares, type(module) is kind and not hooked, module.training
    )


def _add_module(root: nn.Module, name: str, module: nn.Module) -> None:
    """Add a module under its dotted name, with a group for each part of the path."""
    *parents, last = name.split(".")
    parent = root
    for depth, part in enumerate(parents, 1):
        if part not in parent._modules:  # noqa: SLF001 -- named_children skips a module that occurs twice
            parent.add_module(part, ModuleGroup(".".join(parents[:depth])))
        parent = parent.get_submodule(part)
    parent.add_module(last, module)
