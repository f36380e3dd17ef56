"""Source text of the CUDA kernels of neurons, for Triton.

A program of the grid processes tiles of neurons over time. Each lane is a neuron. Operations have the order of the
reference. Kernels must be compiled without fused multiply-adds (``enable_fp_fusion=False``), so that outputs are
bit-identical.

A backward kernel first recomputes the states. With few time-steps, the saved rows stay in registers. With many, they
are written to memory, the first row to that of the input gradient, which is read just before it is replaced.

Sums over neurons use single precision over the time-steps of a lane, and double precision otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from sewdsl.equations.operations import OPERATIONS
from sewdsl.equations.tape import STEP, TapeEntry, needed
from sewdsl.snn.kernels.neuron.plan_kernel import (
    NO_PLAN,
    BackwardPlan,
    KernelVariant,
    LayerNeedsGrad,
    Results,
    compose,
    ordered_leaves,
    plan_backward,
    write_lines,
)
from sewdsl.snn.kernels.render_kernels import render_cuda

INLINE_NUMBERS = {0.0: "0.0", 1.0: "1.0", 2.0: "2.0"}
"""Texts of the numbers that a kernel may contain, if the equations contain them."""
MAX_REGISTER_ROWS = 32
"""Largest number of saved rows over all time-steps that stay in registers."""
MAX_UNROLLED_LINES = 1500
"""Largest number of unrolled lines over all time-steps. Only rows of unrolled loops stay in registers."""
SPELLING = {name: operation.spelling.triton for name, operation in OPERATIONS.items()}
POINTERS = ("x", "others", "y", "g_y", "g_others", "g_x", "start", "final", "g_final", "g_start", "table")
POINTERS_OF_CHANNELS = ("weight", "bias", "mean", "rstd", "g_weight", "g_bias", "terms", "g_factors", "factors")
SIZES = ("x_step", "other_step", "g_step", "neurons", "rows", "inner", "C", "groups", "count", "T")
CONSTANTS = ("STARTS", "ENDS", "BATCH", "ROWS", "COLUMNS")


class CudaKernel(NamedTuple):
    """Text and arguments of CUDA kernels."""

    text: str
    """Module with the kernel ``forward``, or with ``backward`` and, after batch norm, ``conclude``."""
    arguments: dict[str, tuple[str, ...]]
    """Names of the arguments of each kernel: tensors, sizes, ``o0`` … for offsets of factors, ``c0`` … for numbers."""
    numbers: tuple[float, ...]
    """Values of ``c0`` …"""
    tiled: bool
    """Whether tiles have rows and columns (channels)."""
    saved: int = 0
    """Number of rows that a backward kernel saves in memory, as ``saved0`` …"""
    plan: BackwardPlan = NO_PLAN
    """Plan of a backward kernel."""

    @property
    def factors(self) -> tuple[int, ...]:
        """Indices of the factors with a gradient, in the order in which the kernels write them."""
        summed = [each.factor for each in self.plan.sums if each.factor is not None]
        return tuple(sorted([*summed, *(each.factor for each in self.plan.derived)]))


@lru_cache(maxsize=256)
def render_forward(variant: KernelVariant) -> CudaKernel:
    """Return the kernel ``forward``."""
    return _Writer(variant).forward()


@lru_cache(maxsize=256)
def render_backward(variant: KernelVariant, needs_grad: LayerNeedsGrad, steps: int) -> CudaKernel:
    """Return the kernels ``backward`` and ``conclude``.

    Args:
        variant: Variant of the forward kernel, with a surrogate.
        steps: Number of time-steps whose rows may stay in registers. 0: rows are saved in memory.
    """
    return _Writer(variant).backward(needs_grad, steps)


class _Writer:
    def __init__(self, variant: KernelVariant) -> None:
        self.variant, self.layer = variant, compose(variant)
        self.tiled = variant.norm or any(each.channels for each in variant.axes)
        self.shape = "[ROWS, COLUMNS]" if self.tiled else "[ROWS]"
        self.numbers, self.factors = list[float](), list[int]()
        self.v = [f"v{index}" for index in range(len(self.layer.law.states))]
        self.rest = [self._number(value) for value in self.layer.law.start]

    def _number(self, value: float) -> str:
        self.numbers.append(float(value))
        return f"c{len(self.numbers) - 1}"

    def _names(self, roots: Sequence[TapeEntry], plan: BackwardPlan | None = None) -> dict[TapeEntry, str]:
        layer, tape = self.layer, self.layer.law.output.tape
        names = {layer.raw: "x_now", layer.other: "other_now", tape.leaf("g_given"): "g_now"}
        names |= {leaf: f"x{leaf.leaf}_now" for leaf in layer.law.more_inputs}
        names |= dict(zip(layer.line, ("line0", "line1"), strict=False))
        for index, state in enumerate(layer.law.states):
            names[state], names[tape.leaf("g_state", index)] = f"v{index}", f"g{index}"
        if plan is not None:
            names |= {leaf: row for row, leaf in plan.later.items()}
        for entry in ordered_leaves(roots):
            if entry in layer.law.factors:
                self.factors.append(layer.law.factors.index(entry))
                names[entry] = f"f{self.factors[-1]}"
            elif entry.literal and entry.number in INLINE_NUMBERS:
                names[entry] = INLINE_NUMBERS[entry.number]
            elif entry.number is not None:
                names[entry] = self._number(entry.number)
        return names

    def _lines(
        self, names: dict[TapeEntry, str], results: Results, known: Sequence[TapeEntry] = ()
    ) -> tuple[list[str], dict[str, str]]:
        """Return the lines of a time-step, and the expressions of its results by row."""
        lines, named = write_lines(names, [entry for entry, _ in results if entry is not None], SPELLING, known)
        values = {}
        for entry, row in results:
            value = "zeros" if entry is None else named[entry]
            # Constants and factors have to be broadcast to all lanes.
            values[row] = f"(zeros + {value})" if entry is not None and entry.level < STEP else value
        return lines, values

    def _inputs(self) -> list[tuple[str, str, TapeEntry]]:
        """Return the name, the stride between time-steps and the entry of each input."""
        more = ((f"x{leaf.leaf}", "x_step", leaf) for leaf in self.layer.law.more_inputs)
        return [("x", "x_step", self.layer.raw), *more]

    # --- around a time-step

    def _setup(self) -> list[str]:
        """Return lines that load values shared by all tiles and time-steps."""
        lines = []
        if self.tiled:
            lines += ["column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)", "known = column < C"]
        if self.variant.norm:
            lines.append("line0, line1 = line(weight, bias, mean, rstd, C, COLUMNS)")
        return [*lines, *self._factor_loads(steps=False), f"zeros = tl.zeros({self.shape}, tl.float32)"]

    def _factor_loads(self, *, steps: bool) -> list[str]:
        """Return lines that load the factors with, or without, a value per time-step."""
        lines = []
        for index in dict.fromkeys(self.factors):
            axes = self.variant.axes[index]
            if axes.steps == steps:
                over = "t * C" if axes.channels else "t"
                first = f"factors + o{index}{f' + {over}' if steps else ''}"
                load = f"tl.load({first} + column, known, 0.0)" if axes.channels else f"tl.load({first})"
                lines.append(f"f{index} = {load}.to(tl.float32){'[None, :]' if axes.channels else ''}")
        return lines

    def _tile(self) -> list[str]:
        """Return lines that compute the memory offsets of a tile."""
        if self.tiled:
            return ["place, inside = places(tile, rows, inner, C, ROWS, COLUMNS)"]
        return ["place = tl.cast(tile, tl.int64) * ROWS + tl.arange(0, ROWS)", "inside = place < rows"]

    def _first(self, name: str, condition: str, source: str, index: int, otherwise: str) -> list[str]:
        """Return lines that set a name to an initial state of the caller, or to a number."""
        lines = [f"{name} = zeros + {otherwise}"]
        if self.variant.states:
            lines += [f"if {condition}:", f"    {name} = tl.load({_of_state(source, index)} + place, inside, 0.0)"]
        return lines

    def _starts(self, states: Iterable[int]) -> list[str]:
        """Return lines that set states to those before the first time-step."""
        return [line for each in states for line in self._first(self.v[each], "STARTS", "start", each, self.rest[each])]

    # --- kernels

    def forward(self) -> CudaKernel:
        """Return the kernel of the output, and of the states after the last time-step."""
        layer = self.layer
        roots = [layer.joined, *layer.law.after]
        lines, values = self._lines(
            self._names(roots), [(layer.joined, "y"), *zip(layer.law.after, self.v, strict=True)]
        )
        sequences = [*self._inputs(), ("others", "other_step", layer.other)]
        used = needed(roots, STEP)
        read = [(name, step) for name, step, entry in sequences if entry in used]
        loads = [f"{_now(name)} = {_load(f'{name}_at')}" for name, _ in read]
        moves = [f"{name}_at += {step}" for name, step in (*read, ("y", "neurons"))]
        body = ["tile = tl.program_id(0)", *self._tile(), *self._setup(), *self._starts(range(len(self.v)))]
        body += [f"{name}_at = {_begin(name, 'tl.cast(T, tl.int64)')} + place" for name, _ in (*read, ("y", ""))]
        step = [*loads, *self._factor_loads(steps=True), *lines, _store("y_at", values.pop("y"), "y")]
        body += ["for t in range(T):", *_indented([*step, *_assigned(values), *moves])]
        if self.variant.states:
            for index, name in enumerate(self.v):
                body += ["if ENDS:", f"    tl.store({_of_state('final', index)} + place, {name}, inside)"]
        return self._finished({"forward": body}, set())

    def backward(self, needs_grad: LayerNeedsGrad, steps: int) -> CudaKernel:
        """Return the kernel of all gradients and sums, and the kernel that adds sums."""
        layer, plan = self.layer, plan_backward(self.layer, self.variant, needs_grad)
        names = self._names([*plan.roots, *layer.law.after], plan)
        rows = range(len(plan.kept))
        charging = [
            *zip(plan.kept, (f"n{index}" for index in rows), strict=True),
            *zip(layer.law.after, self.v, strict=True),
        ]
        charge, charged = self._lines(names, charging)
        kept = {entry: f"k{index}" for index, entry in enumerate(plan.kept)}
        pull, pulled = self._lines(names | kept, plan.results, plan.kept)
        lines = (len(charge) + len(pull)) * steps
        # Triton keeps tuples in registers only if the loop is unrolled. Long unrolled loops compile slowly.
        unrolled = 0 < lines <= MAX_UNROLLED_LINES and len(rows) * steps <= MAX_REGISTER_ROWS
        loop = "tl.static_range(T)" if unrolled else "range(T)"
        gains = [f"f{each}" if isinstance(each, int) else self._number(each) for each in plan.gain]
        self.factors += [each for each in plan.gain if isinstance(each, int)]
        setup = self._setup()
        if self.variant.norm and needs_grad.x:
            setup.append(f"scale = {' * '.join(['line0', *gains])}")
        body = [*self._tile(), *self._starts(range(len(self.v)))]
        for name, _, _ in self._inputs():
            first = f"{_begin(name)} + place"
            body.append(f"{name}_at = {first}{'' if self.v else ' + all_steps * x_step'}")
        body += [f"kept{index} = ()" if unrolled else f"saved{index}_at = saved{index} + place" for index in rows]
        if self.v:
            step = [f"{name}_now = {_load(f'{name}_at')}" for name, _, _ in self._inputs()]
            step += [*self._factor_loads(steps=True), *charge, *_assigned(charged)]
            for index in rows:
                step += (
                    [f"kept{index} = kept{index} + (n{index},)"]
                    if unrolled
                    else [f"tl.store(saved{index}_at, n{index}, inside)", f"saved{index}_at += neurons"]
                )
            step += [f"{name}_at += x_step" for name, _, _ in self._inputs()]
            body += [f"for t in {loop}:", *_indented(step)]
            # Threads of a program may read rows that other threads wrote.
            body += [] if unrolled else ["tl.debug_barrier()"]
        body += self._way_back(plan, needs_grad, pull, pulled, loop)
        functions = {"backward": self._over_tiles(plan, setup, body)}
        if self.variant.norm and plan.sums:
            functions["conclude"] = self._conclude(plan, gains)
        kernel = self._finished(functions, {"T"} if unrolled else set())
        return kernel._replace(saved=0 if unrolled else len(rows), plan=plan)

    def _way_back(
        self, plan: BackwardPlan, needs_grad: LayerNeedsGrad, pull: Sequence[str], pulled: dict[str, str], loop: str
    ) -> list[str]:
        """Return the lines of a tile from the last time-step to the first."""
        layer, sums = self.layer, {f"s{index}": each for index, each in enumerate(plan.sums)}
        used = needed(plan.roots, STEP, plan.kept)
        read = [("g_y", "g_step"), *([("others", "other_step")] if layer.other in used else [])]
        written = [
            f"g_{name}" for name in (*(name for name, _, _ in self._inputs()), "others") if f"g_{name}" in pulled
        ]
        lines = []
        for index in range(len(self.v)):
            lines += self._first(f"g{index}", "ENDS", "g_final", index, "0.0")
        lines += [f"{row} = zeros" for row, each in sums.items() if not each.steps]
        lines += [f"{row} = zeros" for row in plan.later]
        lines += [f"{name}_at = {name} + place + last * {step}" for name, step in read]
        lines += [f"{name}_at = {_begin(name, step='neurons')} + place + last * neurons" for name in written]
        step = []
        for index in range(len(plan.kept)):
            if "static" in loop:
                step.append(f"k{index} = kept{index}[T - 1 - back]")
            else:
                step += [f"saved{index}_at -= neurons", f"k{index} = tl.load(saved{index}_at, inside, 0.0)"]
        for name, _, leaf in self._inputs():
            step += [f"{name}_at -= x_step", f"{name}_now = {_load(f'{name}_at')}"] if leaf in used else []
        step += [f"{_now(name)} = {_load(f'{name}_at')}" for name, _ in read]
        factors = self._factor_loads(steps=True)
        step += [*(["t = T - 1 - back"] if factors or any(each.steps for each in plan.sums) else []), *factors, *pull]
        for name in written:
            value = pulled.pop(name)
            tensor = name.rstrip("0123456789")
            step.append(_store(f"{name}_at", f"({value} * scale)" if name == "g_x" and layer.line else value, tensor))
        for row, each in sums.items():
            value = pulled.pop(row)
            if each.steps:
                address = f"entry + ({self._column(plan, row)} + t){' * C + column' if self.tiled else ''}"
                total = f"tl.sum(tl.where(inside, {value}, 0.0), 0).to(tl.float64)"
                # Each program adds to its own entries, so the order of additions is fixed.
                step.append(f"tl.atomic_add({address}, {total}{', known' if self.tiled else ''})")
            else:
                step.append(f"{row} += {value}")
        step += _assigned(pulled)
        step += [f"{name}_at -= {size}" for name, size in (*read, *((name, "neurons") for name in written))]
        lines += [f"for back in {loop}:", *_indented(step)]
        delayed = {f"s{index}": each.state for index, each in enumerate(plan.sums) if each.state is not None}
        # Delayed products with the states before the first time-step are still missing.
        lines += self._starts(dict.fromkeys(delayed.values()))
        lines += [f"{row} += w{row[1:]} * {self.v[state]}" for row, state in delayed.items()]
        if needs_grad.start:
            for index in range(len(self.v)):
                lines.append(f"tl.store({_of_state('g_start', index)} + place, g{index}, inside)")
        return lines

    def _over_tiles(self, plan: BackwardPlan, setup: Sequence[str], body: Sequence[str]) -> list[str]:
        """Return the lines of a backward kernel: a loop over tiles if it sums over each channel."""
        summed = [f"s{index}" for index, each in enumerate(plan.sums) if not each.steps]
        lines = ["group = tl.program_id(0)", "last, all_steps = tl.cast(T - 1, tl.int64), tl.cast(T, tl.int64)", *setup]
        width = " * C" if self.tiled else ""
        lines += [f"entry = table + tl.cast(group, tl.int64) * ({self._column(plan)}){width}"] if plan.sums else []
        # Without sums over channels, a program has one tile, and the host adds its sums.
        if not (self.tiled and plan.sums):
            sums = (f"tl.store(entry + {self._column(plan, row)}, tl.sum({_wide_sum(row)}, 0))" for row in summed)
            return [*lines, "tile = group", *body, *sums]
        lines += ["groups, tiles = tl.num_programs(0), tl.cast(tl.cdiv(rows, ROWS), tl.int64)"]
        lines += [f"all_{row} = tl.zeros({self.shape}, tl.float64)" for row in summed]
        body = [*body, *(f"all_{row} += {_wide_sum(row)}" for row in summed)]
        lines += ["for tile in range(tiles * group // groups, tiles * (group + 1) // groups):", *_indented(body)]
        return [*lines, *(f"put(all_{row}, entry, {self._column(plan, row)}, C, COLUMNS)" for row in summed)]

    @staticmethod
    def _column(plan: BackwardPlan, row: str = "") -> str:
        """Return the offset of a sum in the entries of a group, or the number of entries."""
        before = plan.sums[: int(row[1:])] if row else plan.sums
        steps = sum(each.steps for each in before)
        return f"{len(before) - steps}{f' + {steps} * T' if steps else ''}"

    def _conclude(self, plan: BackwardPlan, gains: Sequence[str]) -> list[str]:
        """Return lines that compute gradients of channels, and the terms of batch norm's statistics, from sums."""
        groups = f"groups, {self._column(plan)}, C, ROWS, COLUMNS"
        lines = ["column = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)", "known = column < C"]
        lines += ["scale, shift = tl.load(rstd + column, known, 0.0), tl.load(mean + column, known, 0.0)"]
        lines += ["a = tl.load(weight + column, known, 0.0) * scale"]
        lines += ["b = tl.load(bias + column, known, 0.0) - shift * a"] if plan.derived else []
        lines += [f"{name} = gathered(table, {index}, {groups})" for index, name in enumerate(("ones", "products"))]
        values = {each.factor: "a * products + b * ones" if each.current else "ones" for each in plan.derived}
        # Offset of the next factor in g_factors, as an expression of T.
        first = "0"
        for factor_index in sorted([*values, *(each.factor for each in plan.sums if each.factor is not None)]):
            index = next((index for index, each in enumerate(plan.sums) if each.factor == factor_index), None)
            if index is None:
                lines.append(f"tl.store(g_factors + ({first}) * C + column, {values[factor_index]}, known)")
                first += " + 1"
                continue
            column, steps = self._column(plan, f"s{index}"), plan.sums[index].steps
            count, indent = ("T", "    ") if steps else ("1", "")
            lines += [f"for t in range({count}):"] if steps else []
            entry = f"{column} + t" if steps else column
            row = f"({first}{' + t' if steps else ''})"
            lines.append(f"{indent}tl.store(g_factors + {row} * C + column, gathered(table, {entry}, {groups}), known)")
            first += f" + {count}"
        for gain in gains:
            if gain[0] == "f":
                axes = self.variant.axes[int(gain[1:])]
                at = f"factors + o{gain[1:]}"
                load = f"tl.load({at} + column, known, 0.0)" if axes.channels else f"tl.load({at})"
                lines.append(f"{gain} = {load}.to(tl.float32)")
            # In single precision, as in the loop.
            lines.append(f"gains = tl.zeros([COLUMNS], tl.float32) + {gain}")
            lines.append("ones, products = gains * ones, gains * products")
        lines += ["products = (products - shift * ones) * scale"]
        lines += [
            f"tl.store({name} + column, {value}.to({name}.dtype.element_ty), known)"
            for name, value in (("g_weight", "products"), ("g_bias", "ones"))
        ]
        lines += ["if BATCH:", "    p = (-(a * scale) * (products / count)).to(tl.float32)"]
        lines += ["    tl.store(terms + column, p, known)"]
        return [*lines, "    tl.store(terms + C + column, (-a * (ones / count) - p * shift).to(tl.float32), known)"]

    def _finished(self, functions: dict[str, list[str]], constants: set[str]) -> CudaKernel:
        text, arguments = "", dict[str, tuple[str, ...]]()
        for name, lines in functions.items():
            used = {*re.findall(r"\w+", "\n".join(lines))}
            saved = [f"saved{index}" for index in range(len(used))]
            numbered = [
                *(f"o{factor_index}" for factor_index in range(len(self.variant.axes))),
                *(f"c{n}" for n in range(len(self.numbers))),
            ]
            each = [*POINTERS, *saved, *POINTERS_OF_CHANNELS, *numbered, *SIZES, *CONSTANTS]
            # Arguments are the known names that the lines read without assigning them.
            bound = {word for line in lines for word in re.findall(r"\w+", line.partition(" = ")[0]) if " = " in line}
            arguments[name] = tuple(word for word in each if word in used - bound)
            typed = (f"{word}: tl.constexpr" if word in {*CONSTANTS, *constants} else word for word in arguments[name])
            body = "\n".join(_indented(lines))
            text += f"@triton.jit\ndef {name}({', '.join(typed)}):\n{body}\n\n"
        return CudaKernel(render_cuda("cuda_channels", text), arguments, tuple(self.numbers), self.tiled)


def _of_state(tensor: str, index: int) -> str:
    """Return the address of a state in a tensor of states."""
    return f"{tensor} + tl.cast(neurons, tl.int64) * {index}" if index else tensor


def _now(sequence: str) -> str:
    """Return the name of a sequence's value at the current time-step."""
    return {"others": "other_now", "g_y": "g_now"}.get(sequence, f"{sequence}_now")


def _begin(sequence: str, steps: str = "all_steps", step: str = "x_step") -> str:
    """Return the address of a sequence. Those of inputs follow each other: ``x1`` begins after all time-steps of x."""
    tensor = sequence.rstrip("0123456789")
    tensor_index = sequence.removeprefix(tensor)
    return f"{tensor} + {tensor_index} * {steps} * {step}" if tensor_index else tensor


def _load(address: str) -> str:
    return f"tl.load({address}, inside, 0.0).to(tl.float32)"


def _store(address: str, value: str, tensor: str) -> str:
    return f"tl.store({address}, {value}.to({tensor}.dtype.element_ty), inside)"


def _wide_sum(row: str) -> str:
    return f"tl.where(inside, {row}, 0.0).to(tl.float64)"


def _assigned(values: dict[str, str]) -> list[str]:
    """Return a line that assigns all values together."""
    # Values may depend on the previous values of the names.
    return [f"{', '.join(values)} = {', '.join(values.values())}"] if values else []


def _indented(lines: Iterable[str]) -> list[str]:
    return [f"    {line}" for line in lines]
