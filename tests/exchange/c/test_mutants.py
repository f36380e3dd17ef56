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

import numpy as np
import pytest
import torch

import sewdsl
from sewdsl.exchange.write.c.run_file import find_compiler
from sewdsl.integers import InputScaling, IntegerFormat, build_integer_network
from tests.exchange.c.mutants import ADDRESSES, WIDEST, Trial, survivors
from tests.exchange.c.test_file import BODIES, TWO_OUTPUTS, WIDE, processor, wide
from tests.integers.zoo import NETWORKS, case

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
EQUIVALENT = {
    r"^attend: T products\[\d+\]; \[0: 65|^net_step: T \w+\[N\]; \[0: \+1|T numbers\[32\]; \[0: 33": "a longer array",
    r"NET_EVENTS\(.*\[[12]: \+1|copies\) \+ 32 \[3: 33|width\) \+ 1\) \[2: 2": "a longer list",
    r"NET_EVENTS\(.*\[4: -1": "sums of 16 bits are added to those of 32 bits one event earlier",
    r"\(N - .*& .*\[4: \+": "1 + a has the lowest bit of 1 - a",
    r"^conv_at: if \(!.*\[(0: \||6: 6)": "fewer channels without spikes are skipped at once",
    r"32767 : u; \[(0: <=|3: >=)|^net_limited: .*[<>]=\]$": "a limit is limited to itself",
    r"^pool_max: if \(n > .*\[0: >=|\[3: >=\]$|^step: .*\? t : t; \[0: [<>]=": "equal values are exchanged",
    r"^net_run: for \(int i = 1; .*\[0: 0": "the first output is compared with itself",
    r"^list_events: (if \(events->next < top|for \(; i \+ 32 <= stop.*\[(1: 33|2: <)\])": "others are listed later",
}
"""Patterns of mutants that compute the same, with the reasons."""
MAX_MISSED = 205
"""Largest number of other mutants that the networks of a deep run do not notice, which may only decrease.

Half of them select the number of vectors that are added at once, or belong to flushes and products that a file does not
have. Rounding terms of constants and limits need more values than these networks compute.
"""


def trials() -> Iterator[Trial]:
    """Yield the networks whose files are mutated, with few units per threshold."""
    for name in PLAIN:
        yield coarse(name)
    for index, neuron in enumerate(EQUATIONS):
        this = case("sums of currents, equations", index, COARSE, neuron=neuron)
        yield Trial(neuron, this.network, this.n)
    two = build_integer_network(sewdsl.compile(TWO_OUTPUTS, seed=0).eval())
    yield Trial("two outputs", two, np.random.default_rng(0).poisson(0.5, (3, 4, 8, 8, 2)))
    this = case("rows", 0, IntegerFormat(state_bits=16))
    yield Trial("potentials of 16 bits", this.network, this.n)
    yield classes()
    yield largest_sums()
    for name in PACKED:
        plain = coarse(name)
        yield replace(plain, name=f"{name}, packed", network=replace(plain.network, packed=True))
    network, n, _ = wide("sums that are stored", static=True)
    yield Trial("layers computed once", replace(network, hoist=True), n)
    for name in WIDE:
        network, n, _ = wide(name, static=name != "counts that are listed and multiplied")
        yield Trial(name, network, n, ("-DNET_LANES=8",))
        yield Trial(f"{name}, packed", replace(network, packed=True), n, ("-DNET_LANES=8",))
        if processor().issuperset(BODIES["avx512vbmi2"][1]):
            yield Trial(f"{name}, widest", network, n, WIDEST)


def classes() -> Trial:
    """Return a network whose outputs are its inputs, with each class and with equal outputs."""
    model = sewdsl.compile("FC4b0", input="4", steps=1, seed=0).eval()
    with torch.no_grad():
        model.get_parameter("fc1.weight").copy_(torch.eye(4))
    n = np.concatenate([np.eye(4, dtype=np.int64), np.ones((1, 4), np.int64), [[0, 1, 1, 0]]])
    return Trial("classes", build_integer_network(model), n.reshape(1, 6, 1, 1, 4))


def largest_sums() -> Trial:
    """Return a network whose sums exceed 16 bits unless they are flushed in time."""
    model = sewdsl.compile("c32k3b0-SN-FC3", input="32x5x5", steps=1, neuron="IF", seed=0).eval()
    with torch.no_grad():
        model.get_parameter("conv1.weight").fill_(1.0)
    network = build_integer_network(model, InputScaling(high=1))
    return Trial("largest sums", network, np.ones((1, 1, 5, 5, 32), np.int64), ("-DNET_LANES=8",))


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
    assert len(noticed) > 1300
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
        _run(trial, missed - noticed, noticed, missed, folder, *ADDRESSES)
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
