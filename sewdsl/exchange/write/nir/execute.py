"""Runs NIR graphs as NIR defines them: the reference that exported graphs are tested against.

NIR's neurons are differential equations in continuous time. Here a time-step is one step of Euler's method of
dt seconds, with constant input; then the neuron fires and is reset. Shapes are ``[N, *]`` at each time-step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import singledispatch
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

import nir
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from sewdsl.exchange.errors import ExportError
from sewdsl.exchange.nir_metadata import DEFAULT_DT, GraphMetadata

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


NEURONS = (nir.IF, nir.LIF)


@singledispatch
def apply_node(node: nir.NIRNode, x: Tensor) -> Tensor:
    """What a node without memory makes of the sum of its edges.

    Raises:
        NotImplementedError: it is none of those that are known here.
    """
    raise NotImplementedError(type(node).__name__)


@apply_node.register(nir.Output)
def _(node: nir.Output, x: Tensor) -> Tensor:  # noqa: ARG001
    return x


@apply_node.register(nir.Affine)
def _(node: nir.Affine, x: Tensor) -> Tensor:
    return functional.linear(x, cast_like(x, node.weight), cast_like(x, node.bias))


@apply_node.register(nir.Linear)
def _(node: nir.Linear, x: Tensor) -> Tensor:
    return functional.linear(x, cast_like(x, node.weight))


@apply_node.register(nir.Scale)
def _(node: nir.Scale, x: Tensor) -> Tensor:
    return x * cast_like(x, node.scale)


@apply_node.register(nir.Conv2d)
def _(node: nir.Conv2d, x: Tensor) -> Tensor:
    padding = node.padding if isinstance(node.padding, str) else _pair(node.padding)
    stride, dilation = _pair(node.stride), _pair(node.dilation)
    return functional.conv2d(
        x, cast_like(x, node.weight), cast_like(x, node.bias), stride, padding, dilation, int(node.groups)
    )


@apply_node.register(nir.Conv1d)
def _(node: nir.Conv1d, x: Tensor) -> Tensor:
    padding = node.padding if isinstance(node.padding, str) else _pair(node.padding)[0]
    stride, dilation = _pair(node.stride)[0], _pair(node.dilation)[0]
    return functional.conv1d(
        x, cast_like(x, node.weight), cast_like(x, node.bias), stride, padding, dilation, int(node.groups)
    )


@apply_node.register(nir.AvgPool2d)
def _(node: nir.AvgPool2d, x: Tensor) -> Tensor:
    """Padded zeros count: NIR does not say, but so it is read by nirtorch, SpikingJelly and snnTorch."""
    return functional.avg_pool2d(x, _pair(node.kernel_size), _pair(node.stride), _pair(node.padding))


@apply_node.register(nir.SumPool2d)
def _(node: nir.SumPool2d, x: Tensor) -> Tensor:
    window = _pair(node.kernel_size), _pair(node.stride), _pair(node.padding)
    return functional.avg_pool2d(x, *window, ceil_mode=False, count_include_pad=True, divisor_override=1)


@apply_node.register(nir.Flatten)
def _(node: nir.Flatten, x: Tensor) -> Tensor:
    """NIR counts axes without that of the samples."""
    start, end = (int(axis) + 1 if axis >= 0 else int(axis) for axis in (node.start_dim, node.end_dim))
    return x.flatten(start, end)


@apply_node.register(nir.Threshold)
def _(node: nir.Threshold, x: Tensor) -> Tensor:
    return (x > cast_like(x, node.threshold)).to(x.dtype)


def euler_step(node: nir.IF | nir.LIF, v: Tensor, x: Tensor, dt: float) -> Tensor:
    """The potential of neurons after a step of Euler's method of dt seconds."""
    if isinstance(node, nir.IF):
        return v + dt * cast_like(x, node.r) * x
    return v + dt / cast_like(x, node.tau) * (cast_like(x, node.v_leak) - v + cast_like(x, node.r) * x)


def cast_like(x: Tensor, values: ArrayLike) -> Tensor:
    """Numbers of a node in the dtype of its input."""
    return torch.from_numpy(np.array(values)).to(x)


def _pair(value: ArrayLike) -> tuple[int, int]:
    """Height and width; one number gives both."""
    height, width = np.broadcast_to(np.asarray(value, int), 2)
    return int(height), int(width)


State = Mapping[str, Tensor]
"""Membrane potentials ``[N, *]`` by the names of the neurons."""


class NirExecutor:
    """Runs a graph, one time-step after the other. It holds no state: that is handed in and out.

    Args:
        graph: A graph of Input, Output, Affine, Linear, Scale, Conv1d, Conv2d, AvgPool2d, SumPool2d, Flatten,
            Threshold, IF and LIF, without cycles. The edges into a node are added up.
        dt: Seconds of a time-step; None: as its metadata say, else :data:`~sewdsl.exchange.nir_metadata.DEFAULT_DT`.
        fires: ``at`` or ``above`` the threshold; None: as its metadata say, else ``above``, as NIR defines.

    Raises:
        ExportError: a cycle, or not one input and one output.
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
        self._input, self._output = _only(graph, nir.Input), _only(graph, nir.Output)
        try:
            self._order = list(TopologicalSorter(self._sources).static_order())
        except CycleError as error:
            message = f"a graph that feeds back is not run here: {' -> '.join(error.args[1])}"
            raise ExportError(message) from None

    def run(self, x: Tensor) -> Tensor:
        """The output of every time-step, ``[T, N, *]``.

        Args:
            x: The input of every time-step, ``[T, N, *]``; or a static one, ``[N, *]``, for graphs whose metadata say
                how many time-steps there are.

        Raises:
            ExportError: a node of a kind that is not known here.
        """
        return torch.stack([values[self._output] for values in self.watch(x)])

    def watch(self, x: Tensor) -> Iterator[dict[str, Tensor]]:
        """For each time-step, what every node gives, ``[N, *]`` by its name; ``x`` as for :meth:`run`."""
        state: State = {}
        if self._steps and x.ndim == len(self._nodes[self._input].input_type["input"]) + 1:
            x = x.expand(self._steps, *x.shape)
        for x_N in x:
            values, state = self.step(x_N, state)
            yield values

    def step(self, x_N: Tensor, state: State) -> tuple[dict[str, Tensor], State]:
        """One time-step.

        Args:
            x_N: Its input, ``[N, *]``.
            state: After the time-step before; empty at first.

        Returns:
            What every node gives, and the state after it.
        """
        values, after = {self._input: x_N}, dict(state)
        for name in self._order:
            if name == self._input:
                continue
            node, x = self._nodes[name], _sum([values[source] for source in self._sources[name]])
            if isinstance(node, NEURONS):
                v = state[name] if name in state else cast_like(x, node.v_reset).expand_as(x)
                h = euler_step(node, v, x, self._dt)
                v_threshold = cast_like(h, node.v_threshold)
                fires = h >= v_threshold if self._at else h > v_threshold
                values[name], after[name] = fires.to(h.dtype), torch.where(fires, cast_like(h, node.v_reset), h)
            else:
                try:
                    values[name] = apply_node(node, x)
                except NotImplementedError as error:
                    message = f"{name} is a {error}, which is not run here"
                    raise ExportError(message) from None
        return values, after


def _only(graph: nir.NIRGraph, kind: type[nir.NIRNode]) -> str:
    found: list[str] = [name for name, node in graph.nodes.items() if isinstance(node, kind)]
    if len(found) != 1:
        message = f"a graph of one input and one output is run here; this one has {len(found)} {kind.__name__} nodes"
        raise ExportError(message)
    return found[0]


def _sum(x: Sequence[Tensor]) -> Tensor:
    total, *others = x
    for other in others:
        total = total + other  # not in place: the first addend is somebody's output
    return total
