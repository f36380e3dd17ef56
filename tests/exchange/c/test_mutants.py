"""Tests notice each changed number and operator of the code in C files: kernels, and what is written for a layer.

A deep run judges all mutants, with a few networks for each kernel and layer. Other runs judge a sample.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import sewdsl
from sewdsl.exchange.write.c.run_file import find_compiler
from sewdsl.integers.build import InputScaling, IntegerFormat, build_integer_network
from sewdsl.integers.network import IntegerNetwork, Readout
from sewdsl.integers.steps import functions
from sewdsl.integers.steps.equations import EquationStep, Instruction, Instructions
from sewdsl.integers.steps.neuron import Drift, IntegerNeuron
from sewdsl.integers.steps.step import DelayStep, InputStep, Step
from sewdsl.integers.steps.weighted import Window
from sewdsl.integers.value import LIMITS, IntegerValue
from sewdsl.snn.batch_norm import BatchNorm
from tests.exchange.c.mutants import ADDRESSES, WIDEST, Trial, survivors
from tests.exchange.c.test_file import BODIES, TWO_OUTPUTS, WIDE, processor, wide
from tests.integers.zoo import NETWORKS, case, trained

pytestmark = pytest.mark.skipif(
    find_compiler() is None or not sys.platform.startswith("linux"), reason="there is no C compiler, or no fork"
)

COARSE = IntegerFormat(weight_bits=3, fraction_bits=0)
"""Few units per threshold, so that potentials equal thresholds."""
ONE_OF = 12
SAMPLED = "rows", "iand", "attention"
PLAIN = (
    *("rows", "iand", "groups, dilation, rectangles", "attention", "transposed", "maxima of negative norms"),
    *("membrane shortcuts", "delays of delays", "gates of tokens", "upsampling", "reshaped", "tokens", "or"),
    *("numbers of each time-step", "loops of currents", "neurons with two inputs", "concatenation, maximum"),
    *("padded averages", "maxima of currents"),
)
LIVELY = (
    *("attention", "gates of tokens", "loops of currents", "or", "reshaped", "tokens"),
    "c4k3-BN-MPk3s1p1-SN-APk3s1p1-c5k3-BN-SN-FC5",
    "c9k3-BN-SN-IF(v_threshold=1.5)-ADD[DELAY2 | DELAY-DELAY2]-c15k3-BN-SN-c9k3-BN-MPk2-SN-FC5",
    "c8k3-BN-SN-MPk2-Reshape(9x4x8)-c5k3-BN-SN-FC5",
    "c6k3-BN-SN-ADD[c6k3-BN | id]-SN-FC5",
)
LIVELY_PACKED = (*LIVELY[4:6], *LIVELY[7:], "c9k3-BN-IF(v_threshold=9.0)-c9k3-BN-SN-FC5")
EQUATIONS = "KLIF", "ALIF", "ILIF(D=4)", "Ternary"
PACKED = (
    "iand",
    "groups, dilation, rectangles",
    "attention",
    "maxima of currents",
    "delays of delays",
    "tokens",
    "upsampling",
)
NUMBERS_OF_OUTPUTS = (
    "c9k3-BN-SN-c8k3-BN-SN-c15k3s2-BN-SN-c20k3-BN-SN-c12k1-BN-SN-c31k3-BN-SN-FC14",
    "c60k3-BN-SN-c124k1-BN-SN-FC60",
)
"""Networks with each rest of outputs that a smaller number of vectors computes."""
EQUIVALENT = {
    r"^attend: T products\[\d+\]; \[0: 65|^net_step: T \w+\[N\]; \[0: \+1|T numbers\[32\]; \[0: 33|sums\[8\]; \[0: 9": (
        "a longer array"
    ),
    r"NET_EVENTS\(.*\[[12]: \+1|width\) \+ 1\) \[2: 2": "a longer list",
    r"NET_EVENTS\(.*\[4: -1": "sums of 16 bits are added to those of 32 bits one event earlier",
    r"\(N - .*& .*\[4: \+": "1 + a has the lowest bit of 1 - a",
    r"^conv_at: if \(!.*\[(0: \||6: 6)": "fewer channels without spikes are skipped at once",
    r"32767 : u; \[(0: <=|1: 32767|3: >=|4: 32766)|^limited_int32: .*[<>]=\]$": "a limit is limited to itself",
    r"^pool_max: if \(n > .*\[0: >=|^step: .*\? t : t; \[0: [<>]=": "equal values are exchanged",
    r"^net_step: .* \? \w+\[i\] : (v\[i\]\)|N)\); \[3: >=": "equal values are exchanged",
    r"^conv_events_vectors: const T (first = .*\[(0: <=|1: 1|3: >=)|\*const pause = .*\[1: >=)": (
        "equal values are exchanged"
    ),
    r"^net_run: for .*NET_CLASSES.*\[0: -1": "the first output is compared with itself",
    r"^conv_events: for \(; o \+ (2 .*\[(1: 3|6: 1)|4 .*\[(1: 5|6: 3)|8 .*\[(1: 9|6: 7))\]$": "fewer vectors at once",
    r"^conv_events: for \(; o \+ .*\[(3: 9|4: <|7: \+|8: 7)\]$": "fewer vectors at once, or the same sums again",
    r"^conv_events: for \(; o \+ 2 \* 8 .*\[(9|10): -\]$": "o is 0",
    r"^conv_events: o = o \+ .*\[(1: 9|2: >=)\]$": "equal values are exchanged",
    r"^list_events: (if \(events->next < top|for \(; i \+ 32 <= stop.*\[(1: 33|2: <)\])": "others are listed later",
}
"""Patterns of mutants that compute the same, with the reasons."""
MAX_MISSED = 0
"""Largest number of other mutants that the networks of a deep run do not notice."""


def trials() -> Iterator[Trial]:
    """Yield the networks whose files are mutated, with few units per threshold."""
    yield halves()
    yield limits()
    for name in PLAIN:
        yield coarse(name)
    for index, neuron in enumerate(EQUATIONS):
        this = case("sums of currents, equations", index, COARSE, neuron=neuron)
        yield Trial(neuron, this.network, this.n)
    for name in LIVELY:
        yield lively(name)
    for name in LIVELY_PACKED:
        yield lively(name, packed=True)
    two = build_integer_network(sewdsl.compile(TWO_OUTPUTS, seed=0).eval())
    yield Trial("two outputs", two, np.random.default_rng(0).poisson(0.5, (3, 4, 8, 8, 2)))
    this = case("rows", 0, IntegerFormat(state_bits=16))
    yield Trial("potentials of 16 bits", this.network, this.n)
    yield classes()
    yield largest_sums()
    yield largest_counts()
    for name in PACKED:
        plain = coarse(name)
        yield replace(plain, name=f"{name}, packed", network=replace(plain.network, packed=True))
    network, n, _ = wide("sums that are stored", static=True)
    yield Trial("layers computed once", replace(network, hoist=True), n)
    for text in NUMBERS_OF_OUTPUTS:
        yield lively(text, ("-DNET_LANES=8",))
    for name in WIDE:
        network, n, _ = wide(name, static=name != "counts that are listed and multiplied")
        yield Trial(name, network, n, ("-DNET_LANES=8",))
        yield Trial(f"{name}, packed", replace(network, packed=True), n, ("-DNET_LANES=8",))
        if processor().issuperset(BODIES["avx512vbmi2"][1]):
            yield Trial(f"{name}, widest", network, n, WIDEST)
    if processor().issuperset(BODIES["avx512vbmi2"][1]):
        yield lively("c63k3-BN-SN-c40k3-BN-SN-FC35", WIDEST)


def classes() -> Trial:
    """Return a network whose outputs are its inputs, with each class and with equal outputs."""
    model = sewdsl.compile("FC4b0", input="4", steps=1, seed=0).eval()
    with torch.no_grad():
        model.get_parameter("fc1.weight").copy_(torch.eye(4))
    n = np.concatenate([np.eye(4, dtype=np.int64), np.ones((1, 4), np.int64), [[0, 1, 1, 0]]])
    return Trial("classes", build_integer_network(model), n.reshape(1, 6, 1, 1, 4))


def largest_sums() -> Trial:
    """Return a network whose sums exceed 16 bits unless they are flushed in time."""
    return of_ones("largest sums", "c32k3b0-SN-c32k3b0-SN-c16k3b0-SN-FC3")


def largest_counts() -> Trial:
    """Return a network whose lists of events are full, with two events for each input."""
    return of_ones("largest counts", "c32k3b0-SN-ADD[c32k3b0-SN | id]-c32k3b0-SN-FC3")


def of_ones(name: str, text: str) -> Trial:
    """Return a network whose inputs and spikes are 1, as the weights of all but one channel of each convolution."""
    model = sewdsl.compile(text, input="32x5x5", steps=1, neuron="IF(v_reset=none)", seed=0).eval()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim == 4:
                weight.fill_(1.0)
                weight[-1] = torch.linspace(0.5, 1.0, weight[-1].numel()).view_as(weight[-1])
    network = build_integer_network(model, InputScaling(high=1))
    return Trial(name, network, np.ones((1, 1, 5, 5, 32), np.int64), ("-DNET_LANES=8",))


def limits() -> Trial:
    """Return a network whose potentials are the limits of 16 bits, and numbers next to them."""
    model = sewdsl.compile("FC8b0-SN-FC3b0", input="4", steps=1, neuron="IF(v_reset=none)", seed=0).eval()
    network = build_integer_network(model, formats=IntegerFormat(state_bits=16))
    ((index, step),) = network.neurons
    assert isinstance(step, IntegerNeuron)
    drift = Drift(np.concatenate([np.arange(32766, 32770), -np.arange(32767, 32771)]))
    dynamics = replace(step.dynamics, drift=drift, threshold=np.full(8, 32767))
    neuron = replace(step, dynamics=dynamics, bound=2**20)
    steps = (*network.steps[:index], neuron, *network.steps[index + 1 :])
    return Trial("limits", replace(network, steps=steps), np.zeros((1, 1, 1, 1, 4), np.int64))


def halves() -> Trial:
    """Return a network that rounds products with 3 and 5 to multiples of 8."""
    shape, factors = (2, 3, 8), np.array([3, 5, -3, -5, 3, 5, -3, -5])
    count, wide = IntegerValue(shape, 0, 255), IntegerValue(shape, -1000, 1000)
    steps: list[Step] = [
        InputStep("in", (), count, static=False),
        functions.Elementwise("count", (0,), count, "rectify"),
        DelayStep("delay", (1,), count, 1),
        functions.Rescaled("rounded", (1,), wide, (factors,), 3),
        functions.Rescaled("delayed", (2,), wide, (factors,), 3),
        functions.Rescaled("limited", (1,), wide, (factors,), 3, 50),
        functions.Rescaled("delayed_limited", (2,), wide, (factors,), 3, 50),
        functions.Rescaled("both", (1, 2), wide, (factors, factors[::-1]), 3),
        functions.Elementwise("rectified", (3,), wide, "rectify"),
    ]
    for least in LIMITS["int8"][0], LIMITS["int16"][0]:
        value = IntegerValue(shape, least, 64)
        steps.append(functions.Rescaled(f"least{-least}", (0,), value, (np.tile([least // 64, 1], 4),), 1))
        steps.append(functions.Pooled(f"max{-least}", (len(steps) - 1,), value, "max", (1, 1), Window()))
    lines: list[Instruction] = []
    for source in "x", "b", "v0", "t0":
        for constants in np.full(8, 3), np.full(8, -3), factors:
            lines.append(Instruction(f"t{len(lines)}", "scale", (source,), (constants,), 3))
    lines.append(Instruction(f"t{len(lines)}", "reaches", ("x",), (np.full(8, 30),)))
    targets = [line.target for line in lines]
    start = (np.zeros(8, np.int64),) * len(lines)
    instructions = Instructions(tuple(lines), targets[-1], ("x", *targets[:-1]), start, (Drift(np.arange(8) - 3),))
    steps.append(EquationStep("neurons", (3,), IntegerValue(shape, 0, 1), 32, 2**20, instructions))
    readouts = (Readout("", len(steps) - 1, np.zeros(48, np.int64), 1.0),)
    network = IntegerNetwork("halves", tuple(steps), readouts, 4, static=False, reduction="sum")
    n = np.random.default_rng(0).integers(0, 129, (4, 40, *shape))
    n[:, :2] = np.reshape([0, 128], (2, 1, 1, 1))
    return Trial("halves", network, n)


def lively(name: str, flags: tuple[str, ...] = Trial.flags, *, packed: bool = False) -> Trial:
    """Return a network with many spikes in each channel, also after delays.

    Args:
        name: Name of a network, or its text.
    """
    text, settings = NETWORKS.get(name, (name, {}))
    options: dict[str, Any] = {"input": "2x12x12", "steps": 6, "neuron": "IF(v_reset=none)", "encode": "none"}
    model = trained(sewdsl.compile(text, seed=0, **options | settings), 0)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, BatchNorm):
                module.weight.abs_().clamp_(min=0.5)
                module.bias.abs_().add_(0.3)
    network = build_integer_network(model, formats=IntegerFormat(weight_bits=4, fraction_bits=2))
    n = np.random.default_rng(0).poisson(0.7, (network.T, 6, *network.steps[0].value.shape))
    return Trial(name, replace(network, packed=packed), n, flags)


@pytest.mark.parametrize("trial", [classes, largest_sums], ids=lambda trial: trial.__name__)
def test_files_without_mutants_compute_the_reference(trial: Callable[[], Trial], tmp_path: Path) -> None:
    # The program asserts equal values and the class of the first largest output.
    assert not survivors(trial(), [], tmp_path)


def coarse(name: str) -> Trial:
    this = case(name, [*NETWORKS].index(name) % 3, COARSE)
    return Trial(name, this.network, this.n)


def test_a_sample_of_mutants_is_noticed(tmp_path: Path) -> None:
    noticed: set[str] = set()
    missed: set[str] = set()
    for trial in map(coarse, SAMPLED):
        sample = {key for key in trial.mutants if not sha256(key.encode()).digest()[0] % ONE_OF and not reason(key)}
        noticed_here, missed_here = judge([trial], sample, tmp_path)
        noticed |= noticed_here
        missed |= missed_here
    # Three networks do not compute all that others do.
    assert len(noticed) > 2 * len(missed - noticed), missed - noticed


@pytest.mark.deep
def test_all_mutants_are_noticed(tmp_path: Path) -> None:
    noticed, missed = judge(trials(), None, tmp_path)
    assert len(noticed) > 1400
    assert not [key for key in noticed if reason(key)]
    unknown = sorted(key for key in missed if not reason(key))
    assert len(unknown) <= MAX_MISSED, "\n".join(unknown)


def reason(key: str) -> str:
    return next((why for pattern, why in EQUIVALENT.items() if re.search(pattern, key)), "")


def judge(trials: Iterable[Trial], keys: set[str] | None, folder: Path) -> tuple[set[str], set[str]]:
    """Return the keys of the mutants that are noticed in a trial, and of those that are not.

    Args:
        keys: Keys to judge, or None for all.
    """
    seen: list[Trial] = []
    noticed: set[str] = set()
    missed: set[str] = set()
    for trial in trials:
        seen.append(trial)
        _run(trial, (trial.mutants.keys() if keys is None else keys) - noticed, noticed, missed, folder)
    # Mutants that only read or write beyond an array.
    for trial in seen:
        _run(trial, {key for key in missed - noticed if not reason(key)}, noticed, missed, folder, *ADDRESSES)
    return noticed, missed - noticed


def _run(trial: Trial, keys: set[str], noticed: set[str], missed: set[str], folder: Path, *flags: str) -> None:
    """Judge mutants in a trial, each in four places at most."""
    chosen = [each for key in keys & trial.mutants.keys() for each in list(dict.fromkeys(trial.mutants[key]))[:4]]
    if chosen:
        left = [each.key for each in survivors(trial, chosen, folder, *flags)]
        tried = [each.key for each in chosen]
        unnoticed = {key for key in left if left.count(key) == tried.count(key)}
        missed |= unnoticed
        noticed |= {*tried} - unnoticed
