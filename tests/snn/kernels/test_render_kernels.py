"""Kernels rendered from templates: nothing is left to fill in, and branches and tapes are those of the variant."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator
from functools import cache
from itertools import product

import pytest

from sewdsl.equations.step import LinearConstants
from sewdsl.snn.kernels import render_kernels
from sewdsl.snn.kernels.neuron import write_triton
from sewdsl.snn.kernels.neuron.plan_kernel import FactorAxes, KernelVariant, LayerNeedsGrad
from sewdsl.snn.kernels.neuron.write_numba import render_backward, render_forward

SLOPE = "mul u u; exp t0"
STORED = ("float64", "float32", "bfloat16", "float16")
JOINS = ("", "add s z", "mul s z")
RESETS = (0.0, None)
FLAGS = (False, True)


def parse_template(name: str) -> ast.Module:
    return ast.parse((render_kernels.TEMPLATES / f"{name}.py").read_text(encoding="utf-8"))


@cache
def cpu_texts(stored: str) -> tuple[str, ...]:
    """Every CPU kernel for float32; for the others, whose numbers are read and written otherwise, one of each form."""
    return tuple(_cpu_texts(stored))


def _cpu_texts(stored: str) -> Iterator[str]:
    flags = FLAGS if stored == "float32" else FLAGS[1:]
    for bits in (1, 2, 4, 8):
        for function in ("pack", "unpack"):
            yield render_kernels.render_kernel("packed_bits", function, stored, BITS=bits)
    yield render_kernels.render_kernel("max_pool", "forward", stored)
    for function in ("statistics", "settle"):
        yield render_kernels.render_kernel("statistics", function, stored)
    for flag in FLAGS:
        yield render_kernels.render_kernel("max_pool", "backward", stored, WINDOWS_OVERLAP=flag)
    for reset, norm, join in product(RESETS, FLAGS, JOINS):
        if join and not norm:
            continue
        for detach, wants_all in product(flags, repeat=2):
            variant = neuron(reset, detach=detach, norm=norm, join=join, stored=stored)
            yield render_forward(variant).text
            yield render_backward(
                variant, LayerNeedsGrad(wants_all, wants_all, wants_all, wants_all, wants_all and bool(join))
            ).text


def neuron(
    v_reset: float | None,
    *,
    detach: bool,
    norm: bool = False,
    join: str = "",
    stored: str = "float32",
    slope: str = SLOPE,
) -> KernelVariant:
    """A neuron that learns its decay for each time-step, and its gain."""
    law = LinearConstants(None, None, 0.0, 0.0, 1.0, v_reset, detach_reset=detach).text()
    axes = FactorAxes(channels=True, steps=True), FactorAxes(channels=False, steps=False)
    return KernelVariant(stored, law, axes, SLOPE, norm, join, not norm)


def lines(text: str, function: str) -> list[str]:
    """The lines of a function without its first one."""
    (found,) = (node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef) and node.name == function)
    return [line.strip() for line in ast.unparse(found.body).splitlines()]  # type: ignore[arg-type]


@pytest.mark.parametrize("stored", STORED)
def test_nothing_is_left_to_fill_in(stored: str) -> None:
    """Each name in a CPU kernel is bound there, or is a builtin, or is ``CACHE``, which the cache of kernels sets."""
    for text in cpu_texts(stored):
        nodes = list(ast.walk(ast.parse(text)))
        names = [node for node in nodes if isinstance(node, ast.Name)]
        bound = {node.id for node in names if isinstance(node.ctx, ast.Store)} | {"CACHE"}
        for node in nodes:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                bound.add(node.name)
            elif isinstance(node, ast.arg):
                bound.add(node.arg)
            elif isinstance(node, ast.alias):
                bound.add(node.asname or node.name)
        assert {node.id for node in names} - bound <= set(dir(builtins)), text


def test_every_definition_is_used() -> None:
    texts = "\n".join(text for stored in STORED for text in cpu_texts(stored))
    for template in ("channels", "statistics", "max_pool", "number_formats", "packed_bits"):
        defined = {node.name for node in parse_template(template).body if isinstance(node, ast.FunctionDef)}
        assert {name for name in defined if f"def {name}(" not in texts} == set()


def test_a_time_step_of_neurons() -> None:
    """The gradient is that of the tape, and scalars are named in the order of their use."""
    law = LinearConstants(0.5, 0.5, 0.0, 0.0, 1.0, None, detach_reset=False).text()
    variant = KernelVariant("float32", law, (), SLOPE, False, "", False)  # noqa: FBT003 -- neither norm nor states
    wanted = LayerNeedsGrad(x=True, start=False, channels=False, factors=False, other=False)
    assert lines(render_backward(variant, wanted).text, "pull") == [
        "for i in range(x.size):",
        "t0 = k0[i]",
        "t1 = read(g_y[i])",
        "t2 = g0[i]",
        "t3 = t2 * c2",
        "t4 = t1 - t3",
        "t5 = t0 * t0",
        "t6 = exp(t5)",
        "t7 = t4 * t6",
        "t8 = t2 + t7",
        "t9 = t8 * c1",
        "t10 = t8 * c0",
        "g0[i] = t10",
        "g_x[i] = write(t9)",
    ]


def test_numbers_and_learned_factors_share_a_kernel() -> None:
    texts = set()
    for decay, axes in ((0.5, ()), (None, (FactorAxes(channels=False, steps=False),))):
        law = LinearConstants(decay, 0.5, 0.0, 0.0, 1.0, 0.0, detach_reset=True).text()
        texts.add(render_forward(KernelVariant("float32", law, axes, "", True, "add s z", False)).text)  # noqa: FBT003
    assert len(texts) == 1


def test_joins_of_neurons() -> None:
    text = lines(render_forward(neuron(0.0, detach=True, norm=True, join="mul s z")).text, "charge")
    (product,) = (line for line in text if line == "t17 = t1 * t12")
    assert f"y[i] = write({product[:3]})" in text


def test_cuda_kernels_compute_the_same_lines() -> None:
    """The text of a time-step differs in the names of rows and in the spelling of operations only."""
    law = LinearConstants(0.5, 0.5, 0.0, 0.0, 1.0, None, detach_reset=False).text()
    variant = KernelVariant("float32", law, (), SLOPE, False, "", False)  # noqa: FBT003 -- neither norm nor states
    wanted = LayerNeedsGrad(x=True, start=False, channels=False, factors=False, other=False)
    text = lines(write_triton.render_backward(variant, wanted, 4).text, "backward")
    first = text.index("for back in tl.static_range(T):")
    assert text[first + 1 : first + 15] == [
        "k0 = kept0[T - 1 - back]",
        "g_now = tl.load(g_y_at, inside, 0.0).to(tl.float32)",
        "t0 = k0",
        "t1 = g0 * c3",
        "t2 = g_now - t1",
        "t3 = t0 * t0",
        "t4 = tl.exp(t3)",
        "t5 = t2 * t4",
        "t6 = g0 + t5",
        "t7 = t6 * c2",
        "t8 = t6 * c1",
        "tl.store(g_x_at, t7.to(g_x.dtype.element_ty), inside)",
        "g0 = t8",
        "g_y_at -= g_step",
    ]
    assert "T: tl.constexpr" in write_triton.render_backward(variant, wanted, 4).text
    assert "tl.store(saved0_at, n0, inside)" in write_triton.render_backward(variant, wanted, 0).text
