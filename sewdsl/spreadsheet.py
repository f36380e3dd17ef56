"""Cells of CSV files that spreadsheets do not run as formulas."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from io import StringIO

_FORMULA = re.compile(r"[=+\-@\t\r]")
_SEPARATED_FORMULA = re.compile(r"(?<=[,;\t])(?=[=+\-@])")


def plain_cell(value: object) -> object:
    """Return a cell that every spreadsheet shows as it is: a text that could be a formula gets a ``'`` in front.

    Numbers stay as they are, also as text with a sign.
    """
    if not isinstance(value, str) or not _FORMULA.match(value):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value


def plain_comment(line: str) -> str:
    """Return a comment line of a CSV file without formulas: spreadsheets split it into cells, as any other line."""
    return _SEPARATED_FORMULA.sub("'", line)


def rows_to_csv(rows: Sequence[Mapping[str, object]]) -> str:
    """Return rows of the same keys, at least one, as a table for other programs."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = list(rows[0])
    writer.writerow(map(plain_cell, names))
    writer.writerows([plain_cell(row[name]) for name in names] for row in rows)
    return text.getvalue()
