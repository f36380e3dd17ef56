"""Iteration over time in ONNX graphs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import ClassVar, final

import numpy as np
from onnx import GraphProto, numpy_helper

from sewdsl.exchange.write.onnx.graph_builder import NodeScope, OnnxGraph
from sewdsl.exchange.write.onnx.neuron_steps import EquationSteps, LinearSteps, initial_state, neuron_steps
from sewdsl.snn.equations import Equations
from sewdsl.snn.neuron import Neuron


class TimeAxis(ABC):
    """Time axis of a graph.

    Args:
        fixed: Whether the number of time-steps is fixed: an input has no time axis, or weights depend on it.
        sequence: Name of an input with a time axis, unless the number of time-steps is fixed.

    Attributes:
        any_length: Whether graphs of this class can have a dynamic number of time-steps.
        free: Whether the number of time-steps of the input is dynamic.
    """

    any_length: ClassVar[bool]

    def __init__(self, graph: OnnxGraph, T: int, *, fixed: bool, sequence: str = "input") -> None:
        self.T, self.free, self._sequence = T, self.any_length and not fixed, sequence
        self._graph = graph
        self._size_vectors: dict[tuple[int, ...], str] = {}

    @final
    def neurons(self, scope: NodeScope, module: Neuron | Equations, inputs: Sequence[str], *, once: bool) -> str:
        """Append a layer of neurons, and return the name of its output, ``[T·N, *]``.

        Args:
            inputs: Input currents, ``[T·N, *]``.
            once: Whether the inputs are constant over time, ``[N, *]``.
        """
        steps = neuron_steps(scope.node, module, scope.shape)
        if isinstance(steps, LinearSteps):
            return self.spikes(scope, steps, steps.drive(scope, *inputs), once=once)
        return self.computed(scope, steps, inputs, once=once)

    @abstractmethod
    def spikes(self, scope: NodeScope, law: LinearSteps, drive: str, *, once: bool) -> str:
        """Append linear neurons, given the name of their drive. For the other arguments see :meth:`neurons`."""

    @abstractmethod
    def computed(self, scope: NodeScope, steps: EquationSteps, inputs: Sequence[str], *, once: bool) -> str:
        """Append neurons with equations, as :meth:`neurons`."""

    @final
    def sizes(self, *trailing: int) -> str:
        """Return the name of the sizes ``[T, …]``."""
        if not self.free:
            return self._graph.sizes(self.T, *trailing)
        if not self._size_vectors:
            self._size_vectors[()] = self._graph.add("Shape", [self._sequence], "sizes/T", start=0, end=1)
        if trailing not in self._size_vectors:
            parts = [self._size_vectors[()], self._graph.sizes(*trailing)]
            self._size_vectors[trailing] = self._graph.add(
                "Concat", parts, f"sizes/Tx{'x'.join(map(str, trailing))}", axis=0
            )
        return self._size_vectors[trailing]


class ScannedTime(TimeAxis):
    """One ``Scan`` per layer over any number of time-steps."""

    any_length = True

    def spikes(self, scope: NodeScope, law: LinearSteps, drive: str, *, once: bool) -> str:
        """Append a ``Scan`` over rows that hold the neurons of all samples."""
        currents = scope.add("Reshape", drive, self._graph.sizes(1, -1) if once else self.sizes(-1))
        if once:
            currents = scope.add("Expand", currents, self.sizes(1))
        rest = numpy_helper.from_array(np.array([law.rest], self._graph.dtype))
        initial = scope.add("ConstantOfShape", scope.add("Shape", currents, start=1), value=rest)
        outputs = [f"{scope.name}/v_last", f"{scope.name}/spikes"]
        scope.add("Scan", initial, currents, outputs=outputs, body=self._step(scope, law), num_scan_inputs=1)
        return scope.add_output("Reshape", outputs[1], self._graph.sizes(-1, *scope.shape))

    def computed(self, scope: NodeScope, steps: EquationSteps, inputs: Sequence[str], *, once: bool) -> str:
        """Append a ``Scan`` over ``[T, N, *]`` that carries the states."""
        sizes = self._graph.sizes(1, -1, *scope.shape) if once else self.sizes(-1, *scope.shape)
        sequences = [scope.add("Reshape", x, sizes) for x in inputs]
        if once:
            sequences = [scope.add("Expand", each, self.sizes(1, *[1] * len(scope.shape))) for each in sequences]
        state_shape = scope.add("Shape", sequences[0], start=1)
        initial_states = []
        for name, value in steps.start.items():
            if isinstance(value, tuple):
                initial_states.append(initial_state(scope, f"{name}_first", value, state_shape))
                continue
            start_tensor = numpy_helper.from_array(np.array([value], self._graph.dtype))
            initial_states.append(
                self._graph.add("ConstantOfShape", [state_shape], f"{scope.name}/{name}_first", value=start_tensor)
            )
        scanned = [
            *sequences,
            *(scope.constant(f"factor_{index}", values) for index, values in steps.over_steps.items()),
        ]
        inner = replace(scope, graph=OnnxGraph(self._graph.dtype, self._graph), name=f"{scope.name}/step")
        state_names = [f"{inner.name}/{name}" for name in steps.start]
        x_t = [f"{inner.name}/x{index or ''}" for index in range(len(inputs))]
        factor_names = [f"{inner.name}/factor_{index}" for index in steps.over_steps]
        output, new_states = steps.write(
            inner, x_t, state_names, dict(zip(steps.over_steps, factor_names, strict=True))
        )
        value_info = partial(inner.graph.value, dims=[None] * (1 + len(scope.shape)))
        factor_infos = [
            inner.graph.value(name, [None] * (values.ndim - 1))
            for name, values in zip(factor_names, steps.over_steps.values(), strict=True)
        ]
        ranks = [1 + isinstance(value, tuple) + len(scope.shape) for value in steps.start.values()]
        # The outputs of a Scan body must be distinct, and must not be its inputs.
        new_states = [inner.add("Identity", each) for each in new_states]
        output = inner.add("Identity", output)
        states_before, states_after = (
            [inner.graph.value(name, [None] * rank) for name, rank in zip(names, ranks, strict=True)]
            for names in (state_names, new_states)
        )
        declared = [*states_before, *map(value_info, x_t), *factor_infos]
        body = inner.graph.proto(inner.name, declared, [*states_after, value_info(output)])
        outputs = [*(f"{scope.name}/{name}_last" for name in steps.start), f"{scope.name}/given"]
        scope.add("Scan", *initial_states, *scanned, outputs=outputs, body=body, num_scan_inputs=len(scanned))
        return scope.add_output("Reshape", outputs[-1], self._graph.sizes(-1, *scope.shape))

    def _step(self, scope: NodeScope, law: LinearSteps) -> GraphProto:
        """Return the body of the ``Scan``: one time-step of a row of neurons."""
        inner = replace(scope, graph=OnnxGraph(self._graph.dtype, self._graph), name=f"{scope.name}/step")
        v, x = f"{inner.name}/v", f"{inner.name}/x"
        h = law.charge(inner, x, v)
        fired, spikes = law.fire(inner, h)
        v_next = law.reset(inner, h, fired, spikes)
        row_info = partial(inner.graph.value, dims=[None])
        return inner.graph.proto(inner.name, [row_info(v), row_info(x)], [row_info(v_next), row_info(spikes)])


class UnrolledTime(TimeAxis):
    """Copy of the operations for every time-step, for ONNX readers without loops. T is fixed."""

    any_length = False

    def spikes(self, scope: NodeScope, law: LinearSteps, drive: str, *, once: bool) -> str:
        drives = [drive] * self.T
        if not once and self.T > 1:
            drives = [f"{scope.name}/x_{t}" for t in range(1, self.T + 1)]  # One per time-step, [1, N, *].
            scope.add("Split", scope.add("Reshape", drive, self.sizes(-1, *scope.shape)), outputs=drives, axis=0)
        spikes, v = [], None
        for t, drive_t in enumerate(drives, 1):
            h = law.charge(scope, drive_t, v)
            fired, fires = law.fire(scope, h)
            spikes.append(fires)
            # The potential after the last time-step is not used.
            if t < len(drives):
                v = law.reset(scope, h, fired, fires)
        if once or len(spikes) == 1:
            return scope.add_output("Concat", *spikes, axis=0)
        return scope.add_output("Reshape", scope.add("Concat", *spikes, axis=0), self._graph.sizes(-1, *scope.shape))

    def computed(self, scope: NodeScope, steps: EquationSteps, inputs: Sequence[str], *, once: bool) -> str:
        rows = []
        for index, x in enumerate(inputs):
            steps_x = [x] * self.T
            if not once and self.T > 1:
                steps_x = [f"{scope.name}/x{index or ''}_{t}" for t in range(1, self.T + 1)]
                split = [f"{name}_of_all" for name in steps_x]
                # Split keeps the time axis with length 1.
                scope.add("Split", scope.add("Reshape", x, self.sizes(-1, *scope.shape)), outputs=split, axis=0)
                for name, part in zip(steps_x, split, strict=True):
                    scope.graph.add("Squeeze", [part, self._graph.sizes(0)], name, [name])
            rows.append(steps_x)
        state_shape = scope.add("Shape", rows[0][0])
        states = [initial_state(scope, f"{name}_first", value, state_shape) for name, value in steps.start.items()]
        outputs = []
        for t, row in enumerate(zip(*rows, strict=True)):
            factors = {index: scope.constant(f"factor_{index}_{t}", v[t]) for index, v in steps.over_steps.items()}
            output, states = steps.write(scope, row, states, factors)
            outputs.append(output)
        return scope.add_output("Concat", *outputs, axis=0)
