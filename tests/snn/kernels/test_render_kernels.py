"""Kernels rendered from templates: nothing is left to fill in, and branches and tapes are those of the variant."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator
from functools import cache
from itertools import product

import pytest

from sewdsl.snn.kernels import render_kernels
from sewdsl.snn.kernels.render_kernels import NeuronKernelVariant, NormKernelVariant

SLOPE = "mul u u; exp t0"
JOINS = ("", "add s z", "mul s z")
RESETS = ("hard", "soft")
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
        yield render_kernels.render_pack(stored, bits)
        yield render_kernels.render_unpack(stored, bits)
    yield render_kernels.render_max_pool(stored)
    yield render_kernels.render_statistics(stored)
    yield render_kernels.render_statistics_terms(stored)
    for flag in FLAGS:
        yield render_kernels.render_max_pool_backward(stored, overlap=flag)
    for reset in RESETS:
        yield render_kernels.render_neurons(stored, reset)
        for detach, *wants in product(flags, repeat=3):
            yield render_kernels.render_neurons_backward(NeuronKernelVariant(stored, reset, detach, SLOPE, *wants))
        for join in JOINS:
            yield render_kernels.render_norm_neurons(stored, reset, join)
            for detach, wants_all in product(flags, repeat=2):
                variant = NormKernelVariant(stored, reset, detach, SLOPE, join, *[wants_all] * 4)
                yield render_kernels.render_norm_neurons_backward(variant)


def lines(text: str, function: str) -> list[str]:
    """The lines of a function without its first one."""
    (found,) = (node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef) and node.name == function)
    return [line.strip() for line in ast.unparse(found.body).splitlines()]  # type: ignore[arg-type]


@pytest.mark.parametrize("stored", render_kernels.WIDTHS)
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
    texts = "\n".join(text for stored in render_kernels.WIDTHS for text in cpu_texts(stored))
    for template in ("channels", "cpu_neuron", "cpu_norm_neuron", "max_pool", "number_formats", "packed_bits"):
        defined = {node.name for node in parse_template(template).body if isinstance(node, ast.FunctionDef)}
        assert {name for name in defined if f"def {name}(" not in texts} == set()


def test_tapes_are_functions_of_the_variant() -> None:
    functions = {node.name for node in parse_template("variant").body if isinstance(node, ast.FunctionDef)}
    assert functions == render_kernels.TAPE_RESULTS.keys()


def test_branches_and_tapes_of_neurons() -> None:
    variant = NeuronKernelVariant("float32", "soft", False, SLOPE, True, False)  # noqa: FBT003
    assert lines(render_kernels.render_neurons_backward(variant), "pull") == [
        "for i in range(charged.size):",
        "h = charged[i]",
        "u = h - v_threshold",
        "s = (one if u >= zero else zero) + (u - u)",
        "t0 = u * u",
        "t1 = exp(t0)",
        "slope = t1",
        "g_h = (read(g_spikes[i]) - g[i] * v_threshold) * slope + g[i]",
        "g_x[i] = write(gain * g_h)",
        "g[i] = decay * g_h",
    ]


def test_branches_and_tapes_of_joins() -> None:
    assert lines(render_kernels.render_norm_neurons("float32", "hard", "mul s z"), "fire")[-4:] == [
        "z = read(others[i])",
        "y0 = s * z",
        "y[i] = write(y0)",
        "v[i] = h * (one - s) + v_reset * s",
    ]
    assert "y[i] = write(s)" in lines(render_kernels.render_norm_neurons("float32", "hard", ""), "fire")


def test_branches_and_tapes_of_cuda_kernels() -> None:
    """Their other branches are Triton's to decide."""
    text = render_kernels.render_cuda_neurons("abs u; less t0 1.0")
    assert lines(text, "slope") == ["t0 = tl.abs(u)", "t1 = tl.where(t0 < 1.0, 1.0, 0.0)", "return t1"]
    assert "if WANTS_X:" in lines(text, "step_back")
    assert "if WANTS_FACTORS:" in lines(text, "backward")
