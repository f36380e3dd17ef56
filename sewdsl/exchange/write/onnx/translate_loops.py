"""Translation of loops to ONNX: all layers of a loop, one time-step after the other."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import partial
from itertools import zip_longest
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from onnx import numpy_helper

from sewdsl.exchange.errors import UnsupportedLayer
from sewdsl.exchange.write.onnx.graph_builder import NodeScope, OnnxGraph
from sewdsl.exchange.write.onnx.neuron_steps import EquationSteps, LinearSteps, neuron_steps
from sewdsl.exchange.write.onnx.time_axis import TimeAxis
from sewdsl.exchange.write.onnx.translate_layers import translate_layer
from sewdsl.ir.network import Network
from sewdsl.passes import ExecutionStep
from sewdsl.snn.equations import Equations
from sewdsl.snn.neuron import Neuron

if TYPE_CHECKING:
    from torch import nn


class LoopState(NamedTuple):
    """State of a node in a loop."""

    node: int
    name: str
    """Name in the equations of a neuron. Empty for the only state of another node."""
    start: float
    """Value before the first time-step."""

    @property
    def key(self) -> str:
        """Name that is unique within the loop."""
        return f"{self.node}{self.name and '.'}{self.name}"


class LoopValues(NamedTuple):
    """Names of the values that a time-step of a loop reads."""

    sequences: Mapping[int, str]
    """Values from outside of the loop, by node."""
    states: Mapping[str, str]
    """States before the time-step, by :attr:`LoopState.key`."""
    factors: Mapping[int, Mapping[int, str]]
    """Factors of this time-step in neurons with equations, by node and index."""


class LoopWriter(ABC):
    """Writer of one loop.

    Args:
        modules: Returns the module of a node by name.

    Raises:
        UnsupportedLayer: If a layer of the loop cannot be written.
    """

    def __init__(
        self,
        network: Network,
        modules: Callable[[str], nn.Module],
        step: ExecutionStep,
        graph: OnnxGraph,
        axis: TimeAxis,
    ) -> None:
        self._network, self._modules, self._step, self._graph, self._axis = network, modules, step, graph, axis
        self._name = network.nodes[step.nodes[0]].name + "/loop"
        self._states: list[LoopState] = []
        self._neurons: dict[int, LinearSteps | EquationSteps] = {}
        for index in step.nodes:
            node = network.nodes[index]
            module = modules(node.name)
            if steps := node.op.delay_steps:
                names = map(str, range(steps)) if steps > 1 else ("",)
                self._states += [LoopState(index, name, 0.0) for name in names]
            elif isinstance(module, Neuron | Equations):
                neuron = self._neurons[index] = neuron_steps(node, module, node.output.shape)
                for name, value in neuron.start.items():
                    if isinstance(value, tuple):
                        raise UnsupportedLayer(node, "has a vector state in a loop, which ONNX export does not support")
                    self._states.append(LoopState(index, name, value))
            # A window over time would have to be carried as a state.
            elif node.op.reads != "step":
                reason = "reads several time-steps in a loop; ONNX export supports such layers outside of loops only"
                raise UnsupportedLayer(node, reason)

    @abstractmethod
    def written(self, sequences: Mapping[int, str]) -> dict[int, str]:
        """Append the loop for the named inputs by node, and return the names of its outputs, all ``[T·N, *]``."""

    def _sequence(self, index: int, value: str) -> str:
        """Append a reshape of a value to ``[T, N, *]``."""
        sizes = self._axis.sizes(-1, *self._network.nodes[index].output.shape)
        return self._graph.add("Reshape", [value, sizes], f"{self._name}/Reshape")

    def _initial(self, state: LoopState, reference: str) -> str:
        """Append the initial value of a state, with the batch size of ``reference``."""
        node = self._network.nodes[state.node]
        name = f"{node.name}/{state.name}{state.name and '_'}initial"
        count = self._graph.add("Shape", [reference], f"{name}/N", start=1, end=2)
        shape = self._graph.add("Concat", [count, self._graph.sizes(*node.output.shape)], f"{name}/shape", axis=0)
        start = numpy_helper.from_array(np.array([state.start], self._graph.dtype))
        return self._graph.add("ConstantOfShape", [shape], name, value=start)

    def _time_step(self, graph: OnnxGraph, before: LoopValues, suffix: str) -> tuple[dict[int, str], dict[str, str]]:
        """Append a time-step, and return the names of all node values, ``[N, *]``, and of the new states."""
        values, after = dict(before.sequences), dict[str, str]()
        for index in self._step.nodes:
            node, states = self._network.nodes[index], [state for state in self._states if state.node == index]
            if node.op.delay_steps:
                values[index] = before.states[states[0].key]
                continue
            shapes = [signal.shape for signal in self._network.inputs(node)]
            sizes, shared = partial(graph.sizes, 1), self._network.shared_name(node)
            scope = NodeScope(graph, node, node.name, node.name + suffix, shapes, sizes, shared)
            operands = [values[i] for i in node.inputs]
            if index in self._neurons:
                state_names, factors = [before.states[state.key] for state in states], before.factors.get(index, {})
                values[index], new_names = self._neurons[index].write(scope, operands, state_names, factors)
                after |= {state.key: name for state, name in zip(states, new_names, strict=True)}
            else:
                values[index] = translate_layer(scope, self._modules(node.name), *operands)
        # Delays come last: their sources may be any node of the loop.
        for state, following in zip_longest(self._states, self._states[1:]):
            node = self._network.nodes[state.node]
            if node.op.delay_steps:
                # The next value of the same delay moves up.
                moves = following is not None and following.node == state.node
                after[state.key] = before.states[following.key] if moves else values[node.sources[0]]
        return values, after


class ScannedLoop(LoopWriter):
    """Loop as one ``Scan``."""

    def written(self, sequences: Mapping[int, str]) -> dict[int, str]:
        """Append one ``Scan`` for any number of time-steps, unless weights depend on that number."""
        inputs = {index: self._sequence(index, value) for index, value in sequences.items()}
        reference = next(iter(inputs.values()))
        initial = [self._initial(state, reference) for state in self._states]
        inner = OnnxGraph(self._graph.dtype, self._graph)
        before = LoopValues(
            {index: f"{self._name}/x{index}" for index in sequences},
            {state.key: f"{self._name}/state{state.key}" for state in self._states},
            {
                index: {factor_index: f"{self._name}/factor{index}.{factor_index}" for factor_index in steps.over_steps}
                for index, steps in self._neurons.items()
            },
        )
        results, after = self._time_step(inner, before, "/step")
        # The outputs of a Scan body must be distinct, and must not be its inputs.
        carried = {key: inner.add("Identity", [after[key]], f"{self._name}/after{key}") for key in before.states}
        outputs = {i: inner.add("Identity", [results[i]], f"{self._name}/y{i}") for i in self._step.loop}
        shapes = {i: (None, *self._network.nodes[i].output.shape) for i in {*self._step.nodes, *sequences}}
        factors, ranks = dict[str, str](), dict[str, int]()
        for index, steps in self._neurons.items():
            for factor_index, name in before.factors[index].items():
                values = steps.over_steps[factor_index]
                factors[name] = self._graph.constant(f"{self._network.nodes[index].name}.factor_{factor_index}", values)
                ranks[name] = values.ndim - 1
        body = inner.proto(
            f"{self._name}/step",
            [
                *(inner.value(before.states[state.key], shapes[state.node]) for state in self._states),
                *(inner.value(before.sequences[i], shapes[i]) for i in sequences),
                *(inner.value(name, [None] * rank) for name, rank in ranks.items()),
            ],
            [
                *(inner.value(carried[state.key], shapes[state.node]) for state in self._states),
                *(inner.value(outputs[i], shapes[i]) for i in self._step.loop),
            ],
        )
        # Constants of the body count towards the maximum size of the file.
        self._graph.bytes += inner.bytes
        last = [f"{self._name}/last{state.key}" for state in self._states]
        all_steps = [f"{self._name}/all{index}" for index in self._step.loop]
        scanned = [*inputs.values(), *factors.values()]
        self._graph.add(
            "Scan", [*initial, *scanned], self._name, [*last, *all_steps], body=body, num_scan_inputs=len(scanned)
        )
        inputs = {}
        for index, name in zip(self._step.loop, all_steps, strict=True):
            node = self._network.nodes[index]
            inputs[index] = self._graph.add("Reshape", [name, self._graph.sizes(-1, *node.output.shape)], node.name)
        return inputs


class UnrolledLoop(LoopWriter):
    """Loop as a copy of its operations for every time-step."""

    def written(self, sequences: Mapping[int, str]) -> dict[int, str]:
        """Append the operations of each of the network's time-steps."""
        inputs = {index: self._sequence(index, value) for index, value in sequences.items()}
        reference = next(iter(inputs.values()))
        states = {state.key: self._initial(state, reference) for state in self._states}
        # Split keeps the time axis with length 1, and Squeeze removes it.
        steps: dict[int, list[str]] = {}
        for index, name in inputs.items():
            parts = [f"{self._name}/x{index}_{t}" for t in range(1, self._axis.T + 1)]
            self._graph.add("Split", [name], f"{self._name}/Split", parts, axis=0)
            steps[index] = [
                self._graph.add("Squeeze", [part, self._graph.sizes(0)], f"{self._name}/Squeeze") for part in parts
            ]
        results: dict[int, list[str]] = {index: [] for index in self._step.loop}
        for t in range(self._axis.T):
            values = {index: parts[t] for index, parts in steps.items()}
            outputs, states = self._time_step(self._graph, LoopValues(values, states, self._factors(t)), f"_{t + 1}")
            for index, parts in results.items():
                parts.append(outputs[index])
        return {
            index: self._graph.add("Concat", parts, self._network.nodes[index].name, axis=0)
            for index, parts in results.items()
        }

    def _factors(self, t: int) -> dict[int, dict[int, str]]:
        """Return the names of the factors of a time-step."""
        return {
            index: {
                factor_index: self._graph.constant(
                    f"{self._network.nodes[index].name}.factor_{factor_index}_{t}", values[t]
                )
                for factor_index, values in steps.over_steps.items()
            }
            for index, steps in self._neurons.items()
        }
