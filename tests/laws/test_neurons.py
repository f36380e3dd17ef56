"""Random neurons compute what PyTorch does, as a call's numbers say; results of operations are in their ranges."""

from math import inf

from hypothesis import given
from hypothesis import strategies as st

from sewdsl.equations.operations import OPERATIONS, EquationRange
from tests.effort import examples
from tests.laws.neuron_laws import check_against_plain, check_exports, check_numbers_decide
from tests.laws.random_neurons import random_neuron

Operand = tuple[EquationRange, float]
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


@st.composite
def operands(draw: st.DrawFn) -> Operand:
    """Draw a range and a value in it."""
    whole = draw(st.booleans())
    values = st.integers(-9, 9).map(float) if whole else st.floats(-9, 9)
    low, between, high = sorted(draw(st.tuples(values, values, values)))
    value = draw(st.sampled_from((low, between, high)))
    ends = draw(st.sampled_from(((low, high), (low, high), (-inf, high), (low, inf), (-inf, inf))))
    return EquationRange(*ends, whole), value


@examples(300)
@given(st.tuples(operands(), operands(), operands()))
def test_values_of_operations_are_in_their_range(drawn: tuple[Operand, Operand, Operand]) -> None:
    for name, operation in OPERATIONS.items():
        ranges, values = zip(*drawn[: operation.arity], strict=True)
        if name == "clip":  # its bounds are numbers, the lower one first
            bounds = sorted(values[1:])
            ranges = (ranges[0], *(EquationRange(bound, bound, bound.is_integer()) for bound in bounds))
            values = (values[0], *bounds)
        try:
            value = operation.number(*values)
        except (ArithmeticError, ValueError):  # such as the logarithm of 0
            continue
        low, high, whole = operation.values(*ranges)
        # a bound that is NaN, as of inf - inf, says nothing
        inside = not (value < low or value > high) and (value.is_integer() or not whole)
        assert inside, f"{name} of {values} is {value}, not in [{low}, {high}] (whole: {whole}), that of {ranges}"
