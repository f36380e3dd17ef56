"""A network as a torch module."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from sewdsl.ir.network import Network
from sewdsl.lower import inputs
from sewdsl.lower.forward_pass import ForwardPass
from sewdsl.lower.step_state import StepState
from sewdsl.lower.stream import Stream
from sewdsl.passes import Program
from sewdsl.passes.plan import AS_BUILT, ExecutionContext, ExecutionPlan, ModuleState, PlanOutline
from sewdsl.snn import kernels
from sewdsl.snn.batch_norm import BatchNorm
from sewdsl.snn.hooks import has_hooks, is_ours
from sewdsl.snn.time_steps import expand_steps

READOUTS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "last": lambda y_TN: y_TN[-1],
    "sum": lambda y_TN: y_TN.sum(0),
    "mean": lambda y_TN: y_TN.mean(0),
}
"""What the outputs of all time-steps become, by ``readout`` of the header."""

MAX_PLANS = 16
"""How many plans a network keeps: more different inputs than that come one after another in no loop."""


class Group(nn.Module):
    """What holds groups of layers: the network, and the groups themselves. No group can be replaced or taken out."""

    def __setattr__(self, name: str, value: Any) -> None:
        self._keep(name, value)
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        self._keep(name, None)
        super().__delattr__(name)

    def add_module(self, name: str, module: nn.Module | None) -> None:  # noqa: D102 -- torch's
        self._keep(name, module)
        super().add_module(name, module)

    def _keep(self, name: str, new: object) -> None:
        """Refuses to put anything in place of a group of layers but another one with the same layers.

        Raises:
            TypeError: the network runs the layers, each by its path, and would not find them.
        """
        old = self.__dict__.get("_modules", {}).get(name)
        if isinstance(old, ModuleGroup) and not (isinstance(new, ModuleGroup) and {*old.layers} <= {*new.layers}):
            message = (
                f"{old.path} is a group of layers that the network runs one by one, so that nothing can take its "
                f"place; replace layers in it, e.g. model.set_submodule('{old.path}.{old.layers[0]}', …), or compile "
                "another network"
            )
            raise TypeError(message)


class ModuleGroup(Group):
    """A repeat, a block or a branch: a part of the network with a name, which computes nothing itself.

    The network runs its layers one by one and never calls it, so that a hook on it would never be called either.

    Attributes:
        path: Its name in the network.
    """

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    @property
    def layers(self) -> list[str]:
        """The names of its layers, in it and in the groups in it, in order of computation."""
        found: list[str] = []
        for name, module in self._modules.items():  # named_children would hide a child that occurs twice
            found += [f"{name}.{layer}" for layer in module.layers] if isinstance(module, ModuleGroup) else [name]
        return found

    def forward(self, *_: Any, **__: Any) -> NoReturn:
        """It has none."""
        message = f"{self.path} is a group of layers that computes nothing itself; call the network, or a layer"
        raise TypeError(message)

    def _refuse(self, *, last: bool) -> NoReturn:
        """Says what to hook in its place."""
        place, which = (-1, "last layer, which gives") if last else (0, "first layer, which reads")
        message = (
            f"{self.path} is a group of layers that is never called itself, so that its hooks would never be called; "
            f"hook its {which} what it {which.split()[-1]}: model.get_submodule('{self.path}.{self.layers[place]}')"
        )
        raise TypeError(message)

    def register_forward_hook(self, *_: Any, **__: Any) -> NoReturn:  # noqa: D102 -- torch's, as those below
        self._refuse(last=True)

    def register_forward_pre_hook(self, *_: Any, **__: Any) -> NoReturn:  # noqa: D102
        self._refuse(last=False)

    def register_full_backward_hook(self, *_: Any, **__: Any) -> NoReturn:  # noqa: D102
        self._refuse(last=True)

    def register_full_backward_pre_hook(self, *_: Any, **__: Any) -> NoReturn:  # noqa: D102
        self._refuse(last=True)

    def register_backward_hook(self, *_: Any, **__: Any) -> NoReturn:  # noqa: D102
        self._refuse(last=True)


class SpikingNetwork(Group):
    """Runs the nodes of a network in order; its submodules carry their names.

    No state survives a forward: every call starts from resting neurons.

    What of a layer's input is kept for its gradient, and which layers are computed together, is decided in each forward
    for what it is given and what has become of the layers; see :mod:`sewdsl.passes.plan`.

    Attributes:
        event_listener: Told in each forward of each convolution that may be computed by events, by its node's name,
            whether it was; see :class:`sewdsl.lower.event_shares.EventShares`.
    """

    event_listener: Callable[[str, bool], object] | None = None

    _program: Program
    _outline: PlanOutline
    _plans: dict[ExecutionContext, ExecutionPlan]

    def __init__(self, program: Program, modules: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.program = program
        self.event_listener = None
        self._built = tuple((node.name, type(modules[node.name])) for node in program.network.nodes[1:])
        for name, module in modules.items():
            _place(self, name, module)

    def __getstate__(self) -> dict[str, Any]:
        """What a copy has, and a file: all but who listens, who has asked about this network alone."""
        return {**self.__dict__, "event_listener": None}

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
        found = self.run(inputs.to_sequence(x, self.network.settings, self.example))
        if not return_sequence:
            read_out = READOUTS[self.network.settings.readout]
            found = {index: read_out(y_TN) for index, y_TN in found.items()}
        return self.network.name_outputs(found)

    def stream(self) -> Stream:
        """A view of this module that takes one time-step at a time."""
        return Stream(self)

    def run(self, x_TN: Tensor, step: StepState | None = None) -> dict[int, Tensor]:
        """What is read out at every time-step, by node; each value is dropped after its last reader.

        Args:
            x_TN: The input, ``[T, N, *]``, known to fit; where its time-steps are one and the same memory, what does
                not depend on time is computed once.
            step: What nodes keep, if the input is one time-step of a stream.
        """
        T = len(x_TN)
        if step is None or T > 1:
            self._check_steps(T)
        static = T > 1 and x_TN.stride(0) == 0  # the slices share their memory, so they are equal
        values = {0: x_TN[:1] if static else x_TN}
        modules = [self.get_submodule(name) for name, _ in self._built]
        plan = self._plan(x_TN, modules, static=static, streaming=step is not None)
        del x_TN
        tell = None if torch.compiler.is_compiling() else self.event_listener  # what is compiled does nothing by events
        ForwardPass(self.network, plan, [None, *modules], T, step, tell).run(values)
        return {index: expand_steps(values[index], T) for index in self.network.given}

    def _check_steps(self, T: int) -> None:
        """Refuses another number of time-steps than that of weights."""
        fixed, steps = self._fixed, self.network.settings.steps
        if fixed is not None and steps != T:
            message = (
                f"{fixed.name} ({fixed.op.kind}) has weights for {steps} time-steps, but the input has {T}: another "
                f"number of time-steps is another network, which steps={T} compiles"
            )
            raise ValueError(message)

    def _plan(self, x_TN: Tensor, modules: Sequence[nn.Module], *, static: bool, streaming: bool) -> ExecutionPlan:
        """How to compute it for an input, with the modules as they are now."""
        states = [AS_BUILT, *(_state(module, kind) for module, (_, kind) in zip(modules, self._built, strict=True))]
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
        self._fixed = program.network.first_fixed

    @property
    def network(self) -> Network:
        """What it computes."""
        return self.program.network

    @property
    def example(self) -> Tensor | None:
        """A parameter that shows the dtype; None without parameters."""
        return next(self.parameters(), None)

    def extra_repr(self) -> str:  # noqa: D102 -- torch's hook
        settings = self.network.settings
        size = "x".join(map(str, settings.input))
        return f"{self.network.name!r}, input={size}, steps={settings.steps}, readout={settings.readout}"


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
