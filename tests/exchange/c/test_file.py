"""C files of integer networks compute every value and potential of the reference."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

import sewdsl
from sewdsl.analysis.memory_plan import BLOCKS
from sewdsl.exchange.write.c.run_file import SampleTrace, differing_steps, find_compiler, run_c, run_reference
from sewdsl.exchange.write.c.write_file import SampleVectors, write_c
from sewdsl.integers import IntegerFormat, NoIntegerLaw, build_integer_network
from tests.effort import factor
from tests.integers.zoo import EQUATIONS, NETWORKS, Case, case

pytestmark = pytest.mark.skipif(find_compiler() is None, reason="there is no C compiler")

WARNINGS = "-Wall", "-Wextra", "-Wconversion", "-pedantic", "-Werror", "-Wno-unused-function"
FORMATS = IntegerFormat(fraction_bits=4), IntegerFormat(), IntegerFormat(state_bits=16)
VARIANTS = range(3) if factor() > 1 else [0]


def cases() -> list[tuple[str, int]]:
    """Return each network in one of its variants, or in all variants in a deep run."""
    return [(name, (index + variant) % 3) for index, name in enumerate(NETWORKS) for variant in VARIANTS]


@pytest.mark.parametrize(("name", "variant"), cases())
def test_c_is_the_reference(name: str, variant: int) -> None:
    try:
        this = case(name, variant, FORMATS[variant])
    except NoIntegerLaw:
        # A threshold of fine currents needs 32 bits.
        assert FORMATS[variant].is_narrow
        this = case(name, variant)
    assert not differing_steps(this.network, run_c(this.network, this.n, ("-O1", *WARNINGS)), reference(this))


@pytest.mark.parametrize("neuron", EQUATIONS)
def test_equations(neuron: str) -> None:
    variant = EQUATIONS.index(neuron)
    this = case("sums of currents, equations", variant, neuron=neuron)
    trace = run_c(this.network, this.n, ("-O1", *WARNINGS))
    assert not differing_steps(this.network, trace, reference(this))
    (outputs,) = this.network.run(this.n).values()
    with torch.no_grad():
        expected = this.model(this.x).numpy() * (this.network.T if this.network.reduction == "mean" else 1)
    error = np.abs(outputs * this.network.readouts[0].unit - expected).mean()
    assert error <= 0.3 * np.abs(expected).mean()


def reference(this: Case) -> SampleTrace:
    return run_reference(this.network, this.n)


MUTATIONS = {
    "leak of another scale": (r">> 15", ">> 14"),
    "leak that rounds down": (r"\(1 << 14\)", "0"),
    "spikes above the threshold only": (r"u >= neuron", "u > neuron"),
    "no drift": (r" \+ drift\[c\];", ";"),
    "gain of another channel": (r"neuron->gain\)", "neuron->gain + 1)"),
    "reset to 0": (r"neuron->resets \? neuron->resets\[c\] : 0", "0"),
    "hard reset": (r"neuron->soft \?", "!neuron->soft ?"),
    "transposed window": (r"i \* w->row_step", "i * w->column_step + 0 * w->row_step"),
    "window without padding": (r"- w->left", "- w->left + 1"),
    "border of the other side": (r"rows_(\w+)\[y\]", r"rows_\1[0]"),
    "sum of the first channels": (
        r"for \(int32_t c = 0; c < inputs; c\+\+\)",
        "for (int32_t c = 0; c < inputs - 1; c++)",
    ),
}

MUTATED = ("rows", 0), ("groups, dilation, rectangles", 0), ("membrane shortcuts", 0), ("and", 1), ("iand", 0)


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_a_changed_constant_is_noticed(mutation: str) -> None:
    pattern, replacement = MUTATIONS[mutation]
    assert any(_notices(this, pattern, replacement) for this in _coarse_networks())


@cache
def _coarse_networks() -> list[Case]:
    """Networks with few units per threshold, so that potentials equal thresholds."""
    return [case(name, variant, IntegerFormat(weight_bits=3, fraction_bits=0)) for name, variant in MUTATED]


def _notices(this: Case, pattern: str, replacement: str) -> bool:
    source = write_c(this.network).source
    mutant = re.sub(pattern, replacement, source)
    if mutant == source:
        return False
    return bool(differing_steps(this.network, run_c(this.network, this.n, ("-O0",), mutant), reference(this)))


@pytest.mark.deep
def test_sanitizers_find_nothing() -> None:
    for name in NETWORKS:
        this = case(name, 0)
        flags = "-O2", "-fsanitize=undefined", "-fno-sanitize-recover=all"
        assert not differing_steps(this.network, run_c(this.network, this.n, flags), reference(this))


def test_values_that_live_together_do_not_share_memory() -> None:
    for name in NETWORKS:
        network = case(name, 0).network
        plan = network.memory
        values = [(BLOCKS[network.steps[index].format], value) for index, value in plan.values.items()]
        for position, (block, a) in enumerate(values):
            assert a.offset + a.size <= plan.sizes[block]
            for other, b in values[:position]:
                alive = a.first <= b.last and b.first <= a.last
                apart = a.offset + a.size <= b.offset or b.offset + b.size <= a.offset
                assert block != other or not alive or apart


def test_test_vectors(tmp_path: Path) -> None:
    this = case("rows", 1)
    (outputs,) = this.network.run(this.n).values()
    inputs = this.n.swapaxes(0, 1)
    file = write_c(this.network, "comment", SampleVectors(inputs, outputs))
    assert file.source == write_c(this.network, "comment", SampleVectors(inputs, outputs)).source
    assert file.header in file.source
    assert run_main(file.source, tmp_path) == (0, f"{len(outputs)} samples equal")
    wrong = write_c(this.network, "", SampleVectors(inputs, outputs + np.arange(5)))
    code, message = run_main(wrong.source, tmp_path)
    assert code == 1
    assert message == f"sample 0, output 1: expected {outputs[0, 1] + 1}, got {outputs[0, 1]}"


def run_main(source: str, folder: Path) -> tuple[int, str]:
    """Exit code and first words of the program in a file."""
    (folder / "net.c").write_text(source, encoding="utf-8")
    command = [find_compiler() or "", "-std=c99", "-O1", *WARNINGS, "-DNET_MAIN", "-o", "net", "net.c"]
    subprocess.run(command, cwd=folder, check=True)
    done = subprocess.run([str(folder / "net")], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.strip().partition(", ")[0] if not done.returncode else done.stdout.strip()


def test_several_outputs() -> None:
    network = build_integer_network(sewdsl.compile(TWO_OUTPUTS, seed=0).eval())
    n = np.random.default_rng(0).poisson(0.5, (3, 4, 8, 8, 2))
    trace = run_c(network, n)
    assert trace.outputs.shape == (4, 10)
    assert not differing_steps(network, trace, run_reference(network, n))


TWO_OUTPUTS = """sewdsl 1
input 2x8x8
steps 3
neuron IF
let s = c8k3-BN-SN
let a = s-GAP-FC4
let b = s-c4k3s2-BN-SN-FC6
outputs a b
"""
