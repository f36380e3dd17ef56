"""Places as the protocol counts them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lsprotocol.types import Position

from sewdsl.lsp.open_documents import Positions, Units
from sewdsl.source import Source

UNITS: tuple[Units, ...] = ("utf-8", "utf-16", "utf-32")


@pytest.mark.parametrize(("units", "column"), [("utf-8", 6), ("utf-16", 3), ("utf-32", 2)])
def test_columns(units: Units, column: int) -> None:
    at = Positions(Source("x", "a\r\né😀b"), units)
    assert at.position(5) == Position(1, column)
    assert at.offset(Position(1, column)) == 5


@given(st.text(alphabet="ab\n\ré😀\u2028\x0b", max_size=20), st.sampled_from(UNITS))
def test_there_and_back(text: str, units: Units) -> None:
    at = Positions(Source("x", text), units)
    for offset in range(len(text) + 1):
        if offset and text[offset - 1 : offset + 1] == "\r\n":
            continue  # no place of the protocol's lies within a line's end
        if (offset < len(text) and text[offset] in "\r\n") or text[offset : offset + 1]:
            assert at.offset(at.position(offset)) == offset


def test_places_outside() -> None:
    at = Positions(Source("x", "ab\ncd"))
    assert at.offset(Position(0, 99)) == 2
    assert at.offset(Position(9, 0)) == 5
    assert Positions(Source("x", "😀b")).offset(Position(0, 1)) == 0  # half of a character


@given(
    st.text(alphabet="ab\n\ré😀\u2028\x0b", max_size=20), st.integers(0, 5), st.integers(0, 30), st.sampled_from(UNITS)
)
def test_any_position_is_that_of_the_character_it_lies_in(text: str, line: int, column: int, units: Units) -> None:
    at = Positions(Source("x", text), units)
    found = at.position(at.offset(Position(line, column)))
    assert found <= Position(line, column)
    if found < Position(line, column) and line < len(at.source.line_starts):
        following = at.offset(found) + 1
        inside = following <= len(text) and at.position(following) > Position(line, column)
        assert inside or found.character == sum(map(at._width, at.source.line(line + 1)))


def test_many_places_in_a_long_line() -> None:
    """Work proportional to the line for each position would take minutes."""
    at = Positions(Source("x", "é😀" * 50_000))
    assert [at.offset(at.position(offset)) for offset in range(0, 100_000, 2)] == list(range(0, 100_000, 2))
