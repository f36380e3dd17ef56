"""Memory of a network in integers, from the laws of its kinds without weights."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from functools import lru_cache, partial
from itertools import compress
from math import prod
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, cast

from sewdsl.analysis.foldable_norms import foldable_norms
from sewdsl.analysis.memory_plan import BLOCKS, WIDTHS, WORD, Format, Role, plan_memory, stored_elements
from sewdsl.equations.tape import needed
from sewdsl.ir.op import KnowsSteps, WeightedLayer

if TYPE_CHECKING:
    from sewdsl.equations.step import NeuronStep
    from sewdsl.integers.lower_equations import EquationLaw
    from sewdsl.ir.integer_law import Law
    from sewdsl.ir.network import Network

LARGEST_WEIGHT, LARGEST_INPUT = 127, 255
"""Largest values of 8 bits."""
WINDOW, NEURON, HEADS = 15 * WORD, 6 * WORD, 5 * WORD
"""Bytes of the structures ``net_window``, ``net_neuron`` and ``net_heads`` with pointers of 32 bits."""
NO_CURRENTS = {"maximum": "compares", "multiply": "multiplies", "attend": "reads"}
"""Laws of spikes and counts only."""
MOVES = {"reshape", "swap", "spread", "slice", "concatenate", "maximum"}
"""Laws whose results are values of the operands. They also move pixels, which are integers of real numbers."""


class SizedStep(NamedTuple):
    """Step with the sizes of its value, tables and states.

    Attributes:
        largest: Largest magnitude, or None for currents of 32 bits.
        tables: Largest number of bytes of the weights and constants.
        states: Number of values that are kept for the next time-step.
        linear: Whether potentials can have 16 bits.
    """

    name: str
    inputs: tuple[int, ...]
    role: Role
    elements: int
    largest: int | None
    tables: int
    states: int
    linear: bool

    @property
    def format(self) -> Format:
        if self.largest is None or self.largest >= 1 << 15:
            return "int32"
        if self.largest > LARGEST_INPUT or self.role == "sums":
            return "int16"
        return "bit" if self.largest == 1 else "uint8"

    def member(self, width: int, *, packed: bool) -> tuple[int, int]:
        """Return width and number of the states, with potentials of ``width`` bytes."""
        if self.role == "delay":
            steps = self.states // self.elements
            return WIDTHS[BLOCKS[self.format]], stored_elements(self, packed=packed, steps=steps)
        return (width if self.linear else WORD) if self.states else 1, self.states


class SizedOperand(NamedTuple):
    """Result of a step.

    Attributes:
        largest: Largest magnitude, or None for currents.
        channels: Number of channels.
        plain: Whether the integers have one factor for all channels and no shift.
        border: Numbers of rows and of columns with different shifts near the border of a convolution, and the sum of
            height and width. Without padding, the last number is 0.
        common: Whether currents have one factor for all channels and no shift.
    """

    step: int
    largest: int | None
    channels: int
    plain: bool = True
    border: tuple[int, ...] = (1, 1, 0)
    common: bool = False


class RefusedLayer(Exception):
    """Layer without a law in integers."""


class IntegerSizes:
    """Steps of a network in integers, whose sizes hold for all weights of 8 bits.

    The methods are those of :class:`sewdsl.ir.integer_law.Law`. A law that has no method here stores one value with the
    size and the range of the output of its layer.

    Attributes:
        refused: Reasons of the layers without a law, by index.
        estimated: Whether layers add or read currents, whose formats depend on the weights.
        has_equations: Whether neurons are equations, whose bounds of potentials depend on the weights.
        outputs: Largest number of bytes of the constants that are added to the outputs.
    """

    def __init__(self, network: Network) -> None:
        self._network, self.steps, self.refused = network, list[SizedStep](), dict[int, str]()
        self.estimated = self.has_equations = self._timed = False
        hosts, nodes = foldable_norms(network), network.nodes
        needed, delays = network.graph.lead_to(network.output_indices), list[tuple[int, int]]()
        operands, inputs = dict[int, SizedOperand](), zip(network.input_indices, network.settings.sources, strict=True)
        images = {index for index, source in inputs if source.encode == "direct"}
        for index, node in enumerate(nodes):
            # The input of a delay can be a later layer.
            sources = () if node.op.delay_steps else tuple(operands[i] for i in node.sources)
            # Laws may read parameters, which sizes do not depend on.
            learned = defaultdict[str, object](object)
            self.layer, self._index = SimpleNamespace(node=node, inputs=network.inputs(node), learned=learned), index
            if index < network.first_layer:
                plain = index not in images
                operands[index] = self._store(largest=LARGEST_INPUT, role="input")._replace(plain=plain)
            elif index in hosts:
                operands[index] = operands[hosts[index]]
            elif index in needed:
                try:
                    operands[index] = node.op.integers(cast("Law", self), *sources)
                except RefusedLayer as error:
                    self.refused[index] = str(error)
                    operands[index] = self._store(*sources)
                if node.op.delay_steps:
                    delays.append((operands[index].step, node.sources[0]))
        for step, source in delays:
            read = operands[source]
            if self.steps[step].largest is None:
                # Currents are rounded to the unit of the delay.
                tables, elements = self._conversion(read), nodes[source].output.elements
                read = self._store(read, role="value", largest=None, elements=elements, tables=tables)
            self.steps[step] = self.steps[step]._replace(inputs=(read.step,))
        self._outputs = list[int]()
        self.outputs = WORD * sum(nodes[i].output.elements for i in network.output_indices)
        for i in network.output_indices:
            x, self.layer = operands[i], SimpleNamespace(node=nodes[i])
            # The sums of an output layer have one unit, unless a norm is not folded into the weights.
            is_sum = self.steps[x.step].role == "sums" and x.plain and not x.border[-1]
            self.outputs += self._bounded(x) if is_sum else self._conversion(x)
            if x.border[-1] or not x.plain:
                x = self._store(x, role="value", largest=None)
            self._outputs.append(x.step)

    def state_size(self, width: int, *, packed: bool) -> int:
        """Return the bytes of a state, with potentials of ``width`` bytes."""
        members = [step.member(width, packed=packed) for step in self.steps]
        if self._timed:
            members.append((WORD, 1))
        return plan_memory(self.steps, self._outputs, packed=packed).state_size(members)

    def __getattr__(self, law: str) -> Callable[..., SizedOperand]:
        return partial(self._store, law=law)

    def _store(
        self, *arguments: Any, law: str = "", role: Role | None = None, tables: int = 0, states: int = 0, **sizes: Any
    ) -> SizedOperand:
        """Add a step, by default with the size and the range of the layer's output, and with conversions of the input.

        Args:
            role: Default: a value, whose operands get a common unit without a shift.
            sizes: ``elements`` and ``largest`` if they differ.
        """
        operands = [x for x in arguments if isinstance(x, SizedOperand)]
        if law in NO_CURRENTS and not all(x.common if x.largest is None else x.plain for x in operands):
            self.refuse(f"{NO_CURRENTS[law]} currents; write SN before it")
        output = self.layer.node.output
        largest = sizes.get("largest", output.values.largest)
        magnitudes = [x.largest for x in operands if x.largest is not None]
        if law in MOVES and len(magnitudes) == len(operands):
            largest = max(magnitudes)
        # A bit has no sign.
        largest = 2 if largest == 1 and output.values.lower else largest
        is_rounded = law == "add" and largest is None
        if role is None:
            tables += sum(self._conversion(x, is_rounded=is_rounded) for x in operands)
        inputs, elements = tuple(x.step for x in operands), sizes.get("elements", output.elements)
        name, linear = self.layer.node.name, law == "fire"
        self.steps.append(SizedStep(name, inputs, role or "value", elements, largest, tables, states, linear))
        plain = role is not None or all(x.plain for x in operands)
        result = SizedOperand(len(self.steps) - 1, largest, output.channels, plain)
        # A sum of currents keeps their shifts.
        return result._replace(border=tuple(map(max, *(x.border for x in operands)))) if is_rounded else result

    def _conversion(self, x: SizedOperand, *, is_rounded: bool = False) -> int:
        """Return a bound of the constants that change unit and shift of a value: two roundings, a gain and a drift."""
        if x.largest is not None and x.plain and not is_rounded:
            return 0
        self.estimated = True
        return WORD * 3 * x.channels + self._drift(x)

    def _drift(self, x: SizedOperand) -> int:
        """Return the bytes of the drift of a value, which can depend on the position."""
        rows, columns, places = x.border
        return WORD * rows * columns * x.channels + places * (1 if max(rows, columns) <= LARGEST_INPUT + 1 else WORD)

    def _bounded(self, x: SizedOperand) -> int:
        """Return the bytes of the factors of a current that a neuron cannot add up in 32 bits."""
        largest = self.steps[x.step].largest
        fits = largest is not None and largest * self._network.settings.steps < 1 << 29
        return 0 if fits else WORD * x.channels

    # --- laws that store no value, or another one

    def refuse(self, reason: str) -> NoReturn:
        raise RefusedLayer(reason)

    def scale(self, x: SizedOperand, *_numbers: Any) -> SizedOperand:
        return x._replace(plain=x.plain and not self._network.parameters(self.layer.node))

    def normalise(self, x: SizedOperand, _step_weight: Any = None) -> SizedOperand:
        """Return the output of a norm, which computes only if its numbers depend on the time-step."""
        node = self.layer.node
        if not isinstance(node.op, KnowsSteps):
            return x._replace(plain=False)
        self._timed = True
        # Its results are rounded before a neuron adds them up.
        self.estimated = True
        # Factors of the input, shifts, and factors of the drift of the input.
        row = self._network.settings.steps * WORD * node.output.channels
        tables = 2 * row + self._bounded(x) + (row + self._drift(x) if x.largest is None or not x.plain else 0)
        return self._store(x, role="neuron", largest=None, tables=tables)._replace(plain=False)

    def rectify(self, x: SizedOperand, *, slope: bool = False) -> SizedOperand:
        if x.largest is None and slope:
            self.refuse("reads currents, which it would multiply by a slope; use ReLU or SN instead")
        if x.largest is not None and x.plain:
            return x
        return self._store(self._store(x, largest=None), role="value", largest=None)

    def flatten(self, x: SizedOperand) -> SizedOperand:
        """Return a feature map as a vector, whose order only matters if its readers have no weights."""
        network, readers = self._network, self._network.graph.consumers[self._index]
        free = readers and self._index not in network.output_indices
        if free and all(isinstance(network.nodes[i].op, WeightedLayer) for i in readers):
            return x
        return x if prod(self.layer.inputs[0].shape[1:]) == 1 else self.reshape(x)

    def constant(self, x: SizedOperand) -> SizedOperand:
        """Return constants of 16 bits, which need flash only."""
        elements = self.layer.node.output.elements
        return self._store(x, role="input", tables=2 * elements, largest=None)

    def delay(self, steps: int) -> SizedOperand:
        delayed = self._store(role="delay", states=steps * self.layer.node.output.elements)
        return delayed._replace(common=True)

    def reshape(self, x: SizedOperand, *_: Any) -> SizedOperand:
        """Return values at other places, for which currents get one unit."""
        x = x if x.largest is not None and x.plain else self._settled(x)
        return self._store(x, law="reshape", role="value")

    swap = reshape

    def _settled(self, x: SizedOperand) -> SizedOperand:
        return self._store(x, elements=prod(self.layer.inputs[0].shape), largest=None)

    def pool(
        self,
        operation: str,
        x: SizedOperand,
        kernel: tuple[int, ...],
        _stride: tuple[int, ...] = (),
        padding: tuple[int, ...] = (),
    ) -> SizedOperand:
        is_padded = operation == "sum" and any(padding) and (x.largest is None or not x.plain)
        if x.border[-1] or is_padded:
            # A drift that depends on the position, or the shift of values between zeros, is added before.
            x = self._settled(x)
        taps = prod(kernel) if operation == "sum" else 1
        return self._store(x, largest=None if x.largest is None else taps * x.largest, tables=WINDOW)

    def pool_all(self, x: SizedOperand) -> SizedOperand:
        return self.pool("sum", x, self.layer.inputs[0].shape[1:])

    def sum_channels(self, x: SizedOperand, size: int) -> SizedOperand:
        return self._store(x, largest=None if x.largest is None else size * x.largest)._replace(common=True)

    def convolve(self, x: SizedOperand, stride: tuple[int, ...], padding: tuple[int, ...], *_: Any) -> SizedOperand:
        sums, lengths = self.connect(x), self.layer.node.output.shape[1:]
        if (x.plain and x.largest is not None) or not any(padding):
            return sums
        # Zeros of the padding do not represent 0: the drift depends on the position near the border.
        classes = (min(n, 2 * -(-p // s) + 1) for n, p, s in zip(lengths, padding, stride, strict=True))
        # A row has the height 1.
        rows, columns = (1, *classes)[-2:]
        return sums._replace(border=(rows, columns, sum((1, *lengths)[-2:])))

    def connect(self, x: SizedOperand) -> SizedOperand:
        """Return weighted sums. Currents are rounded to 16 bits before."""
        op, signals, tables = cast("Any", self.layer.node.op), self.layer.inputs, WINDOW
        if x.largest is None:
            self.estimated = True
            tables += WORD * x.channels if not x.border[-1] else self._conversion(x)
            x = self._store(x, role="value", elements=signals[0].elements, largest=LARGEST_WEIGHT << 8)
        weights = prod(op.weight_shape(*signals))
        largest = weights // self.layer.node.output.channels * LARGEST_WEIGHT * cast("int", x.largest)
        # Sums are currents for their readers, whose channels have different units.
        return self._store(x, role="sums", tables=tables + weights, largest=largest)._replace(largest=None)

    def convolve_transposed(
        self, x: SizedOperand, stride: tuple[int, ...], _: tuple[int, ...], extra: tuple[int, ...], *__: Any
    ) -> SizedOperand:
        """Return weighted sums over the input with zeros between its values, and ``extra`` zeros after them."""
        channels, *lengths = self.layer.inputs[0].shape
        spread = channels * prod((n - 1) * s + 1 + m for n, s, m in zip(lengths, stride, extra, strict=True))
        return self.connect(self._store(x, elements=spread, largest=x.largest))

    def attend(self, *arguments: Any) -> SizedOperand:
        return self._store(*arguments, law="attend", tables=HEADS)

    def fire(self, neuron: Any, x: SizedOperand) -> SizedOperand:
        """Return spikes, with a gain, a threshold, a drift and perhaps a reset for each channel."""
        output = self.layer.node.output
        constants = (3 if neuron.rest else 2) * WORD * output.channels + self._drift(x) + self._bounded(x) + NEURON
        return self._store(x, law="fire", role="neuron", tables=constants, states=output.elements)

    def fire_equations(self, step: NeuronStep, _surrogate: Any, *operands: SizedOperand) -> SizedOperand:
        """Return the output of equations, with constants of each channel and drifts of the operands."""
        # numpy takes 0.1 s to import, and most networks have no equations.
        from sewdsl.integers.lower_equations import NoEquationLaw  # noqa: PLC0415

        node, steps = self.layer.node, self._network.settings.steps
        drifting = tuple(not x.plain or x.largest is None for x in operands)
        try:
            law = _lower_without_weights(step, getattr(node.op, "v_threshold", 1.0), drifting)
        except NoEquationLaw as error:
            self.refuse(str(error))
        self.has_equations |= bool(step.states)
        rows = sum(steps if table.ndim > 1 else 1 for table in law.instructions.tables)
        constants = rows * WORD * node.output.channels + sum(map(self._drift, compress(operands, drifting)))
        constants += sum(map(self._bounded, operands))
        self._timed |= isinstance(self.layer.node.op, KnowsSteps)
        return self._store(*operands, role="neuron", tables=constants, states=node.output.elements * len(step.states))


GAINS = (0.6180339887, 1e-9)
"""Factors of the inputs of two channels: one beyond and one below the size that limits the unit of potentials."""


@lru_cache(maxsize=64)
def _lower_without_weights(step: NeuronStep, threshold: float, drifting: tuple[bool, ...]) -> EquationLaw:
    """Return equations in integers with as many constants as any weights require, or raise NoEquationLaw.

    Args:
        threshold: Size of the potentials that matter.
        drifting: Whether each input has a gain and a drift per channel.
    """
    import numpy as np  # noqa: PLC0415

    from sewdsl.integers.lower_equations import EquationLaw  # noqa: PLC0415
    from sewdsl.integers.value import ZERO, IntegerValue  # noqa: PLC0415

    gains = np.array(GAINS)
    scales = ((gains, gains) if drifts else (gains[0], ZERO) for drifts in drifting)
    inputs = [IntegerValue((1, 1, 2), 0, 1, *scale) for scale in scales]
    # Factors of two channels and time-steps in general position, so that no constant is saved.
    random, factors = np.random.default_rng(0), {}
    for entry in step.factors:
        learned = [step.learned[leaf.leaf] for leaf in needed([entry]) if leaf.operation == "learned"]
        shape = 1 + any(each.per_step for each in learned), 1 + any(each.per_channel for each in learned)
        factors[entry.index] = random.uniform(0.5, 1, shape)
    return EquationLaw(step, factors, inputs, threshold)
