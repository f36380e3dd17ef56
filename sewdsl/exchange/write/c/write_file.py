"""C99 file of an integer network: tables, kernels, and a function for each time-step that reads like the network."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from sewdsl.analysis.memory_plan import WORD, stored_elements
from sewdsl.exchange.write.c.kernels import Kernels, fill_template, read_template
from sewdsl.integers.network import IntegerNetwork
from sewdsl.integers.steps import functions
from sewdsl.integers.steps.equations import INSTRUCTIONS, EquationStep
from sewdsl.integers.steps.neuron import Drift, FiringStep, IntegerNeuron, Settled
from sewdsl.integers.steps.step import ConstantStep, DelayStep, InputStep, Step
from sewdsl.integers.steps.weighted import Convolution, Pair, Window
from sewdsl.integers.value import LIMITS, Integers, IntegerValue, Shape
from sewdsl.light_dataclass import dataclass

if TYPE_CHECKING:
    from numpy.typing import NDArray

NUMBERS_PER_LINE = 24
TYPES = {"bytes": "uint8_t", "halves": "int16_t", "words": "int32_t"}
BYTES = {"int8_t": 1, "uint8_t": 1, "int16_t": 2, "int32_t": 4}
MAX_INDEX = 2**16
"""Largest number of inputs in a row whose indices have 16 bits."""
MIN_OUTPUTS = 8
"""Smallest number of outputs for which a convolution reads lists of events."""
MAX_COPIES = 3
"""Largest count that is listed as often as it counts. Larger counts are multiplied by the weights."""
MAX_LANES = 32
"""Largest number of sums in a vector."""
MIN_EVENTS = 32
"""Smallest number of events whose sums of 16 bits are added to sums of 32 bits."""
SKIP = "if (!(($1) & 7) && !values[($1) >> 3]) { c += 7; continue; }"
"""Skip eight channels without spikes, whose bits are a byte."""


@dataclass(frozen=True)
class SampleVectors:
    """Inputs of test samples and the outputs of the reference.

    Attributes:
        inputs: ``[samples, integers]``, one input after another.
        outputs: ``[samples, outputs]``.
    """

    inputs: Integers
    outputs: Integers


class CFile(NamedTuple):
    """Generated file.

    Attributes:
        source: C99 file, which needs no other file.
        header: Interface of the file.
        flash: Bytes of all constants, with pointers of 32 bits. The code is not included.
        ram: Bytes of a state.
        potentials: Bytes of its membrane potentials and delayed values.
    """

    source: str
    header: str
    flash: int
    ram: int
    potentials: int

    @property
    def values(self) -> int:
        """Bytes of the values within a time-step, and of the padding of the state."""
        return self.ram - self.potentials


def write_c(network: IntegerNetwork, comment: str = "", vectors: SampleVectors | None = None) -> CFile:
    """Return the C file of an integer network.

    Args:
        comment: First comment of the file.
        vectors: Samples for ``main``, which ``-DNET_MAIN`` compiles.
    """
    return _File(network).finished(comment, vectors)


class _Sums(NamedTuple):
    """Computation of the sums of a convolution at a position.

    Attributes:
        call: Call of the kernel.
        events: Declaration of lists of events, or empty.
        listing: Statement that lists the events of a row.
    """

    call: str
    events: str = ""
    listing: str = ""


class _File:
    """C file under construction."""

    def __init__(self, network: IntegerNetwork) -> None:
        self._network, self._plan = network, network.memory
        self._kernels = Kernels()
        self._tables: list[str] = []
        self._flash = 0
        self._functions: list[str] = []
        self._firing: list[tuple[int, FiringStep]] = []
        self._body: list[str] = []
        self._names = _identifiers(network.steps)
        writers: dict[type[Step], Callable[[int, Any], None]] = {
            Convolution: self._convolution,
            IntegerNeuron: self._neuron,
            EquationStep: self._equations,
            Settled: self._settled,
            functions.Elementwise: self._elementwise,
            functions.Rescaled: self._rescaled,
            functions.Concatenated: self._concatenated,
            functions.Pooled: self._pooled,
            functions.ChannelSum: self._channel_sum,
            functions.TokenAttention: self._head_product,
            functions.SpreadValues: self._spread,
            functions.Reordered: self._reordered,
            functions.Sliced: self._sliced,
            functions.Transposed: self._transposed,
        }
        for index, step in enumerate(network.steps):
            if isinstance(step, ConstantStep):
                self._table("constant", index, step.numbers, self._type(index))
            if index in self._plan.values:
                self._body += ["", f"/* {self._title(step)} */"]
                start = len(self._body)
                writers[type(step)](index, step)
                if index in self._plan.hoisted:
                    lines = (f"    {line}" for line in self._body[start:])
                    self._body[start:] = ["if (!state->started) {", *lines, "}"]
                seen = "NET_SEEN_BITS" if self._is_packed(index) else "NET_SEEN"
                self._body.append(f"{seen}({index}, {self._array(index)}, {step.value.elements});")
                if isinstance(step, FiringStep) and step.states:
                    count = step.value.elements * step.states
                    self._body.append(f"NET_SEEN({index} + NET_STEPS, state->{self._names[index]}, {count});")

    # --- names and tables

    def _title(self, step: Step) -> str:
        """Return the layers of a step and its shapes."""
        source = self._plan.owners[step.inputs[0]]
        first = self._network.steps[source]
        names = [step.name]
        if source in self._plan.inlined:
            names.insert(0, first.name)
            first = self._network.steps[first.inputs[0]]
        return f"{', '.join(names)}: {_size(first.value.shape)} to {_size(step.value.shape)}"

    def _type(self, index: int) -> str:
        owner = self._plan.owners[index]
        step = self._network.steps[owner]
        if owner in self._plan.values and step.format == "int16":
            return TYPES[self._plan.values[owner].block]
        return "uint8_t" if step.format == "bit" else f"{step.format}_t"

    def _is_packed(self, index: int) -> bool:
        """Return whether a value is stored as bits."""
        owner = self._network.steps[self._plan.owners[index]]
        return self._plan.packed and owner.format == "bit" and owner.role != "input"

    def _reading(self, index: int) -> str:
        """Return the macro with which kernels read an element."""
        return "NET_BIT($1, $2)" if self._is_packed(index) else "$1[$2]"

    def _kind(self, index: int) -> str:
        """Return the format of a value in the names of kernels."""
        return "bits" if self._is_packed(index) else _short(self._type(index))

    def _read(self, index: int, element: str) -> str:
        """Return the expression of an element of a value."""
        array = self._array(index)
        return f"NET_BIT({array}, {element})" if self._is_packed(index) else f"{array}[{element}]"

    def _write(self, index: int, element: str, expression: str) -> str:
        """Return the statement that sets an element of a value."""
        if self._is_packed(index):
            return f"NET_SET_BIT({self._array(index)}, {element}, {expression});"
        return f"{self._array(index)}[{element}] = ({self._type(index)})({expression});"

    def _array(self, index: int) -> str:
        """Return the array of a value."""
        owner = self._plan.owners[index]
        if isinstance(self._network.steps[owner], DelayStep):
            return f"state->{self._names[owner]}"
        if isinstance(self._network.steps[owner], ConstantStep):
            return f"constant_{self._names[owner]}"
        if isinstance(self._network.steps[owner], InputStep):
            return "in" if len(self._network.inputs) == 1 else f"in_{self._names[owner]}"
        return f"v_{self._names[owner]}"

    def _table(self, kind: str, index: int, numbers: NDArray[np.integer], number_type: str = "int32_t") -> str:
        """Add a constant array, and return its name."""
        name = f"{kind}_{self._names[index]}"
        body = ",\n    ".join(_lines(numbers))
        self._tables.append(f"static const {number_type} {name}[{np.size(numbers)}] = {{\n    {body}\n}};")
        self._flash += np.size(numbers) * BYTES[number_type]
        return name

    def _structure(self, kind: str, index: int, *members: object) -> str:
        """Add a constant ``net_…`` of ``types.h``, and return its name."""
        name = f"{kind}_{self._names[index]}"
        self._tables.append(f"static const net_{kind} {name} = {{{', '.join(map(str, members))}}};")
        # Pointers of microcontrollers have 32 bits.
        self._flash += len(members) * WORD
        return name

    def _window(self, index: int, source: int, kernel: Pair, window: Window) -> str:
        lengths = (*self._shape(source), *self._shape(index), *kernel)
        pairs = (*window.stride, *window.padding, *window.dilation)
        return self._structure("window", index, *lengths, *pairs, window.groups)

    def _shape(self, index: int) -> Shape:
        return self._network.steps[index].value.shape

    def _loop(self, shape: Shape, lines: Iterable[str], sums: Iterable[_Sums] = ()) -> None:
        """Add a loop over the positions of a value, with the lists of events of convolutions."""
        height, width, _ = shape
        positions = [f"for (int32_t x = 0; x < {width}; x++) {{", *(f"    {line}" for line in lines), "}"]
        rows = f"for (int32_t y = 0; y < {height}; y++)"
        listed = [each for each in sums if each.events]
        if not listed:
            self._body += [rows, *(f"    {line}" for line in positions)]
            return
        self._body += ["{", *(f"    {each.events}" for each in listed), f"    {rows} {{"]
        self._body += [*(f"        {line}" for line in (*(each.listing for each in listed), *positions)), "    }", "}"]

    # --- steps

    def _sums(self, index: int, step: Convolution, target: str) -> _Sums:
        """Return the computation of the sums of a convolution at a position."""
        (source,) = step.inputs
        value = self._network.steps[source].value
        read, written = self._type(source), self._type(index)
        # Sums of 16 bits can have the range of spikes too.
        is_binary = value.binary and read == "uint8_t"
        macros = {"IN": read, "SUM": written, "PRODUCT": "$2" if is_binary else "$1 * $2"}
        macros |= {"READ": self._reading(source), "SKIP": SKIP if self._is_packed(source) else ""}
        kind = self._kind(source) if self._is_packed(source) or not is_binary else "spikes"
        suffix = f"{kind}_{_short(written)}"
        is_listed = read == "uint8_t" and self._reads_events(step, value)
        kernel = self._kernels.use("conv_at", suffix, **macros)
        self._kernels.is_replaced[kernel] = self._kernels.is_replaced.get(kernel, True) and is_listed
        weights = self._table("weights", index, step.weights, "int8_t")
        window = self._window(index, source, step.weights.shape[:2], step.window)
        # Sums have at least 16 bits, also if their range needs fewer.
        if not is_listed:
            return _Sums(f"{kernel}({target}, {self._array(source)}, {weights}, y, x, &{window});")
        # A list of values that are always 0 has room for one, because C arrays are not empty.
        copies = max(value.high, 1) if value.high <= MAX_COPIES else 1
        # Sums of 16 bits hold this many of the largest terms.
        largest = int(np.abs(step.weights.astype(np.int16)).max(initial=1)) * (max(value.high, 1) if copies == 1 else 1)
        room = LIMITS["int16"][1] // largest
        is_flushed = written == "int32_t" and room >= MIN_EVENTS
        bits = 16 if is_flushed or written == "int16_t" else 32
        is_narrow, is_multiplied = step.value.shape[-1] < MAX_LANES, value.high > copies
        macros = {
            "WIDEN": f"NET_{'FEW' if is_narrow else 'MANY'}_{bits}($1)",
            "SUM": written,
            "LANES": "8" if is_narrow else f"NET_LANES_{bits}",
            "LANE": f"int{bits}_t",
            "COUNT": f"(int{bits}_t)values[*event]" if is_multiplied else "1",
            "PRODUCTS": str(int(is_multiplied)),
            "PAUSE": "stop - event > room ? event + room : stop" if is_flushed else "stop",
            "FLUSHED": str(int(is_flushed)),
            "ADD": "+=" if is_flushed else "=",
            "WIDE": str(int(not is_narrow)),
        }
        words = {"listed": copies > 1, "flushed": is_flushed, "narrow": is_narrow}
        suffix = "_".join([suffix, *(word for word, on in words.items() if on)])
        listing = self._kernels.use(
            "list_events", self._kind(source), fallback="", READ=self._reading(source), BYTES=str(int(kind != "bits"))
        )
        kernel = self._kernels.use("conv_events", suffix, fallback=kernel, **macros)
        rows = 1 << ((step.weights.shape[0] - 1) * step.window.dilation[0]).bit_length()
        (_, width, channels), events = value.shape, f"events_{self._names[index]}"
        numbers = ", ".join(map(str, (rows, width * channels, width, copies, room)))
        return _Sums(
            f"{kernel}({target}, {events}, {weights}, y, x, &{window});",
            f"NET_EVENTS({events}, {self._array(source)}, {numbers});",
            f"NET_LIST({listing}, {events}, y, &{window});",
        )

    @staticmethod
    def _reads_events(step: Convolution, value: IntegerValue) -> bool:
        """Return whether a convolution can read lists of events, in C with vectors."""
        window, (_, width, channels) = step.window, value.shape
        return (
            window.groups == window.dilation[1] == 1
            and window.padding[1] < step.weights.shape[1]
            and width * channels <= MAX_INDEX
            and step.value.shape[-1] >= MIN_OUTPUTS
        )

    def _convolution(self, index: int, step: Convolution) -> None:
        """Add a loop that stores the sums of each position.

        Sums that only a neuron reads are computed in the loop of the neuron instead.
        """
        _, width, channels = step.value.shape
        sums = self._sums(index, step, f"{self._array(index)} + (y * {width} + x) * {channels}")
        self._loop(step.value.shape, [sums.call], [sums])

    def _neuron(self, index: int, step: IntegerNeuron) -> None:
        source, dynamics = self._plan.owners[step.inputs[0]], step.dynamics
        low, high = LIMITS["int16"]
        gains, resets = not _uniform(dynamics.gain), bool(dynamics.reset.any())
        macros = {
            "IN": self._type(source),
            "STATE": f"int{step.bits}_t",
            # The high bits of U and the others are multiplied separately, so that the products have 32 bits.
            "LEAK": "u -= (u >> 15) * neuron->leak + (((u & 32767) * neuron->leak + (1 << 14)) >> 15);"
            if dynamics.leak
            else "",
            "GAIN": "neuron->gains[c]" if gains else "neuron->gain",
            "LIMIT": f"u = u < {low} ? {low} : u > {high} ? {high} : u;" if step.saturates else "",
            "RESET": "u - neuron->thresholds[c]" if dynamics.soft else "neuron->resets[c]" if resets else "0",
        }
        words = {"leaky": bool(dynamics.leak), "gains": gains, "saturating": step.saturates}
        words |= {"soft": dynamics.soft, "resets": resets and not dynamics.soft}
        suffix = "_".join([_short(self._type(source)), str(step.bits), *(word for word, on in words.items() if on)])
        kernel = self._kernels.use("fire", suffix, **macros)
        tables = [
            self._table("gains", index, dynamics.gain) if gains else "0",
            self._table("thresholds", index, dynamics.threshold),
            self._table("resets", index, dynamics.reset) if resets else "0",
        ]
        neuron = self._structure("neuron", index, *tables, dynamics.gain[0], dynamics.leak, step.value.shape[-1])
        self._fire(index, step, {"": dynamics.drift}, f"{kernel}({{}}, &{neuron});")

    def _equations(self, index: int, step: EquationStep) -> None:
        """Add a function for a position, and its calls."""
        instructions, name = step.instructions, self._names[index]
        channels, elements = step.value.shape[-1], step.value.elements
        lines = []
        for number, line in enumerate(instructions.lines):
            constants = []
            for k, values in enumerate(line.constants):
                place = f"t * {channels} + c" if values.ndim > 1 else "c"
                is_one = values.ndim == 1 and _uniform(values)
                table = "" if is_one else self._table(f"constants{number}_{k}", index, values)
                constants.append(str(values[0]) if is_one else f"{table}[{place}]")
            expression = INSTRUCTIONS[line.operation].c(line.operands, constants, line.shift)
            lines.append(f"const int32_t {line.target} = {expression};")
        read = {operand for line in instructions.lines for operand in line.operands}
        read |= {instructions.output, *instructions.after}
        numbers = ["", *map(str, range(1, len(step.inputs)))]
        leaves = {f"x{n}": f"in{n}[c]" for n in numbers} | {f"b{n}": f"drift{n}[c]" for n in numbers}
        leaves |= {f"v{i}": f"states[{i * elements} + c]" for i in range(step.states)}
        stores = [f"out[c] = ({self._type(index)}){instructions.output};"]
        stores += [f"states[{i * elements} + c] = {after};" for i, after in enumerate(instructions.after)]
        arguments = ["int32_t *restrict states"] if step.states else []
        arguments += [f"{self._type(index)} *restrict out"]
        arguments += [f"const {self._type(i)} *restrict in{n}" for n, i in zip(numbers, step.inputs, strict=True)]
        # Inputs without a shift have no drift.
        arguments += [f"const int32_t *restrict drift{n}" for n in numbers if f"b{n}" in read]
        arguments += ["int32_t t"] * instructions.timed
        unused = "".join(f"    (void)in{n};\n" for n in numbers if f"x{n}" not in read)
        self._functions.append(
            f"/* One time-step of the equations of {step.name} at a position. */\n"
            f"static void step_{name}({', '.join(arguments)}) {{\n{unused}"
            f"    for (int32_t c = 0; c < {channels}; c++) {{\n"
            + _indented(f"    const int32_t {leaf} = {place};" for leaf, place in leaves.items() if leaf in read)
            + f"\n{_indented(f'    {line}' for line in lines + stores)}\n    }}\n}}"
        )
        drifts = {n: drift for n, drift in zip(numbers, instructions.drifts, strict=True) if f"b{n}" in read}
        self._fire(index, step, drifts, f"step_{name}({{}}{', state->t' * instructions.timed});")

    def _fire(self, index: int, step: FiringStep, drifts: Mapping[str, Drift], call: str) -> None:
        """Add the loop over the positions of a neuron layer.

        Args:
            drifts: Drifts of inputs by the suffix of their tables.
            call: Call of a kernel, with a place for the states, the output, the inputs and the drifts.
        """
        _, width, channels = step.value.shape
        position, lines, sums = f"(y * {width} + x) * {channels}", [], []
        arrays = [f"state->{self._names[index]} + {position}"] if step.states else []
        arrays.append(f"{self._array(index)} + {position}")
        after = []
        if self._is_packed(index):
            lines.append(f"uint8_t out[{channels}];")
            arrays[-1] = "out"
            after = self._copied(channels, self._write(index, f"{position} + c", "out[c]"))
        for source in (self._plan.owners[i] for i in step.inputs):
            convolution = self._network.steps[source]
            if source in self._plan.inlined and isinstance(convolution, Convolution):
                array = f"sums_{self._names[source]}" if len(step.inputs) > 1 else "sums"
                sums.append(self._sums(source, convolution, array))
                lines += [f"{self._type(source)} {array}[{channels}];", sums[-1].call]
                arrays.append(array)
            elif self._is_packed(source):
                array = f"in_{self._names[source]}"
                lines.append(f"uint8_t {array}[{channels}];")
                lines += self._copied(channels, f"{array}[c] = {self._read(source, f'{position} + c')};")
                arrays.append(array)
            else:
                arrays.append(f"{self._array(source)} + {position}")
        arrays += [self._drift(index, drift, number) for number, drift in drifts.items()]
        self._firing.append((index, step))
        self._loop(step.value.shape, [*lines, call.format(", ".join(arrays)), *after], sums)

    @staticmethod
    def _copied(channels: int, statement: str) -> list[str]:
        """Return a loop over the channels ``c``."""
        return [f"for (int32_t c = 0; c < {channels}; c++)", f"    {statement}"]

    def _drift(self, index: int, drift: Drift, number: str = "") -> str:
        """Return the drift of the channels at a position."""
        table = self._table(f"drift{number}", index, drift.table)
        if not drift.rows:
            return table
        shape = drift.table.shape
        number_type = "uint8_t" if max(shape[:2]) <= LIMITS["uint8"][1] + 1 else "int32_t"
        rows = self._table(f"rows{number}", index, np.array(drift.rows), number_type)
        columns = self._table(f"columns{number}", index, np.array(drift.columns), number_type)
        return f"{table} + ({rows}[y] * {shape[1]} + {columns}[x]) * {shape[2]}"

    def _settled(self, index: int, step: Settled) -> None:
        """Add a loop that computes the shift of each element."""
        _, width, channels = step.value.shape
        element = f"(y * {width} + x) * {channels} + c"
        gain = str(step.gain[0]) if _uniform(step.gain) else f"{self._table('gains', index, step.gain)}[c]"
        value = f"{self._read(step.inputs[0], element)} * {gain} + ({self._drift(index, step.drift)})[c]"
        self._loop(step.value.shape, self._copied(channels, self._write(index, element, value)))

    def _each(self, index: int, expression: str) -> None:
        """Add a loop over the elements ``i`` of a value."""
        step = self._network.steps[index]
        self._body.append(f"for (int32_t i = 0; i < {step.value.elements}; i++) {self._write(index, 'i', expression)}")

    def _elementwise(self, index: int, step: functions.Elementwise) -> None:
        first, *others = (self._read(i, _element(self._shape(i), step.value.shape)) for i in step.inputs)
        if step.operation == "rectify":
            first = f"{first} > 0 ? {first} : 0"
        for other in others:
            first = f"({functions.PAIRS[step.operation][1].format(first, other)})"
        self._each(index, first)

    def _rescaled(self, index: int, step: functions.Rescaled) -> None:
        channels = step.value.shape[-1]
        terms = []
        for position, (source, factors) in enumerate(zip(step.inputs, step.factors, strict=True)):
            table = self._table(f"factors{position or ''}", index, factors)
            terms.append(f"(int64_t){self._read(source, 'i')} * {table}[i % {channels}]")
        rounded = f"({' + '.join(terms)} + {1 << step.shift >> 1}) >> {step.shift}"
        if step.limit is not None:
            rounded = f"{self._kernels.use('limited', 'int32')}({rounded}, {step.limit})"
        self._each(index, rounded)

    def _concatenated(self, index: int, step: functions.Concatenated) -> None:
        height, width, channels = step.value.shape
        start = 0
        for source in step.inputs:
            count = self._shape(source)[-1]
            moved = self._write(index, f"p * {channels} + {start} + c", self._read(source, f"p * {count} + c"))
            lines = self._copied(count, moved)
            self._body += [f"for (int32_t p = 0; p < {height * width}; p++)", *(f"    {line}" for line in lines)]
            start += count

    def _pooled(self, index: int, step: functions.Pooled) -> None:
        (source,) = step.inputs
        macros = {"IN": self._type(source), "OUT": self._type(index)}
        if step.operation == "max":
            macros["LEAST"] = str(LIMITS[step.format][0]) if step.format != "int32" else "INT32_MIN"
        macros |= {"READ": self._reading(source), "RESULT": self._reading(index)}
        macros["WRITE"] = "NET_SET_BIT($1, $2, $3)" if self._is_packed(index) else f"$1[$2] = ({macros['OUT']})$3"
        suffix = f"{self._kind(source)}_{self._kind(index)}"
        kernel = self._kernels.use(f"pool_{step.operation}", suffix, **macros)
        window = self._window(index, source, step.kernel, step.window)
        self._body.append(f"{kernel}({self._array(index)}, {self._array(source)}, &{window});")

    def _channel_sum(self, index: int, step: functions.ChannelSum) -> None:
        element = self._read(step.inputs[0], f"i * {step.size} + c")
        self._body += [
            f"for (int32_t i = 0; i < {step.value.elements}; i++) {{",
            "    int32_t sum = 0;",
            f"    for (int32_t c = 0; c < {step.size}; c++) sum += {element};",
            f"    {self._write(index, 'i', 'sum')}",
            "}",
        ]

    def _spread(self, index: int, step: functions.SpreadValues) -> None:
        (source,), (_, width, channels) = step.inputs, step.value.shape
        columns = self._shape(source)[1]
        down, right = step.factor
        # The output padding is less than the stride, so no position is beyond the space of the last value.
        inside = "" if step.repeat else f"y % {down} || x % {right} ? 0 : "
        element = self._read(source, f"(y / {down} * {columns} + x / {right}) * {channels} + c")
        spread = self._write(index, f"(y * {width} + x) * {channels} + c", f"{inside}{element}")
        self._loop(step.value.shape, self._copied(channels, spread))

    def _reordered(self, index: int, step: functions.Reordered) -> None:
        height, width, channels = step.value.shape
        rows, columns, depth = self._shape(step.inputs[0])
        # The position in the order channel, row, column is common to both shapes.
        place = f"(i % {channels} * {height * width} + i / {channels})"
        element = f"{place} % {rows * columns} * {depth} + {place} / {rows * columns}"
        self._each(index, self._read(step.inputs[0], element))

    def _sliced(self, index: int, step: functions.Sliced) -> None:
        """Add a loop over the elements of the output."""
        channels = step.value.shape[-1]
        depth = self._shape(step.inputs[0])[-1]
        start = step.start * (1 if step.over == "channels" else depth)
        element = f"i / {channels} * {depth} + {start} + i % {channels}"
        self._each(index, self._read(step.inputs[0], element))

    def _transposed(self, index: int, step: functions.Transposed) -> None:
        """Add a loop over the elements of the output, whose channels are the positions of the input."""
        positions = step.value.shape[-1]
        channels = self._shape(step.inputs[0])[-1]
        self._each(index, self._read(step.inputs[0], f"i % {positions} * {channels} + i / {positions}"))

    def _head_product(self, index: int, step: functions.TokenAttention) -> None:
        (height, width, channels), (rows, columns, _), (*_, values) = map(self._shape, step.inputs)
        keys, outputs = channels // step.heads, values // step.heads
        types = [self._type(i) for i in (*step.inputs, index)]
        products = keys * outputs
        suffix = "_".join(map(self._kind, (*step.inputs, index))) + f"_{products}"
        macros = dict(zip(("Q", "K", "V", "OUT"), types, strict=True))
        macros |= dict(zip(("READ_Q", "READ_K", "READ_V"), map(self._reading, step.inputs), strict=True))
        kernel = self._kernels.use("attend", suffix, **macros, PRODUCTS=str(products))
        heads = self._structure("heads", index, step.heads, height * width, rows * columns, keys, outputs)
        arrays = ", ".join(self._array(i) for i in (index, *step.inputs))
        self._body.append(f"{kernel}({arrays}, &{heads});")

    # --- the file

    def finished(self, comment: str, vectors: SampleVectors | None) -> CFile:
        """Return the whole file."""
        network, plan = self._network, self._plan
        inputs = {self._array(i): step for i, step in enumerate(network.steps) if isinstance(step, InputStep)}
        offsets = [sum(network.input_sizes[:i]) for i in range(len(inputs))]
        height, width, channels = network.steps[0].value.shape
        sizes = {"HEIGHT": height, "WIDTH": width, "CHANNELS": channels, "IN": height * width * channels}
        outputs = [*self._outputs(), *self._delays()]
        if plan.hoisted:
            outputs.append("state->started = 1;")
        defines = {
            **(sizes if len(inputs) == 1 else {name.upper(): step.elements for name, step in inputs.items()}),
            "T": network.T,
            "CLASSES": network.readouts[0].bias.size,
            "OUT": sum(readout.bias.size for readout in network.readouts),
            "STEPS": len(network.steps),
        }
        # A network of learned tokens may read only the shape of an input.
        code = "\n".join(line for line in (*self._body, *outputs) if not line.startswith("/*"))
        arrays = [f"(void){name};" for name in inputs if not re.search(rf"\b{name}\b", code)]
        for index, place in sorted(plan.values.items()):
            source = f"state->{place.block} + {place.offset}"
            source = f"(int8_t *)({source})" if network.steps[index].format == "int8" else source
            arrays.append(f"{self._type(index)} *const {self._array(index)} = {source};")
        resets, members = (["state->started = 0;"], ["uint8_t started;"]) if plan.hoisted else ([], list[str]())
        for index, step in self._firing:
            name, size = self._names[index], step.value.elements
            if step.states:
                members.append(f"int{step.bits}_t {name}[{size * step.states}];")
            resets += self._reset(index, step)
        for index, delay in network.delays:
            size = stored_elements(delay, packed=plan.packed, steps=delay.steps)
            members.append(f"{self._type(index)} {self._names[index]}[{size}];")
            resets.append(f"for (int32_t i = 0; i < {size}; i++) state->{self._names[index]}[i] = 0;")
        if network.timed:
            members.append("int32_t t;")
            resets.append("state->t = 0;")
            outputs.append("if (state->t < NET_T - 1) state->t++;")
        members += [f"{TYPES[block]} {block}[{size}];" for block, size in plan.sizes.items()]
        # The size of the state is computed for this order.
        members.sort(key=lambda member: -BYTES[member.split()[0]])
        parameters = ", ".join(f"const uint8_t *{name}" for name in inputs)
        interface = fill_template(
            "interface.h",
            DEFINES="\n".join(f"#define NET_{name} {value}" for name, value in defines.items()),
            ARRAYS="\n   ".join(self._describe_arrays(inputs)),
            MEMBERS=_indented(members or ["uint8_t unused[1];"]),
            INPUTS=parameters,
        )
        program = fill_template(
            "program.c",
            RESETS=_indented(resets or ["(void)state;"]),
            BODY=_indented([*(arrays or ["(void)state;"]), *self._body, "", *outputs]),
            INPUTS=parameters,
            FRAMES=", ".join(n if s.static else f"{n} + t * {s.elements}" for n, s in inputs.items()),
            ADD="=" if network.reduction == "last" else "+=",
        )
        main = ""
        if vectors is not None:
            arrays_ = (",\n    ".join(_lines(array)) for array in (vectors.inputs, vectors.outputs))
            texts = dict(zip(("INPUTS", "OUTPUTS"), arrays_, strict=True))
            arguments = ", ".join(f"test_inputs + k * size + {offset}" for offset in offsets)
            main = fill_template("main.c", **texts, ARGUMENTS=arguments, SAMPLES=str(len(vectors.outputs)))
        parts = [
            f"/* {comment} */" if comment else "",
            interface,
            read_template("types.h").rstrip(),
            "\n".join(self._tables),
            "\n\n".join([self._kernels.source.rstrip(), *self._functions]).strip(),
            program,
            main,
        ]
        return CFile(
            "\n\n".join(part for part in parts if part) + "\n",
            interface + "\n",
            self._flash,
            network.state_size,
            sum(width * count for width, count in network.state_members),
        )

    def _describe_arrays(self, inputs: Mapping[str, InputStep]) -> Iterator[str]:
        """Yield lines for the shapes and ranges of the inputs, and for the names of several outputs."""
        for name, step in inputs.items():
            shape = "".join(f"[{length}]" for length in step.value.shape)
            times = "the same at all time-steps" if step.static else f"for each of {self._network.T} time-steps"
            yield f"{name}{shape}: from {step.value.low} to {step.value.high}, {times}"
        readouts = self._network.readouts
        if len(readouts) > 1:
            yield f"outputs: {', '.join(f'{readout.name}[{readout.bias.size}]' for readout in readouts)}"

    def _reset(self, index: int, step: FiringStep) -> list[str]:
        """Return the lines that set the states of a layer."""
        name, size, channels = self._names[index], step.value.elements, step.value.shape[-1]
        lines = []
        for state, numbers in enumerate(step.rest):
            value = str(numbers[0])
            if not _uniform(numbers):
                # The resets of a linear neuron are its initial potentials.
                is_linear = isinstance(step, IntegerNeuron)
                table = f"resets_{name}" if is_linear else self._table(f"start{state}", index, numbers)
                value = f"(int{step.bits}_t){table}[i % {channels}]"
            lines.append(f"for (int32_t i = 0; i < {size}; i++) state->{name}[{state * size} + i] = {value};")
        return lines

    def _delays(self) -> list[str]:
        """Return the lines that move the values of delays by one time-step."""
        lines: list[str] = []
        delays = dict(self._network.delays)
        sources = {index: self._plan.owners[step.inputs[0]] for index, step in delays.items()}
        # A delay must read another delay before the values of that delay move.
        order: dict[int, None] = {}
        for index in delays:
            chain = [index]
            while chain[-1] in delays and chain[-1] not in order:
                chain.append(sources[chain[-1]])
            order |= dict.fromkeys(delay for delay in reversed(chain) if delay in delays)
        for index in reversed(order):
            step = delays[index]
            size = step.value.elements
            last = size * (step.steps - 1)
            if last:
                moved = self._write(index, "i", self._read(index, f"i + {size}"))
                lines.append(f"for (int32_t i = 0; i < {last}; i++) {moved}")
            # Values of the last time-step, which are not read, can exceed the format.
            stored = self._write(index, f"{last} + i", self._read(step.inputs[0], "i"))
            lines.append(f"for (int32_t i = 0; i < {size}; i++) {stored}")
        return lines

    def _outputs(self) -> list[str]:
        """Return the lines that store the outputs of a time-step."""
        lines, start = [], 0
        for readout in self._network.readouts:
            count = readout.bias.size
            bias = self._table("_".join(filter(None, ("bias", readout.name))), readout.step, readout.bias)
            value = self._read(readout.step, "i")
            lines.append(f"for (int32_t i = 0; i < {count}; i++) outputs[{start} + i] = {value} + {bias}[i];")
            start += count
        return lines


def _lines(numbers: NDArray[np.integer]) -> list[str]:
    """Return numbers in lines, separated by commas."""
    flat = [str(number) for number in np.asarray(numbers).reshape(-1)]
    return [", ".join(flat[i : i + NUMBERS_PER_LINE]) for i in range(0, len(flat), NUMBERS_PER_LINE)]


def _identifiers(steps: Sequence[Step]) -> list[str]:
    """Return a different C identifier for each step, made from its name."""
    names: list[str] = []
    used = {*TYPES, "started"}
    for step in steps:
        name = re.sub(r"\W", "_", step.name)
        suffix = next(s for s in ("", *(f"_{i}" for i in range(2, len(steps) + 2))) if name + s not in used)
        used.add(name + suffix)
        names.append(name + suffix)
    return names


def _element(shape: Shape, whole: Shape) -> str:
    """Return the index of an element of a gate for the element ``i`` of the whole."""
    if shape == whole:
        return "i"
    channels = whole[-1]
    position = f"i / {channels}" if shape[:2] == whole[:2] else "0"
    return f"({position}) * {shape[-1]} + i % {channels} / {channels // shape[-1]}"


def _uniform(numbers: Integers) -> bool:
    return bool((numbers == numbers[0]).all())


def _short(number_type: str) -> str:
    return number_type.removesuffix("_t")


def _size(shape: Shape) -> str:
    return "x".join(map(str, shape))


def _indented(lines: Iterable[str]) -> str:
    return "\n".join(f"    {line}" if line else "" for line in lines)
