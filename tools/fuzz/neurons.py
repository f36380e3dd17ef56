"""Target: random neurons with equations, compared with plain PyTorch."""

from __future__ import annotations

from functools import lru_cache
from random import Random

from tests.laws.neuron_laws import check_against_plain, check_exports, check_numbers_decide
from tests.laws.random_neurons import RandomNeuron, random_neuron

SECONDS = 120.0
"""Processor time limit per neuron, including the compilation of new kernels."""
COMPILED, EXPORTED, DEEP = 0.02, 0.1, 0.2
"""Fractions of the neurons that run compiled kernels, are exported, and run at level 2."""


@lru_cache(8)
def _neuron(head: str) -> RandomNeuron:
    return random_neuron(head)


def numbered_text(seed: int, number: int) -> str:
    """Return a file that calls the neuron of a number. Its first line identifies the neuron."""
    head = f"# neuron {seed}/{number}"
    return f"{head}\n{_neuron(head).text(called=True)}"


def ask(text: str, random: Random) -> None:
    """Check a neuron."""
    if not text:
        return
    neuron = _neuron(text.partition("\n")[0])
    check_numbers_decide(neuron)
    check_against_plain(neuron, levels=(0, 1, 2) if random.random() < DEEP else (0, 1))
    if random.random() < COMPILED:
        check_against_plain(neuron, "fastest")
    if random.random() < EXPORTED:
        check_exports(neuron)
