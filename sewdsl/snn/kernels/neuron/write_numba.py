"""Source text of the CPU kernels of neurons, for numba.

Neurons are processed in small blocks, whose scratch memory stays in the nearest caches. Within a block, the outer loop
runs over time, and a function computes one time-step on contiguous rows, which LLVM vectorises. Operations have the
order of the reference. Nothing is contracted or reordered, so outputs are bit-identical. Only sums over neurons have an
order chosen by the compiler.

The forward pass saves nothing for the backward pass, which recomputes the states from the input.

A text contains no numbers other than 0, 1 and 2, and scalars are named in the order of their use. So neurons that
differ in their constants share a kernel, also if a constant of one is a learnable factor of the other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from sewdsl.equations.operations import OPERATIONS
from sewdsl.equations.tape import TapeEntry
from sewdsl.snn.kernels.neuron.plan_kernel import (
    BackwardPlan,
    Derived,
    GradientSum,
    KernelVariant,
    LayerNeedsGrad,
    Results,
    compose,
    ordered_leaves,
    plan_backward,
    write_lines,
)
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
    """Text and arguments of a kernel.

    Attributes:
        text: Module with the function ``forward`` or ``backward``.
        arguments: Names of the arguments, keys of :data:`ARGUMENTS`.
        scalars: Numbers, or indices of factors, passed as ``scalars``.
        start: States before the first time-step, if the caller passes none.
        sums: Sums of a backward kernel.
        gain: Numbers, or indices of factors, that the host multiplies core by.
        derived: Factors whose gradients the host derives.
    """

    text: str
    arguments: tuple[str, ...]
    scalars: tuple[float | int, ...]
    start: tuple[float, ...]
    sums: tuple[GradientSum, ...] = ()
    gain: tuple[float | int, ...] = ()
    derived: tuple[Derived, ...] = ()


@lru_cache(maxsize=256)
def render_forward(variant: KernelVariant) -> Kernel:
    """Return the kernel ``forward``."""
    return _Writer(variant).forward()


@lru_cache(maxsize=256)
def render_backward(variant: KernelVariant, needs_grad: LayerNeedsGrad) -> Kernel:
    """Return the kernel ``backward``."""
    return _Writer(variant).backward(needs_grad)


class _Names(NamedTuple):
    """Names in the loop over a block.

    Attributes:
        names: Names of leaves and numbers.
        rows: Rows of channels and factors, and the expressions for their parts in a block.
        scalars: Numbers, or indices of factors, in the order of ``c0``, ``c1`` …
    """

    names: dict[TapeEntry, str]
    rows: dict[str, str]
    scalars: list[float | int]


class _Writer:
    """Writer of the kernels of a variant."""

    def __init__(self, variant: KernelVariant) -> None:
        self.variant, self.layer = variant, compose(variant)
        self.states = range(len(self.layer.states))
        self.axes = dict(zip(self.layer.factors, variant.axes, strict=True))

    # --- the loop over a block

    def _names(self, roots: Sequence[TapeEntry], plan: BackwardPlan | None = None) -> _Names:
        """Return the names of all inputs of the loops."""
        layer, tape = self.layer, self.layer.output.tape
        names = {layer.raw: "read(x[i])", layer.other: "read(others[i])", tape.leaf("g_given"): "read(g_y[i])"}
        rows, scalars = dict[str, str](), list[float | int]()
        names |= {leaf: f"read(x{leaf.leaf}[i])" for leaf in layer.more_inputs}
        for index, state in enumerate(layer.states):
            names[state], names[tape.leaf("g_state", index)] = f"v{index}[i]", f"g{index}[i]"
        for index, entry in enumerate(layer.line):
            names[entry], rows[f"spread{index}"] = f"spread{index}[i]", f"part(spread{index}, p, n)"
        if plan is not None:
            names |= {leaf: f"{row}[i]" for row, leaf in plan.later.items()}
        for entry in ordered_leaves(roots):
            axes = self.axes.get(entry)
            factor_index = layer.factors.index(entry) if axes else 0
            if axes and axes.channels:
                names[entry] = f"f{factor_index}[i]"
                rows[f"f{factor_index}"] = f"part(f{factor_index}, {'t * spread_over + ' if axes.steps else ''}p, n)"
            elif axes and axes.steps:
                names[entry] = f"f{factor_index}"
                rows[f"f{factor_index}"] = f"factors[places[{factor_index}, 0] + t]"
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
    ) -> tuple[str, str]:
        """Return the function of one time-step of a block, and its call.

        The function reads all rows of an element before it writes any.

        Args:
            name: Name of the function.
            rows: Argument for each name.
            names: Names of leaves and of known results.
            results: Results to compute, and the rows they are written to.
            known: Results that are passed in.
        """
        spelling = {operation: record.spelling.numba for operation, record in OPERATIONS.items()}
        roots = [entry for entry, _ in results if entry is not None]
        lines, named = write_lines(dict(names), roots, spelling, known)
        for result, row in results:
            value = "zero" if result is None else named[result]
            if row == "g_x" and self.layer.line:
                value = f"spread2[i] * {value}"
            value = f"write({value})" if row.rstrip("0123456789") in STORED else value
            lines.append(f"{row}[i] {'+=' if row[0] == 's' else '='} {value}")
        body = "\n        ".join(lines) or "pass"
        used = _words(body) | {"x"}
        # `x` gives the number of elements, also if its values are not read.
        head = [each for each in rows if each in used]
        text = f"@njit(**apart)\ndef {name}({', '.join(head)}):\n    for i in range(x.size):\n        {body}\n\n"
        return text, f"{name}({', '.join(rows[each] for each in head)})"

    # --- around it

    def _spread(self, rows: Iterable[str]) -> dict[str, str]:
        """Return the values per channel of each row that needs them."""
        values = {}
        for row in rows:
            if row.startswith("spread"):
                values[row] = f"line{row[6:]}"
            elif row[0] == "f":
                axes, index = self.variant.axes[int(row[1:])], row[1:]
                first = f"places[{index}, 0]" + (" + t * C" if axes.steps else "")
                if axes.channels:
                    values[row] = f"part(factors, {first}, C)"
        return values

    def _over_steps(self, row: str) -> bool:
        """Return whether a row has values per time-step."""
        return row[0] == "f" and self.variant.axes[int(row[1:])].steps

    def _spreading(self, rows: Mapping[str, str], *, whole: bool) -> list[str]:
        """Return lines that spread values per channel over a period, or over the neurons of a block."""
        lines = []
        for row, values in rows.items():
            steps = self._over_steps(row)
            first, count, low = (
                ("t * spread_over" if steps else "0"),
                *(("spread_over", "int64(0)") if whole else ("n", "low")),
            )
            lines += ["for t in range(T):"] if steps else []
            lines.append(f"{'    ' * steps}spread({values}, part({row}, {first}, {count}), {low}, stride, C)")
        return lines

    def _setup(self, scalars: Sequence[object], rows: Mapping[str, str], *, sums: bool) -> list[str]:
        """Return the first lines of a kernel."""
        lines = [f"c{index} = scalars[{index}]" for index in range(len(scalars))]
        # `span` decides at run time whether values are spread over a whole period of channels.
        if rows or sums:
            lines.append("whole, spread_over = span(block, stride, C)")
        lines += [f"{row} = np.empty({'T * ' if self._over_steps(row) else ''}spread_over, number)" for row in rows]
        if rows:
            lines += ["if whole:", *_indented(self._spreading(rows, whole=True))]
        return lines

    def _begin(self, rows: Mapping[str, str], *, sums: bool) -> list[str]:
        """Return the first lines of a block."""
        lines = ["low = index * block", "n = min(block, N - low)"]
        if rows or sums:
            lines.append("p = low % (stride * C) if whole else 0")
        if rows:
            lines += ["if not whole:", *_indented(self._spreading(rows, whole=False))]
        for index in self.states:
            lines += self._first_row(f"v{index}", "start", index, f"rest[{index}]")
        return lines

    def _first_row(self, row: str, source: str, index: int, otherwise: str) -> list[str]:
        """Return lines that set a row to an initial state of the caller, or to a number."""
        if not self.variant.states:
            return [f"fill(part({row}, 0, n), {otherwise})"]
        value = f"{source}[{index} * N + low + i] if {source}.size else {otherwise}"
        return ["for i in range(n):", f"    {row}[i] = {value}"]

    def _last_row(self, row: str, target: str, index: int) -> list[str]:
        """Return lines that store a state, or its gradient."""
        if not self.variant.states:
            return []
        return [f"for i in range(n if {target}.size else 0):", f"    {target}[{index} * N + low + i] = {row}[i]"]

    def _inputs(self) -> dict[str, str]:
        """Return the rows of the inputs, which follow each other along time."""
        more = {f"x{leaf.leaf}": f"part(x, i + {leaf.leaf} * T * x_step, n)" for leaf in self.layer.more_inputs}
        return {"x": "part(x, i, n)", **more}

    def _fetches(self) -> list[str]:
        """Return lines that prefetch the inputs of the next block."""
        places = ["i", *(f"i + {leaf.leaf} * T * x_step" for leaf in self.layer.more_inputs)]
        return [f"    fetch(x, {place} + block, block)" for place in places]

    def forward(self) -> Kernel:
        """Return the kernel of the output, and of the states after the last time-step."""
        layer = self.layer
        names = self._names([layer.joined, *layer.after])
        spread = self._spread(names.rows)
        states = [f"v{index}" for index in self.states]
        rows = {**self._inputs(), "others": "part(others, j, n)", "y": "row", **_rows(states), **names.rows}
        results = [(layer.joined, "y"), *zip(layer.after, states, strict=True)]
        text, call = self._loop("charge", rows, names.names, results)
        lines = [*self._setup(names.scalars, spread, sums=False)]
        lines += [f"{state} = np.empty(block, number)" for state in states]
        lines += ["line = np.empty(block, y.dtype)", "past = streams(y, step)"]
        body = [
            *self._begin(spread, sums=False),
            "for t in range(T):",
            "    i, k = t * x_step + low, t * step + low",
            *self._fetches(),
            *(["    j = t * other_step + low", "    fetch(others, j + block, block)"] if "others" in call else []),
            "    if not past:",
            "        fetch(y, k + block, block)",
            "    row = part(line, 0, n) if past else part(y, k, n)",
            f"    {call}",
            "    if past:",
            "        stream(part(line, 0, n), y, k)",
        ]
        for index, state in enumerate(states):
            body += self._last_row(state, "final", index)
        return self._finished("forward", text, names, lines, body, ["past"])

    def backward(self, needs_grad: LayerNeedsGrad) -> Kernel:
        """Return the kernel of all gradients, and of the sums for them."""
        layer, plan = self.layer, plan_backward(self.layer, self.variant, needs_grad)
        names = self._names([*plan.roots, *layer.after], plan)
        if layer.line and needs_grad.x:
            names.rows["spread2"] = "part(spread2, p, n)"
        spread = self._spread(names.rows)
        v, g = ([f"{letter}{index}" for index in self.states] for letter in "vg")
        k = [f"k{index}" for index in range(len(plan.kept))]
        saved = {name: f"part({name}, r, n)" for name in k}
        rows = {**self._inputs(), **_rows(v), **saved, **names.rows}
        results = [*zip(plan.kept, k, strict=True), *zip(layer.after, v, strict=True)]
        text, charge = self._loop("charge", rows, names.names, results)
        sums = {f"s{index}": each for index, each in enumerate(plan.sums)}
        delayed = {f"s{index}": f"w{index}" for index, each in enumerate(plan.sums) if each.state is not None}
        rows = {**self._inputs(), **saved, "others": "part(others, e, n)", "g_y": "part(g_y, j, n)"}
        rows |= {f"g_x{leaf.leaf}": f"row_x{leaf.leaf}" for leaf in layer.more_inputs}
        rows |= {"g_others": "row_others", "g_x": "row", **_rows([*g, *delayed.values()]), **names.rows}
        rows |= {row: f"part({row}, {'t * block' if each.steps else '0'}, n)" for row, each in sums.items()}
        pull_names = names.names | {entry: f"{name}[i]" for entry, name in zip(plan.kept, k, strict=True)}
        pull_text, pull = self._loop("pull", rows, pull_names, plan.results, plan.kept)
        each_channel = [row for row, each in sums.items() if each.channels]
        lines = [
            *self._setup(names.scalars, spread, sums=bool(each_channel)),
            *(f"{name} = np.empty(block, number)" for name in [*v, *g, *delayed.values()]),
            *(f"{name} = np.empty(T * block, number)" for name in k),
        ]
        for row, each in sums.items():
            steps = "T * " if each.steps else ""
            lines.append(f"{row} = np.zeros({steps}block, number)")
            lines += [f"all_{row} = np.zeros({steps}spread_over)"] if each.channels else []
        written = [("g_x", "row", "line", "past", "step", "k", "")] if needs_grad.x else []
        for number in (leaf.leaf for leaf in layer.more_inputs if needs_grad.x):
            place = f"{number} * T * step + "
            written.append(("g_x", f"row_x{number}", f"line_x{number}", "past", "step", f"at_x{number}", place))
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
            body.append(f"    {charge}")
        for index, name in enumerate(g):
            body += self._first_row(name, "g_final", index, "zero")
        body += [f"fill(part({name}, 0, n), zero)" for name in delayed.values()]
        body += ["for t in range(T - 1, -1, -1):", "    i, r, j = t * x_step + low, t * block, t * g_step + low"]
        # Prefetch the rows of the next block, which is read at the same time-steps.
        body.append("    fetch(g_y, j + block, block)")
        for name, row, line, past, step, offset, place in written:
            body += [
                f"    {offset} = {place}t * {step} + low",
                f"    if not {past}:",
                f"        fetch({name}, {offset} + block, block)",
            ]
            body.append(f"    {row} = part({line}, 0, n) if {past} else part({name}, {offset}, n)")
        if "part(others" in pull:
            body += ["    e = t * other_step + low", "    fetch(others, e + block, block)"]
        body.append(f"    {pull}")
        for name, _, line, past, _, offset, _ in written:
            body += [f"    if {past}:", f"        stream(part({line}, 0, n), {name}, {offset})"]
        for index, name in enumerate(g):
            body += self._last_row(name, "g_start", index)
        end = self._ending(sums, delayed, body)
        kernel = self._finished("backward", text + pull_text, names, lines, body, [each[3] for each in written], end)
        return kernel._replace(sums=plan.sums, gain=plan.gain, derived=plan.derived)

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
        # Columns with one sum come first, followed by T columns for each sum per time-step.
        rows = [(row, each.steps) for row, each in sums.items() if each.channels]
        count = sum(not steps for _, steps in rows)
        places = iter(range(len(rows)))
        gathered, period_lines = list[str](), list[str]()
        for row, steps in sorted(rows, key=lambda each: each[1]):
            position = next(places)
            column_text = f"{count} + {position - count} * T + t" if steps else f"{position}"
            first, at, over = ("t * spread_over", "t * block", "t * spread_over + p") if steps else ("0", "0", "p")
            into = f"channel_sums[group], {{}}, stride, C, int64({column_text})"
            each_row = [
                f"move(part({row}, {at}, n), part(all_{row}, {over}, n))",
                f"gather(part(all_{row}, {first}, n), {into.format('low')})",
                f"gather(part(all_{row}, {first}, spread_over), {into.format('int64(0)')})",
            ]
            loop = ["for t in range(T):"] if steps else []
            moved, block, period = ([*loop, f"{'    ' * steps}{line}"] for line in each_row)
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
        return Kernel(rendered, arguments, tuple(names.scalars), self.layer.start)


def _rows(names: Sequence[str]) -> dict[str, str]:
    """Return the arguments for rows of scratch memory."""
    return {name: f"part({name}, 0, n)" for name in names}


def _words(text: str) -> set[str]:
    return {*re.findall(r"[a-z_]+[0-9]*", text)}


def _indented(lines: Iterable[str]) -> list[str]:
    return [f"    {line}" for line in lines]
