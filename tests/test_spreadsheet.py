"""No cell of a CSV file is a formula, and every number stays one."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sewdsl.spreadsheet import plain_cell, plain_comment, rows_to_csv

SIGNS = ("=", "+", "-", "@", "\t")
texts = st.text(st.sampled_from([*SIGNS, *"0.5e,; A(\"'"]), max_size=6)


def is_formula(cell: str) -> bool:
    """Return whether a spreadsheet may compute a cell; a number is no formula."""
    try:
        float(cell)
    except ValueError:
        return cell.startswith(SIGNS)
    return False


@given(st.dictionaries(texts, st.one_of(texts, st.integers(), st.none()), min_size=1, max_size=3))
def test_no_cell_of_a_table_is_a_formula(row: dict[str, object]) -> None:
    cells = [cell for cells in csv.reader(io.StringIO(rows_to_csv([row]), newline="")) for cell in cells]
    assert not any(map(is_formula, cells))


@given(texts)
def test_no_part_of_a_comment_is_a_formula(line: str) -> None:
    for separator in ",;":
        assert not any(cell.startswith(("=", "+", "-", "@")) for cell in plain_comment(f"# {line}").split(separator))


@pytest.mark.parametrize("value", [-0.5, "-0.5", "+1e-3", 0, None, "c4k3", ""])
def test_numbers_and_other_texts_stay(value: object) -> None:
    assert plain_cell(value) == value
