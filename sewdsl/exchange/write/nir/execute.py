"""Reference executor of NIR graphs, with which exported graphs are tested.

NIR neurons are differential equations in continuous time. The executor computes one Euler step of dt seconds with
constant input per time-step, then fires and resets. Shapes are ``[N, *]`` at each time-step.
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
    """Return kernel size, stride and padding."""
    return _pair(node.kernel_size), _pair(node.stride), _pair(node.padding)


PLAIN_NODES: dict[type[nir.NIRNode], Callable[..., Tensor]] = {
    nir.Output: lambda _, x: x,
    nir.Affine: lambda node, x: functional.linear(x, cast_like(x, node.weight), cast_like(x, node.bias)),
    nir.Linear: lambda node, x: functional.linear(x, cast_like(x, node.weight)),
    nir.Scale: lambda node, x: x * cast_like(x, node.scale),
    nir.Conv1d: _convolution,
    nir.Conv2d: _convolution,
    # Padded zeros count towards the mean: NIR does not specify it, but nirtorch, SpikingJelly and snnTorch agree.
    nir.AvgPool2d: lambda node, x: functional.avg_pool2d(x, *_window(node)),
    nir.SumPool2d: lambda node, x: functional.avg_pool2d(x, *_window(node), divisor_override=1),
    # Its axes do not count the batch axis.
    nir.Flatten: lambda node, x: x.flatten(*(int(axis + (axis >= 0)) for axis in (node.start_dim, node.end_dim))),
    nir.Threshold: lambda node, x: (x > cast_like(x, node.threshold)).to(x.dtype),
}
"""Functions of the stateless nodes by class. The input is the sum over all edges."""


def euler_step(node: nir.IF | nir.LIF | nir.CubaLIF, v: Tensor, x: Tensor, dt: float) -> Tensor:
    """Return the membrane potential after an Euler step of dt seconds."""
    if isinstance(node, nir.IF):
        return v + dt * cast_like(x, node.r) * x
    tau = node.tau if isinstance(node, nir.LIF) else node.tau_mem
    return v + dt / cast_like(x, tau) * (cast_like(x, node.v_leak) - v + cast_like(x, node.r) * x)


def cast_like(x: Tensor, values: ArrayLike) -> Tensor:
    """Return an argument of a node in the dtype of its input."""
    return torch.from_numpy(np.array(values)).to(x)


def _pair(value: ArrayLike) -> tuple[int, int]:
    """Return height and width, from a pair or one value for both."""
    height, width = np.broadcast_to(np.asarray(value, int), 2)
    return int(height), int(width)


LATER, CURRENT = "/later", "/current"
"""Suffixes of state names: the previous output of a node, and the synaptic current of a neuron."""
State = Mapping[str, Tensor]
"""Membrane potentials ``[N, *]`` by neuron name, and the buffers of delays, oldest value first."""


def euler_current(node: nir.CubaLIF, previous: Tensor | None, x: Tensor, dt: float) -> Tensor:
    """Return the synaptic current after an Euler step. ``previous`` is None in the first step."""
    rate = dt / cast_like(x, node.tau_syn)
    injected = rate * cast_like(x, node.w_in) * x
    return injected if previous is None else previous - rate * previous + injected


class NirExecutor:
    """Executor of a graph, one time-step after the other.

    The caller keeps the state.

    Args:
        graph: Graph of Input, Output, Affine, Linear, Scale, Conv1d, Conv2d, AvgPool2d, SumPool2d, Flatten,
            Threshold, Delay, IF, LIF and CubaLIF. A node reads the sum of its edges. Cycles are cut as in
            :mod:`sewdsl.exchange.nir_graphs`: feedback has the values of the previous time-step, and starts at zero.
        dt: Duration of a time-step in seconds. Default: from the metadata, else
            :data:`~sewdsl.exchange.nir_graphs.DEFAULT_DT`.
        fires: ``at`` or ``above`` the threshold. Default: from the metadata, else ``above``, as NIR defines.

    Raises:
        ExportError: If cycles are nested too deeply, or the graph has several inputs or no output.
    """

    def __init__(self, graph: nir.NIRGraph, *, dt: float | None = None, fires: str | None = None) -> None:
        entry = GraphMetadata.of(graph.metadata)
        self._nodes = graph.nodes
        self._dt = dt or (entry.dt if entry else DEFAULT_DT)
        self._at = (fires or (entry.fires if entry else "above")) == "at"
        self._steps = entry.steps if entry else None
        self._sources: dict[str, list[str]] = {name: [] for name in graph.nodes}
        for source, reader in graph.edges:
            self._sources[reader].append(source)
        (self._input,), self._outputs = _nodes(graph, nir.Input, 1), _nodes(graph, nir.Output)
        delays = [name for name, node in graph.nodes.items() if isinstance(node, nir.Delay)]
        try:
            cut = cut_cycles(self._sources, delays)
        except EndlessCycle as error:
            raise ExportError(f"cannot run a graph with cycles nested too deeply: {error}") from None
        # Sources read one time-step later.
        self._delayed_sources: dict[str, list[str]] = {name: [] for name in graph.nodes}
        for source, reader in cut:
            self._sources[reader].remove(source)
            self._delayed_sources[reader].append(source)
        for name in delays:
            self._delayed_sources[name] += self._sources[name]
            self._sources[name] = []
        self._order = list(TopologicalSorter(self._sources).static_order())

    def run(self, x: Tensor) -> Outputs:
        """Return the outputs of all time-steps, ``[T, N, *]``.

        Several outputs are returned by name.

        The name of an output is the name of its node without the prefix ``output_``.

        Args:
            x: Input of all time-steps, ``[T, N, *]``, or a static input ``[N, *]`` if the metadata contain the number
                of time-steps.

        Raises:
            ExportError: If the graph has an unsupported node.
        """
        steps = [[values[name] for name in self._outputs] for values in self.watch(x)]
        outputs = [torch.stack(values) for values in zip(*steps, strict=True)]
        if len(outputs) == 1:
            return outputs[0]
        return dict(zip((name.removeprefix("output_") for name in self._outputs), outputs, strict=True))

    def watch(self, x: Tensor) -> Iterator[dict[str, Tensor]]:
        """Yield the outputs ``[N, *]`` of all nodes by name, for each time-step. ``x`` as for :meth:`run`."""
        state: State = {}
        if self._steps and x.ndim == len(self._nodes[self._input].input_type["input"]) + 1:
            x = x.expand(self._steps, *x.shape)
        for x_N in x:
            values, state = self.step(x_N, state)
            yield values

    def step(self, x_N: Tensor, state: State) -> tuple[dict[str, Tensor], State]:
        """Compute one time-step.

        Args:
            x_N: Input of the time-step, ``[N, *]``.
            state: State after the previous time-step. Empty at first.

        Returns:
            The outputs of all nodes, and the new state.
        """
        # Feedback of the first time-step is zero, in shapes that depend on the input.
        before = state if state or not any(self._delayed_sources.values()) else self._zeros(x_N)
        values, after = {self._input: x_N}, dict(before)
        for name in self._order:
            node = self._nodes[name]
            if name == self._input:
                continue
            if isinstance(node, nir.Delay):
                values[name] = before[name][0]
                continue
            x = _sum(
                [*(values[i] for i in self._sources[name]), *(before[i + LATER] for i in self._delayed_sources[name])]
            )
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
        # All values of this time-step are known now: store those that the next one reads.
        for name, sources in self._delayed_sources.items():
            if isinstance(self._nodes[name], nir.Delay):
                after[name] = torch.cat((before[name][1:], _sum([values[i] for i in sources])[None]))
            else:
                after |= {i + LATER: values[i] for i in sources}
        return values, after

    def _applied(self, name: str, node: nir.NIRNode, x: Tensor) -> Tensor:
        if type(node) not in PLAIN_NODES:
            raise ExportError(f"cannot run {name}: unsupported primitive {type(node).__name__}")
        return PLAIN_NODES[type(node)](node, x)

    def _zeros(self, x_N: Tensor) -> dict[str, Tensor]:
        """Return the initial feedback: zeros, also in the buffers of delays."""
        shapes_like = {self._input: x_N}
        # Find the shapes: propagate the input, also along feedback, until nothing new is reached.
        for _round in self._order:
            count = len(shapes_like)
            for name in self._order:
                addends = [
                    shapes_like[i] for i in (*self._sources[name], *self._delayed_sources[name]) if i in shapes_like
                ]
                if name not in shapes_like and addends:
                    node, x = self._nodes[name], _sum(addends)
                    shapes_like[name] = x if isinstance(node, (*NEURONS, nir.Delay)) else self._applied(name, node, x)
            if len(shapes_like) == count:
                break
        state: dict[str, Tensor] = {}
        for name, sources in self._delayed_sources.items():
            node = self._nodes[name]
            if isinstance(node, nir.Delay):
                steps = round(float(np.asarray(node.delay).flat[0]) / self._dt)
                state[name] = torch.zeros(steps, *shapes_like[name].shape, dtype=x_N.dtype)
            else:
                state |= {i + LATER: torch.zeros_like(shapes_like[i]) for i in sources}
        return state


def run_file(data: bytes, x: Tensor) -> Outputs:
    """Run the graph in a file, see :meth:`NirExecutor.run`."""
    return NirExecutor(from_bytes(data)).run(x)


def _nodes(graph: nir.NIRGraph, kind: type[nir.NIRNode], maximum: int | None = None) -> list[str]:
    """Return the names of the nodes of a kind, or fail unless there are 1 to ``maximum``."""
    names: list[str] = [name for name, node in graph.nodes.items() if isinstance(node, kind)]
    if not names or len(names) > (maximum or len(names)):
        raise ExportError(f"the graph has {len(names)} {kind.__name__} nodes, expected {maximum or 'at least 1'}")
    return names


def _sum(x: Sequence[Tensor]) -> Tensor:
    total, *others = x
    for other in others:
        total = total + other  # Not in place: the first addend is the output of another node.
    return total
