"""Fixes are applied together where none touches what another one changes."""

from hypothesis import example, given
from hypothesis import strategies as st

from sewdsl.cli.check import _check_spec, _fix
from sewdsl.compiler.fixing import apply_fixes
from sewdsl.diagnostics import Diagnostic, Edit, Fix
from sewdsl.source import Source, Span
from tests.effort import examples
from tests.syntax.strategies import fragments
from tools.fuzz.damaged import numbered_text
from tools.fuzz.fixing_law import check_fixes

SOURCE = Source("t", "abcdefghij")
spans = st.tuples(st.integers(0, 10), st.integers(0, 3)).map(lambda at: (at[0], min(sum(at), 10)))


def said(span: tuple[int, int], text: str, *, safe: bool = True) -> Diagnostic:
    place = Span(SOURCE, *span)
    fix = Fix("mend", (Edit(place, text),), safe=safe)
    return Diagnostic("some-code", "wrong", place, fixes=(fix,))


@given(st.lists(spans, max_size=8))
def test_of_fixes_that_meet_the_first_is_applied(places: list[tuple[int, int]]) -> None:
    taken: list[tuple[int, int, int]] = []
    for number, (start, end) in enumerate(places):
        if all(start != low and (end <= low or high <= start) for low, high, _ in taken):
            taken.append((start, end, number))
    wanted = SOURCE.text
    for start, end, number in sorted(taken, reverse=True):
        wanted = f"{wanted[:start]}<{number}>{wanted[end:]}"
    assert apply_fixes([said(place, f"<{number}>") for number, place in enumerate(places)], SOURCE) == wanted


def test_what_is_only_likely_waits_to_be_asked_for() -> None:
    likely = [said((0, 1), "A", safe=False), said((1, 2), "B")]
    assert apply_fixes(likely, SOURCE) == "aBcdefghij"
    assert apply_fixes(likely, SOURCE, unsafe=True) == "ABcdefghij"


def test_other_files_are_left_alone() -> None:
    assert apply_fixes([said((0, 1), "A")], Source("u", SOURCE.text)) == SOURCE.text


RUNS = st.lists(
    st.builds(
        str.__mul__, st.sampled_from(["-", "- ", " ;", ".", "\u2013", "BN-", "BN 3-", "{BN}"]), st.integers(1, 60)
    ),
    max_size=4,
).map("".join)


@given(st.one_of(fragments, RUNS), st.booleans())
def test_one_call_fixes_all_that_can_be(text: str, unsafe: bool) -> None:  # noqa: FBT001 -- drawn
    """Fixed texts have no further fixes, and fixes that undo each other would be noticed."""
    once = _fix(f"BN-{text}", {"input": "2x8x8"}, unsafe=unsafe)
    if once.fixed is not None:
        assert _fix(once.fixed, {"input": "2x8x8"}, unsafe=unsafe).fixed is None


WHOLE = st.builds(numbered_text, st.integers(0, 1000), st.integers(0, 1000))
"""Files with equations, named values, loops and studies, most of them damaged."""
SEQUENCE_IN_A_NEURON = "sewdsl 1\ninput 4\nbody A\nneuron A {{ {} give h }}\n"


@given(st.one_of(WHOLE, fragments.map("sewdsl 1\nbody ".__add__)), st.booleans())
@example(SEQUENCE_IN_A_NEURON.format("h = {IF}*2"), False)  # noqa: FBT003
@example(SEQUENCE_IN_A_NEURON.format("h = x - {IF}*2"), False)  # noqa: FBT003
@example("sewdsl 1\ninput 4\nbody A\nneuron A(p={IF}*2) { give p*x }\n", False)  # noqa: FBT003
@example("sewdsl 1\ninput 4\nblock X {\ngive BN\n}\n{BN}*2-BN\nbody X\n", False)  # noqa: FBT003
@examples(80)
def test_fixes_end_and_leave_no_text_worse(text: str, unsafe: bool) -> None:  # noqa: FBT001 -- drawn
    fixed = check_fixes(text, lambda each: _check_spec(Source("t", each), {}), unsafe=unsafe)
    if text.startswith("sewdsl 1\n"):  # else it may be the name of a file
        assert (_fix(text, {}, unsafe=unsafe).fixed or text) == fixed


@given(st.one_of(WHOLE, fragments.map("sewdsl 1\nbody ".__add__)), st.booleans())
@example("sewdsl 1\ninput 2x8x8\nsteps 4\nbody c8k3-BN-IF-FC3\n", True)  # noqa: FBT003
@examples(40)
def test_a_byte_order_mark_stays_first(text: str, versioned: bool) -> None:  # noqa: FBT001 -- drawn
    """Fixes are those of the text without it."""
    text = text if versioned else text.removeprefix("sewdsl 1\n")
    plain, marked = Source("t.net", text), Source("t.net", f"\ufeff{text}")
    fixed = (apply_fixes(_check_spec(source, {}).diagnostics, source) for source in (plain, marked))
    assert f"\ufeff{next(fixed)}" == next(fixed)
