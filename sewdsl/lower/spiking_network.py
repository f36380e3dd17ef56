"""A network as a torch module, and views of it: of one time-step at a time, of values inside it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, final

import torch
from torch import Tensor, nn

from sewdsl.ir.network import Network
from sewdsl.lower import inputs
from sewdsl.lower.forward_pass import ForwardPass, prepare_rehearsal
from sewdsl.lower.parts import Group, ModuleGroup, PartCall, PartNodes, find_part
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
"""What the outputs of all time-steps become, by ``readout`` of the header."""

MAX_PLANS = 16
"""How many plans a network keeps: more different inputs than that come one after another in no loop."""


class SpikingNetwork(Group):
    """Runs the nodes of a network in order; its submodules carry their names.

    No state survives a forward: every call starts from resting neurons.

    What of a layer's input is kept for its gradient, and which layers are computed together, is decided in each forward
    for what it is given and what has become of the layers; see :mod:`sewdsl.passes.plan`.

    Attributes:
        event_listener: Told in each forward of each convolution that may be computed by events, by its node's name,
            whether it was; see :class:`EventShares`.
        doubts_layout: Whether to warn of an input that looks batch first. A warning ends the doubt.
    """

    event_listener: Callable[[str, bool], object] | None = None
    doubts_layout = True

    _program: Program
    _outline: PlanOutline
    _plans: dict[ExecutionContext, ExecutionPlan]
    _known_parts: dict[str, PartNodes]

    def __init__(self, program: Program, modules: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.program = program
        self.event_listener = None
        self._built = tuple((node.name, type(modules[node.name])) for node in program.network.nodes[1:])
        for name, module in modules.items():
            _place(self, name, module)
        paths = [name for name, module in self.named_modules(remove_duplicate=False) if isinstance(module, ModuleGroup)]
        self._groups = tuple(sorted(paths, key=lambda path: -path.count(".")))  # inner ones first

    def __getstate__(self) -> dict[str, Any]:
        """What a copy has, and a file: all but who listens, who has asked about this network alone."""
        return {**self.__dict__, "event_listener": None}

    def _repr_html_(self) -> str:
        """Return the picture and the table that a notebook shows for the network."""
        return self.network._repr_html_()

    def forward(self, x: Tensor, *, return_sequence: bool = False) -> Any:
        """The output over all time-steps, read out as the network says.

        Args:
            x: A sequence ``[T, N, C, H, W]`` (or ``[T, N, F]``) of any length T >= 1, but for networks with weights
                of one number of time-steps, or a static input ``[N, C, H, W]`` (or ``[N, F]``), which is shown at each
                of the network's T steps. Integers and booleans are converted to the parameters' dtype, as they are:
                255 becomes 255.0.
            return_sequence: Whether to return the output of every time-step instead of one readout.

        Returns:
            ``[N, classes]``, or ``[T, N, classes]``; of a network with several outputs, a dictionary of these by name.

        Raises:
            ValueError: the input's shape or dtype does not fit, or it has another number of time-steps than weights.
        """
        found = self.run(self.read_input(x))
        if not return_sequence:
            read_out = READOUTS[self.network.settings.readout]
            found = {index: read_out(y_TN) for index, y_TN in found.items()}
        return self.network.name_outputs(found)

    def read_input(self, x: Tensor) -> Tensor:
        """Return the input as ``[T, N, *]`` in the parameters' dtype; a static input is repeated without a copy.

        Warn once if a sequence looks batch first: N is the network's number of time-steps, and T is not.

        Raises:
            ValueError: If the shape or dtype does not fit.
        """
        settings = self.network.settings
        # A compiled graph cannot warn, and a comparison there would fix the sizes it is compiled for.
        if self.doubts_layout and not torch.compiler.is_compiling() and inputs.looks_batch_first(x, settings):
            self.doubts_layout = False
            # The caller's line is behind two frames here and two of nn.Module.
            warnings.warn(inputs.batch_first_warning(x, self.network), stacklevel=5)
        return inputs.to_sequence(x, settings, self.example)

    def stream(self) -> Stream:
        """A view of this module that takes one time-step at a time."""
        return Stream(self)

    def at(self, *paths: str) -> ValuesAt:
        """A view of this module that gives the values of layers and parts, and computes nothing after them.

        Args:
            paths: Names of layers, blocks, branches and repeats: ``sew_block3``, ``sew_block3.branch``.

        Raises:
            ValueError: the network has none of a name, or one that does not give one value.
        """
        return ValuesAt(self, paths)

    def run(
        self, x_TN: Tensor, step: StepState | None = None, wanted: frozenset[int] | None = None
    ) -> dict[int, Tensor]:
        """What is read out at every time-step, by node; each value is dropped after its last reader.

        Args:
            x_TN: The input, ``[T, N, *]``, known to fit; where its time-steps are one and the same memory, what does
                not depend on time is computed once.
            step: What nodes keep, if the input is one time-step of a stream.
            wanted: Nodes whose values are given in place of the outputs; none after them is computed.
        """
        T = len(x_TN)
        if step is None or T > 1:
            self._check_steps(T)
        static = T > 1 and x_TN.stride(0) == 0  # the slices share their memory, so they are equal
        values = {0: x_TN[:1] if static else x_TN}
        parts = self._calls(streaming=step is not None)
        gone = {i: call for call in parts if call.replaced for i in call.part.nodes}
        if wanted is not None and (missing := [i for i in wanted if i in gone and gone[i].part.gives != i]):
            raise ValueError(
                f"{self.network.nodes[missing[0]].name} is gone: another module has the place of the part it was in"
            )
        modules = [self if i in gone else self.get_submodule(name) for i, (name, _) in enumerate(self._built, 1)]
        apart = {call.part.gives for call in parts} | {*gone, *(wanted or ())}
        plan = self._plan(x_TN, modules, apart, static=static, streaming=step is not None)
        if torch.compiler.is_compiling():  # what is compiled does nothing by events
            del x_TN
            ForwardPass(self.network, plan, [None, *modules], T, step, None, parts, wanted).run(values)
        else:
            rehearsal = prepare_rehearsal(self.network, plan, [None, *modules], x_TN, static=static)
            del x_TN
            with compile_ahead.rehearsed_by(rehearsal):
                ForwardPass(self.network, plan, [None, *modules], T, step, self.event_listener, parts, wanted).run(
                    values
                )
        return {index: expand_steps(values[index], T) for index in wanted or self.network.output_indices}

    def _calls(self, *, streaming: bool) -> list[PartCall]:
        """The parts that are hooked, or whose place another module has, inner ones first.

        Raises:
            TypeError: a part of a stream is replaced that knows the past.
            ValueError: one does not give one value.
        """
        found: list[PartCall] = []
        for path in self._groups:
            module: nn.Module = self
            for name in path.split("."):
                child = module._modules.get(name)  # noqa: SLF001 -- as torch finds it
                if child is None or not isinstance(module, Group):
                    break
                module = child
            else:
                replaced = not isinstance(module, ModuleGroup)
                if replaced or module._forward_hooks or module._forward_pre_hooks:  # noqa: SLF001 -- as above
                    if path not in self._known_parts:
                        self._known_parts[path] = find_part(self.network, path)
                    part = self._known_parts[path]
                    if streaming and replaced and any(self.network.nodes[i].op.reads == "past" for i in part.nodes):
                        raise TypeError(
                            f"the network cannot be streamed: what is in the place of {path} does not give its state"
                        )
                    found.append(PartCall(part, module, replaced=replaced))
        return found

    def get_submodule(self, target: str) -> nn.Module:
        """A layer, a group or a module in one, by its path.

        Raises:
            AttributeError: there is none, or another module has the place of the group that it was in.
        """
        try:
            return super().get_submodule(target)
        except AttributeError:
            for path in reversed(self.__dict__.get("_groups", ())):  # outer ones first
                if target.startswith(f"{path}.") and not isinstance(self.get_submodule(path), ModuleGroup):
                    raise AttributeError(f"{target} is gone: another module has the place of {path}") from None
            raise

    def _check_steps(self, T: int) -> None:
        """Refuses another number of time-steps than that of weights."""
        fixed, steps = self._fixed, self.network.settings.steps
        if fixed is not None and steps != T:
            raise ValueError(
                f"{fixed.name} ({fixed.op.kind}) has weights for {steps} time-steps, but the input has {T}: another "
                f"number of time-steps is another network, which steps={T} compiles"
            )

    def _plan(
        self, x_TN: Tensor, modules: Sequence[nn.Module], apart: set[int], *, static: bool, streaming: bool
    ) -> ExecutionPlan:
        """How to compute it for an input, with the modules as they are now, and some nodes each by itself."""
        states = [AS_BUILT, *(_state(module, kind) for module, (_, kind) in zip(modules, self._built, strict=True))]
        for i in apart - {0}:
            states[i] = states[i]._replace(alone=True, as_built=False)
        if streaming:  # every neuron's potential is asked for, and what else is known of the past
            for i, node in enumerate(self.network.nodes):
                if node.op.reads == "past":
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
        if context.compiling or not isinstance(context.T, int) or not isinstance(context.N, int):
            return self._outline.resolve(context)
        if context not in self._plans:
            if len(self._plans) >= MAX_PLANS:
                self._plans.clear()
            self._plans[context] = self._outline.resolve(context)
        return self._plans[context]

    @property
    def program(self) -> Program:
        """What it computes, and in which steps."""
        return self._program

    @program.setter
    def program(self, program: Program) -> None:
        self._program, self._outline, self._plans = program, PlanOutline(program), {}
        self._known_parts = {}
        self._fixed = program.network.first_fixed

    @property
    def network(self) -> Network:
        """What it computes."""
        return self.program.network

    @property
    def example(self) -> Tensor | None:
        """A parameter that shows the dtype; None without parameters."""
        return next(self.parameters(), None)

    def extra_repr(self) -> str:
        settings = self.network.settings
        size = "x".join(map(str, settings.input))
        return f"{self.network.name!r}, input={size}, steps={settings.steps}, readout={settings.readout}"


@final
class ValuesAt(nn.Module):
    """Gives the values of some layers and parts of a network, whose weights it shares; made by ``model.at``.

    ::

        maps_TN = model.at("sew_block3")(x)
        found = model.at("conv1", "sew_block3.branch")(x)
        found["conv1"]

    Attributes:
        model: The network, as it is when this is called: in its mode, with what was hooked and replaced.
    """

    def __init__(self, model: SpikingNetwork, paths: Sequence[str]) -> None:
        super().__init__()
        if not paths:
            raise ValueError("say which: model.at('sew_block1')")
        self.model, self.paths = model, tuple(paths)
        self._gives = {path: find_part(model.network, path).gives for path in paths}

    def forward(self, x: Tensor) -> Any:
        """The values at all time-steps, ``[T, N, *]``; of several layers and parts, a dictionary of these by name.

        Raises:
            ValueError: as of the network; or another module has the place of a part that a layer was in.
        """
        values = self.model.run(self.model.read_input(x), wanted=frozenset(self._gives.values()))
        found = {path: values[index] for path, index in self._gives.items()}
        return found if len(self.paths) > 1 else found[self.paths[0]]

    def extra_repr(self) -> str:
        return ", ".join(self.paths)


@final
class Stream:
    """Run a network one time-step at a time.

    The outputs equal those of the whole sequence up to rounding: libraries round a convolution or a matrix product of N
    samples differently from one of T · N samples, and a potential at the threshold may then be on its other side.

    ::

        stream, state = model.eval().stream(), None
        for x_N in frames:
            y_N, state = stream(x_N, state)

    It holds no state of its own: calls may interleave several sequences.

    Raises:
        ValueError: a layer reads whole sequences, so that nothing can be given before all time-steps are there.
    """

    def __init__(self, model: SpikingNetwork) -> None:
        self._model = model
        whole = next((node for node in model.network if node.op.reads == "sequence"), None)
        if whole is not None:
            raise ValueError(
                f"{whole.name} ({whole.op.kind}) reads all time-steps of a sequence to give any of them, so that the "
                "network cannot be streamed; call it on whole sequences"
            )

    def __call__(self, x_N: Tensor, state: State | None = None) -> tuple[Any, State]:
        """One time-step.

        Args:
            x_N: The input of this step, ``[N, C, H, W]`` or ``[N, F]``.
            state: What the call for the step before returned; None: the first step.

        Returns:
            The output of this step ``[N, classes]``, of several each by its name, and the state after it.

        Raises:
            ValueError: the input does not fit, the state belongs to another network or batch, or it comes after the
                last time-step that there are weights for.
            RuntimeError: a layer in training mode needs all time-steps at once.
        """
        self._refuse_training()
        model = self._model
        x_N = inputs.to_time_step(x_N, model.network.settings, model.example)
        t = 0 if state is None else state.t
        fixed, steps = model.network.first_fixed, model.network.settings.steps
        if fixed is not None and t >= steps:
            raise ValueError(
                f"{fixed.name} ({fixed.op.kind}) has weights for {steps} time-steps, and the stream is after these"
            )

        step = StepState(state, t)
        found = model.run(x_N[None], step)
        given = model.network.name_outputs({index: y_TN[0] for index, y_TN in found.items()})
        return given, State(step.after, t + 1)

    def _refuse_training(self) -> None:
        for name, module in self._model.named_modules():
            if module.training and isinstance(module, BatchNorm | Dropout):
                why = "takes its statistics over" if isinstance(module, BatchNorm) else "draws one mask for"
                raise RuntimeError(
                    f"{name} is in training mode and {why} all time-steps of a sequence, but a stream sees one at a "
                    "time; call model.eval() first, or train on whole sequences"
                )

    def __repr__(self) -> str:
        return f"Stream({self._model.network.name!r})"


class EventShares:
    """How often convolutions were computed by events, over all that passes while they are watched."""

    def __init__(self) -> None:
        self._counts: dict[str, tuple[int, int]] = {}

    @contextmanager
    def watch(self, model: SpikingNetwork) -> Iterator[None]:
        """Counts the convolutions of each forward within that may be computed by events."""
        before, model.event_listener = model.event_listener, self._count
        try:
            yield
        finally:
            model.event_listener = before

    def _count(self, name: str, by_events: bool) -> None:  # noqa: FBT001 -- what it is told
        events, all_of_them = self._counts.get(name, (0, 0))
        self._counts[name] = events + by_events, all_of_them + 1

    @property
    def shares(self) -> dict[str, float]:
        """Of each that may be, in how many of its forwards it was, in [0, 1], by the node's name, in order."""
        return {name: events / all_of_them for name, (events, all_of_them) in self._counts.items()}


def _state(module: nn.Module, kind: type[nn.Module]) -> ModuleState:
    """What has become of a module that was built as one of a kind."""
    hooked, ours = has_hooks(module), is_ours(module, kind)
    shares = isinstance(module, BatchNorm) and module.shares_statistics
    return ModuleState(ours, hooked or not ours or shares, type(module) is kind and not hooked, module.training)


def _place(root: nn.Module, name: str, module: nn.Module) -> None:
    """Puts a module at the place that its dotted name says, with a section for each step of the way."""
    *way, last = name.split(".")
    place = root
    for depth, part in enumerate(way, 1):
        if part not in place._modules:  # noqa: SLF001 -- named_children would hide a child that occurs twice
            place.add_module(part, ModuleGroup(".".join(way[:depth])))
        place = place.get_submodule(part)
    place.add_module(last, module)
