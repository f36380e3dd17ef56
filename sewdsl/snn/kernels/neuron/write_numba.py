"""Source text of the CPU kernels of neurons, for numba.

Neurons are processed in small blocks, whose scratch memory stays in the nearest caches. Within a block, the outer loop
runs over time, and a function computes one time-step on contiguous rows, which LLVM vectorises. Operations have the
order of the reference. Nothing is contracted or reordered, so outputs are bit-identical. Only sums over neurons have an
order chosen by the compiler.

The forward pass saves nothing for the backward pass, which recomputes the states from the input.

A time-step with vectors has several functions: one for single numbers, one that is called for each number of a vector,
and after each sum of a vector two more. Rows of scratch memory hold the results that a later function reads.

A text contains no numbers other than 0, 1 and 2, and scalars are named in the order of their use. So neurons that
differ in their constants share a kernel, also if a constant of one is a learnable factor of the other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from sewdsl.equations.operations import OPERATIONS
from sewdsl.equations.tape import STEP, TapeEntry, needed
from sewdsl.snn.kernels.neuron.plan_kernel import (
    NO_PLAN,
    BackwardPlan,
    FactorAxes,
    GradientSum,
    KernelVariant,
    LayerNeedsGrad,
    Results,
    compose,
    ordered_leaves,
    plan_backward,
    write_lines,
)
from sewdsl.snn.kernels.neuron.plan_phases import plan_phases
from sewdsl.snn.kernels.render_kernels import render_generated

INLINE_NUMBERS = {0.0: "zero", 1.0: "one", 2.0: "two"}
"""Names of the numbers that a text may contain, if the equations contain them."""
ARGUMENTS = {
    **dict.fromkeys(("x", "others", "y", "g_y", "g_others", "g_x"), "stored"),
    **dict.fromkeys(("x_step", "other_step", "step", "g_step", "g_other_step"), "size"),
    **dict.fromkeys(("start", "final", "g_final", "g_start", "rest", "scalars", "factors"), "numbers"),
    **dict.fromkeys(("line0", "line1", "line2"), "numbers"),
    "places": "places",
    "channel_sums": "layers",
    "totals": "table",
}
"""Types of kernel arguments. A kernel takes the arguments that it uses, in this order."""
RANGES = "first, last, groups, T, N, block, stride, C"
STORED = frozenset({"y", "g_x", "g_others"})
"""Rows in the dtype of the input. Other rows are in the wide dtype."""


class Kernel(NamedTuple):
    """Text and arguments of a kernel."""

    text: str
    """Module with the function ``forward`` or ``backward``."""
    arguments: tuple[str, ...]
    """Names of the arguments, keys of :data:`ARGUMENTS`."""
    scalars: tuple[float | int, ...]
    """Numbers, or indices of factors, passed as ``scalars``."""
    start: tuple[float, ...]
    """States before the first time-step, if the caller passes none."""
    plan: BackwardPlan = NO_PLAN
    """Plan of a backward kernel."""


@lru_cache(maxsize=256)
def render_forward(variant: KernelVariant) -> Kernel:
    """Return the kernel ``forward``."""
    return _Writer(variant).forward()


@lru_cache(maxsize=256)
def render_backward(variant: KernelVariant, needs_grad: LayerNeedsGrad) -> Kernel:
    """Return the kernel ``backward``."""
    return _Writer(variant).backward(needs_grad)


class _Names(NamedTuple):
    names: dict[TapeEntry, str]
    """Names of leaves and numbers."""
    rows: dict[str, str]
    """Rows of channels and factors, and the expressions for their parts in a block."""
    scalars: list[float | int]
    """Numbers, or indices of factors, in the order of ``c0``, ``c1`` …"""


class _Writer:
    def __init__(self, variant: KernelVariant) -> None:
        self.variant, self.layer = variant, compose(variant)
        self.states = range(len(self.layer.law.states))
        self.widths = [state.width for state in self.layer.law.states]
        self.row_widths, self.scratch = dict.fromkeys("vg", self.widths), list[str]()
        self.old_rows = {f"v{index}": state for index, state in enumerate(self.layer.law.states)}
        self.axes = dict(zip(self.layer.law.factors, variant.axes, strict=True))

    # --- the loop over a block

    def _names(self, roots: Sequence[TapeEntry], plan: BackwardPlan | None = None) -> _Names:
        layer, tape = self.layer, self.layer.law.output.tape
        names = {layer.raw: "read(x[i])", layer.other: "read(others[i])", tape.leaf("g_given"): "read(g_y[i])"}
        rows, scalars = dict[str, str](), list[float | int]()
        names |= {leaf: f"read(x{leaf.leaf}[i])" for leaf in layer.law.more_inputs}
        for index, state in enumerate(layer.law.states):
            names[state], names[tape.leaf("g_state", index)] = f"v{index}[i]", f"g{index}[i]"
        for index, entry in enumerate(layer.line):
            names[entry], rows[f"spread{index}"] = f"spread{index}[i]", f"part(spread{index}, p, n)"
        if plan is not None:
            names |= {leaf: f"{row}[i]" for row, leaf in plan.later.items()}
        for entry in ordered_leaves(roots):
            axes = self.axes.get(entry)
            factor_index = layer.law.factors.index(entry) if axes else 0
            position = _position(axes) if axes else ""
            if axes and axes.channels:
                names[entry] = f"f{factor_index}[i]"
                rows[f"f{factor_index}"] = f"part(f{factor_index}, {position and f'{position} * spread_over + '}p, n)"
            elif axes and position:
                names[entry] = f"f{factor_index}"
                rows[f"f{factor_index}"] = f"factors[places[{factor_index}, 0] + {position}]"
            # Only numbers written in the equations. Constants of a neuron stay arguments, even if they are 0, 1 or 2.
            elif entry.literal and entry.number in INLINE_NUMBERS:
                names[entry] = INLINE_NUMBERS[entry.number]
            elif axes or entry.number is not None:
                names[entry] = name = f"c{len(scalars)}"
                rows[name] = name
                scalars.append(factor_index if entry.number is None else float(entry.number))
        return _Names(names, rows, scalars)

    def _loop(
        self,
        name: str,
        rows: Mapping[str, str],
        names: Mapping[TapeEntry, str],
        results: Results,
        known: Sequence[TapeEntry] = (),
    ) -> tuple[str, list[str]]:
        """Return the functions of one time-step of a block, and the lines that call them.

        A function reads all rows of an element before it writes any.

        Args:
            rows: Argument for each name.
            names: Names of leaves and of known results.
            results: Results to compute, and the rows they are written to.
            known: Results that are passed in.
        """
        entries = needed([entry for entry, _ in results if entry is not None], STEP, known)
        phases = plan_phases(entries, results, self._row_width, self.old_rows, known)
        rows, names, text, calls = dict(rows), dict(names), "", list[str]()
        scratch = {entry: f"q{len(self.scratch) + index}" for index, entry in enumerate(phases.carried)}
        self.scratch += [f"{row} = np.empty({_times(entry.width)}block, number)" for entry, row in scratch.items()]
        rows |= {row: _vector_row(row, entry.width) for entry, row in scratch.items()}
        names |= {entry: f"{row}[i]" for entry, row in scratch.items()}
        for phase_index, (key, phase) in enumerate(phases.phases.items()):
            earlier = (entry for entry, other in phases.keys.items() if other < key or entry.adds_up)
            before, summed = [*known, *earlier], [entry.operands[0] for entry in phase.sums]
            roots = [*phase.carried, *summed, *(entry for entry, _ in phase.results if entry is not None)]
            lines, named = write_lines(names, roots, _SPELLING, before)
            lines += [f"{scratch[entry]}[i] = {named[entry]}" for entry in phase.carried]
            lines += [f"{scratch[entry]}[i] += {named[entry.operands[0]]}" for entry in phase.sums]
            lines += [self._write(entry, row, named) for entry, row in phase.results]
            several = len(phases.phases) > 1
            function, call = _function(f"{name}_{phase_index}" if several else name, rows, lines)
            text += function
            calls += [f"fill({rows[scratch[entry]]}, zero)" for entry in phase.sums]
            calls += _repeated("m", key.width if key.width > 1 else 0, call)
        return text, calls

    def _write(self, result: TapeEntry | None, row: str, named: Mapping[TapeEntry, str]) -> str:
        value = "zero" if result is None else named[result]
        if row == "g_x" and self.layer.line:
            value = f"spread2[i] * {value}"
        value = f"write({value})" if row.rstrip("0123456789") in STORED else value
        return f"{row}[i] {'+=' if row[0] == 's' else '='} {value}"

    def _row_width(self, row: str) -> int:
        """Return the number of values per neuron in a row of results."""
        letter, digits = row[0], row[1:]
        return self.row_widths[letter][int(digits)] if letter in self.row_widths and digits.isdigit() else 1

    # --- around it

    def _spread(self, rows: Iterable[str]) -> dict[str, str]:
        """Return the values per channel of each row that needs them."""
        values = {}
        for row in rows:
            if row.startswith("spread"):
                values[row] = f"line{row[6:]}"
            elif row[0] == "f":
                axes, index = self.variant.axes[int(row[1:])], row[1:]
                first = f"places[{index}, 0]" + (" + t * C" if _count(axes) else "")
                if axes.channels:
                    values[row] = f"part(factors, {first}, C)"
        return values

    def _several(self, row: str) -> str:
        """Return how often a row of channels is repeated, for time-steps and numbers of a vector, or an empty text."""
        return _count(self.variant.axes[int(row[1:])]) if row[0] == "f" else ""

    def _spreading(self, rows: Mapping[str, str], *, whole: bool) -> list[str]:
        """Return lines that spread values per channel over a period, or over the neurons of a block."""
        lines, (count, low) = list[str](), ("spread_over", "int64(0)") if whole else ("n", "low")
        for row, values in rows.items():
            several = self._several(row)
            first = "t * spread_over" if several else "0"
            line = f"spread({values}, part({row}, {first}, {count}), {low}, stride, C)"
            lines += _repeated("t", several, [line])
        return lines

    def _setup(self, scalars: Sequence[object], rows: Mapping[str, str], *, sums: bool) -> list[str]:
        lines = [f"c{index} = scalars[{index}]" for index in range(len(scalars))]
        # `span` decides at run time whether values are spread over a whole period of channels.
        if rows or sums:
            lines.append("whole, spread_over = span(block, stride, C)")
        for row in rows:
            several = self._several(row)
            lines.append(f"{row} = np.empty({several and f'{several} * '}spread_over, number)")
        if rows:
            lines += ["if whole:", *_indented(self._spreading(rows, whole=True))]
        return lines

    def _begin(self, rows: Mapping[str, str], *, sums: bool) -> list[str]:
        lines = ["low = index * block", "n = min(block, N - low)"]
        if rows or sums:
            lines.append("p = low % (stride * C) if whole else 0")
        if rows:
            lines += ["if not whole:", *_indented(self._spreading(rows, whole=False))]
        for index in self.states:
            lines += self._first_row(f"v{index}", "start", index, "rest[{}]")
        return lines

    def _first_row(self, row: str, source: str, index: int, otherwise: str) -> list[str]:
        """Return lines that set a row to an initial state of the caller, or to a number for the index of the state."""
        width = self.widths[index]
        row_of_state, otherwise = self._place(index), otherwise.format(self._place(index))
        if not self.variant.states:
            lines = [f"fill({_vector_row(row, width)}, {otherwise})"]
        else:
            value = f"{source}[{row_of_state} * N + low + i] if {source}.size else {otherwise}"
            lines = ["for i in range(n):", f"    {row}[{'m * block + ' * (width > 1)}i] = {value}"]
        return _repeated("m", width if width > 1 else 0, lines)

    def _place(self, index: int) -> str:
        """Return the index of a state among all numbers of all states."""
        first = sum(self.widths[:index])
        return f"({first} + m)" if self.widths[index] > 1 else f"{first}"

    def _last_row(self, row: str, target: str, index: int) -> list[str]:
        """Return lines that store a state, or its gradient."""
        if not self.variant.states:
            return []
        width = self.widths[index]
        value = f"{row}[{'m * block + ' * (width > 1)}i]"
        lines = [
            f"for i in range(n if {target}.size else 0):",
            f"    {target}[{self._place(index)} * N + low + i] = {value}",
        ]
        return _repeated("m", width if width > 1 else 0, lines)

    def _state_rows(self, rows: Sequence[str]) -> dict[str, str]:
        """Return the arguments for rows of states, or of their gradients."""
        return {row: _vector_row(row, width) for row, width in zip(rows, self.widths, strict=True)}

    def _scratch(self, rows: Sequence[str]) -> list[str]:
        """Return lines that allocate the rows of states, or of their gradients."""
        return [f"{row} = np.empty({_times(w)}block, number)" for row, w in zip(rows, self.widths, strict=True)]

    def _inputs(self) -> dict[str, str]:
        """Return the rows of the inputs, which follow each other along time."""
        more = {f"x{leaf.leaf}": f"part(x, i + {leaf.leaf} * T * x_step, n)" for leaf in self.layer.law.more_inputs}
        return {"x": "part(x, i, n)", **more}

    def _fetches(self) -> list[str]:
        """Return lines that prefetch the inputs of the next block."""
        places = ["i", *(f"i + {leaf.leaf} * T * x_step" for leaf in self.layer.law.more_inputs)]
        return [f"    fetch(x, {start} + block, block)" for start in places]

    def forward(self) -> Kernel:
        """Return the kernel of the output, and of the states after the last time-step."""
        layer = self.layer
        names = self._names([layer.joined, *layer.law.after])
        spread = self._spread(names.rows)
        states = [f"v{index}" for index in self.states]
        rows = {**self._inputs(), "others": "part(others, j, n)", "y": "row", **self._state_rows(states), **names.rows}
        results = [(layer.joined, "y"), *zip(layer.law.after, states, strict=True)]
        text, call = self._loop("charge", rows, names.names, results)
        reads_other = "others" in "".join(call)
        lines = [*self._setup(names.scalars, spread, sums=False)]
        lines += self._scratch(states)
        lines += ["line = np.empty(block, y.dtype)", "past = streams(y, step)"]
        body = [
            *self._begin(spread, sums=False),
            "for t in range(T):",
            "    i, k = t * x_step + low, t * step + low",
            *self._fetches(),
            *(["    j = t * other_step + low", "    fetch(others, j + block, block)"] if reads_other else []),
            "    if not past:",
            "        fetch(y, k + block, block)",
            "    row = part(line, 0, n) if past else part(y, k, n)",
            *_indented(call),
            "    if past:",
            "        stream(part(line, 0, n), y, k)",
        ]
        for index, state in enumerate(states):
            body += self._last_row(state, "final", index)
        return self._finished("forward", text, names, lines, body, ["past"])

    def backward(self, needs_grad: LayerNeedsGrad) -> Kernel:
        """Return the kernel of all gradients, and of the sums for them."""
        layer, plan = self.layer, plan_backward(self.layer, self.variant, needs_grad)
        names = self._names([*plan.roots, *layer.law.after], plan)
        if layer.line and needs_grad.x:
            names.rows["spread2"] = "part(spread2, p, n)"
        spread = self._spread(names.rows)
        v, g = ([f"{letter}{index}" for index in self.states] for letter in "vg")
        k = [f"k{index}" for index in range(len(plan.kept))]
        kept_widths = [entry.width for entry in plan.kept]
        self.row_widths |= {"k": kept_widths, "s": [each.width for each in plan.sums]}
        saved = {
            name: f"part({name}, r * {width} + m * block, n)" if width > 1 else f"part({name}, r, n)"
            for name, width in zip(k, kept_widths, strict=True)
        }
        rows = {**self._inputs(), **self._state_rows(v), **saved, **names.rows}
        results = [*zip(plan.kept, k, strict=True), *zip(layer.law.after, v, strict=True)]
        text, charge = self._loop("charge", rows, names.names, results)
        sums = {f"s{index}": each for index, each in enumerate(plan.sums)}
        delayed = {f"s{index}": f"w{index}" for index, each in enumerate(plan.sums) if each.state is not None}
        rows = {**self._inputs(), **saved, "others": "part(others, e, n)", "g_y": "part(g_y, j, n)"}
        rows |= {f"g_x{leaf.leaf}": f"row_x{leaf.leaf}" for leaf in layer.law.more_inputs}
        rows |= {
            "g_others": "row_others",
            "g_x": "row",
            **self._state_rows(g),
            **{name: f"part({name}, 0, n)" for name in delayed.values()},
            **names.rows,
        }
        for row, each in sums.items():
            position = _position(each)
            rows[row] = f"part({row}, {f'{position} * block' if position else '0'}, n)"
        tape = layer.law.output.tape
        self.old_rows |= plan.later | {f"g{index}": tape.leaf("g_state", index) for index in self.states}
        pull_names = names.names | {entry: f"{name}[i]" for entry, name in zip(plan.kept, k, strict=True)}
        pull_text, pull = self._loop("pull", rows, pull_names, plan.results, plan.kept)
        each_channel = [row for row, each in sums.items() if each.channels]
        lines = [
            *self._setup(names.scalars, spread, sums=bool(each_channel)),
            *self._scratch(v),
            *self._scratch(g),
            *(f"{name} = np.empty(block, number)" for name in delayed.values()),
            *(
                f"{name} = np.empty({_times(width)}T * block, number)"
                for name, width in zip(k, kept_widths, strict=True)
            ),
        ]
        for row, each in sums.items():
            several = _count(each) and f"{_count(each)} * "
            lines.append(f"{row} = np.zeros({several}block, number)")
            lines += [f"all_{row} = np.zeros({several}spread_over)"] if each.channels else []
        written = [("g_x", "row", "line", "past", "step", "k", "")] if needs_grad.x else []
        for leaf_index in (leaf.leaf for leaf in layer.law.more_inputs if needs_grad.x):
            first_step = f"{leaf_index} * T * step + "
            written.append(
                ("g_x", f"row_x{leaf_index}", f"line_x{leaf_index}", "past", "step", f"at_x{leaf_index}", first_step)
            )
        written += (
            [("g_others", "row_others", "line_others", "past_others", "g_other_step", "f", "")]
            if needs_grad.other
            else []
        )
        for name, _, line, past, step, _, _ in written:
            lines += [f"{line} = np.empty(block, {name}.dtype)", f"{past} = streams({name}, {step})"]
        body = self._begin(spread, sums=bool(each_channel))
        if v:
            body += ["for t in range(T):", "    i, r = t * x_step + low, t * block", *self._fetches()]
            body += _indented(charge)
        for index, name in enumerate(g):
            body += self._first_row(name, "g_final", index, "zero")
        body += [f"fill(part({name}, 0, n), zero)" for name in delayed.values()]
        body += ["for t in range(T - 1, -1, -1):", "    i, r, j = t * x_step + low, t * block, t * g_step + low"]
        # Prefetch the rows of the next block, which is read at the same time-steps.
        body.append("    fetch(g_y, j + block, block)")
        for name, row, line, past, step, offset, first_step in written:
            body += [
                f"    {offset} = {first_step}t * {step} + low",
                f"    if not {past}:",
                f"        fetch({name}, {offset} + block, block)",
            ]
            body.append(f"    {row} = part({line}, 0, n) if {past} else part({name}, {offset}, n)")
        if "part(others" in "".join(pull):
            body += ["    e = t * other_step + low", "    fetch(others, e + block, block)"]
        body += _indented(pull)
        for name, _, line, past, _, offset, _ in written:
            body += [f"    if {past}:", f"        stream(part({line}, 0, n), {name}, {offset})"]
        for index, name in enumerate(g):
            body += self._last_row(name, "g_start", index)
        end = self._ending(sums, delayed, body)
        kernel = self._finished("backward", text + pull_text, names, lines, body, [each[3] for each in written], end)
        return kernel._replace(plan=plan)

    def _ending(self, sums: Mapping[str, GradientSum], delayed: Mapping[str, str], body: list[str]) -> list[str]:
        """Append the sums of a block to its lines, and return the lines that end a group."""
        end = list[str]()
        kinds = [(row, each, self._in_total(each)) for row, each in sums.items()]
        column = 0
        for row, each, in_total in kinds:
            if row in delayed and not in_total:
                # A delayed product with the state before the first time-step is still missing.
                begin = f"rest[{each.state}]"
                if self.variant.states:
                    begin = f"(start[{each.state} * N + low + i] if start.size else {begin})"
                body += ["for i in range(n):", f"    {row}[i] += {delayed[row]}[i] * {begin}"]
            if each.channels:
                continue
            first = f" + rest[{each.state}] * total(part({delayed[row]}, 0, n))" if in_total else ""
            if self.variant.norm:
                body.append(f"totals[group, {column}] += total({row}){first}")
            else:
                body.append(f"totals[index, {column}] = total(part({row}, 0, n))")
            body.append(f"fill({row}, zero)")
            column += 1
        # Columns with one sum come first, followed by those of sums per time-step and of vectors.
        rows = [(row, _count(each)) for row, each in sums.items() if each.channels]
        count = sum(not several for _, several in rows)
        gathered, period_lines, before = list[str](), list[str](), list[str]()
        for position, (row, several) in enumerate(sorted(rows, key=lambda each: bool(each[1]))):
            column_text = f"{position}"
            if several:
                others = "".join(f" + {each}" for each in before if each != "T")
                column_text = f"{count} + {before.count('T')} * T{others} + t"
                before.append(several)
            first, at, over = ("t * spread_over", "t * block", "t * spread_over + p") if several else ("0", "0", "p")
            into = f"channel_sums[group], {{}}, stride, C, int64({column_text})"
            each_row = [
                f"move(part({row}, {at}, n), part(all_{row}, {over}, n))",
                f"gather(part(all_{row}, {first}, n), {into.format('low')})",
                f"gather(part(all_{row}, {first}, spread_over), {into.format('int64(0)')})",
            ]
            moved, block, period = (_repeated("t", several, [line]) for line in each_row)
            body += moved
            gathered += block
            period_lines += period
        if rows:
            body += ["if not whole:", *_indented(gathered)]
            end += ["if whole:", *_indented(period_lines)]
        return end

    def _in_total(self, each: GradientSum) -> bool:
        """Return whether the delayed product with the initial state can be added to the total."""
        # The initial state is one number for all neurons, so it is a common factor.
        return each.state is not None and not each.channels and self.variant.norm and not self.variant.states

    def _finished(  # noqa: PLR0913 -- the parts of a text
        self,
        function: str,
        text: str,
        names: _Names,
        lines: Sequence[str],
        body: Sequence[str],
        streamed: Sequence[str],
        end: Sequence[str] = (),
    ) -> Kernel:
        """Return the kernel with loops over groups and blocks around the given parts."""
        loops = [
            *lines,
            *self.scratch,
            "blocks = (N + block - 1) // block",
            "for group in range(first, last):",
            "    for index in range(blocks * group // groups, blocks * (group + 1) // groups):",
            *_indented(_indented(body)),
            *_indented(end),
            *([f"if {' or '.join(streamed)}:", "    finish_stores()"] if streamed else []),
        ]
        inside = "\n".join(_indented(loops))
        # numba compiles the function eagerly, so its signature lists exactly the arguments that are used.
        arguments = tuple(name for name in ARGUMENTS if name in _words(inside))
        head = f"@njit(types.void({', '.join(ARGUMENTS[name] for name in arguments)}, *[int64] * 8), **outer)\n"
        head += f"def {function}({', '.join(arguments)}, {RANGES}):\n"
        rendered = render_generated(f"{text}{head}{inside}\n", function, self.variant.stored)
        return Kernel(rendered, arguments, tuple(names.scalars), self.layer.law.start)


_SPELLING = {operation: record.spelling.numba for operation, record in OPERATIONS.items()}


def _function(name: str, rows: Mapping[str, str], lines: Sequence[str]) -> tuple[str, list[str]]:
    """Return a function of all neurons of a block, and the line that calls it."""
    body = "\n        ".join(lines) or "pass"
    used = _words(body) | {"x"}
    # `x` gives the number of elements, also if its values are not read.
    head = [each for each in rows if each in used]
    text = f"@njit(**apart)\ndef {name}({', '.join(head)}):\n    for i in range(x.size):\n        {body}\n\n"
    return text, [f"{name}({', '.join(rows[each] for each in head)})"]


def _position(axes: FactorAxes | GradientSum) -> str:
    """Return the index of a time-step and number of a vector among the rows of a factor, or an empty text for one."""
    if axes.width == 1:
        return "t" if axes.steps else ""
    return f"(t * {axes.width} + m)" if axes.steps else "m"


def _count(axes: FactorAxes | GradientSum) -> str:
    """Return the number of rows of a factor, or an empty text for one."""
    if axes.width == 1:
        return "T" if axes.steps else ""
    return f"{'T * ' * axes.steps}{axes.width}"


def _times(width: int) -> str:
    return f"{width} * " if width > 1 else ""


def _vector_row(row: str, width: int) -> str:
    """Return the argument for a row of scratch memory, or for the row of one number of a vector."""
    return f"part({row}, m * block, n)" if width > 1 else f"part({row}, 0, n)"


def _repeated(variable: str, count: str | int, lines: list[str]) -> list[str]:
    """Return lines in a loop, or as they are without a count."""
    return [f"for {variable} in range({count}):", *_indented(lines)] if count else lines


def _words(text: str) -> set[str]:
    return {*re.findall(r"[a-z_]+[0-9]*", text)}


def _indented(lines: Iterable[str]) -> list[str]:
    return [f"    {line}" for line in lines]
