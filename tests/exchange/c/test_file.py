"""C files of integer networks compute every value and potential of the reference."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import sewdsl
from sewdsl.exchange.write.c.run_file import (
    SEEN,
    SampleTrace,
    differing_steps,
    driver,
    find_compiler,
    run_c,
    run_reference,
)
from sewdsl.exchange.write.c.write_file import SampleVectors, write_c
from sewdsl.integers.build import InputScaling, IntegerFormat, build_integer_network
from sewdsl.integers.network import IntegerNetwork
from sewdsl.integers.steps.functions import Rescaled
from sewdsl.integers.value import Integers
from sewdsl.train.fit.integer_run import to_integers
from tests.effort import factor
from tests.exchange.c.batch import run_batch
from tests.integers.zoo import EQUATIONS, NETWORKS, Case, case, trained

pytestmark = pytest.mark.skipif(find_compiler() is None, reason="there is no C compiler")

WARNINGS = "-Wall", "-Wextra", "-Wconversion", "-pedantic", "-Werror", "-Wno-unused-function"
PLAIN = "-DNET_LANES=0"
BODIES = {
    "plain": ((PLAIN,), ()),
    "default": ((), ()),
    "avx2": (("-mavx2",), ("avx2",)),
    "avx512": (("-mavx512bw", "-mavx512vl"), ("avx512bw", "avx512vl")),
    "avx512vbmi2": (("-mavx512bw", "-mavx512vl", "-mavx512vbmi2"), ("avx512bw", "avx512vl", "avx512_vbmi2")),
}
"""Flags of the compiler by instruction set, and the flags of processors that have it."""
FORMATS = IntegerFormat(fraction_bits=4), IntegerFormat(), IntegerFormat(state_bits=16)
VARIANTS = range(3) if factor() > 1 else [0]


def cases() -> list[tuple[str, int]]:
    """Return each network in one of its variants, or in all variants in a deep run."""
    return [(name, (index + variant) % 3) for index, name in enumerate(NETWORKS) for variant in VARIANTS]


@pytest.mark.parametrize(("name", "variant"), cases())
def test_c_is_the_reference(name: str, variant: int) -> None:
    this = case(name, variant, FORMATS[variant])
    assert not differing_steps(this.network, run_c(this.network, this.n, ("-O1", *WARNINGS)), reference(this))


def test_every_function_is_used() -> None:
    for name in NETWORKS:
        source = write_c(case(name, 1).network).source
        for function in re.findall(r"^static (?:inline )?\w+ (\w+)\(", source, re.MULTILINE):
            assert len(re.findall(rf"\b{function}\b", source)) > 1, (name, function)


def test_memory_is_the_size_of_the_state(tmp_path: Path) -> None:
    files, headers, sizes = [], "", ""
    for number, (name, hoist, packed) in enumerate(product(NETWORKS, (False, True), (False, True))):
        network = replace(case(name, number // 4 % 3).network, hoist=hoist, packed=packed)
        files.append(write_c(network))
        header = re.sub(r"\bnet_", f"net{number}_", re.sub(r"\bNET_", f"NET{number}_", files[-1].header))
        headers += header
        sizes += f'    printf("%zu\\n", sizeof(net{number}_state));\n'
    source, program = tmp_path / "sizes.c", tmp_path / "sizes"
    source.write_text(f"#include <stdio.h>\n{headers}int main(void) {{\n{sizes}    return 0;\n}}\n", encoding="utf-8")
    subprocess.run([find_compiler() or "", "-std=c99", "-o", program, source], check=True)
    printed = subprocess.run([program], check=True, capture_output=True, text=True).stdout
    assert [file.ram for file in files] == [*map(int, printed.split())]
    assert all(0 <= file.values < file.ram for file in files)


@cache
def processor() -> frozenset[str]:
    """Flags of this processor, if the system lists them."""
    info = Path("/proc/cpuinfo")
    match = re.search(r"^flags\s*: (.*)$", info.read_text(), re.MULTILINE) if info.exists() else None
    return frozenset(match[1].split() if match else ())


WIDE = {
    "outputs of all numbers of vectors": "c40k3-BN-SN-c264k1-BN-SN-c72k3s2-BN-SN-c33k3-BN-SN-FC35",
    "counts that are listed and multiplied": "c32k3-BN-SN-{ADD[c32k3-BN-SN | id]}*5-c16k5s2-BN-SN-FC40",
    "sums that are stored": "c32k3-BN-SN-c64k3s2-BN-ADD[id | id]-MPk2-SN-ADD[c64k3-BN | id]-SN-GAP-FC300",
}
"""Networks with at least as many outputs as a vector has, and with sums that exceed 16 bits."""


@cache
def wide(name: str, *, static: bool) -> tuple[IntegerNetwork, Integers, SampleTrace]:
    """Network, input and results of the reference."""
    options: dict[str, Any] = {"input": "3x9x9", "steps": 3, "encode": "direct" if static else "none", "neuron": "LIF"}
    model = trained(sewdsl.compile(WIDE[name], seed=0, **options), 0)
    network = build_integer_network(model, InputScaling.of_pixels([0.3] * 3, [0.2] * 3) if static else None)
    random = np.random.default_rng(0)
    n = random.integers(0, 256, (2, 9, 9, 3)) if static else random.poisson(0.4, (3, 2, 9, 9, 3))
    return network, n, run_reference(network, n)


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("name", WIDE)
def test_vectors_compute_the_values_of_plain_c(name: str, body: str) -> None:
    flags, needed = BODIES[body]
    if not processor().issuperset(needed):
        pytest.skip(f"this processor has no {body}")
    network, n, expected = wide(name, static=len(flags) % 2 == 1)
    assert not differing_steps(network, run_c(network, n, ("-O1", *flags, *WARNINGS)), expected)


def test_layers_before_the_first_neurons_are_computed_once() -> None:
    network, n, expected = wide("sums that are stored", static=True)
    hoisted = replace(network, hoist=True)
    assert hoisted.memory.hoisted
    assert hoisted.state_size > network.state_size
    source = write_c(hoisted).source
    assert not differing_steps(hoisted, run_c(hoisted, n, ("-O1", *WARNINGS)), expected)
    late = source.replace("if (!state->started) {", "if (state->started) {")
    assert differing_steps(hoisted, run_c(hoisted, n, ("-O1",), late), expected)


def test_spikes_are_bits() -> None:
    bytes_ = [case(name, index % 3) for index, name in enumerate(NETWORKS)]
    bits = [this._replace(network=replace(this.network, packed=True)) for this in bytes_]
    for flags in ((PLAIN,), ()):
        for this, trace in zip(bits, run_batch(bits, ("-O0", *WARNINGS, *flags)), strict=True):
            assert not differing_steps(this.network, trace, reference(this))
    for before, after in zip(bytes_, bits, strict=True):
        sizes = write_c(before.network).ram, write_c(after.network).ram
        assert sizes[1] == after.network.state_size < sizes[0]
    # Where all values are spikes, only the sums that are read out are not bits.
    assert (bits[2].network.memory.sizes, bytes_[2].network.memory.sizes) == (
        {"bytes": 432, "halves": 5},
        {"bytes": 3456, "halves": 5},
    )


def test_currents_outside_their_measured_range_saturate() -> None:
    this = case("rectified", 1)._replace(n=np.full((4, 1, 12, 12, 2), 5))
    limits = {i: s.limit for i, s in enumerate(this.network.steps) if isinstance(s, Rescaled) and s.limit}

    def saturated(network: IntegerNetwork) -> list[int]:
        counts = dict.fromkeys(limits, 0)

        def watch(_t: int, index: int, value: Integers) -> None:
            if index in limits:
                counts[index] += int((np.abs(value) == limits[index]).sum())

        network.run(this.n, watch)
        return [*counts.values()]

    other = saturated(this.network)
    assert len(limits) == 3
    assert all(other)
    # Rounded weights can change a spike.
    assert 10 * sum(saturated(this.calibrated().network)) < sum(other)
    assert _notices(this, r"n > limit \? limit : ", "")
    assert not _notices(this, "n > limit ", "n >= limit ")


BIT_MUTATIONS = {
    "eight channels skipped at one spike": (r"!values\[\(element\) >> 3\]", "1"),
    "a spike of the neighbour": (r">> \(\(i\) & 7\) & 1\)", ">> ((i) & 6) & 1)"),
    "old spikes kept": (r"& ~\(1 << \(\(i\) & 7\)\)", ""),
}


@pytest.mark.parametrize("mutation", BIT_MUTATIONS)
def test_a_changed_bit_is_noticed(mutation: str) -> None:
    this = case("sums of spikes, pools", 0)
    assert _notices(this._replace(network=replace(this.network, packed=True)), *BIT_MUTATIONS[mutation])


ARM = "arm-linux-gnueabihf-gcc"


@pytest.mark.skipif(not shutil.which(ARM) or not shutil.which("qemu-arm"), reason=f"there is no {ARM} or qemu-arm")
@pytest.mark.parametrize("flags", [("-mfpu=neon",), ("-mthumb", PLAIN)])
def test_arm(flags: tuple[str, ...], tmp_path: Path) -> None:
    network, n, expected = wide("counts that are listed and multiplied", static=False)
    data = ", ".join(map(str, n.swapaxes(0, 1).ravel()))
    size = n[:, 0].size
    main = f"""#include <stdio.h>
    static const uint8_t in[] = {{{data}}};
    int main(void) {{
        static int32_t logits[{expected.outputs.size}];
        static uint32_t sums[{expected.checksums.size}];
        drive(in, {len(expected.outputs)}, {size}, logits, sums);
        for (int i = 0; i < {expected.outputs.size}; i++) printf("%ld ", (long)logits[i]);
        for (int i = 0; i < {expected.checksums.size}; i++) printf("%lu ", (unsigned long)sums[i]);
    }}"""
    (tmp_path / "net.c").write_text(SEEN + write_c(network).source + driver(network) + main, encoding="utf-8")
    subprocess.run([ARM, "-std=c99", "-O2", *flags, "-static", "-o", "net", "net.c"], cwd=tmp_path, check=True)
    done = subprocess.run(
        [shutil.which("qemu-arm") or "", str(tmp_path / "net")], capture_output=True, text=True, check=True
    )
    numbers = np.array(done.stdout.split(), np.int64)
    outputs, sums = np.split(numbers, [expected.outputs.size])
    trace = SampleTrace(
        outputs.reshape(expected.outputs.shape), sums.astype(np.uint32).reshape(expected.checksums.shape)
    )
    assert not differing_steps(network, trace, expected)


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
    "leak of another scale": (r">> 15\);", ">> 14);"),
    "leak that rounds down": (r"\(1 << 14\)", "0"),
    "leak without the low bits": (r"u & 32767", "0"),
    "spikes above the threshold only": (r"u >= neuron", "u > neuron"),
    "no drift": (r" \+ drift\[c\];", ";"),
    "another gain": (r"neuron->gain \+", "(neuron->gain + 1) +"),
    "gain of the first channel": (r"neuron->gains\[c\]", "neuron->gains[0]"),
    "reset to 0": (r"neuron->resets\[c\] :", "0 :"),
    "hard reset": (r"u - neuron->thresholds\[c\] :", "0 :"),
    "border of the other side": (r"rows_(\w+)\[y\]", r"rows_\1[0]"),
    "transposed window": (r"i \* w->row_step", "i * w->column_step + 0 * w->row_step"),
    "window without padding": (r"- w->left", "- w->left + 1"),
    "sum of the first channels": (
        r"for \(int32_t c = 0; c < inputs; c\+\+\)",
        "for (int32_t c = 0; c < inputs - 1; c++)",
    ),
}
VECTOR_MUTATIONS = {
    "counts listed once": (r"values\[element\] > k", "values[element] > 0 && !k"),
    "weights of the first row": (r"\(i \* w->columns - left\)", "(0 * w->columns - left)"),
    "events without the last position": (r"\? w->width : right", "? w->width - 1 : right"),
    "counts as spikes": (r"\(int\d+_t\)values\[\*event\]", "1"),
}

MUTATED = (
    ("rows", 0),
    ("groups, dilation, rectangles", 0),
    ("membrane shortcuts", 0),
    ("and", 1),
    ("iand", 0),
)


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_a_changed_constant_is_noticed(mutation: str) -> None:
    pattern, replacement = MUTATIONS[mutation]
    assert any(_notices(this, pattern, replacement) for this in _coarse_networks())


@pytest.mark.parametrize("mutation", VECTOR_MUTATIONS)
def test_a_changed_kernel_with_vectors_is_noticed(mutation: str) -> None:
    network, n, expected = wide("counts that are listed and multiplied", static=False)
    source = write_c(network).source
    mutant = re.sub(*VECTOR_MUTATIONS[mutation], source)
    assert mutant != source
    assert differing_steps(network, run_c(network, n, ("-O0", "-DNET_LANES=8"), mutant), expected)


@cache
def _coarse_networks() -> list[Case]:
    """Networks with few units per threshold, so that potentials equal thresholds."""
    return [case(name, variant, IntegerFormat(weight_bits=3, fraction_bits=0)) for name, variant in MUTATED]


def _notices(this: Case, pattern: str, replacement: str) -> bool:
    source = write_c(this.network).source
    mutant = re.sub(pattern, replacement, source)
    if mutant == source:
        return False
    return bool(differing_steps(this.network, run_c(this.network, this.n, ("-O0", PLAIN), mutant), reference(this)))


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
        values = [*plan.values.values()]
        for position, a in enumerate(values):
            assert a.offset + a.size <= plan.sizes[a.block]
            for b in values[:position]:
                alive = a.first <= b.last and b.first <= a.last
                apart = a.offset + a.size <= b.offset or b.offset + b.size <= a.offset
                assert a.block != b.block or not alive or apart


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


@pytest.mark.parametrize("encode", ["", "encode int direct", "encode direct"])
def test_several_inputs(encode: str, tmp_path: Path) -> None:
    model = trained(sewdsl.compile(TWO_INPUTS.format(encode=encode), seed=0), 0)
    network = build_integer_network(model)
    random = np.random.default_rng(0)
    ns = {step.name: random.poisson(1.0, (*[3] * (not step.static), 4, *step.value.shape)) for step in network.inputs}
    xs = {
        name: torch.from_numpy(np.moveaxis(n, -1, -3).reshape(*n.shape[:-3], *shape).copy()).double()
        for (name, n), shape in zip(ns.items(), [(2, 6, 6), (3, 5)], strict=True)
    }
    x = to_integers(xs, network)
    trace = run_c(network, x, ("-O1", *WARNINGS))
    assert not differing_steps(network, trace, run_reference(network, x))
    with torch.no_grad():
        expected = 3 * model(xs).numpy()
    # A rounded weight can change a spike.
    assert np.median(np.abs(trace.outputs * network.readouts[0].unit - expected)) < 0.02 * np.abs(expected).max()
    file = write_c(network, "", SampleVectors(network.by_sample(x), trace.outputs))
    assert "(net_state *state, const uint8_t *in_int, const uint8_t *in_right, int32_t *outputs);" in file.header
    assert run_main(file.source, tmp_path) == (0, "4 samples equal")
    moved = re.sub(r"k \* size \+ [1-9]\d*", "k * size + 0", file.source)
    assert run_main(moved, tmp_path)[0] == 1


TWO_INPUTS = """sewdsl 1
input int 2x6x6
input right 3x5
steps 3
{encode}
neuron IF
let a = int-c8k3-BN-SN-GAP-FC6-BN
let b = right-c4k3-BN-SN-FC6-BN
body CAT[a-SN | b-SN]-FC4
"""
TWO_OUTPUTS = """sewdsl 1
input 2x8x8
steps 3
neuron IF
let s = c8k3-BN-SN
let a = s-GAP-FC4
let b = s-c4k3s2-BN-SN-FC6
outputs a b
"""
