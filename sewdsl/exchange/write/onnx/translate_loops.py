"""Loops in an ONNX graph: all that is in them, one time-step after the other."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from onnx import numpy_helper

from sewdsl.exchange.errors import UnsupportedLayer
from sewdsl.exchange.write.onnx.graph_builder import NodeScope, OnnxGraph
from sewdsl.exchange.write.onnx.time_axis import OnnxNeuronStep, TimeAxis, UnrolledTime
from sewdsl.exchange.write.onnx.translate_layers import translate_join, translate_layer, translate_merge
from sewdsl.ir.network import Network
from sewdsl.passes import ExecutionStep
from sewdsl.snn.join import Join
from sewdsl.snn.layers import Dropout
from sewdsl.snn.neuron import Neuron

if TYPE_CHECKING:
    from torch import nn


class LoopState(NamedTuple):
    """What a node in a loop keeps from one time-step to the next.

    Attributes:
        shape: Of one sample.
        start: What it is before the first time-step.
    """

    shape: tuple[int, ...]
    start: float


def loop_writer(
    network: Network, modules: Callable[[str], nn.Module], step: ExecutionStep, graph: OnnxGraph, axis: TimeAxis
) -> LoopWriter:
    """What puts a loop into a graph.

    Args:
        network: What it is part of.
        modules: By the names of nodes.
        step: The loop.
        graph: Where it goes.
        axis: How the graph goes through time.

    Raises:
        UnsupportedLayer: something in it cannot be written.
    """
    kind = _Unrolled if isinstance(axis, UnrolledTime) else _Scanned
    return kind(network, modules, step, graph, axis)


class LoopWriter(ABC):
    """One loop."""

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
        self._states: dict[int, LoopState] = {}
        for index in step.nodes:
            node = network.nodes[index]
            if node.delayed is not None:
                self._states[index] = LoopState(node.output.shape, 0.0)
            elif isinstance(module := modules(node.name), Neuron):
                self._states[index] = LoopState(node.output.shape, module.spec.rest)
            elif node.op.reads != "step":
                why = "reads several time-steps in a loop, and only neurons and delays are translated there"
                raise UnsupportedLayer(node, why)

    @abstractmethod
    def written(self, sequences: Mapping[int, str]) -> dict[int, str]:
        """Puts the loop into the graph; the names of what it gives, ``[T·N, *]`` each.

        Args:
            sequences: The names of what it reads, ``[T·N, *]`` each.
        """

    def _sequence(self, index: int, value: str) -> str:
        """A value as ``[T, N, *]``."""
        sizes = self._axis.sizes(-1, *self._network.nodes[index].output.shape)
        return self._graph.add("Reshape", [value, sizes], f"{self._name}/Reshape")

    def _initial(self, index: int, like: str) -> str:
        """The state of a node before the first time-step, for as many samples as a sequence has."""
        state = self._states[index]
        name = f"{self._network.nodes[index].name}/initial"
        count = self._graph.add("Shape", [like], f"{name}/N", start=1, end=2)
        shape = self._graph.add("Concat", [count, self._graph.sizes(*state.shape)], f"{name}/shape", axis=0)
        start = numpy_helper.from_array(np.array([state.start], self._graph.dtype))
        return self._graph.add("ConstantOfShape", [shape], name, value=start)

    def _time_step(
        self, graph: OnnxGraph, values: Mapping[int, str], states: Mapping[int, str], mark: str
    ) -> tuple[dict[int, str], dict[int, str]]:
        """What is done at a time-step: the values of all nodes, ``[N, *]`` each, and the states after it.

        Args:
            graph: Where it goes.
            values: The names of what is read from outside.
            states: Those of the states.
            mark: What the names of values end with.
        """
        found, after = dict(values), dict[int, str]()
        for index in self._step.nodes:
            node = self._network.nodes[index]
            if node.delayed is not None:
                found[index] = states[index]
                continue
            module, shapes = self._modules(node.name), [signal.shape for signal in self._network.inputs(node)]
            place = NodeScope(graph, node, node.name, node.name + mark, shapes[0])
            operands = [found[i] for i in node.inputs]
            if isinstance(module, Neuron):
                law = OnnxNeuronStep.of(place, module)
                h = law.charge(place, law.drive(place, operands[0]), states[index])
                fired, found[index] = law.fire(place, h)
                after[index] = law.reset(place, h, fired, found[index])
            elif isinstance(module, Dropout):
                found[index] = operands[0]
            elif isinstance(module, Join):
                found[index] = translate_join(place, module, *operands)
            elif len(operands) > 1:
                found[index] = translate_merge(place, module, operands, shapes)
            else:
                found[index] = translate_layer(place, module, operands[0])
        for index in self._step.nodes:
            delayed = self._network.nodes[index].delayed
            if delayed is not None:
                after[index] = found[delayed]
        return found, after


class _Scanned(LoopWriter):
    """One ``Scan`` around all of it."""

    def written(self, sequences: Mapping[int, str]) -> dict[int, str]:
        """Whatever the number of time-steps."""
        given = {index: self._sequence(index, value) for index, value in sequences.items()}
        like = next(iter(given.values()))
        initial = [self._initial(index, like) for index in self._states]
        inner = OnnxGraph(self._graph.dtype)
        values = {index: f"{self._name}/x{index}" for index in sequences}
        states = {index: f"{self._name}/state{index}" for index in self._states}
        found, after = self._time_step(inner, values, states, "/step")
        # results of a Scan's body have to be its own, each once
        kept = {index: inner.add("Identity", [after[index]], f"{self._name}/after{index}") for index in self._states}
        outputs = {i: inner.add("Identity", [found[i]], f"{self._name}/y{i}") for i in self._step.loop}
        body = inner.proto(
            f"{self._name}/step",
            [
                *(inner.value(states[i], [None, *state.shape]) for i, state in self._states.items()),
                *(inner.value(values[i], [None, *self._network.nodes[i].output.shape]) for i in sequences),
            ],
            [
                *(inner.value(kept[i], [None, *state.shape]) for i, state in self._states.items()),
                *(inner.value(outputs[i], [None, *self._network.nodes[i].output.shape]) for i in self._step.loop),
            ],
        )
        self._graph.bytes += inner.bytes
        last = [f"{self._name}/last{index}" for index in self._states]
        all_steps = [f"{self._name}/all{index}" for index in self._step.loop]
        self._graph.add(
            "Scan", [*initial, *given.values()], self._name, [*last, *all_steps], body=body, num_scan_inputs=len(given)
        )
        given = {}
        for index, name in zip(self._step.loop, all_steps, strict=True):
            node = self._network.nodes[index]
            given[index] = self._graph.add("Reshape", [name, self._graph.sizes(-1, *node.output.shape)], node.name)
        return given


class _Unrolled(LoopWriter):
    """The same operations again for every time-step."""

    def written(self, sequences: Mapping[int, str]) -> dict[int, str]:
        """For the network's number of time-steps."""
        given = {index: self._sequence(index, value) for index, value in sequences.items()}
        like = next(iter(given.values()))
        states = {index: self._initial(index, like) for index in self._states}
        steps: dict[int, list[str]] = {}
        for index, name in given.items():
            parts = [f"{self._name}/x{index}_{t}" for t in range(1, self._axis.T + 1)]
            self._graph.add("Split", [name], f"{self._name}/Split", parts, axis=0)
            steps[index] = [
                self._graph.add("Squeeze", [part, self._graph.sizes(0)], f"{self._name}/Squeeze") for part in parts
            ]
        results: dict[int, list[str]] = {index: [] for index in self._step.loop}
        for t in range(self._axis.T):
            values = {index: parts[t] for index, parts in steps.items()}
            found, states = self._time_step(self._graph, values, states, f"_{t + 1}")
            for index, parts in results.items():
                parts.append(found[index])
        return {
            index: self._graph.add("Concat", parts, self._network.nodes[index].name, axis=0)
            for index, parts in results.items()
        }
