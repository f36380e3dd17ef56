"""The text of CPU kernels of neurons as equations, generated from the tape of a time-step and of its gradient.

Neurons are taken in blocks so small that their scratch memory stays in the nearest caches; over a block, time runs
inside. The backward pass computes the states again from the input, keeps them in scratch, and goes back over the
gradient's tape. Sums over neurons are taken in float64: of one number a layer by blocks, of one a channel by groups of
blocks, neither of which depends on the threads.

A text has no numbers in it but 0, 1 and 2: two neurons that differ in their numbers share a kernel.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from sewdsl.equations.operations import OPERATIONS
from sewdsl.equations.step import StepLaw, parse_step, pull_back, surrogate_slope
from sewdsl.equations.tape import STEP, TapeEntry, needed
from sewdsl.snn.kernels.render_kernels import render_generated

INLINE_NUMBERS = {0.0: "zero", 1.0: "one", 2.0: "two"}
"""Numbers that a text may have, if the equations write them, by their names."""
MAX_KERNEL_ENTRIES = 400
"""Results of a time-step of which a kernel is compiled; longer ones, which take minutes, are left to torch."""


class FactorAxes(NamedTuple):
    """What a factor has numbers of its own for.

    Attributes:
        channels: Whether each channel has its own.
        steps: Whether each time-step has its own.
    """

    channels: bool
    steps: bool

    @property
    def wide(self) -> bool:
        """Whether it is more than one number."""
        return self.channels or self.steps


class EquationKernelVariant(NamedTuple):
    """What distinguishes one kernel of equations from another.

    Attributes:
        stored: Dtype of input and output.
        law: The time-step, as :func:`sewdsl.equations.step.step_text` writes it.
        axes: Of each factor.
        slope: Tape of the surrogate's derivative.
        wants_x: Whether the gradient of the input is computed.
        wants_factors: Whether the gradients of the factors are.
    """

    stored: str
    law: str
    axes: tuple[FactorAxes, ...]
    slope: str = ""
    wants_x: bool = True
    wants_factors: bool = True


class EquationKernel(NamedTuple):
    """The text of a kernel, and what it is called with.

    Attributes:
        text: A module with the function ``forward`` or ``backward``.
        numbers: The constants that it takes.
        start: The states before the first time-step, where none are given.
        summed: Of a backward kernel, the factors, by their place, whose gradient is one number, in order.
    """

    text: str
    numbers: tuple[float, ...]
    start: tuple[float, ...]
    summed: tuple[int, ...] = ()


def is_small(law: str) -> bool:
    """Whether a kernel of a time-step is compiled in seconds."""
    return law.count("; ") <= MAX_KERNEL_ENTRIES


@lru_cache(maxsize=256)
def render_equations(variant: EquationKernelVariant) -> EquationKernel:
    """The kernel of the function ``forward``."""
    return _Renderer(variant).forward()


@lru_cache(maxsize=256)
def render_equations_backward(variant: EquationKernelVariant) -> EquationKernel:
    """The kernel of the function ``backward``."""
    return _Renderer(variant).backward()


Results = Sequence[tuple[TapeEntry | None, str]]
"""What is computed, None for zero, and where it goes."""


class _Renderer:
    """Writes one kernel."""

    def __init__(self, variant: EquationKernelVariant) -> None:
        self.variant = variant
        self.law: StepLaw = parse_step(variant.law, surrogate_slope(variant.slope) if variant.slope else None)
        self.states = range(len(self.law.after))
        tape = self.law.tape
        self.x = tape.leaf("x")
        self.state_leaves = [tape.leaf("state", number) for number in self.states]
        self.wide = [place for place, axes in enumerate(variant.axes) if axes.wide]

    # --- what is computed

    def _given_names(self, results: Iterable[TapeEntry]) -> tuple[dict[TapeEntry, str], list[str], list[TapeEntry]]:
        """Names of what a time-step is given, its arguments for factors and numbers, and these numbers."""
        tape, names, arguments = self.law.tape, dict[TapeEntry, str](), list[str]()
        names[self.x] = "read(x[i])"
        names[tape.leaf("g_given")] = "read(g_given[i])"
        for number, leaf in enumerate(self.state_leaves):
            names[leaf] = f"v{number}[i]"
            names[tape.leaf("g_state", number)] = f"g{number}[i]"
        for place, (factor, axes) in enumerate(zip(self.law.factors, self.variant.axes, strict=True)):
            names[factor] = f"f{place}[i]" if axes.wide else f"f{place}"
            arguments.append(f"f{place}")
        numbers: list[TapeEntry] = []
        for entry in needed(results, STEP):
            if entry.literal and entry.number in INLINE_NUMBERS:
                names[entry] = INLINE_NUMBERS[entry.number]
            elif entry.number is not None:
                names[entry] = f"c{len(numbers)}"
                arguments.append(f"c{len(numbers)}")
                numbers.append(entry)
        return names, arguments, numbers

    def _loop(self, name: str, arguments: Sequence[str], names: dict[TapeEntry, str], results: Results) -> str:
        """A function that does one time-step of a block; everything is read before anything is written."""
        lines: list[str] = []
        named = dict(names)

        def keep(entry: TapeEntry, text: str) -> None:
            named[entry] = f"t{len(lines)}"
            lines.append(f"t{len(lines)} = {text}")

        for entry in needed([entry for entry, _ in results if entry is not None], STEP):
            if entry.operation == "detach":
                named[entry] = named[entry.operands[0]]
            elif entry.operands and entry.level == STEP:
                keep(entry, OPERATIONS[entry.operation].kernel.format(*(named[each] for each in entry.operands)))
            elif named[entry].endswith(("[i]", "[i])")):
                keep(entry, named[entry])
        for result, target in results:
            value = "zero" if result is None else named[result]
            stored = f"write({value})" if target in _STORED else value
            lines.append(f"{target} {'+=' if target.startswith('a') else '='} {stored}")
        body = "\n        ".join(lines) or "pass"
        return f"@njit(**apart)\ndef {name}({', '.join(arguments)}):\n    for i in range(x.size):\n        {body}\n\n"

    # --- what surrounds it

    def _passed(self, arguments: Sequence[str]) -> str:
        """The factors and numbers of a time-step, as they are handed to its function."""
        passed = []
        for name in arguments:
            place = int(name[1:])
            if name[0] == "f" and place in self.wide:
                first = "t * block" if self.variant.axes[place].steps else "0"
                passed.append(f"part(f{place}, {first}, n)")
            else:
                passed.append(name)
        return ", ".join(passed)

    def _constants(self, numbers: Sequence[TapeEntry]) -> list[str]:
        """Lines that name factors of one number, and numbers, and make room for the other factors."""
        lines = [f"c{number} = numbers_given[{number}]" for number in range(len(numbers))]
        for place in range(len(self.variant.axes)):
            if place in self.wide:
                lines.append(f"f{place} = np.empty(block * places_given[{place}, 1], number)")
            else:
                lines.append(f"f{place} = factors[places_given[{place}, 0]]")
        return lines

    def _fill(self) -> list[str]:
        """Lines at the beginning of a block: its factors, and its states before the first time-step."""
        lines = [f"spread_factor(factors, places_given[{p}], f{p}, low, n, block, stride)" for p in self.wide]
        for number in self.states:
            lines += [
                "for i in range(n):",
                f"    v{number}[i] = start[{number} * N + low + i] if start.size else rest[{number}]",
            ]
        return lines

    def forward(self) -> EquationKernel:
        """Given, and states after the last time-step."""
        roots = [self.law.given, *self.law.after]
        names, arguments, numbers = self._given_names(roots)
        v = [f"v{number}" for number in self.states]
        after = [(entry, f"v{number}[i]") for number, entry in enumerate(self.law.after)]
        text = self._loop("step", ["x", "given", *v, *arguments], names, [(self.law.given, "given[i]"), *after])
        rows = ", ".join(
            [
                "part(x, a, n)",
                "row",
                *(f"part({name}, 0, n)" for name in v),
                *filter(None, [self._passed(arguments)]),
            ]
        )
        lines = [
            *self._constants(numbers),
            *(f"{name} = np.empty(block, number)" for name in v),
            *_line("given", "g_step"),
        ]
        body = [
            *self._fill(),
            "for t in range(T):",
            "    a, b = t * x_step + low, t * g_step + low",
            "    fetch(x, a + block, block)",
            "    if not past:",
            "        fetch(given, b + block, block)",
            f"    row = {_row('given', 'b')}",
            f"    step({rows})",
            "    if past:",
            "        stream(part(line, 0, n), given, b)",
        ]
        for number in self.states:
            body += ["for i in range(n if final.size else 0):", f"    final[{number} * N + low + i] = v{number}[i]"]
        types = "stored, size, numbers, stored, size, numbers, numbers, numbers, numbers, places"
        text += _outer(
            "forward",
            types,
            "x, x_step, start, given, g_step, final, rest, numbers_given, factors, places_given",
            lines,
            body,
        )
        return self._made("forward", text, numbers)

    def backward(self) -> EquationKernel:
        """Gradients of the input, of the first states and of the factors."""
        pulled = pull_back(self.law.given, self.law.after)
        learned = [place for place, factor in enumerate(self.law.factors) if factor in pulled]
        learned = learned if self.variant.wants_factors else []
        back: list[tuple[TapeEntry | None, str]] = [
            (pulled.get(leaf), f"g{number}[i]") for number, leaf in enumerate(self.state_leaves)
        ]
        back += [(pulled.get(self.x), "g_x[i]")] if self.variant.wants_x else []
        back += [(pulled[self.law.factors[place]], f"a{place}[i]") for place in learned]
        after = [(entry, f"n{number}[i]") for number, entry in enumerate(self.law.after)]
        roots = [*self.law.after, *(entry for entry, _ in back if entry is not None)]
        names, arguments, numbers = self._given_names(roots)
        v, n, g = ([f"{letter}{number}" for number in self.states] for letter in "vng")
        sums = [f"a{place}" for place in learned]
        text = self._loop("charge", ["x", *v, *n, *arguments], names, after)
        text += self._loop("pull", ["x", *v, "g_given", *g, "g_x", *sums, *arguments], names, back)
        passed = [*filter(None, [self._passed(arguments)])]
        steps = {place: self.variant.axes[place].steps for place in learned}
        lines = [
            *self._constants(numbers),
            *(f"{name} = np.empty((T + 1) * block, number)" for name in v),
            *(f"{name} = np.empty(block, number)" for name in g),
            *(f"a{place} = np.zeros(block * {'T' if steps[place] else 1}, number)" for place in learned),
            *_line("g_x", "y_step"),
        ]
        rows = [f"part({name}, r, n)" for name in v]
        charged = ", ".join(["part(x, a, n)", *rows, *(f"part({name}, r + block, n)" for name in v), *passed])
        lanes = [f"part(a{place}, {'r' if steps[place] else 0}, n)" for place in learned]
        g_rows = [f"part({name}, 0, n)" for name in g]
        g_x = _row("g_x", "c") if self.variant.wants_x else "g_x"
        pulls = ", ".join(["part(x, a, n)", *rows, "part(g_given, b, n)", *g_rows, "row", *lanes, *passed])
        body = self._fill()
        if v:
            body += [
                "for t in range(T):",
                "    a, r = t * x_step + low, t * block",
                "    fetch(x, a + block, block)",
                f"    charge({charged})",
            ]
        for number in self.states:
            value = f"g_final[{number} * N + low + i] if g_final.size else zero"
            body += ["for i in range(n):", f"    g{number}[i] = {value}"]
        body += [
            "for t in range(T - 1, -1, -1):",
            "    a, b, c, r = t * x_step + low, t * g_step + low, t * y_step + low, t * block",
            "    fetch(g_given, b + block, block)",
            "    if not past:",
            "        fetch(g_x, c + block, block)",
            f"    row = {g_x}",
            f"    pull({pulls})",
            "    if past:",
            "        stream(part(line, 0, n), g_x, c)",
        ]
        for number in self.states:
            body += ["for i in range(n if g_start.size else 0):", f"    g_start[{number} * N + low + i] = g{number}[i]"]
        summed = tuple(place for place in learned if place not in self.wide)
        for place in learned:
            if place in self.wide:
                body.append(f"gather_factor(a{place}, sums[group], places_given[{place}], low, n, block, stride)")
            else:
                body += [
                    f"blocks[low // block, {summed.index(place)}] = total(part(a{place}, 0, n))",
                    f"fill(a{place}, zero)",
                ]
        types = "stored, size, numbers, stored, size, numbers, stored, size, numbers, layers, table"
        types += ", numbers, numbers, numbers, places"
        given = "x, x_step, start, g_given, g_step, g_final, g_x, y_step, g_start, sums, blocks"
        given += ", rest, numbers_given, factors, places_given"
        text += _outer("backward", types, given, lines, body)
        return self._made("backward", text, numbers, summed)

    def _made(
        self, function: str, text: str, numbers: Sequence[TapeEntry], summed: tuple[int, ...] = ()
    ) -> EquationKernel:
        whole = render_generated(text, function, self.variant.stored)
        constants = tuple(entry.number for entry in numbers if entry.number is not None)
        return EquationKernel(whole, constants, self.law.start, summed)


_STORED = frozenset({"given[i]", "g_x[i]"})
"""What is written in the dtype of the input."""
_RANGES = "first, last, piece, T, N, block, stride"


def _line(row: str, step: str) -> list[str]:
    """Lines that make room for what is moved past the caches, and say whether it is."""
    return [f"line = np.empty(block, {row}.dtype)", f"past = streams({row}, {step})"]


def _row(row: str, begin: str) -> str:
    """Where a time-step of a row is written.

    It is chosen before a call and not in it: of more than 30 arguments, Python makes a list, which numba reads only
    where nothing branches in between.
    """
    return f"part(line, 0, n) if past else part({row}, {begin}, n)"


def _outer(name: str, types: str, arguments: str, lines: Sequence[str], body: Sequence[str]) -> str:
    """A function that runs over groups of blocks."""
    head = f"@njit(types.void({types}, *[int64] * 7), **outer)\ndef {name}({arguments}, {_RANGES}):\n"
    top = "".join(f"    {line}\n" for line in lines)
    loops = "    for group in range(first, last):\n"
    loops += "        for low in range(group * piece, min(N, (group + 1) * piece), block):\n"
    loops += "            n = min(block, min(N, (group + 1) * piece) - low)\n"
    end = "    if past:\n        finish_stores()\n"
    return head + top + loops + "".join(f"            {line}\n" for line in body) + end
