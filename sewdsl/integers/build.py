"""Trained networks as integer networks: each kind states its law, and the law is built from a few steps."""

from __future__ import annotations

from dataclasses import replace
from math import ceil, floor, log2, prod
from typing import TYPE_CHECKING, Literal, NamedTuple, NoReturn, TypeAlias

import numpy as np
import torch

from sewdsl.analysis.foldable_norms import foldable_norms
from sewdsl.analysis.weight_units import reading_neuron
from sewdsl.equations.step import NeuronStep
from sewdsl.equations.tape import LEARNED, Tape
from sewdsl.integers.calibration import CHANNEL_BITS, MARGIN
from sewdsl.integers.lower_equations import FRACTION_BITS, EquationLaw, NoEquationLaw
from sewdsl.integers.network import IntegerNetwork, Readout
from sewdsl.integers.steps import functions
from sewdsl.integers.steps.equations import EquationStep
from sewdsl.integers.steps.neuron import LARGEST_POTENTIAL, LEAK_BITS, Drift, Dynamics, IntegerNeuron, Settled
from sewdsl.integers.steps.step import ConstantStep, DelayStep, InputStep, Step, View
from sewdsl.integers.steps.weighted import Convolution, Pair, Window, convolve
from sewdsl.integers.value import LIMITS, ZERO, IntegerValue, Numbers, Shape
from sewdsl.ir.op import LinearNeuron, WeightedLayer
from sewdsl.light_dataclass import dataclass
from sewdsl.lower.evaluated_layers import EvaluatedLayer, evaluated_layers, factor_and_shift
from sewdsl.snn.kernels.neuron.reference import factor_values
from sewdsl.snn.weight_grid import grid_unit, largest_integer
from sewdsl.source import BUILTIN, Span
from sewdsl.syntax.suggestions import listed
from sewdsl.user_error import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from sewdsl.ir.op import Surrogate
    from sewdsl.ir.settings import InputSetting
    from sewdsl.lower import SpikingNetwork
    from sewdsl.ops.windows import Lengths

CURRENT_BITS = 27
"""Bits of the range of a sum of currents with different units."""
FINER_BITS = 12
"""Bits by which the unit of such a sum may be coarser than its finest operand."""
FACTOR_BITS = 28
"""Bits of a factor that rescales a value."""
ON_GRID = 1e-3
"""Largest distance of a weight from an integer, in integers, if training has rounded it."""
READ_BITS = 15
"""Bits of values that a convolution reads, without the sign."""
MAX_SPREAD = 4
"""Largest ratio of the largest integer times the largest factor of a channel to the largest value that is read."""
SETTLED_BITS = 18
"""Bits of currents whose shift is computed, so that their factors have the remaining bits of a sum."""
DELAYED_BITS = 26
"""Bits of delayed currents, without the sign."""
PLAIN_PASSES, DOUBLED_PASSES, MAX_PASSES = 8, 8, 40
"""Passes before those with doubled bounds of delayed currents, these passes, and passes without doubled bounds."""
FEW_STEPS = 16
"""Largest number of time-steps for which bounds are not doubled."""
MAX_GROWTH = 2**16
"""Largest ratio of the bound of delayed currents to that of one time-step, which leaves ten bits for the latter."""


Ranges: TypeAlias = "Mapping[str, tuple[Numbers, Numbers]]"
"""Smallest and largest input of each channel, ``[C]``, by the name of the layer that reads it."""


class NoIntegerLaw(UserError):
    """Layer, or the whole network if ``node`` is empty, that cannot be computed in integers."""

    def __init__(self, node: str, reason: str, span: Span = BUILTIN) -> None:
        place = "" if span is BUILTIN else f"{span.source.name}:{span.line}:{span.column}: "
        super().__init__(f"{place}{node}: {reason}" if node else reason)
        self.node, self.reason = node, reason


class Operand(NamedTuple):
    """Result of a step, as an operand of later steps."""

    step: int
    value: IntegerValue


@dataclass(frozen=True)
class IntegerFormat:
    """Formats of an integer network.

    Attributes:
        weight_bits: Bits of a weight, from 2 to 8.
        state_bits: Bits of a membrane potential, 16 or 32.
        fraction_bits: Bits by which the unit of a potential is finer than the unit of its input.
    """

    weight_bits: int = 8
    state_bits: Literal[16, 32] = 32
    fraction_bits: int = FRACTION_BITS

    @property
    def largest_weight(self) -> int:
        """Largest weight."""
        return largest_integer(self.weight_bits)

    @property
    def threshold_bits(self) -> int:
        """Bits of the largest threshold. With 16 bits, a potential then holds at least four thresholds."""
        return {16: 13, 32: 22}[self.state_bits]


class InputScaling(NamedTuple):
    """Relation x = factor · n + shift of integers n up to ``high`` to the input x, of all channels or of each one."""

    high: int = 255
    factor: Numbers = np.float64(1)
    shift: Numbers = ZERO

    def of_source(self, source: InputSetting) -> InputScaling:
        """Return the scaling of an input. Integers of ``input … of N`` are not scaled."""
        return self if source.of is None else InputScaling(source.of - 1)

    @classmethod
    def of_pixels(cls, mean: Sequence[float], deviation: Sequence[float], white: int = 255) -> InputScaling:
        """Return the scaling of pixels that are divided by ``white`` and normalised by channel."""
        means, deviations = (np.array(numbers, np.float64).squeeze() for numbers in (mean, deviation))
        return cls(white, 1 / (white * deviations), -means / deviations)


def build_integer_network(
    model: SpikingNetwork,
    scaling: InputScaling | None = None,
    formats: IntegerFormat | None = None,
    ranges: Ranges | None = None,
) -> IntegerNetwork:
    """Return a module in evaluation mode as an integer network.

    Args:
        scaling: Integer input. The default is counts up to 255.
        ranges: Measured ranges of currents that are rounded. Values outside saturate. The ranges of other layers are
            proven. None rejects ReLU of currents, whose proven ranges are too wide.

    Raises:
        NoIntegerLaw: If a layer has no law in integers.
    """
    steps = model.network.settings.steps

    def build(bounds: Mapping[int, float]) -> LawBuilder:
        return LawBuilder(model, scaling or InputScaling(), formats or IntegerFormat(), bounds, ranges)

    bounds: dict[int, float] = {}
    first: dict[int, float] = {}
    # Pass k proves the bounds of delayed currents in time-step k.
    for number in range(1, min(steps, MAX_PASSES) + 1):
        builder = build(bounds)
        if number == PLAIN_PASSES and steps > FEW_STEPS:
            # Doubled bounds may hold for any number of time-steps. Otherwise, they would waste bits.
            doubled = dict(bounds)
            for _ in range(DOUBLED_PASSES):
                if not builder.exceeded:
                    break
                doubled |= {index: 2 * bound for index, bound in builder.exceeded.items()}
                builder = build(doubled)
            builder = build(bounds) if builder.exceeded else builder
        if not builder.exceeded:
            return builder.finished()
        if any(bound > MAX_GROWTH * first.setdefault(index, bound) for index, bound in builder.exceeded.items()):
            break
        # Values that are delayed in the last time-step are not read, but 32 bits must hold them.
        if number == steps and all(
            bound / bounds.get(index, bound) * 2**DELAYED_BITS <= LIMITS["int32"][1]
            for index, bound in builder.exceeded.items()
        ):
            # The units of earlier passes, whose bounds are proven, round differently.
            return build({index: MARGIN * bound for index, bound in bounds.items()}).finished()
        bounds |= builder.exceeded
    node, (index, bound) = model.network.nodes[next(iter(builder.exceeded))], next(iter(builder.exceeded.items()))
    growth = bound / first.get(index, bound)
    fault = f"DELAY is in a loop that makes currents {growth:,.0f} times larger, which 32 bits do not hold"
    remedy = "reduce the gain of the loop with SCALE, or add SN to the loop"
    if growth <= 2 * MAX_PASSES:
        fault = f"DELAY adds up currents over {steps:,} time-steps without a bound"
        remedy = f"multiply them by SCALE(value=0.9) in the loop, or use at most {MAX_PASSES} time-steps"
    raise NoIntegerLaw(node.name, f"{fault}; {remedy}", node.span)


class LawBuilder:
    """Integer network under construction: the methods are the steps that the law of a kind can consist of.

    Args:
        bounds: Largest absolute values of delayed currents, by the index of the delay. The default is 0.

    Attributes:
        layer: Current layer, with the batch norms folded into it.
        exceeded: Bounds of the delays whose inputs exceed ``bounds``.
    """

    layer: EvaluatedLayer

    def __init__(
        self,
        model: SpikingNetwork,
        scaling: InputScaling,
        formats: IntegerFormat,
        bounds: Mapping[int, float],
        ranges: Ranges | None,
    ) -> None:
        self._network, self._formats, self._bounds, self._ranges = model.network, formats, bounds, ranges
        self.exceeded: dict[int, float] = {}
        self._steps: list[Step] = []
        self._notes: list[str] = []
        self._rounded: list[str] = []
        self._delays: dict[int, tuple[int, int]] = {}
        settings, graph = self._network.settings, self._network.graph
        self._learned: dict[int, EvaluatedLayer] = dict(evaluated_layers(model, dtype=np.dtype(np.float64)))
        operands, start, name = dict[int, Operand](), 0, self._network.name
        for index, setting in zip(self._network.input_indices, settings.sources, strict=True):
            own = scaling.of_source(setting)
            if own.high > LIMITS["uint8"][1]:
                raise NoIntegerLaw("", f"{name} reads integers up to {own.high:,}, and integer networks read 8 bits")
            value = IntegerValue(_shape(setting.shape), 0, own.high, own.factor, own.shift)
            is_static = setting.encode == "direct"
            operands[index] = self._put(InputStep(setting.name or "input", (), value, is_static, start))
            start += value.elements
        hosts = foldable_norms(self._network)
        needed = graph.lead_to(self._network.output_indices)
        for index, layer in self._learned.items():
            if index not in needed:
                continue
            self.layer, self._index = layer, index
            # The input of a delay can be a later layer.
            sources = () if layer.node.op.delay_steps else layer.node.sources
            result = layer.node.op.integers(self, *(operands[i] for i in sources))
            operands[index] = result
            operands |= {norm: result for norm, host in hosts.items() if host == index}
        self._operands = operands
        for step, (index, delay) in self._delays.items():
            self.layer = self._learned[delay]
            source, value = operands[index], self._steps[step].value
            if self.layer.node.output.values.count is None:
                source = self._delayed(source, delay, value)
            elif not source.value.plain or float(source.value.factor) != 1 or source.value.high > value.high:
                self.refuse("delays values other than spikes; add SN before it")
            self._steps[step] = replace(self._steps[step], inputs=(source.step,))

    def finished(self) -> IntegerNetwork:
        """Return the network with its outputs."""
        network, settings = self._network, self._network.settings
        if not self._learned:
            raise NoIntegerLaw("", f"{network.name} has no layers")
        if network.recipe and network.recipe.grid_bits == self._formats.weight_bits and self._rounded:
            self._notes.append(f"weights that 'quantize' has not rounded to this grid: {listed(self._rounded)}")
        readouts = tuple(self._readout(*output) for output in network.outputs or [("", network.output)])
        return IntegerNetwork(
            network.name,
            tuple(self._steps),
            readouts,
            settings.steps,
            all(source.encode == "direct" for source in settings.sources),
            settings.readout,
            tuple(self._notes),
        )

    def _readout(self, name: str, index: int) -> Readout:
        self.layer = self._learned.get(index, self.layer)
        operand = self._operands[index]
        if np.ndim(operand.value.factor) or operand.value.has_border:
            operand = self._settled(operand, common=True)
        value, bits = operand.value, 30 - ceil(log2(self._summed_steps))
        if value.magnitude >> bits:
            # The outputs of all time-steps are added up in 32 bits.
            units = np.full(value.shape[-1], abs(float(value.factor)) * value.magnitude / 2**bits)
            operand = self._rescale([operand], value.shift, unit=units)
        value = operand.value
        # Channels of zeros have the unit 0.
        unit = float(np.max(value.factor))
        numbers = np.round(np.asarray(value.shift) / (unit or 1.0))
        largest = (value.magnitude + float(np.abs(numbers).max())) * self._summed_steps
        if not largest <= LIMITS["int32"][1]:
            raise NoIntegerLaw(name, f"the outputs can reach {largest:,.0f}, which exceeds 32 bits")
        bias = np.broadcast_to(numbers, value.shape[-1]).astype(np.int64)
        return Readout(name, operand.step, np.tile(bias, value.elements // len(bias)), unit)

    # --- what laws consist of

    def refuse(self, reason: str) -> NoReturn:
        """Raise NoIntegerLaw for the current layer."""
        node = self.layer.node
        raise NoIntegerLaw(node.name, f"{node.op.kind} {reason}", node.span)

    def scale(self, x: Operand, factor: Numbers | float, shift: Numbers | float = 0.0) -> Operand:
        """Return factor · x + shift, which computes nothing."""
        return self._put(View(self._name, (x.step,), x.value.scaled(factor, shift)))

    def normalise(self, x: Operand, step_weight: Tensor | None = None) -> Operand:
        """Return the output of a batch norm that is not folded, times a factor for each time-step, ``[T]``."""
        factor, shift = factor_and_shift(self.layer.node.op, self.layer.learned)  # type: ignore[arg-type]
        if step_weight is not None:
            factor, shift = step_weight[:, None] * factor, step_weight[:, None] * shift
        if factor.ndim == 1:
            return self.scale(x, factor.numpy(), shift.numpy())
        tape = Tape()
        numbers = {tape.leaf("learned", "factor", LEARNED): factor, tape.leaf("learned", "shift", LEARNED): shift}
        leaf, addend = numbers
        step = NeuronStep(tape, tape.leaf("x") * leaf + addend, (), {}, {})
        return self._compute_equations(step, {entry.index: each.numpy() for entry, each in numbers.items()}, x)

    def flatten(self, x: Operand) -> Operand:
        """Return a feature map as a vector."""
        height, width, _ = x.value.shape
        readers = self._network.graph.consumers[self._index]
        nodes = self._network.nodes
        # The weights of a layer can take any order of elements.
        if (height, width) == (1, 1) or (
            readers
            and self._index not in self._network.output_indices
            and all(isinstance(nodes[i].op, WeightedLayer) and len(nodes[i].sources) == 1 for i in readers)
        ):
            return x
        return self.reshape(x, (x.value.elements,))

    def reshape(self, x: Operand, shape: Sequence[int]) -> Operand:
        """Return the same elements in another shape ``[C, H, W]``, ``[C, L]`` or ``[F]``."""
        return self._moved(functions.Reordered, x, shape)

    def swap(self, x: Operand, shape: Sequence[int]) -> Operand:
        """Return the exchange of channels and positions."""
        return self._moved(functions.Transposed, x, shape)

    def convolve(self, x: Operand, stride: Lengths, padding: Lengths, dilation: Lengths, groups: int) -> Operand:
        """Return the convolution with the weights of the layer."""
        weights, bias = self.layer.folded()
        weights = weights.reshape(*weights.shape[:2], *_pair(weights.shape[2:])).transpose(2, 3, 1, 0)
        return self._weigh(x, weights, bias, Window(_pair(stride), _pair(padding, 0), _pair(dilation), groups))

    def connect(self, x: Operand) -> Operand:
        """Return the product with the weights of a fully connected layer."""
        weights, bias = self.layer.folded()
        height, width, channels = x.value.shape
        # The weights are in the order channel, row, column, and the values in the order row, column, channel.
        weights = weights.reshape(-1, channels, height, width).transpose(2, 3, 1, 0)
        return self._weigh(x, weights, bias, Window())

    def convolve_transposed(
        self, x: Operand, stride: Lengths, padding: Lengths, output_padding: Lengths, groups: int
    ) -> Operand:
        """Return the transposed convolution: a convolution of the input with zeros between its values."""
        weights, bias = self.layer.folded()
        kernel = _pair(weights.shape[2:])
        # [inputs, outputs / groups] of each group becomes [outputs / groups, inputs / groups].
        inputs, outputs = weights.shape[:2]
        grouped = weights.reshape(groups, inputs // groups, outputs, *kernel).swapaxes(1, 2)
        flipped = grouped.reshape(groups * outputs, inputs // groups, *kernel)[..., ::-1, ::-1].transpose(2, 3, 1, 0)
        spread = self.spread(x, stride, output_padding)
        (down, right), (top, left) = kernel, _pair(padding, 0)
        pads = (down - 1 - top, right - 1 - left)
        if min(pads) < 0:
            self.refuse("crops more positions than its kernel adds")
        return self._weigh(spread, flipped, bias, Window(padding=pads, groups=groups))

    def spread(self, x: Operand, factor: Lengths, extra: Lengths = (), *, repeat: bool = False) -> Operand:
        """Return a feature map with each value repeated, or with zeros between its values and after them."""
        # Zeros between the values mean 0 only without a shift.
        x = self._settled(x, common=not repeat and bool(np.any(x.value.shift)))
        height, width, channels = x.value.shape
        (down, right), (bottom, end) = _pair(factor), _pair(extra, 0)
        size, low, high = (height * down, width * right), x.value.low, x.value.high
        if not repeat:
            size = ((height - 1) * down + 1 + bottom, (width - 1) * right + 1 + end)
            low, high = min(low, 0), max(high, 0)
        value = IntegerValue((*size, channels), low, high, x.value.factor, x.value.shift, x.value.magnitudes)
        return self._put(functions.SpreadValues(self._name, (x.step,), value, (down, right), repeat))

    def rectify(self, x: Operand, *, slope: bool = False) -> Operand:
        """Return max(x, 0), or refuse a slope of negative values."""
        if x.value.low >= 0 and not np.any(x.value.shift) and not np.any(np.asarray(x.value.factor) < 0):
            return x
        if slope:
            self.refuse("reads currents, which it would multiply by a slope; use ReLU or SN instead")
        if self._ranges is None:
            self.refuse("reads currents, whose ranges must be measured; use 'sewdsl export RUN net.c --calibrate 64'")
        x = self._settled(x, positive=True, common=True)
        value = IntegerValue(x.value.shape, max(x.value.low, 0), max(x.value.high, 0), x.value.factor)
        return self._put(functions.Elementwise(self._name, (x.step,), value, "rectify"))

    def slice(self, x: Operand, start: int, stop: int, over: Literal["channels", "places"]) -> Operand:
        """Return consecutive channels or positions."""
        x = self._settled(x)
        value, selected = x.value, slice(start, stop)
        if over == "places":
            value = replace(value, shape=(1, stop - start, value.shape[-1]))
        else:
            factor, shift = (np.asarray(v)[selected] if np.ndim(v) else v for v in (value.factor, value.shift))
            magnitudes = None if value.magnitudes is None else value.magnitudes[selected]
            value = IntegerValue((*value.shape[:2], stop - start), value.low, value.high, factor, shift, magnitudes)
        return self._put(functions.Sliced(self._name, (x.step,), value, start, over))

    def constant(self, x: Operand) -> Operand:
        """Return the learned numbers of the layer ``[features, places]``, rounded with one unit."""
        numbers = self.layer.learned["weight"].double().numpy()
        unit = float(np.abs(numbers).max()) / LIMITS["int16"][1] or 1.0
        integers = np.round(numbers.T[None] / unit).astype(np.int64)
        value = IntegerValue(integers.shape, int(integers.min()), int(integers.max()), np.float64(unit))
        return self._put(ConstantStep(self._name, (x.step,), value, integers))

    def delay(self, steps: int) -> Operand:
        """Return the value of an earlier time-step."""
        shape, largest = _shape(self.layer.node.output.shape), 2**DELAYED_BITS
        value = IntegerValue(shape, 0, self.layer.node.output.values.count or 0)
        if bound := self._bounds.get(self._index):
            # Rounding to the unit can exceed the bound by one.
            value = IntegerValue(shape, -largest - 1, largest + 1, np.float64(bound / largest))
        operand = self._put(DelayStep(self._name, (), value, steps))
        (source,) = self.layer.node.sources
        self._delays[operand.step] = source, self._index
        return operand

    def pool(
        self, operation: Literal["max", "sum"], x: Operand, kernel: Lengths, stride: Lengths, padding: Lengths
    ) -> Operand:
        """Return the maximum or the sum over windows."""
        # Zeros of the padding mean 0 only without a shift.
        is_shifted = operation == "sum" and any(padding) and bool(np.any(x.value.shift))
        x = self._settled(x, positive=operation == "max", common=is_shifted)
        if operation == "sum":
            x = self._fitted(x, prod(kernel))
        size, window = _pair(kernel), Window(_pair(stride), _pair(padding, 0))
        taps = prod(size) if operation == "sum" else 1
        shape = (*window.size(x.value.shape[:2], size), x.value.shape[-1])
        # With padding, a window can have fewer positions, down to none.
        low, high = x.value.low * taps, x.value.high * taps
        if operation == "sum" and any(padding):
            low, high = min(low, 0), max(high, 0)
        magnitudes = x.value.magnitude_by_channel * taps
        value = IntegerValue(shape, low, high, x.value.factor, np.asarray(x.value.shift) * taps, magnitudes)
        return self._put(functions.Pooled(self._name, (x.step,), value, operation, size, window))

    def pool_all(self, x: Operand) -> Operand:
        """Return the sum over all positions."""
        size = x.value.shape[:2]
        return self.pool("sum", x, size, size, (0, 0))

    def sum_channels(self, x: Operand, size: int) -> Operand:
        """Return the sum of each group of consecutive channels."""
        x = self._settled(x, common=True)
        x = self._fitted(x, size)
        height, width, channels = x.value.shape
        value = IntegerValue((height, width, channels // size), x.value.low * size, x.value.high * size, x.value.factor)
        return self._put(functions.ChannelSum(self._name, (x.step,), value, size))

    def add(self, *operands: Operand) -> Operand:
        """Return the sum, which is exact if all operands have one unit."""
        operands = tuple(self._fitted(x, len(operands)) for x in operands)
        values = [x.value for x in operands]
        factors = {float(v.factor) if not np.ndim(v.factor) else None for v in values}
        shift = sum((np.asarray(v.shift) for v in values), ZERO)
        if len(factors) > 1 or None in factors:
            return self._rescale(operands, shift)
        return self._combine("add", operands, values[0].factor, shift)

    def combine_spikes(self, operation: functions.Operation, *operands: Operand) -> Operand:
        """Return a function of spikes whose result is spikes."""
        if not all(x.value.binary and x.value.plain and float(x.value.factor) == 1 for x in operands):
            self.refuse("requires spikes; add SN to its operands")
        return self._combine(operation, operands, np.float64(1))

    def maximum(self, *operands: Operand) -> Operand:
        """Return the largest operand."""
        values = [x.value for x in operands]
        if not all(v.plain and float(v.factor) == float(values[0].factor) > 0 for v in values):
            self.refuse("compares values with different units; add SN before it")
        return self._combine("max", operands, values[0].factor)

    def multiply(self, *operands: Operand) -> Operand:
        """Return the product. Smaller operands are gates."""
        values = [x.value for x in operands]
        if not all(v.plain for v in values):
            self.refuse("multiplies currents; add SN before it")
        return self._combine("multiply", operands, np.float64(prod(float(v.factor) for v in values)))

    def concatenate(self, *operands: Operand) -> Operand:
        """Return the channels of all operands side by side."""
        operands = tuple(self._settled(x) for x in operands)
        values = [x.value for x in operands]
        shape = (*values[0].shape[:2], sum(v.shape[-1] for v in values))
        factor: Numbers = values[0].factor
        shift: Numbers = ZERO
        if not all(v.plain and float(v.factor) == float(values[0].factor) for v in values):
            factor = np.concatenate([v.by_channel(v.factor) for v in values])
            shift = np.concatenate([v.by_channel(v.shift) for v in values])
        low, high = min(v.low for v in values), max(v.high for v in values)
        magnitudes = np.concatenate([v.magnitude_by_channel for v in values])
        value = IntegerValue(shape, low, high, factor, shift, magnitudes)
        return self._put(functions.Concatenated(self._name, _indices(operands), value))

    def attend(self, heads: int, scale: float, q: Operand, k: Operand, v: Operand) -> Operand:
        """Return the attention q (kᵀ v) · scale of spikes and counts."""
        values = [q.value, k.value, v.value]
        if not all(x.plain and x.low == 0 for x in values):
            self.refuse("reads currents; add SN to its operands")
        terms = q.value.shape[-1] // heads * prod(k.value.shape[:2])
        high = terms * prod(x.high for x in values)
        self._check_sum(0, high)
        factor = np.float64(scale * prod(float(x.factor) for x in values))
        value = IntegerValue((*q.value.shape[:2], v.value.shape[-1]), 0, high, factor)
        return self._put(functions.TokenAttention(self._name, _indices((q, k, v)), value, heads))

    def fire(self, neuron: LinearNeuron, x: Operand) -> Operand:
        """Return the spikes of a linear neuron."""
        x = self._bounded(x)
        formats = self._formats
        numbers = self._dynamics(self._index)
        if numbers is None:
            if neuron.equations is None:
                self.refuse("has a decay outside 0..1, or numbers for each channel")
            return self.fire_equations(neuron.equations, neuron.surrogate, x)
        decay, gain, drift = numbers
        x = self._coarse(x, neuron.v_threshold / abs(gain or 1.0))
        factor = x.value.by_channel(x.value.factor) * gain
        shift = gain * np.asarray(x.value.shift, np.float64) + drift
        # A channel without input has a drift only.
        size = np.where(factor == 0, neuron.v_threshold / 2.0**formats.fraction_bits, np.abs(factor))
        for fraction_bits in range(formats.fraction_bits, -1, -1):
            unit = self._potential_unit(neuron.v_threshold, size, fraction_bits)
            dynamics = _dynamics(neuron, factor, shift, decay, unit)
            bound = dynamics.bound(x.value.low, x.value.high, self._network.settings.steps)
            # A drift can cancel an input that 32 bits do not hold.
            terms = max(int(np.abs(dynamics.gain).max()) * x.value.magnitude, int(np.abs(dynamics.drift.table).max()))
            if max(bound, terms) < LARGEST_POTENTIAL:
                break
        else:
            self.refuse(f"can reach a potential of {max(bound, terms):,} units, which exceeds 32 bits")
        largest = int(np.abs(dynamics.reset).max())
        if largest >= 1 << formats.state_bits - 1:
            self.refuse(f"has a reset of {largest:,} units, which exceeds 16 bits; use '--state 32'")
        value = IntegerValue(x.value.shape, 0, 1)
        return self._put(IntegerNeuron(self._name, (x.step,), value, formats.state_bits, bound, dynamics))

    def fire_equations(self, step: NeuronStep, surrogate: Surrogate, *operands: Operand) -> Operand:
        """Return the output of a neuron as equations."""
        values = factor_values(step, self.layer.learned, surrogate)
        factors = {entry.index: value.numpy() for entry, value in zip(step.factors, values, strict=True)}
        return self._compute_equations(step, factors, *operands)

    # --- parts of laws

    def _combine(
        self, operation: functions.Operation, operands: Sequence[Operand], factor: Numbers, shift: Numbers = ZERO
    ) -> Operand:
        """Return a function of the elements of operands."""
        low, high = operands[0].value.low, operands[0].value.high
        function, _ = functions.PAIRS[operation]
        for _, value in operands[1:]:
            ends = [int(function(a, b)) for a in (low, high) for b in (value.low, value.high)]
            low, high = min(ends), max(ends)
        self._check_sum(low, high)
        shape = max((x.value.shape for x in operands), key=prod)
        value = IntegerValue(shape, low, high, factor, shift)
        return self._put(functions.Elementwise(self._name, _indices(operands), value, operation))

    def _moved(self, step: type[Step], x: Operand, shape: Sequence[int]) -> Operand:
        """Return the same elements, at other places of a shape ``[C, H, W]``, ``[C, L]`` or ``[F]``."""
        x = self._settled(x, common=True)
        value = IntegerValue(_shape(shape), x.value.low, x.value.high, x.value.factor)
        return self._put(step(self._name, (x.step,), value))

    def _delayed(self, x: Operand, delay: int, value: IntegerValue) -> Operand:
        """Return currents in the unit of a delay, and note whether they exceed its bound."""
        x = self._settled(x, common=True)
        bound = abs(float(x.value.factor)) * x.value.magnitude
        if bound > self._bounds.get(delay, 0.0):
            self.exceeded[delay] = bound
        return self._rescale([x], ZERO, unit=value.by_channel(value.factor))

    def _compute_equations(
        self, step: NeuronStep, factors: Mapping[int, NDArray[np.float64]], *operands: Operand
    ) -> Operand:
        """Return the output of equations whose factors have the values ``[T or 1, C or 1]``."""
        operands = tuple(map(self._bounded, operands))
        inputs = [x.value for x in operands]
        steps = self._network.settings.steps
        for fraction_bits in range(self._formats.fraction_bits, -1, -1):
            threshold = getattr(self.layer.node.op, "v_threshold", 1.0)
            try:
                law = EquationLaw(step, factors, inputs, threshold, fraction_bits)
            except NoEquationLaw as error:
                self.refuse(str(error))
            bound, (low, high) = law.instructions.bounds([(v.low, v.high) for v in inputs], steps)
            if bound < LARGEST_POTENTIAL:
                break
        else:
            self.refuse(f"can reach a potential of {bound:,} units, which exceeds 32 bits")
        value = IntegerValue.between(inputs[0].shape, low, high, _collapsed(law.output_factor), ZERO)
        return self._put(EquationStep(self._name, _indices(operands), value, 32, bound, law.instructions))

    @property
    def _summed_steps(self) -> int:
        """Number of time-steps whose outputs are added."""
        return 1 if self._network.settings.readout == "last" else self._network.settings.steps

    @property
    def _name(self) -> str:
        return self.layer.node.name

    def _put(self, step: Step) -> Operand:
        self._steps.append(step)
        return Operand(len(self._steps) - 1, step.value)

    def _check_sum(self, low: int, high: int) -> None:
        if low < LIMITS["int32"][0] or high > LIMITS["int32"][1]:
            self.refuse(f"can compute {low:,} to {high:,}, which exceeds 32 bits")

    def _potential_unit(self, v_threshold: float, size: Numbers, fraction_bits: int) -> Numbers:
        """Return the unit of the potentials of each channel, for inputs with a unit of ``size``."""
        # Each channel has as many bits as leave room for several thresholds, so that a channel whose weights are small
        # does not limit the bits of the others.
        room = np.floor(self._formats.threshold_bits - np.log2(v_threshold / size))
        bits = np.clip(room, 0, fraction_bits)
        unit: Numbers = np.maximum(size / 2.0**bits, v_threshold / 2.0**28)
        return unit

    def _weigh(self, x: Operand, weights: NDArray[np.float64], bias: Numbers | None, window: Window) -> Operand:
        """Return a convolution with float weights ``[kernel height, kernel width, input channels, outputs]``."""
        neuron = reading_neuron(self._network, self._index)
        steps = 1 if neuron is not None else self._summed_steps
        x = self._readable(x, prod(weights.shape[:3]), steps)
        source, outputs = x.value, weights.shape[-1]
        group = np.arange(outputs) * window.groups // outputs
        input_factors = source.by_channel(source.factor).reshape(window.groups, -1)[group].T
        weights_of_shift, weights = weights, weights * input_factors
        # Channels that are compared or added need one unit.
        axes, limit = (0, 1, 2) if neuron is not None else (0, 1, 2, 3), self._formats.largest_weight
        unit: Numbers = grid_unit(torch.from_numpy(np.abs(weights)), axes, self._formats.weight_bits).numpy().ravel()
        factor: Numbers
        if neuron is None:
            biases = 0.0 if bias is None else float(np.abs(bias).max()) / 2 ** IntegerFormat().threshold_bits
            factor = np.float64(max(unit.item(), biases) or 1.0)
        else:
            # A channel whose weights are small compared with the threshold needs no finer unit.
            node = self._network.nodes[neuron]
            dynamics = self._dynamics(neuron) if isinstance(node.op, LinearNeuron) else None
            gain = abs(dynamics[1]) if dynamics else None
            threshold = getattr(node.op, "v_threshold", 1.0) / (gain or 1.0)
            # The unit of large values is small, so that coarse weights of these values would be 0. An activation
            # without a threshold has no potentials that can have 16 bits.
            is_coarse = hasattr(node.op, "v_threshold") and source.magnitude <= LIMITS["uint8"][1]
            formats = self._formats if is_coarse else IntegerFormat()
            factor = np.maximum(unit, threshold / 2**formats.threshold_bits)
        integers = np.round(weights / factor).clip(-limit, limit).astype(np.int64)
        if np.abs(weights / factor - integers).max() > ON_GRID:
            self._rounded.append(self._name)
        kernel = (weights.shape[0], weights.shape[1])
        shift: Numbers = ZERO if bias is None else bias
        if np.any(source.shift):
            # With the rounded weights, the errors of both parts of the input cancel. A nearly constant channel keeps
            # its exact weights, because the weights of its small changes can be rounded to 0.
            shifts, factors = source.by_channel(source.shift), np.abs(source.by_channel(source.factor))
            is_constant = 2 * factors * source.magnitude_by_channel <= np.abs(shifts)
            is_constant = is_constant.reshape(window.groups, -1)[group].T
            rounded = weights_of_shift.copy()
            np.divide(integers * factor, input_factors, out=rounded, where=~is_constant)
            sums = convolve(np.broadcast_to(shifts, (1, *source.shape)), rounded, window)[0]
            # Without padding, whose zeros have no shift, all positions have the same sum.
            shift = shift + (sums if any(window.padding) else sums[0, 0])
        negative, positive = np.minimum(integers, 0).sum((0, 1, 2)), np.maximum(integers, 0).sum((0, 1, 2))
        # Zeros of the padding are in the range too.
        low, high = min(source.low, 0), max(source.high, 0)
        least, most = negative * high + positive * low, positive * high + negative * low
        self._check_sum(int(least.min()), int(most.max()))
        shape = (*window.size(source.shape[:2], kernel), outputs)
        value = IntegerValue.between(shape, least, most, factor, shift)
        return self._put(Convolution(self._name, (x.step,), value, integers.astype(np.int8), window))

    def _readable(self, x: Operand, terms: int, steps: int) -> Operand:
        """Return a value of which a convolution can add up some products in some time-steps.

        Currents are rounded to 16 bits or less.
        """
        bits = min(READ_BITS, 31 - ceil(log2(terms * steps * self._formats.largest_weight)))
        factors = np.abs(x.value.by_channel(x.value.factor))
        # The unit of the weights is that of the largest factor. Small factors of large values lose these bits.
        is_even = x.value.magnitude * factors.max() <= MAX_SPREAD * (x.value.magnitude_by_channel * factors).max()
        if (x.value.magnitude < 2**bits and is_even and not x.value.has_border) or isinstance(
            self._steps[x.step], InputStep
        ):
            return x
        x = self._settled(x)
        if bits < 1:
            where, remedy = "", "reduce its inputs"
            if steps > 1:
                where, remedy = f" at each of {steps:,} time-steps", "reduce the time-steps, or use 'readout last'"
            self.refuse(f"adds {terms:,} products{where}, which exceeds 32 bits; {remedy}")
        origin, unit, limit = "proven", None, None
        if self._ranges and self._name in self._ranges:
            origin, limit = "measured", 2**bits - 1
            measured = np.abs(np.subtract(self._ranges[self._name], x.value.shift)).max(0)
            bound = np.abs(x.value.by_channel(x.value.factor)) * x.value.magnitude_by_channel
            measured = np.maximum(measured, measured.max() / 2**CHANNEL_BITS) * MARGIN
            unit = np.where(measured > 0, np.minimum(measured, bound), bound) / limit
            # The range of a constant channel can be that of rounding errors.
            unit = np.maximum(unit, np.abs(x.value.by_channel(x.value.factor)) / 2.0**FACTOR_BITS)
        self._notes.append(f"{self._name} reads currents, rounded to {bits + 1} bits of their {origin} range")
        return self._rescale([x], x.value.shift, bits, unit, limit)

    def _bounded(self, x: Operand) -> Operand:
        """Return an input of a neuron that it can add up in 32 bits."""
        steps = self._network.settings.steps
        if x.value.magnitude * steps < LARGEST_POTENTIAL // 2:
            return x
        bits = max(1, 28 - ceil(log2(steps)))
        self._notes.append(f"{self._name} reads currents, rounded to {bits + 1} bits")
        return self._rescale([x], x.value.shift, bits)

    def _coarse(self, x: Operand, threshold: float) -> Operand:
        """Return an input of a neuron in units of which potentials can hold the threshold."""
        factors = np.abs(x.value.by_channel(x.value.factor))
        largest = (1 << self._formats.state_bits - 1) - 0.5
        if not ((factors > 0) & (threshold >= largest * factors)).any():
            return x
        unit = np.maximum(factors, threshold / 2**self._formats.threshold_bits)
        return self._rescale([x], x.value.shift, unit=unit)

    def _settled(self, x: Operand, *, positive: bool = False, common: bool = False) -> Operand:
        """Return a value whose shift does not depend on the position, on request with positive factors or one unit."""
        factors = x.value.by_channel(x.value.factor)
        shift, magnitudes = np.asarray(x.value.shift), x.value.magnitude_by_channel
        differs = common and not x.value.plain
        if not x.value.has_border and not differs and not (positive and (factors < 0).any()):
            return x
        if x.value.magnitude >> SETTLED_BITS:
            return self._settled(self._rescale([x], shift, SETTLED_BITS - 1), positive=positive, common=common)
        added = shift if x.value.has_border or differs else np.zeros(1)
        added = added.reshape(1) if not added.ndim else added
        largest = np.abs(factors) * magnitudes + np.abs(added).reshape(-1, added.shape[-1]).max(0)
        # A channel whose shift is much larger than its values needs no finer unit.
        unit = np.maximum(np.abs(factors) / 2.0**self._formats.fraction_bits, largest / 2.0**CURRENT_BITS)
        unit = np.full(len(unit), largest.max() / 2.0**CURRENT_BITS) if differs else unit
        is_zero = unit == 0
        unit = np.where(is_zero, 1.0, unit)
        gain = np.round(factors / unit).astype(np.int64)
        drift = Drift.of(np.round(added / unit).astype(np.int64), len(unit))
        ends, table = np.multiply(gain, x.value.ends), drift.table.reshape(-1, len(unit))
        least, most = ends.min(0) + table.min(0), ends.max(0) + table.max(0)
        kept = ZERO if x.value.has_border or differs else shift
        unit = _collapsed(np.where(is_zero, 0.0, unit))
        value = IntegerValue.between(x.value.shape, least, most, unit, kept)
        return self._put(Settled(self._name, (x.step,), value, gain, drift))

    def _fitted(self, x: Operand, terms: int) -> Operand:
        """Return a value of which so many can be added in 32 bits."""
        if x.value.magnitude * terms <= LIMITS["int32"][1]:
            return x
        self._notes.append(f"{self._name} adds {terms:,} values, rounded to {31 - ceil(log2(terms))} bits")
        return self._rescale([x], x.value.shift, 30 - ceil(log2(terms)))

    def _rescale(
        self,
        operands: Sequence[Operand],
        shift: Numbers,
        bits: int | None = None,
        unit: NDArray[np.float64] | None = None,
        limit: int | None = None,
    ) -> Operand:
        """Return the sum in the finest unit that has a range of so many bits, with one rounding.

        Args:
            bits: Bits without the sign. The default is what a neuron can add up in 32 bits.
            unit: Unit of each channel instead.
            limit: Largest magnitude, at which values saturate.
        """
        is_fine = bits is None
        bits = min(CURRENT_BITS, 28 - ceil(log2(self._network.settings.steps))) if bits is None else bits
        values = [x.value for x in operands]
        magnitudes = [v.magnitude_by_channel for v in values]
        # The unit of a channel of zeros is 0, so that it determines no unit of weights that read it.
        factors = [np.where(m == 0, 0.0, v.by_channel(v.factor)) for v, m in zip(values, magnitudes, strict=True)]
        bound = sum((np.abs(f) * m for f, m in zip(factors, magnitudes, strict=True)), ZERO)
        finest = np.minimum.reduce([np.where(f == 0, np.inf, np.abs(f)) for f in factors])
        is_fine = is_fine and unit is None
        unit = bound / (2**bits - 1) if unit is None else unit
        if is_fine:
            unit = np.maximum(unit, finest / 2**FINER_BITS)
        unit = np.where(bound == 0, 1.0, unit)
        # A norm after the sum can be folded into the weights of a layer only if its channels have one unit.
        ratios = [f / unit for f in factors]
        largest = max(float(np.abs(ratio).max()) for ratio in ratios)
        fraction = max(0, min(15 if is_fine else FACTOR_BITS, FACTOR_BITS - floor(log2(largest + 1))))
        integers = tuple(np.round(ratio * 2.0**fraction).astype(np.int64) for ratio in ratios)
        ends = [np.multiply(f, v.ends) for f, v in zip(integers, values, strict=True)]
        half = 1 << fraction >> 1
        least = np.sum([each.min(0) for each in ends], 0) + half >> fraction
        most = np.sum([each.max(0) for each in ends], 0) + half >> fraction
        if limit is not None:
            least, most = np.maximum(least, -limit), np.minimum(most, limit)
        value = IntegerValue.between(values[0].shape, least, most, _collapsed(np.where(bound == 0, 0.0, unit)), shift)
        return self._put(functions.Rescaled(self._name, _indices(operands), value, integers, fraction, limit))

    def _dynamics(self, index: int) -> tuple[float, float, float] | None:
        """Return decay, gain and drift of a linear neuron, or None without a common law for all channels."""
        layer = self._learned[index]
        decay, gain, drift = layer.node.op.dynamics(**dict(layer.learned))  # type: ignore[attr-defined]
        is_common = all(np.size(np.asarray(number)) == 1 for number in (decay, gain, drift))
        if not is_common or not 0 <= float(decay) <= 1:
            return None
        return float(decay), float(gain), float(drift)


def _dynamics(neuron: LinearNeuron, factor: Numbers, shift: Numbers, decay: float, unit: Numbers) -> Dynamics:
    """Return the constants of a neuron with a unit of the potential for each channel."""
    channels = np.size(factor)
    return Dynamics(
        gain=np.round(factor / unit).astype(np.int64),
        drift=Drift.of(np.round(shift / unit).astype(np.int64), channels),
        threshold=np.maximum(np.round(neuron.v_threshold / unit), 1).astype(np.int64),
        reset=np.broadcast_to(np.round(neuron.rest / unit), channels).astype(np.int64),
        leak=round((1 - decay) * 2**LEAK_BITS),
        soft=neuron.v_reset is None,
    )


def _shape(shape: Sequence[int]) -> Shape:
    """Return ``[C, H, W]``, ``[C, L]`` or ``[F]`` as height, width and channels."""
    return (*_pair(shape[1:]), shape[0])


def _pair(lengths: Sequence[int], missing: int = 1) -> Pair:
    """Return lengths by height and width. Rows have no height, and vectors no lengths."""
    height, width = (missing, missing, *lengths)[-2:]
    return height, width


def _collapsed(unit: NDArray[np.float64]) -> Numbers:
    """Return one number if all channels have the same unit."""
    return unit[0] if (unit == unit[0]).all() else unit


def _indices(operands: Sequence[Operand]) -> tuple[int, ...]:
    return tuple(x.step for x in operands)
