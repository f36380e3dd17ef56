"""Runs NIR graphs as NIR defines them: the reference that exported graphs are tested against.

NIR's neurons are differential equations in continuous time. Here a time-step is one step of Euler's method of
dt seconds, with constant input; then the neuron fires and is reset. Shapes are ``[N, *]`` at each time-step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING

import nir
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from sewdsl.exchange.errors import ExportError
from sewdsl.exchange.nir_graphs import DEFAULT_DT, EndlessCycle, GraphMetadata, cut_cycles
from sewdsl.exchange.write.nir.write_graph import from_bytes

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from sewdsl.exchange.write.formats import Outputs


NEURONS = (nir.IF, nir.LIF, nir.CubaLIF)


def _convolution(node: nir.Conv2d | nir.Conv1d, x: Tensor) -> Tensor:
    axes = 1 if isinstance(node, nir.Conv1d) else 2
    stride, dilation = _pair(node.stride)[:axes], _pair(node.dilation)[:axes]
    padding = node.padding if isinstance(node.padding, str) else _pair(node.padding)[:axes]
    convolve = functional.conv1d if axes == 1 else functional.conv2d
    y: Tensor = convolve(
        x, cast_like(x, node.weight), cast_like(x, node.bias), stride, padding, dilation, int(node.groups)
    )
    return y


def _window(node: nir.AvgPool2d | nir.SumPool2d) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    return _pair(node.kernel_size), _pair(node.stride), _pair(node.padding)


def _flattened(node: nir.Flatten, x: Tensor) -> Tensor:
    """NIR counts axes without that of the samples."""
    start, end = (int(axis) + 1 if axis >= 0 else int(axis) for axis in (node.start_dim, node.end_dim))
    return x.flatten(start, end)


PLAIN_NODES: dict[type[nir.NIRNode], Callable[..., Tensor]] = {
    nir.Output: lambda _, x: x,
    nir.Affine: lambda node, x: functional.linear(x, cast_like(x, node.weight), cast_like(x, node.bias)),
    nir.Linear: lambda node, x: functional.linear(x, cast_like(x, node.weight)),
    nir.Scale: lambda node, x: x * cast_like(x, node.scale),
    nir.Conv1d: _convolution,
    nir.Conv2d: _convolution,
    # Padded zeros count: NIR does not say, but so it is read by nirtorch, SpikingJelly and snnTorch.
    nir.AvgPool2d: lambda node, x: functional.avg_pool2d(x, *_window(node)),
    nir.SumPool2d: lambda node, x: functional.avg_pool2d(x, *_window(node), divisor_override=1),
    nir.Flatten: _flattened,
    nir.Threshold: lambda node, x: (x > cast_like(x, node.threshold)).to(x.dtype),
}
"""What a node without memory makes of the sum of its edges, by class."""


def euler_step(node: nir.IF | nir.LIF | nir.CubaLIF, v: Tensor, x: Tensor, dt: float) -> Tensor:
    """Return the potential of neurons after a step of Euler's method of dt seconds."""
    if isinstance(node, nir.IF):
        return v + dt * cast_like(x, node.r) * x
    tau = node.tau if isinstance(node, nir.LIF) else node.tau_mem
    return v + dt / cast_like(x, tau) * (cast_like(x, node.v_leak) - v + cast_like(x, node.r) * x)


def cast_like(x: Tensor, values: ArrayLike) -> Tensor:
    """Return numbers of a node in the dtype of its input."""
    return torch.from_numpy(np.array(values)).to(x)


def _pair(value: ArrayLike) -> tuple[int, int]:
    """Return height and width; one number gives both."""
    height, width = np.broadcast_to(np.asarray(value, int), 2)
    return int(height), int(width)


LATER, CURRENT = "/later", "/current"
"""After the name of a node, what it gave at the time-step before; after that of neurons, their current."""
State = Mapping[str, Tensor]
"""Membrane potentials ``[N, *]`` by the names of the neurons; of a delay, what it holds, the oldest first."""


def euler_current(node: nir.CubaLIF, before: Tensor | None, x: Tensor, dt: float) -> Tensor:
    """Return the current of neurons after a step of Euler's method; before the first step it is none."""
    rate = dt / cast_like(x, node.tau_syn)
    given = rate * cast_like(x, node.w_in) * x
    return given if before is None else before - rate * before + given


class NirExecutor:
    """Runs a graph, one time-step after the other. It holds no state: that is handed in and out.

    Args:
        graph: A graph of Input, Output, Affine, Linear, Scale, Conv1d, Conv2d, AvgPool2d, SumPool2d, Flatten,
            Threshold, Delay, IF, LIF and CubaLIF. The edges into a node are added up. Cycles are cut as
            :mod:`sewdsl.exchange.nir_graphs` says: what feeds back is of the time-step before, and zero at first.
        dt: Seconds of a time-step; None: as its metadata say, else :data:`~sewdsl.exchange.nir_graphs.DEFAULT_DT`.
        fires: ``at`` or ``above`` the threshold; None: as its metadata say, else ``above``, as NIR defines.

    Raises:
        ExportError: cycles that nest too deep, several inputs, or no output.
    """

    def __init__(self, graph: nir.NIRGraph, *, dt: float | None = None, fires: str | None = None) -> None:
        said = GraphMetadata.of(graph.metadata)
        self._nodes = graph.nodes
        self._dt = dt or (said.dt if said else DEFAULT_DT)
        self._at = (fires or (said.fires if said else "above")) == "at"
        self._steps = said.steps if said else None
        self._sources: dict[str, list[str]] = {name: [] for name in graph.nodes}
        for source, reader in graph.edges:
            self._sources[reader].append(source)
        (self._input,), self._outputs = _nodes(graph, nir.Input, 1), _nodes(graph, nir.Output)
        delays = [name for name, node in graph.nodes.items() if isinstance(node, nir.Delay)]
        try:
            cut = cut_cycles(self._sources, delays)
        except EndlessCycle as error:
            raise ExportError(f"a graph of circles within circles is not run here: {error}") from None
        self._later: dict[str, list[str]] = {name: [] for name in graph.nodes}  # what is read of the time-step before
        for source, reader in cut:
            self._sources[reader].remove(source)
            self._later[reader].append(source)
        for name in delays:
            self._later[name] += self._sources[name]
            self._sources[name] = []
        self._order = list(TopologicalSorter(self._sources).static_order())

    def run(self, x: Tensor) -> Outputs:
        """Return the output of every time-step, ``[T, N, *]``; of several outputs, each by its name.

        The name of an output is that of its node, without ``output_`` at its beginning.

        Args:
            x: The input of every time-step, ``[T, N, *]``; or a static one, ``[N, *]``, for graphs whose metadata say
                how many time-steps there are.

        Raises:
            ExportError: a node of a kind that is not known here.
        """
        steps = [[values[name] for name in self._outputs] for values in self.watch(x)]
        outputs = [torch.stack(values) for values in zip(*steps, strict=True)]
        if len(outputs) == 1:
            return outputs[0]
        return dict(zip((name.removeprefix("output_") for name in self._outputs), outputs, strict=True))

    def watch(self, x: Tensor) -> Iterator[dict[str, Tensor]]:
        """Yield for each time-step the output of every node, ``[N, *]`` by its name; ``x`` as for :meth:`run`."""
        state: State = {}
        if self._steps and x.ndim == len(self._nodes[self._input].input_type["input"]) + 1:
            x = x.expand(self._steps, *x.shape)
        for x_N in x:
            values, state = self.step(x_N, state)
            yield values

    def step(self, x_N: Tensor, state: State) -> tuple[dict[str, Tensor], State]:
        """Compute one time-step.

        Args:
            x_N: Its input, ``[N, *]``.
            state: After the time-step before; empty at first.

        Returns:
            What every node gives, and the state after it.
        """
        before = state if state or not any(self._later.values()) else self._zeros(x_N)
        values, after = {self._input: x_N}, dict(before)
        for name in self._order:
            node = self._nodes[name]
            if name == self._input:
                continue
            if isinstance(node, nir.Delay):
                values[name] = before[name][0]
                continue
            x = _sum([*(values[i] for i in self._sources[name]), *(before[i + LATER] for i in self._later[name])])
            if isinstance(node, NEURONS):
                if isinstance(node, nir.CubaLIF):
                    x = after[name + CURRENT] = euler_current(node, before.get(name + CURRENT), x, self._dt)
                v = before[name] if name in before else cast_like(x, node.v_reset).expand_as(x)
                h = euler_step(node, v, x, self._dt)
                v_threshold = cast_like(h, node.v_threshold)
                fires = h >= v_threshold if self._at else h > v_threshold
                values[name], after[name] = fires.to(h.dtype), torch.where(fires, cast_like(h, node.v_reset), h)
            else:
                values[name] = self._applied(name, node, x)
        for name, sources in self._later.items():
            if isinstance(self._nodes[name], nir.Delay):
                after[name] = torch.cat((before[name][1:], _sum([values[i] for i in sources])[None]))
            else:
                after |= {i + LATER: values[i] for i in sources}
        return values, after

    def _applied(self, name: str, node: nir.NIRNode, x: Tensor) -> Tensor:
        if type(node) not in PLAIN_NODES:
            raise ExportError(f"{name} is a {type(node).__name__}, which is not run here")
        return PLAIN_NODES[type(node)](node, x)

    def _zeros(self, x_N: Tensor) -> dict[str, Tensor]:
        """Return the zeros that are fed back before the first time-step, also by delays."""
        known = {self._input: x_N}
        for _round in self._order:
            count = len(known)
            for name in self._order:
                addends = [known[i] for i in (*self._sources[name], *self._later[name]) if i in known]
                if name not in known and addends:
                    node, x = self._nodes[name], _sum(addends)
                    known[name] = x if isinstance(node, (*NEURONS, nir.Delay)) else self._applied(name, node, x)
            if len(known) == count:
                break
        state: dict[str, Tensor] = {}
        for name, sources in self._later.items():
            node = self._nodes[name]
            if isinstance(node, nir.Delay):
                steps = round(float(np.asarray(node.delay).flat[0]) / self._dt)
                state[name] = torch.zeros(steps, *known[name].shape, dtype=x_N.dtype)
            else:
                state |= {i + LATER: torch.zeros_like(known[i]) for i in sources}
        return state


def run_file(data: bytes, x: Tensor) -> Outputs:
    """Return the outputs of a graph in a file, as :meth:`NirExecutor.run`."""
    return NirExecutor(from_bytes(data)).run(x)


def _nodes(graph: nir.NIRGraph, kind: type[nir.NIRNode], most: int | None = None) -> list[str]:
    """Return the names of the nodes of a kind."""
    found: list[str] = [name for name, node in graph.nodes.items() if isinstance(node, kind)]
    if not found or len(found) > (most or len(found)):
        message = f"a graph of one input is run here, with an output; this one has {len(found)} {kind.__name__} nodes"
        raise ExportError(message)
    return found


def _sum(x: Sequence[Tensor]) -> Tensor:
    total, *others = x
    for other in others:
        total = total + other  # not in place: the first addend is somebody's output
    return total
