"""CSV files without cells that spreadsheets run as formulas."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from io import StringIO

_FORMULA = re.compile(r"[=+\-@\t\r]")
_SEPARATED_FORMULA = re.compile(r"(?<=[,;\t])(?=[=+\-@])")


def plain_cell(value: object) -> object:
    """Prefix a text that could be a formula with ``'``. Numbers are unchanged, also as text with a sign."""
    if not isinstance(value, str) or not _FORMULA.match(value):
        return value
    try:
        # -1.5 is a number, although it begins like a formula.
        float(value)
    except ValueError:
        return f"'{value}"
    return value


def plain_comment(line: str) -> str:
    """Escape formulas in a comment line of a CSV file."""
    # Spreadsheets split comments into cells too.
    return _SEPARATED_FORMULA.sub("'", line)


def rows_to_csv(rows: Sequence[Mapping[str, object]]) -> str:
    """Return rows, at least one and all with the same keys, as CSV."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = list(rows[0])
    writer.writerow(map(plain_cell, names))
    writer.writerows([plain_cell(row[name]) for name in names] for row in rows)
    return text.getvalue()
