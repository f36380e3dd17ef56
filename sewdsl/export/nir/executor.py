"""NIR graphs, run as they are defined: a reference for what they mean, written without a look at our own modules.

NIR's neurons are differential equations in continuous time. Here a time-step is one step of Euler's method, of dt
seconds, with the input constant meanwhile; then the neuron fires, and is set to v_reset::

    IF    H = V + dt · r · X
    LIF   H = V + (dt / tau) · (v_leak - V + r · X)
    S = 1 where H > v_threshold (or >=, see Metadata.fires), else 0;  V = v_reset where it fires, else H

V is v_reset before the first step: NIR does not say.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

import nir
import torch
from torch import Tensor

from sewdsl.export.nir.metadata import DEFAULT_DT, GraphMetadata
from sewdsl.export.nir.primitives import NEURONS, apply_node, cast_like, euler_step
from sewdsl.export.refusal import ExportError

State = Mapping[str, Tensor]
"""Membrane potentials ``[N, *]`` by the names of the neurons."""


class NirExecutor:
    """Runs a graph, one time-step after the other. It holds no state: that is handed in and out.

    Args:
        graph: A graph of Input, Output, Affine, Linear, Scale, Conv2d, AvgPool2d, SumPool2d, Flatten, Threshold, IF and
            LIF, without cycles. The edges into a node are added up.
        dt: Seconds of a time-step; None: as its metadata say, else :data:`~sewdsl.export.nir.metadata.DEFAULT_DT`.
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
                values[name], after[name] = self._fire(node, euler_step(node, v, x, self._dt))
            else:
                try:
                    values[name] = apply_node(node, x)
                except NotImplementedError as error:
                    message = f"{name} is a {error}, which is not run here"
                    raise ExportError(message) from None
        return values, after

    def _fire(self, node: nir.IF | nir.LIF, h: Tensor) -> tuple[Tensor, Tensor]:
        """Spikes, and the potential after them."""
        v_threshold = cast_like(h, node.v_threshold)
        fires = h >= v_threshold if self._at else h > v_threshold
        return fires.to(h.dtype), torch.where(fires, cast_like(h, node.v_reset), h)


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
