"""Random neurons as equations, called and by default, against plain PyTorch that evaluates their lines."""

from __future__ import annotations

from functools import lru_cache
from random import Random

from tests.laws.neuron_laws import check_against_plain, check_exports, check_numbers_decide
from tests.laws.random_neurons import RandomNeuron, random_neuron

SECONDS = 120.0
"""Processor time for each neuron, with the kernels that it is the first to need."""
COMPILED, EXPORTED, DEEP = 0.02, 0.1, 0.2
"""Parts of the neurons that compiled kernels run, that are exported, and that level 2 runs too."""


@lru_cache(8)
def _neuron(head: str) -> RandomNeuron:
    return random_neuron(head)


def numbered_text(seed: int, number: int) -> str:
    """The neuron of a number: called, in a file whose first line it follows from."""
    head = f"# neuron {seed}/{number}"
    return f"{head}\n{_neuron(head).text(called=True)}"


def ask(text: str, random: Random) -> None:
    """Everything about a neuron."""
    if not text:
        return
    neuron = _neuron(text.partition("\n")[0])
    check_numbers_decide(neuron)
    check_against_plain(neuron, levels=(0, 1, 2) if random.random() < DEEP else (0, 1))
    if random.random() < COMPILED:
        check_against_plain(neuron, "fastest")
    if random.random() < EXPORTED:
        check_exports(neuron)
