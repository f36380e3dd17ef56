"""Values as the language writes them: what is written is read as the same value."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from sewdsl.elaborate.values import ValueReader
from sewdsl.ir.printed_values import escape_mathtext, format_value
from sewdsl.reporter import Reporter
from sewdsl.source import Source
from sewdsl.syntax.parser import parse_value


@pytest.mark.parametrize("value", [None, True, False, 3, 0.25, (2, 128, 128), "mean", 1e9, 1e15, 1234567890.5])
def test_what_is_written_is_read_again(value: object) -> None:
    read_again(value)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_decimals_are_read_again(value: float) -> None:
    """All of them, also where Python would write more digits of an integer than the language reads."""
    read_again(value)


def read_again(value: object) -> None:
    reporter = Reporter()
    values = reporter.take(parse_value(Source("t", format_value(value))))
    assert values is not None
    assert [ValueReader(reporter).read(item) for item in values] == [value]
    assert not reporter.diagnostics


@pytest.mark.parametrize("text", [r"a $\frac$ b", "$5, $6", "$x$", r"\$", "$"])
def test_matplotlib_finds_no_formula(text: str) -> None:
    title = Figure().suptitle(escape_mathtext(text))
    assert title._preprocess_math(title.get_text()) == (text, False)  # type: ignore[attr-defined]
