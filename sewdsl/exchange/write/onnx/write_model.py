"""Export of a network as an ONNX model, from the modules of its nodes and without tracing."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from onnx import GraphProto, ModelProto, ValueInfoProto, helper

from sewdsl.exchange.errors import ExportError
from sewdsl.exchange.write.formats import file_metadata
from sewdsl.exchange.write.onnx.graph_builder import NodeScope, OnnxGraph
from sewdsl.exchange.write.onnx.neuron_steps import keeps_state
from sewdsl.exchange.write.onnx.time_axis import ScannedTime, TimeAxis, UnrolledTime
from sewdsl.exchange.write.onnx.translate_layers import translate_layer, translate_with_norm
from sewdsl.exchange.write.onnx.translate_loops import ScannedLoop, UnrolledLoop
from sewdsl.exchange.write.onnx.translate_sequences import TRANSLATIONS
from sewdsl.ir.network import Network
from sewdsl.passes import ExecutionStep, Program
from sewdsl.passes.steps import fold_batch_norm, hoist_static
from sewdsl.snn.batch_norm import BatchNorm
from sewdsl.snn.layers import Conv1d, Conv2d, Linear

if TYPE_CHECKING:
    from sewdsl.lower import SpikingNetwork

OPSET = 17
"""Opset of June 2022: the first with ``Shape(start=…)``, the last in which ReduceMean has its axes as an attribute."""
IR_VERSION = 8
"""IR version of the same ONNX release."""
MAX_FILE_BYTES = 2**31 - 2**20
"""Maximum size of the constants in bytes: a protobuf message is limited to 2 GB, including the graph."""
FORMATS: dict[torch.dtype, np.dtype[Any]] = {torch.float32: np.dtype(np.float32), torch.float64: np.dtype(np.float64)}


def to_onnx(model: SpikingNetwork, axis: type[TimeAxis], inputs: str = "") -> ModelProto:
    """Return the ONNX model of a module in evaluation mode, in the dtype of its parameters.

    Args:
        inputs: Description of the input scaling.

    Raises:
        ExportError: If a layer cannot be translated, or the parameters have another dtype or are too large.
    """
    writer = OnnxModelWriter(model, axis)
    for step in writer.program.steps:
        writer.write(step)
    return writer.model(inputs)


def to_scanned_bytes(model: SpikingNetwork, inputs: str, axis: type[TimeAxis] = ScannedTime) -> bytes:
    """Return the file of :func:`to_onnx`."""
    data: bytes = to_onnx(model, axis, inputs).SerializeToString(deterministic=True)
    return data


def to_unrolled_bytes(model: SpikingNetwork, inputs: str) -> bytes:
    """Return the file of a graph without loops."""
    return to_scanned_bytes(model, inputs, UnrolledTime)


class OnnxModelWriter:
    """Graph with the values of a network's nodes.

    A value is ``[T·N, *]``, or ``[N, *]`` if it is constant over time.

    Attributes:
        program: The network with folded batch norms and hoisted static nodes.
    """

    def __init__(self, model: SpikingNetwork, axis: type[TimeAxis]) -> None:
        self._modules, self._network = model.get_submodule, model.network
        self.program, _ = fold_batch_norm(hoist_static(Program.of(self._network))[0])
        settings = self._network.settings
        self._graph = OnnxGraph(_format(model))
        sources = dict(zip(self._network.input_indices, settings.sources, strict=True))
        self._sources = {index: source._replace(name=source.name or "input") for index, source in sources.items()}
        self._static = self._network.static_inputs
        # Some layers have weights per time-step, which fix T even for sequences.
        fixed = bool(self._static) or self._network.first_fixed is not None
        self._axis = axis(self._graph, settings.steps, fixed=fixed, sequence=self._sources[min(sources)].name)
        self._constant_values = {*self._static} if settings.steps > 1 else set[int]()
        self._values = {}
        for index, (name, shape, _, values) in self._sources.items():
            self._values[index] = name
            if values is not None:
                if values - 1 > 2 / np.finfo(_format(model)).eps:
                    raise ExportError(f"{name}: {_format(model)} does not represent all integers up to {values - 1}")
                self._values[index] = self._graph.add("Cast", [name], f"{name}/Cast", to=self._graph.type)
            if index not in self._static:
                # Time-steps and samples form one batch axis in all layers without a state.
                sizes = [self._values[index], self._graph.sizes(-1, *shape)]
                self._values[index] = self._graph.add("Reshape", sizes, f"{name}/Reshape")

    def write(self, step: ExecutionStep) -> None:
        """Append the layers of a step."""
        if step.loop:
            inputs = {i: self._at_all_steps(i) for i in step.operands}
            kind = UnrolledLoop if isinstance(self._axis, UnrolledTime) else ScannedLoop
            loop = kind(self._network, self._modules, step, self._graph, self._axis)
            self._values |= loop.written(inputs)
            return
        first, *norms = (self._network.nodes[i] for i in step.nodes)
        shapes = [signal.shape for signal in self._network.inputs(first)]
        # Reductions over time are computed once, from all time-steps.
        reads_once = step.once and not first.op.reduces_time
        sizes = partial(self._graph.sizes, 1) if reads_once else self._axis.sizes
        scope = NodeScope(
            self._graph,
            first,
            first.name,
            self._network.nodes[step.gives].name,
            shapes,
            sizes,
            self._network.shared_name(first),
        )
        module = self._modules(first.name)
        if step.once:
            self._constant_values.add(step.gives)
        # Neurons take constant inputs as they are, and repeat them over time themselves.
        if keeps_state(module):
            once = self._constant_values.issuperset(step.operands)
            neuron_inputs = [self._values[i] if once else self._at_all_steps(i) for i in step.operands]
            self._values[step.gives] = self._axis.neurons(scope, module, neuron_inputs, once=once)
            return
        operands = [self._values[i] if reads_once else self._at_all_steps(i) for i in step.operands]
        if norms:
            layer, norm = cast("Conv2d | Conv1d | Linear", module), cast("BatchNorm", self._modules(norms[0].name))
            self._values[step.gives] = translate_with_norm(scope, layer, norm, operands[0])
        else:
            translate = TRANSLATIONS.get(type(module), translate_layer)
            self._values[step.gives] = translate(scope, module, *operands)

    def model(self, inputs: str) -> ModelProto:
        """Return the model with its readout and metadata. ``inputs`` describes the input scaling."""
        outputs = []
        output_names = [(f"{name}/logits", f"{name}/sequence", index) for name, index in self._network.outputs]
        for logits, sequence, index in output_names or [("logits", "sequence", self._network.output)]:
            outputs += self._read_out(index, logits, sequence)
        if self._graph.bytes > MAX_FILE_BYTES:
            raise ExportError(
                f"the weights take {self._graph.bytes:,} bytes; an ONNX file can store {MAX_FILE_BYTES:,}"
            )
        steps = "T" if self._axis.free else self._axis.T
        sources = [
            self._graph.value(
                source.name,
                [*([] if index in self._static else [steps]), "N", *source.shape],
                integers=source.of is not None,
            )
            for index, source in self._sources.items()
        ]
        return _with_metadata(self._network, self._graph.proto(self._network.name, sources, outputs), inputs)

    def _read_out(self, index: int, logits: str, sequence: str) -> list[ValueInfoProto]:
        """Append the output of a node, reduced over time as ``logits`` and at every time-step as ``sequence``."""
        settings, shape = self._network.settings, self._network.nodes[index].output.shape
        y_TN = self._graph.add("Reshape", [self._at_all_steps(index), self._axis.sizes(-1, *shape)], sequence)
        if settings.readout == "last":
            # Gather keeps the time axis with length 1.
            gathered = self._graph.add("Gather", [y_TN, self._graph.sizes(-1)], "readout/Gather")
            self._graph.add("Squeeze", [gathered, self._graph.sizes(0)], logits)
        elif settings.readout == "sum":
            self._graph.add("ReduceSum", [y_TN, self._graph.sizes(0)], logits, keepdims=0)
        else:
            self._graph.add("ReduceMean", [y_TN], logits, axes=[0], keepdims=0)
        steps = "T" if self._axis.free else self._axis.T
        return [self._graph.value(logits, ["N", *shape]), self._graph.value(sequence, [steps, "N", *shape])]

    def _at_all_steps(self, index: int) -> str:
        """Return a node's value as ``[T·N, *]``, repeated if it is constant."""
        value, node = self._values[index], self._network.nodes[index]
        if index not in self._constant_values:
            return value
        tiles = self._axis.sizes(*[1] * len(node.output.shape))
        return self._graph.add("Tile", [value, tiles], f"{node.name}/Tile")


def _format(model: SpikingNetwork) -> np.dtype[Any]:
    dtype = torch.get_default_dtype() if model.example is None else model.example.dtype
    if dtype not in FORMATS:
        raise ExportError(f"the parameters are {dtype}; ONNX export supports float32 and float64: use model.float()")
    return FORMATS[dtype]


def _with_metadata(network: Network, graph: GraphProto, inputs: str) -> ModelProto:
    props = file_metadata(network, inputs)
    opsets = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="sewdsl")
    model.producer_version = props["version"]
    helper.set_model_props(model, props)
    return model
