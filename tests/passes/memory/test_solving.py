"""The cheapest set that meets all needs, compared with every set there is."""

from itertools import chain, combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sewdsl.passes.memory.choose_recomputation import SavingTarget, min_cost_cover
from tests.effort import examples

THINGS = range(6)


@st.composite
def problems(draw: st.DrawFn) -> tuple[dict[int, int], list[SavingTarget]]:
    costs = {thing: draw(st.integers(0, 50)) for thing in THINGS}
    needs = []
    for _ in range(draw(st.integers(0, 4))):
        some = draw(st.sets(st.sampled_from(THINGS)))
        sizes = {thing: draw(st.integers(1, 9)) for thing in sorted(some)}
        needs.append(SavingTarget(sizes, draw(st.integers(-2, 25))))
    return costs, needs


@examples(50)
@given(problems())
def test_beside_every_set(problem: tuple[dict[int, int], list[SavingTarget]]) -> None:
    costs, needs = problem
    sets = chain.from_iterable(combinations(THINGS, count) for count in range(len(THINGS) + 1))
    enough = [some for some in sets if all(sum(n.sizes.get(i, 0) for i in some) >= n.bytes for n in needs)]
    found = min_cost_cover(costs, needs)
    if not enough:
        assert found is None
        return
    assert found is not None
    assert tuple(sorted(found)) in enough
    best = min(sum(costs[i] for i in some) for some in enough)
    assert sum(costs[i] for i in found) <= best * 1.001


@pytest.mark.parametrize("scale", [1, 10**12])
def test_of_any_size(scale: int) -> None:
    needs = [SavingTarget({0: 2 * scale, 1: 3 * scale, 2: 4 * scale}, 5 * scale)]
    assert min_cost_cover({0: 5 * scale, 1: 5 * scale, 2: 6 * scale}, needs) == frozenset({0, 1})
