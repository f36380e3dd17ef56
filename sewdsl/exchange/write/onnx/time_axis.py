"""How an ONNX graph iterates over time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from functools import partial
from typing import ClassVar, final

import numpy as np
from onnx import GraphProto, numpy_helper

from sewdsl.exchange.write.onnx.graph_builder import NodeScope, OnnxGraph
from sewdsl.exchange.write.onnx.neuron_steps import EquationSteps, LinearSteps, neuron_steps
from sewdsl.snn.equations import Equations
from sewdsl.snn.neuron import Neuron


class TimeAxis(ABC):
    """The time axis of a graph.

    Args:
        fixed: Whether there can be no other number of them: the input has no time axis, or weights are of one number.

    Attributes:
        any_length: Whether the graph can do with any number of time-steps.
        free: Whether an input may have any other number of time-steps.
    """

    any_length: ClassVar[bool]

    def __init__(self, graph: OnnxGraph, T: int, *, fixed: bool) -> None:
        self.T, self.free = T, self.any_length and not fixed
        self._graph = graph
        self._known: dict[tuple[int, ...], str] = {}

    @final
    def neurons(self, place: NodeScope, module: Neuron | Equations, x: str, *, once: bool) -> str:
        """Put a layer of neurons into the graph; return the name of its output, ``[T·N, *]``.

        Args:
            x: Their input current, ``[T·N, *]``.
            once: Whether that is one time-step, ``[N, *]``, which represents all.
        """
        steps = neuron_steps(place.node, module, place.shape)
        if isinstance(steps, LinearSteps):
            return self.spikes(place, steps, steps.drive(place, x), once=once)
        return self.computed(place, steps, x, once=once)

    @abstractmethod
    def spikes(self, place: NodeScope, law: LinearSteps, drive: str, *, once: bool) -> str:
        """Put linear neurons into the graph, from the name of their drive; as :meth:`neurons`."""

    @abstractmethod
    def computed(self, place: NodeScope, steps: EquationSteps, x: str, *, once: bool) -> str:
        """Put neurons as equations into the graph; as :meth:`neurons`."""

    @final
    def sizes(self, *trailing: int) -> str:
        """Return the name of the sizes ``[T, …]``."""
        if not self.free:
            return self._graph.sizes(self.T, *trailing)
        if not self._known:
            self._known[()] = self._graph.add("Shape", ["input"], "sizes/T", start=0, end=1)
        if trailing not in self._known:
            parts = [self._known[()], self._graph.sizes(*trailing)]
            self._known[trailing] = self._graph.add("Concat", parts, f"sizes/Tx{'x'.join(map(str, trailing))}", axis=0)
        return self._known[trailing]


class ScannedTime(TimeAxis):
    """One operation for all time-steps of a layer, however many there are."""

    any_length = True

    def spikes(self, place: NodeScope, law: LinearSteps, drive: str, *, once: bool) -> str:
        """Append a ``Scan``, in which the neurons of all samples are one row."""
        rows = place.add("Reshape", drive, self._graph.sizes(1, -1) if once else self.sizes(-1))
        if once:
            rows = place.add("Expand", rows, self.sizes(1))
        rest = numpy_helper.from_array(np.array([law.rest], self._graph.dtype))
        initial = place.add("ConstantOfShape", place.add("Shape", rows, start=1), value=rest)
        outputs = [f"{place.name}/v_last", f"{place.name}/spikes"]
        place.add("Scan", initial, rows, outputs=outputs, body=self._step(place, law), num_scan_inputs=1)
        return place.last("Reshape", outputs[1], self._graph.sizes(-1, *place.shape))

    def computed(self, place: NodeScope, steps: EquationSteps, x: str, *, once: bool) -> str:
        """Append a ``Scan`` over ``[T, N, *]``, which carries the states."""
        rows = place.add("Reshape", x, self._graph.sizes(1, -1, *place.shape) if once else self.sizes(-1, *place.shape))
        if once:
            rows = place.add("Expand", rows, self.sizes(1, *[1] * len(place.shape)))
        size = place.add("Shape", rows, start=1)
        carried = []
        for name, value in steps.start.items():
            first = numpy_helper.from_array(np.array([value], self._graph.dtype))
            carried.append(self._graph.add("ConstantOfShape", [size], f"{place.name}/{name}_first", value=first))
        read = [rows, *(place.numbers(f"factor_{number}", values) for number, values in steps.over_steps.items())]
        inner = replace(place, graph=OnnxGraph(self._graph.dtype), name=f"{place.name}/step")
        before = [f"{inner.name}/{name}" for name in steps.start]
        x_t, *others = [f"{inner.name}/{name}" for name in ("x", *(f"factor_{n}" for n in steps.over_steps))]
        given, after = steps.write(inner, x_t, before, dict(zip(steps.over_steps, others, strict=True)))
        row = partial(inner.graph.value, dims=[None] * (1 + len(place.shape)))
        factor = partial(inner.graph.value, dims=[None] * len(place.shape))
        after = [inner.add("Identity", each) for each in after]  # a value may be given back twice, or as it came
        given = inner.add("Identity", given)
        declared = [*map(row, (*before, x_t)), *map(factor, others)]
        body = inner.graph.proto(inner.name, declared, [*map(row, (*after, given))])
        outputs = [*(f"{place.name}/{name}_last" for name in steps.start), f"{place.name}/given"]
        place.add("Scan", *carried, *read, outputs=outputs, body=body, num_scan_inputs=len(read))
        return place.last("Reshape", outputs[-1], self._graph.sizes(-1, *place.shape))

    def _step(self, place: NodeScope, law: LinearSteps) -> GraphProto:
        """Return the body of the ``Scan``: a time-step of a row of neurons."""
        inner = replace(place, graph=OnnxGraph(self._graph.dtype), name=f"{place.name}/step")
        before, x = f"{inner.name}/v", f"{inner.name}/x"
        h = law.charge(inner, x, before)
        fired, spikes = law.fire(inner, h)
        after = law.reset(inner, h, fired, spikes)
        row = partial(inner.graph.value, dims=[None])
        return inner.graph.proto(inner.name, [row(before), row(x)], [row(after), row(spikes)])


class UnrolledTime(TimeAxis):
    """The same operations again for every time-step, for readers of ONNX that know no loops; T is fixed."""

    any_length = False

    def spikes(self, place: NodeScope, law: LinearSteps, drive: str, *, once: bool) -> str:
        """Append the operations of each time-step."""
        drives = [drive] * self.T
        if not once and self.T > 1:
            drives = [f"{place.name}/x_{t}" for t in range(1, self.T + 1)]  # a time-step each, [1, N, *]
            place.add("Split", place.add("Reshape", drive, self.sizes(-1, *place.shape)), outputs=drives, axis=0)
        spikes, v = [], None
        for t, each in enumerate(drives, 1):
            h = law.charge(place, each, v)
            fired, fires = law.fire(place, h)
            spikes.append(fires)
            if t < len(drives):
                v = law.reset(place, h, fired, fires)
        if once or len(spikes) == 1:
            return place.last("Concat", *spikes, axis=0)
        return place.last("Reshape", place.add("Concat", *spikes, axis=0), self._graph.sizes(-1, *place.shape))

    def computed(self, place: NodeScope, steps: EquationSteps, x: str, *, once: bool) -> str:
        """Append the operations of each time-step, ``[N, *]`` each."""
        rows = [x] * self.T
        if not once and self.T > 1:
            rows = [f"{place.name}/x_{t}" for t in range(1, self.T + 1)]
            split = [f"{name}_of_all" for name in rows]
            place.add("Split", place.add("Reshape", x, self.sizes(-1, *place.shape)), outputs=split, axis=0)
            for name, one in zip(rows, split, strict=True):
                place.graph.add("Squeeze", [one, self._graph.sizes(0)], name, [name])
        size = place.add("Shape", rows[0])
        states = [place.add("Expand", place.numbers(f"{n}_first", value), size) for n, value in steps.start.items()]
        found = []
        for t, row in enumerate(rows):
            factors = {number: place.numbers(f"factor_{number}_{t}", v[t]) for number, v in steps.over_steps.items()}
            given, states = steps.write(place, row, states, factors)
            found.append(given)
        return place.last("Concat", *found, axis=0)
