"""Random neurons as equations: the numbers of a call decide what they are, and they compute what PyTorch does."""

from hypothesis import given
from hypothesis import strategies as st

from tests.effort import examples
from tests.laws.neuron_laws import check_against_plain, check_exports, check_numbers_decide
from tests.laws.random_neurons import random_neuron

SEEDS = st.integers(0, 10**6)


@examples(40)
@given(SEEDS)
def test_a_call_is_the_definition_with_its_numbers(seed: int) -> None:
    check_numbers_decide(random_neuron(seed))


@examples(30)
@given(SEEDS)
def test_equations_are_those_of_plain_pytorch(seed: int) -> None:
    check_against_plain(random_neuron(seed))


@examples(8)
@given(SEEDS)
def test_exports_compute_the_same(seed: int) -> None:
    check_exports(random_neuron(seed))
